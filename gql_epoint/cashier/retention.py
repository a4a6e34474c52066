"""Erase personal data that is no longer needed, and keep the books.

What goes: card masks and holder names, descriptions, metadata, reasons of refunds, and the same in the bodies of
callbacks and in the checkouts that transactions came from; payees of transfers, customers of invoices. What stays:
ids, orders, amounts, statuses, times, references of EPoint and the bank, and every event. So sums, refunds,
deduplication and idempotency work as before. Nothing here changes a version or makes an event.

What is short-lived is not its business: client tokens and addresses of attempts go by themselves, see tidying.py.

It walks the books in batches, each a unit of work of its own, beside nodes that go on serving. Stopped in the
middle, it can be started again; done twice, it does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from gql_epoint.epoint.callback import Callback
from gql_epoint.ledger import ids
from gql_epoint.ledger.business_transfer import BusinessTransfer
from gql_epoint.ledger.invoice import Invoice
from gql_epoint.ledger.transaction import (
    CallbackRecord,
    Disposition,
    SavedCard,
    SavedCardStatus,
    Status,
    Transaction,
)
from gql_epoint.store.protocol import Page, Reader, Store, TransactionFilter, Unit
from gql_epoint.store.rows import to_microseconds

BATCH = 100

_FINAL = TransactionFilter(status_in=tuple(status for status in Status if status.is_final))
_DONE_WITH = frozenset({SavedCardStatus.REJECTED, SavedCardStatus.EXPIRED})
_OF_A_PAYEE = (
    *("iban", "payee_name", "payee_tin", "bank_code", "bank_name", "email", "address"),
    *("description", "additional_info"),
)
_OF_A_CUSTOMER = ("name", "description", "phone", "email", "tin", "contract_number")
_decoder = msgspec.json.Decoder(Callback)
_encoder = msgspec.json.Encoder()


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each held personal data; in a dry run, still do."""

    before: datetime
    transactions: int = 0
    refunds: int = 0
    saved_cards: int = 0
    callbacks: int = 0
    business_transfers: int = 0
    invoices: int = 0


Work = Callable[["_Eraser", Sequence[str]], Awaitable[tuple[int, int]]]


class Retention:
    """One pass over an open store; a dry run counts and changes nothing."""

    def __init__(self, store: Store, *, dry_run: bool) -> None:
        self._store = store
        self._dry_run = dry_run

    async def erase(self, older_than: timedelta) -> Erased:
        """Erase what last changed longer ago than that, by the database's clock."""
        before = await self._store.read(lambda reader: _ago(reader, older_than))
        transactions, refunds = await self._transactions(before)
        saved_cards = await self._saved_cards(before)
        callbacks = await self._callbacks(before)
        business_transfers = await self._business_transfers(before)
        return Erased(
            before=before,
            transactions=transactions,
            refunds=refunds,
            saved_cards=saved_cards,
            callbacks=callbacks,
            business_transfers=business_transfers,
            invoices=await self._invoices(before),
        )

    async def _transactions(self, before: datetime) -> tuple[int, int]:
        """Oldest change first, so that what changes meanwhile moves out of the way."""
        transactions = refunds = 0
        page = Page(limit=BATCH, before=f"{to_microseconds(before)}:")
        while found := await self._store.read(_oldest_transactions(page)):
            names = [transaction.id for transaction in found]
            counted = await self._batch(_Eraser.transactions, names, before)
            transactions, refunds = transactions + counted[0], refunds + counted[1]
            last = found[-1]
            page = msgspec.structs.replace(page, after=f"{to_microseconds(last.updated_at)}:{last.id}")
        return transactions, refunds

    async def _saved_cards(self, before: datetime) -> int:
        """Youngest first, from those that were made just before then."""
        erased = 0
        page = Page(limit=BATCH, after=_first_id(ids.SAVED_CARD, before))
        while found := await self._store.read(_cards(page)):
            names = [card.id for card in found]
            erased += (await self._batch(_Eraser.saved_cards, names, before))[0]
            page = msgspec.structs.replace(page, after=found[-1].id)
        return erased

    async def _callbacks(self, before: datetime) -> int:
        """Youngest first, from those that came just before then."""
        erased = 0
        page = Page(limit=BATCH, after=_first_id(ids.CALLBACK, before))
        while found := await self._store.read(_callbacks(page)):
            names = [record.id for record in found]
            erased += (await self._batch(_Eraser.callbacks, names, before))[0]
            page = msgspec.structs.replace(page, after=found[-1].id)
        return erased

    async def _business_transfers(self, before: datetime) -> int:
        """Youngest first, from those that were made just before then."""
        erased = 0
        page = Page(limit=BATCH, after=_first_id(ids.BUSINESS_TRANSFER, before))
        while found := await self._store.read(_transfers(page)):
            names = [transfer.id for transfer in found]
            erased += (await self._batch(_Eraser.business_transfers, names, before))[0]
            page = msgspec.structs.replace(page, after=found[-1].id)
        return erased

    async def _invoices(self, before: datetime) -> int:
        """Youngest first, from those that were made just before then."""
        erased = 0
        page = Page(limit=BATCH, after=_first_id(ids.INVOICE, before))
        while found := await self._store.read(_invoices(page)):
            names = [invoice.id for invoice in found]
            erased += (await self._batch(_Eraser.invoices, names, before))[0]
            page = msgspec.structs.replace(page, after=found[-1].id)
        return erased

    async def _batch(self, work: Work, names: Sequence[str], before: datetime) -> tuple[int, int]:
        if self._dry_run:
            return await self._store.read(lambda reader: work(_Eraser(reader, None, before), names))
        return await self._store.write(lambda unit: work(_Eraser(unit, unit, before), names))


