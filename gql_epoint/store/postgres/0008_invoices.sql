-- Bills with a link. Personal columns become null when they are erased.

CREATE TABLE invoices (
  id text COLLATE "C" PRIMARY KEY,
  status text NOT NULL,
  version integer NOT NULL,
  order_id text COLLATE "C" NOT NULL,
  reference text COLLATE "C" NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  period_from text NOT NULL,
  period_to text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  display boolean NOT NULL,
  save_as_template boolean NOT NULL,
  installment boolean,
  name text,
  description text,
  phone text,
  email text,
  tin text,
  contract_number text,
  pending_amount bigint,
  disputed boolean NOT NULL,
  failure_category text,
  failure_message text,
  failure_retryable boolean,
  failure_bank_code text,
  gateway_id text COLLATE "C",
  gateway_status text,
  gateway_trace_id text,
  last_confirmed_at timestamptz,
  call_deadline timestamptz,
  ask_at timestamptz,
  asks integer NOT NULL,
  CHECK (amount > 0)
);

-- EPoint finds an invoice again by its reference, and a customer pays it under EPoint's id.
CREATE UNIQUE INDEX invoices_reference ON invoices (reference);
CREATE UNIQUE INDEX invoices_gateway ON invoices (gateway_id) WHERE gateway_id IS NOT NULL;
CREATE INDEX invoices_order ON invoices (order_id, id);
CREATE INDEX invoices_to_ask ON invoices (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX invoices_unanswered ON invoices (call_deadline) WHERE call_deadline IS NOT NULL;
