"""The table of transitions for holds: what EPoint's words prove, one request at a time, any order of the news."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gql_epoint.epoint import FailureCategory
from gql_epoint.ledger.events import EventKind, EventSource
from gql_epoint.ledger.holds import (
    HoldFinding,
    apply_hold_answer,
    apply_hold_resolution,
    apply_to_hold,
    can_be_settled,
    next_number,
    reserve_hold_request,
)
from gql_epoint.ledger.schedule import ASK_DELAYS_S, HOLD_DELAY_S, HOLD_WATCH_LIMIT, is_contradictory
from gql_epoint.ledger.transaction import (
    Fact,
    Failure,
    HoldRequest,
    HoldRequestKind,
    HoldRequestStatus,
    RefundStatus,
    Status,
    TransactionOperation,
)
from gql_epoint.ledger.transitions import Change, apply_loss, apply_not_sent, apply_resolution, apply_silence
from gql_epoint.ledger.words import Heard, Said
from tests.test_transitions import (
    BAD_KEY,
    DECLINED,
    GATEWAY_ID,
    NEWS,
    OPENED,
    PAID,
    RETURNED,
    TEN,
    WAITING,
    Story,
)

CAPTURE, CANCEL = HoldRequestKind.CAPTURE, HoldRequestKind.CANCEL
DONE, REFUSED, LOST = HoldRequestStatus.SUCCESS, HoldRequestStatus.FAILED, HoldRequestStatus.INDETERMINATE
OTHER_WORD = {"status": "pre_auth", "transaction": GATEWAY_ID}
NO = Failure(category=FailureCategory.OTHER, message="No", retryable=False)


class HoldStory(Story):
    """A pre-authorisation's books in memory; what must hold of every hold is checked after every step."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**({"operation": TransactionOperation.PREAUTHORIZE} | changes))
        self.captures = 0

    def keep(self, change: Change) -> Change:
        super().keep(change)
        after = self.transaction
        assert Fact.PAID not in after.facts, "no word about a hold is taken for money"
        assert after.refunded_amount + after.refund_pending_amount <= after.paid_amount
        assert after.captured_amount is None or Decimal(0) < after.captured_amount <= after.amount
        if after.status in (Status.SUCCESS, Status.RETURNED):
            assert Fact.CAPTURED in after.facts
            assert after.captured_amount is not None
        assert (after.authorized_amount > 0) == (after.status is Status.AUTHORIZED)
        self.captures += sum(
            event.kind is EventKind.HOLD and (event.hold_request, event.current) == (CAPTURE, DONE)
            for event in change.events
        )
        assert self.captures <= 1, "a hold is captured once"
        return change

    def hear(self, heard: Heard, *words: dict[str, Any], **more: Any) -> Change:
        fields: dict[str, Any] = {}
        for word in (*words, more):
            fields |= word
        source = EventSource.GATEWAY_CALLBACK if heard is Heard.CALLBACK else EventSource.GATEWAY_RESPONSE
        taken = self.order_taken and not self.transaction.holds_order
        return self.keep(
            apply_to_hold(
                self.transaction,
                heard,
                Said(**fields),
                self.by(source),
                order_taken=taken,
                refunds=self.unsettled(),
            )
        )

    def request(self, kind: HoldRequestKind, amount: str | None = None) -> int:
        """Write a request down and return its number."""
        taken = Decimal(amount or "10.00") if kind is CAPTURE else None
        request = HoldRequest(
            number=next_number(self.transaction),
            kind=kind,
            status=HoldRequestStatus.PROCESSING,
            requested_at=self.now,
            amount=taken,
            call_deadline=self.now + timedelta(seconds=40),
        )
        self.keep(reserve_hold_request(self.transaction, request, self.by(EventSource.API)))
        return request.number

    def answer(self, outcome: HoldRequestStatus, number: int | None = None) -> Change:
        request = self.transaction.hold_request
        assert request is not None
        failure = NO if outcome is REFUSED else None
        by = self.by(EventSource.GATEWAY_RESPONSE)
        return self.keep(apply_hold_answer(self.transaction, number or request.number, outcome, failure, by))

    def find(self, finding: HoldFinding, amount: str | None = None) -> Change:
        by = self.by(EventSource.OPERATOR, actor="ops", note="Asked the bank.")
        taken = None if amount is None else Decimal(amount)
        return self.keep(apply_hold_resolution(self.transaction, finding, taken, by, order_taken=False))


