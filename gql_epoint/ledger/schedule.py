"""When EPoint is asked again about what is not settled, and when asking has gone on for too long."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from gql_epoint.ledger.transaction import Fact, HoldRequestStatus, Status, Transaction, TransactionOperation

WAIT_LIMIT = timedelta(hours=24)
# Longer than EPoint keeps anything open; a payment about which nothing was ever proved needs a person.
SILENCE_LIMIT = timedelta(days=7)
ASK_DELAYS_S = (5, 15, 60, 300, 900, 3600)
# A wait is this much longer at the most, so that what stopped together does not come back together.
JITTER_MAX = 0.1
JITTER_BYTES = 4
# A browser may hint that something happened. Between two questions about one payment there is at least this time.
HINT_GAP = timedelta(seconds=5)
_DAY = timedelta(days=1)
# A hold that nobody captures is looked at now and then, for a bank may let go of it without telling anyone. How
# long EPoint keeps one is not documented; after this time nobody looks, and it can still be captured or canceled.
HOLD_WATCH_LIMIT = timedelta(days=35)
HOLD_DELAY_S = 86_400


APPROVED = frozenset({Fact.PAID, Fact.HELD})
AGAINST_PAID = frozenset({Fact.DECLINED, Fact.TIMED_OUT, Fact.NOT_SENT})
_VERDICTS = frozenset({Fact.VERDICT_PAID, Fact.VERDICT_OTHER})


def is_contradictory(facts: frozenset[Fact]) -> bool:
    """Whether the facts say both paid and not paid, and nobody has decided which.

    About a hold that was let go they do not: whether it was ever held, nothing is, and nothing was taken.
    """
    both = bool(facts & APPROVED) and bool(facts & AGAINST_PAID)
    return both and not facts & _VERDICTS and not is_let_go(facts)


def is_let_go(facts: frozenset[Fact]) -> bool:
    """Whether a hold was let go, as far as anybody knows without a part of it having been taken."""
    return Fact.RELEASED in facts and Fact.CAPTURED not in facts


def waiting_since(transaction: Transaction) -> datetime:
    """Return when what is waited for began: the payment, or a later call about it.

    That is a capture or a cancellation whose answer is lost, the charge of what was opened before if its answer is
    lost, or the page on which the bank wants to see the customer. Each has a day of its own.
    """
    request, facts = transaction.hold_request, transaction.facts
    if request is not None and request.status is HoldRequestStatus.INDETERMINATE:
        return request.requested_at
    charge_lost = transaction.status is Status.INDETERMINATE and Fact.CHARGING in facts
    challenged = transaction.status is Status.REQUIRES_ACTION and Fact.CHALLENGED in facts
    # Nothing else happens to a transaction in these states, so it was changed last when it came to them.
    return transaction.updated_at if charge_lost or challenged else transaction.created_at


def is_quiet(transaction: Transaction) -> bool:
    """Whether the amount is held and nothing is open but whether the shop will take it."""
    return transaction.status is Status.AUTHORIZED and not is_contradictory(transaction.facts)


def after_ask(transaction: Transaction, now: datetime, *, unsettled_refunds: bool) -> Transaction:
    """Schedule the next get-status, after one was asked and its answer (if any) applied.

    Each wait starts with the short delays, however old the transaction is. A question that was asked about a
    final state (a callback proved nothing) is repeated a few times until EPoint answers.
    """
    age = now - waiting_since(transaction)
    if is_quiet(transaction):
        ask_at = now + timedelta(seconds=HOLD_DELAY_S) if age < HOLD_WATCH_LIMIT else None
        return msgspec.structs.replace(transaction, asks=0, ask_at=ask_at)
    late = may_be_paid_late(transaction, now)
    quick = transaction.asks + 1 < len(ASK_DELAYS_S) and not late
    open_question = not transaction.status.is_final or is_contradictory(transaction.facts) or unsettled_refunds
    unanswered = transaction.gateway.last_confirmed_at != now and quick
    given_up = transaction.status is Status.REQUIRES_REVIEW and age >= WAIT_LIMIT
    if given_up or not (open_question or unanswered or late):
        return msgspec.structs.replace(transaction, ask_at=None, asks=0)
    late_delay_s = ASK_DELAYS_S[-1] if age < WAIT_LIMIT else _DAY.total_seconds()
    delay_s = ASK_DELAYS_S[transaction.asks + 1] if quick else late_delay_s
    return msgspec.structs.replace(transaction, asks=transaction.asks + 1, ask_at=now + timedelta(seconds=delay_s))


def may_be_paid_late(transaction: Transaction, now: datetime) -> bool:
    """Whether a customer may still pay what has expired here, and nobody would tell: no callback is promised."""
    if transaction.status is not Status.EXPIRED or not transaction.operation.redirects:
        return False
    if transaction.operation is TransactionOperation.TOKEN_PAYMENT and Fact.CHARGING not in transaction.facts:
        return False  # It is charged through these books or never.
    return transaction.operation.wire.callback_disputed and now - transaction.created_at < SILENCE_LIMIT


def first_late_ask(now: datetime) -> datetime:
    """Return when to ask first about what may be paid late."""
    return now + _DAY


def ask_to_verify(transaction: Transaction, now: datetime) -> Transaction:
    """Schedule get-status about what has succeeded by an answer that named neither the amount nor the card."""
    return msgspec.structs.replace(transaction, ask_at=now + timedelta(seconds=ASK_DELAYS_S[0]), asks=0)


def ask_soon(transaction: Transaction, now: datetime) -> Transaction:
    """Bring the next question forward, because a customer's page has seen a hint that it is worth asking.

    The hint itself proves nothing. The waits start over, and however many hints come, EPoint is not asked more
    often.
    """
    ask_at = transaction.ask_at
    if ask_at is None or ask_at <= now + HINT_GAP:
        return transaction
    delay_s = ASK_DELAYS_S[min(transaction.asks, len(ASK_DELAYS_S) - 1)] * (1 + JITTER_MAX)
    earliest = ask_at - timedelta(seconds=delay_s) + HINT_GAP
    return msgspec.structs.replace(transaction, ask_at=max(now, earliest), asks=0)


def spread(ask_at: datetime | None, now: datetime, random: bytes) -> datetime | None:
    """Put a question off by a random part of its wait, never before its time; `random` holds JITTER_BYTES bytes."""
    if ask_at is None or ask_at <= now:
        return ask_at
    return ask_at + (ask_at - now) * jitter(random)


def jitter(random: bytes) -> float:
    """Return a number from 0 to JITTER_MAX."""
    return JITTER_MAX * int.from_bytes(random, "big") / (1 << 8 * len(random))


def has_question(known: Transaction, now: datetime) -> bool:
    """Whether get-status has something to answer that a final state does not make void."""
    due = known.ask_at is not None and known.ask_at <= now
    return due or (known.ask_at is not None and known.refund_pending_amount > 0)
