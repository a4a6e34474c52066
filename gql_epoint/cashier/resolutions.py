"""A person's decision about something that evidence could not settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from gql_epoint.cashier.commands import Call, Result
from gql_epoint.cashier.desk import Books, by_operator, order_is_taken, record
from gql_epoint.cashier.idempotency import earlier_object, use_key
from gql_epoint.cashier.refunds import settle_refund
from gql_epoint.cashier.validation import check_call, check_note, invalid
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.transaction import Refund, RefundStatus, Status, Transaction
from gql_epoint.ledger.transitions import apply_resolution
from gql_epoint.ledger.words import RESOLVED_AS_FAILED
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit

T = TypeVar("T")


class Subject(NamedTuple, Generic[T]):
    """What a decision can be about: its name, the input's field with its id, and how it is found."""

    noun: str
    field: str
    find: Callable[[Unit, str], Awaitable[T | None]]


TRANSACTION = Subject[Transaction]("transaction", "transactionId", lambda unit, name: unit.transaction(name))
_REFUND = Subject[Refund]("refund", "refundId", lambda unit, name: unit.refund(name))


async def decide(
    books: Books, call: Call, subject: Subject[T], object_id: str, settle: Callable[[Unit, T], Awaitable[T]]
) -> Result[T]:
    """Write down a decision, once for each key; `settle` returns what it made of its subject, or refuses."""

    async def work(unit: Unit) -> Result[T]:
        earlier = await earlier_object(unit, call)
        found = await subject.find(unit, earlier or object_id)
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, f"There is no such {subject.noun}.", ("input", subject.field))
        if earlier is not None:
            return Result(value=found, replayed=True)
        settled = await settle(unit, found)
        await use_key(unit, call, object_id)
        reached("resolution.recording")
        return Result(value=settled)

    result = await books.write(work)
    reached("resolution.recorded")
    return result


class ResolutionDesk:
    """Decisions, each with a note and the name of whoever decided."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def transaction(self, call: Call, transaction_id: str, succeeded: bool, note: str) -> Result[Transaction]:
        """Settle a transaction that is INDETERMINATE or in REQUIRES_REVIEW."""
        check_call(call)
        check_note(note)

        async def settle(unit: Unit, found: Transaction) -> Transaction:
            if found.is_hold:
                raise invalid("names a pre-authorisation; settle it with resolveHold", "transactionId")
            if found.status not in (Status.INDETERMINATE, Status.REQUIRES_REVIEW):
                raise invalid(
                    f"names one that is {found.status}; only INDETERMINATE and REQUIRES_REVIEW need a decision",
                    "transactionId",
                )
            change = apply_resolution(
                found,
                succeeded=succeeded,
                by=by_operator(unit, call.actor, note),
                order_taken=await order_is_taken(unit, found),
            )
            await record(unit, change)
            return change.transaction

        return await decide(self._books, call, TRANSACTION, transaction_id, settle)

    async def refund(self, call: Call, refund_id: str, succeeded: bool, note: str) -> Result[Refund]:
        """Settle a refund that is INDETERMINATE."""
        check_call(call)
        check_note(note)

        async def settle(unit: Unit, found: Refund) -> Refund:
            if found.status is not RefundStatus.INDETERMINATE:
                raise invalid(f"names one that is {found.status}; only INDETERMINATE needs a decision", "refundId")
            status = RefundStatus.SUCCESS if succeeded else RefundStatus.FAILED
            failure = None if succeeded else RESOLVED_AS_FAILED
            return await settle_refund(unit, found.id, status, failure, by_operator(unit, call.actor, note))

        return await decide(self._books, call, _REFUND, refund_id, settle)
