"""Transfers to businesses as the contract shows and takes them."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Self

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier.business_transfers import BusinessTransferBy as Name
from gql_epoint.cashier.transfer_orders import TransferOrder
from gql_epoint.ledger import business_transfer as ledger
from gql_epoint.schema.access import READ, Pii
from gql_epoint.schema.connections import BY_NUMBER, After, Connection, Cursors, First
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import Resolution, value
from gql_epoint.schema.history import HISTORY_DEFAULT, history_page
from gql_epoint.schema.inputs import MoneyInput, given, optional, required
from gql_epoint.schema.scalars import IdempotencyKey
from gql_epoint.schema.values import Failure, Money, Node

if TYPE_CHECKING:
    from gql_epoint.schema.events import Event

STREAM = Cursors("transfer", BY_NUMBER)

_KEY = "Names this one intention. The same key with another input is refused."


@strawberry.enum(description="Where a transfer to a business stands. SUCCESS and FAILED are final.")
class BusinessTransferStatus(Enum):
    """Where a transfer stands."""

    PENDING = value("PENDING", description="Recorded here, and EPoint has not begun to carry it out.")
    PROCESSING = value("PROCESSING", description="EPoint or a bank is carrying it out.")
    SUCCESS = value("SUCCESS", description="EPoint says that the money has arrived. Final.")
    FAILED = value("FAILED", description="Refused, no money moved: see `BusinessTransfer.failure`. Final.")
    INDETERMINATE = value(
        "INDETERMINATE",
        description=(
            "The answer from EPoint was lost, or contradicts the order: money may or may not have moved. This "
            "service keeps asking; do not order the transfer again. What stays so is settled by "
            "`resolveBusinessTransfer`."
        ),
    )


@strawberry.type(description="Who gets a transfer. Fields are null where the merchant gave none, or erased them.")
class BusinessPayee:
    """Who gets a transfer."""

    name: str | None = strawberry.field(description="The company's name.", directives=[Pii()])
    tin: str | None = strawberry.field(description="The taxpayer's number, ten digits.", directives=[Pii()])
    iban: str | None = strawberry.field(description="The account, without spaces.", directives=[Pii()])
    bank_code: str | None = strawberry.field(description="The code of the payee's bank.")
    bank_name: str | None = strawberry.field(description="The name of the payee's bank.")
    email: str | None = strawberry.field(description="The payee's e-mail address.", directives=[Pii()])
    address: str | None = strawberry.field(description="The payee's address.", directives=[Pii()])


@strawberry.type(description="EPoint's own words and references about a transfer.")
class BusinessTransferReference:
    """EPoint's own words and references."""

    status: str | None = strawberry.field(description="EPoint's own word for the state. An open vocabulary.")
    order_id: str = strawberry.field(
        description="The order id that EPoint was given: the merchant's own, with a suffix after the first attempt."
    )
    bulk_id: str | None = strawberry.field(description="EPoint's id of the batch that the transfer went into.")
    trace_id: str | None = strawberry.field(description="EPoint's id of the call, for its support.")
    last_confirmed_at: datetime | None = strawberry.field(
        description="When EPoint last said something about the transfer that fits it."
    )


