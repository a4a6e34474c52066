"""Apple Pay and Google Pay: charge a token to the payment that was opened for it, once.

The payment is opened as any other, by the payment desk, and no money moves. Its charge is a second call about the
same transaction, with the five steps of every call that moves money. A transaction is charged once: whatever came
of it, another charge is another payment. The token itself is for EPoint alone: it is not stored, and in no log.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.callbacks import hear
from gql_epoint.cashier.commands import Call, Result, TokenCharge
from gql_epoint.cashier.desk import (
    Books,
    by_api,
    by_gateway,
    gateway_is_away,
    gateway_said_no,
    gateway_said_unproved_no,
    record,
)
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.payments import settle_lost
from gql_epoint.cashier.validation import check_call, check_origin, check_token, invalid
from gql_epoint.epoint.operations import APPLE_SESSION
from gql_epoint.epoint.replies import TokenChargeReply
from gql_epoint.epoint.requests import AppleSessionRequest, TokenChargeRequest
from gql_epoint.errors import ErrorCode, GatewayError, OrderConflictError, RefusedError
from gql_epoint.ledger.schedule import ask_soon, ask_to_verify
from gql_epoint.ledger.transaction import Fact, Status, Transaction, TransactionOperation
from gql_epoint.ledger.transitions import Change, apply_charging, apply_loss, apply_not_sent
from gql_epoint.ledger.words import Heard, Said, is_misconfigured, is_unproved_no, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit

_PAID = frozenset({Status.SUCCESS, Status.RETURNED})
_OVER = frozenset({Status.FAILED, Status.EXPIRED, Status.VOIDED})


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded charge, or what the same request did before."""

    transaction: Transaction
    replayed: bool


class TokenDesk:
    """What only Apple Pay and Google Pay need."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def apple_session(self, origin: str) -> Any:
        """Return Apple's merchant session for the page at an origin, as it came.

        Raises RefusedError: URL_NOT_ALLOWED, GATEWAY_REFUSED or GATEWAY_UNAVAILABLE.
        """
        check_origin(origin, self._books.apple_pay_origins)
        try:
            reply = await self._books.gateway.call(APPLE_SESSION, AppleSessionRequest(origin=origin))
        except GatewayError as exc:
            raise gateway_is_away(exc) from exc
        # Apple's session has no status; EPoint's refusal has one.
        if reply.status not in (None, "success"):
            raise gateway_said_no(said(reply), "Apple Pay", APPLE_SESSION.grant)
        return reply.whole_reply

    async def charge(self, call: Call, order: TokenCharge) -> Result[Transaction]:
        """Charge a token once. The same call again returns its transaction as it is by then.

        Raises RefusedError and its kin; then nothing is recorded and the key is not used.
        """
        check_call(call)
        check_token(order.token, order.billing_contact)
        return await self._books.own(self._run(call, order))

    async def _run(self, call: Call, order: TokenCharge) -> Result[Transaction]:
        started_at = monotonic()
        begun = await self._books.write(lambda unit: self._begin(unit, call, order))
        if begun.replayed:
            return Result(value=begun.transaction, replayed=True)
        reached("token.recorded")
        return await self._call(begun.transaction, call, order, started_at)

    async def _begin(self, unit: Unit, call: Call, order: TokenCharge) -> _Begun:
        # First, because it locks: of two requests at once, the second then sees what the first has done.
        transaction = await unit.transaction(order.transaction_id)
        object_id = await earlier_object(unit, call)
        if object_id is not None:
            transaction = await unit.transaction(object_id)
            assert transaction is not None
            if is_overdue(transaction.call_deadline, unit.now):
                transaction = await settle_lost(unit, transaction)
            return _Begun(transaction=transaction, replayed=True)
        if transaction is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transaction.", ("input", "transactionId"))
        if transaction.call_deadline is not None and transaction.call_deadline <= unit.now:
            transaction = await settle_lost(unit, transaction)
        _refuse_what_cannot_be_charged(transaction)
        change = apply_charging(transaction, unit.now + self._books.deadline, by_api(unit, call.actor))
        await record(unit, change)
        await use_key(unit, call, transaction.id)
        reached("token.recording")
        return _Begun(transaction=change.transaction, replayed=False)

    async def _call(
        self, transaction: Transaction, call: Call, order: TokenCharge, started_at: float
    ) -> Result[Transaction]:
        correlation.transaction_id.set(transaction.id)
        assert transaction.token_payment_id is not None
        request = TokenChargeRequest(
            id=transaction.token_payment_id, token=order.token, billingContact=order.billing_contact
        )
        left_s = self._books.deadline.total_seconds() - (monotonic() - started_at)
        if left_s < self._books.call_limit_s:
            # The process was frozen since it recorded the charge; the deadline could pass during the call.
            after = await self._books.write_answer(lambda unit: _not_sent(unit, transaction.id, call.actor))
            return Result(value=after, error=gateway_is_away())
        try:
            reached("token.calling")
            reply = await self._books.gateway.call(order.operation, request, timeout_s=self._books.call_limit_s)
        except GatewayError as exc:
            lost = exc.money_may_have_moved
            settle = _lost if lost else _not_sent
            after = await self._books.write_answer(lambda unit: settle(unit, transaction.id, call.actor))
            return Result(value=after, error=None if lost else gateway_is_away())
        reached("token.answered")
        change = await self._books.write_answer(lambda unit: _answered(unit, transaction.id, reply, call.actor))
        reached("token.settled")
        return Result(
            value=change.transaction, error=_error_beside(change.transaction, said(reply), order.operation.grant)
        )


async def hint(unit: Unit, transaction_id: str) -> None:
    """Ask EPoint soon: a customer's page says that something happened in the widget, which proves nothing."""
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    after = ask_soon(transaction, unit.now)
    if after is not transaction:
        await unit.save_transaction(after)


