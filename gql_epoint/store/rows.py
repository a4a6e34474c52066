"""Turn ledger structs into flat rows and back, by the types of their fields.

A nested struct becomes columns with its field's name as prefix (`failure_message`). Values are stored as
SQLite can compare and sum them: money in minor units, times in microseconds, truth values as 0 and 1, words
(of which none holds a space) in one text.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from gql_epoint.store.protocol import Backlog

StructT = TypeVar("StructT", bound=msgspec.Struct)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(value: datetime) -> int:
    """Return an aware time as microseconds since 1970, exactly."""
    return (value - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return microseconds since 1970 as an aware time in UTC."""
    return _EPOCH + timedelta(microseconds=value)


def to_minor_units(value: Decimal) -> int:
    """Return an amount in hundredths of its currency; all of EPoint's currencies have two places."""
    minor = value * 100
    assert minor == minor.to_integral_value(), "amounts are checked before they reach a store"
    return int(minor)


def from_minor_units(value: int) -> Decimal:
    """Return hundredths as an amount with two places."""
    return Decimal(value).scaleb(-2)


class _Column:
    """How one field travels; `nested` holds the columns of a nested struct."""

    def __init__(self, field: str, hint: Any, prefix: str) -> None:
        self.field = field
        self.name = prefix + field
        inner = _without_none(hint)
        self.optional = inner is not hint
        self.nested = RowCodec(inner, f"{self.name}_") if _is_struct(inner) else None
        self.encode, self.decode = _converters(inner)


class RowCodec(Generic[StructT]):
    """Reads and writes one struct type; built once."""

    def __init__(self, shape: type[StructT], prefix: str = "") -> None:
        self.shape = shape
        self._fields = [_Column(field, hint, prefix) for field, hint in get_type_hints(shape).items()]
        self.columns: tuple[str, ...] = tuple(
            name for column in self._fields for name in (column.nested.columns if column.nested else (column.name,))
        )

    def insert(self, table: str) -> str:
        """Return the INSERT of a whole row."""
        return (
            f"INSERT INTO {table} ({', '.join(self.columns)}) VALUES ({', '.join(f':{c}' for c in self.columns)})"
        )

    def update(self, table: str) -> str:
        """Return the UPDATE of a whole row by its id."""
        return f"UPDATE {table} SET {', '.join(f'{c} = :{c}' for c in self.columns if c != 'id')} WHERE id = :id"

    def to_row(self, value: StructT | None) -> dict[str, Any]:
        """Return the values of all columns; a missing nested struct is null in each."""
        row: dict[str, Any] = {}
        for column in self._fields:
            item = getattr(value, column.field) if value is not None else None
            if column.nested:
                row.update(column.nested.to_row(item))
            else:
                row[column.name] = None if item is None else column.encode(item)
        return row

    def from_row(self, row: Mapping[str, Any]) -> StructT:
        """Build the struct from a row that holds at least this codec's columns."""
        values: dict[str, Any] = {}
        for column in self._fields:
            if column.nested:
                absent = column.optional and all(row[name] is None for name in column.nested.columns)
                values[column.field] = None if absent else column.nested.from_row(row)
            else:
                item = row[column.name]
                values[column.field] = None if item is None else column.decode(item)
        return self.shape(**values)


def to_backlog(row: Mapping[str, Any]) -> Backlog:
    """Read the row of the query `backlog`."""

    def oldest(*columns: str) -> datetime | None:
        times = [row[column] for column in columns if row[column] is not None]
        return from_microseconds(min(times)) if times else None

    return Backlog(
        indeterminate_transactions=row["indeterminate_transactions"],
        indeterminate_refunds=row["indeterminate_refunds"],
        transactions_in_review=row["transactions_in_review"],
        unmatched_callbacks=row["unmatched_callbacks"],
        oldest_ask_at=oldest("transaction_ask_at", "card_ask_at"),
        oldest_deadline=oldest("transaction_deadline", "hold_deadline", "refund_deadline", "card_deadline"),
    )


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    return hint


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _same(value: Any) -> Any:
    return value


def _words(values: Iterable[str]) -> str:
    return " ".join(values)


def _sorted_words(values: Iterable[str]) -> str:
    return " ".join(sorted(values))


def _read_words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _converters(hint: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if hint is Decimal:
        return to_minor_units, from_minor_units
    if hint is datetime:
        return to_microseconds, from_microseconds
    if hint is bool:
        return int, bool
    if get_origin(hint) is frozenset:
        (word,) = get_args(hint)
        return _sorted_words, lambda text: frozenset(map(word, text.split()))
    if get_origin(hint) is tuple:
        return _words, _read_words
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return str, hint
    return _same, _same
