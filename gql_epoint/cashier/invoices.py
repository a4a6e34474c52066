"""Invoices: make one once, change and send it, and ask EPoint whether it is paid, for EPoint does not tell.

The answer to a creation may be lost. Then the invoice is INDETERMINATE, and EPoint's list is looked through for the
reference that only this invoice has. The same key makes no other one, whatever becomes of it. Another key does, for
the same order too, which may have many invoices: that is the merchant's decision. To refuse it would lock the order
for good, as EPoint's list proves nothing by what it lacks; and of what was lost, no customer was sent anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from time import monotonic
from typing import Any

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.commands import Call, Result
from gql_epoint.cashier.desk import Books, by_api, by_gateway, by_reconciler, gateway_is_away, gateway_said_no
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.invoice_orders import (
    InvoiceTerms,
    check_order,
    checked_terms,
    create_request,
    read_images,
    with_terms,
)
from gql_epoint.cashier.validation import check_call
from gql_epoint.epoint.invoices import (
    CREATE_INVOICE,
    LIST_INVOICES,
    VIEW_INVOICE,
    GatewayInvoice,
    InvoiceListReply,
    InvoiceListRequest,
    InvoiceViewReply,
    InvoiceViewRequest,
    read_invoice,
    read_invoices,
    to_gateway_id,
)
from gql_epoint.epoint.wire import Reply, Upload
from gql_epoint.errors import ErrorCode, GatewayError, GatewayRefusedError, RefusedError
from gql_epoint.ledger import ids
from gql_epoint.ledger.events import Provenance
from gql_epoint.ledger.invoice import (
    Invoice,
    InvoiceChange,
    InvoiceNews,
    InvoiceStatus,
    after_invoice_ask,
    apply_invoice,
    invoice_event,
    invoice_news,
)
from gql_epoint.ledger.schedule import JITTER_BYTES, spread
from gql_epoint.ledger.transaction import Failure
from gql_epoint.ledger.words import TEMPORARY_FAILURE, failure_from, is_misconfigured, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Reader, Unit

_REFERENCE_LETTERS = 10


class InvoiceBy(msgspec.Struct, frozen=True, kw_only=True):
    """One of the names of an invoice; exactly one is set."""

    id: str | None = None
    order_id: str | None = None
    gateway_id: str | None = None


class InvoiceDesk:
    """The use cases of invoices."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def find(self, by: InvoiceBy) -> Invoice | None:
        """Find an invoice; EPoint is not asked."""
        return await self._books.read(lambda reader: find_invoice(reader, by))

    async def at_gateway(self, kind: str, *, newest_first: bool) -> list[GatewayInvoice]:
        """Ask EPoint for all invoices of a kind, ours or not. Raises GatewayError or RefusedError."""
        request = InvoiceListRequest(type=kind, order="desc" if newest_first else "asc")
        try:
            reply = await self._books.gateway.call(LIST_INVOICES, request)
        except GatewayRefusedError as exc:
            raise invoice_refused(exc) from exc
        if reply.status != "success":
            raise gateway_said_no(said(reply), "to list invoices")
        return read_invoices(reply.invoices)

    async def create(self, call: Call, order_id: str, terms: InvoiceTerms) -> Result[Invoice]:
        """Make an invoice once. The same call again returns it as it is by then.

        Raises RefusedError and its kin; then nothing is recorded and the key is not used.
        """
        check_call(call)
        check_order(order_id)
        terms = checked_terms(terms)
        images = read_images(terms.images)
        return await self._books.own(self._run(call, order_id, terms, images))

    async def refresh(self, by: InvoiceBy, actor: str) -> Result[Invoice]:
        """Ask EPoint for the truth now. Raises RefusedError(NOT_FOUND)."""
        found = await self.find(by)
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such invoice.", ("by",))
        try:
            reply = await _ask(self._books, found, self._books.call_limit_s)
        except GatewayRefusedError as exc:
            return Result(value=found, error=invoice_refused(exc))
        except GatewayError as exc:
            return Result(value=found, error=gateway_is_away(exc))
        reached("invoice.refreshed")

        async def work(unit: Unit) -> Invoice:
            known = await known_invoice(unit, found.id)
            if known.call_deadline is not None and known.call_deadline <= unit.now:
                known = await settle_lost_invoice(unit, known)
            return await _hear_reply(unit, known, found, reply, by_gateway(unit, actor))

        after = await self._books.write_answer(work)
        if reply is None or reply.status == "success":
            return Result(value=after)
        return Result(value=after, error=gateway_said_no(said(reply), "to answer"))

    async def _run(
        self, call: Call, order_id: str, terms: InvoiceTerms, images: Sequence[Upload]
    ) -> Result[Invoice]:
        started_at = monotonic()
        invoice, replayed = await self._books.write(lambda unit: self._begin(unit, call, order_id, terms))
        if replayed:
            return Result(value=invoice, replayed=True)
        reached("invoice.recorded")
        return await self._create(invoice, call, terms, images, started_at)

    async def _begin(self, unit: Unit, call: Call, order_id: str, terms: InvoiceTerms) -> tuple[Invoice, bool]:
        object_id = await earlier_object(unit, call)
        if object_id is not None:
            earlier = await known_invoice(unit, object_id)
            if earlier.status is InvoiceStatus.NEW and is_overdue(earlier.call_deadline, unit.now):
                earlier = await settle_lost_invoice(unit, earlier)
            return earlier, True
        invoice_id = self._books.new_id(ids.INVOICE, unit)
        invoice = Invoice(
            id=invoice_id,
            status=InvoiceStatus.NEW,
            version=1,
            order_id=order_id,
            # Nothing else may have it: by this it is found in EPoint's list when the answer is lost.
            reference=f"{order_id}-{invoice_id[-_REFERENCE_LETTERS:]}",
            amount=terms.amount,
            currency=terms.currency,
            period_from="",
            period_to="",
            created_at=unit.now,
            updated_at=unit.now,
            call_deadline=unit.now + self._books.deadline,
        )
        invoice = with_terms(invoice, terms)
        await unit.insert_invoice(invoice)
        await unit.insert_event(invoice_event(invoice, None, by_api(unit, call.actor)))
        await use_key(unit, call, invoice.id)
        reached("invoice.recording")
        return invoice, False

    async def _create(
        self, invoice: Invoice, call: Call, terms: InvoiceTerms, images: Sequence[Upload], started_at: float
    ) -> Result[Invoice]:
        correlation.transaction_id.set(invoice.id)
        left_s = self._books.deadline.total_seconds() - (monotonic() - started_at)
        try:
            if left_s < self._books.call_limit_s:
                # The process was frozen since it recorded the order; the deadline could pass during the call.
                return await self._record(invoice, InvoiceNews.NOT_SENT, call, TEMPORARY_FAILURE, gateway_is_away())
            reached("invoice.calling")
            reply = await self._books.gateway.call(
                CREATE_INVOICE, create_request(invoice, terms), timeout_s=self._books.call_limit_s, files=images
            )
        except GatewayRefusedError as exc:
            failure = failure_from(said(Reply(status="error", message=exc.message)))
            return await self._record(invoice, InvoiceNews.REFUSED, call, failure, invoice_refused(exc))
        except GatewayError as exc:
            if exc.money_may_have_moved:
                return await self._record(invoice, InvoiceNews.LOST, call)
            return await self._record(invoice, InvoiceNews.NOT_SENT, call, TEMPORARY_FAILURE, gateway_is_away())
        reached("invoice.answered")
        if reply.status == "success" and reply.id is not None:
            return await self._record(invoice, InvoiceNews.CREATED, call, gateway_id=reply.id)
        if reply.status == "error" or is_misconfigured(said(reply)):
            failure = failure_from(said(reply))
            error = gateway_said_no(said(reply), "this invoice")
            return await self._record(invoice, InvoiceNews.REFUSED, call, failure, error)
        return await self._record(invoice, InvoiceNews.LOST, call)

    async def _record(
        self,
        invoice: Invoice,
        news: InvoiceNews,
        call: Call,
        failure: Failure | None = None,
        error: RefusedError | None = None,
        gateway_id: str | None = None,
    ) -> Result[Invoice]:
        async def work(unit: Unit) -> Invoice:
            known = await known_invoice(unit, invoice.id)
            by = by_gateway(unit, call.actor)
            if gateway_id is not None:
                after = await _named(unit, known, gateway_id, by)
            else:
                after = await _hear(unit, known, news, by, failure)
            reached("invoice.answering")
            return after

        after = await self._books.write_answer(work)
        reached("invoice.settled")
        return Result(value=after, error=error)


