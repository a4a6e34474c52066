"""Changes of invoices that EPoint has: record the intention, tell EPoint once per key, record what it said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import NamedTuple

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.commands import Call, Result
from gql_epoint.cashier.desk import Books, by_gateway, by_operator, gateway_is_away, gateway_said_no
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.invoice_orders import (
    InvoiceTerms,
    checked_phone,
    checked_terms,
    read_images,
    update_request,
    with_terms,
)
from gql_epoint.cashier.invoices import invoice_refused, known_invoice, save_change, settle_lost_invoice
from gql_epoint.cashier.resolutions import Subject, decide
from gql_epoint.cashier.transfer_orders import check_email, checked_amount
from gql_epoint.cashier.validation import AMOUNT_MAX, check_call, check_note, invalid
from gql_epoint.epoint.invoices import (
    SEND_INVOICE_EMAIL,
    SEND_INVOICE_SMS,
    UPDATE_INVOICE,
    InvoiceEmailRequest,
    InvoiceSmsRequest,
    to_gateway_id,
)
from gql_epoint.epoint.wire import Reply
from gql_epoint.errors import ErrorCode, GatewayError, GatewayRefusedError, RefusedError
from gql_epoint.ledger.invoice import (
    Invoice,
    InvoiceStatus,
    ask_soon,
    begin_change,
    drop_change,
    end_change,
    invoice_event,
    is_changing,
    is_latest_change,
    resolve_invoice,
)
from gql_epoint.ledger.words import said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit

_INVOICE = Subject[Invoice]("invoice", "invoiceId", lambda unit, name: unit.invoice(name))


class InvoiceChanges:
    """What can be done with an invoice that waits for its payment."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def update(self, call: Call, invoice_id: str, terms: InvoiceTerms) -> Result[Invoice]:
        """Change an invoice that waits for its payment, at most once per key, and one change at a time.

        EPoint is told all of it again, so a change whose answer is lost can be repeated with another key, once the
        lost one cannot arrive any more. Of two on their way at once, nobody could tell which EPoint has.
        """
        check_call(call)
        terms = checked_terms(terms)
        images = read_images(terms.images)

        def intend(invoice: Invoice, now: datetime) -> Invoice:
            if is_changing(invoice, now):
                raise RefusedError(
                    ErrorCode.INVOICE_IN_PROGRESS,
                    "Another change of this invoice is under way, or its answer was just lost. Try again later.",
                    ("input", "invoiceId"),
                )
            return begin_change(invoice, terms.amount, now, now + self._books.deadline)

        def done(invoice: Invoice) -> Invoice:
            return end_change(invoice, with_terms(invoice, terms))

        async def tell(invoice: Invoice) -> Reply:
            request = update_request(invoice, terms)
            return await self._books.gateway.call(
                UPDATE_INVOICE, request, timeout_s=self._books.call_limit_s, files=images
            )

        return await self._change(call, invoice_id, _Way(intend, tell, done, drop_change, "to change this invoice"))

    async def send_by_sms(self, call: Call, invoice_id: str, phone: str | None) -> Result[Invoice]:
        """Send the link to a phone, the invoice's own if none is given, at most once per key."""
        check_call(call)
        phone = None if phone is None else checked_phone(phone, "phone")

        async def tell(invoice: Invoice) -> Reply:
            to = phone or invoice.phone
            if to is None:
                raise invalid("must be given, because the invoice has none", "phone")
            request = InvoiceSmsRequest(id=to_gateway_id(invoice.gateway_id or ""), phone=to)
            return await self._books.gateway.call(SEND_INVOICE_SMS, request, timeout_s=self._books.call_limit_s)

        def check(invoice: Invoice, _now: datetime) -> Invoice:
            if phone is None and invoice.phone is None:
                raise invalid("must be given, because the invoice has none", "phone")
            return invoice

        return await self._change(call, invoice_id, _Way(check, tell, _same, _same, "to send this invoice"))

    async def send_by_email(self, call: Call, invoice_id: str, email: str | None) -> Result[Invoice]:
        """Send the link by e-mail, to the invoice's own address if none is given, at most once per key."""
        check_call(call)
        check_email(email, "email")

        async def tell(invoice: Invoice) -> Reply:
            request = InvoiceEmailRequest(
                id=to_gateway_id(invoice.gateway_id or ""), email=email or invoice.email or ""
            )
            return await self._books.gateway.call(SEND_INVOICE_EMAIL, request, timeout_s=self._books.call_limit_s)

        def check(invoice: Invoice, _now: datetime) -> Invoice:
            if email is None and invoice.email is None:
                raise invalid("must be given, because the invoice has none", "email")
            return invoice

        return await self._change(call, invoice_id, _Way(check, tell, _same, _same, "to send this invoice"))

    async def resolve(
        self, call: Call, invoice_id: str, amount: Decimal, currency: str, note: str
    ) -> Result[Invoice]:
        """Write down what a person found to be paid of an invoice that is disputed. Calls nobody."""
        check_call(call)
        check_note(note)
        if currency != "AZN":
            message = f"Invoices are in AZN, not {currency}."
            raise RefusedError(ErrorCode.CURRENCY_NOT_SUPPORTED, message, ("input", "amount", "currency"))
        amount = checked_amount(amount, AMOUNT_MAX, "amount", "amount")

        async def settle(unit: Unit, found: Invoice) -> Invoice:
            if not found.disputed:
                raise invalid("names one that is not in doubt and needs no decision", "invoiceId")
            return await save_change(unit, resolve_invoice(found, amount, by_operator(unit, call.actor, note)))

        return await decide(self._books, call, _INVOICE, invoice_id, settle)

    async def _change(self, call: Call, invoice_id: str, way: _Way) -> Result[Invoice]:
        """Do something with an invoice that waits: record the intention, tell EPoint once, record what it said."""
        return await self._books.own(self._run(call, invoice_id, way))

    async def _run(self, call: Call, invoice_id: str, way: _Way) -> Result[Invoice]:
        started_at = monotonic()
        invoice, replayed = await self._books.write(lambda unit: _begin(unit, call, invoice_id, way))
        if replayed:
            return Result(value=invoice, replayed=True)
        reached("invoice.intended")
        return await self._tell(invoice, call, way, started_at)

    async def _tell(self, invoice: Invoice, call: Call, way: _Way, started_at: float) -> Result[Invoice]:
        correlation.transaction_id.set(invoice.id)
        left_s = self._books.deadline.total_seconds() - (monotonic() - started_at)
        if left_s < self._books.call_limit_s:
            # The process was frozen since it recorded the intention; another change could begin during the call.
            return Result(value=await self._changed(invoice, call, way.undone), error=gateway_is_away())
        try:
            reply = await way.tell(invoice)
        except GatewayRefusedError as exc:
            return Result(value=await self._changed(invoice, call, way.undone), error=invoice_refused(exc))
        except GatewayError as exc:
            if exc.money_may_have_moved:
                return Result(value=await self._changed(invoice, call, _same), error=gateway_is_away(exc))
            return Result(value=await self._changed(invoice, call, way.undone), error=gateway_is_away())
        reached("invoice.told")
        if reply.status != "success":
            after = await self._changed(invoice, call, way.undone if reply.status == "error" else _same)
            return Result(value=after, error=gateway_said_no(said(reply), way.what))
        return Result(value=await self._changed(invoice, call, way.done))

    async def _changed(self, begun: Invoice, call: Call, how: Callable[[Invoice], Invoice]) -> Invoice:
        """Write down what became of a change; a customer who was just told may pay soon."""

        async def work(unit: Unit) -> Invoice:
            known = await known_invoice(unit, begun.id)
            after = how(known) if is_latest_change(known, begun) else known
            if _seen(after) != _seen(known):
                after = msgspec.structs.replace(after, version=known.version + 1, updated_at=unit.now)
                await unit.insert_event(invoice_event(after, known.status, by_gateway(unit, call.actor)))
            if not after.status.is_final:
                after = ask_soon(after, unit.now)
            await unit.save_invoice(after)
            return after

        changed = await self._books.write_answer(work)
        reached("invoice.changed")
        return changed


