-- Who tried to pay lately: for each attempt of a browser the name of its address, a keyed hash. Short-lived.

CREATE TABLE checkout_attempts (
  id TEXT PRIMARY KEY,
  address TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  declined INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX checkout_attempts_address ON checkout_attempts (address, started_at, declined);
CREATE INDEX checkout_attempts_started ON checkout_attempts (started_at);

-- Tokens are deleted once they have expired.
CREATE INDEX client_tokens_expiry ON client_tokens (expires_at);
