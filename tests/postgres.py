"""A real PostgreSQL for tests: the server of a PyPI wheel, or the one that GQL_EPOINT_TEST_POSTGRES_URL names.

`new_database` makes an empty one for a test, on which `opened` runs a store. A server that was started here ends
with this process, however that ends, and leaves nothing behind.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from gql_epoint.cli.local_postgres import PATIENCE_S, PostgresServer
from gql_epoint.store.postgres import PostgresLimits, PostgresStore

URL_VARIABLE = "GQL_EPOINT_TEST_POSTGRES_URL"

_numbers = itertools.count(1)
_run = secrets.token_hex(3)


@functools.cache
def server_url() -> str:
    """Return the URL of the server that all tests of this process share, started now if it must be."""
    named = os.environ.get(URL_VARIABLE, "").strip()
    if named:
        return named
    server = PostgresServer()
    server.start()
    atexit.register(server.delete)
    return server.url


@asynccontextmanager
async def new_database(server: str | None = None) -> AsyncIterator[str]:
    """Make an empty database on the shared server, or on another, and return its URL; drop it in the end."""
    server = server or server_url()
    name = f"gql_epoint_test_{_run}_{next(_numbers)}"
    await _on(server, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        await _on(server, f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def opened(url: str, **limits: Any) -> AsyncIterator[PostgresStore]:
    """Run one node's store on a database, with limits of its own."""
    store = PostgresStore(url, sandbox=True, limits=PostgresLimits(**limits))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _on(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server, timeout=PATIENCE_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
