"""Wake-ups: none is lost between reading and waiting, a slow watcher costs one ring, nobody is kept for ever."""

from __future__ import annotations

import asyncio
import time

import pytest

from gql_epoint.live import FEED, Live
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
