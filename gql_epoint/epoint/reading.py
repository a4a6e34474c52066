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

WHOLE = "whole_reply"
"""A field of this name gets the whole object: for what is passed on and not understood here."""

# Deeper than anything a merchant would put into `other_attr`, and far from any recursion limit.
_DEPTH_MAX = 20

_AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,10})?")
_LONG_AMOUNT = re.compile(r"[0-9]{1,15}\.[0-9]{11,30}")
# Numbers with a point stay text, so that no amount passes through a float.
_json = msgspec.json.Decoder(float_hook=str)
_text_encoder = msgspec.json.Encoder()


def read(body: bytes, shape: type[StructT], wrap: Callable[[Any], Any] | None = None) -> StructT:
    """Read a JSON object into `shape`, whose fields must all have defaults.

    `wrap` makes an object of a reply that is none. Raises UnreadableError if the body is not a JSON object.
    """
    return read_object(decode_object(body, wrap), shape)


def decode_object(body: bytes, wrap: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """Decode a JSON object; numbers with a point or an exponent come back as text.

    A byte order mark is skipped. A byte that is not UTF-8 becomes U+FFFD: a cardholder's name in another encoding
    must not hide that a charge succeeded. Raises UnreadableError.
    """
    try:
        raw = _json.decode(body.decode("utf-8-sig", "replace"))
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise UnreadableError("not JSON") from exc
    if wrap is not None:
        raw = wrap(raw)
    if not isinstance(raw, dict):
        raise UnreadableError("JSON, but not an object")
    return raw


def read_object(raw: dict[str, Any], shape: type[StructT]) -> StructT:
    """Read an already decoded JSON object into `shape`; never raises on its contents.

    Whatever it returns can be stored: text is valid UTF-8 without NUL, numbers and nesting are bounded.
    """
    readers = _readers(shape)
    fields = {name: readers[name](value) for name, value in raw.items() if value is not None and name in readers}
    if WHOLE in readers:
        fields[WHOLE] = readers[WHOLE](raw)
    return shape(**fields)


def read_text(value: Any) -> str | None:
    """Read text or a number; an object or a list becomes its JSON, and blank text is null."""
    if value is None:
        return None
    if isinstance(value, str):
        return _clean(value).strip() or None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**40 else None
    if isinstance(value, dict | list):
        return _text_encoder.encode(read_anything(value)).decode()
    return None


def read_message(value: Any) -> str | None:
    """Read a message: text, or the object with a `message` that callbacks were seen to have."""
    return read_text(value["message"] if isinstance(value, dict) and "message" in value else value)


def read_amount(value: Any) -> Decimal | None:
    """Read an exact amount from a JSON number or a string; anything else, and anything negative, is null."""
    text = value.strip() if isinstance(value, str) else ""
    if type(value) is int and 0 <= value < 10**15:
        text = str(value)
    if _LONG_AMOUNT.fullmatch(text):
        # Some PHP settings write 30.6 as 30.600000000000001, all the digits of a double. The shortest text
        # of the same double is what was meant.
        text = repr(float(text))
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def read_anything(value: Any, depth: int = 0) -> Any:
    """Read JSON of any shape: keep it as it is, but for what a database could not take."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else read_text(value)
    if depth >= _DEPTH_MAX:
        return None
    if isinstance(value, list):
        return [read_anything(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_clean(name): read_anything(item, depth + 1) for name, item in value.items()}
    return None


def _clean(text: str) -> str:
    # No database takes NUL or a lone surrogate in text, and no bank sends them on purpose.
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


@cache
def _readers(shape: type[msgspec.Struct]) -> dict[str, Callable[[Any], Any]]:
    by_type: dict[Any, Callable[[Any], Any]] = {
        str | None: read_text,
        Decimal | None: read_amount,
        Any: read_anything,
    }
    by_name: dict[str, Callable[[Any], Any]] = {"message": read_message}
    assert all(default is None for default in shape.__struct_defaults__), "what is missing is null"
    return {name: by_name.get(name, by_type[hint]) for name, hint in get_type_hints(shape).items()}
