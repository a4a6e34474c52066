"""What a browser may know of a decline: no more than an honest customer needs."""

from __future__ import annotations

import itertools

import pytest

from gql_epoint.epoint.bank_codes import FailureCategory
from gql_epoint.ledger.transaction import Failure
from gql_epoint.schema.declines import MESSAGES, shown_to_browsers
from gql_epoint.schema.values import Failure as ShownFailure

SAME = (FailureCategory.DO_NOT_HONOR, FailureCategory.SUSPECTED_FRAUD, FailureCategory.CARD_UNUSABLE)


def a_failure(category: FailureCategory, *, retryable: bool = False) -> Failure:
    return Failure(category=category, message="What EPoint said.", retryable=retryable, bank_code="102")


def test_what_helps_a_thief_looks_like_any_no() -> None:
    """Category, sentence, bank code and whether to try again: all the same, whatever the bank said."""
    failures = [a_failure(category, retryable=again) for category, again in itertools.product(SAME, (True, False))]

    assert {shown_to_browsers(failure) for failure in failures} == {
        Failure(
            category=FailureCategory.DO_NOT_HONOR, message=MESSAGES[FailureCategory.DO_NOT_HONOR], retryable=False
        )
    }


@pytest.mark.parametrize("category", FailureCategory)
def test_no_sentence_goes_through(category: FailureCategory) -> None:
    """Each category has one of ours, and none of them names what must not be said."""
    shown = shown_to_browsers(a_failure(category))

    assert shown.message == MESSAGES[shown.category]
    assert shown.bank_code is None
    assert shown.category is (FailureCategory.DO_NOT_HONOR if category in SAME else category)
    assert not {"fraud", "stolen", "key"} & set(shown.message.lower().split())


def test_a_backend_sees_what_was_said() -> None:
    """The shop needs the code and the words."""
    failure = a_failure(FailureCategory.SUSPECTED_FRAUD)
    shown = ShownFailure.of(failure)

    assert shown is not None
    assert (shown.category.value, shown.message, shown.bank_code) == ("SUSPECTED_FRAUD", "What EPoint said.", "102")
