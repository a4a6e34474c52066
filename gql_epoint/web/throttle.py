"""How much each caller of one node has asked for: requests by token buckets, and what it holds open.

A secret key has a bucket of its own, so a busy backend is not held up for its address. Everybody else is counted
by address, and a client token by itself as well. An operation on an open socket counts as a request does.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from gql_epoint.schema.access import Credential
from gql_epoint.setting_values import Network
from gql_epoint.web.addresses import client_address

if TYPE_CHECKING:
    from starlette.types import Scope

REMEMBERED_MAX = 100_000
"""How many callers a node remembers; the one that was quiet for longest is forgotten first."""

Places = tuple[tuple[str, int], ...]
"""What a connection takes up: names, and how many of each may be open at once; 0 is no limit."""


class TrafficLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Requests per minute and open connections; 0 is no limit."""

    key_requests: int = 0
    token_requests: int = 0
    address_requests: int = 0
    token_streams: int = 0
    address_connections: int = 0
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


class Throttle:
    """The counts of one node. Whatever is asked for returns 0, or for how many seconds to wait."""

    def __init__(self, limits: TrafficLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._keys = Buckets(limits.key_requests, clock)
        self._tokens = Buckets(limits.token_requests, clock)
        self._addresses = Buckets(limits.address_requests, clock)
        self._open: Counter[str] = Counter()

    def count_key(self, name: str) -> float:
        """Count a request with a secret key."""
        return self._keys.take(name)

    def count_stranger(self, scope: Scope, digest: str | None) -> float:
        """Count a request without one: for its address, and for the client token it presents."""
        wait_s = self._addresses.take(client_address(scope, self._limits.proxies))
        return wait_s or (self._tokens.take(digest) if digest is not None else 0.0)

    def count_operation(self, scope: Scope, credential: Credential | None) -> float:
        """Count an operation on an open socket, by the credential that opened it."""
        if credential is not None and credential.digest is None:
            return self.count_key(credential.name)
        return self.count_stranger(scope, credential.digest if credential is not None else None)

    def place_of_address(self, scope: Scope) -> Places:
        """Return what a connection takes up for its address."""
        address = client_address(scope, self._limits.proxies)
        return ((f"address {address}", self._limits.address_connections),)

    def place_of_token(self, digest: str) -> Places:
        """Return what a connection takes up for its client token."""
        return ((f"token {digest}", self._limits.token_streams),)

    def enter(self, places: Places) -> bool:
        """Take up all places and return True, or none if one of them is full; `leave` gives them back."""
        if any(places_max and self._open[name] >= places_max for name, places_max in places):
            return False
        for name, _ in places:
            self._open[name] += 1
        return True

    def leave(self, places: Places) -> None:
        """Give places back."""
        for name, _ in places:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]
