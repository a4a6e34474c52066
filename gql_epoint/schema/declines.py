"""What a browser may know of a decline.

Whoever tries stolen cards learns from each answer. So "stolen", "suspected fraud" and a plain "no" look the same,
and no sentence of the bank's or of EPoint's goes through: there is one of ours for each category.
"""

from __future__ import annotations

import msgspec

from gql_epoint.epoint.bank_codes import FailureCategory
from gql_epoint.ledger.transaction import Failure

_LOOKS_LIKE_NO = frozenset({FailureCategory.CARD_UNUSABLE, FailureCategory.SUSPECTED_FRAUD})

MESSAGES = {
    FailureCategory.INSUFFICIENT_FUNDS: "There is not enough money on the card, or it is over its limit.",
    FailureCategory.DO_NOT_HONOR: "The bank declined the payment. Use another card, or ask your bank.",
    FailureCategory.AUTHENTICATION_FAILED: "The bank could not confirm that it is you. Please try again.",
    FailureCategory.TEMPORARY: "The payment could not be made now. Please try again a little later.",
    FailureCategory.CONFIGURATION: "The payment cannot be made here now. Please tell the shop.",
    FailureCategory.ABANDONED: "The payment was not finished in time.",
    FailureCategory.OTHER: "The payment was not made. Please try another card.",
}


def shown_to_browsers(failure: Failure) -> Failure:
    """Return the failure as a client token may see it."""
    looks_like_no = failure.category in _LOOKS_LIKE_NO or failure.category is FailureCategory.DO_NOT_HONOR
    category = FailureCategory.DO_NOT_HONOR if looks_like_no else failure.category
    return msgspec.structs.replace(
        failure,
        category=category,
        message=MESSAGES[category],
        retryable=failure.retryable and not looks_like_no,
        bank_code=None,
    )
