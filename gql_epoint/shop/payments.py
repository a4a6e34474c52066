"""The shop's backend speaks to the service: GraphQL over HTTP with the secret key, four documents, nothing else."""

from __future__ import annotations

from typing import Any, Self

import aiohttp
import msgspec

from gql_epoint.shop.orders import Order
from gql_epoint.shop.settings import ShopSettings

TIMEOUT_S = 15.0
CHECKOUT_TTL_S = 900
ATTEMPTS_MAX = 3

PAY = ("CONFIRM", "READ", "SUBSCRIBE")
WATCH = ("READ", "SUBSCRIBE")

CREATE_CHECKOUT = """mutation CreateCheckout($input: CreateCheckoutInput!) {
  createCheckout(input: $input) {
    checkout { id }
    clientToken { secret operations }
    errors { code message path }
  }
}"""

CREATE_CLIENT_TOKEN = """mutation CreateClientToken($input: CreateClientTokenInput!) {
  createClientToken(input: $input) {
    clientToken { secret operations }
    errors { code message path }
  }
}"""  # noqa: S105 - a document, and no secret

CANCEL_CHECKOUT = """mutation CancelCheckout($id: ID!) {
  cancelCheckout(id: $id) {
    checkout { status }
    errors { code message path }
  }
}"""

PAYMENT = """query Payment($order: String!) {
  transaction(by: { orderId: $order }) {
    status
    amount { amount currency }
    savedCard { id status }
  }
}"""


class PaymentsError(Exception):
    """The service could not be asked, or said no. `code` is its code, or UNAVAILABLE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A client token as the page gets it."""

    secret: str
    operations: list[str]


class Payments:
    """What the shop can ask; enter it with `async with`. Every method raises PaymentsError."""

    def __init__(self, settings: ShopSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._settings.secret_key}"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def token(self, order: Order, cards: list[str], operations: tuple[str, ...]) -> Token:
        """Return a client token for an order's checkout, and make the checkout if there is none."""
        if order.checkout_id is None:
            token = await self._create_checkout(order, cards)
            if token is not None:
                return token
        fields = {"checkoutId": order.checkout_id, "operations": operations}
        payload = await self._mutate(CREATE_CLIENT_TOKEN, "createClientToken", input=fields)
        return msgspec.convert(payload["clientToken"], Token)

    async def cancel(self, order: Order) -> None:
        """Let no further attempt start; where none could, that is done already."""
        try:
            await self._mutate(CANCEL_CHECKOUT, "cancelCheckout", id=order.checkout_id)
        except PaymentsError as exc:
            if exc.code != "CHECKOUT_NOT_OPEN":
                raise

    async def paid(self, order: Order) -> tuple[bool, str | None]:
        """Say whether an order is paid, all of it, and which card was saved. This decides about delivery."""
        payment = (await self._ask(PAYMENT, order=order.id))["transaction"]
        if payment is None:
            return False, None
        expected = {"amount": str(order.total), "currency": "AZN"}
        paid = payment["status"] == "SUCCESS" and payment["amount"] == expected
        card = payment["savedCard"]
        return paid, card["id"] if card and card["status"] == "ACTIVE" else None

    async def _create_checkout(self, order: Order, cards: list[str]) -> Token | None:
        """Make a checkout. The token is shown once: None if the same request had been made before."""
        back = f"{self._settings.url}/orders/{order.id}?from=card"
        fields = {
            # Two tabs that get here at once, or a request that is repeated, make one checkout.
            "idempotencyKey": f"{order.id}-checkout-{order.checkouts + 1}",
            "orderId": order.id,
            "amount": {"amount": str(order.total), "currency": "AZN"},
            "description": order.description(),
            "saveCard": order.save_card,
            "savedCardIds": cards,
            "language": order.language.upper(),
            "returnUrls": {"success": back, "error": back},
            "ttlSeconds": CHECKOUT_TTL_S,
            "maxAttempts": ATTEMPTS_MAX,
        }
        number = order.checkouts + 1
        payload = await self._mutate(CREATE_CHECKOUT, "createCheckout", input=fields)
        order.checkout_id, order.checkouts = payload["checkout"]["id"], number
        return msgspec.convert(payload["clientToken"], Token) if payload["clientToken"] else None

    async def _mutate(self, document: str, field: str, **variables: Any) -> Any:
        payload = (await self._ask(document, **variables))[field]
        for error in payload["errors"]:
            raise PaymentsError(error["code"], error["message"])
        return payload

    async def _ask(self, document: str, **variables: Any) -> Any:
        assert self._session is not None, "enter it with `async with`"
        body = {"query": document, "variables": variables}
        try:
            async with self._session.post(self._settings.graphql_url, json=body, allow_redirects=False) as response:
                answer = msgspec.json.decode(await response.read())
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as exc:
            raise PaymentsError("UNAVAILABLE", "The payment service does not answer.") from exc
        for error in answer.get("errors", ()):
            raise PaymentsError(error.get("extensions", {}).get("code", "UNAVAILABLE"), error["message"])
        return answer["data"]
