"""Invoices, the outbox and transfers to businesses: what the console reads of them, and what can be done to them.

GET  /_control/business                      the latest invoices, messages and transfers, the latest first
GET  /_control/outbox                        the SMS and e-mails that EPoint would have sent
GET  /_control/invoices/{id}                 one invoice with what was sent
POST /_control/invoices/{id}/settle          what a customer elsewhere or a person in the cabinet does:
                                             {"state": "paid"}, "canceled" or "waiting_for_payment"
GET  /_control/transfers/{order_id}          one transfer with the attempts to deliver its webhook
POST /_control/transfers/{order_id}/settle   it goes on: {"state": "PROCESSING"}, "SUCCESS" or "FAILED"; of a
                                             decision its webhook tells: {"callback": {...}} says how
POST /_control/transfers/{order_id}/webhook  send the webhook of a decided one again: {} or {"callback": {...}}

`callback` names what differs from the plan, for this webhook alone; how one is written and signed is not among it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from gql_epoint.simulator.books import Invoice, InvoiceState, Sent, Transfer, TransferState
from gql_epoint.simulator.control import MissingError, Sending, answered, read_object
from gql_epoint.simulator.invoices import settled
from gql_epoint.simulator.state import State
from gql_epoint.simulator.transfers import DECIDED, TransferBank

_LISTED_MAX = 200
_ATTEMPTS_MAX = 100


class _Invoiced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: InvoiceState


class _Transferred(Sending, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: TransferState


def business_routes(state: State, bank: TransferBank) -> list[Route]:
    """Return the routes listed above."""
    business = Business(state, bank)
    table: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
        ("GET", "/business", business.latest),
        ("GET", "/outbox", business.outbox),
        ("GET", "/invoices/{number:int}", business.invoice),
        ("POST", "/invoices/{number:int}/settle", business.settle_invoice),
        ("GET", "/transfers/{name}", business.transfer),
        ("POST", "/transfers/{name}/settle", business.settle_transfer),
        ("POST", "/transfers/{name}/webhook", business.send_webhook),
    ]
    return [Route(f"/_control{path}", answered(act), methods=[method]) for method, path, act in table]


class Business:
    """One method per route; what it returns is the body of the answer."""

    def __init__(self, state: State, bank: TransferBank) -> None:
        self._state = state
        self._bank = bank

    async def latest(self, request: Request) -> Any:
        """Return everything that the console shows."""
        books = self._state.books
        return {
            "revision": self._state.changes.revision,
            "transfer_step_s": self._state.switches.transfer_step_s,
            "invoices": self._shown_invoices(books.invoices[: -_LISTED_MAX - 1 : -1]),
            "outbox": books.sent[: -_LISTED_MAX - 1 : -1],
            "transfers": [_shown_transfer(one) for one in books.transfers[: -_LISTED_MAX - 1 : -1]],
        }

    async def outbox(self, request: Request) -> Any:
        """Return what would have been sent, with the links, the oldest first."""
        return self._state.books.sent

    async def invoice(self, request: Request) -> Any:
        """Return one invoice."""
        return self._shown_invoices([self._find_invoice(request)])[0]

    async def settle_invoice(self, request: Request) -> Any:
        """Change the state of an invoice; no callback tells of it."""
        word = msgspec.convert(await read_object(request), _Invoiced).state
        invoice = self._find_invoice(request)
        settled(self._state, invoice, word)
        return self._shown_invoices([invoice])[0]

    async def transfer(self, request: Request) -> Any:
        """Return one transfer."""
        return _shown_transfer(self._find_transfer(request))

    async def settle_transfer(self, request: Request) -> Any:
        """Let a transfer to a business go to another state."""
        wanted = msgspec.convert(await read_object(request), _Transferred)
        transfer = self._find_transfer(request)
        self._bank.settle(transfer, wanted.state, wanted.changed(self._bank.plan_of(transfer)))
        return _shown_transfer(transfer)

    async def send_webhook(self, request: Request) -> Any:
        """Send a webhook again, by the plan of now and what the body changes of it."""
        sending = msgspec.convert(await read_object(request), Sending)
        transfer = self._find_transfer(request)
        if transfer.state not in DECIDED or transfer.webhook_url is None:
            raise msgspec.ValidationError("this transfer is not decided, or nobody asked for a webhook")
        self._bank.tell(transfer, sending.changed(self._bank.plan_of(transfer)))
        return _shown_transfer(transfer)

    def _find_invoice(self, request: Request) -> Invoice:
        found = self._state.books.invoice(request.path_params["number"])
        if found is None:
            raise MissingError
        return found

    def _find_transfer(self, request: Request) -> Transfer:
        found = self._state.books.transfer(request.path_params["name"])
        if found is None:
            raise MissingError
        return found

    def _shown_invoices(self, invoices: list[Invoice]) -> list[dict[str, Any]]:
        sent = _sent_by_invoice(self._state.books.sent)
        return [
            {
                **msgspec.structs.asdict(one),
                "page": f"/invoice/{one.page}",
                "sent": sent[one.id][-_ATTEMPTS_MAX:],
            }
            for one in invoices
        ]


def _sent_by_invoice(sent: list[Sent]) -> defaultdict[int, list[Sent]]:
    found = defaultdict[int, list[Sent]](list)
    for one in sent:
        found[one.invoice].append(one)
    return found


def _shown_transfer(transfer: Transfer) -> dict[str, Any]:
    shown = msgspec.structs.asdict(transfer)
    # Who knows the address can make the service ask: it is the service's and EPoint's alone.
    has_webhook = shown.pop("webhook_url") is not None
    attempts = transfer.webhook_attempts[-_ATTEMPTS_MAX:]
    return {**shown, "has_webhook": has_webhook, "webhook_attempts": attempts}
