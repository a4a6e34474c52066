"""Where the books are kept: a SQLite file by default, PostgreSQL for more than one process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gql_epoint.errors import ConfigurationError
from gql_epoint.store.protocol import Store
from gql_epoint.store.sqlite import SqliteStore

_SETTING = "GQL_EPOINT_DATABASE_URL"


def open_store(url: str, *, sandbox: bool, clock: Callable[[], datetime], guest: bool = False) -> Store:
    """Return the store that a database URL names; its `open` is the caller's to call.

    A `guest` of a SQLite file may work beside the process that keeps it; on PostgreSQL everybody may.
    `clock` is for SQLite. PostgreSQL has a clock of its own, the same for all nodes. Raises ConfigurationError for
    any other kind of URL, or where the driver is missing.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/"):
        return SqliteStore(Path(rest[1:]), sandbox=sandbox, clock=clock, guest=guest)
    if scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(_SETTING, "must begin with sqlite:/// or postgresql://")
    try:
        # The driver is an extra: who keeps the books in a file does not need it.
        from gql_epoint.store.postgres import PostgresStore
    except ModuleNotFoundError as exc:
        if exc.name != "asyncpg":
            raise
        raise ConfigurationError(_SETTING, "needs the driver: pip install 'gql-epoint[postgres]'") from exc
    return PostgresStore(url, sandbox=sandbox)
