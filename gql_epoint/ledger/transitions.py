"""What the gateway's words prove, and which status follows: the one table of state transitions.

Theory. EPoint's news is unordered, repeated and sometimes contradictory: a callback can overtake the reply that
opened the payment, arrive twice, or arrive next year. So a status is never a reaction to the last message. Each
message adds facts to a set that only grows, and the status is a function of that set (`_status_of`). Any order
and any repetition of the same messages therefore ends in the same place.

Two kinds of facts cannot stand together: that it was paid, and that it failed. Then the status stays what it
was, get-status is asked, and its answer is a fact too: paid if it says `success`, else a person must decide.

An operator's decision replaces the set: what was known before is overruled, what comes later counts.

Source for the words: EPoint's API documents; the tables of the project's design, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from gql_epoint.epoint.bank_codes import FailureCategory, look_up
from gql_epoint.ledger.transaction import (
    Event,
    EventKind,
    Fact,
    Failure,
    Provenance,
    Refund,
    RefundStatus,
    Status,
    Transaction,
)

WAIT_LIMIT = timedelta(hours=24)
# Longer than EPoint keeps anything open; a payment about which nothing was ever proved needs a person.
SILENCE_LIMIT = timedelta(days=7)
ASK_DELAYS_S = (5, 15, 60, 300, 900, 3600)


class Heard(Enum):
    """Where a word was heard; the same word proves different things in different places."""

    OPENING = "opening"  # the reply to a redirect operation
    CHARGE = "charge"  # the reply to a charge or payout
    STATUS = "status"  # the reply to get-status
    CALLBACK = "callback"


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
    card_id: str | None = None
    card_name: str | None = None
    card_mask: str | None = None
    bank_transaction: str | None = None
    bank_response: str | None = None
    operation_code: str | None = None
    rrn: str | None = None
    trace_id: str | None = None


def said(wire: Any) -> Said:
    """Take what the books care about from a reply or a callback."""
    return Said(**{name: getattr(wire, name, None) for name in Said.__struct_fields__})


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of a transaction, its new events, the refunds that changed, and the facts that were new."""

    transaction: Transaction
    events: tuple[Event, ...] = ()
    refunds: tuple[Refund, ...] = ()
    new_facts: frozenset[Fact] = frozenset()


class Proves(Enum):
    """What a word means for the money."""

    OPENED = "opened"
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

_AGAINST_PAID = frozenset({Fact.DECLINED, Fact.TIMED_OUT, Fact.NOT_SENT})
_VERDICTS = frozenset({Fact.VERDICT_PAID, Fact.VERDICT_OTHER})
_ANSWERS = frozenset({Heard.OPENING, Heard.CHARGE})
_NEEDS_PERSON = frozenset({Fact.MISMATCH, Fact.ORDER_TAKEN, Fact.RETURNED_UNCLEAR})
_FREES_ORDER = frozenset({Status.FAILED, Status.EXPIRED, Status.RETURNED, Status.VOIDED})

TEMPORARY_FAILURE = Failure(
    category=FailureCategory.TEMPORARY,
    message="The payment system could not be reached. No money was moved. Please try again.",
    retryable=True,
)
RESOLVED_AS_FAILED = Failure(
    category=FailureCategory.OTHER, message="No money was moved, as a person established.", retryable=False
)
_ABANDONED = Failure(
    category=FailureCategory.ABANDONED, message="The payment was not finished in time.", retryable=True
)


def apply(
    transaction: Transaction,
    heard: Heard,
    what: Said,
    by: Provenance,
    *,
    order_taken: bool = False,
    refunds: Sequence[Refund] = (),
) -> Change:
    """Add what EPoint said to what is known, and return what follows.

    `order_taken` says whether another payment holds the order, `refunds` are this transaction's unsettled
    refunds. The same news twice changes nothing.
    """
    if heard is Heard.STATUS and what.status == "returned":
        return _apply_returned(transaction, what, by, order_taken, refunds)
    facts, ask = _facts_of(transaction, heard, what, by)
    if Fact.MISMATCH in facts or _is_of_another(transaction, what):
        # What contradicts the order, or is about something else, must not overwrite what is known of it.
        known = msgspec.structs.replace(transaction, call_deadline=None) if heard in _ANSWERS else transaction
    else:
        known = _with_details(transaction, heard, what, facts, by)
    return _settle(transaction, known, facts, by, order_taken=order_taken, ask=ask)