async def ask_invoice(books: Books, invoice: Invoice, limit_s: float) -> None:
    """Ask EPoint about an invoice whose question is due, and schedule the next one."""
    correlation.transaction_id.set(invoice.id)
    reply: InvoiceViewReply | InvoiceListReply | None = None
    with contextlib.suppress(GatewayError):
        reply = await _ask(books, invoice, limit_s)
    reached("invoice.asked")

    async def work(unit: Unit) -> None:
        known = await known_invoice(unit, invoice.id)
        known = await _hear_reply(unit, known, invoice, reply, by_reconciler(unit))
        scheduled = after_invoice_ask(known, unit.now)
        ask_at = spread(scheduled.ask_at, unit.now, books.random(JITTER_BYTES))
        await unit.save_invoice(msgspec.structs.replace(scheduled, ask_at=ask_at))

    await books.write_answer(work)
    reached("invoice.applied")


async def settle_lost_invoice(unit: Unit, invoice: Invoice) -> Invoice:
    """A deadline passed without an answer: EPoint's list will tell."""
    return await _hear(unit, invoice, InvoiceNews.LOST, by_reconciler(unit))


async def find_invoice(reader: Reader, by: InvoiceBy) -> Invoice | None:
    """Find an invoice by whichever name is given."""
    if by.id is not None:
        return await reader.invoice(by.id)
    if by.order_id is not None:
        return await reader.invoice_by_order(by.order_id)
    return await reader.invoice_by_gateway_id(by.gateway_id or "")


