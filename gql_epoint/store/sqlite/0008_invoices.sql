-- Bills with a link. Personal columns become null when they are erased.

CREATE TABLE invoices (
  id TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  version INTEGER NOT NULL,
  order_id TEXT NOT NULL,
  reference TEXT NOT NULL,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  period_from TEXT NOT NULL,
  period_to TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  display INTEGER NOT NULL,
  save_as_template INTEGER NOT NULL,
  installment INTEGER,
  name TEXT,
  description TEXT,
  phone TEXT,
  email TEXT,
  tin TEXT,
  contract_number TEXT,
  pending_amount INTEGER,
  disputed INTEGER NOT NULL,
  failure_category TEXT,
  failure_message TEXT,
  failure_retryable INTEGER,
  failure_bank_code TEXT,
  gateway_id TEXT,
  gateway_status TEXT,
  gateway_trace_id TEXT,
  last_confirmed_at INTEGER,
  call_deadline INTEGER,
  ask_at INTEGER,
  asks INTEGER NOT NULL,
  CHECK (amount > 0)
) STRICT;

-- EPoint finds an invoice again by its reference, and a customer pays it under EPoint's id.
CREATE UNIQUE INDEX invoices_reference ON invoices (reference);
CREATE UNIQUE INDEX invoices_gateway ON invoices (gateway_id) WHERE gateway_id IS NOT NULL;
CREATE INDEX invoices_order ON invoices (order_id, id);
CREATE INDEX invoices_to_ask ON invoices (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX invoices_unanswered ON invoices (call_deadline) WHERE call_deadline IS NOT NULL;
