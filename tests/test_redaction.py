"""What looks like a secret is taken out, and what only has many digits stays."""

from __future__ import annotations

import os

import pytest

from gql_epoint.keys import new_client_token, new_secret_key
from gql_epoint.redaction import mask_card, redact, redact_name

CARD = "4111111111111111"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (CARD, "[card number]"),
        ("pan=5500005555555559, x", "pan=[card number], x"),
        ("4111 1111 1111 1111", "[card number]"),
        ("4111-1111-1111-1111.", "[card number]."),
        ("4000000000006", "[card number]"),
        (f"{CARD}/{CARD}", "[card number]/[card number]"),
        ("4111111111111112", "4111111111111112"),  # the check digit is wrong
        (f"tr_0199{CARD}ab", f"tr_0199{CARD}ab"),  # a part of an id
        ("411111******1111", "411111******1111"),
        ("200026000000", "200026000000"),  # an rrn has 12 digits
        ("2026-11-25 03:48:48,474", "2026-11-25 03:48:48,474"),
        ("sk_sandbox_development", "sk_sandbox_development"),
        ("ct_short", "ct_short"),
        ("", ""),
    ],
)
def test_card_numbers_are_taken_out_and_other_numbers_stay(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize("new", [new_secret_key, new_client_token])
def test_keys_are_taken_out_whole(new: object) -> None:
    """In a sentence, in JSON, beside each other; and as a name in a document."""
    key = new(os.urandom)  # type: ignore[operator]

    assert redact(f"Bearer {key}.") == "Bearer [key]."
    assert redact(f'"{key}","{key}"') == '"[key]","[key]"'
    assert redact(f"cut {key[:40]}") == "cut [key]"
    assert redact_name(key) == "redacted"


def test_names_hide_digits_after_letters_too() -> None:
    assert redact_name(f"card_{CARD}") == "card_0"
    assert redact_name("Order2026") == "Order2026"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, None),
        ("411111******1111", "411111******1111"),
        ("****1111", "****1111"),
        (CARD, "411111******1111"),
        ("4111 1111 1111 1111", "411111******1111"),
        ("", ""),
    ],
)
def test_mask_of_a_card_is_never_its_number(given: str | None, shown: str | None) -> None:
    assert mask_card(given) == shown
