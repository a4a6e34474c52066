"""Transactions, refunds, saved cards and callbacks as the contract shows them.

Each is built from the ledger's value; what hangs on it (a card, refunds, events) is read when it is selected.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self, TypeVar

import strawberry
from strawberry.scalars import ID

from gql_epoint.ledger import transaction as ledger
from gql_epoint.schema.access import READ, Pii
from gql_epoint.schema.connections import BY_ID, BY_NUMBER, After, Connection, Cursors, First, load, read_page
from gql_epoint.schema.context import Info
from gql_epoint.schema.enums import (
    CallbackDisposition,
    RefundStatus,
    SavedCardStatus,
    TransactionOperation,
    TransactionStatus,
)
from gql_epoint.schema.history import HISTORY_DEFAULT, history_page
from gql_epoint.schema.hold_types import HoldRequest
from gql_epoint.schema.scalars import Json
from gql_epoint.schema.values import (
    CardDetails,
    Failure,
    GatewayReference,
    Money,
    NextAction,
    Node,
    Split,
    next_action,
    redirect,
)

if TYPE_CHECKING:
    from gql_epoint.schema.events import Event
    from gql_epoint.store.protocol import Reader

RecordT = TypeVar("RecordT")

REFUNDS = Cursors("refunds", BY_ID)
STREAM = Cursors("stream", BY_NUMBER)


@strawberry.type(
    description=(
        "One attempt to move money. A payment that was declined stays as it is; trying again makes another "
        "transaction, which may have the same order id."
    )
)
class Transaction(Node):
    """One attempt to move money."""

    record: strawberry.Private[ledger.Transaction]
    operation: TransactionOperation = strawberry.field(description="How it was made.")
    order_id: str | None = strawberry.field(
        description=(
            "The merchant's order id. Null only for an adopted transaction whose order EPoint does not name."
        )
    )
    adopted: bool = strawberry.field(
        description="Whether it was made elsewhere, and became known here by a refund or refresh."
    )
    status: TransactionStatus = strawberry.field(description="Where it stands.")
    is_final: bool = strawberry.field(
        description="Whether the payment itself is decided. Later refunds may still make SUCCESS into RETURNED."
    )
    version: int = strawberry.field(
        description="Grows with every change, refunds included. Of two answers, the higher version is the newer."
    )
    amount: Money = strawberry.field(description="What was ordered.")
    description: str | None = strawberry.field(description="What the customer reads on EPoint's page.")
    card: CardDetails | None = strawberry.field(description="The card that was used, once EPoint has named it.")
    created_at: datetime = strawberry.field(description="When it was recorded here.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field(
        description=(
            "Why it failed; set when the status is FAILED. A client token is told less: what must not be said to a "
            "customer looks like DO_NOT_HONOR."
        )
    )
    def failure(self, info: Info) -> Failure | None:
        """Why it failed, as far as the caller may know."""
        return Failure.of(self.record.failure, for_browser=info.context.caller.is_browser)

    @strawberry.field(
        description="How much has gone back to the customer; zero before the first refund.", directives=[READ]
    )
    def refunded_amount(self) -> Money:
        """Sum of the refunds that succeeded."""
        return Money.of(self.record.refunded_amount, self.record.currency)

    @strawberry.field(
        description="How much is reserved by refunds that are in flight or indeterminate.", directives=[READ]
    )
    def refund_pending_amount(self) -> Money:
        """Sum of the refunds that are not settled."""
        return Money.of(self.record.refund_pending_amount, self.record.currency)

    @strawberry.field(
        description="How much can still be refunded. For an adopted transaction an upper bound.", directives=[READ]
    )
    def refundable_amount(self) -> Money:
        """What is left to refund."""
        return Money.of(self.record.refundable_amount, self.record.currency)

    @strawberry.field(
        description=(
            "How much is held on the card and not taken: the amount while the status is AUTHORIZED, else zero."
        ),
        directives=[READ],
    )
    def authorized_amount(self) -> Money:
        """What is held and can be captured."""
        return Money.of(self.record.authorized_amount, self.record.currency)

    @strawberry.field(
        description=(
            "How much the customer has paid, before refunds: of a hold what was captured, which may be less than "
            "`amount`; of any other payment the amount. Zero unless SUCCESS or RETURNED, and for payouts."
        ),
        directives=[READ],
    )
    def captured_amount(self) -> Money:
        """What was taken from the customer."""
        return Money.of(self.record.taken_amount, self.record.currency)

    @strawberry.field(
        description="The latest capture or cancellation of a hold; null if there was none.", directives=[READ]
    )
    def hold_request(self) -> HoldRequest | None:
        """The latest capture or cancellation."""
        return HoldRequest.of(self.record.hold_request, self.record.currency)

    @strawberry.field(description="The part of it that goes to another merchant, if any.", directives=[READ])
    def split(self) -> Split | None:
        """The part for another merchant."""
        known = self.record
        if known.split_user is None or known.split_amount is None:
            return None
        return Split(user=known.split_user, amount=Money.of(known.split_amount, known.currency))

    @strawberry.field(description="The JSON object that came with the order, equal to it.", directives=[READ])
    def metadata(self) -> Json | None:
        """What the merchant stored with it."""
        return None if self.record.metadata is None else Json(json.loads(self.record.metadata))

    @strawberry.field(description="What the customer has to do now; null when there is nothing to do.")
    def next_action(self) -> NextAction | None:
        """What the customer has to do now."""
        return next_action(self.record)

    @strawberry.field(description="The saved card that it charged, paid to, or saves.")
    async def saved_card(self, info: Info) -> "SavedCard | None":
        """The saved card, read from the books."""
        return await find_saved_card(info, self.record.saved_card_id)

    @strawberry.field(description="EPoint's own words and references.", directives=[READ])
    def gateway(self) -> GatewayReference | None:
        """EPoint's own words and references."""
        return GatewayReference.of(self.record.gateway)

    @strawberry.field(description="Its refunds, oldest first.", directives=[READ])
    async def refunds(self, info: Info, first: First = 20, after: After = None) -> "Connection[Refund]":
        """A page of its refunds."""
        return await load(
            REFUNDS,
            read_page(REFUNDS, first=first, after=after),
            lambda page: info.context.cashier.books.read(lambda reader: reader.refunds(self.record.id, page)),
            lambda refund: refund.id,
            Refund.of,
        )

    @strawberry.field(
        description="Everything that happened to it and to its refunds, oldest first.", directives=[READ]
    )
    async def events(
        self, info: Info, first: First = HISTORY_DEFAULT, after: After = None
    ) -> Connection[Annotated["Event", strawberry.lazy("gql_epoint.schema.events")]]:
        """A page of its history."""
        return await history_page(info, STREAM, self.record.id, first, after)

    @classmethod
    def of(cls, known: ledger.Transaction) -> Self:
        """Build it from the ledger's value."""
        return cls(
            record=known,
            id=ID(known.id),
            operation=TransactionOperation(known.operation.value),
            order_id=known.order_id,
            adopted=known.adopted,
            status=TransactionStatus(known.status.value),
            is_final=known.status.is_final,
            version=known.version,
            amount=Money.of(known.amount, known.currency),
            description=known.description,
            card=CardDetails.of(known.card_mask, known.card_holder_name),
            created_at=known.created_at,
            updated_at=known.updated_at,
        )


