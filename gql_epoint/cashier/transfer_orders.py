"""Transfers to businesses as the merchant orders them: refuse what must not reach the bank, in EPoint's words."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from gql_epoint.cashier.validation import check_text, fits_currency, invalid
from gql_epoint.epoint.b2b import B2BPaymentRequest
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.business_transfer import BusinessTransfer

# The limits are those of EPoint's developer portal; where it names none, they are ours.
AMOUNT_MAX = Decimal(40000)
DESCRIPTION_MAX = 255
TEXT_MAX = 255

# EPoint takes the order id as a part of an address, so it has to be one, whatever is between us.
_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_IBAN = re.compile(r"AZ[0-9]{2}[A-Z]{4}[A-Z0-9]{20}")
_TIN = re.compile(r"[0-9]{9}[12]")
_BANK_CODE = re.compile(r"[A-Za-z0-9]{1,20}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")


class TransferOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to a company's account, as the merchant orders it."""

    order_id: str
    amount: Decimal
    currency: str
    iban: str
    payee_name: str
    payee_tin: str
    bank_code: str
    description: str
    bank_name: str | None = None
    email: str | None = None
    address: str | None = None
    additional_info: str | None = None


def checked_transfer(order: TransferOrder) -> TransferOrder:
    """Return the order with an exact amount and a plain account number, or refuse it."""
    if not _ORDER_ID.fullmatch(order.order_id):
        raise invalid("must be 1 to 200 letters, digits and `_.-`, and begin with a letter or digit", "orderId")
    if order.currency != "AZN":
        raise RefusedError(
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            f"EPoint takes only AZN here, not {order.currency}.",
            ("input", "amount", "currency"),
        )
    amount = checked_amount(order.amount, AMOUNT_MAX, "amount", "amount")
    iban = order.iban.replace(" ", "").upper()
    check_iban(iban)
    check_tin(order.payee_tin, "payee", "tin")
    if not _BANK_CODE.fullmatch(order.bank_code):
        raise invalid("must be 1 to 20 letters and digits", "payee", "bankCode")
    check_described(order.payee_name, TEXT_MAX, "payee", "name")
    check_described(order.description, DESCRIPTION_MAX, "description")
    check_text(order.bank_name, TEXT_MAX, "payee", "bankName")
    check_text(order.address, TEXT_MAX, "payee", "address")
    check_text(order.additional_info, TEXT_MAX, "additionalInfo")
    check_email(order.email, "payee", "email")
    return msgspec.structs.replace(order, amount=amount, iban=iban)


def checked_amount(value: Decimal, amount_max: Decimal, *path: str) -> Decimal:
    """Return an amount in AZN with its two places, or refuse it."""
    if not value.is_finite() or not Decimal(0) < value <= amount_max:
        raise invalid(f"must be more than 0 and at most {amount_max}", *path)
    if not fits_currency(value, "AZN"):
        raise invalid("must have at most 2 decimal places; nothing is rounded", *path)
    return value.quantize(Decimal("0.01"))


def check_iban(iban: str) -> None:
    """Refuse an account number that is not one of Azerbaijan, or that has a slip in it (ISO 13616, mod 97)."""
    if not _IBAN.fullmatch(iban):
        raise invalid("must be AZ, two digits, four letters and 20 letters or digits", "payee", "iban")
    if int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 != 1:
        raise invalid("has a wrong check sum: at least one of its characters is not right", "payee", "iban")


def check_tin(tin: str, *path: str) -> None:
    """Refuse what is no taxpayer's number: ten digits, the last one 1 for companies or 2 for people."""
    if not _TIN.fullmatch(tin):
        raise invalid("must have ten digits, of which the last is 1 or 2", *path)


def check_email(email: str | None, *path: str) -> None:
    """Refuse what could be no e-mail address."""
    check_text(email, TEXT_MAX, *path)
    if email is not None and not _EMAIL.fullmatch(email):
        raise invalid("must be an e-mail address", *path)


def check_described(text: str, length_max: int, *path: str) -> None:
    """Refuse a text that is blank, or too long."""
    if not text.strip():
        raise invalid("must not be blank", *path)
    check_text(text, length_max, *path)


def transfer_request(
    transfer: BusinessTransfer, order: TransferOrder, webhook_url: str | None
) -> B2BPaymentRequest:
    """Return the wire request of a transfer."""
    return B2BPaymentRequest(
        order_id=transfer.gateway_order_id,
        amount=transfer.amount,
        description=order.description,
        iban=order.iban,
        name=order.payee_name,
        tin=order.payee_tin,
        bank_code=order.bank_code,
        bank_name=order.bank_name,
        email=order.email,
        address=order.address,
        additional_info=order.additional_info,
        webhook_url=webhook_url,
    )
