"""Log lines: what they say, and what they never do."""

from __future__ import annotations

import json
import logging
import os
import sys

import pytest

from gql_epoint.cli.logs import JsonLines, TextLines, without_rows
from gql_epoint.correlation import request_id, transaction_id
from gql_epoint.keys import new_secret_key

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


def test_lines_name_the_work_at_hand() -> None:
    ids = request_id.set("request-1"), transaction_id.set("tr_1")
    try:
        text, line = TextLines().format(a_record("x")), json.loads(JsonLines().format(a_record("x")))
    finally:
        request_id.reset(ids[0])
        transaction_id.reset(ids[1])

    assert text.endswith("WARNING epoint: x request_id=request-1 transaction_id=tr_1")
    assert (line["request_id"], line["transaction_id"]) == ("request-1", "tr_1")


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
