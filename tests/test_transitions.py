"""Which status follows from what EPoint says: each row of the table, every order, and what may never happen."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gql_epoint.epoint import Callback
from gql_epoint.epoint.bank_codes import FailureCategory
from gql_epoint.ledger.events import Event, EventKind, EventSource, Provenance
from gql_epoint.ledger.schedule import ASK_DELAYS_S, after_ask, is_contradictory
from gql_epoint.ledger.transaction import (
    Fact,
    Failure,
    Refund,
    RefundStatus,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.ledger.transitions import (
    Change,
    apply,
    apply_loss,
    apply_not_sent,
    apply_refund,
    apply_resolution,
    apply_silence,
    apply_stolen_reference,
    first_event,
    reserve_refund,
)
from gql_epoint.ledger.words import Heard, Said, said

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEN = Decimal("10.00")
GATEWAY_ID = "te0000000001"

PAID: dict[str, Any] = {
    "status": "success",
    "order_id": "A-1",
    "transaction": GATEWAY_ID,
    "amount": TEN,
    "code": "000",
}
OPENED: dict[str, Any] = {"status": "success", "transaction": GATEWAY_ID, "redirect_url": "https://epoint.az/pay/1"}
DECLINED: dict[str, Any] = {"status": "failed", "order_id": "A-1", "transaction": GATEWAY_ID, "code": "116"}
WAITING: dict[str, Any] = {"status": "new", "transaction": GATEWAY_ID}
RETURNED: dict[str, Any] = {"status": "returned", "transaction": GATEWAY_ID}


class Story:
    """One transaction's books in memory. Every step checks what must hold after any step."""

    def __init__(self, **changes: Any) -> None:
        values: dict[str, Any] = {
            "id": "tr_1",
            "operation": TransactionOperation.PAY,
            "status": Status.NEW,
            "version": 1,
            "amount": TEN,
            "currency": "AZN",
            "created_at": START,
            "updated_at": START,
            "order_id": "A-1",
            "gateway_order_id": "A-1",
            "holds_order": True,
            "call_deadline": START + timedelta(seconds=40),
        }
        self.now = START
        self.transaction = Transaction(**(values | changes))
        self.events: list[Event] = [first_event(self.transaction, self.by())]
        self.refunds: dict[str, Refund] = {}
        self.order_taken = False

    def by(self, source: EventSource = EventSource.GATEWAY_CALLBACK, **changes: Any) -> Provenance:
        return Provenance(now=self.now, source=source, **changes)

    def keep(self, change: Change) -> Change:
        """Write a change down, as the cashier does, and check it."""
        before = self.transaction
        self.transaction = change.transaction
        self.events.extend(change.events)
        self.refunds.update({refund.id: refund for refund in change.refunds})
        after = self.transaction
        assert [event.sequence for event in self.events] == list(range(1, after.version + 1))
        assert all(event.stream_id == after.id == event.transaction_id for event in change.events)
        assert (after.status is not before.status) == any(e.kind is EventKind.STATUS for e in change.events)
        assert after.refunded_amount + after.refund_pending_amount <= after.amount
        assert min(after.refunded_amount, after.refund_pending_amount) >= 0
        assert (after.failure is not None) == (after.status in (Status.FAILED, Status.EXPIRED))
        assert after.redirect_url is None or after.status is Status.REQUIRES_ACTION
        assert not (self.order_taken and after.holds_order and not before.holds_order)
        return change

    def hear(self, heard: Heard, *words: dict[str, Any], **more: Any) -> Change:
        """EPoint says something; `more` changes or adds to the words."""
        fields: dict[str, Any] = {}
        for word in (*words, more):
            fields |= word
        source = EventSource.GATEWAY_CALLBACK if heard is Heard.CALLBACK else EventSource.GATEWAY_RESPONSE
        change = apply(
            self.transaction,
            heard,
            Said(**fields),
            self.by(source),
            order_taken=self.order_taken and not self.transaction.holds_order,
            refunds=self.unsettled(),
        )
        return self.keep(change)

    def unsettled(self) -> list[Refund]:
        open_still = (RefundStatus.PROCESSING, RefundStatus.INDETERMINATE)
        return [refund for refund in self.refunds.values() if refund.status in open_still]

    def refund(self, amount: str) -> str:
        """Reserve a refund and return its id."""
        refund = Refund(
            id=f"re_{len(self.refunds) + 1}",
            transaction_id=self.transaction.id,
            amount=Decimal(amount),
            currency="AZN",
            status=RefundStatus.PROCESSING,
            created_at=self.now,
            updated_at=self.now,
            call_deadline=self.now + timedelta(seconds=40),
        )
        self.keep(reserve_refund(self.transaction, refund, self.by(EventSource.API)))
        return refund.id

    def settle(self, refund_id: str, outcome: RefundStatus, failure: Failure | None = None) -> Change:
        return self.keep(
            apply_refund(self.transaction, self.refunds[refund_id], outcome, failure, self.by(EventSource.API))
        )

    def resolve(self, *, succeeded: bool) -> Change:
        by = self.by(EventSource.OPERATOR, actor="ops", note="Asked the bank.")
        taken = self.order_taken and not self.transaction.holds_order
        return self.keep(apply_resolution(self.transaction, succeeded=succeeded, by=by, order_taken=taken))

    def ask(self, reply: dict[str, Any] | None) -> None:
        """What the reconciler does when a question is due; None is a get-status that was not answered."""
        if reply is not None:
            self.hear(Heard.STATUS, reply)
        self.keep(apply_silence(self.transaction, self.by(EventSource.RECONCILER)))
        self.transaction = after_ask(self.transaction, self.now, unsettled_refunds=bool(self.unsettled()))

    def later(self, **time: float) -> Story:
        self.now += timedelta(**time)
        return self


def story_in(status: Status) -> Story:
    """Return a payment that came to a status by evidence."""
    charge = status is Status.INDETERMINATE
    story = Story(operation=TransactionOperation.PAY_WITH_SAVED_CARD if charge else TransactionOperation.PAY)
    if status is Status.NEW:
        return story
    if charge:
        story.keep(apply_loss(story.transaction, story.by()))
    else:
        story.hear(Heard.OPENING, OPENED)
    if status is Status.SUCCESS:
        story.hear(Heard.CALLBACK, PAID)
    elif status is Status.FAILED:
        story.hear(Heard.CALLBACK, DECLINED)
    elif status is Status.RETURNED:
        story.hear(Heard.STATUS, RETURNED)
    elif status is Status.EXPIRED:
        story.later(hours=24).hear(Heard.STATUS, WAITING)
    elif status is Status.REQUIRES_REVIEW:
        story.hear(Heard.CALLBACK, PAID, amount=Decimal("1.00"))
    assert story.transaction.status is status
    return story


