"""Whether EPoint answers: asked by whoever wants to know, and not more often than is fair."""

from __future__ import annotations

import asyncio
from time import monotonic

import msgspec

from gql_epoint.cashier.desk import Books
from gql_epoint.epoint.heartbeat import HEARTBEAT, HEARTBEAT_VERSIONED, HeartbeatRequest
from gql_epoint.epoint.wire import Reply
from gql_epoint.errors import GatewayError, GatewayUnclearError
from gql_epoint.ledger.transaction import CallbackRecord
from gql_epoint.store.protocol import Page

FRESH_S = 15.0
LIMIT_S = 3.0


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What the last heartbeat said. `latency_ms` is how long the answer took, where there was one."""

    reachable: bool
    latency_ms: int | None = None


class Pulse:
    """One heartbeat at a time, kept for `fresh_s`, however many ask. It makes nothing fail."""

    def __init__(self, books: Books, *, fresh_s: float = FRESH_S, limit_s: float = LIMIT_S) -> None:
        self._books = books
        self._fresh_s = fresh_s
        self._limit_s = limit_s
        self._where = HEARTBEAT
        self._last: Beat | None = None
        self._taken_at = 0.0
        self._taking: asyncio.Task[Beat] | None = None

    def last(self) -> Beat | None:
        """Return what is known at once, None at first, and find out in the background if that is old."""
        if not self._is_fresh():
            self._take()
        return self._last

    async def now(self) -> Beat:
        """Return what was known a moment ago, or ask and wait for it."""
        if self._last is not None and self._is_fresh():
            return self._last
        return await asyncio.shield(self._take())

    async def last_callback(self) -> CallbackRecord | None:
        """Return the latest verified callback, whatever became of it."""
        found = await self._books.read(lambda reader: reader.callbacks(Page(limit=1), None))
        return found[0] if found else None

    async def close(self) -> None:
        """Stop a heartbeat that is under way."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait({self._taking})

    def _is_fresh(self) -> bool:
        return self._last is not None and monotonic() - self._taken_at < self._fresh_s

    def _take(self) -> asyncio.Task[Beat]:
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._ask(), name="heartbeat")
        return self._taking

    async def _ask(self) -> Beat:
        started_at = monotonic()
        try:
            reply = await self._call()
        except GatewayError:
            beat = Beat(reachable=False)
        else:
            latency_ms = round((monotonic() - started_at) * 1000)
            beat = Beat(reachable=reply.status == "ok", latency_ms=latency_ms)
        self._last, self._taken_at = beat, monotonic()
        return beat

    async def _call(self) -> Reply:
        call = self._books.gateway.call
        try:
            return await call(self._where, HeartbeatRequest(), timeout_s=self._limit_s)
        except GatewayUnclearError as exc:
            if exc.http_status != 404:
                raise
            # Kept, so that an address that does not exist is not asked, and counted as a failure, again and again.
            self._where = HEARTBEAT_VERSIONED if self._where is HEARTBEAT else HEARTBEAT
            return await call(self._where, HeartbeatRequest(), timeout_s=self._limit_s)
