"""What becomes of a hold: captures, cancellations, and what get-status can prove about them.

Theory. A pre-authorisation is held by a success, as a payment is paid by one, and then waits. The shop takes it or
lets it go, in one request at a time: the row has room for one, so a capture and a cancellation can never both be
sent. The request has its own small life, as a refund has; its success adds CAPTURED or RELEASED to the facts.

EPoint does not document its get-status word for a hold, before or after the capture. If that word is `success`, it
says the same about money that is held and money that was taken. So `success` alone proves a hold and no capture. It
proves the capture whose answer was lost only for a reason: get-status had another word while the amount was merely
held, or it names the part that was to be taken. A `success` for such a reason, without a capture of ours, is for a
person: somebody took the money in EPoint's cabinet. `returned` proves that nothing is held any more. `failed` is no
news about a hold that was let go: nothing was captured and nothing is held, whatever EPoint's word for that is.

Source: EPoint's API documents v1.0.3 name pre-auth-request and pre-auth-complete; that a hold is cancelled by its
`reverse` is inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from gql_epoint.ledger.events import Event, EventKind, Provenance, event_of
from gql_epoint.ledger.evidence import differs, with_details
from gql_epoint.ledger.schedule import AGAINST_PAID, is_let_go
from gql_epoint.ledger.transaction import (
    Fact,
    Failure,
    HoldRequest,
    HoldRequestKind,
    HoldRequestStatus,
    Refund,
    Status,
    Transaction,
)
from gql_epoint.ledger.transitions import Change, apply, followed_by, settle
from gql_epoint.ledger.words import RESOLVED_AS_FAILED, Heard, Proves, Said, proves

# What EPoint says of everything; `new` may be an old answer, read before the customer had acted.
_COMMON_WORDS = frozenset({"new", "success", "returned", "error", "failed", "server_error"})


class HoldFinding(StrEnum):
    """What a person found about a hold."""

    HELD = "HELD"
    CAPTURED = "CAPTURED"
    RELEASED = "RELEASED"


def apply_to_hold(
    transaction: Transaction,
    heard: Heard,
    what: Said,
    by: Provenance,
    *,
    order_taken: bool = False,
    refunds: Sequence[Refund] = (),
) -> Change:
    """Add what EPoint said about a pre-authorisation, as `apply` does for payments."""
    assert transaction.is_hold
    if heard is Heard.STATUS and what.status == "returned" and Fact.CAPTURED not in transaction.facts:
        return _apply_gone(transaction, what, by, order_taken)
    if proves(heard, what) is Proves.DECLINED and not differs(transaction, what):
        if is_let_go(transaction.facts):
            return Change(transaction=transaction)
        if _is_being_let_go(transaction):
            # The cancellation's own answer is on its way and will say more.
            return settle(transaction, transaction, set(), by, ask_later=True)
    capture = _lost_capture(transaction)
    is_taken = heard is Heard.STATUS and _shows_capture(transaction, what)
    also = set()
    if is_taken and capture is None:
        also.add(Fact.HOLD_UNCLEAR)
    if heard is Heard.STATUS and _teaches_word(transaction, what):
        also.add(Fact.HELD_WORD_DIFFERS)
    change = apply(transaction, heard, what, by, order_taken=order_taken, refunds=refunds, also=frozenset(also))
    if not is_taken or capture is None:
        return change
    answer = apply_hold_answer(change.transaction, capture.number, HoldRequestStatus.SUCCESS, None, by)
    return followed_by(change, answer)


def can_be_settled(transaction: Transaction) -> bool:
    """Whether a capture or a cancellation may be sent: the amount is held, and no other request is open."""
    doubtful = bool(transaction.facts & AGAINST_PAID) and Fact.VERDICT_PAID not in transaction.facts
    return transaction.status is Status.AUTHORIZED and not doubtful and not _is_open(transaction.hold_request)


def reserve_hold_request(transaction: Transaction, request: HoldRequest, by: Provenance) -> Change:
    """Write a capture or a cancellation down, so that no other can be sent before it has an end."""
    assert can_be_settled(transaction)
    assert request.number == next_number(transaction)
    if request.kind is HoldRequestKind.CAPTURE:
        assert request.amount is not None
        assert Decimal(0) < request.amount <= transaction.amount
    known = _grown(transaction, by, hold_request=request)
    return Change(transaction=known, events=(_event(known, None, by),))


def next_number(transaction: Transaction) -> int:
    """Return the number of the next request."""
    return 1 if transaction.hold_request is None else transaction.hold_request.number + 1


def apply_hold_answer(
    transaction: Transaction,
    number: int,
    outcome: HoldRequestStatus,
    failure: Failure | None,
    by: Provenance,
    *,
    order_free: bool = False,
) -> Change:
    """A capture or a cancellation got an outcome. The same outcome twice changes nothing.

    `order_free` says that no other payment holds the order, which is taken back if this one was taken after all.
    """
    request, order_taken = transaction.hold_request, False if order_free else None
    assert request is not None
    if request.number != number:
        # An answer that comes after a person has decided, and another request was made since.
        late = {Fact.HOLD_UNCLEAR} if outcome is HoldRequestStatus.SUCCESS else set()
        return settle(transaction, transaction, late, by, order_taken=order_taken)
    if request.status is outcome:
        return Change(transaction=transaction)
    if request.status in (HoldRequestStatus.SUCCESS, HoldRequestStatus.FAILED):
        # Not to know proves nothing against what is known; two different ends cannot both be right.
        two_ends = outcome is not HoldRequestStatus.INDETERMINATE
        unclear = {Fact.HOLD_UNCLEAR} if two_ends else set()
        return settle(transaction, transaction, unclear, by, order_taken=order_taken)
    ended = msgspec.structs.replace(request, status=outcome, failure=failure, call_deadline=None)
    known, facts = _grown(transaction, by, hold_request=ended), set()
    if outcome is HoldRequestStatus.SUCCESS and request.kind is HoldRequestKind.CAPTURE:
        known, facts = msgspec.structs.replace(known, captured_amount=request.amount), {Fact.CAPTURED}
    elif outcome is HoldRequestStatus.SUCCESS:
        facts = {Fact.RELEASED}
    event = _event(known, request.status, by)
    lost = outcome is HoldRequestStatus.INDETERMINATE
    change = settle(known, known, facts, by, order_taken=order_taken, ask_later=lost)
    return msgspec.structs.replace(change, events=(event, *change.events))


def apply_hold_resolution(
    transaction: Transaction,
    finding: HoldFinding,
    captured_amount: Decimal | None,
    by: Provenance,
    *,
    order_taken: bool,
) -> Change:
    """A person decided. The decision replaces all evidence that there was, and ends a request whose answer is lost.

    `captured_amount` is for CAPTURED: what was taken. An order that is free by now is held again by what is held
    or was taken.
    """
    captured = finding is HoldFinding.CAPTURED
    assert transaction.is_hold
    assert captured == (captured_amount is not None)
    known = transaction
    events: tuple[Event, ...] = ()
    request = transaction.hold_request
    if request is not None and _is_open(request):
        expected = HoldFinding.CAPTURED if request.kind is HoldRequestKind.CAPTURE else HoldFinding.RELEASED
        succeeded = finding is expected
        ended = msgspec.structs.replace(
            request,
            status=HoldRequestStatus.SUCCESS if succeeded else HoldRequestStatus.FAILED,
            failure=None if succeeded else RESOLVED_AS_FAILED,
            call_deadline=None,
        )
        known = _grown(transaction, by, hold_request=ended)
        events = (_event(known, request.status, by),)
    facts = {Fact.HELD} | ({Fact(finding.value)} if finding is not HoldFinding.HELD else set())
    known = msgspec.structs.replace(
        known, facts=frozenset(), failure=None, call_deadline=None, captured_amount=captured_amount
    )
    change = settle(transaction, known, facts, by, order_taken=order_taken, decided=True)
    return msgspec.structs.replace(change, events=(*events, *change.events))


# ---------------------------------------------------------------------------------------------------------


def _shows_capture(transaction: Transaction, what: Said) -> bool:
    """Whether get-status's `success` gives a reason to think that the money was taken; see the theory above."""
    request = transaction.hold_request
    if proves(Heard.STATUS, what) is not Proves.PAID or differs(transaction, what):
        return False
    if Fact.CAPTURED in transaction.facts or (request and request.status is HoldRequestStatus.PROCESSING):
        # It is known, or the request's own answer is on its way and will say more.
        return False
    return Fact.HELD_WORD_DIFFERS in transaction.facts or what.amount not in (None, transaction.amount)


