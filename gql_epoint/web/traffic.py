"""Refuse a request or a handshake whose caller asks for too much of one node, and tell it when to come back."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

from gql_epoint.keys import KeyRing, SecretKey, digest_of, is_client_token
from gql_epoint.web.headers import header
from gql_epoint.web.replies import Refusal
from gql_epoint.web.throttle import Places, Throttle

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Traffic:
    """The middleware. It looks at `path` alone: EPoint's callbacks are never held up."""

    def __init__(self, app: ASGIApp, *, path: str, throttle: Throttle, keys: Iterable[SecretKey]) -> None:
        self._app = app
        self._path = path
        self._throttle = throttle
        self._ring = KeyRing(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request, and let it through or refuse it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        try:
            places = self._admit(scope)
        except Refusal as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._throttle.leave(places)

    def _admit(self, scope: Scope) -> Places:
        """Count a request and take up its places. Raises Refusal 429."""
        scheme, _, presented = (header(scope, b"authorization") or "").strip().partition(" ")
        presented = presented.strip() if scheme.lower() == "bearer" else ""
        key = self._ring.find(presented)
        if key is not None:
            _wait(self._throttle.count_key(key.name))
            return ()
        # A socket presents its token later, in `connection_init`, and is counted for it there.
        is_token = scope["type"] == "http" and is_client_token(presented)
        digest = digest_of(presented) if is_token else None
        _wait(self._throttle.count_stranger(scope, digest))
        places = self._throttle.place_of_address(scope)
        if digest is not None:
            places += self._throttle.place_of_token(digest)
        if not self._throttle.enter(places):
            raise too_many_connections()
        return places


def too_many_connections() -> Refusal:
    """Return the refusal of a connection that would be one too many."""
    return Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many connections are open at once. Close one, or wait until one ends.",
        "RATE_LIMITED",
        Retry_After="5",
    )


def _wait(wait_s: float) -> None:
    if wait_s:
        raise Refusal(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many requests. Try again after the seconds that Retry-After says.",
            "RATE_LIMITED",
            Retry_After=str(ceil(wait_s)),
        )


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in JSON, before a handshake too; a server that cannot do the latter answers it with 403."""
    if scope["type"] == "http":
        await refusal.response()(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await receive()  # the handshake itself
        await refusal.response()(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008})
