"""Measure browsers that each watch a checkout of their own with a client token: memory, connects, and idling.

    python -m tests.benchmarks.browsers [--counts 1000 9990] [--transports WebSocket SSE] [--idle-s 30]

Unlike the subscribers of tests.benchmarks.subscriptions they share nothing: each has a credential, a row and a
result of its own. What all of them cost while nothing happens is told as a share of one processor.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.keys import DEVELOPMENT_KEY
from tests.benchmarks.contenders import fake_gateway, service
from tests.benchmarks.processes import Server
from tests.benchmarks.subscribers import TRANSPORTS, Subscriber, connect, files_max

AT_ONCE = 50

CREATE = """\
mutation Create($input: CreateCheckoutInput!) {
  createCheckout(input: $input) { clientToken { secret } errors { code message } }
}"""
WATCH = """\
subscription Watch {
  checkoutUpdated {
    kind checkout { id status transaction { id version status isFinal failure { category message } } }
  }
}"""


async def _tokens(url: str, session: aiohttp.ClientSession) -> AsyncIterator[str]:
    """Yield client tokens, each of a checkout of its own."""
    headers = {"Authorization": f"Bearer {DEVELOPMENT_KEY}", "Content-Type": "application/json"}
    number = 0
    while True:
        number += 1
        order = {
            "idempotencyKey": f"checkout-{number:010d}",
            "orderId": f"c-{number}",
            "amount": {"amount": "25.50"},
        }
        body = msgspec.json.encode({"query": CREATE, "variables": {"input": order}})
        async with session.post(f"{url}/graphql", data=body, headers=headers) as answer:
            told: Any = (await answer.json())["data"]["createCheckout"]
        assert told["errors"] == [], told
        yield told["clientToken"]["secret"]


async def _connect_many(url: str, transport: type[Subscriber], secrets: list[str]) -> list[Subscriber]:
    waiting = iter(secrets)

    async def some() -> list[Subscriber]:
        return [await connect(transport, url, secret, WATCH) for secret in waiting]

    return [one for some_of_them in await asyncio.gather(*(some() for _ in range(AT_ONCE))) for one in some_of_them]


async def _measure(server: Server, session: aiohttp.ClientSession, name: str, count: int, idle_s: float) -> str:
    making = _tokens(server.url, session)
    secrets = [await anext(making) for _ in range(count)]
    # What the first ones bring into memory is there for all.
    first = await _connect_many(server.url, TRANSPORTS[name], secrets[:20])
    rss, cpu_s, started_s = server.rss_bytes(), server.cpu_s(), time.perf_counter()
    subscribers = first + await _connect_many(server.url, TRANSPORTS[name], secrets[20:])
    connects_per_s = (count - 20) / (time.perf_counter() - started_s)
    connect_us = (server.cpu_s() - cpu_s) / (count - 20) * 1e6
    kilobytes = (server.rss_bytes() - rss) / (count - 20) / 1000
    await asyncio.sleep(1)
    cpu_s, started_s = server.cpu_s(), time.perf_counter()
    await asyncio.sleep(idle_s)
    idling = (server.cpu_s() - cpu_s) / (time.perf_counter() - started_s)
    for subscriber in subscribers:
        subscriber.transport.abort()
    return (
        f"| {name} | {count:,} | {kilobytes:.1f} | {connects_per_s:,.0f} | {connect_us:.0f} | {100 * idling:.1f}% |"
    )


async def _main(options: argparse.Namespace, folder: Path) -> None:
    most = files_max()
    print("| over | browsers | kB each | connects/s | µs to connect | of a processor, idle |")  # noqa: T201
    print("|---|---:|---:|---:|---:|---:|")  # noqa: T201
    for name in options.transports:
        for count in options.counts:
            if count + 100 > most:
                print(f"{count} is left out: only {most} files may be open (ulimit -n)", file=sys.stderr)  # noqa: T201
                continue
            place = folder / f"{name}-{count}"
            with fake_gateway(place) as gateway:
                server = service(gateway.url, place, f"sqlite:///{place / 'bench.db'}")
                try:
                    async with aiohttp.ClientSession() as session:
                        told = await _measure(server, session, name, count, options.idle_s)
                        print(told, flush=True)  # noqa: T201
                finally:
                    server.stop()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.browsers")
    parser.add_argument("--counts", type=int, nargs="*", default=[1_000, 9_990])
    parser.add_argument("--transports", nargs="*", default=list(TRANSPORTS), choices=list(TRANSPORTS))
    parser.add_argument("--idle-s", type=float, default=30.0, help="how long nothing happens")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="gql-epoint-bench-") as name,
        asyncio.Runner(loop_factory=auto_loop_factory()) as runner,
    ):
        runner.run(_main(options, Path(name)))


if __name__ == "__main__":
    main()