def _is_being_let_go(transaction: Transaction) -> bool:
    request = transaction.hold_request
    in_flight = request is not None and request.status is HoldRequestStatus.PROCESSING
    return in_flight and request is not None and request.kind is HoldRequestKind.CANCEL


def _lost_capture(transaction: Transaction) -> HoldRequest | None:
    request = transaction.hold_request
    lost = request is not None and request.status is HoldRequestStatus.INDETERMINATE
    return request if request is not None and lost and request.kind is HoldRequestKind.CAPTURE else None


def _teaches_word(transaction: Transaction, what: Said) -> bool:
    """Whether get-status has a word of its own for what is held, and nobody has asked for anything yet."""
    named = what.transaction is not None and what.transaction == transaction.gateway.transaction_id
    quiet = transaction.status is Status.AUTHORIZED and transaction.hold_request is None
    return named and quiet and what.status is not None and what.status not in _COMMON_WORDS


def _apply_gone(transaction: Transaction, what: Said, by: Provenance, order_taken: bool) -> Change:
    """EPoint says `returned` of something that we know no capture of: nothing is held any more."""
    if differs(transaction, what):
        return settle(transaction, transaction, {Fact.MISMATCH}, by, order_taken=order_taken)
    request = transaction.hold_request
    known = with_details(transaction, Heard.STATUS, what, {Fact.RELEASED}, by)
    if request is not None and request.status is HoldRequestStatus.PROCESSING:
        # The request's own answer is on its way and will say more.
        return settle(transaction, known, set(), by, order_taken=order_taken, ask_later=True)
    facts = {Fact.HELD}
    if request is None or request.status is not HoldRequestStatus.INDETERMINATE:
        return settle(transaction, known, facts | {Fact.RELEASED}, by, order_taken=order_taken)
    if request.kind is HoldRequestKind.CAPTURE:
        # It was taken and given back, or never taken: the books cannot tell.
        return settle(transaction, known, facts | {Fact.HOLD_UNCLEAR}, by, order_taken=order_taken)
    change = settle(transaction, known, facts, by, order_taken=order_taken)
    answer = apply_hold_answer(change.transaction, request.number, HoldRequestStatus.SUCCESS, None, by)
    return followed_by(change, answer)


def _is_open(request: HoldRequest | None) -> bool:
    return request is not None and request.status in (HoldRequestStatus.PROCESSING, HoldRequestStatus.INDETERMINATE)


def _grown(transaction: Transaction, by: Provenance, *, hold_request: HoldRequest) -> Transaction:
    return msgspec.structs.replace(
        transaction, hold_request=hold_request, version=transaction.version + 1, updated_at=by.now
    )


def _event(after: Transaction, previous: HoldRequestStatus | None, by: Provenance) -> Event:
    request = after.hold_request
    assert request is not None
    return event_of(
        after,
        EventKind.HOLD,
        previous,
        request.status,
        by,
        transaction_id=after.id,
        hold_request=request.kind,
        amount=request.amount,
    )