class _Eraser:
    """One batch: what was found before is read again here, under its lock. Without a unit nothing is written."""

    def __init__(self, reader: Reader, unit: Unit | None, before: datetime) -> None:
        self._reader = reader
        self._unit = unit
        self._before = before

    async def transactions(self, names: Sequence[str]) -> tuple[int, int]:
        """Erase transactions and their refunds, and count both."""
        erased = refunds = 0
        for name in names:
            transaction = await self._reader.transaction(name)
            if transaction is None or not self._is_over(transaction):
                continue
            bare = msgspec.structs.replace(
                transaction, description=None, metadata=None, card_mask=None, card_holder_name=None
            )
            if bare != transaction:
                erased += 1
                if self._unit is not None:
                    await self._unit.save_transaction(bare)
            refunds += await self._refunds(name)
            if transaction.checkout_id is not None:
                await self._checkout(transaction.checkout_id)
        return erased, refunds

    async def _checkout(self, checkout_id: str) -> None:
        """Erase what a checkout says about the same order as its attempts."""
        checkout = await self._reader.checkout(checkout_id)
        if checkout is None or checkout.updated_at >= self._before:
            return
        bare = msgspec.structs.replace(checkout, description=None, metadata=None)
        if bare != checkout and self._unit is not None:
            await self._unit.save_checkout(bare)

    async def _refunds(self, transaction_id: str) -> int:
        erased, page = 0, Page(limit=BATCH)
        while found := await self._reader.refunds(transaction_id, page):
            for refund in found:
                if refund.reason is not None:
                    erased += 1
                    if self._unit is not None:
                        await self._unit.save_refund(msgspec.structs.replace(refund, reason=None))
            page = msgspec.structs.replace(page, after=found[-1].id)
        return erased

    async def saved_cards(self, names: Sequence[str]) -> tuple[int, int]:
        """Erase cards that nobody can use any more; one that is in use shows what it is."""
        erased = 0
        for name in names:
            card = await self._reader.saved_card(name)
            if card is None or card.status not in _DONE_WITH or card.updated_at >= self._before:
                continue
            bare = msgspec.structs.replace(card, mask=None, holder_name=None)
            if bare != card:
                erased += 1
                if self._unit is not None:
                    await self._unit.save_saved_card(bare)
        return erased, 0

    async def callbacks(self, names: Sequence[str]) -> tuple[int, int]:
        """Erase the bodies of callbacks, except where their transaction is still open or was changed lately."""
        erased = 0
        for name in names:
            record = await self._current(name)
            bare = record and msgspec.structs.replace(record, body=_bare(record.body))
            if record is None or bare is None or bare == record or not await self._is_settled(record):
                continue
            erased += 1
            if self._unit is not None:
                await self._unit.save_callback(bare)
        return erased, 0

    async def business_transfers(self, names: Sequence[str]) -> tuple[int, int]:
        """Erase who was paid and for what, where that is decided; the order, the amount and the outcome stay."""
        erased = 0
        for name in names:
            transfer = await self._reader.business_transfer(name)
            if transfer is None or not transfer.status.is_final or transfer.updated_at >= self._before:
                continue
            bare = msgspec.structs.replace(transfer, **dict.fromkeys(_OF_A_PAYEE))
            if bare != transfer:
                erased += 1
                if self._unit is not None:
                    await self._unit.save_business_transfer(bare)
        return erased, 0

    async def invoices(self, names: Sequence[str]) -> tuple[int, int]:
        """Erase who was billed and for what, where EPoint is not asked about it any more."""
        erased = 0
        for name in names:
            invoice = await self._reader.invoice(name)
            if invoice is None or not _is_left_alone(invoice) or invoice.updated_at >= self._before:
                continue
            bare = msgspec.structs.replace(invoice, **dict.fromkeys(_OF_A_CUSTOMER))
            if bare != invoice:
                erased += 1
                if self._unit is not None:
                    await self._unit.save_invoice(bare)
        return erased, 0

    async def _current(self, callback_id: str) -> CallbackRecord | None:
        """Read a callback; one that is unmatched in the place where whoever matches it would be alone as well."""
        record = await self._reader.callback(callback_id)
        if record is None or record.disposition is not Disposition.UNMATCHED:
            return record
        if record.gateway_transaction_id is not None:
            waiting = await self._reader.unmatched_callbacks(gateway_transaction_id=record.gateway_transaction_id)
        elif record.gateway_card_id is not None:
            waiting = await self._reader.unmatched_callbacks(card_id=record.gateway_card_id)
        else:
            return record
        return next((one for one in waiting if one.id == callback_id), None)

    async def _is_settled(self, record: CallbackRecord) -> bool:
        if record.transaction_id is None:
            return True
        transaction = await self._reader.transaction(record.transaction_id)
        return transaction is None or self._is_over(transaction)

    def _is_over(self, transaction: Transaction) -> bool:
        is_final = transaction.status.is_final and transaction.refund_pending_amount == 0
        return is_final and transaction.updated_at < self._before


