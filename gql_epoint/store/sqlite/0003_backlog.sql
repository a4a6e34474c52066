-- What an operator is told of is counted often, and is little among much.
CREATE INDEX transactions_indeterminate ON transactions (status) WHERE status = 'INDETERMINATE';
CREATE INDEX transactions_in_review ON transactions (status) WHERE status = 'REQUIRES_REVIEW';
CREATE INDEX refunds_indeterminate ON refunds (status) WHERE status = 'INDETERMINATE';
CREATE INDEX callbacks_unmatched ON callbacks (disposition) WHERE disposition = 'UNMATCHED';
