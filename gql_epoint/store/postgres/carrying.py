"""Hopeful units of work that wait for a connection, and go together as soon as there is one.

A hopeful unit that asks nothing is a single statement. Where the statements of several have the same text, they are
sent in one round trip as one transaction of the database, so one commit makes all of them durable. PostgreSQL takes
all of them or none: if it refuses one, each runs once more by itself, and for a while fewer go together.

Nothing waits for company: a connection that is free takes whoever is there, and more are there the more is to do.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from gql_epoint.store.driving import drive
from gql_epoint.store.postgres.connecting import (
    FAILURES,
    away,
    is_away,
    is_lost_race,
    outcome_is_known,
    perhaps_kept,
)
from gql_epoint.store.postgres.hopeful import CarriedUnit, MustAskError
from gql_epoint.store.postgres.lending import Lending
from gql_epoint.store.protocol import Unit, Wakeup

T = TypeVar("T")
Work = Callable[[Unit], Awaitable[Any]]

TOGETHER_MAX = 16
"""More add little to the speed, but each waits for all, and all run once more if one is refused."""

FRESH_S = 0.05
"""How long what a unit wrote is good for: PostgreSQL refuses a time that is a tenth of a second from its own."""

logger = logging.getLogger(__name__)


class _Passenger:
    """A unit of work on its way: what it writes, and what came of it."""

    __slots__ = ("context", "future", "ran_s", "result", "text", "until_s", "values", "wakeups", "work")

    def __init__(self, work: Work, until_s: float) -> None:
        self.work = work
        self.until_s = until_s
        self.context = contextvars.copy_context()
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def run(self, unit: CarriedUnit, wakeups: list[Wakeup]) -> None:
        """Do the work. Raises MustAskError, or what the work raises."""
        self.ran_s = asyncio.get_running_loop().time()
        self.wakeups = wakeups
        self.result: Any = self.context.run(drive, self.work(unit))
        self.text, self.values = unit.as_statement()

    def succeed(self, result: Any) -> None:
        if not self.future.done():  # Whoever waited may have gone away.
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        if self.future.done():
            return
        if isinstance(error, Exception):
            self.future.set_exception(error)
        else:
            self.future.cancel()


class Carrier:
    """Takes hopeful units of work to the database on `size` connections of `lending`.

    None waits in line longer than `wait_s`. `begin` makes a unit. `alone` runs work on a connection of its
    own; True says that it has lost a race already. `tell` hears of what was committed, and `start` begins a task
    that the store waits for when it closes.
    """

    def __init__(
        self,
        lending: Lending,
        size: int,
        wait_s: float,
        *,
        begin: Callable[[list[Wakeup]], CarriedUnit],
        alone: Callable[[Work, bool], Coroutine[Any, Any, Any]],
        tell: Callable[[Sequence[Wakeup]], None],
        start: Callable[[Coroutine[Any, Any, Any], contextvars.Context], asyncio.Task[Any]],
    ) -> None:
        self._lending = lending
        self._size = size
        self._wait_s = wait_s
        self._begin = begin
        self._alone = alone
        self._tell = tell
        self._start = start
        self._lines: dict[str, deque[_Passenger]] = {}
        """Who waits, by the text of its statement; a line that becomes empty is gone."""
        self._most: dict[str, int] = {}
        """How many go together where one was refused lately: half as many, and one more whenever it went well."""
        self._coming = 0
        """How many connections were sent for. Each takes whoever waits by the time when it is there."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many wait for a connection."""
        return sum(map(len, self._lines.values()))

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Run a unit of work. A caller that is cancelled while it waits leaves it to run to its end."""
        passenger = _Passenger(work, asyncio.get_running_loop().time() + self._wait_s)
        if self._run(passenger):
            self._lines.setdefault(passenger.text, deque()).append(passenger)
            self._send_for_one()
            if self._timer is None:
                self._set_timer(passenger.until_s)
        return cast(T, await passenger.future)

    # -- before there is a connection ---------------------------------------------------------------------

    def _run(self, passenger: _Passenger) -> bool:
        """Do its work, and return whether it can go with others; if not, it goes on by itself."""
        wakeups: list[Wakeup] = []
        try:
            passenger.run(self._begin(wakeups), wakeups)
        except MustAskError:
            self._part([passenger])
        except (Exception, asyncio.CancelledError):  # noqa: BLE001
            # What it took for granted may be wrong, so only one that asks is right to raise.
            self._part([passenger], have_lost=True)
        else:
            return True
        return False

    def _part(self, passengers: Sequence[_Passenger], *, have_lost: bool = False) -> None:
        for passenger in passengers:
            self._start(self._by_itself(passenger, has_lost=have_lost), passenger.context)

    async def _by_itself(self, passenger: _Passenger, *, has_lost: bool) -> None:
        try:
            passenger.succeed(await self._alone(passenger.work, has_lost))
        except BaseException as exc:
            passenger.fail(exc)
            raise

    def _send_for_one(self) -> None:
        if self._lines and self._coming < self._size:
            self._coming += 1
            self._start(self._carry(), contextvars.Context())  # It is for no request in particular.

    def _set_timer(self, at_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(at_s, self._expire, context=contextvars.Context())

    def _expire(self) -> None:
        """Tell those whose time is up, and come back for the next."""
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        for text, line in list(self._lines.items()):
            while line and line[0].until_s <= now_s:
                line.popleft().fail(away(TimeoutError("no connection is free")))
            if not line:
                del self._lines[text]
        if self._lines:
            self._set_timer(min(line[0].until_s for line in self._lines.values()))

    # -- on a connection ----------------------------------------------------------------------------------

    async def _carry(self) -> None:
        try:
            connection = await self._free_connection()
        finally:
            self._coming -= 1
        if connection is None:
            return
        passengers: Sequence[_Passenger] = ()
        is_well = True
        try:
            passengers = self._board()
            self._send_for_one()
            if passengers:
                is_well = False
                is_well = await self._commit(connection, passengers)
        except BaseException as exc:
            for passenger in passengers:
                passenger.fail(perhaps_kept(exc) if isinstance(exc, Exception) else exc)
            if not isinstance(exc, Exception):
                raise
            logger.exception("Carrying units of work to PostgreSQL failed")
        finally:
            await self._lending.give(connection, is_well=is_well)

    async def _free_connection(self) -> Any:
        """Return one, or None if nobody waits for it any more."""
        while self._lines:
            try:
                return await self._lending.take()
            except TimeoutError:
                continue  # Those who waited as long were told so; some may have come later.
            except Exception:  # noqa: BLE001
                # There is none to be had. Each finds out for itself what that means.
                self._part(self._board())
        return None

    def _board(self) -> list[_Passenger]:
        """Take those who go next: whoever waits longest, and others whose statement has the same text."""
        going: list[_Passenger] = []
        if not self._lines:
            return going
        text, line = min(self._lines.items(), key=lambda entry: entry[1][0].until_s)
        fresh_s = asyncio.get_running_loop().time() - FRESH_S
        most = self._most.get(text, TOGETHER_MAX)
        while line and len(going) < most:
            passenger = line.popleft()
            if passenger.ran_s > fresh_s or self._run(passenger):
                if passenger.text == text:
                    going.append(passenger)
                else:
                    self._part([passenger])  # It is later now, and it writes something else.
        if not line:
            del self._lines[text]
        return going

    async def _commit(self, connection: Any, passengers: Sequence[_Passenger]) -> bool:
        """Send the statements of several, tell all of them, and return whether the connection is as it was."""
        first = passengers[0]
        try:
            if len(passengers) == 1:
                await connection.execute(first.text, *first.values)
            else:
                await connection.executemany(first.text, [passenger.values for passenger in passengers])
        except FAILURES as exc:
            self._failed(passengers, exc)
            return False
        for passenger in passengers:
            passenger.succeed(passenger.result)
        if wakeups := [wakeup for passenger in passengers for wakeup in passenger.wakeups]:
            self._tell(wakeups)
        if len(passengers) == self._most.get(first.text):
            self._most[first.text] = min(len(passengers) + 1, TOGETHER_MAX)
        return True

    def _failed(self, passengers: Sequence[_Passenger], exc: BaseException) -> None:
        first = passengers[0]
        if not outcome_is_known(exc):
            for passenger in passengers:
                passenger.fail(perhaps_kept(exc))
        elif len(passengers) > 1:
            # Any of them may have been wrong, have a value that is refused, or have waited in vain for a row.
            self._most[first.text] = max(1, self._most.get(first.text, TOGETHER_MAX) // 2)
            self._part(passengers)
        elif is_lost_race(exc):
            self._part(passengers, have_lost=True)
        else:
            first.fail(away(exc) if is_away(exc) else exc)
