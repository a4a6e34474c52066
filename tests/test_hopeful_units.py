"""What a hopeful unit of work takes for granted on PostgreSQL, and what happens where it is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.transaction import Disposition, Fact, GatewayReference, Status, Transaction
from gql_epoint.simulator.server import running
from gql_epoint.simulator.settings import SimulatorSettings
from gql_epoint.store.postgres import PostgresLimits, PostgresStore
from gql_epoint.store.protocol import Reader, Unit
from tests.cashier_kit import Clock, payment
from tests.postgres import new_database
from tests.store_contract import a_callback, a_transaction, an_event, an_idempotency
from tests.test_store_postgres_nodes import open_shop

_numbers = itertools.count(1)


class Watched(PostgresStore):
    """A store with one connection that writes and one that reads, whose statements are listed."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, sandbox=True, limits=PostgresLimits(writers=1, readers=1), **options)
        self.statements: list[str] = []

    async def _pool(self, size: int, **server_settings: str) -> Any:
        pool = await super()._pool(size, **server_settings)
        async with pool.acquire() as connection:
            connection.add_query_logger(lambda query: self.statements.append(query.query))
        return pool


@pytest.fixture(scope="module")
async def database() -> AsyncIterator[str]:
    async with new_database() as url:
        yield url


@pytest.fixture
async def store(database: str) -> AsyncIterator[Watched]:
    """A node's store; tests share a database and use names of their own."""
    async with opened(database) as store:
        yield store


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Watched]:
    store = Watched(url)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def a_name() -> str:
    return f"name-{next(_numbers)}"


# -- where hope is right ----------------------------------------------------------------------------------------


async def test_payment_is_two_statements(database: str) -> None:
    """The intent is one, and EPoint's answer is the other: each is written, checked and committed in one trip."""
    async with (
        running(SimulatorSettings()) as simulator,
        open_shop(Watched(database), simulator, Clock()) as shop,
    ):
        store = shop.cashier.books.store
        assert isinstance(store, Watched)
        transaction = await shop.pay()

        assert transaction.status is Status.REQUIRES_ACTION
        assert len(store.statements) == 2, store.statements
        assert await shop.transaction(transaction.id) == transaction
        assert len(store.statements) == 3, "and one to look at it"


async def test_hope_costs_no_answer(database: str) -> None:
    """Two payments of an order, the second after a decline, and the first key again: as on SQLite."""
    async with (
        running(SimulatorSettings()) as simulator,
        open_shop(Watched(database), simulator, Clock()) as shop,
    ):
        call, order = payment(order_id=a_name())
        shop.plan(order.order_id, reply="reset_before", reply_times=1)
        first = (await shop.cashier.payments.start(call, order)).value
        again = await shop.cashier.payments.start(call, order)
        second = await shop.pay(order_id=order.order_id)

        assert first.status is Status.FAILED
        assert again.replayed
        assert again.value == first
        assert second.gateway_order_id == f"{order.order_id}-2"
        with pytest.raises(RefusedError) as refused:
            await shop.pay(order_id=order.order_id)
        assert refused.value.code is ErrorCode.ORDER_IN_PROGRESS


# -- where hope is wrong ----------------------------------------------------------------------------------------


async def twice(store: Watched, work: Callable[[Unit], Awaitable[Any]]) -> Any:
    """Run work hopefully, and return what it returned when it ran for the second time."""
    runs: list[Any] = []

    async def counted(unit: Unit) -> Any:
        runs.append(None)
        runs[-1] = await work(unit)
        return runs[-1]

    result = await store.write(counted, hopeful=True)
    assert len(runs) == 2
    return result


@pytest.mark.parametrize("writes", [True, False])
async def test_key_that_was_used_is_found(store: Watched, writes: bool) -> None:
    """The unique index refuses the second use; a unit that writes nothing of its own is not believed either."""
    key = a_name()
    await store.write(lambda unit: unit.insert_idempotency(an_idempotency(owner="o", key=key, object_id="tr_1")))

    async def use(unit: Unit) -> str | None:
        record = await unit.idempotency("o", "pay", key)
        if record is None and writes:
            await unit.insert_idempotency(an_idempotency(owner="o", key=key, object_id="tr_2"))
        return record and record.object_id

    assert await twice(store, use) == "tr_1"


async def test_unit_that_raises_was_perhaps_wrong(store: Watched) -> None:
    """What it refuses it may refuse because of what it took for granted: so it asks before it refuses."""
    key = a_name()
    await store.write(lambda unit: unit.insert_idempotency(an_idempotency(owner="o", key=key, object_id="tr_1")))

    async def use(unit: Unit) -> str:
        record = await unit.idempotency("o", "pay", key)
        if record is None:
            raise RefusedError(ErrorCode.NOT_REFUNDABLE, "Nothing is left.")
        return record.object_id

    assert await twice(store, use) == "tr_1"


