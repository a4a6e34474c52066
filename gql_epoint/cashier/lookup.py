"""Find things by any of their names, and ask EPoint about transactions: ours, and those made elsewhere."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.callbacks import hear
from gql_epoint.cashier.commands import CardBy, Result, TransactionBy
from gql_epoint.cashier.desk import (
    Books,
    by_api,
    by_gateway,
    gateway_is_away,
    gateway_said_no,
)
from gql_epoint.cashier.hold_answers import is_past, settle_lost_hold_request
from gql_epoint.cashier.payments import settle_lost
from gql_epoint.cashier.validation import fits_currency
from gql_epoint.epoint.operations import GET_STATUS
from gql_epoint.epoint.replies import StatusReply
from gql_epoint.epoint.requests import StatusRequest
from gql_epoint.errors import ErrorCode, GatewayError, RefusedError
from gql_epoint.ledger import ids
from gql_epoint.ledger.transaction import Fact, SavedCard, Status, Transaction, TransactionOperation
from gql_epoint.ledger.transitions import first_event
from gql_epoint.ledger.words import Heard, Proves, proves, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Page, Reader, TransactionFilter, Unit

# An id begins with the millisecond in which it was made, which is rounded; so the ends are set a little wider.
_MARGIN_MS = 2


class Lookup:
    """Questions about transactions and cards."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def transaction(self, by: TransactionBy) -> Transaction | None:
        """Find one of our transactions; EPoint is not asked."""
        return await self._books.read(lambda reader: find_transaction(reader, by))

    async def saved_card(self, by: CardBy) -> SavedCard | None:
        """Find one of our saved cards; EPoint is not asked."""
        return await self._books.read(lambda reader: find_saved_card(reader, by))

    async def gateway_status(self, transaction_id: str) -> tuple[StatusReply, Transaction | None]:
        """Ask EPoint about any transaction of the merchant. Raises GatewayError."""
        reply = await self._books.gateway.call(GET_STATUS, StatusRequest(transaction=transaction_id))
        return reply, await self.transaction(TransactionBy(gateway_transaction_id=transaction_id))

    async def refresh(self, by: TransactionBy, actor: str) -> Result[Transaction]:
        """Ask EPoint for the truth now. Raises RefusedError(NOT_FOUND) if neither side knows the transaction."""
        found = await self.transaction(by)
        if found is None and by.gateway_transaction_id is not None:
            return Result(value=await self.adopt(by.gateway_transaction_id, None, actor, ("by",)))
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transaction.", ("by",))
        return await self.ask(found, actor)

    async def ask(self, transaction: Transaction, actor: str | None) -> Result[Transaction]:
        """Ask get-status about one of our transactions, and apply what it proves."""
        if transaction.gateway.transaction_id is None and transaction.gateway_order_id is None:
            return Result(value=transaction)
        correlation.is_about(transaction.id, transaction.saved_card_id)
        try:
            reply = await self._books.gateway.call(GET_STATUS, status_request(transaction))
        except GatewayError as exc:
            return Result(value=transaction, error=gateway_is_away(exc))
        reached("refresh.asked")

        async def apply_answer(unit: Unit) -> Transaction:
            now_known = await unit.transaction(transaction.id)
            assert now_known is not None
            if now_known.call_deadline is not None and now_known.call_deadline <= unit.now:
                now_known = await settle_lost(unit, now_known)
            if is_past(now_known, unit.now):
                now_known = await settle_lost_hold_request(unit, now_known)
            return (await hear(unit, now_known, Heard.STATUS, said(reply), by_gateway(unit, actor))).transaction

        after = await self._books.write_answer(apply_answer)
        reached("refresh.applied")
        return Result(
            value=after, error=None if proves_something(reply) else gateway_said_no(said(reply), "to answer")
        )

    async def adopt(
        self, gateway_transaction_id: str, currency: str | None, actor: str, path: tuple[str, ...]
    ) -> Transaction:
        """Take an EPoint transaction that was made elsewhere into the books, from what get-status says of it.

        Raises RefusedError: NOT_FOUND if EPoint does not know it, GATEWAY_UNAVAILABLE if EPoint does not answer,
        GATEWAY_REFUSED if the answer lacks what the books need.
        """
        try:
            reply = await self._books.gateway.call(GET_STATUS, StatusRequest(transaction=gateway_transaction_id))
        except GatewayError as exc:
            raise gateway_is_away(exc) from exc
        reached("adoption.asked")
        if said(reply).status == "server_error":
            raise gateway_said_no(said(reply), "to answer")
        if reply.transaction is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "Neither this service nor EPoint knows this transaction.", path)
        told = reply.currency or currency or "AZN"
        if reply.transaction != gateway_transaction_id or not proves_something(reply):
            raise RefusedError(ErrorCode.GATEWAY_REFUSED, "EPoint's answer is about something else.", path)
        if reply.amount is None or reply.amount <= 0 or not fits_currency(reply.amount, told):
            raise RefusedError(ErrorCode.GATEWAY_REFUSED, "EPoint does not say how much this transaction is.", path)
        amount = reply.amount.quantize(Decimal("0.01"))
        adopted = await self._books.write_answer(lambda unit: self._adopt(unit, reply, amount, told, actor))
        reached("adoption.recorded")
        return adopted

    async def _adopt(
        self, unit: Unit, reply: StatusReply, amount: Decimal, currency: str, actor: str
    ) -> Transaction:
        assert reply.transaction is not None
        known = await unit.transaction_by_gateway_id(reply.transaction)
        if known is None and reply.order_id is not None:
            # A payment of ours whose answer was lost is found again by the order id that EPoint was given.
            ours = await unit.transaction_by_gateway_order(reply.order_id)
            known = ours if ours is not None and ours.gateway.transaction_id is None else None
        if known is None:
            known = Transaction(
                id=self._books.new_id(ids.TRANSACTION, unit),
                operation=TransactionOperation.UNKNOWN,
                status=Status.NEW,
                version=1,
                amount=amount,
                currency=currency,
                created_at=unit.now,
                updated_at=unit.now,
                order_id=reply.order_id,
                gateway_order_id=reply.order_id,
                adopted=True,
                facts=frozenset({Fact.OPENED}) if reply.status == "new" else frozenset(),
            )
            await unit.insert_transaction(known)
            await unit.insert_event(first_event(known, by_api(unit, actor)))
        change = await hear(unit, known, Heard.STATUS, said(reply), by_gateway(unit, actor))
        reached("adoption.recording")
        return change.transaction


