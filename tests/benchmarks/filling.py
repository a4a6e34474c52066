"""Fill an empty SQLite store with a shop's past: `python -m tests.benchmarks.filling BOOKS.db 1000000`.

Of a hundred payments 90 were paid and 6 declined, 2 were refunded in full and 1 expired; 1 of a thousand needs a
person. Each has its events, its idempotency key and, if EPoint called back, its callback. They lie a minute apart
and end a day ago, so nothing of it is due. The database writes them itself, a million in a minute or two.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from gql_epoint.store.sqlite import SqliteStore

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000

_PAST = """
CREATE TEMP TABLE past AS
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
SELECT n, at, printf('tr_%012x7%03x8%015x', at / 1000, n % 4096, n) AS id,
  CASE WHEN n % 1000 = 999 THEN 'REQUIRES_REVIEW' WHEN n % 100 < 90 THEN 'SUCCESS' WHEN n % 100 < 96 THEN 'FAILED'
    WHEN n % 100 < 98 THEN 'RETURNED' ELSE 'EXPIRED' END AS status
FROM (SELECT n, :end - (:count - n) * :apart AS at FROM numbers)
"""

_TABLES = (
    """
INSERT INTO transactions (id, operation, status, version, amount, currency, created_at, updated_at, order_id,
  gateway_order_id, holds_order, adopted, refunded_amount, refund_pending_amount, description, language,
  redirect_url, card_mask, facts, asks, failure_category, failure_message, failure_retryable, failure_bank_code,
  gateway_status, gateway_transaction_id, gateway_rrn, gateway_last_confirmed_at)
SELECT id, 'PAY', status, 3, 2550, 'AZN', at, at + 30000000, 'past-' || n, 'past-' || n,
  status IN ('SUCCESS', 'RETURNED', 'REQUIRES_REVIEW'), 0, CASE status WHEN 'RETURNED' THEN 2550 ELSE 0 END, 0,
  'Two tickets', 'az', 'https://epoint.az/pay/' || n, '411111******1111',
  CASE status WHEN 'FAILED' THEN 'DECLINED OPENED' WHEN 'EXPIRED' THEN 'OPENED TIMED_OUT'
    WHEN 'REQUIRES_REVIEW' THEN 'MISMATCH OPENED' ELSE 'OPENED PAID' END,
  1, iif(status = 'FAILED', 'DO_NOT_HONOR', NULL), iif(status = 'FAILED', 'Do not honor', NULL),
  iif(status = 'FAILED', 1, NULL), iif(status = 'FAILED', '100', NULL),
  CASE status WHEN 'FAILED' THEN 'failed' WHEN 'EXPIRED' THEN 'new' ELSE 'success' END,
  printf('te%012d', n), printf('%012d', n), at + 30000000
FROM past ORDER BY n
""",
    """
INSERT INTO events (stream_id, sequence, kind, current, recorded_at, source, previous, transaction_id, actor,
  position)
SELECT id, step, 'STATUS', CASE step WHEN 1 THEN 'NEW' WHEN 2 THEN 'REQUIRES_ACTION' ELSE status END,
  at + step * 10000000, CASE step WHEN 1 THEN 'API' WHEN 2 THEN 'GATEWAY_RESPONSE' ELSE 'GATEWAY_CALLBACK' END,
  CASE step WHEN 1 THEN NULL WHEN 2 THEN 'NEW' ELSE 'REQUIRES_ACTION' END, id, 'shop', 3 * (n - 1) + step
FROM past, (SELECT 1 AS step UNION ALL SELECT 2 UNION ALL SELECT 3) ORDER BY n, step
""",
    """
INSERT INTO callbacks (id, received_at, digest, body, disposition, gateway_status, gateway_transaction_id, order_id,
  transaction_id)
SELECT 'cb' || substr(id, 3), at + 30000000, printf('%064x', n),
  '{"status":"success","order_id":"past-' || n || '"}',
  CASE status WHEN 'REQUIRES_REVIEW' THEN 'MISMATCH' ELSE 'APPLIED' END, 'success', printf('te%012d', n),
  'past-' || n, id
FROM past WHERE status <> 'EXPIRED' ORDER BY n
""",
    """
INSERT INTO idempotency (owner, mutation, key, input_hash, object_id, first_used_at)
SELECT 'i000000001', 'pay', printf('past-%020d', n), printf('%064x', n), id, at FROM past ORDER BY n
""",
    """
INSERT INTO refunds (id, transaction_id, amount, currency, status, created_at, updated_at)
SELECT 're' || substr(id, 3), id, 2550, 'AZN', 'SUCCESS', at, at FROM past WHERE status = 'RETURNED' ORDER BY n
""",
)


async def fill(path: Path, count: int) -> None:
    """Make the books of a sandbox in a new file, with `count` transactions of the past."""
    store = SqliteStore(path, sandbox=True, clock=lambda: datetime.now(UTC))
    await store.open()
    await store.close()
    await asyncio.to_thread(_fill, path, count)


def _fill(path: Path, count: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN")
    end = int(time.time() * 1_000_000) - DAY_US
    connection.execute(_PAST, {"count": count, "end": end, "apart": MINUTE_US})
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
