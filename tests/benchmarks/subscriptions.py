"""Measure subscriptions: memory of each subscriber, connects per second, and how long a callback takes to be heard.

    python -m tests.benchmarks.subscriptions [--counts 1000 5000 9990] [--transports WebSocket SSE]

The service, its gateway and its subscribers are processes of their own; a latency is from the moment when EPoint's
callback is sent to the moment when its change is at the subscriber, all by the clock of one process. One that comes
alone is measured before the many are there, and beside them while they are told nothing. What all hear is that
money is held. The last that they hear is that it was let go, which completes their subscriptions. A service takes
10,000 sockets, and a few come and go here beside the many.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.epoint.signing import seal
from gql_epoint.keys import Scope, SecretKey, digest_of, new_secret_key
from gql_epoint.settings import DOCUMENTATION_PRIVATE_KEY
from tests.benchmarks.contenders import fake_gateway, service
from tests.benchmarks.load import pay_body
from tests.benchmarks.processes import Server
from tests.benchmarks.subscribers import DOCUMENT, TRANSPORTS, Subscriber, connect, files_max

AT_ONCE = 50
PER_KEY = 900

HOLD = """\
mutation Hold($input: PreauthorizeInput!) {
  preauthorize(input: $input) { transaction { id gateway { transactionId } } }
}"""
CANCEL = """\
mutation Cancel($input: CancelPreauthorizationInput!) {
  cancelPreauthorization(input: $input) { transaction { status } errors { code message } }
}"""


class Shop:
    """The backend: it orders payments, and plays EPoint's callback."""

    def __init__(self, url: str, keys: list[str], session: aiohttp.ClientSession) -> None:
        self.url = url
        self.keys = keys
        self._session = session
        self._run = secrets.token_hex(4)
        self._count = 0

    async def pay(self) -> tuple[str, str]:
        """Start a payment and return its id and what EPoint calls it."""
        self._count += 1
        told = await self._ask(pay_body(self._count, self._run))
        transaction_id = told["pay"]["transaction"]["id"]
        query = "query Named($id: ID!) { transaction(by: { id: $id }) { gateway { transactionId } } }"
        told = await self._ask(msgspec.json.encode({"query": query, "variables": {"id": transaction_id}}))
        return transaction_id, told["transaction"]["gateway"]["transactionId"]

    async def hold(self) -> tuple[str, dict[str, object]]:
        """Begin a pre-authorisation, and return its id and the callback that says that the money is held."""
        self._count += 1
        order = {
            "idempotencyKey": f"hold-{self._run}-{self._count:010d}",
            "orderId": f"h-{self._run}-{self._count}",
            "amount": {"amount": "25.50"},
        }
        told = (await self._send(HOLD, order))["preauthorize"]["transaction"]
        name = told["gateway"]["transactionId"]
        return told["id"], {"status": "success", "order_id": order["orderId"], "transaction": name, "amount": 25.5}

    async def cancel(self, transaction_id: str) -> None:
        """Let the money go."""
        self._count += 1
        key = f"hold-{self._run}-{self._count:010d}"
        await self._send(CANCEL, {"idempotencyKey": key, "transaction": {"id": transaction_id}})

    async def _send(self, query: str, given: object) -> Any:
        return await self._ask(msgspec.json.encode({"query": query, "variables": {"input": given}}))

    async def _ask(self, body: bytes) -> Any:
        headers = {"Authorization": f"Bearer {self.keys[0]}", "Content-Type": "application/json"}
        async with self._session.post(f"{self.url}/graphql", data=body, headers=headers) as answer:
            return (await answer.json())["data"]

    async def decline(self, gateway_id: str) -> float:
        """Let EPoint say that a payment failed, and return the moment before that was sent."""
        return await self.call_back({"status": "failed", "transaction": gateway_id, "code": "116"})

    async def call_back(self, body: dict[str, object]) -> float:
        """Play a callback, and return the moment before it was sent."""
        sealed = seal(DOCUMENTATION_PRIVATE_KEY, msgspec.json.encode(body))
        sent_s = time.perf_counter()
        async with self._session.post(
            f"{self.url}/webhooks/epoint",
            data=urlencode({"data": sealed.data, "signature": sealed.signature}),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ) as answer:
            assert answer.status == 200, await answer.text()
        return sent_s