def apply_loss(transaction: Transaction, by: Provenance) -> Change:
    """The answer to the call that made this transaction is lost."""
    if transaction.operation.redirects:
        return _settle(transaction, _unanswered(transaction), {Fact.OPENING_LOST}, by)
    return _settle(transaction, msgspec.structs.replace(transaction, call_deadline=None), {Fact.CALL_LOST}, by)


def apply_not_sent(transaction: Transaction, by: Provenance) -> Change:
    """No connection was made, so EPoint never heard of this transaction."""
    return _settle(transaction, _unanswered(transaction), {Fact.NOT_SENT}, by)


def apply_stolen_reference(transaction: Transaction, by: Provenance) -> Change:
    """EPoint named a transaction id that belongs to another of our transactions; a person must look."""
    known = msgspec.structs.replace(transaction, call_deadline=None)
    return _settle(transaction, known, {Fact.MISMATCH}, by)


def apply_resolution(transaction: Transaction, *, succeeded: bool, by: Provenance, order_taken: bool) -> Change:
    """A person decided. The decision replaces all evidence that there was."""
    known = msgspec.structs.replace(
        transaction, facts=frozenset(), failure=None if succeeded else RESOLVED_AS_FAILED, call_deadline=None
    )
    fact = Fact.PAID if succeeded else Fact.DECLINED
    return _settle(transaction, known, {fact}, by, order_taken=order_taken, decided=True)


def apply_refund(
    transaction: Transaction, refund: Refund, outcome: RefundStatus, failure: Failure | None, by: Provenance
) -> Change:
    """A refund got an outcome; refunds that add up to the amount return the transaction."""
    if refund.status is outcome:
        return Change(transaction=transaction)
    if refund.status in (RefundStatus.SUCCESS, RefundStatus.FAILED):
        if outcome is RefundStatus.INDETERMINATE:
            # Not to know proves nothing against what is known.
            return Change(transaction=transaction)
        # Two different ends for one refund: whoever is right, the sums can no longer be trusted.
        return _settle(transaction, transaction, {Fact.RETURNED_UNCLEAR}, by)
    after = msgspec.structs.replace(refund, status=outcome, failure=failure, call_deadline=None, updated_at=by.now)
    open_still = outcome is RefundStatus.INDETERMINATE
    known = msgspec.structs.replace(
        transaction,
        refunded_amount=transaction.refunded_amount + (refund.amount if outcome is RefundStatus.SUCCESS else 0),
        refund_pending_amount=transaction.refund_pending_amount - (0 if open_still else refund.amount),
        version=transaction.version + 1,
        updated_at=by.now,
    )
    event = _refund_event(known, refund, outcome, by)
    change = _settle(known, known, set(), by, ask_later=open_still)
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
    event = _refund_event(known, None, refund.status, by, refund_id=refund.id)
    return Change(transaction=known, events=(event,), refunds=(refund,))


def first_event(transaction: Transaction, by: Provenance) -> Event:
    """The event of a transaction's birth."""
    return _status_event(transaction, None, by)


def is_contradictory(facts: frozenset[Fact]) -> bool:
    """Whether the facts say both paid and not paid, and nobody has decided which."""
    return Fact.PAID in facts and bool(facts & _AGAINST_PAID) and not facts & _VERDICTS


