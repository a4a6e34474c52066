"""The bank behind the simulator: what each card number leads to, and how the bank words it."""

from __future__ import annotations

import msgspec

APPROVED = "000"
THREE_D_SECURE_FAILED = "117"  # no code means a failed 3-D Secure step; "incorrect PIN" is the nearest
NO_FUNDS = "116"
NO_COMMENT = "100"
CARD_HOLDER = "TEST CARDHOLDER"

_DIGITS_MIN, _DIGITS_MAX = 12, 19
_ALWAYS_APPROVED = "4111111111111111"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What will happen to payments by a card. The number itself is not kept."""

    mask: str
    code: str
    asks_customer: bool = False  # a 3-D Secure step
    silent: bool = False  # the bank never answers


class TestCard(msgspec.Struct, frozen=True, kw_only=True):
    """A number that the hosted page offers."""

    __test__ = False  # its name makes pytest look for tests in it

    number: str
    meaning: str


TEST_CARDS = (
    TestCard(number="4111 1111 1111 1111", meaning="Approved"),
    TestCard(number="4000 0000 0000 0116", meaning="Declined: insufficient funds"),
    TestCard(number="4000 0000 0000 0101", meaning="Declined: expired card"),
    TestCard(number="4000 0000 0000 0208", meaning="Declined: lost card"),
    TestCard(number="4000 0000 0000 3220", meaning="Asks for 3-D Secure"),
    TestCard(number="4000 0000 0000 9999", meaning="Never answers"),
)


def outcome_of(text: str) -> Outcome:
    """Return what a card number leads to; spaces and dashes are ignored. Raises ValueError if it is none."""
    number = text.replace(" ", "").replace("-", "")
    if not (number.isascii() and number.isdigit() and _DIGITS_MIN <= len(number) <= _DIGITS_MAX):
        raise ValueError(f"A card number has {_DIGITS_MIN} to {_DIGITS_MAX} digits.")
    mask = f"{number[:6]}******{number[-4:]}"
    if number == _ALWAYS_APPROVED:
        return Outcome(mask=mask, code=APPROVED)
    if number.endswith("3220"):
        return Outcome(mask=mask, code=APPROVED, asks_customer=True)
    if number.endswith("9999"):
        return Outcome(mask=mask, code=APPROVED, silent=True)
    return Outcome(mask=mask, code=number[-3:])


def message_of(code: str, language: str | None) -> str:
    """Return the bank's words for a code: Azerbaijani where known and nothing else was asked for, else English."""
    if language in (None, "az") and code in _AZERBAIJANI:
        return _AZERBAIJANI[code]
    return _ENGLISH.get(code, f"Declined, code {code}")


# EPoint's documents v1.0.3, their wording. Codes that are not here are as good as those that are.
_ENGLISH = {
    "000": "Confirmed",
    "100": "Rejected (general, no comment)",
    "101": "Declined, your card has expired",
    "102": "Rejected, suspected fraud",
    "103": "Rejected, cardholder will contact acquirer",
    "104": "Rejected, Restricted Card",
    "106": "Rejected, PIN attempts exceeded",
    "107": "Declined, please contact your card issuer",
    "109": "Rejected, invalid merchant",
    "110": "Rejected, incorrect amount",
    "111": "Rejected, incorrect card number",
    "112": "Rejected, PIN required",
    "114": "Rejected, no account of the requested type",
    "115": "Denied, requested function is not supported",
    "116": "Declined, insufficient funds",
    "117": "Rejected, incorrect PIN",
    "118": "Rejected, no card data",
    "119": "Rejected, transaction not allowed by cardholder",
    "120": "Rejected, transaction not allowed to terminal",
    "121": "Declined, withdrawal limit exceeded",
    "122": "Rejected, Safety Violation",
    "123": "Declined, withdrawal limit exceeded",
    "125": "Rejected, card not valid",
    "129": "Rejected, suspected fake card",
    "180": "Rejected, at the request of cardholders",
    "200": "Pick-up (general, no comment)",
    "201": "Pick-up, expired card",
    "202": "Pick-up, suspected fraud",
    "204": "Pick-up, restricted card",
    "208": "Pick-up, lost card",
    "209": "Pick-up, stolen card",
    "210": "Pick-up, suspected fake card",
    "902": "Rejection Reason Message: Invalid Transaction",
    "904": "Rejection Reason Message: Format Error",
    "907": "Reason for Rejection Message - Card Issuer or Switch Not in Effect",
    "909": "Cause of Deviation Report: System Failure",
    "912": "Reason for Rejection Message: Issuer Unavailable",
}
_AZERBAIJANI = {
    "000": "Təsdiq edildi",
    "116": "Kartda kifayət qədər balans yoxdur",
}
