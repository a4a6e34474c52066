"""Take out of a text what looks like a secret: the last line of defence where a text may come from anybody.

What is logged, traced and told is chosen word by word where that is done. This is for the words that somebody else
chose: a name in a document, a sentence of EPoint, the text of an exception.
"""

from __future__ import annotations

import re

# A key of ours, whole or in part; see keys.py. The sandbox's key is known to everybody.
_KEY = re.compile(r"(?<![0-9A-Za-z])(?:sk_live_|ct_)[0-9A-Za-z]{16,}(?:_[0-9A-Za-z]+)?")
# A card number as people write it, but no part of a longer word: ids hold many digits.
_CARD = re.compile(r"(?<![0-9A-Za-z_])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z_])")
_DIGITS = re.compile(r"[0-9]{13,}")


def redact(text: str) -> str:
    """Return the text without our keys, and without numbers that can be those of cards."""
    return _KEY.sub("[key]", _CARD.sub(_without_card, text))


def redact_name(text: str) -> str:
    """Return a name, in which digits may follow letters, without the same."""
    return _DIGITS.sub("0", _KEY.sub("redacted", text))


def mask_card(text: str | None) -> str | None:
    """Return a card's mask; if it is the whole number after all, the part of it that may be shown."""
    if text is None or not _CARD.fullmatch(text.strip()):
        return text
    digits = re.sub(r"\D", "", text)
    return f"{digits[:6]}******{digits[-4:]}"


def _without_card(match: re.Match[str]) -> str:
    return "[card number]" if _is_card_number(re.sub(r"\D", "", match[0])) else match[0]


def _is_card_number(digits: str) -> bool:
    """Whether the last digit is the check digit of the others, by Luhn's rule (ISO/IEC 7812)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