def after_ask(transaction: Transaction, now: datetime, *, unsettled_refunds: bool) -> Transaction:
    """Schedule the next get-status, after one was asked and its answer (if any) applied.

    Each wait starts with the short delays, however old the transaction is. A question that was asked about a
    final state (a callback proved nothing) is repeated a few times until EPoint answers.
    """
    age = now - transaction.created_at
    quick = transaction.asks + 1 < len(ASK_DELAYS_S)
    open_question = not transaction.status.is_final or is_contradictory(transaction.facts) or unsettled_refunds
    unanswered = transaction.gateway.last_confirmed_at != now and quick
    given_up = transaction.status is Status.REQUIRES_REVIEW and age >= WAIT_LIMIT
    if given_up or not (open_question or unanswered):
        return msgspec.structs.replace(transaction, ask_at=None, asks=0)
    late_delay_s = ASK_DELAYS_S[-1] if age < WAIT_LIMIT else 86_400
    delay_s = ASK_DELAYS_S[transaction.asks + 1] if quick else late_delay_s
    return msgspec.structs.replace(transaction, asks=transaction.asks + 1, ask_at=now + timedelta(seconds=delay_s))


def apply_silence(transaction: Transaction, by: Provenance) -> Change:
    """Time went by and asking proved nothing; past the limits a person must decide."""
    age = by.now - transaction.created_at
    # A contradiction can be younger than its transaction, so it has questions of its own to wait for.
    if age >= WAIT_LIMIT and is_contradictory(transaction.facts) and transaction.asks + 1 >= len(ASK_DELAYS_S):
        return _settle(transaction, transaction, {Fact.VERDICT_OTHER}, by)
    if age >= WAIT_LIMIT and transaction.status is Status.INDETERMINATE:
        return _settle(transaction, transaction, {Fact.UNSETTLED}, by)
    if age >= SILENCE_LIMIT and not transaction.status.is_final:
        return _settle(transaction, transaction, {Fact.UNSETTLED}, by)
    return Change(transaction=transaction)


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


def is_misconfigured(what: Said) -> bool:
    """Whether EPoint refuses the merchant's keys: nothing was tried, so nothing moved."""
    text = (what.message or "").lower()
    return what.status == "server_error" and ("signature" in text or "merchant" in text)


# ---------------------------------------------------------------------------------------------------------


def _proves(heard: Heard, what: Said) -> Proves:
    if heard in _ANSWERS and is_misconfigured(what):
        return Proves.DECLINED
    proves = _PROVES.get((heard, what.status or ""))
    if heard in _ANSWERS:
        readable = proves is not Proves.OPENED or what.redirect_url
        return proves if proves and readable else Proves.LOST
    if heard is Heard.STATUS and what.status == "error" and not what.transaction:
        return Proves.NOTHING
    return proves or Proves.NOTHING


def _facts_of(transaction: Transaction, heard: Heard, what: Said, by: Provenance) -> tuple[set[Fact], bool]:
    """Return the facts that the words add, and whether get-status must be asked at once."""
    proves = _proves(heard, what)
    if proves is Proves.LOST:
        return {Fact.OPENING_LOST if heard is Heard.OPENING else Fact.CALL_LOST}, False
    if _is_of_another(transaction, what) and proves is not Proves.PAID:
        # The answer to our own call can be about nothing else, unless something is very wrong.
        return ({Fact.MISMATCH} if heard in _ANSWERS else set()), heard is Heard.CALLBACK
    if proves is Proves.OPENED:
        # A late answer opens nothing: the caller was told that the attempt failed.
        return ({Fact.OPENED} if transaction.status is Status.NEW else set()), False
    if proves is Proves.PAID:
        if _differs(transaction, what):
            return {Fact.MISMATCH}, False
        if heard is Heard.CALLBACK and _lacks(transaction, what):
            return set(), True
        contradictory = heard is Heard.STATUS and bool(transaction.facts & _AGAINST_PAID)
        return ({Fact.PAID, Fact.VERDICT_PAID} if contradictory else {Fact.PAID}), False
    if proves is Proves.DECLINED:
        contradictory = heard is Heard.STATUS and Fact.PAID in transaction.facts
        return ({Fact.DECLINED, Fact.VERDICT_OTHER} if contradictory else {Fact.DECLINED}), False
    if proves is Proves.WAITING:
        if is_contradictory(transaction.facts):
            return {Fact.VERDICT_OTHER}, False
        old = by.now - transaction.created_at >= WAIT_LIMIT
        expires = old and transaction.status is Status.REQUIRES_ACTION
        return ({Fact.TIMED_OUT} if expires else set()), False
    return set(), heard is Heard.CALLBACK


