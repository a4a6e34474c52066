"""Refunds at the cashier: exact sums under any concurrency, every way a call can end, and adopted payments."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from gql_epoint.cashier.commands import CardBy, RefundOrder, TransactionBy
from gql_epoint.cashier.desk import by_gateway
from gql_epoint.cashier.refunds import settle_refund
from gql_epoint.errors import ErrorCode, ExceedsRefundableError, KeyReusedError, OrderConflictError, RefusedError
from gql_epoint.ledger.events import EventSource
from gql_epoint.ledger.transaction import RefundStatus, Status, Transaction, TransactionOperation
from tests.cashier_kit import APPROVED, DECLINED, Shop, a_call, open_shop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        yield shop


@pytest.fixture
async def patient_shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop with time enough for many calls at once on a busy machine, for tests that are not about time."""
    async with open_shop(tmp_path) as shop:
        yield shop


async def test_full_refund_returns_the_transaction(shop: Shop) -> None:
    """A refund without an amount gives back all that is left."""
    paid = await shop.paid("10.00")
    refund = await shop.refund(paid)

    assert (refund.status, refund.amount) == (RefundStatus.SUCCESS, Decimal("10.00"))
    returned = await shop.transaction(paid.id)
    assert (returned.status, returned.refunded_amount, returned.refundable_amount) == (
        Status.RETURNED,
        Decimal("10.00"),
        Decimal(0),
    )
    assert not returned.holds_order


async def test_partial_refunds_add_up(shop: Shop) -> None:
    """The transaction stays paid until its refunds add up to the amount."""
    paid = await shop.paid("10.00")
    for amount, status in (("0.01", Status.SUCCESS), ("9.98", Status.SUCCESS), ("0.01", Status.RETURNED)):
        await shop.refund(paid, amount)

        assert (await shop.transaction(paid.id)).status is status
    history = await shop.history(paid.id)
    assert [event.current for event in history[3:]] == [*["PROCESSING", "SUCCESS"] * 3, "RETURNED"]


async def test_refund_of_more_than_is_left_names_what_is_left(shop: Shop) -> None:
    """Nothing is sent, and the answer says how much can be refunded."""
    paid = await shop.paid("10.00")
    await shop.refund(paid, "4.00")
    with pytest.raises(ExceedsRefundableError) as refused:
        await shop.refund(paid, "6.01")

    assert refused.value.refundable == Decimal("6.00")
    assert shop.requests("refund") == 1


async def test_fifty_concurrent_partial_refunds_never_exceed_the_amount(patient_shop: Shop) -> None:
    """Amounts are reserved before EPoint is called, so exactly ten of fifty get through."""
    shop = patient_shop
    paid = await shop.paid("10.00")
    results = await asyncio.gather(*(shop.refund(paid, "1.00") for _ in range(50)), return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in results) == 10
    assert {type(result) for result in results if isinstance(result, BaseException)} <= {
        ExceedsRefundableError,
        RefusedError,
    }
    assert (await shop.transaction(paid.id)).status is Status.RETURNED
    assert paid.gateway.transaction_id is not None
    at_epoint, _ = await shop.cashier.lookup.gateway_status(paid.gateway.transaction_id)
    assert at_epoint.status == "returned"


@pytest.mark.parametrize(("reply", "at_epoint"), [("drop", "10.00"), ("reset_before", "6.00")])
async def test_concurrent_refunds_whose_answers_are_lost_keep_their_amounts(
    patient_shop: Shop, reply: str, at_epoint: str
) -> None:
    """Four of ten are lost, after EPoint has heard of them or before: nobody else gets what they have reserved."""
    shop = patient_shop
    paid = await shop.paid("10.00", order_id="A-1")
    shop.plan("A-1", reply=reply, reply_times=4, reply_to=("refund",))
    results = await asyncio.gather(*(shop.refund(paid, "1.00") for _ in range(50)), return_exceptions=True)
    statuses = Counter(result.status for result in results if not isinstance(result, BaseException))
    after = await shop.transaction(paid.id)
    assert paid.gateway.transaction_id is not None
    theirs = shop.simulator.state.books.transaction(paid.gateway.transaction_id)

    assert statuses == {RefundStatus.SUCCESS: 6, RefundStatus.INDETERMINATE: 4}
    assert (after.refunded_amount, after.refund_pending_amount) == (Decimal("6.00"), Decimal("4.00"))
    assert theirs is not None
    assert theirs.refunded == Decimal(at_epoint)