REACHABLE = [status for status in Status if status not in (Status.AUTHORIZED, Status.VOIDED)]
CONFIGURATION, OTHER = FailureCategory.CONFIGURATION, FailureCategory.OTHER
TEMPORARY, FUNDS = FailureCategory.TEMPORARY, FailureCategory.INSUFFICIENT_FUNDS
BAD_KEY = {"status": "server_error", "message": "Signature did not match"}
NO_MERCHANT = {"status": "server_error", "message": "Merchant not found"}
CHARGE = TransactionOperation.PAY_WITH_SAVED_CARD
PAYOUT = TransactionOperation.PAYOUT


# The table of the design, row by row --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "heard", "words", "status", "category"),
    [
        (TransactionOperation.PAY, Heard.OPENING, OPENED, Status.REQUIRES_ACTION, None),
        (TransactionOperation.PAY, Heard.OPENING, {"status": "error", "message": "No"}, Status.FAILED, OTHER),
        (TransactionOperation.PAY, Heard.OPENING, {"status": "success"}, Status.FAILED, TEMPORARY),
        (TransactionOperation.PAY, Heard.OPENING, {"status": "weird"}, Status.FAILED, TEMPORARY),
        (TransactionOperation.PAY, Heard.OPENING, {}, Status.FAILED, TEMPORARY),
        (TransactionOperation.PAY, Heard.OPENING, {"status": "server_error"}, Status.FAILED, TEMPORARY),
        (TransactionOperation.PAY, Heard.OPENING, BAD_KEY, Status.FAILED, CONFIGURATION),
        (TransactionOperation.PAY, Heard.OPENING, NO_MERCHANT, Status.FAILED, CONFIGURATION),
        (CHARGE, Heard.CHARGE, PAID, Status.SUCCESS, None),
        (CHARGE, Heard.CHARGE, DECLINED, Status.FAILED, FUNDS),
        (CHARGE, Heard.CHARGE, {"status": "failed"}, Status.FAILED, OTHER),
        (CHARGE, Heard.CHARGE, BAD_KEY, Status.FAILED, CONFIGURATION),
        (CHARGE, Heard.CHARGE, NO_MERCHANT, Status.FAILED, CONFIGURATION),
        (CHARGE, Heard.CHARGE, {"status": "server_error"}, Status.INDETERMINATE, None),
        (CHARGE, Heard.CHARGE, {"status": "error"}, Status.INDETERMINATE, None),
        (CHARGE, Heard.CHARGE, {"status": "new"}, Status.INDETERMINATE, None),
        (CHARGE, Heard.CHARGE, {}, Status.INDETERMINATE, None),
        (CHARGE, Heard.CHARGE, PAID | {"amount": Decimal("9.99")}, Status.REQUIRES_REVIEW, None),
        (PAYOUT, Heard.CHARGE, PAID, Status.SUCCESS, None),
        (PAYOUT, Heard.CHARGE, DECLINED, Status.FAILED, FUNDS),
        (PAYOUT, Heard.CHARGE, {"status": "?"}, Status.INDETERMINATE, None),
    ],
)
def test_answer_to_the_call(
    operation: TransactionOperation,
    heard: Heard,
    words: dict[str, Any],
    status: Status,
    category: FailureCategory | None,
) -> None:
    """The reply to the call that made the transaction decides it, or leaves it open; it is no longer waited for."""
    story = Story(operation=operation)
    change = story.hear(heard, words)

    after = story.transaction
    assert (after.status, after.failure and after.failure.category) == (status, category)
    assert [(event.previous, event.current, event.sequence) for event in change.events] == [("NEW", status, 2)]
    assert after.call_deadline is None
    assert after.holds_order is (status is not Status.FAILED)


@pytest.mark.parametrize("operation", [TransactionOperation.PAY, CHARGE, PAYOUT])
def test_lost_or_unsent_call(operation: TransactionOperation) -> None:
    """A lost opening moved no money; a lost charge may have; what was not sent has not."""
    lost, unsent = Story(operation=operation), Story(operation=operation)
    lost.keep(apply_loss(lost.transaction, lost.by()))
    unsent.keep(apply_not_sent(unsent.transaction, unsent.by()))

    expected = Status.FAILED if operation is TransactionOperation.PAY else Status.INDETERMINATE
    assert (lost.transaction.status, unsent.transaction.status) == (expected, Status.FAILED)
    for story in (lost, unsent):
        assert story.transaction.call_deadline is None
        assert len(story.events) == 2
        if story.transaction.failure is not None:
            assert (story.transaction.failure.category, story.transaction.failure.retryable) == (TEMPORARY, True)


@pytest.mark.parametrize(
    ("start", "words", "status", "category"),
    [
        (Status.REQUIRES_ACTION, PAID, Status.SUCCESS, None),
        (Status.REQUIRES_ACTION, {"status": "success"}, Status.SUCCESS, None),
        (Status.REQUIRES_ACTION, DECLINED, Status.FAILED, FUNDS),
        (Status.REQUIRES_ACTION, {"status": "error", "transaction": GATEWAY_ID}, Status.FAILED, OTHER),
        (Status.REQUIRES_ACTION, {"status": "error"}, Status.REQUIRES_ACTION, None),
        (Status.REQUIRES_ACTION, {"status": "server_error"}, Status.REQUIRES_ACTION, None),
        (Status.REQUIRES_ACTION, BAD_KEY, Status.REQUIRES_ACTION, None),
        (Status.REQUIRES_ACTION, {"status": "on_hold"}, Status.REQUIRES_ACTION, None),
        (Status.REQUIRES_ACTION, {}, Status.REQUIRES_ACTION, None),
        (Status.REQUIRES_ACTION, WAITING, Status.REQUIRES_ACTION, None),
        (Status.REQUIRES_ACTION, RETURNED, Status.RETURNED, None),
        (Status.INDETERMINATE, PAID, Status.SUCCESS, None),
        (Status.INDETERMINATE, DECLINED, Status.FAILED, FUNDS),
        (Status.INDETERMINATE, WAITING, Status.INDETERMINATE, None),
        (Status.INDETERMINATE, {"status": "error"}, Status.INDETERMINATE, None),
        (Status.INDETERMINATE, RETURNED, Status.RETURNED, None),
        (Status.SUCCESS, PAID, Status.SUCCESS, None),
        (Status.SUCCESS, WAITING, Status.SUCCESS, None),
        (Status.SUCCESS, {"status": "server_error"}, Status.SUCCESS, None),
        (Status.SUCCESS, DECLINED, Status.REQUIRES_REVIEW, None),
        (Status.SUCCESS, RETURNED, Status.RETURNED, None),
        (Status.FAILED, DECLINED, Status.FAILED, FUNDS),
        (Status.FAILED, PAID, Status.SUCCESS, None),
        (Status.FAILED, RETURNED, Status.REQUIRES_REVIEW, None),
        (Status.RETURNED, RETURNED, Status.RETURNED, None),
        (Status.RETURNED, PAID, Status.RETURNED, None),
        (Status.EXPIRED, PAID, Status.SUCCESS, None),
        (Status.EXPIRED, WAITING, Status.EXPIRED, FailureCategory.ABANDONED),
    ],
)
def test_get_status(start: Status, words: dict[str, Any], status: Status, category: FailureCategory | None) -> None:
    """What get-status proves from each state; where nothing changes, no event is made."""
    story = story_in(start)
    change = story.hear(Heard.STATUS, words)

    assert story.transaction.status is status
    assert (story.transaction.failure and story.transaction.failure.category) == category
    assert [event.current for event in change.events] == ([] if status is start else [status])


