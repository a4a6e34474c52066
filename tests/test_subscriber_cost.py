"""What a subscriber costs the application, in bytes. What the server keeps for its connection is not in it."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gql_epoint.schema import build_schema
from gql_epoint.schema.access import AuthLevel, Credential, Scope
from gql_epoint.web.closing import ClosingSockets, OpenSockets
from gql_epoint.web.graphql import GraphQLEndpoint
from gql_epoint.web.running import Runner
from gql_epoint.web.sockets import Sockets
from gql_epoint.web.visitors import Visitors
from tests.benchmarks.subscribers import DOCUMENT
from tests.cashier_kit import Shop, open_shop, success_of

COUNT = 200

# 8,640 and 11,030 with Python 3.11, of which about 1,000 are this test's own, and room for other versions.
BYTES_MAX = {"WebSocket": 9_500, "SSE": 12_000}


class Doorkeeper:
    """Lets everybody in with one secret key."""

    credential = Credential(name="shop", level=AuthLevel.SECRET_KEY, scopes=frozenset(Scope))

    async def admit(self, _presented: object) -> Credential:
        return self.credential

    admit_socket = admit

    async def check(self, _credential: Credential) -> None:
        """It never expires."""

    def left_s(self, _credential: Credential) -> None:
        """It lasts for ever."""

    def while_valid(self, results: Any, _credential: Credential) -> Any:
        return results


class Crowd:
    """Many subscribers of one transaction, without a server between them and the application."""

    def __init__(self, shop: Shop, transaction_id: str, transport: str) -> None:
        doorkeeper: Any = Doorkeeper()
        runner = Runner(build_schema(), deadline_s=30, doorkeeper=doorkeeper)
        visitors = Visitors(cashier=shop.cashier, doorkeeper=doorkeeper, merchant="i1", sandbox=True)
        opened = OpenSockets()
        sockets = Sockets(runner, visitors, allowed_origins=())
        self._app = ClosingSockets(
            GraphQLEndpoint(
                runner, visitors, sockets, body_bytes_max=10_000, explorer=None, closing=opened.closing
            ),
            opened,
        )
        self._asked = {"query": DOCUMENT, "variables": {"id": transaction_id}}
        self._scope, self._said = self._by_socket() if transport == "WebSocket" else self._by_stream()
        self._calls: list[asyncio.Task[None]] = []
        self.heard: list[int] = []

    def _by_socket(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        subscribe = {"type": "subscribe", "id": "1", "payload": self._asked}
        said = [json.dumps(message) for message in ({"type": "connection_init"}, subscribe)]
        return {"type": "websocket", "headers": [], "subprotocols": ["graphql-transport-ws"]}, [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": text} for text in said),
        ]

    def _by_stream(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        headers = [(b"accept", b"text/event-stream"), (b"content-type", b"application/json")]
        said = {"type": "http.request", "body": json.dumps(self._asked).encode()}
        return {"type": "http", "method": "POST", "headers": headers}, [said]

    async def come(self, count: int) -> None:
        """Let more subscribers come, and wait until each has the snapshot."""
        waiting = len(self.heard) + count
        self._calls += [asyncio.create_task(self._one()) for _ in range(count)]
        async with asyncio.timeout(30):
            while len(self.heard) < waiting or not all(self.heard):
                await asyncio.sleep(0.01)

    async def _one(self) -> None:
        said = list(reversed(self._said))
        me = len(self.heard)
        self.heard.append(0)

        async def receive() -> Any:
            return said.pop() if said else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            self.heard[me] += "transactionUpdated" in str(message.get("text") or message.get("body"))

        scope = {"asgi": {"version": "3.0"}, "path": "/graphql", "query_string": b"", "state": {"request_id": "r"}}
        await self._app(scope | self._scope, receive, send)

    async def go(self) -> None:
        """Let all of them go."""
        for call in self._calls:
            call.cancel()
        await asyncio.wait(self._calls)


@pytest.mark.parametrize("transport", BYTES_MAX)
async def test_a_subscriber_costs_a_few_kilobytes(tmp_path: Path, transport: str) -> None:
    """An execution, a request or a message that is kept by mistake shows here; they are thousands of bytes."""
    async with open_shop(tmp_path) as shop:
        transaction = await shop.pay()
        crowd = Crowd(shop, transaction.id, transport)
        await crowd.come(20)  # What the first ones bring into memory is there for all.
        gc.collect()
        tracemalloc.start()
        try:
            await crowd.come(COUNT)
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await shop.callback(**success_of(transaction))
        async with asyncio.timeout(30):
            while min(crowd.heard) < 2:
                await asyncio.sleep(0.01)
        await crowd.go()

    assert kept / COUNT < BYTES_MAX[transport]
