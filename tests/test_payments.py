"""Payments and payouts at the cashier: every operation, idempotency, conflicts, and every way a call can end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gql_epoint.cashier.commands import CardBy, SaveCardOrder, TransactionBy
from gql_epoint.errors import (
    ErrorCode,
    InProgressError,
    KeyReusedError,
    OrderConflictError,
    RefusedError,
)
from gql_epoint.ledger.events import EventSource
from gql_epoint.ledger.transaction import SavedCardStatus, Status, TransactionOperation
from tests.cashier_kit import APPROVED, DECLINED, Shop, a_call, open_shop, payment, success_of

Operation = TransactionOperation
CHARGES = (Operation.PAY_WITH_SAVED_CARD, Operation.SPLIT_PAY_WITH_SAVED_CARD, Operation.PAYOUT)
REDIRECTS = (
    Operation.PAY,
    Operation.PAY_AND_SAVE_CARD,
    Operation.SPLIT_PAY,
    Operation.SPLIT_PAY_AND_SAVE_CARD,
)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        yield shop


async def order_for(shop: Shop, operation: Operation, card_number: str = APPROVED) -> dict[str, Any]:
    """Return what an operation needs besides order and amount."""
    needs: dict[str, Any] = {"operation": operation}
    if operation in CHARGES:
        card = await shop.saved_card(card_number, for_payout=operation is Operation.PAYOUT)
        needs["card"] = CardBy(id=card.id)
    if operation.name.startswith("SPLIT"):
        needs |= {"split_user": "i000000002", "split_amount": Decimal("4.00")}
    return needs


@pytest.mark.parametrize("operation", REDIRECTS)
async def test_redirect_operation_waits_for_the_customer(shop: Shop, operation: Operation) -> None:
    """An opened payment says where to send the customer, and holds its order."""
    transaction = await shop.pay(**await order_for(shop, operation))

    assert transaction.status is Status.REQUIRES_ACTION
    assert transaction.redirect_url is not None
    assert transaction.redirect_url.startswith(shop.simulator.url)
    assert transaction.gateway.transaction_id is not None
    assert transaction.call_deadline is None
    assert transaction.holds_order


@pytest.mark.parametrize("operation", CHARGES)
async def test_charge_is_final_at_once(shop: Shop, operation: Operation) -> None:
    """A saved card is charged, or paid out to, in the call itself."""
    transaction = await shop.pay(**await order_for(shop, operation))

    assert transaction.status is Status.SUCCESS
    history = await shop.history(transaction.id)
    assert [(event.previous, event.current, event.source) for event in history] == [
        (None, "NEW", EventSource.API),
        ("NEW", "SUCCESS", EventSource.GATEWAY_RESPONSE),
    ]


@pytest.mark.parametrize("operation", CHARGES)
async def test_declined_charge_is_data(shop: Shop, operation: Operation) -> None:
    """A decline says why, frees the order, and is no error."""
    order = await order_for(shop, operation)
    order_id = f"declined-{operation}"
    shop.plan(order_id, bank_code="116")
    call, ordered = payment(order_id=order_id, **order)
    result = await shop.cashier.payments.start(call, ordered)

    assert result.error is None
    assert result.value.status is Status.FAILED
    assert result.value.failure is not None
    assert (result.value.failure.category, result.value.failure.bank_code) == ("INSUFFICIENT_FUNDS", "116")
    assert not result.value.holds_order


async def test_payment_that_saves_its_card_activates_it(shop: Shop) -> None:
    """The callback of the payment tells about the card as well."""
    transaction = await shop.pay(operation=Operation.PAY_AND_SAVE_CARD)
    assert transaction.saved_card_id is not None
    waiting = await shop.card(transaction.saved_card_id)
    assert waiting.status is SavedCardStatus.PENDING
    await shop.callback(**success_of(transaction, card_id=waiting.card_id, operation_code="200"))

    card = await shop.card(transaction.saved_card_id)
    assert (card.status, card.mask) == (SavedCardStatus.ACTIVE, "411111******1111")
    assert (await shop.transaction(transaction.id)).status is Status.SUCCESS
    charged = await shop.pay(operation=Operation.PAY_WITH_SAVED_CARD, card=CardBy(card_id=card.card_id))
    assert charged.saved_card_id == card.id


async def test_failed_payment_rejects_the_card_it_was_to_save(shop: Shop) -> None:
    """No payment, no card."""
    transaction = await shop.pay(operation=Operation.PAY_AND_SAVE_CARD)
    await shop.callback(status="failed", order_id=transaction.gateway_order_id, code="116")

    assert transaction.saved_card_id is not None
    assert (await shop.card(transaction.saved_card_id)).status is SavedCardStatus.REJECTED


# Idempotency --------------------------------------------------------------------------------------------------


async def test_same_key_and_input_gives_the_object_as_it_is_now(shop: Shop) -> None:
    """A repeated request is answered from the books; EPoint is called once."""
    call, order = payment()
    first = await shop.cashier.payments.start(call, order)
    await shop.callback(**success_of(first.value))
    again = await shop.cashier.payments.start(call, order)

    assert (first.replayed, again.replayed) == (False, True)
    assert again.value == await shop.transaction(first.value.id)
    assert again.value.status is Status.SUCCESS
    assert shop.requests("pay") == 1


async def test_same_key_with_another_input_is_refused(shop: Shop) -> None:
    """A key belongs to one input for ever."""
    call, order = payment()
    await shop.cashier.payments.start(call, order)
    with pytest.raises(KeyReusedError) as refused:
        await shop.cashier.payments.start(msgspec.structs.replace(call, input_hash="other"), order)

    assert refused.value.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert refused.value.first_used_at is not None


async def test_refused_input_does_not_use_the_key(shop: Shop) -> None:
    """After a correction the same key works."""
    call, order = payment(amount=Decimal("0"))
    with pytest.raises(RefusedError):
        await shop.cashier.payments.start(call, order)
    result = await shop.cashier.payments.start(call, msgspec.structs.replace(order, amount=Decimal("1.00")))

    assert not result.replayed


async def test_hundred_concurrent_calls_with_one_key_charge_once(shop: Shop) -> None:
    """Whoever comes while the first call is under way is told to wait; nobody charges a second time."""
    call, order = payment(**await order_for(shop, Operation.PAY_WITH_SAVED_CARD))
    results = await asyncio.gather(
        *(shop.cashier.payments.start(call, order) for _ in range(100)), return_exceptions=True
    )

    assert shop.requests("pay_with_saved_card") == 1
    made = [result for result in results if not isinstance(result, BaseException)]
    assert sum(not result.replayed for result in made) == 1
    assert {type(result) for result in results if isinstance(result, BaseException)} <= {InProgressError}


async def test_key_in_progress_says_when_to_come_back(shop: Shop) -> None:
    """While EPoint thinks, a repeated request is told how long that can take."""
    call, order = payment(order_id="slow", **await order_for(shop, Operation.PAY_WITH_SAVED_CARD))
    shop.plan("slow", reply="hang")
    first = asyncio.create_task(shop.cashier.payments.start(call, order))
    while not shop.requests("pay_with_saved_card"):
        await asyncio.sleep(0.01)
    with pytest.raises(InProgressError) as refused:
        await shop.cashier.payments.start(call, order)

    assert 0 < refused.value.retry_after_ms <= 2500
    assert (await first).value.status is Status.INDETERMINATE


# One order, one payment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paid", "code"), [(False, ErrorCode.ORDER_IN_PROGRESS), (True, ErrorCode.ORDER_ALREADY_PAID)]
)
async def test_order_has_one_live_or_paid_payment(shop: Shop, paid: bool, code: ErrorCode) -> None:
    """A second payment of an order is refused with the first one, so that the shop can go on with it."""
    first = await shop.pay(order_id="A-1")
    if paid:
        await shop.callback(**success_of(first))
    with pytest.raises(OrderConflictError) as refused:
        await shop.pay(order_id="A-1")

    assert refused.value.code is code
    assert refused.value.transaction == await shop.transaction(first.id)


async def test_concurrent_payments_of_one_order_leave_one(shop: Shop) -> None:
    """Twenty tabs of one customer open one payment."""
    results = await asyncio.gather(*(shop.pay(order_id="A-1") for _ in range(20)), return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert shop.requests("pay") == 1


async def test_payout_and_payment_of_one_order_do_not_conflict(shop: Shop) -> None:
    """Payouts have orders of their own; EPoint still sees two different order ids."""
    payout = await shop.pay(order_id="A-1", **await order_for(shop, Operation.PAYOUT))
    pay = await shop.pay(order_id="A-1")

    assert (payout.gateway_order_id, pay.gateway_order_id) == ("A-1", "A-1-2")


async def test_later_attempts_get_a_suffix_that_is_free(shop: Shop) -> None:
    """The merchant's own order id is sent first; a retry takes the next suffix that nobody uses."""
    await shop.pay(order_id="A-1-2")
    first = await shop.pay(order_id="A-1")
    await shop.callback(status="failed", order_id="A-1", transaction=first.gateway.transaction_id, code="116")
    second = await shop.pay(order_id="A-1")

    assert (first.gateway_order_id, second.gateway_order_id) == ("A-1", "A-1-3")
    found = await shop.cashier.lookup.transaction(TransactionBy(order_id="A-1"))
    assert found == second