def held() -> HoldStory:
    """Return a hold that its customer has approved."""
    story = HoldStory()
    story.hear(Heard.OPENING, OPENED)
    story.hear(Heard.CALLBACK, PAID)
    assert story.transaction.status is Status.AUTHORIZED
    return story


def requested(
    kind: HoldRequestKind, outcome: HoldRequestStatus | None = None, amount: str | None = None
) -> HoldStory:
    """Return a hold with a request, which may have an outcome."""
    story = held()
    story.request(kind, amount)
    if outcome is not None:
        story.answer(outcome)
    return story


# Until it is held ---------------------------------------------------------------------------------------------


def test_success_holds_and_pays_nothing() -> None:
    """The customer approved: nothing can be refunded, everything can be captured, and the order is in progress."""
    after = held().transaction

    assert (after.status, after.status.is_final, after.holds_order) == (Status.AUTHORIZED, False, True)
    assert (after.authorized_amount, after.taken_amount, after.refundable_amount) == (TEN, 0, 0)
    assert can_be_settled(after)


@pytest.mark.parametrize(
    ("heard", "words", "status"),
    [
        (Heard.CALLBACK, DECLINED, Status.FAILED),
        (Heard.STATUS, DECLINED, Status.FAILED),
        (Heard.STATUS, PAID, Status.AUTHORIZED),
        (Heard.STATUS, {"status": "success"}, Status.AUTHORIZED),
        (Heard.STATUS, WAITING, Status.REQUIRES_ACTION),
        (Heard.STATUS, OTHER_WORD, Status.REQUIRES_ACTION),
        (Heard.STATUS, RETURNED, Status.VOIDED),
        (Heard.STATUS, {"status": "error"}, Status.REQUIRES_ACTION),
        (Heard.CALLBACK, PAID | {"amount": Decimal("1.00")}, Status.REQUIRES_REVIEW),
        (Heard.CALLBACK, PAID | {"order_id": "B-2"}, Status.REQUIRES_REVIEW),
        (Heard.CALLBACK, PAID | {"amount": None}, Status.REQUIRES_ACTION),
        (Heard.CALLBACK, OTHER_WORD, Status.REQUIRES_ACTION),
    ],
)
def test_news_while_the_customer_acts(heard: Heard, words: dict[str, Any], status: Status) -> None:
    """As for a payment, but that a success holds."""
    story = HoldStory()
    story.hear(Heard.OPENING, OPENED)
    story.hear(heard, words)

    assert story.transaction.status is status


def test_opening_that_failed_or_was_lost_holds_nothing() -> None:
    """A refused page, a lost one and one that was never asked for: FAILED, and the order is free."""
    refused, lost, unsent = HoldStory(), HoldStory(), HoldStory()
    refused.hear(Heard.OPENING, {"status": "error", "message": "No"})
    lost.keep(apply_loss(lost.transaction, lost.by()))
    unsent.keep(apply_not_sent(unsent.transaction, unsent.by()))

    for story in (refused, lost, unsent):
        assert (story.transaction.status, story.transaction.holds_order) == (Status.FAILED, False)
    lost.hear(Heard.CALLBACK, PAID)
    assert lost.transaction.status is Status.REQUIRES_REVIEW


def test_hold_of_an_order_that_another_payment_has_is_reviewed() -> None:
    """A hold that turns up while another payment lives is not the order's."""
    story = HoldStory()
    story.hear(Heard.OPENING, OPENED)
    story.later(hours=24).hear(Heard.STATUS, WAITING)
    assert story.transaction.status is Status.EXPIRED
    story.order_taken = True
    story.hear(Heard.CALLBACK, PAID)
    story.hear(Heard.STATUS, PAID)

    assert (story.transaction.status, story.transaction.holds_order) == (Status.REQUIRES_REVIEW, False)


