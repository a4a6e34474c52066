"""The hash that says whether two requests with one idempotency key ask for the same thing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

import msgspec
import strawberry

from gql_epoint.schema.scalars import format_decimal

NOT_HASHED = "not_hashed"
"""The attribute in which an input's type names the fields that do not say whether two requests are the same."""

_ENCODER = msgspec.json.Encoder(order="deterministic")


def input_hash(value: Any) -> str:
    """Return the SHA-256 of a coerced input without its idempotency key.

    What the input's type names in NOT_HASHED is left out as well: nothing that is made of cardholder data is kept.

    "10.5" and "10.50" are the same amount, an absent field is the same as null, and keys of metadata have no order.
    Raises ValueError for text that UTF-8 cannot hold.
    """
    fields = _plain(value)
    for name in ("idempotency_key", *getattr(value, NOT_HASHED, ())):
        fields.pop(name, None)
    return hashlib.sha256(_ENCODER.encode(fields)).hexdigest()


@cache
def _field_names(shape: type[Any]) -> tuple[str, ...] | None:
    """Return the names of a dataclass's fields, and None for any other type."""
    return tuple(field.name for field in dataclasses.fields(shape)) if dataclasses.is_dataclass(shape) else None


def _plain(value: Any) -> Any:
    if type(value) is str:
        return value
    if (names := _field_names(type(value))) is not None:  # type: ignore[arg-type]
        fields: dict[str, Any] = {}
        for name in names:
            item = getattr(value, name)
            if item is not None and item is not strawberry.UNSET:
                fields[name] = item if type(item) is str else _plain(item)
        return fields
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        written = format_decimal(value)
        return written.rstrip("0").rstrip(".") if "." in written else written
    if isinstance(value, list) and all(isinstance(item, Enum | str) for item in value):
        return [_plain(item) for item in value]
    if isinstance(value, dict | list):
        # Metadata: the standard library writes integers of any size, which msgspec refuses.
        return json.dumps(value, sort_keys=True, allow_nan=False)
    return value
