"""What was said over the wire: a bounded ring of requests with their answers, without card numbers."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec

from gql_epoint.simulator.bank import TEST_CARDS

TEXT_CHARACTERS_MAX = 16 * 1024

Signature = Literal["valid", "invalid", "missing", "unknown_merchant"]


class Exchange(msgspec.Struct, kw_only=True):
    """One HTTP request to the simulator and its answer. Texts are as sent, but for card numbers and their length.

    `decoded` is the JSON text inside `data`. `http_status` is None until there is an answer, and for ever if the
    connection was closed without one: then `duration_ms` is set.
    """

    number: int
    at: datetime
    method: str
    path: str
    operation: str | None = None  # None for a customer's step on a hosted page, and for what has no row
    merchant: str | None = None
    transaction: str | None = None
    order_id: str | None = None
    card_id: str | None = None
    content_type: str = ""
    request: str = ""
    decoded: str | None = None
    signature: Signature | None = None  # None where nothing is signed
    http_status: int | None = None
    reply: str = ""
    duration_ms: float | None = None


class Journal:
    """The latest exchanges, at most `exchanges_max`."""

    def __init__(self, exchanges_max: int) -> None:
        self._ring: deque[Exchange] = deque(maxlen=exchanges_max)
        self._count = 0

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._ring)

    def next_number(self) -> int:
        """Return the number of the next exchange: 1, 2, 3 ..."""
        self._count += 1
        return self._count

    def add(self, exchange: Exchange) -> None:
        """Remember an exchange; the oldest is forgotten."""
        self._ring.append(exchange)


def hide_cards(text: str) -> str:
    """Return the text with the middle of every card number hidden.

    Order ids can be as long: only what a card network could have given out, by its first digit and its check digit,
    and the simulator's own test cards count.
    """
    return _DIGITS.sub(_hidden, text)


def shorten(text: str) -> str:
    """Return at most TEXT_CHARACTERS_MAX characters of a text, and say so."""
    left_out = len(text) - TEXT_CHARACTERS_MAX
    return text if left_out <= 0 else f"{text[:TEXT_CHARACTERS_MAX]}\n… {left_out} more characters"


_DIGITS = re.compile(r"(?<![0-9])[2-6](?:[ +-]?[0-9]){12,18}(?![0-9])")
_TEST_NUMBERS = {card.number.replace(" ", "") for card in TEST_CARDS}


def _hidden(match: re.Match[str]) -> str:
    number = re.sub(r"[^0-9]", "", match[0])
    if number in _TEST_NUMBERS or _has_check_digit(number):
        return f"{number[:6]}******{number[-4:]}"
    return match[0]


def _has_check_digit(number: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2]]
    return (sum(doubled) + sum(map(int, number[::-2]))) % 10 == 0
