"""What only PostgreSQL has: races between nodes, connections that break, and a log in the order of commits."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import asyncpg
import msgspec
import pytest

from gql_epoint.cli.local_postgres import PostgresServer
from gql_epoint.errors import ConfigurationError, StoreUnavailableError
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.transaction import (
    CallbackRecord,
    Disposition,
    GatewayReference,
    RefundStatus,
    SavedCard,
    Transaction,
)
from gql_epoint.store import open_store
from gql_epoint.store.postgres import PostgresStore
from gql_epoint.store.postgres.following import FOLLOWER_NAME
from gql_epoint.store.postgres.statements import together
from gql_epoint.store.protocol import Page, Reader, TransactionFilter, Unit, Wakeup
from gql_epoint.store.queries import load_migrations
from gql_epoint.store.sqlite import SqliteStore
from tests.postgres import new_database, opened
from tests.store_contract import (
    INSERT,
    START,
    StoreContract,
    a_callback,
    a_card,
    a_refund,
    a_transaction,
    an_event,
    an_idempotency,
    insert,
)

PATIENCE_S = 10.0


@pytest.fixture
async def database() -> AsyncIterator[str]:
    async with new_database() as url:
        yield url


@pytest.fixture
async def nodes(database: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two nodes on one database."""
    async with opened(database) as one, opened(database) as two:
        yield one, two


@pytest.fixture
async def store(nodes: tuple[PostgresStore, PostgresStore]) -> PostgresStore:
    return nodes[0]


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Any]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(database, timeout=PATIENCE_S)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def shared_database() -> AsyncIterator[str]:
    async with new_database() as url:
        yield url


class TestPostgres(StoreContract):
    """Everything that every store promises; on one database, emptied for each test."""

    @pytest.fixture
    async def store(self, shared_database: str) -> AsyncIterator[PostgresStore]:
        async with opened(shared_database) as store:
            connection = await asyncpg.connect(shared_database, timeout=PATIENCE_S)
            await connection.execute(
                "DELETE FROM refunds; DELETE FROM transactions; DELETE FROM saved_cards; DELETE FROM callbacks;"
                "DELETE FROM events; DELETE FROM idempotency; DELETE FROM client_tokens; DELETE FROM checkouts;"
                "DELETE FROM checkout_attempts;"
                "DELETE FROM business_transfers; DELETE FROM invoices"
            )
            await connection.close()
            yield store


# -- the log ----------------------------------------------------------------------------------------------------


