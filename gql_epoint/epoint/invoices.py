"""EPoint's invoices: a bill with a link, sent by SMS or e-mail, which the customer pays on EPoint's page.

EPoint documents the requests (v1.0.3), not the replies: what an invoice holds is known from public clients and
guesses, so every field of it may be missing, and more may come. No callback tells that one was paid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from gql_epoint.epoint.reading import read_object
from gql_epoint.epoint.wire import Kind, Operation, Reply, Request


class InvoiceRequest(Request, frozen=True, kw_only=True):
    """A new invoice. Flags are 1 or 0, dates are YYYY-MM-DD; `inn` is the customer's taxpayer number."""

    sum: Decimal
    display: int
    save_as_template: int
    period_from: str
    period_to: str
    status_installment: int | None = None
    name: str | None = None
    description: str | None = None
    phone: str | None = None
    email: str | None = None
    inn: str | None = None
    contract_number: str | None = None
    merchant_order_id: str | None = None


class InvoiceUpdateRequest(InvoiceRequest, frozen=True, kw_only=True):
    """All of an invoice again, as it shall be; `id` is EPoint's."""

    id: int | str


class InvoiceViewRequest(Request, frozen=True, kw_only=True):
    """A question about one invoice."""

    id: int | str


class InvoiceListRequest(Request, frozen=True, kw_only=True):
    """A question about all invoices: `type` is incoming, outgoing or static, `order` asc or desc."""

    type: str | None = None
    order: str | None = None


class InvoiceSmsRequest(Request, frozen=True, kw_only=True):
    """Send the link of an invoice to a phone."""

    id: int | str
    phone: str


class InvoiceEmailRequest(Request, frozen=True, kw_only=True):
    """Send the link of an invoice by e-mail."""

    id: int | str
    email: str


class InvoiceCreatedReply(Reply, frozen=True, kw_only=True):
    """EPoint's id of a new invoice."""

    id: str | None = None


class InvoiceViewReply(Reply, frozen=True, kw_only=True):
    """One invoice, of any shape: see `read_invoice`."""

    invoice: Any = None


class InvoiceListReply(Reply, frozen=True, kw_only=True):
    """Many invoices, of any shape: see `read_invoices`."""

    invoices: Any = None


class GatewayInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """What is understood of an invoice. `status` is EPoint's own word, an open vocabulary."""

    id: str | None = None
    status: str | None = None
    sum: Decimal | None = None
    merchant_order_id: str | None = None
    name: str | None = None
    description: str | None = None
    period_from: str | None = None
    period_to: str | None = None


def read_invoice(value: Any) -> GatewayInvoice | None:
    """Read one invoice; None if it is not an object."""
    return read_object(value, GatewayInvoice) if isinstance(value, dict) else None


def read_invoices(value: Any) -> list[GatewayInvoice]:
    """Read a list of invoices, or the `data` of a page of them, as the framework of EPoint wraps lists."""
    if isinstance(value, dict):
        value = value.get("data")
    read = [read_invoice(item) for item in value] if isinstance(value, list) else []
    return [invoice for invoice in read if invoice is not None]


def to_gateway_id(text: str) -> int | str:
    """Return an id as EPoint's clients send it: a number where it is one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else text


CREATE_INVOICE = Operation(
    name="create_invoice",
    path="/api/1/invoices/create",
    request=InvoiceRequest,
    reply=InvoiceCreatedReply,
    kind=Kind.WRITE,
    refuses_by_status=True,
)
UPDATE_INVOICE = Operation(
    name="update_invoice",
    path="/api/1/invoices/update",
    request=InvoiceUpdateRequest,
    reply=Reply,
    kind=Kind.WRITE,
    refuses_by_status=True,
)
VIEW_INVOICE = Operation(
    name="view_invoice",
    path="/api/1/invoices/view",
    request=InvoiceViewRequest,
    reply=InvoiceViewReply,
    kind=Kind.LOOKUP,
    refuses_by_status=True,
)
LIST_INVOICES = Operation(
    name="list_invoices",
    path="/api/1/invoices/list",
    request=InvoiceListRequest,
    reply=InvoiceListReply,
    kind=Kind.LOOKUP,
    refuses_by_status=True,
)
SEND_INVOICE_SMS = Operation(
    name="send_invoice_sms",
    path="/api/1/invoices/send-sms",
    request=InvoiceSmsRequest,
    reply=Reply,
    kind=Kind.WRITE,
    refuses_by_status=True,
)
SEND_INVOICE_EMAIL = Operation(
    name="send_invoice_email",
    path="/api/1/invoices/send-email",
    request=InvoiceEmailRequest,
    reply=Reply,
    kind=Kind.WRITE,
    refuses_by_status=True,
)
