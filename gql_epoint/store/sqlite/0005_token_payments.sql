-- EPoint's id of the record that a token of Apple Pay or Google Pay is charged to.
ALTER TABLE transactions ADD COLUMN token_payment_id TEXT;
