"""The queries of queries.sql as PostgreSQL takes them: parameters by number instead of by name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from gql_epoint.store.queries import load_queries
from gql_epoint.store.rows import RowCodec

StructT = TypeVar("StructT", bound=msgspec.Struct)

_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")
_NUMBER = re.compile(r"\$(\d+)")
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)

# Weaker than FOR UPDATE, which would also hold up whoever inserts a refund that refers to the row.
_LOCK = "FOR NO KEY UPDATE"


class Statement(msgspec.Struct, frozen=True):
    """SQL, and the names of its parameters in the order of their numbers."""

    sql: str
    names: tuple[str, ...]

    def arguments(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values in the order of the parameters."""
        return tuple(values[name] for name in self.names)


def statement(named: str) -> Statement:
    """Turn `:name` parameters into numbered ones."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    sql = _PARAMETER.sub(number, _COMMENT.sub("", named)).strip().removesuffix(";")
    return Statement(sql, tuple(names))


class Writing(Generic[StructT]):
    """A statement that writes a row of a table. Its parameters are the columns of one struct, or of several."""

    def __init__(self, table: str, named: str, codec: RowCodec[StructT], parameters: Sequence[str]) -> None:
        query = statement(named)
        self.table = table
        self.sql = query.sql
        self._codec = codec
        self._in_order = itemgetter(*(parameters.index(name) for name in query.names))

    def arguments(self, *structs: StructT) -> tuple[Any, ...]:
        """Return the values of one row, or of several, in the order of the parameters."""
        values = itertools.chain.from_iterable(map(self._codec.to_values, structs))
        arguments: tuple[Any, ...] = self._in_order(tuple(values))
        return arguments


class Table(Generic[StructT]):
    """How the rows of one table are written. `save` is for a table whose rows have an id."""

    def __init__(self, name: str, codec: RowCodec[StructT]) -> None:
        self.insert = Writing(name, codec.insert(name), codec, codec.columns)
        if codec.has_id:
            self.save = Writing(name, codec.update(name), codec, codec.columns)


@cache
def together(parts: tuple[tuple[str, str], ...], conditions: tuple[str, ...] = ()) -> str:
    """Return one statement that does what several do, with its parameters numbered through.

    Each part has a name, by which a condition can ask for the rows that the part returns.
    """
    numbered: list[str] = []
    before = 0
    for sql in (*(sql for _, sql in parts), *conditions):
        numbers = [int(number) for number in _NUMBER.findall(sql)]
        numbered.append(_renumbered(sql, before))
        before += max(numbers, default=0)
    named = [f"{name} AS ({sql})" for (name, _), sql in zip(parts, numbered, strict=False)]
    checks = numbered[len(parts) :]
    last = f"SELECT {', '.join(checks)}" if checks else numbered[-1]
    named = named if checks else named[:-1]
    return f"WITH {', '.join(named)} {last}" if named else last


def _renumbered(sql: str, before: int) -> str:
    return _NUMBER.sub(lambda match: f"${before + int(match[1])}", sql)


def _statements(lock: str, lock_what_is_free: str) -> dict[str, Statement]:
    return {
        name: statement(text.replace("{lock}", lock).replace("{lock_what_is_free}", lock_what_is_free))
        for name, text in load_queries("gql_epoint.store.postgres").items()
    }


CONDITIONS = {
    name: statement(text) for name, text in load_queries("gql_epoint.store.postgres", "conditions.sql").items()
}
"""What can be required of the statement that writes."""

READING = _statements("", "")
"""What a reader asks."""

_LOCKING = _statements(_LOCK, f"{_LOCK} SKIP LOCKED")

WORKING = {name: _LOCKING.get(f"{name}_alone", query) for name, query in _LOCKING.items()}
"""What a unit of work asks under the same names: with locks, so that what it saw still holds when it writes."""
