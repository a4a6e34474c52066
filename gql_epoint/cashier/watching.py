"""Streams of what changes: the state now, then newer versions. The rows are the truth; the bell only wakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from gql_epoint.cashier.business_transfers import BusinessTransferBy, find_transfer
from gql_epoint.cashier.checkouts import read_state
from gql_epoint.cashier.commands import CardBy, TransactionBy
from gql_epoint.cashier.desk import Books
from gql_epoint.cashier.invoices import InvoiceBy, find_invoice
from gql_epoint.cashier.lookup import find_saved_card, find_transaction
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.business_transfer import BusinessTransfer
from gql_epoint.ledger.checkout import CheckoutState
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.invoice import Invoice
from gql_epoint.ledger.transaction import SavedCard, SavedCardStatus, Transaction
from gql_epoint.live import FEED, Listener, Watcher
from gql_epoint.store.protocol import Reader

WatchedT = TypeVar("WatchedT", bound=Transaction | SavedCard | BusinessTransfer | Invoice)

FEED_BATCH = 100

SELDOM = 12
"""How many of the poll's times pass between looks at what many wait for: a node hears of what commits anywhere."""


class _Kind(msgspec.Struct, frozen=True):
    """How rows of one kind are found, read again, and known to change no more."""

    find: Callable[[Reader, Any], Awaitable[Any]]
    read: Callable[[Reader, str], Awaitable[Any]]
    is_over: Callable[[Any], bool]
    missing: str


_TRANSACTION = _Kind(
    find_transaction,
    lambda reader, name: reader.transaction(name),
    lambda transaction: transaction.status.is_final,
    "There is no such transaction.",
)
_SAVED_CARD = _Kind(
    find_saved_card,
    lambda reader, name: reader.saved_card(name),
    lambda card: card.status is not SavedCardStatus.PENDING,
    "There is no such saved card.",
)
_BUSINESS_TRANSFER = _Kind(
    find_transfer,
    lambda reader, name: reader.business_transfer(name),
    lambda transfer: transfer.status.is_final,
    "There is no such transfer.",
)
_INVOICE = _Kind(
    find_invoice,
    lambda reader, name: reader.invoice(name),
    lambda invoice: invoice.status.is_final,
    "There is no such invoice.",
)


class Versions(Generic[WatchedT]):
    """Yields (is it the first, the row) for each newer version, and ends at a final one. Close it to stop.

    Versions strictly increase; some may be skipped. It is no generator, for there may be very many who wait.
    """

    __slots__ = ("_after", "_by", "_is_first", "_kind", "_listener", "_watching", "is_over")

    def __init__(self, watching: Watching, kind: _Kind, by: Any, after_version: int | None) -> None:
        self._watching = watching
        self._kind = kind
        self._by = by
        self._after = after_version or 0
        self._is_first = True
        self.is_over = False
        """Whether there is nothing more to come."""
        self._listener: Listener[WatchedT] | None = None

    def __aiter__(self) -> Versions[WatchedT]:
        return self

    async def __anext__(self) -> tuple[bool, WatchedT]:
        """Return the next version. Raises RefusedError(NOT_FOUND)."""
        if self.is_over:
            raise StopAsyncIteration
        try:
            row = await self._begin() if self._listener is None else None
            if row is None:
                assert self._listener is not None
                row = await self._listener.newer()
        except BaseException:
            await self.aclose()
            raise
        is_first, self._is_first = self._is_first, False
        if self._kind.is_over(row):
            await self.aclose()
        return is_first, row

    async def aclose(self) -> None:
        """Listen no longer."""
        self.is_over = True
        if self._listener is not None:
            self._listener.leave()

    async def _begin(self) -> WatchedT | None:
        """Return the row as it is, if it is newer than what is known."""
        stream_id = await self._watching.find(self._kind, self._by)
        # From before the row is read, so that no change can fall between the two.
        self._listener = self._watching.listen(self._kind, stream_id, self._after)
        row: WatchedT = await self._watching.read_together(self._kind, stream_id)
        if row.version <= self._listener.seen:
            return None
        self._listener.seen = row.version
        return row


