-- Lists by kind: what is rare must not be looked for among everything else.
CREATE INDEX transactions_kind ON transactions (operation, status, id);
CREATE INDEX callbacks_disposition ON callbacks (disposition, id);
