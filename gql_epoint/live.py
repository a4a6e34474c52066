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

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when something changed since the last wait, or when it is time to look anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        self._rung.clear()


class Live:
    """Who watches which stream, in this process. Runs on one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}

    def wake(self, wakeups: Sequence[Wakeup]) -> None:
        """Ring the watchers of each stream and those of the feed."""
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
