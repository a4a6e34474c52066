"""The service that other tests start: what they are run with reaches it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest

from tests.service import EXECUTION, Service
from tests.shop import new_order, pay

FIND = "query ($order: String!) { transaction(by: {orderId: $order}) { status } }"


@pytest.mark.parametrize(
    ("compiled", "executor"), [("1", "/gql_epoint/compiled/closures.py"), ("0", "/graphql/execution/")]
)
async def test_how_operations_are_executed_is_up_to_whoever_runs_the_tests(
    start_service: Any, monkeypatch: pytest.MonkeyPatch, compiled: str, executor: str
) -> None:
    """All answers are the same, so a row that cannot be read tells: its traceback names who called the resolver."""
    monkeypatch.setenv(EXECUTION, compiled)
    service: Service = start_service()
    order = new_order()
    async with service.client() as client:
        await pay(client, order)
        with contextlib.closing(sqlite3.connect(service.database)) as books, books:
            books.execute("PRAGMA ignore_check_constraints = 1")
            books.execute("UPDATE transactions SET status = 'NONSENSE' WHERE order_id = ?", (order,))
        # A document is compiled when it comes for the second time.
        codes = {(await client.execute(FIND, order=order))["errors"][0]["extensions"]["code"] for _ in range(3)}
    *_, last = service.logged().split(": unexpected KeyError at ['transaction']")

    assert codes == {"INTERNAL_ERROR"}
    assert executor in last
    assert ("/gql_epoint/compiled/" in last) is (compiled == "1")
