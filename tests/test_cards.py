"""The small life of a saved card: every pair of state and news, any order, and what a card shows."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_epoint.epoint.replies import CardStatusReply
from gql_epoint.ledger.cards import (
    CARD_STATUS_WORDS,
    CardNews,
    after_card_ask,
    apply_card,
    card_event,
    open_card,
    waited_too_long,
)
from gql_epoint.ledger.events import EventSource, Provenance
from gql_epoint.ledger.schedule import ASK_DELAYS_S
from gql_epoint.ledger.transaction import SavedCard, SavedCardStatus
from gql_epoint.ledger.words import Said

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
BY = Provenance(now=START + timedelta(minutes=1), source=EventSource.GATEWAY_CALLBACK, callback_id="cb_1")
PENDING, ACTIVE, REJECTED, EXPIRED = SavedCardStatus


def card(status: SavedCardStatus = PENDING, **changes: Any) -> SavedCard:
    """Return a card that waits for its customer, changed in what the test is about."""
    values: dict[str, Any] = {
        "id": "card_1",
        "status": status,
        "version": 1,
        "usable_for_payout": False,
        "created_at": START,
        "updated_at": START,
        "card_id": "ce1",
        "redirect_url": "https://epoint.az/card/1" if status is PENDING else None,
        "ask_at": START + timedelta(seconds=5) if status is PENDING else None,
    }
    return SavedCard(**(values | changes))


NEXT = {
    PENDING: {"SAVED": ACTIVE, "REFUSED": REJECTED, "ACTIVE": ACTIVE, "REJECTED": REJECTED, "EXPIRED": EXPIRED},
    ACTIVE: {"EXPIRED": EXPIRED},
    REJECTED: {"SAVED": ACTIVE, "ACTIVE": ACTIVE},
    EXPIRED: {"ACTIVE": ACTIVE},
}


@pytest.mark.parametrize(("start", "news"), list(itertools.product(SavedCardStatus, CardNews)))
def test_every_pair_of_state_and_news(start: SavedCardStatus, news: CardNews) -> None:
    """Each pair has one outcome; a change makes one event and one version, no change makes none."""
    expected = NEXT[start].get(news.name, start)
    before = card(start)
    change = apply_card(before, news, BY)
    changed = expected is not start

    assert change.card.status is expected
    assert change.card.version == 1 + changed
    assert change.card.updated_at == (BY.now if changed else START)
    assert [(e.sequence, e.previous, e.current, e.saved_card_id, e.callback_id) for e in change.events] == (
        [(2, start, expected, "card_1", "cb_1")] if changed else []
    )
    if expected is not PENDING:
        assert (change.card.redirect_url, change.card.call_deadline) == (None, None)


@pytest.mark.parametrize("start", SavedCardStatus)
@pytest.mark.parametrize("news", CardNews)
def test_same_news_twice_changes_nothing(start: SavedCardStatus, news: CardNews) -> None:
    """A repeat adds no event."""
    once = apply_card(card(start), news, BY).card

    assert apply_card(once, news, BY).events == ()


@given(
    news=st.lists(st.sampled_from([CardNews.SAVED, CardNews.REFUSED, CardNews.NOTHING]), max_size=6), data=st.data()
)
def test_order_of_callbacks_does_not_matter(news: list[CardNews], data: st.DataObject) -> None:
    """A customer may try several cards on one page: one success is enough, whenever it comes."""
    ends = []
    for told in (news, data.draw(st.permutations(news))):
        state = card()
        for item in told:
            state = apply_card(state, item, BY).card
        ends.append(state.status)

    assert ends[0] is ends[1]
    assert (ends[0] is ACTIVE) is (CardNews.SAVED in news)


def test_expired_card_that_is_said_to_be_saved_is_asked_about() -> None:
    """Only EPoint's card status can bring it back."""
    asked = apply_card(card(EXPIRED), CardNews.SAVED, BY).card
    assert (asked.status, asked.ask_at) == (EXPIRED, BY.now)

    assert apply_card(asked, CardNews.ACTIVE, BY).card.status is ACTIVE
    assert after_card_ask(asked, BY.now).ask_at is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("active", ACTIVE),
        ("rejected", REJECTED),
        ("expired", EXPIRED),
        ("session_expired", EXPIRED),
        ("new", PENDING),
        ("pending", PENDING),
        ("success", PENDING),
        ("Active", PENDING),
        ("", PENDING),
    ],
)
def test_words_of_the_card_status(word: str, expected: SavedCardStatus) -> None:
    """What get-status-card says, and what it proves; other words prove nothing."""
    news = CARD_STATUS_WORDS.get(word, CardNews.NOTHING)

    assert apply_card(card(), news, BY).card.status is expected