async def find_transaction(reader: Reader, by: TransactionBy) -> Transaction | None:
    """Find a transaction by whichever name is given."""
    if by.id is not None:
        return await reader.transaction(by.id)
    if by.order_id is not None:
        return await reader.transaction_by_order(by.order_id)
    return await reader.transaction_by_gateway_id(by.gateway_transaction_id or "")


async def find_saved_card(reader: Reader, by: CardBy) -> SavedCard | None:
    """Find a saved card by whichever name is given."""
    if by.id is not None:
        return await reader.saved_card(by.id)
    return await reader.saved_card_by_card_id(by.card_id or "")


def status_request(transaction: Transaction) -> StatusRequest:
    """Ask by EPoint's id, or by the order id while that is all there is."""
    if transaction.gateway.transaction_id is not None:
        return StatusRequest(transaction=transaction.gateway.transaction_id)
    return StatusRequest(order_id=transaction.gateway_order_id)


def proves_something(reply: StatusReply) -> bool:
    """Whether get-status answered the question; `error` without a transaction is a refusal to answer."""
    return proves(Heard.STATUS, said(reply)) is not Proves.NOTHING


def narrowed(page: Page, only: TransactionFilter) -> Page:
    """Return a page of transactions, newest first, with ends that the times of a filter allow.

    The filter holds all the same; with the ends nothing is looked at that is far from those times.
    """
    after, before = page.after, page.before
    if only.created_before is not None:
        end = ids.first_id(ids.TRANSACTION, only.created_before, margin_ms=_MARGIN_MS)
        after = end if after is None else min(after, end)
    if only.created_from is not None:
        end = ids.first_id(ids.TRANSACTION, only.created_from, margin_ms=-_MARGIN_MS)
        before = end if before is None else max(before, end)
    return msgspec.structs.replace(page, after=after, before=before)