# How a call can end --------------------------------------------------------------------------------------------

LOST = ("drop", "garbage", "http_500", "hang")


@pytest.mark.parametrize("reply", LOST)
@pytest.mark.parametrize("operation", CHARGES)
async def test_lost_answer_of_a_charge_is_indeterminate_and_then_found_out(
    shop: Shop, operation: Operation, reply: str
) -> None:
    """Money may have moved, so nothing is said until get-status, asked by order id, tells."""
    order = await order_for(shop, operation)
    order_id = f"lost-{reply}-{operation}"
    shop.plan(order_id, reply=reply)
    lost = await shop.pay(order_id=order_id, **order)
    assert (lost.status, lost.gateway.transaction_id) == (Status.INDETERMINATE, None)
    await shop.later(seconds=6)

    found = await shop.transaction(lost.id)
    assert (found.status, found.ask_at) == (Status.SUCCESS, None)
    assert found.gateway.transaction_id is not None
    assert (await shop.history(lost.id))[-1].source is EventSource.RECONCILER


@pytest.mark.parametrize("reply", LOST)
async def test_lost_answer_of_a_redirect_moved_nothing(shop: Shop, reply: str) -> None:
    """Nobody holds the URL, so the order is free for another attempt; a later success needs a person."""
    shop.plan("lost", reply=reply)
    lost = await shop.pay(order_id="lost")
    assert lost.failure is not None
    assert (lost.status, lost.failure.category, lost.failure.retryable) == (Status.FAILED, "TEMPORARY", True)
    assert not lost.holds_order
    await shop.callback(status="success", order_id="lost", transaction="te0000000001", amount="10.00")

    assert (await shop.transaction(lost.id)).status is Status.REQUIRES_REVIEW


