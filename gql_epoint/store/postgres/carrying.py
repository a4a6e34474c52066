"""Hopeful units of work that wait for a connection, and go together as soon as there is one.

A hopeful unit that asks nothing is a single statement. Where the statements of several have the same text, they are
sent in one round trip as one transaction of the database, so one commit makes all of them durable. PostgreSQL takes
all of them or none: if it refuses one, each runs once more by itself, as it would have without the others.

Nothing waits for company: a connection that is free takes whoever is there, and more are there the more is to do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from gql_epoint.store.driving import drive
from gql_epoint.store.postgres.connecting import FAILURES, away, outcome_is_known, perhaps_kept
from gql_epoint.store.postgres.hopeful import CarriedUnit, MustAskError
from gql_epoint.store.postgres.lending import Lending
from gql_epoint.store.protocol import Unit, Wakeup

T = TypeVar("T")
Work = Callable[[Unit], Awaitable[Any]]

TOGETHER_MAX = 16
"""More add nothing to the speed, but each waits for all, and all run again if one is refused."""

_TIMER_S = 0.01
"""How much too early a timer may ring."""


class _Passenger:
    """A unit of work on its way, and what came of it."""

    __slots__ = ("future", "result", "until_s", "values", "wakeups", "work")

    def __init__(self, work: Work, until_s: float) -> None:
        self.work = work
        self.until_s = until_s
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.wakeups: list[Wakeup] = []
        self.result: Any = None
        self.values: tuple[Any, ...] = ()

    def succeed(self, result: Any) -> None:
        if not self.future.done():  # Whoever waited may have gone away.
            self.future.set_result(result)

    def fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        if self.future.done():
            return
        if isinstance(error, Exception):
            error.__cause__ = error.__cause__ or cause
            self.future.set_exception(error)
        else:
            self.future.cancel()


class Carrier:
    """Takes hopeful units of work to the database on connections of `lending`; none waits for one over `wait_s`.

    `begin` makes a unit. `alone` runs work on a connection of its own; True says that it has lost a race already.
    `tell` hears of what was committed, and `start` begins a task that the store waits for when it closes.
    """

    def __init__(
        self,
        lending: Lending,
        wait_s: float,
        *,
        begin: Callable[[list[Wakeup]], CarriedUnit],
        alone: Callable[[Work, bool], Coroutine[Any, Any, Any]],
        tell: Callable[[Sequence[Wakeup]], None],
        start: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
    ) -> None:
        self._lending = lending
        self._wait_s = wait_s
        self._begin = begin
        self._alone = alone
        self._tell = tell
        self._start = start
        self._waiting: deque[_Passenger] = deque()
        self._is_coming = False
        """Whether a connection is on its way. Whoever has one takes the first who wait, and sends for the next."""

    def __len__(self) -> int:
        """Return how many wait for a connection."""
        return len(self._waiting)

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Run a unit of work. A caller that is cancelled while it waits leaves it to run to its end."""
        passenger = _Passenger(work, asyncio.get_running_loop().time() + self._wait_s)
        self._waiting.append(passenger)
        self._send_for_one()
        return cast(T, await passenger.future)

    def _send_for_one(self) -> None:
        if self._waiting and not self._is_coming:
            self._is_coming = True
            self._start(self._carry())

    async def _carry(self) -> None:
        try:
            connection = await self._free_connection()
        finally:
            self._is_coming = False
        if connection is None:
            return
        groups = self._statements(self._next())
        self._send_for_one()
        is_well = True
        try:
            while groups and is_well:
                is_well = await self._commit(connection, *groups.popitem())
        finally:
            for passengers in groups.values():
                self._part(passengers)
            await self._lending.give(connection, is_well=is_well)

    async def _free_connection(self) -> Any:
        """Return one, or None if nobody waits for it any more."""
        now_s = asyncio.get_running_loop().time
        while self._waiting:
            try:
                async with asyncio.timeout_at(self._waiting[0].until_s):
                    return await self._lending.take()
            except TimeoutError as exc:
                while self._waiting and self._waiting[0].until_s <= now_s() + _TIMER_S:
                    self._waiting.popleft().fail(away(exc), exc)
            except Exception:  # noqa: BLE001
                # There is none to be had. Each finds out for itself what that means.
                self._part(self._next())
        return None

    def _next(self) -> list[_Passenger]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER_MAX))]

    def _statements(self, passengers: Sequence[_Passenger]) -> dict[str, list[_Passenger]]:
        """Run the work of each. Those that go together share a text; those that cannot go on by themselves."""
        groups: dict[str, list[_Passenger]] = {}
        for passenger in passengers:
            unit = self._begin(passenger.wakeups)
            try:
                passenger.result = drive(passenger.work(unit))
                text, passenger.values = unit.as_statement()
            except MustAskError:
                self._part([passenger])
            except Exception:  # noqa: BLE001
                # What it took for granted may be wrong, so only one that asks is right to raise.
                self._part([passenger], have_lost=True)
            else:
                groups.setdefault(text, []).append(passenger)
        return groups

    async def _commit(self, connection: Any, text: str, passengers: Sequence[_Passenger]) -> bool:
        """Send the statements of several, tell all of them, and return whether the connection is as it was."""
        try:
            if len(passengers) == 1:
                await connection.execute(text, *passengers[0].values)
            else:
                await connection.executemany(text, [passenger.values for passenger in passengers])
        except FAILURES as exc:
            if outcome_is_known(exc):
                # By itself one was wrong about something. Of several it may have been any, so each hopes once more.
                self._part(passengers, have_lost=len(passengers) == 1)
            else:
                for passenger in passengers:
                    passenger.fail(perhaps_kept(), exc)
            return False
        except BaseException as exc:
            for passenger in passengers:
                passenger.fail(exc)
            raise
        if wakeups := [wakeup for passenger in passengers for wakeup in passenger.wakeups]:
            self._tell(wakeups)
        for passenger in passengers:
            passenger.succeed(passenger.result)
        return True

    def _part(self, passengers: Sequence[_Passenger], *, have_lost: bool = False) -> None:
        for passenger in passengers:
            self._start(self._by_itself(passenger, has_lost=have_lost))

    async def _by_itself(self, passenger: _Passenger, *, has_lost: bool) -> None:
        try:
            passenger.succeed(await self._alone(passenger.work, has_lost))
        except BaseException as exc:
            passenger.fail(exc)
            raise
