"""News about transfers to businesses: ask EPoint for it, and write down what it proves."""

from __future__ import annotations

import contextlib

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.desk import Books, by_reconciler
from gql_epoint.epoint.b2b import BUSINESS_TRANSFER_STATUS, B2BStatusReply, B2BStatusRequest
from gql_epoint.epoint.wire import Reply
from gql_epoint.errors import GatewayError
from gql_epoint.ledger.business_transfer import (
    BusinessTransfer,
    TransferNews,
    after_transfer_ask,
    apply_transfer,
    status_failure,
    status_news,
    waited_too_long,
)
from gql_epoint.ledger.events import Provenance
from gql_epoint.ledger.schedule import JITTER_BYTES, spread
from gql_epoint.ledger.transaction import Failure
from gql_epoint.points import reached
from gql_epoint.store.protocol import Unit


async def ask_transfer(books: Books, transfer: BusinessTransfer, limit_s: float) -> None:
    """Ask EPoint about a transfer whose question is due, and schedule the next one."""
    correlation.transaction_id.set(transfer.id)
    reply: B2BStatusReply | None = None
    # An order that EPoint does not know (404) proves nothing: see the ledger's rules.
    with contextlib.suppress(GatewayError):
        reply = await books.gateway.call(
            BUSINESS_TRANSFER_STATUS, B2BStatusRequest(order_id=transfer.gateway_order_id), timeout_s=limit_s
        )
    reached("transfer.asked")

    async def work(unit: Unit) -> None:
        known = await known_transfer(unit, transfer.id)
        if reply is not None:
            known = await hear_status(unit, known, reply, by_reconciler(unit))
        if waited_too_long(known, unit.now) and not known.status.is_final:
            known = await hear(unit, known, TransferNews.SILENCE, by_reconciler(unit))
        scheduled = after_transfer_ask(known, unit.now)
        ask_at = spread(scheduled.ask_at, unit.now, books.random(JITTER_BYTES))
        await unit.save_business_transfer(msgspec.structs.replace(scheduled, ask_at=ask_at))

    await books.write_answer(work)
    reached("transfer.applied")


async def settle_lost_transfer(unit: Unit, transfer: BusinessTransfer) -> BusinessTransfer:
    """A deadline passed without an answer: money may be on its way."""
    return await hear(unit, transfer, TransferNews.LOST, by_reconciler(unit))


async def hear_status(
    unit: Unit, transfer: BusinessTransfer, reply: B2BStatusReply, by: Provenance
) -> BusinessTransfer:
    """Apply what EPoint's status proves, if it is about this transfer."""
    news = status_news(transfer, reply)
    if news in (TransferNews.NOTHING, TransferNews.FOREIGN):
        return await hear(unit, transfer, news, by)
    transfer = msgspec.structs.replace(with_words(transfer, reply), last_confirmed_at=unit.now)
    return await hear(unit, transfer, news, by, status_failure(reply))


async def hear(
    unit: Unit, transfer: BusinessTransfer, news: TransferNews, by: Provenance, failure: Failure | None = None
) -> BusinessTransfer:
    """Apply news to a transfer and write it down."""
    taken = False
    if not transfer.holds_order:
        holder = await unit.business_transfer_by_order(transfer.order_id)
        taken = holder is not None and holder.holds_order
    change = apply_transfer(transfer, news, by, failure=failure, order_taken=taken)
    await unit.save_business_transfer(change.transfer)
    for event in change.events:
        await unit.insert_event(event)
    return change.transfer


def with_words(transfer: BusinessTransfer, reply: Reply | None) -> BusinessTransfer:
    """Keep EPoint's own words and references."""
    if reply is None:
        return transfer
    return msgspec.structs.replace(
        transfer,
        gateway_status=reply.status or transfer.gateway_status,
        gateway_bulk_id=getattr(reply, "bulkId", None) or transfer.gateway_bulk_id,
        gateway_trace_id=reply.trace_id or transfer.gateway_trace_id,
    )


async def known_transfer(unit: Unit, transfer_id: str) -> BusinessTransfer:
    """Return a transfer that must be there."""
    transfer = await unit.business_transfer(transfer_id)
    assert transfer is not None
    return transfer
