"""Structs become flat rows and come back the same, exactly."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_epoint.ledger.checkout import Checkout, ClientToken
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.transaction import CallbackRecord, Fact, Refund, SavedCard, Transaction
from gql_epoint.store.protocol import IdempotencyRecord
from gql_epoint.store.queries import load_migrations
from gql_epoint.store.rows import (
    RowCodec,
    from_microseconds,
    from_minor_units,
    to_microseconds,
    to_minor_units,
)
from tests.store_contract import (
    FULL_CALLBACK,
    FULL_CARD,
    FULL_CHECKOUT,
    FULL_EVENT,
    FULL_REFUND,
    FULL_TRANSACTION,
    a_transaction,
)

TABLES: dict[str, type[msgspec.Struct]] = {
    "transactions": Transaction,
    "refunds": Refund,
    "saved_cards": SavedCard,
    "callbacks": CallbackRecord,
    "events": Event,
    "idempotency": IdempotencyRecord,
    "checkouts": Checkout,
    "client_tokens": ClientToken,
}


@pytest.mark.parametrize("table", TABLES)
def test_table_has_the_columns_of_its_struct(table: str) -> None:
    """A field without a column would be lost; a column without a field would be forgotten."""
    connection = sqlite3.connect(":memory:")
    for _, script in load_migrations("gql_epoint.store.sqlite"):
        connection.executescript(script)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()

    assert sorted(columns) == sorted(RowCodec(TABLES[table]).columns)


@pytest.mark.parametrize(
    "value", [FULL_TRANSACTION, FULL_REFUND, FULL_CARD, FULL_CALLBACK, FULL_EVENT, FULL_CHECKOUT, a_transaction()]
)
def test_row_holds_only_what_a_database_knows(value: msgspec.Struct) -> None:
    """Integers, text and nulls, by the names of the columns; and back."""
    codec = RowCodec(type(value))
    row = codec.to_row(value)

    assert tuple(row) == codec.columns
    assert {type(item) for item in row.values()} <= {int, str, type(None)}
    assert codec.from_row(row) == value


def test_full_examples_are_full() -> None:
    """A new field must get a value in the examples, or its round trip would prove nothing."""
    for value in (FULL_TRANSACTION, FULL_REFUND, FULL_CARD, FULL_CALLBACK, FULL_EVENT, FULL_CHECKOUT):
        missing = {name for name, item in RowCodec(type(value)).to_row(value).items() if item is None}
        assert missing <= {"position"}  # given by the store


@given(st.integers(min_value=1, max_value=10**15))
def test_money_is_exact(minor: int) -> None:
    """Every amount in hundredths, with two places."""
    amount = from_minor_units(minor)

    assert to_minor_units(amount) == minor
    assert amount.as_tuple().exponent == -2


@pytest.mark.parametrize("text", ["10", "10.0", "10.00", "10.000", "1E+1"])
def test_notation_of_money_does_not_matter(text: str) -> None:
    """The same amount is the same number of qəpik."""
    assert to_minor_units(Decimal(text)) == 1000


@pytest.mark.parametrize("text", ["0.001", "10.005", "NaN", "Infinity"])
def test_money_is_never_rounded(text: str) -> None:
    """What does not fit is a bug before the store."""
    with pytest.raises((AssertionError, ValueError, ArithmeticError)):
        to_minor_units(Decimal(text))


@given(st.datetimes(datetime.min.replace(year=1900), datetime.max, timezones=st.just(UTC)))  # noqa: DTZ901
def test_time_is_exact(time: datetime) -> None:
    """To the microsecond, before 1970 too."""
    assert from_microseconds(to_microseconds(time)) == time


def test_time_of_another_zone_is_the_same_moment() -> None:
    """Baku's noon is eight o'clock."""
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=4)))

    assert from_microseconds(to_microseconds(noon)) == datetime(2026, 1, 1, 8, tzinfo=UTC)


def test_naive_time_is_a_bug() -> None:
    """A time without a zone names no moment."""
    with pytest.raises(TypeError):
        to_microseconds(datetime(2026, 1, 1))  # noqa: DTZ001


def test_facts_are_written_in_one_order() -> None:
    """The same set is the same text."""
    codec = RowCodec(Transaction)
    one = a_transaction(facts=frozenset({Fact.PAID, Fact.DECLINED, Fact.OPENED}))
    other = msgspec.structs.replace(one, facts=frozenset({Fact.OPENED, Fact.DECLINED, Fact.PAID}))

    assert codec.to_row(one)["facts"] == codec.to_row(other)["facts"] == "DECLINED OPENED PAID"


def test_a_fact_that_is_not_known_is_an_error() -> None:
    """Books of another program are not guessed at."""
    codec = RowCodec(Transaction)
    with pytest.raises(ValueError, match="NONSENSE"):
        codec.from_row(codec.to_row(a_transaction()) | {"facts": "NONSENSE"})