@pytest.mark.parametrize("operation", [Operation.PAY, Operation.PAY_WITH_SAVED_CARD])
async def test_no_connection_means_nothing_was_sent(tmp_path: Path, operation: Operation) -> None:
    """The transaction fails as TEMPORARY, with the error beside it, and the order is free."""
    async with open_shop(tmp_path, gateway_url="http://127.0.0.1:9") as shop:
        card = CardBy(card_id="ce-made-elsewhere") if operation is Operation.PAY_WITH_SAVED_CARD else None
        call, order = payment(operation=operation, card=card)
        result = await shop.cashier.payments.start(call, order)

        assert result.error is not None
        assert result.error.code is ErrorCode.GATEWAY_UNAVAILABLE
        assert result.value.failure is not None
        assert (result.value.status, result.value.failure.retryable) == (Status.FAILED, True)
        assert not result.value.holds_order


async def test_refusal_to_open_stands_beside_the_failed_transaction(shop: Shop) -> None:
    """EPoint's `error` on opening is a failure in the books and GATEWAY_REFUSED beside it."""
    shop.simulator.state.switches = msgspec.structs.replace(
        shop.simulator.state.switches, payment_currencies=("AZN",)
    )
    call, order = payment(currency="USD")
    result = await shop.cashier.payments.start(call, order)

    assert result.error is not None
    assert (result.value.status, result.error.code) == (Status.FAILED, ErrorCode.GATEWAY_REFUSED)


async def test_unknown_keys_are_a_configuration_failure(shop: Shop) -> None:
    """EPoint refused the keys, so nothing was tried."""
    shop.simulator.state.merchants.clear()
    call, order = payment(operation=Operation.PAY_WITH_SAVED_CARD, card=CardBy(card_id="ce-made-elsewhere"))
    result = await shop.cashier.payments.start(call, order)

    assert result.error is not None
    assert result.value.failure is not None
    assert (result.value.failure.category, result.error.code) == ("CONFIGURATION", ErrorCode.GATEWAY_REFUSED)


async def test_caller_that_hangs_up_loses_nothing(shop: Shop) -> None:
    """The call to EPoint and the recording of its answer go on without the client that asked."""
    call, order = payment(**await order_for(shop, Operation.PAY_WITH_SAVED_CARD))
    asking = asyncio.create_task(shop.cashier.payments.start(call, order))
    while not shop.requests("pay_with_saved_card"):
        await asyncio.sleep(0)
    asking.cancel()
    await shop.cashier.books.drain()
    again = await shop.cashier.payments.start(call, order)

    assert (again.replayed, again.value.status) == (True, Status.SUCCESS)
    assert shop.requests("pay_with_saved_card") == 1


# Saved cards ----------------------------------------------------------------------------------------------------


