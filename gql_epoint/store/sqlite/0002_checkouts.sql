-- What a backend fixes before a browser gets involved. Where it stands follows from its attempts and the time.

CREATE TABLE checkouts (
  id TEXT PRIMARY KEY,
  purpose TEXT NOT NULL,
  version INTEGER NOT NULL,
  order_id TEXT NOT NULL,
  methods TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  attempts_max INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  amount INTEGER,
  currency TEXT,
  description TEXT,
  save_card INTEGER NOT NULL,
  split_user TEXT,
  split_amount INTEGER,
  saved_card_ids TEXT NOT NULL,
  language TEXT,
  success_url TEXT,
  error_url TEXT,
  metadata TEXT,
  canceled_at INTEGER,
  CHECK (attempts >= 0 AND attempts <= attempts_max),
  CHECK ((purpose = 'PAYMENT') = (amount IS NOT NULL))
) STRICT;

-- A browser's credentials, each for one checkout. What it presents is hashed; the secret is kept nowhere.
CREATE TABLE client_tokens (
  digest TEXT PRIMARY KEY,
  checkout_id TEXT NOT NULL REFERENCES checkouts (id),
  operations TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE transactions ADD COLUMN checkout_id TEXT;
ALTER TABLE saved_cards ADD COLUMN checkout_id TEXT;

-- At most one transaction of a checkout can be live or succeed.
CREATE UNIQUE INDEX transactions_holding_checkout ON transactions (checkout_id)
  WHERE holds_order = 1 AND checkout_id IS NOT NULL;
CREATE INDEX transactions_checkout ON transactions (checkout_id, id) WHERE checkout_id IS NOT NULL;
CREATE INDEX saved_cards_checkout ON saved_cards (checkout_id, id) WHERE checkout_id IS NOT NULL;
