"""Very many subscribers in one process, as cheap as they come: connections of WebSocket or of server-sent events.

They say when what they wait for has come, and nothing else of what they are sent is looked at.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

DOCUMENT = """\
subscription Watch($id: ID!) {
  transactionUpdated(by: { id: $id }) {
    kind transaction { id version status isFinal failure { category message } }
  }
}"""


class Subscriber(asyncio.Protocol):
    """One connection that watches something.

    `ready` is done at the first result, `heard` at the first change, and `ended` at one that is final.
    """

    def __init__(self, host: str, key: str, document: str, variables: dict[str, str]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[float] = loop.create_future()
        self.heard: asyncio.Future[float] = loop.create_future()
        self.ended: asyncio.Future[float] = loop.create_future()
        self._host = host
        self._key = key
        self._asked = {"query": document, "variables": variables}
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in (self.ready, self.heard, self.ended):
            if not waiting.done():
                waiting.set_exception(RuntimeError(f"the connection was closed: {exc} {self._seen[-300:]!r}"))
                waiting.exception()

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        self._seen = (self._seen + data)[-4000:]
        self.advance()
        if b'"kind":"SNAPSHOT"' in self._seen and not self.ready.done():
            self.ready.set_result(now_s)
        if b'"kind":"CHANGE"' in self._seen and not self.heard.done():
            self.heard.set_result(now_s)
        if b'"isFinal":true' in self._seen and not self.ended.done():
            self.ended.set_result(now_s)

    def begin(self) -> None:
        """Ask for the subscription."""
        raise NotImplementedError

    def advance(self) -> None:
        """Go on with what the protocol wants."""


class EventStreamSubscriber(Subscriber):
    """Over server-sent events."""

    def begin(self) -> None:
        body = msgspec.json.encode(self._asked)
        self.transport.write(
            f"POST /graphql HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._key}\r\n"
            "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


class SocketSubscriber(Subscriber):
    """Over graphql-transport-ws."""

    _said = 0

    def begin(self) -> None:
        self.transport.write(
            f"GET /graphql HTTP/1.1\r\nHost: {self._host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def advance(self) -> None:
        ping = self._seen.find(b"\x89\x04")  # a frame of four bytes, by which the server sees who is there
        if ping >= 0 and len(self._seen) >= ping + 6:
            self.transport.write(b"\x8a\x84" + bytes(4) + self._seen[ping + 2 : ping + 6])
            self._seen = self._seen[:ping] + self._seen[ping + 6 :]
        if self._said == 0 and b"\r\n\r\n" in self._seen:
            self._said = 1
            payload = {"authorization": f"Bearer {self._key}"}
            self._say({"type": "connection_init", "payload": payload})
        if self._said == 1 and b"connection_ack" in self._seen:
            self._said = 2
            self._say({"id": "1", "type": "subscribe", "payload": self._asked})

    def _say(self, message: object) -> None:
        text = msgspec.json.encode(message)
        # Masked with zeros, which leaves the text as it is.
        self.transport.write(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)


TRANSPORTS: dict[str, type[Subscriber]] = {"WebSocket": SocketSubscriber, "SSE": EventStreamSubscriber}


async def connect(transport: type[Subscriber], url: str, key: str, document: str, **variables: str) -> Subscriber:
    """Open one connection and wait until it has been told the state."""
    parts = urlsplit(url)
    made: Callable[[], Subscriber] = lambda: transport(parts.netloc, key, document, variables)  # noqa: E731
    _, subscriber = await asyncio.get_running_loop().create_connection(made, parts.hostname, parts.port)
    await subscriber.ready
    return subscriber


def files_max() -> int:
    """Raise this process's limit of open files as far as it goes, and return it."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most if most > 0 else os.sysconf("SC_OPEN_MAX")
