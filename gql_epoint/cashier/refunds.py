"""Refunds: reserve the amount under the transaction's lock, call EPoint once, record the answer."""

from __future__ import annotations

from decimal import Decimal
from time import monotonic

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.commands import Call, RefundOrder, Result
from gql_epoint.cashier.desk import (
    Books,
    by_api,
    by_gateway,
    by_reconciler,
    gateway_is_away,
    gateway_said_no,
    order_is_taken,
    record,
)
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.lookup import Lookup, find_transaction
from gql_epoint.cashier.validation import check_call, checked_refund
from gql_epoint.epoint.operations import REFUND
from gql_epoint.epoint.replies import RefundReply
from gql_epoint.epoint.requests import RefundRequest
from gql_epoint.errors import ErrorCode, ExceedsRefundableError, GatewayError, RefusedError
from gql_epoint.ledger import ids
from gql_epoint.ledger.events import Provenance
from gql_epoint.ledger.transaction import Failure, Refund, RefundStatus, Status, Transaction, TransactionOperation
from gql_epoint.ledger.transitions import apply_refund, reserve_refund
from gql_epoint.ledger.words import TEMPORARY_FAILURE, failure_from, is_misconfigured, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A reserved refund and its transaction, or what the same request made before."""

    refund: Refund
    transaction: Transaction | None = None


class RefundDesk:
    """Money back to customers."""

    def __init__(self, books: Books, lookup: Lookup) -> None:
        self._books = books
        self._lookup = lookup

    async def start(self, call: Call, order: RefundOrder) -> Result[Refund]:
        """Refund once. The same call again returns its refund as it is by then.

        Raises RefusedError and its kin; then nothing is reserved and the key is not used.
        """
        check_call(call)
        order = checked_refund(order)
        gateway_id = order.transaction.gateway_transaction_id
        if gateway_id is not None and await self._lookup.transaction(order.transaction) is None:
            path = ("input", "transaction", "gatewayTransactionId")
            await self._lookup.adopt(gateway_id, order.currency, call.actor, path)
        return await self._books.own(self._run(call, order))

    async def _run(self, call: Call, order: RefundOrder) -> Result[Refund]:
        started_at = monotonic()
        begun = await self._books.write(lambda unit: self._begin(unit, call, order))
        if begun.transaction is None:
            return Result(value=begun.refund, replayed=True)
        reached("refund.reserved")
        return await self._call(begun.refund, begun.transaction, call, order, started_at)

    async def _begin(self, unit: Unit, call: Call, order: RefundOrder) -> _Begun:
        object_id = await earlier_object(unit, call)
        if object_id is not None:
            earlier = await unit.refund(object_id)
            assert earlier is not None
            if is_overdue(earlier.call_deadline, unit.now):
                earlier = await settle_lost_refund(unit, earlier)
            return _Begun(refund=earlier)
        transaction = await find_transaction(unit, order.transaction)
        if transaction is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transaction.", ("input", "transaction"))
        refund = Refund(
            id=self._books.new_id(ids.REFUND, unit),
            transaction_id=transaction.id,
            amount=_refund_amount(transaction, order),
            currency=transaction.currency,
            status=RefundStatus.PROCESSING,
            created_at=unit.now,
            updated_at=unit.now,
            reason=order.reason,
            call_deadline=unit.now + self._books.deadline,
        )
        change = reserve_refund(transaction, refund, by_api(unit, call.actor))
        await unit.save_transaction(change.transaction)
        await unit.insert_refund(refund)
        for event in change.events:
            await unit.insert_event(event)
        await use_key(unit, call, refund.id)
        reached("refund.reserving")
        return _Begun(refund=refund, transaction=change.transaction)

    async def _call(
        self, refund: Refund, transaction: Transaction, call: Call, order: RefundOrder, started_at: float
    ) -> Result[Refund]:
        assert transaction.gateway.transaction_id is not None
        correlation.is_about(transaction.id, transaction.saved_card_id)
        request = RefundRequest(
            language=order.language or transaction.language or self._books.defaults.language,
            transaction=transaction.gateway.transaction_id,
            currency=refund.currency,
            # EPoint takes a refund without an amount as one of everything; what that is of a hold that was captured
            # in part is not documented.
            amount=refund.amount if transaction.is_hold or refund.amount != transaction.amount else None,
        )
        left_s = self._books.deadline.total_seconds() - (monotonic() - started_at)
        try:
            if left_s < self._books.call_limit_s:
                # The process was frozen since it reserved the amount; the deadline could pass during the call.
                return await self._record(
                    refund.id, RefundStatus.FAILED, TEMPORARY_FAILURE, call, gateway_is_away()
                )
            reached("refund.calling")
            reply = await self._books.gateway.call(REFUND, request, timeout_s=self._books.call_limit_s)
        except GatewayError as exc:
            if exc.money_may_have_moved:
                return await self._record(refund.id, RefundStatus.INDETERMINATE, None, call, None)
            return await self._record(refund.id, RefundStatus.FAILED, TEMPORARY_FAILURE, call, gateway_is_away())
        reached("refund.answered")
        status, failure = outcome_of(reply)
        error = gateway_said_no(said(reply), "this refund") if is_misconfigured(said(reply)) else None
        return await self._record(refund.id, status, failure, call, error)

    async def _record(
        self, refund_id: str, status: RefundStatus, failure: Failure | None, call: Call, error: RefusedError | None
    ) -> Result[Refund]:
        async def work(unit: Unit) -> Refund:
            settled = await settle_refund(unit, refund_id, status, failure, by_gateway(unit, call.actor))
            reached("refund.answering")
            return settled

        after = await self._books.write_answer(work)
        reached("refund.settled")
        return Result(value=after, error=error)


async def settle_refund(
    unit: Unit, refund_id: str, status: RefundStatus, failure: Failure | None, by: Provenance
) -> Refund:
    """Give a refund an outcome and write down what follows for its transaction."""
    refund = await unit.refund(refund_id)
    assert refund is not None
    transaction = await unit.transaction(refund.transaction_id)
    assert transaction is not None
    free = not await order_is_taken(unit, transaction)
    change = apply_refund(transaction, refund, status, failure, by, order_free=free)
    await record(unit, change)
    return change.refunds[0] if change.refunds else refund


async def settle_lost_refund(unit: Unit, refund: Refund) -> Refund:
    """A deadline passed without an answer: money may have moved."""
    return await settle_refund(unit, refund.id, RefundStatus.INDETERMINATE, None, by_reconciler(unit))


def outcome_of(reply: RefundReply) -> tuple[RefundStatus, Failure | None]:
    """What EPoint's answer to a refund proves; every word but two leaves it open."""
    what = said(reply)
    if what.status == "success":
        return RefundStatus.SUCCESS, None
    if what.status == "failed" or is_misconfigured(what):
        return RefundStatus.FAILED, failure_from(what)
    return RefundStatus.INDETERMINATE, None


def _refund_amount(transaction: Transaction, order: RefundOrder) -> Decimal:
    path = ("input", "transaction")
    if transaction.operation is TransactionOperation.PAYOUT:
        raise RefusedError(ErrorCode.NOT_REFUNDABLE, "A payout cannot be refunded.", path)
    if transaction.status is not Status.SUCCESS:
        raise RefusedError(
            ErrorCode.NOT_REFUNDABLE,
            f"Only a transaction in SUCCESS can be refunded; this one is {transaction.status}."
            + (" Let the hold go with cancelPreauthorization." if transaction.status is Status.AUTHORIZED else ""),
            path,
        )
    if transaction.gateway.transaction_id is None:
        raise RefusedError(
            ErrorCode.NOT_REFUNDABLE, "EPoint has not named this transaction yet. Refresh it and try again.", path
        )
    if order.currency is not None and order.amount is not None and order.currency != transaction.currency:
        raise RefusedError(
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            f"This transaction is in {transaction.currency}, and is refunded in it.",
            ("input", "amount", "currency"),
        )
    refundable = transaction.refundable_amount
    amount = refundable if order.amount is None else order.amount
    if amount > refundable or amount <= 0:
        raise ExceedsRefundableError(refundable, transaction.currency)
    return amount
