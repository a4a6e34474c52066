"""Hopeful units of work that wait for a connection go together on PostgreSQL, and none pays for another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from time import monotonic
from typing import Any

import asyncpg
import pytest

from gql_epoint.errors import ErrorCode, RefusedError, StoreUnavailableError
from gql_epoint.ledger.transaction import Transaction
from gql_epoint.store.postgres import PostgresLimits, PostgresStore
from gql_epoint.store.postgres.carrying import TOGETHER_MAX
from gql_epoint.store.protocol import Unit
from tests.postgres import PostgresServer, new_database
from tests.store_contract import a_transaction, an_event, an_idempotency

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def database() -> AsyncIterator[str]:
    async with new_database() as url:
        yield url


@contextlib.asynccontextmanager
async def opened(url: str, **limits: Any) -> AsyncIterator[PostgresStore]:
    """A store with one connection that writes, so that everybody waits for it; tests use names of their own."""
    store = PostgresStore(url, sandbox=True, limits=PostgresLimits(**{"writers": 1, "readers": 1} | limits))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    async with opened(database) as store:
        yield store


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def a_name() -> str:
    return f"name-{next(_numbers)}"


def payment(key: str | None = None, **values: Any) -> Callable[[Unit], Awaitable[Transaction]]:
    """Return work that pays once by its key, as the cashier does."""
    key = key or a_name()
    transaction = a_transaction(order_id=a_name(), holds_order=True, **values)

    async def work(unit: Unit) -> Transaction:
        used = await unit.idempotency("o", "pay", key)
        if used is not None:
            found = await unit.transaction(used.object_id)
            assert found is not None
            return found
        assert await unit.order_holder(str(transaction.order_id), payout=False) is None
        await unit.insert_transaction(transaction)
        await unit.insert_event(an_event(transaction.id))
        await unit.insert_idempotency(an_idempotency(owner="o", key=key, object_id=transaction.id))
        return transaction

    return work


@contextlib.asynccontextmanager
async def queued(store: PostgresStore, *works: Callable[[Unit], Awaitable[Any]]) -> AsyncIterator[list[Any]]:
    """Have hopeful work wait until the block ends for a connection that somebody has; in the end all is done."""
    gate, has_it = asyncio.Event(), asyncio.Event()

    async def hold(_: Unit) -> None:
        has_it.set()
        await gate.wait()

    async with asyncio.timeout(30):
        holding = asyncio.create_task(store.write(hold))
        await has_it.wait()
        waiting = [asyncio.create_task(store.write(work, hopeful=True)) for work in works]
        await asyncio.sleep(0)
        yield waiting
        gate.set()
        await asyncio.gather(holding, *waiting, return_exceptions=True)


async def commits(admin: Any, transactions: Sequence[Transaction]) -> list[int]:
    """Return how many of the transactions came with each commit."""
    found = await admin.fetch(
        "SELECT count(*) AS together FROM transactions WHERE id = ANY($1) GROUP BY xmin::text ORDER BY 1",
        [transaction.id for transaction in transactions],
    )
    return [row["together"] for row in found]


# -- together -----------------------------------------------------------------------------------------------


async def test_those_that_wait_are_one_commit(store: PostgresStore, admin: Any) -> None:
    """Each is told of its own, and the feed has the events of all."""
    heard: set[str] = set()
    store.on_commit(lambda wakeups: heard.update(wakeup.stream_id for wakeup in wakeups))
    async with queued(store, *(payment() for _ in range(10))) as waiting:
        pass

    made = [task.result() for task in waiting]
    assert len({transaction.id for transaction in made}) == 10
    assert heard >= {transaction.id for transaction in made}
    assert [await store.read(lambda r, name=each.id: r.transaction(name)) for each in made] == made  # type: ignore[misc]
    assert await commits(admin, made) == [10]


async def test_who_finds_a_free_connection_does_not_wait_for_others(database: str, admin: Any) -> None:
    async with opened(database, writers=2) as store, queued(store):
        made = [await store.write(payment(), hopeful=True) for _ in range(3)]

        assert await commits(admin, made) == [1, 1, 1]


async def test_only_so_many_go_together(store: PostgresStore, admin: Any) -> None:
    """One that is refused costs no more than these a second run."""
    async with queued(store, *(payment() for _ in range(TOGETHER_MAX + 3))) as waiting:
        pass

    assert await commits(admin, [task.result() for task in waiting]) == [3, TOGETHER_MAX]


async def test_different_statements_share_a_connection(store: PostgresStore, admin: Any) -> None:
    """Each kind is a commit of its own."""
    name = a_name()
    events = [lambda unit, number=number: unit.insert_event(an_event(name, number)) for number in (1, 2)]
    async with queued(store, payment(), *events, payment()) as waiting:
        pass

    assert await commits(admin, [waiting[0].result(), waiting[-1].result()]) == [2]
    assert await admin.fetchval("SELECT count(DISTINCT xmin::text) FROM events WHERE stream_id = $1", name) == 1


async def test_others_get_their_turn(store: PostgresStore) -> None:
    """Work that hopes for nothing waits in the same line as all that goes together."""
    order: list[str] = []

    async def ask(unit: Unit) -> None:
        assert await unit.transaction("tr_none") is None
        order.append("asked")

    async with queued(store, *(payment() for _ in range(3 * TOGETHER_MAX))) as waiting:
        for task in waiting:
            task.add_done_callback(lambda _: order.append("paid"))
        asking = asyncio.create_task(store.write(ask))
        await asyncio.sleep(0)
    await asking

    assert order.index("asked") <= 2 * TOGETHER_MAX


# -- and not together ---------------------------------------------------------------------------------------


async def test_key_that_was_used_harms_no_neighbour(store: PostgresStore, admin: Any) -> None:
    """All are refused with it; then each is alone, and the one with the key is told of what it made."""
    key = a_name()
    first = await store.write(payment(key), hopeful=True)
    async with queued(store, payment(), payment(key), payment()) as waiting:
        pass

    one, again, other = (task.result() for task in waiting)
    assert again == first
    assert await commits(admin, [one, other]) == [1, 1]


async def test_one_key_among_those_that_wait_has_one_winner(store: PostgresStore) -> None:
    key = a_name()
    async with queued(store, payment(), *(payment(key) for _ in range(5)), payment()) as waiting:
        pass

    made = [task.result() for task in waiting]
    assert len({transaction.id for transaction in made}) == 3
    assert len({transaction.id for transaction in made[1:-1]}) == 1


async def test_work_that_raises_does_so_alone(store: PostgresStore, admin: Any) -> None:
    """It asks first whether it was right; its neighbours never hear of it."""

    async def refuse(unit: Unit) -> None:
        await unit.insert_event(an_event(a_name()))
        raise RefusedError(ErrorCode.NOT_REFUNDABLE, "Nothing is left.")

    async with queued(store, payment(), refuse, payment()) as waiting:
        pass

    with pytest.raises(RefusedError, match="Nothing is left"):
        waiting[1].result()
    assert await commits(admin, [waiting[0].result(), waiting[2].result()]) == [2]


async def test_work_that_asks_has_a_connection_of_its_own(store: PostgresStore, admin: Any) -> None:
    """It still hopes for what it does not ask."""
    runs = 0
    pay = payment()

    async def ask_and_pay(unit: Unit) -> Transaction:
        nonlocal runs
        runs += 1
        assert await unit.transaction("tr_none") is None
        return await pay(unit)

    async with queued(store, payment(), ask_and_pay, payment()) as waiting:
        pass

    made = [task.result() for task in waiting]
    assert await commits(admin, made) == [1, 2]
    assert runs == 2


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"description": "a\x00b"}, asyncpg.CharacterNotInRepertoireError),  # The server refuses this,
        ({"version": 2**70}, asyncpg.DataError),  # asyncpg does not even send that,
        ({"amount": Decimal(0)}, asyncpg.CheckViolationError),  # and this breaks a rule of the table.
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_value_that_is_refused_harms_no_neighbour(
    store: PostgresStore, wrong: dict[str, Any], error: type[Exception], place: int
) -> None:
    """Wherever it stands among them, and the connection is good for the next."""
    works = [payment(), payment()]
    works.insert(place, payment(**wrong))
    async with queued(store, *works) as waiting:
        pass

    with pytest.raises(error):
        waiting.pop(place).result()
    for task in waiting:
        made = task.result()
        assert await store.read(lambda reader, name=made.id: reader.transaction(name)) == made  # type: ignore[misc]
    assert await store.write(payment(), hopeful=True)


async def test_clock_that_was_wrong_is_looked_at(database: str) -> None:
    """Whatever the time of this node is: what was refused for it asks the database."""
    pay = [payment() for _ in range(3)]
    seen: list[int] = []

    async def work(unit: Unit, number: int) -> Transaction:
        seen.append(unit.now.year)
        return await pay[number](unit)

    async with (
        opened(database, sweep_s=60.0) as store,
        queued(store, *(lambda unit, n=n: work(unit, n) for n in range(3))) as waiting,
    ):
        await asyncio.sleep(0.1)  # The node looks at the clock when it begins to follow the log.
        store._time.seen(0)  # noqa: SLF001

    assert len({task.result().id for task in waiting}) == 3
    assert min(seen) == 1970
    assert len([year for year in seen if year > 2025]) == 3


# -- bad days -----------------------------------------------------------------------------------------------


async def test_nobody_waits_longer_than_the_limit(database: str) -> None:
    """Each has its own time, and what has run out of it is not written later."""
    key = a_name()
    async with opened(database, free_connection_s=0.4) as store:
        started_s = monotonic()
        async with queued(store, payment(key)) as waiting:
            await asyncio.sleep(0.2)
            late = asyncio.create_task(store.write(payment(), hopeful=True))
            with pytest.raises(StoreUnavailableError):
                await waiting[0]
            assert monotonic() - started_s > 0.35
            assert not late.done()
        assert await late
        assert await store.read(lambda reader: reader.idempotency("o", "pay", key)) is None


async def test_caller_that_goes_away_leaves_its_unit_among_the_others(store: PostgresStore) -> None:
    """What was accepted is written, and closing waits for it."""
    key = a_name()
    async with queued(store, payment(), payment(key), payment()) as waiting:
        waiting[1].cancel()
        await asyncio.sleep(0)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailableError, match="closed"):
            await store.write(payment(), hopeful=True)
    await closing
    assert all([waiting[0].result(), waiting[2].result()])
    await store.open()

    assert await store.read(lambda reader: reader.idempotency("o", "pay", key)) is not None


async def test_commit_that_breaks_is_unknown_to_all_of_it(database: str, admin: Any) -> None:
    """None of them runs again, and each is told; whoever comes next has a connection again."""
    runs = 0
    pay = [payment() for _ in range(3)]

    async def work(unit: Unit, number: int) -> Transaction:
        nonlocal runs
        runs += 1
        return await pay[number](unit)

    async with opened(database) as store:
        async with admin.transaction():
            await admin.execute("LOCK TABLE idempotency IN EXCLUSIVE MODE")
            async with queued(store, *(lambda unit, n=n: work(unit, n) for n in range(3))) as waiting:
                pass_on = asyncio.create_task(cut_who_waits_for_a_lock(admin))
            await pass_on
        for task in waiting:
            with pytest.raises(StoreUnavailableError, match="may have been kept"):
                task.result()
        assert runs == 3

        assert await store.write(payment(), hopeful=True)


async def cut_who_waits_for_a_lock(admin: Any) -> None:
    while not await admin.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ):
        await asyncio.sleep(0.01)


async def test_database_that_is_away_is_so_for_each() -> None:
    """They are told at once, though there are more than go together; when it is back, so are they."""
    server, works = PostgresServer(), [payment() for _ in range(TOGETHER_MAX + 3)]
    try:
        server.start()
        async with new_database(server.url) as url, opened(url, free_connection_s=20.0) as store:
            await store.write(payment(), hopeful=True)
            server.stop()
            async with asyncio.timeout(10):
                told = await asyncio.gather(
                    *(store.write(work, hopeful=True) for work in works), return_exceptions=True
                )
            server.start()
            made = [await store.write(work, hopeful=True) for work in works]
    finally:
        server.delete()

    assert all(isinstance(error, StoreUnavailableError) for error in told), told
    assert len({transaction.id for transaction in made}) == len(works)


async def test_time_of_a_unit_is_when_it_runs(database: str) -> None:
    """And not when it began to wait, which PostgreSQL would not believe."""
    runs = 0
    pay = payment()

    async def work(unit: Unit) -> Transaction:
        nonlocal runs
        runs += 1
        return await pay(unit)

    async with opened(database) as store, queued(store, work):
        await asyncio.sleep(0.3)
    assert runs == 1