async def test_unit_that_is_right_to_raise_raises(store: Watched) -> None:
    """And nothing of it is kept."""
    name = a_name()

    async def refuse(unit: Unit) -> None:
        await unit.insert_event(an_event(name))
        raise RefusedError(ErrorCode.NOT_REFUNDABLE, "Nothing is left.")

    with pytest.raises(RefusedError, match="Nothing is left"):
        await store.write(refuse, hopeful=True)
    assert await store.read(lambda reader: reader.event(name, 1)) is None


@pytest.mark.parametrize("payout", [True, False])
async def test_order_that_is_held_is_found(store: Watched, payout: bool) -> None:
    """A payment and a payout of one order are not in each other's way; two of a kind are."""
    operation = {"operation": "PAYOUT"} if payout else {}
    held = msgspec.convert(
        msgspec.to_builtins(a_transaction(order_id=a_name(), holds_order=True)) | operation, Transaction
    )
    await store.write(lambda unit: unit.insert_transaction(held))
    assert held.order_id is not None
    order_id = held.order_id

    async def take(unit: Unit, *, payout: bool) -> str | None:
        holder = await unit.order_holder(order_id, payout=payout)
        if holder is None:
            other = msgspec.structs.replace(held, id=a_transaction().id)
            if payout is not (held.operation.value == "PAYOUT"):
                other = msgspec.structs.replace(other, operation=a_transaction().operation)
            await unit.insert_transaction(other)
        return holder and holder.id

    assert await twice(store, lambda unit: take(unit, payout=payout)) == held.id


async def test_order_id_that_epoint_knows_is_found(store: Watched) -> None:
    """The next attempt of an order gets another one."""
    name = a_name()
    await store.write(lambda unit: unit.insert_transaction(a_transaction(gateway_order_id=name)))

    async def begin(unit: Unit) -> str:
        free = name if await unit.transaction_by_gateway_order(name) is None else f"{name}-2"
        await unit.insert_transaction(a_transaction(gateway_order_id=free))
        return free

    assert await twice(store, begin) == f"{name}-2"


async def test_id_of_epoint_that_another_transaction_has_is_found(store: Watched) -> None:
    """EPoint's ids are unique here: what names a second transaction is stolen."""
    name = a_name()
    owner = a_transaction(gateway=GatewayReference(transaction_id=name))
    mine = a_transaction()
    await store.write(lambda unit: unit.insert_transaction(owner))
    await store.write(lambda unit: unit.insert_transaction(mine))

    async def learn(unit: Unit) -> str | None:
        found = await unit.transaction_by_gateway_id(name)
        if found is None:
            reference = GatewayReference(transaction_id=name)
            await unit.save_transaction(msgspec.structs.replace(mine, gateway=reference))
        return found and found.id

    assert await twice(store, learn) == owner.id


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"ask_at": datetime(2026, 1, 2, tzinfo=UTC)},
        {"facts": frozenset({Fact.OPENED})},
        {"card_mask": "411111******1111"},
        {"refund_pending_amount": Decimal("0.01")},
        {"gateway": GatewayReference(trace_id="t")},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_transaction_that_changed_is_read_again(store: Watched, change: dict[str, Any]) -> None:
    """Whatever changed of it, also what is no news: nothing that somebody else wrote is written over."""
    known = a_transaction()
    changed = msgspec.structs.replace(known, **change)
    await store.write(lambda unit: unit.insert_transaction(known))
    await store.write(lambda unit: unit.save_transaction(changed))

    async def settle(unit: Unit) -> Transaction:
        transaction = await unit.transaction_now(known)
        after = msgspec.structs.replace(transaction, status=Status.SUCCESS)
        await unit.save_transaction(after)
        return after

    expected = msgspec.structs.replace(changed, status=Status.SUCCESS)
    assert await twice(store, settle) == expected
    assert await store.read(lambda reader: reader.transaction(known.id)) == expected


async def test_transaction_that_is_only_looked_at_is_read(store: Watched) -> None:
    """Nothing in the statement would have checked it."""
    known = a_transaction()
    changed = msgspec.structs.replace(known, version=2)
    await store.write(lambda unit: unit.insert_transaction(changed))

    assert await twice(store, lambda unit: unit.transaction_now(known)) == changed


async def test_callback_that_came_before_is_found(store: Watched) -> None:
    """EPoint may call back before it has answered; the answer takes it up."""
    name = a_name()
    early = a_callback(disposition=Disposition.UNMATCHED, gateway_transaction_id=name)
    await store.write(lambda unit: unit.insert_callback(early))

    async def learn(unit: Unit) -> list[str]:
        await unit.insert_transaction(a_transaction(gateway=GatewayReference(transaction_id=name)))
        return [record.id for record in await unit.unmatched_callbacks(gateway_transaction_id=name)]

    assert await twice(store, learn) == [early.id]


async def test_clock_that_is_not_known_is_asked(store: Watched) -> None:
    """After a pause of the machine its own clock says nothing of the database's, by which units go."""
    store._time.seen(0)  # noqa: SLF001 - as if the machine had slept since 1970

    async def write(unit: Unit) -> datetime:
        await unit.insert_event(an_event(a_name()))
        return unit.now

    assert abs(await twice(store, write) - datetime.now(UTC)) < timedelta(seconds=5)
    runs = len(store.statements)
    assert abs(await store.write(write, hopeful=True) - datetime.now(UTC)) < timedelta(seconds=5)
    assert len(store.statements) == runs + 1, "from then on it is known again"


