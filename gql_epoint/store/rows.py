"""Turn ledger structs into flat rows and back, by the types of their fields.

A nested struct becomes columns with its field's name as prefix (`failure_message`). Values are stored as
SQLite can compare and sum them: money in minor units, times in microseconds, truth values as 0 and 1, words
(of which none holds a space) in one text.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from gql_epoint.store.protocol import AddressRecord, Backlog

StructT = TypeVar("StructT", bound=msgspec.Struct)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Few times, amounts and sets are in use at once, and each is turned more than once: a unit's rows have its time.
_remembered = lru_cache(maxsize=1024)


@_remembered
def to_microseconds(value: datetime) -> int:
    """Return a time in UTC as microseconds since 1970, exactly."""
    return (value - _EPOCH) // _MICROSECOND


@_remembered
def from_microseconds(value: int) -> datetime:
    """Return microseconds since 1970 as an aware time in UTC."""
    return _EPOCH + value * _MICROSECOND


@_remembered
def to_minor_units(value: Decimal) -> int:
    """Return an amount in hundredths of its currency; all of EPoint's currencies have two places."""
    minor = value * 100
    assert minor == minor.to_integral_value(), "amounts are checked before they reach a store"
    return int(minor)


@_remembered
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
    """Reads and writes one struct type; built once. A row is its values in the order of `columns`.

    Nested structs come last. Of the many fields of a struct few are stored as something else, so only those are
    looked at one by one.
    """

    def __init__(self, shape: type[StructT], prefix: str = "") -> None:
        self.shape = shape
        fields = [_Column(field, hint, prefix) for field, hint in get_type_hints(shape).items()]
        plain = [column for column in fields if column.nested is None]
        self._names = tuple(column.field for column in plain)
        self._nested: list[tuple[str, RowCodec[Any], slice, bool]] = []
        end = len(plain)
        for column in fields:
            if column.nested is not None:
                start, end = end, end + len(column.nested.columns)
                # Where a struct may be missing, its first column says whether it is.
                assert not (column.optional and column.nested.first_may_be_null)
                self._nested.append((column.field, column.nested, slice(start, end), column.optional))
        self._encoders = [(place, column.encode) for place, column in enumerate(plain) if column.encode]
        self._decoders = [(place, column.decode) for place, column in enumerate(plain) if column.decode]
        self._plain_of = attrgetter(*self._names)
        self.columns: tuple[str, ...] = (
            *(column.name for column in plain),
            *(name for _, nested, _, _ in self._nested for name in nested.columns),
        )
        self.first_may_be_null: bool = plain[0].optional
        self.has_id = self.columns[0] == "id"
        self.nulls = (None,) * len(self.columns)

    def insert(self, table: str) -> str:
        """Return the INSERT of a whole row."""
        return (
            f"INSERT INTO {table} ({', '.join(self.columns)}) VALUES ({', '.join(f':{c}' for c in self.columns)})"
        )

    def update(self, table: str) -> str:
        """Return the UPDATE of a whole row by its id."""
        return f"UPDATE {table} SET {', '.join(f'{c} = :{c}' for c in self.columns if c != 'id')} WHERE id = :id"

    def to_row(self, value: StructT) -> dict[str, Any]:
        """Return the values of all columns by name."""
        return dict(zip(self.columns, self.to_values(value), strict=True))

    def to_values(self, value: StructT) -> list[Any]:
        """Return the values of all columns in their order; a missing nested struct is null in each."""
        values: list[Any] = [*self._plain_of(value)]
        for place, encode in self._encoders:
            if values[place] is not None:
                values[place] = encode(values[place])
        for field, nested, _, _ in self._nested:
            part = getattr(value, field)
            values += nested.nulls if part is None else nested.to_values(part)
        return values

    def from_row(self, row: Mapping[str, Any]) -> StructT:
        """Build the struct from a row that holds at least this codec's columns."""
        return self.from_values([row[name] for name in self.columns])

    def from_values(self, values: Sequence[Any]) -> StructT:
        """Build the struct from the values of all columns in their order."""
        plain = list(values[: len(self._names)])
        for place, decode in self._decoders:
            if plain[place] is not None:
                plain[place] = decode(plain[place])
        fields: dict[str, Any] = dict(zip(self._names, plain, strict=True))
        for field, nested, places, optional in self._nested:
            missing = optional and values[places.start] is None
            fields[field] = None if missing else nested.from_values(values[places])
        return self.shape(**fields)


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
        oldest_ask_at=oldest("transaction_ask_at", "card_ask_at", "transfer_ask_at", "invoice_ask_at"),
        oldest_deadline=oldest(
            *(
                "transaction_deadline",
                "hold_deadline",
                "refund_deadline",
                "card_deadline",
                "transfer_deadline",
                "invoice_deadline",
            )
        ),
        indeterminate_transfers=row["indeterminate_transfers"],
        transfers_in_review=row["transfers_in_review"],
        indeterminate_invoices=row["indeterminate_invoices"],
        invoices_in_review=row["invoices_in_review"],
    )


def to_address_record(row: Mapping[str, Any]) -> AddressRecord:
    """Read the row of the query `address_record`."""
    first_attempt_at, first_decline_at = row["first_attempt_at"], row["first_decline_at"]
    return AddressRecord(
        attempts=row["attempts"],
        declines=row["declines"],
        first_attempt_at=None if first_attempt_at is None else from_microseconds(first_attempt_at),
        first_decline_at=None if first_decline_at is None else from_microseconds(first_decline_at),
    )


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    return hint


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _words(values: Iterable[str]) -> str:
    return " ".join(values)


def _sorted_words(values: Iterable[str]) -> str:
    return " ".join(sorted(values))


def _read_words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _converters(hint: Any) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    if hint is Decimal:
        return to_minor_units, from_minor_units
    if hint is datetime:
        return to_microseconds, from_microseconds
    if hint is bool:
        return int, bool
    if get_origin(hint) is frozenset:
        (word,) = get_args(hint)
        return _sorted_words, _remembered(lambda text: frozenset(map(word, text.split())))
    if get_origin(hint) is tuple:
        return _words, _read_words
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        # To look a word up is quicker than to call the enumeration, as `_value_` is than the property `value`.
        return attrgetter("_value_"), {str(word): word for word in hint}.__getitem__
    return None, None
