"""One signed request: what it asks, and whether EPoint would take it.

The required fields are those of the wire structs. What EPoint says to a bad request is not documented, so the
words are our own, in the style of the framework it seems to use.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gql_epoint.epoint.operations import (
    INSTALLMENT_PLANS,
    OPERATIONS,
    PAY,
    PAY_AND_SAVE_CARD,
    PAY_IN_INSTALLMENTS,
    PAY_WITH_AMEX,
    PAY_WITH_SAVED_CARD,
    PAYMENT_REQUEST,
    REFUND,
)
from gql_epoint.epoint.wire import Kind, Operation
from gql_epoint.errors import GqlEpointError
from gql_epoint.simulator.books import Image
from gql_epoint.simulator.settings import Merchant
from gql_epoint.simulator.state import State

_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,2})?")
_TEXT_MAX = {"order_id": 255, "description": 1000, "success_redirect_url": 2000, "error_redirect_url": 2000}
_LANGUAGES = ("az", "en", "ru")
# Read off the structs once: for each request it would take longer than all else that is done with it.
_REQUIRED = {
    operation.name: frozenset(field.name for field in msgspec.structs.fields(operation.request) if field.required)
    for operation in OPERATIONS.values()
}
# The portal lists four currencies for these, or does not say; one for all others.
_PLAIN = (
    *(PAY, PAYMENT_REQUEST, PAY_WITH_AMEX, PAY_WITH_SAVED_CARD, PAY_AND_SAVE_CARD),
    *(INSTALLMENT_PLANS, PAY_IN_INSTALLMENTS),
)


class DeskError(GqlEpointError):
    """A request that EPoint answers with an error: its status word, a sentence, and perhaps an HTTP status."""

    def __init__(self, status: str, message: str, http_status: int | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.http_status = http_status  # None: as for every error


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request whose signature is right. `pages` is the address under which customers find hosted pages."""

    state: State
    operation: Operation[Any, Any]
    merchant: Merchant
    fields: dict[str, Any]
    pages: str
    images: tuple[Image, ...] = ()

    def text(self, name: str) -> str | None:
        """Return a field as text; blank and missing are the same."""
        return text_of(self.fields, name)

    def amount(self, name: str) -> Decimal | None:
        """Return a field as an exact amount; None if it is missing or none."""
        text = self.text(name) or ""
        return Decimal(text) if _AMOUNT.fullmatch(text) else None

    def knows(self, name: str) -> bool:
        """Whether the operation has a field of this name."""
        return name in self.operation.request.__struct_fields__


def text_of(fields: dict[str, Any], name: str) -> str | None:
    """Return a field as text; numbers too, because EPoint's own example sends an order id as one."""
    value = fields.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value or None if isinstance(value, str) else None


def check(call: Call) -> None:
    """Raise DeskError if a field is missing or wrong."""
    charge = call.operation.kind is Kind.CHARGE
    word = call.state.switches.malformed_charge_word if charge else "error"
    _check_presence(call, word)
    _check_values(call, word)
    if call.knows("order_id") and call.knows("currency"):
        _check_order(call, word)
    if call.knows("split_user") and call.state.switches.check_split:
        _check_split(call, word)


def _check_presence(call: Call, word: str) -> None:
    operation, switches = call.operation, call.state.switches
    required = set(_REQUIRED[operation.name])
    if not switches.require_language:
        required.discard("language")
    if operation is REFUND and not switches.require_currency_of_refund:
        required.discard("currency")
    if operation is PAY_AND_SAVE_CARD and switches.require_description_to_save_card:
        required.add("description")
    for name in sorted(required):
        if call.fields.get(name) in (None, ""):
            raise DeskError(word, f"The {name} field is required.")


def _check_values(call: Call, word: str) -> None:
    for name in ("amount", "split_amount"):
        if call.knows(name) and call.fields.get(name) is not None:
            amount = call.amount(name)
            if amount is None or amount <= 0:
                raise DeskError(word, f"The {name} field is invalid.")
    for name, length in _TEXT_MAX.items():
        if len(call.text(name) or "") > length:
            raise DeskError(word, f"The {name} field is too long.")
    for name in ("success_redirect_url", "error_redirect_url"):
        if (url := call.text(name)) is not None and not _is_web_address(url):
            raise DeskError(word, f"The {name} field is invalid.")
    if call.text("language") not in (None, *_LANGUAGES):
        raise DeskError(word, "The language field is invalid.")


def _check_order(call: Call, word: str) -> None:
    switches = call.state.switches
    plain = call.operation in _PLAIN
    if call.knows("currency") and call.text("currency") not in (switches.payment_currencies if plain else ("AZN",)):
        raise DeskError(word, "The currency field is invalid.")
    order_id = call.text("order_id")
    if order_id is None:
        raise DeskError(word, "The order_id field is invalid.")
    asks_only = call.operation is INSTALLMENT_PLANS
    if (
        not asks_only
        and switches.refuse_duplicate_orders
        and call.state.books.latest(call.merchant.public_key, order_id)
    ):
        raise DeskError(word, "The order_id has already been used.")


def _check_split(call: Call, word: str) -> None:
    user = call.text("split_user")
    if user not in call.state.merchants or user == call.merchant.public_key:
        raise DeskError(word, "The split_user field is invalid.")
    part, whole = call.amount("split_amount"), call.amount("amount")
    assert part is not None
    assert whole is not None
    if part > whole:
        raise DeskError(word, "The split_amount field is invalid.")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isprintable() and " " not in text