async def _ask(books: Books, invoice: Invoice, limit_s: float) -> InvoiceViewReply | InvoiceListReply | None:
    """Ask by EPoint's id, or look through its list while there is none."""
    if invoice.gateway_id is not None:
        request = InvoiceViewRequest(id=to_gateway_id(invoice.gateway_id))
        return await books.gateway.call(VIEW_INVOICE, request, timeout_s=limit_s)
    if invoice.status is InvoiceStatus.INDETERMINATE:
        listing = InvoiceListRequest(type="outgoing", order="desc")
        return await books.gateway.call(LIST_INVOICES, listing, timeout_s=limit_s)
    return None


async def _hear_reply(
    unit: Unit, invoice: Invoice, asked: Invoice, reply: InvoiceViewReply | InvoiceListReply | None, by: Provenance
) -> Invoice:
    """Apply EPoint's record of an invoice, which was `asked` for as it was then."""
    is_recent = invoice.version == asked.version
    if reply is None or reply.status != "success":
        return invoice
    if isinstance(reply, InvoiceListReply):
        # That the list does not have it proves nothing: nobody documents how much of it EPoint shows.
        same = [told for told in read_invoices(reply.invoices) if told.merchant_order_id == invoice.reference]
        if len(same) != 1 or same[0].id is None:
            return invoice
        told: GatewayInvoice | None = same[0]
        invoice = await _named(unit, invoice, same[0].id, by)
    else:
        told = read_invoice(reply.invoice)
    if told is None or invoice.gateway_id is None:
        return invoice
    invoice = msgspec.structs.replace(invoice, gateway_trace_id=reply.trace_id or invoice.gateway_trace_id)
    change = apply_invoice(invoice, invoice_news(invoice, told), by, told=told, is_recent=is_recent)
    return await save_change(unit, change)


async def _named(unit: Unit, invoice: Invoice, gateway_id: str, by: Provenance) -> Invoice:
    """EPoint has given it an id. One that another invoice has is an answer that cannot be believed."""
    owner = await unit.invoice_by_gateway_id(gateway_id)
    if owner is not None and owner.id != invoice.id:
        return await _hear(unit, invoice, InvoiceNews.LOST, by)
    named = msgspec.structs.replace(invoice, gateway_id=invoice.gateway_id or gateway_id)
    return await _hear(unit, named, InvoiceNews.CREATED, by)


async def _hear(
    unit: Unit, invoice: Invoice, news: InvoiceNews, by: Provenance, failure: Failure | None = None
) -> Invoice:
    return await save_change(unit, apply_invoice(invoice, news, by, failure=failure))


async def save_change(unit: Unit, change: InvoiceChange) -> Invoice:
    """Write a change down."""
    await unit.save_invoice(change.invoice)
    for event in change.events:
        await unit.insert_event(event)
    return change.invoice


async def known_invoice(unit: Unit, invoice_id: str) -> Invoice:
    """Return an invoice that must be there."""
    invoice = await unit.invoice(invoice_id)
    assert invoice is not None
    return invoice


def invoice_refused(exc: GatewayRefusedError) -> RefusedError:
    """The error beside an invoice, or instead of a list, that EPoint refused by an HTTP status."""
    words = f" EPoint says: {exc.message}" if exc.message else ""
    known: dict[int, Any] = {
        401: "EPoint does not accept this service's keys (HTTP 401).",
        403: "EPoint has not granted this merchant invoices (HTTP 403). Ask EPoint for it.",
        404: "EPoint does not know this invoice (HTTP 404).",
    }
    default = f"EPoint refused this (HTTP {exc.http_status})."
    return RefusedError(ErrorCode.GATEWAY_REFUSED, known.get(exc.http_status, default) + words)
