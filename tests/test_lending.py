"""Connections are handed from one unit of work to the next, and none is ever lost or used by two."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random
from time import monotonic
from typing import Any

import asyncpg
import pytest

from gql_epoint.store.postgres.lending import Lending
from tests.postgres import new_database

LONG_S = 20.0


@contextlib.asynccontextmanager
async def lending(size: int, wait_s: float = LONG_S) -> AsyncIterator[Lending]:
    """Lend from a pool of a real server; in the end everything must be back."""
    async with (
        new_database() as url,
        asyncpg.create_pool(url, min_size=1, max_size=size, reset=leave_as_it_is) as pool,
        asyncio.timeout(LONG_S),
    ):
        lent = Lending(pool, size, wait_s)
        yield lent
        assert lent._left == size  # noqa: SLF001 - one that was lost would be missed on a bad day only
        assert not lent._waiting  # noqa: SLF001
        while pool.get_idle_size() < pool.get_size():
            await asyncio.sleep(0.01)  # The pool goes on with a release whose caller was cancelled.


async def leave_as_it_is(_: Any) -> None:
    """As the store does."""


async def identity(connection: Any) -> int:
    return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def test_whoever_waits_longest_is_handed_the_connection() -> None:
    """The very object: it was not in the pool meanwhile."""
    async with lending(1) as lent:
        order: list[int] = []

        async def use(number: int) -> Any:
            async with lent.loan() as connection:
                order.append(number)
                assert await identity(connection) > 0
                return connection

        async with lent.loan() as first:
            waiting = []
            for number in range(5):
                waiting.append(asyncio.create_task(use(number)))
                await asyncio.sleep(0)

        assert all(connection is first for connection in await asyncio.gather(*waiting))
        assert order == [0, 1, 2, 3, 4]


async def test_as_many_are_used_at_once_as_there_are() -> None:
    async with lending(3) as lent:
        in_use: set[int] = set()

        async def use(meeting: asyncio.Barrier | None = None) -> None:
            async with lent.loan() as connection:
                in_use.add(id(connection))
                assert len(in_use) <= 3
                if meeting is not None:
                    await meeting.wait()
                await identity(connection)
                in_use.remove(id(connection))

        meeting = asyncio.Barrier(3)
        await asyncio.gather(*(use(meeting) for _ in range(3)))
        await asyncio.gather(*(use() for _ in range(100)))


async def test_wait_has_an_end_and_takes_no_place_with_it() -> None:
    async with lending(1, wait_s=0.1) as lent:
        async with lent.loan():
            started = monotonic()
            with pytest.raises(TimeoutError):
                await lent.take()
            assert monotonic() - started > 0.09
        async with lent.loan() as connection:
            assert await identity(connection) > 0


async def test_wait_for_a_hand_and_for_the_pool_is_one_wait() -> None:
    """Whoever is sent to the pool late has waited already."""

    class Slow:
        async def acquire(self, **limits: float) -> Any:
            async with asyncio.timeout(limits["timeout"]):
                await asyncio.sleep(0.6)
            raise ConnectionRefusedError

    lent = Lending(Slow(), 1, 1.0)
    results = await asyncio.gather(lent.take(), lent.take(), return_exceptions=True)

    assert [type(result) for result in results] == [ConnectionRefusedError, TimeoutError]


async def test_what_was_not_well_is_not_handed_on() -> None:
    """A connection in a failed state, or a closed one, is the pool's to look at; who waits gets one that works."""
    async with lending(1) as lent:

        async def use() -> int:
            async with lent.loan() as connection:
                return await identity(connection)

        async def fail(connection: Any) -> None:
            connection.terminate()
            raise LookupError

        for work, expected in ((fail, LookupError), (asyncpg.pool.PoolConnectionProxy.close, None)):
            with pytest.raises(expected) if expected else contextlib.nullcontext():
                async with lent.loan() as connection:
                    own = await identity(connection)
                    waiting = asyncio.create_task(use())
                    await asyncio.sleep(0)
                    await work(connection)

            assert await waiting != own


async def test_unit_that_failed_half_way_leaves_nothing_to_the_next() -> None:
    """Its connection is open, and in a transaction that failed."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # asyncpg tells that it has to reset it
    try:
        async with lending(1) as lent:

            async def use() -> Any:
                async with lent.loan() as connection:
                    return connection.is_in_transaction()

            async def fail() -> None:
                async with lent.loan() as connection:
                    begun.set()
                    await connection.execute("BEGIN")
                    await connection.execute("SELECT FROM nothing")

            begun = asyncio.Event()
            failing = asyncio.create_task(fail())
            await begun.wait()
            assert await use() is False
            with pytest.raises(asyncpg.UndefinedTableError):
                await failing
    finally:
        asyncio.get_running_loop().set_exception_handler(None)


async def test_connection_that_breaks_on_its_way_is_replaced() -> None:
    """Between the hand of one and the hand of the next there is a turn of the event loop."""
    async with lending(1) as lent:
        connection = await lent.take()
        waiting = asyncio.create_task(lent.take())
        await asyncio.sleep(0)
        await lent.give(connection, is_well=True)
        connection.terminate()
        other = await waiting

        assert other is not connection
        assert await identity(other) > 0
        await lent.give(other, is_well=True)


@pytest.mark.parametrize("end", ["cancelled", "late"])
async def test_connection_that_comes_together_with_the_end_of_the_wait_goes_on(end: str) -> None:
    async with lending(1) as lent:
        connection = await lent.take()
        ended, waiting = asyncio.create_task(lent.take()), asyncio.create_task(lent.take())
        await asyncio.sleep(0)
        await lent.give(connection, is_well=True)
        if end == "cancelled":
            ended.cancel()
        else:
            next(iter(lent._deadlines._waiting)).cut_off()  # noqa: SLF001
        assert await waiting is connection
        (result,) = await asyncio.gather(ended, return_exceptions=True)

        assert type(result) is (asyncio.CancelledError if end == "cancelled" else TimeoutError)
        await lent.give(connection, is_well=True)


async def test_pool_that_cannot_connect_fails_each_and_loses_no_place() -> None:
    class Away:
        async def acquire(self, **_: object) -> None:
            await asyncio.sleep(0.01)
            raise ConnectionRefusedError

    lent = Lending(Away(), 2, LONG_S)
    results = await asyncio.gather(*(lent.take() for _ in range(10)), return_exceptions=True)

    assert [type(result) for result in results] == [ConnectionRefusedError] * 10
    assert lent._left == 2  # noqa: SLF001


@pytest.mark.parametrize("seed", range(5))
async def test_cancellations_at_any_moment_lose_nothing(seed: int) -> None:
    """Also one that comes together with the connection, or with the end of the wait."""
    chance = Random(seed)
    async with lending(2, wait_s=0.05) as lent:
        held: set[int] = set()

        async def use() -> None:
            async with lent.loan() as connection:
                own = id(connection._con)  # noqa: SLF001 - asking the server would take its time
                assert own not in held
                held.add(own)
                try:
                    await asyncio.sleep(chance.choice([0, 0, 0.001, 0.02]))
                    if chance.random() < 0.1:
                        raise LookupError
                finally:
                    held.remove(own)

        running: set[asyncio.Task[None]] = set()
        for _ in range(400):
            running.add(asyncio.create_task(use()))
            if chance.random() < 0.5:
                chance.choice(sorted(running, key=id)).cancel()
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        results = await asyncio.gather(*running, return_exceptions=True)
        ends = {type(result) for result in results}

        assert ends <= {type(None), asyncio.CancelledError, TimeoutError, LookupError}
        assert {type(None), asyncio.CancelledError} <= ends
