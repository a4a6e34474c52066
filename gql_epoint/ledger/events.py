"""What happened, to whom, and who said so: the append-only events that a row adds up from."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from gql_epoint.ledger.ids import event_id
from gql_epoint.ledger.transaction import HoldRequestKind


class EventSource(StrEnum):
    """Where an event's news came from."""

    API = "API"
    GATEWAY_RESPONSE = "GATEWAY_RESPONSE"
    GATEWAY_CALLBACK = "GATEWAY_CALLBACK"
    RECONCILER = "RECONCILER"
    OPERATOR = "OPERATOR"


class EventKind(StrEnum):
    """What an event is about."""

    STATUS = "STATUS"
    REFUND = "REFUND"
    SAVED_CARD = "SAVED_CARD"
    BUSINESS_TRANSFER = "BUSINESS_TRANSFER"
    INVOICE = "INVOICE"
    HOLD = "HOLD"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An append-only fact, numbered 1, 2, 3 without gaps per stream (a transaction or a saved card).

    `position` is its place in the merchant-wide feed, given in commit order by the store. An event about a hold has
    the kind of request as `hold_request`, and the amount of a capture.
    """

    stream_id: str
    sequence: int
    kind: EventKind
    current: str
    recorded_at: datetime
    source: EventSource
    previous: str | None = None
    actor: str | None = None
    note: str | None = None
    transaction_id: str | None = None
    refund_id: str | None = None
    saved_card_id: str | None = None
    callback_id: str | None = None
    hold_request: HoldRequestKind | None = None
    amount: Decimal | None = None
    position: int | None = None

    @property
    def id(self) -> str:
        """The event's id, made of its stream and its sequence."""
        return event_id(self.stream_id, self.sequence)


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Who brings the news, and when: what every event it causes will say."""

    now: datetime
    source: EventSource
    actor: str | None = None
    callback_id: str | None = None
    note: str | None = None


class Numbered(Protocol):
    """A row that has events: each of them makes its version one higher."""

    @property
    def id(self) -> str:
        """The row's id, which names the stream of its events."""

    @property
    def version(self) -> int:
        """How many events it has had."""


def event_of(
    after: Numbered,
    kind: EventKind,
    previous: StrEnum | None,
    current: StrEnum,
    by: Provenance,
    *,
    transaction_id: str | None = None,
    refund_id: str | None = None,
    saved_card_id: str | None = None,
    hold_request: HoldRequestKind | None = None,
    amount: Decimal | None = None,
) -> Event:
    """Return the event that made a row what it is `after` it; its number is the version that it gave the row."""
    return Event(
        stream_id=after.id,
        sequence=after.version,
        kind=kind,
        previous=previous,
        current=current,
        recorded_at=by.now,
        source=by.source,
        actor=by.actor,
        note=by.note,
        transaction_id=transaction_id,
        refund_id=refund_id,
        saved_card_id=saved_card_id,
        callback_id=by.callback_id,
        hold_request=hold_request,
        amount=amount,
    )