@pytest.mark.parametrize("first", [PAID, DECLINED])
@pytest.mark.parametrize(("answer", "expected"), [(PAID, Status.AUTHORIZED), (DECLINED, Status.REQUIRES_REVIEW)])
def test_contradiction_is_decided_by_get_status(
    first: dict[str, Any], answer: dict[str, Any], expected: Status
) -> None:
    """A success and a decline of one hold, in either order; until it is decided nothing can be captured."""
    story = HoldStory()
    story.hear(Heard.OPENING, OPENED)
    story.hear(Heard.CALLBACK, first)
    story.hear(Heard.CALLBACK, DECLINED if first is PAID else PAID)

    assert is_contradictory(story.transaction.facts)
    assert not can_be_settled(story.transaction)
    story.ask(answer)
    assert story.transaction.status is expected
    assert can_be_settled(story.transaction) is (expected is Status.AUTHORIZED)


# While it is held ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (PAID, Status.AUTHORIZED),
        (PAID | {"amount": None}, Status.AUTHORIZED),
        (WAITING, Status.AUTHORIZED),
        (OTHER_WORD, Status.AUTHORIZED),
        ({"status": "server_error"}, Status.AUTHORIZED),
        ({"status": "error"}, Status.AUTHORIZED),
        (RETURNED, Status.VOIDED),
        (DECLINED, Status.REQUIRES_REVIEW),
        ({"status": "error", "transaction": GATEWAY_ID}, Status.REQUIRES_REVIEW),
        (PAID | {"amount": Decimal("4.00")}, Status.REQUIRES_REVIEW),
    ],
)
def test_get_status_while_held(words: dict[str, Any], status: Status) -> None:
    """`success` is no capture; `returned` means that the hold is gone; a decline after that is for a person."""
    story = held()
    story.hear(Heard.STATUS, words)

    assert story.transaction.status is status
    assert story.transaction.taken_amount == 0


def test_hold_is_watched_quietly_and_not_for_ever() -> None:
    """It is asked about once soon, then once a day, and after its limit no more; it stays AUTHORIZED."""
    story = held()
    distances = []
    while story.transaction.ask_at is not None:
        distances.append((story.transaction.ask_at - story.now).total_seconds())
        story.now = story.transaction.ask_at
        story.ask(PAID)

    assert distances[0] == ASK_DELAYS_S[0]
    assert set(distances[1:]) == {HOLD_DELAY_S}
    assert abs(len(distances) - HOLD_WATCH_LIMIT.days) <= 1
    assert (story.transaction.status, can_be_settled(story.transaction)) == (Status.AUTHORIZED, True)


def test_success_after_another_word_was_taken_elsewhere() -> None:
    """Where EPoint has a word of its own for this hold, `success` later means money: a person says how much."""
    story = held()
    story.ask(OTHER_WORD)
    assert Fact.HELD_WORD_DIFFERS in story.transaction.facts
    story.ask(PAID)

    assert (story.transaction.status, story.transaction.taken_amount) == (Status.REQUIRES_REVIEW, 0)
    story.find(HoldFinding.CAPTURED, "9.00")
    assert (story.transaction.status, story.transaction.taken_amount) == (Status.SUCCESS, Decimal("9.00"))


@pytest.mark.parametrize("words", [WAITING, {"status": "pre_auth"}, {"status": "error"}, PAID])
def test_what_teaches_no_word(words: dict[str, Any]) -> None:
    """`new` can be an old answer, and an answer that names no transaction may be about anything."""
    story = held()
    story.ask(words)

    assert Fact.HELD_WORD_DIFFERS not in story.transaction.facts


# Captures and cancellations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "outcome", "status", "order_held"),
    [
        (CAPTURE, DONE, Status.SUCCESS, True),
        (CAPTURE, REFUSED, Status.AUTHORIZED, True),
        (CAPTURE, LOST, Status.INDETERMINATE, True),
        (CANCEL, DONE, Status.VOIDED, False),
        (CANCEL, REFUSED, Status.AUTHORIZED, True),
        (CANCEL, LOST, Status.INDETERMINATE, True),
    ],
)
def test_request_and_its_answer(
    kind: HoldRequestKind, outcome: HoldRequestStatus, status: Status, order_held: bool
) -> None:
    """The answer makes an event of its own, then the status follows; a refusal leaves the amount held."""
    story = requested(kind)
    assert (story.transaction.status, can_be_settled(story.transaction)) == (Status.AUTHORIZED, False)
    change = story.answer(outcome)

    after = story.transaction
    assert (after.status, after.holds_order) == (status, order_held)
    assert after.hold_request is not None
    assert (after.hold_request.status, after.hold_request.call_deadline) == (outcome, None)
    assert (after.hold_request.failure is not None) is (outcome is REFUSED)
    kinds = [(event.kind, event.current) for event in change.events]
    assert kinds == [("HOLD", outcome)] + ([] if status is Status.AUTHORIZED else [("STATUS", status)])
    assert can_be_settled(after) is (outcome is REFUSED)
    assert (after.ask_at is None) is status.is_final


