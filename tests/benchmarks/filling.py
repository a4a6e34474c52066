"""Fill an empty store with a shop's past: `python -m tests.benchmarks.filling DATABASE_URL 1000000`.

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

from gql_epoint.store import open_store

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000

# Each payment of the past, in the words of one database: its number, alone and in twelve digits, its id, and the
# moments at which it was begun, opened and decided.

_PAST_OF_SQLITE = """
CREATE TEMP TABLE numbered AS
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
SELECT n, printf('%012d', n) AS digits, printf('tr_%012x7%03x8%015x', at / 1000, n % 4096, n) AS id,
  at AS begun, at + 10000000 AS opened, at + 30000000 AS decided
FROM (SELECT n, {end} - ({count} - n) * {apart} AS at FROM numbers)
"""

_PAST_OF_POSTGRESQL = """
CREATE TEMP TABLE numbered AS
SELECT n, lpad(n::text, 12, '0') AS digits,
  'tr_' || lpad(to_hex(at / 1000), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
    || '8' || lpad(to_hex(n), 15, '0') AS id,
  moment AS begun, moment + interval '10 s' AS opened, moment + interval '30 s' AS decided
FROM (
  SELECT n, {end} - ({count} - n) * {apart} AS at,
    'epoch'::timestamptz + ({end} - ({count} - n) * {apart}) * interval '1 microsecond' AS moment
  FROM generate_series(1::bigint, {count}) AS n
) AS numbers
"""

# What follows is understood by both.

_STATEMENTS = (
    """
CREATE TEMP TABLE past AS
SELECT *, CASE WHEN n % 1000 = 999 THEN 'REQUIRES_REVIEW' WHEN n % 100 < 90 THEN 'SUCCESS'
  WHEN n % 100 < 96 THEN 'FAILED' WHEN n % 100 < 98 THEN 'RETURNED' ELSE 'EXPIRED' END AS status
FROM numbered
""",
    """
INSERT INTO transactions (id, operation, status, version, amount, currency, created_at, updated_at, order_id,
  gateway_order_id, holds_order, adopted, refunded_amount, refund_pending_amount, description, language,
  redirect_url, card_mask, facts, asks, failure_category, failure_message, failure_retryable, failure_bank_code,
  gateway_status, gateway_transaction_id, gateway_rrn, gateway_last_confirmed_at)
SELECT id, 'PAY', status, 3, 2550, 'AZN', begun, decided, 'past-' || n, 'past-' || n,
  status IN ('SUCCESS', 'RETURNED', 'REQUIRES_REVIEW'), false, CASE status WHEN 'RETURNED' THEN 2550 ELSE 0 END, 0,
  'Two tickets', 'az', 'https://epoint.az/pay/' || n, '411111******1111',
  CASE status WHEN 'FAILED' THEN 'DECLINED OPENED' WHEN 'EXPIRED' THEN 'OPENED TIMED_OUT'
    WHEN 'REQUIRES_REVIEW' THEN 'MISMATCH OPENED' ELSE 'OPENED PAID' END,
  1, CASE status WHEN 'FAILED' THEN 'DO_NOT_HONOR' END, CASE status WHEN 'FAILED' THEN 'Do not honor' END,
  CASE status WHEN 'FAILED' THEN true END, CASE status WHEN 'FAILED' THEN '100' END,
  CASE status WHEN 'FAILED' THEN 'failed' WHEN 'EXPIRED' THEN 'new' ELSE 'success' END,
  'te' || digits, digits, decided
FROM past ORDER BY n
""",
    """
INSERT INTO events (stream_id, sequence, kind, current, recorded_at, source, previous, transaction_id, actor,
  position)
SELECT id, step, 'STATUS', CASE step WHEN 1 THEN 'NEW' WHEN 2 THEN 'REQUIRES_ACTION' ELSE status END,
  CASE step WHEN 1 THEN begun WHEN 2 THEN opened ELSE decided END,
  CASE step WHEN 1 THEN 'API' WHEN 2 THEN 'GATEWAY_RESPONSE' ELSE 'GATEWAY_CALLBACK' END,
  CASE step WHEN 1 THEN NULL WHEN 2 THEN 'NEW' ELSE 'REQUIRES_ACTION' END, id, 'shop', 3 * (n - 1) + step
FROM past, (SELECT 1 AS step UNION ALL SELECT 2 UNION ALL SELECT 3) AS steps ORDER BY n, step
""",
    """
INSERT INTO callbacks (id, received_at, digest, body, disposition, gateway_status, gateway_transaction_id, order_id,
  transaction_id)
SELECT 'cb' || substr(id, 3), decided, '0000000000000000000000000000000000000000000000000000' || digits,
  '{{"status":"success","order_id":"past-' || n || '"}}',
  CASE status WHEN 'REQUIRES_REVIEW' THEN 'MISMATCH' ELSE 'APPLIED' END, 'success', 'te' || digits, 'past-' || n, id
FROM past WHERE status <> 'EXPIRED' ORDER BY n
""",
    """
INSERT INTO idempotency (owner, mutation, key, input_hash, object_id, first_used_at)
SELECT 'i000000001', 'pay', 'past-00000000' || digits,
  '0000000000000000000000000000000000000000000000000000' || digits, id, begun FROM past ORDER BY n
""",
    """
INSERT INTO refunds (id, transaction_id, amount, currency, status, created_at, updated_at)
SELECT 're' || substr(id, 3), id, 2550, 'AZN', 'SUCCESS', begun, begun
FROM past WHERE status = 'RETURNED' ORDER BY n
""",
)


async def fill(database_url: str, count: int) -> None:
    """Make the books of a sandbox in an empty database, with `count` transactions of the past."""
    store = open_store(database_url, sandbox=True, clock=lambda: datetime.now(UTC))
    await store.open()
    await store.close()
    values = {"count": count, "end": int(time.time() * 1_000_000) - DAY_US, "apart": MINUTE_US}
    if database_url.startswith("sqlite"):
        path = database_url.removeprefix("sqlite:///")
        await asyncio.to_thread(_fill_sqlite, path, _written(_PAST_OF_SQLITE, values))
    else:
        await _fill_postgresql(database_url, _written(_PAST_OF_POSTGRESQL, values))


def _written(past: str, values: dict[str, int]) -> list[str]:
    return [statement.format(**values) for statement in (past, *_STATEMENTS)]


def _fill_sqlite(path: str, statements: list[str]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN")
    for statement in statements:
        connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def _fill_postgresql(url: str, statements: list[str]) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute("SET timezone = 'UTC'; SET max_parallel_workers_per_gather = 0; SET work_mem = '64MB'")
    for statement in statements:
        await connection.execute(statement)
    # What the server would do by itself later, in the middle of the measuring.
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


if __name__ == "__main__":
    asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
