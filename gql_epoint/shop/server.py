"""Run the shop for the length of a block."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn

from gql_epoint.shop.app import create_shop
from gql_epoint.shop.settings import ShopSettings

_STOP_TIMEOUT_S = 2


@contextlib.asynccontextmanager
async def running(settings: ShopSettings, listener: socket.socket) -> AsyncIterator[None]:
    """Serve on a bound socket in this event loop; signals are left to whoever runs us."""
    server = _Server(
        uvicorn.Config(
            create_shop(settings),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_STOP_TIMEOUT_S,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()
