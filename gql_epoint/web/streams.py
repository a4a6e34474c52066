"""Send results one after another over HTTP: as server-sent events (graphql-sse) or as Apollo's multipart.

Frames end in LF, which urql needs; a quiet stream carries a heartbeat, so that no proxy takes it for dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from starlette.responses import Response

from gql_epoint.live import Bell
from gql_epoint.web.closing import Closing
from gql_epoint.web.negotiation import EVENT_STREAM
from gql_epoint.web.running import Results, written

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from gql_epoint.schema.context import Place

Write = Callable[[bytes], Awaitable[None]]
Produce = Callable[[Write], Coroutine[Any, Any, bytes]]
"""Writes frames and returns the last of them."""

HEARTBEAT_S = 12.0

STREAM_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


class Framing(Protocol):
    """How results become bytes."""

    content_type: str
    start: bytes
    heartbeat: bytes

    def next(self, payload: str, event_id: str | None) -> bytes:
        """Return the frame of one result, which is JSON without line ends."""

    def complete(self) -> bytes:
        """Return the frame that says there are no more."""


class EventFraming:
    """graphql-sse, distinct connections mode."""

    content_type = "text/event-stream; charset=utf-8"
    start = b""
    heartbeat = b":\n\n"

    def next(self, payload: str, event_id: str | None) -> bytes:
        """Return one event, with the id that a client resumes after."""
        resume = f"id: {event_id}\n" if event_id else ""
        return f"{resume}event: next\ndata: {payload}\n\n".encode()

    def complete(self) -> bytes:
        """Return the last event; without a data line browsers would not dispatch it."""
        return b"event: complete\ndata: \n\n"


class MultipartFraming:
    """Apollo's multipart protocol for subscriptions, version 1.0.

    Each part brings the boundary that ends it: a client reads a part only once the next boundary is there.
    """

    content_type = 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
    start = b"\r\n--graphql"
    heartbeat = b"\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql"

    def next(self, payload: str, _event_id: str | None) -> bytes:
        """Return one part."""
        return f'\r\nContent-Type: application/json\r\n\r\n{{"payload":{payload}}}\r\n--graphql'.encode()

    def complete(self) -> bytes:
        """Return what makes the last boundary the end."""
        return b"--\r\n"


def framing_for(media_type: str) -> Framing:
    """Return the framing of a negotiated media type."""
    return EventFraming() if media_type == EVENT_STREAM else MultipartFraming()


class FrameResponse(Response):
    """A response that goes on: it sends whatever `produce` writes, and ends with what that returns.

    It also ends when the client goes, when `closing` is set, or after `lasts_s`: no stream outlives its credential.
    What `produce` writes is sent before its next step, so a slow reader holds the source up and fills no memory.
    """

    def __init__(
        self,
        produce: Produce,
        *,
        content_type: str,
        heartbeat: bytes,
        closing: Closing,
        lasts_s: float | None = None,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Content-Type": content_type, **STREAM_HEADERS})
        self._produce = produce
        self._heartbeat = heartbeat
        self._closing = closing
        self._lasts_s = lasts_s
        self._heartbeat_s = heartbeat_s
        self._writing = 0
        self._wrote_at = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        producing = asyncio.create_task(self._produce(partial(self._write, send)))
        leaving = asyncio.create_task(_gone(receive))
        bell = Bell()
        for task in (producing, leaving):
            task.add_done_callback(lambda _: bell.ring())
        self._closing.bells.add(bell)
        try:
            await self._keep(bell, (producing, leaving), send)
            last = producing.result() if producing.done() else b""
        except OSError:
            return  # The client has gone, in the middle of a frame.
        finally:
            self._closing.bells.discard(bell)
            has_left = leaving.done()
            leaving.cancel()
            if self._beating is not None:
                self._beating.cancel()
            if not producing.done():
                await end(producing)
        if not has_left:
            await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _keep(self, bell: Bell, tasks: tuple[asyncio.Task[Any], ...], send: Send) -> None:
        """Send a heartbeat after each silence, so that no proxy takes the stream for dead, until it is to end."""
        self._wrote_at = now = monotonic()
        until = inf if self._lasts_s is None else now + self._lasts_s
        while not self._closing.is_set() and now < until and not any(task.done() for task in tasks):
            if now >= self._wrote_at + self._heartbeat_s:
                self._wrote_at = now
                if not self._writing:  # Whoever reads slowly has something to read, and is not waited for here.
                    self._beating = asyncio.create_task(self._write(send, self._heartbeat))
            await bell.wait(min(self._wrote_at + self._heartbeat_s, until) - now)
            now = monotonic()

    async def _write(self, send: Send, frame: bytes) -> None:
        self._wrote_at = monotonic()
        self._writing += 1
        try:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        finally:
            self._writing -= 1


def stream_response(
    results: Results, framing: Framing, place: Place, closing: Closing, *, lasts_s: float | None = None
) -> FrameResponse:
    """Return a response that sends each result."""

    async def produce(write: Write) -> bytes:
        try:
            if framing.start:
                await write(framing.start)
            async for result in results:
                # What was not answered is not behind its client, which resumes after what was.
                event_id = None if result.data is None else place.event_id
                frame = framing.next(written(result), event_id)
                if results.is_over:
                    return frame + framing.complete()
                await write(frame)
                del result, frame  # The next one may be long in coming.
            return framing.complete()
        finally:
            await results.aclose()

    return FrameResponse(
        produce, content_type=framing.content_type, heartbeat=framing.heartbeat, closing=closing, lasts_s=lasts_s
    )


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over."""
    task.cancel()
    await asyncio.wait({task})
