"""A shop that pays, watches and is called back, for tests of the running service."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import urlencode

from gql_epoint.epoint.signing import seal
from gql_epoint.settings import DOCUMENTATION_PRIVATE_KEY
from tests.service import Client

PAY = """
mutation ($input: PayInput!) {
  pay(input: $input) {
    replayed
    errors { code message }
    transaction { id orderId status nextAction { ... on RedirectAction { url } } }
  }
}
"""
WATCH = """
subscription ($order: String!) {
  transactionUpdated(by: {orderId: $order}) { kind transaction { status version isFinal } }
}
"""


URLENCODED = "application/x-www-form-urlencoded"
FORM = {"Content-Type": URLENCODED}
CALLBACK = {"status": "success", "order_id": "nobody-knows", "transaction": "te0000000001", "amount": 1.5}


def form(body: object, key: str = DOCUMENTATION_PRIVATE_KEY) -> bytes:
    """Return a webhook's body with EPoint's signature."""
    sealed = seal(key, json.dumps(body).encode())
    return urlencode({"data": sealed.data, "signature": sealed.signature}).encode()


def new_order() -> str:
    """Return an order id that no other test uses."""
    return f"order-{uuid.uuid4().hex}"


def payment(order: str) -> dict[str, Any]:
    """Return the input of a payment of 10 manat; the same order gives the same key."""
    return {"idempotencyKey": f"key-of-{order}", "orderId": order, "amount": {"amount": "10.00"}}


async def pay(client: Client, order: str) -> dict[str, Any]:
    """Start a payment of 10 manat and return the transaction."""
    payload = (await client.data(PAY, input=payment(order)))["pay"]
    assert payload["errors"] == []
    return dict(payload["transaction"])


def statuses(payloads: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the kind and the status of each update."""
    updates = [payload["data"]["transactionUpdated"] for payload in payloads]
    return [(update["kind"], update["transaction"]["status"]) for update in updates]
