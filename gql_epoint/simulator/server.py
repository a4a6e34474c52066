"""Run the simulator: for ever from the command line, or for a while inside a test."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable, Generator
from datetime import datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from gql_epoint.simulator.app import create_simulator
from gql_epoint.simulator.endpoints import ABORT
from gql_epoint.simulator.settings import SimulatorSettings
from gql_epoint.simulator.state import State, utc_now

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5


async def serve(
    settings: SimulatorSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 8090,
    sock: socket.socket | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `announce` is called with the address once it answers; port 0 picks one.

    Raises OSError if the address is taken.
    """
    listener = sock or _listen(host, port)
    server = _Server(create_simulator(settings), signals=True)
    async with _serving(server, listener) as serving:
        if announce is not None:
            announce(_address(listener))
        # Shielded: a cancelled caller ends the server in order, below, and not in the middle of its work.
        await asyncio.shield(serving)


class RunningSimulator:
    """A simulator that runs inside this process: its address, and its State to look into."""

    def __init__(self, url: str, state: State) -> None:
        self.url = url
        self.state = state


@contextlib.asynccontextmanager
async def running(
    settings: SimulatorSettings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rng: random.Random | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[RunningSimulator]:
    """Run a simulator in this event loop for the length of a block; signals are left alone."""
    listener = _listen(host, port)
    app = create_simulator(settings or SimulatorSettings(), rng=rng, clock=clock)
    async with _serving(_Server(app, signals=False), listener):
        yield RunningSimulator(_address(listener), app.state.simulator)


class _Server(uvicorn.Server):
    """uvicorn, except that what hangs on purpose does not hold up the end."""

    def __init__(self, app: Starlette, *, signals: bool) -> None:
        self._closing: asyncio.Event = app.state.closing
        self._signals = signals
        self.ready = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_STOP_TIMEOUT_S,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals() if self._signals else contextlib.nullcontext():
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    """HTTP/1.1 that lets the application close the connection without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # asyncio sets this only on sockets that were made with the protocol's number; without it, an answer that
        # goes out in two writes waits 40 ms for the other side.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        self.app = _with_abort(self.app, transport)


def _with_abort(app: Any, transport: asyncio.Transport) -> Any:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[ABORT] = transport.abort
        await app(scope, receive, send)

    return wrapped


@contextlib.asynccontextmanager
async def _serving(server: _Server, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Start a server, wait until it answers, and stop it in the end, however the block ends."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({serving, ready}, timeout=_START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if not server.started:
            raise RuntimeError("the simulator did not start")
        yield serving
    finally:
        ready.cancel()
        server.should_exit = True
        await serving


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setblocking(False)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
