"""The SQLite store: the contract of every store, and what is its own: batches, crashes, full disks, one process."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import shutil
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gql_epoint.errors import ConfigurationError, StoreUnavailableError
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.transaction import Transaction
from gql_epoint.store.protocol import Reader, Unit
from gql_epoint.store.sqlite import BATCH_MAX, WAITING_MAX, SqliteStore
from tests.store_contract import (
    StoreContract,
    a_transaction,
    an_event,
    feed_positions,
    insert,
    read,
)


def utc_now() -> datetime:
    return datetime.now(UTC)


class WatchedStore(SqliteStore):
    """A store whose statements can be counted and whose disk can be made small."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, sandbox=True, clock=utc_now)
        self.statements: list[str] = []
        self.written_by: sqlite3.Connection | None = None

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        if self.written_by is None:
            self.written_by = connection
            connection.set_trace_callback(self.statements.append)
        return connection

    def limit_pages(self, extra: int | None) -> None:
        """Leave room for so many more pages, or for as many as there can be."""
        assert self.written_by is not None
        (used,) = self.written_by.execute("PRAGMA page_count").fetchone()
        self.written_by.execute(f"PRAGMA max_page_count = {used + extra if extra is not None else 1_000_000}")

    def count(self, statement: str) -> int:
        return self.statements.count(statement)


@contextlib.asynccontextmanager
async def opened(path: Path, *, sandbox: bool = True) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, sandbox=sandbox, clock=utc_now)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[WatchedStore]:
    store = WatchedStore(tmp_path / "books.db")
    await store.open()
    yield store
    await store.close()


class TestSqlite(StoreContract):
    """See StoreContract."""


class Gate:
    """Holds the writer inside a unit of work, so that what comes next has to wait."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    async def __call__(self, _unit: Reader) -> None:
        self.entered.set()
        assert self.leave.wait(timeout=10)


async def hold(store: SqliteStore) -> tuple[Gate, asyncio.Task[None]]:
    """Return a gate that the writer is standing in."""
    gate = Gate()
    task = asyncio.ensure_future(store.write(gate))
    await asyncio.to_thread(gate.entered.wait, 10)
    return gate, task


# Batches -------------------------------------------------------------------------------------------------------


async def test_units_that_wait_are_committed_together(store: WatchedStore) -> None:
    """Durability is paid once for all that waited, up to the size of a batch."""
    gate, held = await hold(store)
    before = store.count("COMMIT")
    count = BATCH_MAX + 10
    waiting = [asyncio.ensure_future(insert(store, an_event(f"tr_{n}"))) for n in range(count)]
    await asyncio.sleep(0)
    gate.leave.set()
    await asyncio.gather(held, *waiting)

    assert store.count("COMMIT") - before == 3  # the held unit, a full batch, the rest
    assert await feed_positions(store) == list(range(1, count + 1))


async def test_wake_ups_of_a_batch_come_before_its_answers(store: WatchedStore) -> None:
    """Whoever is told that a change is recorded can count on the bell having rung."""
    heard: list[str] = []
    store.on_commit(lambda wakeups: heard.extend(wakeup.stream_id for wakeup in wakeups))
    await insert(store, an_event("tr_1"))

    assert heard == ["tr_1"]


async def test_listener_that_fails_leaves_nobody_waiting(
    store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a listener is logged; callers get their answers and other listeners their wake-ups."""
    heard: list[Any] = []

    def broken(_wakeups: object) -> None:
        raise ValueError("a bug")

    store.on_commit(broken)
    store.on_commit(heard.extend)
    async with asyncio.timeout(5):
        await insert(store, an_event("tr_1"))

    assert len(heard) == 1
    assert "a bug" in caplog.text


async def test_statement_that_is_wrong_fails_only_its_own_unit(store: WatchedStore) -> None:
    """A bug in one unit of work takes nothing of its neighbours with it."""
    gate, held = await hold(store)
    rows = [a_transaction(), a_transaction()]

    async def wrong(unit: Unit) -> None:
        unit._connection.execute("SELECT * FROM nonsense")  # type: ignore[attr-defined]  # noqa: SLF001

    waiting = [
        asyncio.ensure_future(insert(store, rows[0])),
        asyncio.ensure_future(store.write(wrong)),
        asyncio.ensure_future(insert(store, rows[1])),
    ]
    await asyncio.sleep(0)
    gate.leave.set()
    results = await asyncio.gather(held, *waiting, return_exceptions=True)

    assert [type(result) for result in results] == [type(None), type(None), sqlite3.OperationalError, type(None)]
    assert [await read(store, row) for row in rows] == rows