@pytest.mark.parametrize(
    ("start", "words", "status", "category", "asks"),
    [
        (Status.NEW, PAID, Status.SUCCESS, None, False),
        (Status.NEW, DECLINED, Status.FAILED, FUNDS, False),
        (Status.REQUIRES_ACTION, PAID, Status.SUCCESS, None, False),
        (Status.REQUIRES_ACTION, DECLINED, Status.FAILED, FUNDS, False),
        (Status.REQUIRES_ACTION, {"status": None}, Status.REQUIRES_ACTION, None, True),
        (Status.REQUIRES_ACTION, {"status": "returned"}, Status.REQUIRES_ACTION, None, True),
        (Status.REQUIRES_ACTION, {"status": "SUCCESS"}, Status.REQUIRES_ACTION, None, True),
        (Status.REQUIRES_ACTION, PAID | {"amount": None}, Status.REQUIRES_ACTION, None, True),
        (Status.REQUIRES_ACTION, PAID | {"order_id": None}, Status.REQUIRES_ACTION, None, True),
        (Status.REQUIRES_ACTION, PAID | {"transaction": None}, Status.REQUIRES_ACTION, None, True),
        (Status.INDETERMINATE, PAID, Status.SUCCESS, None, False),
        (Status.INDETERMINATE, DECLINED, Status.FAILED, FUNDS, False),
        (Status.SUCCESS, PAID, Status.SUCCESS, None, False),
        (Status.SUCCESS, PAID | {"amount": None}, Status.SUCCESS, None, True),
        (Status.SUCCESS, DECLINED, Status.SUCCESS, None, True),
        (Status.FAILED, DECLINED, Status.FAILED, FUNDS, False),
        (Status.FAILED, PAID, Status.FAILED, FUNDS, True),
        (Status.FAILED, PAID | {"order_id": None}, Status.FAILED, FUNDS, True),
        (Status.EXPIRED, PAID, Status.EXPIRED, FailureCategory.ABANDONED, True),
        (Status.EXPIRED, DECLINED, Status.FAILED, FUNDS, False),
        (Status.RETURNED, PAID, Status.RETURNED, None, False),
        (Status.RETURNED, DECLINED, Status.RETURNED, None, True),
        (Status.REQUIRES_REVIEW, PAID, Status.REQUIRES_REVIEW, None, False),
        (Status.REQUIRES_REVIEW, DECLINED, Status.REQUIRES_REVIEW, None, True),
    ],
)
def test_callback(
    start: Status, words: dict[str, Any], status: Status, category: FailureCategory | None, asks: bool
) -> None:
    """What a callback proves from each state, and whether get-status must be asked at once."""
    story = story_in(start).later(seconds=1)
    if start is Status.REQUIRES_REVIEW and asks:
        story.hear(Heard.CALLBACK, PAID)  # else a decline contradicts nothing
    change = story.hear(Heard.CALLBACK, words)

    after = story.transaction
    assert (after.status, after.failure and after.failure.category) == (status, category)
    assert [event.current for event in change.events] == ([] if status is start else [status])
    assert (after.ask_at == story.now) is asks


@pytest.mark.parametrize("start", REACHABLE)
@pytest.mark.parametrize("heard", [Heard.CALLBACK, Heard.STATUS])
@pytest.mark.parametrize(
    "wrong",
    [
        {"order_id": "B-2"},
        {"amount": Decimal("10.01")},
        {"amount": Decimal("1000")},
        {"transaction": "te0000000002"},
        {"currency": "USD"},
        {"split_amount": Decimal("3.00")},
    ],
    ids=str,
)
def test_success_of_something_else_is_reviewed_from_every_state(
    start: Status, heard: Heard, wrong: dict[str, Any]
) -> None:
    """A signed success that differs from the order in any field needs a person, SUCCESS included."""
    story = story_in(start)
    known = {"transaction_id": GATEWAY_ID}
    story.transaction = msgspec.structs.replace(
        story.transaction,
        gateway=msgspec.structs.replace(story.transaction.gateway, **known),
        split_amount=Decimal("4.00"),
    )
    before = story.transaction.gateway
    change = story.hear(heard, PAID, {"split_amount": Decimal("4.00")}, wrong)

    assert story.transaction.status is Status.REQUIRES_REVIEW
    assert len(change.events) == (start is not Status.REQUIRES_REVIEW)
    assert story.transaction.gateway == before


@pytest.mark.parametrize("missing", ["amount", "order_id"])
def test_success_that_differs_is_reviewed_even_if_it_is_incomplete(missing: str) -> None:
    """What a success leaves out does not excuse what it contradicts."""
    story = story_in(Status.REQUIRES_ACTION)
    story.hear(Heard.CALLBACK, PAID, **{missing: None, "transaction": "te0000000002"})

    assert story.transaction.status is Status.REQUIRES_REVIEW


@pytest.mark.parametrize("words", [{"amount": Decimal("10")}, {"amount": Decimal("10.000")}, {"currency": "AZN"}])
def test_same_money_in_another_notation_is_no_mismatch(words: dict[str, Any]) -> None:
    """10, 10.00 and 10.000 are one amount."""
    story = story_in(Status.REQUIRES_ACTION)
    story.hear(Heard.CALLBACK, PAID, **words)

    assert story.transaction.status is Status.SUCCESS


