"""What is done with a hold: capture it or let it go, one request at a time; and what a person found about it."""

from __future__ import annotations

from decimal import Decimal
from time import monotonic
from typing import Any

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.commands import Call, CaptureOrder, Result, TransactionBy
from gql_epoint.cashier.desk import (
    Books,
    by_api,
    by_gateway,
    by_operator,
    gateway_is_away,
    gateway_said_no,
    gateway_said_unproved_no,
    order_is_taken,
    record,
)
from gql_epoint.cashier.hold_answers import settle_hold_request, settle_lost_hold_request
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.lookup import find_transaction
from gql_epoint.cashier.resolutions import TRANSACTION, decide
from gql_epoint.cashier.validation import check_call, check_note, checked_amount, checked_capture, invalid
from gql_epoint.epoint.operations import CAPTURE, REFUND
from gql_epoint.epoint.requests import CaptureRequest, RefundRequest
from gql_epoint.epoint.wire import Operation, Reply, Request
from gql_epoint.errors import ErrorCode, GatewayError, RefusedError
from gql_epoint.ledger.holds import (
    HoldFinding,
    apply_hold_resolution,
    can_be_settled,
    next_number,
    reserve_hold_request,
)
from gql_epoint.ledger.transaction import (
    Failure,
    HoldRequest,
    HoldRequestKind,
    HoldRequestStatus,
    Status,
    Transaction,
)
from gql_epoint.ledger.words import TEMPORARY_FAILURE, failure_from, is_misconfigured, is_unproved_no, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit

_NOUN = {HoldRequestKind.CAPTURE: "capture", HoldRequestKind.CANCEL: "cancellation"}
_PATH = ("input", "transaction")


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A hold with its request written down, or as the same request left it before."""

    transaction: Transaction
    replayed: bool = False


class HoldDesk:
    """Captures and cancellations. Both are written on the row of their hold first, which has room for one."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def capture(self, call: Call, order: CaptureOrder) -> Result[Transaction]:
        """Take what is held, or a part of it, once. The same call again returns its transaction as it is by then.

        Raises RefusedError and its kin; then nothing is written down and the key is not used.
        """
        order = checked_capture(order)
        return await self._start(call, order.transaction, HoldRequestKind.CAPTURE, order)

    async def cancel(self, call: Call, by: TransactionBy) -> Result[Transaction]:
        """Let a hold go, once; as `capture` in everything else."""
        return await self._start(call, by, HoldRequestKind.CANCEL, None)

    async def resolve(
        self, call: Call, transaction_id: str, finding: HoldFinding, captured: Decimal | None, note: str
    ) -> Result[Transaction]:
        """Write down what a person found about a pre-authorisation. Calls nobody."""
        check_call(call)
        check_note(note)

        async def settle(unit: Unit, found: Transaction) -> Transaction:
            amount = _found_amount(found, finding, captured)
            change = apply_hold_resolution(
                found,
                finding,
                amount,
                by_operator(unit, call.actor, note),
                order_taken=await order_is_taken(unit, found),
            )
            await record(unit, change)
            return change.transaction

        return await decide(self._books, call, TRANSACTION, transaction_id, settle)

    async def _start(
        self, call: Call, by: TransactionBy, kind: HoldRequestKind, order: CaptureOrder | None
    ) -> Result[Transaction]:
        check_call(call)
        return await self._books.own(self._run(call, by, kind, order))

    async def _run(
        self, call: Call, by: TransactionBy, kind: HoldRequestKind, order: CaptureOrder | None
    ) -> Result[Transaction]:
        started_at = monotonic()
        begun = await self._books.write(lambda unit: self._begin(unit, call, by, kind, order))
        if begun.replayed:
            return Result(value=begun.transaction, replayed=True)
        reached("hold.reserved")
        return await self._call(begun.transaction, call, started_at)

    async def _begin(
        self, unit: Unit, call: Call, by: TransactionBy, kind: HoldRequestKind, order: CaptureOrder | None
    ) -> _Begun:
        object_id = await earlier_object(unit, call)
        if object_id is not None:
            return await _begun_before(unit, object_id)
        transaction = await find_transaction(unit, by)
        if transaction is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transaction.", _PATH)
        _refuse_if_not_held(transaction, kind)
        request = HoldRequest(
            number=next_number(transaction),
            kind=kind,
            status=HoldRequestStatus.PROCESSING,
            requested_at=unit.now,
            amount=None if order is None else _capture_amount(transaction, order),
            call_deadline=unit.now + self._books.deadline,
        )
        change = reserve_hold_request(transaction, request, by_api(unit, call.actor))
        await record(unit, change)
        # A hold may have had other requests before: the key stands for this one.
        await use_key(unit, call, f"{transaction.id}:{request.number}")
        reached("hold.reserving")
        return _Begun(transaction=change.transaction)

    async def _call(self, transaction: Transaction, call: Call, started_at: float) -> Result[Transaction]:
        request = transaction.hold_request
        assert request is not None
        correlation.transaction_id.set(transaction.id)
        operation, message = self._message(transaction, request)
        left_s = self._books.deadline.total_seconds() - (monotonic() - started_at)
        failed, lost = HoldRequestStatus.FAILED, HoldRequestStatus.INDETERMINATE
        if left_s < self._books.call_limit_s:
            # The process was frozen since it wrote the request down; the deadline could pass during the call.
            return await self._record(transaction.id, request, failed, TEMPORARY_FAILURE, call, gateway_is_away())
        try:
            reached("hold.calling")
            reply = await self._books.gateway.call(operation, message, timeout_s=self._books.call_limit_s)
        except GatewayError as exc:
            if exc.money_may_have_moved:
                return await self._record(transaction.id, request, lost, None, call, None)
            return await self._record(transaction.id, request, failed, TEMPORARY_FAILURE, call, gateway_is_away())
        reached("hold.answered")
        outcome, failure = _outcome_of(reply, transaction)
        what, noun = said(reply), f"this {_NOUN[request.kind]}"
        error = gateway_said_no(what, noun) if failure is not None else None
        result = await self._record(transaction.id, request, outcome, failure, call, error)
        if is_unproved_no(what) and result.value.status is Status.INDETERMINATE:
            return msgspec.structs.replace(result, error=gateway_said_unproved_no(what, noun, operation.grant))
        return result

    def _message(self, transaction: Transaction, request: HoldRequest) -> tuple[Operation[Any, Any], Request]:
        name = transaction.gateway.transaction_id
        assert name is not None
        if request.kind is HoldRequestKind.CAPTURE:
            assert request.amount is not None
            return CAPTURE, CaptureRequest(amount=request.amount, transaction=name)
        language = transaction.language or self._books.defaults.language
        # Without an amount, so that nothing stays held.
        return REFUND, RefundRequest(language=language, transaction=name, currency=transaction.currency)

    async def _record(
        self,
        transaction_id: str,
        request: HoldRequest,
        outcome: HoldRequestStatus,
        failure: Failure | None,
        call: Call,
        error: RefusedError | None,
    ) -> Result[Transaction]:
        async def work(unit: Unit) -> Transaction:
            by = by_gateway(unit, call.actor)
            settled = await settle_hold_request(unit, transaction_id, request.number, outcome, failure, by)
            reached("hold.answering")
            return settled

        after = await self._books.write_answer(work)
        reached("hold.settled")
        return Result(value=after, error=error)


async def _begun_before(unit: Unit, object_id: str) -> _Begun:
    transaction_id, _, number = object_id.partition(":")
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    request = transaction.hold_request
    assert request is not None
    if request.number == int(number) and is_overdue(request.call_deadline, unit.now):
        transaction = await settle_lost_hold_request(unit, transaction)
    return _Begun(transaction=transaction, replayed=True)