def is_worth_a_hint(transaction: Transaction | None) -> bool:
    """Whether a customer acts in the widget, whose window message is all that a page hears."""
    return (
        transaction is not None
        and transaction.operation is TransactionOperation.WIDGET
        and transaction.status is Status.REQUIRES_ACTION
    )


def _refuse_what_cannot_be_charged(transaction: Transaction) -> None:
    opened_for_it = transaction.operation is TransactionOperation.TOKEN_PAYMENT
    if not opened_for_it or (transaction.token_payment_id is None and transaction.status is Status.REQUIRES_ACTION):
        raise invalid("names no payment that createTokenPayment made", "transactionId")
    if transaction.status in _PAID:
        raise OrderConflictError(ErrorCode.ORDER_ALREADY_PAID, "This payment has succeeded already.", transaction)
    if transaction.status in _OVER:
        raise invalid(f"names a payment that is {transaction.status}; make another one", "transactionId")
    if transaction.status is not Status.REQUIRES_ACTION or Fact.CHARGING in transaction.facts:
        raise OrderConflictError(
            ErrorCode.ORDER_IN_PROGRESS,
            "This payment is being charged, or was: wait until it is final. A token is charged once.",
            transaction,
        )


def _error_beside(transaction: Transaction, what: Said, grant: str | None) -> RefusedError | None:
    """A decline is data. What EPoint refuses may be for want of a grant, whether or not that proves anything."""
    if is_misconfigured(what):
        return gateway_said_no(what, "this payment")
    if is_unproved_no(what) and transaction.status is Status.INDETERMINATE:
        return gateway_said_unproved_no(what, "this payment", grant)
    return None


async def _answered(unit: Unit, transaction_id: str, reply: TokenChargeReply, actor: str) -> Change:
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    change = await hear(unit, transaction, Heard.CHARGE, said(reply), by_gateway(unit, actor))
    if change.transaction.status is Status.SUCCESS:
        after = ask_to_verify(change.transaction, unit.now)
        await unit.save_transaction(after)
        change = msgspec.structs.replace(change, transaction=after)
    reached("token.answering")
    return change


async def _not_sent(unit: Unit, transaction_id: str, actor: str) -> Transaction:
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    change = apply_not_sent(transaction, by_gateway(unit, actor))
    await record(unit, change)
    return change.transaction


async def _lost(unit: Unit, transaction_id: str, actor: str) -> Transaction:
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    change = apply_loss(transaction, by_gateway(unit, actor))
    await record(unit, change)
    return change.transaction