def test_adopted_payment_without_order_id_needs_none_in_its_callback() -> None:
    """Only what the operation has must be there."""
    story = Story(operation=TransactionOperation.UNKNOWN, order_id=None, gateway_order_id=None, holds_order=False)
    story.hear(Heard.CALLBACK, PAID, order_id=None)

    assert (story.transaction.status, story.transaction.holds_order) == (Status.SUCCESS, False)


# Evidence that contradicts itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("first", [PAID, DECLINED])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (PAID, Status.SUCCESS),
        (DECLINED, Status.REQUIRES_REVIEW),
        ({"status": "error", "transaction": GATEWAY_ID}, Status.REQUIRES_REVIEW),
        (WAITING, Status.REQUIRES_REVIEW),
        (RETURNED, Status.REQUIRES_REVIEW),
    ],
)
def test_contradiction_is_decided_by_get_status(
    first: dict[str, Any], answer: dict[str, Any], expected: Status
) -> None:
    """A success and a decline, in either order, leave the state alone until get-status has spoken."""
    story = story_in(Status.REQUIRES_ACTION)
    story.hear(Heard.CALLBACK, first)
    status = story.transaction.status
    change = story.hear(Heard.CALLBACK, DECLINED if first is PAID else PAID)

    assert (story.transaction.status, change.events) == (status, ())
    assert is_contradictory(story.transaction.facts)
    assert story.transaction.ask_at == story.now
    assert story.transaction.holds_order
    story.ask(answer)
    assert (story.transaction.status, is_contradictory(story.transaction.facts)) == (expected, False)


def test_contradiction_stays_while_get_status_proves_nothing() -> None:
    """A refused question or an unknown word decides nothing, and is asked again."""
    story = story_in(Status.FAILED)
    story.hear(Heard.CALLBACK, PAID)
    for reply in ({"status": "server_error"}, {"status": "error"}, {"status": "?"}, None):
        story.later(minutes=5).ask(reply)

        assert (story.transaction.status, is_contradictory(story.transaction.facts)) == (Status.FAILED, True)
        assert story.transaction.ask_at is not None
    story.ask(PAID)
    assert (story.transaction.status, story.transaction.ask_at) == (Status.SUCCESS, None)


@pytest.mark.parametrize(("answer", "expected"), [(PAID, Status.SUCCESS), (WAITING, Status.REQUIRES_REVIEW)])
def test_success_after_expiry_is_checked(answer: dict[str, Any], expected: Status) -> None:
    """Expired is not the last word, and neither is a callback after it."""
    story = story_in(Status.EXPIRED)
    story.later(days=2).hear(Heard.CALLBACK, PAID)
    assert (story.transaction.status, story.transaction.ask_at) == (Status.EXPIRED, story.now)
    story.ask(answer)

    assert story.transaction.status is expected


def test_success_after_expiry_survives_an_epoint_that_is_away_for_a_while() -> None:
    """One unanswered question is no reason to trouble a person; a day's worth of waiting is not needed either."""
    story = story_in(Status.EXPIRED)
    story.later(days=2).hear(Heard.CALLBACK, PAID)
    for _ in ASK_DELAYS_S[1:]:
        story.ask(None)
        assert (story.transaction.status, is_contradictory(story.transaction.facts)) == (Status.EXPIRED, True)
        assert story.transaction.ask_at is not None
        story.now = story.transaction.ask_at
    story.ask(None)

    assert story.transaction.status is Status.REQUIRES_REVIEW


def test_decline_after_expiry_gives_its_own_reason() -> None:
    """A bank's reason says more than that nobody finished."""
    story = story_in(Status.EXPIRED)
    story.hear(Heard.CALLBACK, DECLINED)

    assert story.transaction.failure is not None
    assert (story.transaction.failure.bank_code, story.transaction.failure.category) == ("116", FUNDS)


@pytest.mark.parametrize("heard", [Heard.CALLBACK, Heard.STATUS])
def test_success_after_a_lost_opening_is_reviewed(heard: Heard) -> None:
    """Nobody was given that page's URL, so a payment on it has to be looked at, in either order."""
    late, early = Story(), Story()
    late.keep(apply_loss(late.transaction, late.by()))
    late.hear(heard, PAID)
    early.hear(heard, PAID)
    early.keep(apply_loss(early.transaction, early.by()))

    assert late.transaction.status is early.transaction.status is Status.REQUIRES_REVIEW


def test_opening_that_answers_after_its_loss_opens_nothing() -> None:
    """The caller was told that the attempt failed, and may have started another."""
    story = Story()
    story.keep(apply_loss(story.transaction, story.by()))
    change = story.hear(Heard.OPENING, OPENED)

    assert (story.transaction.status, change.events) == (Status.FAILED, ())
    assert story.transaction.redirect_url is None
    assert story.transaction.gateway.transaction_id == GATEWAY_ID


@pytest.mark.parametrize(("words", "expected"), [(PAID, Status.SUCCESS), (DECLINED, Status.FAILED)])
@pytest.mark.parametrize("waited_h", [0, 30])
def test_lost_charge_is_settled_by_its_late_answer(
    words: dict[str, Any], expected: Status, waited_h: float
) -> None:
    """An answer that comes after the deadline is news like any other, even after a person was called."""
    story = story_in(Status.INDETERMINATE)
    story.later(hours=waited_h).ask(None)
    assert story.transaction.status is (Status.REQUIRES_REVIEW if waited_h else Status.INDETERMINATE)
    story.hear(Heard.CHARGE, words)

    assert story.transaction.status is expected


def test_callback_that_overtakes_the_reply() -> None:
    """The payment is paid before its page is known; the reply then opens nothing."""
    story = Story()
    story.hear(Heard.CALLBACK, PAID)
    assert story.transaction.call_deadline is not None
    change = story.hear(Heard.OPENING, OPENED)

    assert (story.transaction.status, change.events) == (Status.SUCCESS, ())
    assert story.transaction.call_deadline is None
    assert story.transaction.gateway.status == "success"


@pytest.mark.parametrize(
    ("heard", "words"), [(Heard.OPENING, OPENED), (Heard.CHARGE, DECLINED), (Heard.CHARGE, PAID)]
)
def test_reply_about_another_transaction_than_its_callback_is_reviewed(heard: Heard, words: dict[str, Any]) -> None:
    """The reply and the callback name two transactions of EPoint: a person must look, whichever came first."""
    story = Story(operation=CHARGE if heard is Heard.CHARGE else TransactionOperation.PAY)
    story.hear(Heard.CALLBACK, PAID, transaction="te0000000002")
    story.hear(heard, words)

    assert (story.transaction.status, story.transaction.call_deadline) == (Status.REQUIRES_REVIEW, None)


