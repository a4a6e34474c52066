"""Write down what became of a capture or a cancellation, or that its answer is lost."""

from __future__ import annotations

from datetime import datetime

from gql_epoint.cashier.desk import by_reconciler, order_is_taken, record
from gql_epoint.ledger.events import Provenance
from gql_epoint.ledger.holds import apply_hold_answer
from gql_epoint.ledger.transaction import Failure, HoldRequestStatus, Transaction
from gql_epoint.store.protocol import Unit


async def settle_lost_hold_request(unit: Unit, transaction: Transaction) -> Transaction:
    """A deadline passed without an answer: the hold may have been captured, or let go."""
    request = transaction.hold_request
    assert request is not None
    lost = HoldRequestStatus.INDETERMINATE
    return await settle_hold_request(unit, transaction.id, request.number, lost, None, by_reconciler(unit))


async def settle_hold_request(
    unit: Unit,
    transaction_id: str,
    number: int,
    outcome: HoldRequestStatus,
    failure: Failure | None,
    by: Provenance,
) -> Transaction:
    """Give a capture or a cancellation its outcome, and write down what follows for its hold."""
    transaction = await unit.transaction(transaction_id)
    assert transaction is not None
    free = not await order_is_taken(unit, transaction)
    change = apply_hold_answer(transaction, number, outcome, failure, by, order_free=free)
    await record(unit, change)
    return change.transaction


def is_past(transaction: Transaction, now: datetime) -> bool:
    """Whether a capture or a cancellation was not answered by its deadline."""
    request = transaction.hold_request
    return request is not None and request.call_deadline is not None and request.call_deadline <= now
