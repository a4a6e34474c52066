-- A name between colons and spaces is a parameter. {lock} locks the rows in a unit of work and is nothing for a
-- reader. Where there is a query `x_alone` besides `x`, a unit of work asks that one.

-- name: now
SELECT clock_timestamp() AS now;

-- name: transaction
SELECT * FROM transactions WHERE id = :id {lock};

-- name: transaction_by_gateway_id
SELECT * FROM transactions WHERE gateway_transaction_id = :gateway_transaction_id {lock};

-- name: transaction_by_gateway_order
SELECT * FROM transactions WHERE gateway_order_id = :gateway_order_id AND NOT adopted
AND gateway_order_id IS NOT NULL {lock};

-- name: transaction_by_order
SELECT * FROM transactions WHERE order_id = :order_id
ORDER BY operation = 'PAYOUT', status IN ('SUCCESS', 'RETURNED') DESC, id DESC LIMIT 1 {lock};

-- name: order_holder
SELECT * FROM transactions WHERE order_id = :order_id AND (operation = 'PAYOUT') = :payout AND holds_order {lock};

-- The ends of a page are never absent, only far away: so one plan fits all, and it is a scan of the index.

-- fragment: between_ids
id < coalesce(:after, '~') AND id > coalesce(:before, '')

-- fragment: between_times
    (updated_at, id) > (coalesce(:after_time, '-infinity'::timestamptz), coalesce(:after_id, ''))
AND (updated_at, id) < (coalesce(:before_time, 'infinity'::timestamptz), coalesce(:before_id, ''))

-- fragment: transaction_filter
    (:status_in::text[] IS NULL OR status = ANY(:status_in::text[]))
AND (:operation_in::text[] IS NULL OR operation = ANY(:operation_in::text[]))
AND (:order_id::text IS NULL OR order_id = :order_id::text)
AND created_at >= coalesce(:created_from, '-infinity'::timestamptz)
AND created_at < coalesce(:created_before, 'infinity'::timestamptz)

-- name: transactions_newest
SELECT * FROM transactions WHERE {between_ids} AND {transaction_filter} ORDER BY id DESC LIMIT :limit;

-- name: transactions_newest_backwards
SELECT * FROM transactions WHERE {between_ids} AND {transaction_filter} ORDER BY id LIMIT :limit;

-- name: transactions_by_update
SELECT * FROM transactions WHERE {between_times} AND {transaction_filter} ORDER BY updated_at, id LIMIT :limit;

-- name: transactions_by_update_backwards
SELECT * FROM transactions WHERE {between_times} AND {transaction_filter}
ORDER BY updated_at DESC, id DESC LIMIT :limit;

