-- Holds: what was taken of one, and the latest capture or cancellation. A transaction has room for one request, so a
-- second cannot be sent before the first has an end.

ALTER TABLE transactions
  ADD COLUMN captured_amount bigint,
  ADD COLUMN hold_request_number integer,
  ADD COLUMN hold_request_kind text,
  ADD COLUMN hold_request_status text,
  ADD COLUMN hold_request_requested_at timestamptz,
  ADD COLUMN hold_request_amount bigint,
  ADD COLUMN hold_request_call_deadline timestamptz,
  ADD COLUMN hold_request_given_up boolean,
  ADD COLUMN hold_request_failure_category text,
  ADD COLUMN hold_request_failure_message text,
  ADD COLUMN hold_request_failure_retryable boolean,
  ADD COLUMN hold_request_failure_bank_code text,
  ADD CHECK (
    captured_amount IS NULL OR (
      captured_amount > 0 AND captured_amount <= amount
      AND refunded_amount + refund_pending_amount <= captured_amount
    )
  ),
  ADD CHECK (hold_request_amount IS NULL OR (hold_request_amount > 0 AND hold_request_amount <= amount));
CREATE INDEX transactions_unanswered_hold_request ON transactions (hold_request_call_deadline)
  WHERE hold_request_call_deadline IS NOT NULL;

-- What an event about a hold was for.
ALTER TABLE events ADD COLUMN hold_request text, ADD COLUMN amount bigint;