@pytest.mark.parametrize(
    "what",
    [
        Said(card_mask="411111******1111", card_name="A. Aliyev"),
        CardStatusReply(mask="411111******1111", name="A. Aliyev"),
    ],
)
def test_details_are_kept_and_not_lost(what: Said | CardStatusReply) -> None:
    """Mask and name come from wherever they are said, and silence does not erase them."""
    saved = apply_card(card(), CardNews.SAVED, BY, what).card
    again = apply_card(saved, CardNews.SAVED, BY, type(what)()).card

    assert (saved.mask, saved.holder_name) == ("411111******1111", "A. Aliyev")
    assert (again.mask, again.holder_name) == ("411111******1111", "A. Aliyev")


@pytest.mark.parametrize("news", [CardNews.REFUSED, CardNews.NOTHING])
@pytest.mark.parametrize("saved_first", [True, False])
def test_saved_card_does_not_show_the_mask_of_one_that_was_refused(news: CardNews, saved_first: bool) -> None:
    """The customer tried two cards; the one that was kept is the one to show, in either order."""
    told = [(CardNews.SAVED, Said(card_mask="4***1")), (news, Said(card_mask="5***2", card_name="Other"))]
    state = card()
    for item, what in told if saved_first else told[::-1]:
        state = apply_card(state, item, BY, what).card

    assert (state.status, state.mask, state.holder_name) == (ACTIVE, "4***1", None)


def test_opening_sends_the_customer_and_names_the_card() -> None:
    """EPoint's id and page are kept, the call is no longer waited for, and the first question is scheduled."""
    waiting = card(card_id=None, redirect_url=None, ask_at=None, call_deadline=START)
    opened = open_card(waiting, "ce9", "https://epoint.az/card/9", START)

    assert (opened.card_id, opened.redirect_url, opened.call_deadline) == ("ce9", "https://epoint.az/card/9", None)
    assert opened.ask_at == START + timedelta(seconds=5)
    assert open_card(opened, "ce10", None, START).card_id == "ce9"


@pytest.mark.parametrize("status", [ACTIVE, REJECTED, EXPIRED])
def test_late_opening_of_a_decided_card_sends_nobody(status: SavedCardStatus) -> None:
    """The id is worth keeping, because a callback may still come; the page is not shown."""
    opened = open_card(card(status, card_id=None), "ce9", "https://epoint.az/card/9", START)

    assert (opened.card_id, opened.redirect_url, opened.ask_at) == ("ce9", None, None)


def test_questions_come_at_growing_distances() -> None:
    """5 s, 15 s, 1 min, 5 min, 15 min, 1 h, then hourly, while the card waits."""
    state, now, distances = card(), START, []
    for _ in range(8):
        assert state.ask_at is not None
        distances.append((state.ask_at - now).total_seconds())
        now = state.ask_at
        state = after_card_ask(state, now)

    assert distances == [*ASK_DELAYS_S, 3600, 3600]
    assert after_card_ask(msgspec.structs.replace(state, status=ACTIVE), now).ask_at is None


@pytest.mark.parametrize(
    ("hours", "status", "expected"), [(23.9, PENDING, False), (24, PENDING, True), (99, ACTIVE, False)]
)
def test_registration_waits_a_day(hours: float, status: SavedCardStatus, expected: bool) -> None:
    """What is unfinished after a day will not be finished."""
    assert waited_too_long(card(status), START + timedelta(hours=hours)) is expected


def test_event_of_birth() -> None:
    """The first event has no previous state and names the payment that saves the card."""
    event = card_event(card(transaction_id="tr_1"), None, BY)

    assert (event.id, event.previous, event.current) == ("ev_card_1_1", None, PENDING)
    assert (event.transaction_id, event.saved_card_id) == ("tr_1", "card_1")
