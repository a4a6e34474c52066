"""How long an answer of EPoint is kept in mind while the database is away: it is known nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from time import monotonic
from typing import TypeVar

from gql_epoint.errors import StoreUnavailableError

T = TypeVar("T")

# A failover of PostgreSQL takes half a minute to a minute; this is twice that.
KEPT_S = 120.0
# Whoever stops the service waits no longer for a database that is away.
STOPPING_S = 10.0

_DELAYS_S = (0.1, 0.5, 1.0, 2.0, 5.0)


class Patience:
    """Writes what must be written, again and again. Nobody's request is held: those have deadlines of their own."""

    def __init__(
        self, *, now: Callable[[], float] = monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._stopping_at: float | None = None

    def stop(self) -> None:
        """Lose patience soon: the process is about to end, and the deadlines in the books settle what is lost."""
        self._stopping_at = self._now()

    async def insist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write, again until it is written. Raises StoreUnavailableError when the patience is over."""
        began_at = self._now()
        for delay_s in chain(_DELAYS_S, repeat(_DELAYS_S[-1])):
            try:
                return await write()
            except StoreUnavailableError:
                if self._now() + delay_s > self._until(began_at):
                    raise
            await self._sleep(delay_s)
        raise AssertionError("there is always another delay")

    def _until(self, began_at: float) -> float:
        if self._stopping_at is None:
            return began_at + KEPT_S
        return min(began_at + KEPT_S, max(began_at, self._stopping_at) + STOPPING_S)
