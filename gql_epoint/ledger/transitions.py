"""Which status follows from what is known: the one table of state transitions.

Theory. EPoint's news is unordered, repeated and sometimes contradictory: a callback can overtake the reply that
opened the payment, arrive twice, or arrive next year. So a status is never a reaction to the last message. Each
message adds facts to a set that only grows, and the status is a function of that set (`_row_of`). Any order
and any repetition of the same messages therefore ends in the same place.

Two kinds of facts cannot stand together: that it was paid, and that it failed. Then the status stays what it
was, get-status is asked, and its answer is a fact too: paid if it says `success`, else a person must decide.

An operator's decision replaces the set: what was known before is overruled, what comes later counts.

A success of a pre-authorisation is another fact than one of a payment, HELD instead of PAID, wherever it was heard:
no word about a hold is ever taken for money. What becomes of the hold is in holds.py.

What each of EPoint's words proves is in words.py, which facts it adds to what is known of a transaction in
evidence.py, when EPoint is asked in schedule.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import msgspec

from gql_epoint.ledger.events import Event, EventKind, Provenance, event_of
from gql_epoint.ledger.evidence import differs, facts_of, is_of_another, with_details
from gql_epoint.ledger.schedule import (
    AGAINST_PAID,
    APPROVED,
    ASK_DELAYS_S,
    SILENCE_LIMIT,
    WAIT_LIMIT,
    first_late_ask,
    has_question,
    is_contradictory,
    is_let_go,
    may_be_paid_late,
    waiting_since,
)
from gql_epoint.ledger.transaction import (
    Fact,
    Failure,
    HoldRequestStatus,
    Refund,
    RefundStatus,
    Status,
    Transaction,
)
from gql_epoint.ledger.words import ABANDONED, ANSWERS, RESOLVED_AS_FAILED, TEMPORARY_FAILURE, Heard, Said


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of a transaction, its new events, the refunds that changed, and the facts that were new."""

    transaction: Transaction
    events: tuple[Event, ...] = ()
    refunds: tuple[Refund, ...] = ()
    new_facts: frozenset[Fact] = frozenset()


_NEEDS_PERSON = frozenset({Fact.MISMATCH, Fact.ORDER_TAKEN, Fact.RETURNED_UNCLEAR, Fact.HOLD_UNCLEAR})
_FREES_ORDER = frozenset({Status.FAILED, Status.EXPIRED, Status.RETURNED, Status.VOIDED})


def apply(
    transaction: Transaction,
    heard: Heard,
    what: Said,
    by: Provenance,
    *,
    order_taken: bool = False,
    refunds: Sequence[Refund] = (),
    also: frozenset[Fact] = frozenset(),
) -> Change:
    """Add what EPoint said to what is known, and return what follows.

    `order_taken` says whether another payment holds the order, `refunds` are this transaction's unsettled
    refunds, `also` what the same words prove besides. The same news twice changes nothing. News about a hold comes
    through holds.py.
    """
    if heard is Heard.STATUS and what.status == "returned":
        return _apply_returned(transaction, what, by, order_taken, refunds)
    facts, ask = facts_of(transaction, heard, what, by)
    if Fact.MISMATCH in facts or is_of_another(transaction, what):
        # What contradicts the order, or is about something else, must not overwrite what is known of it.
        known = msgspec.structs.replace(transaction, call_deadline=None) if heard in ANSWERS else transaction
    else:
        known = with_details(transaction, heard, what, facts, by)
    return settle(transaction, known, facts | also, by, order_taken=order_taken, ask=ask)


def apply_loss(transaction: Transaction, by: Provenance) -> Change:
    """The answer to the call that made this transaction, or to the one that charged it, is lost."""
    if transaction.call_deadline is None:
        # That is known, or there was an answer. A person may have decided since, which no doubt can contradict.
        return Change(transaction=transaction)
    if transaction.operation.redirects and Fact.CHARGING not in transaction.facts:
        return settle(transaction, _unanswered(transaction), {Fact.OPENING_LOST}, by)
    return settle(transaction, msgspec.structs.replace(transaction, call_deadline=None), {Fact.CALL_LOST}, by)


