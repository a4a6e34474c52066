"""Server-sent events that say what has changed: GET /_control/live.

    event: changed
    data: {"revision": 12, "transactions": ["te0000000001"], "business": ["invoices/1001", "transfers/order-1"]}

The first comes at once. What has changed is then read from the views; a lost event costs a delay and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gql_epoint.simulator.state import State

_STREAMS_MAX = 100
_PAUSE_S = 0.1  # what happens meanwhile is told at once
_HEARTBEAT_S = 10.0


def live_route(state: State, closing: asyncio.Event) -> Route:
    """Return the route; `closing` ends what is open."""
    live = _Live(state, closing)
    return Route("/_control/live", live.answer, methods=["GET"])


class _Live:
    def __init__(self, state: State, closing: asyncio.Event) -> None:
        self._changes = state.changes
        self._closing = closing
        self._open = 0

    async def answer(self, request: Request) -> Response:
        if self._open >= _STREAMS_MAX:
            return Response(status_code=503, headers={"retry-after": "5"})
        headers = {"cache-control": "no-store", "cross-origin-resource-policy": "same-origin"}
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=headers)

    async def _events(self) -> AsyncIterator[bytes]:
        self._open += 1
        closing = asyncio.create_task(self._closing.wait())
        try:
            told = self._changes.revision
            yield _event(told, [], [])
            while not closing.done():
                if self._changes.revision == told:
                    if not await self._changed(closing):
                        yield b": still here\n\n"
                    continue
                names, business = self._changes.since(told), self._changes.business_since(told)
                told = self._changes.revision
                yield _event(told, names, business)
                await asyncio.wait({closing}, timeout=_PAUSE_S)
        finally:
            self._open -= 1
            closing.cancel()

    async def _changed(self, closing: asyncio.Task[bool]) -> bool:
        changed = asyncio.create_task(self._changes.upcoming().wait())
        try:
            done, _ = await asyncio.wait(
                {changed, closing}, timeout=_HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            changed.cancel()
        return bool(done)


def _event(revision: int, transactions: list[str], business: list[str]) -> bytes:
    data = msgspec.json.encode({"revision": revision, "transactions": transactions, "business": business})
    return b"event: changed\ndata: " + data + b"\n\n"