def test_part_of_a_hold_is_what_can_be_refunded() -> None:
    """Of 10 held and 6 captured, 6 can go back, and then all of it was returned."""
    story = requested(CAPTURE, DONE, "6.00")
    after = story.transaction
    assert (after.amount, after.taken_amount, after.refundable_amount) == (TEN, Decimal("6.00"), Decimal("6.00"))
    story.settle(story.refund("2.00"), RefundStatus.SUCCESS)
    assert story.transaction.refundable_amount == Decimal("4.00")
    story.settle(story.refund("4.00"), RefundStatus.SUCCESS)

    assert (story.transaction.status, story.transaction.holds_order) == (Status.RETURNED, False)


def test_part_of_a_hold_that_epoint_calls_returned() -> None:
    """`returned` after a capture is about what was captured."""
    story = requested(CAPTURE, DONE, "6.00")
    story.hear(Heard.STATUS, RETURNED)

    assert (story.transaction.status, story.transaction.refunded_amount) == (Status.RETURNED, Decimal("6.00"))


@pytest.mark.parametrize("amount", ["10.01", "0", "-1"])
def test_capturing_what_is_not_held_is_a_bug(amount: str) -> None:
    """The cashier checks before; the ledger will not do it."""
    with pytest.raises(AssertionError):
        held().request(CAPTURE, amount)


@pytest.mark.parametrize(
    "story",
    [
        requested(CAPTURE),
        requested(CANCEL),
        requested(CAPTURE, LOST),
        requested(CANCEL, LOST),
        requested(CAPTURE, DONE),
        requested(CANCEL, DONE),
    ],
)
@pytest.mark.parametrize("kind", HoldRequestKind)
def test_second_request_is_a_bug(story: HoldStory, kind: HoldRequestKind) -> None:
    """While one is open, or after one was done, no other can be written down."""
    with pytest.raises(AssertionError):
        story.request(kind)


@pytest.mark.parametrize("kind", HoldRequestKind)
def test_refused_request_can_be_tried_again(kind: HoldRequestKind) -> None:
    """The next one has the next number."""
    story = requested(kind, REFUSED)

    assert story.request(CAPTURE, "3.00") == 2
    story.answer(DONE)
    assert story.transaction.taken_amount == Decimal("3.00")


@pytest.mark.parametrize("outcome", [DONE, REFUSED, LOST])
def test_same_answer_twice_makes_no_event(outcome: HoldRequestStatus) -> None:
    """A repetition, and doubt after an end, change nothing."""
    story = requested(CAPTURE, outcome)
    before = story.transaction
    again = story.answer(outcome)
    doubt = story.answer(LOST)

    assert (again.events, doubt.events, story.transaction) == ((), (), before)


@pytest.mark.parametrize(("first", "then"), [(DONE, REFUSED), (REFUSED, DONE)])
@pytest.mark.parametrize("kind", HoldRequestKind)
def test_request_with_two_ends_is_reviewed(
    kind: HoldRequestKind, first: HoldRequestStatus, then: HoldRequestStatus
) -> None:
    """Whoever is right, somebody has to look."""
    story = requested(kind, first)
    story.answer(then)

    assert story.transaction.status is Status.REQUIRES_REVIEW
    assert not can_be_settled(story.transaction)


