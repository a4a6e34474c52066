"""Two cashiers on two stores over one PostgreSQL: money moves once, and both know it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import aiohttp
import pytest

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.commands import CaptureOrder, CardBy, RefundOrder, Result, TokenCharge, TransactionBy
from gql_epoint.cashier.desk import Books, Defaults
from gql_epoint.cashier.transfer_orders import checked_transfer
from gql_epoint.epoint import GOOGLE_PAY
from gql_epoint.errors import (
    ErrorCode,
    ExceedsRefundableError,
    InProgressError,
    OrderConflictError,
    RefusedError,
    TransferConflictError,
)
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.business_transfer import TransferStatus
from gql_epoint.ledger.checkout import CheckoutState, CheckoutStatus
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.invoice import begin_change
from gql_epoint.ledger.transaction import (
    Disposition,
    HoldRequestKind,
    Refund,
    RefundStatus,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.live import Live
from gql_epoint.simulator.server import running
from gql_epoint.simulator.settings import SimulatorSettings
from gql_epoint.store.postgres import PostgresLimits, PostgresStore
from gql_epoint.store.protocol import Page
from tests import test_business_transfers as transfers
from tests.cashier_kit import APPROVED, DECLINED, MERCHANT, Clock, Shop, a_call, payment, success_of
from tests.postgres import new_database
from tests.test_holds import at_epoint, cancel, capture, held
from tests.test_invoices import create, known, theirs, update
from tests.test_tokens import charge

PATIENCE_S = 10.0


@contextlib.asynccontextmanager
async def open_node(url: str, simulator: Any, clock: Clock, **options: Any) -> AsyncIterator[Shop]:
    """Run one node. Only a wake-up can be quick on it."""
    store = PostgresStore(url, sandbox=True, limits=PostgresLimits(sweep_s=60.0), ahead=lambda: clock.ahead)
    async with open_shop(store, simulator, clock, **options) as shop:
        yield shop


@contextlib.asynccontextmanager
async def open_shop(store: PostgresStore, simulator: Any, clock: Clock, **options: Any) -> AsyncIterator[Shop]:
    """Run a cashier on a store, with a gateway client and subscribers of its own."""
    async with Gateway(MERCHANT, base_url=simulator.url) as gateway, aiohttp.ClientSession() as client:
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
                poll_s=60.0,
                **options,
            )
            yield Shop(Cashier(books), clock, simulator, client)
            await books.drain()
        finally:
            await store.close()


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[Shop, Shop]]:
    """Two nodes, one EPoint, one database, one clock."""
    clock = Clock()
    async with (
        new_database() as url,
        running(SimulatorSettings()) as simulator,
        open_node(url, simulator, clock) as one,
        open_node(url, simulator, clock) as two,
    ):
        yield one, two


async def test_a_hundred_uses_of_one_key_make_one_payment(nodes: tuple[Shop, Shop]) -> None:
    """On both nodes at once: one transaction, one call to EPoint, and everybody else is told of the same one."""
    call, order = payment(key="key-of-a-hundred-calls")

    async def use(number: int) -> Result[Transaction] | InProgressError:
        try:
            return await nodes[number % 2].cashier.payments.start(call, order)
        except InProgressError as exc:
            return exc

    answers = await asyncio.gather(*map(use, range(100)))
    results = [answer for answer in answers if isinstance(answer, Result)]
    assert [result.replayed for result in results].count(False) == 1
    assert len({result.value.id for result in results}) == 1
    again = [await node.cashier.payments.start(call, order) for node in nodes]
    assert [result.replayed for result in again] == [True, True]
    assert again[0].value == again[1].value
    assert nodes[0].requests("pay") == 1
    assert len(await nodes[0].history(again[0].value.id)) == 2


async def test_one_key_refunds_once_though_nothing_is_left(nodes: tuple[Shop, Shop]) -> None:
    """Whoever comes second is not refused for what the first one took: it is the same refund."""
    paid = await nodes[0].paid("10.00")
    call = a_call("refund")
    order = RefundOrder(transaction=TransactionBy(id=paid.id))

    async def use(number: int) -> Result[Refund] | InProgressError:
        try:
            return await nodes[number % 2].cashier.refunds.start(call, order)
        except InProgressError as exc:
            return exc

    answers = await asyncio.gather(*map(use, range(20)))
    results = [answer for answer in answers if isinstance(answer, Result)]

    assert len({result.value.id for result in results}) == 1
    assert [result.replayed for result in results].count(False) == 1
    assert nodes[0].requests("refund") == 1
    assert (await nodes[1].transaction(paid.id)).status is Status.RETURNED


async def test_fifty_partial_refunds_never_exceed_the_amount(nodes: tuple[Shop, Shop]) -> None:
    """Fifty refunds of 0.30 over two nodes take 33 times 0.30 out of 10.00, and not one more."""
    paid = await nodes[0].paid("10.00")

    async def refund(number: int) -> Refund | None:
        try:
            return await nodes[number % 2].refund(paid, "0.30")
        except ExceedsRefundableError:
            return None

    refunds = [refund for refund in await asyncio.gather(*map(refund, range(50))) if refund is not None]
    after = await nodes[1].transaction(paid.id)

    assert [refund.status for refund in refunds] == [RefundStatus.SUCCESS] * 33
    assert (after.refunded_amount, after.refund_pending_amount, after.status) == (
        Decimal("9.90"),
        Decimal("0.00"),
        Status.SUCCESS,
    )
    assert nodes[0].requests("refund") == 33
    history = await nodes[0].history(paid.id)
    assert after.version == history[-1].sequence


async def test_one_order_has_one_payment(nodes: tuple[Shop, Shop]) -> None:
    """Of twenty payments of an order with keys of their own, on two nodes, one starts."""

    async def pay(number: int) -> Transaction | str:
        try:
            return await nodes[number % 2].pay(order_id="one-order")
        except OrderConflictError as exc:
            return exc.transaction.id

    answers = await asyncio.gather(*map(pay, range(20)))
    (started,) = [answer for answer in answers if isinstance(answer, Transaction)]

    assert {answer for answer in answers if isinstance(answer, str)} == {started.id}
    assert nodes[0].requests("pay") == 1


async def test_callback_on_one_node_wakes_a_watcher_on_the_other(nodes: tuple[Shop, Shop]) -> None:
    """EPoint calls whichever node it reaches; the browser listens to another one."""
    transaction = await nodes[0].pay()
    stream = nodes[1].cashier.watching.transaction(TransactionBy(id=transaction.id))
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(stream):
        first, before = await anext(stream)
        assert (first, before.status) == (True, Status.REQUIRES_ACTION)
        waiting = asyncio.create_task(anext(stream))
        await asyncio.sleep(0.05)
        assert await nodes[0].callback(**success_of(transaction)) is Disposition.APPLIED
        first, after = await waiting

    assert (first, after.status) == (False, Status.SUCCESS)


async def test_feed_on_one_node_has_the_events_of_both(nodes: tuple[Shop, Shop]) -> None:
    """Each once, in an order in which every stream counts 1, 2, 3, and without waiting for a poll."""
    seen: list[Event] = []

    async def follow() -> None:
        async with contextlib.aclosing(nodes[1].cashier.watching.events(0)) as events:
            async for event in events:
                seen.append(event)
                if len(seen) == 40:
                    return

    async with asyncio.timeout(PATIENCE_S):
        following = asyncio.create_task(follow())
        await asyncio.gather(*(nodes[number % 2].pay() for number in range(20)))
        await following

    assert [event.position for event in seen] == list(range(1, 41))
    counted: Counter[str] = Counter()
    for event in seen:
        counted[event.stream_id] += 1
        assert event.sequence == counted[event.stream_id]


async def test_callback_delivered_to_everybody_applies_once(nodes: tuple[Shop, Shop]) -> None:
    """Ten deliveries to each node at the same time: one changes something, the others are duplicates."""
    transaction = await nodes[0].pay()
    fields = success_of(transaction)
    taken = Counter(await asyncio.gather(*(nodes[number % 2].callback(**fields) for number in range(20))))

    assert taken == {Disposition.APPLIED: 1, Disposition.DUPLICATE: 19}
    assert len(await nodes[1].history(transaction.id)) == 3


async def test_reconcilers_ask_about_each_payment_once(nodes: tuple[Shop, Shop]) -> None:
    """Both sweep at the same time; EPoint is asked no more often than by one of them."""
    transactions = [await nodes[number % 2].pay() for number in range(30)]
    for transaction in transactions:
        assert transaction.redirect_url is not None
        await nodes[0].hosted_page(transaction.redirect_url, APPROVED)
    asked_before = nodes[0].requests("get_status")
    await asyncio.gather(nodes[0].later(seconds=6), nodes[1].later(seconds=0))

    assert nodes[0].requests("get_status") - asked_before == 30
    for transaction in transactions:
        assert (await nodes[1].transaction(transaction.id)).status is Status.SUCCESS


async def test_call_of_a_node_that_died_is_settled_by_another(nodes: tuple[Shop, Shop]) -> None:
    """The deadline is in the database; whoever finds it past records that the answer is lost, once."""
    saved = await nodes[0].saved_card()
    call, order = payment(operation=TransactionOperation.PAY_WITH_SAVED_CARD, card=CardBy(id=saved.id))
    desk = nodes[0].cashier.payments
    # What `start` does before it calls EPoint, and then the node is gone.
    await nodes[0].cashier.books.write(lambda unit: desk._begin(unit, call, order))  # noqa: SLF001
    with pytest.raises(InProgressError):
        await nodes[1].cashier.payments.start(call, order)
    nodes[1].clock.ahead = timedelta(seconds=11)
    await asyncio.gather(*(node.cashier.reconciler.settle_overdue() for node in nodes))
    replayed = await nodes[1].cashier.payments.start(call, order)

    assert (replayed.replayed, replayed.value.status) == (True, Status.INDETERMINATE)
    assert [event.current for event in await nodes[1].history(replayed.value.id)] == ["NEW", "INDETERMINATE"]


async def test_captures_and_cancellations_on_both_nodes_send_one_request(nodes: tuple[Shop, Shop]) -> None:
    """The hold's row is locked while a request is written on it: EPoint hears of one, whoever asks for which."""
    for _ in range(5):
        hold = await held(nodes[0])
        sent = nodes[0].requests("capture") + nodes[0].requests("refund")
        results = await asyncio.gather(
            *(action(nodes[number % 2], hold) for number in range(5) for action in (capture, cancel)),
            return_exceptions=True,
        )
        after = await nodes[1].transaction(hold.id)

        assert nodes[0].requests("capture") + nodes[0].requests("refund") == sent + 1
        assert sum(isinstance(result, RefusedError) for result in results) == 9
        assert (after.status, at_epoint(nodes[0], hold)[0]) in (
            (Status.SUCCESS, "captured"),
            (Status.VOIDED, "released"),
        )


