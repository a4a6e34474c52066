"""The embedded store: one SQLite file, one writer that commits many units of work at once.

WAL mode lets readers go on while the writer writes; `synchronous=FULL` makes a commit survive a power cut.
All writing happens on one thread. It takes every unit that waits, runs them in one database transaction, commits
once, and only then tells their callers. So durability is paid once per batch. A unit that fails before it has
written anything concerns nobody else. Where one fails after that, the whole batch is taken back and run again, each
unit in a savepoint, so that what fails takes nothing of its neighbours with it. On PostgreSQL a unit may run twice
as well.

One process at a time keeps the books: a second one would not hear the first one's wake-ups. It is refused by a
lock on a file of its own beside the database (`books.db-lock`), which the system lets go of when the process ends,
however it ends. Whoever only reads, such as a backup by the sqlite3 command, is not in the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from gql_epoint.errors import ConfigurationError, StoreUnavailableError
from gql_epoint.store.driving import drive
from gql_epoint.store.protocol import Migrations, Reader, Unit, Wakeup
from gql_epoint.store.queries import load_migrations
from gql_epoint.store.sqlite.conversation import STATEMENTS
from gql_epoint.store.sqlite.unit import SqliteUnit

T = TypeVar("T")

BATCH_MAX = 256
WAITING_MAX = 10_000
READERS = 2
BUSY_TIMEOUT_S = 5.0
LOCK_TIMEOUT_S = 1.0
_PACKAGE = "gql_epoint.store.sqlite"
_SETTING = "GQL_EPOINT_DATABASE_URL"

# What a unit of work did wrong itself; every other error of SQLite is about the database and so about the batch.
_ERRORS_OF_THE_UNIT = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)

logger = logging.getLogger(__name__)


class _Job:
    """A unit of work on its way to the writer and back."""

    __slots__ = ("error", "future", "result", "wakeups", "work")

    def __init__(self, work: Callable[[Unit], Awaitable[Any]], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.begin()

    def begin(self) -> None:
        """Forget what came of it."""
        self.result: Any = None
        self.error: BaseException | None = None
        self.wakeups: list[Wakeup] = []


class _WrittenByHalfError(Exception):
    """A unit of work has failed, and what it had written by then must be taken back."""


class SqliteStore:
    """A Store in one file. `clock` gives the time of each unit of work.

    A `guest` works beside the process that keeps the books: it takes no lock and migrates nothing, so its caller
    has looked at `migrations`, and what it writes makes no events, of which that process would not hear.
    """

    def __init__(self, path: Path, *, sandbox: bool, clock: Callable[[], datetime], guest: bool = False) -> None:
        self.path = self._path = path
        self._guest = guest
        self._sandbox = sandbox
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._accepting = False
        self._lock: sqlite3.Connection | None = None
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._listeners: list[Callable[[Sequence[Wakeup]], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def on_commit(self, listener: Callable[[Sequence[Wakeup]], None]) -> None:
        """See Store."""
        self._listeners.append(listener)

    async def migrations(self) -> Migrations:
        """See Store. A missing file has had none; books that another process keeps can be looked at."""
        return await asyncio.to_thread(self._look)

    async def open(self) -> None:
        """See Store. The folder of the file must exist and be writable.

        Raises ConfigurationError if another process keeps these books, or a newer version made them.
        """
        assert self._writer is None, "a store is opened once"
        self._loop = asyncio.get_running_loop()
        connection = await asyncio.to_thread(self._prepare)
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="sqlite-reader")
        self._writer = threading.Thread(
            target=self._write_forever, args=(connection,), name="sqlite-writer", daemon=True
        )
        self._writer.start()
        self._accepting = True

    async def close(self) -> None:
        """See Store."""
        if not self._accepting:
            return
        # Nothing can be queued behind the end of the queue: both happen on the event loop, and in this order.
        self._accepting = False
        self._jobs.put(None)
        await asyncio.to_thread(self._disconnect)

    def is_following(self) -> bool:
        """See Store. There is one process, whose writer tells of each commit."""
        return self._writer is not None and self._writer.is_alive()

    async def write(self, work: Callable[[Unit], Awaitable[T]], *, hopeful: bool = False) -> T:
        """See Store. To ask costs little here, so nobody hopes.

        A caller that is cancelled while it waits leaves its unit to run to its end.
        """
        if not self._accepting:
            raise StoreUnavailableError("the database is closed")
        if self._jobs.qsize() >= WAITING_MAX:
            raise StoreUnavailableError("too much work waits for the database")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.put(job)
        return cast(T, await job.future)

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """See Store."""
        if not self._accepting:
            raise StoreUnavailableError("the database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    # -- on other threads ---------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_S,
            cached_statements=STATEMENTS,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _look(self) -> Migrations:
        known = len(load_migrations(_PACKAGE))
        if not self._path.exists() and os.access(self._path.parent, os.W_OK):
            return Migrations(0, known)
        # Nothing is made by looking.
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
                done = self._done(connection, known)
                if done:
                    self._refuse_other_mode(connection)
        except sqlite3.Error as exc:
            raise ConfigurationError(_SETTING, f"cannot open {self._path}: {exc}") from exc
        return Migrations(done, known)

    def _prepare(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            self._lock = None if self._guest else self._locked()
            connection = self._connect()
            (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if journal != "wal":
                raise ConfigurationError(_SETTING, f"{self._path} is on a disk where SQLite has no write-ahead log")
            connection.execute("PRAGMA synchronous = FULL")
            # What a savepoint would put back is kept for as long as its batch, and is small: no file for it.
            connection.execute("PRAGMA temp_store = MEMORY")
            if not self._guest:
                self._migrate(connection)
        except (sqlite3.Error, ConfigurationError) as exc:
            for opened in (connection, self._lock):
                if opened is not None:
                    opened.close()
            if isinstance(exc, ConfigurationError):
                raise
            raise ConfigurationError(_SETTING, f"cannot open {self._path}: {exc}") from exc
        return connection

    def _locked(self) -> sqlite3.Connection:
        """Lock a file beside the database. It stays empty; SQLite knows how to lock a file on every system."""
        path = self._path.with_name(f"{self._path.name}-lock")
        lock = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=LOCK_TIMEOUT_S)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as exc:
            lock.close()
            if _primary_code(exc) == sqlite3.SQLITE_BUSY:
                raise ConfigurationError(
                    _SETTING,
                    f"{self._path} is in use by another process; for several processes use PostgreSQL",
                ) from exc
            raise
        return lock

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the tables up to date in one transaction, which a refusal leaves without a trace."""
        connection.execute("BEGIN IMMEDIATE")
        migrations = load_migrations(_PACKAGE)
        done = self._done(connection, len(migrations))
        for number, script in migrations[done:]:
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('mode', ?)", (self._mode,))
        self._refuse_other_mode(connection)
        connection.execute("COMMIT")

    @property
    def _mode(self) -> str:
        return "sandbox" if self._sandbox else "live"

    def _done(self, connection: sqlite3.Connection, known: int) -> int:
        (done,) = connection.execute("PRAGMA user_version").fetchone()
        if done > known:
            raise ConfigurationError(
                _SETTING, f"{self._path} was made by a newer version (migration {done}); this one knows {known}"
            )
        return int(done)

    def _refuse_other_mode(self, connection: sqlite3.Connection) -> None:
        (made_by,) = connection.execute("SELECT value FROM meta WHERE name = 'mode'").fetchone()
        if made_by != self._mode:
            raise ConfigurationError(
                _SETTING, f"{self._path} holds {made_by} books and this is {self._mode} mode; use another file"
            )

    def _disconnect(self) -> None:
        assert self._writer is not None
        assert self._readers is not None
        self._writer.join()
        self._readers.shutdown(wait=True)
        while self._connections:
            self._connections.pop().close()
        if self._lock is not None:
            self._lock.close()
        self._writer = self._readers = self._lock = None

    def _read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = self._connect()
                connection.execute("PRAGMA query_only = ON")
                self._connections.append(connection)
            connection.execute("BEGIN")
            try:
                return drive(work(SqliteUnit(connection, self._clock(), [])))
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
            try:
                self._run(connection, batch, self._run_job)
            except _WrittenByHalfError:
                connection.execute("ROLLBACK")
                self._run(connection, batch, self._run_apart)
        except Exception as exc:
            if not isinstance(exc, sqlite3.Error):
                logger.exception("A bug kept a batch from being written")
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in batch:
                # Nothing of this batch was kept, whatever each unit thought of itself.
                job.error = StoreUnavailableError(str(exc))
                job.error.__cause__ = exc
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # The loop is gone, and with it everyone who waited.
            self._loop.call_soon_threadsafe(self._deliver, batch)

    @staticmethod
    def _run(
        connection: sqlite3.Connection, batch: Sequence[_Job], run: Callable[[sqlite3.Connection, _Job], None]
    ) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for job in batch:
            job.begin()
            run(connection, job)
        connection.execute("COMMIT")

    def _run_apart(self, connection: sqlite3.Connection, job: _Job) -> None:
        """Run one unit in a savepoint, and take back what it has written if it fails."""
        connection.execute("SAVEPOINT unit")
        try:
            self._run_job(connection, job)
        except _WrittenByHalfError:
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")

    def _run_job(self, connection: sqlite3.Connection, job: _Job) -> None:
        """Run one unit. Raises _WrittenByHalfError if it failed after it had written something."""
        written = connection.total_changes
        try:
            job.result = drive(job.work(SqliteUnit(connection, self._clock(), job.wakeups)))
        except BaseException as exc:
            # A full disk or a lost file concerns the whole batch; SQLite may have rolled it back already.
            if isinstance(exc, sqlite3.Error) and _primary_code(exc) not in _ERRORS_OF_THE_UNIT:
                raise
            # Anything else is its caller's, not the writer's.
            job.error = exc
            if connection.total_changes != written:
                raise _WrittenByHalfError from None

    def _deliver(self, batch: Sequence[_Job]) -> None:
        """On the event loop: wake subscribers, then answer the callers."""
        wakeups = [wakeup for job in batch if job.error is None for wakeup in job.wakeups]
        for listener in self._listeners if wakeups else ():
            try:
                listener(wakeups)
            except Exception:
                # A subscriber that was not woken looks by itself; a caller that is not answered waits for ever.
                logger.exception("A listener failed at a wake-up")
        for job in batch:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)


def _primary_code(exc: sqlite3.Error) -> int:
    # An error of Python's module, about a wrong parameter for example, has no code of SQLite's.
    code: int = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code & 0xFF


def _statements(script: str) -> list[str]:
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
