-- What a backend fixes before a browser gets involved. Where it stands follows from its attempts and the time.

CREATE TABLE checkouts (
  id text COLLATE "C" PRIMARY KEY,
  purpose text NOT NULL,
  version integer NOT NULL,
  order_id text COLLATE "C" NOT NULL,
  methods text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  attempts_max integer NOT NULL,
  attempts integer NOT NULL,
  amount bigint,
  currency text,
  description text,
  save_card boolean NOT NULL,
  split_user text,
  split_amount bigint,
  saved_card_ids text NOT NULL,
  language text,
  success_url text,
  error_url text,
  metadata text,
  canceled_at timestamptz,
  CHECK (attempts >= 0 AND attempts <= attempts_max),
  CHECK ((purpose = 'PAYMENT') = (amount IS NOT NULL))
);

-- A browser's credentials, each for one checkout. What it presents is hashed; the secret is kept nowhere.
CREATE TABLE client_tokens (
  digest text COLLATE "C" PRIMARY KEY,
  checkout_id text COLLATE "C" NOT NULL REFERENCES checkouts (id),
  operations text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);

ALTER TABLE transactions ADD COLUMN checkout_id text COLLATE "C";
ALTER TABLE saved_cards ADD COLUMN checkout_id text COLLATE "C";

-- At most one transaction of a checkout can be live or succeed.
CREATE UNIQUE INDEX transactions_holding_checkout ON transactions (checkout_id)
  WHERE holds_order AND checkout_id IS NOT NULL;
CREATE INDEX transactions_checkout ON transactions (checkout_id, id) WHERE checkout_id IS NOT NULL;
CREATE INDEX saved_cards_checkout ON saved_cards (checkout_id, id) WHERE checkout_id IS NOT NULL;
