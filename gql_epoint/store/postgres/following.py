"""Follow the log: give committed events their positions, and tell this node of everything that any node did."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from gql_epoint.store.postgres.connecting import FAILURES, DatabaseTime, PostgresLimits, options, prepare
from gql_epoint.store.postgres.statements import READING
from gql_epoint.store.protocol import Wakeup

CHANNEL = "gql_epoint_events"
FOLLOWER_NAME = "gql-epoint follower"
"""What pg_stat_activity calls the connection that listens."""

BATCH = 1000
PAUSE_S = 0.005
"""Between two looks, so that what many units have committed meanwhile is one piece of work."""

CLOSE_S = 2.0
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)

logger = logging.getLogger(__name__)


class Follower:
    """One connection that listens, numbers events and reads what was numbered.

    A notification says only that the log has grown. What is new is read from the log after the last position that
    was told, so a lost notification or connection loses nothing: the next look finds it all. One that names a row
    tells of a change without an event; whoever watches it finds that out after a while if the connection is lost.
    """

    def __init__(
        self, dsn: str, limits: PostgresLimits, time: DatabaseTime, tell: Callable[[Sequence[Wakeup]], None]
    ) -> None:
        self._options = options(dsn, limits, application_name=FOLLOWER_NAME)
        self._sweep_s = limits.sweep_s
        self._time = time
        self._tell = tell
        self._bell = asyncio.Event()
        self._position: int | None = None
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and begin at the end of the log. Raises what PostgreSQL raises."""
        await self._connect()
        self._task = asyncio.create_task(self._run(), name="postgres-follower")

    async def stop(self) -> None:
        """Number what this node committed last, if that can be done quickly, and disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._connection is not None and not self._connection.is_closed():
            with contextlib.suppress(*FAILURES):
                await self._number()
        await self._disconnect()

    def is_connected(self) -> bool:
        """Tell whether the log is being followed now."""
        running = self._task is not None and not self._task.done()
        return running and self._connection is not None and not self._connection.is_closed()

    def ring(self) -> None:
        """Something committed here: number it now, and let the others know."""
        self._bell.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                    logger.info("Following the log again")
                await self._look()
                failures = 0
                await asyncio.sleep(PAUSE_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._sweep_s):
                        await self._bell.wait()
            except FAILURES as exc:
                logger.warning("Cannot follow the log: %s", str(exc) or type(exc).__name__)
                failures += 1
            except Exception:
                # Without this task the feed stands still: no bug may end it.
                logger.exception("Following the log failed and will be tried again")
                failures += 1
            if failures:
                await self._disconnect()
                await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1])

    async def _look(self) -> None:
        """Number and tell until there is nothing left; where there was nothing, look at the clock instead."""
        more, nothing = True, True
        while more:
            self._bell.clear()
            more = await self._number() == BATCH
            query = READING["numbered_after"]
            rows = await self._connection.fetch(query.sql, self._position, BATCH)
            more = more or len(rows) == BATCH
            if rows:
                nothing = False
                self._position = rows[-1]["position"]
                checkouts = {row["checkout_id"] for row in rows if row["checkout_id"]}
                self._tell(
                    [Wakeup(row["stream_id"], row["sequence"]) for row in rows]
                    + [Wakeup(checkout_id, 0) for checkout_id in checkouts]
                )
        if nothing:
            self._time.seen(await self._connection.fetchval(READING["now"].sql))

    async def _number(self) -> int:
        return int(await self._connection.fetchval(READING["number_events"].sql, BATCH))

    async def _connect(self) -> None:
        connection = await asyncpg.connect(**self._options)
        self._connection = connection
        await prepare(connection)
        connection.add_termination_listener(lambda _: self._bell.set())
        await connection.add_listener(CHANNEL, self._heard)
        end = int(await connection.fetchval(READING["last_position"].sql))
        # A database that was restored from a backup may have fewer events than were told already.
        self._position = end if self._position is None else min(self._position, end)
        self._time.seen(await connection.fetchval(READING["now"].sql))

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.close(timeout=CLOSE_S)
        except FAILURES:
            connection.terminate()

    def _heard(self, connection: Any, sender: int, _channel: str, stream_id: str) -> None:
        if stream_id:
            self._tell([Wakeup(stream_id, 0)])
        # What this connection numbered itself, it reads next in any case.
        elif sender != connection.get_server_pid():
            self._bell.set()
