-- The same books as on SQLite: money in minor units (qəpik), an enumeration holds the names that GraphQL shows.
-- Text that is a name is compared by its bytes, so that sorting by id is sorting by time in every locale.
--
-- A later migration must leave nodes of the version before it working: it adds what has a default and takes nothing.

CREATE TABLE meta (
  name text PRIMARY KEY,
  value text NOT NULL
);

CREATE TABLE transactions (
  id text COLLATE "C" PRIMARY KEY,
  operation text NOT NULL,
  status text NOT NULL,
  version integer NOT NULL,
  amount bigint NOT NULL,
  currency text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  order_id text COLLATE "C",
  gateway_order_id text COLLATE "C",
  holds_order boolean NOT NULL,
  adopted boolean NOT NULL,
  refunded_amount bigint NOT NULL,
  refund_pending_amount bigint NOT NULL,
  split_user text,
  split_amount bigint,
  description text,
  language text,
  metadata text,
  saved_card_id text COLLATE "C",
  redirect_url text,
  card_mask text,
  card_holder_name text,
  facts text NOT NULL,
  call_deadline timestamptz,
  ask_at timestamptz,
  asks integer NOT NULL,
  failure_category text,
  failure_message text,
  failure_retryable boolean,
  failure_bank_code text,
  gateway_status text,
  gateway_transaction_id text COLLATE "C",
  gateway_bank_transaction_id text,
  gateway_bank_response text,
  gateway_operation_code text,
  gateway_rrn text,
  gateway_trace_id text,
  gateway_last_confirmed_at timestamptz,
  CHECK (amount > 0),
  CHECK (refunded_amount >= 0 AND refund_pending_amount >= 0),
  CHECK (refunded_amount + refund_pending_amount <= amount)
);

-- One order has at most one payment that is live or paid, and at most one such payout.
CREATE UNIQUE INDEX transactions_holding_order ON transactions (order_id, (operation = 'PAYOUT'))
  WHERE holds_order;
CREATE UNIQUE INDEX transactions_gateway_transaction ON transactions (gateway_transaction_id)
  WHERE gateway_transaction_id IS NOT NULL;
CREATE UNIQUE INDEX transactions_gateway_order ON transactions (gateway_order_id)
  WHERE gateway_order_id IS NOT NULL AND NOT adopted;
