"""What must hold of the books at any time, and between them and the simulator's once all is settled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gql_epoint.ledger.business_transfer import BusinessTransfer, TransferStatus
from gql_epoint.ledger.events import Event, EventSource
from gql_epoint.ledger.invoice import Invoice, InvoiceStatus
from gql_epoint.ledger.transaction import (
    CallbackRecord,
    Disposition,
    HoldRequestKind,
    HoldRequestStatus,
    Refund,
    RefundStatus,
    SavedCard,
    Status,
    Transaction,
)
from gql_epoint.store.protocol import Page, Reader, TransactionFilter

EVERYTHING = Page(limit=1_000_000)
WAITS_FOR_A_PERSON = frozenset({Status.INDETERMINATE, Status.REQUIRES_REVIEW})
_TAKEN = (HoldRequestKind.CAPTURE, HoldRequestStatus.SUCCESS)
LIVE_OR_PAID = frozenset(
    {Status.NEW, Status.REQUIRES_ACTION, Status.AUTHORIZED, Status.INDETERMINATE, Status.SUCCESS}
)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """All of our books, read from one state."""

    transactions: Sequence[Transaction]
    refunds: Sequence[Refund]
    cards: Sequence[SavedCard]
    callbacks: Sequence[CallbackRecord]
    transfers: Sequence[BusinessTransfer]
    invoices: Sequence[Invoice]
    streams: dict[str, Sequence[Event]]
    feed: Sequence[Event]


async def read_ledger(reader: Reader) -> Ledger:
    """Read everything."""
    transactions = await reader.transactions(EVERYTHING, TransactionFilter(), by_update=False)
    cards = await reader.saved_cards(EVERYTHING)
    transfers = await reader.business_transfers(EVERYTHING)
    invoices = await reader.invoices(EVERYTHING)
    rows = (*transactions, *cards, *transfers, *invoices)
    return Ledger(
        transactions=transactions,
        refunds=[refund for row in transactions for refund in await reader.refunds(row.id, EVERYTHING)],
        cards=cards,
        callbacks=await reader.callbacks(EVERYTHING, None),
        transfers=transfers,
        invoices=invoices,
        streams={row.id: await reader.stream_events(row.id, EVERYTHING) for row in rows},
        feed=await reader.feed(0, 1_000_000),
    )


def check_invariants(ledger: Ledger) -> None:
    """Assert what holds at any time, whatever is under way."""
    holders: dict[tuple[str | None, bool], str] = {}
    refunds = defaultdict(list)
    for refund in ledger.refunds:
        refunds[refund.transaction_id].append(refund)
    for row in ledger.transactions:
        done = sum((r.amount for r in refunds[row.id] if r.status is RefundStatus.SUCCESS), Decimal(0))
        open_still = (RefundStatus.PROCESSING, RefundStatus.INDETERMINATE)
        pending = sum((r.amount for r in refunds[row.id] if r.status in open_still), Decimal(0))
        assert row.refunded_amount + row.refund_pending_amount <= row.paid_amount <= row.amount, row
        assert pending == row.refund_pending_amount, row
        assert row.refunded_amount in ({done, row.paid_amount} if row.status is Status.RETURNED else {done}), row
        taken = [event for event in ledger.streams[row.id] if (event.hold_request, event.current) == _TAKEN]
        assert len(taken) <= 1, f"{row.id} was captured twice"
        decided = any(event.source is EventSource.OPERATOR for event in ledger.streams[row.id])
        assert row.holds_order or row.status not in LIVE_OR_PAID or row.order_id is None or decided, row
        if row.holds_order:
            order = (row.order_id, row.operation == "PAYOUT")
            assert order not in holders, f"{order} is held by {holders[order]} and {row.id}"
            holders[order] = row.id
    orders = [row.order_id for row in ledger.transfers if row.holds_order]
    assert len(set(orders)) == len(orders), "an order has two transfers that are live or done"
    for row in (*ledger.transactions, *ledger.cards, *ledger.transfers, *ledger.invoices):
        sequences = [event.sequence for event in ledger.streams[row.id]]
        assert sequences == list(range(1, row.version + 1)), (row, sequences)
    positions = [event.position for event in ledger.feed]
    assert positions == list(range(1, len(positions) + 1))
    names = [(event.stream_id, event.sequence) for event in ledger.feed]
    assert len(set(names)) == len(names)
    assert len({record.id for record in ledger.callbacks}) == len(ledger.callbacks)


def check_against_gateway(ledger: Ledger, books: dict[str, Any], merchant: str) -> None:
    """Assert that our books say what EPoint's do, where we are sure, and that nothing was done twice or lost.

    `books` is the answer of `GET /_control/books`.
    """
    numbered = [event for events in ledger.streams.values() for event in events]
    assert len(ledger.feed) == len(numbered), "every event has its place in the feed"
    theirs = {row["transaction"]: row for row in books["transactions"] if row["merchant"] == merchant}
    by_order: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in theirs.values():
        if row["order_id"] is not None:
            by_order[row["order_id"]].append(row)
    for order, rows in by_order.items():
        assert len(rows) == 1, f"{order} was sent to EPoint {len(rows)} times"
    for ours in ledger.transactions:
        _check_transaction(ours, by_order.get(ours.gateway_order_id or "", [None])[0], ledger)
    ordered = {row.gateway_order_id for row in ledger.transactions}
    for row in theirs.values():
        assert row["order_id"] is None or row["order_id"] in ordered, (
            f"EPoint has a payment that we have not: {row}"
        )
    _check_callbacks(ledger, books, set(theirs))
    _check_transfers(ledger, books, merchant)
    _check_invoices(ledger, books, merchant)


def _check_transaction(ours: Transaction, theirs: dict[str, Any] | None, ledger: Ledger) -> None:
    if ours.status in WAITS_FOR_A_PERSON:
        return
    paid = theirs is not None and theirs["status"] == "success" and theirs["hold"] in (None, "captured")
    if theirs is not None and theirs["hold"] is not None:
        assert theirs["hold"] == {Status.AUTHORIZED: "held", Status.VOIDED: "released"}.get(ours.status, "captured")
    said_paid = ours.status in (Status.SUCCESS, Status.RETURNED)
    assert said_paid == paid, (ours, theirs)
    if not paid:
        return
    assert theirs is not None
    assert Decimal(theirs["amount"]) == ours.amount
    assert Decimal(theirs["captured_amount"] or theirs["amount"]) == ours.taken_amount or ours.operation == "PAYOUT"
    at_epoint = sum((Decimal(refund["amount"]) for refund in theirs["refunds"]), Decimal(0))
    unclear = [
        refund.amount
        for refund in ledger.refunds
        if refund.transaction_id == ours.id and refund.status is RefundStatus.INDETERMINATE
    ]
    assert ours.refunded_amount <= at_epoint <= ours.refunded_amount + sum(unclear, Decimal(0)), (ours, theirs)


def _check_transfers(ledger: Ledger, books: dict[str, Any], merchant: str) -> None:
    """EPoint has no transfer that we have not, and none was sent under two names."""
    ours = {row.gateway_order_id: row for row in ledger.transfers}
    done = {row["order_id"] for row in books["transfers"] if row["state"] == "SUCCESS"}
    for row in ledger.transfers:
        assert row.status is not TransferStatus.SUCCESS or row.gateway_order_id in done, row
    orders = [row.order_id for row in ledger.transfers if row.gateway_order_id in done]
    assert len(set(orders)) == len(orders), "an order was transferred twice"
    for theirs in books["transfers"]:
        if theirs["merchant"] != merchant:
            continue
        row = ours[theirs["order_id"]]
        assert Decimal(theirs["amount"]) == row.amount
        if row.status.is_final:
            assert row.status == theirs["state"], (row, theirs)


def _check_invoices(ledger: Ledger, books: dict[str, Any], merchant: str) -> None:
    """Each invoice of ours is at EPoint once at most, and what is paid there is paid here where we are sure."""
    ours = {row.reference: row for row in ledger.invoices}
    theirs = [row for row in books["invoices"] if row["merchant"] == merchant]
    references = [row["merchant_order_id"] for row in theirs]
    assert len(set(references)) == len(references), "an invoice was made twice"
    for row in theirs:
        known = ours[row["merchant_order_id"]]
        assert known.status is InvoiceStatus.INDETERMINATE or known.gateway_id == str(row["id"])
        if known.status is InvoiceStatus.PAID:
            assert row["state"] == "paid", (known, row)
            assert known.disputed or Decimal(row["sum"]) == known.amount, (known, row)


def _check_callbacks(ledger: Ledger, books: dict[str, Any], of_merchant: set[str]) -> None:
    """Each delivery that was answered with 200 is in our books, and what it says reached its transaction."""
    acknowledged = defaultdict(int)
    for delivery in books["callbacks"]:
        if delivery["transaction"] not in of_merchant:
            continue
        count = sum(attempt["http_status"] == 200 for attempt in delivery["attempts"])
        # A card registration's transaction is never told to anyone.
        acknowledged[delivery["body"].get("transaction") or delivery["card_id"]] += count
    recorded = defaultdict(int)
    for record in ledger.callbacks:
        recorded[record.gateway_transaction_id or record.gateway_card_id] += 1
    for name, count in acknowledged.items():
        assert recorded[name] >= count, f"{count} callbacks of {name} were acknowledged, {recorded[name]} are kept"
    known = {row.gateway.transaction_id for row in ledger.transactions} - {None}
    lost = [
        record
        for record in ledger.callbacks
        if record.disposition is Disposition.UNMATCHED and record.gateway_transaction_id in known
    ]
    assert lost == [], "a callback was kept and not applied"
