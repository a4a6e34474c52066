"""Hopeful units of work that wait for a connection go together on PostgreSQL, and none pays for another."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import asyncpg
import msgspec
import pytest

from gql_epoint.errors import ErrorCode, RefusedError, StoreUnavailableError
from gql_epoint.ledger.transaction import Transaction
from gql_epoint.store.postgres import PostgresStore
from gql_epoint.store.postgres.carrying import TOGETHER_MAX
from gql_epoint.store.postgres.connecting import prepare
from gql_epoint.store.postgres.statements import CONDITIONS
from gql_epoint.store.protocol import Unit
from tests import postgres
from tests.postgres import PostgresServer, new_database
from tests.store_contract import a_transaction, an_event, an_idempotency

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
async def database() -> AsyncIterator[str]:
    async with new_database() as url:
        yield url


def opened(url: str, **limits: Any) -> contextlib.AbstractAsyncContextManager[PostgresStore]:
    """Run a store with one connection that writes, so that everybody waits for it; tests use names of their own."""
    return postgres.opened(url, **{"writers": 1, "readers": 1} | limits)


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    async with opened(database) as store:
        yield store


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine stand still for a moment, after which PostgreSQL would not believe what time it is."""
    is_now = CONDITIONS["is_now"]
    assert is_now.sql.count("0.1 s") == 2
    patient = msgspec.structs.replace(is_now, sql=is_now.sql.replace("0.1 s", "20 s"))
    monkeypatch.setitem(CONDITIONS, "is_now", patient)


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


async def test_each_kind_goes_with_its_own(store: PostgresStore, admin: Any) -> None:
    """A kind is a commit; whoever waits longest goes first, with its like."""
    name, order = a_name(), [0, 1, 1, 0]
    events = [lambda unit, number=number: unit.insert_event(an_event(name, number)) for number in (1, 2)]
    async with queued(store, payment(), *events, payment()) as waiting:
        done: list[int] = []
        for kind, task in zip(order, waiting, strict=True):
            task.add_done_callback(lambda _, kind=kind: done.append(kind))

    assert done == sorted(order)
    assert await commits(admin, [waiting[0].result(), waiting[-1].result()]) == [2]
    assert await admin.fetchval("SELECT count(DISTINCT xmin::text) FROM events WHERE stream_id = $1", name) == 1


async def test_much_data_is_one_commit_too(store: PostgresStore, admin: Any) -> None:
    """Though it does not fit what asyncpg sends at a time."""
    async with queued(store, *(payment(description="x" * 60_000) for _ in range(10))) as waiting:
        pass

    assert await commits(admin, [task.result() for task in waiting]) == [10]


async def test_work_sees_its_own_request(store: PostgresStore) -> None:
    """Its first run, the run on a connection that came late, and the one by itself."""
    request = contextvars.ContextVar[int]("request")
    seen: list[tuple[int, int]] = []
    key = a_name()

    async def ask(number: int) -> None:
        request.set(number)
        pay = payment(key)  # They get in each other's way, so that some run by themselves.

        async def work(unit: Unit) -> None:
            seen.append((number, request.get()))
            await pay(unit)

        await store.write(work, hopeful=True)

    async with queued(store):
        asking = [asyncio.create_task(ask(number)) for number in range(4)]
        await asyncio.sleep(0.1)
    await asyncio.gather(*asking)
    assert len(seen) > 8
    assert all(number == found for number, found in seen)


async def test_what_many_share_belongs_to_no_request(store: PostgresStore) -> None:
    """Else the log would name one of them for what was done for another."""
    request = contextvars.ContextVar[int]("request")
    heard: list[int | None] = []
    store.on_commit(lambda _: heard.append(request.get(None)))
    request.set(1)

    await store.write(payment(), hopeful=True)

    assert heard
    assert set(heard) == {None}


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
    """All are refused with it, and go again without it; the one with the key is told of what it made."""
    key = a_name()
    first = await store.write(payment(key), hopeful=True)
    async with queued(store, payment(), payment(key), payment()) as waiting:
        pass

    one, again, other = (task.result() for task in waiting)
    assert again == first
    assert await commits(admin, [one, other]) == [1, 1]


