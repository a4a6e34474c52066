"""What a user would write instead of this service, and the least that any of it could cost.

`python -m tests.benchmarks.peers NAME GATEWAY_URL` serves one of them with uvicorn, as it comes. All of them take
an order, sign it, POST it to EPoint and answer with the page for the customer. None of them keeps books, but for
this service's own cashier without GraphQL, credentials, limits and metrics around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvicorn

from gql_epoint.epoint.signing import seal
from tests.benchmarks.processes import announce_and_wait

PUBLIC_KEY, PRIVATE_KEY = "i000000001", "d3hjsl8sd8kfh"


class _Order(msgspec.Struct):
    order_id: str
    amount: str
    currency: str
    description: str


class _Answer(msgspec.Struct):
    status: str
    transaction: str
    redirect_url: str


_encoder = msgspec.json.Encoder()
_order = msgspec.json.Decoder(_Order)
_answer = msgspec.json.Decoder(_Answer)


class _Plain:
    """The least: sign, POST with aiohttp, decode."""

    def __init__(self, gateway_url: str) -> None:
        self._url = gateway_url + "/api/1/request"
        self._session: aiohttp.ClientSession | None = None

    async def pay(self, order: _Order) -> _Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        payload = {"public_key": PUBLIC_KEY, "language": "az", **msgspec.structs.asdict(order)}
        sealed = seal(PRIVATE_KEY, _encoder.encode(payload))
        form = {"data": sealed.data, "signature": sealed.signature}
        async with self._session.post(self._url, data=form) as response:
            return _answer.decode(await response.read())


class _Bare:
    """An ASGI application and nothing around it."""

    def __init__(
        self,
        pay: Callable[[_Order], Awaitable[_Answer]],
        opened: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._pay = pay
        self._opened = opened

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with self._opened():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message.get("more_body", False)
        answer = _encoder.encode(await self._pay(_order.decode(body)))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def bare_asgi(gateway_url: str) -> Any:
    """Return what everything else is compared with."""
    return _Bare(_Plain(gateway_url).pay)


def bare_cashier(gateway_url: str) -> Any:
    """Return the same over this service's cashier, which keeps its books on SQLite, durably."""
    from gql_epoint.cashier import Cashier
    from gql_epoint.cashier.commands import Call, PaymentOrder
    from gql_epoint.cashier.desk import Books, Defaults
    from gql_epoint.ledger.transaction import TransactionOperation
    from gql_epoint.live import Live
    from gql_epoint.settings import read_settings
    from gql_epoint.store.sqlite import SqliteStore
    from gql_epoint.web.app import new_gateway
    from gql_epoint.web.randomness import RandomPool
    from gql_epoint.web.server import leave_alone_what_stays

    folder = tempfile.TemporaryDirectory(prefix="gql-epoint-bench-")
    settings, problems = read_settings({"GQL_EPOINT_SANDBOX": "1", "GQL_EPOINT_GATEWAY_URL": gateway_url})
    assert settings is not None, problems
    store = SqliteStore(Path(folder.name) / "bench.db", sandbox=True, clock=lambda: datetime.now(UTC))
    gateway = new_gateway(settings)
    cashier = Cashier(
        Books(
            store=store,
            gateway=gateway,
            live=Live(),
            private_key=PRIVATE_KEY,
            sandbox=True,
            defaults=Defaults(),
            random=RandomPool(os.urandom),
        )
    )

    async def pay(order: _Order) -> _Answer:
        call = Call(
            owner="i1", actor="bench", mutation="pay", key=f"key-of-{order.order_id}", input_hash=order.order_id
        )
        wanted = PaymentOrder(
            operation=TransactionOperation.PAY,
            order_id=order.order_id,
            amount=Decimal(order.amount),
            currency=order.currency,
            description=order.description,
        )
        made = (await cashier.payments.start(call, wanted)).value
        assert made.redirect_url is not None
        return _Answer(status=made.status, transaction=made.id, redirect_url=made.redirect_url)

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        async with gateway:
            await store.open()
            leave_alone_what_stays()
            try:
                yield
            finally:
                await store.close()
                folder.cleanup()

    return _Bare(pay, opened)


def bare_starlette(gateway_url: str) -> Any:
    """Return the same on Starlette; GET-like `/transaction` answers one fixed transaction."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    plain = _Plain(gateway_url)
    fixed = {
        "id": "tx_01K0000000000000000000000",
        "version": 2,
        "status": "REQUIRES_ACTION",
        "isFinal": False,
        "orderId": "o-1",
        "createdAt": "2026-01-01T00:00:00Z",
        "amount": {"amount": "25.50", "currency": "AZN"},
        "nextAction": {"url": "https://epoint.az/pay/1"},
        "failure": None,
    }

    async def pay(request: Request) -> Response:
        answer = await plain.pay(_order.decode(await request.body()))
        return Response(_encoder.encode(answer), media_type="application/json")

    async def transaction(request: Request) -> Response:
        msgspec.json.decode(await request.body())
        return Response(_encoder.encode({"data": {"transaction": fixed}}), media_type="application/json")

    return Starlette(
        routes=[Route("/pay", pay, methods=["POST"]), Route("/transaction", transaction, methods=["POST"])]
    )


def _integrify(gateway_url: str) -> Any:
    os.environ.update(EPOINT_PUBLIC_KEY=PUBLIC_KEY, EPOINT_PRIVATE_KEY=PRIVATE_KEY)
    from integrify.epoint.client import EPointClientClass

    return EPointClientClass(base_url=gateway_url, sync=False)


def fastapi_integrify(gateway_url: str) -> Any:
    """Return what a user of Python would write today: FastAPI with the public EPoint client."""
    from tests.benchmarks.plain_fastapi import build

    return build(_integrify(gateway_url))


def strawberry_integrify(gateway_url: str) -> Any:
    """Return GraphQL as Strawberry's documentation has it, with the public EPoint client."""
    from tests.benchmarks.plain_strawberry import build

    return build(_integrify(gateway_url))


PEERS: dict[str, Callable[[str], Any]] = {
    "bare-asgi": bare_asgi,
    "bare-cashier": bare_cashier,
    "bare-starlette": bare_starlette,
    "fastapi-integrify": fastapi_integrify,
    "strawberry-integrify": strawberry_integrify,
}


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        self._waiting = asyncio.create_task(announce_and_wait("http://{}:{}".format(*sockets[0].getsockname())))


if __name__ == "__main__":
    name, gateway_url = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    _Server(uvicorn.Config(PEERS[name](gateway_url), log_level="warning", access_log=False)).run(sockets=[listener])
