"""Subscriptions: what changes, from the cashier's streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, cast

import strawberry

from gql_epoint.ledger import transaction as ledger
from gql_epoint.schema.access import READ
from gql_epoint.schema.connections import BY_NUMBER, After, Cursors
from gql_epoint.schema.context import Info
from gql_epoint.schema.enums import UpdateKind
from gql_epoint.schema.events import FEED, Event, to_event
from gql_epoint.schema.inputs import SavedCardBy, TransactionBy
from gql_epoint.schema.types import SavedCard, Transaction

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
    ) -> AsyncGenerator[TransactionUpdate, None]:
        """Watch a transaction."""
        place = VersionPlace(info, after_version)
        async with closing(info.context.cashier.watching.transaction(by.to_name(), place.ask_after)) as stream:
            async for is_first, known in stream:
                if place.moves_to(known.version):
                    yield TransactionUpdate(record=known, kind=place.kind(is_first))
                del known

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
    ) -> AsyncGenerator[SavedCardUpdate, None]:
        """Watch a saved card."""
        place = VersionPlace(info, after_version)
        async with closing(info.context.cashier.watching.saved_card(by.to_name(), place.ask_after)) as stream:
            async for is_first, known in stream:
                if place.moves_to(known.version):
                    yield SavedCardUpdate(record=known, kind=place.kind(is_first))
                del known

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


class VersionPlace:
    """Where a subscription of versions is: after an argument, or after the last one that its client has seen."""

    def __init__(self, info: Info, after_version: int | None) -> None:
        self._place = info.context.place
        resumed = _VERSIONS.decode(self._place.resume_after, LAST_EVENT_ID)
        self._seen = int(resumed) if resumed else None
        self._after_version = after_version
        # The version that was seen is looked at once more: if it is a final one, there is nothing to wait for.
        self.ask_after = after_version if self._seen is None else self._seen - 1

    def moves_to(self, version: int) -> bool:
        """Note that this version is sent next; return False if its client has it."""
        if self._seen is not None and version <= self._seen:
            return False
        self._place.event_id = _VERSIONS.encode(str(version))
        return True

    def kind(self, is_first: bool) -> UpdateKind:
        """Return whether this is the state at the beginning."""
        beginning = is_first and self._after_version is None and self._seen is None
        return UpdateKind.SNAPSHOT if beginning else UpdateKind.CHANGE


def closing(stream: Any) -> aclosing[Any]:
    """Take a subscriber that leaves off the bell at once, not when the garbage collector comes by."""
    return aclosing(cast("AsyncGenerator[Any, None]", stream))
