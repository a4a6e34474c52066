"""How a unit of work talks to SQLite: what it asks and writes is sent as little as can be, and at once."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress, repeat
from operator import is_not, itemgetter, ne
from typing import Any, TypeVar

import msgspec

from gql_epoint.store.codecs import CODECS
from gql_epoint.store.protocol import Page
from gql_epoint.store.queries import load_queries
from gql_epoint.store.rows import RowCodec

StructT = TypeVar("StructT", bound=msgspec.Struct)

STATEMENTS = 128
"""How many statements a connection keeps prepared."""

_NULLS = repeat(None)
_WHOLE_ROWS = re.compile(r"SELECT \* FROM (\w+)|(?<=UPDATE )(\w+)(.*)RETURNING \*", re.DOTALL)


def _with_columns(query: str) -> str:
    """Name the columns of whole rows, in the order in which the codecs read them."""

    def named(match: re.Match[str]) -> str:
        columns = ", ".join(CODECS[match[1] or match[2]].columns)
        return f"SELECT {columns} FROM {match[1]}" if match[1] else f"{match[2]}{match[3]}RETURNING {columns}"

    return _WHOLE_ROWS.sub(named, query)


QUERIES = {name: _with_columns(text) for name, text in load_queries("gql_epoint.store.sqlite").items()}
# What is asked about something new finds nothing as a rule, and Python's module describes each column of a result
# that could have had rows, of which a transaction has fifty. So these ask for the id alone at first.
_SEARCHES = {
    name: re.sub(r"SELECT .+? FROM", "SELECT id FROM", QUERIES[name])
    for name in ("transaction_by_gateway_id", "transaction_by_gateway_order", "order_holder")
}
_POSITION = f"({QUERIES['next_position']})"


@lru_cache(maxsize=STATEMENTS)
def _insert(table: str, given: tuple[bool, ...]) -> str:
    """Return the INSERT of a row in which some columns have a value; the others are null.

    No null is bound, here or in an UPDATE: Python's module takes long to see that it needs no adapter.
    """
    values = dict.fromkeys(compress(CODECS[table].columns, given), "?")
    if table == "events":
        # There is one writer, so the order of insertion is the order of commits.
        values["position"] = _POSITION
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"


@lru_cache(maxsize=STATEMENTS)
def _update(table: str, changed: tuple[int, ...], given: tuple[int, ...]) -> str:
    """Return the UPDATE of the columns that have changed, of which some have a value; the others become null."""
    columns = CODECS[table].columns
    changes = (f"{columns[place]} = {'?' if place in given else 'NULL'}" for place in changed)
    return f"UPDATE {table} SET {', '.join(changes)} WHERE id = ?"


class Conversation:
    """Named queries and writes on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[RowCodec[Any], str], Sequence[Any]] = {}  # an attempt has the id of its payment

    def _insert(self, table: str, value: msgspec.Struct) -> None:
        codec = CODECS[table]
        values = codec.to_values(value)
        given = tuple(map(is_not, values, _NULLS))
        self._connection.execute(_insert(table, given), [*compress(values, given)])
        self._note(codec, values)

    def _save(self, table: str, value: msgspec.Struct) -> None:
        """Write what this unit has changed of a row that it has read: an index left alone is a page less."""
        codec = CODECS[table]
        values = codec.to_values(value)
        known = self._known.get((codec, values[0]))
        # Its id stays what it is, and by it the row is found.
        places = range(len(values))
        changed = tuple(places[1:] if known is None else compress(places, map(ne, values, known)))
        if changed:
            given = tuple([place for place in changed if values[place] is not None])
            bound = [values[place] for place in (*given, 0)]
            self._connection.execute(_update(table, changed, given), bound)
            self._known[codec, values[0]] = values

    def _one(self, codec: RowCodec[StructT], name: str, **values: Any) -> StructT | None:
        execute = self._connection.execute
        if name in _SEARCHES and execute(_SEARCHES[name], values).fetchone() is None:
            return None
        row = execute(QUERIES[name], values).fetchone()
        if row is None:
            return None
        self._note(codec, row)
        return codec.from_values(row)

    def _named(self, name: str, **values: Any) -> Mapping[str, Any]:
        """Return the one row of figures, by their names."""
        cursor = self._connection.execute(QUERIES[name], values)
        return dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))

    def _many(self, codec: RowCodec[StructT], name: str, **values: Any) -> list[StructT]:
        rows = self._connection.execute(QUERIES[name], values).fetchall()
        for row in rows:
            self._note(codec, row)
        return [codec.from_values(row) for row in rows]

    def _note(self, codec: RowCodec[Any], values: Sequence[Any]) -> None:
        if codec.has_id:
            self._known[codec, values[0]] = values

    def _page(self, codec: RowCodec[StructT], name: str, page: Page, **values: Any) -> list[StructT]:
        if not page.backwards:
            return self._many(codec, name, limit=page.limit, **values)
        return self._many(codec, f"{name}_backwards", limit=page.limit, **values)[::-1]

    def _merged(
        self, codec: RowCodec[StructT], name: str, page: Page, kinds: Iterable[Mapping[str, str]], **values: Any
    ) -> list[StructT]:
        """Return a page, newest first, of the rows of some kinds, each of which is looked for by itself."""
        query = QUERIES[f"{name}_backwards" if page.backwards else name]
        values["limit"] = page.limit
        rows = [row for kind in kinds for row in self._connection.execute(query, {**values, **kind})]
        rows.sort(key=itemgetter(0), reverse=not page.backwards)
        found = [codec.from_values(row) for row in rows[: page.limit]]
        return found[::-1] if page.backwards else found

    def _deleted(self, name: str, **values: int) -> int:
        return len(self._connection.execute(QUERIES[name], values).fetchall())