async def test_capture_of_a_node_that_died_is_settled_by_another(nodes: tuple[Shop, Shop]) -> None:
    """Its deadline is in the database; past it the answer is lost, once, and nothing else is sent before."""
    hold = await held(nodes[0])
    call, by = a_call("capture"), TransactionBy(id=hold.id)
    desk = nodes[0].cashier.holds
    order = CaptureOrder(transaction=by)
    # What `capture` does before it calls EPoint, and then the node is gone.
    await nodes[0].cashier.books.write(
        lambda unit: desk._begin(unit, call, by, HoldRequestKind.CAPTURE, order)  # noqa: SLF001
    )
    with pytest.raises(InProgressError):
        await nodes[1].cashier.holds.capture(call, order)
    nodes[1].clock.ahead = timedelta(seconds=11)
    await asyncio.gather(*(node.cashier.reconciler.settle_overdue() for node in nodes))
    replayed = await nodes[1].cashier.holds.capture(call, order)

    assert (replayed.replayed, replayed.value.status) == (True, Status.INDETERMINATE)
    events = [event.current for event in await nodes[1].history(hold.id)]
    assert events[3:] == ["PROCESSING", "INDETERMINATE", "INDETERMINATE"]
    assert nodes[0].requests("capture") == 0


async def test_charges_of_a_token_on_both_nodes_are_one(nodes: tuple[Shop, Shop]) -> None:
    """The row is locked before anything is looked at: whoever comes second sees that it is being charged."""
    for _ in range(3):
        before = nodes[0].requests("google_pay")
        opened = await nodes[0].pay(operation=TransactionOperation.TOKEN_PAYMENT)
        results = await asyncio.gather(
            *(charge(nodes[number % 2], opened) for number in range(10)), return_exceptions=True
        )

        assert nodes[0].requests("google_pay") == before + 1
        assert sum(isinstance(result, OrderConflictError) for result in results) == 9
        assert (await nodes[1].transaction(opened.id)).status is Status.SUCCESS


