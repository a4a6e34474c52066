"""Invoices: EPoint's desk for them, the page on which a customer pays, and an outbox for SMS and e-mails."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gql_epoint.epoint.callback import read_envelope
from gql_epoint.epoint.signing import Sealed
from gql_epoint.errors import UnreadableError
from gql_epoint.simulator.bank import APPROVED, message_of, outcome_of
from gql_epoint.simulator.books import Image, Invoice, InvoiceState, Sent
from gql_epoint.simulator.pages import CONTENT_SECURITY_POLICY, invoice_page, notice_page
from gql_epoint.simulator.request import Call, DeskError
from gql_epoint.simulator.state import State

BODY_BYTES_MAX = 8 * 1024 * 1024
IMAGES_MAX = 20

_SUFFIXES = ("jpg", "png", "jpeg", "svg", "bmp")
_PHONE = re.compile(r"\+?\d{7,15}", re.ASCII)
_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})', re.IGNORECASE | re.ASCII)
_FILE_NAME = re.compile(rb'filename="?([^"\r\n;]{1,200})', re.IGNORECASE)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def create_invoice(call: Call) -> dict[str, Any]:
    """Write down a new invoice."""
    state = call.state
    invoice = Invoice(
        id=state.books.next_invoice_id(),
        merchant=call.merchant.public_key,
        at=state.clock(),
        page=state.new_page_name(),
        **_terms(call),
    )
    state.books.add_invoice(invoice)
    state.changes.ring(invoice=invoice.id)
    return {"status": "success", "id": invoice.id, "message": "Invoice created"}


def update_invoice(call: Call) -> dict[str, Any]:
    """Replace all of an invoice."""
    invoice = _own(call)
    if invoice.state != "waiting_for_payment":
        raise DeskError("error", "The invoice can not be changed")
    for name, value in _terms(call).items():
        if name != "images" or value:
            setattr(invoice, name, value)
    settled(call.state, invoice)
    return {"status": "success", "message": "Invoice updated"}


def view_invoice(call: Call) -> dict[str, Any]:
    """Show an invoice."""
    return {"status": "success", "invoice": _shown(_own(call))}


def list_invoices(call: Call) -> dict[str, Any]:
    """Show all invoices of the merchant; nobody here has sent it any."""
    kind, order = call.text("type") or "outgoing", call.text("order") or "desc"
    if kind not in ("incoming", "outgoing", "static") or order not in ("asc", "desc"):
        raise DeskError("error", "The type or order field is invalid.")
    ours = [row for row in call.state.books.invoices if row.merchant == call.merchant.public_key]
    shown = [_shown(row) for row in ours] if kind == "outgoing" else []
    return {"status": "success", "invoices": shown[::-1] if order == "desc" else shown}


def send_sms(call: Call) -> dict[str, Any]:
    """Put the link into the outbox."""
    return _send(call, "sms", call.text("phone") or "", valid=bool(_PHONE.fullmatch(call.text("phone") or "")))


def send_email(call: Call) -> dict[str, Any]:
    """Put the link into the outbox."""
    return _send(call, "email", call.text("email") or "", valid="@" in (call.text("email") or ""))


def settled(state: State, invoice: Invoice, word: InvoiceState | None = None) -> None:
    """Write down that an invoice has changed, perhaps to another state."""
    invoice.state = word or invoice.state
    state.books.changed = True
    state.changes.ring(invoice=invoice.id)


def read_parts(content_type: str, raw: bytes) -> tuple[Sealed, tuple[Image, ...]]:
    """Read a body that may hold images beside the envelope. Raises UnreadableError, or DeskError for an image."""
    mark = _mark(content_type)
    if mark is None:
        return read_envelope(content_type, raw), ()
    parts = raw.split(mark)
    if len(parts) > IMAGES_MAX + 4:
        raise UnreadableError("too many parts")
    files = [part for part in parts if _FILE_NAME.search(part.partition(b"\r\n\r\n")[0])]
    envelope = mark.join(part for part in parts if part not in files)
    return read_envelope(content_type, envelope), tuple(map(_image, files))


def without_images(content_type: str, raw: bytes) -> tuple[bytes, bytes]:
    """Return a body, or the beginning of one, as it is without images, and as it is with their lengths instead."""
    mark = _mark(content_type)
    if mark is None:
        return raw, raw
    kept, shown = [], []
    for part in raw.split(mark):
        head, gap, content = part.partition(b"\r\n\r\n")
        if _FILE_NAME.search(head):
            shown.append(b"%b%b(%d bytes)\r\n" % (head, gap, len(content.removesuffix(b"\r\n"))))
        else:
            kept.append(part)
            shown.append(part)
    if not kept[-1].startswith(b"--"):
        kept.append(b"--\r\n")
        shown.append(b"\r\n(the rest was not read)\r\n")
    return mark.join(kept), mark.join(shown)


def invoice_routes(state: State) -> list[Route]:
    """Return the page that the link of an invoice leads to."""
    page = _InvoicePage(state)
    return [
        Route("/invoice/{page}", page.show, methods=["GET"]),
        Route("/invoice/{page}", page.act, methods=["POST"]),
    ]


class _InvoicePage:
    """What a customer can open and press."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def show(self, request: Request) -> Response:
        invoice = self._state.books.invoice_page(request.path_params["page"])
        if invoice is None:
            return HTMLResponse(notice_page("Not found", "There is no such invoice."), 404, _HEADERS)
        return HTMLResponse(invoice_page(invoice), 200, _HEADERS)

    async def act(self, request: Request) -> Response:
        """Take the customer's card number. A decline can be followed by another card."""
        invoice = self._state.books.invoice_page(request.path_params["page"])
        if invoice is None:
            return HTMLResponse(notice_page("Not found", "There is no such invoice."), 404, _HEADERS)
        form = parse_qs((await request.body())[:4096].decode("ascii", "replace"), max_num_fields=10)
        if invoice.state == "waiting_for_payment":
            try:
                code = outcome_of(form.get("card_number", [""])[0]).code
            except ValueError as exc:
                return HTMLResponse(invoice_page(invoice, str(exc)), 422, _HEADERS)
            if code != APPROVED:
                return HTMLResponse(invoice_page(invoice, message_of(code, "en")), 200, _HEADERS)
            settled(self._state, invoice, "paid")
        return RedirectResponse(str(request.url), 303, _HEADERS)


