"""The control API under /_control: change the simulator while it runs, and read its books. Tests use it.

GET    /_control/books                               transactions, cards, callbacks with attempts, request counts
GET    /_control/settings                            the switches and the general plan for callbacks
PUT    /_control/settings                            change some: {"switches": {...}, "callback": {...}}
PUT    /_control/merchants/{public_key}              change some of result_url, success_url, error_url, granted
                                                     (features that it has; grants.py names them)
PUT    /_control/orders/{key}                        replace the plan of an order, transaction, card, e-mail or call
DELETE /_control/orders/{key}                        the normal way again
PUT    /_control/cards/{card_id}                     change some of {"state", "code", "silent"}
POST   /_control/callbacks/{transaction}/resend      send the callback again: {} or {"callback": {...}}
POST   /_control/deliveries/{number}/send            send a waiting callback now
POST   /_control/deliveries/{number}/drop            let a waiting callback get lost
POST   /_control/transactions/{transaction}/refund   a refund in EPoint's cabinet: {"amount": "1.00"} or {};
                                                     of something that is held, its release
POST   /_control/transactions/{transaction}/capture  a capture in EPoint's cabinet: {"amount": "1.00"} or {}
POST   /_control/transactions/{transaction}/settle   the bank answers, as if a customer had paid: {"code": "000"};
                                                     with "amount", it took another one than was ordered

A transaction may be named by the card that it saves or by its order as well. `callback` names what differs from
the plan, for this callback alone. What the console reads is in console/views.py and console/live.py; invoices and
transfers to businesses are in console/business.py.

It has no key: a simulator moves no money; console/guard.py keeps other websites out. Bodies are JSON; errors are
400, 403, 404, 413, 415 or 421 with {"error": "..."}.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gql_epoint.simulator.bank import CARD_HOLDER
from gql_epoint.simulator.books import Card, Transaction
from gql_epoint.simulator.console.changes import Changes
from gql_epoint.simulator.courier import Courier
from gql_epoint.simulator.desk import give_back
from gql_epoint.simulator.endpoints import TooLargeError, read_body
from gql_epoint.simulator.facts import CALLBACK_FIELDS
from gql_epoint.simulator.grants import NAMES
from gql_epoint.simulator.holds import capture, release
from gql_epoint.simulator.request import DeskError
from gql_epoint.simulator.settings import CallbackPlan, OrderPlan, changed
from gql_epoint.simulator.state import Delivery, State

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(dict[str, Any])
_CODE = re.compile(r"[0-9A-Z]{3}")
_AMOUNT_END = 10**12
_COPIES_MAX = 20
_DELAY_MAX_S = 3600
_SOMEBODYS_CARD = "411111******1111"
_HEADERS = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class MissingError(Exception):
    """There is nothing of that name."""


class _Addresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    result_url: str | None = None
    success_url: str | None = None
    error_url: str | None = None
    granted: tuple[str, ...] = ()


class _CardChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Literal["new", "active", "pending", "rejected", "expired", "session_expired"]
    code: str
    silent: bool


class _Amount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount: Decimal | None = None


class Sending(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What differs from the plan, for one callback."""

    callback: dict[str, Any] | None = None

    def changed(self, plan: CallbackPlan) -> CallbackPlan:
        """Return the plan for this callback. Raises msgspec.ValidationError."""
        if not self.callback:
            return plan
        plan = changed(plan, self.callback)
        if not (1 <= plan.copies <= _COPIES_MAX and 0 <= plan.delay_s <= _DELAY_MAX_S):
            raise msgspec.ValidationError(f"at most {_COPIES_MAX} copies, and {_DELAY_MAX_S} seconds of delay")
        return plan


class _Settling(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: str
    amount: Decimal | None = None


def control_routes(state: State, courier: Courier) -> list[Route]:
    """Return the routes listed above."""
    control = Control(state, courier)
    table: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
        ("GET", "/books", control.books),
        ("GET", "/settings", control.settings),
        ("PUT", "/settings", control.change_settings),
        ("PUT", "/merchants/{name}", control.change_merchant),
        ("PUT", "/orders/{name:path}", control.plan_order),
        ("DELETE", "/orders/{name:path}", control.forget_order),
        ("PUT", "/cards/{name}", control.change_card),
        ("POST", "/callbacks/{name}/resend", control.resend),
        ("POST", "/deliveries/{number:int}/send", control.hurry),
        ("POST", "/deliveries/{number:int}/drop", control.drop),
        ("POST", "/transactions/{name}/refund", control.refund),
        ("POST", "/transactions/{name}/capture", control.capture),
        ("POST", "/transactions/{name}/settle", control.settle),
    ]
    return [
        Route(f"/_control{path}", answered(act, state.changes if method != "GET" else None), methods=[method])
        for method, path, act in table
    ]


