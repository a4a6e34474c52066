"""Streams of what changes: the state now, then newer versions. The rows are the truth; the bell only wakes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

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


class Watching:
    """What subscriptions are made of."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def transaction(
        self, by: TransactionBy, after_version: int | None = None
    ) -> AsyncIterator[tuple[bool, Transaction]]:
        """Yield (is it the first, the transaction) for each newer version, and end at a final one.

        Versions strictly increase; some may be skipped. With `after_version` nothing is yielded until there is
        a newer one. Raises RefusedError(NOT_FOUND).
        """
        found = await self._books.read(lambda reader: find_transaction(reader, by))
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transaction.", ("by",))
        async for item in self._watch(
            found.id, lambda reader: reader.transaction(found.id), lambda t: t.status.is_final, after_version
        ):
            yield item

    async def saved_card(
        self, by: CardBy, after_version: int | None = None
    ) -> AsyncIterator[tuple[bool, SavedCard]]:
        """Yield a saved card in the same way; it ends when the card is no longer PENDING."""
        found = await self._books.read(lambda reader: find_saved_card(reader, by))
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such saved card.", ("by",))
        async for item in self._watch(
            found.id,
            lambda reader: reader.saved_card(found.id),
            lambda card: card.status is not SavedCardStatus.PENDING,
            after_version,
        ):
            yield item

    async def business_transfer(
        self, by: BusinessTransferBy, after_version: int | None = None
    ) -> AsyncIterator[tuple[bool, BusinessTransfer]]:
        """Yield a transfer to a business in the same way; it ends at a final status."""
        found = await self._books.read(lambda reader: find_transfer(reader, by))
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transfer.", ("by",))
        async for item in self._watch(
            found.id,
            lambda reader: reader.business_transfer(found.id),
            lambda transfer: transfer.status.is_final,
            after_version,
        ):
            yield item

    async def invoice(self, by: InvoiceBy, after_version: int | None = None) -> AsyncIterator[tuple[bool, Invoice]]:
        """Yield an invoice in the same way; it ends at a final status."""
        found = await self._books.read(lambda reader: find_invoice(reader, by))
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such invoice.", ("by",))
        async for item in self._watch(
            found.id, lambda reader: reader.invoice(found.id), lambda one: one.status.is_final, after_version
        ):
            yield item

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
        stream_id: str,
        read: Callable[[Reader], Awaitable[WatchedT | None]],
        is_over: Callable[[WatchedT], bool],
        after_version: int | None,
    ) -> AsyncIterator[tuple[bool, WatchedT]]:
        seen = after_version or 0
        first = True
        # Registered before the row is read, so that no change can fall between the two.
        with self._books.live.watch(stream_id) as watcher:
            while True:
                state = await self._books.read(read)
                assert state is not None
                if state.version > seen:
                    seen = state.version
                    yield first, state
                    first = False
                    if is_over(state):
                        return
                await watcher.wait(self._books.poll_s)


async def _next_events(reader: Reader, *, after: int) -> Sequence[Event]:
    return await reader.feed(after, FEED_BATCH)
