"""Serve the application with uvicorn: what is written down, and a shutdown that lets running calls finish."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gql_epoint.settings import Settings
from gql_epoint.web.app import RECORDING_S, create_app
from gql_epoint.web.listening import address_of


async def serve(settings: Settings, listener: socket.socket, *, announce: Callable[[str], None]) -> None:
    """Serve on a bound socket until SIGINT or SIGTERM, or until cancelled.

    `announce` is called with the address once it answers. Raises ConfigurationError if the database cannot be
    opened. A second SIGINT stops without waiting for clients; calls to EPoint are waited for in any case.
    """
    app = create_app(settings)
    server = _Server(app, settings, lambda: announce(address_of(listener)))
    # The lifespan is run here and not by uvicorn, which would turn an error at start-up into a traceback. A signal
    # is taken until its end: one more of them must not cut off what is being written down.
    with _signals_to(server):
        async with app.router.lifespan_context(app):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                await asyncio.shield(serving)
            finally:
                server.should_exit = True
                await asyncio.wait({serving})


class _HttpProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's, which after a handshake would be left to the garbage collector, with what it had read."""

    def handle_websocket_upgrade(self, *event: Any) -> None:
        super().handle_websocket_upgrade(*event)
        # httptools has it refer to its parser, and the parser to it; nothing more is parsed.
        self.parser = None


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's `websockets-sansio`, which would keep the 4 kB of a handshake as long as its connection."""

    # Python shares the names of up to 30 attributes among objects, and uvicorn has a few more: 1.3 kB for each.
    __slots__ = (
        "client",
        "close_timer",
        "initial_response",
        "last_ping_rtt",
        "pending_ping_payload",
        "ping_sent_at",
        "ping_timer",
        "pong_timer",
        "request",
        "response",
        "scheme",
        "scope",
        "server",
    )

    def start_keepalive(self) -> None:
        super().start_keepalive()
        # The handshake is over, and the application has a copy of the request's headers.
        for message in (getattr(self, "request", None), getattr(self, "response", None)):
            if message is not None:
                message.headers.clear()


class _Server(uvicorn.Server):
    def __init__(self, app: Starlette, settings: Settings, on_started: Callable[[], None]) -> None:
        self._app = app
        self._on_started = on_started
        super().__init__(
            uvicorn.Config(
                app,
                http=_HttpProtocol,
                ws=_WebSocketProtocol,
                ws_max_size=settings.body_bytes_max,
                ws_max_queue=32,
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                ws_per_message_deflate=False,  # it costs 60 to 150 kB for each connection
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=round(settings.call_timeout_s + RECORDING_S),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        leave_alone_what_stays()
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # No new connections first, so that whoever is sent away comes back to another node.
        for server in self.servers:
            server.close()
        # Event streams would go on for ever, and everything else waits for them. Sockets would be told 1012.
        await self._app.state.sockets.close()
        await super().shutdown(sockets)

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        # uvicorn's own way raises the signal again after serving, which would end the process before its time.
        return contextlib.nullcontext()


def leave_alone_what_stays() -> None:
    """Let the garbage collector look at what requests leave, and not at the schema and the modules every time.

    A request makes hundreds of objects and no cycles, so it may also look more seldom. But everybody waits while it
    looks: never at much at once, except at everything, which is seldom.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 2, 150)


@contextlib.contextmanager
def _signals_to(server: uvicorn.Server) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, server.handle_exit, number, None)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
