-- Money is in minor units (qəpik), time in microseconds since 1970 (UTC), truth values are 0 and 1.
-- An enumeration holds the names that GraphQL shows.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE transactions (
  id TEXT PRIMARY KEY,
  operation TEXT NOT NULL,
  status TEXT NOT NULL,
  version INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  order_id TEXT,
  gateway_order_id TEXT,
  holds_order INTEGER NOT NULL,
  adopted INTEGER NOT NULL,
  refunded_amount INTEGER NOT NULL,
  refund_pending_amount INTEGER NOT NULL,
  split_user TEXT,
  split_amount INTEGER,
  description TEXT,
  language TEXT,
  metadata TEXT,
  saved_card_id TEXT,
  redirect_url TEXT,
  card_mask TEXT,
  card_holder_name TEXT,
  facts TEXT NOT NULL,
  call_deadline INTEGER,
  ask_at INTEGER,
  asks INTEGER NOT NULL,
  failure_category TEXT,
  failure_message TEXT,
  failure_retryable INTEGER,
  failure_bank_code TEXT,
  gateway_status TEXT,
  gateway_transaction_id TEXT,
  gateway_bank_transaction_id TEXT,
  gateway_bank_response TEXT,
  gateway_operation_code TEXT,
  gateway_rrn TEXT,
  gateway_trace_id TEXT,
  gateway_last_confirmed_at INTEGER,
  CHECK (amount > 0),
  CHECK (refunded_amount >= 0 AND refund_pending_amount >= 0),
  CHECK (refunded_amount + refund_pending_amount <= amount)
) STRICT;

-- One order has at most one payment that is live or paid, and at most one such payout.
CREATE UNIQUE INDEX transactions_holding_order ON transactions (order_id, (operation = 'PAYOUT'))
  WHERE holds_order = 1;
CREATE UNIQUE INDEX transactions_gateway_transaction ON transactions (gateway_transaction_id)
  WHERE gateway_transaction_id IS NOT NULL;
CREATE UNIQUE INDEX transactions_gateway_order ON transactions (gateway_order_id)
  WHERE gateway_order_id IS NOT NULL AND adopted = 0;
CREATE INDEX transactions_order ON transactions (order_id, id);
CREATE INDEX transactions_updated ON transactions (updated_at, id);
CREATE INDEX transactions_to_ask ON transactions (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX transactions_unanswered ON transactions (call_deadline) WHERE call_deadline IS NOT NULL;

CREATE TABLE refunds (
  id TEXT PRIMARY KEY,
  transaction_id TEXT NOT NULL REFERENCES transactions (id),
  amount INTEGER NOT NULL,
  currency TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  reason TEXT,
  call_deadline INTEGER,
  failure_category TEXT,
  failure_message TEXT,
  failure_retryable INTEGER,
  failure_bank_code TEXT,
  CHECK (amount > 0)
) STRICT;

CREATE INDEX refunds_transaction ON refunds (transaction_id, id);
CREATE INDEX refunds_unanswered ON refunds (call_deadline) WHERE call_deadline IS NOT NULL;

CREATE TABLE saved_cards (
  id TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  version INTEGER NOT NULL,
  usable_for_payout INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  card_id TEXT,
  adopted INTEGER NOT NULL,
  mask TEXT,
  holder_name TEXT,
  redirect_url TEXT,
  transaction_id TEXT,
  call_deadline INTEGER,
  ask_at INTEGER,
  asks INTEGER NOT NULL
) STRICT;

CREATE INDEX saved_cards_card ON saved_cards (card_id, id);
CREATE INDEX saved_cards_to_ask ON saved_cards (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX saved_cards_unanswered ON saved_cards (call_deadline) WHERE call_deadline IS NOT NULL;

CREATE TABLE callbacks (
  id TEXT PRIMARY KEY,
  received_at INTEGER NOT NULL,
  digest TEXT NOT NULL,
  body TEXT NOT NULL,
  disposition TEXT NOT NULL,
  gateway_status TEXT,
  gateway_transaction_id TEXT,
  gateway_card_id TEXT,
  order_id TEXT,
  transaction_id TEXT,
  saved_card_id TEXT
) STRICT;

CREATE INDEX callbacks_digest ON callbacks (digest);
CREATE INDEX callbacks_unmatched_transaction ON callbacks (gateway_transaction_id, id)
  WHERE disposition = 'UNMATCHED';
CREATE INDEX callbacks_unmatched_card ON callbacks (gateway_card_id, id) WHERE disposition = 'UNMATCHED';

-- Append-only. The position counts events in commit order, over all streams.
CREATE TABLE events (
  stream_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  kind TEXT NOT NULL,
  current TEXT NOT NULL,
  recorded_at INTEGER NOT NULL,
  source TEXT NOT NULL,
  previous TEXT,
  actor TEXT,
  note TEXT,
  transaction_id TEXT,
  refund_id TEXT,
  saved_card_id TEXT,
  callback_id TEXT,
  position INTEGER,
  PRIMARY KEY (stream_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;

-- Kept as long as what it made. The owner is the merchant, never a credential: rotating keys must not charge twice.
CREATE TABLE idempotency (
  owner TEXT NOT NULL,
  mutation TEXT NOT NULL,
  key TEXT NOT NULL,
  input_hash TEXT NOT NULL,
  object_id TEXT NOT NULL,
  first_used_at INTEGER NOT NULL,
  PRIMARY KEY (owner, mutation, key)
) STRICT, WITHOUT ROWID;
