"""Connections of a pool, lent to one unit of work after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from types import TracebackType
from typing import Any

import asyncpg

from gql_epoint.deadlines import Deadlines


class Lending:
    """Lends the `size` connections of a pool; nobody waits for one longer than `wait_s`, which is a TimeoutError.

    Whoever is done with a connection hands it on to the one who waits longest. The pool, which looks after each
    connection that it takes back and gives out, sees one again when nobody waits or something went wrong.
    """

    def __init__(self, pool: Any, size: int, wait_s: float) -> None:
        self.pool = pool
        self._left = size
        """How many more may be taken from the pool. As long as there are any, nobody waits."""
        self._wait_s = wait_s
        self._deadlines = Deadlines(wait_s)
        self._waiting: deque[asyncio.Future[Any]] = deque()

    def loan(self) -> Loan:
        """Return a context manager that has a connection. What raises in it gives the connection to the pool."""
        return Loan(self)

    async def take(self) -> Any:
        """Return a connection; `give` it back."""
        until_s = asyncio.get_running_loop().time() + self._wait_s
        connection = None
        if self._left:
            self._left -= 1
        else:
            connection = await self._handed_on()
        try:
            if connection is not None:
                if _is_open(connection):
                    return connection
                await self._release(connection)  # It broke, perhaps on its way here.
            return await self.pool.acquire(timeout=until_s - asyncio.get_running_loop().time())
        except BaseException:
            self._vacate()
            raise

    async def give(self, connection: Any, *, is_well: bool) -> None:
        """Take a connection back; one that is not well is for the pool to look at."""
        if is_well and self._hand_on(connection):
            return
        try:
            await self._release(connection)
        finally:
            self._vacate()

    async def _release(self, connection: Any) -> None:
        # Without a time of its own it would have what was left of the wait for this connection.
        await self.pool.release(connection, timeout=self._wait_s)

    async def _handed_on(self) -> Any:
        """Return the connection of somebody else, or None if there is one to be taken from the pool."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            with self._deadlines.begin():
                return await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # It came together with the end of the wait.
                if (connection := turn.result()) is None:
                    self._vacate()
                else:
                    await self.give(connection, is_well=True)
            else:
                with contextlib.suppress(ValueError):  # Whoever handed on a moment ago has passed it over.
                    self._waiting.remove(turn)
            raise

    def _hand_on(self, connection: Any) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    def _vacate(self) -> None:
        """Let somebody else take one from the pool."""
        if not self._hand_on(None):
            self._left += 1


class Loan:
    """See Lending.loan."""

    __slots__ = ("_connection", "_lending")

    def __init__(self, lending: Lending) -> None:
        self._lending = lending

    async def __aenter__(self) -> Any:
        self._connection = await self._lending.take()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self._lending.give(self._connection, is_well=kind is None)


def _is_open(connection: Any) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False  # It broke, and the pool has taken it back already.
