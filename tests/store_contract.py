"""What every store promises, whatever database is behind it.

A test class inherits from StoreContract and gives a `store` fixture: an open store over an empty database.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gql_epoint.epoint.bank_codes import FailureCategory
from gql_epoint.errors import StoreUnavailableError
from gql_epoint.ledger import ids
from gql_epoint.ledger.business_transfer import BusinessTransfer, TransferStatus
from gql_epoint.ledger.checkout import (
    Checkout,
    CheckoutAttempt,
    CheckoutPurpose,
    ClientOperation,
    ClientToken,
    PaymentMethodType,
)
from gql_epoint.ledger.events import Event, EventKind, EventSource
from gql_epoint.ledger.invoice import Invoice, InvoiceStatus
from gql_epoint.ledger.transaction import (
    CallbackRecord,
    Disposition,
    Fact,
    Failure,
    GatewayReference,
    HoldRequest,
    HoldRequestKind,
    HoldRequestStatus,
    Refund,
    RefundStatus,
    SavedCard,
    SavedCardStatus,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.store.protocol import (
    AddressRecord,
    Backlog,
    IdempotencyRecord,
    Page,
    Reader,
    Store,
    TransactionFilter,
    Unit,
    Wakeup,
)

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)

_numbers = itertools.count(1)


def an_id(prefix: str) -> str:
    """Return an id that is greater than all before it."""
    number = next(_numbers)
    return ids.new_id(prefix, START + timedelta(milliseconds=number), number.to_bytes(ids.RANDOM_BYTES, "big"))


def a_transaction(**changes: Any) -> Transaction:
    """Return a transaction with only what it must have."""
    values: dict[str, Any] = {
        "id": an_id("tr"),
        "operation": TransactionOperation.PAY,
        "status": Status.NEW,
        "version": 1,
        "amount": Decimal("10.00"),
        "currency": "AZN",
        "created_at": START,
        "updated_at": START,
    }
    return Transaction(**(values | changes))


def a_hold_request(**changes: Any) -> HoldRequest:
    """Return a cancellation with only what it must have."""
    values: dict[str, Any] = {
        "number": 1,
        "kind": HoldRequestKind.CANCEL,
        "status": HoldRequestStatus.PROCESSING,
        "requested_at": START,
    }
    return HoldRequest(**(values | changes))


def a_refund(transaction_id: str, **changes: Any) -> Refund:
    """Return a refund with only what it must have."""
    values: dict[str, Any] = {
        "id": an_id("re"),
        "transaction_id": transaction_id,
        "amount": Decimal("1.00"),
        "currency": "AZN",
        "status": RefundStatus.PROCESSING,
        "created_at": START,
        "updated_at": START,
    }
    return Refund(**(values | changes))


def a_card(**changes: Any) -> SavedCard:
    """Return a saved card with only what it must have."""
    values: dict[str, Any] = {
        "id": an_id("card"),
        "status": SavedCardStatus.PENDING,
        "version": 1,
        "usable_for_payout": False,
        "created_at": START,
        "updated_at": START,
    }
    return SavedCard(**(values | changes))


def a_transfer(**changes: Any) -> BusinessTransfer:
    """Return a transfer to a business with only what it must have, of an order of its own."""
    transfer_id = an_id("bt")
    values: dict[str, Any] = {
        "id": transfer_id,
        "status": TransferStatus.PENDING,
        "version": 1,
        "order_id": transfer_id,
        "gateway_order_id": transfer_id,
        "amount": Decimal("10.00"),
        "currency": "AZN",
        "created_at": START,
        "updated_at": START,
    }
    return BusinessTransfer(**(values | changes))


def an_invoice(**changes: Any) -> Invoice:
    """Return an invoice with only what it must have, of an order of its own."""
    invoice_id = an_id("inv")
    values: dict[str, Any] = {
        "id": invoice_id,
        "status": InvoiceStatus.NEW,
        "version": 1,
        "order_id": invoice_id,
        "reference": invoice_id,
        "amount": Decimal("10.00"),
        "currency": "AZN",
        "period_from": "2026-01-01",
        "period_to": "2026-01-31",
        "created_at": START,
        "updated_at": START,
    }
    return Invoice(**(values | changes))


def a_callback(**changes: Any) -> CallbackRecord:
    """Return a callback with only what it must have."""
    values: dict[str, Any] = {
        "id": an_id("cb"),
        "received_at": START,
        "digest": f"digest-{next(_numbers)}",
        "body": "{}",
        "disposition": Disposition.UNMATCHED,
    }
    return CallbackRecord(**(values | changes))


def an_event(stream_id: str, sequence: int = 1, **changes: Any) -> Event:
    """Return an event with only what it must have."""
    values: dict[str, Any] = {
        "stream_id": stream_id,
        "sequence": sequence,
        "kind": EventKind.STATUS,
        "current": "NEW",
        "recorded_at": START,
        "source": EventSource.API,
    }
    return Event(**(values | changes))


def an_idempotency(**changes: Any) -> IdempotencyRecord:
    """Return a use of an idempotency key."""
    values: dict[str, Any] = {
        "owner": "i000000001",
        "mutation": "pay",
        "key": f"key-{next(_numbers)}",
        "input_hash": "hash",
        "object_id": "tr_1",
        "first_used_at": LATER,
    }
    return IdempotencyRecord(**(values | changes))


def a_checkout(**changes: Any) -> Checkout:
    """Return a checkout with only what it must have."""
    values: dict[str, Any] = {
        "id": an_id("co"),
        "purpose": CheckoutPurpose.SAVE_CARD,
        "version": 1,
        "order_id": "order-1",
        "methods": frozenset({PaymentMethodType.HOSTED_PAGE}),
        "created_at": START,
        "updated_at": START,
        "expires_at": LATER,
        "attempts_max": 5,
    }
    return Checkout(**(values | changes))


def a_token(checkout_id: str, **changes: Any) -> ClientToken:
    """Return a client token."""
    values: dict[str, Any] = {
        "digest": f"{next(_numbers):064x}",
        "checkout_id": checkout_id,
        "operations": frozenset({ClientOperation.READ, ClientOperation.CONFIRM}),
        "created_at": START,
        "expires_at": LATER,
    }
    return ClientToken(**(values | changes))


FAILURE = Failure(
    category=FailureCategory.INSUFFICIENT_FUNDS,
    message="Kartda kifayət qədər balans yoxdur",
    retryable=False,
    bank_code="116",
)
FULL_TRANSACTION = a_transaction(
    operation=TransactionOperation.SPLIT_PAY_WITH_SAVED_CARD,
    status=Status.FAILED,
    version=7,
    amount=Decimal("9999999.99"),
    updated_at=LATER,
    order_id="Sifariş № 1 — 'quoted' \N{GRINNING FACE}",
    gateway_order_id="order-2",
    holds_order=True,
    adopted=True,
    refunded_amount=Decimal("0.01"),
    refund_pending_amount=Decimal("0.02"),
    split_user="i000000002",
    split_amount=Decimal("5.50"),
    description="Təsvir",
    language="az",
    metadata='{"a":"\\u0000","b":[1.5,null]}',
    saved_card_id="card_1",
    redirect_url="https://epoint.az/pay/1",
    card_mask="411111******1111",
    card_holder_name="Ə. Əliyev",
    facts=frozenset(Fact),
    call_deadline=LATER,
    ask_at=LATER,
    asks=3,
    failure=FAILURE,
    gateway=GatewayReference(
        status="failed",
        transaction_id="te1",
        bank_transaction_id="b1",
        bank_response="Declined",
        operation_code="100",
        rrn="123",
        trace_id="t1",
        last_confirmed_at=LATER,
    ),
    checkout_id="co_1",
    token_payment_id="9998887",
    captured_amount=Decimal("9999999.98"),
    hold_request=HoldRequest(
        number=2,
        kind=HoldRequestKind.CAPTURE,
        status=HoldRequestStatus.FAILED,
        requested_at=LATER,
        amount=Decimal("9999999.97"),
        call_deadline=LATER,
        given_up=True,
        failure=FAILURE,
    ),
)
FULL_REFUND = a_refund(
    FULL_TRANSACTION.id,
    amount=Decimal("0.01"),
    status=RefundStatus.FAILED,
    updated_at=LATER,
    reason="Geri qaytarma",
    call_deadline=LATER,
    failure=FAILURE,
)
FULL_CARD = a_card(
    status=SavedCardStatus.ACTIVE,
    version=3,
    usable_for_payout=True,
    updated_at=LATER,
    card_id="ce1",
    adopted=True,
    mask="411111******1111",
    holder_name="Ə. Əliyev",
    redirect_url="https://epoint.az/card/1",
    transaction_id=FULL_TRANSACTION.id,
    call_deadline=LATER,
    ask_at=LATER,
    asks=2,
    checkout_id="co_1",
)
FULL_CALLBACK = a_callback(
    body='{"status":"success"}',
    disposition=Disposition.APPLIED,
    gateway_status="success",
    gateway_transaction_id="te1",
    gateway_card_id="ce1",
    order_id="order-2",
    transaction_id=FULL_TRANSACTION.id,
    saved_card_id=FULL_CARD.id,
)
FULL_EVENT = an_event(
    FULL_TRANSACTION.id,
    kind=EventKind.REFUND,
    previous="PROCESSING",
    current="SUCCESS",
    recorded_at=LATER,
    source=EventSource.OPERATOR,
    actor="ops",
    note="Bankdan soruşduq.",
    transaction_id=FULL_TRANSACTION.id,
    refund_id=FULL_REFUND.id,
    saved_card_id=FULL_CARD.id,
    callback_id=FULL_CALLBACK.id,
    hold_request=HoldRequestKind.CAPTURE,
    amount=Decimal("0.01"),
)
FULL_CHECKOUT = a_checkout(
    purpose=CheckoutPurpose.PAYMENT,
    version=3,
    order_id="Sifariş № 1",
    methods=frozenset(PaymentMethodType),
    attempts=2,
    amount=Decimal("9999999.99"),
    currency="AZN",
    description="Təsvir",
    save_card=True,
    split_user="i000000002",
    split_amount=Decimal("0.01"),
    saved_card_ids=("card_2", "card_1"),
    language="az",
    success_url="https://shop.example/paid",
    error_url="https://shop.example/failed",
    metadata='{"a":"\\u0000"}',
    canceled_at=LATER,
)
FULL_TRANSFER = a_transfer(
    status=TransferStatus.FAILED,
    version=4,
    order_id="B-1",
    gateway_order_id="B-1-2",
    amount=Decimal("40000.00"),
    updated_at=LATER,
    holds_order=False,
    iban="AZ21NABZ00000000137010001944",
    payee_name="Çay MMC",
    payee_tin="1234567891",
    bank_code="505141",
    bank_name="Bank",
    email="cay@example.az",
    address="Bakı",
    description="Təsvir",
    additional_info="Əlavə",
    disputed=True,
    failure=FAILURE,
    gateway_status="FAILED",
    gateway_bulk_id="12345678",
    gateway_trace_id="t1",
    last_confirmed_at=LATER,
    webhook_digest="digest",
    webhook_at=LATER,
    call_deadline=LATER,
    ask_at=LATER,
    asks=3,
)
FULL_INVOICE = an_invoice(
    status=InvoiceStatus.FAILED,
    version=3,
    order_id="Sifariş № 1",
    amount=Decimal("9999999.99"),
    updated_at=LATER,
    display=False,
    save_as_template=True,
    installment=True,
    name="Ə. Əliyev",
    description="Təsvir",
    phone="+994501234567",
    email="a@example.az",
    tin="1234567891",
    contract_number="17",
    pending_amount=Decimal("0.01"),
    disputed=True,
    failure=FAILURE,
    gateway_id="1001",
    gateway_status="paid",
    gateway_trace_id="t1",
    last_confirmed_at=LATER,
    call_deadline=LATER,
    ask_at=LATER,
    asks=3,
)
_MINIMAL_TRANSACTION = a_transaction()
_MINIMAL_CHECKOUT = a_checkout()

# How each kind of row is written, changed and read back.
Row = Any
INSERT: dict[type, Callable[[Unit, Row], Awaitable[None]]] = {
    Transaction: lambda unit, row: unit.insert_transaction(row),
    Refund: lambda unit, row: unit.insert_refund(row),
    SavedCard: lambda unit, row: unit.insert_saved_card(row),
    CallbackRecord: lambda unit, row: unit.insert_callback(row),
    Event: lambda unit, row: unit.insert_event(row),
    IdempotencyRecord: lambda unit, row: unit.insert_idempotency(row),
    Checkout: lambda unit, row: unit.insert_checkout(row),
    ClientToken: lambda unit, row: unit.insert_client_token(row),
    BusinessTransfer: lambda unit, row: unit.insert_business_transfer(row),
    Invoice: lambda unit, row: unit.insert_invoice(row),
}
SAVE: dict[type, Callable[[Unit, Row], Awaitable[None]]] = {
    Transaction: lambda unit, row: unit.save_transaction(row),
    Refund: lambda unit, row: unit.save_refund(row),
    SavedCard: lambda unit, row: unit.save_saved_card(row),
    CallbackRecord: lambda unit, row: unit.save_callback(row),
    Checkout: lambda unit, row: unit.save_checkout(row),
    BusinessTransfer: lambda unit, row: unit.save_business_transfer(row),
    Invoice: lambda unit, row: unit.save_invoice(row),
}
READ: dict[type, Callable[[Reader, Row], Awaitable[Row]]] = {
    Transaction: lambda reader, row: reader.transaction(row.id),
    Refund: lambda reader, row: reader.refund(row.id),
    SavedCard: lambda reader, row: reader.saved_card(row.id),
    CallbackRecord: lambda reader, row: reader.callback(row.id),
    Event: lambda reader, row: reader.event(row.stream_id, row.sequence),
    IdempotencyRecord: lambda reader, row: reader.idempotency(row.owner, row.mutation, row.key),
    Checkout: lambda reader, row: reader.checkout(row.id),
    ClientToken: lambda reader, row: reader.client_token(row.digest),
    BusinessTransfer: lambda reader, row: reader.business_transfer(row.id),
    Invoice: lambda reader, row: reader.invoice(row.id),
}


async def lags(reader: Reader) -> tuple[float, float]:
    """Return how late the oldest question is, and the oldest deadline, in seconds."""
    backlog = await reader.backlog()
    return backlog.ask_lag_s(reader.now), backlog.settle_lag_s(reader.now)


async def insert(store: Store, *rows: Row) -> None:
    """Write rows in one unit of work."""

    async def work(unit: Unit) -> None:
        for row in rows:
            await INSERT[type(row)](unit, row)

    await store.write(work)


async def read(store: Store, row: Row) -> Row:
    """Read the row of this name as it is committed."""
    return await store.read(lambda reader: READ[type(row)](reader, row))


async def feed_positions(store: Store) -> list[int | None]:
    """Read the positions of all events, in the order of the feed."""
    return [event.position for event in await store.read(lambda reader: reader.feed(0, 10_000))]


async def settled(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that a store does after a commit has happened."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


class StoreContract:
    async def test_backlog_counts_what_an_operator_should_know(self, store: Store) -> None:
        """Each kind by itself, and the oldest of what is due; an empty database has none of it."""
        nothing = await store.read(lambda reader: reader.backlog())
        early, late = START, START + timedelta(hours=1)
        lost = a_transaction(status=Status.INDETERMINATE, ask_at=late, call_deadline=late)
        disputed = a_transaction(status=Status.REQUIRES_REVIEW)
        refund = a_refund(lost.id, status=RefundStatus.INDETERMINATE, call_deadline=early)
        card = a_card(ask_at=early)
        transfer = a_transfer(status=TransferStatus.INDETERMINATE, ask_at=late, call_deadline=late)
        contradicted = a_transfer(order_id="T", status=TransferStatus.INDETERMINATE, disputed=True)
        unmade = an_invoice(order_id="I", status=InvoiceStatus.INDETERMINATE)
        otherwise_paid = [an_invoice(order_id=f"I-{n}", disputed=True) for n in range(3)]
        unmatched = a_callback(disposition=Disposition.UNMATCHED)
        await insert(store, lost, disputed, a_transaction(), refund, card, unmatched, transfer, contradicted)
        await insert(store, unmade, *otherwise_paid, an_invoice(order_id="I-9"), a_transfer(order_id="T-9"))

        counted = Backlog(
            indeterminate_transactions=1,
            indeterminate_refunds=1,
            transactions_in_review=1,
            unmatched_callbacks=1,
            oldest_ask_at=early,
            oldest_deadline=early,
            indeterminate_transfers=2,
            transfers_in_review=1,
            indeterminate_invoices=1,
            invoices_in_review=3,
        )
        assert await store.read(lambda reader: reader.backlog()) == counted
        assert nothing == Backlog(
            indeterminate_transactions=0,
            indeterminate_refunds=0,
            transactions_in_review=0,
            unmatched_callbacks=0,
            oldest_ask_at=None,
            oldest_deadline=None,
        )

    async def test_open_store_is_up_to_date_and_follows(self, store: Store) -> None:
        inside = await store.read(lambda reader: reader.migrations())

        assert inside.done == inside.known > 0
        assert await store.migrations() == inside
        assert store.is_following()

    """The promises of Store, Reader and Unit."""

    # Rows ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "rows",
        [
            (FULL_TRANSACTION,),
            (_MINIMAL_TRANSACTION,),
            (FULL_TRANSACTION, FULL_REFUND),
            (_MINIMAL_TRANSACTION, a_refund(_MINIMAL_TRANSACTION.id)),
            (FULL_CARD,),
            (a_card(),),
            (FULL_CALLBACK,),
            (a_callback(),),
            (FULL_EVENT,),
            (an_event("tr_1"),),
            (an_idempotency(),),
            (FULL_CHECKOUT,),
            (_MINIMAL_CHECKOUT,),
            (_MINIMAL_CHECKOUT, a_token(_MINIMAL_CHECKOUT.id)),
            (FULL_TRANSFER,),
            (a_transfer(),),
            (FULL_INVOICE,),
            (an_invoice(),),
        ],
        ids=lambda rows: type(rows[-1]).__name__,
    )
    async def test_row_comes_back_as_it_was(self, store: Store, rows: Sequence[Row]) -> None:
        """Every field, set or not, to the qəpik and the microsecond."""
        await insert(store, *rows)
        back = await read(store, rows[-1])
        if isinstance(back, Event):
            await settled(lambda: _is_numbered(store, back))
            back = msgspec.structs.replace(await read(store, back), position=None)

        assert back == rows[-1]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (msgspec.structs.replace(_MINIMAL_TRANSACTION, id=FULL_TRANSACTION.id), FULL_TRANSACTION),
            (FULL_TRANSACTION, msgspec.structs.replace(_MINIMAL_TRANSACTION, id=FULL_TRANSACTION.id)),
            (a_card(id=FULL_CARD.id), FULL_CARD),
            (FULL_CARD, a_card(id=FULL_CARD.id)),
            (a_callback(id=FULL_CALLBACK.id), FULL_CALLBACK),
            (a_checkout(id=FULL_CHECKOUT.id), FULL_CHECKOUT),
            (FULL_CHECKOUT, a_checkout(id=FULL_CHECKOUT.id)),
            (a_transfer(id=FULL_TRANSFER.id), FULL_TRANSFER),
            (FULL_TRANSFER, a_transfer(id=FULL_TRANSFER.id)),
            (an_invoice(id=FULL_INVOICE.id), FULL_INVOICE),
            (FULL_INVOICE, an_invoice(id=FULL_INVOICE.id)),
        ],
        ids=[
            "transaction",
            "transaction emptied",
            "card",
            "card emptied",
            "callback",
            "checkout",
            "checkout emptied",
            "transfer",
            "transfer emptied",
            "invoice",
            "invoice emptied",
        ],
    )
    async def test_saving_replaces_every_field(self, store: Store, before: Row, after: Row) -> None:
        """What is saved is what is read, nulls included."""
        await insert(store, before)
        await store.write(lambda unit: SAVE[type(after)](unit, after))

        assert await read(store, after) == after

    async def test_payment_changes_beside_its_attempt_in_one_unit(self, store: Store) -> None:
        """An attempt has the id of the payment that it made; neither is taken for the other."""
        made = a_transaction()
        after = msgspec.structs.replace(made, status=Status.FAILED, version=2)

        async def work(unit: Unit) -> None:
            await unit.insert_transaction(made)
            await unit.insert_attempt(CheckoutAttempt(id=made.id, address="somewhere", started_at=START))
            await unit.save_transaction(after)

        await store.write(work)
        assert await read(store, after) == after

    async def test_invoices_are_found_claimed_and_listed(self, store: Store) -> None:
        """The latest one of an order, EPoint's id exactly, newest first; what is claimed is nobody else's."""
        first = an_invoice(order_id="I", gateway_id="1001", ask_at=START)
        second = an_invoice(order_id="I", call_deadline=START)
        await insert(store, first, second)
        lease = timedelta(minutes=1)

        assert await store.read(lambda reader: reader.invoice_by_order("I")) == second
        assert await store.read(lambda reader: reader.invoice_by_gateway_id("1001")) == first
        assert list(await store.read(lambda reader: reader.invoices(Page(limit=2)))) == [second, first]
        before = Page(limit=1, before=first.id, backwards=True)
        assert list(await store.read(lambda reader: reader.invoices(before))) == [second]
        claims = [await store.write(lambda unit: unit.claim_invoices_to_ask(10, lease)) for _ in range(2)]
        assert [[row.id for row in claim] for claim in claims] == [[first.id], []]
        assert [row.id for row in await store.write(lambda unit: unit.overdue_invoices(10))] == [second.id]

    async def test_what_waits_for_a_person_is_listed_apart(self, store: Store) -> None:
        """Newest first and in pages, and without the others."""
        invoices = [an_invoice(disputed=number != 1) for number in range(4)]
        transfers = [a_transfer(order_id=f"R{number}", disputed=number != 1) for number in range(4)]
        await insert(store, *invoices, *transfers)

        for rows, read_page in (
            (invoices, lambda page: lambda reader: reader.invoices(page, in_review=True)),
            (transfers, lambda page: lambda reader: reader.business_transfers(page, in_review=True)),
        ):
            assert list(await store.read(read_page(Page(limit=9)))) == [rows[3], rows[2], rows[0]]
            assert list(await store.read(read_page(Page(limit=1, after=rows[3].id)))) == [rows[2]]
            backwards = Page(limit=2, before=rows[0].id, backwards=True)
            assert list(await store.read(read_page(backwards))) == [rows[3], rows[2]]

    async def test_transfers_are_found_by_each_of_their_names(self, store: Store) -> None:
        """By the order the one that holds it, whenever it was made; by EPoint's order id and webhook exactly."""
        done = a_transfer(order_id="B", gateway_order_id="B", webhook_digest="one")
        failed = a_transfer(order_id="B", gateway_order_id="B-2", holds_order=False)
        await insert(store, done, failed)

        assert await store.read(lambda reader: reader.business_transfer_by_order("B")) == done
        assert await store.read(lambda reader: reader.business_transfer_by_gateway_order("B-2")) == failed
        assert await store.read(lambda reader: reader.business_transfer_by_webhook("one")) == done
        newest = await store.read(lambda reader: reader.business_transfers(Page(limit=2)))
        assert list(newest) == [failed, done]
        before = Page(limit=1, before=done.id, backwards=True)
        assert list(await store.read(lambda reader: reader.business_transfers(before))) == [failed]

    async def test_one_order_has_one_transfer_that_holds_it(self, store: Store) -> None:
        """Whatever a use case believed: the index has the last word."""
        await insert(store, a_transfer(order_id="B"))
        for row in (a_transfer(order_id="B"), a_transfer(gateway_order_id="B", holds_order=False)):
            twin = msgspec.structs.replace(row, id=an_id("bt"), order_id="C")
            if not row.holds_order:
                await insert(store, row)
            with pytest.raises(Exception, match=r"(?i)unique"):
                await insert(store, row if row.holds_order else twin)

    async def test_due_transfers_are_claimed_once(self, store: Store) -> None:
        """What is claimed is nobody else's until the lease is over."""
        due = a_transfer(ask_at=START)
        later = a_transfer(ask_at=datetime.now(UTC) + timedelta(days=1))
        overdue = a_transfer(call_deadline=START)
        await insert(store, due, later, overdue)
        lease = timedelta(minutes=1)
        claims = [await store.write(lambda unit: unit.claim_business_transfers_to_ask(10, lease)) for _ in range(2)]

        assert [[row.id for row in claim] for claim in claims] == [[due.id], []]
        assert [row.id for row in await store.write(lambda unit: unit.overdue_business_transfers(10))] == [
            overdue.id
        ]

    async def test_refund_is_saved(self, store: Store) -> None:
        """A refund keeps its transaction and changes the rest."""
        await insert(store, FULL_TRANSACTION, a_refund(FULL_TRANSACTION.id, id=FULL_REFUND.id))
        await store.write(lambda unit: unit.save_refund(FULL_REFUND))

        assert await read(store, FULL_REFUND) == FULL_REFUND

    async def test_what_is_not_there_is_none(self, store: Store) -> None:
        """A missing row is an answer, not an error."""
        for row in (FULL_TRANSACTION, FULL_REFUND, FULL_CARD, FULL_CALLBACK, FULL_EVENT, an_idempotency()):
            assert await read(store, row) is None

        async def others(reader: Reader) -> list[Any]:
            return [
                await reader.transaction_by_gateway_id("te1"),
                await reader.transaction_by_gateway_order("A-1"),
                await reader.transaction_by_order("A-1"),
                await reader.order_holder("A-1", payout=False),
                await reader.saved_card_by_card_id("ce1"),
                await reader.registration_by_card_id("ce1"),
                await reader.business_transfer_by_order("A-1"),
                await reader.business_transfer_by_gateway_order("A-1"),
                await reader.business_transfer_by_webhook("digest"),
                await reader.invoice_by_order("A-1"),
                await reader.invoice_by_gateway_id("1001"),
            ]

        assert await store.read(others) == [None] * 11

    async def test_time_is_aware_and_passes(self, store: Store) -> None:
        """Every unit has the database's time, in UTC."""

        async def now(reader: Reader) -> datetime:
            return reader.now

        times = [await store.write(now), await store.read(now), await store.write(now)]

        assert all(time.utcoffset() == timedelta(0) for time in times)
        assert times[0] <= times[2]
        assert abs(datetime.now(UTC) - times[1]) < timedelta(minutes=1)

    # Units of work --------------------------------------------------------------------------------------------

    async def test_unit_returns_its_result_after_the_commit(self, store: Store) -> None:
        """What was written is there for everybody when `write` returns."""
        row = a_transaction()

        async def work(unit: Unit) -> str:
            await unit.insert_transaction(row)
            found = await unit.transaction(row.id)
            assert found == row
            return "done"

        assert await store.write(work) == "done"
        assert await read(store, row) == row

    @pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), StoreUnavailableError("mine")])
    async def test_unit_that_raises_keeps_nothing(self, store: Store, error: BaseException) -> None:
        """Rows, events and wake-ups go together; the exception reaches the caller."""
        heard: list[Wakeup] = []
        store.on_commit(heard.extend)
        row = a_transaction()

        async def work(unit: Unit) -> None:
            await unit.insert_transaction(row)
            await unit.insert_event(an_event(row.id))
            raise error

        with pytest.raises(type(error)):
            await store.write(work)
        assert await read(store, row) is None
        assert await feed_positions(store) == []
        await insert(store, row)
        assert heard == []

    async def test_neighbours_of_a_failing_unit_survive(self, store: Store) -> None:
        """Many units at once, a third of them failing after they wrote: each is kept or lost as a whole."""
        rows = [a_transaction() for _ in range(90)]

        async def write(number: int, row: Transaction) -> None:
            async def work(unit: Unit) -> None:
                await unit.insert_transaction(row)
                await unit.insert_event(an_event(row.id))
                if number % 3 == 0:
                    raise LookupError(row.id)

            await store.write(work)

        results = await asyncio.gather(*itertools.starmap(write, enumerate(rows)), return_exceptions=True)
        kept = [await read(store, row) is not None for row in rows]

        assert [isinstance(result, LookupError) for result in results] == [n % 3 == 0 for n in range(90)]
        assert kept == [number % 3 != 0 for number in range(90)]
        await settled(lambda: _has_events(store, 60))
        assert await feed_positions(store) == list(range(1, 61))

    async def test_concurrent_changes_of_one_row_are_not_lost(self, store: Store) -> None:
        """Fifty units read a sum and write it back: each sees what the one before it wrote."""
        row = a_transaction(amount=Decimal("100.00"))
        await insert(store, row)

        async def work(unit: Unit) -> None:
            found = await unit.transaction(row.id)
            assert found is not None
            more = msgspec.structs.replace(
                found, refund_pending_amount=found.refund_pending_amount + Decimal("0.37")
            )
            await unit.save_transaction(more)

        await asyncio.gather(*(store.write(work) for _ in range(50)))

        assert (await read(store, row)).refund_pending_amount == Decimal("18.50")

    # Constraints ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"order_id": "A-1", "holds_order": True}, {"order_id": "A-1", "holds_order": True}),
            (
                {"order_id": "A-1", "holds_order": True, "operation": TransactionOperation.PAYOUT},
                {"order_id": "A-1", "holds_order": True, "operation": TransactionOperation.PAYOUT},
            ),
            (
                {"gateway": GatewayReference(transaction_id="te1")},
                {"gateway": GatewayReference(transaction_id="te1")},
            ),
            ({"gateway_order_id": "A-1"}, {"gateway_order_id": "A-1"}),
            (
                {"order_id": "A-1", "holds_order": True, "checkout_id": "co_1"},
                {"order_id": "A-2", "holds_order": True, "checkout_id": "co_1"},
            ),
        ],
        ids=[
            "payment of an order",
            "payout of an order",
            "EPoint's transaction",
            "EPoint's order",
            "attempt of a checkout",
        ],
    )
    async def test_second_of_its_kind_is_refused(
        self, store: Store, one: dict[str, Any], other: dict[str, Any]
    ) -> None:
        """The database itself makes a second holder impossible, at birth and at a change."""
        first, second, third = a_transaction(**one), a_transaction(**other), a_transaction()
        await insert(store, first, third)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            await insert(store, second)
        changed = msgspec.structs.replace(second, id=third.id)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            await store.write(lambda unit: unit.save_transaction(changed))

        assert await read(store, second) is None
        assert await read(store, third) == third

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"order_id": "A-1", "holds_order": True}, {"order_id": "A-1"}),
            ({"order_id": "A-1"}, {"order_id": "A-1"}),
            (
                {"order_id": "A-1", "holds_order": True},
                {"order_id": "A-1", "holds_order": True, "operation": TransactionOperation.PAYOUT},
            ),
            ({"order_id": "A-1", "holds_order": True}, {"order_id": "a-1", "holds_order": True}),
            ({"gateway_order_id": "A-1"}, {"gateway_order_id": "A-1", "adopted": True}),
            ({"gateway_order_id": "A-1", "adopted": True}, {"gateway_order_id": "A-1", "adopted": True}),
            ({}, {}),
        ],
        ids=["not holding", "none holds", "payout beside", "other case", "adopted", "both adopted", "no names"],
    )
    async def test_what_is_not_the_same_may_stand_together(
        self, store: Store, one: dict[str, Any], other: dict[str, Any]
    ) -> None:
        """The constraints refuse nothing that can happen."""
        first, second = a_transaction(**one), a_transaction(**other)
        await insert(store, first, second)

        assert (await read(store, first), await read(store, second)) == (first, second)

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": Decimal(0)},
            {"amount": Decimal("-1.00")},
            {"refunded_amount": Decimal("10.01")},
            {"refunded_amount": Decimal("5.00"), "refund_pending_amount": Decimal("5.01")},
            {"refund_pending_amount": Decimal("-0.01")},
            {"captured_amount": Decimal("10.01")},
            {"captured_amount": Decimal(0)},
            {"captured_amount": Decimal("6.00"), "refunded_amount": Decimal("6.01")},
            {"hold_request": a_hold_request(amount=Decimal("10.01"))},
        ],
        ids=lambda changes: " ".join(changes),
    )
    async def test_impossible_sums_cannot_be_written(self, store: Store, changes: dict[str, Any]) -> None:
        """Never is more refunded than was paid, whatever bug asks for it."""
        row = a_transaction(**changes)
        with pytest.raises(Exception, match=r"(?i)check"):
            await insert(store, row)

        assert await read(store, row) is None

    async def test_refund_needs_its_transaction(self, store: Store) -> None:
        """A refund of nothing is refused."""
        with pytest.raises(Exception, match=r"(?i)foreign"):
            await insert(store, a_refund("tr_nonsense"))

    async def test_number_of_an_event_and_a_key_are_used_once(self, store: Store) -> None:
        """The same place in a stream, or the same key of the same owner and mutation, exists once."""
        event, record = an_event("tr_1"), an_idempotency()
        await insert(store, event, record)
        for again in (event, msgspec.structs.replace(record, object_id="tr_2")):
            with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
                await insert(store, again)
        for name in ("owner", "mutation", "key"):
            await insert(store, msgspec.structs.replace(record, **{name: "another"}))

        assert await read(store, record) == record

    # Finding one ----------------------------------------------------------------------------------------------

    async def test_transaction_is_found_by_its_other_names(self, store: Store) -> None:
        """By EPoint's id, and by the order id EPoint was given, unless it was adopted."""
        ours = a_transaction(gateway_order_id="A-1", gateway=GatewayReference(transaction_id="te1"))
        adopted = a_transaction(
            gateway_order_id="A-2", adopted=True, gateway=GatewayReference(transaction_id="te2")
        )
        await insert(store, ours, adopted)

        assert await store.read(lambda reader: reader.transaction_by_gateway_id("te1")) == ours
        assert await store.read(lambda reader: reader.transaction_by_gateway_id("te2")) == adopted
        assert await store.read(lambda reader: reader.transaction_by_gateway_order("A-1")) == ours
        assert await store.read(lambda reader: reader.transaction_by_gateway_order("A-2")) is None

    @pytest.mark.parametrize(
        ("attempts", "expected"),
        [
            (["PAY FAILED", "PAY SUCCESS", "PAY FAILED"], 1),
            (["PAY FAILED", "PAY RETURNED", "PAY REQUIRES_ACTION"], 1),
            (["PAY FAILED", "PAY REQUIRES_ACTION"], 1),
            (["PAY FAILED", "PAYOUT SUCCESS"], 0),
            (["PAYOUT FAILED", "PAYOUT SUCCESS", "PAYOUT FAILED"], 1),
            (["UNKNOWN SUCCESS", "PAY FAILED"], 0),
        ],
        ids=str,
    )
    async def test_order_means_its_paid_payment_else_its_latest(
        self, store: Store, attempts: Sequence[str], expected: int
    ) -> None:
        """`by: {orderId}`: the paid attempt, else the latest; a payout only if there is no payment."""
        rows = []
        for attempt in attempts:
            operation, status = attempt.split()
            rows.append(
                a_transaction(order_id="A-1", operation=TransactionOperation(operation), status=Status(status))
            )
        await insert(store, *rows, a_transaction(order_id="A-2", status=Status.SUCCESS))

        assert await store.read(lambda reader: reader.transaction_by_order("A-1")) == rows[expected]

    async def test_holder_of_an_order_is_found_by_kind(self, store: Store) -> None:
        """A payment and a payout of one order do not get in each other's way."""
        payment = a_transaction(order_id="A-1", holds_order=True)
        payout = a_transaction(order_id="A-1", holds_order=True, operation=TransactionOperation.PAYOUT)
        await insert(store, a_transaction(order_id="A-1"), payment, payout)

        assert await store.read(lambda reader: reader.order_holder("A-1", payout=False)) == payment
        assert await store.read(lambda reader: reader.order_holder("A-1", payout=True)) == payout

    @pytest.mark.parametrize(
        ("attempts", "expected"),
        [
            (["FAILED", "SUCCESS", "FAILED"], 1),
            (["RETURNED", "FAILED"], 0),
            (["FAILED", "REQUIRES_ACTION held", "FAILED"], 1),
            (["FAILED", "FAILED"], 1),
            (["REQUIRES_REVIEW", "SUCCESS held"], 1),
        ],
        ids=str,
    )
    async def test_attempt_of_a_checkout_is_the_one_that_counts(
        self, store: Store, attempts: Sequence[str], expected: int
    ) -> None:
        """The paid one, else the live one, else the latest; those of other checkouts do not count."""
        rows = []
        for number, attempt in enumerate(attempts):
            status, _, held = attempt.partition(" ")
            rows.append(
                a_transaction(
                    order_id=f"A-{number}", checkout_id="co_1", status=Status(status), holds_order=bool(held)
                )
            )
        await insert(store, *rows, a_transaction(checkout_id="co_2", status=Status.SUCCESS))

        assert await store.read(lambda reader: reader.checkout_transaction("co_1")) == rows[expected]
        assert await store.write(lambda unit: unit.checkout_transaction("co_1")) == rows[expected]
        assert await store.read(lambda reader: reader.checkout_transaction("co_3")) is None

    @pytest.mark.parametrize(
        ("states", "expected"), [(["ACTIVE", "PENDING"], 0), (["REJECTED", "PENDING"], 1)], ids=str
    )
    async def test_card_of_a_checkout_is_the_saved_one(
        self, store: Store, states: Sequence[str], expected: int
    ) -> None:
        """The card that was saved, else the latest registration."""
        rows = [a_card(checkout_id="co_1", status=SavedCardStatus(status)) for status in states]
        await insert(store, *rows, a_card(checkout_id="co_2", status=SavedCardStatus.ACTIVE))

        assert await store.read(lambda reader: reader.checkout_card("co_1")) == rows[expected]

    async def test_token_needs_its_checkout_and_is_unique(self, store: Store) -> None:
        """A token opens one thing, and two tokens cannot be the same."""
        checkout = a_checkout()
        token = a_token(checkout.id)
        with pytest.raises(Exception, match=r"(?i)foreign"):
            await insert(store, token)
        await insert(store, checkout, token)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            await insert(store, token)

    async def test_change_of_a_checkout_wakes_its_watchers(self, store: Store) -> None:
        """A cancellation has no event, and is heard of all the same."""
        heard: list[Wakeup] = []
        store.on_commit(heard.extend)
        checkout = a_checkout()
        await insert(store, checkout)
        await store.write(lambda unit: unit.save_checkout(msgspec.structs.replace(checkout, version=2)))

        assert heard == [Wakeup(checkout.id, 2)]

    async def test_card_of_a_name_is_the_usable_one_and_a_registration_the_waiting_one(self, store: Store) -> None:
        """EPoint may give one name to several registrations."""
        rows = [
            a_card(card_id="ce1", status=SavedCardStatus[status])
            for status in ("PENDING", "ACTIVE", "PENDING", "REJECTED")
        ]
        late = [a_card(card_id="ce2", status=SavedCardStatus.REJECTED) for _ in range(2)]
        await insert(store, *rows, *late)

        assert await store.read(lambda reader: reader.saved_card_by_card_id("ce1")) == rows[1]
        assert await store.read(lambda reader: reader.registration_by_card_id("ce1")) == rows[2]
        assert await store.read(lambda reader: reader.saved_card_by_card_id("ce2")) == late[1]
        assert await store.read(lambda reader: reader.registration_by_card_id("ce2")) == late[1]

    async def test_callback_is_seen_once_it_has_reached_something(self, store: Store) -> None:
        """One that matched nothing may still be delivered again and count."""
        unmatched, matched = a_callback(digest="d1"), a_callback(digest="d2", disposition=Disposition.STALE)
        await insert(store, unmatched, matched)
        seen = [await store.read(lambda reader, d=d: reader.callback_seen(d)) for d in ("d1", "d2", "d3")]
        await store.write(
            lambda unit: unit.save_callback(msgspec.structs.replace(unmatched, disposition=Disposition.APPLIED))
        )

        assert seen == [False, True, False]
        assert await store.read(lambda reader: reader.callback_seen("d1")) is True

    async def test_unmatched_callbacks_are_found_oldest_first(self, store: Store) -> None:
        """By EPoint's transaction or card, while they are unmatched."""
        rows = [a_callback(gateway_transaction_id="te1") for _ in range(3)]
        card = a_callback(gateway_card_id="ce1")
        done = a_callback(gateway_transaction_id="te1", disposition=Disposition.APPLIED)
        await insert(store, *reversed(rows), card, done, a_callback(), a_callback(gateway_transaction_id="te2"))

        assert await store.read(lambda r: r.unmatched_callbacks(gateway_transaction_id="te1")) == rows
        assert await store.read(lambda r: r.unmatched_callbacks(card_id="ce1")) == [card]

    # Lists ------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", [1, 3, 10])
    async def test_transactions_are_paged_both_ways(self, store: Store, size: int) -> None:
        """Newest first; pages forwards and backwards meet every row once, in one order."""
        rows = [a_transaction() for _ in range(7)]
        await insert(store, *rows)

        async def page(page: Page) -> Sequence[Transaction]:
            return await store.read(lambda r: r.transactions(page, TransactionFilter(), by_update=False))

        await _check_pages(page, rows[::-1], size, lambda row: row.id)

    @pytest.mark.parametrize("size", [1, 3, 10])
    async def test_transactions_by_update_are_paged_both_ways(self, store: Store, size: int) -> None:
        """Least recently changed first; the id decides between equal times."""
        minutes = (5, 1, 3, 3, 3, 2, 4)
        rows = [a_transaction(updated_at=LATER + timedelta(minutes=minute)) for minute in minutes]
        await insert(store, *rows)

        async def page(page: Page) -> Sequence[Transaction]:
            return await store.read(lambda r: r.transactions(page, TransactionFilter(), by_update=True))

        expected = sorted(rows, key=lambda row: (row.updated_at, row.id))
        await _check_pages(page, expected, size, update_key)

    @pytest.mark.parametrize(
        ("only", "expected"),
        [
            ({}, "abcde"),
            ({"status_in": (Status.SUCCESS,)}, "ae"),
            ({"status_in": (Status.SUCCESS, Status.FAILED)}, "abe"),
            ({"status_in": ()}, ""),
            ({"operation_in": (TransactionOperation.PAYOUT,)}, "de"),
            ({"order_id": "A-1"}, "abd"),
            ({"order_id": "A-1", "status_in": (Status.SUCCESS,)}, "a"),
            ({"order_id": "a-1"}, ""),
            ({"created_from": START + timedelta(hours=1)}, "bcde"),
            ({"created_before": START + timedelta(hours=1)}, "a"),
            ({"created_from": START + timedelta(hours=1), "created_before": START + timedelta(hours=3)}, "bc"),
            ({"created_from": datetime(1970, 1, 1, tzinfo=UTC)}, "abcde"),
            ({"created_before": datetime(1970, 1, 1, tzinfo=UTC)}, ""),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("by_update", [True, False])
    @pytest.mark.parametrize("backwards", [True, False])
    async def test_transactions_are_filtered(
        self, store: Store, only: dict[str, Any], expected: str, by_update: bool, backwards: bool
    ) -> None:
        """Everything given must hold, in either order of the list and from either end."""
        pay, payout = TransactionOperation.PAY, TransactionOperation.PAYOUT
        rows = {
            name: a_transaction(
                status=status,
                operation=operation,
                order_id=order_id,
                created_at=START + timedelta(hours=hour),
                updated_at=START + timedelta(hours=hour),
            )
            for hour, (name, status, operation, order_id) in enumerate(
                [
                    ("a", Status.SUCCESS, pay, "A-1"),
                    ("b", Status.FAILED, pay, "A-1"),
                    ("c", Status.NEW, pay, "A-2"),
                    ("d", Status.NEW, payout, "A-1"),
                    ("e", Status.SUCCESS, payout, None),
                ]
            )
        }
        await insert(store, *rows.values())
        page = Page(limit=10, backwards=backwards)
        found = await store.read(lambda r: r.transactions(page, TransactionFilter(**only), by_update=by_update))
        names = [name for row in found for name, value in rows.items() if value == row]

        assert "".join(names) == (expected if by_update else expected[::-1])

    @pytest.mark.parametrize("size", [1, 3, 10])
    async def test_cards_are_paged_both_ways(self, store: Store, size: int) -> None:
        """Newest first."""
        rows = [a_card() for _ in range(5)]
        await insert(store, *rows)

        async def page(page: Page) -> Sequence[SavedCard]:
            return await store.read(lambda r: r.saved_cards(page))

        await _check_pages(page, rows[::-1], size, lambda row: row.id)

    async def test_refunds_of_a_transaction_are_paged(self, store: Store) -> None:
        """Oldest first, and no other transaction's."""
        one, other = a_transaction(), a_transaction()
        refunds = [a_refund(one.id) for _ in range(5)]
        await insert(store, one, other, *refunds, a_refund(other.id))
        first = await store.read(lambda r: r.refunds(one.id, Page(limit=3)))
        rest = await store.read(lambda r: r.refunds(one.id, Page(limit=3, after=first[-1].id)))

        assert [*first, *rest] == refunds

    async def test_unsettled_refunds_are_those_without_an_end(self, store: Store) -> None:
        """PROCESSING and INDETERMINATE reserve money; the others do not."""
        one = a_transaction()
        refunds = [a_refund(one.id, status=status) for status in RefundStatus]
        await insert(store, one, *refunds)

        assert await store.read(lambda r: r.unsettled_refunds(one.id)) == [refunds[0], refunds[3]]

    @pytest.mark.parametrize(
        ("dispositions", "expected"),
        [(None, [4, 3, 2, 1, 0]), ([Disposition.STALE], [2]), ([], []), (list(Disposition)[:2], [1, 0])],
        ids=str,
    )
    async def test_callbacks_are_listed_newest_first(
        self, store: Store, dispositions: Sequence[Disposition] | None, expected: Sequence[int]
    ) -> None:
        """All, or those of which a certain thing became."""
        rows = [a_callback(disposition=disposition) for disposition in Disposition]
        await insert(store, *rows)
        first = await store.read(lambda r: r.callbacks(Page(limit=2), dispositions))
        after = first[-1].id if first else None
        rest = await store.read(lambda r: r.callbacks(Page(limit=9, after=after), dispositions)) if first else []

        assert [*first, *rest] == [rows[number] for number in expected]

    async def test_events_of_a_stream_are_paged_by_number(self, store: Store) -> None:
        """1, 2, 3, and no other stream's."""
        await insert(store, *(an_event("tr_1", n) for n in range(1, 6)), an_event("tr_2"))
        first = await store.read(lambda r: r.stream_events("tr_1", Page(limit=3)))
        rest = await store.read(lambda r: r.stream_events("tr_1", Page(limit=3, after="3")))

        assert [event.sequence for event in (*first, *rest)] == [1, 2, 3, 4, 5]

    # The feed and the wake-ups ------------------------------------------------------------------------------------

    async def test_feed_has_every_event_once_in_commit_order(self, store: Store) -> None:
        """While many write at once, a reader that goes on from its last position misses and repeats nothing."""
        total = 60
        seen: list[Event] = []

        async def follow() -> None:
            while len(seen) < total:
                after = seen[-1].position if seen else 0
                assert after is not None
                seen.extend(await store.read(lambda r, after=after: r.feed(after, 7)))
                await asyncio.sleep(0)

        async def one(number: int) -> None:
            await insert(store, an_event(f"tr_{number}"), an_event(f"tr_{number}", 2))

        async with asyncio.timeout(30):
            await asyncio.gather(follow(), *(one(number) for number in range(total // 2)))

        assert [event.position for event in seen] == list(range(1, total + 1))
        assert len({event.id for event in seen}) == total
        places = {event.id: event.position or 0 for event in seen}
        assert all(places[f"ev_tr_{n}_1"] < places[f"ev_tr_{n}_2"] for n in range(total // 2))

    async def test_commit_wakes_with_the_newest_version(self, store: Store) -> None:
        """Every committed event is told, after its commit: whoever is woken can read it."""
        heard: list[Wakeup] = []
        store.on_commit(heard.extend)
        await insert(store, an_event("tr_1"), an_event("tr_1", 2), an_event("tr_2"))
        await insert(store, a_transaction())

        async def told() -> bool:
            return {wakeup.stream_id for wakeup in heard} == {"tr_1", "tr_2"}

        await settled(told)
        assert max(wakeup.version for wakeup in heard if wakeup.stream_id == "tr_1") == 2

    # Work that is due ---------------------------------------------------------------------------------------------

    async def test_due_questions_are_handed_out_once_until_the_lease_ends(self, store: Store) -> None:
        """However many sweep at once, nobody gets what somebody has; a lease that ends gives it back."""
        due = [a_transaction(ask_at=START + timedelta(seconds=n)) for n in range(10)]
        await insert(store, *due, a_transaction(), a_transaction(ask_at=datetime.now(UTC) + timedelta(hours=1)))
        lease = timedelta(seconds=0.5)
        claims = await asyncio.gather(
            *(store.write(lambda unit: unit.claim_transactions_to_ask(3, lease)) for _ in range(6))
        )
        taken = [row.id for claim in claims for row in claim]
        again = await store.write(lambda unit: unit.claim_transactions_to_ask(10, lease))
        await asyncio.sleep(0.6)
        late = await store.write(lambda unit: unit.claim_transactions_to_ask(20, timedelta(minutes=1)))

        assert sorted(taken) == sorted(row.id for row in due)
        assert all(len(claim) <= 3 for claim in claims)
        assert again == []
        assert sorted(row.id for row in late) == sorted(row.id for row in due)
        assert all(row.ask_at is not None and row.ask_at > datetime.now(UTC) for row in late)

    async def test_due_cards_are_handed_out_once(self, store: Store) -> None:
        """The same for questions about cards."""
        due = [a_card(ask_at=START) for _ in range(5)]
        await insert(store, *due, a_card())
        lease = timedelta(minutes=1)
        claims = await asyncio.gather(
            *(store.write(lambda unit: unit.claim_cards_to_ask(2, lease)) for _ in range(4))
        )

        assert sorted(row.id for claim in claims for row in claim) == sorted(row.id for row in due)

    async def test_claim_of_a_unit_that_fails_is_given_back(self, store: Store) -> None:
        """A lease is part of its unit."""
        row = a_transaction(ask_at=START)
        await insert(store, row)

        async def work(unit: Unit) -> None:
            assert len(await unit.claim_transactions_to_ask(1, timedelta(hours=1))) == 1
            raise LookupError

        with pytest.raises(LookupError):
            await store.write(work)
        assert await read(store, row) == row

    async def test_longest_due_comes_first(self, store: Store) -> None:
        """A limit does not starve what has waited longest."""
        rows = [a_transaction(ask_at=START - timedelta(minutes=n)) for n in range(4)]
        await insert(store, *rows)
        (first,) = await store.write(lambda unit: unit.claim_transactions_to_ask(1, timedelta(hours=1)))

        assert first.id == rows[3].id

    async def test_unanswered_calls_are_found_after_their_deadline(self, store: Store) -> None:
        """Of each kind, those whose time is over, the oldest first, at most as many as asked for."""
        future = datetime.now(UTC) + timedelta(hours=1)
        deadlines = [START + timedelta(minutes=1), START, future, None]
        transactions = [a_transaction(call_deadline=deadline) for deadline in deadlines]
        refunds = [a_refund(transactions[0].id, call_deadline=deadline) for deadline in deadlines]
        cards = [a_card(call_deadline=deadline) for deadline in deadlines]
        holds = [a_transaction(hold_request=a_hold_request(call_deadline=deadline)) for deadline in deadlines]
        await insert(store, *transactions, *refunds, *cards, *holds)

        async def work(unit: Unit) -> list[Sequence[Any]]:
            return [
                await unit.overdue_transactions(9),
                await unit.overdue_refunds(9),
                await unit.overdue_cards(9),
                await unit.overdue_transactions(1),
                await unit.overdue_holds(9),
                await unit.overdue_holds(1),
            ]

        assert await store.write(work) == [
            [transactions[1], transactions[0]],
            [refunds[1], refunds[0]],
            [cards[1], cards[0]],
            [transactions[1]],
            [holds[1], holds[0]],
            [holds[1]],
        ]

    @pytest.mark.parametrize(
        "make",
        [
            lambda due: [a_transaction(ask_at=due)],
            lambda due: [a_transaction(call_deadline=due)],
            lambda due: [a_transaction(hold_request=a_hold_request(call_deadline=due))],
            lambda due: [owner := a_transaction(), a_refund(owner.id, call_deadline=due)],
            lambda due: [a_card(ask_at=due)],
            lambda due: [a_card(call_deadline=due)],
            lambda due: [a_transfer(ask_at=due)],
            lambda due: [a_transfer(call_deadline=due)],
            lambda due: [an_invoice(ask_at=due)],
            lambda due: [an_invoice(call_deadline=due)],
        ],
    )
    async def test_lag_is_how_long_the_oldest_work_has_waited(
        self, store: Store, make: Callable[[datetime], list[Any]]
    ) -> None:
        """Questions and deadlines of every kind count; what is not due yet does not."""
        future = datetime.now(UTC) + timedelta(hours=1)
        await insert(store, *make(future), a_transaction())
        idle = await store.read(lags)
        await insert(store, *make(datetime.now(UTC) - timedelta(minutes=5)), a_card(ask_at=datetime.now(UTC)))
        late = await store.read(lags)

        assert idle == (0.0, 0.0)
        assert 299.0 < max(late) < 330.0
        assert min(late) < 30.0

    # Attempts by address, and what is deleted ---------------------------------------------------------------------

    async def test_attempts_and_declines_are_counted_by_address_and_time(self, store: Store) -> None:
        """What began at the edge of the time, or elsewhere, does not count; declining nothing is no mistake."""
        minutes = [START + timedelta(minutes=number) for number in range(4)]

        async def work(unit: Unit) -> tuple[AddressRecord, AddressRecord]:
            for number, minute in enumerate(minutes):
                await unit.lock_address("here")
                await unit.insert_attempt(CheckoutAttempt(id=f"tr_{number}", address="here", started_at=minute))
            await unit.insert_attempt(
                CheckoutAttempt(id="tr_there", address="there", started_at=START, declined=True)
            )
            for attempt in ("tr_0", "tr_2", "tr_3", "tr_3", "tr_unknown"):
                await unit.mark_declined(attempt)
            return await unit.address_record("here", START), await unit.address_record("nowhere", START)

        here, nowhere = await store.write(work)
        assert here == AddressRecord(
            attempts=3, declines=2, first_attempt_at=minutes[1], first_decline_at=minutes[2]
        )
        assert nowhere == AddressRecord(attempts=0, declines=0, first_attempt_at=None, first_decline_at=None)

    async def test_what_is_over_is_deleted_in_batches(self, store: Store) -> None:
        """The oldest first, and nothing that still counts."""
        checkout = a_checkout()
        now = datetime.now(UTC)
        tokens = [
            ClientToken(
                digest=f"digest-{checkout.id}-{number}",
                checkout_id=checkout.id,
                operations=frozenset(),
                created_at=START,
                expires_at=now + timedelta(hours=hours),
            )
            for number, hours in enumerate((-3, -2, -1, 1))
        ]
        await insert(store, checkout, *tokens)

        async def work(unit: Unit) -> list[int]:
            for number in range(4):
                started_at = START + timedelta(minutes=number)
                await unit.insert_attempt(CheckoutAttempt(id=f"card_{number}", address="x", started_at=started_at))
            before = START + timedelta(minutes=2)
            return [
                await unit.delete_expired_tokens(2),
                await unit.delete_expired_tokens(2),
                await unit.delete_expired_tokens(2),
                await unit.delete_attempts(before, 2),
                await unit.delete_attempts(before, 2),
                (await unit.address_record("x", START - timedelta(days=1))).attempts,
            ]

        assert await store.write(work) == [2, 1, 0, 2, 1, 1]
        assert [await read(store, token) for token in tokens] == [None, None, None, tokens[-1]]

    # The end ------------------------------------------------------------------------------------------------------

    async def test_closed_store_refuses_at_once(self, store: Store) -> None:
        """Nobody waits for an answer that cannot come; closing twice is closing."""
        await store.close()
        await store.close()
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailableError):
                await insert(store, a_transaction())
            with pytest.raises(StoreUnavailableError):
                await read(store, FULL_TRANSACTION)

    async def test_closing_finishes_what_was_accepted_and_answers_everybody(self, store: Store) -> None:
        """Work that arrives before, while and after a store closes is either kept and answered, or refused."""
        rows = [a_transaction() for _ in range(60)]

        async def write(number: int) -> bool:
            await asyncio.sleep(number / 5000)
            try:
                await insert(store, rows[number])
            except StoreUnavailableError:
                return False
            return True

        writing = [asyncio.ensure_future(write(number)) for number in range(60)]
        await asyncio.sleep(0.004)
        async with asyncio.timeout(10):
            await store.close()
            answers = await asyncio.gather(*writing)

        assert answers[0] is True
        assert answers[-1] is False
        await store.open()
        assert [await read(store, row) is not None for row in rows] == answers


def update_key(row: Transaction) -> str:
    """Return the page key of a list by time of change."""
    return f"{(row.updated_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)}:{row.id}"


async def _check_pages(
    page: Callable[[Page], Awaitable[Sequence[Row]]], rows: Sequence[Row], size: int, key: Callable[[Row], str]
) -> None:
    """Walk a list in pages, from both ends, and between two of its rows."""
    for backwards in (False, True):
        found: list[Row] = []
        while True:
            edge = None if not found else key(found[0 if backwards else -1])
            ends = {"before": edge} if backwards else {"after": edge}
            part = await page(Page(limit=size, backwards=backwards, **ends))
            if not part:
                break
            found = [*part, *found] if backwards else [*found, *part]
        assert found == list(rows)
        between = Page(limit=99, backwards=backwards, after=key(rows[0]), before=key(rows[-1]))
        assert await page(between) == list(rows[1:-1])


async def _is_numbered(store: Store, event: Event) -> bool:
    found = await read(store, event)
    return found.position is not None


async def _has_events(store: Store, count: int) -> bool:
    return len(await feed_positions(store)) == count