async def test_charge_of_a_node_that_died_is_settled_by_another(nodes: tuple[Shop, Shop]) -> None:
    """Past its deadline the answer is lost, once; the token is never charged again, whoever asks for it."""
    opened = await nodes[0].pay(operation=TransactionOperation.TOKEN_PAYMENT)
    call, desk = a_call("googlePay"), nodes[0].cashier.tokens
    order = TokenCharge(operation=GOOGLE_PAY, transaction_id=opened.id, token="approve")
    await nodes[0].cashier.books.write(lambda unit: desk._begin(unit, call, order))  # noqa: SLF001
    with pytest.raises(InProgressError):
        await charge(nodes[1], opened, call=call)
    nodes[1].clock.ahead = timedelta(seconds=11)
    await asyncio.gather(*(node.cashier.reconciler.settle_overdue() for node in nodes))
    replayed = await charge(nodes[1], opened, call=call)
    with pytest.raises(OrderConflictError):
        await charge(nodes[1], opened)

    assert (replayed.replayed, replayed.value.status) == (True, Status.INDETERMINATE)
    events = [event.current for event in await nodes[1].history(opened.id)]
    assert events == ["NEW", "REQUIRES_ACTION", "NEW", "INDETERMINATE"]
    assert nodes[0].requests("google_pay") == 0


