"""Ask a server as fast as it answers, over a fixed number of connections; print one line of JSON with the figures.

`python -m tests.benchmarks.load URL KIND SECONDS CONNECTIONS [TRANSACTION_ID]`. Each request is sent when the
answer to the one before it is there, so the server is never asked more than it can do.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from gql_epoint.keys import DEVELOPMENT_KEY
from tests.benchmarks.wire import Messages, run

PAY = """\
mutation Pay($input: PayInput!) {
  pay(input: $input) {
    transaction { id status nextAction { ... on RedirectAction { url } } }
    replayed
    errors { code message }
  }
}"""
TRANSACTION = """\
query Status($id: ID!) {
  transaction(by: { id: $id }) {
    id version status isFinal orderId createdAt
    amount { amount currency }
    nextAction { ... on RedirectAction { url } }
    failure { category message retryable }
  }
}"""

_run = secrets.token_hex(6)
_numbers = itertools.count(1)


class Figures(msgspec.Struct, kw_only=True):
    """What one turn of load came to; times in milliseconds."""

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float


def pay_body(number: int, run_name: str = _run) -> bytes:
    """Return the GraphQL request of a payment that nobody made before."""
    order = {
        "idempotencyKey": f"bench-{run_name}-{number:010d}",
        "orderId": f"o-{run_name}-{number}",
        "amount": {"amount": "25.50", "currency": "AZN"},
        "description": "Two tickets",
    }
    return msgspec.json.encode({"query": PAY, "variables": {"input": order}})


def transaction_body(transaction_id: str) -> bytes:
    """Return the GraphQL request for one transaction."""
    return msgspec.json.encode({"query": TRANSACTION, "variables": {"id": transaction_id}})


def rest_body(number: int) -> bytes:
    """Return the same order as it goes to a server without GraphQL."""
    order = {"order_id": f"o-{_run}-{number}", "amount": "25.50", "currency": "AZN", "description": "Two tickets"}
    return msgspec.json.encode(order)


def _bodies(kind: str, arguments: list[str]) -> tuple[Callable[[], bytes], bytes]:
    """Return the maker of request bodies, and a text that every right answer holds."""
    if kind == "graphql-pay":
        return lambda: pay_body(next(_numbers)), b"/pay/"
    if kind == "rest-pay":
        return lambda: rest_body(next(_numbers)), b"/pay/"
    body = transaction_body(arguments[0])
    return lambda: body, b'"status":"'


class _Asking(asyncio.Protocol):
    def __init__(self, path: str, next_body: Callable[[], bytes], right: bytes, until_s: float) -> None:
        self.latencies_s: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\nAuthorization: Bearer {DEVELOPMENT_KEY}\r\nContent-Length: "
        ).encode()
        self._next_body = next_body
        self._right = right
        self._until_s = until_s
        self._messages = Messages()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        body = self._next_body()
        self._asked_s = time.perf_counter()
        self._transport.write(self._head + b"%d\r\n\r\n" % len(body) + body)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        message = self._messages.feed(data)
        if message is None:
            return
        now_s = time.perf_counter()
        self.latencies_s.append(now_s - self._asked_s)
        if self._right not in message[1]:
            self.done.set_exception(RuntimeError(f"a wrong answer: {message[0]!r} {message[1][:500]!r}"))
            self._transport.close()
        elif now_s >= self._until_s:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the server closed the connection: {exc}"))


async def _main() -> None:
    url, kind, seconds, connections, *arguments = sys.argv[1:]
    next_body, right = _bodies(kind, arguments)
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    started_s = time.perf_counter()
    until_s = started_s + float(seconds)
    asking = [
        (
            await loop.create_connection(
                lambda: _Asking(parts.path, next_body, right, until_s), parts.hostname, parts.port
            )
        )[1]
        for _ in range(int(connections))
    ]
    await asyncio.gather(*(one.done for one in asking))
    latencies_ms = sorted(1000 * latency_s for one in asking for latency_s in one.latencies_s)
    figures = Figures(
        answers=len(latencies_ms),
        seconds=time.perf_counter() - started_s,
        p50_ms=latencies_ms[len(latencies_ms) // 2],
        p99_ms=latencies_ms[len(latencies_ms) * 99 // 100],
    )
    print(msgspec.json.encode(figures).decode(), flush=True)  # noqa: T201 - whoever started it reads this


if __name__ == "__main__":
    run(_main)
