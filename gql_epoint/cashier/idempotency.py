"""The first use of an idempotency key decides; every later use with the same input gets the same object."""

from __future__ import annotations

from datetime import datetime

from gql_epoint.cashier.commands import Call
from gql_epoint.errors import InProgressError, KeyReusedError
from gql_epoint.store.protocol import IdempotencyRecord, Reader, Unit


async def earlier_object(unit: Reader, call: Call) -> str | None:
    """Return the id of what this key made, or None. Raises KeyReusedError if the input was another one."""
    record = await unit.idempotency(call.owner, call.mutation, call.key)
    if record is None:
        return None
    if record.input_hash != call.input_hash:
        raise KeyReusedError(record.first_used_at)
    return record.object_id


async def use_key(unit: Unit, call: Call, object_id: str) -> None:
    """Bind the key to the object that it makes, in the same unit of work."""
    await unit.insert_idempotency(
        IdempotencyRecord(
            owner=call.owner,
            mutation=call.mutation,
            key=call.key,
            input_hash=call.input_hash,
            object_id=object_id,
            first_used_at=unit.now,
        )
    )


def is_overdue(deadline: datetime | None, now: datetime) -> bool:
    """Whether a call's answer must be taken for lost. Raises InProgressError while it may still come."""
    if deadline is None:
        return False
    if now < deadline:
        raise InProgressError(retry_after_ms=max(1, int((deadline - now).total_seconds() * 1000)))
    return True
