"""Refuse what must not reach the books or the bank, naming the field; return values in their one right form."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gql_epoint.cashier.commands import Call, CaptureOrder, PaymentOrder, RefundOrder, SaveCardOrder
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.transaction import CURRENCY_PLACES, TransactionOperation

ORDER_ID_MAX = 240
DESCRIPTION_MAX = 1000
NOTE_MAX = 1000
URL_MAX = 2048
METADATA_BYTES_MAX = 4096
# Apple's and Google's tokens have some 3 kB; no limit of EPoint's is documented.
TOKEN_BYTES_MAX = 32_768
CHOICE_MAX = 64
MONTHS_MAX = 120
# EPoint documents no maximum; this one keeps every sum in 64 bits and refuses slips of the finger.
AMOUNT_MAX = Decimal("9999999.99")

_KEY = re.compile(r"[\x21-\x7e]{16,255}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# EPoint's portal lists these with AZN alone; the hosted and saved-card payments also take EUR, RUB and USD.
_AZN_ONLY = frozenset(
    {
        TransactionOperation.SPLIT_PAY,
        TransactionOperation.SPLIT_PAY_WITH_SAVED_CARD,
        TransactionOperation.SPLIT_PAY_AND_SAVE_CARD,
        TransactionOperation.PAYOUT,
        # The widget's request has no currency at all; the others' documents name AZN alone.
        TransactionOperation.WIDGET,
        TransactionOperation.TOKEN_PAYMENT,
        TransactionOperation.SPLIT_TOKEN_PAYMENT,
        TransactionOperation.PREAUTHORIZE,
        TransactionOperation.PAY_WITH_WALLET,
    }
)
# EPoint wants a description here; where there is none, the order's own name is one in every language.
_NAMED_BY_ORDER = frozenset({TransactionOperation.WIDGET, TransactionOperation.TOKEN_PAYMENT})
# EPoint lists the description as optional and refuses these without one.
_DESCRIBED = frozenset({TransactionOperation.PAY_AND_SAVE_CARD, TransactionOperation.SPLIT_PAY_AND_SAVE_CARD})


class ReturnPages(msgspec.Struct, frozen=True, kw_only=True):
    """Where customers may be sent afterwards: to `hosts`, or anywhere if there are none; by http in a sandbox."""

    sandbox: bool
    hosts: frozenset[str] = frozenset()


def check_call(call: Call) -> None:
    """Refuse an idempotency key that is too short to be unique, or not plain ASCII."""
    if not _KEY.fullmatch(call.key):
        raise invalid("must be 16 to 255 visible ASCII characters; a UUID is fine", "idempotencyKey")


def checked_payment(order: PaymentOrder, *, pages: ReturnPages) -> PaymentOrder:
    """Return the order with exact amounts, or refuse it."""
    check_order_id(order.order_id)
    amount = _amount(order.amount, order.currency, "amount", "amount")
    if order.currency != "AZN" and order.operation in _AZN_ONLY:
        raise RefusedError(
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            f"EPoint takes only AZN here, not {order.currency}.",
            ("input", "amount", "currency"),
        )
    if order.operation in _DESCRIBED and not (order.description or "").strip():
        raise invalid("must not be blank: EPoint refuses to save a card without a description", "description")
    _text(order.description, DESCRIPTION_MAX, "description", _CONTROL_BUT_LINES)
    _urls(order.success_url, order.error_url, pages)
    check_metadata(order.metadata)
    check_choice(order.installment_card_id, "cardId")
    check_choice(order.wallet_id, "walletId")
    if order.installment_months is not None and not 0 < order.installment_months <= MONTHS_MAX:
        raise invalid(f"must be 1 to {MONTHS_MAX}", "months")
    split_amount = order.split_amount
    if split_amount is not None:
        if not (order.split_user or "").strip():
            raise invalid("must not be blank", "split", "user")
        _text(order.split_user, 64, "split.user", _CONTROL)
        split_amount = _amount(split_amount, order.currency, "split", "amount")
        if split_amount > amount:
            raise invalid("must not be more than the whole amount", "split", "amount")
    description = order.description
    if order.operation in _NAMED_BY_ORDER and not (description or "").strip():
        description = order.order_id
    return msgspec.structs.replace(order, amount=amount, split_amount=split_amount, description=description)


def check_order_id(order_id: str) -> None:
    """Refuse an order id that is blank or too long, or would not be found again."""
    if not order_id.strip():
        raise invalid("must not be blank", "orderId")
    _text(order_id, ORDER_ID_MAX, "orderId", _CONTROL)


def check_choice(value: str | None, field: str) -> None:
    """Refuse a name from one of EPoint's lists that cannot be on it."""
    if value is None:
        return
    if not value.strip():
        raise invalid("must not be blank", field)
    _text(value, CHOICE_MAX, field, _CONTROL)


def check_metadata(metadata: str | None) -> None:
    """Refuse metadata that is no JSON object, or too long."""
    if metadata is None:
        return
    if not metadata.startswith("{"):
        raise invalid("must be a JSON object", "metadata")
    size = len(metadata.encode("utf-8", "surrogatepass"))
    if size > METADATA_BYTES_MAX:
        raise invalid(f"must have at most {METADATA_BYTES_MAX} bytes as JSON; it has {size}", "metadata")