CREATE INDEX transactions_order ON transactions (order_id, id);
CREATE INDEX transactions_updated ON transactions (updated_at, id);
CREATE INDEX transactions_to_ask ON transactions (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX transactions_unanswered ON transactions (call_deadline) WHERE call_deadline IS NOT NULL;

CREATE TABLE refunds (
  id text COLLATE "C" PRIMARY KEY,
  transaction_id text COLLATE "C" NOT NULL REFERENCES transactions (id),
  amount bigint NOT NULL,
  currency text NOT NULL,
  status text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  reason text,
  call_deadline timestamptz,
  failure_category text,
  failure_message text,
  failure_retryable boolean,
  failure_bank_code text,
  CHECK (amount > 0)
);

CREATE INDEX refunds_transaction ON refunds (transaction_id, id);
CREATE INDEX refunds_unanswered ON refunds (call_deadline) WHERE call_deadline IS NOT NULL;

CREATE TABLE saved_cards (
  id text COLLATE "C" PRIMARY KEY,
  status text NOT NULL,
  version integer NOT NULL,
  usable_for_payout boolean NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  card_id text COLLATE "C",
  adopted boolean NOT NULL,
  mask text,
  holder_name text,
  redirect_url text,
  transaction_id text COLLATE "C",
  call_deadline timestamptz,
  ask_at timestamptz,
  asks integer NOT NULL
);

CREATE INDEX saved_cards_card ON saved_cards (card_id, id);
-- A card is adopted because nothing here knew it: two nodes must not both find that.
CREATE UNIQUE INDEX saved_cards_adopted ON saved_cards (card_id) WHERE adopted;
CREATE INDEX saved_cards_to_ask ON saved_cards (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX saved_cards_unanswered ON saved_cards (call_deadline) WHERE call_deadline IS NOT NULL;

CREATE TABLE callbacks (
  id text COLLATE "C" PRIMARY KEY,
  received_at timestamptz NOT NULL,
  digest text COLLATE "C" NOT NULL,
  body text NOT NULL,
  disposition text NOT NULL,
  gateway_status text,
  gateway_transaction_id text COLLATE "C",
  gateway_card_id text COLLATE "C",
  order_id text COLLATE "C",
  transaction_id text COLLATE "C",
  saved_card_id text COLLATE "C"
);

CREATE INDEX callbacks_digest ON callbacks (digest);
CREATE INDEX callbacks_unmatched_transaction ON callbacks (gateway_transaction_id, id)
  WHERE disposition = 'UNMATCHED';
CREATE INDEX callbacks_unmatched_card ON callbacks (gateway_card_id, id) WHERE disposition = 'UNMATCHED';

-- Append-only. `id` is the order of insertion, which is not the order of commits: whoever reads by it passes 11
-- before 10 commits. `position` is null until the event is committed, and then counts in an order that no reader
-- can see a gap of.
CREATE TABLE events (
  id bigint GENERATED ALWAYS AS IDENTITY,
  stream_id text COLLATE "C" NOT NULL,
  sequence integer NOT NULL,
  kind text NOT NULL,
  current text NOT NULL,
  recorded_at timestamptz NOT NULL,
  source text NOT NULL,
  previous text,
  actor text,
  note text,
  transaction_id text COLLATE "C",
  refund_id text COLLATE "C",
  saved_card_id text COLLATE "C",
  callback_id text COLLATE "C",
  position bigint,
  PRIMARY KEY (stream_id, sequence)
);

CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;
CREATE UNIQUE INDEX events_unnumbered ON events (id) WHERE position IS NULL;

-- Kept as long as what it made. The owner is the merchant, never a credential: rotating keys must not charge twice.
CREATE TABLE idempotency (
  owner text COLLATE "C" NOT NULL,
  mutation text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  input_hash text NOT NULL,
  object_id text COLLATE "C" NOT NULL,
  first_used_at timestamptz NOT NULL,
  PRIMARY KEY (owner, mutation, key)
);

-- What follows locks first and looks afterwards. They are functions because each statement in one sees what was
-- committed before it, and a statement of its own that does both would look before it has the lock.

-- Until this database transaction ends, nobody else is in a place of this name.
CREATE FUNCTION be_alone_at(place text, name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(place || ':' || name, 0));
END $$;

-- The first use of a key wins, whatever else the second one would have been refused for.
CREATE FUNCTION idempotency_alone(of_owner text, of_mutation text, of_key text)
RETURNS SETOF idempotency LANGUAGE plpgsql AS $$
BEGIN
  PERFORM be_alone_at('idempotency', of_owner || ':' || of_mutation || ':' || of_key);
  RETURN QUERY SELECT * FROM idempotency WHERE owner = of_owner AND mutation = of_mutation AND key = of_key;
END $$;

-- Whoever gives a transaction its EPoint id looks for callbacks that came before, and whoever stores a callback
-- that fits nothing looks whether something fits by now. One of the two is second, and sees the other.
CREATE FUNCTION unmatched_of_transaction(name text) RETURNS SETOF callbacks LANGUAGE plpgsql AS $$
BEGIN
  PERFORM be_alone_at('gateway transaction', name);
  RETURN QUERY SELECT * FROM callbacks
    WHERE disposition = 'UNMATCHED' AND gateway_transaction_id = name ORDER BY id;
END $$;

CREATE FUNCTION unmatched_of_card(name text) RETURNS SETOF callbacks LANGUAGE plpgsql AS $$
BEGIN
  PERFORM be_alone_at('gateway card', name);
  RETURN QUERY SELECT * FROM callbacks WHERE disposition = 'UNMATCHED' AND gateway_card_id = name ORDER BY id;
END $$;

CREATE FUNCTION transaction_is_known(name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM be_alone_at('gateway transaction', name);
  RETURN EXISTS (SELECT FROM transactions WHERE gateway_transaction_id = name);
END $$;

CREATE FUNCTION card_is_known(name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM be_alone_at('gateway card', name);
  RETURN EXISTS (SELECT FROM saved_cards WHERE card_id = name);
END $$;

-- Give committed events their positions, and tell every node that the log has grown. One at a time, so the next
-- one starts where this one ended; on the server, so a node that freezes meanwhile stops nobody.
CREATE FUNCTION number_events(at_most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  last_position bigint;
  numbered bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM events WHERE position IS NULL) THEN
    RETURN 0;
  END IF;
  PERFORM be_alone_at('events', 'position');
  SELECT coalesce(max(position), 0) INTO last_position FROM events WHERE position IS NOT NULL;
  WITH waiting AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY id) AS place
    FROM (SELECT id FROM events WHERE position IS NULL ORDER BY id LIMIT at_most) AS committed
  )
  UPDATE events SET position = last_position + place FROM waiting WHERE events.id = waiting.id
    AND events.position IS NULL;
  GET DIAGNOSTICS numbered = ROW_COUNT;
  IF numbered > 0 THEN
    PERFORM pg_notify('gql_epoint_events', '');
  END IF;
  RETURN numbered;
END $$;
