"""Wake subscribers when something they watch has committed. Holds no state of record.

A wake-up says only which stream changed and its newest version. Those who listen to one row are an audience: it is
read once after a change, and all of them are handed what was read. Each keeps the newest version that it has not
taken yet and nothing else, so a slow reader costs one pending version and delays nobody. A lost wake-up costs a
delay, never a change: the row is read again after a while anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from gql_epoint.store.protocol import Wakeup

FEED = ""
"""The name that watches every stream at once."""

_TOLD_AT_ONCE = 200
"""How many of an audience are told before others have their turn on the loop."""


class Versioned(Protocol):
    """A row whose version grows with each change."""

    @property
    def version(self) -> int:
        """It counts 1, 2, 3."""


RowT = TypeVar("RowT", bound=Versioned)


class Bell:
    """What one task waits for, and others ring."""

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


class Watcher(Bell):
    """One subscriber's bell, which rings for as many streams as are wanted."""

    __slots__ = ("_live", "_streams")

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._streams: tuple[str, ...] = ()

    def watch(self, stream_id: str) -> bool:
        """Ring for this stream too. Returns whether that is new: what is known of it may be older than a change."""
        if stream_id in self._streams:
            return False
        self._streams = (*self._streams, stream_id)
        self._live.join(stream_id, self)
        return True

    def leave(self) -> None:
        """Ring no more; once is enough, and more does no harm."""
        streams, self._streams = self._streams, ()
        for stream_id in streams:
            self._live.leave(stream_id, self)


def _let_go(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class Listener(Generic[RowT]):
    """One of an audience. What it has not taken yet is replaced by what is newer."""

    __slots__ = ("_audience", "_pending", "_waiting", "seen")

    def __init__(self, audience: Audience[RowT], seen: int) -> None:
        self.seen = seen
        """The newest version that it knows."""
        self._audience = audience
        self._pending: RowT | Exception | None = None
        self._waiting: asyncio.Future[None] | None = None

    async def newer(self) -> RowT:
        """Return the row once it is newer than what was seen. Raises whatever reading it raised."""
        while True:
            pending, self._pending = self._pending, None
            if isinstance(pending, Exception):
                raise pending.with_traceback(None)
            if pending is not None and pending.version > self.seen:
                self.seen = pending.version
                return pending
            # There are very many of these, so it is a future and nothing around it.
            self._waiting = self._audience.loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None

    def tell(self, news: RowT | Exception) -> None:
        """Hand over the row, or why it could not be read."""
        if isinstance(news, Exception) or news.version > self.seen:
            self._pending = news
            _let_go(self._waiting)

    def leave(self) -> None:
        """Listen no longer; once is enough, and more does no harm."""
        self._audience.leave(self)


class Audience(Generic[RowT]):
    """Everybody in this process who listens to one row."""

    __slots__ = ("_listeners", "_looking", "_on_empty", "_poll_s", "_read", "_rung", "_timer", "loop")

    def __init__(self, read: Callable[[], Awaitable[RowT]], poll_s: float, on_empty: Callable[[], None]) -> None:
        self._read = read
        self._poll_s = poll_s
        self._on_empty = on_empty
        self._listeners: set[Listener[RowT]] = set()
        self._rung = False
        self._looking: asyncio.Task[None] | None = None
        self.loop = asyncio.get_running_loop()
        self._timer = self.loop.call_later(poll_s, self.ring)

    def __len__(self) -> int:
        return len(self._listeners)

    def join(self, seen: int) -> Listener[RowT]:
        """Return one more listener, who knows a version already."""
        listener = Listener(self, seen)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener[RowT]) -> None:
        """Let a listener go; the last one ends it all."""
        if listener in self._listeners:
            self._listeners.discard(listener)
            if not self._listeners:
                self._timer.cancel()
                self._on_empty()

    def ring(self) -> None:
        """Something changed, or it is time to look anyway. What is being read may be older than the change."""
        self._rung = True
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        while self._rung and self._listeners:
            self._rung = False
            news: RowT | Exception
            try:
                news = await self._read()
            except Exception as exc:  # noqa: BLE001 - each of them raises it
                news = exc
            await self._tell(news)
        self._looking = None
        if self._listeners:
            self._timer.cancel()
            self._timer = self.loop.call_later(self._poll_s, self.ring)

    async def _tell(self, news: RowT | Exception) -> None:
        for number, listener in enumerate(tuple(self._listeners), start=1):
            listener.tell(news)
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)


class Live:
    """Who watches which stream, in this process. Runs on one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}
        self._audiences: dict[str, Audience[Any]] = {}
        self.changes = 0
        """How many times something was told. What was asked of the books before the last time may be old."""

    def wake(self, wakeups: Sequence[Wakeup]) -> None:
        """Ring the watchers of each stream and those of the feed."""
        self.changes += 1
        for stream_id in {wakeup.stream_id for wakeup in wakeups} | {FEED}:
            for watcher in self._watchers.get(stream_id, ()):
                watcher.ring()
            if stream_id in self._audiences:
                self._audiences[stream_id].ring()

    def watching(self) -> int:
        """Return how many watchers and listeners there are."""
        return sum(map(len, self._watchers.values())) + sum(map(len, self._audiences.values()))

    def listen(
        self, stream_id: str, read: Callable[[], Awaitable[RowT]], *, seen: int, poll_s: float
    ) -> Listener[RowT]:
        """Listen to what is newer than `seen` until `leave`. Begin before reading the row, or a change is missed.

        After a change, and every `poll_s` anyway, it is read once for all who listen to it.
        """
        audience = self._audiences.get(stream_id)
        if audience is None:
            audience = Audience(read, poll_s, partial(self._audiences.__delitem__, stream_id))
            self._audiences[stream_id] = audience
        return audience.join(seen)

    @contextlib.contextmanager
    def watch(self, stream_id: str) -> Iterator[Watcher]:
        """Watch a stream (or FEED) while the block runs. Enter before reading the state, or a change is missed."""
        watcher = Watcher(self)
        watcher.watch(stream_id)
        try:
            yield watcher
        finally:
            watcher.leave()

    def join(self, stream_id: str, watcher: Watcher) -> None:
        """Ring a bell for a stream."""
        self._watchers.setdefault(stream_id, set()).add(watcher)

    def leave(self, stream_id: str, watcher: Watcher) -> None:
        """Ring it no more."""
        group = self._watchers[stream_id]
        group.discard(watcher)
        if not group:
            del self._watchers[stream_id]
