"""The widget: a page for a frame inside the shop's page. When the customer is done it tells the window so.

What the real widget sends is documented for a success alone, `{status: 'success', payment: {…}}`; what is in
`payment`, and that a decline is told with another word, is our guess.
"""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gql_epoint.epoint.operations import WIDGET
from gql_epoint.simulator.bank import APPROVED, CARD_HOLDER, message_of
from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.courier import Courier
from gql_epoint.simulator.endpoints import TooLargeError, read_body
from gql_epoint.simulator.state import State

_FORM_BYTES_MAX = 4 * 1024
_DECLINED = "116"
_MASK = "520000******0007"
_CODES = {"approve": APPROVED, "decline": _DECLINED}

# Any page may embed it, which is what it is for; so there is no frame-ancestors.
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_SCRIPT = b"""\
// Whoever embeds the widget may be anybody, so the message is for all; it holds nothing that is secret.
window.parent.postMessage(JSON.parse(document.body.dataset.message), "*");
"""
_encoder = msgspec.json.Encoder(decimal_format="number")


def widget_routes(state: State, courier: Courier) -> list[Route]:
    """Return the routes of the widget."""
    widget = Widget(state, courier)
    return [
        Route("/widget/{page}", widget.show, methods=["GET"]),
        Route("/widget/{page}", widget.act, methods=["POST"]),
        Route("/static/widget.js", _script, methods=["GET"]),
    ]


class Widget:
    """What a customer sees in the frame, and can press there."""

    def __init__(self, state: State, courier: Courier) -> None:
        self._state = state
        self._courier = courier

    async def show(self, request: Request) -> Response:
        """Show the buttons, or how it went."""
        transaction = self._find(request)
        if transaction is None:
            return _page("Not found", "<p>This payment does not exist, or its page has expired.</p>", status=404)
        if transaction.status == "new":
            return _page("Pay", _buttons(transaction))
        return _page("Done", _outcome(transaction), message=_message(transaction))

    async def act(self, request: Request) -> Response:
        """Take the customer's decision; a repeated press changes nothing."""
        try:
            form = parse_qs((await read_body(request, _FORM_BYTES_MAX)).decode("ascii"), max_num_fields=10)
        except (TooLargeError, ValueError):
            return _page("Bad request", "<p>The form could not be read.</p>", status=400)
        transaction = self._find(request)
        code = _CODES.get(form.get("decision", [""])[0])
        if transaction is not None and transaction.status == "new" and code is not None:
            transaction.card_mask, transaction.card_name = _MASK, CARD_HOLDER
            self._state.settle(transaction, self._state.plan_of(transaction).bank_code or code)
            self._courier.send(transaction)
        return RedirectResponse(request.url.path, 303, _HEADERS)

    def _find(self, request: Request) -> Transaction | None:
        transaction = self._state.books.page(request.path_params["page"])
        if transaction is None or transaction.operation != WIDGET.name:
            return None
        # The books of an earlier run may name a merchant that is not here any more.
        if transaction.merchant not in self._state.merchants:
            return None
        lifetime = timedelta(seconds=self._state.switches.page_lifetime_s)
        expired = transaction.status == "new" and self._state.clock() - transaction.at > lifetime
        return None if expired else transaction


def _message(transaction: Transaction) -> dict[str, Any]:
    return {
        "status": "success" if transaction.status == "success" else "error",
        "payment": {
            "transaction": transaction.transaction,
            "merchant_order_id": transaction.order_id,
            "total": transaction.amount,
        },
    }


def _buttons(transaction: Transaction) -> str:
    return f"""<p class="amount">{transaction.amount:.2f} AZN</p>
<p class="soft">{escape(transaction.description or "")}</p>
<form method="post">
<button name="decision" value="approve">Pay with Apple Pay or Google Pay</button>
<button name="decision" value="decline" class="quiet">Let the bank decline</button>
</form>"""


def _outcome(transaction: Transaction) -> str:
    paid = transaction.status == "success"
    words = "Done" if paid else "Declined"
    detail = message_of(transaction.code or "", transaction.language)
    return f'<h1 class="{"good" if paid else "bad"}">{words}</h1><p>{escape(detail)}</p>'


def _page(title: str, body: str, *, status: int = 200, message: dict[str, Any] | None = None) -> Response:
    data = "" if message is None else f' data-message="{escape(_encoder.encode(message).decode())}"'
    script = "" if message is None else '<script src="/static/widget.js"></script>'
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · EPoint simulator</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/style.css">
</head>
<body{data}>
<div class="banner"><strong>EPoint simulator</strong> — no real money</div>
<main><section>{body}</section></main>
{script}
</body>
</html>
"""
    return HTMLResponse(page, status, _HEADERS)


async def _script(request: Request) -> Response:
    return Response(_SCRIPT, media_type="text/javascript", headers={"cache-control": "max-age=3600"})
