"""A shop that makes checkouts and browsers that confirm them, for tests of the running service."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from gql_epoint.keys import digest_of
from gql_epoint.store.rows import to_microseconds
from tests.service import Client, Service

CREATE = """mutation ($input: CreateCheckoutInput!) { createCheckout(input: $input) {
  replayed errors { code message path }
  checkout { id status orderId attemptsLeft expiresAt methods amount { amount currency } }
  clientToken { secret operations expiresAt }
} }"""
CHECKOUT = """id purpose orderId description status methods attemptsLeft expiresAt amount { amount currency }
  savedCards { id status details { mask } }
  savedCard { id status nextAction { ... on RedirectAction { url } } }
  transaction { id status isFinal version nextAction { ... on RedirectAction { url } }
    failure { category message retryable } savedCard { id } card { mask } }"""
CONFIRM = (
    "mutation ($input: ConfirmCheckoutInput!) { confirmCheckout(input: $input) { replayed"
    f" errors {{ code message path }} checkout {{ {CHECKOUT} }} }} }}"
)
READ = f"{{ checkout {{ {CHECKOUT} }} }}"
WATCH = f"subscription {{ checkoutUpdated {{ kind checkout {{ {CHECKOUT} }} }} }}"
HOSTED = {"hostedPage": {}}


async def create(client: Client, **changes: Any) -> dict[str, Any]:
    """Make a checkout of 12.34 manat and return the payload; a change to None leaves a field out."""
    fields = {
        "idempotencyKey": str(uuid4()),
        "orderId": f"order-{uuid4().hex}",
        "amount": {"amount": "12.34"},
        "description": "Çay",
    }
    chosen = {name: value for name, value in (fields | changes).items() if value is not None}
    payload: dict[str, Any] = (await client.data(CREATE, input=chosen))["createCheckout"]
    return payload


@contextlib.asynccontextmanager
async def browser(service: Service, client: Client, **changes: Any) -> AsyncIterator[Client]:
    """Make a checkout, and be the browser that has its token."""
    payload = await create(client, **changes)
    assert payload["errors"] == [], payload
    async with service.client(payload["clientToken"]["secret"]) as speaking:
        yield speaking


async def confirm(page: Client, method: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Confirm as a browser, and return the payload."""
    chosen = {"idempotencyKey": str(uuid4()), "method": method or HOSTED} | changes
    payload: dict[str, Any] = (await page.data(CONFIRM, input=chosen))["confirmCheckout"]
    return payload


async def token(client: Client, checkout_id: str, *operations: str) -> str:
    """Make another token and return its secret."""
    document = (
        "mutation ($input: CreateClientTokenInput!) { createClientToken(input: $input) { clientToken { secret }"
    )
    chosen = {"checkoutId": checkout_id} | ({"operations": list(operations)} if operations else {})
    payload = (await client.data(f"{document} }} }}", input=chosen))["createClientToken"]
    return str(payload["clientToken"]["secret"])


def expire(service: Service, secret: str, at: datetime | None = None) -> None:
    """Let a token end at a time, or now."""
    until = to_microseconds(at or datetime.now(UTC))
    _change(service, "UPDATE client_tokens SET expires_at = ? WHERE digest = ?", until, digest_of(secret))


def forget(service: Service, secret: str) -> None:
    """Take a token out of the books."""
    _change(service, "DELETE FROM client_tokens WHERE digest = ?", digest_of(secret))


def _change(service: Service, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(service.database, timeout=10)) as connection:
        assert connection.execute(statement, values).rowcount == 1
        connection.commit()
