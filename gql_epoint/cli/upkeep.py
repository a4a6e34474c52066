"""The commands that look after the books: migrate."""

from __future__ import annotations

import argparse
import asyncio

from gql_epoint.cli.starting import settings_from
from gql_epoint.cli.terminal import say
from gql_epoint.settings import Settings
from gql_epoint.store.protocol import Migrations
from gql_epoint.web.app import new_store


def migrate(_options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Bring the database up to date, and say what that took."""
    before = asyncio.run(_migrate(settings_from(environ)))
    if before.done == before.known:
        say(f"Nothing to do: the database has had all {before.known} migrations.")
    else:
        say(f"The database is up to date: it had {before.done} of {before.known} migrations, now it has all.")
    return 0


async def _migrate(settings: Settings) -> Migrations:
    store = new_store(settings)
    before = await store.migrations()
    await store.open()
    await store.close()
    return before
