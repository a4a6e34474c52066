-- Money to companies' accounts. Personal columns become null when they are erased.

CREATE TABLE business_transfers (
  id text COLLATE "C" PRIMARY KEY,
  status text NOT NULL,
  version integer NOT NULL,
  order_id text COLLATE "C" NOT NULL,
  gateway_order_id text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  holds_order boolean NOT NULL,
  iban text,
  payee_name text,
  payee_tin text,
  bank_code text,
  bank_name text,
  email text,
  address text,
  description text,
  additional_info text,
  disputed boolean NOT NULL,
  failure_category text,
  failure_message text,
  failure_retryable boolean,
  failure_bank_code text,
  gateway_status text,
  gateway_bulk_id text,
  gateway_trace_id text,
  last_confirmed_at timestamptz,
  webhook_digest text COLLATE "C",
  webhook_at timestamptz,
  call_deadline timestamptz,
  ask_at timestamptz,
  asks integer NOT NULL,
  CHECK (amount > 0)
);

-- One order has at most one transfer that is live or done, and EPoint sees each order id once.
CREATE UNIQUE INDEX business_transfers_holding_order ON business_transfers (order_id) WHERE holds_order;
CREATE UNIQUE INDEX business_transfers_gateway_order ON business_transfers (gateway_order_id);
CREATE UNIQUE INDEX business_transfers_webhook ON business_transfers (webhook_digest)
  WHERE webhook_digest IS NOT NULL;
CREATE INDEX business_transfers_order ON business_transfers (order_id, holds_order, id);
CREATE INDEX business_transfers_to_ask ON business_transfers (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX business_transfers_unanswered ON business_transfers (call_deadline) WHERE call_deadline IS NOT NULL;
CREATE INDEX business_transfers_indeterminate ON business_transfers (status) WHERE status = 'INDETERMINATE';
