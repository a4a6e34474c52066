"""Close sockets before the server would, with the code that tells clients to connect again: 1001, going away."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_epoint.live import Bell

GOING_AWAY = 1001
# How long sockets may take to end; the server cuts off what is left then.
PATIENCE_S = 3.0


class Closing:
    """Whether the service stops. Whoever must hear of it at once has its bell among `bells`."""

    def __init__(self) -> None:
        self.bells: set[Bell] = set()
        self._is_set = False

    def is_set(self) -> bool:
        """Return whether it stops."""
        return self._is_set

    def set(self) -> None:
        """Stop."""
        self._is_set = True
        for bell in self.bells:
            bell.ring()


class OpenSockets:
    """The sockets of one application. Setting `closing` closes them, and whoever else listens to it stops too."""

    def __init__(self) -> None:
        self.closing = Closing()
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.receiving: set[asyncio.Task[Any]] = set()
        """The tasks that wait for a message of a client; closing ends their waiting."""

    async def close(self) -> None:
        """Close all sockets, and wait until they are closed or it takes too long."""
        self.closing.set()
        for task in self.receiving:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._none.wait()

    def enter(self) -> None:
        """Count a socket as open."""
        self._count += 1
        self._none.clear()

    def leave(self) -> None:
        """Count it no longer."""
        self._count -= 1
        if self._count == 0:
            self._none.set()


class ClosingSockets:
    """Middleware: when the service stops, it closes each socket, and its application hears of it."""

    def __init__(self, app: ASGIApp, sockets: OpenSockets) -> None:
        self._app = app
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        self._sockets.enter()
        try:
            await self._app(scope, _Receiving(receive, send, self._sockets), send)
        finally:
            self._sockets.leave()


class _Receiving:
    """The messages of a client, until the service stops."""

    __slots__ = ("_receive", "_send", "_sockets")

    def __init__(self, receive: Receive, send: Send, sockets: OpenSockets) -> None:
        self._receive = receive
        self._send = send
        self._sockets = sockets

    async def __call__(self) -> Message:
        if not self._sockets.closing.is_set():
            task = asyncio.current_task()
            assert task is not None
            self._sockets.receiving.add(task)
            try:
                return await self._receive()
            except asyncio.CancelledError:
                # It is for this waiting alone that closing cancels; whoever else does means the whole task.
                if not self._sockets.closing.is_set() or task.uncancel() > 0:
                    raise
            finally:
                self._sockets.receiving.discard(task)
        # Before the handshake this is a refusal, which is as well: whoever comes now should go elsewhere.
        with contextlib.suppress(RuntimeError, OSError):  # It was closed for another reason at the same time.
            await self._send({"type": "websocket.close", "code": GOING_AWAY, "reason": "The service restarts."})
        return {"type": "websocket.disconnect", "code": GOING_AWAY}
