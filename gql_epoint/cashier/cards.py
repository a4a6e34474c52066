"""Saved cards: register them, know them by EPoint's id, and refuse those that cannot be used."""

from __future__ import annotations

from gql_epoint import correlation
from gql_epoint.cashier.attempts import note_attempt, note_rejection
from gql_epoint.cashier.callbacks import apply_unmatched_card
from gql_epoint.cashier.commands import Call, CardBy, PaymentOrder, Result, SaveCardOrder
from gql_epoint.cashier.desk import (
    Books,
    Gate,
    by_api,
    by_gateway,
    by_reconciler,
    gateway_is_away,
    gateway_said_no,
)
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.requests import save_card_request
from gql_epoint.cashier.validation import check_call, check_save_card
from gql_epoint.epoint.operations import CARD_STATUS, SAVE_CARD
from gql_epoint.epoint.replies import CardStatusReply, RedirectReply
from gql_epoint.epoint.requests import CardStatusRequest
from gql_epoint.errors import ErrorCode, GatewayError, RefusedError
from gql_epoint.ledger import ids
from gql_epoint.ledger.cards import CARD_STATUS_WORDS, CardNews, apply_card, card_event, open_card
from gql_epoint.ledger.events import Provenance
from gql_epoint.ledger.transaction import SavedCard, SavedCardStatus, TransactionOperation
from gql_epoint.ledger.words import said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit


class CardDesk:
    """Everything about saved cards that is not a payment."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def start(
        self, call: Call, order: SaveCardOrder, gate: Gate[SavedCard] | None = None
    ) -> Result[SavedCard]:
        """Open a card registration once. The same call again returns its card as it is by then.

        `gate` may refuse a new one, or name the one to go on with; the key is then bound to that one.
        """
        check_call(call)
        check_save_card(order, pages=self._books.return_pages)
        return await self._books.own(self._run(call, order, gate))

    async def adopt_if_unknown(self, by: CardBy) -> None:
        """Take a card that was saved elsewhere into the books, if EPoint says something about it.

        EPoint's card status is a newer call that not every merchant has. Where it proves nothing the card is
        not adopted, and the charge itself will be the judge.
        """
        if by.card_id is None:
            return
        card_id = by.card_id
        if await self._books.read(lambda reader: reader.saved_card_by_card_id(card_id)) is not None:
            return
        try:
            reply = await self._books.gateway.call(CARD_STATUS, CardStatusRequest(card_id=card_id))
        except GatewayError:
            return
        reached("card_adoption.asked")
        if reply.status in CARD_STATUS_WORDS:
            await self._books.write(lambda unit: self._adopt(unit, card_id, reply))
            reached("card_adoption.recorded")

    async def usable(self, unit: Unit, order: PaymentOrder) -> SavedCard | None:
        """Return the card an order names, or None if only EPoint knows it.

        Raises RefusedError if it cannot be used.
        """
        if order.card is None:
            return None
        name = "id" if order.card.id is not None else "cardId"
        path = ("input", "card", name)
        if order.card.id is not None:
            card = await unit.saved_card(order.card.id)
            if card is None:
                raise RefusedError(ErrorCode.NOT_FOUND, "There is no such saved card.", path)
        else:
            card = await unit.saved_card_by_card_id(order.card.card_id or "")
            if card is None:
                return None
        if card.status is not SavedCardStatus.ACTIVE:
            raise RefusedError(
                ErrorCode.CARD_NOT_USABLE, f"This card is {card.status}; only an ACTIVE card can be used.", path
            )
        payout = order.operation is TransactionOperation.PAYOUT
        if payout and not card.usable_for_payout:
            raise RefusedError(
                ErrorCode.CARD_NOT_USABLE,
                "This card was not saved for payouts. Save it with forPayout: true.",
                path,
            )
        return card

    async def expect(
        self,
        unit: Unit,
        by: Provenance,
        *,
        transaction_id: str | None = None,
        for_payout: bool = False,
        checkout_id: str | None = None,
    ) -> SavedCard:
        """Record a card that EPoint is about to be asked for."""
        card = SavedCard(
            id=self._books.new_id(ids.SAVED_CARD, unit),
            status=SavedCardStatus.PENDING,
            version=1,
            usable_for_payout=for_payout,
            created_at=unit.now,
            updated_at=unit.now,
            transaction_id=transaction_id,
            call_deadline=None if transaction_id else unit.now + self._books.deadline,
            checkout_id=checkout_id,
        )
        await unit.insert_saved_card(card)
        await unit.insert_event(card_event(card, None, by))
        return card

    async def _run(self, call: Call, order: SaveCardOrder, gate: Gate[SavedCard] | None) -> Result[SavedCard]:
        card, replayed = await self._books.write(lambda unit: self._begin(unit, call, order, gate))
        if replayed:
            return Result(value=card, replayed=True)
        reached("card.recorded")
        return await self._call(card, call, order)

    async def _begin(
        self, unit: Unit, call: Call, order: SaveCardOrder, gate: Gate[SavedCard] | None
    ) -> tuple[SavedCard, bool]:
        object_id = await earlier_object(unit, call)
        if object_id is None:
            waiting = await gate(unit) if gate is not None else None
            if waiting is not None:
                await use_key(unit, call, waiting.id)
                return waiting, True
            card = await self.expect(
                unit, by_api(unit, call.actor), for_payout=order.for_payout, checkout_id=order.checkout_id
            )
            await use_key(unit, call, card.id)
            await note_attempt(unit, card.id, order.address)
            reached("card.recording")
            return card, False
        earlier = await unit.saved_card(object_id)
        assert earlier is not None
        if is_overdue(earlier.call_deadline, unit.now):
            earlier = await settle_lost_card(unit, earlier)
        return earlier, True

    async def _call(self, card: SavedCard, call: Call, order: SaveCardOrder) -> Result[SavedCard]:
        correlation.is_about(card.transaction_id, card.id)
        request = save_card_request(order, self._books.defaults)
        try:
            reached("card.calling")
            reply = await self._books.gateway.call(SAVE_CARD, request, timeout_s=self._books.call_limit_s)
        except GatewayError as exc:
            after = await self._books.write_answer(
                lambda unit: _refuse(unit, card.id, by_gateway(unit, call.actor))
            )
            return Result(value=after, error=gateway_is_away(exc))
        reached("card.answered")
        if reply.status != "success" or not reply.redirect_url:
            after = await self._books.write_answer(
                lambda unit: _refuse(unit, card.id, by_gateway(unit, call.actor))
            )
            return Result(value=after, error=gateway_said_no(said(reply), "to save a card"))
        opened = await self._books.write_answer(lambda unit: _opened(unit, card.id, reply))
        reached("card.settled")
        return Result(value=opened)

    async def _adopt(self, unit: Unit, card_id: str, reply: CardStatusReply) -> None:
        if await unit.saved_card_by_card_id(card_id) is not None:
            return
        card = SavedCard(
            id=self._books.new_id(ids.SAVED_CARD, unit),
            status=SavedCardStatus.PENDING,
            version=1,
            # Whether it was saved for payouts is known to EPoint alone, which will judge.
            usable_for_payout=True,
            created_at=unit.now,
            updated_at=unit.now,
            card_id=card_id,
            adopted=True,
        )
        await unit.insert_saved_card(card)
        await unit.insert_event(card_event(card, None, by_gateway(unit)))
        await tell_card(unit, card, CARD_STATUS_WORDS[reply.status or ""], by_gateway(unit), reply)


async def tell_card(
    unit: Unit, card: SavedCard, news: CardNews, by: Provenance, what: CardStatusReply | None = None
) -> SavedCard:
    """Apply news to a card and write it down."""
    change = apply_card(card, news, by, what)
    await unit.save_saved_card(change.card)
    for event in change.events:
        await unit.insert_event(event)
    if what is not None and news is CardNews.REFUSED and change.events:
        await note_rejection(unit, change.card)
    return change.card


async def settle_lost_card(unit: Unit, card: SavedCard) -> SavedCard:
    """Nobody holds the URL of a registration whose answer is lost, so no card can come of it."""
    return await tell_card(unit, card, CardNews.REFUSED, by_reconciler(unit))


async def _refuse(unit: Unit, saved_card_id: str, by: Provenance) -> SavedCard:
    card = await unit.saved_card(saved_card_id)
    assert card is not None
    return await tell_card(unit, card, CardNews.REFUSED, by)


async def _opened(unit: Unit, saved_card_id: str, reply: RedirectReply) -> SavedCard:
    card = await unit.saved_card(saved_card_id)
    assert card is not None
    card = open_card(card, reply.card_id, reply.redirect_url, unit.now)
    await unit.save_saved_card(card)
    after = await apply_unmatched_card(unit, card)
    reached("card.answering")
    return after
