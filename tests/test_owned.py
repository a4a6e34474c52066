"""Work that goes on to its end."""

from __future__ import annotations

import asyncio

from gql_epoint.owned import Owned


async def test_work_outlives_whoever_waited_for_it() -> None:
    """What is begun inside of it is a part of it, and takes no task of its own."""
    owned, told = Owned(), asyncio.Event()
    tasks: list[asyncio.Task[None] | None] = []

    async def inner() -> None:
        tasks.append(asyncio.current_task())
        await told.wait()
        tasks.append(asyncio.current_task())

    async def outer() -> None:
        tasks.append(asyncio.current_task())
        await owned.run(inner())

    waiting = asyncio.create_task(owned.run(outer()))
    while len(tasks) < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    told.set()
    await owned.drain()

    assert waiting.cancelled()
    assert len(tasks) == 3
    assert set(tasks) == {tasks[0]}
    assert waiting not in tasks


async def test_failure_reaches_whoever_waits() -> None:
    async def fail() -> None:
        raise ValueError("no")

    try:
        await Owned().run(fail())
    except ValueError as exc:
        caught = exc

    assert str(caught) == "no"
