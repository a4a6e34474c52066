-- Holds: what was taken of one, and the latest capture or cancellation. A transaction has room for one request, so a
-- second cannot be sent before the first has an end.

ALTER TABLE transactions ADD COLUMN captured_amount INTEGER CHECK (
  captured_amount IS NULL OR (
    captured_amount > 0 AND captured_amount <= amount
    AND refunded_amount + refund_pending_amount <= captured_amount
  )
);
ALTER TABLE transactions ADD COLUMN hold_request_number INTEGER;
ALTER TABLE transactions ADD COLUMN hold_request_kind TEXT;
ALTER TABLE transactions ADD COLUMN hold_request_status TEXT;
ALTER TABLE transactions ADD COLUMN hold_request_requested_at INTEGER;
ALTER TABLE transactions ADD COLUMN hold_request_amount INTEGER CHECK (
  hold_request_amount IS NULL OR (hold_request_amount > 0 AND hold_request_amount <= amount)
);
ALTER TABLE transactions ADD COLUMN hold_request_call_deadline INTEGER;
ALTER TABLE transactions ADD COLUMN hold_request_given_up INTEGER;
ALTER TABLE transactions ADD COLUMN hold_request_failure_category TEXT;
ALTER TABLE transactions ADD COLUMN hold_request_failure_message TEXT;
ALTER TABLE transactions ADD COLUMN hold_request_failure_retryable INTEGER;
ALTER TABLE transactions ADD COLUMN hold_request_failure_bank_code TEXT;
CREATE INDEX transactions_unanswered_hold_request ON transactions (hold_request_call_deadline)
  WHERE hold_request_call_deadline IS NOT NULL;

-- What an event about a hold was for.
ALTER TABLE events ADD COLUMN hold_request TEXT;
ALTER TABLE events ADD COLUMN amount INTEGER;
