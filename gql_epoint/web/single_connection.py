"""graphql-sse in single connection mode: one event stream that carries the results of many operations.

    PUT                                   a reserved stream: 201, and its token as text
    GET ?token=...  Accept: event-stream  the stream; a browser's EventSource gets in here, it can send no header
    POST  X-GraphQL-Event-Stream-Token    an operation with `extensions.operationId`: 202, its results on the stream
    DELETE ?operationId=...               stop that operation: 200

A stream that broke is not opened again: its client reserves another, sends its operations again, and each goes on
after the id of the `Last-Event-ID` header of its POST. The ids are on the events of the stream, as `lastEventId` in
browsers; they belong to the operation of the event and not to the stream, which has many.

The token opens the stream once and nothing else: it may show up in the log of a proxy. Whoever sends or stops
operations shows the credential again with which the stream was reserved.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gql_epoint.tracing import operation_span
from gql_epoint.web.asking import Asked, read_post
from gql_epoint.web.bodies import BodyReader
from gql_epoint.web.closing import Closing
from gql_epoint.web.replies import NO_STORE, Refusal
from gql_epoint.web.running import Runner, formatted
from gql_epoint.web.streams import HEARTBEAT_S, EventFraming, FrameResponse, Write, end
from gql_epoint.web.throttle import Places, Throttle, TrafficLimits
from gql_epoint.web.traffic import too_many_connections

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from gql_epoint.schema.context import RequestContext

TOKEN_HEADER = "X-GraphQL-Event-Stream-Token"  # noqa: S105 - the name of the header

OPEN_WITHIN_S = 30.0
STREAMS_MAX = 1_000
STREAMS_PER_CREDENTIAL_MAX = 100
OPERATIONS_MAX = 50
_WAITING_MAX = 16  # results that wait for a slow reader; their sources wait with them

_encoder = msgspec.json.Encoder()


class SingleConnections:
    """The streams that are reserved or open."""

    def __init__(
        self,
        runner: Runner,
        closing: Closing,
        *,
        body_bytes_max: int,
        throttle: Throttle | None = None,
        operations_max: int = OPERATIONS_MAX,
        open_within_s: float = OPEN_WITHIN_S,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._runner = runner
        self._closing = closing
        self._bodies = BodyReader(body_bytes_max)
        self._operations_max = operations_max
        self._throttle = throttle or Throttle(TrafficLimits())
        self._open_within_s = open_within_s
        self._heartbeat_s = heartbeat_s
        self._streams: dict[str, _Stream] = {}
        self._held: Counter[str] = Counter()

    def reserve(self, context: RequestContext, lasts_s: float | None) -> Response:
        """Reserve a stream; it is given up unless it is opened soon, and ends `lasts_s` from now."""
        owner = _owner(context)
        if len(self._streams) >= STREAMS_MAX or self._held[owner] >= STREAMS_PER_CREDENTIAL_MAX:
            raise Refusal(429, "Too many event streams.", "TOO_MANY_STREAMS", Retry_After="30")
        token = secrets.token_urlsafe(32)
        stream = self._streams[token] = _Stream(
            owner, lasts_s, context.credential.digest if context.credential else None
        )
        self._held[owner] += 1
        stream.giving_up = asyncio.get_running_loop().call_later(self._open_within_s, self._give_up, token)
        return PlainTextResponse(token, 201, headers=NO_STORE)

    def open(self, token: str, context: RequestContext) -> Response:
        """Open a reserved stream. Its operations end with it."""
        stream = self._find(token)
        if stream.opened:
            raise Refusal(409, "The event stream is open already.", "CONFLICT")
        if context.credential is None and stream.digest is not None:
            # An EventSource sends no header, so nobody has counted it for its client token yet.
            places = self._throttle.place_of_token(stream.digest)
            if not self._throttle.enter(places):
                raise too_many_connections()
            stream.places = places
        stream.opened = True
        if stream.giving_up is not None:
            stream.giving_up.cancel()
        return _StreamResponse(stream, self._closing, self._heartbeat_s, lambda: self._give_up(token))

    async def submit(self, request: Request, token: str, context: RequestContext) -> Response:
        """Run an operation of a POST; its results go to the stream."""
        stream = self._find(token, _owner(context))
        asked = await read_post(request, self._bodies)
        operation_id = (asked.extensions or {}).get("operationId")
        if not isinstance(operation_id, str) or not 1 <= len(operation_id) <= 128:
            raise Refusal(400, "`extensions.operationId` must be a text of 1 to 128 characters.")
        if asked.names_nothing:
            raise Refusal(400, "The request has no query.")
        if operation_id in stream.operations:
            raise Refusal(409, "An operation with this id is running.", "CONFLICT")
        if len(stream.operations) >= self._operations_max:
            raise Refusal(429, f"A stream carries {self._operations_max} operations.", "TOO_MANY_OPERATIONS")
        task = asyncio.create_task(_operate(stream, self._runner, operation_id, asked, context))
        stream.operations[operation_id] = task
        return Response(status_code=202, headers=NO_STORE)

    async def stop(self, request: Request, token: str, context: RequestContext) -> Response:
        """Stop an operation; one that is unknown has just ended by itself."""
        stream = self._find(token, _owner(context))
        task = stream.operations.pop(request.query_params.get("operationId", ""), None)
        if task is not None:
            await end(task)
        return Response(status_code=200, headers=NO_STORE)

    def _find(self, token: str, owner: str | None = None) -> _Stream:
        stream = self._streams.get(token)
        # Somebody else's stream is as unknown as none.
        if stream is None or (owner is not None and owner != stream.owner):
            raise Refusal(404, "There is no such event stream.", "NOT_FOUND")
        return stream

    def _give_up(self, token: str) -> None:
        stream = self._streams.pop(token, None)
        if stream is None:
            return
        self._throttle.leave(stream.places)
        self._held[stream.owner] -= 1
        self._held += Counter()  # forgets those at zero
        for task in stream.operations.values():
            task.cancel()


class _Stream:
    """One stream and the operations on it."""

    def __init__(self, owner: str, lasts_s: float | None, digest: str | None) -> None:
        self.owner = owner
        self.digest = digest
        self.places: Places = ()
        self.lasts_until = None if lasts_s is None else asyncio.get_running_loop().time() + lasts_s
        self.opened = False
        self.giving_up: asyncio.TimerHandle | None = None
        self.operations: dict[str, asyncio.Task[None]] = {}
        self.frames: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_MAX)


class _StreamResponse(FrameResponse):
    """A stream that tells when it is over, also if its client went before the first byte."""

    def __init__(self, stream: _Stream, closing: Closing, heartbeat_s: float, on_close: Callable[[], None]) -> None:
        async def produce(write: Write) -> bytes:
            while True:
                await write(await stream.frames.get())

        lasts_s = None
        if stream.lasts_until is not None:
            lasts_s = max(0.0, stream.lasts_until - asyncio.get_running_loop().time())
        super().__init__(
            produce,
            content_type=EventFraming.content_type,
            heartbeat=EventFraming.heartbeat,
            closing=closing,
            lasts_s=lasts_s,
            heartbeat_s=heartbeat_s,
        )
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_close()


def _owner(context: RequestContext) -> str:
    if context.credential is None:
        message = "An event stream is reserved and used with a credential."
        raise Refusal(401, message, "UNAUTHENTICATED", WWW_Authenticate="Bearer")
    return f"{context.credential.level.value} {context.credential.name}"


async def _operate(
    stream: _Stream, runner: Runner, operation_id: str, asked: Asked, context: RequestContext
) -> None:
    with operation_span(asked.extensions):
        async with contextlib.aclosing(runner.results(asked, context)) as results:
            async for result in results:
                # Browsers keep the last id for what comes without one, and that is another operation's: so it is
                # empty where there is none.
                event_id = "" if result.data is None else context.place.event_id or ""
                frame = _frame("next", {"id": operation_id, "payload": formatted(result)}, event_id)
                await stream.frames.put(frame)
    stream.operations.pop(operation_id, None)
    await stream.frames.put(_frame("complete", {"id": operation_id}))


def _frame(event: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    resume = b"" if event_id is None else b"id: " + event_id.encode() + b"\n"
    return resume + b"event: " + event.encode() + b"\ndata: " + _encoder.encode(data) + b"\n\n"