class Control:
    """One method per route; what it returns is the body of the answer."""

    def __init__(self, state: State, courier: Courier) -> None:
        self._state = state
        self._courier = courier

    async def books(self, request: Request) -> Any:
        """Return everything that happened."""
        state = self._state
        return {
            "transactions": state.books.transactions,
            "cards": state.books.cards,
            "transfers": state.books.transfers,
            "invoices": state.books.invoices,
            "callbacks": list(state.deliveries),
            "requests": dict(state.requests),
        }

    async def settings(self, request: Request) -> Any:
        """Return what can be changed, without keys."""
        return {"switches": self._state.switches, "callback": self._state.callback}

    async def change_settings(self, request: Request) -> Any:
        """Change some switches, and some of the general plan for callbacks."""
        changes = await read_object(request)
        if unknown := set(changes) - {"switches", "callback"}:
            raise msgspec.ValidationError(f"unknown: {', '.join(sorted(unknown))}")
        switches = changed(self._state.switches, changes.get("switches", {}))
        callback = changed(self._state.callback, changes.get("callback", {}))
        self._state.switches, self._state.callback = switches, callback
        return await self.settings(request)

    async def change_merchant(self, request: Request) -> Any:
        """Change what a merchant would change in EPoint's dashboard, and what EPoint has granted to it."""
        merchant = self._state.merchants.get(request.path_params["name"])
        if merchant is None:
            raise MissingError
        old = _Addresses(
            result_url=merchant.result_url,
            success_url=merchant.success_url,
            error_url=merchant.error_url,
            granted=merchant.granted,
        )
        new = changed(old, await read_object(request))
        if unknown := set(new.granted) - set(NAMES):
            raise msgspec.ValidationError(f"no such feature: {', '.join(sorted(unknown))}")
        self._state.merchants[merchant.public_key] = msgspec.structs.replace(
            merchant, **msgspec.structs.asdict(new)
        )
        return new

    async def plan_order(self, request: Request) -> Any:
        """Replace the plan of an order; its `callback` names what differs from the general plan now."""
        changes = await read_object(request)
        callback = changes.pop("callback", None)
        plan = changed(OrderPlan(), changes)
        if callback is not None:
            plan = msgspec.structs.replace(plan, callback=changed(self._state.callback, callback))
        self._state.set_plan(request.path_params["name"], plan)
        return plan

    async def forget_order(self, request: Request) -> Any:
        """Let an order go the normal way again."""
        self._state.forget_plan(request.path_params["name"])
        return {}

    async def change_card(self, request: Request) -> Any:
        """Change what a saved card will do."""
        card: Card | None = self._state.books.card(request.path_params["name"])
        if card is None:
            raise MissingError
        old = _CardChange(state=card.state, code=card.code, silent=card.silent)
        new = changed(old, await read_object(request))
        card.state, card.code, card.silent = new.state, new.code, new.silent
        self._state.books.changed = True
        return card

    async def resend(self, request: Request) -> Any:
        """Send the callback of a settled transaction again, by the plan of now and what the body changes of it."""
        sending = msgspec.convert(await read_object(request), Sending)
        transaction = self._find(request)
        if transaction.status == "new" or transaction.operation not in CALLBACK_FIELDS:
            raise msgspec.ValidationError("this transaction has no callback")
        self._courier.send(transaction, sending.changed(self._state.callback_plan(transaction)))
        return {}

    async def hurry(self, request: Request) -> Any:
        """Send a waiting callback now."""
        return _found(self._courier.hurry(request.path_params["number"]))

    async def drop(self, request: Request) -> Any:
        """Let a waiting callback get lost."""
        return _found(self._courier.drop(request.path_params["number"]))

    async def refund(self, request: Request) -> Any:
        """Refund as a person would in EPoint's cabinet: no callback tells of it."""
        amount = msgspec.convert(await read_object(request), _Amount).amount
        transaction = self._find(request)
        if transaction.hold == "held":
            release(self._state, transaction, amount)
        else:
            give_back(self._state, transaction, amount, "cabinet")
        return transaction

    async def capture(self, request: Request) -> Any:
        """Take what is held, or a part of it, as a person would in EPoint's cabinet."""
        amount = msgspec.convert(await read_object(request), _Amount).amount
        transaction = self._find(request)
        capture(self._state, transaction, transaction.amount if amount is None else amount)
        return transaction

    async def settle(self, request: Request) -> Any:
        """Let the bank answer a transaction that is still new."""
        settling = msgspec.convert(await read_object(request), _Settling)
        transaction = self._find(request)
        if transaction.status != "new" or not _CODE.fullmatch(settling.code):
            raise msgspec.ValidationError("the transaction is settled, or the code is none")
        plan = settling.changed(self._state.callback_plan(transaction))
        if settling.amount is not None:
            if transaction.amount is None or not _is_amount(settling.amount):
                raise msgspec.ValidationError("this is no amount with at most two places, or there is none to pay")
            transaction.amount = settling.amount
        if transaction.page is not None and transaction.card_mask is None:
            # Nobody has typed a number, and a bank never answers without one.
            transaction.card_mask, transaction.card_name = _SOMEBODYS_CARD, CARD_HOLDER
        self._state.settle(transaction, settling.code)
        if transaction.operation in CALLBACK_FIELDS:
            self._courier.send(transaction, plan)
        return transaction

    def _find(self, request: Request) -> Transaction:
        transaction = self._state.find(request.path_params["name"])
        # The books of an earlier run may name a merchant that is not here any more.
        if transaction is None or transaction.merchant not in self._state.merchants:
            raise MissingError
        return transaction


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request's body; no body is an empty one."""
    raw = await read_body(request)
    return _decoder.decode(raw) if raw.strip() else {}


def _found(delivery: Delivery | None) -> Delivery:
    if delivery is None:
        raise MissingError
    return delivery


def _is_amount(amount: Decimal) -> bool:
    return amount.is_finite() and 0 < amount < _AMOUNT_END and amount == round(amount, 2)


def answered(
    act: Callable[[Request], Awaitable[Any]], changes: Changes | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a method: its answer or its error as JSON. Afterwards `changes` is rung."""

    async def endpoint(request: Request) -> Response:
        try:
            body, status = await act(request), 200
        except MissingError:
            body, status = {"error": "not found"}, 404
        except TooLargeError:
            body, status = {"error": "too large"}, 413
        except (msgspec.DecodeError, DeskError) as exc:
            body, status = {"error": str(exc)}, 400
        if changes is not None:
            changes.ring(body.transaction if isinstance(body, Transaction) else None)
        return Response(_encoder.encode(body), status, _HEADERS, media_type="application/json")

    return endpoint
