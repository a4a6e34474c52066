"""Give each request a name, so that a client's report, a log line and a trace can be put together."""

from __future__ import annotations

import re
from random import getrandbits

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_epoint import correlation
from gql_epoint.redaction import redact

_HEADER = b"x-request-id"
_SAFE = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestIds:
    """Middleware: `request.state.request_id`, and the same in the response's X-Request-ID and in the log.

    A client's own value is kept if it is short and harmless in a log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        theirs = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        is_harmless = _SAFE.fullmatch(theirs) and redact(theirs.decode()) == theirs.decode()
        written = theirs if is_harmless else f"{getrandbits(128):032x}".encode()
        request_id = written.decode()
        scope.setdefault("state", {})["request_id"] = request_id
        correlation.request_id.set(request_id)

        async def send_named(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), (_HEADER, written)]
            await send(message)

        await self._app(scope, receive, send_named)
