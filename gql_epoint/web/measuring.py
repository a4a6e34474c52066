"""Count and log what is served: one figure and one line for each request, and how many sockets are open."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_epoint.tracing import is_on, note, server_span
from gql_epoint.web.metrics import METRICS_PATH, Metrics

UNLOGGED = frozenset({"/healthz", "/readyz", METRICS_PATH})
"""What an orchestrator asks all day long: it is counted, and not logged."""

_METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS"})

logger = logging.getLogger(__name__)


class Measuring:
    """Middleware. Paths and methods other than the known ones count as `other`, so callers make no series."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] == "websocket":
            with self._metrics.sockets.track_inprogress():
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._measure(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _measure(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_s = time.monotonic()
        answered: tuple[int, float] | None = None

        async def send_measured(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = message["status"], time.monotonic()
                note(http__response__status_code=message["status"])
            await send(message)

        try:
            await self._serve(scope, receive, send_measured)
        finally:
            # Without an answer from here there is a bug, which is answered further out.
            status, ended_s = answered or (500, time.monotonic())
            self._told(scope, status, ended_s - started_s)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._path(scope)
        if path in UNLOGGED or not is_on():
            await self._app(scope, receive, send)
            return
        method = self._method(scope)
        names = {"http__request__method": method, "http__route": path}
        with server_span(f"{method} {path}", Headers(scope=scope), **names):
            await self._app(scope, receive, send)

    def _path(self, scope: Scope) -> str:
        return scope["path"] if scope["path"] in self._paths else "other"

    @staticmethod
    def _method(scope: Scope) -> str:
        return scope["method"] if scope["method"] in _METHODS else "other"

    def _told(self, scope: Scope, status: int, duration_s: float) -> None:
        path, method = self._path(scope), self._method(scope)
        self._metrics.request_served(path, method, status, duration_s)
        if path not in UNLOGGED and logger.isEnabledFor(logging.INFO):
            duration_ms = round(duration_s * 1000)
            logger.info(
                "method=%s path=%s status=%d duration_ms=%d",
                *(method, path, status, duration_ms),
                extra={"method": method, "path": path, "status": status, "duration_ms": duration_ms},
            )
