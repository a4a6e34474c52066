"""Send results one after another over HTTP: as server-sent events (graphql-sse) or as Apollo's multipart.

Frames end in LF, which urql needs; a quiet stream carries a heartbeat, so that no proxy takes it for dead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from starlette.responses import StreamingResponse

from gql_epoint.web.negotiation import EVENT_STREAM
from gql_epoint.web.running import Results, written

if TYPE_CHECKING:
    from gql_epoint.schema.context import Place

HEARTBEAT_S = 12.0

STREAM_HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}

ItemT = TypeVar("ItemT")


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


def stream_response(
    results: Results,
    framing: Framing,
    place: Place,
    closing: asyncio.Event,
    *,
    lasts_s: float | None = None,
    heartbeat_s: float = HEARTBEAT_S,
) -> StreamingResponse:
    """Return a response that sends each result.

    It ends when there are no more, the client goes, `closing` is set, or after `lasts_s`: no stream outlives its
    credential.
    """
    return StreamingResponse(
        _frames(results, framing, place, closing, lasts_s, heartbeat_s),
        headers={"Content-Type": framing.content_type, **STREAM_HEADERS},
    )


async def _frames(
    results: Results,
    framing: Framing,
    place: Place,
    closing: asyncio.Event,
    lasts_s: float | None,
    heartbeat_s: float,
) -> AsyncIterator[bytes]:
    async def frames() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(results):
            async for result in results:
                # What was not answered is not behind its client, which resumes after what was.
                event_id = None if result.data is None else place.event_id
                yield framing.next(written(result), event_id)
                del result  # The next one may be long in coming.
        yield framing.complete()

    if framing.start:
        yield framing.start
    async with contextlib.aclosing(paced(frames(), closing, heartbeat_s, lasts_s)) as pace:
        async for frame in pace:
            yield framing.heartbeat if frame is None else frame


async def paced(
    items: AsyncGenerator[ItemT, None], closing: asyncio.Event, heartbeat_s: float, lasts_s: float | None = None
) -> AsyncGenerator[ItemT | None, None]:
    """Pass items on, and None after each silence. Closes them at their end, on `closing` or after `lasts_s`.

    One item at most waits here: a slow reader holds the source up and fills no memory.
    """
    queue: asyncio.Queue[tuple[ItemT] | None] = asyncio.Queue(maxsize=1)

    async def produce() -> None:
        async with contextlib.aclosing(items):
            async for item in items:
                await queue.put((item,))
        await queue.put(None)

    producing = asyncio.create_task(produce())
    stopping = asyncio.create_task(_stop(closing, lasts_s))
    getting = asyncio.create_task(queue.get())
    try:
        while not stopping.done():
            await asyncio.wait({getting, stopping}, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                if not stopping.done():
                    yield None
                continue
            got = getting.result()
            if got is None:
                return
            yield got[0]
            getting = asyncio.create_task(queue.get())
    finally:
        for task in (stopping, getting):
            task.cancel()
        await end(producing)


async def _stop(closing: asyncio.Event, lasts_s: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(lasts_s):
            await closing.wait()


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over."""
    task.cancel()
    await asyncio.wait({task})
