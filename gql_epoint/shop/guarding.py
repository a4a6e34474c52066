"""What holds for every request and answer of the shop: one host, one origin, and the security headers."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_epoint.shop.settings import ShopSettings


class Guard:
    """Refuse what does not come from the shop's own pages, and tell browsers what these pages may do."""

    def __init__(self, app: ASGIApp, settings: ShopSettings) -> None:
        self._app = app
        self._settings = settings
        self._headers = {
            "Content-Security-Policy": content_security_policy(settings),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._choose(scope)(scope, receive, sending)

    def _choose(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        reads = scope["method"] in ("GET", "HEAD")
        # Cookies and return URLs belong to one host name; 127.0.0.1 and localhost are two.
        if headers.get("host") != self._settings.host:
            if reads:
                return RedirectResponse(self._settings.url + scope["path"], 307)
            return JSONResponse({"error": "WRONG_HOST"}, 421)
        # The cookie comes with requests of other sites' pages as well; their origin gives them away.
        if not reads and headers.get("origin") != self._settings.url:
            return JSONResponse({"error": "WRONG_ORIGIN"}, 403)
        return self._app


def content_security_policy(settings: ShopSettings) -> str:
    """Return the policy: files of our own, connections to ourselves and to the service, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self' {' '.join(settings.service_origins)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
