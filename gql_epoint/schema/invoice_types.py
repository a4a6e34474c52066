"""Invoices as the contract shows and takes them."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Self

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier.invoice_orders import InvoiceTerms
from gql_epoint.cashier.invoices import InvoiceBy as Name
from gql_epoint.epoint import invoices as wire
from gql_epoint.ledger import invoice as ledger
from gql_epoint.schema.access import READ, Pii
from gql_epoint.schema.connections import BY_NUMBER, After, Connection, Cursors, First
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import value
from gql_epoint.schema.history import HISTORY_DEFAULT, history_page
from gql_epoint.schema.inputs import MoneyInput, given, optional, required
from gql_epoint.schema.scalars import IdempotencyKey
from gql_epoint.schema.values import Failure, Money, Node

if TYPE_CHECKING:
    from gql_epoint.schema.events import Event

STREAM = Cursors("invoice", BY_NUMBER)

_KEY = "Names this one intention. The same key with another input is refused."


@strawberry.enum(description="Where an invoice stands. PAID, CANCELED and FAILED are final.")
class InvoiceStatus(Enum):
    """Where an invoice stands."""

    NEW = value("NEW", description="Recorded here; EPoint has not answered yet.")
    WAITING_FOR_PAYMENT = value("WAITING_FOR_PAYMENT", description="EPoint has it, and the customer can pay it.")
    PAID = value("PAID", description="EPoint says that it is paid. Final, unless a person cancels it at EPoint.")
    CANCELED = value("CANCELED", description="Canceled at EPoint. Final, unless a person opens it again there.")
    FAILED = value("FAILED", description="EPoint did not make it: see `Invoice.failure`. Final.")
    INDETERMINATE = value(
        "INDETERMINATE",
        description=(
            "The answer from EPoint was lost: it may have made the invoice. This service looks for it in EPoint's "
            "list. It has not been sent to the customer; another one is made only if you order it."
        ),
    )


@strawberry.enum(description="Which of EPoint's invoices to list.")
class GatewayInvoiceType(Enum):
    """Which of EPoint's invoices to list."""

    OUTGOING = value("outgoing", description="Those that the merchant has issued.")
    INCOMING = value("incoming", description="Those that the merchant has got from others.")
    STATIC = value("static", description="Those that can be paid again and again.")


@strawberry.type(description="EPoint's own words and references about an invoice.")
class InvoiceReference:
    """EPoint's own words and references."""

    status: str | None = strawberry.field(description="EPoint's own word for the state. An open vocabulary.")
    invoice_id: str | None = strawberry.field(description="EPoint's id of the invoice, once it has one.")
    order_id: str = strawberry.field(
        description="The order id that EPoint was given: the merchant's own, with a suffix of its own."
    )
    trace_id: str | None = strawberry.field(description="EPoint's id of the call, for its support.")
    last_confirmed_at: datetime | None = strawberry.field(
        description="When EPoint last said something about the invoice."
    )