@pytest.mark.parametrize("failing", [(), (0,), (2,), (1, 3), (0, 1, 2, 3, 4)])
async def test_a_batch_holds_what_its_good_units_wrote_and_nothing_of_the_others(
    store: WatchedStore, failing: tuple[int, ...]
) -> None:
    """Where a unit fails after it has written, all of them run again; each that is kept is so once."""
    gate, held = await hold(store)
    heard: list[str] = []
    store.on_commit(lambda wakeups: heard.extend(wakeup.stream_id for wakeup in wakeups))
    before = store.count("SAVEPOINT unit"), store.count("COMMIT")

    def unit_of(number: int) -> Callable[[Unit], Awaitable[int]]:
        async def work(unit: Unit) -> int:
            seen = len(await unit.feed(0, 100))
            await unit.insert_event(an_event(f"tr_{number}"))
            if number in failing:
                raise ValueError(number)
            return seen

        return work

    async def refused(_unit: Unit) -> None:
        raise LookupError

    waiting = [asyncio.ensure_future(store.write(unit_of(number))) for number in range(5)]
    nothing_written = asyncio.ensure_future(store.write(refused))
    await asyncio.sleep(0)
    gate.leave.set()
    results = await asyncio.gather(held, *waiting, nothing_written, return_exceptions=True)

    good = [number for number in range(5) if number not in failing]
    assert [result for result in results if isinstance(result, int)] == list(range(len(good)))
    assert [exc.args[0] for exc in results if isinstance(exc, ValueError)] == list(failing)
    assert isinstance(results[-1], LookupError)
    kept = await store.read(lambda reader: reader.feed(0, 100))
    assert [event.stream_id for event in kept] == heard == [f"tr_{number}" for number in good]
    assert await feed_positions(store) == list(range(1, len(good) + 1))
    assert store.count("SAVEPOINT unit") - before[0] == (6 if failing else 0)
    assert store.count("COMMIT") - before[1] == 2  # the held unit, and the batch


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
async def test_writer_survives_whatever_a_unit_raises(store: WatchedStore, error: type[BaseException]) -> None:
    """The exception is its caller's; the next unit finds the writer at work."""
    row = a_transaction()

    async def work(unit: Unit) -> None:
        await unit.insert_transaction(row)
        raise error

    async def call() -> str:
        try:
            await store.write(work)
        except BaseException as exc:  # noqa: BLE001 - a task that ends with KeyboardInterrupt would stop the loop
            return type(exc).__name__
        return "nothing"

    assert await call() == error.__name__
    assert await read(store, row) is None
    await insert(store, row)
    assert await read(store, row) == row


async def test_unit_may_await_nothing_but_itself(store: WatchedStore) -> None:
    """A unit that waits would stop every other; it is stopped instead, and keeps nothing."""
    row = a_transaction()

    async def work(unit: Unit) -> None:
        await unit.insert_transaction(row)
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="awaited something else"):
        await store.write(work)
    assert await read(store, row) is None


async def test_unit_of_a_caller_that_goes_away_is_kept(store: WatchedStore) -> None:
    """A hang-up between the hand-over and the answer loses nothing that was recorded."""
    gate, held = await hold(store)
    row = a_transaction()
    writing = asyncio.ensure_future(insert(store, row))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    gate.leave.set()
    await held

    assert writing.cancelled()
    await insert(store, a_transaction())
    assert await read(store, row) == row


async def test_too_much_waiting_work_is_refused(store: WatchedStore) -> None:
    """The queue has an end: beyond it a caller hears at once that the database is not available."""
    gate, held = await hold(store)

    async def nothing(_unit: Unit) -> None:
        return

    waiting = [asyncio.ensure_future(store.write(nothing)) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError, match="too much work"):
        await store.write(nothing)
    gate.leave.set()
    await asyncio.gather(held, *waiting)


# Readers -------------------------------------------------------------------------------------------------------


async def test_reader_sees_one_committed_state(store: WatchedStore) -> None:
    """Neither what a unit has not committed, nor what is committed while it reads."""
    row = a_transaction()
    gate, held = await hold(store)
    writing = asyncio.ensure_future(insert(store, row))
    assert await read(store, row) is None
    gate.leave.set()
    await asyncio.gather(held, writing)
    looking, go_on = threading.Event(), threading.Event()
    other = a_transaction()

    async def work(reader: Reader) -> list[Transaction | None]:
        before = await reader.transaction(other.id)
        looking.set()
        assert go_on.wait(10)
        return [before, await reader.transaction(other.id), await reader.transaction(row.id)]

    reading = asyncio.ensure_future(store.read(work))
    await asyncio.to_thread(looking.wait, 10)
    await insert(store, other)
    go_on.set()

    assert await reading == [None, None, row]
    assert await read(store, other) == other


