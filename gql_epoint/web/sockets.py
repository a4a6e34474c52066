"""GraphQL over WebSocket, by the graphql-transport-ws protocol and no other.

Strawberry's handler trusts the shape of messages: an array, or an id that is a list, crashes it before any
credential is asked for. It closes the whole connection for one document's syntax error, refuses `payload: null`,
does not echo the payload of a ping, and lets the client's order choose the legacy protocol. So this is written
over Runner. Queries, mutations and subscriptions are all taken, as the protocol wants it: the rules about
credentials and money are checked on the document, the same on every transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from math import ceil
from typing import TYPE_CHECKING

from starlette.websockets import WebSocket, WebSocketDisconnect
from strawberry.http.websocket_origin import is_same_origin, normalize_allowed_origins, normalize_origin

from gql_epoint.errors import StoreUnavailableError
from gql_epoint.tracing import is_on, operation_span
from gql_epoint.web.asking import Asked
from gql_epoint.web.credentials import WrongCredentialError
from gql_epoint.web.running import Runner, failed, is_request_error, is_unauthenticated, written
from gql_epoint.web.socket_messages import (
    SUBPROTOCOL,
    Ack,
    Close,
    CloseCode,
    Complete,
    Error,
    Init,
    Ping,
    Pong,
    Subscribe,
    decode,
    encode,
    encode_next,
)
from gql_epoint.web.throttle import Places, Throttle, TrafficLimits
from gql_epoint.web.visitors import Visitors

if TYPE_CHECKING:
    from strawberry.types import ExecutionResult

    from gql_epoint.schema.access import Credential

logger = logging.getLogger(__name__)

INIT_TIMEOUT_S = 10.0
OPERATIONS_MAX = 50
CONNECTIONS_MAX = 10_000
CONNECTIONS_PER_CREDENTIAL_MAX = 1_000

_TOO_LATE = Close(CloseCode.INITIALISATION_TIMEOUT, "Connection initialisation timeout")
_TOO_MANY = Close(CloseCode.TRY_AGAIN_LATER, "Too many connections")
_EXPIRED = Close(CloseCode.UNAUTHORIZED, "The credential has expired")


class Sockets:
    """Takes connections."""

    def __init__(
        self,
        runner: Runner,
        visitors: Visitors,
        *,
        allowed_origins: tuple[str, ...],
        throttle: Throttle | None = None,
        init_timeout_s: float = INIT_TIMEOUT_S,
        operations_max: int = OPERATIONS_MAX,
        connections_max: int = CONNECTIONS_MAX,
        connections_per_credential_max: int = CONNECTIONS_PER_CREDENTIAL_MAX,
    ) -> None:
        self.runner = runner
        self.visitors = visitors
        self.throttle = throttle or Throttle(TrafficLimits())
        self.init_timeout_s = init_timeout_s
        self.operations_max = operations_max
        self.connections_per_credential_max = connections_per_credential_max
        self.connections: Counter[str | None] = Counter()  # by the names of their credentials
        self._connections_max = connections_max
        self._open = 0
        self._allowed_origins = normalize_allowed_origins(allowed_origins)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it closes."""
        if not self._may_come_from(socket):
            await socket.close()  # before it is accepted: the handshake is answered with 403
            return
        if SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
            await socket.accept()
            await socket.close(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
            return
        await socket.accept(SUBPROTOCOL)
        if self._open >= self._connections_max:
            await socket.close(_TOO_MANY.code, _TOO_MANY.reason)
            return
        self._open += 1
        try:
            await _Connection(self, socket).run()
        finally:
            self._open -= 1

    def _may_come_from(self, socket: WebSocket) -> bool:
        """Whether a page may connect; who sends no Origin is no browser and has no cookies to abuse."""
        origin = socket.headers.get("origin")
        if origin is None or is_same_origin(origin, socket.headers.get("host")):
            return True
        return normalize_origin(origin) in self._allowed_origins


class _Connection:
    """One connection: what has been said on it, and the operations that are running."""

    __slots__ = (
        "_acknowledged",
        "_counted",
        "_credential",
        "_ending",
        "_initialised",
        "_open",
        "_operations",
        "_places",
        "_socket",
        "_sockets",
        "_until",
    )

    def __init__(self, sockets: Sockets, socket: WebSocket) -> None:
        self._sockets = sockets
        self._socket = socket
        self._initialised = False
        self._acknowledged = False
        self._credential: Credential | None = None
        self._until: float | None = None  # when the credential expires, by the loop's clock
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._ending: tuple[asyncio.Task[None], ...] = ()
        self._open = True
        self._counted = False
        self._places: Places = ()

    async def run(self) -> None:
        """Take messages until the client goes or breaks the protocol; then stop whatever is running."""
        try:
            async with asyncio.timeout(self._sockets.init_timeout_s) as waiting:
                while True:
                    await self._take(await self._receive())
                    if self._acknowledged:
                        waiting.reschedule(self._until)
        except Close as close:
            await self._close(close)
        except TimeoutError:
            await self._close(_EXPIRED if self._acknowledged else _TOO_LATE)
        except WebSocketDisconnect:
            pass
        finally:
            self._open = False
            self._uncount()
            running = {*self._operations.values(), *self._ending}
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _receive(self) -> str:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        if message.get("text") is None:
            raise Close(CloseCode.BAD_MESSAGE, "Invalid message: not text")
        return str(message["text"])

    async def _take(self, text: str) -> None:
        match decode(text):
            case Init(payload=payload):
                await self._initialise(payload or {})
            case Ping(payload=payload):
                await self._send(encode(Pong(payload)))
            case Subscribe(id=operation_id, payload=asked):
                self._subscribe(operation_id, asked)
            case Complete(id=operation_id):
                self._stop(operation_id)
            case Pong():
                pass

    async def _initialise(self, payload: dict[str, object]) -> None:
        if self._initialised:
            raise Close(CloseCode.TOO_MANY_INITIALISATIONS, "Too many initialisation requests")
        self._initialised = True
        try:
            self._credential = await self._sockets.visitors.of_socket(payload)
        except WrongCredentialError:
            raise Close(CloseCode.FORBIDDEN, "Forbidden") from None
        except StoreUnavailableError:
            raise Close(CloseCode.TRY_AGAIN_LATER, "Try again later") from None
        self._count()
        left_s = self._sockets.visitors.seconds_left(self._credential)
        self._until = None if left_s is None else asyncio.get_running_loop().time() + left_s
        await self._send(encode(Ack()))
        self._acknowledged = True

    def _count(self) -> None:
        """Count this connection for its credential. Raises Close if that has too many; it may try again later."""
        name = self._credential.name if self._credential else None
        if self._sockets.connections[name] >= self._sockets.connections_per_credential_max:
            raise Close(_TOO_MANY.code, _TOO_MANY.reason)
        digest = self._credential.digest if self._credential else None
        places = self._sockets.throttle.place_of_token(digest) if digest is not None else ()
        if not self._sockets.throttle.enter(places):
            raise Close(_TOO_MANY.code, _TOO_MANY.reason)
        self._places = places
        self._sockets.connections[name] += 1
        self._counted = True

    def _uncount(self) -> None:
        self._sockets.throttle.leave(self._places)
        if self._counted:
            name = self._credential.name if self._credential else None
            self._sockets.connections[name] -= 1
            if not self._sockets.connections[name]:
                del self._sockets.connections[name]

    def _subscribe(self, operation_id: str, asked: Asked) -> None:
        if not self._acknowledged:
            raise Close(CloseCode.UNAUTHORIZED, "Unauthorized")
        if operation_id in self._operations:
            raise Close(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {operation_id} already exists")
        # Those that are still ending count as well, or a client could pile them up.
        too_many = len(self._operations) + len(self._ending) >= self._sockets.operations_max
        wait_s = self._sockets.throttle.count_operation(self._socket.scope, self._credential)
        if too_many:
            run = self._refuse(operation_id)
        else:
            operate = self._traced if is_on() else self._operate
            run = self._hold_up(operation_id, wait_s) if wait_s else operate(operation_id, asked)
        task = asyncio.create_task(run)
        self._operations[operation_id] = task
        task.add_done_callback(self._ended)

    def _stop(self, operation_id: str) -> None:
        """Stop an operation; one that is unknown has just ended by itself, which is no mistake."""
        task = self._operations.pop(operation_id, None)
        if task is not None:
            self._ending = (*self._ending, task)
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task in self._ending:
            self._ending = tuple(other for other in self._ending if other is not task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("an operation over WebSocket failed", exc_info=exc)

    async def _traced(self, operation_id: str, asked: Asked) -> None:
        with operation_span(asked.extensions):
            await self._operate(operation_id, asked)

    async def _operate(self, operation_id: str, asked: Asked) -> None:
        context = self._sockets.visitors.context(self._socket, self._credential)
        results = self._sockets.runner.results(asked, context)
        del asked, context  # There may be very many who wait, and for long.
        try:
            async for result in results:
                if self._credential is not None and is_unauthenticated(result):
                    await self._close(_EXPIRED)
                    return
                if is_request_error(result):
                    await self._fail(operation_id, result)
                    return
                await self._send(encode_next(operation_id, written(result)))
                del result
        finally:
            await results.aclose()
        # The id is free from here on: a client may use it again as soon as it reads this.
        self._operations.pop(operation_id, None)
        await self._send(encode(Complete(operation_id)))

    async def _refuse(self, operation_id: str) -> None:
        message = f"A connection carries {self._sockets.operations_max} operations at a time."
        await self._fail(operation_id, failed(message, "TOO_MANY_OPERATIONS"))

    async def _hold_up(self, operation_id: str, wait_s: float) -> None:
        message = "Too many requests. Try again after the milliseconds that `extensions.retryAfterMs` says."
        await self._fail(operation_id, failed(message, "RATE_LIMITED", retryAfterMs=ceil(wait_s * 1000)))

    async def _fail(self, operation_id: str, result: ExecutionResult) -> None:
        self._operations.pop(operation_id, None)
        await self._send(encode(Error(operation_id, [dict(error.formatted) for error in result.errors or ()])))

    async def _send(self, text: str) -> None:
        """Send a message. Whoever does not read holds up nobody else, and is cut off by the server's own ping."""
        if not self._open:
            return
        try:
            await self._socket.send({"type": "websocket.send", "text": text})
        except WebSocketDisconnect:
            self._open = False  # To send once more would be a mistake of ours.

    async def _close(self, close: Close) -> None:
        self._open = False
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.close(close.code, close.reason)
