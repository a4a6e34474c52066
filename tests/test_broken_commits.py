"""A connection to PostgreSQL that breaks in the COMMIT of an intent: it is kept, and nobody here knows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gql_epoint.cashier.commands import CardBy
from gql_epoint.errors import InProgressError, StoreUnavailableError
from gql_epoint.ledger.transaction import Status, TransactionOperation
from tests.cashier_kit import open_shop, payment
from tests.postgres import new_database

PAY, CHARGE = TransactionOperation.PAY, TransactionOperation.PAY_WITH_SAVED_CARD
DEADLINE_S = 3.0
MARKER = "only what is written has this"
IDLE = b"Z\x00\x00\x00\x05I"  # ReadyForQuery, and no transaction is open any more


class Wire:
    """A proxy before PostgreSQL. It hangs up instead of telling that what has `marker` in it was committed."""

    def __init__(self, database_url: str) -> None:
        self._target = urlsplit(database_url)
        self.marker = b""
        self.cut = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Wire]:
        """Listen, on a port of its own."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        self.url = self._target._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._target.hostname, self._target.port)
        marked = False

        async def forwards() -> None:
            nonlocal marked
            while data := await client.read(65536):
                marked = marked or (bool(self.marker) and self.marker in data)
                to_server.write(data)

        async def backwards() -> None:
            while data := await server.read(65536):
                if marked and data.endswith(IDLE):
                    self.cut, self.marker = self.cut + 1, b""
                    return
                to_client.write(data)

        passing = [asyncio.create_task(forwards()), asyncio.create_task(backwards())]
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        for writer in (to_client, to_server):
            writer.close()


@pytest.mark.parametrize(("operation", "after"), [(PAY, Status.FAILED), (CHARGE, Status.INDETERMINATE)])
async def test_intent_that_was_kept_unknown_to_its_caller_is_never_sent(
    tmp_path: Path, operation: TransactionOperation, after: Status
) -> None:
    """The caller is told that the database is away; its key finds the intent, which its deadline settles as lost.

    EPoint was never called, and no repeat of the key calls it: whoever broke off cannot know that.
    """
    async with new_database() as database_url, Wire(database_url).running() as wire:
        limits = {"call_limit_s": DEADLINE_S / 2, "deadline_s": DEADLINE_S}
        async with open_shop(tmp_path, database_url=wire.url, **limits) as shop:
            card = await shop.saved_card() if operation is CHARGE else None
            call, order = payment(operation=operation, card=card and CardBy(id=card.id), description=MARKER)
            wire.marker = MARKER.encode()
            with pytest.raises(StoreUnavailableError, match="may have been kept"):
                await shop.cashier.payments.start(call, order)
            assert wire.cut == 1
            with pytest.raises(InProgressError):
                await shop.cashier.payments.start(call, order)
            await asyncio.sleep(DEADLINE_S)
            repeated = await shop.cashier.payments.start(call, order)
            history = await shop.history(repeated.value.id)

            assert (repeated.replayed, repeated.value.status) == (True, after)
            assert shop.requests("pay_with_saved_card" if operation is CHARGE else "pay") == 0
            assert [event.current for event in history] == [Status.NEW, after]