def _apply_returned(
    transaction: Transaction, what: Said, by: Provenance, order_taken: bool, refunds: Sequence[Refund]
) -> Change:
    """EPoint says `returned`: everything went back, by our refunds or in EPoint's cabinet."""
    if _differs(transaction, what):
        return _settle(transaction, transaction, {Fact.MISMATCH}, by, order_taken=order_taken)
    known = _with_details(transaction, Heard.STATUS, what, {Fact.RETURNED}, by)
    if any(refund.status is RefundStatus.PROCESSING for refund in refunds):
        # The refund's own answer is on its way and will say more.
        return _settle(transaction, known, set(), by, order_taken=order_taken, ask_later=True)
    facts = {Fact.PAID}
    if transaction.facts & _AGAINST_PAID and Fact.VERDICT_PAID not in transaction.facts:
        facts.add(Fact.VERDICT_OTHER)
    unclear = [refund for refund in refunds if refund.status is RefundStatus.INDETERMINATE]
    ours = transaction.refunded_amount + sum(refund.amount for refund in unclear)
    if ours == 0:
        known = msgspec.structs.replace(known, refunded_amount=known.amount)
        return _settle(transaction, known, facts | {Fact.RETURNED}, by, order_taken=order_taken)
    if ours != transaction.amount:
        return _settle(transaction, known, facts | {Fact.RETURNED_UNCLEAR}, by, order_taken=order_taken)
    change = _settle(transaction, known, facts, by, order_taken=order_taken)
    for refund in unclear:
        step = apply_refund(change.transaction, refund, RefundStatus.SUCCESS, None, by)
        change = Change(
            transaction=step.transaction,
            events=(*change.events, *step.events),
            refunds=(*change.refunds, *step.refunds),
            new_facts=change.new_facts | step.new_facts,
        )
    return change


def _status_of(transaction: Transaction, facts: frozenset[Fact]) -> Status:
    """The table: which status follows from a set of facts. First match wins."""
    paid = Fact.PAID in facts
    rows = (
        (bool(facts & _NEEDS_PERSON), Status.REQUIRES_REVIEW),
        (paid and Fact.OPENING_LOST in facts, Status.REQUIRES_REVIEW),
        (Fact.VERDICT_OTHER in facts and Fact.VERDICT_PAID not in facts, Status.REQUIRES_REVIEW),
        (is_contradictory(facts), transaction.status),
        (paid and Fact.RETURNED in facts, Status.RETURNED),
        (paid and transaction.refunded_amount == transaction.amount, Status.RETURNED),
        (paid, Status.SUCCESS),
        (bool(facts & {Fact.DECLINED, Fact.NOT_SENT, Fact.OPENING_LOST}), Status.FAILED),
        (Fact.TIMED_OUT in facts, Status.EXPIRED),
        (Fact.UNSETTLED in facts, Status.REQUIRES_REVIEW),
        (Fact.CALL_LOST in facts, Status.INDETERMINATE),
        (Fact.OPENED in facts, Status.REQUIRES_ACTION),
    )
    return next((status for holds, status in rows if holds), Status.NEW)