async def test_fewer_go_together_after_a_refusal(store: PostgresStore, admin: Any) -> None:
    """Where one in so many is refused, it is not always all that run again; and it is forgotten again."""
    key = a_name()
    await store.write(payment(key), hopeful=True)

    async def pay(*works: Callable[[Unit], Awaitable[Any]]) -> list[int]:
        async with queued(store, *works) as waiting:
            pass
        return await commits(admin, [task.result() for task in waiting])

    assert await pay(payment(key), *(payment() for _ in range(TOGETHER_MAX - 1))) == [1] * TOGETHER_MAX
    half = TOGETHER_MAX // 2
    assert await pay(*(payment() for _ in range(2 * half + 1))) == [half, half + 1]
    while half < TOGETHER_MAX - 2:
        half += 1
        assert await pay(*(payment() for _ in range(half + 1))) == [half + 1]
    for _ in range(2):
        assert await pay(*(payment() for _ in range(TOGETHER_MAX))) == [TOGETHER_MAX]


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
    assert [year > 2025 for year in seen[-3:]] == [True] * 3


# -- bad days -----------------------------------------------------------------------------------------------


async def test_nobody_waits_longer_than_the_limit(database: str) -> None:
    """Each has its own time, and what has run out of it is not written later."""
    key, later = a_name(), a_name()
    async with opened(database, free_connection_s=1.6) as store:
        started_s = monotonic()
        async with queued(store, payment(key)) as waiting:
            await asyncio.sleep(0.8)
            second = asyncio.create_task(store.write(payment(later), hopeful=True))
            with pytest.raises(StoreUnavailableError):
                await waiting[0]
            assert monotonic() - started_s > 1.5
            assert not second.done()
            third = asyncio.create_task(store.write(payment(), hopeful=True))
            with pytest.raises(StoreUnavailableError):
                await second
            assert monotonic() - started_s > 2.3
        assert await third
        for name in (key, later):
            assert await store.read(lambda reader, name=name: reader.idempotency("o", "pay", name)) is None  # type: ignore[misc]


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


async def test_what_waited_long_runs_once_more(database: str, admin: Any) -> None:
    """PostgreSQL would not believe what time it was when they began to wait."""
    times: list[datetime] = []
    pay = [payment() for _ in range(3)]

    async def work(unit: Unit, number: int) -> Transaction:
        times.append(unit.now)
        return await pay[number](unit)

    async with opened(database) as store:
        async with queued(store, *(lambda unit, n=n: work(unit, n) for n in range(3))) as waiting:
            await asyncio.sleep(0.3)

        assert len(times) == 6
        assert times[3] - times[2] > timedelta(seconds=0.25)
        assert await commits(admin, [task.result() for task in waiting]) == [3]


async def test_row_that_is_not_free_in_time_is_told_once(database: str, admin: Any) -> None:
    """A unit by itself has waited for it; it does not wait as long again."""
    async with opened(database, lock_s=1.0) as store, admin.transaction():
        await admin.execute("LOCK TABLE idempotency IN EXCLUSIVE MODE")
        started_s = monotonic()
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            await store.write(payment(), hopeful=True)
        assert monotonic() - started_s < 1.9


async def test_work_that_must_ask_waits_in_one_line_only(database: str) -> None:
    async with opened(database, free_connection_s=1.0) as store:

        async def ask(unit: Unit) -> None:
            await unit.transaction("tr_none")

        started_s = monotonic()
        async with queued(store, ask) as waiting:
            with pytest.raises(StoreUnavailableError):
                await waiting[0]
            assert monotonic() - started_s < 1.9