class CheckoutStates:
    """Yields (is it the first, the checkout) whenever it, its attempt or its card changes. Close it to stop.

    What is yielded never goes back; states in between may be skipped. It ends when nothing more is expected. It is
    no generator, for there may be very many who wait.
    """

    __slots__ = ("_books", "_checkout_id", "_look_in_s", "_seen", "_watcher", "is_over")

    def __init__(self, books: Books, checkout_id: str) -> None:
        self._books = books
        self._checkout_id = checkout_id
        self._watcher = Watcher(books.live)
        self._seen: tuple[object, ...] | None = None
        self._look_in_s: float | None = None
        """When to look again if nothing rings; None is at once."""
        self.is_over = False
        """Whether there is nothing more to come."""

    def __aiter__(self) -> CheckoutStates:
        return self

    async def __anext__(self) -> tuple[bool, CheckoutState]:
        """Return the next state."""
        if self.is_over:
            raise StopAsyncIteration
        try:
            while True:
                if self._look_in_s is not None:
                    await self._watcher.wait(self._look_in_s)
                state = await self._look()
                if self.is_over:
                    raise StopAsyncIteration  # It was closed meanwhile.
                if state.mark != self._seen:
                    break
                del state  # There may be very many who wait, and for long.
        except BaseException:
            await self.aclose()
            raise
        is_first, self._seen = self._seen is None, state.mark
        if state.is_over:
            await self.aclose()
        return is_first, state

    async def aclose(self) -> None:
        """Watch no longer; whoever waits for the next one has waited long enough."""
        self.is_over = True
        self._watcher.leave()
        self._watcher.ring()

    async def _look(self) -> CheckoutState:
        # Each is watched before it is read, so that no change can fall between the two.
        self._watcher.watch(self._checkout_id)
        while True:
            state = await self._books.read(lambda reader: read_state(reader, self._checkout_id))
            assert state is not None
            are_new = [self._watcher.watch(attempt.id) for attempt in (state.transaction, state.card) if attempt]
            if not any(are_new):
                break
        left_s = (state.checkout.expires_at - state.as_of).total_seconds()
        seldom_s = SELDOM * self._books.poll_s
        self._look_in_s = min(seldom_s, left_s) if left_s > 0 else seldom_s
        return state


class Watching:
    """What subscriptions are made of."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._reading: dict[str, tuple[int, asyncio.Task[Any]]] = {}

    def transaction(self, by: TransactionBy, after_version: int | None = None) -> Versions[Transaction]:
        """Return the versions of a transaction. With `after_version` the first is awaited that is newer."""
        return Versions(self, _TRANSACTION, by, after_version)

    def saved_card(self, by: CardBy, after_version: int | None = None) -> Versions[SavedCard]:
        """Return those of a saved card; they end when the card is no longer PENDING."""
        return Versions(self, _SAVED_CARD, by, after_version)

    def business_transfer(
        self, by: BusinessTransferBy, after_version: int | None = None
    ) -> Versions[BusinessTransfer]:
        """Return those of a transfer to a business."""
        return Versions(self, _BUSINESS_TRANSFER, by, after_version)

    def invoice(self, by: InvoiceBy, after_version: int | None = None) -> Versions[Invoice]:
        """Return those of an invoice."""
        return Versions(self, _INVOICE, by, after_version)

    def checkout(self, checkout_id: str) -> CheckoutStates:
        """Return the states of a checkout, which must exist."""
        return CheckoutStates(self._books, checkout_id)

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

    async def find(self, kind: _Kind, by: Any) -> str:
        """Return the id of a row. Raises RefusedError(NOT_FOUND)."""
        found = await self._books.read(lambda reader: kind.find(reader, by))
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, kind.missing, ("by",))
        return str(found.id)

    def listen(self, kind: _Kind, stream_id: str, seen: int) -> Listener[Any]:
        """Listen to the newer versions of a row."""
        read = partial(self._read, kind, stream_id)
        return self._books.live.listen(stream_id, read, seen=seen, poll_s=SELDOM * self._books.poll_s)

    async def read_together(self, kind: _Kind, stream_id: str) -> Any:
        """Read a row for everybody who wants it now. What was begun before the last change is not joined."""
        changes, reading = self._reading.get(stream_id, (None, None))
        if reading is None or changes != self._books.live.changes:
            reading = asyncio.ensure_future(self._read(kind, stream_id))
            self._reading[stream_id] = self._books.live.changes, reading
            reading.add_done_callback(partial(self._was_read, stream_id))
        return await asyncio.shield(reading)

    async def _read(self, kind: _Kind, stream_id: str) -> Any:
        row = await self._books.read(lambda reader: kind.read(reader, stream_id))
        assert row is not None
        return row

    def _was_read(self, stream_id: str, reading: asyncio.Task[Any]) -> None:
        if self._reading.get(stream_id, (None, None))[1] is reading:
            del self._reading[stream_id]
        if not reading.cancelled():
            reading.exception()  # Whoever waited was told.


async def _next_events(reader: Reader, *, after: int) -> Sequence[Event]:
    return await reader.feed(after, FEED_BATCH)