def _bare(body: str) -> str:
    """Return the body of a callback without what is personal in it."""
    callback = _decoder.decode(body)
    bare = msgspec.structs.replace(callback, card_name=None, card_mask=None, other_attr=None)
    return body if bare == callback else _encoder.encode(bare).decode()


def _first_id(prefix: str, moment: datetime) -> str:
    """Return an id that sorts before every one that is made from then on."""
    return ids.new_id(prefix, moment, bytes(ids.RANDOM_BYTES))


async def _ago(reader: Reader, span: timedelta) -> datetime:
    return reader.now - span


def _oldest_transactions(page: Page) -> Callable[[Reader], Awaitable[Sequence[Transaction]]]:
    return lambda reader: reader.transactions(page, _FINAL, by_update=True)


def _cards(page: Page) -> Callable[[Reader], Awaitable[Sequence[SavedCard]]]:
    return lambda reader: reader.saved_cards(page)


def _transfers(page: Page) -> Callable[[Reader], Awaitable[Sequence[BusinessTransfer]]]:
    return lambda reader: reader.business_transfers(page)


def _invoices(page: Page) -> Callable[[Reader], Awaitable[Sequence[Invoice]]]:
    return lambda reader: reader.invoices(page)


def _is_left_alone(invoice: Invoice) -> bool:
    return invoice.status.is_final or (invoice.ask_at is None and invoice.call_deadline is None)


def _callbacks(page: Page) -> Callable[[Reader], Awaitable[Sequence[CallbackRecord]]]:
    return lambda reader: reader.callbacks(page, None)
