-- name: transaction
SELECT * FROM transactions WHERE id = :id;

-- name: transaction_by_gateway_id
SELECT * FROM transactions WHERE gateway_transaction_id = :gateway_transaction_id;

-- name: transaction_by_gateway_order
SELECT * FROM transactions WHERE gateway_order_id = :gateway_order_id AND adopted = 0
AND gateway_order_id IS NOT NULL;

-- name: transaction_by_order
SELECT * FROM transactions WHERE order_id = :order_id
ORDER BY operation = 'PAYOUT', status IN ('SUCCESS', 'RETURNED') DESC, id DESC LIMIT 1;

-- name: order_holder
SELECT * FROM transactions WHERE order_id = :order_id AND (operation = 'PAYOUT') = :payout AND holds_order = 1;

-- The ends of a page are never absent, only far away, so that each page is a search of an index.

-- fragment: between_ids
id < coalesce(:after, '~') AND id > coalesce(:before, '')

-- fragment: between_times
    (updated_at, id) > (coalesce(:after_time, -9223372036854775807), coalesce(:after_id, ''))
AND (updated_at, id) < (coalesce(:before_time, 9223372036854775807), coalesce(:before_id, ''))

-- fragment: created_between
    (:created_from IS NULL OR created_at >= :created_from)
AND (:created_before IS NULL OR created_at < :created_before)

-- fragment: transaction_filter
    (:status_in IS NULL OR status IN (SELECT value FROM json_each(:status_in)))
AND (:operation_in IS NULL OR operation IN (SELECT value FROM json_each(:operation_in)))
AND {created_between}

-- A list of some kinds is put together from one search for each kind: what is rare is not looked for among the rest.

-- name: transactions_of_kind
SELECT * FROM transactions WHERE operation = :operation AND status = :status AND {between_ids}
AND {created_between} ORDER BY id DESC LIMIT :limit;

-- name: transactions_of_kind_backwards
SELECT * FROM transactions WHERE operation = :operation AND status = :status AND {between_ids}
AND {created_between} ORDER BY id LIMIT :limit;

-- name: transactions_newest
SELECT * FROM transactions WHERE {between_ids}
AND {created_between} ORDER BY id DESC LIMIT :limit;

-- name: transactions_of_order_newest
SELECT * FROM transactions WHERE order_id = :order_id AND {between_ids}
AND {transaction_filter} ORDER BY id DESC LIMIT :limit;

-- name: transactions_newest_backwards
SELECT * FROM transactions WHERE {between_ids}
AND {created_between} ORDER BY id LIMIT :limit;

-- name: transactions_of_order_newest_backwards
SELECT * FROM transactions WHERE order_id = :order_id AND {between_ids}
AND {transaction_filter} ORDER BY id LIMIT :limit;

-- name: transactions_by_update
SELECT * FROM transactions
WHERE {between_times}
AND {transaction_filter} ORDER BY updated_at, id LIMIT :limit;

-- name: transactions_of_order_by_update
SELECT * FROM transactions WHERE order_id = :order_id AND {between_times}
AND {transaction_filter} ORDER BY updated_at, id LIMIT :limit;

-- name: transactions_by_update_backwards
SELECT * FROM transactions
WHERE {between_times}
AND {transaction_filter} ORDER BY updated_at DESC, id DESC LIMIT :limit;

-- name: transactions_of_order_by_update_backwards
SELECT * FROM transactions WHERE order_id = :order_id AND {between_times}
AND {transaction_filter} ORDER BY updated_at DESC, id DESC LIMIT :limit;

-- name: claim_transactions_to_ask
UPDATE transactions SET ask_at = :until WHERE id IN (
  SELECT id FROM transactions WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit
) RETURNING *;

-- name: overdue_transactions
SELECT * FROM transactions WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit;

-- name: overdue_holds
SELECT * FROM transactions WHERE hold_request_call_deadline <= :now
ORDER BY hold_request_call_deadline LIMIT :limit;

-- name: refund
SELECT * FROM refunds WHERE id = :id;

-- name: refunds
SELECT * FROM refunds WHERE transaction_id = :transaction_id AND id > coalesce(:after, '')
ORDER BY id LIMIT :limit;

-- name: unsettled_refunds
SELECT * FROM refunds WHERE transaction_id = :transaction_id AND status IN ('PROCESSING', 'INDETERMINATE')
ORDER BY id;

-- name: overdue_refunds
SELECT * FROM refunds WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit;

-- name: saved_card
SELECT * FROM saved_cards WHERE id = :id;

-- name: saved_card_by_card_id
SELECT * FROM saved_cards WHERE card_id = :card_id ORDER BY status = 'ACTIVE' DESC, id DESC LIMIT 1;

-- name: registration_by_card_id
SELECT * FROM saved_cards WHERE card_id = :card_id ORDER BY status = 'PENDING' DESC, id DESC LIMIT 1;

