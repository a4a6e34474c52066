"""What follows for the widget, and for payments that are opened first and charged by a token later."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from gql_epoint.ledger.events import EventSource
from gql_epoint.ledger.schedule import ASK_DELAYS_S, HINT_GAP, JITTER_MAX, after_ask, ask_soon
from gql_epoint.ledger.transaction import Fact, Status, Transaction, TransactionOperation
from gql_epoint.ledger.transitions import apply_charging, apply_loss, apply_not_sent
from gql_epoint.ledger.words import Heard
from tests.test_transitions import DECLINED, GATEWAY_ID, PAID, WAITING, Story

RECORD: dict[str, Any] = {"payment_id": "9998887", "transaction": GATEWAY_ID}
PAGE = "https://epoint.az/widget/1"
DEADLINE = timedelta(seconds=40)


def opened() -> Story:
    """Return a payment that a token can be charged to."""
    story = Story(operation=TransactionOperation.TOKEN_PAYMENT)
    story.hear(Heard.OPENING, RECORD)
    return story


def charging() -> Story:
    """Return one whose charge is on its way."""
    story = opened().later(minutes=1)
    story.keep(apply_charging(story.transaction, story.now + DEADLINE, story.by(EventSource.API)))
    return story


def lost() -> Story:
    """Return one whose charge was not answered."""
    story = charging()
    story.keep(apply_loss(story.transaction, story.by(EventSource.GATEWAY_RESPONSE)))
    return story


def statuses(story: Story) -> list[str]:
    return [event.current for event in story.events]


def test_record_without_a_status_opens_the_payment() -> None:
    """EPoint answers with what it made; the id in it is what a token is charged to."""
    story = opened()

    assert story.transaction.status is Status.REQUIRES_ACTION
    assert story.transaction.token_payment_id == "9998887"
    assert (story.transaction.gateway.transaction_id, story.transaction.gateway.status) == (GATEWAY_ID, None)
    assert story.transaction.call_deadline is None


@pytest.mark.parametrize(
    "words", [{"transaction": GATEWAY_ID}, {"payment_id": "1", "status": "weird"}, {"status": "success"}]
)
def test_answer_that_is_no_record_opens_nothing(words: dict[str, Any]) -> None:
    """Nobody could charge it, so nothing can have moved: the attempt failed and may be repeated."""
    story = Story(operation=TransactionOperation.TOKEN_PAYMENT)
    story.hear(Heard.OPENING, words)

    assert story.transaction.status is Status.FAILED
    assert story.transaction.failure is not None
    assert story.transaction.failure.retryable


def test_charge_on_its_way_is_new_and_not_asked_about() -> None:
    """A call is recorded and not answered: its answer will say more than get-status."""
    story = charging()

    assert (story.transaction.status, story.transaction.ask_at) == (Status.NEW, None)
    assert story.transaction.call_deadline == story.now + DEADLINE
    assert story.transaction.holds_order
    assert story.events[-1].source is EventSource.API


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (PAID, Status.SUCCESS),
        ({"status": "success", "message": "Payment is finished successfully"}, Status.SUCCESS),
        (DECLINED, Status.FAILED),
        ({"status": "failed", "redirect_url": "https://epoint.az/3ds"}, Status.FAILED),
        ({"status": "error", "message": "Payment is not new"}, Status.INDETERMINATE),
        ({"status": "weird"}, Status.INDETERMINATE),
        ({}, Status.INDETERMINATE),
        ({"status": "server_error", "message": "Signature did not match"}, Status.FAILED),
    ],
)
def test_answer_to_a_charge(words: dict[str, Any], status: Status) -> None:
    """Only success and failed decide; whatever else is said, money may have moved."""
    story = charging()
    story.hear(Heard.CHARGE, words)

    assert story.transaction.status is status
    assert story.transaction.call_deadline is None
    assert statuses(story) == ["NEW", "REQUIRES_ACTION", "NEW", status]


@pytest.mark.parametrize("word", ["success", "new", None])
def test_bank_that_wants_to_see_the_customer_has_not_decided(word: str | None) -> None:
    """With a page, even success is no success yet; the callback or get-status tells."""
    story = charging()
    story.hear(Heard.CHARGE, status=word, redirect_url="https://epoint.az/3ds")
    waiting = story.transaction
    assert (waiting.status, waiting.redirect_url) == (Status.REQUIRES_ACTION, "https://epoint.az/3ds")
    assert waiting.gateway.status is None
    assert waiting.ask_at is not None
    story.hear(Heard.STATUS, PAID)

    assert statuses(story) == ["NEW", "REQUIRES_ACTION", "NEW", "REQUIRES_ACTION", "SUCCESS"]


def test_answer_that_never_came_is_indeterminate_and_settled_by_asking() -> None:
    """The opening was answered, so this is not a payment that nobody could pay."""
    story = lost()
    assert story.transaction.status is Status.INDETERMINATE
    assert Fact.OPENING_LOST not in story.transaction.facts
    story.hear(Heard.STATUS, PAID)

    assert story.transaction.status is Status.SUCCESS


def test_page_that_comes_too_late_opens_nothing() -> None:
    """The caller was told that it is INDETERMINATE; only evidence about the money counts now."""
    story = lost()
    story.hear(Heard.CHARGE, status="success", redirect_url="https://epoint.az/3ds")

    assert (story.transaction.status, story.transaction.redirect_url) == (Status.INDETERMINATE, None)


def test_charge_that_was_never_sent_moved_nothing() -> None:
    """No connection was made: it failed, and another payment may start."""
    story = charging()
    story.keep(apply_not_sent(story.transaction, story.by(EventSource.GATEWAY_RESPONSE)))

    assert story.transaction.status is Status.FAILED
    assert not story.transaction.holds_order


def test_lost_charge_of_which_epoint_shows_nothing_for_a_day_has_expired() -> None:
    """What was opened is still new there, so the charge has never arrived; a later success would be looked into."""
    story = lost().later(hours=23)
    story.ask(WAITING)
    assert story.transaction.status is Status.INDETERMINATE
    story.later(hours=1).ask(WAITING)
    assert story.transaction.status is Status.EXPIRED
    story.later(hours=1).hear(Heard.STATUS, PAID)

    assert story.transaction.status is Status.SUCCESS


def lost_late() -> Story:
    """Return one that was charged in the last minute of its payment's day, and not answered."""
    story = opened().later(hours=23, minutes=59)
    story.keep(apply_charging(story.transaction, story.now + DEADLINE, story.by(EventSource.API)))
    story.keep(apply_loss(story.transaction, story.by(EventSource.GATEWAY_RESPONSE)))
    return story