async def test_unit_that_asks_gets_the_clock_checked_too(store: Watched) -> None:
    """Hopeful or not, and whether it writes or not: a deadline must not pass by a wrong clock."""
    seen: list[datetime] = []

    async def look(unit: Unit) -> None:
        seen.append(unit.now)
        await unit.transaction("tr_none")

    store._time.seen(0)  # noqa: SLF001 - as if the machine had slept since 1970
    await store.write(look)

    assert [now.year == 1970 for now in seen] == [True, False]


async def test_reader_that_asks_more_sees_one_state(store: Watched) -> None:
    """It is asked again inside a database transaction, as soon as it has a second question."""
    known = a_transaction()
    await store.write(lambda unit: unit.insert_transaction(known))
    runs = 0

    async def look(reader: Reader) -> list[int | None]:
        nonlocal runs
        runs += 1
        before = await reader.transaction(known.id)
        await store.write(lambda unit: unit.save_transaction(msgspec.structs.replace(known, version=1 + runs)))
        after = await reader.transaction(known.id)
        return [row and row.version for row in (before, after)]

    assert await store.read(look) == [2, 2]
    assert runs == 2


# -- races ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both_hope", [True, False])
async def test_one_key_has_one_winner(database: str, both_hope: bool) -> None:
    """Of 60 uses on two nodes one makes a payment, and every other one is told of it, never of its order."""
    key, order_id = a_name(), a_name()

    async with opened(database) as one, opened(database) as two:

        async def use(number: int) -> str:
            async def work(unit: Unit) -> str:
                record = await unit.idempotency("o", "pay", key)
                if record is not None:
                    return record.object_id
                if await unit.order_holder(order_id, payout=False) is not None:
                    raise RefusedError(ErrorCode.ORDER_IN_PROGRESS, "This order is under way.")
                transaction = a_transaction(order_id=order_id, holds_order=True)
                await unit.insert_transaction(transaction)
                await unit.insert_idempotency(an_idempotency(owner="o", key=key, object_id=transaction.id))
                return transaction.id

            node = one if number % 2 else two
            return await node.write(work, hopeful=both_hope or node is one)

        assert len(set(await asyncio.gather(*map(use, range(60))))) == 1


async def test_hope_waits_for_whoever_is_alone_with_its_key(database: str) -> None:
    """Who looked for a key first must not find its order taken by a second use of the same key."""
    key, order_id = a_name(), a_name()
    looked, gate = asyncio.Event(), asyncio.Event()

    async def use(unit: Unit, *, slow: bool = False) -> str:
        record = await unit.idempotency("o", "pay", key)
        if record is not None:
            return record.object_id
        if slow:
            looked.set()
            await gate.wait()
        assert await unit.order_holder(order_id, payout=False) is None, "it is this key's own"
        transaction = a_transaction(order_id=order_id, holds_order=True)
        await unit.insert_transaction(transaction)
        await unit.insert_idempotency(an_idempotency(owner="o", key=key, object_id=transaction.id))
        return transaction.id

    async with opened(database) as one, opened(database) as two:
        asking = asyncio.create_task(one.write(lambda unit: use(unit, slow=True)))
        await looked.wait()
        hoping = asyncio.create_task(two.write(use, hopeful=True))
        await asyncio.sleep(0.1)
        assert not hoping.done()
        gate.set()

        assert await asking == await hoping


async def test_callback_waits_for_a_hopeful_answer(database: str) -> None:
    """Thirty answers name their transactions while EPoint calls back about them on another node: none is missed."""
    async with opened(database) as one, opened(database) as two:
        known = [a_transaction() for _ in range(30)]
        for transaction in known:
            await one.write(lambda unit, row=transaction: unit.insert_transaction(row))  # type: ignore[misc]

        async def answer(transaction: Transaction) -> int:
            async def work(unit: Unit) -> int:
                row = await unit.transaction_now(transaction)
                reference = GatewayReference(transaction_id=f"te-{transaction.id}")
                await unit.save_transaction(msgspec.structs.replace(row, gateway=reference))
                return len(await unit.unmatched_callbacks(gateway_transaction_id=f"te-{transaction.id}"))

            return await one.write(work, hopeful=True)

        async def call_back(transaction: Transaction) -> bool:
            async def work(unit: Unit) -> bool:
                found = await unit.transaction_by_gateway_id(f"te-{transaction.id}")
                disposition = Disposition.UNMATCHED if found is None else Disposition.APPLIED
                await unit.insert_callback(
                    a_callback(disposition=disposition, gateway_transaction_id=f"te-{transaction.id}")
                )
                return found is not None

            return await two.write(work)

        for transaction in known:
            taken_up, applied = await asyncio.gather(answer(transaction), call_back(transaction))
            assert taken_up + applied == 1