async def test_connection_that_is_slow_to_open_holds_up_nobody(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gives one back meanwhile gives it to those that wait."""
    is_slow, opening, may_open = False, asyncio.Event(), asyncio.Event()

    async def prepare_slowly(connection: Any) -> None:
        if is_slow:
            opening.set()
            await may_open.wait()
        await prepare(connection)

    monkeypatch.setattr("gql_epoint.store.postgres.prepare", prepare_slowly)
    async with opened(database, writers=2, connect_s=20.0, free_connection_s=20.0) as store:
        async with queued(store):
            is_slow = True
            first = asyncio.create_task(store.write(payment(), hopeful=True))
            await opening.wait()
            others = [asyncio.create_task(store.write(payment(), hopeful=True)) for _ in range(5)]
            await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            await asyncio.gather(first, *others)
        may_open.set()


async def test_store_that_is_closed_by_force_tells_everybody(database: str, admin: Any) -> None:
    """Closing has an end: who is under way then is told, of whatever has become of it."""
    async with opened(database, statement_s=0.3, lock_s=5.0) as store:
        async with admin.transaction():
            await admin.execute("LOCK TABLE idempotency IN EXCLUSIVE MODE")
            works = [payment() for _ in range(2 * TOGETHER_MAX)]
            tasks = [asyncio.create_task(store.write(work, hopeful=True)) for work in works]
            await asyncio.sleep(0.05)
            await store.close()
        async with asyncio.timeout(10):
            told = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(error, StoreUnavailableError) for error in told), told


async def test_listener_that_fails_keeps_nobody_from_being_told(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in what hears of commits is logged, and what was committed is told as committed."""

    def fail(_: object) -> None:
        raise RuntimeError("a bug")

    assert store._carrier is not None  # noqa: SLF001
    monkeypatch.setattr(store._carrier, "_tell", fail)  # noqa: SLF001
    async with queued(store, payment(), payment()) as waiting:
        pass
    made = [task.result() for task in waiting]

    assert [await store.read(lambda r, name=each.id: r.transaction(name)) for each in made] == made  # type: ignore[misc]
    assert await store.write(payment(), hopeful=True)


async def test_bug_is_told_to_all_that_it_concerns(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And to no one after them, who get the same connection."""

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    key = a_name()
    await store.write(payment(key), hopeful=True)
    assert store._carrier is not None  # noqa: SLF001
    monkeypatch.setattr(store._carrier, "_failed", fail)  # noqa: SLF001
    async with queued(store, payment(key), payment()) as waiting:
        pass

    for task in waiting:
        with pytest.raises(StoreUnavailableError, match="may have been kept"):
            task.result()
    assert "Carrying units of work" in caplog.text
    assert await store.write(payment(), hopeful=True)


async def test_batches_that_block_each_other_both_go_on(database: str) -> None:
    """Two nodes are sent the same keys in opposite order; PostgreSQL takes one batch back."""
    keys = [a_name() for _ in range(TOGETHER_MAX)]
    async with opened(database) as one, opened(database) as two:
        for _ in range(3):
            async with (
                queued(one, *(payment(key) for key in keys)) as here,
                queued(two, *(payment(key) for key in reversed(keys))) as there,
            ):
                pass
            made = [task.result().id for task in here]
            assert made == [task.result().id for task in reversed(there)]
            assert len(set(made)) == len(keys)


async def test_second_answer_to_a_transaction_sees_the_first(store: PostgresStore) -> None:
    """They go together, and the second is wrong about what it knows."""
    known = await store.write(payment(), hopeful=True)

    async def answer(unit: Unit) -> int:
        now = await unit.transaction_now(known)
        await unit.save_transaction(msgspec.structs.replace(now, version=now.version + 1))
        return now.version

    async with queued(store, answer, answer, answer) as waiting:
        pass

    assert sorted(task.result() for task in waiting) == [known.version + number for number in range(3)]
