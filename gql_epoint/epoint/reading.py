"""Read EPoint's JSON into structs, tolerating every shape that has been seen in the wild.

EPoint's documents, SDKs and live recordings disagree about types: amounts come as numbers or strings, codes as
text or integers, `message` as text or as an object that holds one, and anything may be null. One reader per
field type absorbs all of that here, so nothing behind this module has to. What cannot be read as the field's
type becomes null: the rules for missing values are stricter than any guess would be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from gql_epoint.errors import UnreadableError

StructT = TypeVar("StructT", bound=msgspec.Struct)

_AMOUNT = re.compile(r"\d{1,15}(\.\d{1,10})?")
_json = msgspec.json.Decoder(float_hook=str)
_text_encoder = msgspec.json.Encoder()


def read(body: bytes, shape: type[StructT]) -> StructT:
    """Read a JSON object into `shape`, whose fields must all have defaults.

    Raises UnreadableError if the body is not a JSON object in UTF-8.
    """
    try:
        raw = _json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise UnreadableError("not JSON") from exc
    if not isinstance(raw, dict):
        raise UnreadableError("JSON, but not an object")
    return read_object(raw, shape)


def read_object(raw: dict[str, Any], shape: type[StructT]) -> StructT:
    """Read an already decoded JSON object into `shape`; never raises on its contents."""
    return shape(**{name: reader(raw.get(name)) for name, reader in _readers(shape)})


def read_text(value: Any) -> str | None:
    """Read text, a number, or an object with a `message`; blank text is null."""
    if isinstance(value, dict):
        return read_text(value["message"]) if "message" in value else _text_encoder.encode(value).decode()
    if isinstance(value, list):
        return _text_encoder.encode(value).decode()
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    # No database takes NUL in text, and no bank sends it on purpose.
    return (value.replace("\x00", "").strip() or None) if isinstance(value, str) else None


def read_amount(value: Any) -> Decimal | None:
    """Read an exact amount from a JSON number or a string; anything else is null."""
    text = value.strip() if isinstance(value, str) else str(value) if type(value) is int else ""
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def _anything(value: Any) -> Any:
    return value


@cache
def _readers(shape: type[msgspec.Struct]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    by_type: dict[Any, Callable[[Any], Any]] = {
        str | None: read_text,
        Decimal | None: read_amount,
        Any: _anything,
    }
    return tuple((name, by_type[hint]) for name, hint in get_type_hints(shape).items())