def apply_not_sent(transaction: Transaction, by: Provenance) -> Change:
    """No connection was made, so EPoint never heard of this transaction."""
    return settle(transaction, _unanswered(transaction), {Fact.NOT_SENT}, by)


def apply_charging(transaction: Transaction, deadline: datetime, by: Provenance) -> Change:
    """What was opened before is about to be charged; the answer must be there by the deadline.

    It is NEW again, because a call is recorded and not answered. It happens once: a second charge would be another
    payment.
    """
    assert transaction.status is Status.REQUIRES_ACTION
    assert Fact.CHARGING not in transaction.facts
    known = msgspec.structs.replace(transaction, call_deadline=deadline)
    change = settle(transaction, known, {Fact.CHARGING}, by)
    # The answer to the call says more than get-status could meanwhile.
    return msgspec.structs.replace(change, transaction=msgspec.structs.replace(change.transaction, ask_at=None))


def apply_stolen_reference(transaction: Transaction, by: Provenance) -> Change:
    """EPoint named a transaction id that belongs to another of our transactions; a person must look."""
    known = msgspec.structs.replace(transaction, call_deadline=None)
    return settle(transaction, known, {Fact.MISMATCH}, by)


def apply_resolution(transaction: Transaction, *, succeeded: bool, by: Provenance, order_taken: bool) -> Change:
    """A person decided about a payment. The decision replaces all evidence that there was; holds have their own."""
    assert not transaction.is_hold
    known = msgspec.structs.replace(
        transaction, facts=frozenset(), failure=None if succeeded else RESOLVED_AS_FAILED, call_deadline=None
    )
    fact = Fact.PAID if succeeded else Fact.DECLINED
    return settle(transaction, known, {fact}, by, order_taken=order_taken, decided=True)


def apply_refund(
    transaction: Transaction,
    refund: Refund,
    outcome: RefundStatus,
    failure: Failure | None,
    by: Provenance,
    *,
    order_free: bool = False,
) -> Change:
    """A refund got an outcome; refunds that add up to the amount return the transaction.

    `order_free` says that no other payment holds the order, which is taken back if this one may be paid after all.
    """
    order_taken = False if order_free else None
    if refund.status is outcome:
        return Change(transaction=transaction)
    if refund.status in (RefundStatus.SUCCESS, RefundStatus.FAILED):
        if outcome is RefundStatus.INDETERMINATE:
            # Not to know proves nothing against what is known.
            return Change(transaction=transaction)
        # Two different ends for one refund: whoever is right, the sums can no longer be trusted.
        return settle(transaction, transaction, {Fact.RETURNED_UNCLEAR}, by, order_taken=order_taken)
    after = msgspec.structs.replace(refund, status=outcome, failure=failure, call_deadline=None, updated_at=by.now)
    open_still = outcome is RefundStatus.INDETERMINATE
    known = msgspec.structs.replace(
        transaction,
        refunded_amount=transaction.refunded_amount + (refund.amount if outcome is RefundStatus.SUCCESS else 0),
        refund_pending_amount=transaction.refund_pending_amount - (0 if open_still else refund.amount),
        version=transaction.version + 1,
        updated_at=by.now,
    )
    event = event_of(
        known, EventKind.REFUND, refund.status, outcome, by, transaction_id=known.id, refund_id=refund.id
    )
    change = settle(known, known, set(), by, order_taken=order_taken, ask_later=open_still)
    return msgspec.structs.replace(change, events=(event, *change.events), refunds=(after,))


def reserve_refund(transaction: Transaction, refund: Refund, by: Provenance) -> Change:
    """Set the refund's amount aside, so that no other refund can use it."""
    assert Decimal(0) < refund.amount <= transaction.refundable_amount
    known = msgspec.structs.replace(
        transaction,
        refund_pending_amount=transaction.refund_pending_amount + refund.amount,
        version=transaction.version + 1,
        updated_at=by.now,
    )
    event = event_of(known, EventKind.REFUND, None, refund.status, by, transaction_id=known.id, refund_id=refund.id)
    return Change(transaction=known, events=(event,), refunds=(refund,))


def first_event(transaction: Transaction, by: Provenance) -> Event:
    """The event of a transaction's birth."""
    return event_of(transaction, EventKind.STATUS, None, transaction.status, by, transaction_id=transaction.id)