@pytest.mark.parametrize(("late", "expected"), [(DONE, Status.REQUIRES_REVIEW), (REFUSED, Status.AUTHORIZED)])
def test_late_answer_to_an_older_request(late: HoldRequestStatus, expected: Status) -> None:
    """A person decided, another capture is under way, and then the first one turns out to have been done."""
    story = requested(CAPTURE, LOST, "4.00")
    story.find(HoldFinding.HELD)
    story.request(CAPTURE, "5.00")
    story.answer(late, number=1)

    assert story.transaction.status is expected


# A lost answer, and what get-status can prove ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "amount", "words", "status"),
    [
        (CAPTURE, "10.00", PAID, Status.INDETERMINATE),
        (CAPTURE, "4.00", PAID, Status.INDETERMINATE),
        (CAPTURE, "4.00", PAID | {"amount": Decimal("4.00")}, Status.SUCCESS),
        (CAPTURE, "4.00", PAID | {"amount": Decimal("5.00")}, Status.REQUIRES_REVIEW),
        (CAPTURE, "10.00", WAITING, Status.INDETERMINATE),
        (CAPTURE, "10.00", OTHER_WORD, Status.INDETERMINATE),
        (CAPTURE, "10.00", RETURNED, Status.REQUIRES_REVIEW),
        (CAPTURE, "10.00", DECLINED, Status.REQUIRES_REVIEW),
        (CANCEL, None, PAID, Status.INDETERMINATE),
        (CANCEL, None, OTHER_WORD, Status.INDETERMINATE),
        (CANCEL, None, RETURNED, Status.VOIDED),
    ],
)
def test_get_status_after_a_lost_answer(
    kind: HoldRequestKind, amount: str | None, words: dict[str, Any], status: Status
) -> None:
    """EPoint's `success` may mean that it is merely held; the part that was to be taken means the capture."""
    story = requested(kind, LOST, amount)
    story.later(seconds=5).ask(words)

    assert story.transaction.status is status
    assert story.transaction.taken_amount == (Decimal(amount or 0) if status is Status.SUCCESS else 0)


def test_success_after_another_word_proves_a_lost_capture() -> None:
    """EPoint had a word of its own while it was held, so `success` is the capture's."""
    story = held()
    story.ask(OTHER_WORD)
    story.request(CAPTURE, "6.00")
    story.answer(LOST)
    story.later(seconds=5).ask(OTHER_WORD)
    assert story.transaction.status is Status.INDETERMINATE
    story.later(seconds=15).ask(PAID)

    assert (story.transaction.status, story.transaction.taken_amount) == (Status.SUCCESS, Decimal("6.00"))
    assert story.transaction.ask_at is None


def test_success_after_another_word_contradicts_a_lost_cancellation() -> None:
    """Nobody asked for money, and EPoint says that there is some."""
    story = held()
    story.ask(OTHER_WORD)
    story.request(CANCEL)
    story.answer(LOST)
    story.ask(PAID)

    assert story.transaction.status is Status.REQUIRES_REVIEW


@pytest.mark.parametrize("words", [PAID, PAID | {"amount": Decimal("4.00")}, RETURNED, OTHER_WORD])
def test_request_in_flight_waits_for_its_own_answer(words: dict[str, Any]) -> None:
    """Whatever get-status says meanwhile, the answer says more."""
    story = requested(CAPTURE, amount="4.00")
    story.hear(Heard.STATUS, words)

    assert story.transaction.status is Status.AUTHORIZED
    story.answer(DONE)
    assert (story.transaction.status, story.transaction.taken_amount) == (Status.SUCCESS, Decimal("4.00"))


@pytest.mark.parametrize("heard", [Heard.CALLBACK, Heard.STATUS])
@pytest.mark.parametrize("words", [DECLINED, {"status": "failed"}])
def test_released_hold_that_epoint_calls_failed_stays_released(heard: Heard, words: dict[str, Any]) -> None:
    """Nothing was captured and nothing is held, whatever EPoint calls that; it has no documented word for it."""
    story = requested(CANCEL, DONE)
    before = story.transaction
    for _ in range(2):
        change = story.hear(heard, words)
        assert (story.transaction.status, change.events, change.new_facts) == (Status.VOIDED, (), frozenset())

    assert story.transaction.facts == before.facts
    assert (story.transaction.ask_at, story.transaction.holds_order) == (None, False)


