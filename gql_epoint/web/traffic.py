"""How much one caller may ask of one node: requests by token buckets, and connections that are open at once.

A secret key has a bucket of its own, so a busy backend is not held up for its address. Everybody else is counted
by address, and a client token by itself as well. What is refused is told when to come back.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

import msgspec
from starlette.datastructures import Headers

from gql_epoint.keys import KeyRing, SecretKey, digest_of, is_client_token
from gql_epoint.setting_values import Network
from gql_epoint.web.addresses import client_address
from gql_epoint.web.replies import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

REMEMBERED_MAX = 100_000
"""How many callers a node remembers; the one that was quiet for longest is forgotten first."""


class TrafficLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Requests per minute and open connections; 0 is no limit."""

    key_requests: int
    token_requests: int
    address_requests: int
    token_streams: int
    address_connections: int
    proxies: tuple[Network, ...] = ()


class Buckets:
    """Token buckets of one size: a minute's worth of requests, filled evenly."""

    def __init__(
        self, per_minute: int, clock: Callable[[], float], *, remembered_max: int = REMEMBERED_MAX
    ) -> None:
        self._size = float(per_minute)
        self._clock = clock
        self._remembered_max = remembered_max
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one from a bucket and return 0, or take nothing and return for how many seconds to wait."""
        if not self._size:
            return 0.0
        now, per_s = self._clock(), self._size / 60
        left, at = self._left.pop(name, (self._size, now))
        left = min(self._size, left + (now - at) * per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / per_s
        self._left[name] = (left if wait_s else left - 1, now)
        if len(self._left) > self._remembered_max:
            self._left.popitem(last=False)
        return wait_s


class Traffic:
    """The middleware. It looks at `path` alone: EPoint's callbacks are never held up."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str,
        limits: TrafficLimits,
        keys: Iterable[SecretKey],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._path = path
        self._limits = limits
        self._ring = KeyRing(keys)
        self._key_buckets = Buckets(limits.key_requests, clock)
        self._token_buckets = Buckets(limits.token_requests, clock)
        self._address_buckets = Buckets(limits.address_requests, clock)
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request, and let it through or refuse it."""
        if scope["type"] not in ("http", "websocket") or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        scheme, _, presented = Headers(scope=scope).get("authorization", "").strip().partition(" ")
        presented = presented.strip() if scheme.lower() == "bearer" else ""
        key = self._ring.find(presented)
        try:
            if key is not None:
                _wait(self._key_buckets.take(key.name))
                places: tuple[tuple[str, int], ...] = ()
            else:
                places = self._count_stranger(scope, presented)
            self._enter(places)
        except Refusal as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._leave(places)

    def _count_stranger(self, scope: Scope, presented: str) -> tuple[tuple[str, int], ...]:
        """Take from the buckets of an address and a token; return the places that the connection takes up."""
        address = client_address(scope, self._limits.proxies)
        _wait(self._address_buckets.take(address))
        places = [(f"address {address}", self._limits.address_connections)]
        if is_client_token(presented):
            digest = digest_of(presented)
            _wait(self._token_buckets.take(digest))
            places.append((f"token {digest}", self._limits.token_streams))
        return tuple(places)

    def _enter(self, places: tuple[tuple[str, int], ...]) -> None:
        for name, places_max in places:
            if places_max and self._open[name] >= places_max:
                raise Refusal(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    "Too many connections are open at once. Close one, or wait until one ends.",
                    "RATE_LIMITED",
                    Retry_After="5",
                )
        for name, _ in places:
            self._open[name] += 1

    def _leave(self, places: tuple[tuple[str, int], ...]) -> None:
        for name, _ in places:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]


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