def apply_silence(transaction: Transaction, by: Provenance) -> Change:
    """Time went by and asking proved nothing; past the limits a person must decide."""
    age = by.now - waiting_since(transaction)
    # A contradiction can be younger than its transaction, so it has questions of its own to wait for.
    if age >= WAIT_LIMIT and is_contradictory(transaction.facts) and transaction.asks + 1 >= len(ASK_DELAYS_S):
        return settle(transaction, transaction, {Fact.VERDICT_OTHER}, by)
    if age >= WAIT_LIMIT and transaction.status is Status.INDETERMINATE and transaction.hold_request is not None:
        given_up = msgspec.structs.replace(transaction.hold_request, given_up=True)
        return settle(transaction, msgspec.structs.replace(transaction, hold_request=given_up), set(), by)
    if age >= WAIT_LIMIT and transaction.status is Status.INDETERMINATE:
        return settle(transaction, transaction, {Fact.UNSETTLED}, by)
    if age >= SILENCE_LIMIT and not transaction.status.is_final and transaction.status is not Status.AUTHORIZED:
        return settle(transaction, transaction, {Fact.UNSETTLED}, by)
    return Change(transaction=transaction)


# ---------------------------------------------------------------------------------------------------------


def _apply_returned(
    transaction: Transaction, what: Said, by: Provenance, order_taken: bool, refunds: Sequence[Refund]
) -> Change:
    """EPoint says `returned`: everything went back, by our refunds or in EPoint's cabinet."""
    if differs(transaction, what):
        return settle(transaction, transaction, {Fact.MISMATCH}, by, order_taken=order_taken)
    known = with_details(transaction, Heard.STATUS, what, {Fact.RETURNED}, by)
    if any(refund.status is RefundStatus.PROCESSING for refund in refunds):
        # The refund's own answer is on its way and will say more.
        return settle(transaction, known, set(), by, order_taken=order_taken, ask_later=True)
    facts = {Fact.HELD if transaction.is_hold else Fact.PAID}
    if transaction.facts & AGAINST_PAID and Fact.VERDICT_PAID not in transaction.facts:
        facts.add(Fact.VERDICT_OTHER)
    unclear = [refund for refund in refunds if refund.status is RefundStatus.INDETERMINATE]
    ours = transaction.refunded_amount + sum(refund.amount for refund in unclear)
    if ours == 0:
        known = msgspec.structs.replace(known, refunded_amount=known.paid_amount)
        return settle(transaction, known, facts | {Fact.RETURNED}, by, order_taken=order_taken)
    if ours != transaction.paid_amount:
        return settle(transaction, known, facts | {Fact.RETURNED_UNCLEAR}, by, order_taken=order_taken)
    change = settle(transaction, known, facts, by, order_taken=order_taken)
    for refund in unclear:
        change = followed_by(change, apply_refund(change.transaction, refund, RefundStatus.SUCCESS, None, by))
    return change


def _status_of(transaction: Transaction, facts: frozenset[Fact]) -> Status:
    """Return the status that follows from the facts, and from what little else the table asks about."""
    request = transaction.hold_request
    lost = request is not None and request.status is HoldRequestStatus.INDETERMINATE
    return _row_of(
        facts,
        transaction.status,
        lost=lost,
        given_up=request is not None and request.given_up,
        all_refunded=transaction.refunded_amount == transaction.paid_amount,
    )


