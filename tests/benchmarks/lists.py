"""Measure what compiled execution saves on lists: `make bench-lists`, `python -m tests.benchmarks.lists [rounds]`.

The service runs in this process, with compiled execution and with graphql-core's own, over the same books. Both
are asked in turns for lists of 1, 10 and 100 transactions with 19 fields each. Printed is the processor time of the
event loop for one request, the median of the rounds, with its ratio. What a server and a reader of the database
take is not in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import msgspec

from gql_epoint.settings import read_settings
from gql_epoint.web.app import create_app
from tests.benchmarks.contenders import fake_gateway
from tests.benchmarks.load import pay_body
from tests.test_cost import Application

ROUNDS = 9
ASKED_MIN = 3
NODES_IN_A_TURN = 100
SIZES = (1, 10, 100)

LIST = """\
query Report($first: Int!) {
  transactions(first: $first) {
    edges {
      node {
        id orderId status isFinal version operation createdAt updatedAt adopted description
        amount { amount currency }
        card { mask }
        nextAction { __typename ... on RedirectAction { url } }
        gateway { status transactionId }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}"""


async def main(rounds: int) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory(prefix="gql-epoint-bench-") as name, fake_gateway(Path(name)) as gateway:
        file = Path(name) / "books.db"
        books = f"sqlite:///{file}"
        async with _service(books, gateway.url, compiled=True) as service:
            for number in range(max(SIZES)):
                await service.ask(pay_body(number))
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("UPDATE transactions SET ask_at = NULL")  # Nobody pays them; EPoint is not asked.
        for size in SIZES:
            body = msgspec.json.encode({"query": LIST, "variables": {"first": size}})
            turns: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(rounds):
                for compiled, times in turns.items():
                    async with _service(books, gateway.url, compiled=compiled) as service:
                        times.append(await _turn(service, body, max(ASKED_MIN, NODES_IN_A_TURN // size)))
            ours, theirs = median(turns[True]), median(turns[False])
            figures = f"compiled {ours:6.0f} µs, graphql-core {theirs:6.0f} µs, {theirs / ours:.2f} times as much"
            print(f"{size:4} transactions: {figures}")  # noqa: T201


async def _turn(service: Application, body: bytes, times: int) -> float:
    for _ in range(3):  # It is known, then compiled, then its variables are.
        answer, _ = await service.ask(body)
        assert "errors" not in answer, answer
    began_s = time.thread_time()
    for _ in range(times):
        await service.ask(body)
    return (time.thread_time() - began_s) / times * 1e6


@contextlib.asynccontextmanager
async def _service(books: str, gateway_url: str, *, compiled: bool) -> AsyncIterator[Application]:
    environ = {
        "GQL_EPOINT_SANDBOX": "1",
        "GQL_EPOINT_DATABASE_URL": books,
        "GQL_EPOINT_GATEWAY_URL": gateway_url,
        "GQL_EPOINT_KEY_REQUESTS_PER_MINUTE": "0",
        "GQL_EPOINT_COMPILED": str(int(compiled)),
    }
    settings, problems = read_settings(environ)
    assert settings is not None, problems
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Application(app)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