@strawberry.type(description="Money on its way back to the customer.")
class Refund(Node):
    """Money on its way back to the customer."""

    record: strawberry.Private[ledger.Refund]
    amount: Money = strawberry.field(description="How much goes back.")
    status: RefundStatus = strawberry.field(description="Where it stands.")
    reason: str | None = strawberry.field(description="Why, in the merchant's words; kept here only.")
    failure: Failure | None = strawberry.field(description="Why it failed; set when the status is FAILED.")
    created_at: datetime = strawberry.field(description="When it was recorded here.")

    @strawberry.field(description="The payment that it refunds.")
    async def transaction(self, info: Info) -> Transaction:
        """The payment, read from the books."""
        found = await find_transaction(info, self.record.transaction_id)
        assert found is not None
        return found

    @classmethod
    def of(cls, known: ledger.Refund) -> Self:
        """Build it from the ledger's value."""
        return cls(
            record=known,
            id=ID(known.id),
            amount=Money.of(known.amount, known.currency),
            status=RefundStatus(known.status.value),
            reason=known.reason,
            failure=Failure.of(known.failure),
            created_at=known.created_at,
        )


@strawberry.type(description="A card kept at EPoint, to charge or pay to without the customer.")
class SavedCard(Node):
    """A card kept at EPoint."""

    record: strawberry.Private[ledger.SavedCard]
    status: SavedCardStatus = strawberry.field(description="Where it stands.")
    version: int = strawberry.field(
        description="Grows with every change. Of two answers, the higher version is the newer."
    )
    details: CardDetails | None = strawberry.field(description="What may be shown of it, once it is saved.")
    usable_for_payout: bool = strawberry.field(
        description="True: saved for payouts, and only for them. False: saved for payments."
    )
    created_at: datetime = strawberry.field(description="When it was recorded here.")

    @strawberry.field(
        description=(
            "EPoint's id of the card, which merchants may have stored before they used this service. Null if "
            "EPoint never gave it one, because the registration did not start."
        ),
        directives=[Pii(), READ],
    )
    def card_id(self) -> str | None:
        """EPoint's id of the card."""
        return self.record.card_id

    @strawberry.field(description="What the customer has to do now; null when there is nothing to do.")
    def next_action(self) -> NextAction | None:
        """What the customer has to do now."""
        return redirect(self.record.redirect_url)

    @classmethod
    def of(cls, known: ledger.SavedCard) -> Self:
        """Build it from the ledger's value."""
        return cls(
            record=known,
            id=ID(known.id),
            status=SavedCardStatus(known.status.value),
            version=known.version,
            details=CardDetails.of(known.mask, known.holder_name),
            usable_for_payout=known.usable_for_payout,
            created_at=known.created_at,
        )


