"""What EPoint says, and what each word proves in the place where it was heard.

The same word means different things in different places: `success` in the reply to an opening call says that a
page is open, in a callback that money has moved. Words that are not in the table prove nothing, except in the
answer to a call that may have moved money: there they mean that the answer is lost.

Source: EPoint's API documents; the tables of the project's design, section 4.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import cache

import msgspec

from gql_epoint.epoint.bank_codes import FailureCategory, look_up
from gql_epoint.ledger.transaction import Failure
from gql_epoint.redaction import mask_card, redact


class Heard(StrEnum):
    """Where a word was heard; the same word proves different things in different places."""

    OPENING = "opening"  # the reply to a redirect operation
    CHARGE = "charge"  # the reply to a charge or payout
    STATUS = "status"  # the reply to get-status
    CALLBACK = "callback"


_IN_WORDS = ("status", "message", "bank_response", "card_name")


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What EPoint said, wherever it said it. Field names are those of the wire structs."""

    status: str | None = None
    code: str | None = None
    message: str | None = None
    transaction: str | None = None
    order_id: str | None = None
    amount: Decimal | None = None
    split_amount: Decimal | None = None
    currency: str | None = None
    redirect_url: str | None = None
    payment_id: str | None = None
    card_id: str | None = None
    card_name: str | None = None
    card_mask: str | None = None
    bank_transaction: str | None = None
    bank_response: str | None = None
    operation_code: str | None = None
    rrn: str | None = None
    trace_id: str | None = None


def said(wire: msgspec.Struct) -> Said:
    """Take what the books care about from a reply or a callback. What looks like a card number stays outside."""
    taken = {name: value for name in _heard_in(type(wire)) if (value := getattr(wire, name)) is not None}
    for name in _IN_WORDS:
        if name in taken:
            taken[name] = redact(taken[name])
    return Said(**taken | {"card_mask": mask_card(taken.get("card_mask"))})


@cache
def _heard_in(shape: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name in Said.__struct_fields__ if hasattr(shape, name))


class Proves(StrEnum):
    """What a word means for the money."""

    OPENED = "opened"
    CHALLENGED = "challenged"
    PAID = "paid"
    DECLINED = "declined"
    WAITING = "waiting"
    RETURNED = "returned"
    LOST = "lost"
    NOTHING = "nothing"


_PROVES = {
    (Heard.OPENING, "success"): Proves.OPENED,
    (Heard.OPENING, "error"): Proves.DECLINED,
    (Heard.CHARGE, "success"): Proves.PAID,
    (Heard.CHARGE, "failed"): Proves.DECLINED,
    (Heard.STATUS, "success"): Proves.PAID,
    (Heard.STATUS, "failed"): Proves.DECLINED,
    (Heard.STATUS, "error"): Proves.DECLINED,  # with a transaction; without one it is a refused question
    (Heard.STATUS, "new"): Proves.WAITING,
    (Heard.STATUS, "returned"): Proves.RETURNED,
    (Heard.CALLBACK, "success"): Proves.PAID,
    (Heard.CALLBACK, "failed"): Proves.DECLINED,
}

ANSWERS = frozenset({Heard.OPENING, Heard.CHARGE})

TEMPORARY_FAILURE = Failure(
    category=FailureCategory.TEMPORARY,
    message="The payment system could not be reached. No money was moved. Please try again.",
    retryable=True,
)
RESOLVED_AS_FAILED = Failure(
    category=FailureCategory.OTHER, message="No money was moved, as a person established.", retryable=False
)
ABANDONED = Failure(
    category=FailureCategory.ABANDONED, message="The payment was not finished in time.", retryable=True
)


def proves(heard: Heard, what: Said) -> Proves:
    """Return what the words prove for the money."""
    if heard in ANSWERS and is_misconfigured(what):
        return Proves.DECLINED
    meaning = _PROVES.get((heard, what.status or ""))
    if heard is Heard.OPENING and what.payment_id and what.status is None:
        return Proves.OPENED  # EPoint answers with the record itself, which has no status.
    if heard is Heard.CHARGE and what.redirect_url and meaning is not Proves.DECLINED:
        return Proves.CHALLENGED  # Whatever it says, the bank has not decided yet.
    if heard in ANSWERS:
        readable = meaning is not Proves.OPENED or what.redirect_url
        return meaning if meaning and readable else Proves.LOST
    if heard is Heard.STATUS and what.status == "error" and not what.transaction:
        return Proves.NOTHING
    return meaning or Proves.NOTHING


def is_about_payment(heard: Heard, what: Said) -> bool:
    """Whether EPoint's word is its word for the payment, and not for the call itself."""
    refused = heard is Heard.STATUS and what.status == "error" and not what.transaction
    if heard is Heard.CHARGE and what.redirect_url:
        return False
    return heard is not Heard.OPENING and what.status != "server_error" and not refused


def failure_from(what: Said) -> Failure:
    """Say why something was declined: EPoint's sentence where there is one, the code's category where known."""
    if is_misconfigured(what):
        return Failure(
            category=FailureCategory.CONFIGURATION,
            message="EPoint does not accept this merchant's keys.",
            retryable=False,
        )
    code = what.code or what.bank_response
    known = look_up(code) or look_up(what.bank_response)
    if known is None:
        message = what.message or "EPoint refused the payment and gave no reason."
        return Failure(category=FailureCategory.OTHER, message=message, retryable=False, bank_code=what.code)
    return Failure(
        category=known.category,
        message=what.message or known.message,
        retryable=known.retryable,
        bank_code=code if look_up(code) else what.bank_response,
    )


def is_unproved_no(what: Said) -> bool:
    """Whether EPoint says no to a call that may have moved money, in a word that does not prove that none moved.

    `error` is what it says to a request that it does not even try, for want of a grant for example. That it says it
    only then is documented nowhere, so what was asked for stays open, and the word is told as a hint.
    """
    return what.status == "error"


def is_misconfigured(what: Said) -> bool:
    """Whether EPoint refuses the merchant's keys: nothing was tried, so nothing moved."""
    text = (what.message or "").lower()
    return what.status == "server_error" and ("signature" in text or "merchant" in text)