@pytest.mark.parametrize("heard", [Heard.CALLBACK, Heard.STATUS])
@pytest.mark.parametrize(
    ("outcome", "expected"), [(DONE, Status.VOIDED), (REFUSED, Status.AUTHORIZED), (LOST, Status.INDETERMINATE)]
)
def test_failed_while_a_cancellation_is_in_flight_waits_for_its_answer(
    heard: Heard, outcome: HoldRequestStatus, expected: Status
) -> None:
    """It may be EPoint's word for what was just let go; if it was not let go, EPoint is asked again."""
    story = requested(CANCEL)
    story.hear(heard, DECLINED)
    assert story.transaction.status is Status.AUTHORIZED
    story.answer(outcome)

    assert story.transaction.status is expected
    if expected is not Status.VOIDED:
        story.ask(DECLINED)
        assert story.transaction.status is Status.REQUIRES_REVIEW


@pytest.mark.parametrize("first", [Heard.CALLBACK, Heard.STATUS])
def test_hold_that_failed_and_then_is_gone_is_released(first: Heard) -> None:
    """The same words in the other order; and what is gone waits for no verdict about whether it was held."""
    story = HoldStory()
    story.hear(Heard.OPENING, OPENED)
    story.hear(first, DECLINED)
    story.hear(Heard.STATUS, RETURNED)

    assert (story.transaction.status, story.transaction.holds_order) == (Status.VOIDED, False)
    assert not is_contradictory(story.transaction.facts)


def test_captured_hold_that_epoint_calls_failed_is_reviewed() -> None:
    """That is a contradiction about money."""
    story = requested(CAPTURE, DONE)
    story.hear(Heard.STATUS, DECLINED)

    assert story.transaction.status is Status.REQUIRES_REVIEW


@pytest.mark.parametrize("kind", HoldRequestKind)
@pytest.mark.parametrize("age_days", [0, 20])
def test_lost_answer_is_asked_about_from_the_start_of_the_schedule_and_then_given_up(
    kind: HoldRequestKind, age_days: int
) -> None:
    """However old the hold is: a day of questions, then a person."""
    story = held().later(days=age_days)
    story.request(kind)
    story.answer(LOST)
    lost_at, distances = story.now, []
    while story.transaction.status is Status.INDETERMINATE:
        assert story.transaction.ask_at is not None
        distances.append((story.transaction.ask_at - story.now).total_seconds())
        story.now = story.transaction.ask_at
        story.ask(PAID)

    assert distances[:6] == list(ASK_DELAYS_S)
    assert timedelta(hours=24) <= story.now - lost_at <= timedelta(hours=25)
    assert (story.transaction.status, story.transaction.ask_at) == (Status.REQUIRES_REVIEW, None)


@pytest.mark.parametrize(("late", "expected"), [(DONE, Status.SUCCESS), (REFUSED, Status.AUTHORIZED)])
def test_late_answer_settles_even_what_a_person_was_called_for(late: HoldRequestStatus, expected: Status) -> None:
    """An answer is news whenever it comes."""
    story = requested(CAPTURE, LOST)
    story.later(hours=25).ask(None)
    assert story.transaction.status is Status.REQUIRES_REVIEW
    story.answer(late)

    assert story.transaction.status is expected


# A person's finding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finding", "amount", "status", "request_of_capture", "request_of_cancel"),
    [
        (HoldFinding.HELD, None, Status.AUTHORIZED, REFUSED, REFUSED),
        (HoldFinding.CAPTURED, "7.00", Status.SUCCESS, DONE, REFUSED),
        (HoldFinding.RELEASED, None, Status.VOIDED, REFUSED, DONE),
    ],
)
def test_finding_replaces_the_evidence_and_ends_the_request(
    finding: HoldFinding,
    amount: str | None,
    status: Status,
    request_of_capture: HoldRequestStatus,
    request_of_cancel: HoldRequestStatus,
) -> None:
    """The event says who found it and how; the request that was open has an end that fits."""
    for kind, end in ((CAPTURE, request_of_capture), (CANCEL, request_of_cancel)):
        story = requested(kind, LOST)
        change = story.find(finding, amount)

        after = story.transaction
        assert after.hold_request is not None
        assert (after.status, after.hold_request.status) == (status, end)
        assert after.taken_amount == Decimal(amount or 0)
        assert {(event.source, event.actor, event.note) for event in change.events} == {
            (EventSource.OPERATOR, "ops", "Asked the bank.")
        }
        story.hear(Heard.CALLBACK, PAID)
        assert story.transaction.status is status


