"""Take EPoint's callbacks: verify, store, apply, and only then say OK.

A callback is stored with whatever became of it, in the same database transaction as its effect. So a crash before
the commit leaves nothing and EPoint, which got no answer, sends it again; a crash after it leaves everything.
"""

from __future__ import annotations

import hashlib

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.attempts import note_rejection
from gql_epoint.cashier.desk import Books, tell
from gql_epoint.epoint.callback import Callback, read_callback
from gql_epoint.ledger import ids
from gql_epoint.ledger.cards import CardChange, CardNews, apply_card
from gql_epoint.ledger.events import EventSource, Provenance
from gql_epoint.ledger.schedule import is_contradictory
from gql_epoint.ledger.transaction import CallbackRecord, Disposition, Fact, SavedCard, Transaction
from gql_epoint.ledger.transitions import Change
from gql_epoint.ledger.words import Heard, Said, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Reader, Unit

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Callback)
_TROUBLE = frozenset({Fact.MISMATCH, Fact.ORDER_TAKEN, Fact.HOLD_UNCLEAR})
_CARD_WORDS = {"success": CardNews.SAVED, "failed": CardNews.REFUSED}


class CallbackDesk:
    """The webhook's use case."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def take(self, content_type: str, raw: bytes) -> Disposition:
        """Verify a webhook body, record it and apply it; when this returns, all of it is committed.

        Raises SignatureError or UnreadableError for what EPoint did not send, StoreUnavailableError if nothing
        could be recorded.
        """
        callback = read_callback(self._books.private_key, content_type, raw)
        reached("callback.verified")
        record = await self._books.write(lambda unit: self._apply(unit, callback))
        correlation.is_about(record.transaction_id, record.saved_card_id)
        reached("callback.recorded")
        self._books.something_to_ask.set()
        return record.disposition

    async def _apply(self, unit: Unit, callback: Callback) -> CallbackRecord:
        record = CallbackRecord(
            id=self._books.new_id(ids.CALLBACK, unit),
            received_at=unit.now,
            digest=_digest(callback),
            body=_encoder.encode(callback).decode(),
            disposition=Disposition.UNMATCHED,
            gateway_status=callback.status,
            gateway_transaction_id=callback.transaction,
            gateway_card_id=callback.card_id,
            order_id=callback.order_id,
        )
        transaction = await _match(unit, callback)
        card = None
        if transaction is None and callback.card_id and not (callback.transaction or callback.order_id):
            card = await unit.registration_by_card_id(callback.card_id)
        if transaction is None and card is None:
            await unit.insert_callback(record)
            return record
        seen = await unit.callback_seen(record.digest)
        disposition = Disposition.DUPLICATE
        if transaction is not None and not seen:
            disposition, transaction = await _tell_transaction(unit, transaction, callback, record.id)
        elif card is not None and not seen:
            disposition, card = await _tell_card(unit, card, callback, record.id)
        record = msgspec.structs.replace(
            record,
            disposition=disposition,
            transaction_id=transaction.id if transaction else None,
            saved_card_id=card.id if card else transaction.saved_card_id if transaction else None,
        )
        await unit.insert_callback(record)
        reached("callback.recording")
        return record


async def hear(unit: Unit, transaction: Transaction, heard: Heard, what: Said, by: Provenance) -> Change:
    """Apply what EPoint said to a transaction, and whatever it had said before anybody here knew whom it meant.

    A callback without an order id is stored as UNMATCHED while nothing has its EPoint id. Whatever names a
    transaction first is the last chance to find it: nothing looks for it again. The change is that of these words;
    its transaction is as the earlier ones have left it.
    """
    change = await tell(unit, transaction, heard, what, by)
    return msgspec.structs.replace(change, transaction=await _take_up(unit, transaction, change.transaction))


async def _take_up(unit: Unit, before: Transaction, transaction: Transaction) -> Transaction:
    """Apply the callbacks that came before this transaction's EPoint id was known, if it has just become so."""
    gateway_id = transaction.gateway.transaction_id
    if gateway_id is None or before.gateway.transaction_id is not None:
        return transaction
    for record in await unit.unmatched_callbacks(gateway_transaction_id=gateway_id):
        callback = _decoder.decode(record.body)
        disposition, transaction = await _tell_transaction(unit, transaction, callback, record.id)
        await unit.save_callback(
            msgspec.structs.replace(record, disposition=disposition, transaction_id=transaction.id)
        )
    return transaction


async def apply_unmatched_card(unit: Unit, card: SavedCard) -> SavedCard:
    """Apply the callbacks that came before this card's EPoint id was known here."""
    if card.card_id is None:
        return card
    for record in await unit.unmatched_callbacks(card_id=card.card_id):
        if record.gateway_transaction_id is None and record.order_id is None:
            callback = _decoder.decode(record.body)
            disposition, card = await _tell_card(unit, card, callback, record.id)
            await unit.save_callback(
                msgspec.structs.replace(record, disposition=disposition, saved_card_id=card.id)
            )
    return card


async def _match(reader: Reader, callback: Callback) -> Transaction | None:
    """Find the transaction a callback is about: by EPoint's id, else by the order id that EPoint was given."""
    if callback.transaction:
        transaction = await reader.transaction_by_gateway_id(callback.transaction)
        if transaction is not None:
            return transaction
    return await reader.transaction_by_gateway_order(callback.order_id) if callback.order_id else None


async def _tell_transaction(
    unit: Unit, transaction: Transaction, callback: Callback, callback_id: str
) -> tuple[Disposition, Transaction]:
    change = await tell(unit, transaction, Heard.CALLBACK, said(callback), _by(unit, callback_id))
    return _disposition(change, callback), await _take_up(unit, transaction, change.transaction)


async def _tell_card(
    unit: Unit, card: SavedCard, callback: Callback, callback_id: str
) -> tuple[Disposition, SavedCard]:
    news = _CARD_WORDS.get(callback.status or "", CardNews.NOTHING)
    change: CardChange = apply_card(card, news, _by(unit, callback_id), said(callback))
    if news is CardNews.NOTHING:
        # An unknown word proves nothing: EPoint's card status will tell.
        change = CardChange(card=msgspec.structs.replace(change.card, ask_at=unit.now))
    await unit.save_saved_card(change.card)
    for event in change.events:
        await unit.insert_event(event)
    if news is CardNews.REFUSED and change.events:
        await note_rejection(unit, change.card)
    return Disposition.APPLIED if change.events else Disposition.STALE, change.card


def _disposition(change: Change, callback: Callback) -> Disposition:
    if change.new_facts & _TROUBLE or (change.new_facts and is_contradictory(change.transaction.facts)):
        return Disposition.MISMATCH
    if change.events:
        return Disposition.APPLIED
    success = Fact.HELD if change.transaction.is_hold else Fact.PAID
    known = {"success": success, "failed": Fact.DECLINED}.get(callback.status or "")
    return Disposition.DUPLICATE if known in change.transaction.facts else Disposition.STALE


def _digest(callback: Callback) -> str:
    # A repeated delivery may carry another trace id; it says nothing else.
    return hashlib.sha256(_encoder.encode(msgspec.structs.replace(callback, trace_id=None))).hexdigest()


def _by(reader: Reader, callback_id: str) -> Provenance:
    return Provenance(now=reader.now, source=EventSource.GATEWAY_CALLBACK, callback_id=callback_id)