-- name: claim_transactions_to_ask
WITH due AS MATERIALIZED (
  SELECT id FROM transactions WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE transactions SET ask_at = :until FROM due WHERE transactions.id = due.id RETURNING transactions.*;

-- name: overdue_transactions
SELECT * FROM transactions WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit {lock_what_is_free};

-- name: overdue_holds
SELECT * FROM transactions WHERE hold_request_call_deadline <= :now
ORDER BY hold_request_call_deadline LIMIT :limit {lock_what_is_free};

-- A refund is locked after its transaction, as by everybody who settles one: in the order of FROM.

-- name: refund
SELECT refunds.* FROM transactions JOIN refunds ON refunds.transaction_id = transactions.id
WHERE refunds.id = :id {lock};

-- name: refunds
SELECT * FROM refunds WHERE transaction_id = :transaction_id AND id > coalesce(:after, '')
ORDER BY id LIMIT :limit;

-- name: unsettled_refunds
SELECT * FROM refunds WHERE transaction_id = :transaction_id AND status IN ('PROCESSING', 'INDETERMINATE')
ORDER BY id;

-- name: overdue_refunds
SELECT refunds.* FROM transactions JOIN refunds ON refunds.transaction_id = transactions.id
WHERE refunds.call_deadline <= :now ORDER BY refunds.call_deadline LIMIT :limit {lock_what_is_free};

-- name: saved_card
SELECT * FROM saved_cards WHERE id = :id {lock};

-- name: saved_card_by_card_id
SELECT * FROM saved_cards WHERE card_id = :card_id ORDER BY status = 'ACTIVE' DESC, id DESC LIMIT 1 {lock};

-- name: registration_by_card_id
SELECT * FROM saved_cards WHERE card_id = :card_id ORDER BY status = 'PENDING' DESC, id DESC LIMIT 1 {lock};

-- name: saved_cards
SELECT * FROM saved_cards WHERE {between_ids} ORDER BY id DESC LIMIT :limit;

-- name: saved_cards_backwards
SELECT * FROM saved_cards WHERE {between_ids} ORDER BY id LIMIT :limit;

-- name: claim_cards_to_ask
WITH due AS MATERIALIZED (
  SELECT id FROM saved_cards WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE saved_cards SET ask_at = :until FROM due WHERE saved_cards.id = due.id RETURNING saved_cards.*;

-- name: overdue_cards
SELECT * FROM saved_cards WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit {lock_what_is_free};

-- name: oldest_due
SELECT min(ask_at) AS due FROM transactions WHERE ask_at <= :now
UNION ALL SELECT min(call_deadline) FROM transactions WHERE call_deadline <= :now
UNION ALL SELECT min(hold_request_call_deadline) FROM transactions WHERE hold_request_call_deadline <= :now
UNION ALL SELECT min(call_deadline) FROM refunds WHERE call_deadline <= :now
UNION ALL SELECT min(ask_at) FROM saved_cards WHERE ask_at <= :now
UNION ALL SELECT min(call_deadline) FROM saved_cards WHERE call_deadline <= :now;

-- name: callback
SELECT * FROM callbacks WHERE id = :id;

-- name: callbacks
SELECT * FROM callbacks WHERE id < coalesce(:after, '~')
AND (:dispositions::text[] IS NULL OR disposition = ANY(:dispositions::text[])) ORDER BY id DESC LIMIT :limit;

-- name: callback_seen
SELECT 1 AS seen FROM callbacks WHERE digest = :digest AND disposition <> 'UNMATCHED' LIMIT 1;

-- name: unmatched_of_transaction
SELECT * FROM callbacks WHERE disposition = 'UNMATCHED' AND gateway_transaction_id = :gateway_name ORDER BY id;

-- name: unmatched_of_transaction_alone
SELECT * FROM unmatched_of_transaction(:gateway_name);

-- name: unmatched_of_card
SELECT * FROM callbacks WHERE disposition = 'UNMATCHED' AND gateway_card_id = :gateway_name ORDER BY id;

-- name: unmatched_of_card_alone
SELECT * FROM unmatched_of_card(:gateway_name);

-- name: transaction_is_known
SELECT transaction_is_known(:gateway_name) AS known;

-- name: card_is_known
SELECT card_is_known(:gateway_name) AS known;

-- name: event
SELECT * FROM events WHERE stream_id = :stream_id AND sequence = :sequence;

-- name: stream_events
SELECT * FROM events WHERE stream_id = :stream_id AND sequence > :after::bigint ORDER BY sequence LIMIT :limit;

-- name: feed
SELECT * FROM events WHERE position > :after ORDER BY position LIMIT :limit;

-- name: idempotency
SELECT * FROM idempotency WHERE owner = :owner AND mutation = :mutation AND key = :key;

-- name: idempotency_alone
SELECT * FROM idempotency_alone(:owner, :mutation, :key);

-- name: last_position
SELECT coalesce(max(position), 0) AS position FROM events WHERE position IS NOT NULL;

-- name: number_events
SELECT number_events(:limit) AS numbered;

-- An attempt of a checkout wakes whoever watches the checkout, on every node.

-- name: numbered_after
SELECT stream_id, sequence, position, coalesce(
  (SELECT checkout_id FROM transactions WHERE id = stream_id), (SELECT checkout_id FROM saved_cards WHERE id = stream_id)
) AS checkout_id FROM events WHERE position > :after ORDER BY position LIMIT :limit;

-- name: checkout
SELECT * FROM checkouts WHERE id = :id {lock};

-- name: checkout_transaction
SELECT * FROM transactions WHERE checkout_id = :checkout_id
ORDER BY status IN ('SUCCESS', 'RETURNED') DESC, holds_order DESC, id DESC LIMIT 1 {lock};

-- name: checkout_card
SELECT * FROM saved_cards WHERE checkout_id = :checkout_id ORDER BY status = 'ACTIVE' DESC, id DESC LIMIT 1 {lock};

-- name: client_token
SELECT * FROM client_tokens WHERE digest = :digest;

-- Numbers that are read often: each is in an index of its own.

-- name: backlog
SELECT
  (SELECT count(*) FROM transactions WHERE status = 'INDETERMINATE') AS indeterminate_transactions,
  (SELECT count(*) FROM refunds WHERE status = 'INDETERMINATE') AS indeterminate_refunds,
  (SELECT count(*) FROM transactions WHERE status = 'REQUIRES_REVIEW') AS transactions_in_review,
  (SELECT count(*) FROM callbacks WHERE disposition = 'UNMATCHED') AS unmatched_callbacks,
  (SELECT min(ask_at) FROM transactions WHERE ask_at IS NOT NULL) AS transaction_ask_at,
  (SELECT min(ask_at) FROM saved_cards WHERE ask_at IS NOT NULL) AS card_ask_at,
  (SELECT min(call_deadline) FROM transactions WHERE call_deadline IS NOT NULL) AS transaction_deadline,
  (SELECT min(hold_request_call_deadline) FROM transactions WHERE hold_request_call_deadline IS NOT NULL)
    AS hold_deadline,
  (SELECT min(call_deadline) FROM refunds WHERE call_deadline IS NOT NULL) AS refund_deadline,
  (SELECT min(call_deadline) FROM saved_cards WHERE call_deadline IS NOT NULL) AS card_deadline;

-- name: migrations_done
SELECT max(number) AS done FROM migrations;