def test_payments_and_holds_are_not_settled_alike() -> None:
    """Each has its own decision."""
    story = requested(CAPTURE, LOST)
    by = story.by(EventSource.OPERATOR, note="?")

    with pytest.raises(AssertionError):
        apply_resolution(story.transaction, succeeded=True, by=by, order_taken=False)
    with pytest.raises(AssertionError):
        apply_hold_resolution(Story().transaction, HoldFinding.HELD, None, by, order_taken=False)


# Any order, any repetition ------------------------------------------------------------------------------------

ANSWERS: dict[str, dict[str, Any]] = {
    "success": PAID,
    "failed": DECLINED,
    "new": WAITING,
    "another word": OTHER_WORD,
    "returned": RETURNED,
    "refused": {"status": "error"},
}


def _tell(news: list[str], answer: dict[str, Any]) -> HoldStory:
    story = HoldStory()
    story.hear(Heard.OPENING, OPENED)
    for name in news:
        story.hear(Heard.CALLBACK, NEWS[name])
        if story.transaction.ask_at == story.now:
            story.ask(answer)
    story.ask(answer)
    while is_contradictory(story.transaction.facts) and story.transaction.ask_at is not None:
        story.now = max(story.now, story.transaction.ask_at)
        story.ask(answer)
    return story


@given(
    news=st.lists(st.sampled_from(sorted(NEWS)), min_size=1, max_size=6),
    answer=st.sampled_from(sorted(ANSWERS)),
    data=st.data(),
)
@settings(max_examples=400)
def test_any_order_and_repetition_of_callbacks_ends_alike(
    news: list[str], answer: str, data: st.DataObject
) -> None:
    """Callbacks about a hold in any order and number, while get-status always says the same, end in one state."""
    repeated = news + data.draw(st.lists(st.sampled_from(news), max_size=4))
    ends = []
    for told in (news, data.draw(st.permutations(repeated))):
        after = _tell(list(told), ANSWERS[answer]).transaction
        ends.append((after.status, after.holds_order, after.taken_amount))

    assert ends[0] == ends[1]


@given(
    steps=st.permutations(["answer", "callback", "status"]),
    outcome=st.sampled_from([DONE, REFUSED]),
    kind=st.sampled_from(list(HoldRequestKind)),
)
@settings(max_examples=100)
def test_answer_and_repeated_success_end_alike_in_any_order(
    steps: list[str], outcome: HoldRequestStatus, kind: HoldRequestKind
) -> None:
    """The hold's own success, told again by callback and by get-status, adds nothing to the answer of a request."""
    story, plain = requested(kind), requested(kind, outcome)
    for step in steps:
        if step == "answer":
            story.answer(outcome)
        else:
            story.hear(Heard.CALLBACK if step == "callback" else Heard.STATUS, PAID)

    assert story.transaction.status is plain.transaction.status
    assert story.transaction.facts == plain.transaction.facts


