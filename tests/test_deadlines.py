"""Limits of time without timers of their own: what `asyncio.timeout` promises, they keep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from gql_epoint.deadlines import Deadlines

Limit = Callable[[], AbstractAsyncContextManager[object]]
SOON_S = 0.05


def ours() -> Limit:
    deadlines = Deadlines(SOON_S)

    @asynccontextmanager
    async def limit() -> AsyncIterator[object]:
        with deadlines.begin() as deadline:
            yield deadline

    return limit


def the_librarys() -> Limit:
    return lambda: asyncio.timeout(SOON_S)


@pytest.fixture(params=[ours, the_librarys])
def limit(request: pytest.FixtureRequest) -> Limit:
    """Everything here is true of `asyncio.timeout` as well."""
    made: Limit = request.param()
    return made


async def test_what_is_done_in_time_is_left_alone(limit: Limit) -> None:
    async with limit():
        await asyncio.sleep(0)
    await asyncio.sleep(2 * SOON_S)


async def test_what_takes_too_long_is_cut_off_and_its_task_goes_on(limit: Limit) -> None:
    with pytest.raises(TimeoutError):
        async with limit():
            await asyncio.sleep(60)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_an_error_of_its_own_comes_through(limit: Limit) -> None:
    with pytest.raises(KeyError):
        async with limit():
            raise KeyError


async def test_whoever_cancels_the_task_cancels_it(limit: Limit) -> None:
    async def work() -> None:
        async with limit():
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_at_the_same_time_is_a_cancellation(limit: Limit) -> None:
    async def work() -> None:
        async with limit():
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    time.sleep(2 * SOON_S)  # noqa: ASYNC251 - the loop finds both at once
    asyncio.get_running_loop().call_later(0, task.cancel)

    with pytest.raises((asyncio.CancelledError, TimeoutError)) as caught:
        await task
    assert caught.type is asyncio.CancelledError


async def test_an_inner_limit_is_told_from_an_outer_one(limit: Limit) -> None:
    """The outer one has less time left, so it ends both, and the inner one is no reason of its own."""
    inner_ended = outer_ended = False
    try:
        async with limit():
            await asyncio.sleep(SOON_S / 2)
            try:
                async with limit():
                    await asyncio.sleep(60)
            except TimeoutError:
                inner_ended = True
    except TimeoutError:
        outer_ended = True

    assert (inner_ended, outer_ended) == (False, True)


async def test_each_of_many_has_all_of_its_time() -> None:
    """One timer is enough for tasks that begin one after another, some of which end in time."""
    deadlines = Deadlines(SOON_S)
    loop = asyncio.get_running_loop()
    lasted: list[float] = []

    async def work(number: int) -> None:
        await asyncio.sleep(number * SOON_S / 10)
        began_at = loop.time()
        try:
            with deadlines.begin():
                await asyncio.sleep(0 if number % 3 == 0 else 60)
        except TimeoutError:
            lasted.append(loop.time() - began_at)

    await asyncio.gather(*map(work, range(30)))

    assert len(lasted) == 20
    assert min(lasted) >= SOON_S - 0.002  # the clock of uvloop's timers has milliseconds


async def test_there_is_one_timer_however_many_begin() -> None:
    deadlines = Deadlines(60)
    loop = asyncio.get_running_loop()
    timers = 0
    call_at = loop.call_at

    def counted(*args: object, **options: object) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(*args, **options)  # type: ignore[arg-type]

    loop.call_at = counted  # type: ignore[method-assign, assignment]
    for _ in range(100):
        with deadlines.begin():
            pass

    assert timers == 1


def test_it_may_be_used_in_one_event_loop_after_another() -> None:
    deadlines = Deadlines(SOON_S)

    async def is_cut_off() -> bool:
        try:
            with deadlines.begin():
                await asyncio.sleep(5)
        except TimeoutError:
            return True
        return False

    assert [asyncio.run(is_cut_off()) for _ in range(2)] == [True, True]


async def test_after_a_pause_it_begins_anew() -> None:
    """The timer that nobody waits for any more comes to nothing, and the next one gets another."""
    deadlines = Deadlines(SOON_S)
    with deadlines.begin():
        pass
    await asyncio.sleep(2 * SOON_S)

    with pytest.raises(TimeoutError), deadlines.begin():
        await asyncio.sleep(60)
