"""Changes of invoices that EPoint has: record the intention, tell EPoint once per key, record what it said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.commands import Call, Result
from gql_epoint.cashier.desk import Books, by_gateway, gateway_is_away, gateway_said_no
from gql_epoint.cashier.idempotency import earlier_object, use_key
from gql_epoint.cashier.invoice_orders import (
    InvoiceTerms,
    checked_phone,
    checked_terms,
    read_images,
    update_request,
    with_terms,
)
from gql_epoint.cashier.invoices import invoice_refused, known_invoice
from gql_epoint.cashier.transfer_orders import check_email
from gql_epoint.cashier.validation import check_call, invalid
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
from gql_epoint.ledger.invoice import Invoice, InvoiceStatus, ask_soon, invoice_event
from gql_epoint.ledger.words import said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit


class InvoiceChanges:
    """What can be done with an invoice that waits for its payment."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def update(self, call: Call, invoice_id: str, terms: InvoiceTerms) -> Result[Invoice]:
        """Change an invoice that waits for its payment, at most once per key.

        EPoint is told all of it again, so a change whose answer is lost can be repeated with another key.
        """
        check_call(call)
        terms = checked_terms(terms)
        images = read_images(terms.images)

        def intend(invoice: Invoice) -> Invoice:
            return msgspec.structs.replace(invoice, pending_amount=terms.amount)

        def done(invoice: Invoice) -> Invoice:
            return msgspec.structs.replace(with_terms(invoice, terms), pending_amount=None)

        async def tell(invoice: Invoice) -> Reply:
            request = update_request(invoice, terms)
            return await self._books.gateway.call(
                UPDATE_INVOICE, request, timeout_s=self._books.call_limit_s, files=images
            )

        return await self._change(call, invoice_id, intend, tell, done, "to change this invoice")

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

        def check(invoice: Invoice) -> Invoice:
            if phone is None and invoice.phone is None:
                raise invalid("must be given, because the invoice has none", "phone")
            return invoice

        return await self._change(call, invoice_id, check, tell, _same, "to send this invoice")

    async def send_by_email(self, call: Call, invoice_id: str, email: str | None) -> Result[Invoice]:
        """Send the link by e-mail, to the invoice's own address if none is given, at most once per key."""
        check_call(call)
        check_email(email, "email")

        async def tell(invoice: Invoice) -> Reply:
            request = InvoiceEmailRequest(
                id=to_gateway_id(invoice.gateway_id or ""), email=email or invoice.email or ""
            )
            return await self._books.gateway.call(SEND_INVOICE_EMAIL, request, timeout_s=self._books.call_limit_s)

        def check(invoice: Invoice) -> Invoice:
            if email is None and invoice.email is None:
                raise invalid("must be given, because the invoice has none", "email")
            return invoice

        return await self._change(call, invoice_id, check, tell, _same, "to send this invoice")

    async def _change(
        self,
        call: Call,
        invoice_id: str,
        intend: Callable[[Invoice], Invoice],
        tell: Callable[[Invoice], Awaitable[Reply]],
        done: Callable[[Invoice], Invoice],
        what: str,
    ) -> Result[Invoice]:
        """Do something with an invoice that waits: record the intention, tell EPoint once, record what it said."""

        async def begin(unit: Unit) -> tuple[Invoice, bool]:
            earlier = await earlier_object(unit, call)
            found = await unit.invoice(earlier or invoice_id)
            if found is None:
                raise RefusedError(ErrorCode.NOT_FOUND, "There is no such invoice.", ("input", "invoiceId"))
            if earlier is not None:
                return found, True
            if found.status is not InvoiceStatus.WAITING_FOR_PAYMENT or found.gateway_id is None:
                raise invalid(f"names one that is {found.status}; it must be WAITING_FOR_PAYMENT", "invoiceId")
            intended = intend(found)
            await unit.save_invoice(intended)
            await use_key(unit, call, found.id)
            reached("invoice.changing")
            return intended, False

        async def work(invoice: Invoice) -> Result[Invoice]:
            correlation.transaction_id.set(invoice.id)
            try:
                reply = await tell(invoice)
            except GatewayRefusedError as exc:
                return Result(value=await self._changed(invoice, call, _undone), error=invoice_refused(exc))
            except GatewayError as exc:
                if exc.money_may_have_moved:
                    return Result(value=await self._changed(invoice, call, _same), error=gateway_is_away(exc))
                return Result(value=await self._changed(invoice, call, _undone), error=gateway_is_away())
            reached("invoice.told")
            if reply.status != "success":
                after = await self._changed(invoice, call, _undone if reply.status == "error" else _same)
                return Result(value=after, error=gateway_said_no(said(reply), what))
            return Result(value=await self._changed(invoice, call, done))

        invoice, replayed = await self._books.write(begin)
        if replayed:
            return Result(value=invoice, replayed=True)
        reached("invoice.intended")
        return await self._books.own(work(invoice))

    async def _changed(self, invoice: Invoice, call: Call, how: Callable[[Invoice], Invoice]) -> Invoice:
        """Write down what became of a change; a customer who was just told may pay soon."""

        async def work(unit: Unit) -> Invoice:
            known = await known_invoice(unit, invoice.id)
            after = how(known)
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


def _seen(invoice: Invoice) -> Invoice:
    """Return what of an invoice its readers see change."""
    return msgspec.structs.replace(invoice, pending_amount=None, ask_at=None, asks=0)


def _same(invoice: Invoice) -> Invoice:
    return invoice


def _undone(invoice: Invoice) -> Invoice:
    return msgspec.structs.replace(invoice, pending_amount=None)
