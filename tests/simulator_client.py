"""A shop for tests of the simulator: it signs requests, opens hosted pages, and takes callbacks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
from aiohttp import web

from gql_epoint.epoint.callback import Callback, read_callback
from gql_epoint.epoint.signing import seal
from gql_epoint.simulator import SANDBOX_MERCHANTS, Merchant, SimulatorSettings, running
from gql_epoint.simulator.grants import NAMES
from gql_epoint.simulator.state import State

MERCHANT, OTHER_MERCHANT = SANDBOX_MERCHANTS
APPROVED, DECLINED, SECURE, SILENT = (
    "4111 1111 1111 1111",
    "4000000000000116",
    "4000000000003220",
    "4000000000009999",
)
PAY = {"amount": "30.75", "currency": "AZN", "language": "en", "order_id": "order-1", "description": "a book"}
SPLIT = {**PAY, "split_user": OTHER_MERCHANT.public_key, "split_amount": "10.00"}


def sealed(fields: dict[str, Any], private_key: str = MERCHANT.private_key) -> dict[str, str]:
    """Return the two parameters of a request; the right key is the caller's business."""
    made = seal(private_key, msgspec.json.encode(fields))
    return {"data": made.data, "signature": made.signature}


class Shop:
    """Takes callbacks; `answers` holds the HTTP statuses to give before 200."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int] = []
        self.received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def take(self, request: web.Request) -> web.Response:
        await self.received.put((request.headers["content-type"], await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def raw(self) -> tuple[str, bytes]:
        """Wait for the next callback."""
        async with asyncio.timeout(5):
            return await self.received.get()

    async def callback(self) -> Callback:
        """Wait for the next callback, verify it, and say what is in it."""
        return read_callback(MERCHANT.private_key, *await self.raw())


class World:
    """A running simulator, a shop, and what the shop can do."""

    def __init__(self, url: str, state: State, shop: Shop, http: httpx.AsyncClient) -> None:
        self.url = url
        self.state = state
        self.shop = shop
        self.http = http

    async def post(self, path: str, fields: Any, *, merchant: Merchant = MERCHANT) -> httpx.Response:
        body = msgspec.json.encode({"public_key": merchant.public_key, **fields})
        sealed = seal(merchant.private_key, body)
        return await self.http.post(path, data={"data": sealed.data, "signature": sealed.signature})

    async def call(self, path: str, fields: Any, *, merchant: Merchant = MERCHANT) -> dict[str, Any]:
        return (await self.post(f"/api/1/{path}", fields, merchant=merchant)).json()

    async def submit(self, page: str, number: str) -> httpx.Response:
        return await self.http.post(page, data={"card_number": number})

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        response = await self.http.request(method, f"/_control{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def paid(self, number: str = APPROVED, path: str = "request", **fields: Any) -> dict[str, Any]:
        """Make a payment on the hosted page, take its callback, and return the reply that opened it."""
        reply = await self.call(path, {**PAY, **fields})
        await self.submit(reply["redirect_url"], number)
        await self.shop.callback()
        return reply

    async def saved_card(self, number: str = APPROVED, **fields: Any) -> str:
        """Register a card, take its callback, and return the card id."""
        reply = await self.call("card-registration", {"language": "en", **fields})
        await self.submit(reply["redirect_url"], number)
        await self.shop.callback()
        return str(reply["card_id"])

    async def status(self, transaction: str) -> dict[str, Any]:
        return await self.call("get-status", {"transaction": transaction})


@contextlib.asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[World]:
    """Run a simulator and a shop whose result URL the simulator knows."""
    shop = Shop()
    app = web.Application()
    app.router.add_post("/result", shop.take)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with (
            running(SimulatorSettings(**settings)) as simulator,
            httpx.AsyncClient(base_url=simulator.url, timeout=5) as http,
        ):
            made = World(simulator.url, simulator.state, shop, http)
            for merchant in SANDBOX_MERCHANTS:
                urls = {"result_url": f"{shop.url}/result"}
                await made.control("PUT", f"/merchants/{merchant.public_key}", urls)
            yield made
    finally:
        await runner.cleanup()


def granted_all_but(*features: str) -> dict[str, list[str]]:
    """Return the change of a merchant that leaves it with every feature but these."""
    return {"granted": [name for name in NAMES if name not in features]}