async def _connect_many(
    shop: Shop, transport: type[Subscriber], count: int, transaction_id: str
) -> list[Subscriber]:
    connected: list[Subscriber] = []
    waiting = iter(range(count))

    async def some() -> None:
        for number in waiting:
            key = shop.keys[number // PER_KEY]
            connected.append(await connect(transport, shop.url, key, DOCUMENT, id=transaction_id))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return connected


async def _measure(shop: Shop, server: Server, name: str, count: int, events: int) -> str:
    transport = TRANSPORTS[name]
    alone_ms = await _singles(shop, transport, events)
    transaction_id, held = await shop.hold()
    # What the first ones bring into memory is there for all.
    first = await _connect_many(shop, transport, 20, transaction_id)
    rss, cpu_s, started_s = server.rss_bytes(), server.cpu_s(), time.perf_counter()
    subscribers = first + await _connect_many(shop, transport, count - 20, transaction_id)
    connects_per_s = (count - 20) / (time.perf_counter() - started_s)
    connect_us = (server.cpu_s() - cpu_s) / (count - 20) * 1e6
    kilobytes = (server.rss_bytes() - rss) / (count - 20) / 1000
    _leave_alone_what_stays()
    await asyncio.sleep(1)
    singles_ms = await _singles(shop, transport, events)
    subscribers[0].transport.pause_reading()  # whoever does not read costs the others nothing
    reading = subscribers[1:]
    cpu_s = server.cpu_s()
    sent_s = await shop.call_back(held)
    heard_s = [await subscriber.heard for subscriber in reading]
    message_us = (server.cpu_s() - cpu_s) / count * 1e6
    await asyncio.sleep(1)
    cpu_s = server.cpu_s()
    await shop.cancel(transaction_id)
    for subscriber in reading:
        await subscriber.ended
    await asyncio.sleep(1)
    last_us = (server.cpu_s() - cpu_s) / count * 1e6
    for subscriber in subscribers:
        subscriber.transport.abort()
    cells = [
        name,
        f"{count:,}",
        f"{kilobytes:.1f}",
        f"{connects_per_s:,.0f}",
        f"{connect_us:.0f}",
        *(f"{median(ms):.1f}, {ms[len(ms) * 99 // 100]:.1f}" for ms in (alone_ms, singles_ms)),
        f"{(median(heard_s) - sent_s) * 1000:.0f}",
        f"{(max(heard_s) - sent_s) * 1000:.0f}",
        f"{message_us:.0f}",
        f"{last_us:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _leave_alone_what_stays() -> None:
    """Let this process's garbage collector not look at the many, while it measures what a single one hears."""
    gc.collect()
    gc.freeze()


async def _singles(shop: Shop, transport: type[Subscriber], events: int) -> list[float]:
    """Let one after another hear of a change, and return after how many milliseconds each did, sorted."""
    return sorted([await _single(shop, transport) for _ in range(events)])


async def _single(shop: Shop, transport: type[Subscriber]) -> float:
    transaction_id, gateway_id = await shop.pay()
    subscriber = await connect(transport, shop.url, shop.keys[-1], DOCUMENT, id=transaction_id)
    sent_s = await shop.decline(gateway_id)
    heard_s = await subscriber.heard
    subscriber.transport.abort()
    return (heard_s - sent_s) * 1000


async def _main(options: argparse.Namespace, folder: Path) -> None:
    most = files_max()
    print(  # noqa: T201
        "| over | subscribers | kB each | connects/s | µs to connect | one hears alone, p50 and p99 ms "
        "| beside the others | all hear, half ms | all ms | µs a message | µs the last |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for name in options.transports:
        for count in options.counts:
            if count + 100 > most:
                print(f"{count} is left out: only {most} files may be open (ulimit -n)", file=sys.stderr)  # noqa: T201
                continue
            # A key may have a thousand connections, so there are several; the last one is for those who come alone.
            keys = [new_secret_key(os.urandom) for _ in range(count // PER_KEY + 2)]
            place = folder / f"{name}-{count}"
            with fake_gateway(place) as gateway:
                written = ",".join(
                    SecretKey(name=f"bench{n}", scopes=frozenset(Scope), digest=digest_of(key)).line()
                    for n, key in enumerate(keys)
                )
                server = service(
                    gateway.url, place, f"sqlite:///{place / 'bench.db'}", GQL_EPOINT_SECRET_KEYS=written
                )
                try:
                    async with aiohttp.ClientSession() as session:
                        shop = Shop(server.url, keys, session)
                        print(await _measure(shop, server, name, count, options.events), flush=True)  # noqa: T201
                finally:
                    server.stop()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.subscriptions")
    parser.add_argument("--counts", type=int, nargs="*", default=[1_000, 5_000, 9_990])
    parser.add_argument("--transports", nargs="*", default=list(TRANSPORTS), choices=list(TRANSPORTS))
    parser.add_argument("--events", type=int, default=400, help="that one subscriber hears after the other")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="gql-epoint-bench-") as name,
        asyncio.Runner(loop_factory=auto_loop_factory()) as runner,
    ):
        runner.run(_main(options, Path(name)))


if __name__ == "__main__":
    main()