def _refuse_if_not_held(transaction: Transaction, kind: HoldRequestKind) -> None:
    request = transaction.hold_request
    open_still = (HoldRequestStatus.PROCESSING, HoldRequestStatus.INDETERMINATE)
    if request is not None and request.status in open_still:
        raise RefusedError(
            ErrorCode.HOLD_IN_PROGRESS,
            f"A {_NOUN[request.kind]} of this hold is {request.status}; nothing else is sent until it has an end.",
            _PATH,
        )
    if not transaction.is_hold:
        raise RefusedError(
            ErrorCode.NOT_CAPTURABLE,
            "Only a pre-authorisation that was made here can be captured or let go.",
            _PATH,
        )
    if transaction.status is not Status.AUTHORIZED:
        raise RefusedError(
            ErrorCode.NOT_CAPTURABLE,
            f"Only a transaction in AUTHORIZED allows a {_NOUN[kind]}; this one is {transaction.status}.",
            _PATH,
        )
    if not can_be_settled(transaction):
        raise RefusedError(
            ErrorCode.NOT_CAPTURABLE, "EPoint contradicts itself about this hold. Refresh it and try again.", _PATH
        )
    if transaction.gateway.transaction_id is None:
        raise RefusedError(
            ErrorCode.NOT_CAPTURABLE, "EPoint has not named this transaction yet. Refresh it and try again.", _PATH
        )


def _capture_amount(transaction: Transaction, order: CaptureOrder) -> Decimal:
    if order.currency is not None and order.currency != transaction.currency:
        raise RefusedError(
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            f"This hold is in {transaction.currency}, and is captured in it.",
            ("input", "amount", "currency"),
        )
    amount = transaction.amount if order.amount is None else order.amount
    if amount > transaction.amount:
        raise RefusedError(
            ErrorCode.CAPTURE_EXCEEDS_AUTHORIZED,
            f"Only {transaction.amount} {transaction.currency} is held.",
            ("input", "amount"),
        )
    return amount


def _found_amount(transaction: Transaction, finding: HoldFinding, captured: Decimal | None) -> Decimal | None:
    """Return what a person found to be taken, or refuse the finding."""
    if not transaction.is_hold:
        raise invalid("names no pre-authorisation; settle it with resolveTransaction", "transactionId")
    request = transaction.hold_request
    if request is not None and request.status is HoldRequestStatus.PROCESSING:
        raise RefusedError(
            ErrorCode.HOLD_IN_PROGRESS, "EPoint has not answered yet; wait for it.", ("input", "transactionId")
        )
    decidable = {Status.INDETERMINATE, Status.REQUIRES_REVIEW} | (
        {Status.AUTHORIZED} if finding is not HoldFinding.HELD else set()
    )
    if transaction.status not in decidable:
        raise invalid(f"names one that is {transaction.status}, which {finding} does not settle", "transactionId")
    used = transaction.refunded_amount + transaction.refund_pending_amount
    if finding is not HoldFinding.CAPTURED:
        if captured is not None:
            raise invalid("is for CAPTURED only", "capturedAmount")
        if used > 0:
            raise invalid("contradicts the refunds that this transaction has", "finding")
        return None
    asked = request.amount if request is not None and request.kind is HoldRequestKind.CAPTURE else None
    amount = asked or transaction.amount
    if captured is not None:
        amount = checked_amount(captured, transaction.currency, "capturedAmount")
    if not used <= amount <= transaction.amount:
        raise invalid(f"must be {used} to {transaction.amount} {transaction.currency}", "capturedAmount")
    return amount


def _outcome_of(reply: Reply, transaction: Transaction) -> tuple[HoldRequestStatus, Failure | None]:
    """What EPoint's answer proves; every word but two leaves it open, and so does one about something else."""
    what = said(reply)
    if what.transaction is not None and what.transaction != transaction.gateway.transaction_id:
        return HoldRequestStatus.INDETERMINATE, None
    if what.status == "success":
        return HoldRequestStatus.SUCCESS, None
    if what.status == "failed" or is_misconfigured(what):
        return HoldRequestStatus.FAILED, failure_from(what)
    return HoldRequestStatus.INDETERMINATE, None
