"""The least HTTP/1.1 that a fake gateway and a load generator need: bodies with a length, kept connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Messages:
    """Cuts the bytes of one connection into (head, body)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return the message that has become complete, if any; the peers here never send two at once."""
        self._rest += data
        head, found, body = self._rest.partition(b"\r\n\r\n")
        if not found:
            return None
        if _CHUNKED.search(head):
            if not body.endswith(b"0\r\n\r\n"):
                return None
            body = _unchunked(body)
        else:
            length = _LENGTH.search(head)
            if len(body) < (int(length[1]) if length else 0):
                return None
        self._rest = b""
        return head, body


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole


def run(main: Callable[[], object]) -> None:
    """Run a coroutine function on the fastest event loop that is installed."""
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(main())  # type: ignore[arg-type]
    else:
        uvloop.run(main())