class _Way(NamedTuple):
    """How something is done with an invoice: what is written before, during and after EPoint is told."""

    intend: Callable[[Invoice, datetime], Invoice]
    tell: Callable[[Invoice], Awaitable[Reply]]
    done: Callable[[Invoice], Invoice]
    undone: Callable[[Invoice], Invoice]
    what: str


async def _begin(unit: Unit, call: Call, invoice_id: str, way: _Way) -> tuple[Invoice, bool]:
    earlier = await earlier_object(unit, call)
    found = await unit.invoice(earlier or invoice_id)
    if found is None:
        raise RefusedError(ErrorCode.NOT_FOUND, "There is no such invoice.", ("input", "invoiceId"))
    if found.call_deadline is not None and found.call_deadline <= unit.now:
        found = await settle_lost_invoice(unit, found)
    if earlier is not None:
        is_overdue(found.call_deadline, unit.now)
        return found, True
    if found.status is not InvoiceStatus.WAITING_FOR_PAYMENT or found.gateway_id is None:
        raise invalid(f"names one that is {found.status}; it must be WAITING_FOR_PAYMENT", "invoiceId")
    intended = way.intend(found, unit.now)
    await unit.save_invoice(intended)
    await use_key(unit, call, found.id)
    reached("invoice.changing")
    return intended, False


def _seen(invoice: Invoice) -> Invoice:
    """Return what of an invoice its readers see change."""
    return msgspec.structs.replace(invoice, pending_amount=None, call_deadline=None, ask_at=None, asks=0)


def _same(invoice: Invoice) -> Invoice:
    return invoice
