"""Payments and payouts: record the intent, call EPoint once, record the answer."""

from __future__ import annotations

from time import monotonic

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.attempts import note_attempt
from gql_epoint.cashier.callbacks import hear
from gql_epoint.cashier.cards import CardDesk
from gql_epoint.cashier.commands import Call, PaymentOrder, Result
from gql_epoint.cashier.desk import (
    Books,
    Gate,
    by_api,
    by_gateway,
    by_reconciler,
    gateway_is_away,
    gateway_said_no,
    record,
)
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.requests import payment_request
from gql_epoint.cashier.validation import check_call, checked_payment, invalid
from gql_epoint.errors import ErrorCode, GatewayError, OrderConflictError, RefusedError
from gql_epoint.ledger import ids
from gql_epoint.ledger.cards import CardNews, apply_card
from gql_epoint.ledger.transaction import (
    Fact,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.ledger.transitions import Change, apply_loss, apply_not_sent, first_event
from gql_epoint.ledger.words import Heard, Said, is_misconfigured, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Reader, Unit

ATTEMPTS_MAX = 1000


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded intent, or what the same request made before."""

    transaction: Transaction
    replayed: bool
    card_id: str | None = None


class PaymentDesk:
    """Every operation that makes a transaction."""

    def __init__(self, books: Books, cards: CardDesk) -> None:
        self._books = books
        self._cards = cards

    async def start(
        self, call: Call, order: PaymentOrder, gate: Gate[Transaction] | None = None
    ) -> Result[Transaction]:
        """Run an operation once. The same call again returns its transaction as it is by then.

        `gate` may refuse a new transaction, or name the one to go on with; the key is then bound to that one.

        Raises RefusedError and its kin; then nothing is recorded and the key is not used.
        """
        check_call(call)
        order = checked_payment(order, pages=self._books.return_pages)
        if order.card is not None and await self._books.read(lambda reader: earlier_object(reader, call)) is None:
            await self._cards.adopt_if_unknown(order.card)
        return await self._books.own(self._run(call, order, gate))

    async def _run(self, call: Call, order: PaymentOrder, gate: Gate[Transaction] | None) -> Result[Transaction]:
        started_at = monotonic()
        begun = await self._books.write(lambda unit: self._begin(unit, call, order, gate), hopeful=True)
        if begun.replayed:
            return Result(value=begun.transaction, replayed=True)
        reached("pay.recorded")
        return await self._call(begun, call, order, started_at)

    async def _begin(
        self, unit: Unit, call: Call, order: PaymentOrder, gate: Gate[Transaction] | None = None
    ) -> _Begun:
        object_id = await earlier_object(unit, call)
        if object_id is not None:
            transaction = await unit.transaction(object_id)
            assert transaction is not None
            if is_overdue(transaction.call_deadline, unit.now):
                transaction = await settle_lost(unit, transaction)
            return _Begun(transaction=transaction, replayed=True)
        waiting = await gate(unit) if gate is not None else None
        if waiting is not None:
            await use_key(unit, call, waiting.id)
            return _Begun(transaction=waiting, replayed=True)
        await refuse_conflict(unit, order)
        card = await self._cards.usable(unit, order)
        transaction = Transaction(
            id=self._books.new_id(ids.TRANSACTION, unit),
            operation=order.operation,
            status=Status.NEW,
            version=1,
            amount=order.amount,
            currency=order.currency,
            created_at=unit.now,
            updated_at=unit.now,
            order_id=order.order_id,
            gateway_order_id=await _free_gateway_order(unit, order.order_id),
            holds_order=True,
            split_user=order.split_user,
            split_amount=order.split_amount,
            description=order.description,
            language=order.language or self._books.defaults.language,
            metadata=order.metadata,
            saved_card_id=card.id if card else None,
            call_deadline=unit.now + self._books.deadline,
            checkout_id=order.checkout_id,
        )
        if order.operation in (
            TransactionOperation.PAY_AND_SAVE_CARD,
            TransactionOperation.SPLIT_PAY_AND_SAVE_CARD,
        ):
            saved = await self._cards.expect(
                unit, by_api(unit, call.actor), transaction_id=transaction.id, checkout_id=order.checkout_id
            )
            transaction = msgspec.structs.replace(transaction, saved_card_id=saved.id)
        await unit.insert_transaction(transaction)
        await unit.insert_event(first_event(transaction, by_api(unit, call.actor)))
        await use_key(unit, call, transaction.id)
        await note_attempt(unit, transaction.id, order.address)
        reached("pay.recording")
        card_id = card.card_id if card else order.card.card_id if order.card else None
        return _Begun(transaction=transaction, replayed=False, card_id=card_id)

    async def _call(self, begun: _Begun, call: Call, order: PaymentOrder, started_at: float) -> Result[Transaction]:
        transaction = begun.transaction
        correlation.is_about(transaction.id, transaction.saved_card_id)
        request = payment_request(transaction, order, begun.card_id, self._books.defaults)
        left_s = self._books.deadline.total_seconds() - (monotonic() - started_at)
        if left_s < self._books.call_limit_s:
            # The process was frozen since it recorded the intent; the deadline could pass during the call.
            after = await self._books.write_answer(lambda unit: _not_sent(unit, transaction.id, call.actor))
            return Result(value=after, error=gateway_is_away())
        try:
            reached("pay.calling")
            reply = await self._books.gateway.call(
                transaction.operation.wire, request, timeout_s=self._books.call_limit_s
            )
        except GatewayError as exc:
            lost = exc.money_may_have_moved
            settle = _lost if lost else _not_sent
            after = await self._books.write_answer(lambda unit: settle(unit, transaction.id, call.actor))
            return Result(value=after, error=None if lost else gateway_is_away())
        reached("pay.answered")
        what = said(reply)
        change = await self._books.write_answer(
            lambda unit: _answered(unit, transaction, what, call.actor), hopeful=True
        )
        reached("pay.settled")
        return Result(value=change.transaction, error=_error_beside(change, what))


async def _answered(unit: Unit, known: Transaction, what: Said, actor: str) -> Change:
    transaction = await unit.transaction_now(known)
    heard = Heard.OPENING if transaction.operation.redirects else Heard.CHARGE
    change = await hear(unit, transaction, heard, what, by_gateway(unit, actor))
    reached("pay.answering")
    return change


async def _not_sent(unit: Unit, transaction_id: str, actor: str) -> Transaction:
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    return await _settle(unit, apply_not_sent(transaction, by_gateway(unit, actor)))


async def _lost(unit: Unit, transaction_id: str, actor: str) -> Transaction:
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    return await _settle(unit, apply_loss(transaction, by_gateway(unit, actor)))


async def settle_lost(unit: Unit, transaction: Transaction) -> Transaction:
    """A deadline passed without an answer: whoever finds it records that the answer is lost."""
    return await _settle(unit, apply_loss(transaction, by_reconciler(unit)))


async def _settle(unit: Unit, change: Change) -> Transaction:
    await record(unit, change)
    transaction = change.transaction
    if transaction.status is Status.FAILED and transaction.saved_card_id and transaction.operation.redirects:
        card = await unit.saved_card(transaction.saved_card_id)
        if card is not None:
            after = apply_card(card, CardNews.REFUSED, by_gateway(unit))
            await unit.save_saved_card(after.card)
            for event in after.events:
                await unit.insert_event(event)
    return transaction


async def refuse_conflict(unit: Unit, order: PaymentOrder) -> None:
    """Raise OrderConflictError if another payment of this order is live or paid."""
    payout = order.operation is TransactionOperation.PAYOUT
    holder = await unit.order_holder(order.order_id, payout=payout)
    if holder is not None and holder.call_deadline is not None and holder.call_deadline <= unit.now:
        holder = await settle_lost(unit, holder)
    if holder is None or not holder.holds_order:
        return
    what = "payout" if payout else "payment"
    if holder.status is Status.SUCCESS:
        raise OrderConflictError(
            ErrorCode.ORDER_ALREADY_PAID, f"This order already has a {what} that succeeded.", holder
        )
    if holder.status is Status.AUTHORIZED:
        raise OrderConflictError(
            ErrorCode.ORDER_IN_PROGRESS, "An amount is held for this order. Capture it, or let it go first.", holder
        )
    raise OrderConflictError(
        ErrorCode.ORDER_IN_PROGRESS,
        f"This order already has a {what} under way. Go on with its nextAction, or wait until it is final.",
        holder,
    )


async def _free_gateway_order(reader: Reader, order_id: str) -> str:
    """Return the order id that EPoint will see: the merchant's own if it is free, else with a suffix."""
    if await reader.transaction_by_gateway_order(order_id) is None:
        return order_id
    for attempt in range(2, ATTEMPTS_MAX + 1):
        candidate = f"{order_id}-{attempt}"
        if await reader.transaction_by_gateway_order(candidate) is None:
            return candidate
    raise invalid(f"names an order that has had {ATTEMPTS_MAX} attempts; use a new one", "orderId")


def _error_beside(change: Change, what: Said) -> RefusedError | None:
    """A decline is data; a refusal to even open the payment, or of our keys, is an error beside it."""
    refused = Fact.DECLINED in change.new_facts and change.transaction.operation.redirects
    grant = change.transaction.operation.wire.grant
    return gateway_said_no(what, "this payment", grant) if refused or is_misconfigured(what) else None
