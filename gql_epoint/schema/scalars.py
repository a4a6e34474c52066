"""The contract's scalars: exact in both directions, and silent about values they refuse.

graphql-core adds the offending value to the text of any exception but GraphQLError, so nothing else is raised here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError, Undefined
from strawberry.types.scalar import ScalarDefinition

Url = NewType("Url", str)
IdempotencyKey = NewType("IdempotencyKey", str)
Json = NewType("Json", object)

_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def format_decimal(value: Decimal) -> str:
    """Return an amount with exactly the places it has, never in scientific notation."""
    return f"{value:f}"


def parse_decimal(value: Any) -> Decimal:
    """Return the exact number that a JSON string holds; a JSON number may have been rounded already."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise GraphQLError('A Decimal is a string of plain digits such as "10.50", not a number.')
    return Decimal(value)


def format_date_time(value: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC, with Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_date_time(value: Any) -> datetime:
    """Return the time that an RFC 3339 string names; one without an offset names none."""
    problem = GraphQLError('A DateTime is an RFC 3339 string with an offset such as "2025-01-31T12:00:00Z".')
    if not isinstance(value, str) or not _DATE_TIME.fullmatch(value):
        raise problem
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise problem from None


def parse_date(value: Any) -> date:
    """Return the day that a string such as 2025-01-31 names."""
    problem = GraphQLError('A Date is a string such as "2025-01-31".')
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise problem
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise problem from None


def encode_json(value: object) -> str:
    """Return the JSON text of a value; raises ValueError or TypeError for what JSON cannot hold in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()  # UnicodeEncodeError, a ValueError, for half of a surrogate pair
    return text


def parse_json(value: Any) -> Json:
    """Return the value itself if it is JSON; a literal such as 1e999 is not."""
    try:
        known = _without_missing(value)
        encode_json(known)
    except (ValueError, TypeError, RecursionError):
        raise GraphQLError("This JSON value cannot be written as JSON text in UTF-8.") from None
    return Json(known)


def _without_missing(value: Any) -> Any:
    # Variables without a value stay in a literal as Undefined. As in input objects and lists of GraphQL, a field
    # that has none is absent and an item that has none is null.
    if isinstance(value, dict):
        return {name: _without_missing(item) for name, item in value.items() if item is not Undefined}
    if isinstance(value, list):
        return [_without_missing(item) for item in value]
    return None if value is Undefined else value


def _text(name: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if not isinstance(value, str):
            raise GraphQLError(f"{name} is written as a string.")
        return value

    return parse


def _same(value: Any) -> Any:
    return value


SCALARS: Mapping[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description=(
            'An exact base-10 number as a JSON string: `"10.50"`. JSON numbers are refused, because `0.1 + 0.2` '
            "must "
            "not reach a bank. Nothing is ever rounded. Do not turn it into a float to show it."
        ),
        serialize=format_decimal,
        parse_value=parse_decimal,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description='A point in time as an RFC 3339 string. Answers are in UTC: `"2025-01-31T12:00:00.250000Z"`.',
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=format_date_time,
        parse_value=parse_date_time,
    ),
    date: strawberry.scalar(
        name="Date",
        description='A day as a string, without a time or a zone: `"2025-01-31"`.',
        specified_by_url="https://scalars.graphql.org/andimarek/local-date",
        serialize=date.isoformat,
        parse_value=parse_date,
    ),
    Url: strawberry.scalar(
        name="URL",
        description="An absolute URL as a string.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=_same,
        parse_value=_text("A URL"),
    ),
    IdempotencyKey: strawberry.scalar(
        name="IdempotencyKey",
        description=(
            "Names one intention, so that repeating the request cannot repeat its effect. Chosen by the caller: "
            "16 to 255 visible ASCII characters, a UUID is fine. Make a new one for each new intention, store it "
            "before sending, and repeat it unchanged after a timeout."
        ),
        serialize=_same,
        parse_value=_text("An IdempotencyKey"),
    ),
    Json: strawberry.scalar(
        name="JSON",
        description=(
            "Any JSON value, written as it is: an object literal in the document or a variable, not a string that "
            "holds JSON. It comes back equal."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_same,
        parse_value=parse_json,
    ),
}