@pytest.mark.parametrize("words", [DECLINED, {"status": "?"}, {"status": None}])
def test_word_about_another_transaction_changes_nothing_but_asks(words: dict[str, Any]) -> None:
    """Only a success is worth a review; what belongs to another transaction must not mark this one."""
    story = story_in(Status.REQUIRES_ACTION)
    before = story.transaction
    story.hear(Heard.CALLBACK, words, transaction="te0000000002", rrn="1", card_mask="4***1", bank_response="X")

    assert story.transaction == msgspec.structs.replace(before, ask_at=story.now)


def test_id_that_belongs_to_another_of_our_transactions_is_reviewed() -> None:
    """Two of our transactions cannot be one of EPoint's."""
    story = Story()
    story.keep(apply_stolen_reference(story.transaction, story.by()))

    assert (story.transaction.status, story.transaction.call_deadline) == (Status.REQUIRES_REVIEW, None)


# Time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "hours", "reply", "expected"),
    [
        (Status.REQUIRES_ACTION, 23.9, WAITING, Status.REQUIRES_ACTION),
        (Status.REQUIRES_ACTION, 24, WAITING, Status.EXPIRED),
        (Status.REQUIRES_ACTION, 24, {"status": "server_error"}, Status.REQUIRES_ACTION),
        (Status.REQUIRES_ACTION, 24, None, Status.REQUIRES_ACTION),
        (Status.REQUIRES_ACTION, 24 * 7, None, Status.REQUIRES_REVIEW),
        (Status.INDETERMINATE, 23.9, None, Status.INDETERMINATE),
        (Status.INDETERMINATE, 24, None, Status.REQUIRES_REVIEW),
        (Status.INDETERMINATE, 24, WAITING, Status.REQUIRES_REVIEW),
        (Status.INDETERMINATE, 24, PAID, Status.SUCCESS),
        (Status.NEW, 24, WAITING, Status.NEW),
        (Status.SUCCESS, 24 * 30, None, Status.SUCCESS),
        (Status.FAILED, 24 * 30, None, Status.FAILED),
    ],
)
def test_a_day_later(start: Status, hours: float, reply: dict[str, Any] | None, expected: Status) -> None:
    """Only an opened payment that EPoint still calls `new` expires; an open charge needs a person."""
    story = story_in(start)
    story.later(hours=hours).ask(reply)

    assert story.transaction.status is expected


def test_contradiction_that_is_never_answered_needs_a_person() -> None:
    """For a day get-status is asked; then the contradiction itself is the finding."""
    story = story_in(Status.FAILED)
    story.hear(Heard.CALLBACK, PAID)
    while is_contradictory(story.transaction.facts):
        assert story.transaction.ask_at is not None
        story.now = max(story.now, story.transaction.ask_at)
        story.ask(None)

    assert story.transaction.status is Status.REQUIRES_REVIEW
    assert timedelta(hours=24) <= story.now - START <= timedelta(hours=25)


def test_questions_come_at_growing_distances_and_end() -> None:
    """5 s, 15 s, 1 min, 5 min, 15 min, 1 h, then hourly to the end of the day, then daily."""
    story = story_in(Status.REQUIRES_ACTION)
    distances = []
    while story.transaction.ask_at is not None and story.transaction.status is Status.REQUIRES_ACTION:
        distances.append((story.transaction.ask_at - story.now).total_seconds())
        story.now = story.transaction.ask_at
        story.ask({"status": "server_error"})

    assert distances[:6] == list(ASK_DELAYS_S)
    hourly = list(itertools.takewhile(lambda distance: distance == 3600, distances[6:]))
    assert 22 <= len(hourly) <= 24
    assert set(distances[6 + len(hourly) :]) == {86_400}
    assert story.transaction.status is Status.REQUIRES_REVIEW


def test_final_state_is_not_asked_about() -> None:
    """The schedule of a payment ends with the payment."""
    story = story_in(Status.REQUIRES_ACTION)
    assert story.transaction.ask_at is not None
    story.hear(Heard.CALLBACK, PAID)

    assert (story.transaction.ask_at, story.transaction.asks) == (None, 0)


def test_question_raised_by_a_callback_outlives_a_final_state() -> None:
    """A success that could not be checked is asked about, whatever else arrives before the answer."""
    one, other = story_in(Status.REQUIRES_ACTION), story_in(Status.REQUIRES_ACTION)
    one.hear(Heard.CALLBACK, PAID, amount=None)
    one.hear(Heard.CALLBACK, DECLINED)
    other.hear(Heard.CALLBACK, DECLINED)
    other.hear(Heard.CALLBACK, PAID, amount=None)
    for story in (one, other):
        assert (story.transaction.status, story.transaction.ask_at) == (Status.FAILED, story.now)
        story.later(seconds=1).ask(None)
        assert story.transaction.ask_at == story.now + timedelta(seconds=15)
        story.later(seconds=15).ask(PAID)

        assert (story.transaction.status, story.transaction.ask_at) == (Status.SUCCESS, None)


def test_unanswered_question_about_a_final_state_is_given_up() -> None:
    """An EPoint that never answers is not asked for ever about something that is settled."""
    story = story_in(Status.SUCCESS)
    story.hear(Heard.CALLBACK, PAID, amount=None)
    asked = 0
    while story.transaction.ask_at is not None:
        story.now = story.transaction.ask_at + timedelta(seconds=1)
        story.ask(None)
        asked += 1

    assert asked == len(ASK_DELAYS_S)


@pytest.mark.parametrize("reply", [{"status": "server_error"}, {"status": "error"}, {"status": "?"}])
def test_refusal_to_answer_confirms_nothing(reply: dict[str, Any]) -> None:
    """Neither the time of the last confirmation nor EPoint's word for the payment comes from a refused question."""
    story = story_in(Status.SUCCESS)
    before = story.transaction.gateway
    story.later(hours=1).hear(Heard.STATUS, reply)

    assert story.transaction.gateway.last_confirmed_at == before.last_confirmed_at
    if reply["status"] != "?":
        assert story.transaction.gateway.status == "success"


# The order's hold ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", REACHABLE)
def test_order_is_free_once_no_money_can_come(status: Status) -> None:
    """FAILED, EXPIRED and RETURNED let go of the order; everything else keeps it."""
    frees = (Status.FAILED, Status.EXPIRED, Status.RETURNED)

    assert story_in(status).transaction.holds_order is (status not in frees)


def test_contradiction_takes_the_order_back() -> None:
    """While it may be paid after all, nobody else may start."""
    story = story_in(Status.FAILED)
    story.hear(Heard.CALLBACK, PAID)
    held = story.transaction.holds_order
    story.hear(Heard.STATUS, PAID)

    assert (held, story.transaction.holds_order) == (True, True)


