"""The embedded store: one SQLite file, one writer that commits many units of work at once.

WAL mode lets readers go on while the writer writes; `synchronous=FULL` makes a commit survive a power cut.
All writing happens on one thread. It takes every unit that waits, runs each in a savepoint of one database
transaction, commits once, and only then tells their callers. So durability is paid once per batch, and a unit
that fails takes nothing of its neighbours with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from gql_epoint.errors import ConfigurationError, StoreUnavailableError
from gql_epoint.store.protocol import Reader, Unit, Wakeup
from gql_epoint.store.queries import load_migrations
from gql_epoint.store.sqlite.unit import SqliteUnit

T = TypeVar("T")

BATCH_MAX = 256
READERS = 2
BUSY_TIMEOUT_S = 5.0
_PACKAGE = "gql_epoint.store.sqlite"


class _Job:
    """A unit of work on its way to the writer and back."""

    __slots__ = ("error", "future", "result", "wakeups", "work")

    def __init__(self, work: Callable[[Unit], Awaitable[Any]], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.wakeups: list[Wakeup] = []


class SqliteStore:
    """A Store in one file. `clock` gives the time of each unit of work."""

    def __init__(self, path: Path, *, sandbox: bool, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._sandbox = sandbox
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="sqlite-reader")
        self._listeners: list[Callable[[Sequence[Wakeup]], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def on_commit(self, listener: Callable[[Sequence[Wakeup]], None]) -> None:
        """See Store."""
        self._listeners.append(listener)

    async def open(self) -> None:
        """See Store. The folder of the file must exist and be writable."""
        self._loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(self._prepare)
        self._writer = threading.Thread(target=self._write_forever, args=(connection,), name="sqlite-writer")
        self._writer.start()

    async def close(self) -> None:
        """See Store."""
        if self._writer is None:
            return
        self._jobs.put(None)
        await asyncio.to_thread(self._writer.join)
        self._writer = None
        self._readers.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See Store. A caller that is cancelled while it waits leaves its unit to run to its end."""
        if self._writer is None or not self._writer.is_alive():
            raise StoreUnavailableError("the database is closed")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        return cast(T, await job.future)

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """See Store."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    # -- on other threads ---------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _prepare(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._migrate(connection)
        except sqlite3.Error as exc:
            raise ConfigurationError("GQL_EPOINT_DATABASE_URL", f"cannot open {self._path}: {exc}") from exc
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        (done,) = connection.execute("PRAGMA user_version").fetchone()
        migrations = load_migrations(_PACKAGE)
        if done > len(migrations):
            connection.execute("ROLLBACK")
            raise ConfigurationError(
                "GQL_EPOINT_DATABASE_URL",
                f"{self._path} was made by a newer version (migration {done}); this one knows {len(migrations)}",
            )
        for number, script in migrations[done:]:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        mode = "sandbox" if self._sandbox else "live"
        connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('mode', ?)", (mode,))
        (made_by,) = connection.execute("SELECT value FROM meta WHERE name = 'mode'").fetchone()
        connection.execute("COMMIT")
        if made_by != mode:
            connection.close()
            raise ConfigurationError(
                "GQL_EPOINT_DATABASE_URL",
                f"{self._path} holds {made_by} books and this is {mode} mode; use another file",
            )

    def _read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = self._connect()
                connection.execute("PRAGMA query_only = ON")
                self._connections.append(connection)
            connection.execute("BEGIN")
            try:
                return _drive(work(SqliteUnit(connection, self._clock(), [])))
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as exc:
            raise StoreUnavailableError(str(exc)) from exc

    def _write_forever(self, connection: sqlite3.Connection) -> None:
        while (job := self._jobs.get()) is not None:
            batch = [job]
            closing = False
            with contextlib.suppress(queue.Empty):
                while len(batch) < BATCH_MAX and not closing:
                    another = self._jobs.get_nowait()
                    if another is None:
                        closing = True
                    else:
                        batch.append(another)
            self._commit_batch(connection, batch)
            if closing:
                break
        connection.close()

    def _commit_batch(self, connection: sqlite3.Connection, batch: Sequence[_Job]) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                self._run_job(connection, job)
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in batch:
                # Nothing of this batch was kept, whatever each unit thought of itself.
                job.error = StoreUnavailableError(str(exc))
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # The loop is gone, and with it everyone who waited.
            self._loop.call_soon_threadsafe(self._deliver, batch)

    def _run_job(self, connection: sqlite3.Connection, job: _Job) -> None:
        connection.execute("SAVEPOINT unit")
        try:
            job.result = _drive(job.work(SqliteUnit(connection, self._clock(), job.wakeups)))
        except sqlite3.OperationalError:
            # A full disk or a lost file concerns the whole batch; SQLite may have rolled it back already.
            raise
        except BaseException as exc:  # noqa: BLE001 - it is the caller's, not the writer's
            connection.execute("ROLLBACK TO unit")
            job.error = exc
        connection.execute("RELEASE unit")

    def _deliver(self, batch: Sequence[_Job]) -> None:
        """On the event loop: wake subscribers, then answer the callers."""
        wakeups = [wakeup for job in batch if job.error is None for wakeup in job.wakeups]
        for listener in self._listeners if wakeups else ():
            listener(wakeups)
        for job in batch:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)


def _drive(work: Awaitable[T]) -> T:
    """Run a unit of work to its end; it never waits, because every answer of SQLite is already there."""
    coroutine = cast(Coroutine[Any, Any, T], work)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    coroutine.close()
    raise AssertionError("a unit of work awaited something else than its unit")


def _statements(script: str) -> list[str]:
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
