"""Subscriptions: what changes, from the cashier's streams."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, cast

import strawberry

from gql_epoint.cashier.watching import Versions
from gql_epoint.ledger import transaction as ledger
from gql_epoint.schema.access import READ
from gql_epoint.schema.connections import BY_NUMBER, After, Cursors
from gql_epoint.schema.context import Info
from gql_epoint.schema.enums import UpdateKind
from gql_epoint.schema.events import FEED, Event, to_event
from gql_epoint.schema.inputs import SavedCardBy, TransactionBy
from gql_epoint.schema.types import SavedCard, Transaction

UpdateT = TypeVar("UpdateT")

LAST_EVENT_ID = "Last-Event-ID"
_VERSIONS = Cursors("version", BY_NUMBER)

AfterVersion = Annotated[
    int | None,
    strawberry.argument(
        description=(
            "The version that the client has already: only newer ones are sent, and the first of them is awaited."
        )
    ),
]


@strawberry.type(description="A transaction, now or after a change.")
class TransactionUpdate:
    """A transaction, now or after a change."""

    record: strawberry.Private[ledger.Transaction]
    kind: UpdateKind = strawberry.field(
        description="Whether this is the state at the beginning, or a newer version."
    )

    @strawberry.field(description="The transaction as it is in this version.")
    def transaction(self) -> Transaction:
        """The transaction; it is built for the first of those who are sent the same."""
        return Transaction.of(self.record)


@strawberry.type(description="A saved card, now or after a change.")
class SavedCardUpdate:
    """A saved card, now or after a change."""

    record: strawberry.Private[ledger.SavedCard]
    kind: UpdateKind = strawberry.field(
        description="Whether this is the state at the beginning, or a newer version."
    )

    @strawberry.field(description="The saved card as it is in this version.")
    def saved_card(self) -> SavedCard:
        """The saved card; it is built for the first of those who are sent the same."""
        return SavedCard.of(self.record)


@strawberry.type(description="One event of the feed.")
class EventMessage:
    """One event of the feed."""

    cursor: str = strawberry.field(description="Store it with what you did about the event, and resume after it.")
    event: Event = strawberry.field(description="The event.")


def _argument(description: str) -> Any:
    return strawberry.argument(description=description)


@strawberry.type(description="What is sent when something changes. Wait here instead of asking again and again.")
class Subscription:
    """What is sent when something changes."""

    @strawberry.subscription(
        description=(
            "The state now, then newer versions in order; some may be skipped, `events` has each. Completes at a "
            "final status. If there is no such transaction, `extensions.code` is NOT_FOUND."
        ),
        directives=[READ],
    )
    async def transaction_updated(
        self,
        info: Info,
        by: Annotated[TransactionBy, _argument("Which transaction.")],
        after_version: AfterVersion = None,
    ) -> AsyncIterator[TransactionUpdate]:
        """Watch a transaction."""
        watch = info.context.cashier.watching.transaction
        return Updates(
            info,
            after_version,
            lambda after: watch(by.to_name(), after),
            lambda known, kind: TransactionUpdate(record=known, kind=kind),
        )

    @strawberry.subscription(
        description=(
            "The state now, then newer versions in order. Completes when the card is no longer PENDING. If there "
            "is no such card, `extensions.code` is NOT_FOUND."
        ),
        directives=[READ],
    )
    async def saved_card_updated(
        self,
        info: Info,
        by: Annotated[SavedCardBy, _argument("Which saved card.")],
        after_version: AfterVersion = None,
    ) -> AsyncIterator[SavedCardUpdate]:
        """Watch a saved card."""
        watch = info.context.cashier.watching.saved_card
        return Updates(
            info,
            after_version,
            lambda after: watch(by.to_name(), after),
            lambda known, kind: SavedCardUpdate(record=known, kind=kind),
        )

    @strawberry.subscription(
        description=(
            "Every event after a cursor, in the order in which they were committed, for ever. Nothing is missed "
            "across reconnects: resume after the last cursor that was dealt with. Without a cursor it starts at "
            "the very first event, so that a consumer which crashed before it stored one misses nothing either."
        ),
        directives=[READ],
    )
    async def events(self, info: Info, after: After = None) -> AsyncGenerator[EventMessage, None]:
        """Watch everything."""
        place = info.context.place
        resumed = FEED.decode(place.resume_after, LAST_EVENT_ID)
        position = int(resumed or FEED.decode(after, "after") or 0)
        async with closing(info.context.cashier.watching.events(position)) as stream:
            async for known in stream:
                place.event_id = FEED.encode(str(known.position))
                yield EventMessage(cursor=place.event_id, event=to_event(known))


class Updates(Generic[UpdateT]):
    """What a subscription of versions sends, after its argument or after the last id that its client has seen.

    It is no generator, for there may be very many who wait. What is wrong with the id is told at the first step.
    """

    __slots__ = ("_after_version", "_ask", "_make", "_place", "_seen", "_versions")

    def __init__(
        self,
        info: Info,
        after_version: int | None,
        ask: Callable[[int | None], Versions[Any]],
        make: Callable[[Any, UpdateKind], UpdateT],
    ) -> None:
        self._place = info.context.place
        self._after_version = after_version
        self._ask: Callable[[int | None], Versions[Any]] | None = ask
        self._make = make
        self._seen: int | None = None
        self._versions: Versions[Any] | None = None

    def __aiter__(self) -> "Updates[UpdateT]":
        return self

    async def __anext__(self) -> UpdateT:
        """Return the next update."""
        if self._versions is None:
            self._versions = self._begin()
        while True:
            is_first, known = await anext(self._versions)
            if self._seen is None or known.version > self._seen:
                break
        self._place.event_id = _event_id(known.version)
        beginning = is_first and self._after_version is None and self._seen is None
        return self._make(known, UpdateKind.SNAPSHOT if beginning else UpdateKind.CHANGE)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to come."""
        return self._versions is not None and self._versions.is_over

    async def aclose(self) -> None:
        """Stop watching."""
        if self._versions is not None:
            await self._versions.aclose()

    def _begin(self) -> Versions[Any]:
        ask, self._ask = self._ask, None
        assert ask is not None
        resumed = _VERSIONS.decode(self._place.resume_after, LAST_EVENT_ID)
        if resumed is None:
            return ask(self._after_version)
        self._seen = int(resumed)
        # The version that was seen is looked at once more: if it is a final one, there is nothing to wait for.
        return ask(self._seen - 1)


@lru_cache(maxsize=100)
def _event_id(version: int) -> str:
    return _VERSIONS.encode(str(version))


def closing(stream: Any) -> aclosing[Any]:
    """Take a subscriber that leaves off the bell at once, not when the garbage collector comes by."""
    return aclosing(cast("AsyncGenerator[Any, None]", stream))
