"""The bank's response codes."""

import re
from collections import Counter

import pytest

from gql_epoint.epoint.bank_codes import BANK_CODES, BankCode, FailureCategory, look_up


def test_there_are_102_codes_in_known_classes() -> None:
    """The list is EPoint's v1.0.3, complete: its size per class is counted in the document."""
    sizes = Counter(code[0] for code in BANK_CODES)

    assert len(BANK_CODES) == 102
    assert sizes == {
        "0": 3, "1": 34, "2": 11, "3": 10, "4": 2, "5": 5, "6": 9, "7": 1, "8": 1, "9": 25, "X": 1,
    }  # fmt: skip


@pytest.mark.parametrize("code", BANK_CODES)
def test_every_code_has_one_short_sentence(code: str) -> None:
    """A message is for a person: a sentence that ends, without the code and without "message:" prefixes."""
    message = BANK_CODES[code].message

    assert re.fullmatch(r"[A-Z][^.\n]{5,98}\.", message)
    assert "essage:" not in message
    assert code == BANK_CODES[code].code


def test_messages_differ() -> None:
    """Two codes that mean different things do not read alike."""
    repeated = [message for message, count in Counter(c.message for c in BANK_CODES.values()).items() if count > 1]

    assert repeated == []


@pytest.mark.parametrize("code", [code for code in BANK_CODES if code[0] in "12"])
def test_every_decline_has_a_category(code: str) -> None:
    """A decline always says something that a program can branch on."""
    assert BANK_CODES[code].category is not FailureCategory.OTHER


@pytest.mark.parametrize("code", [code for code in BANK_CODES if code[0] in "0345678X"])
def test_what_is_no_decline_claims_no_reason(code: str) -> None:
    """An approval, or a message about files and totals, is never given as the reason of a failure."""
    assert BANK_CODES[code].category == FailureCategory.OTHER


@pytest.mark.parametrize("known", BANK_CODES.values(), ids=BANK_CODES)
def test_only_temporary_failures_and_wrong_pins_may_be_tried_again(known: BankCode) -> None:
    """The rule of `retryable`, without exceptions."""
    may_pass = {FailureCategory.TEMPORARY, FailureCategory.AUTHENTICATION_FAILED}

    assert (known.category in may_pass) is known.retryable


SAMPLES = [
    ("101", FailureCategory.CARD_UNUSABLE, False, "The card has expired."),
    ("102", FailureCategory.SUSPECTED_FRAUD, False, "The bank declined the payment because it suspects fraud."),
    ("106", FailureCategory.CARD_UNUSABLE, False, "The PIN was entered wrongly too many times."),
    ("109", FailureCategory.CONFIGURATION, False, "The bank does not accept this merchant."),
    ("116", FailureCategory.INSUFFICIENT_FUNDS, False, "There is not enough money on the card."),
    ("117", FailureCategory.AUTHENTICATION_FAILED, True, "The PIN is wrong."),
    ("180", FailureCategory.ABANDONED, False, "The cardholder cancelled the payment."),
    ("209", FailureCategory.CARD_UNUSABLE, False, "The card was reported stolen."),
    ("911", FailureCategory.TEMPORARY, True, "The bank that issued the card did not answer in time."),
    ("923", FailureCategory.OTHER, False, "The request is still being processed."),
]


@pytest.mark.parametrize(("code", "category", "retryable", "message"), SAMPLES, ids=[row[0] for row in SAMPLES])
def test_samples(code: str, category: FailureCategory, retryable: bool, message: str) -> None:
    """What the common codes say, and the dangerous one: 923 is not to be repeated, it may still be paid."""
    expected = BankCode(code=code, message=message, category=category, retryable=retryable)

    assert expected == look_up(code)


@pytest.mark.parametrize(
    ("written", "code"), [("0", "000"), ("00", "000"), ("000", "000"), (" 116 ", "116"), ("1z3", "1Z3")]
)
def test_look_up_reads_every_way_a_code_is_written(written: str, code: str) -> None:
    """The document of 2022 writes 0 for 000."""
    assert BANK_CODES[code] == look_up(written)


@pytest.mark.parametrize("unknown", [None, "", " ", "16", "181", "OY1", "1160", "approved", "۱۱۶", "\x00"])
def test_unknown_codes_are_normal(unknown: str | None) -> None:
    """The vocabulary is open: what is not in the list has no entry, and nothing breaks."""
    assert look_up(unknown) is None
