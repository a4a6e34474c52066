"""Faults one by one, on one cashier: what EPoint, the disk and the clock do to it, and what it makes of that."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.commands import CardBy, TransactionBy
from gql_epoint.cashier.desk import Books, Defaults
from gql_epoint.cashier.patience import Patience
from gql_epoint.epoint.wire import Operation, ReplyT, RequestT
from gql_epoint.errors import ErrorCode, InProgressError, StoreUnavailableError
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.events import Event, EventKind, EventSource
from gql_epoint.ledger.transaction import Disposition, RefundStatus, Status, TransactionOperation
from gql_epoint.live import Live
from gql_epoint.simulator.server import running
from gql_epoint.simulator.settings import SimulatorSettings
from gql_epoint.store.protocol import Unit
from gql_epoint.store.sqlite import SqliteStore
from tests.audit import check_against_gateway, check_invariants, read_ledger
from tests.cashier_kit import MERCHANT, Clock, Shop, a_call, open_shop, payment, success_of

CHARGE = TransactionOperation.PAY_WITH_SAVED_CARD


# What EPoint answers --------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
ANSWERS = {
    "10 MB": HEAD + b"Content-Length: 10000000\r\n\r\n" + b" " * 10_000_000,
    "10 MB of one string": HEAD + b'Content-Length: 10000002\r\n\r\n"' + b"x" * 10_000_000 + b'"',
    "half a JSON": HEAD + b'Content-Length: 19\r\n\r\n{"status":"success"',
    "half an answer": HEAD + b'Content-Length: 100\r\n\r\n{"status":"success"}',
    "HTML": HEAD.replace(b"application/json", b"text/html") + b"Content-Length: 13\r\n\r\n<html></html>",
    "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 20\r\nConnection: close\r\n\r\n"
    + b'{"status":"success"}',
    "garbage": b"\x00\xff\xfe garbage\r\n\r\n",
    "nothing": b"",
}


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Run a server that gives every request the same bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_useless_answer_leaves_a_charge_open_and_a_page_unopened(tmp_path: Path, answer: bytes) -> None:
    """Money may have moved by a charge, and cannot have by a page that nobody can open."""
    async with (
        answering(answer) as url,
        open_shop(tmp_path, gateway_url=url, call_limit_s=5.0, deadline_s=10.0) as shop,
    ):
        charge = await shop.pay(operation=CHARGE, card=CardBy(card_id="ce-elsewhere"))
        page = await shop.pay()
        await shop.later(seconds=6)

        assert (charge.status, page.status) == (Status.INDETERMINATE, Status.FAILED)
        assert (await shop.transaction(charge.id)).status is Status.INDETERMINATE


# The disk -------------------------------------------------------------------------------------------------------


class SmallDisk(SqliteStore):
    """A store whose disk can be full."""

    _writing: sqlite3.Connection | None = None

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        self._writing = self._writing or connection
        return connection

    async def leave_pages(self, extra: int | None) -> None:
        """Leave room for so many more pages, or for as many as there can be."""
        assert self._writing is not None
        (used,) = self._writing.execute("PRAGMA page_count").fetchone()
        self._writing.execute(f"PRAGMA max_page_count = {1_000_000 if extra is None else used + extra}")


class FillsTheDisk(Gateway):
    """A gateway during whose call something else fills the disk."""

    def __init__(self, real: Gateway, store: SmallDisk) -> None:
        self._real = real
        self._store = store

    async def call(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, *, timeout_s: float | None = None
    ) -> ReplyT:
        reply = await self._real.call(operation, request, timeout_s=timeout_s)
        await fill(self._store)
        return reply


async def fill(store: SmallDisk) -> None:
    """Take what is left of the disk, to the last free corner of a page in which an event could be kept."""
    await store.leave_pages(0)
    for number in range(1, 1000):
        event = Event(
            stream_id="tr_00000000000000000000000000000000",
            sequence=number,
            kind=EventKind.STATUS,
            current=Status.NEW,
            recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
            source=EventSource.API,
        )
        try:
            await store.write(lambda unit, event=event: unit.insert_event(event))
        except StoreUnavailableError:
            return
    raise AssertionError("the disk has no end")


@contextlib.asynccontextmanager
async def shop_on_a_small_disk(folder: Path) -> AsyncIterator[tuple[Shop, SmallDisk]]:
    clock = Clock()
    store = SmallDisk(folder / "books.db", sandbox=True, clock=clock)
    async with (
        running(SimulatorSettings()) as simulator,
        Gateway(MERCHANT, base_url=simulator.url) as gateway,
        aiohttp.ClientSession() as client,
    ):
        await store.open()
        try:
            books = Books(
                store=store,
                gateway=gateway,
                live=Live(),
                private_key=MERCHANT.private_key,
                sandbox=True,
                defaults=Defaults(),
                random=os.urandom,
                call_limit_s=5.0,
                deadline_s=10.0,
            )
            yield Shop(Cashier(books), clock, simulator, client), store
            await store.leave_pages(None)
            await books.drain()
        finally:
            await store.close()


async def test_answer_that_cannot_be_recorded_at_first_is_recorded_later(tmp_path: Path) -> None:
    """EPoint has charged and the disk is full: the answer is kept in mind until there is room."""
    async with shop_on_a_small_disk(tmp_path) as (shop, store):
        card = await shop.saved_card()
        await shop.pay(order_id="A-0")
        real = shop.cashier.books.gateway
        shop.cashier.books.gateway = FillsTheDisk(real, store)
        paying = asyncio.ensure_future(
            shop.pay(order_id="A-1", operation=CHARGE, card=CardBy(id=card.id), description="y" * 900)
        )
        while not shop.requests("pay_with_saved_card"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        waited = not paying.done()
        await store.leave_pages(None)
        paid = await paying
        shop.cashier.books.gateway = real

        assert waited
        assert paid.status is Status.SUCCESS
        assert [event.current for event in await shop.history(paid.id)] == ["NEW", "SUCCESS"]


async def test_answer_that_is_recorded_after_its_deadline_still_settles_a_partial_refund(tmp_path: Path) -> None:
    """A database may be away for longer: the refund is taken for lost, and then its answer is written after all."""
    async with shop_on_a_small_disk(tmp_path) as (shop, store):
        paid = await shop.paid()
        real, again = shop.cashier.books.gateway, asyncio.Event()
        shop.cashier.books.patience = Patience(sleep=lambda _: again.wait())
        shop.cashier.books.gateway = FillsTheDisk(real, store)
        refunding = asyncio.ensure_future(shop.refund(paid, "4.00"))
        while not shop.requests("refund"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await store.leave_pages(None)
        shop.cashier.books.gateway = real
        shop.clock.ahead += timedelta(seconds=60)
        await shop.cashier.reconciler.settle_overdue()
        (lost,) = await shop.cashier.books.read(lambda reader: reader.unsettled_refunds(paid.id))
        again.set()
        refund = await refunding

        assert (lost.id, lost.status) == (refund.id, RefundStatus.INDETERMINATE)
        assert refund.status is RefundStatus.SUCCESS
        after = await shop.transaction(paid.id)
        assert (after.refunded_amount, after.refund_pending_amount) == (Decimal("4.00"), Decimal(0))


async def test_full_disk_refuses_before_epoint_is_called_and_callbacks_wait(tmp_path: Path) -> None:
    """What cannot be recorded is not begun, its key is free; EPoint is told to send its callback again."""
    async with shop_on_a_small_disk(tmp_path) as (shop, store):
        waiting = await shop.pay(order_id="A-0")
        call, order = payment(description="z" * 900)
        await fill(store)
        sent = shop.requests("pay")
        with pytest.raises(StoreUnavailableError):
            await shop.cashier.payments.start(call, order)
        with pytest.raises(StoreUnavailableError):
            await shop.callback(**success_of(waiting, message="m" * 5000))
        assert shop.requests("pay") == sent
        await store.leave_pages(None)

        assert await shop.callback(**success_of(waiting, message="m" * 5000)) is Disposition.APPLIED
        assert (await shop.cashier.payments.start(call, order)).replayed is False


# The clock ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [timedelta(days=-2), timedelta(hours=-1), timedelta(hours=1), timedelta(days=3)])
async def test_clock_that_jumps_loses_and_doubles_nothing(tmp_path: Path, jump: timedelta) -> None:
    """Between any two steps of a payment and its refund; the sums and the numbers of the events stay right."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        waiting = await shop.pay(order_id="A-1")
        shop.clock.ahead += jump
        await shop.cashier.reconciler.settle_overdue()
        await shop.cashier.reconciler.ask_due()
        assert waiting.redirect_url is not None
        if jump < timedelta(days=1):
            await shop.hosted_page(waiting.redirect_url, "4111111111111111")
            await shop.callback(**success_of(waiting))
        shop.clock.ahead -= jump
        await shop.later(hours=2)
        after = await shop.transaction(waiting.id)
        if after.status is Status.SUCCESS:
            shop.clock.ahead += jump
            refund = await shop.refund(after, "4.00", key="refund-key-0000001")
            shop.clock.ahead -= jump
            again = await shop.refund(after, "4.00", key="refund-key-0000001")
            assert (refund.status, again) == (RefundStatus.SUCCESS, refund)

        assert after.status is (Status.EXPIRED if jump > timedelta(days=1) else Status.SUCCESS)
        await books_agree(shop)


