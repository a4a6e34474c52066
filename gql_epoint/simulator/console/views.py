"""What the console reads: the merchants and settings, the list of transactions, and everything about one.

GET /_control/console               merchants without keys, settings with their choices, bank codes, test cards
GET /_control/transactions          the latest transactions, and the latest requests that belong to none
GET /_control/transactions/{name}   one: its requests, its callbacks, and what can be done
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import msgspec.inspect
from starlette.requests import Request
from starlette.routing import Route

from gql_epoint.epoint.bank_codes import BANK_CODES
from gql_epoint.epoint.signing import Sealed, seal
from gql_epoint.simulator.bank import TEST_CARDS
from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.console.journal import Exchange, hide_cards
from gql_epoint.simulator.control import MissingError, answered
from gql_epoint.simulator.desk import is_refundable
from gql_epoint.simulator.facts import CALLBACK_FIELDS
from gql_epoint.simulator.settings import OrderPlan
from gql_epoint.simulator.state import Delivery, State

_LISTED_MAX = 200
_LOOSE_MAX = 50
_EXCHANGES_MAX = 100
_encoder = msgspec.json.Encoder(decimal_format="number")


def view_routes(state: State) -> list[Route]:
    """Return the routes listed above."""
    views = Views(state)
    table = [
        ("/console", views.console),
        ("/transactions", views.transactions),
        ("/transactions/{name}", views.transaction),
    ]
    return [Route(f"/_control{path}", answered(act), methods=["GET"]) for path, act in table]


class Views:
    """One method per route; what it returns is the body of the answer."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def console(self, request: Request) -> Any:
        """Return what seldom changes."""
        state = self._state
        return {
            "merchants": [
                {
                    "public_key": merchant.public_key,
                    "result_url": merchant.result_url,
                    "success_url": merchant.success_url,
                    "error_url": merchant.error_url,
                    "features": features_of(merchant),
                }
                for merchant in state.merchants.values()
            ],
            "switches": _choices(state.switches),
            "callback": _choices(state.callback),
            "bank_codes": [{"code": code, "message": row.message} for code, row in BANK_CODES.items()],
            "test_cards": TEST_CARDS,
            "requests": dict(state.requests),
        }

    async def transactions(self, request: Request) -> Any:
        """Return the latest transactions, the latest first, and requests that led to none."""
        state = self._state
        latest = state.books.transactions[: -_LISTED_MAX - 1 : -1]
        deliveries = _by_transaction(state.deliveries)
        loose = [exchange for exchange in state.journal if self._subject(exchange) is None]
        return {
            "revision": state.changes.revision,
            "count": len(state.books.transactions),
            "transactions": [self._row(one, deliveries[one.transaction]) for one in latest],
            "loose": [_exchange(one) for one in loose[: -_LOOSE_MAX - 1 : -1]],
        }

    async def transaction(self, request: Request) -> Any:
        """Return everything about one transaction, in the order in which it happened."""
        state = self._state
        found = state.find(request.path_params["name"])
        if found is None:
            raise MissingError
        deliveries = _by_transaction(state.deliveries)[found.transaction]
        exchanges = [one for one in state.journal if self._subject(one) == found.transaction]
        plan = state.plan_of(found)
        known = found.merchant in state.merchants
        return {
            **self._row(found, deliveries),
            "details": found,
            "plan": None if plan == OrderPlan() else plan,
            "exchanges": [_exchange(one) for one in exchanges[-_EXCHANGES_MAX:]],
            "callbacks": [self._callback(one, found.merchant) for one in deliveries[-_EXCHANGES_MAX:]],
            "actions": {
                "settle": known and found.status == "new",
                # What is held is taken or let go in the cabinet.
                "capture": known and _hold_of(found) == "held",
                "refund": known and (is_refundable(state, found) or _hold_of(found) == "held"),
                "resend": known and found.status != "new" and found.operation in CALLBACK_FIELDS,
            },
        }

    def _subject(self, exchange: Exchange) -> str | None:
        """Return the transaction that an exchange is about; while its answer is waited for, the order tells."""
        is_open = exchange.duration_ms is None and exchange.signature == "valid"
        if exchange.transaction is not None or not is_open:
            return exchange.transaction
        latest = self._state.books.latest(exchange.merchant or "", exchange.order_id or "")
        return latest.transaction if latest is not None else None

    def _row(self, found: Transaction, deliveries: list[Delivery]) -> dict[str, Any]:
        return {
            "transaction": found.transaction,
            "operation": found.operation,
            "merchant": found.merchant,
            "at": found.at,
            "order_id": found.order_id,
            "description": found.description,
            "amount": found.amount,
            "currency": found.currency,
            "refunded": found.refunded,
            "refundable": found.refundable,
            "status": _word_of(found),
            "code": found.code,
            "card_id": found.card_id,
            "card_mask": found.card_mask,
            "page": None if found.page is None else f"/{_page_of(found)}/{found.page}",
            "callback_states": [one.state for one in deliveries],
        }

    def _callback(self, delivery: Delivery, public_key: str) -> dict[str, Any]:
        body = _encoder.encode(delivery.body)
        sealed = self._sealed(delivery, public_key, body)
        return {
            "number": delivery.number,
            "at": delivery.at,
            "state": delivery.state,
            "encoding": delivery.encoding,
            "signed": delivery.signed,
            "data": None if sealed is None else sealed.data,
            "signature": None if sealed is None else sealed.signature,
            "decoded": _pretty(body.decode()),
            "attempts": delivery.attempts,
        }

    def _sealed(self, delivery: Delivery, public_key: str, body: bytes) -> Sealed | None:
        """Return the two parameters as the courier sends them: sealing the same body twice gives the same."""
        merchant = self._state.merchants.get(public_key)
        if merchant is None:
            return None
        sealed = seal(merchant.private_key, body)
        if delivery.signed:
            return sealed
        return Sealed(data=sealed.data, signature=seal("not the key", b"").signature)


