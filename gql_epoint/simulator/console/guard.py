"""Keep other websites out: a page that a developer happens to visit must not play with the simulator.

The simulator has no key, so what protects it is where a request comes from. A browser says so in Origin and in
Sec-Fetch-Site; a name that an attacker lets point to this machine (DNS rebinding) shows in Host; and a body that
is no JSON could be sent by a form, without asking. EPoint's own API and the customers' pages stay open to all.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Guard:
    """ASGI middleware for the console and the control API. `public_url` names one more host that is ours."""

    def __init__(self, app: ASGIApp, public_url: str | None) -> None:
        self._app = app
        self._own_host = urlsplit(public_url or "").hostname

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what comes from elsewhere, and pass on the rest."""
        if scope["type"] == "http" and _is_guarded(scope["path"]):
            refusal = self._refusal(Request(scope))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if not self._is_own(host):
            return _error(421, "This name is not the simulator's; use its address, such as 127.0.0.1.")
        if not request.url.path.startswith("/_control"):
            return None
        site = request.headers.get("sec-fetch-site", "none")
        origin = request.headers.get("origin")
        if site not in ("none", "same-origin") or (origin is not None and urlsplit(origin).netloc != host):
            return _error(403, "Pages of other websites may not use the control API.")
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and content_type != "application/json":
            return _error(415, "The control API takes application/json only.")
        return None

    def _is_own(self, host: str) -> bool:
        """Whether a page under this host can only be ours.

        A public name has a dot, so one without is of this machine or its network; and an address is what it is.
        """
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if not name or name == self._own_host or name.endswith(".localhost"):
            return bool(name)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return "." not in name
        return True


def _is_guarded(path: str) -> bool:
    return path == "/" or path.startswith(("/console/", "/_control"))


def _error(status: int, message: str) -> Response:
    return Response(msgspec.json.encode({"error": message}), status, media_type="application/json")
