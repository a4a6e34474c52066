"""Connections to PostgreSQL: how they are made, how their values travel, and what their failures mean."""

from __future__ import annotations

from time import monotonic
from typing import Any

import asyncpg
import msgspec

from gql_epoint.errors import ConfigurationError, StoreUnavailableError

SETTING = "GQL_EPOINT_DATABASE_URL"
STATEMENTS_CACHED = 256

# PostgreSQL counts microseconds from 2000, rows.py from 1970.
_MICROSECONDS_TO_2000 = 946_684_800_000_000


class PostgresLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a server one node takes, and how long it waits for anything.

    A node has at most `writers` + `readers` + 1 connections. `free_connection_s` is the wait for one of them,
    `lock_s` for a row that another unit of work holds. A unit whose node stops in the middle of it keeps its rows
    for `idle_unit_s`. `sweep_s` is how long an event may wait for its position if nobody was told of it.
    """

    writers: int = 10
    readers: int = 5
    connect_s: float = 5.0
    free_connection_s: float = 5.0
    statement_s: float = 10.0
    lock_s: float = 5.0
    idle_unit_s: float = 10.0
    migration_s: float = 60.0
    sweep_s: float = 1.0


def options(dsn: str, limits: PostgresLimits, **server_settings: str) -> dict[str, Any]:
    """Return what asyncpg needs to connect; nothing done on such a connection waits for ever."""
    settings = {
        "application_name": "gql-epoint",
        "timezone": "UTC",
        "jit": "off",
        "default_transaction_isolation": "read committed",
        "statement_timeout": _milliseconds(limits.statement_s),
        "lock_timeout": _milliseconds(limits.lock_s),
        "idle_in_transaction_session_timeout": _milliseconds(limits.idle_unit_s),
    }
    return {
        "dsn": dsn,
        "timeout": limits.connect_s,
        # The server gives up first and says why. This is for one that says nothing any more, and for statements
        # that go together and wait for several rows, each nearly as long as it may.
        "command_timeout": limits.statement_s + 1.0,
        "statement_cache_size": STATEMENTS_CACHED,
        "max_cached_statement_lifetime": 0,
        "server_settings": settings | server_settings,
    }


async def prepare(connection: Any) -> None:
    """Let values travel as rows.py makes them: times in microseconds since 1970, truth values as 0 and 1."""
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        format="tuple",
        encoder=lambda microseconds: (microseconds - _MICROSECONDS_TO_2000,),
        decoder=lambda value: value[0] + _MICROSECONDS_TO_2000,
    )
    await connection.set_type_codec(
        "bool",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" if value else b"\x00",
        decoder=lambda value: value != b"\x00",
    )


class DatabaseTime:
    """The database's clock, known between two looks at it by how much time has passed since.

    Units of work look themselves; for readers, who decide nothing by it, this is close enough.
    """

    def __init__(self) -> None:
        self._ahead_of_monotonic = 0

    def seen(self, microseconds: int) -> None:
        """Note what the database's clock says now."""
        self._ahead_of_monotonic = microseconds - int(monotonic() * 1_000_000)

    def microseconds(self) -> int:
        """Return what the database's clock says now, as far as is known."""
        return int(monotonic() * 1_000_000) + self._ahead_of_monotonic


# ---------------------------------------------------------------------------------------------------------
# What failures mean.
# ---------------------------------------------------------------------------------------------------------


class LostRaceError(Exception):
    """Another unit of work was quicker; this one has to run again and see what it did."""


# asyncpg says `another operation is in progress`, as an internal error, where the server's last word on a
# connection came between two statements. A unit has one statement at a time, so here it means nothing else.
_CUT_BETWEEN = asyncpg.InternalClientError

FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, _CUT_BETWEEN, OSError, TimeoutError)
"""Everything that PostgreSQL and the way to it raise."""

# Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONNECTION_LOST = ("08", "57P01", "57P02", "57P05", "25P03", "25P04")
_AWAY = (
    *_CONNECTION_LOST,
    "25006",  # a standby, or one that was told to take no writes
    "28",  # the password was changed under us
    "3D",  # the database was dropped or renamed under us
    "53",  # no disk, memory or connections left
    "55P03",  # a lock was not to be had in time
    "57",  # starting, stopping, or too slow
    "58",  # a failing disk
)
_RACES = (
    "23505",  # somebody else inserted the same key, order or event
    "40001",
    "40P01",  # a deadlock: the other one goes on
)
_MISCONFIGURED = ("28", "3D", "42501")


def outcome_is_known(exc: BaseException) -> bool:
    """Whether PostgreSQL itself refused a statement, of which nothing was kept."""
    return isinstance(exc, asyncpg.PostgresError) and not is_lost_connection(exc)


def is_lost_race(exc: BaseException) -> bool:
    """Whether the same unit of work may end otherwise if it runs again at once."""
    # A statement goes stale when another node migrates.
    stale = asyncpg.InvalidCachedStatementError
    return isinstance(exc, (LostRaceError, stale)) or _code(exc).startswith(_RACES)


def is_lost_connection(exc: BaseException) -> bool:
    """Whether the connection broke, and a new one may work."""
    broken = (asyncpg.InterfaceError, _CUT_BETWEEN, ConnectionError)
    if isinstance(exc, broken) and not isinstance(exc, ConnectionRefusedError):
        return is_away(exc)
    return _code(exc).startswith(_CONNECTION_LOST)


def is_away(exc: BaseException) -> bool:
    """Whether the database cannot be reached or will not work now; everything else is a bug."""
    if isinstance(exc, (asyncpg.DataError, asyncpg.ClientConfigurationError)):
        return False
    unreachable = (asyncpg.InterfaceError, _CUT_BETWEEN, OSError, TimeoutError)
    return isinstance(exc, unreachable) or _code(exc).startswith(_AWAY)


def away(exc: BaseException) -> StoreUnavailableError:
    """Return the error for callers; the cause is for the log."""
    return _caused(exc, f"the database does not answer: {str(exc) or type(exc).__name__}")


def perhaps_kept(exc: BaseException) -> StoreUnavailableError:
    """Return the error for callers whose commit was sent and never confirmed: it must not run again here."""
    return _caused(exc, "the connection broke during a commit, which may have been kept")


def cannot_open(exc: BaseException) -> ConfigurationError | StoreUnavailableError:
    """Return what a failure means before the store is open. No text of it holds the password."""
    if isinstance(exc, (asyncpg.ClientConfigurationError, ValueError)):
        return ConfigurationError(SETTING, "is not a PostgreSQL URL like postgresql://user:password@host/database")
    if _code(exc).startswith(_MISCONFIGURED):
        return ConfigurationError(SETTING, f"PostgreSQL refuses: {exc}")
    return away(exc)


def _caused(exc: BaseException, reason: str) -> StoreUnavailableError:
    error = StoreUnavailableError(reason)
    error.__cause__ = exc
    return error


def _code(exc: BaseException) -> str:
    return (exc.sqlstate or "") if isinstance(exc, asyncpg.PostgresError) else ""


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
