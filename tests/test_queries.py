"""Named SQL in files: how it is loaded, and that no lookup reads a whole table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from gql_epoint.store.queries import load_migrations, load_queries

QUERIES = load_queries("gql_epoint.store.sqlite")
# A list in an order that its index does not have: few rows by then, sorted in memory.
SORTED_IN_MEMORY = {
    "transaction_by_order",
    "saved_card_by_card_id",
    "registration_by_card_id",
    "checkout_transaction",
    "checkout_card",
    "transactions_of_order_by_update",
    "transactions_of_order_by_update_backwards",
    "business_transfers_in_review",
    "business_transfers_in_review_backwards",
    "invoices_in_review",
    "invoices_in_review_backwards",
}


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for _, script in load_migrations("gql_epoint.store.sqlite"):
        connection.executescript(script)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", QUERIES)
def test_query_searches_an_index(database: sqlite3.Connection, name: str) -> None:
    """Each lookup, page and claim goes to its rows by an index; none reads a table from end to end."""
    parameters = dict.fromkeys(re.findall(r":(\w+)", QUERIES[name]))
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {QUERIES[name]}", parameters)]
    steps = [step for step in plan if re.match(r"(SCAN|SEARCH) (?!json_each|CONSTANT ROW)", step)]

    assert steps
    for step in steps:
        assert re.fullmatch(r"SEARCH \w+ USING (COVERING INDEX \w+|INDEX \w+|PRIMARY KEY) \(.+\)", step), plan
    assert any("TEMP B-TREE" in step for step in plan) is (name in SORTED_IN_MEMORY)


def test_fragments_are_put_into_the_queries_after_them() -> None:
    """No placeholder is left, and a fragment is no query."""
    assert not any("{" in query or ";" in query for query in QUERIES.values())
    assert "transaction_filter" not in QUERIES
    assert QUERIES["transaction"] == "SELECT * FROM transactions WHERE id = :id"


def test_migrations_are_numbered_from_one() -> None:
    """Each number once, in order, with its text."""
    migrations = load_migrations("gql_epoint.store.sqlite")

    assert [number for number, _ in migrations] == list(range(1, len(migrations) + 1))
    assert "CREATE TABLE transactions" in migrations[0][1]
    assert all(script.strip() for _, script in migrations)
