-- Money to companies' accounts. Personal columns become null when they are erased.

CREATE TABLE business_transfers (
  id TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  version INTEGER NOT NULL,
  order_id TEXT NOT NULL,
  gateway_order_id TEXT NOT NULL,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  holds_order INTEGER NOT NULL,
  iban TEXT,
  payee_name TEXT,
  payee_tin TEXT,
  bank_code TEXT,
  bank_name TEXT,
  email TEXT,
  address TEXT,
  description TEXT,
  additional_info TEXT,
  disputed INTEGER NOT NULL,
  failure_category TEXT,
  failure_message TEXT,
  failure_retryable INTEGER,
  failure_bank_code TEXT,
  gateway_status TEXT,
  gateway_bulk_id TEXT,
  gateway_trace_id TEXT,
  last_confirmed_at INTEGER,
  webhook_digest TEXT,
  webhook_at INTEGER,
  call_deadline INTEGER,
  ask_at INTEGER,
  asks INTEGER NOT NULL,
  CHECK (amount > 0)
) STRICT;

-- One order has at most one transfer that is live or done, and EPoint sees each order id once.
CREATE UNIQUE INDEX business_transfers_holding_order ON business_transfers (order_id) WHERE holds_order = 1;
CREATE UNIQUE INDEX business_transfers_gateway_order ON business_transfers (gateway_order_id);
CREATE UNIQUE INDEX business_transfers_webhook ON business_transfers (webhook_digest)
  WHERE webhook_digest IS NOT NULL;
CREATE INDEX business_transfers_order ON business_transfers (order_id, holds_order, id);
CREATE INDEX business_transfers_to_ask ON business_transfers (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX business_transfers_unanswered ON business_transfers (call_deadline) WHERE call_deadline IS NOT NULL;
CREATE INDEX business_transfers_indeterminate ON business_transfers (status) WHERE status = 'INDETERMINATE';
