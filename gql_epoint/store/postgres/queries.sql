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

-- fragment: created_between
    created_at >= coalesce(:created_from, '-infinity'::timestamptz)
AND created_at < coalesce(:created_before, 'infinity'::timestamptz)

-- fragment: transaction_filter
    (:status_in::text[] IS NULL OR status = ANY(:status_in::text[]))
AND (:operation_in::text[] IS NULL OR operation = ANY(:operation_in::text[]))
AND {created_between}

-- A list of some kinds is put together from one search for each kind: what is rare is not looked for among the rest.

-- fragment: kinds
unnest(:operations::text[]) AS of_operation, unnest(:statuses::text[]) AS of_status

-- name: transactions_of_kind
SELECT found.* FROM {kinds}, LATERAL (
  SELECT * FROM transactions WHERE operation = of_operation AND status = of_status AND {between_ids}
  AND {created_between} ORDER BY id DESC LIMIT :limit
) AS found ORDER BY id DESC LIMIT :limit;

-- name: transactions_of_kind_backwards
SELECT found.* FROM {kinds}, LATERAL (
  SELECT * FROM transactions WHERE operation = of_operation AND status = of_status AND {between_ids}
  AND {created_between} ORDER BY id LIMIT :limit
) AS found ORDER BY id LIMIT :limit;

-- name: transactions_newest
SELECT * FROM transactions WHERE {between_ids} AND {created_between} ORDER BY id DESC LIMIT :limit;

-- name: transactions_newest_backwards
SELECT * FROM transactions WHERE {between_ids} AND {created_between} ORDER BY id LIMIT :limit;

-- name: transactions_of_order_newest
SELECT * FROM transactions WHERE order_id = :order_id AND {between_ids} AND {transaction_filter}
ORDER BY id DESC LIMIT :limit;

-- name: transactions_of_order_newest_backwards
SELECT * FROM transactions WHERE order_id = :order_id AND {between_ids} AND {transaction_filter}
ORDER BY id LIMIT :limit;

-- name: transactions_by_update
SELECT * FROM transactions WHERE {between_times} AND {transaction_filter} ORDER BY updated_at, id LIMIT :limit;

-- name: transactions_by_update_backwards
SELECT * FROM transactions WHERE {between_times} AND {transaction_filter}
ORDER BY updated_at DESC, id DESC LIMIT :limit;

-- name: transactions_of_order_by_update
SELECT * FROM transactions WHERE order_id = :order_id AND {between_times} AND {transaction_filter}
ORDER BY updated_at, id LIMIT :limit;

-- name: transactions_of_order_by_update_backwards
SELECT * FROM transactions WHERE order_id = :order_id AND {between_times} AND {transaction_filter}
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

-- name: callback
SELECT * FROM callbacks WHERE id = :id;

-- name: callbacks
SELECT * FROM callbacks WHERE id < coalesce(:after, '~') ORDER BY id DESC LIMIT :limit;

-- name: callbacks_of_kind
SELECT found.* FROM unnest(:dispositions::text[]) AS of_disposition, LATERAL (
  SELECT * FROM callbacks WHERE disposition = of_disposition AND id < coalesce(:after, '~')
  ORDER BY id DESC LIMIT :limit
) AS found ORDER BY id DESC LIMIT :limit;

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

-- name: lock_address
SELECT pg_advisory_xact_lock(hashtextextended('gql-epoint:address:' || :address, 0));

-- name: address_record
SELECT count(*) AS attempts, min(started_at) AS first_attempt_at,
  count(*) FILTER (WHERE declined) AS declines, min(started_at) FILTER (WHERE declined) AS first_decline_at
FROM checkout_attempts WHERE address = :address AND started_at > :since;

-- name: mark_declined
UPDATE checkout_attempts SET declined = true WHERE id = :id;