async def test_refund_replays(shop: Shop) -> None:
    """The same key refunds once; with another input it is refused."""
    paid = await shop.paid("10.00")
    first = await shop.refund(paid, "1.00", key="refund-key-0000001")
    again = await shop.refund(paid, "1.00", key="refund-key-0000001")
    with pytest.raises(KeyReusedError):
        await shop.refund(paid, "2.00", key="refund-key-0000001", input_hash="other")

    assert again == first
    assert shop.requests("refund") == 1


async def test_declined_refund_frees_its_amount(shop: Shop) -> None:
    """A failed refund says why, and the amount can be refunded again."""
    paid = await shop.paid("10.00", order_id="A-1")
    shop.plan("A-1", bank_code="116")
    failed = await shop.refund(paid, "4.00")

    assert failed.failure is not None
    assert failed.status is RefundStatus.FAILED
    assert (await shop.transaction(paid.id)).refundable_amount == Decimal("10.00")


@pytest.mark.parametrize("reply", ["drop", "garbage", "http_500", "hang"])
async def test_lost_answer_of_a_refund_stays_reserved(shop: Shop, reply: str) -> None:
    """Money may have moved: the amount is neither refunded nor refundable until somebody finds out."""
    paid = await shop.paid("10.00", order_id="A-1")
    shop.plan("A-1", reply=reply, reply_to=("refund",))
    refund = await shop.refund(paid, "4.00")

    after = await shop.transaction(paid.id)
    assert refund.status is RefundStatus.INDETERMINATE
    assert (after.refund_pending_amount, after.refundable_amount) == (Decimal("4.00"), Decimal("6.00"))


async def test_lost_full_refund_is_settled_by_returned(shop: Shop) -> None:
    """When EPoint says `returned` and the books then add up, the refund is known to have succeeded."""
    paid = await shop.paid("10.00", order_id="A-1")
    shop.plan("A-1", reply="drop", reply_to=("refund",))
    refund = await shop.refund(paid)
    await shop.later(seconds=6)

    assert (await shop.refund_row(refund.id)).status is RefundStatus.SUCCESS
    after = await shop.transaction(paid.id)
    assert (after.status, after.refunded_amount, after.ask_at) == (Status.RETURNED, Decimal("10.00"), None)


async def test_person_settles_a_lost_partial_refund(shop: Shop) -> None:
    """get-status cannot tell about a partial refund, so a person does, with a note in the history."""
    paid = await shop.paid("10.00", order_id="A-1")
    shop.plan("A-1", reply="drop", reply_to=("refund",))
    refund = await shop.refund(paid, "4.00")
    call = a_call("resolveRefund")
    result = await shop.cashier.resolutions.refund(call, refund.id, True, "Seen in the cabinet.")
    again = await shop.cashier.resolutions.refund(call, refund.id, True, "Seen in the cabinet.")

    assert (result.value.status, again.replayed) == (RefundStatus.SUCCESS, True)
    last = (await shop.history(paid.id))[-1]
    assert (last.source, last.actor, last.note) == (EventSource.OPERATOR, "test", "Seen in the cabinet.")
    assert (await shop.transaction(paid.id)).refundable_amount == Decimal("6.00")


async def test_late_refusal_of_a_refund_after_a_decision_takes_the_order_back(shop: Shop) -> None:
    """A person said that all went back, and the order was free; now EPoint says that the customer has paid."""
    paid = await shop.paid("10.00", order_id="A-1")
    shop.plan("A-1", reply="drop", reply_to=("refund",))
    refund = await shop.refund(paid)
    call = a_call("resolveRefund")
    await shop.cashier.resolutions.refund(call, refund.id, True, "Seen in the cabinet.")
    assert (await shop.transaction(paid.id)).status is Status.RETURNED
    failed = RefundStatus.FAILED
    await shop.cashier.books.write(lambda unit: settle_refund(unit, refund.id, failed, None, by_gateway(unit)))
    after = await shop.transaction(paid.id)

    assert (after.status, after.holds_order) == (Status.REQUIRES_REVIEW, True)
    with pytest.raises(OrderConflictError):
        await shop.pay(order_id="A-1")


async def test_refund_whose_process_died_is_settled_after_its_deadline(shop: Shop) -> None:
    """Nobody waits for the answer any more, so the sweep says that it is lost."""
    paid = await shop.paid("10.00", order_id="A-1")
    shop.plan("A-1", reply="hang", reply_to=("refund",))
    refunding = asyncio.create_task(shop.refund(paid, "4.00"))
    while not shop.requests("refund"):
        await asyncio.sleep(0.01)
    shop.clock.ahead += timedelta(seconds=3)
    await shop.cashier.reconciler.settle_overdue()
    (event,) = (await shop.history(paid.id))[4:]

    assert (event.current, event.source) == ("INDETERMINATE", EventSource.RECONCILER)
    assert (await refunding).status is RefundStatus.INDETERMINATE