def test_lost_charge_has_a_day_of_its_own_however_old_its_payment_is() -> None:
    """`new` a moment after the charge proves nothing, and neither does the age of what was opened for it."""
    story = lost_late()
    for _ in range(23):
        story.later(hours=1).ask(WAITING)
        assert story.transaction.status is Status.INDETERMINATE
        assert story.transaction.ask_at is not None
    story.later(hours=1).ask(WAITING)

    assert story.transaction.status is Status.EXPIRED


def test_lost_charge_about_which_nothing_is_proved_in_its_day_needs_a_person() -> None:
    """And until then EPoint is asked at short distances first, as about any charge that was just lost."""
    story = lost_late()
    story.later(minutes=2).ask({"status": "server_error"})
    assert story.transaction.status is Status.INDETERMINATE
    assert story.transaction.ask_at == story.now + timedelta(seconds=ASK_DELAYS_S[1])
    story.later(hours=24).ask({"status": "server_error"})

    assert story.transaction.status is Status.REQUIRES_REVIEW


def test_challenge_has_a_day_of_its_own_however_old_its_payment_is() -> None:
    """The customer has just been sent to the bank; the page does not end with the day of what was opened."""
    story = opened().later(hours=23, minutes=59)
    story.keep(apply_charging(story.transaction, story.now + DEADLINE, story.by(EventSource.API)))
    story.hear(Heard.CHARGE, status="success", redirect_url="https://epoint.az/3ds")
    for hours in (1, 22):
        story.later(hours=hours).ask(WAITING)
        assert story.transaction.status is Status.REQUIRES_ACTION
        assert story.transaction.redirect_url == "https://epoint.az/3ds"
    story.later(hours=1).ask(WAITING)

    assert story.transaction.status is Status.EXPIRED


def test_status_during_the_charge_does_not_end_it() -> None:
    """A day after it was opened `new` would expire it, but for the charge that is under way."""
    story = opened().later(hours=25)
    story.keep(apply_charging(story.transaction, story.now + DEADLINE, story.by(EventSource.API)))
    story.hear(Heard.STATUS, WAITING)
    assert story.transaction.status is Status.NEW
    story.hear(Heard.CHARGE, status="success")

    assert story.transaction.status is Status.SUCCESS


@pytest.mark.parametrize("first", ["answer", "callback"])
def test_callback_and_answer_in_either_order(first: str) -> None:
    """One payment, one success, and no second event of it."""
    story = charging()
    words = [(Heard.CHARGE, {"status": "success"}), (Heard.CALLBACK, PAID)]
    for heard, said in words if first == "answer" else reversed(words):
        story.hear(heard, said)

    assert statuses(story)[-1] == "SUCCESS"
    assert statuses(story).count("SUCCESS") == 1


def test_charge_that_is_lost_after_the_callback_came_changes_nothing() -> None:
    """What is known of the money is not unlearned."""
    story = charging()
    story.hear(Heard.CALLBACK, PAID)
    story.keep(apply_loss(story.transaction, story.by(EventSource.RECONCILER)))

    assert (story.transaction.status, story.transaction.call_deadline) == (Status.SUCCESS, None)


