"""Log lines: what they say, and what they never do."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gql_epoint.cashier.commands import SaveCardOrder
from gql_epoint.cli.logs import JsonLines, TextLines, without_rows
from gql_epoint.correlation import request_id, saved_card_id, transaction_id
from gql_epoint.keys import new_secret_key
from tests.cashier_kit import a_call, open_shop
from tests.service import Service
from tests.shop import CALLBACK, FORM, WATCH, form, new_order, payment

ROW = """duplicate key value violates unique constraint "x"
DETAIL:  Failing row contains (tr_1, AYDAN MAMMADOVA,
4111********1111).
HINT:  Think again."""


def a_record(message: str, *, failing: str | None = None, **extra: object) -> logging.LogRecord:
    error = None
    if failing is not None:
        try:
            raise ValueError(failing)
        except ValueError:
            error = sys.exc_info()
    record = logging.LogRecord("epoint", logging.WARNING, __file__, 1, message, (), error)
    record.__dict__.update(extra)
    return record


def test_a_line_is_one_json_object() -> None:
    """The facts that a line may carry, and no others, whatever is attached to it."""
    line = JsonLines().format(a_record("two\nlines", outcome="unclear", body="a card number"))

    assert "\n" not in line
    told = json.loads(line)
    assert {**told, "time": ""} == {
        "time": "",
        "level": "WARNING",
        "logger": "epoint",
        "message": "two\nlines",
        "outcome": "unclear",
    }


@pytest.mark.parametrize("lines", [JsonLines(), TextLines()], ids=["json", "text"])
def test_errors_of_the_database_show_no_rows(lines: logging.Formatter) -> None:
    """PostgreSQL puts the row beside the error; the traceback stays, the row does not."""
    line = lines.format(a_record("it failed", failing=ROW))

    assert "AYDAN" not in line
    assert "4111" not in line
    assert "Think again" in line
    assert "test_logs.py" in line


def test_a_chain_of_errors_shows_no_rows() -> None:
    chain = f"Traceback:\nX: first\nDETAIL:  row\nof two lines\n\nThe above exception\n\nTraceback:\n{ROW}"

    assert without_rows(chain) == (
        "Traceback:\nX: first\n\nThe above exception\n\nTraceback:\n"
        'duplicate key value violates unique constraint "x"\nHINT:  Think again.'
    )


def test_nothing_that_stands_below_a_line_shows_a_card() -> None:
    """Not the stack that was asked for, nor the traceback as another formatter has left it on the record."""
    record = a_record("x")
    record.stack_info = "Stack: 4111 1111 1111 1111"
    record.exc_info, record.exc_text = (ValueError, ValueError("4111 1111 1111 1111"), None), "4111 1111 1111 1111"
    line = TextLines().format(record)

    assert "4111" not in line
    assert line.count("[card number]") == 2


def test_lines_name_the_work_at_hand() -> None:
    ids = request_id.set("request-1"), transaction_id.set("tr_1"), saved_card_id.set("ca_1")
    try:
        text, line = TextLines().format(a_record("x")), json.loads(JsonLines().format(a_record("x")))
    finally:
        request_id.reset(ids[0])
        transaction_id.reset(ids[1])
        saved_card_id.reset(ids[2])

    assert text.endswith("WARNING epoint: x request_id=request-1 transaction_id=tr_1 saved_card_id=ca_1")
    assert (line["request_id"], line["transaction_id"], line["saved_card_id"]) == ("request-1", "tr_1", "ca_1")


SAVE = """
mutation ($input: PayAndSaveCardInput!) {
  payAndSaveCard(input: $input) { transaction { id savedCard { id } nextAction { ... on RedirectAction { url } } } }
}
"""
REGISTER = """
mutation ($input: SaveCardInput!) {
  saveCard(input: $input) { savedCard { id nextAction { ... on RedirectAction { url } } } }
}
"""


WATCH_CARD = "subscription ($id: ID!) { savedCardUpdated(by: {id: $id}) { savedCard { status } } }"


async def test_lines_of_callbacks_and_cards_name_what_they_are_about(start_service: Any) -> None:
    """Calls to EPoint, the callback and its request: each with the transaction, the saved card, or both."""
    service: Service = start_service(GQL_EPOINT_LOG_FORMAT="json")
    order = new_order()
    async with service.client() as client:
        paid = (await client.data(SAVE, input=payment(order) | {"description": "A ring"}))["payAndSaveCard"][
            "transaction"
        ]
        data = await client.data(REGISTER, input={"idempotencyKey": new_order()})
        registered = data["saveCard"]["savedCard"]
        await service.simulator.pay(paid["nextAction"]["url"])
        await service.simulator.pay(registered["nextAction"]["url"])
        async for _ in client.subscribe(WATCH, order=order):
            pass
        async for _ in client.subscribe(WATCH_CARD, id=registered["id"]):
            pass
        url = f"{service.url}/webhooks/epoint"
        async with client.session.post(url, data=form(CALLBACK), headers=FORM) as stranger:
            assert stranger.status == 200
        await asyncio.to_thread(service.stop)
    lines = [json.loads(line) for line in service.logged().splitlines()]
    both = {"transaction_id": paid["id"], "saved_card_id": paid["savedCard"]["id"]}
    card = {"saved_card_id": registered["id"]}

    assert [told(line) for line in lines if line.get("operation") == "pay_and_save_card"] == [both]
    assert [told(line) for line in lines if line.get("operation") == "save_card"] == [card]
    callbacks = [(line["disposition"], told(line)) for line in lines if "disposition" in line]
    assert sorted(callbacks, key=str) == sorted([("APPLIED", both), ("APPLIED", card), ("UNMATCHED", {})], key=str)
    requests = [told(line) for line in lines if line.get("path") == "/webhooks/epoint"]
    assert sorted(requests, key=str) == sorted([both, card, {}], key=str)
    for secret in ("411111", "signature", order):
        assert secret not in service.logged()


async def test_lines_of_the_reconciler_name_what_they_are_about(tmp_path: Path, caplog: Any) -> None:
    """It asks about many things at a time, each in its own name."""
    seen: list[tuple[str | None, str | None]] = []
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(lambda record: seen.append((transaction_id.get(), saved_card_id.get())) or True)
    async with open_shop(tmp_path) as shop:
        first, second = [await shop.pay() for _ in range(2)]
        card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
        seen.clear()
        await shop.later(minutes=1)

    assert {(first.id, None), (second.id, None), (None, card.id)} <= set(seen)
    assert (transaction_id.get(), saved_card_id.get()) == (None, None)


def told(line: dict[str, Any]) -> dict[str, str]:
    return {name: line[name] for name in ("transaction_id", "saved_card_id") if name in line}


@pytest.mark.parametrize("lines", [JsonLines(), TextLines()], ids=["json", "text"])
def test_messages_show_neither_rows_nor_keys_nor_card_numbers(lines: logging.Formatter) -> None:
    """Whoever wrote them: the message, the traceback, and the facts beside it."""
    key = new_secret_key(os.urandom)
    said = f"{ROW} {key} 4111 1111 1111 1111"
    line = lines.format(a_record(said, failing=said, trace_id="4111111111111111"))

    assert "AYDAN" not in line
    assert key not in line
    assert "1111" not in line
    assert "duplicate key value" in line
