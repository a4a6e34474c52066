"""The commands that look after the books: migrate, backup, erase."""

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta
from pathlib import Path

from gql_epoint.cashier.retention import Erased, Retention
from gql_epoint.cli.configuration import settings_from, store_of
from gql_epoint.cli.terminal import complain, say
from gql_epoint.errors import ConfigurationError
from gql_epoint.settings import Settings
from gql_epoint.store.protocol import Migrations
from gql_epoint.store.sqlite import SqliteStore
from gql_epoint.store.sqlite.backup import back_up


def migrate(_options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Bring the database up to date, and say what that took."""
    before = asyncio.run(_migrate(settings_from(environ)))
    if before.done == before.known:
        say(f"Nothing to do: the database has had all {before.known} migrations.")
    else:
        say(f"The database is up to date: it had {before.done} of {before.known} migrations, now it has all.")
    return 0


def backup(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Copy a SQLite database, also while the service runs; for PostgreSQL say how it is done there."""
    store = store_of(settings_from(environ))
    if not isinstance(store, SqliteStore):
        complain(_BY_POSTGRESQL.format(file=options.file))
        return 1
    if asyncio.run(store.migrations()).done == 0:
        raise ConfigurationError("GQL_EPOINT_DATABASE_URL", f"{store.path} holds no books yet")
    size = back_up(store.path, Path(options.file))
    say(f"{options.file} holds the books as of now, checked, in {size} bytes. It is as confidential as they are.")
    return 0


def erase(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Erase old personal data, and say of how much."""
    erased = asyncio.run(_erase(settings_from(environ), timedelta(days=options.older_than), options.dry_run))
    verb = "Would erase" if options.dry_run else "Erased"
    say(
        f"{verb} personal data of {erased.transactions} transactions, {erased.refunds} refunds, "
        f"{erased.saved_cards} saved cards, {erased.callbacks} callbacks, "
        f"{erased.business_transfers} transfers to businesses and {erased.invoices} invoices "
        f"that last changed before {erased.before:%Y-%m-%d %H:%M} UTC."
    )
    return 0


_BY_POSTGRESQL = """\
these books are in PostgreSQL, which has its own way to copy them while they are used:
  pg_dump --format=custom --file={file} "$GQL_EPOINT_DATABASE_URL"
To put them back, into an empty database that no node uses:
  pg_restore --no-owner --dbname="$GQL_EPOINT_DATABASE_URL" {file}"""


async def _erase(settings: Settings, older_than: timedelta, dry_run: bool) -> Erased:
    store = store_of(settings, guest=True)
    migrations = await store.migrations()
    if migrations.done < migrations.known:
        raise ConfigurationError("GQL_EPOINT_DATABASE_URL", "lacks migrations; run `gql-epoint migrate` first")
    await store.open()
    try:
        return await Retention(store, dry_run=dry_run).erase(older_than)
    finally:
        await store.close()


async def _migrate(settings: Settings) -> Migrations:
    store = store_of(settings)
    before = await store.migrations()
    await store.open()
    await store.close()
    return before
