"""Every query finds its rows by an index, however many there are: proved from the databases' own plans."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from gql_epoint.store.postgres.statements import READING, WORKING, Statement
from gql_epoint.store.queries import load_migrations
from gql_epoint.store.sqlite.conversation import QUERIES
from tests.postgres import new_database

# What is found by one name is little: the attempts of an order or a checkout, the registrations of one card, the
# refunds and callbacks of one transaction. Pages put together from several kinds are as many pages at most.
SORTS_A_FEW = {
    "transaction_by_order",
    "transactions_of_order_by_update",
    "transactions_of_order_by_update_backwards",
    "saved_card_by_card_id",
    "registration_by_card_id",
    "checkout_transaction",
    "checkout_card",
    "transactions_of_kind",
    "transactions_of_kind_backwards",
    "callbacks_of_kind",
    # What waits for a person is few, and an alert until it is settled.
    "business_transfers_in_review",
    "business_transfers_in_review_backwards",
    "invoices_in_review",
    "invoices_in_review_backwards",
    # PostgreSQL sorts the batch of a hundred that it claims, and the callbacks of one name.
    "claim_transactions_to_ask",
    "claim_cards_to_ask",
    "unmatched_of_transaction",
    "unmatched_of_card",
    "unsettled_refunds",
    "number_events",
}

# They look at no table of ours, or only inside of a function whose query is here by itself.
LOOKS_AT_NO_TABLE = {
    "now",
    "lock_address",
    "number_events",
    "transaction_is_known",
    "card_is_known",
    "migrations_done",
}

TABLES = {
    "transactions",
    "refunds",
    "saved_cards",
    "callbacks",
    "events",
    "idempotency",
    "checkouts",
    "client_tokens",
    "checkout_attempts",
    "business_transfers",
    "invoices",
}


# -- SQLite ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def books() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for _, script in load_migrations("gql_epoint.store.sqlite"):
        connection.executescript(script)
    yield connection
    connection.close()


def sqlite_plan(books: sqlite3.Connection, query: str) -> list[str]:
    values = dict.fromkeys(re.findall(r":([a-z_]+)", query))
    return [row[3] for row in books.execute(f"EXPLAIN QUERY PLAN {query}", values)]


@pytest.mark.parametrize("name", QUERIES)
def test_sqlite_searches_and_never_scans(books: sqlite3.Connection, name: str) -> None:
    steps = sqlite_plan(books, QUERIES[name])
    scans = [step for step in steps if step.startswith("SCAN") and step.split()[1] in TABLES]
    sorts = [step for step in steps if "TEMP B-TREE" in step]

    assert scans == []
    assert sorts == [] or name in SORTS_A_FEW


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM transactions WHERE description = :description",
        "SELECT * FROM transactions WHERE status = 'SUCCESS' ORDER BY id LIMIT 1",
    ],
)
def test_a_sqlite_scan_would_be_seen(books: sqlite3.Connection, query: str) -> None:
    """The second one looks through an index, which is a scan all the same."""
    steps = sqlite_plan(books, query)

    assert any(step.startswith("SCAN transactions") for step in steps)


# -- PostgreSQL -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def connection() -> AsyncIterator[Any]:
    """One whose planner scans and sorts only where there is no other way, for its tables are empty."""
    async with new_database() as url:
        opened = await asyncpg.connect(url)
        for _, script in load_migrations("gql_epoint.store.postgres"):
            await opened.execute(script)
        await opened.execute(
            "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;"
            "SET plan_cache_mode = force_generic_plan"
        )
        yield opened
        await opened.close()


async def postgres_plan(connection: Any, query: Statement) -> list[dict[str, Any]]:
    """Return the nodes of the plan that fits all values."""
    values = f"({', '.join(['NULL'] * len(query.names))})" if query.names else ""
    await connection.execute(f"PREPARE planned AS {query.sql}")
    try:
        told = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE planned{values}")
    finally:
        await connection.execute("DEALLOCATE planned")
    return list(_nodes(json.loads(told)[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


@pytest.mark.parametrize("name", sorted(set(WORKING) - LOOKS_AT_NO_TABLE))
async def test_postgres_searches_and_never_scans(connection: Any, name: str) -> None:
    # What a unit of work asks through a function is seen as a reader asks it.
    through_function = name.endswith("_alone") or f"{name}_alone" in WORKING
    query = (READING if through_function else WORKING)[name.removesuffix("_alone")]
    nodes = await postgres_plan(connection, query)
    kinds = {node["Node Type"] for node in nodes if node.get("Relation Name") in TABLES}
    scans = [node for node in nodes if node["Node Type"] == "Seq Scan"]
    whole = [node for node in nodes if node["Node Type"].startswith("Index") and not _is_bounded(node)]

    assert kinds
    assert scans == []
    assert whole == []
    assert name in SORTS_A_FEW or not any("Sort" in node["Node Type"] for node in nodes)


def _is_bounded(node: dict[str, Any]) -> bool:
    """Whether an index is searched for something; one of few rows (`ask_at IS NOT NULL`) may be read whole."""
    return "Index Cond" in node or node["Index Name"] in PARTIAL


PARTIAL = {
    "transactions_to_ask",
    "transactions_unanswered",
    "transactions_indeterminate",
    "transactions_in_review",
    "refunds_unanswered",
    "refunds_indeterminate",
    "saved_cards_to_ask",
    "saved_cards_unanswered",
    "callbacks_unmatched",
    "events_position",
    "business_transfers_to_ask",
    "business_transfers_unanswered",
    "business_transfers_indeterminate",
    "business_transfers_in_review",
    "invoices_to_ask",
    "invoices_unanswered",
    "invoices_indeterminate",
    "invoices_in_review",
    "transactions_unanswered_hold_request",
}


async def test_a_postgres_scan_would_be_seen(connection: Any) -> None:
    nodes = await postgres_plan(connection, Statement("SELECT * FROM transactions WHERE description = $1", ("d",)))

    assert any(node["Node Type"] == "Seq Scan" for node in nodes)


async def test_events_that_wait_for_a_position_are_found_by_an_index(connection: Any) -> None:
    """The query is inside of a function."""
    query = "SELECT id FROM events WHERE position IS NULL ORDER BY id LIMIT $1"
    nodes = await postgres_plan(connection, Statement(query, ("limit",)))

    assert [node["Index Name"] for node in nodes if "Index Name" in node] == ["events_unnumbered"]
