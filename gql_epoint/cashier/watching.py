"""Streams of what changes: the state now, then newer versions. The rows are the truth; the bell only wakes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from gql_epoint.cashier.business_transfers import BusinessTransferBy, find_transfer
from gql_epoint.cashier.checkouts import read_state
from gql_epoint.cashier.commands import CardBy, TransactionBy
from gql_epoint.cashier.desk import Books
from gql_epoint.cashier.invoices import InvoiceBy, find_invoice
from gql_epoint.cashier.lookup import find_saved_card, find_transaction
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.business_transfer import BusinessTransfer
from gql_epoint.ledger.checkout import CheckoutState
from gql_epoint.ledger.invoice import Invoice
from gql_epoint.ledger.transaction import Event, SavedCard, SavedCardStatus, Transaction
from gql_epoint.live import FEED
from gql_epoint.store.protocol import Reader

WatchedT = TypeVar("WatchedT", Transaction, SavedCard, BusinessTransfer, Invoice)

FEED_BATCH = 100

SELDOM = 3
"""How many times the poll's time a watcher of one row waits: every node hears of what commits on any, by itself."""


class Watching:
    """What subscriptions are made of."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._reading: dict[str, tuple[int, asyncio.Task[Any]]] = {}

    def transaction(
        self, by: TransactionBy, after_version: int | None = None
    ) -> AsyncGenerator[tuple[bool, Transaction], None]:
        """Yield (is it the first, the transaction) for each newer version, and end at a final one.

        Versions strictly increase; some may be skipped. With `after_version` nothing is yielded until there is
        a newer one. Raises RefusedError(NOT_FOUND).
        """
        return self._watch(
            lambda reader: find_transaction(reader, by),
            lambda reader, name: reader.transaction(name),
            lambda transaction: transaction.status.is_final,
            after_version,
            "There is no such transaction.",
        )

    def saved_card(
        self, by: CardBy, after_version: int | None = None
    ) -> AsyncGenerator[tuple[bool, SavedCard], None]:
        """Yield a saved card in the same way; it ends when the card is no longer PENDING."""
        return self._watch(
            lambda reader: find_saved_card(reader, by),
            lambda reader, name: reader.saved_card(name),
            lambda card: card.status is not SavedCardStatus.PENDING,
            after_version,
            "There is no such saved card.",
        )

    def business_transfer(
        self, by: BusinessTransferBy, after_version: int | None = None
    ) -> AsyncGenerator[tuple[bool, BusinessTransfer], None]:
        """Yield a transfer to a business in the same way; it ends at a final status."""
        return self._watch(
            lambda reader: find_transfer(reader, by),
            lambda reader, name: reader.business_transfer(name),
            lambda transfer: transfer.status.is_final,
            after_version,
            "There is no such transfer.",
        )

    def invoice(
        self, by: InvoiceBy, after_version: int | None = None
    ) -> AsyncGenerator[tuple[bool, Invoice], None]:
        """Yield an invoice in the same way; it ends at a final status."""
        return self._watch(
            lambda reader: find_invoice(reader, by),
            lambda reader, name: reader.invoice(name),
            lambda invoice: invoice.status.is_final,
            after_version,
            "There is no such invoice.",
        )

    async def checkout(self, checkout_id: str) -> AsyncIterator[tuple[bool, CheckoutState]]:
        """Yield a checkout whenever it, its attempt or its card changes; end when nothing more is expected.

        What is yielded never goes back; states in between may be skipped. The checkout must exist.
        """
        seen: tuple[object, ...] | None = None
        with contextlib.ExitStack() as bells:
            watcher = bells.enter_context(self._books.live.watch(checkout_id))
            watched = {checkout_id}
            while True:
                state = await self._books.read(lambda reader: read_state(reader, checkout_id))
                assert state is not None
                attempts = {attempt.id for attempt in (state.transaction, state.card) if attempt} - watched
                if attempts:
                    # Registered before the row is read again, so that no change can fall between the two.
                    for stream_id in attempts:
                        bells.enter_context(self._books.live.watch(stream_id, watcher))
                    watched |= attempts
                    continue
                if state.mark != seen:
                    yield seen is None, state
                    seen = state.mark
                    if state.is_over:
                        return
                left_s = (state.checkout.expires_at - state.as_of).total_seconds()
                await watcher.wait(min(self._books.poll_s, left_s) if left_s > 0 else self._books.poll_s)

    async def events(self, after: int) -> AsyncIterator[Event]:
        """Yield every event after a position, in commit order, for ever."""
        with self._books.live.watch(FEED) as watcher:
            while True:
                events = await self._books.read(partial(_next_events, after=after))
                for event in events:
                    yield event
                    assert event.position is not None
                    after = event.position
                if not events:
                    await watcher.wait(self._books.poll_s)

    async def _watch(
        self,
        find: Callable[[Reader], Awaitable[WatchedT | None]],
        read: Callable[[Reader, str], Awaitable[WatchedT | None]],
        is_over: Callable[[WatchedT], bool],
        after_version: int | None,
        missing: str,
    ) -> AsyncGenerator[tuple[bool, WatchedT], None]:
        found = await self._books.read(find)
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, missing, ("by",))
        stream_id = found.id
        del found
        seen = after_version or 0
        first = True
        # Registered before the row is read, so that no change can fall between the two.
        with self._books.live.watch(stream_id) as watcher:
            while True:
                state = await self._read_together(stream_id, read)
                assert state is not None
                if state.version > seen:
                    seen = state.version
                    yield first, state
                    first = False
                    if is_over(state):
                        return
                del state  # There may be very many who wait, and for long.
                await watcher.wait(SELDOM * self._books.poll_s)

    async def _read_together(
        self, stream_id: str, read: Callable[[Reader, str], Awaitable[WatchedT | None]]
    ) -> WatchedT | None:
        """Read a row for everybody who wants it now. What was begun before the last change is not joined."""
        changes, reading = self._reading.get(stream_id, (None, None))
        if reading is None or changes != self._books.live.changes:
            reading = asyncio.ensure_future(self._books.read(lambda reader: read(reader, stream_id)))
            self._reading[stream_id] = self._books.live.changes, reading
            reading.add_done_callback(partial(self._was_read, stream_id))
        return await asyncio.shield(reading)

    def _was_read(self, stream_id: str, reading: asyncio.Task[Any]) -> None:
        if self._reading.get(stream_id, (None, None))[1] is reading:
            del self._reading[stream_id]
        if not reading.cancelled():
            reading.exception()  # Whoever waited was told.


async def _next_events(reader: Reader, *, after: int) -> Sequence[Event]:
    return await reader.feed(after, FEED_BATCH)
