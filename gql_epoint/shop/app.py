"""The shop as an application: two pages, and the few requests that its pages make to their own server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gql_epoint.shop.guarding import Guard
from gql_epoint.shop.orders import CHECKOUTS_MAX, Customer, Customers, Order
from gql_epoint.shop.pages import missing_page, order_page, shelf_page
from gql_epoint.shop.payments import PAY, WATCH, Payments, PaymentsError
from gql_epoint.shop.settings import ShopSettings
from gql_epoint.shop.words import choose

T = TypeVar("T")

# On the web both would be `__Host-…` and Secure; a sandbox has no TLS.
CUSTOMER_COOKIE = "cinar_customer"
LANGUAGE_COOKIE = "cinar_language"

_BODY_BYTES_MAX = 4_096
_STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_CARD_IS_GONE = ("CARD_NOT_USABLE", "NOT_FOUND")


class Basket(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a page may say about an order: what, how many, and whether to save the card. No price."""

    items: Annotated[dict[str, int], msgspec.Meta(max_length=20)]
    save_card: bool = False


class TokenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page wants its token for."""

    use: Literal["watch", "pay"]


def create_shop(settings: ShopSettings) -> Starlette:
    """Return the shop."""
    payments = Payments(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with payments:
            yield

    shop = _Shop(settings, payments)
    app = Starlette(
        routes=[
            Route("/", shop.shelf, methods=["GET"]),
            Route("/orders/{order}", shop.order, methods=["GET"]),
            Route("/api/orders", shop.new_order, methods=["POST"]),
            Route("/api/orders/{order}", shop.progress, methods=["GET"]),
            Route("/api/orders/{order}/token", shop.token, methods=["POST"]),
            Route("/api/orders/{order}/checkout", shop.new_checkout, methods=["POST"]),
            Route("/api/orders/{order}/cancel", shop.cancel, methods=["POST"]),
            Route("/static/{name}", _Files().serve, methods=["GET"]),
        ],
        middleware=[Middleware(Guard, settings=settings)],
        exception_handlers={PaymentsError: _on_payments_error, HTTPException: _on_refusal},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Shop:
    """What customers can open and do. An order is found by its id and its customer's cookie together."""

    def __init__(self, settings: ShopSettings, payments: Payments) -> None:
        self._settings = settings
        self._payments = payments
        self._customers = Customers()

    async def shelf(self, request: Request) -> Response:
        language = _language(request)
        return self._welcomed(request, _html(shelf_page(language), language))

    async def order(self, request: Request) -> Response:
        language = _language(request)
        customer = self._customers.find(request.cookies.get(CUSTOMER_COOKIE))
        order = customer.orders.get(request.path_params["order"]) if customer else None
        if order is None:
            return _html(missing_page(language, "/"), language, 404)
        return _html(order_page(order, language), language)

    async def new_order(self, request: Request) -> Response:
        basket = await _read(request, Basket)
        customer = self._customers.find(request.cookies.get(CUSTOMER_COOKIE)) or self._customers.new()
        try:
            order = customer.order(basket.items, language=_language(request), save_card=basket.save_card)
        except ValueError:
            raise HTTPException(422, "NOT_FOR_SALE") from None
        response = JSONResponse({"order": order.id}, 201)
        _remember(response, customer)
        return response

    async def token(self, request: Request) -> Response:
        """Hand out a client token, got with the secret key, which never leaves this process."""
        wish = await _read(request, TokenWish)
        customer, order = self._own(request)
        operations = PAY if wish.use == "pay" else WATCH
        try:
            token = await self._payments.token(order, customer.cards, operations)
        except PaymentsError as exc:
            if exc.code not in _CARD_IS_GONE or not customer.cards or order.checkout_id is not None:
                raise
            customer.cards.clear()  # without them, then
            token = await self._payments.token(order, [], operations)
        return JSONResponse(
            {"endpoint": self._settings.graphql_url, "token": token.secret, "operations": token.operations}
        )

    async def new_checkout(self, request: Request) -> Response:
        """Let an order be paid by another checkout. The service refuses it while one payment is live or paid."""
        _customer, order = self._own(request)
        if order.checkouts >= CHECKOUTS_MAX:
            raise HTTPException(409, "ATTEMPT_LIMIT_REACHED")
        if order.checkout_id is not None:
            await self._payments.cancel(order)
        order.checkout_id = None
        return JSONResponse({})

    async def cancel(self, request: Request) -> Response:
        _customer, order = self._own(request)
        if order.checkout_id is not None:
            await self._payments.cancel(order)
        return JSONResponse({})

    async def progress(self, request: Request) -> Response:
        """Say what the shop itself knows, asked with its own key: a page's word that it has paid counts nothing."""
        customer, order = self._own(request)
        paid, card = await self._payments.paid(order)
        if card is not None and order.save_card and card not in customer.cards:
            customer.cards.append(card)
        return JSONResponse({"paid": paid})

    def _own(self, request: Request) -> tuple[Customer, Order]:
        customer = self._customers.find(request.cookies.get(CUSTOMER_COOKIE))
        order = customer.orders.get(request.path_params["order"]) if customer else None
        if customer is None or order is None:
            raise HTTPException(404, "NOT_FOUND")
        return customer, order

    def _welcomed(self, request: Request, response: Response) -> Response:
        if self._customers.find(request.cookies.get(CUSTOMER_COOKIE)) is None:
            _remember(response, self._customers.new())
        return response


class _Files:
    """The files under /static. Only those that were there at start-up exist, so no path leads anywhere else."""

    def __init__(self) -> None:
        self._files = {path.name: path for path in _STATIC.iterdir() if path.suffix in _MEDIA_TYPES}

    async def serve(self, request: Request) -> Response:
        path = self._files.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404, "NOT_FOUND")
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers={"cache-control": "no-cache"})


async def _read(request: Request, wanted: type[T]) -> T:
    """Read a JSON body of a few kilobytes; a form of another site cannot send its type."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise HTTPException(415, "JSON_ONLY")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise HTTPException(413, "TOO_LARGE")
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.DecodeError:
        raise HTTPException(400, "UNREADABLE") from None


def _language(request: Request) -> str:
    return choose(
        request.query_params.get("lang"),
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language", ""),
    )


def _html(page: str, language: str, status: int = 200) -> Response:
    response = HTMLResponse(page, status)
    response.set_cookie(LANGUAGE_COOKIE, language, httponly=True, samesite="lax")
    return response


def _remember(response: Response, customer: Customer) -> None:
    # Lax and not strict: the customer comes back from EPoint's page by a link of another site.
    response.set_cookie(CUSTOMER_COOKIE, customer.key, httponly=True, samesite="lax")


async def _on_refusal(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return JSONResponse({"error": exc.detail}, exc.status_code, headers=dict(exc.headers or {}))


async def _on_payments_error(_request: Request, exc: Exception) -> Response:
    """Tell the code, which pages know; the sentence is for the shop's own log."""
    assert isinstance(exc, PaymentsError)
    return JSONResponse({"error": exc.code}, 502)
