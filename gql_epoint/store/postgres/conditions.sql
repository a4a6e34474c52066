-- What a unit of work may take for granted, as conditions in the statement that writes: each refuses all of it where
-- that was wrong. See hopeful.py; `is_now` is for every unit, whose clock was read a while ago and has been known
-- since by the time that passed here. What tells of the unit goes out with its commit, and comes last.

-- name: is_now
must_hold(:now::timestamptz BETWEEN transaction_timestamp() - interval '0.1 s'
  AND transaction_timestamp() + interval '0.1 s');

-- name: is_alone_with_key
be_alone_at('idempotency', :owner::text || ':' || :mutation::text || ':' || :key::text);

-- name: has_no_unmatched
must_hold(NOT EXISTS (SELECT FROM unmatched_of_transaction(:gateway_name)));

-- name: has_saved_transaction
must_hold(EXISTS (SELECT FROM transactions_part));

-- name: is_told
pg_notify('gql_epoint_events', :stream_id);
