"""The store for more than one node: PostgreSQL, where rows are locked and everyone hears of everything.

A unit of work is one database transaction in READ COMMITTED. What it reads by name it locks, a transaction
before its refunds; what it looks for and does not find is guarded by unique indexes and by locks on the name. A
unit that loses a race runs again and sees what the winner did. The only clock is the database's.

A round trip to the database costs more than anything that it does there. So a unit takes for granted what is likely
(hopeful.py), and what it writes goes in one statement with the conditions that prove it right. Such units go
together where they wait for a connection at the same time (carrying.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import asyncpg

from gql_epoint.errors import StoreUnavailableError
from gql_epoint.store.postgres.carrying import Carrier
from gql_epoint.store.postgres.connecting import (
    FAILURES,
    DatabaseTime,
    LostRaceError,
    PostgresLimits,
    away,
    cannot_open,
    is_away,
    is_lost_connection,
    is_lost_race,
    options,
    perhaps_kept,
    prepare,
)
from gql_epoint.store.postgres.following import CLOSE_S, Follower
from gql_epoint.store.postgres.hopeful import CarriedUnit, HopefulUnit, OneQuestion
from gql_epoint.store.postgres.lending import Lending, Loan
from gql_epoint.store.postgres.migrating import look, migrate
from gql_epoint.store.postgres.statements import READING, WORKING
from gql_epoint.store.postgres.unit import PostgresUnit
from gql_epoint.store.protocol import Migrations, Reader, Unit, Wakeup
from gql_epoint.store.rows import from_microseconds

__all__ = ["PostgresLimits", "PostgresStore"]

T = TypeVar("T")

# Each round of a race has one winner, who is out of it afterwards; a bug would lose for ever.
ATTEMPTS = 10
DEADLOCK_PAUSE_S = 0.02
WAITING_MAX = 10_000
_NO_TIME = timedelta()

logger = logging.getLogger(__name__)


class PostgresStore:
    """A Store in a PostgreSQL database. `ahead` puts the database's clock forward in tests."""

    def __init__(
        self,
        dsn: str,
        *,
        sandbox: bool,
        limits: PostgresLimits | None = None,
        ahead: Callable[[], timedelta] = lambda: _NO_TIME,
    ) -> None:
        self._dsn = dsn
        self._sandbox = sandbox
        self._limits = limits or PostgresLimits()
        self._ahead = ahead
        self._time = DatabaseTime()
        self._listeners: list[Callable[[Sequence[Wakeup]], None]] = []
        self._follower: Follower | None = None
        self._writers: Lending | None = None
        self._carrier: Carrier | None = None
        self._readers: Lending | None = None
        self._accepting = False
        self._under_way: set[asyncio.Task[Any]] = set()

    def on_commit(self, listener: Callable[[Sequence[Wakeup]], None]) -> None:
        """See Store. It is called for the commits of every node, and may be called twice for those of this one."""
        self._listeners.append(listener)

    async def migrations(self) -> Migrations:
        """See Store."""
        try:
            connection = await asyncpg.connect(**options(self._dsn, self._limits))
            try:
                return await look(connection, sandbox=self._sandbox)
            finally:
                await connection.close(timeout=CLOSE_S)
        except (*FAILURES, ValueError) as exc:
            raise cannot_open(exc) from exc

    async def open(self) -> None:
        """See Store. Raises ConfigurationError also for what PostgreSQL refuses, such as a wrong password."""
        assert self._follower is None, "a store is opened once"
        limits = self._limits
        self._follower = Follower(self._dsn, limits, self._time, self._tell)
        try:
            await self._migrate()
            self._writers = await self._lending(limits.writers)
            self._carrier = Carrier(
                self._writers,
                limits.writers,
                limits.free_connection_s,
                begin=self._begin,
                alone=lambda work, has_lost: self._alone(work, hopeful=True, has_lost=has_lost),
                tell=self._committed,
                start=self._start,
            )
            self._readers = await self._lending(
                limits.readers,
                default_transaction_isolation="repeatable read",
                default_transaction_read_only="on",
            )
            await self._follower.start()
        except BaseException as exc:
            await self._disconnect()
            if isinstance(exc, (*FAILURES, ValueError)):
                raise cannot_open(exc) from exc
            raise
        self._accepting = True

    async def close(self) -> None:
        """See Store. A statement that hangs is cut off by its own limit, and so is everything here."""
        if not self._accepting:
            return
        self._accepting = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * self._limits.statement_s):
                while self._under_way:  # What is under way may start more.
                    await asyncio.wait(set(self._under_way))
        await self._disconnect()

    def is_following(self) -> bool:
        """See Store."""
        return self._follower is not None and self._follower.is_connected()

    async def write(self, work: Callable[[Unit], Awaitable[T]], *, hopeful: bool = False) -> T:
        """See Store. A caller that is cancelled while it waits leaves its unit to run to its end."""
        if not self._accepting:
            raise StoreUnavailableError("the database is closed")
        assert self._carrier is not None
        if len(self._under_way) + len(self._carrier) >= WAITING_MAX:
            raise StoreUnavailableError("too much work waits for the database")
        if hopeful:
            return await self._carrier.write(work)
        return await asyncio.shield(self._start(self._alone(work)))

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """See Store."""
        if not self._accepting:
            raise StoreUnavailableError("the database is closed")
        return await self._persist(lambda again: self._read(work, again=again))

    # -----------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, T], context: contextvars.Context | None = None) -> asyncio.Task[T]:
        task = asyncio.create_task(work, context=context)
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        return task

    def _alone(
        self, work: Callable[[Unit], Awaitable[T]], *, hopeful: bool = False, has_lost: bool = False
    ) -> Coroutine[Any, Any, T]:
        """Run a unit of work on a connection of its own; one that has lost a race takes nothing for granted."""
        return self._persist(lambda again: self._write(work, hopeful=hopeful, again=again or has_lost))

    async def _persist(self, attempt: Callable[[bool], Coroutine[Any, Any, T]]) -> T:
        """Try again what lost a race or its connection: nothing of it was kept."""
        for left in reversed(range(ATTEMPTS)):
            try:
                return await attempt(left < ATTEMPTS - 1)
            except (*FAILURES, LostRaceError) as exc:
                if left and (is_lost_race(exc) or is_lost_connection(exc)):
                    if isinstance(exc, asyncpg.DeadlockDetectedError):
                        # The other one has to wake up and take the row before this one does so again.
                        await asyncio.sleep((ATTEMPTS - left) * DEADLOCK_PAUSE_S)
                    continue
                if is_away(exc):
                    raise away(exc) from exc
                raise
        raise AssertionError("the last attempt returns or raises")

    async def _write(self, work: Callable[[Unit], Awaitable[T]], *, hopeful: bool, again: bool) -> T:
        """Run a unit of work once; `again` it takes nothing for granted."""
        wakeups: list[Wakeup] = []
        async with _loan(self._writers) as connection:
            if again:
                self._time.seen(await connection.fetchval(READING["now"].sql))
            known = self._time.microseconds()
            kind = HopefulUnit if hopeful and not again else PostgresUnit
            unit = kind(connection, self._now(known), WORKING, wakeups)
            if not again:
                unit.require("is_now", now=known)
            try:
                result = await work(unit)
                await unit.finish()
            except BaseException as exc:
                if unit.has_begun:
                    await _roll_back(connection)
                if isinstance(unit, HopefulUnit) and _may_be_wrong(exc):
                    raise LostRaceError from exc
                raise
            finally:
                unit.let_go()
            if unit.has_begun:
                await _commit(connection)
        if wakeups:
            self._committed(wakeups)
        return result

    def _begin(self, wakeups: list[Wakeup]) -> CarriedUnit:
        known = self._time.microseconds()
        unit = CarriedUnit(self._now(known), wakeups)
        unit.require("is_now", now=known)
        return unit

    async def _read(self, work: Callable[[Reader], Awaitable[T]], *, again: bool) -> T:
        """Answer one question, or `again` any number from one state: nearly all work asks one."""
        async with _loan(self._readers) as connection:
            kind = PostgresUnit if again else OneQuestion
            reader = kind(connection, self._now(self._time.microseconds()), READING, [])
            try:
                result = await work(reader)
                await reader.finish()  # A reader that writes is a mistake, which the database refuses.
                return result
            finally:
                reader.let_go()
                if reader.has_begun:
                    await _roll_back(connection)

    def _now(self, known: int) -> datetime:
        return from_microseconds(known) + self._ahead()

    def _committed(self, wakeups: Sequence[Wakeup]) -> None:
        self._tell(wakeups)
        if self._follower is not None:  # Another node numbers what was committed while this one was closed.
            self._follower.ring()

    def _tell(self, wakeups: Sequence[Wakeup]) -> None:
        for listener in self._listeners:
            try:
                listener(wakeups)
            except Exception:
                # A subscriber that was not woken looks by itself; a caller that is not answered waits for ever.
                logger.exception("A listener failed at a wake-up")

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # Whoever waited was told.

    async def _migrate(self) -> None:
        wait_s = self._limits.migration_s
        connect = options(
            self._dsn,
            self._limits,
            statement_timeout="0",
            lock_timeout="0",
            idle_in_transaction_session_timeout="0",
        )
        connection = await asyncpg.connect(**connect | {"command_timeout": wait_s})
        try:
            await migrate(connection, sandbox=self._sandbox)
        finally:
            await connection.close(timeout=CLOSE_S)

    async def _lending(self, size: int, **server_settings: str) -> Lending:
        return Lending(await self._pool(size, **server_settings), size, self._limits.free_connection_s)

    async def _pool(self, size: int, **server_settings: str) -> Any:
        connect = options(self._dsn, self._limits, **server_settings)
        return await asyncpg.create_pool(
            min_size=1, max_size=size, init=prepare, reset=_leave_as_it_is, max_queries=1_000_000, **connect
        )

    async def _disconnect(self) -> None:
        assert self._follower is not None
        await self._follower.stop()
        pools = [lending.pool for lending in (self._writers, self._readers) if lending is not None]
        self._follower = self._writers = self._readers = None
        for pool in pools:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await pool.close()
            except (*FAILURES, TimeoutError):
                pool.terminate()


def _loan(lending: Lending | None) -> Loan:
    if lending is None:
        # It was closed between two attempts.
        raise StoreUnavailableError("the database is closed")
    return lending.loan()


def _may_be_wrong(exc: BaseException) -> bool:
    """Whether a hopeful unit may have raised this because of what it took for granted."""
    return isinstance(exc, Exception) and not isinstance(exc, (*FAILURES, StoreUnavailableError))


async def _commit(connection: Any) -> None:
    """Commit, and say so if nobody knows whether that happened: such a unit must not run again here.

    The cashier asks again in its own way: by idempotency key, by the same answer, by the same callback.
    """
    try:
        told = await connection.execute("COMMIT")
    except FAILURES as exc:
        raise perhaps_kept(exc) from exc
    assert told == "COMMIT", "a unit of work went on after one of its statements had failed"


async def _roll_back(connection: Any) -> None:
    try:
        await connection.execute("ROLLBACK")
    except FAILURES:
        # The connection is lost, and the server rolls back by itself.
        connection.terminate()


async def _leave_as_it_is(_connection: Any) -> None:
    """Units change nothing of their session, so there is nothing to reset between two of them."""