async def test_clock_that_goes_back_during_a_call_delays_and_does_not_repeat(tmp_path: Path) -> None:
    """A key whose call is under way stays in progress, and its answer is applied all the same."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        card = await shop.saved_card()
        shop.plan("A-1", reply="hang", reply_times=1)
        call, order = payment(order_id="A-1", operation=CHARGE, card=CardBy(id=card.id))
        paying = asyncio.ensure_future(shop.cashier.payments.start(call, order))
        while not shop.requests("pay_with_saved_card"):
            await asyncio.sleep(0.01)
        shop.clock.ahead -= timedelta(hours=5)
        with pytest.raises(InProgressError):
            await shop.cashier.payments.start(call, order)
        lost = (await paying).value
        await shop.later(seconds=6)

        assert lost.status is Status.INDETERMINATE
        assert (await shop.transaction(lost.id)).status is Status.SUCCESS
        await books_agree(shop)


# A process that stands still ------------------------------------------------------------------------------------


async def hold_the_writer(shop: Shop, seconds: float) -> asyncio.Future[None]:
    async def work(_unit: Unit) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - the store's writer is a thread, and it is what shall stand still

    held = asyncio.ensure_future(shop.cashier.books.write(work))
    await asyncio.sleep(0.05)
    return held


async def test_process_that_stood_still_since_it_recorded_calls_nobody(tmp_path: Path) -> None:
    """Where too little is left of the deadline, nothing is sent: others may take the call for lost during it."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=1.3) as shop:
        paid = await shop.paid("10.00")
        held = await hold_the_writer(shop, 0.6)
        call, order = payment()
        result = await shop.cashier.payments.start(call, order)
        await held
        held = await hold_the_writer(shop, 0.6)
        refund = await shop.refund(paid, "4.00")
        await held

        assert result.error is not None
        assert (result.value.status, result.error.code) == (Status.FAILED, ErrorCode.GATEWAY_UNAVAILABLE)
        assert refund.status is RefundStatus.FAILED
        assert (shop.requests("pay"), shop.requests("refund")) == (1, 0)
        assert (await shop.transaction(paid.id)).refundable_amount == Decimal("10.00")
        found = await shop.cashier.lookup.transaction(TransactionBy(id=result.value.id))
        assert found is not None
        assert found.failure is not None
        assert found.failure.retryable
        await books_agree(shop)


async def test_same_key_cannot_be_used_for_a_lost_call_and_a_new_one(tmp_path: Path) -> None:
    """A call that was never sent has failed for good: its key shows that, and a new one pays."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=1.3) as shop:
        held = await hold_the_writer(shop, 0.6)
        call, order = payment()
        failed = (await shop.cashier.payments.start(call, order)).value
        await held
        again = await shop.cashier.payments.start(call, order)
        other = await shop.cashier.payments.start(a_call(), order)

        assert (again.replayed, again.value) == (True, failed)
        assert other.value.status is Status.REQUIRES_ACTION


async def books_agree(shop: Shop) -> None:
    """Compare our books with the simulator's."""
    ledger = await shop.cashier.books.read(read_ledger)
    async with shop.client.get(f"{shop.simulator.url}/_control/books") as answer:
        books = await answer.json()
    check_invariants(ledger)
    check_against_gateway(ledger, books, MERCHANT.public_key)