def _send(call: Call, channel: str, to: str, *, valid: bool) -> dict[str, Any]:
    invoice = _own(call)
    if not valid:
        raise DeskError("error", f"The {'phone' if channel == 'sms' else 'email'} field is invalid.")
    link = f"{call.pages}/invoice/{invoice.page}"
    sent = Sent(at=call.state.clock(), channel=channel, to=to, invoice=invoice.id, link=link)
    call.state.books.add_sent(sent)
    call.state.changes.ring(invoice=invoice.id)
    return {"status": "success", "message": "Sent"}


def _own(call: Call) -> Invoice:
    text = call.text("id") or ""
    invoice = call.state.books.invoice(int(text)) if text.isdigit() else None
    if invoice is None or invoice.merchant != call.merchant.public_key:
        raise DeskError("error", "Invoice not found")
    return invoice


def _terms(call: Call) -> dict[str, Any]:
    total = call.amount("sum")
    if total is None or total <= 0:
        raise DeskError("error", "The sum field is invalid.")
    for name in ("display", "save_as_template"):
        if call.text(name) not in ("0", "1"):
            raise DeskError("error", f"The {name} field is invalid.")
    names = ("name", "description", "phone", "email", "inn", "contract_number", "merchant_order_id")
    return {
        "sum": total,
        "period_from": _day(call, "period_from"),
        "period_to": _day(call, "period_to"),
        "images": list(call.images),
        **{name: call.text(name) for name in names},
    }


def _day(call: Call, name: str) -> str:
    try:
        return date.fromisoformat(call.text(name) or "").isoformat()
    except ValueError:
        raise DeskError("error", f"The {name} field is invalid.") from None


def _shown(invoice: Invoice) -> dict[str, Any]:
    """What EPoint shows of an invoice is documented nowhere; these are its own names of the request."""
    shown: dict[str, Decimal | str | int | None] = {
        "id": invoice.id,
        "status": invoice.state,
        "sum": invoice.sum,
        "merchant_order_id": invoice.merchant_order_id,
        "name": invoice.name,
        "description": invoice.description,
        "period_from": invoice.period_from,
        "period_to": invoice.period_to,
        "created_at": invoice.at.strftime("%Y-%m-%d %H:%M:%S"),
    }
    return shown


def _mark(content_type: str) -> bytes | None:
    """Return what stands between the parts of a body; None if it has none."""
    boundary = _BOUNDARY.search(content_type) if content_type.lower().startswith("multipart/") else None
    return None if boundary is None else b"--" + boundary[1].encode("ascii")


def _image(part: bytes) -> Image:
    head, _, content = part.partition(b"\r\n\r\n")
    found = _FILE_NAME.search(head)
    assert found is not None
    name = found[1].decode("utf-8", "replace")
    if b"invoice_images[]" not in head or name.rpartition(".")[2].lower() not in _SUFFIXES:
        raise DeskError("error", "The invoice_images field is invalid.")
    content = content.removesuffix(b"\r\n")
    return Image(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


HANDLERS = {
    "create_invoice": create_invoice,
    "update_invoice": update_invoice,
    "view_invoice": view_invoice,
    "list_invoices": list_invoices,
    "send_invoice_sms": send_sms,
    "send_invoice_email": send_email,
}
"""One function per operation on invoices, by the operation's name."""
