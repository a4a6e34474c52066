"""The payment that a customer's own browser starts: a signed form goes to EPoint, and the browser on to the page.

It is `pay` by another way in: the same fields, page and callback, and no reply that a shop could read. v1.0.3 has
the form, another sandbox the 303; a public SDK finds errors in the element `text-danger` of a page of HTML.
"""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gql_epoint.epoint.operations import PAY
from gql_epoint.simulator.desk import answer
from gql_epoint.simulator.endpoints import TooLargeError, open_envelope, public_address, read_alone, read_body
from gql_epoint.simulator.pages import CONTENT_SECURITY_POLICY
from gql_epoint.simulator.request import Call, DeskError
from gql_epoint.simulator.state import State

PATH = "/api/1/checkout"
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def form_routes(state: State) -> list[Route]:
    """Return the route that the form is sent to."""

    async def checkout(request: Request) -> Response:
        state.requests["checkout_form"] += 1
        try:
            raw = await read_body(request)
            content_type = request.headers.get("content-type", "")
            merchant, fields, _ = open_envelope(state, read_alone, content_type, raw)
            pages = public_address(state, request)
            answered = answer(Call(state=state, operation=PAY, merchant=merchant, fields=fields, pages=pages))
        except TooLargeError:
            return _refused("Invalid request parameters")
        except DeskError as exc:
            return _refused(exc.message)
        return RedirectResponse(answered.fields["redirect_url"], 303, _HEADERS)

    return [Route(PATH, checkout, methods=["POST"])]


def _refused(message: str) -> Response:
    return HTMLResponse(f'<html><body><div class="text text-danger">{escape(message)}</div>', 200, _HEADERS)