async def not_refundable(shop: Shop, what: str) -> Transaction:
    """Return a transaction that cannot be refunded, for one reason."""
    if what == "waiting":
        return await shop.pay()
    if what == "failed":
        waiting = await shop.pay()
        await shop.callback(status="failed", order_id=waiting.gateway_order_id, code="116")
        return await shop.transaction(waiting.id)
    card = await shop.saved_card(for_payout=True)
    return await shop.pay(operation=TransactionOperation.PAYOUT, card=CardBy(id=card.id))


@pytest.mark.parametrize("what", ["waiting", "failed", "payout"])
async def test_only_a_paid_payment_is_refundable(shop: Shop, what: str) -> None:
    """The refusal says which state it is in."""
    transaction = await not_refundable(shop, what)
    with pytest.raises(RefusedError) as refused:
        await shop.refund(transaction, "1.00")

    assert refused.value.code is ErrorCode.NOT_REFUNDABLE
    assert shop.requests("refund") == 0


async def test_payment_made_elsewhere_is_adopted_and_refunded(shop: Shop) -> None:
    """What the plain SDK could do is not lost: an EPoint id is enough."""
    name = await shop.made_elsewhere("elsewhere")
    order = RefundOrder(transaction=TransactionBy(gateway_transaction_id=name), amount=Decimal("4.00"))
    refund = (await shop.cashier.refunds.start(a_call("refund"), order)).value

    adopted = await shop.transaction(refund.transaction_id)
    assert refund.status is RefundStatus.SUCCESS
    assert (adopted.operation, adopted.adopted, adopted.status) == (
        TransactionOperation.UNKNOWN,
        True,
        Status.SUCCESS,
    )
    assert (adopted.order_id, adopted.refundable_amount) == ("elsewhere", Decimal("6.00"))


@pytest.mark.parametrize(
    ("card_number", "status"),
    [(APPROVED, Status.SUCCESS), (DECLINED, Status.FAILED), (None, Status.REQUIRES_ACTION)],
)
async def test_refresh_adopts_whatever_epoint_says(shop: Shop, card_number: str | None, status: Status) -> None:
    """A transaction made elsewhere comes in with the state that EPoint gives it."""
    name = await shop.made_elsewhere("elsewhere", card_number)
    by = TransactionBy(gateway_transaction_id=name)
    adopted = (await shop.cashier.lookup.refresh(by, "test")).value
    again = (await shop.cashier.lookup.refresh(by, "test")).value

    assert adopted.status is status
    assert again.id == adopted.id


async def test_transaction_unknown_to_both_is_not_found(shop: Shop) -> None:
    """A wrong id adopts nothing."""
    with pytest.raises(RefusedError) as refused:
        await shop.cashier.lookup.refresh(TransactionBy(gateway_transaction_id="te0000000000"), "test")

    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_payment_whose_answer_was_lost_is_not_adopted_twice(shop: Shop) -> None:
    """An EPoint id that turns out to be ours, by its order id, is attached to our transaction."""
    card = await shop.saved_card()
    shop.plan("A-1", reply="drop")
    lost = await shop.pay(
        order_id="A-1", operation=TransactionOperation.PAY_WITH_SAVED_CARD, card=CardBy(id=card.id)
    )
    (name,) = (t.transaction for t in shop.simulator.state.books.transactions if t.order_id == "A-1")
    found = (await shop.cashier.lookup.refresh(TransactionBy(gateway_transaction_id=name), "test")).value

    assert (found.id, found.status) == (lost.id, Status.SUCCESS)


async def test_refund_in_the_cabinet_is_noticed(shop: Shop) -> None:
    """`returned` without a refund of ours returns the transaction."""
    paid = await shop.paid("10.00")
    url = f"{shop.simulator.url}/_control/transactions/{paid.gateway.transaction_id}/refund"
    async with aiohttp.ClientSession() as client, client.post(url, json={}) as response:
        assert response.status == 200
    after = (await shop.cashier.lookup.refresh(TransactionBy(id=paid.id), "test")).value

    assert (after.status, after.refundable_amount) == (Status.RETURNED, Decimal(0))
