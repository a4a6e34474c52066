"""How a unit of work talks to PostgreSQL: what it writes waits, and goes together as late as it can."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from gql_epoint.store.postgres.connecting import FAILURES, outcome_is_known, perhaps_kept
from gql_epoint.store.postgres.statements import CONDITIONS, Statement, Writing, together
from gql_epoint.store.protocol import Page
from gql_epoint.store.rows import RowCodec

StructT = TypeVar("StructT", bound=msgspec.Struct)


class Conversation:
    """Named queries and waiting writes on one connection.

    The database transaction begins with the first statement that needs one: a unit that asks nothing is a single
    statement, which PostgreSQL commits by itself.
    """

    def __init__(self, connection: Any, now: datetime, statements: Mapping[str, Statement]) -> None:
        self.now = now
        self.has_begun = False
        self._connection = connection
        self._statements = statements
        self._waiting: dict[str, tuple[str, tuple[Any, ...]]] = {}  # by table
        self._conditions: list[tuple[str, tuple[Any, ...]]] = []

    def require(self, condition: str, **values: Any) -> None:
        """Have what is written next fail as a lost race unless a condition of conditions.sql holds by then."""
        query = CONDITIONS[condition]
        self._conditions.append((query.sql, query.arguments(values)))

    async def finish(self) -> None:
        """Send what is left to be written; where this unit has not begun, that commits it.

        Raises StoreUnavailableError if nobody knows whether it did.
        """
        if self.has_begun:
            await self._flush()
            return
        try:
            await self._send()
        except FAILURES as exc:
            if outcome_is_known(exc):
                raise
            raise perhaps_kept(exc) from exc

    def let_go(self) -> None:
        """Nothing more can be asked or written: the connection is for somebody else."""
        self._connection = None

    async def _begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            await self._connection.execute("BEGIN")

    async def _flush(self) -> None:
        """Send what was written so far, which the unit is about to ask for, or to write once more."""
        await self._begin()
        await self._send()

    async def _send(self) -> None:
        if self._waiting or self._conditions:
            sql, values = self._whole()
            await self._connection.execute(sql, *values)

    def _whole(self) -> tuple[str, tuple[Any, ...]]:
        """Take what waits as one statement and its values."""
        waiting, self._waiting = self._waiting, {}
        conditions, self._conditions = self._conditions, []
        parts = tuple((f"{table}_part", sql) for table, (sql, _) in waiting.items())
        values = (arguments for _, arguments in (*waiting.values(), *conditions))
        return together(parts, tuple(sql for sql, _ in conditions)), tuple(itertools.chain(*values))

    async def _write(self, writing: Writing[StructT], *values: StructT) -> None:
        """Write a row: together with those of other tables, before anything is read again.

        Parts of one statement come in no order, so it has one for each table, where order could matter.
        """
        if writing.table in self._waiting:
            await self._flush()
        self._waiting[writing.table] = writing.sql, writing.arguments(*values)

    async def _rows(self, name: str, **values: Any) -> Sequence[Mapping[str, Any]]:
        if any(isinstance(value, str) and "\x00" in value for value in values.values()):
            # PostgreSQL's text cannot hold NUL, so no row has such a name, and it refuses even the question.
            return ()
        await self._flush()
        query = self._statements[name]
        rows: Sequence[Mapping[str, Any]] = await self._connection.fetch(query.sql, *query.arguments(values))
        return rows

    async def _one(self, codec: RowCodec[StructT], name: str, **values: Any) -> StructT | None:
        rows = await self._rows(name, **values)
        return codec.from_row(rows[0]) if rows else None

    async def _many(self, codec: RowCodec[StructT], name: str, **values: Any) -> list[StructT]:
        return [codec.from_row(row) for row in await self._rows(name, **values)]

    async def _page(self, codec: RowCodec[StructT], name: str, page: Page, **values: Any) -> list[StructT]:
        if not page.backwards:
            return await self._many(codec, name, limit=page.limit, **values)
        return (await self._many(codec, f"{name}_backwards", limit=page.limit, **values))[::-1]