@pytest.mark.parametrize("start", [Status.FAILED, Status.EXPIRED])
def test_success_of_an_order_that_another_payment_holds_is_reviewed(start: Status) -> None:
    """Two payments of one order cannot both be right; the hold stays where it is."""
    story = story_in(start)
    story.order_taken = True
    story.hear(Heard.CALLBACK, PAID)
    assert story.transaction.holds_order is False
    story.hear(Heard.STATUS, PAID)

    assert (story.transaction.status, story.transaction.holds_order) == (Status.REQUIRES_REVIEW, False)
    assert Fact.ORDER_TAKEN in story.transaction.facts
    story.resolve(succeeded=True)
    assert (story.transaction.status, story.transaction.holds_order) == (Status.SUCCESS, False)


@pytest.mark.parametrize("step", ["silence", "loss", "unsent", "stolen", "two ends"])
def test_step_that_does_not_look_at_the_order_never_takes_it(step: str) -> None:
    """Where nobody looked whether the order is taken, a hold is not gained: two holders cannot be written down."""
    story = story_in(Status.SUCCESS if step == "two ends" else Status.FAILED)
    if step == "two ends":
        refund_id = story.refund("10.00")
        story.settle(refund_id, RefundStatus.SUCCESS)
    story.order_taken = True
    if step == "two ends":
        story.settle(refund_id, RefundStatus.FAILED)
        assert story.transaction.status is Status.REQUIRES_REVIEW
    elif step == "stolen":
        story.keep(apply_stolen_reference(story.transaction, story.by()))
    else:
        story.hear(Heard.CALLBACK, PAID)
        story.transaction = msgspec.structs.replace(story.transaction, asks=9)
        steps = {"silence": apply_silence, "loss": apply_loss, "unsent": apply_not_sent}
        story.later(hours=25).keep(steps[step](story.transaction, story.by()))

    assert story.transaction.holds_order is False


# Refunds ------------------------------------------------------------------------------------------------------


def test_refund_reserves_its_amount_until_it_has_an_end() -> None:
    """In flight and unknown refunds keep their money; a failed one gives it back; a paid one spends it."""
    story = story_in(Status.SUCCESS)
    one, two, three = story.refund("3.00"), story.refund("2.00"), story.refund("4.00")
    assert story.transaction.refundable_amount == Decimal("1.00")
    story.settle(one, RefundStatus.SUCCESS)
    story.settle(two, RefundStatus.FAILED, Failure(category=OTHER, message="No", retryable=False))
    story.settle(three, RefundStatus.INDETERMINATE)

    after = story.transaction
    assert (after.refunded_amount, after.refund_pending_amount, after.refundable_amount) == (
        Decimal("3.00"),
        Decimal("4.00"),
        Decimal("3.00"),
    )
    assert (after.status, after.ask_at) == (Status.SUCCESS, story.now + timedelta(seconds=5))
    assert [event.current for event in story.events if event.kind is EventKind.REFUND] == [
        *["PROCESSING"] * 3,
        "SUCCESS",
        "FAILED",
        "INDETERMINATE",
    ]
    assert all(refund.call_deadline is None for refund in story.refunds.values())


def test_refunds_that_add_up_return_the_transaction() -> None:
    """The last qəpik makes it RETURNED, and frees the order."""
    story = story_in(Status.SUCCESS)
    for amount, expected in (
        ("0.01", Status.SUCCESS),
        ("9.98", Status.SUCCESS),
        ("0.01", Status.RETURNED),
    ):
        change = story.settle(story.refund(amount), RefundStatus.SUCCESS)

        assert story.transaction.status is expected
    assert [(event.kind, event.current) for event in change.events] == [
        ("REFUND", "SUCCESS"),
        ("STATUS", "RETURNED"),
    ]
    assert (story.transaction.holds_order, story.transaction.ask_at) == (False, None)


@pytest.mark.parametrize("late", [RefundStatus.SUCCESS, RefundStatus.FAILED])
def test_unknown_refund_is_settled_by_its_late_answer(late: RefundStatus) -> None:
    """An answer after the deadline is news."""
    story = story_in(Status.SUCCESS)
    refund_id = story.refund("4.00")
    story.settle(refund_id, RefundStatus.INDETERMINATE)
    story.settle(refund_id, late)

    expected = Decimal("4.00") if late is RefundStatus.SUCCESS else Decimal(0)
    assert (story.refunds[refund_id].status, story.transaction.refunded_amount) == (late, expected)
    assert story.transaction.refund_pending_amount == 0


@pytest.mark.parametrize("end", [RefundStatus.SUCCESS, RefundStatus.FAILED])
def test_settled_refund_hears_nothing_from_doubt_or_repetition(end: RefundStatus) -> None:
    """The same end twice changes nothing, and neither does not knowing."""
    story = story_in(Status.SUCCESS)
    refund_id = story.refund("4.00")
    story.settle(refund_id, end)
    before = story.transaction
    repeated = story.settle(refund_id, end)
    doubted = story.settle(refund_id, RefundStatus.INDETERMINATE)

    assert (repeated.events, doubted.events) == ((), ())
    assert story.transaction == before


@pytest.mark.parametrize(
    ("first", "then"), [(RefundStatus.SUCCESS, RefundStatus.FAILED), (RefundStatus.FAILED, RefundStatus.SUCCESS)]
)
def test_refund_with_two_ends_is_reviewed(first: RefundStatus, then: RefundStatus) -> None:
    """Whoever is right, the sums can no longer be trusted."""
    story = story_in(Status.SUCCESS)
    refund_id = story.refund("4.00")
    story.settle(refund_id, first)
    sums = (story.transaction.refunded_amount, story.transaction.refund_pending_amount)
    story.settle(refund_id, then)

    assert story.transaction.status is Status.REQUIRES_REVIEW
    assert (story.transaction.refunded_amount, story.transaction.refund_pending_amount) == sums
    assert story.refunds[refund_id].status is first


