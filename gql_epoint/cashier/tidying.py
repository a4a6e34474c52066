"""Delete what is only needed for a while: expired client tokens, and the attempts of addresses that count no more.

Each node does it once a minute, in small batches that hold nobody up; several at once do not meet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gql_epoint.cashier.desk import Books
from gql_epoint.store.protocol import Unit

BATCH = 500
INTERVAL_S = 60.0


class Tidier:
    """The cleaner of one node."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def tidy(self) -> None:
        """Delete everything that is over by the database's clock."""
        await self._all(lambda unit: unit.delete_expired_tokens(BATCH))
        window = self._books.attempt_limits.window
        await self._all(lambda unit: unit.delete_attempts(unit.now - window, BATCH))

    async def _all(self, delete: Callable[[Unit], Awaitable[int]]) -> None:
        while await self._books.write(delete) == BATCH:
            pass
