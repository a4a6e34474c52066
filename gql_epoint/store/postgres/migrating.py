"""Bring a database to this version's schema, one node at a time, and refuse the books of the other mode."""

from __future__ import annotations

from typing import Any

from gql_epoint.errors import ConfigurationError
from gql_epoint.store.postgres.connecting import SETTING
from gql_epoint.store.protocol import Migrations
from gql_epoint.store.queries import load_migrations

_PACKAGE = "gql_epoint.store.postgres"

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('gql-epoint:migrations', 0))"
_DONE_TABLE = """
CREATE TABLE IF NOT EXISTS migrations (
  number integer PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


async def look(connection: Any, *, sandbox: bool) -> Migrations:
    """Return what was done and what is known, and change nothing. Raises what `migrate` would."""
    await _refuse_other_encoding(connection)
    known = len(load_migrations(_PACKAGE))
    done = await _done(connection)
    _refuse_newer(done, known)
    if done:
        await _refuse_other_mode(connection, "sandbox" if sandbox else "live")
    return Migrations(done, known)


async def migrate(connection: Any, *, sandbox: bool) -> None:
    """Apply the migrations that are missing, all of them or none.

    Raises ConfigurationError for a database of a newer version, of the other mode, or of another encoding.
    """
    await _refuse_other_encoding(connection)
    migrations = load_migrations(_PACKAGE)
    mode = "sandbox" if sandbox else "live"
    if await _done(connection) == len(migrations):
        await _refuse_other_mode(connection, mode)
        return
    async with connection.transaction():
        await connection.execute(_LOCK)
        await connection.execute(_DONE_TABLE)
        done = await _done(connection)
        _refuse_newer(done, len(migrations))
        for number, script in migrations[done:]:
            await connection.execute(script)
            await connection.execute("INSERT INTO migrations (number) VALUES ($1)", number)
        await connection.execute("INSERT INTO meta (name, value) VALUES ('mode', $1) ON CONFLICT DO NOTHING", mode)
        # Inside, so that a refusal leaves no trace.
        await _refuse_other_mode(connection, mode)


async def _done(connection: Any) -> int:
    if await connection.fetchval("SELECT to_regclass('migrations')") is None:
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(number), 0) FROM migrations"))


async def _refuse_other_encoding(connection: Any) -> None:
    if await connection.fetchval("SHOW server_encoding") != "UTF8":
        raise ConfigurationError(SETTING, "the database must have the encoding UTF8")


def _refuse_newer(done: int, known: int) -> None:
    if done > known:
        raise ConfigurationError(
            SETTING, f"the database was made by a newer version (migration {done}); this one knows {known}"
        )


async def _refuse_other_mode(connection: Any, mode: str) -> None:
    made_by = await connection.fetchval("SELECT value FROM meta WHERE name = 'mode'")
    if made_by != mode:
        raise ConfigurationError(
            SETTING, f"the database holds {made_by} books and this is {mode} mode; use another database"
        )
