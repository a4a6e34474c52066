"""Invoices as the merchant orders them: refuse what EPoint could not take, and write the rest in its words."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from gql_epoint.cashier.transfer_orders import TEXT_MAX, check_email, check_tin, checked_amount
from gql_epoint.cashier.validation import AMOUNT_MAX, DESCRIPTION_MAX, check_text, invalid
from gql_epoint.epoint.invoices import InvoiceRequest, InvoiceUpdateRequest, to_gateway_id
from gql_epoint.epoint.wire import Upload
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.invoice import Invoice

ORDER_ID_MAX = 200
IMAGES_MAX = 5
IMAGE_BYTES_MAX = 1_000_000

_PHONE = re.compile(r"\+?[0-9]{7,15}")
# A file is what its first bytes say. EPoint also takes SVG; that may hold scripts, and nobody here could see it.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png", "image/png"),
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"BM", "bmp", "image/bmp"),
)


class InvoiceTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of an invoice that can be changed later."""

    amount: Decimal
    currency: str
    period_from: date
    period_to: date
    display: bool = True
    save_as_template: bool = False
    installment: bool | None = None
    name: str | None = None
    description: str | None = None
    phone: str | None = None
    email: str | None = None
    tin: str | None = None
    contract_number: str | None = None
    images: tuple[str, ...] = ()


def check_order(order_id: str) -> None:
    """Refuse an order id that is blank, or leaves no room for what makes it unique."""
    if not order_id.strip():
        raise invalid("must not be blank", "orderId")
    check_text(order_id, ORDER_ID_MAX, "orderId")


def checked_terms(terms: InvoiceTerms) -> InvoiceTerms:
    """Return the terms with an exact amount and plain numbers, or refuse them."""
    if terms.currency != "AZN":
        raise RefusedError(
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            f"EPoint takes only AZN here, not {terms.currency}.",
            ("input", "terms", "amount", "currency"),
        )
    amount = checked_amount(terms.amount, AMOUNT_MAX, "terms", "amount", "amount")
    if terms.period_to < terms.period_from:
        raise invalid("must not be before periodFrom", "terms", "periodTo")
    check_text(terms.name, TEXT_MAX, "terms", "name")
    check_text(terms.description, DESCRIPTION_MAX, "terms", "description")
    check_text(terms.contract_number, TEXT_MAX, "terms", "contractNumber")
    check_email(terms.email, "terms", "email")
    if terms.tin is not None:
        check_tin(terms.tin, "terms", "tin")
    phone = None if terms.phone is None else checked_phone(terms.phone, "terms", "phone")
    return msgspec.structs.replace(terms, amount=amount, phone=phone)


def checked_phone(phone: str, *path: str) -> str:
    """Return a phone number without the signs that people put between digits."""
    plain = re.sub(r"[ ()-]", "", phone)
    if not _PHONE.fullmatch(plain):
        raise invalid("must be a phone number of 7 to 15 digits, such as +994501234567", *path)
    return plain


def read_images(images: tuple[str, ...]) -> list[Upload]:
    """Decode images and name them by what they are. No addresses are taken: nothing is fetched for a caller."""
    if len(images) > IMAGES_MAX:
        raise invalid(f"must have at most {IMAGES_MAX} images", "terms", "images")
    return [_read_image(text, number) for number, text in enumerate(images, start=1)]


def _read_image(text: str, number: int) -> Upload:
    path = ("terms", "images")
    if len(text) > IMAGE_BYTES_MAX * 4 // 3 + 4:
        raise invalid(f"holds an image of more than {IMAGE_BYTES_MAX} bytes: number {number}", *path)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"holds what is not base64: number {number}", *path) from None
    for signature, suffix, content_type in _SIGNATURES:
        if content.startswith(signature) and len(content) <= IMAGE_BYTES_MAX:
            # The name that the merchant's file had is nobody's business, and could be anything.
            file_name = f"image-{number}.{suffix}"
            return Upload(name="invoice_images[]", file_name=file_name, content_type=content_type, content=content)
    raise invalid(f"holds what is no PNG, JPEG or BMP image: number {number}", *path)


def create_request(invoice: Invoice, terms: InvoiceTerms) -> InvoiceRequest:
    """Return the wire request of a new invoice."""
    return InvoiceRequest(**_fields(invoice, terms))


def update_request(invoice: Invoice, terms: InvoiceTerms) -> InvoiceUpdateRequest:
    """Return the wire request of a changed invoice. EPoint knows it by now."""
    assert invoice.gateway_id is not None
    return InvoiceUpdateRequest(id=to_gateway_id(invoice.gateway_id), **_fields(invoice, terms))


def with_terms(invoice: Invoice, terms: InvoiceTerms) -> Invoice:
    """Return the invoice with these terms."""
    return msgspec.structs.replace(
        invoice,
        amount=terms.amount,
        period_from=terms.period_from.isoformat(),
        period_to=terms.period_to.isoformat(),
        display=terms.display,
        save_as_template=terms.save_as_template,
        installment=terms.installment,
        name=terms.name,
        description=terms.description,
        phone=terms.phone,
        email=terms.email,
        tin=terms.tin,
        contract_number=terms.contract_number,
    )


def _fields(invoice: Invoice, terms: InvoiceTerms) -> dict[str, Any]:
    return {
        "sum": terms.amount,
        "display": int(terms.display),
        "save_as_template": int(terms.save_as_template),
        "period_from": terms.period_from.isoformat(),
        "period_to": terms.period_to.isoformat(),
        "status_installment": None if terms.installment is None else int(terms.installment),
        "name": terms.name,
        "description": terms.description,
        "phone": terms.phone,
        "email": terms.email,
        "inn": terms.tin,
        "contract_number": terms.contract_number,
        "merchant_order_id": invoice.reference,
    }