async def test_transfers_of_one_order_on_both_nodes_are_one(nodes: tuple[Shop, Shop]) -> None:
    """Each with a key of its own: EPoint gets one, and everybody else is told which."""
    results = await asyncio.gather(*(transfers.start(nodes[n % 2]) for n in range(10)), return_exceptions=True)
    (made,) = [result.value for result in results if isinstance(result, Result)]

    assert {error.transfer.id for error in results if isinstance(error, TransferConflictError)} == {made.id}
    assert transfers.at_epoint(nodes[0]) == ["B-1"]


async def test_transfer_of_a_node_that_died_is_settled_by_another(nodes: tuple[Shop, Shop]) -> None:
    """Money may be on its way: the order stays taken, and what comes late settles it on any node."""
    call, desk = a_call("transferToBusiness"), nodes[0].cashier.business_transfers
    order = checked_transfer(transfers.an_order())
    begun = await nodes[0].cashier.books.write(lambda unit: desk._begin(unit, call, order, None))  # noqa: SLF001
    with pytest.raises(InProgressError):
        await nodes[1].cashier.business_transfers.start(call, order)
    nodes[1].clock.ahead = timedelta(seconds=11)
    await asyncio.gather(*(node.cashier.reconciler.settle_overdue() for node in nodes))
    replayed = await nodes[1].cashier.business_transfers.start(call, order)
    with pytest.raises(TransferConflictError):
        await transfers.start(nodes[1])

    assert (replayed.replayed, replayed.value.status) == (True, TransferStatus.INDETERMINATE)
    events = [event.current for event in await nodes[1].history(begun.transfer.id)]
    assert events == ["PENDING", "INDETERMINATE"]
    assert transfers.at_epoint(nodes[0]) == []
    # The node was only frozen, in the very moment before it sent the request.
    await desk._call(begun.transfer, call, order, None, monotonic())  # noqa: SLF001
    assert (await transfers.known(nodes[1])).status is TransferStatus.PENDING
    assert transfers.at_epoint(nodes[0]) == ["B-1"]


async def test_changes_of_an_invoice_on_both_nodes_leave_one_amount(nodes: tuple[Shop, Shop]) -> None:
    """One is sent at a time, whichever node it comes to: what is written here is what EPoint has."""
    made = (await create(nodes[0])).value
    for _ in range(3):
        results = await asyncio.gather(
            *(update(nodes[number % 2], made, f"{number + 1}.00") for number in range(10)), return_exceptions=True
        )
        sent = [result for result in results if isinstance(result, Result)]
        refused = [result for result in results if isinstance(result, RefusedError)]

        assert (len(sent) + len(refused), {error.code for error in refused}) == (
            10,
            {ErrorCode.INVOICE_IN_PROGRESS},
        )
        assert [result.error for result in sent] == [None] * len(sent)
        assert (await known(nodes[1])).amount == theirs(nodes[0])[0].sum


async def test_change_of_a_node_that_died_holds_others_up_until_its_deadline(nodes: tuple[Shop, Shop]) -> None:
    """EPoint may hear of it until then; afterwards any node may send another one."""
    made = (await create(nodes[0])).value
    await nodes[0].cashier.books.write(
        lambda unit: unit.save_invoice(
            begin_change(made, Decimal("5.00"), unit.now, unit.now + timedelta(seconds=10))
        )
    )
    with pytest.raises(RefusedError):
        await update(nodes[1], made, "6.00")
    nodes[1].clock.ahead = timedelta(seconds=11)
    await asyncio.gather(*(node.cashier.reconciler.settle_overdue() for node in nodes))

    assert (await known(nodes[0])).call_deadline is None
    assert (await update(nodes[1], made, "6.00")).value.amount == theirs(nodes[0])[0].sum == Decimal("6.00")