def _word_of(found: Transaction) -> str:
    # EPoint's word for what has been given back is one of get-status alone; here it is one of the list.
    if found.refunds and found.refundable == 0:
        return "returned"
    return _hold_of(found) or found.status


def _hold_of(found: Transaction) -> str | None:
    """Return where the hold of a pre-authorisation stands."""
    return found.hold


def _page_of(found: Transaction) -> str:
    return "widget" if found.operation == "widget" else "pay"


def features_of(merchant: msgspec.Struct) -> list[dict[str, Any]]:
    """Return the features that EPoint grants merchant by merchant, and whether this one has each.

    A merchant that says nothing has all of them, so the default of its field `granted` names them.
    """
    fields = msgspec.structs.fields(type(merchant))
    known = next((field.default for field in fields if field.name == "granted"), ())
    return [{"name": name, "granted": name in getattr(merchant, "granted", ())} for name in known]


def _by_transaction(deliveries: Iterable[Delivery]) -> defaultdict[str, list[Delivery]]:
    found = defaultdict[str, list[Delivery]](list)
    for delivery in deliveries:
        found[delivery.transaction].append(delivery)
    return found


def _exchange(exchange: Exchange) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(exchange)
    fields["decoded"] = _pretty(exchange.decoded) if exchange.decoded is not None else None
    fields["reply_decoded"] = _pretty(exchange.reply) if exchange.reply.startswith(("{", "[")) else None
    return fields


def _pretty(text: str) -> str:
    """Return JSON with line breaks and every number as it was written; other text unchanged."""
    try:
        return hide_cards(msgspec.json.format(text, indent=2))
    except (msgspec.DecodeError, RecursionError):
        return text


def _choices(struct: msgspec.Struct) -> list[dict[str, Any]]:
    """Return each setting that is a flag, a number or a word, with its value and the words it may be."""
    rows = []
    for field in msgspec.inspect.type_info(type(struct)).fields:  # type: ignore[attr-defined]
        value = getattr(struct, field.name)
        row = {"name": field.name, "value": value, "default": field.default}
        match field.type:
            case msgspec.inspect.BoolType():
                rows.append({**row, "kind": "flag"})
            case msgspec.inspect.LiteralType(values=values):
                rows.append({**row, "kind": "choice", "choices": list(values)})
            case msgspec.inspect.IntType():
                rows.append({**row, "kind": "whole"})
            case msgspec.inspect.FloatType():
                rows.append({**row, "kind": "number"})
            case _:
                pass
    return rows
