"""Find out what nobody told us: settle calls that were never answered, ask EPoint about what is not final."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.callbacks import hear
from gql_epoint.cashier.cards import settle_lost_card, tell_card
from gql_epoint.cashier.desk import Books, by_reconciler, record
from gql_epoint.cashier.hold_answers import settle_lost_hold_request
from gql_epoint.cashier.invoices import ask_invoice, settle_lost_invoice
from gql_epoint.cashier.lookup import status_request
from gql_epoint.cashier.payments import settle_lost
from gql_epoint.cashier.refunds import settle_lost_refund
from gql_epoint.cashier.tidying import INTERVAL_S, Tidier
from gql_epoint.cashier.transfer_news import ask_transfer, settle_lost_transfer
from gql_epoint.epoint.operations import CARD_STATUS, GET_STATUS
from gql_epoint.epoint.replies import CardStatusReply, StatusReply
from gql_epoint.epoint.requests import CardStatusRequest
from gql_epoint.errors import GatewayError, StoreUnavailableError
from gql_epoint.ledger.cards import CARD_STATUS_WORDS, CardNews, after_card_ask, waited_too_long
from gql_epoint.ledger.schedule import JITTER_BYTES, after_ask, jitter, spread
from gql_epoint.ledger.transaction import SavedCard, Transaction
from gql_epoint.ledger.transitions import apply_silence
from gql_epoint.ledger.words import Heard, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit

T = TypeVar("T")

BATCH = 20
ASK_LIMIT_S = 10.0
PAUSE_MAX_S = 15.0

logger = logging.getLogger(__name__)


class Reconciler:
    """The sweep. Several may run over one database: work is claimed in it, so nothing is asked twice.

    A node that claims work and dies keeps it from the others for the length of a lease: the time that EPoint has to
    answer, and that there is to write the answer down. A question that is asked again all the same changes nothing.
    """

    def __init__(self, books: Books, *, interval_s: float = 1.0) -> None:
        self._books = books
        self._interval_s = interval_s
        self._tidier = Tidier(books)
        self._ask_limit_s = min(ASK_LIMIT_S, books.call_limit_s)
        recording = books.deadline - timedelta(seconds=books.call_limit_s)
        self._lease = timedelta(seconds=self._ask_limit_s) + recording

    async def run(self) -> None:
        """Sweep until cancelled; a database or gateway that is away is tried again at the next sweep."""
        async with asyncio.TaskGroup() as group:
            # Apart, so that a gateway that hangs cannot hold up the settling of lost calls.
            group.create_task(self._forever(self.settle_overdue, asyncio.Event()))
            group.create_task(self._forever(self.ask_due, self._books.something_to_ask))
            group.create_task(self._forever(self._tidier.tidy, asyncio.Event(), INTERVAL_S))

    async def _forever(
        self, sweep: Callable[[], Awaitable[None]], nudge: asyncio.Event, interval_s: float | None = None
    ) -> None:
        interval_s, failures = interval_s or self._interval_s, 0
        while True:
            try:
                await sweep()
                failures = 0
            except StoreUnavailableError as exc:
                logger.warning("The database is away, so nothing was reconciled: %s", exc)
                failures += 1
            except Exception:
                # The sweep is what settles lost calls: no bug in one row may end it for all.
                logger.exception("The sweep failed and will be tried again")
                failures += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(interval_s, failures)):
                    await nudge.wait()
            nudge.clear()

    def _pause_s(self, interval_s: float, failures: int) -> float:
        """Return when to sweep again: later after each failure in a row, and never in step with other nodes."""
        pause_s = min(interval_s * 2.0 ** min(failures, 10), max(PAUSE_MAX_S, interval_s))
        return pause_s * (1 + jitter(self._books.random(JITTER_BYTES)))

    async def ask_due(self) -> None:
        """Ask EPoint about every transaction and card whose question is due, a batch of each in turn."""
        more = True
        while more:
            transactions = await self._ask_batch(
                lambda unit: unit.claim_transactions_to_ask(BATCH, self._lease), self._ask
            )
            cards = await self._ask_batch(lambda unit: unit.claim_cards_to_ask(BATCH, self._lease), self._ask_card)
            transfers = await self._ask_batch(
                lambda unit: unit.claim_business_transfers_to_ask(BATCH, self._lease),
                lambda transfer: ask_transfer(self._books, transfer, self._ask_limit_s),
            )
            invoices = await self._ask_batch(
                lambda unit: unit.claim_invoices_to_ask(BATCH, self._lease),
                lambda invoice: ask_invoice(self._books, invoice, self._ask_limit_s),
            )
            more = transactions + cards + transfers + invoices > 0

    async def settle_overdue(self) -> None:
        """Record as lost every answer whose deadline passed, whichever process waited for it."""

        async def work(unit: Unit) -> int:
            transactions = await unit.overdue_transactions(BATCH)
            for transaction in transactions:
                await settle_lost(unit, transaction)
            holds = await unit.overdue_holds(BATCH)
            for transaction in holds:
                await settle_lost_hold_request(unit, transaction)
            refunds = await unit.overdue_refunds(BATCH)
            for refund in refunds:
                await settle_lost_refund(unit, refund)
            cards = await unit.overdue_cards(BATCH)
            for card in cards:
                await settle_lost_card(unit, card)
            transfers = await unit.overdue_business_transfers(BATCH)
            for transfer in transfers:
                await settle_lost_transfer(unit, transfer)
            invoices = await unit.overdue_invoices(BATCH)
            for invoice in invoices:
                await settle_lost_invoice(unit, invoice)
            settled = sum(map(len, (transactions, holds, refunds, cards, transfers, invoices)))
            if settled:
                reached("sweep.settling")
            return settled

        while await self._books.write(work):
            reached("sweep.settled")

    async def _ask_batch(
        self, claim: Callable[[Unit], Awaitable[Sequence[T]]], ask: Callable[[T], Awaitable[None]]
    ) -> int:
        claimed = await self._books.write(claim)
        if claimed:
            reached("sweep.claimed")
        # What fails here is asked again when its lease is over; the others of the batch must not suffer for it.
        results = await asyncio.gather(*map(ask, claimed), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(claimed)

    async def _ask(self, transaction: Transaction) -> None:
        correlation.is_about(transaction.id, transaction.saved_card_id)
        reply: StatusReply | None = None
        if transaction.gateway.transaction_id is not None or transaction.gateway_order_id is not None:
            with contextlib.suppress(GatewayError):
                reply = await self._books.gateway.call(
                    GET_STATUS, status_request(transaction), timeout_s=self._ask_limit_s
                )
        reached("sweep.asked")

        async def work(unit: Unit) -> None:
            known = await unit.transaction(transaction.id)
            assert known is not None
            if reply is not None:
                known = (await hear(unit, known, Heard.STATUS, said(reply), by_reconciler(unit))).transaction
            change = apply_silence(known, by_reconciler(unit))
            unsettled = bool(await unit.unsettled_refunds(known.id))
            scheduled = after_ask(change.transaction, unit.now, unsettled_refunds=unsettled)
            await record(unit, change)
            ask_at = spread(scheduled.ask_at, unit.now, self._books.random(JITTER_BYTES))
            await unit.save_transaction(msgspec.structs.replace(scheduled, ask_at=ask_at))
            reached("sweep.applying")

        await self._books.write_answer(work)
        reached("sweep.applied")

    async def _ask_card(self, card: SavedCard) -> None:
        correlation.is_about(card.transaction_id, card.id)
        reply: CardStatusReply | None = None
        if card.card_id is not None:
            with contextlib.suppress(GatewayError):
                reply = await self._books.gateway.call(
                    CARD_STATUS, CardStatusRequest(card_id=card.card_id), timeout_s=self._ask_limit_s
                )
        reached("sweep.card_asked")

        async def work(unit: Unit) -> None:
            known = await unit.saved_card(card.id)
            assert known is not None
            news = CARD_STATUS_WORDS.get((reply and reply.status) or "", CardNews.NOTHING)
            known = await tell_card(unit, known, news, by_reconciler(unit), reply)
            if waited_too_long(known, unit.now):
                known = await tell_card(unit, known, CardNews.EXPIRED, by_reconciler(unit))
            scheduled = after_card_ask(known, unit.now)
            ask_at = spread(scheduled.ask_at, unit.now, self._books.random(JITTER_BYTES))
            await unit.save_saved_card(msgspec.structs.replace(scheduled, ask_at=ask_at))

        await self._books.write_answer(work)
        reached("sweep.card_applied")