async def test_payment_made_elsewhere_is_adopted_once(nodes: tuple[Shop, Shop]) -> None:
    """Both nodes find a transaction of EPoint unknown at once; there is one of it afterwards."""
    gateway_id = await nodes[0].made_elsewhere("elsewhere")
    by = TransactionBy(gateway_transaction_id=gateway_id)
    results = await asyncio.gather(*(nodes[number % 2].cashier.lookup.refresh(by, "test") for number in range(10)))

    assert len({result.value.id for result in results}) == 1
    history = await nodes[1].history(results[0].value.id)
    assert [event.current for event in history] == ["NEW", "SUCCESS"]


async def test_card_saved_elsewhere_is_adopted_once(nodes: tuple[Shop, Shop]) -> None:
    """The same for a card that both nodes are told to charge at once."""
    saved = await nodes[0].saved_card()
    assert saved.card_id is not None
    async with new_database() as url:
        clock = Clock()
        async with (
            open_node(url, nodes[0].simulator, clock) as one,
            open_node(url, nodes[0].simulator, clock) as two,
        ):
            orders = [
                payment(operation=TransactionOperation.PAY_WITH_SAVED_CARD, card=CardBy(card_id=saved.card_id))
                for _ in range(6)
            ]
            results = await asyncio.gather(
                *((one, two)[number % 2].cashier.payments.start(*order) for number, order in enumerate(orders))
            )
            cards = await one.cashier.books.read(lambda reader: reader.saved_cards(Page(limit=10)))

    assert {result.value.status for result in results} == {Status.SUCCESS}
    assert [card.card_id for card in cards] == [saved.card_id]


async def test_fifty_confirmations_on_both_nodes_make_one_attempt(nodes: tuple[Shop, Shop]) -> None:
    """Each with a key of its own: the checkout's row is locked, so one starts it and all others get it."""
    made = await nodes[0].checkout()
    checkout_id = made.state.checkout.id
    results = await asyncio.gather(*(nodes[number % 2].confirm(checkout_id) for number in range(50)))

    assert [result.replayed for result in results].count(False) == 1
    assert len({result.value.transaction.id for result in results if result.value.transaction}) == 1
    assert results[0].value.checkout.attempts == 1
    assert nodes[0].requests("pay") == 1


async def test_cancellation_and_confirmation_on_two_nodes_agree(nodes: tuple[Shop, Shop]) -> None:
    """No attempt starts after the cancellation, and none is lost before it."""
    one, two = nodes
    for _ in range(10):
        checkout_id = (await one.checkout()).state.checkout.id
        confirmed, _canceled = await asyncio.gather(
            one.confirm(checkout_id), two.cashier.checkouts.cancel(checkout_id), return_exceptions=True
        )
        state = await two.cashier.checkouts.state(checkout_id)

        assert state is not None
        assert state.status is CheckoutStatus.CANCELED
        assert (state.transaction is None) == isinstance(confirmed, RefusedError)


async def test_token_of_one_node_opens_the_other_and_its_watcher_hears_at_once(nodes: tuple[Shop, Shop]) -> None:
    """Two attempts and the payment are made on one node, and the stream on the other one follows."""
    one, two = nodes
    made = await one.checkout()
    assert made.issued is not None
    assert await two.cashier.checkouts.find_token(made.issued.secret) == made.issued.token
    seen: list[CheckoutState] = []

    async def watch() -> None:
        async for _, state in two.cashier.watching.checkout(made.state.checkout.id):
            seen.append(state)

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(PATIENCE_S):
        while not seen:
            await asyncio.sleep(0.01)
        for card_number in (DECLINED, APPROVED):
            started = (await one.confirm(made.state.checkout.id)).value.transaction
            assert started is not None
            assert started.redirect_url is not None
            await one.hosted_page(started.redirect_url, card_number)
            await one.cashier.lookup.refresh(TransactionBy(id=started.id), "test")
        await watching

    assert seen[-1].status is CheckoutStatus.COMPLETE


async def test_watcher_on_one_node_hears_at_once_of_a_cancellation_on_the_other(nodes: tuple[Shop, Shop]) -> None:
    """It is no event, so it is told by itself."""
    one, two = nodes
    made = await one.checkout()
    states = two.cashier.watching.checkout(made.state.checkout.id)
    _, state = await anext(states)
    waiting = asyncio.ensure_future(anext(states))
    await one.cashier.checkouts.cancel(made.state.checkout.id)
    async with asyncio.timeout(PATIENCE_S):
        _, canceled = await waiting

    assert [state.status, canceled.status] == [CheckoutStatus.OPEN, CheckoutStatus.CANCELED]
    assert states.is_over