-- name: saved_cards
SELECT * FROM saved_cards WHERE {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: saved_cards_backwards
SELECT * FROM saved_cards WHERE {between_ids}
ORDER BY id LIMIT :limit;

-- name: claim_cards_to_ask
UPDATE saved_cards SET ask_at = :until WHERE id IN (
  SELECT id FROM saved_cards WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit
) RETURNING *;

-- name: overdue_cards
SELECT * FROM saved_cards WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit;

-- name: callback
SELECT * FROM callbacks WHERE id = :id;

-- name: callbacks
SELECT * FROM callbacks WHERE id < coalesce(:after, '~') ORDER BY id DESC LIMIT :limit;

-- name: callbacks_of_kind
SELECT * FROM callbacks WHERE disposition = :disposition AND id < coalesce(:after, '~')
ORDER BY id DESC LIMIT :limit;

-- name: callback_seen
SELECT 1 AS seen FROM callbacks WHERE digest = :digest AND disposition <> 'UNMATCHED' LIMIT 1;

-- name: unmatched_by_transaction
SELECT * FROM callbacks WHERE disposition = 'UNMATCHED' AND gateway_transaction_id = :gateway_transaction_id
ORDER BY id;

-- name: unmatched_by_card
SELECT * FROM callbacks WHERE disposition = 'UNMATCHED' AND gateway_card_id = :card_id ORDER BY id;

-- name: event
SELECT * FROM events WHERE stream_id = :stream_id AND sequence = :sequence;

-- name: stream_events
SELECT * FROM events WHERE stream_id = :stream_id AND sequence > :after ORDER BY sequence LIMIT :limit;

-- name: feed
SELECT * FROM events WHERE position > :after ORDER BY position LIMIT :limit;

-- name: next_position
SELECT coalesce(max(position), 0) + 1 AS position FROM events WHERE position IS NOT NULL;

-- name: idempotency
SELECT * FROM idempotency WHERE owner = :owner AND mutation = :mutation AND key = :key;

-- name: checkout
SELECT * FROM checkouts WHERE id = :id;

-- name: checkout_transaction
SELECT * FROM transactions WHERE checkout_id = :checkout_id
ORDER BY status IN ('SUCCESS', 'RETURNED') DESC, holds_order DESC, id DESC LIMIT 1;

-- name: checkout_card
SELECT * FROM saved_cards WHERE checkout_id = :checkout_id ORDER BY status = 'ACTIVE' DESC, id DESC LIMIT 1;

-- name: client_token
SELECT * FROM client_tokens WHERE digest = :digest;

-- name: address_record
SELECT count(*) AS attempts, min(started_at) AS first_attempt_at,
  coalesce(sum(declined), 0) AS declines, min(CASE WHEN declined THEN started_at END) AS first_decline_at
FROM checkout_attempts WHERE address = :address AND started_at > :since;

-- name: mark_declined
UPDATE checkout_attempts SET declined = 1 WHERE id = :id;

-- name: delete_attempts
DELETE FROM checkout_attempts WHERE id IN (
  SELECT id FROM checkout_attempts WHERE started_at <= :before ORDER BY started_at LIMIT :limit
) RETURNING id;

-- name: delete_expired_tokens
DELETE FROM client_tokens WHERE digest IN (
  SELECT digest FROM client_tokens WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit
) RETURNING digest;

-- name: business_transfer
SELECT * FROM business_transfers WHERE id = :id;

-- name: business_transfer_by_order
SELECT * FROM business_transfers WHERE order_id = :order_id ORDER BY holds_order DESC, id DESC LIMIT 1;

-- name: business_transfer_by_gateway_order
SELECT * FROM business_transfers WHERE gateway_order_id = :gateway_order_id;

-- name: business_transfer_by_webhook
SELECT * FROM business_transfers WHERE webhook_digest = :digest;

-- name: business_transfers
SELECT * FROM business_transfers WHERE {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: business_transfers_backwards
SELECT * FROM business_transfers WHERE {between_ids}
ORDER BY id LIMIT :limit;

-- name: business_transfers_in_review
SELECT * FROM business_transfers WHERE disputed = 1 AND {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: business_transfers_in_review_backwards
SELECT * FROM business_transfers WHERE disputed = 1 AND {between_ids}
ORDER BY id LIMIT :limit;

-- name: claim_business_transfers_to_ask
UPDATE business_transfers SET ask_at = :until WHERE id IN (
  SELECT id FROM business_transfers WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit
) RETURNING *;

-- name: overdue_business_transfers
SELECT * FROM business_transfers WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit;

-- name: invoice
SELECT * FROM invoices WHERE id = :id;

-- name: invoice_by_order
SELECT * FROM invoices WHERE order_id = :order_id ORDER BY id DESC LIMIT 1;

-- name: invoice_by_gateway_id
SELECT * FROM invoices WHERE gateway_id = :gateway_id;

-- name: invoices
SELECT * FROM invoices WHERE {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: invoices_backwards
SELECT * FROM invoices WHERE {between_ids}
ORDER BY id LIMIT :limit;

-- name: invoices_in_review
SELECT * FROM invoices WHERE disputed = 1 AND {between_ids}
ORDER BY id DESC LIMIT :limit;

-- name: invoices_in_review_backwards
SELECT * FROM invoices WHERE disputed = 1 AND {between_ids}
ORDER BY id LIMIT :limit;

-- name: claim_invoices_to_ask
UPDATE invoices SET ask_at = :until WHERE id IN (
  SELECT id FROM invoices WHERE ask_at <= :now ORDER BY ask_at LIMIT :limit
) RETURNING *;

-- name: overdue_invoices
SELECT * FROM invoices WHERE call_deadline <= :now ORDER BY call_deadline LIMIT :limit;

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
  (SELECT count(*) FROM business_transfers WHERE disputed = 1) AS transfers_in_review,
  (SELECT count(*) FROM invoices WHERE status = 'INDETERMINATE') AS indeterminate_invoices,
  (SELECT count(*) FROM invoices WHERE disputed = 1) AS invoices_in_review,
  (SELECT min(ask_at) FROM business_transfers WHERE ask_at IS NOT NULL) AS transfer_ask_at,
  (SELECT min(call_deadline) FROM business_transfers WHERE call_deadline IS NOT NULL) AS transfer_deadline,
  (SELECT min(ask_at) FROM invoices WHERE ask_at IS NOT NULL) AS invoice_ask_at,
  (SELECT min(call_deadline) FROM invoices WHERE call_deadline IS NOT NULL) AS invoice_deadline;