@pytest.mark.parametrize(
    ("known", "unknown", "expected", "refunded"),
    [
        ([], [], Status.RETURNED, "10.00"),
        ([], ["10.00"], Status.RETURNED, "10.00"),
        (["4.00"], ["6.00"], Status.RETURNED, "10.00"),
        ([], ["4.00", "6.00"], Status.RETURNED, "10.00"),
        ([], ["4.00"], Status.REQUIRES_REVIEW, "0"),
        (["4.00"], [], Status.REQUIRES_REVIEW, "4.00"),
        (["4.00"], ["5.99"], Status.REQUIRES_REVIEW, "4.00"),
    ],
)
def test_returned_settles_refunds_only_if_the_books_add_up(
    known: Sequence[str], unknown: Sequence[str], expected: Status, refunded: str
) -> None:
    """EPoint does not say which refund it means, so only the full sum proves each of them."""
    story = story_in(Status.SUCCESS)
    for amounts, outcome in ((known, RefundStatus.SUCCESS), (unknown, RefundStatus.INDETERMINATE)):
        for amount in amounts:
            story.settle(story.refund(amount), outcome)
    story.hear(Heard.STATUS, RETURNED)
    again = story.hear(Heard.STATUS, RETURNED)

    assert (story.transaction.status, story.transaction.refunded_amount) == (expected, Decimal(refunded))
    settled = RefundStatus.SUCCESS if expected is Status.RETURNED else RefundStatus.INDETERMINATE
    assert {story.refunds[f"re_{len(known) + i + 1}"].status for i in range(len(unknown))} <= {settled}
    assert again.events == ()


def test_returned_waits_for_a_refund_in_flight() -> None:
    """The refund's own answer says more; the question is asked again."""
    story = story_in(Status.SUCCESS)
    refund_id = story.refund("10.00")
    story.hear(Heard.STATUS, RETURNED)

    assert story.transaction.status is Status.SUCCESS
    assert story.transaction.ask_at == story.now + timedelta(seconds=5)
    story.settle(refund_id, RefundStatus.SUCCESS)
    assert story.transaction.status is Status.RETURNED


def test_unknown_refund_is_asked_about_from_the_start_of_the_schedule() -> None:
    """A refund of an old payment is as urgent as that of a new one."""
    story = story_in(Status.SUCCESS).later(days=30)
    story.settle(story.refund("4.00"), RefundStatus.INDETERMINATE)
    distances = []
    for _ in range(8):
        assert story.transaction.ask_at is not None
        distances.append((story.transaction.ask_at - story.now).total_seconds())
        story.now = story.transaction.ask_at
        story.ask(PAID)

    assert distances == [*ASK_DELAYS_S, 86_400, 86_400]


@pytest.mark.parametrize("status", [status for status in REACHABLE if status is not Status.SUCCESS])
def test_nothing_is_refundable_but_a_paid_payment(status: Status) -> None:
    """Refundable is zero in every other state, and for payouts."""
    assert story_in(status).transaction.refundable_amount == 0
    payout = Story(operation=PAYOUT)
    payout.hear(Heard.CHARGE, PAID)
    assert (payout.transaction.status, payout.transaction.refundable_amount) == (Status.SUCCESS, 0)


@pytest.mark.parametrize("amount", ["10.01", "0", "-1"])
def test_reserving_too_much_is_a_bug(amount: str) -> None:
    """The cashier checks before; the ledger will not do it."""
    with pytest.raises(AssertionError):
        story_in(Status.SUCCESS).refund(amount)


# A person's decision ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [Status.INDETERMINATE, Status.REQUIRES_REVIEW])
@pytest.mark.parametrize("succeeded", [True, False])
def test_decision_replaces_the_evidence(start: Status, succeeded: bool) -> None:
    """What was known is overruled; the event carries who, why and how; repetitions of the same change nothing."""
    story = story_in(start)
    change = story.resolve(succeeded=succeeded)
    expected = Status.SUCCESS if succeeded else Status.FAILED

    assert (story.transaction.status, story.transaction.holds_order) == (expected, succeeded)
    assert story.transaction.ask_at is None
    (event,) = change.events
    assert (event.source, event.actor, event.note) == (EventSource.OPERATOR, "ops", "Asked the bank.")
    before = story.transaction
    story.hear(Heard.CALLBACK, PAID if succeeded else DECLINED)
    assert (story.transaction.status, story.transaction.version) == (before.status, before.version)


def test_decision_for_a_payment_that_is_all_refunded_returns_it() -> None:
    """A decision is about the payment; its refunds stay what they are."""
    story = story_in(Status.SUCCESS)
    refund_id = story.refund("10.00")
    story.settle(refund_id, RefundStatus.SUCCESS)
    story.settle(refund_id, RefundStatus.FAILED)
    story.resolve(succeeded=True)

    assert story.transaction.status is Status.RETURNED


def test_new_evidence_after_a_decision_counts() -> None:
    """A person who decided FAILED is contradicted by a success: that is asked about like any contradiction."""
    story = story_in(Status.INDETERMINATE)
    story.resolve(succeeded=False)
    story.hear(Heard.CALLBACK, PAID)

    assert (story.transaction.status, story.transaction.ask_at) == (Status.FAILED, story.now)


@pytest.mark.parametrize("doubt", ["loss", "no answer to read"])
def test_call_that_is_lost_once_more_after_a_decision_changes_nothing(doubt: str) -> None:
    """Its process was frozen, and the sweep has said so long ago: not to know is no evidence against a person."""
    story = Story()
    story.keep(apply_loss(story.transaction, story.by(EventSource.RECONCILER)))
    story.hear(Heard.CALLBACK, PAID)
    assert story.transaction.status is Status.REQUIRES_REVIEW
    story.resolve(succeeded=True)
    if doubt == "loss":
        change = story.keep(apply_loss(story.transaction, story.by(EventSource.GATEWAY_RESPONSE)))
    else:
        change = story.hear(Heard.OPENING, status="weird")

    assert (story.transaction.status, change.events) == (Status.SUCCESS, ())


# Any order, any repetition ------------------------------------------------------------------------------------

NEWS: dict[str, dict[str, Any]] = {
    "paid": PAID,
    "paid again": PAID | {"code": "00", "rrn": "2"},
    "declined": DECLINED,
    "declined, no code": DECLINED | {"code": None, "message": "Declined"},
    "wrong amount": PAID | {"amount": Decimal("1.00")},
    "wrong order": PAID | {"order_id": "B-2"},
    "wrong transaction": PAID | {"transaction": "te0000000002"},
    "no amount": PAID | {"amount": None},
    "no order": PAID | {"order_id": None},
    "no transaction": PAID | {"transaction": None},
    "unknown word": {"status": "weird", "transaction": GATEWAY_ID},
    "no word": {"transaction": GATEWAY_ID},
    "decline of another": DECLINED | {"transaction": "te0000000002"},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "success": PAID,
    "failed": DECLINED,
    "error": {"status": "error", "transaction": GATEWAY_ID},
    "new": WAITING,
    "returned": RETURNED,
    "refused": {"status": "error"},
}


