"""The small life of a saved card: which state follows from what EPoint says about it.

A customer may try several cards on one registration page, so a success after a refusal counts. Order does not
matter: {refused, saved} ends ACTIVE either way. EPoint's own card status is the authority, and the only thing
that can bring an expired card back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

import msgspec

from gql_epoint.epoint.replies import CardStatusReply
from gql_epoint.ledger.events import Event, EventKind, Provenance, event_of
from gql_epoint.ledger.schedule import ASK_DELAYS_S, WAIT_LIMIT
from gql_epoint.ledger.transaction import SavedCard, SavedCardStatus
from gql_epoint.ledger.words import Said
from gql_epoint.redaction import mask_card


class CardNews(Enum):
    """What happened to a card."""

    SAVED = "saved"  # a callback, or the payment that saves it, succeeded
    REFUSED = "refused"  # a callback or the opening call said no, or its answer is lost
    ACTIVE = "active"  # EPoint's card status
    REJECTED = "rejected"  # EPoint's card status
    EXPIRED = "expired"  # EPoint's card status, or nothing happened for a day
    NOTHING = "nothing"


CARD_STATUS_WORDS = {
    "active": CardNews.ACTIVE,
    "rejected": CardNews.REJECTED,
    "expired": CardNews.EXPIRED,
    "session_expired": CardNews.EXPIRED,
}

_NEXT = {
    (SavedCardStatus.PENDING, CardNews.SAVED): SavedCardStatus.ACTIVE,
    (SavedCardStatus.PENDING, CardNews.REFUSED): SavedCardStatus.REJECTED,
    (SavedCardStatus.PENDING, CardNews.ACTIVE): SavedCardStatus.ACTIVE,
    (SavedCardStatus.PENDING, CardNews.REJECTED): SavedCardStatus.REJECTED,
    (SavedCardStatus.PENDING, CardNews.EXPIRED): SavedCardStatus.EXPIRED,
    (SavedCardStatus.REJECTED, CardNews.SAVED): SavedCardStatus.ACTIVE,
    (SavedCardStatus.REJECTED, CardNews.ACTIVE): SavedCardStatus.ACTIVE,
    (SavedCardStatus.EXPIRED, CardNews.ACTIVE): SavedCardStatus.ACTIVE,
    (SavedCardStatus.ACTIVE, CardNews.EXPIRED): SavedCardStatus.EXPIRED,
}

# A refused attempt may have been made with another card, which must not be shown as the one that is kept.
_SHOWS_CARD = frozenset({CardNews.SAVED, CardNews.ACTIVE, CardNews.EXPIRED})


class CardChange(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of a card and the event of the change, if there was one."""

    card: SavedCard
    events: tuple[Event, ...] = ()


def apply_card(
    card: SavedCard, news: CardNews, by: Provenance, what: Said | CardStatusReply | None = None
) -> CardChange:
    """Apply news to a card; the same news twice changes nothing."""
    status = _NEXT.get((card.status, news), card.status)
    changed = status is not card.status
    # An expired card that is said to be saved: only EPoint's card status can tell.
    ask = card.status is SavedCardStatus.EXPIRED and news is CardNews.SAVED
    after = msgspec.structs.replace(
        _with_details(card, what) if news in _SHOWS_CARD else card,
        status=status,
        version=card.version + changed,
        updated_at=by.now if changed else card.updated_at,
        redirect_url=card.redirect_url if status is SavedCardStatus.PENDING else None,
        call_deadline=card.call_deadline if status is SavedCardStatus.PENDING else None,
        ask_at=by.now if ask else card.ask_at if status is SavedCardStatus.PENDING else None,
    )
    return CardChange(card=after, events=(card_event(after, card.status, by),) if changed else ())


def open_card(card: SavedCard, card_id: str | None, redirect_url: str | None, now: datetime) -> SavedCard:
    """EPoint waits for the customer: keep its id for the card and where to send the customer."""
    return msgspec.structs.replace(
        card,
        card_id=card.card_id or card_id,
        redirect_url=redirect_url if card.status is SavedCardStatus.PENDING else None,
        call_deadline=None,
        ask_at=now + timedelta(seconds=ASK_DELAYS_S[0]) if card.status is SavedCardStatus.PENDING else None,
    )


def after_card_ask(card: SavedCard, now: datetime) -> SavedCard:
    """Schedule the next question about a card that still waits."""
    if card.status is not SavedCardStatus.PENDING:
        return msgspec.structs.replace(card, ask_at=None, asks=0)
    delay_s = ASK_DELAYS_S[min(card.asks + 1, len(ASK_DELAYS_S) - 1)]
    return msgspec.structs.replace(card, asks=card.asks + 1, ask_at=now + timedelta(seconds=delay_s))


def waited_too_long(card: SavedCard, now: datetime) -> bool:
    """Whether a registration was left unfinished for a day."""
    return card.status is SavedCardStatus.PENDING and now - card.created_at >= WAIT_LIMIT


def card_event(after: SavedCard, previous: SavedCardStatus | None, by: Provenance) -> Event:
    """The event of a card's birth or change."""
    return event_of(
        after,
        EventKind.SAVED_CARD,
        previous,
        after.status,
        by,
        transaction_id=after.transaction_id,
        saved_card_id=after.id,
    )


def _with_details(card: SavedCard, what: Said | CardStatusReply | None) -> SavedCard:
    if isinstance(what, CardStatusReply):
        return msgspec.structs.replace(
            card, mask=mask_card(what.mask) or card.mask, holder_name=what.name or card.holder_name
        )
    if isinstance(what, Said):
        return msgspec.structs.replace(
            card, mask=what.card_mask or card.mask, holder_name=what.card_name or card.holder_name
        )
    return card