@strawberry.type(description="A message from EPoint with a valid signature, as it arrived, whatever became of it.")
class Callback(Node):
    """A verified callback."""

    record: strawberry.Private[ledger.CallbackRecord]
    received_at: datetime = strawberry.field(description="When it arrived.")
    disposition: CallbackDisposition = strawberry.field(description="What became of it.")
    gateway_status: str | None = strawberry.field(description="EPoint's own word for the state.")
    gateway_transaction_id: str | None = strawberry.field(description="EPoint's id of the transaction it is about.")
    order_id: str | None = strawberry.field(
        description="The order id that EPoint was given: the merchant's own, with a suffix after the first attempt."
    )

    @strawberry.field(description="The transaction that it is about, if it is one of ours.")
    async def transaction(self, info: Info) -> Transaction | None:
        """The transaction, read from the books."""
        return await find_transaction(info, self.record.transaction_id)

    @strawberry.field(description="The saved card that it is about, if it is one of ours.")
    async def saved_card(self, info: Info) -> SavedCard | None:
        """The saved card, read from the books."""
        return await find_saved_card(info, self.record.saved_card_id)

    @classmethod
    def of(cls, known: ledger.CallbackRecord) -> Self:
        """Build it from the ledger's value."""
        return cls(
            record=known,
            id=ID(known.id),
            received_at=known.received_at,
            disposition=CallbackDisposition(known.disposition.value),
            gateway_status=known.gateway_status,
            gateway_transaction_id=known.gateway_transaction_id,
            order_id=known.order_id,
        )


async def find_transaction(info: Info, transaction_id: str | None) -> Transaction | None:
    """Return a transaction by its id."""
    known = await _read(info, transaction_id, lambda reader, key: reader.transaction(key))
    return Transaction.of(known) if known else None


async def find_refund(info: Info, refund_id: str | None) -> Refund | None:
    """Return a refund by its id."""
    known = await _read(info, refund_id, lambda reader, key: reader.refund(key))
    return Refund.of(known) if known else None


async def find_saved_card(info: Info, saved_card_id: str | None) -> SavedCard | None:
    """Return a saved card by its id."""
    known = await _read(info, saved_card_id, lambda reader, key: reader.saved_card(key))
    return SavedCard.of(known) if known else None


async def find_callback(info: Info, callback_id: str | None) -> Callback | None:
    """Return a callback by its id."""
    known = await _read(info, callback_id, lambda reader, key: reader.callback(key))
    return Callback.of(known) if known else None


async def _read(
    info: Info, key: str | None, find: Callable[["Reader", str], Awaitable[RecordT | None]]
) -> RecordT | None:
    return None if key is None else await info.context.cashier.books.read(lambda reader: find(reader, key))
