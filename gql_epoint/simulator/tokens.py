"""Apple Pay and Google Pay at EPoint's desk: the widget, the record, Apple's session, and the charge of a token.

A token of the real Apple or Google cannot be made here, so a text stands in for it: `approve`, `decline`,
`decline-101` with the bank's code, `redirect` for 3-D Secure, `silent` for no answer. Apple's tokens are objects;
there the text is in the field `simulate`. Whatever else is in a token is approved, and nothing of it is kept.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from gql_epoint.epoint.operations import WIDGET
from gql_epoint.simulator.bank import APPROVED, CARD_HOLDER, message_of
from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.request import Call, DeskError, text_of
from gql_epoint.simulator.state import State

_DECLINED = "116"
_MASK = "520000******0007"
_SESSION_S = 300


def record_of(state: State, fields: dict[str, Any]) -> Transaction | None:
    """Find the transaction of the record that a request names by its `id`, a number or the same as text."""
    number = text_of(fields, "id")
    return state.books.payment(int(number)) if number and number.isascii() and number.isdecimal() else None


def is_unknown_yet(state: State, transaction: Transaction) -> bool:
    """Whether this is a widget's order of which get-status has not heard, because the customer did nothing yet."""
    waits = transaction.operation == WIDGET.name and transaction.status == "new"
    return waits and not state.switches.widget_known_at_once


def open_widget(call: Call, transaction: Transaction) -> dict[str, Any]:
    """Open a widget. The request has no currency, and EPoint's merchants sell in manat."""
    transaction.currency = "AZN"
    transaction.page = call.state.new_page_name()
    call.state.books.add(transaction)
    return {"status": "success", "widget_url": f"{call.pages}/widget/{transaction.page}"}


def open_record(call: Call, transaction: Transaction) -> dict[str, Any]:
    """Make a record that a token can be charged to. The fields are those of EPoint's example: no status."""
    transaction.payment_id = call.state.new_payment_number()
    call.state.books.add(transaction)
    now = format(transaction.at, "%Y-%m-%d %H:%M:%S")
    return {
        "id": transaction.payment_id,
        "transaction": transaction.transaction,
        "rrn": None,
        "short_link": None,
        "bank_order_id": None,
        "total": transaction.amount,
        "card_name": None,
        "card_mask": None,
        "description": transaction.description,
        "merchant_order_id": transaction.order_id,
        "other_attr": None,
        "created_at": now,
        "updated_at": now,
    }


def merchant_session(call: Call) -> dict[str, Any]:
    """Return something in the shape of Apple's merchant session, which is opaque to everybody but Apple Pay."""
    host = _host_of(call.text("origin") or "")
    if host is None:
        raise DeskError("error", "The origin field is invalid.")
    now_ms = int(call.state.clock().timestamp() * 1000)
    return {
        "epochTimestamp": now_ms,
        "expiresAt": now_ms + _SESSION_S * 1000,
        "merchantSessionIdentifier": f"SSH{call.state.new_trace_name().upper()}",
        "nonce": call.state.new_trace_name()[:8],
        "merchantIdentifier": call.state.new_trace_name().upper(),
        "domainName": host,
        "displayName": call.merchant.public_key,
        "signature": call.state.new_trace_name() * 4,
        "retries": 0,
    }


def charge_token(call: Call) -> dict[str, Any] | None:
    """Charge a record, once, and return the reply; None if the bank never answers."""
    state = call.state
    transaction = record_of(state, call.fields)
    if transaction is None or transaction.merchant != call.merchant.public_key:
        raise DeskError("error", "Payment not found")
    if transaction.status != "new" or transaction.page is not None:
        raise DeskError("error", "Payment is not new")
    wish = _wish(call.fields["token"])
    transaction.card_mask, transaction.card_name = _MASK, CARD_HOLDER
    code = state.plan_of(transaction).bank_code
    if code is None and wish == "silent":
        return None
    if code is None and wish == "redirect":
        transaction.page, transaction.step = state.new_page_name(), "secure"
        state.books.add(transaction)
        url = f"{call.pages}/pay/{transaction.page}"
        return {"status": "success", "message": "Redirect the customer", "result": {}, "redirect_url": url}
    if code is None:
        code = (wish.partition("-")[2] or _DECLINED) if wish.startswith("decline") else APPROVED
    state.settle(transaction, code)
    paid = code == APPROVED
    return {
        "status": "success" if paid else state.switches.declined_token_word,
        "message": "Payment is finished successfully" if paid else message_of(code, transaction.language),
        "result": {"code": code, "rrn": transaction.rrn},
        "redirect_url": "",
    }


def _wish(token: Any) -> str:
    text = token.get("simulate") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _host_of(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    bare = not (parts.path or parts.query or parts.fragment)
    return parts.hostname if parts.scheme in ("http", "https") and bare else None