@pytest.mark.parametrize("charged", [True, False])
def test_expired_payment_is_watched_if_its_charge_was_ever_sent(charged: bool) -> None:
    """Nobody can pay what was never charged here; a charge that was lost may still come to light."""
    story = lost() if charged else opened()
    story.later(hours=25).ask(WAITING)

    assert story.transaction.status is Status.EXPIRED
    assert (story.transaction.ask_at is not None) is charged


# The widget -------------------------------------------------------------------------------------------------------


def widget() -> Story:
    """Return a payment that waits in the widget; EPoint has named no transaction."""
    story = Story(operation=TransactionOperation.WIDGET)
    story.hear(Heard.OPENING, status="success", redirect_url=PAGE)
    return story


def test_widget_is_settled_by_its_order_alone() -> None:
    """get-status names the transaction, and it is kept from then on."""
    story = widget()
    assert story.transaction.gateway.transaction_id is None
    story.hear(Heard.STATUS, PAID, order_id="A-1")

    assert (story.transaction.status, story.transaction.gateway.transaction_id) == (Status.SUCCESS, GATEWAY_ID)


@pytest.mark.parametrize("operation", [TransactionOperation.WIDGET, TransactionOperation.PAY])
def test_what_expires_without_a_promised_callback_is_asked_about_for_a_week(
    operation: TransactionOperation,
) -> None:
    """The page may be open still, and nobody would tell; where a callback is promised, it tells."""
    story = Story(operation=operation)
    story.hear(Heard.OPENING, status="success", redirect_url=PAGE)
    days = []
    story.later(hours=25).ask(WAITING)
    assert story.transaction.status is Status.EXPIRED
    while (at := story.transaction.ask_at) is not None:
        days.append((at - story.now).days)
        story.now = at
        story.ask(WAITING)

    assert days == ([1] * 6 if operation is TransactionOperation.WIDGET else [])


def test_late_payment_in_an_expired_widget_is_found() -> None:
    """Its order was free meanwhile; nobody took it, so it is simply paid."""
    story = widget().later(hours=25)
    story.ask(WAITING)
    assert story.transaction.status is Status.EXPIRED
    story.later(days=1).ask(PAID)

    assert story.transaction.status is Status.SUCCESS


# Hints ------------------------------------------------------------------------------------------------------------


def asked(times: int) -> tuple[Story, Transaction]:
    """Return a widget's payment about which EPoint was just asked for the n-th time."""
    story = widget()
    for _ in range(times):
        assert story.transaction.ask_at is not None
        story.now = story.transaction.ask_at
        story.ask(WAITING)
    return story, story.transaction


@pytest.mark.parametrize("times", range(1, len(ASK_DELAYS_S) + 3))
def test_hint_brings_the_next_question_forward(times: int) -> None:
    """Just after a question it waits for the gap to the next one; then it is asked at once."""
    story, transaction = asked(times)
    at_once = ask_soon(transaction, story.now)
    assert at_once.ask_at is not None
    assert transaction.ask_at is not None
    late = ASK_DELAYS_S[min(times, len(ASK_DELAYS_S) - 1)] * JITTER_MAX
    assert (
        HINT_GAP - timedelta(seconds=late) <= at_once.ask_at - story.now <= HINT_GAP or at_once.ask_at == story.now
    )
    later = story.now + HINT_GAP
    if transaction.ask_at > later + HINT_GAP:
        assert ask_soon(transaction, later).ask_at == later


def test_hint_changes_nothing_else() -> None:
    """It proves nothing: no status, no version, no fact; and nothing that is not asked about is asked about."""
    story, transaction = asked(3)
    after = ask_soon(transaction, story.now + timedelta(minutes=1))
    same = {name for name in Transaction.__struct_fields__ if getattr(after, name) == getattr(transaction, name)}
    assert set(Transaction.__struct_fields__) - same == {"ask_at", "asks"}
    story.hear(Heard.CALLBACK, PAID)

    assert ask_soon(story.transaction, story.now) == story.transaction


def test_flood_of_hints_does_not_ask_more_often() -> None:
    """A thousand hints a minute: EPoint is asked once in some seconds, and never less than without them."""
    story, transaction = asked(1)
    questions = [story.now]
    for tick in range(600):
        now = story.now + timedelta(seconds=tick / 10)
        transaction = ask_soon(transaction, now)
        assert transaction.ask_at is not None
        if transaction.ask_at <= now:
            questions.append(now)
            transaction = after_ask(transaction, now, unsettled_refunds=False)

    gaps = [later - earlier for earlier, later in itertools.pairwise(questions)]
    assert min(gaps) >= HINT_GAP * (1 - JITTER_MAX) - timedelta(seconds=ASK_DELAYS_S[1] * JITTER_MAX)
    assert len(questions) >= 60 / ASK_DELAYS_S[1]