def _settle(
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
    if status is Status.SUCCESS and order_taken and not known.holds_order and not decided:
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
    elif status.is_final and not contradictory and changed and not _has_question(known, by.now):
        after = msgspec.structs.replace(after, ask_at=None, asks=0)
    events = (_status_event(after, before.status, by),) if changed else ()
    return Change(transaction=after, events=events, new_facts=all_facts - before.facts)


def _has_question(known: Transaction, now: datetime) -> bool:
    """Whether get-status has something to answer that a final state does not make void."""
    due = known.ask_at is not None and known.ask_at <= now
    return due or (known.ask_at is not None and known.refund_pending_amount > 0)


def _holds_order(known: Transaction, status: Status, contradictory: bool, order_taken: bool | None) -> bool:
    if known.order_id is None or (status in _FREES_ORDER and not contradictory):
        return False
    return known.holds_order or order_taken is False


def _failure_for(status: Status, failure: Failure | None) -> Failure | None:
    if status is Status.FAILED:
        return failure
    return _ABANDONED if status is Status.EXPIRED else None


def _with_details(
    transaction: Transaction, heard: Heard, what: Said, facts: set[Fact], by: Provenance
) -> Transaction:
    """Keep EPoint's references; what is not said again stays as it was."""
    old = transaction.gateway
    confirms = bool(facts - {Fact.OPENED, Fact.CALL_LOST, Fact.OPENING_LOST}) or (
        heard is Heard.STATUS and _proves(heard, what) is not Proves.NOTHING
    )
    gateway = msgspec.structs.replace(
        old,
        status=(what.status if _is_about_payment(heard, what) else None) or old.status,
        transaction_id=old.transaction_id or what.transaction,
        bank_transaction_id=what.bank_transaction or old.bank_transaction_id,
        bank_response=what.bank_response or old.bank_response,
        operation_code=what.operation_code or old.operation_code,
        rrn=what.rrn or old.rrn,
        trace_id=what.trace_id or old.trace_id,
        last_confirmed_at=by.now if confirms else old.last_confirmed_at,
    )
    failure = transaction.failure
    if Fact.DECLINED in facts and failure in (None, TEMPORARY_FAILURE, _ABANDONED):
        failure = failure_from(what)
    elif Fact.OPENING_LOST in facts:
        failure = failure or TEMPORARY_FAILURE
    return msgspec.structs.replace(
        transaction,
        gateway=gateway,
        call_deadline=None if heard in _ANSWERS else transaction.call_deadline,
        redirect_url=what.redirect_url if Fact.OPENED in facts else transaction.redirect_url,
        card_mask=what.card_mask or transaction.card_mask,
        card_holder_name=what.card_name or transaction.card_holder_name,
        failure=failure,
    )


def _unanswered(transaction: Transaction) -> Transaction:
    # A reason that EPoint gave says more than that its answer is lost.
    return msgspec.structs.replace(
        transaction, failure=transaction.failure or TEMPORARY_FAILURE, call_deadline=None
    )


def _is_about_payment(heard: Heard, what: Said) -> bool:
    """Whether EPoint's word is its word for the payment, and not for the call itself."""
    refused = heard is Heard.STATUS and what.status == "error" and not what.transaction
    return heard is not Heard.OPENING and what.status != "server_error" and not refused


def _is_of_another(transaction: Transaction, what: Said) -> bool:
    return _other(transaction.gateway.transaction_id, what.transaction)


def _lacks(transaction: Transaction, what: Said) -> bool:
    """Whether a success leaves out something by which it could be checked."""
    return None in (what.amount, what.transaction) or (
        what.order_id is None and transaction.gateway_order_id is not None
    )


def _differs(transaction: Transaction, what: Said) -> bool:
    """Whether a success is about something else than what was ordered."""
    return (
        _other(transaction.gateway_order_id, what.order_id)
        or _is_of_another(transaction, what)
        or _other(transaction.amount, what.amount)
        or _other(transaction.currency, what.currency)
        or _other(transaction.split_amount, what.split_amount)
    )


def _other(ordered: object, heard: object) -> bool:
    return ordered is not None and heard is not None and ordered != heard


def _status_event(after: Transaction, previous: Status | None, by: Provenance) -> Event:
    return Event(
        stream_id=after.id,
        sequence=after.version,
        kind=EventKind.STATUS,
        previous=previous,
        current=after.status,
        recorded_at=by.now,
        source=by.source,
        actor=by.actor,
        note=by.note,
        transaction_id=after.id,
        callback_id=by.callback_id,
    )


def _refund_event(
    after: Transaction, before: Refund | None, outcome: RefundStatus, by: Provenance, refund_id: str | None = None
) -> Event:
    return Event(
        stream_id=after.id,
        sequence=after.version,
        kind=EventKind.REFUND,
        previous=before.status if before else None,
        current=outcome,
        recorded_at=by.now,
        source=by.source,
        actor=by.actor,
        note=by.note,
        transaction_id=after.id,
        refund_id=before.id if before else refund_id,
    )