class AnyHold(RuleBasedStateMachine):
    """Any sequence of news, captures, cancellations, refunds, findings and time; `HoldStory.keep` checks sums."""

    def __init__(self) -> None:
        super().__init__()
        self.story = HoldStory()

    @rule(words=st.sampled_from([OPENED, BAD_KEY, {}, {"status": "error"}]))
    @precondition(lambda self: self.story.transaction.call_deadline is not None)
    def opening(self, words: dict[str, Any]) -> None:
        self.story.hear(Heard.OPENING, words)

    @rule(name=st.sampled_from(sorted(NEWS)))
    def callback(self, name: str) -> None:
        self.story.hear(Heard.CALLBACK, NEWS[name])

    @rule()
    def approved(self) -> None:
        self.story.hear(Heard.CALLBACK, PAID)

    @rule(name=st.sampled_from([*sorted(ANSWERS), ""]))
    def get_status(self, name: str) -> None:
        self.story.ask(ANSWERS.get(name))

    @rule(kind=st.sampled_from(list(HoldRequestKind)), cents=st.integers(min_value=1, max_value=1000))
    @precondition(lambda self: can_be_settled(self.story.transaction))
    def ask_for(self, kind: HoldRequestKind, cents: int) -> None:
        self.story.request(kind, str(Decimal(cents) / 100))

    @rule(outcome=st.sampled_from([DONE, REFUSED, LOST]))
    @precondition(lambda self: self.story.transaction.hold_request is not None)
    def answered(self, outcome: HoldRequestStatus) -> None:
        self.story.answer(outcome)

    @rule(cents=st.integers(min_value=1, max_value=1000))
    @precondition(lambda self: self.story.transaction.refundable_amount > 0)
    def refund(self, cents: int) -> None:
        self.story.refund(str(min(Decimal(cents) / 100, self.story.transaction.refundable_amount)))

    @rule(data=st.data(), outcome=st.sampled_from([RefundStatus.SUCCESS, RefundStatus.FAILED]))
    @precondition(lambda self: self.story.unsettled())
    def refund_ends(self, data: st.DataObject, outcome: RefundStatus) -> None:
        name = data.draw(st.sampled_from([refund.id for refund in self.story.unsettled()]))
        self.story.settle(name, outcome)

    @rule(finding=st.sampled_from([HoldFinding.HELD, HoldFinding.RELEASED]))
    @precondition(
        lambda self: (
            self.story.transaction.status in (Status.INDETERMINATE, Status.REQUIRES_REVIEW)
            and self.story.captures == 0
            and self.story.transaction.refunded_amount + self.story.transaction.refund_pending_amount == 0
        )
    )
    def decide(self, finding: HoldFinding) -> None:
        request = self.story.transaction.hold_request
        if request is None or request.status is not HoldRequestStatus.PROCESSING:
            self.story.find(finding)

    @rule(hours=st.sampled_from([0.01, 1, 23, 25, 24 * 8, 24 * 40]))
    def time_passes(self, hours: float) -> None:
        self.story.later(hours=hours)

    @invariant()
    def a_state_can_be_explained(self) -> None:
        after = self.story.transaction
        reasons = {
            Status.AUTHORIZED: {Fact.HELD},
            Status.SUCCESS: {Fact.CAPTURED},
            Status.RETURNED: {Fact.CAPTURED},
            Status.VOIDED: {Fact.RELEASED},
            Status.FAILED: {Fact.DECLINED, Fact.NOT_SENT, Fact.OPENING_LOST},
            Status.EXPIRED: {Fact.TIMED_OUT},
        }.get(after.status)
        assert reasons is None or after.facts & reasons

    @invariant()
    def lost_answer_is_never_shown_as_certain(self) -> None:
        after = self.story.transaction
        if after.hold_request is not None and after.hold_request.status is LOST:
            # A hold that is gone, or whose story contradicts itself, waits for nothing more.
            assert after.status is not Status.AUTHORIZED or is_contradictory(after.facts)
            assert after.status is not Status.SUCCESS

    @invariant()
    def what_waits_is_asked_about(self) -> None:
        after = self.story.transaction
        undecided = is_contradictory(after.facts) and after.status is not Status.REQUIRES_REVIEW
        if after.status in (Status.REQUIRES_ACTION, Status.INDETERMINATE) or undecided:
            assert after.ask_at is not None


TestAnyHold = AnyHold.TestCase
TestAnyHold.settings = settings(max_examples=200, stateful_step_count=25)


def test_silence_alone_never_takes_a_hold_for_anything_else() -> None:
    """Seven days without a word leave it AUTHORIZED: it is the shop that has to decide."""
    story = held().later(days=8)
    change = story.keep(apply_silence(story.transaction, story.by(EventSource.RECONCILER)))

    assert (story.transaction.status, change.events) == (Status.AUTHORIZED, ())


def test_reserving_keeps_what_is_known() -> None:
    """Only the request, the version and the time of change differ."""
    story = held()
    before = story.transaction
    story.later(seconds=1).request(CANCEL)

    after = story.transaction
    expected = msgspec.structs.replace(
        before, hold_request=after.hold_request, version=before.version + 1, updated_at=story.now
    )
    assert after == expected