@strawberry.type(description="Money on its way from the merchant to a company's bank account.")
class BusinessTransfer(Node):
    """Money on its way to a company's account."""

    record: strawberry.Private[ledger.BusinessTransfer]
    order_id: str = strawberry.field(description="The merchant's own reference.")
    status: BusinessTransferStatus = strawberry.field(description="Where it stands.")
    is_final: bool = strawberry.field(description="Whether it is decided.")
    needs_review: bool = strawberry.field(
        description=(
            "Whether what EPoint says contradicts itself or the order, so that only a person can settle it: "
            "`resolveBusinessTransfer`."
        )
    )
    version: int = strawberry.field(
        description="Grows with every change. Of two answers, the higher version is the newer."
    )
    amount: Money = strawberry.field(description="What was ordered.")
    description: str | None = strawberry.field(
        description="What the payee reads; null once it was erased.", directives=[Pii()]
    )
    additional_info: str | None = strawberry.field(description="What else was told to EPoint.", directives=[Pii()])
    created_at: datetime = strawberry.field(description="When it was recorded here.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field(description="Who gets it.")
    def payee(self) -> BusinessPayee:
        """Who gets it."""
        known = self.record
        return BusinessPayee(
            name=known.payee_name,
            tin=known.payee_tin,
            iban=known.iban,
            bank_code=known.bank_code,
            bank_name=known.bank_name,
            email=known.email,
            address=known.address,
        )

    @strawberry.field(description="Why it failed; set when the status is FAILED.")
    def failure(self) -> Failure | None:
        """Why it failed."""
        return Failure.of(self.record.failure)

    @strawberry.field(description="EPoint's own words and references.", directives=[READ])
    def gateway(self) -> BusinessTransferReference:
        """EPoint's own words and references."""
        known = self.record
        return BusinessTransferReference(
            status=known.gateway_status,
            order_id=known.gateway_order_id,
            bulk_id=known.gateway_bulk_id,
            trace_id=known.gateway_trace_id,
            last_confirmed_at=known.last_confirmed_at,
        )

    @strawberry.field(description="Everything that happened to it, oldest first.", directives=[READ])
    async def events(
        self, info: Info, first: First = HISTORY_DEFAULT, after: After = None
    ) -> Connection[Annotated["Event", strawberry.lazy("gql_epoint.schema.events")]]:
        """A page of its history."""
        return await history_page(info, STREAM, self.record.id, first, after)

    @classmethod
    def of(cls, known: ledger.BusinessTransfer) -> Self:
        """Build it from the ledger's value."""
        return cls(
            record=known,
            id=ID(known.id),
            order_id=known.order_id,
            status=BusinessTransferStatus(known.status.value),
            is_final=known.status.is_final,
            needs_review=known.disputed,
            version=known.version,
            amount=Money.of(known.amount, known.currency),
            description=known.description,
            additional_info=known.additional_info,
            created_at=known.created_at,
            updated_at=known.updated_at,
        )


@strawberry.input(one_of=True, description="Names a transfer to a business, in exactly one way.")
class BusinessTransferBy:
    """Names a transfer."""

    id: ID | None = optional("The id that this service gave it.")
    order_id: str | None = optional(
        "The merchant's own reference. It means the transfer that is live or done, or else the latest."
    )

    def to_name(self) -> Name:
        """Return the name as the cashier takes it."""
        own, order_id = given(self.id), given(self.order_id)
        return Name(
            id=None if own is None else plain_text(own), order_id=None if order_id is None else plain_text(order_id)
        )


@strawberry.input(description="Who gets a transfer.")
class BusinessPayeeInput:
    """Who gets a transfer."""

    name: str = strawberry.field(description="The company's name, at most 255 characters.", directives=[Pii()])
    tin: str = strawberry.field(
        description="The taxpayer's number (VÖEN): ten digits, the last one 1 or 2.", directives=[Pii()]
    )
    iban: str = strawberry.field(
        description="The account in Azerbaijan, 28 characters, with spaces or without. Its check sum is verified.",
        directives=[Pii()],
    )
    bank_code: str = required("The code of the payee's bank.")
    bank_name: str | None = optional("The name of the payee's bank.")
    email: str | None = optional("The payee's e-mail address.", directives=[Pii()])
    address: str | None = optional("The payee's address.", directives=[Pii()])


@strawberry.input(description="A transfer from the merchant to a company's bank account.")
class TransferToBusinessInput:
    """A transfer to a company's account."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(
        "The merchant's own reference: at most 200 letters, digits and `_.-`. It is transferred at most once."
    )
    amount: MoneyInput = required("What the payee gets: 0.01 to 40000, only in AZN.")
    payee: BusinessPayeeInput = required("Who gets it.")
    description: str = strawberry.field(
        description="What the payee reads, at most 255 characters.", directives=[Pii()]
    )
    additional_info: str | None = optional("What else EPoint should know.", directives=[Pii()])

    def to_order(self) -> TransferOrder:
        """Return the order as the cashier takes it."""
        return TransferOrder(
            order_id=self.order_id,
            amount=self.amount.amount,
            currency=self.amount.currency.value,
            iban=self.payee.iban,
            payee_name=self.payee.name,
            payee_tin=self.payee.tin,
            bank_code=self.payee.bank_code,
            description=self.description,
            bank_name=given(self.payee.bank_name),
            email=given(self.payee.email),
            address=given(self.payee.address),
            additional_info=given(self.additional_info),
        )


@strawberry.input(description="A person's finding about a transfer in INDETERMINATE.")
class ResolveBusinessTransferInput:
    """A person's finding about a transfer."""

    idempotency_key: IdempotencyKey = required(_KEY)
    business_transfer_id: ID = required("The transfer's id in this service.")
    resolution: Resolution = required("What was found.")
    note: str = required("How it was found, for the history: at most 1000 characters.")


async def find_business_transfer(info: Info, transfer_id: str) -> BusinessTransfer | None:
    """Return a transfer by its id."""
    known = await info.context.cashier.business_transfers.find(Name(id=transfer_id))
    return BusinessTransfer.of(known) if known else None
