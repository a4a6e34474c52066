"""The hosted card page: what the customer does there, what the bank says, and the way back to the shop."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gql_epoint.simulator.bank import (
    APPROVED,
    CARD_HOLDER,
    NO_COMMENT,
    NO_FUNDS,
    THREE_D_SECURE_FAILED,
    outcome_of,
)
from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.courier import Courier
from gql_epoint.simulator.endpoints import TooLargeError, public_address, read_body
from gql_epoint.simulator.installments import choices, choose_on_page
from gql_epoint.simulator.pages import (
    CONTENT_SECURITY_POLICY,
    card_page,
    finished_page,
    notice_page,
    secure_page,
    silent_page,
    wallet_page,
)
from gql_epoint.simulator.state import State

_FORM_BYTES_MAX = 4 * 1024
_STYLE = Path(__file__).with_name("style.css").read_bytes()
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def page_routes(state: State, courier: Courier) -> list[Route]:
    """Return the routes of everything that people open in a browser."""
    pages = HostedPages(state, courier)
    return [
        Route("/pay/{page}", pages.show, methods=["GET"]),
        Route("/pay/{page}", pages.act, methods=["POST"]),
        Route("/back/success", pages.back, methods=["GET"]),
        Route("/back/error", pages.back, methods=["GET"]),
        Route("/static/style.css", _style, methods=["GET"]),
    ]


class HostedPages:
    """What a customer can open and press."""

    def __init__(self, state: State, courier: Courier) -> None:
        self._state = state
        self._courier = courier

    async def back(self, request: Request) -> Response:
        """Stand in for a shop that has set no address to return to."""
        if request.url.path.endswith("success"):
            return _html(notice_page("Payment ok", "The payment succeeded. Go back to the shop."))
        return _html(notice_page("Payment failed", "The payment failed. Go back to the shop."))

    async def show(self, request: Request) -> Response:
        """Show what the customer has to do next."""
        transaction = self._find(request)
        if transaction is None:
            return _html(notice_page("Not found", "This payment does not exist, or its page has expired."), 404)
        return self._shown(request, transaction)

    async def act(self, request: Request) -> Response:
        """Take the customer's card number or decision; a repeated press changes nothing."""
        try:
            form = parse_qs((await read_body(request, _FORM_BYTES_MAX)).decode("ascii"), max_num_fields=10)
        except (TooLargeError, ValueError):
            return _html(notice_page("Bad request", "The form could not be read."), 400)
        transaction = self._find(request)
        if transaction is None:
            return _html(notice_page("Not found", "This payment does not exist, or its page has expired."), 404)
        if transaction.status != "new":
            return self._way_back(request, transaction)
        match transaction.step:
            case "card":
                choose_on_page(self._state.switches, transaction, form.get("installment_month", [""])[0])
                return self._take_card(request, transaction, form.get("card_number", [""])[0])
            case "secure":
                return self._take_decision(request, transaction, form.get("decision", [""])[0])
            case "wallet":
                return self._take_wallet(request, transaction, form.get("decision", [""])[0])
            case _:
                return self._shown(request, transaction)

    def _take_card(self, request: Request, transaction: Transaction, number: str) -> Response:
        try:
            outcome = outcome_of(number)
        except ValueError as exc:
            return _html(card_page(transaction, str(exc), months=self._months(transaction)), 422)
        transaction.card_mask = outcome.mask
        transaction.card_name = CARD_HOLDER
        card = self._state.books.card(transaction.card_id or "")
        if card is not None:
            card.code, card.silent = outcome.code, outcome.silent
        self._state.books.changed = True
        if outcome.asks_customer:
            transaction.step = "secure"
            if card is not None:
                card.state = "pending"
            return RedirectResponse(request.url.path, 303, _HEADERS)
        # Saving alone moves no money, so a card that never answers can be saved: charging it is what hangs.
        if outcome.silent and transaction.amount is not None:
            transaction.step = "silent"
            return RedirectResponse(request.url.path, 303, _HEADERS)
        return self._finish(request, transaction, outcome.code)

    def _take_decision(self, request: Request, transaction: Transaction, decision: str) -> Response:
        if decision not in ("confirm", "fail"):
            return _html(secure_page(transaction), 422)
        return self._finish(request, transaction, APPROVED if decision == "confirm" else THREE_D_SECURE_FAILED)

    def _take_wallet(self, request: Request, transaction: Transaction, decision: str) -> Response:
        codes = {"confirm": APPROVED, "poor": NO_FUNDS, "fail": NO_COMMENT}
        if decision not in codes:
            return _html(wallet_page(transaction), 422)
        return self._finish(request, transaction, codes[decision])

    def _finish(self, request: Request, transaction: Transaction, code: str) -> Response:
        """Settle, send the callback in the background, and let the customer go: in no promised order.

        A decline is final: the customer cannot try another card on the same page.
        """
        self._state.settle(transaction, self._state.plan_of(transaction).bank_code or code)
        self._courier.send(transaction)
        return self._way_back(request, transaction)

    def _shown(self, request: Request, transaction: Transaction) -> Response:
        if transaction.status != "new":
            return _html(finished_page(transaction, self._address_back(request, transaction)))
        if transaction.step == "card":
            return _html(card_page(transaction, months=self._months(transaction)))
        show = {"wallet": wallet_page, "secure": secure_page, "silent": silent_page}[transaction.step]
        return _html(show(transaction))

    def _months(self, transaction: Transaction) -> list[int]:
        return choices(self._state.switches) if transaction.asks_installment else []

    def _way_back(self, request: Request, transaction: Transaction) -> Response:
        return RedirectResponse(self._address_back(request, transaction), 303, _HEADERS)

    def _address_back(self, request: Request, transaction: Transaction) -> str:
        """Return the request's own address, else the dashboard's, else a page of the simulator."""
        merchant = self._state.merchants[transaction.merchant]
        if transaction.status == "success":
            chosen, default = transaction.success_redirect_url or merchant.success_url, "/back/success"
        else:
            chosen, default = transaction.error_redirect_url or merchant.error_url, "/back/error"
        address = chosen or public_address(self._state, request) + default
        if not self._state.switches.redirect_query:
            return address
        query = {"order_id": transaction.order_id, "transaction": transaction.transaction}
        pairs = urlencode({name: value for name, value in query.items() if value is not None})
        return f"{address}{'&' if '?' in address else '?'}{pairs}"

    def _find(self, request: Request) -> Transaction | None:
        transaction = self._state.books.page(request.path_params["page"])
        # The books of an earlier run may name a merchant that is not here any more.
        if transaction is None or transaction.merchant not in self._state.merchants:
            return None
        if transaction.status != "new":
            return transaction
        age = self._state.clock() - transaction.at
        if age <= timedelta(seconds=self._state.switches.page_lifetime_s):
            return transaction
        card = self._state.books.card(transaction.card_id or "")
        if card is not None and card.state != "session_expired":
            card.state = "session_expired"
            self._state.books.changed = True
        return None


def _html(page: str, status: int = 200) -> Response:
    return HTMLResponse(page, status, _HEADERS)


async def _style(request: Request) -> Response:
    return Response(_STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})