async def test_reader_cannot_write(store: WatchedStore) -> None:
    """A question changes nothing, even if somebody tries."""
    row = a_transaction()
    with pytest.raises(StoreUnavailableError, match="readonly"):
        await store.read(lambda reader: reader.insert_transaction(row))  # type: ignore[attr-defined]

    assert await read(store, row) is None


async def test_reader_that_raises_leaves_no_transaction_open(store: WatchedStore) -> None:
    """The next reader on the same connection sees the newest state."""

    async def work(_reader: Reader) -> None:
        raise LookupError

    for _ in range(4):
        with pytest.raises(LookupError):
            await store.read(work)
        row = a_transaction()
        await insert(store, row)
        assert await read(store, row) == row


# Trouble -------------------------------------------------------------------------------------------------------


async def test_full_disk_refuses_the_batch_and_heals(store: WatchedStore) -> None:
    """Everybody in the batch hears it, nothing is half-written, and with space it goes on."""
    small = a_transaction()
    await insert(store, small, an_event(small.id))
    store.limit_pages(3)
    gate, held = await hold(store)
    rows = [a_transaction(description="x" * 1000) for _ in range(100)]
    waiting = [asyncio.ensure_future(insert(store, row, an_event(row.id))) for row in rows]
    await asyncio.sleep(0)
    gate.leave.set()
    await held
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert {type(result) for result in results} == {StoreUnavailableError}
    assert [await read(store, row) for row in rows] == [None] * 100
    assert await feed_positions(store) == [1]
    store.limit_pages(None)
    await asyncio.gather(*(insert(store, row, an_event(row.id)) for row in rows))
    assert [await read(store, row) for row in rows] == rows
    assert await feed_positions(store) == list(range(1, 102))


async def test_file_locked_by_a_stranger_is_unavailable_and_nothing_hangs(
    store: WatchedStore, tmp_path: Path
) -> None:
    """A program that takes the write lock costs a delay and an honest error."""
    assert store.written_by is not None
    store.written_by.execute("PRAGMA busy_timeout = 50")
    stranger = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    row = a_transaction()
    with pytest.raises(StoreUnavailableError, match="locked"):
        await insert(store, row)
    assert await read(store, row) is None
    stranger.execute("ROLLBACK")
    stranger.close()
    await insert(store, row)
    assert await read(store, row) == row


async def test_books_survive_closing(tmp_path: Path) -> None:
    """What was written is there in the next process, and counting goes on."""
    row = a_transaction()
    async with opened(tmp_path / "books.db") as store:
        await insert(store, row, an_event(row.id))
    async with opened(tmp_path / "books.db") as store:
        await insert(store, an_event("tr_2"))

        assert await read(store, row) == row
        assert await feed_positions(store) == [1, 2]