async def test_card_that_is_not_active_is_refused_by_name(shop: Shop) -> None:
    """A card that was never confirmed cannot be charged, and nothing is recorded."""
    card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
    for by in (CardBy(id=card.id), CardBy(card_id=card.card_id)):
        with pytest.raises(RefusedError) as refused:
            await shop.pay(operation=Operation.PAY_WITH_SAVED_CARD, card=by, order_id="A-1")

        assert refused.value.code is ErrorCode.CARD_NOT_USABLE
    assert await shop.cashier.lookup.transaction(TransactionBy(order_id="A-1")) is None


async def test_debit_card_is_refused_for_a_payout(shop: Shop) -> None:
    """Only a card that was saved for payouts can be paid out to."""
    card = await shop.saved_card()
    with pytest.raises(RefusedError) as refused:
        await shop.pay(operation=Operation.PAYOUT, card=CardBy(id=card.id))

    assert (refused.value.code, refused.value.path) == (ErrorCode.CARD_NOT_USABLE, ("input", "card", "id"))


async def test_card_saved_elsewhere_is_adopted_by_its_epoint_id(shop: Shop) -> None:
    """A card from before this service is known after its first use."""
    known = await shop.saved_card()
    other_books = shop.cashier.books
    await other_books.write(lambda unit: unit.save_saved_card(msgspec.structs.replace(known, card_id="forgotten")))
    transaction = await shop.pay(operation=Operation.PAY_WITH_SAVED_CARD, card=CardBy(card_id=known.card_id))

    assert transaction.status is Status.SUCCESS
    assert transaction.saved_card_id is not None
    adopted = await shop.card(transaction.saved_card_id)
    assert (adopted.adopted, adopted.status, adopted.card_id) == (True, SavedCardStatus.ACTIVE, known.card_id)


async def test_card_that_epoint_calls_expired_is_refused_before_a_charge(shop: Shop) -> None:
    """EPoint's card status spares the customer a decline."""
    known = await shop.saved_card()
    assert known.card_id is not None
    state = shop.simulator.state.books.card(known.card_id)
    assert state is not None
    state.state = "expired"
    await shop.cashier.books.write(
        lambda unit: unit.save_saved_card(msgspec.structs.replace(known, card_id="forgotten"))
    )
    with pytest.raises(RefusedError) as refused:
        await shop.pay(operation=Operation.PAY_WITH_SAVED_CARD, card=CardBy(card_id=known.card_id))

    assert refused.value.code is ErrorCode.CARD_NOT_USABLE
    assert shop.requests("pay_with_saved_card") == 0


async def test_registration_replays_and_reconciles(shop: Shop) -> None:
    """A registration is idempotent, and its result is found out when the callback is lost."""
    call = a_call("saveCard")
    card = (await shop.cashier.cards.start(call, SaveCardOrder())).value
    again = await shop.cashier.cards.start(call, SaveCardOrder())
    assert (again.replayed, again.value, shop.requests("save_card")) == (True, card, 1)
    assert card.redirect_url is not None
    await shop.hosted_page(card.redirect_url, APPROVED)
    await shop.later(seconds=6)

    found = await shop.card(card.id)
    assert (found.status, found.redirect_url, found.ask_at) == (SavedCardStatus.ACTIVE, None, None)
    assert [event.current for event in await shop.history(card.id)] == ["PENDING", "ACTIVE"]


async def test_refused_registration_stands_beside_the_rejected_card(tmp_path: Path) -> None:
    """EPoint away: the card is rejected, the error says that nothing was sent."""
    async with open_shop(tmp_path, gateway_url="http://127.0.0.1:9") as shop:
        result = await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())

        assert result.error is not None
        assert (result.value.status, result.error.code) == (SavedCardStatus.REJECTED, ErrorCode.GATEWAY_UNAVAILABLE)


async def test_unfinished_registration_expires_after_a_day(shop: Shop) -> None:
    """A page that nobody filled in does not wait for ever."""
    card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
    await shop.later(hours=25)

    assert (await shop.card(card.id)).status is SavedCardStatus.EXPIRED


async def test_declined_card_page_fails_the_payment(shop: Shop) -> None:
    """The bank's code and category reach the books through get-status when the callback is lost."""
    transaction = await shop.pay()
    assert transaction.redirect_url is not None
    await shop.hosted_page(transaction.redirect_url, DECLINED)
    await shop.later(seconds=6)

    failed = await shop.transaction(transaction.id)
    assert failed.failure is not None
    assert (failed.status, failed.failure.category, failed.failure.bank_code) == (
        Status.FAILED,
        "INSUFFICIENT_FUNDS",
        "116",
    )
