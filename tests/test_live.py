"""Wake-ups: none is lost between reading and waiting, a slow watcher costs one ring, nobody is kept for ever.

A row that many listen to is read once for all of them.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from gql_epoint.live import FEED, Listener, Live, Watcher
from gql_epoint.store.protocol import Wakeup

LONG_S = 30.0
SHORT_S = 0.02


async def rings(waiting: asyncio.Future[None]) -> bool:
    """Whether a wait ends by itself within a moment that is far shorter than its timeout."""
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    return bool(done)


async def test_change_between_reading_and_waiting_is_not_lost() -> None:
    """The watcher registers, reads the row, and only then waits: a commit in between still rings."""
    live = Live()
    with live.watch("tr_1") as watcher:
        live.wake([Wakeup("tr_1", 2)])

        assert await rings(asyncio.ensure_future(watcher.wait(LONG_S)))


async def test_change_while_waiting_rings() -> None:
    """The usual case."""
    live = Live()
    with live.watch("tr_1") as watcher:
        waiting = asyncio.ensure_future(watcher.wait(LONG_S))
        await asyncio.sleep(0)
        assert not waiting.done()
        live.wake([Wakeup("tr_1", 2)])

        assert await rings(waiting)


async def test_slow_watcher_has_one_pending_ring() -> None:
    """A thousand changes while it was busy are one reason to look, and no backlog."""
    live = Live()
    with live.watch("tr_1") as watcher:
        for version in range(1000):
            live.wake([Wakeup("tr_1", version)])
        await watcher.wait(LONG_S)
        started = time.monotonic()
        await watcher.wait(SHORT_S)

        assert time.monotonic() - started >= SHORT_S * 0.9


async def test_nothing_happening_is_a_reason_to_look_after_a_while() -> None:
    """A lost wake-up costs a delay, so a wait ends by itself, without an error."""
    live = Live()
    with live.watch("tr_1") as watcher:
        await asyncio.wait_for(watcher.wait(SHORT_S), timeout=LONG_S)


@pytest.mark.parametrize(
    ("watched", "changed", "expected"),
    [("tr_1", ["tr_1"], True), ("tr_1", ["tr_2"], False), ("tr_1", ["tr_2", "tr_1"], True), (FEED, ["tr_2"], True)],
)
async def test_only_what_is_watched_rings(watched: str, changed: list[str], expected: bool) -> None:
    """A stream's watchers hear of that stream; the feed's hear of every one."""
    live = Live()
    with live.watch(watched) as watcher:
        live.wake([Wakeup(stream_id, 1) for stream_id in changed])
        waiting = asyncio.ensure_future(watcher.wait(LONG_S))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done = waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert done is expected


async def test_all_watchers_of_a_stream_ring() -> None:
    """One waking delays and steals nothing from another."""
    live = Live()
    with live.watch("tr_1") as one, live.watch("tr_1") as other:
        waiting = [asyncio.ensure_future(watcher.wait(LONG_S)) for watcher in (one, other)]
        await asyncio.sleep(0)
        live.wake([Wakeup("tr_1", 2)])

        assert [await rings(future) for future in waiting] == [True, True]


async def test_watchers_are_forgotten_when_they_leave() -> None:
    """By the end of the block, by an error in it, or by being cancelled: nothing stays behind."""
    live = Live()

    async def watch_for_ever() -> None:
        with live.watch("tr_2") as watcher:
            await watcher.wait(LONG_S)

    task = asyncio.ensure_future(watch_for_ever())
    await asyncio.sleep(0)
    with live.watch("tr_1") as outer, live.watch("tr_1"):
        pass
    with pytest.raises(LookupError), live.watch("tr_1"):
        raise LookupError
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    live.wake([Wakeup("tr_1", 2), Wakeup("tr_2", 2)])

    assert task.cancelled()
    assert live._watchers == {}  # noqa: SLF001 - there is no other way to see that memory is given back
    started = time.monotonic()
    await outer.wait(SHORT_S)
    assert time.monotonic() - started >= SHORT_S * 0.9


async def test_one_bell_rings_for_several_streams_until_it_leaves() -> None:
    """A checkout is watched together with its attempt. To join twice is once, to leave twice does no harm."""
    live = Live()
    watcher = Watcher(live)

    assert [watcher.watch(name) for name in ("co_1", "tr_1", "tr_1")] == [True, True, False]
    assert live.watching() == 2
    for name in ("co_1", "tr_1"):
        live.wake([Wakeup(name, 1)])
        assert await rings(asyncio.ensure_future(watcher.wait(LONG_S)))
    watcher.leave()
    watcher.leave()
    assert live.watching() == 0


async def test_one_of_two_leaving_leaves_the_other_listening() -> None:
    """The name is forgotten with its last watcher, not its first."""
    live = Live()
    with live.watch("tr_1") as stays:
        with live.watch("tr_1"):
            pass
        live.wake([Wakeup("tr_1", 2)])

        assert await rings(asyncio.ensure_future(stays.wait(LONG_S)))


async def test_ring_after_a_cancelled_wait_is_still_there() -> None:
    """A wait that was given up takes no ring with it."""
    live = Live()
    with live.watch("tr_1") as watcher:
        waiting = asyncio.ensure_future(watcher.wait(LONG_S))
        await asyncio.sleep(0)
        live.wake([Wakeup("tr_1", 2)])
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert await rings(asyncio.ensure_future(watcher.wait(LONG_S)))


# Listeners ------------------------------------------------------------------------------------------------------


class Row:
    """A row in the books: `version` is what it is now, `reads` is how often it was looked at."""

    def __init__(self) -> None:
        self.version = 1
        self.reads = 0
        self.failure: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def read(self) -> Version:
        self.reads += 1
        version = self.version
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        return Version(version)


class Version:
    def __init__(self, version: int) -> None:
        self.version = version


class World:
    """A row, and those who listen to it."""

    def __init__(self) -> None:
        self.live = Live()
        self.row = Row()

    def listen(self, *, seen: int = 1, poll_s: float = LONG_S) -> Listener[Version]:
        return self.live.listen("tr_1", self.row.read, seen=seen, poll_s=poll_s)

    def change(self) -> None:
        self.row.version += 1
        self.live.wake([Wakeup("tr_1", self.row.version)])


async def heard(listener: Listener[Version]) -> int:
    async with asyncio.timeout(5):
        return (await listener.newer()).version


async def test_row_is_read_once_for_a_thousand_listeners() -> None:
    """More than are told at once, so others have their turn in between; all are handed the same object."""
    world = World()
    listeners = [world.listen() for _ in range(1000)]
    waiting = [asyncio.ensure_future(listener.newer()) for listener in listeners]
    await asyncio.sleep(0)
    world.change()
    async with asyncio.timeout(5):
        rows = await asyncio.gather(*waiting)

    assert world.row.reads == 1
    assert {id(row) for row in rows} == {id(rows[0])}
    assert world.live.watching() == 1000


async def test_change_between_joining_and_waiting_is_heard() -> None:
    """A listener joins, reads the row, and only then waits."""
    world = World()
    listener = world.listen()
    world.change()
    await asyncio.sleep(0.01)

    assert await heard(listener) == 2


async def test_change_while_the_row_is_read_is_heard() -> None:
    """What is being read may be older than the change, so it is read once more."""
    world = World()
    listener = world.listen()
    world.row.answers.clear()
    world.change()
    await asyncio.sleep(0.01)
    world.change()
    world.row.answers.set()
    versions = [await heard(listener)]
    if versions == [2]:
        versions.append(await heard(listener))

    assert versions[-1] == 3
    assert world.row.reads == 2


async def test_slow_listener_has_one_pending_version() -> None:
    """The newest; versions in between are skipped, and nobody waits for it."""
    world = World()
    slow, fast = world.listen(), world.listen()
    for version in range(2, 12):
        world.change()
        assert await heard(fast) == version

    assert await heard(slow) == 11
    waiting = asyncio.ensure_future(slow.newer())
    assert not await rings(waiting)
    waiting.cancel()


async def test_what_a_listener_knows_is_not_told() -> None:
    """A snapshot that was read after the change is newer than what the audience is told of it."""
    world = World()
    ahead, behind = world.listen(seen=2), world.listen()
    world.change()
    assert await heard(behind) == 2
    waiting = asyncio.ensure_future(ahead.newer())
    assert not await rings(waiting)
    world.change()

    assert (await waiting).version == 3


async def test_row_is_looked_at_after_a_while_anyway() -> None:
    """A lost wake-up costs a delay; the row is polled for all listeners together."""
    world = World()
    listeners = [world.listen(poll_s=SHORT_S) for _ in range(10)]
    world.row.version = 2

    assert [await heard(listener) for listener in listeners] == [2] * 10
    assert world.row.reads == 1


async def test_row_that_cannot_be_read_is_an_error_of_all_its_listeners() -> None:
    """Each raises it, the one that was busy too; who comes later may be luckier."""
    world = World()
    waits, busy = world.listen(), world.listen()
    waiting = asyncio.ensure_future(waits.newer())
    await asyncio.sleep(0)
    world.row.failure = LookupError("the database is away")
    world.change()
    for listening in (waiting, busy.newer()):
        with pytest.raises(LookupError):
            await listening
    world.row.failure = None
    world.change()

    assert await heard(world.listen(seen=2)) == 3


async def test_listeners_are_forgotten_when_they_leave() -> None:
    """And with the last of them the row: nothing polls what nobody listens to."""
    world = World()
    one, other = world.listen(poll_s=SHORT_S), world.listen(poll_s=SHORT_S)
    one.leave()
    one.leave()
    assert world.live.watching() == 1
    other.leave()
    await asyncio.sleep(SHORT_S * 2)
    world.change()
    await asyncio.sleep(0.01)

    assert (world.live.watching(), world.row.reads) == (0, 0)
    again = world.listen()
    world.change()
    assert await heard(again) == 3
