"""The history: append-only facts about transactions, refunds, saved cards, transfers and invoices."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from strawberry.scalars import ID

from gql_epoint.ledger import events as ledger
from gql_epoint.schema.business_transfer_types import (
    BusinessTransfer,
    BusinessTransferStatus,
    find_business_transfer,
)
from gql_epoint.schema.connections import BY_NUMBER, Cursors
from gql_epoint.schema.context import Info
from gql_epoint.schema.enums import EventSource, RefundStatus, SavedCardStatus, TransactionStatus
from gql_epoint.schema.hold_types import HoldRequestKind, HoldRequestStatus
from gql_epoint.schema.invoice_types import Invoice, InvoiceStatus, find_invoice
from gql_epoint.schema.types import (
    Callback,
    Refund,
    SavedCard,
    Transaction,
    find_callback,
    find_refund,
    find_saved_card,
    find_transaction,
)
from gql_epoint.schema.values import Node

FEED = Cursors("feed", BY_NUMBER)
"""Places in the merchant-wide feed; the query and the subscription share them."""


@strawberry.interface(
    description=(
        "An append-only fact. The row that an event is about is what its events add up to. Clients meet every "
        "event at least once, and know a repetition by its id."
    )
)
class Event(Node):
    """An append-only fact."""

    record: strawberry.Private[ledger.Event]
    sequence: int = strawberry.field(
        description=(
            "Counts 1, 2, 3 without gaps per transaction (its refunds included), saved card, transfer or invoice, "
            "and equals its version after the event."
        )
    )
    recorded_at: datetime = strawberry.field(description="When it was recorded.")
    source: EventSource = strawberry.field(description="Where the news came from.")
    actor: str | None = strawberry.field(
        description="The name of the secret key that caused it; null if nobody here did."
    )

    @strawberry.field(
        description="The transaction that it happened to, as it is now; null if it is about something else."
    )
    async def transaction(self, info: Info) -> Transaction | None:
        """The transaction, read from the books."""
        return await find_transaction(info, self.record.transaction_id)


@strawberry.type(description="The status of a transaction changed.")
class StatusChanged(Event):
    """The status of a transaction changed."""

    previous_status: TransactionStatus | None = strawberry.field(
        description="The status before; null for the first event."
    )
    status: TransactionStatus = strawberry.field(description="The status after.")
    note: str | None = strawberry.field(description="What the person who decided wrote, or why there is a review.")

    @strawberry.field(description="The callback that brought the news, if one did.")
    async def callback(self, info: Info) -> Callback | None:
        """The callback, read from the books."""
        return await find_callback(info, self.record.callback_id)


@strawberry.type(description="The status of a refund changed.")
class RefundChanged(Event):
    """The status of a refund changed."""

    previous_refund_status: RefundStatus | None = strawberry.field(
        description="The refund's status before; null for its first event."
    )
    refund_status: RefundStatus = strawberry.field(description="The refund's status after.")
    note: str | None = strawberry.field(description="What the person who decided wrote.")

    @strawberry.field(description="The refund, as it is now.")
    async def refund(self, info: Info) -> Refund:
        """The refund, read from the books."""
        found = await find_refund(info, self.record.refund_id)
        assert found is not None
        return found


@strawberry.type(description="The status of a saved card changed.")
class SavedCardChanged(Event):
    """The status of a saved card changed."""

    previous_card_status: SavedCardStatus | None = strawberry.field(
        description="The card's status before; null for its first event."
    )
    card_status: SavedCardStatus = strawberry.field(description="The card's status after.")

    @strawberry.field(description="The saved card, as it is now.")
    async def saved_card(self, info: Info) -> SavedCard:
        """The saved card, read from the books."""
        found = await find_saved_card(info, self.record.saved_card_id)
        assert found is not None
        return found

    @strawberry.field(description="The callback that brought the news, if one did.")
    async def callback(self, info: Info) -> Callback | None:
        """The callback, read from the books."""
        return await find_callback(info, self.record.callback_id)


@strawberry.type(description="The status of a transfer to a business changed, or it began to need a review.")
class BusinessTransferChanged(Event):
    """The status of a transfer changed."""

    previous_transfer_status: BusinessTransferStatus | None = strawberry.field(
        description="The transfer's status before; null for its first event."
    )
    transfer_status: BusinessTransferStatus = strawberry.field(description="The transfer's status after.")
    note: str | None = strawberry.field(description="What the person who decided wrote, or why there is a review.")

    @strawberry.field(description="The transfer, as it is now.")
    async def business_transfer(self, info: Info) -> BusinessTransfer:
        """The transfer, read from the books."""
        found = await find_business_transfer(info, self.record.stream_id)
        assert found is not None
        return found


@strawberry.type(description="The status of an invoice changed, or its terms did, or it began to need a review.")
class InvoiceChanged(Event):
    """An invoice changed."""

    previous_invoice_status: InvoiceStatus | None = strawberry.field(
        description="The invoice's status before; null for its first event."
    )
    invoice_status: InvoiceStatus = strawberry.field(description="The invoice's status after.")
    note: str | None = strawberry.field(description="Why there is a review.")

    @strawberry.field(description="The invoice, as it is now.")
    async def invoice(self, info: Info) -> Invoice:
        """The invoice, read from the books."""
        found = await find_invoice(info, self.record.stream_id)
        assert found is not None
        return found


@strawberry.type(description="A capture or a cancellation of a hold began, or got an end.")
class HoldChanged(Event):
    """A capture or a cancellation of a hold began, or got an end."""

    hold_request_kind: HoldRequestKind = strawberry.field(description="What was asked of EPoint.")
    previous_hold_status: HoldRequestStatus | None = strawberry.field(
        description="The request's status before; null for its first event."
    )
    hold_status: HoldRequestStatus = strawberry.field(description="The request's status after.")
    note: str | None = strawberry.field(description="What the person who decided wrote.")
    amount: Decimal | None = strawberry.field(
        description="How much a capture takes, in the transaction's currency; null for a cancellation."
    )


EVENT_TYPES = (
    StatusChanged,
    RefundChanged,
    SavedCardChanged,
    HoldChanged,
    BusinessTransferChanged,
    InvoiceChanged,
)


def to_event(known: ledger.Event) -> Event:
    """Build the event of the right kind from the ledger's value."""
    common: dict[str, Any] = {
        "record": known,
        "id": ID(known.id),
        "sequence": known.sequence,
        "recorded_at": known.recorded_at,
        "source": EventSource(known.source.value),
        "actor": known.actor,
    }
    if known.kind is ledger.EventKind.STATUS:
        return StatusChanged(
            **common,
            previous_status=TransactionStatus(known.previous) if known.previous else None,
            status=TransactionStatus(known.current),
            note=known.note,
        )
    if known.kind is ledger.EventKind.REFUND:
        return RefundChanged(
            **common,
            previous_refund_status=RefundStatus(known.previous) if known.previous else None,
            refund_status=RefundStatus(known.current),
            note=known.note,
        )
    if known.kind is ledger.EventKind.BUSINESS_TRANSFER:
        return BusinessTransferChanged(
            **common,
            previous_transfer_status=BusinessTransferStatus(known.previous) if known.previous else None,
            transfer_status=BusinessTransferStatus(known.current),
            note=known.note,
        )
    if known.kind is ledger.EventKind.INVOICE:
        return InvoiceChanged(
            **common,
            previous_invoice_status=InvoiceStatus(known.previous) if known.previous else None,
            invoice_status=InvoiceStatus(known.current),
            note=known.note,
        )
    if known.kind is ledger.EventKind.HOLD:
        assert known.hold_request is not None
        return HoldChanged(
            **common,
            hold_request_kind=HoldRequestKind(known.hold_request.value),
            previous_hold_status=HoldRequestStatus(known.previous) if known.previous else None,
            hold_status=HoldRequestStatus(known.current),
            note=known.note,
            amount=known.amount,
        )
    return SavedCardChanged(
        **common,
        previous_card_status=SavedCardStatus(known.previous) if known.previous else None,
        card_status=SavedCardStatus(known.current),
    )