def _tell(news: Sequence[str], answer: dict[str, Any], operation: TransactionOperation) -> Story:
    story = Story(operation=operation)
    if operation is TransactionOperation.PAY:
        story.hear(Heard.OPENING, OPENED)
    else:
        story.hear(Heard.CHARGE, {"status": "timeout", "transaction": GATEWAY_ID})
    for name in news:
        story.hear(Heard.CALLBACK, NEWS[name])
        if story.transaction.ask_at == story.now:
            story.ask(answer)
    return story


def _outcome(story: Story) -> tuple[Any, ...]:
    after = story.transaction
    return after.status, after.refunded_amount, after.refund_pending_amount, after.holds_order


@given(
    news=st.lists(st.sampled_from(sorted(NEWS)), min_size=1, max_size=6),
    answer=st.sampled_from(sorted(ANSWERS)),
    operation=st.sampled_from([TransactionOperation.PAY, CHARGE]),
    data=st.data(),
)
@settings(max_examples=600)
def test_any_order_and_repetition_of_callbacks_ends_alike(
    news: list[str], answer: str, operation: TransactionOperation, data: st.DataObject
) -> None:
    """Callbacks in any order and number, while get-status always says the same, end in one state and amount.

    The orders are compared after one last question, so that both have heard all of EPoint's evidence.
    """
    repeated = news + data.draw(st.lists(st.sampled_from(news), max_size=4))
    shuffled = data.draw(st.permutations(repeated))
    ends = []
    for told in (news, shuffled):
        story = _tell(told, ANSWERS[answer], operation)
        story.ask(ANSWERS[answer])
        while is_contradictory(story.transaction.facts) and story.transaction.ask_at is not None:
            story.now = max(story.now, story.transaction.ask_at)
            story.ask(ANSWERS[answer])
        ends.append(_outcome(story))

    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", sorted(NEWS))
def test_same_callback_twice_makes_no_event(name: str) -> None:
    """A repeat adds nothing to the set of evidence."""
    story = story_in(Status.REQUIRES_ACTION)
    story.hear(Heard.CALLBACK, NEWS[name])
    before = story.transaction
    again = story.hear(Heard.CALLBACK, NEWS[name])

    assert (again.events, again.new_facts, story.transaction) == ((), frozenset(), before)


def test_what_epoint_says_is_taken_over_by_name() -> None:
    """A wire struct gives the books the fields they know, and no others."""
    callback = Callback(status="success", order_id="A-1", amount=TEN, transaction=GATEWAY_ID, card_mask="4***1")

    assert said(callback) == Said(
        status="success", order_id="A-1", amount=TEN, transaction=GATEWAY_ID, card_mask="4***1"
    )


# Whatever happens ---------------------------------------------------------------------------------------------


class AnythingGoes(RuleBasedStateMachine):
    """Any sequence of news, refunds, decisions and time; `Story.keep` checks sums, versions and holds."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()

    @rule(operation=st.sampled_from([TransactionOperation.PAY, CHARGE, PAYOUT]))
    @precondition(lambda self: len(self.story.events) == 1)
    def start_over(self, operation: TransactionOperation) -> None:
        self.story = Story(operation=operation)

    @rule(words=st.sampled_from([OPENED, PAID, DECLINED, BAD_KEY, {}, {"status": "error"}]))
    @precondition(lambda self: self.story.transaction.call_deadline is not None)
    def answer(self, words: dict[str, Any]) -> None:
        redirects = self.story.transaction.operation.redirects
        self.story.hear(Heard.OPENING if redirects else Heard.CHARGE, words)

    @rule(lose=st.booleans())
    @precondition(lambda self: self.story.transaction.call_deadline is not None)
    def no_answer(self, lose: bool) -> None:
        settle = apply_loss if lose else apply_not_sent
        self.story.keep(settle(self.story.transaction, self.story.by()))

    @rule(name=st.sampled_from(sorted(NEWS)))
    def callback(self, name: str) -> None:
        self.story.hear(Heard.CALLBACK, NEWS[name])

    @rule(name=st.sampled_from([*sorted(ANSWERS), ""]))
    def get_status(self, name: str) -> None:
        self.story.ask(ANSWERS.get(name))

    @rule(cents=st.integers(min_value=1, max_value=1000))
    @precondition(lambda self: self.story.transaction.refundable_amount > 0)
    def refund(self, cents: int) -> None:
        amount = min(Decimal(cents) / 100, self.story.transaction.refundable_amount)
        self.story.refund(str(amount))

    @rule(data=st.data(), outcome=st.sampled_from(list(RefundStatus)[1:]))
    @precondition(lambda self: self.story.refunds)
    def refund_ends(self, data: st.DataObject, outcome: RefundStatus) -> None:
        self.story.settle(data.draw(st.sampled_from(sorted(self.story.refunds))), outcome)

    @rule(succeeded=st.booleans())
    @precondition(lambda self: self.story.transaction.status in (Status.INDETERMINATE, Status.REQUIRES_REVIEW))
    def decide(self, succeeded: bool) -> None:
        self.story.resolve(succeeded=succeeded)

    @rule(hours=st.sampled_from([0.01, 1, 23, 25, 24 * 8]))
    def time_passes(self, hours: float) -> None:
        self.story.later(hours=hours)

    @rule(taken=st.booleans())
    def another_payment(self, taken: bool) -> None:
        self.story.order_taken = taken and not self.story.transaction.holds_order

    @invariant()
    def a_final_state_can_be_explained(self) -> None:
        after = self.story.transaction
        reasons = {
            Status.SUCCESS: {Fact.PAID},
            Status.RETURNED: {Fact.PAID, Fact.RETURNED},
            Status.FAILED: {Fact.DECLINED, Fact.NOT_SENT, Fact.OPENING_LOST},
            Status.EXPIRED: {Fact.TIMED_OUT},
        }.get(after.status)
        assert reasons is None or after.facts & reasons
        if after.status is Status.RETURNED:
            assert after.refunded_amount == after.amount

    @invariant()
    def pending_is_what_unsettled_refunds_add_up_to(self) -> None:
        pending = sum((refund.amount for refund in self.story.unsettled()), Decimal(0))
        assert self.story.transaction.refund_pending_amount == pending

    @invariant()
    def what_waits_is_asked_about(self) -> None:
        after = self.story.transaction
        undecided = is_contradictory(after.facts) and after.status is not Status.REQUIRES_REVIEW
        if after.status in (Status.REQUIRES_ACTION, Status.INDETERMINATE) or undecided:
            assert after.ask_at is not None


TestAnythingGoes = AnythingGoes.TestCase
TestAnythingGoes.settings = settings(max_examples=200, stateful_step_count=25)
