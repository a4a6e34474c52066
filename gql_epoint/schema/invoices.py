"""What invoices add to the roots of the contract."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import strawberry

from gql_epoint.cashier.commands import Result
from gql_epoint.ledger import invoice as ledger
from gql_epoint.schema.access import READ, Scope
from gql_epoint.schema.connections import BY_ID, After, Before, Connection, Cursors, First, Last, load, read_page
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import UpdateKind
from gql_epoint.schema.errors import UserError
from gql_epoint.schema.inputs import given
from gql_epoint.schema.invoice_types import (
    CreateInvoiceInput,
    GatewayInvoice,
    GatewayInvoiceType,
    Invoice,
    InvoiceBy,
    ResolveInvoiceInput,
    SendInvoiceByEmailInput,
    SendInvoiceBySmsInput,
    UpdateInvoiceInput,
)
from gql_epoint.schema.running import ERRORS, REPLAYED, argument, attempt, mutation, run
from gql_epoint.schema.subscriptions import AfterVersion, Updates

INVOICES = Cursors("invoices", BY_ID)

# EPoint documents no pages; a list that is longer than this is cut off.
LISTED_MAX = 500


@strawberry.type(description="What became of a request about an invoice.")
class InvoicePayload:
    """What became of a request about an invoice."""

    invoice: Invoice | None = strawberry.field(
        description="The invoice as it is now; null if the request was refused."
    )
    replayed: bool = strawberry.field(description=REPLAYED)
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="An invoice, now or after a change.")
class InvoiceUpdate:
    """An invoice, now or after a change."""

    kind: UpdateKind = strawberry.field(
        description="Whether this is the state at the beginning, or a newer version."
    )
    invoice: Invoice = strawberry.field(description="The invoice as it is in this version.")


@strawberry.type
class InvoiceQueries:
    """What invoices add to the queries."""

    @strawberry.field(description="One invoice, as it is recorded here; EPoint is not asked.", directives=[READ])
    async def invoice(self, info: Info, by: Annotated[InvoiceBy, argument("Which invoice.")]) -> Invoice | None:
        """Find an invoice."""
        known = await info.context.cashier.invoices.find(by.to_name())
        return Invoice.of(known) if known else None

    @strawberry.field(description="All invoices that were made here, newest first.", directives=[READ])
    async def invoices(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        needs_review: Annotated[bool, argument("Only those with `needsReview`; false is all.")] = False,
    ) -> Connection[Invoice]:
        """List invoices."""
        return await load(
            INVOICES,
            read_page(INVOICES, first=first, after=after, last=last, before=before),
            lambda page: info.context.cashier.books.read(
                lambda reader: reader.invoices(page, in_review=needs_review)
            ),
            lambda invoice: invoice.id,
            Invoice.of,
        )

    @strawberry.field(
        description=(
            "Ask EPoint now for its invoices, ours or not, and return what it says, 500 of them at most. Nothing "
            "is recorded. If EPoint does not answer, `extensions.code` is GATEWAY_UNAVAILABLE."
        ),
        directives=[READ],
    )
    async def gateway_invoices(
        self,
        info: Info,
        type: Annotated[GatewayInvoiceType, argument("Which of them.")] = GatewayInvoiceType.OUTGOING,  # noqa: A002
        newest_first: Annotated[bool, argument("Whether the newest come first.")] = True,
    ) -> list[GatewayInvoice] | None:
        """Ask EPoint for its list."""
        told = await info.context.cashier.invoices.at_gateway(type.value, newest_first=newest_first)
        return [GatewayInvoice.of(one) for one in told[:LISTED_MAX]]


@strawberry.type
class InvoiceMutations:
    """What invoices add to the mutations."""

    @mutation(
        (
            "Make an invoice that a customer can pay on EPoint's page. It is made once, however often this is "
            "repeated with its key. Nothing is sent yet: see `sendInvoiceBySms` and `sendInvoiceByEmail`."
        ),
        Scope.PAYMENTS_WRITE,
    )
    async def create_invoice(
        self,
        info: Info,
        input: Annotated[CreateInvoiceInput, argument("What is billed.")],  # noqa: A002
    ) -> InvoicePayload:
        """Make an invoice."""
        create = info.context.cashier.invoices.create
        return _payload(*await run(info, input, lambda call: create(call, input.order_id, input.terms.to_terms())))

    @mutation(
        (
            "Change an invoice that waits for its payment. One change of an invoice is sent at a time: "
            "INVOICE_IN_PROGRESS. If the answer is lost, GATEWAY_UNAVAILABLE comes beside the invoice; doing it "
            "again with another key does no harm, a minute later."
        ),
        Scope.PAYMENTS_WRITE,
    )
    async def update_invoice(
        self,
        info: Info,
        input: Annotated[UpdateInvoiceInput, argument("What is billed from now on.")],  # noqa: A002
    ) -> InvoicePayload:
        """Change an invoice."""
        update = info.context.cashier.invoice_changes.update

        async def work(call: Any) -> Result[ledger.Invoice]:
            return await update(call, plain_text(input.invoice_id), input.terms.to_terms())

        return _payload(*await run(info, input, work))

    @mutation(
        (
            "Let EPoint send the invoice's link to a phone, once per key. If the answer is lost, "
            "GATEWAY_UNAVAILABLE comes beside the invoice, and the customer may have got it; the same key sends "
            "nothing again."
        ),
        Scope.PAYMENTS_WRITE,
    )
    async def send_invoice_by_sms(
        self,
        info: Info,
        input: Annotated[SendInvoiceBySmsInput, argument("What to send, and where to.")],  # noqa: A002
    ) -> InvoicePayload:
        """Send the link to a phone."""
        send = info.context.cashier.invoice_changes.send_by_sms

        async def work(call: Any) -> Result[ledger.Invoice]:
            return await send(call, plain_text(input.invoice_id), given(input.phone))

        return _payload(*await run(info, input, work))

    @mutation(
        (
            "Let EPoint send the invoice's link by e-mail, once per key. If the answer is lost, "
            "GATEWAY_UNAVAILABLE comes beside the invoice, and the customer may have got it; the same key sends "
            "nothing again."
        ),
        Scope.PAYMENTS_WRITE,
    )
    async def send_invoice_by_email(
        self,
        info: Info,
        input: Annotated[SendInvoiceByEmailInput, argument("What to send, and where to.")],  # noqa: A002
    ) -> InvoicePayload:
        """Send the link by e-mail."""
        send = info.context.cashier.invoice_changes.send_by_email

        async def work(call: Any) -> Result[ledger.Invoice]:
            return await send(call, plain_text(input.invoice_id), given(input.email))

        return _payload(*await run(info, input, work))

    @mutation(
        (
            "Settle by hand an invoice that needs review, because EPoint reports a payment of another amount: it "
            "is PAID, with the amount that was found. Calls nobody, moves no money."
        ),
        Scope.LEDGER_RESOLVE,
    )
    async def resolve_invoice(
        self,
        info: Info,
        input: Annotated[ResolveInvoiceInput, argument("The finding.")],  # noqa: A002
    ) -> InvoicePayload:
        """Settle an invoice."""
        decide = info.context.cashier.invoice_changes.resolve
        paid = input.amount

        async def work(call: Any) -> Result[ledger.Invoice]:
            invoice_id = plain_text(input.invoice_id)
            return await decide(call, invoice_id, paid.amount, paid.currency.value, input.note)

        return _payload(*await run(info, input, work))

    @mutation("Ask EPoint for the truth about an invoice now, and record it.", Scope.PAYMENTS_WRITE)
    async def refresh_invoice(
        self, info: Info, by: Annotated[InvoiceBy, argument("Which invoice.")]
    ) -> InvoicePayload:
        """Ask for the status now."""
        actor = info.context.caller.name
        return _payload(*await attempt(lambda: info.context.cashier.invoices.refresh(by.to_name(), actor)))


@strawberry.type
class InvoiceSubscriptions:
    """What invoices add to the subscriptions."""

    @strawberry.subscription(
        description=(
            "The state now, then newer versions in order; some may be skipped, `events` has each. Completes at a "
            "final status. EPoint is asked a minute after the invoice was made or sent, then less and less often, "
            "for 90 days. If there is no such invoice, `extensions.code` is NOT_FOUND."
        ),
        directives=[READ],
    )
    async def invoice_updated(
        self,
        info: Info,
        by: Annotated[InvoiceBy, argument("Which invoice.")],
        after_version: AfterVersion = None,
    ) -> AsyncIterator[InvoiceUpdate]:
        """Watch an invoice."""
        watch = info.context.cashier.watching.invoice
        return Updates(
            info,
            after_version,
            lambda after: watch(by.to_name(), after),
            lambda known, kind: InvoiceUpdate(kind=kind, invoice=Invoice.of(known)),
        )


def _payload(result: Result[ledger.Invoice] | None, errors: list[UserError]) -> InvoicePayload:
    return InvoicePayload(
        invoice=Invoice.of(result.value) if result else None,
        replayed=result.replayed if result else False,
        errors=errors,
    )
