"""Ids that sort by time and say what they name: `tr_0199…`, `re_…`, `card_…`, `cb_…`, `co_…`, `bt_…`, `inv_…`.

The body is a version 7 UUID (RFC 9562) in hex: 48 bits of milliseconds, then random bits. Sorting by id is
sorting by creation, so an id is also a page cursor. Time and randomness come as arguments.
"""

from __future__ import annotations

from datetime import datetime

TRANSACTION = "tr"
REFUND = "re"
SAVED_CARD = "card"
CALLBACK = "cb"
CHECKOUT = "co"
BUSINESS_TRANSFER = "bt"
INVOICE = "inv"
EVENT = "ev"

RANDOM_BYTES = 10


def new_id(prefix: str, now: datetime, random: bytes) -> str:
    """Return a new id; `random` holds RANDOM_BYTES fresh bytes."""
    milliseconds = int(now.timestamp() * 1000)
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # the version
    value = value & ~(0x3 << 62) | 0x2 << 62  # the variant
    return f"{prefix}_{value:032x}"


def first_id(prefix: str, moment: datetime, *, margin_ms: int = 0) -> str:
    """Return a text that sorts before every id made at that moment, plus a margin, or later."""
    return f"{prefix}_{max(0, int(moment.timestamp() * 1000) + margin_ms):012x}"


def event_id(stream_id: str, sequence: int) -> str:
    """Return the id of an event: its stream and its number in it, so it needs no randomness."""
    return f"{EVENT}_{stream_id}_{sequence}"


def split_event_id(value: str) -> tuple[str, int]:
    """Return the stream and the sequence that an event id names; raises ValueError for anything else."""
    prefix, _, rest = value.partition("_")
    stream_id, _, sequence = rest.rpartition("_")
    if prefix != EVENT or not stream_id or not (sequence.isascii() and sequence.isdigit()) or len(sequence) > 9:
        raise ValueError("not an event id")
    return stream_id, int(sequence)
