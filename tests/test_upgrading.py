"""Upgrades of books that are full: from every earlier version to this one, on both stores, and back and forth.

A version before this one is its migrations, and the rows that it writes: those of today without the columns that it
did not have. What a node of it runs while newer ones are there already is INSERTs and UPDATEs of those columns, and
SELECTs of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec
import pytest

from gql_epoint.store.codecs import CODECS
from gql_epoint.store.postgres import PostgresStore
from gql_epoint.store.postgres.connecting import prepare
from gql_epoint.store.postgres.statements import statement
from gql_epoint.store.protocol import Store
from gql_epoint.store.queries import load_migrations
from gql_epoint.store.sqlite import SqliteStore
from gql_epoint.web.app import utc_now
from tests.postgres import new_database
from tests.store_contract import (
    FULL_CALLBACK,
    FULL_CARD,
    FULL_CHECKOUT,
    FULL_EVENT,
    FULL_REFUND,
    FULL_TRANSACTION,
    SAVE,
    a_callback,
    a_card,
    a_checkout,
    a_refund,
    a_token,
    a_transaction,
    an_event,
    an_idempotency,
    feed_positions,
    insert,
    read,
)

# Those that are filled before an upgrade, as far as they are there yet.
TABLES = (
    "transactions",
    "refunds",
    "saved_cards",
    "callbacks",
    "events",
    "idempotency",
    "checkouts",
    "client_tokens",
)
VERSIONS = range(1, len(load_migrations("gql_epoint.store.sqlite")))

Columns = dict[str, dict[str, str]]
"""The type of each column of each table."""


class Database(Protocol):
    """An empty database, to be filled by hand."""

    async def migrate(self, upto: int) -> None:
        """Do what a version with so many migrations does when it starts."""

    async def columns(self) -> Columns:
        """Return what the tables hold."""

    async def execute(self, sql: str, row: Mapping[str, Any]) -> None:
        """Run a statement with named parameters."""

    def store(self) -> Store:
        """Return a store of this version on it."""


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)

    async def migrate(self, upto: int) -> None:
        for number, script in load_migrations("gql_epoint.store.sqlite")[:upto]:
            self.connection.executescript(script)
            self.connection.execute(f"PRAGMA user_version = {number}")
        self.connection.execute("INSERT INTO meta (name, value) VALUES ('mode', 'sandbox')")

    async def columns(self) -> Columns:
        return {
            table: {name: kind for _, name, kind, *_ in self.connection.execute(f"PRAGMA table_info({table})")}
            for table in TABLES
        }

    async def execute(self, sql: str, row: Mapping[str, Any]) -> None:
        self.connection.execute(sql, row)

    def store(self) -> SqliteStore:
        return SqliteStore(self.path, sandbox=True, clock=utc_now)


class PostgresDatabase:
    def __init__(self, url: str, connection: Any) -> None:
        self.url = url
        self.connection = connection

    async def migrate(self, upto: int) -> None:
        await self.connection.execute(
            "CREATE TABLE migrations (number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for number, script in load_migrations("gql_epoint.store.postgres")[:upto]:
            await self.connection.execute(script)
            await self.connection.execute("INSERT INTO migrations (number) VALUES ($1)", number)
        await self.connection.execute("INSERT INTO meta (name, value) VALUES ('mode', 'sandbox')")

    async def columns(self) -> Columns:
        found: Columns = {table: {} for table in TABLES}
        rows = await self.connection.fetch(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'public'"
        )
        for table, name, kind in rows:
            if table in found:
                found[table][name] = kind
        return found

    async def execute(self, sql: str, row: Mapping[str, Any]) -> None:
        numbered = statement(sql)
        await self.connection.execute(numbered.sql, *numbered.arguments(row))

    def store(self) -> PostgresStore:
        return PostgresStore(self.url, sandbox=True)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        made = SqliteDatabase(tmp_path / "books.db")
        yield made
        made.connection.close()
        return
    async with new_database() as url:
        connection = await asyncpg.connect(url)
        await prepare(connection)
        yield PostgresDatabase(url, connection)
        await connection.close()


def books() -> list[tuple[str, Any]]:
    """Return rows with everything that a row may have and with only what it must, those before that others name."""
    bare, token_of = a_transaction(), a_checkout()
    return [
        ("transactions", FULL_TRANSACTION),
        ("transactions", bare),
        ("refunds", FULL_REFUND),
        ("refunds", a_refund(bare.id)),
        ("saved_cards", FULL_CARD),
        ("saved_cards", a_card()),
        ("callbacks", FULL_CALLBACK),
        ("callbacks", a_callback()),
        ("events", msgspec.structs.replace(FULL_EVENT, position=1)),
        ("events", an_event(bare.id, position=2)),
        ("idempotency", an_idempotency(object_id=bare.id)),
        ("checkouts", FULL_CHECKOUT),
        ("checkouts", token_of),
        ("client_tokens", a_token(token_of.id)),
    ]


async def write_as(database: Database, columns: Columns, rows: list[tuple[str, Any]]) -> list[Any]:
    """Insert the rows as the version with these columns does; return those of tables that it has."""
    written = []
    for table, value in rows:
        row = known_part(columns, table, value)
        if row:
            names = ", ".join(row)
            await database.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{n}' for n in row)})", row)
            written.append((table, value))
    return written


def known_part(columns: Columns, table: str, value: Any) -> dict[str, Any]:
    """Return what a version with these columns knows of a row."""
    return {name: item for name, item in CODECS[table].to_row(value).items() if name in columns[table]}


@pytest.mark.parametrize("version", VERSIONS)
async def test_full_books_of_every_version_are_upgraded(database: Database, version: int) -> None:
    """Nothing of a row is lost, and the books are kept on with."""
    await database.migrate(version)
    before = await database.columns()
    written = await write_as(database, before, books())
    store = database.store()
    assert (await store.migrations()).done == version
    await store.open()
    try:
        migrations = await store.migrations()
        kept = [(table, value, await read(store, value)) for table, value in written]
        fresh = a_transaction(order_id="after-the-upgrade", holds_order=True)
        await insert(store, fresh, an_event(fresh.id))

        async def save_all(unit: Any) -> None:
            for _, _, value in kept:
                if type(value) in SAVE:
                    await SAVE[type(value)](unit, value)

        await store.write(save_all)
        again = [await read(store, value) for _, _, value in kept]
        positions = await feed_positions(store)
    finally:
        await store.close()

    assert migrations.done == migrations.known
    for table, value, found in kept:
        assert known_part(before, table, found) == known_part(before, table, value)
    assert again == [found for _, _, found in kept]
    assert positions[:2] == [1, 2]


@pytest.mark.parametrize("version", VERSIONS)
async def test_nodes_of_every_version_go_on_on_upgraded_books(database: Database, version: int) -> None:
    """Until the last of them is stopped: what they write is taken, and what they read is there as it was.

    What it cannot show is what the words in the columns mean to them.
    """
    await database.migrate(version)
    old = await database.columns()
    newer = database.store()
    await newer.open()
    try:
        new = await database.columns()
        written = await write_as(database, old, books())
        for table, value in written:
            row = known_part(old, table, value)
            if "id" in row:
                changes = ", ".join(f"{name} = :{name}" for name in row if name != "id")
                await database.execute(f"UPDATE {table} SET {changes} WHERE id = :id", row)
        found = [(table, value, await read(newer, value)) for table, value in written]
    finally:
        await newer.close()

    for table, columns in old.items():
        assert {name: new[table].get(name) for name in columns} == columns, "a column is gone or of another type"
    for table, value, seen in found:
        assert known_part(old, table, seen) == known_part(old, table, value)


def test_both_stores_have_the_same_migrations() -> None:
    """Number by number, or a version would mean two things."""
    package = "gql_epoint.store"
    numbers = [[number for number, _ in load_migrations(f"{package}.{store}")] for store in ("sqlite", "postgres")]

    assert numbers[0] == numbers[1]
