"""What EPoint tells about a transaction: one dict of facts, and one table of fields per answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec

from gql_epoint.epoint.operations import (
    PAY,
    PAY_AND_SAVE_CARD,
    PAY_IN_INSTALLMENTS,
    PAY_WITH_AMEX,
    PAY_WITH_SAVED_CARD,
    PAY_WITH_WALLET,
    PAYMENT_REQUEST,
    PAYOUT,
    PREAUTHORIZE,
    SAVE_CARD,
    SPLIT_PAY,
    SPLIT_PAY_AND_SAVE_CARD,
    SPLIT_PAY_WITH_SAVED_CARD,
    SPLIT_TOKEN_PAYMENT,
    TOKEN_PAYMENT,
    WIDGET,
)
from gql_epoint.epoint.signing import Sealed
from gql_epoint.simulator.bank import APPROVED, message_of
from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.settings import CallbackPlan, Switches

_BANK = ("bank_transaction", "bank_response", "operation_code", "rrn", "card_name", "card_mask")
_PAYMENT = ("order_id", "status", "code", "message", "transaction", *_BANK, "amount", "other_attr")
# EPoint's table for a payment that saves the card has no `message`.
_PAYMENT_AND_CARD = ("status", "code", "card_id", "order_id", "transaction", *_BANK, "amount", "other_attr")
_CARD = ("status", "code", "message", "card_id", *_BANK)
_CHARGE = (
    *("status", "transaction", "bank_transaction", "bank_response", "rrn"),
    *("card_name", "card_mask", "amount", "message"),
)

CALLBACK_FIELDS: dict[str, tuple[str, ...]] = {
    PAY.name: _PAYMENT,
    PAY_AND_SAVE_CARD.name: _PAYMENT_AND_CARD,
    SAVE_CARD.name: _CARD,
    SPLIT_PAY.name: (*_PAYMENT, "split_amount"),
    SPLIT_PAY_AND_SAVE_CARD.name: (*_PAYMENT_AND_CARD, "split_amount"),
    WIDGET.name: _PAYMENT,
    TOKEN_PAYMENT.name: _PAYMENT,
    SPLIT_TOKEN_PAYMENT.name: (*_PAYMENT, "split_amount"),
    PAYMENT_REQUEST.name: _PAYMENT,
    PAY_WITH_AMEX.name: _PAYMENT,
    PREAUTHORIZE.name: _PAYMENT,
    PAY_IN_INSTALLMENTS.name: _PAYMENT,
    PAY_WITH_WALLET.name: _PAYMENT,
}
CHARGE_FIELDS: dict[str, tuple[str, ...]] = {
    PAY_WITH_SAVED_CARD.name: _CHARGE,
    SPLIT_PAY_WITH_SAVED_CARD.name: (*_CHARGE, "split_amount"),
    PAYOUT.name: _CHARGE,
}
# EPoint v1.0.3's fields, `order_id` from its older document and the public SDKs.
STATUS_FIELDS = _PAYMENT

# Documented for callbacks; for charges and payouts it is unknown, so get-status says null as a public SDK recorded.
_OPERATION_CODES = {
    SAVE_CARD.name: "001",
    PAY.name: "100",
    SPLIT_PAY.name: "100",
    PAYMENT_REQUEST.name: "100",
    PAY_WITH_AMEX.name: "100",
    PREAUTHORIZE.name: "100",
    PAY_IN_INSTALLMENTS.name: "100",
    PAY_WITH_WALLET.name: "100",
    PAY_AND_SAVE_CARD.name: "200",
    SPLIT_PAY_AND_SAVE_CARD.name: "200",
    WIDGET.name: "100",
    TOKEN_PAYMENT.name: "100",
    SPLIT_TOKEN_PAYMENT.name: "100",
}
_KEPT_IN_BARE_FAILURES = {"status", "code", "message", "order_id", "transaction", "card_id"}
_CARD_REGISTRATION_FAILED = "500"


def callback_body(transaction: Transaction, plan: CallbackPlan, switches: Switches) -> dict[str, Any]:
    """Return what a callback says about a settled transaction, lies of the plan included."""
    facts = _facts(transaction, switches)
    if transaction.operation == SAVE_CARD.name and transaction.code != APPROVED:
        facts["code"] = _CARD_REGISTRATION_FAILED
    body = {name: facts[name] for name in CALLBACK_FIELDS[transaction.operation]}
    if plan.amount is not None and "amount" in body:
        body["amount"] = plan.amount
    _shape(body, amount_as_text=plan.amount_as_text, other_attr_as_given=plan.other_attr_as_given)
    if plan.message_as_object and "message" in body:
        body["message"] = {"message": body["message"]}
    return {name: value for name, value in (body | plan.fields).items() if name not in plan.omit}


def charge_body(transaction: Transaction, switches: Switches) -> dict[str, Any]:
    """Return the reply to a charge or a payout."""
    facts = _facts(transaction, switches)
    names = CHARGE_FIELDS[transaction.operation]
    body = {name: facts[name] for name in (*names, *(("code",) if switches.code_in_charge_reply else ()))}
    if switches.bare_failures and transaction.status == "failed":
        body["transaction"] = None
    return _shape(body, amount_as_text=switches.amount_as_text, other_attr_as_given=switches.other_attr_as_given)


def status_body(transaction: Transaction, switches: Switches, *, word: str | None = None) -> dict[str, Any]:
    """Return the reply to get-status; `word` is its word for a hold that was not captured."""
    facts = _facts(transaction, switches)
    body = {name: facts[name] for name in STATUS_FIELDS}
    if transaction.card_id is not None:
        body["card_id"] = transaction.card_id  # one public SDK reads it here
    body["status"] = word or _status_word(transaction, switches)
    if transaction.captured_amount is not None and switches.captured_amount_in_status:
        body["amount"] = transaction.captured_amount
    return _shape(body, amount_as_text=switches.amount_as_text, other_attr_as_given=switches.other_attr_as_given)


def encode_callback(sealed: Sealed, encoding: str, boundary: str) -> tuple[str, bytes]:
    """Return the content type and the bytes of a callback. `boundary` is for multipart only."""
    if encoding == "json":
        return "application/json", msgspec.json.encode(sealed)
    pairs = {"data": sealed.data, "signature": sealed.signature}
    if encoding == "urlencoded":
        return "application/x-www-form-urlencoded", urlencode(pairs).encode("ascii")
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in pairs.items()
    ]
    return f"multipart/form-data; boundary={boundary}", ("".join(parts) + f"--{boundary}--\r\n").encode("ascii")


def _status_word(transaction: Transaction, switches: Switches) -> str:
    if transaction.status == "failed":
        return switches.decline_word
    if transaction.refunds and (switches.returned_after == "any" or transaction.refundable == 0):
        return "returned"
    return transaction.status


def _facts(transaction: Transaction, switches: Switches) -> dict[str, Any]:
    code = transaction.code
    message = None if code is None else message_of(code, transaction.language)
    words = {"code": code, "text": message, "empty": ""}
    facts = {
        "status": transaction.status,
        "code": code,
        "message": message,
        "order_id": transaction.order_id,
        "transaction": transaction.transaction,
        "card_id": transaction.card_id,
        "bank_transaction": transaction.bank_transaction,
        "bank_response": None if code is None else words[switches.bank_response],
        "operation_code": _OPERATION_CODES.get(transaction.operation),
        "rrn": transaction.rrn,
        "card_name": transaction.card_name,
        "card_mask": transaction.card_mask,
        "amount": transaction.amount,
        "split_amount": transaction.split_amount,
        "other_attr": transaction.other_attr,
    }
    if switches.bare_failures and transaction.status == "failed":
        facts |= {name: None for name in facts if name not in _KEPT_IN_BARE_FAILURES}
    return facts


def _shape(body: dict[str, Any], *, amount_as_text: bool, other_attr_as_given: bool) -> dict[str, Any]:
    for name in ("amount", "split_amount"):
        if amount_as_text and isinstance(body.get(name), Decimal):
            body[name] = format(body[name], ".2f")
    other_attr = body.get("other_attr")
    if not other_attr_as_given and other_attr is not None and not isinstance(other_attr, str):
        body["other_attr"] = msgspec.json.encode(other_attr).decode()
    return body