@strawberry.type(
    description=(
        "A bill that a customer pays on EPoint's page, by a link that EPoint sends. Paying it makes no "
        "`Transaction` here: EPoint does not say which one it was. It sends no callback, so it is asked."
    )
)
class Invoice(Node):
    """A bill with a link."""

    record: strawberry.Private[ledger.Invoice]
    order_id: str = strawberry.field(description="The merchant's own reference. An order may have many invoices.")
    status: InvoiceStatus = strawberry.field(description="Where it stands.")
    is_final: bool = strawberry.field(description="Whether it is not asked about any more.")
    needs_review: bool = strawberry.field(
        description=(
            "Whether EPoint reports a payment of another amount. It is not shown as PAID then, and EPoint is asked "
            "as before: put it right in EPoint's cabinet and `refreshInvoice`, or settle it with `resolveInvoice`."
        )
    )
    version: int = strawberry.field(
        description="Grows with every change. Of two answers, the higher version is the newer."
    )
    amount: Money = strawberry.field(description="What the customer pays, as EPoint has confirmed it.")
    period_from: date = strawberry.field(description="The first day that it is about.")
    period_to: date = strawberry.field(description="The last day that it is about.")
    name: str | None = strawberry.field(description="The customer's name.", directives=[Pii()])
    description: str | None = strawberry.field(description="What the customer reads.", directives=[Pii()])
    phone: str | None = strawberry.field(description="The customer's phone.", directives=[Pii()])
    email: str | None = strawberry.field(description="The customer's e-mail address.", directives=[Pii()])
    tin: str | None = strawberry.field(description="The customer's taxpayer number.", directives=[Pii()])
    contract_number: str | None = strawberry.field(
        description="The number of the contract that it is about.", directives=[Pii()]
    )
    display: bool = strawberry.field(description="Whether EPoint shows it.")
    save_as_template: bool = strawberry.field(description="Whether EPoint keeps it as a template.")
    installment: bool | None = strawberry.field(
        description="Whether it may be paid in instalments; null if EPoint decides."
    )
    created_at: datetime = strawberry.field(description="When it was recorded here.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @strawberry.field(description="Why it failed; set when the status is FAILED.")
    def failure(self) -> Failure | None:
        """Why it failed."""
        return Failure.of(self.record.failure)

    @strawberry.field(description="EPoint's own words and references.", directives=[READ])
    def gateway(self) -> InvoiceReference:
        """EPoint's own words and references."""
        known = self.record
        return InvoiceReference(
            status=known.gateway_status,
            invoice_id=known.gateway_id,
            order_id=known.reference,
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
    def of(cls, known: ledger.Invoice) -> Self:
        """Build it from the ledger's value."""
        return cls(
            record=known,
            id=ID(known.id),
            order_id=known.order_id,
            status=InvoiceStatus(known.status.value),
            is_final=known.status.is_final,
            needs_review=known.disputed,
            version=known.version,
            amount=Money.of(known.amount, known.currency),
            period_from=date.fromisoformat(known.period_from),
            period_to=date.fromisoformat(known.period_to),
            name=known.name,
            description=known.description,
            phone=known.phone,
            email=known.email,
            tin=known.tin,
            contract_number=known.contract_number,
            display=known.display,
            save_as_template=known.save_as_template,
            installment=known.installment,
            created_at=known.created_at,
            updated_at=known.updated_at,
        )


@strawberry.type(
    description=(
        "An invoice as EPoint lists it, ours or not; nothing is recorded. EPoint does not document what an invoice "
        "holds, so each field may be null."
    )
)
class GatewayInvoice:
    """An invoice as EPoint lists it."""

    invoice_id: str | None = strawberry.field(description="EPoint's id.")
    status: str | None = strawberry.field(description="EPoint's own word for the state. An open vocabulary.")
    amount: Decimal | None = strawberry.field(description="The amount, in AZN.")
    order_id: str | None = strawberry.field(description="The order id that EPoint was given.")
    name: str | None = strawberry.field(description="The customer's name.", directives=[Pii()])
    description: str | None = strawberry.field(description="What the customer reads.", directives=[Pii()])

    @classmethod
    def of(cls, told: wire.GatewayInvoice) -> Self:
        """Build it from EPoint's record."""
        return cls(
            invoice_id=told.id,
            status=told.status,
            amount=told.sum,
            order_id=told.merchant_order_id,
            name=told.name,
            description=told.description,
        )


@strawberry.input(one_of=True, description="Names an invoice, in exactly one way.")
class InvoiceBy:
    """Names an invoice."""

    id: ID | None = optional("The id that this service gave it.")
    order_id: str | None = optional("The merchant's own reference. It means the latest invoice of the order.")
    gateway_invoice_id: str | None = optional("EPoint's id of an invoice that was made here.")

    def to_name(self) -> Name:
        """Return the name as the cashier takes it."""
        names = (given(self.id), given(self.order_id), given(self.gateway_invoice_id))
        own, order_id, gateway_id = (None if name is None else plain_text(name) for name in names)
        return Name(id=own, order_id=order_id, gateway_id=gateway_id)


@strawberry.input(description="Everything of an invoice that can be changed later.")
class InvoiceTermsInput:
    """Everything of an invoice that can be changed later."""

    amount: MoneyInput = required("What the customer pays. Only in AZN.")
    period_from: date = required("The first day that the invoice is about.")
    period_to: date = required("The last day that the invoice is about.")
    name: str | None = optional("The customer's name, at most 255 characters.", directives=[Pii()])
    description: str | None = optional("What the customer reads, at most 1000 characters.", directives=[Pii()])
    phone: str | None = optional("The customer's phone, such as +994501234567.", directives=[Pii()])
    email: str | None = optional("The customer's e-mail address.", directives=[Pii()])
    tin: str | None = optional("The customer's taxpayer number, ten digits.", directives=[Pii()])
    contract_number: str | None = optional("The number of the contract that it is about.", directives=[Pii()])
    images: list[str] | None = optional(
        "At most 5 images as base64: PNG, JPEG or BMP of at most 1 MB each, known by their first bytes. They are "
        "passed on to EPoint and not kept. All of a request must fit into GQL_EPOINT_BODY_BYTES_MAX, its variables "
        "into GQL_EPOINT_VARIABLES_BYTES_MAX: both have to be raised for large ones."
    )
    display: bool = strawberry.field(description="Whether EPoint shows it.", default=True)
    save_as_template: bool = strawberry.field(description="Whether EPoint keeps it as a template.", default=False)
    installment: bool | None = optional("Whether it may be paid in instalments; left out, EPoint decides.")

    def to_terms(self) -> InvoiceTerms:
        """Return the terms as the cashier takes them."""
        return InvoiceTerms(
            amount=self.amount.amount,
            currency=self.amount.currency.value,
            period_from=self.period_from,
            period_to=self.period_to,
            display=self.display,
            save_as_template=self.save_as_template,
            installment=given(self.installment),
            name=given(self.name),
            description=given(self.description),
            phone=given(self.phone),
            email=given(self.email),
            tin=given(self.tin),
            contract_number=given(self.contract_number),
            images=tuple(given(self.images) or ()),
        )


@strawberry.input(description="A new invoice.")
class CreateInvoiceInput:
    """A new invoice."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required("The merchant's own reference, at most 200 characters.")
    terms: InvoiceTermsInput = required("What is billed, and to whom.")


@strawberry.input(description="All of an invoice, as it shall be from now on. What is left out becomes empty.")
class UpdateInvoiceInput:
    """A change of an invoice."""

    idempotency_key: IdempotencyKey = required(_KEY)
    invoice_id: ID = required("The invoice's id in this service. It must be WAITING_FOR_PAYMENT.")
    terms: InvoiceTermsInput = required("What is billed from now on, and to whom.")


@strawberry.input(description="The sending of an invoice's link to a phone.")
class SendInvoiceBySmsInput:
    """The sending of a link to a phone."""

    idempotency_key: IdempotencyKey = required(_KEY)
    invoice_id: ID = required("The invoice's id in this service. It must be WAITING_FOR_PAYMENT.")
    phone: str | None = optional("The phone; left out, the invoice's own.", directives=[Pii()])


@strawberry.input(description="The sending of an invoice's link by e-mail.")
class SendInvoiceByEmailInput:
    """The sending of a link by e-mail."""

    idempotency_key: IdempotencyKey = required(_KEY)
    invoice_id: ID = required("The invoice's id in this service. It must be WAITING_FOR_PAYMENT.")
    email: str | None = optional("The address; left out, the invoice's own.", directives=[Pii()])


@strawberry.input(description="A person's finding about an invoice that needs review.")
class ResolveInvoiceInput:
    """A person's finding about an invoice."""

    idempotency_key: IdempotencyKey = required(_KEY)
    invoice_id: ID = required("The invoice's id in this service.")
    amount: MoneyInput = required(
        "What the customer has paid, as EPoint's cabinet or the bank shows it. Only in AZN."
    )
    note: str = required("How it was found, for the history: at most 1000 characters.")


async def find_invoice(info: Info, invoice_id: str) -> Invoice | None:
    """Return an invoice by its id."""
    known = await info.context.cashier.invoices.find(Name(id=invoice_id))
    return Invoice.of(known) if known else None