def check_save_card(order: SaveCardOrder, *, pages: ReturnPages) -> None:
    """Refuse a card registration that EPoint could not take."""
    _text(order.description, DESCRIPTION_MAX, "description", _CONTROL_BUT_LINES)
    _urls(order.success_url, order.error_url, pages)


def checked_refund(order: RefundOrder) -> RefundOrder:
    """Return the refund with an exact amount, or refuse it."""
    _text(order.reason, NOTE_MAX, "reason", _CONTROL_BUT_LINES)
    if order.amount is None:
        return order
    amount = _amount(order.amount, order.currency or "AZN", "amount", "amount")
    return msgspec.structs.replace(order, amount=amount)


def check_text(value: str | None, length_max: int, *path: str) -> None:
    """Refuse a text that is too long or holds control characters other than ends of lines."""
    _text(value, length_max, ".".join(path), _CONTROL_BUT_LINES)


def checked_capture(order: CaptureOrder) -> CaptureOrder:
    """Return the capture with an exact amount, or refuse it."""
    if order.amount is None:
        return order
    return msgspec.structs.replace(order, amount=checked_amount(order.amount, order.currency or "AZN"))


def checked_amount(amount: Decimal, currency: str, *path: str) -> Decimal:
    """Return an amount in its one right form, or refuse it; `path` names the field, if it is not `amount`."""
    return _amount(amount, currency, *(path or ("amount", "amount")))


def check_note(note: str) -> None:
    """Refuse a decision without a reason."""
    if not note.strip():
        raise invalid("must say why; it stays in the history", "note")
    _text(note, NOTE_MAX, "note", _CONTROL_BUT_LINES)


def check_token(token: Any, billing_contact: Any) -> None:
    """Refuse what could be no token of Apple Pay or Google Pay. What it holds is for EPoint, and not looked at."""
    if not isinstance(token, dict | str) or not token:
        raise invalid("must be what Apple Pay or Google Pay gave to the page: an object or a text", "token")
    for name, value, bytes_max in (
        ("token", token, TOKEN_BYTES_MAX),
        ("billingContact", billing_contact, METADATA_BYTES_MAX),
    ):
        try:
            size = len(msgspec.json.encode(value))
        except (OverflowError, TypeError, ValueError):
            raise invalid("cannot be written as JSON", name) from None
        if size > bytes_max:
            raise invalid(f"must have at most {bytes_max} bytes as JSON; it has {size}", name)


def check_origin(origin: str, allowed: frozenset[str]) -> None:
    """Refuse an origin for which nobody has allowed Apple Pay."""
    if origin.lower() not in allowed:
        raise RefusedError(
            ErrorCode.URL_NOT_ALLOWED,
            "input.origin is none of those that may show Apple Pay: see GQL_EPOINT_APPLE_PAY_ORIGINS.",
            ("input", "origin"),
        )


def fits_currency(amount: Decimal, currency: str) -> bool:
    """Whether an amount has no more places than its currency."""
    return currency in CURRENCY_PLACES and amount == amount.quantize(_unit(currency))


def _unit(currency: str) -> Decimal:
    return Decimal(1).scaleb(-CURRENCY_PLACES[currency])


def _amount(value: Decimal, currency: str, *path: str) -> Decimal:
    if currency not in CURRENCY_PLACES:
        raise RefusedError(
            ErrorCode.CURRENCY_NOT_SUPPORTED, "EPoint does not take this currency.", ("input", path[0], "currency")
        )
    if not value.is_finite() or not Decimal(0) < value <= AMOUNT_MAX:
        raise invalid(f"must be more than 0 and at most {AMOUNT_MAX}", *path)
    exact = value.quantize(_unit(currency))
    if exact != value:
        raise invalid(f"must have at most {CURRENCY_PLACES[currency]} decimal places; nothing is rounded", *path)
    return exact


def _text(value: str | None, length_max: int, field: str, forbidden: re.Pattern[str]) -> None:
    if value is None:
        return
    if len(value) > length_max:
        raise invalid(f"must have at most {length_max} characters; it has {len(value)}", *field.split("."))
    if forbidden.search(value):
        raise invalid("must not contain control characters", *field.split("."))


def _urls(success: str | None, error: str | None, pages: ReturnPages) -> None:
    for name, url in (("success", success), ("error", error)):
        if url is not None:
            _url(url, name, pages)


def _url(url: str, name: str, pages: ReturnPages) -> None:
    path = ("returnUrls", name)
    try:
        parts = urlsplit(url)
        well_formed = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or len(url) > URL_MAX or not re.fullmatch(r"[\x21-\x7e]+", url) or "\\" in url:
        raise invalid(f"must be an absolute URL of at most {URL_MAX} ASCII characters", *path)
    if parts.scheme not in (("https", "http") if pages.sandbox else ("https",)):
        raise RefusedError(
            ErrorCode.URL_NOT_ALLOWED, f"returnUrls.{name} must start with https://.", ("input", *path)
        )
    if pages.hosts and parts.hostname not in pages.hosts:
        raise RefusedError(
            ErrorCode.URL_NOT_ALLOWED,
            f"returnUrls.{name} names a host that customers may not be sent to: see GQL_EPOINT_RETURN_HOSTS.",
            ("input", *path),
        )


def invalid(problem: str, *path: str) -> RefusedError:
    """Return the refusal of one input field, as a sentence that starts with its name."""
    return RefusedError(ErrorCode.INVALID_INPUT, f"{'.'.join(path)} {problem}.", ("input", *path))