@lru_cache(maxsize=1024)
def _row_of(facts: frozenset[Fact], before: Status, *, lost: bool, given_up: bool, all_refunded: bool) -> Status:
    """The table: which status follows from a set of facts. First match wins."""
    paid, held = bool(facts & {Fact.PAID, Fact.CAPTURED}), Fact.HELD in facts
    rows = (
        (bool(facts & _NEEDS_PERSON), Status.REQUIRES_REVIEW),
        (Fact.CAPTURED in facts and Fact.RELEASED in facts, Status.REQUIRES_REVIEW),
        (bool(facts & APPROVED) and Fact.OPENING_LOST in facts, Status.REQUIRES_REVIEW),
        (is_let_go(facts), Status.VOIDED),
        (Fact.VERDICT_OTHER in facts and Fact.VERDICT_PAID not in facts, Status.REQUIRES_REVIEW),
        (is_contradictory(facts), before),
        (paid and Fact.RETURNED in facts, Status.RETURNED),
        (paid and all_refunded, Status.RETURNED),
        (paid, Status.SUCCESS),
        (held and lost and given_up, Status.REQUIRES_REVIEW),
        (held and lost, Status.INDETERMINATE),
        (held, Status.AUTHORIZED),
        (bool(facts & {Fact.DECLINED, Fact.NOT_SENT, Fact.OPENING_LOST}), Status.FAILED),
        (Fact.TIMED_OUT in facts, Status.EXPIRED),
        (Fact.UNSETTLED in facts, Status.REQUIRES_REVIEW),
        (Fact.CALL_LOST in facts, Status.INDETERMINATE),
        (Fact.CHALLENGED in facts, Status.REQUIRES_ACTION),
        (Fact.CHARGING in facts, Status.NEW),
        (Fact.OPENED in facts, Status.REQUIRES_ACTION),
    )
    return next((status for holds, status in rows if holds), Status.NEW)


def followed_by(change: Change, step: Change) -> Change:
    """Return two changes, the second of which began where the first one ended, as one."""
    return Change(
        transaction=step.transaction,
        events=(*change.events, *step.events),
        refunds=(*change.refunds, *step.refunds),
        new_facts=change.new_facts | step.new_facts,
    )


def settle(
    before: Transaction,
    known: Transaction,
    facts: set[Fact],
    by: Provenance,
    *,
    order_taken: bool | None = None,
    ask: bool = False,
    ask_later: bool = False,
    decided: bool = False,
) -> Change:
    """Derive status, order hold, schedule and events from the facts; `known` carries the new details.

    Where it is not known whether the order is taken, a hold can be given up but not gained.
    """
    all_facts = known.facts | facts
    status = _status_of(known, all_facts)
    if status in (Status.SUCCESS, Status.AUTHORIZED) and order_taken and not known.holds_order and not decided:
        all_facts |= {Fact.ORDER_TAKEN}
        status = Status.REQUIRES_REVIEW
    changed = status is not before.status
    contradictory = is_contradictory(all_facts)
    after = msgspec.structs.replace(
        known,
        status=status,
        facts=all_facts,
        holds_order=_holds_order(known, status, contradictory, order_taken),
        version=known.version + changed,
        updated_at=by.now if changed else known.updated_at,
        redirect_url=known.redirect_url if status is Status.REQUIRES_ACTION else None,
        failure=_failure_for(status, known.failure),
    )
    if ask or (contradictory and not is_contradictory(before.facts)):
        after = msgspec.structs.replace(after, ask_at=by.now, asks=0)
    elif ask_later or (changed and not status.is_final):
        after = msgspec.structs.replace(after, ask_at=by.now + timedelta(seconds=ASK_DELAYS_S[0]), asks=0)
    elif changed and may_be_paid_late(after, by.now):
        after = msgspec.structs.replace(after, ask_at=first_late_ask(by.now), asks=0)
    elif status.is_final and not contradictory and changed and not has_question(known, by.now):
        after = msgspec.structs.replace(after, ask_at=None, asks=0)
    events: tuple[Event, ...] = ()
    if changed:
        events = (event_of(after, EventKind.STATUS, before.status, status, by, transaction_id=after.id),)
    return Change(transaction=after, events=events, new_facts=all_facts - before.facts)


def _holds_order(known: Transaction, status: Status, contradictory: bool, order_taken: bool | None) -> bool:
    if known.order_id is None or (status in _FREES_ORDER and not contradictory):
        return False
    return known.holds_order or order_taken is False


def _failure_for(status: Status, failure: Failure | None) -> Failure | None:
    if status is Status.FAILED:
        return failure
    return ABANDONED if status is Status.EXPIRED else None


def _unanswered(transaction: Transaction) -> Transaction:
    # A reason that EPoint gave says more than that its answer is lost.
    return msgspec.structs.replace(
        transaction, failure=transaction.failure or TEMPORARY_FAILURE, call_deadline=None
    )
