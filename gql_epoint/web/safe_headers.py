"""Headers that keep browsers from making more of an answer than it is, on every answer there is."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Whoever opens an answer as a page gets one that loads nothing, runs nothing and is in no frame; pages that need
# more say so themselves. TLS is the proxy's, and so is Strict-Transport-Security.
SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_RAW = [(name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()]


class SafeHeaders:
    """Middleware: adds what an answer has not set itself. It is outside of everything that answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_safely(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = message.get("headers", ())
                present = dict(headers)  # by their names, which ASGI has in lower case
                message["headers"] = [*headers, *(header for header in _RAW if header[0] not in present)]
            await send(message)

        await self._app(scope, receive, send_safely)