-- name: delete_attempts
WITH over AS MATERIALIZED (
  SELECT id FROM checkout_attempts WHERE started_at <= :before ORDER BY started_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
DELETE FROM checkout_attempts USING over WHERE checkout_attempts.id = over.id RETURNING checkout_attempts.id;

-- name: delete_expired_tokens
WITH over AS MATERIALIZED (
  SELECT digest FROM client_tokens WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
)
DELETE FROM client_tokens USING over WHERE client_tokens.digest = over.digest RETURNING client_tokens.digest;

-- name: business_transfer
SELECT * FROM business_transfers WHERE id = :id {lock};

-- name: business_transfer_by_order
SELECT * FROM business_transfers WHERE order_id = :order_id ORDER BY holds_order DESC, id DESC LIMIT 1 {lock};

-- name: business_transfer_by_gateway_order
SELECT * FROM business_transfers WHERE gateway_order_id = :gateway_order_id {lock};

-- name: business_transfer_by_webhook
SELECT * FROM business_transfers WHERE webhook_digest = :digest {lock};

-- name: business_transfers
SELECT * FROM business_transfers WHERE {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: business_transfers_backwards
SELECT * FROM business_transfers WHERE {between_ids}
ORDER BY id LIMIT :limit;

-- name: business_transfers_in_review
SELECT * FROM business_transfers WHERE disputed AND {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: business_transfers_in_review_backwards
SELECT * FROM business_transfers WHERE disputed AND {between_ids}
ORDER BY id LIMIT :limit;

-- name: claim_business_transfers_to_ask
WITH due AS MATERIALIZED (
  SELECT id FROM business_transfers WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit
  FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE business_transfers SET ask_at = :until FROM due WHERE business_transfers.id = due.id
RETURNING business_transfers.*;

-- name: overdue_business_transfers
SELECT * FROM business_transfers WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit {lock_what_is_free};

-- name: invoice
SELECT * FROM invoices WHERE id = :id {lock};

-- name: invoice_by_order
SELECT * FROM invoices WHERE order_id = :order_id ORDER BY id DESC LIMIT 1 {lock};

-- name: invoice_by_gateway_id
SELECT * FROM invoices WHERE gateway_id = :gateway_id {lock};

-- name: invoices
SELECT * FROM invoices WHERE {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: invoices_backwards
SELECT * FROM invoices WHERE {between_ids}
ORDER BY id LIMIT :limit;

-- name: invoices_in_review
SELECT * FROM invoices WHERE disputed AND {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: invoices_in_review_backwards
SELECT * FROM invoices WHERE disputed AND {between_ids}
ORDER BY id LIMIT :limit;

-- name: claim_invoices_to_ask
WITH due AS MATERIALIZED (
  SELECT id FROM invoices WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE invoices SET ask_at = :until FROM due WHERE invoices.id = due.id RETURNING invoices.*;

-- name: overdue_invoices
SELECT * FROM invoices WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit {lock_what_is_free};

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
  (SELECT min(call_deadline) FROM saved_cards WHERE call_deadline IS NOT NULL) AS card_deadline,
  (SELECT count(*) FROM business_transfers WHERE status = 'INDETERMINATE') AS indeterminate_transfers,
  (SELECT count(*) FROM business_transfers WHERE disputed) AS transfers_in_review,
  (SELECT count(*) FROM invoices WHERE status = 'INDETERMINATE') AS indeterminate_invoices,
  (SELECT count(*) FROM invoices WHERE disputed) AS invoices_in_review,
  (SELECT min(ask_at) FROM business_transfers WHERE ask_at IS NOT NULL) AS transfer_ask_at,
  (SELECT min(call_deadline) FROM business_transfers WHERE call_deadline IS NOT NULL) AS transfer_deadline,
  (SELECT min(ask_at) FROM invoices WHERE ask_at IS NOT NULL) AS invoice_ask_at,
  (SELECT min(call_deadline) FROM invoices WHERE call_deadline IS NOT NULL) AS invoice_deadline;

-- name: migrations_done
SELECT max(number) AS done FROM migrations;
