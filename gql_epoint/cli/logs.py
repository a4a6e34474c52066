"""How log lines look: text for people, JSON lines for collectors. Both name the request and the transaction.

No line holds personal data: what is logged is chosen word by word where it is logged. What PostgreSQL adds to its
errors about the rows they are about, and whatever looks like a key or a card number, is taken out here.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from gql_epoint.correlation import request_id, saved_card_id, transaction_id
from gql_epoint.redaction import redact

# The facts that a line may carry beside its message, given as `extra`.
FIELDS = ("operation", "outcome", "duration_ms", "trace_id", "method", "path", "status", "disposition")

_encoder = msgspec.json.Encoder()

# `DETAIL: Failing row contains (...)` shows whole rows, until PostgreSQL's next word or the end of the error.
_DETAIL = re.compile(r"^DETAIL:.*?(?=^HINT:|^\n|^Traceback|^The above|^During|\Z)", re.MULTILINE | re.DOTALL)


def start_logging(level: str, form: str) -> None:
    """Log to standard error from here on; `form` is json or text."""
    # What no line tells is not looked for, as Python's Logging HOWTO has it under "Optimization".
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


class TextLines(logging.Formatter):
    """A line for people; the ids stand at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(ids)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and below it the traceback if there is one."""
        record.exc_text = None  # what another formatter has made of the traceback
        record.ids = "".join(f" {name}={value}" for name, value in _ids().items())
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line without secrets and rows of the database."""
        record.message = redact(without_rows(record.message))
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the traceback without the same."""
        return redact(without_rows(super().formatException(ei)))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        """Return the stack without the same."""
        return redact(without_rows(super().formatStack(stack_info)))


class JsonLines(logging.Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(without_rows(record.getMessage())),
            **_ids(),
        }
        for name in FIELDS:
            if hasattr(record, name):
                value = getattr(record, name)
                line[name] = redact(value) if isinstance(value, str) else value
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = redact(without_rows(self.formatException(record.exc_info)))
        return _encoder.encode(line).decode()


def without_rows(text: str) -> str:
    """Return the text of an error without what PostgreSQL tells of the rows that it is about."""
    return _DETAIL.sub("", text)


def _ids() -> dict[str, str]:
    ids = {
        "request_id": request_id.get(),
        "transaction_id": transaction_id.get(),
        "saved_card_id": saved_card_id.get(),
    }
    return {name: value for name, value in ids.items() if value is not None}