async def test_feed_is_in_commit_order(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """An event inserted early and committed late comes late: a reader that was past it already gets it too."""
    one, two = nodes
    inserted, gate = asyncio.Event(), asyncio.Event()

    async def early_and_slow(unit: Unit) -> None:
        await unit.insert_event(an_event("tr_slow"))
        inserted.set()
        await gate.wait()

    slow = asyncio.create_task(one.write(early_and_slow))
    await inserted.wait()
    for stream_id in ("tr_quick_1", "tr_quick_2"):
        await insert(two, an_event(stream_id))
    before = await feed_of(two, 2)
    gate.set()
    await slow
    after = await feed_of(two, 3)

    assert [(event.position, event.stream_id) for event in before] == [(1, "tr_quick_1"), (2, "tr_quick_2")]
    assert [event.stream_id for event in after] == ["tr_quick_1", "tr_quick_2", "tr_slow"]
    assert [event.position for event in after] == [1, 2, 3]


async def test_reader_of_the_feed_misses_and_repeats_nothing(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Whoever goes on after the last position sees each event once, while two nodes write as they can."""
    seen: list[Event] = []

    async def follow() -> None:
        while len(seen) < 200:
            seen.extend(await nodes[1].read(lambda reader: reader.feed(seen[-1].position if seen else 0, 7)))
            await asyncio.sleep(0)

    async def write(number: int) -> None:
        async def work(unit: Unit) -> None:
            await unit.insert_event(an_event(f"tr_{number}"))
            if number % 3 == 0:
                await asyncio.sleep(0.003)
            await unit.insert_event(an_event(f"tr_{number}", 2))

        await nodes[number % 2].write(work)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(100):
            group.create_task(write(number))

    assert [event.position for event in seen] == list(range(1, 201))
    assert len({(event.stream_id, event.sequence) for event in seen}) == 200
    for number in range(100):
        assert [event.sequence for event in seen if event.stream_id == f"tr_{number}"] == [1, 2]


async def test_event_of_a_node_that_died_is_numbered_by_another(database: str, admin: Any) -> None:
    """A node may die between its commit and the position; the sweep of any other finds the event."""
    async with opened(database, sweep_s=0.05) as store:
        woken = listen(store)
        await admin.execute(
            "INSERT INTO events (stream_id, sequence, kind, current, recorded_at, source) "
            "VALUES ('tr_orphan', 1, 'STATUS', 'NEW', now(), 'API')"
        )
        (event,) = await feed_of(store, 1)
        await eventually(lambda: Wakeup("tr_orphan", 1) in woken)

    assert (event.position, event.stream_id) == (1, "tr_orphan")


async def test_position_is_null_until_it_is_known(store: PostgresStore) -> None:
    """The event of a unit that runs is in its stream, without a position."""

    async def work(unit: Unit) -> Event | None:
        await unit.insert_event(msgspec.structs.replace(an_event("tr_1"), position=77))
        return await unit.event("tr_1", 1)

    event = await store.write(work)
    assert event is not None
    assert event.position is None


# -- wake-ups ---------------------------------------------------------------------------------------------------


async def test_every_node_hears_of_a_commit(database: str) -> None:
    """A wake-up names the stream and its version, on the node that wrote it and on the others."""
    async with opened(database, sweep_s=60.0) as one, opened(database, sweep_s=60.0) as two:
        here, there = listen(one), listen(two)

        async def work(unit: Unit) -> None:
            await unit.insert_event(an_event("tr_1", 1))
            await unit.insert_event(an_event("tr_1", 2))

        await one.write(work)
        assert here == [Wakeup("tr_1", 1), Wakeup("tr_1", 2)]
        await eventually(lambda: len(there) == 2)

    assert there == [Wakeup("tr_1", 1), Wakeup("tr_1", 2)]


async def test_wakeup_comes_when_the_feed_has_the_event(database: str) -> None:
    """Whoever watches the feed finds the event there when it is woken for the last time."""
    async with opened(database, sweep_s=60.0) as store:
        found: list[int] = []
        looks: list[asyncio.Task[None]] = []

        async def look() -> None:
            found.append(len(await store.read(lambda reader: reader.feed(0, 10))))

        store.on_commit(lambda _: looks.append(asyncio.create_task(look())))
        await insert(store, an_event("tr_1"))
        await eventually(lambda: 1 in found)
        await asyncio.gather(*looks)


async def test_unit_without_events_wakes_nobody(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """A change that has no event is nobody's news."""
    woken = listen(nodes[0])
    await nodes[0].write(lambda unit: unit.insert_transaction(a_transaction()))

    assert not woken


async def test_listener_that_fails_harms_nobody(store: PostgresStore, caplog: pytest.LogCaptureFixture) -> None:
    """The caller is answered and the next listener is called."""

    def fail(_wakeups: Sequence[Wakeup]) -> None:
        raise ValueError("a bug")

    store.on_commit(fail)
    woken = listen(store)
    await insert(store, an_event("tr_1"))

    assert Wakeup("tr_1", 1) in woken
    assert "A listener failed" in caplog.text


async def test_cut_listening_connection_comes_back_and_misses_nothing(database: str, admin: Any) -> None:
    """What was committed while nobody listened is told after the reconnection."""
    async with opened(database, sweep_s=60.0) as store:
        woken = listen(store)
        for number in range(1, 6):
            # All in one message to the server, so that it happens before anybody can listen again.
            await admin.execute(
                f"""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = '{FOLLOWER_NAME}' AND datname = current_database();
                INSERT INTO events (stream_id, sequence, kind, current, recorded_at, source)
                VALUES ('tr_{number}', 1, 'STATUS', 'NEW', now(), 'API');
                SELECT number_events(10);
                """
            )
            await eventually(lambda number=number: Wakeup(f"tr_{number}", 1) in woken)

    assert woken == [Wakeup(f"tr_{number}", 1) for number in range(1, 6)]


# -- races ------------------------------------------------------------------------------------------------------


async def test_one_key_has_one_winner(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Of 100 concurrent uses on two nodes one binds the key; every other one sees what it is bound to."""

    async def use(number: int) -> str:
        async def work(unit: Unit) -> str:
            record = await unit.idempotency("owner", "pay", "key")
            if record is not None:
                return record.object_id
            await asyncio.sleep(0)
            await unit.insert_idempotency(an_idempotency(owner="owner", key="key", object_id=f"tr_{number}"))
            return f"tr_{number}"

        return await nodes[number % 2].write(work)

    assert len(set(await asyncio.gather(*map(use, range(100))))) == 1


async def test_lost_race_for_an_order_runs_again(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Two nodes find an order free at once; the second to insert sees the first one's payment after all."""
    both_looked = asyncio.Barrier(2)
    runs: list[str | None] = []

    async def take(node: PostgresStore) -> str:
        async def work(unit: Unit) -> str:
            holder = await unit.order_holder("order", payout=False)
            runs.append(holder and holder.id)
            if holder is not None:
                return holder.id
            await both_looked.wait()
            transaction = a_transaction(order_id="order", holds_order=True)
            await unit.insert_transaction(transaction)
            return transaction.id

        return await node.write(work)

    async with asyncio.timeout(PATIENCE_S):
        first, second = await asyncio.gather(take(nodes[0]), take(nodes[1]))
    assert first == second
    assert runs == [None, None, first]


async def test_row_is_locked_until_its_unit_ends(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Fifty units that read, add and save lose no addition."""
    transaction = a_transaction()
    await nodes[0].write(lambda unit: unit.insert_transaction(transaction))

    async def add(number: int) -> None:
        async def work(unit: Unit) -> None:
            known = await unit.transaction(transaction.id)
            assert known is not None
            await unit.save_transaction(msgspec.structs.replace(known, version=known.version + 1))

        await nodes[number % 2].write(work)

    await asyncio.gather(*map(add, range(50)))
    after = await nodes[1].read(lambda reader: reader.transaction(transaction.id))
    assert after is not None
    assert after.version == 51


async def test_refund_is_locked_after_its_transaction(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Who settles a refund waits for its transaction, then sees the refund as it is by then; without a deadlock."""
    transaction, runs = a_transaction(), 0
    refund = a_refund(transaction.id)
    await insert(nodes[0], transaction, refund)
    has_transaction, gate = asyncio.Event(), asyncio.Event()

    async def by_transaction(unit: Unit) -> None:
        await unit.transaction(transaction.id)
        has_transaction.set()
        await gate.wait()
        (known,) = await unit.unsettled_refunds(transaction.id)
        await unit.save_refund(msgspec.structs.replace(known, status=RefundStatus.SUCCESS))

    async def by_refund(unit: Unit) -> RefundStatus:
        nonlocal runs
        runs += 1
        known = await unit.refund(refund.id)
        assert known is not None
        await unit.transaction(transaction.id)
        return known.status

    first = asyncio.create_task(nodes[0].write(by_transaction))
    await has_transaction.wait()
    second = asyncio.create_task(nodes[1].write(by_refund))
    await asyncio.sleep(0.05)
    gate.set()
    await first

    assert await second is RefundStatus.SUCCESS
    assert runs == 1


async def test_deadlock_costs_time_and_nothing_else(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Two units that lock two rows crosswise both end: one goes on, the other one runs again."""
    rows = [a_transaction(), a_transaction()]
    await insert(nodes[0], *rows)
    both_locked = asyncio.Barrier(2)
    runs = 0

    async def cross(node: PostgresStore, first: Transaction, second: Transaction) -> None:
        async def work(unit: Unit) -> None:
            nonlocal runs
            runs += 1
            await unit.transaction(first.id)
            if runs <= 2:
                await both_locked.wait()
            known = await unit.transaction(second.id)
            assert known is not None
            await unit.save_transaction(msgspec.structs.replace(known, version=known.version + 1))

        await node.write(work)

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(cross(nodes[0], *rows), cross(nodes[1], *rows[::-1]))

    assert runs >= 3
    for row in rows:
        after = await nodes[0].read(lambda reader, row=row: reader.transaction(row.id))
        assert after is not None
        assert after.version == 2


async def test_work_is_claimed_once(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Two nodes that claim at once share what is due and wait for nothing."""
    due = [a_transaction(ask_at=START) for _ in range(40)]
    cards = [a_card(ask_at=START) for _ in range(40)]
    await insert(nodes[0], *due, *cards)
    both_claimed = asyncio.Barrier(2)

    async def claim(node: PostgresStore) -> list[str]:
        async def work(unit: Unit) -> list[str]:
            lease = timedelta(minutes=1)
            claimed = [row.id for row in await unit.claim_transactions_to_ask(15, lease)]
            claimed += [row.id for row in await unit.claim_cards_to_ask(15, lease)]
            await both_claimed.wait()
            return claimed

        return await node.write(work)

    async with asyncio.timeout(PATIENCE_S):
        one, two = await asyncio.gather(claim(nodes[0]), claim(nodes[1]))
        assert len(one) == len(two) == 30
        assert not set(one) & set(two)
        both_claimed = asyncio.Barrier(1)
        rest = await claim(nodes[0])
    assert sorted([*one, *two, *rest]) == sorted(row.id for row in (*due, *cards))


async def test_overdue_calls_are_settled_by_one_node(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """A sweep leaves alone what another sweep holds, refunds of a held transaction included."""
    transaction = a_transaction(call_deadline=START)
    refund = a_refund(transaction.id, call_deadline=START)
    card = a_card(call_deadline=START)
    await insert(nodes[0], transaction, refund, card)
    held, gate = asyncio.Event(), asyncio.Event()

    async def overdue(unit: Unit) -> list[str]:
        found = [*await unit.overdue_transactions(9), *await unit.overdue_refunds(9), *await unit.overdue_cards(9)]
        return [row.id for row in found]

    async def hold(unit: Unit) -> list[str]:
        found = await overdue(unit)
        held.set()
        await gate.wait()
        return found

    first = asyncio.create_task(nodes[0].write(hold))
    await held.wait()
    second = await nodes[1].write(overdue)
    gate.set()

    assert await first == [transaction.id, refund.id, card.id]
    assert second == []


@pytest.mark.parametrize("by_card", [False, True])
async def test_callback_waits_for_the_name_that_is_being_learnt(
    nodes: tuple[PostgresStore, PostgresStore], by_card: bool
) -> None:
    """A callback that fits nothing yet looks again when the answer that names its transaction has committed."""
    thing = a_card(card_id="name") if by_card else a_transaction(gateway=GatewayReference(transaction_id="name"))
    looked, missed, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()
    runs = 0

    async def answer(unit: Unit) -> int:
        await INSERT[type(thing)](unit, thing)
        found = await unmatched(unit, by_card)
        looked.set()
        await gate.wait()
        return len(found)

    async def callback(unit: Unit) -> Disposition:
        nonlocal runs
        runs += 1
        known = await known_by_name(unit, by_card)
        missed.set()
        disposition = Disposition.UNMATCHED if known is None else Disposition.APPLIED
        await unit.insert_callback(callback_about_name(by_card, disposition))
        return disposition

    answering = asyncio.create_task(nodes[0].write(answer))
    await looked.wait()
    taking = asyncio.create_task(nodes[1].write(callback))
    await missed.wait()  # On a busy machine it is long in getting its connection, and then would see the answer.
    await asyncio.sleep(0.05)
    assert not taking.done()
    gate.set()

    assert (await answering, await taking) == (0, Disposition.APPLIED)
    assert runs == 2


@pytest.mark.parametrize("by_card", [False, True])
async def test_answer_waits_for_the_callback_that_is_being_stored(
    nodes: tuple[PostgresStore, PostgresStore], by_card: bool
) -> None:
    """Whoever learns a name sees every callback of it that was stored as unmatched before."""
    thing = a_card(card_id="name") if by_card else a_transaction(gateway=GatewayReference(transaction_id="name"))
    stored, gate = asyncio.Event(), asyncio.Event()

    async def callback(unit: Unit) -> None:
        assert await known_by_name(unit, by_card) is None
        await unit.insert_callback(callback_about_name(by_card, Disposition.UNMATCHED))
        stored.set()
        await gate.wait()

    async def answer(unit: Unit) -> int:
        await INSERT[type(thing)](unit, thing)
        return len(await unmatched(unit, by_card))

    taking = asyncio.create_task(nodes[1].write(callback))
    await stored.wait()
    answering = asyncio.create_task(nodes[0].write(answer))
    await asyncio.sleep(0.05)
    assert not answering.done()
    gate.set()
    await taking

    assert await answering == 1


async def test_card_is_adopted_once(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """Two nodes that find a card unknown do not both adopt it."""
    both_looked = asyncio.Barrier(2)

    async def adopt(node: PostgresStore) -> str:
        async def work(unit: Unit) -> str:
            known = await unit.saved_card_by_card_id("ce1")
            if known is not None:
                return known.id
            await both_looked.wait()
            card = a_card(card_id="ce1", adopted=True)
            await unit.insert_saved_card(card)
            return card.id

        return await node.write(work)

    async with asyncio.timeout(PATIENCE_S):
        first, second = await asyncio.gather(*map(adopt, nodes))
    assert first == second


async def test_bug_is_not_tried_for_ever(store: PostgresStore) -> None:
    """A unit that inserts what is there already, whatever it sees, fails with PostgreSQL's own words."""
    transaction, runs = a_transaction(), 0
    await store.write(lambda unit: unit.insert_transaction(transaction))

    async def work(unit: Unit) -> None:
        nonlocal runs
        runs += 1
        await unit.insert_transaction(transaction)

    with pytest.raises(asyncpg.UniqueViolationError):
        await store.write(work)
    assert runs == 10


async def test_refunds_cannot_exceed_the_amount(store: PostgresStore) -> None:
    """The database itself refuses books that do not add up."""
    transaction = a_transaction(refunded_amount=Decimal("6.00"), refund_pending_amount=Decimal("4.01"))
    with pytest.raises(asyncpg.CheckViolationError):
        await store.write(lambda unit: unit.insert_transaction(transaction))


# -- what breaks ------------------------------------------------------------------------------------------------


async def test_unit_whose_connection_breaks_runs_again(store: PostgresStore, admin: Any) -> None:
    """Nothing of it was kept, so it starts over on another connection."""
    runs = 0

    async def work(unit: Unit) -> None:
        nonlocal runs
        runs += 1
        await unit.insert_event(an_event("tr_1"))
        assert await unit.event("tr_1", 1) is not None
        if runs == 1:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE state = 'idle in transaction' AND datname = current_database()"
            )
        await unit.insert_event(an_event("tr_1", 2))

    await store.write(work)
    assert runs == 2
    assert len(await store.read(lambda reader: reader.stream_events("tr_1", Page(limit=9)))) == 2


async def test_commit_that_breaks_is_not_repeated(store: PostgresStore, admin: Any) -> None:
    """Nobody knows whether it was kept; the unit runs once, and its caller is told."""
    await admin.execute(
        """
        CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM pg_terminate_backend(pg_backend_pid());
          PERFORM pg_sleep(0.1);
          RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON callbacks DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION cut();
        """
    )
    runs = 0

    async def work(unit: Unit) -> None:
        nonlocal runs
        runs += 1
        await unit.insert_callback(a_callback(disposition=Disposition.STALE))

    with pytest.raises(StoreUnavailableError, match="may have been kept"):
        await store.write(work)
    assert runs == 1


async def test_unit_that_stops_in_the_middle_lets_go(database: str) -> None:
    """The rows of a node that froze are free after a while; when it wakes, its unit starts over."""
    transaction, runs = a_transaction(), 0
    async with opened(database, idle_unit_s=0.2) as frozen, opened(database) as other:
        await insert(other, transaction)
        locked = asyncio.Event()

        async def freeze(unit: Unit) -> None:
            nonlocal runs
            runs += 1
            known = await unit.transaction(transaction.id)
            assert known is not None
            locked.set()
            if runs == 1:
                await asyncio.sleep(0.5)
            await unit.save_transaction(msgspec.structs.replace(known, version=known.version + 1))

        async def add(unit: Unit) -> None:
            known = await unit.transaction(transaction.id)
            assert known is not None
            await unit.save_transaction(msgspec.structs.replace(known, version=known.version + 10))

        freezing = asyncio.create_task(frozen.write(freeze))
        await locked.wait()
        await other.write(add)
        assert not freezing.done()
        await freezing
        after = await other.read(lambda reader: reader.transaction(transaction.id))

    assert runs == 2
    assert after is not None
    assert after.version == 12


async def test_no_wait_is_for_ever(database: str) -> None:
    """A pool that is used up and a row that stays locked end in StoreUnavailableError, each after its limit."""
    transaction = a_transaction()
    limits = {"writers": 2, "readers": 1, "free_connection_s": 0.2, "lock_s": 0.2}
    async with opened(database, **limits) as store:
        await insert(store, transaction)
        gate, locked = asyncio.Event(), asyncio.Event()

        async def hold(unit: Unit) -> None:
            await unit.transaction(transaction.id)
            locked.set()
            await gate.wait()

        async def wait(_unit: Reader) -> None:
            await gate.wait()

        holding = [asyncio.create_task(store.write(hold))]
        await locked.wait()
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            await store.write(lambda unit: unit.transaction(transaction.id))
        holding += [asyncio.create_task(store.write(wait)), asyncio.create_task(store.read(wait))]
        await asyncio.sleep(0.05)
        with pytest.raises(StoreUnavailableError):
            await store.write(lambda unit: unit.transaction("tr"))
        with pytest.raises(StoreUnavailableError):
            await store.read(lambda reader: reader.transaction("tr"))
        gate.set()
        await asyncio.gather(*holding)

        assert await store.read(lambda reader: reader.transaction(transaction.id)) == transaction


@pytest.mark.parametrize("hopeful", [True, False])
async def test_unit_that_is_over_reaches_no_connection(store: PostgresStore, *, hopeful: bool) -> None:
    """It would write in the transaction of whoever has its connection by then."""

    async def itself(unit: Unit) -> Unit:
        await unit.refund("re_none")
        return unit

    kept = await store.write(itself, hopeful=hopeful)

    with pytest.raises(AttributeError):
        await kept.refund("re_none")


async def test_caller_that_goes_away_leaves_its_unit(store: PostgresStore) -> None:
    """A unit that was accepted runs to its end, and closing waits for it."""
    started, transaction = asyncio.Event(), a_transaction()

    async def work(unit: Unit) -> None:
        started.set()
        await asyncio.sleep(0.05)
        await unit.insert_transaction(transaction)

    caller = asyncio.create_task(store.write(work))
    await started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.read(lambda reader: reader.transaction(transaction.id))
    await store.open()

    assert await store.read(lambda reader: reader.transaction(transaction.id)) == transaction


async def test_swallowed_failure_of_a_statement_is_a_bug(store: PostgresStore) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK then; nobody may take that for a commit."""

    async def work(unit: Unit) -> None:
        with contextlib.suppress(asyncpg.CheckViolationError):
            await unit.insert_transaction(a_transaction(amount=Decimal(0)))
            await unit.refund("re_none")  # What is written is sent before anything is read, or at the end.

    with pytest.raises(AssertionError, match="went on"):
        await store.write(work)


async def test_database_that_restarts_is_away_and_comes_back() -> None:
    """Meanwhile everything is refused at once; afterwards everything works, wake-ups included."""
    server = PostgresServer()
    try:
        server.start()
        async with new_database_of(server) as url, opened(url) as one, opened(url, sweep_s=60.0) as two:
            woken = listen(two)
            await insert(one, an_event("tr_before"))
            server.stop()
            began_at = monotonic()
            for _ in range(3):
                with pytest.raises(StoreUnavailableError):
                    await insert(one, an_event("tr_never"))
                with pytest.raises(StoreUnavailableError):
                    await one.read(lambda reader: reader.transaction("tr"))
            assert monotonic() - began_at < 2.0
            server.start()
            await insert(one, an_event("tr_after"))
            await eventually(lambda: Wakeup("tr_after", 1) in woken)
            events = await feed_of(one, 2)
    finally:
        server.delete()

    assert [event.stream_id for event in events] == ["tr_before", "tr_after"]


async def test_migration_under_a_running_node_does_not_stop_it(store: PostgresStore, admin: Any) -> None:
    """A column that a newer version adds makes prepared statements stale, once."""
    transaction = a_transaction()
    await insert(store, transaction)
    await store.write(lambda unit: unit.transaction(transaction.id))
    await admin.execute("ALTER TABLE transactions ADD COLUMN colour text NOT NULL DEFAULT 'blue'")

    assert await store.write(lambda unit: unit.transaction(transaction.id)) == transaction
    await store.write(lambda unit: unit.save_transaction(transaction))
    assert await store.read(lambda reader: reader.transaction(transaction.id)) == transaction


# -- opening ----------------------------------------------------------------------------------------------------


async def test_many_nodes_migrate_one_database_once(database: str, admin: Any) -> None:
    """Nodes that start together on an empty database all come up."""
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(opened(database)) for _ in range(5)))

    assert await admin.fetchval("SELECT count(*) FROM migrations") == len(
        load_migrations("gql_epoint.store.postgres")
    )


async def test_database_remembers_its_mode(database: str) -> None:
    """Sandbox books are refused in live mode, however the database was reached."""
    async with opened(database):
        pass
    with pytest.raises(ConfigurationError, match="holds sandbox books and this is live mode"):
        await PostgresStore(database, sandbox=False).open()


async def test_newer_database_is_refused(database: str, admin: Any) -> None:
    """A node of an older version does not start on what it does not know."""
    async with opened(database):
        pass
    await admin.execute("INSERT INTO migrations (number) VALUES (99)")
    with pytest.raises(ConfigurationError, match="newer version"):
        await PostgresStore(database, sandbox=True).open()


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("postgresql://postgres@127.0.0.1:1/books", StoreUnavailableError, "does not answer"),
        ("postgresql://postgres:hunter2@127.0.0.1:port/books", ConfigurationError, "is not a PostgreSQL URL"),
        ("postgresql://postgres:hunter2@127.0.0.1/books?sslmode=no", ConfigurationError, "is not a PostgreSQL URL"),
    ],
)
async def test_what_cannot_be_opened_says_why(url: str, error: type[Exception], said: str) -> None:
    """Without the password, and without leaving anything open."""
    with pytest.raises(error, match=said) as refused:
        await PostgresStore(url, sandbox=True).open()
    assert "hunter2" not in str(refused.value)


async def test_missing_database_is_a_mistake_in_the_setting(database: str) -> None:
    """Waiting would not help, so it is no StoreUnavailableError."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        await PostgresStore(f"{database}_not", sandbox=True).open()


async def test_database_of_another_encoding_is_refused(database: str, admin: Any) -> None:
    """Azerbaijani names must fit, whatever the server's default is."""
    name = f"latin_{os.getpid()}"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with pytest.raises(ConfigurationError, match="UTF8"):
            await PostgresStore(database.rpartition("/")[0] + f"/{name}", sandbox=True).open()
    finally:
        await admin.execute(f"DROP DATABASE {name}")


async def test_url_names_the_store(database: str) -> None:
    """One setting is all that it takes."""
    clock = lambda: START  # noqa: E731 - a clock that stands
    assert isinstance(open_store(database, sandbox=True, clock=clock), PostgresStore)
    assert isinstance(open_store("sqlite:///books.db", sandbox=True, clock=clock), SqliteStore)
    with pytest.raises(ConfigurationError, match="must begin with"):
        open_store("mysql://localhost/books", sandbox=True, clock=clock)


# -- values -----------------------------------------------------------------------------------------------------


async def test_time_is_the_databases(database: str, admin: Any) -> None:
    """Units and readers get PostgreSQL's clock; a test may put it forward."""
    store = PostgresStore(database, sandbox=True, ahead=lambda: timedelta(days=3))
    await store.open()
    try:

        async def look(reader: Reader) -> datetime:
            return reader.now

        for seen in (await store.write(look), await store.read(look)):
            difference = await admin.fetchval("SELECT clock_timestamp()") + timedelta(days=3) - seen
            assert timedelta() <= difference < timedelta(seconds=1)
    finally:
        await store.close()


async def test_reader_sees_one_state(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    """What commits while a reader reads is not there for it."""

    async def look(reader: Reader) -> tuple[int, int]:
        before = len(await reader.transactions(Page(limit=9), TransactionFilter(), by_update=False))
        await nodes[1].write(lambda unit: unit.insert_transaction(a_transaction()))
        return before, len(await reader.transactions(Page(limit=9), TransactionFilter(), by_update=False))

    before, after = await nodes[0].read(look)
    assert before == after


async def test_reader_cannot_write(store: PostgresStore) -> None:
    """A reader's connection refuses it, so that a mistake is seen at once."""
    with pytest.raises(StoreUnavailableError, match="read-only"):
        await store.read(lambda reader: reader.insert_transaction(a_transaction()))  # type: ignore[attr-defined]


async def test_name_with_a_nul_finds_nothing(store: PostgresStore) -> None:
    """PostgreSQL refuses even to be asked for it."""
    assert await store.read(lambda reader: reader.transaction_by_order("order\x00")) is None
    assert await store.write(lambda unit: unit.saved_card("\x00")) is None


# ---------------------------------------------------------------------------------------------------------------


def callback_about_name(by_card: bool, disposition: Disposition) -> CallbackRecord:
    """Return a callback about EPoint's `name`."""
    name = "gateway_card_id" if by_card else "gateway_transaction_id"
    return a_callback(disposition=disposition, **{name: "name"})


async def unmatched(unit: Unit, by_card: bool) -> Sequence[CallbackRecord]:
    """Look for callbacks about `name`."""
    if by_card:
        return await unit.unmatched_callbacks(card_id="name")
    return await unit.unmatched_callbacks(gateway_transaction_id="name")


async def known_by_name(unit: Unit, by_card: bool) -> Transaction | SavedCard | None:
    """Look for what `name` names."""
    if by_card:
        return await unit.registration_by_card_id("name")
    return await unit.transaction_by_gateway_id("name")


def listen(store: PostgresStore) -> list[Wakeup]:
    """Collect a node's wake-ups, each once."""
    woken: list[Wakeup] = []
    store.on_commit(lambda wakeups: woken.extend(wakeup for wakeup in wakeups if wakeup not in woken))
    return woken


async def feed_of(store: PostgresStore, count: int) -> Sequence[Event]:
    """Read the feed once it holds so many events."""
    async with asyncio.timeout(PATIENCE_S):
        while len(events := await store.read(lambda reader: reader.feed(0, 1000))) < count:
            await asyncio.sleep(0.005)
    return events


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


def new_database_of(server: PostgresServer) -> contextlib.AbstractAsyncContextManager[str]:
    """Make an empty database on a server of the test's own."""
    return new_database(server.url)


def test_several_statements_become_one() -> None:
    """Parameters are numbered through, and a number that comes twice stays one parameter."""
    one = "INSERT INTO a VALUES ($1, $2)"
    two = "UPDATE b SET c = $1, d = $2, e = $1 WHERE id = $3"

    assert together((("of_a", one),)) == one
    assert together((("of_a", one), ("of_b", two))) == (
        "WITH of_a AS (INSERT INTO a VALUES ($1, $2)) UPDATE b SET c = $3, d = $4, e = $3 WHERE id = $5"
    )


async def test_writes_of_one_table_keep_their_order(store: PostgresStore) -> None:
    """An order that is let go by one transaction is taken by the next in the same unit of work."""
    first, second = (a_transaction(order_id="kept", holds_order=True) for _ in range(2))

    async def work(unit: Unit) -> None:
        await unit.insert_transaction(first)
        await unit.save_transaction(msgspec.structs.replace(first, holds_order=False))
        await unit.insert_transaction(second)

    await store.write(work)
    holder = await store.read(lambda reader: reader.order_holder("kept", payout=False))

    assert holder is not None
    assert holder.id == second.id
