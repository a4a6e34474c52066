"""Wake subscribers when something they watch has committed. Holds no state of record.

A wake-up says only which stream changed and its newest version. Each watcher keeps the newest one and nothing
else, so a slow reader costs one pending version and delays nobody. A lost wake-up costs a delay, never a
change: whoever waits here reads the row again after a while anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from gql_epoint.store.protocol import Wakeup

FEED = ""
"""The name that watches every stream at once."""


class Watcher:
    """One subscriber's bell."""

    __slots__ = ("_rung", "_waiting")

    def __init__(self) -> None:
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Something changed."""
        self._rung = True
        _let_go(self._waiting)

    async def wait(self, timeout_s: float) -> None:
        """Return when something changed since the last wait, or when it is time to look anyway."""
        if not self._rung:
            # There are very many of these, so it is a future and a timer, and nothing around them.
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(timeout_s, _let_go, self._waiting)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        self._rung = False


def _let_go(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class Live:
    """Who watches which stream, in this process. Runs on one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self.changes = 0
        """How many times something was told. What was asked of the books before the last time may be old."""

    def wake(self, wakeups: Sequence[Wakeup]) -> None:
        """Ring the watchers of each stream and those of the feed."""
        self.changes += 1
        for stream_id in {wakeup.stream_id for wakeup in wakeups} | {FEED}:
            for watcher in self._watchers.get(stream_id, ()):
                watcher.ring()

    def watching(self) -> int:
        """Return how many watchers there are."""
        return sum(map(len, self._watchers.values()))

    @contextlib.contextmanager
    def watch(self, stream_id: str, watcher: Watcher | None = None) -> Iterator[Watcher]:
        """Watch a stream (or FEED) while the block runs. Enter before reading the state, or a change is missed.

        With `watcher` one bell rings for several streams.
        """
        watcher = watcher or Watcher()
        self._watchers.setdefault(stream_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            group = self._watchers[stream_id]
            group.discard(watcher)
            if not group:
                del self._watchers[stream_id]
