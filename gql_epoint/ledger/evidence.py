"""Which facts EPoint's words add to what is known of a transaction, and which details they bring.

A word is weighed against what was ordered and what was heard before: a success of another amount is no payment, and
a success after a decline needs get-status to confirm it. What follows from the facts is in transitions.py.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gql_epoint.ledger.events import Provenance
from gql_epoint.ledger.schedule import AGAINST_PAID, APPROVED, WAIT_LIMIT, is_contradictory, waiting_since
from gql_epoint.ledger.transaction import Fact, HoldRequestKind, HoldRequestStatus, Status, Transaction
from gql_epoint.ledger.words import (
    ABANDONED,
    ANSWERS,
    TEMPORARY_FAILURE,
    Heard,
    Proves,
    Said,
    failure_from,
    is_about_payment,
    proves,
)

_HAVE_PAGE = frozenset({Fact.OPENED, Fact.CHALLENGED})
_PROVE_NOTHING = _HAVE_PAGE | {Fact.CALL_LOST, Fact.OPENING_LOST}


def facts_of(transaction: Transaction, heard: Heard, what: Said, by: Provenance) -> tuple[set[Fact], bool]:
    """Return the facts that the words add, and whether get-status must be asked at once."""
    meaning = proves(heard, what)
    if meaning is Proves.LOST and transaction.call_deadline is None:
        return set(), False  # As in `apply_loss`.
    if meaning is Proves.LOST:
        return {Fact.OPENING_LOST if heard is Heard.OPENING else Fact.CALL_LOST}, False
    if is_of_another(transaction, what) and meaning is not Proves.PAID:
        # The answer to our own call can be about nothing else, unless something is very wrong.
        return ({Fact.MISMATCH} if heard in ANSWERS else set()), heard is Heard.CALLBACK
    if meaning is Proves.OPENED:
        # A late answer opens nothing: the caller was told that the attempt failed.
        return ({Fact.OPENED} if transaction.status is Status.NEW else set()), False
    if meaning is Proves.CHALLENGED:
        return ({Fact.CHALLENGED} if transaction.status is Status.NEW else set()), False
    if meaning is Proves.PAID:
        if differs(transaction, what):
            return {Fact.MISMATCH}, False
        if heard is Heard.CALLBACK and _lacks(transaction, what):
            return set(), True
        success = Fact.HELD if transaction.is_hold else Fact.PAID
        contradictory = heard is Heard.STATUS and bool(transaction.facts & AGAINST_PAID)
        return ({success, Fact.VERDICT_PAID} if contradictory else {success}), False
    if meaning is Proves.DECLINED:
        contradictory = heard is Heard.STATUS and bool(transaction.facts & APPROVED)
        return ({Fact.DECLINED, Fact.VERDICT_OTHER} if contradictory else {Fact.DECLINED}), False
    if meaning is Proves.WAITING:
        if is_contradictory(transaction.facts):
            return {Fact.VERDICT_OTHER}, False
        old = by.now - waiting_since(transaction) >= WAIT_LIMIT
        # A charge whose answer is lost, and which EPoint has still not made of what was opened, never arrived.
        never_charged = transaction.status is Status.INDETERMINATE and Fact.CHARGING in transaction.facts
        expires = old and (transaction.status is Status.REQUIRES_ACTION or never_charged)
        return ({Fact.TIMED_OUT} if expires else set()), False
    return set(), heard is Heard.CALLBACK


def with_details(
    transaction: Transaction, heard: Heard, what: Said, facts: set[Fact], by: Provenance
) -> Transaction:
    """Keep EPoint's references; what is not said again stays as it was."""
    old = transaction.gateway
    confirms = bool(facts - _PROVE_NOTHING) or (heard is Heard.STATUS and proves(heard, what) is not Proves.NOTHING)
    gateway = msgspec.structs.replace(
        old,
        status=(what.status if is_about_payment(heard, what) else None) or old.status,
        transaction_id=old.transaction_id or what.transaction,
        bank_transaction_id=what.bank_transaction or old.bank_transaction_id,
        bank_response=what.bank_response or old.bank_response,
        operation_code=what.operation_code or old.operation_code,
        rrn=what.rrn or old.rrn,
        trace_id=what.trace_id or old.trace_id,
        last_confirmed_at=by.now if confirms else old.last_confirmed_at,
    )
    failure = transaction.failure
    if Fact.DECLINED in facts and failure in (None, TEMPORARY_FAILURE, ABANDONED):
        failure = failure_from(what)
    elif Fact.OPENING_LOST in facts:
        failure = failure or TEMPORARY_FAILURE
    return msgspec.structs.replace(
        transaction,
        gateway=gateway,
        call_deadline=None if heard in ANSWERS else transaction.call_deadline,
        redirect_url=what.redirect_url if facts & _HAVE_PAGE else transaction.redirect_url,
        token_payment_id=(what.payment_id if Fact.OPENED in facts else None) or transaction.token_payment_id,
        card_mask=what.card_mask or transaction.card_mask,
        card_holder_name=what.card_name or transaction.card_holder_name,
        failure=failure,
    )


def differs(transaction: Transaction, what: Said) -> bool:
    """Whether a success is about something else than what was ordered."""
    return (
        _other(transaction.gateway_order_id, what.order_id)
        or is_of_another(transaction, what)
        or (what.amount is not None and what.amount not in _amounts(transaction))
        or _other(transaction.currency, what.currency)
        or _other(transaction.split_amount, what.split_amount)
    )


def is_of_another(transaction: Transaction, what: Said) -> bool:
    """Whether the words name another transaction of EPoint's than is known for this one."""
    return _other(transaction.gateway.transaction_id, what.transaction)


def _lacks(transaction: Transaction, what: Said) -> bool:
    """Whether a success leaves out something by which it could be checked."""
    return None in (what.amount, what.transaction) or (
        what.order_id is None and transaction.gateway_order_id is not None
    )


def _amounts(transaction: Transaction) -> tuple[Decimal | None, ...]:
    """What EPoint may say of the amount: what was ordered, or the part of a hold that it was asked to take."""
    request = transaction.hold_request
    if request is None or request.kind is not HoldRequestKind.CAPTURE or request.status is HoldRequestStatus.FAILED:
        return (transaction.amount, transaction.captured_amount)
    return (transaction.amount, transaction.captured_amount, request.amount)


def _other(ordered: object, heard: object) -> bool:
    return ordered is not None and heard is not None and ordered != heard