async def test_copy_taken_while_writing_opens_and_is_whole(store: WatchedStore, tmp_path: Path) -> None:
    """A crash leaves the file and its log as they were at some moment: every unit is there whole or not at all."""

    async def pair(number: int) -> None:
        row = a_transaction(id=f"tr_{number}")
        await insert(store, row, an_event(row.id), an_event(row.id, 2))

    await pair(0)
    writing = [asyncio.ensure_future(pair(number)) for number in range(1, 300)]
    copies = []
    while not all(task.done() for task in writing):
        folder = tmp_path / f"copy-{len(copies)}"
        folder.mkdir()
        # The log first would lose what a checkpoint moves in between; a crash copies both at once.
        gate, held = await hold(store)
        for name in ("books.db", "books.db-wal"):
            shutil.copy(tmp_path / name, folder / name)
        gate.leave.set()
        await held
        copies.append(folder)
    await asyncio.gather(*writing)

    assert copies
    for folder in copies:
        async with opened(folder / "books.db") as copy:
            positions = await feed_positions(copy)
            events: list[Event] = list(await copy.read(lambda reader: reader.feed(0, 1000)))
            streams = {event.stream_id for event in events}
            found = [
                await copy.read(lambda reader, number=number: reader.transaction(f"tr_{number}"))
                for number in range(300)
            ]
        assert positions == list(range(1, len(positions) + 1))
        assert len(positions) == 2 * len(streams)
        assert {row.id for row in found if row is not None} == streams
        with contextlib.closing(sqlite3.connect(folder / "books.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# Opening -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made_in_sandbox", [True, False])
async def test_books_of_the_other_mode_are_refused(tmp_path: Path, made_in_sandbox: bool) -> None:
    """Sandbox payments never mix with real ones; the refusal changes nothing and holds nothing."""
    path = tmp_path / "books.db"
    async with opened(path, sandbox=made_in_sandbox):
        pass
    with pytest.raises(ConfigurationError, match=r"GQL_EPOINT_DATABASE_URL.* (sandbox|live) books"):
        async with opened(path, sandbox=not made_in_sandbox):
            pass
    async with opened(path, sandbox=made_in_sandbox) as store:
        await insert(store, a_transaction())


async def test_books_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    """An old program does not touch what it does not understand."""
    path = tmp_path / "books.db"
    async with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="newer version"):
        async with opened(path):
            pass
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
async def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A wrong file, or a folder that is not there, is a setting to mend."""
    path = tmp_path / "books.db" if content else tmp_path / "missing" / "books.db"
    if content:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot open"):
        async with opened(path):
            pass
    if content:
        assert path.read_bytes() == content


async def test_store_that_was_never_opened_refuses(tmp_path: Path) -> None:
    """No file appears, nobody waits."""
    store = SqliteStore(tmp_path / "books.db", sandbox=True, clock=utc_now)
    with pytest.raises(StoreUnavailableError):
        await insert(store, a_transaction())
    with pytest.raises(StoreUnavailableError):
        await read(store, a_transaction())
    await store.close()

    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_second_store_on_the_same_file_is_refused(store: WatchedStore, tmp_path: Path) -> None:
    """Two that keep one set of books would not hear each other's wake-ups; the first one goes on undisturbed."""
    with pytest.raises(ConfigurationError, match="in use by another process"):
        async with opened(tmp_path / "books.db"):
            pass
    row = a_transaction()
    await insert(store, row)
    assert await read(store, row) == row
    await store.close()
    async with opened(tmp_path / "books.db") as next_store:
        assert await read(next_store, row) == row


def _keep_books(path: str, ready: Any, leave: Any) -> None:
    async def main() -> None:
        async with opened(Path(path)):
            ready.set()
            await asyncio.to_thread(leave.wait, 30)

    asyncio.run(main())


async def test_lock_of_a_process_ends_with_it(tmp_path: Path) -> None:
    """Another process is kept out while the first lives, and let in when it was killed."""
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=_keep_books, args=(str(tmp_path / "books.db"), ready, leave))
    process.start()
    try:
        assert await asyncio.to_thread(ready.wait, 30)
        with pytest.raises(ConfigurationError, match="in use by another process"):
            async with opened(tmp_path / "books.db"):
                pass
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
        process.close()
    async with opened(tmp_path / "books.db") as store:
        await insert(store, a_transaction())


async def test_backup_by_another_program_works_while_books_are_kept(store: WatchedStore, tmp_path: Path) -> None:
    """The lock keeps out a second keeper, not a reader: SQLite's own backup needs no stop."""
    row = a_transaction()
    await insert(store, row)
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "books.db"), str(tmp_path / "backup.db")
    )
    assert await process.wait() == 0
    async with opened(tmp_path / "backup.db") as backup:
        assert await read(backup, row) == row


async def test_commits_survive_a_power_cut(store: WatchedStore) -> None:
    """A write-ahead log that is flushed at each commit, and constraints that are enforced."""
    assert store.written_by is not None
    pragmas = ("journal_mode", "synchronous", "foreign_keys")
    values = [store.written_by.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

    assert values == ["wal", 2, 1]


async def test_no_null_is_bound_where_rows_are_written(store: WatchedStore) -> None:
    """Python's module asks each null how it wants to be adapted, which took longer than the rest of an INSERT."""
    asked: list[None] = []
    sqlite3.register_adapter(type(None), asked.append)
    try:
        row = a_transaction(description="Two tickets", call_deadline=utc_now())
        await insert(store, row)

        async def forget(unit: Unit) -> None:
            known = await unit.transaction(row.id)
            assert known is not None
            await unit.save_transaction(msgspec.structs.replace(known, call_deadline=None, version=2))

        await store.write(forget)
        changed = await read(store, row)
    finally:
        del sqlite3.adapters[type(None), sqlite3.PrepareProtocol]

    assert changed == msgspec.structs.replace(row, call_deadline=None, version=2)
    assert asked == []
