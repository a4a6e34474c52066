"""Holds at the cashier: captured once at most and never beside a cancellation, however calls and callbacks end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gql_epoint.cashier.commands import CaptureOrder, Result, TransactionBy
from gql_epoint.cashier.desk import by_gateway
from gql_epoint.cashier.hold_answers import settle_hold_request
from gql_epoint.errors import ErrorCode, InProgressError, KeyReusedError, OrderConflictError, RefusedError
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.events import EventSource
from gql_epoint.ledger.holds import HoldFinding
from gql_epoint.ledger.transaction import (
    HoldRequestKind,
    HoldRequestStatus,
    RefundStatus,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.simulator.settings import SimulatorSettings, Switches
from tests.cashier_kit import APPROVED, DECLINED, MERCHANT, Shop, a_call, open_shop, payment, success_of
from tests.simulator_client import granted_all_but

PREAUTHORIZE = TransactionOperation.PREAUTHORIZE


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        yield shop


async def held(shop: Shop, **changes: Any) -> Transaction:
    """Return 10 AZN that a customer has let hold."""
    opened = await shop.pay(operation=PREAUTHORIZE, **changes)
    assert opened.redirect_url is not None
    await shop.hosted_page(opened.redirect_url, APPROVED)
    await shop.callback(**success_of(opened))
    after = await shop.transaction(opened.id)
    assert after.status is Status.AUTHORIZED
    return after


async def capture(shop: Shop, hold: Transaction, amount: str | None = None, **call: Any) -> Result[Transaction]:
    """Capture a hold, or a part of it."""
    order = CaptureOrder(
        transaction=TransactionBy(id=hold.id), amount=None if amount is None else Decimal(amount), currency="AZN"
    )
    return await shop.cashier.holds.capture(a_call("capture", **call), order)


async def cancel(shop: Shop, hold: Transaction, **call: Any) -> Result[Transaction]:
    """Let a hold go."""
    return await shop.cashier.holds.cancel(a_call("cancelPreauthorization", **call), TransactionBy(id=hold.id))


async def find(shop: Shop, hold: Transaction, finding: HoldFinding, amount: str | None = None) -> Transaction:
    """Decide about a hold by hand."""
    captured = None if amount is None else Decimal(amount)
    result = await shop.cashier.holds.resolve(
        a_call("resolveHold"), hold.id, finding, captured, "Seen in the cabinet."
    )
    return result.value


async def not_granted(shop: Shop, *features: str) -> None:
    """Let EPoint take features away from the merchant."""
    url = f"{shop.simulator.url}/_control/merchants/{MERCHANT.public_key}"
    async with shop.client.put(url, json=granted_all_but(*features)) as answer:
        assert answer.status == 200


def at_epoint(shop: Shop, hold: Transaction) -> tuple[str | None, Decimal | None]:
    """Return where EPoint's books see the hold, and what was taken."""
    found = shop.simulator.state.books.transaction(hold.gateway.transaction_id or "")
    assert found is not None
    return found.hold, found.captured_amount


def request_of(hold: Transaction) -> tuple[HoldRequestKind, HoldRequestStatus]:
    """Return what was asked for last, and where that stands."""
    assert hold.hold_request is not None
    return hold.hold_request.kind, hold.hold_request.status


# The normal way -----------------------------------------------------------------------------------------------


async def test_hold_is_made_on_epoints_page(shop: Shop) -> None:
    """The callback authorises and takes nothing; the order is in progress."""
    hold = await held(shop, order_id="A-1")
    with pytest.raises(OrderConflictError, match="Capture it, or let it go") as refused:
        await shop.pay(order_id="A-1")

    assert at_epoint(shop, hold) == ("held", None)
    assert (hold.refundable_amount, hold.authorized_amount) == (0, Decimal("10.00"))
    assert (refused.value.code, refused.value.transaction.id) == (ErrorCode.ORDER_IN_PROGRESS, hold.id)


async def test_declined_hold_fails(shop: Shop) -> None:
    """A decline is data, and the order is free."""
    opened = await shop.pay(operation=PREAUTHORIZE)
    await shop.hosted_page(opened.redirect_url or "", DECLINED)
    await shop.later(seconds=6)
    after = await shop.transaction(opened.id)

    assert after.failure is not None
    assert (after.status, after.failure.bank_code, after.holds_order) == (Status.FAILED, "116", False)


@pytest.mark.parametrize(
    ("amount", "taken"), [(None, "10.00"), ("10.00", "10.00"), ("0.01", "0.01"), ("4", "4.00")]
)
async def test_capture_takes_all_or_a_part(shop: Shop, amount: str | None, taken: str) -> None:
    """What was taken is what can be refunded; the history names the capture and its amount."""
    hold = await held(shop)
    after = (await capture(shop, hold, amount)).value

    assert at_epoint(shop, hold) == ("captured", Decimal(taken))
    assert (after.status, after.taken_amount, after.refundable_amount) == (
        Status.SUCCESS,
        Decimal(taken),
        Decimal(taken),
    )
    events = (await shop.history(hold.id))[3:]
    assert [(event.kind, event.current, event.amount) for event in events] == [
        ("HOLD", "PROCESSING", Decimal(taken)),
        ("HOLD", "SUCCESS", Decimal(taken)),
        ("STATUS", "SUCCESS", None),
    ]


async def test_cancellation_lets_go_and_frees_the_order(shop: Shop) -> None:
    """VOIDED; the same order can be paid in another way."""
    hold = await held(shop, order_id="A-1")
    after = (await cancel(shop, hold)).value

    assert (after.status, after.holds_order, after.taken_amount) == (Status.VOIDED, False, 0)
    assert at_epoint(shop, hold) == ("released", None)
    assert (await shop.paid(order_id="A-1")).status is Status.SUCCESS


async def test_captured_part_is_refunded_and_no_more(shop: Shop) -> None:
    """Of 10 held and 6 captured: 2 go back, 4.01 are refused, the rest returns it."""
    hold = (await capture(shop, await held(shop), "6.00")).value
    await shop.refund(hold, "2.00")
    with pytest.raises(RefusedError) as refused:
        await shop.refund(hold, "4.01")
    await shop.refund(hold)
    returned = await shop.transaction(hold.id)

    assert refused.value.code is ErrorCode.REFUND_EXCEEDS_REFUNDABLE
    assert (returned.status, returned.refunded_amount) == (Status.RETURNED, Decimal("6.00"))
    (sent,) = [row for row in shop.simulator.state.books.transactions if row.order_id == hold.gateway_order_id]
    assert [refund.amount for refund in sent.refunds] == [Decimal("2.00"), Decimal("4.00")]


async def test_part_captured_and_refunded_in_the_cabinet_is_noticed(shop: Shop) -> None:
    """`returned` of a captured part returns that part."""
    hold = (await capture(shop, await held(shop), "6.00")).value
    async with shop.client.post(
        f"{shop.simulator.url}/_control/transactions/{hold.gateway.transaction_id}/refund", json={}
    ) as answer:
        assert answer.status == 200
    after = (await shop.cashier.lookup.refresh(TransactionBy(id=hold.id), "test")).value

    assert (after.status, after.refunded_amount) == (Status.RETURNED, Decimal("6.00"))


# Never twice, never both --------------------------------------------------------------------------------------


async def test_same_key_captures_once(shop: Shop) -> None:
    """A repetition shows the transaction as it is; another input under the key is refused."""
    hold = await held(shop)
    first = await capture(shop, hold, "4.00", key="capture-key-000001")
    again = await capture(shop, hold, "4.00", key="capture-key-000001")
    with pytest.raises(KeyReusedError):
        await capture(shop, hold, "5.00", key="capture-key-000001", input_hash="other")

    assert (first.replayed, again.replayed, again.value) == (False, True, first.value)
    assert shop.requests("capture") == 1


async def test_same_key_while_the_first_call_waits(shop: Shop) -> None:
    """It is told to come back; past the deadline whoever comes writes down that the answer is lost."""
    hold = await held(shop, order_id="A-1")
    shop.plan("A-1", reply="hang")
    waiting = asyncio.create_task(capture(shop, hold, key="capture-key-000001"))
    while not shop.requests("capture"):
        await asyncio.sleep(0.01)
    with pytest.raises(InProgressError):
        await capture(shop, hold, key="capture-key-000001")
    shop.clock.ahead += timedelta(seconds=3)
    lost = await capture(shop, hold, key="capture-key-000001")

    assert (lost.value.status, lost.replayed) == (Status.INDETERMINATE, True)
    assert (await waiting).value.status is Status.INDETERMINATE


@pytest.mark.parametrize("copies", [1, 10])
async def test_captures_and_cancellations_at_once_send_one_request(shop: Shop, copies: int) -> None:
    """However many come together with keys of their own, EPoint hears of one; the others are told why not."""
    hold = await held(shop)
    calls = [action(shop, hold) for _ in range(copies) for action in (capture, cancel)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    done = [result for result in results if not isinstance(result, BaseException)]
    refused = {result.code for result in results if isinstance(result, RefusedError)}

    assert (len(done), shop.requests("capture") + shop.requests("refund")) == (1, 1)
    assert refused <= {ErrorCode.HOLD_IN_PROGRESS, ErrorCode.NOT_CAPTURABLE}
    assert len(results) == len(done) + sum(isinstance(result, RefusedError) for result in results)
    after = await shop.transaction(hold.id)
    assert (after.status, at_epoint(shop, hold)[0]) in ((Status.SUCCESS, "captured"), (Status.VOIDED, "released"))


@pytest.mark.parametrize("after", ["capture", "cancel", "lost capture", "lost cancel", "opened", "failed", "paid"])
@pytest.mark.parametrize("action", [capture, cancel])
async def test_nothing_is_sent_for_what_is_not_held(shop: Shop, action: Any, after: str) -> None:
    """Captured, let go, in doubt, not yet held, declined, or no hold at all: each is refused, nothing is asked."""
    if after == "paid":
        hold = await shop.paid()
    elif after in ("opened", "failed"):
        hold = await shop.pay(operation=PREAUTHORIZE)
        if after == "failed":
            await shop.callback(status="failed", order_id=hold.gateway_order_id, code="116")
    else:
        hold = await held(shop, order_id="A-1")
        if after.startswith("lost"):
            shop.plan("A-1", reply="drop")
        await (capture if after.endswith("capture") else cancel)(shop, hold)
    sent = shop.requests("capture") + shop.requests("refund")
    with pytest.raises(RefusedError) as refused:
        await action(shop, hold)

    expected = ErrorCode.HOLD_IN_PROGRESS if after.startswith("lost") else ErrorCode.NOT_CAPTURABLE
    assert refused.value.code is expected
    assert shop.requests("capture") + shop.requests("refund") == sent


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("10.01", "AZN", ErrorCode.CAPTURE_EXCEEDS_AUTHORIZED),
        ("0", "AZN", ErrorCode.INVALID_INPUT),
        ("-1", "AZN", ErrorCode.INVALID_INPUT),
        ("1.001", "AZN", ErrorCode.INVALID_INPUT),
        ("NaN", "AZN", ErrorCode.INVALID_INPUT),
        ("1.00", "USD", ErrorCode.CURRENCY_NOT_SUPPORTED),
    ],
)
async def test_amount_that_cannot_be_captured(shop: Shop, amount: str, currency: str, code: ErrorCode) -> None:
    """It is refused before anything is written down, and the hold can still be captured."""
    hold = await held(shop)
    order = CaptureOrder(transaction=TransactionBy(id=hold.id), amount=Decimal(amount), currency=currency)
    with pytest.raises(RefusedError) as refused:
        await shop.cashier.holds.capture(a_call("capture"), order)

    assert (refused.value.code, shop.requests("capture")) == (code, 0)
    assert (await capture(shop, hold)).value.status is Status.SUCCESS


async def test_hold_is_no_payment_to_refund(shop: Shop) -> None:
    """Its reverse has a mutation of its own, and the refusal names it."""
    hold = await held(shop)
    with pytest.raises(RefusedError, match="cancelPreauthorization"):
        await shop.refund(hold)
    with pytest.raises(RefusedError) as unknown:
        await shop.cashier.holds.cancel(a_call("cancelPreauthorization"), TransactionBy(order_id="nobody's"))

    assert unknown.value.code is ErrorCode.NOT_FOUND
    assert shop.requests("refund") == 0


async def test_contradictory_hold_is_not_captured(shop: Shop) -> None:
    """EPoint says held and declined: until it is known which, nothing is taken."""
    hold = await held(shop)
    await shop.callback(status="failed", order_id=hold.gateway_order_id, transaction=hold.gateway.transaction_id)
    with pytest.raises(RefusedError) as refused:
        await capture(shop, hold)

    assert (refused.value.code, shop.requests("capture")) == (ErrorCode.NOT_CAPTURABLE, 0)


# Answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [capture, cancel])
async def test_declined_request_leaves_it_held_and_says_why(shop: Shop, action: Any) -> None:
    """AUTHORIZED as before, with the reason on the request and an error beside; a new key may try again."""
    hold = await held(shop, order_id="A-1")
    shop.plan("A-1", bank_code="116")
    declined = await action(shop, hold)

    request = declined.value.hold_request
    assert declined.error is not None
    assert (declined.error.code, declined.value.status) == (ErrorCode.GATEWAY_REFUSED, Status.AUTHORIZED)
    assert (request.status, request.failure.message) == (
        HoldRequestStatus.FAILED,
        "Kartda kifayət qədər balans yoxdur",
    )
    shop.simulator.state.forget_plan("A-1")
    again = await action(shop, hold)
    assert again.value.status in (Status.SUCCESS, Status.VOIDED)
    assert again.value.hold_request.number == 2


async def test_replay_of_a_declined_capture_after_another_one(shop: Shop) -> None:
    """The first key stands for the first request and sends nothing, whatever was asked since."""
    hold = await held(shop, order_id="A-1")
    shop.plan("A-1", bank_code="116", reply="normal")
    await capture(shop, hold, key="capture-key-000001")
    shop.plan("A-1", reply="hang")
    second = asyncio.create_task(capture(shop, hold))
    while shop.requests("capture") < 2:
        await asyncio.sleep(0.01)
    replay = await capture(shop, hold, key="capture-key-000001")

    assert (replay.replayed, request_of(replay.value)) == (
        True,
        (HoldRequestKind.CAPTURE, HoldRequestStatus.PROCESSING),
    )
    assert (await second).value.status is Status.INDETERMINATE
    assert shop.requests("capture") == 2


async def test_request_that_never_left_fails_and_can_be_tried_again(shop: Shop) -> None:
    """No connection: nothing moved, the amount is held, GATEWAY_UNAVAILABLE beside it."""
    hold = await held(shop)
    books = shop.cashier.books
    reachable = books.gateway
    async with Gateway(MERCHANT, base_url="http://127.0.0.1:9") as books.gateway:
        result = await capture(shop, hold)
    books.gateway = reachable

    assert result.error is not None
    assert result.error.code is ErrorCode.GATEWAY_UNAVAILABLE
    assert (result.value.status, request_of(result.value)[1]) == (Status.AUTHORIZED, HoldRequestStatus.FAILED)
    assert (await capture(shop, hold)).value.status is Status.SUCCESS


@pytest.mark.parametrize("reply", ["drop", "garbage", "http_500", "hang"])
@pytest.mark.parametrize("action", [capture, cancel])
async def test_lost_answer_is_indeterminate(shop: Shop, action: Any, reply: str) -> None:
    """Money may have moved: nothing is refundable, nothing can be sent, and the order stays in progress."""
    hold = await held(shop, order_id="A-1")
    shop.plan("A-1", reply=reply)
    result = await action(shop, hold)

    after = result.value
    assert (after.status, request_of(after)[1], result.error) == (
        Status.INDETERMINATE,
        HoldRequestStatus.INDETERMINATE,
        None,
    )
    assert (after.refundable_amount, after.authorized_amount, after.holds_order) == (0, 0, True)
    with pytest.raises(RefusedError) as refused:
        await capture(shop, hold)
    assert refused.value.code is ErrorCode.HOLD_IN_PROGRESS


@pytest.mark.parametrize("word", ["error", "pending", "server_error", ""])
async def test_unknown_word_in_the_answer_is_no_answer(tmp_path: Path, word: str) -> None:
    """The reply to a capture is undocumented: only `success` and `failed` are believed."""
    settings = SimulatorSettings(switches=Switches(not_granted_status=word))
    async with open_shop(tmp_path, settings=settings, call_limit_s=1.0, deadline_s=2.5) as shop:
        hold = await held(shop)
        await not_granted(shop, "pre-auth")

        assert (await capture(shop, hold)).value.status is Status.INDETERMINATE


async def test_request_whose_process_died_is_settled_after_its_deadline(shop: Shop) -> None:
    """Nobody waits for the answer any more, so the sweep says that it is lost."""
    hold = await held(shop, order_id="A-1")
    shop.plan("A-1", reply="hang")
    capturing = asyncio.create_task(capture(shop, hold))
    while not shop.requests("capture"):
        await asyncio.sleep(0.01)
    assert (await shop.lag()) == 0
    shop.clock.ahead += timedelta(seconds=3)
    assert (await shop.lag()) > 0
    await shop.cashier.reconciler.settle_overdue()
    request, status = (await shop.history(hold.id))[4:]

    assert (request.current, status.current, status.source) == (
        "INDETERMINATE",
        "INDETERMINATE",
        EventSource.RECONCILER,
    )
    assert (await capturing).value.status is Status.INDETERMINATE


async def test_refresh_past_the_deadline_says_that_the_answer_is_lost(shop: Shop) -> None:
    """Whoever finds it first writes it down, before what EPoint says is applied."""
    hold = await held(shop, order_id="A-1")
    shop.plan("A-1", reply="hang", reply_to=("capture",))
    capturing = asyncio.create_task(capture(shop, hold, "4.00"))
    while not shop.requests("capture"):
        await asyncio.sleep(0.01)
    shop.clock.ahead += timedelta(seconds=3)
    after = (await shop.cashier.lookup.refresh(TransactionBy(id=hold.id), "test")).value

    # EPoint took the part before it fell silent, and names it.
    assert (after.status, after.taken_amount) == (Status.SUCCESS, Decimal("4.00"))
    currents = [event.current for event in (await shop.history(hold.id))[3:]]
    assert currents == ["PROCESSING", "INDETERMINATE", "INDETERMINATE", "SUCCESS", "SUCCESS"]
    assert (await capturing).value.status is Status.SUCCESS


# What get-status can tell -------------------------------------------------------------------------------------


async def lost_capture(shop: Shop, amount: str | None, *, done: bool = True) -> Transaction:
    """Return a hold whose capture got no answer; EPoint has done it, or never heard of it."""
    hold = await held(shop, order_id="A-1")
    await shop.later(seconds=6)  # The first question about a hold, from which its word is learned.
    shop.plan("A-1", reply="drop" if done else "reset_before", reply_to=("capture",))
    await capture(shop, hold, amount)
    await shop.later(seconds=6)
    return await shop.transaction(hold.id)


@pytest.mark.parametrize(
    ("switches", "amount", "done", "status"),
    [
        # EPoint says `success` of what is held and of what was taken: nobody can tell but a person.
        ({}, None, True, Status.INDETERMINATE),
        ({}, None, False, Status.INDETERMINATE),
        # ... unless it names the part.
        ({}, "4.00", True, Status.SUCCESS),
        ({}, "4.00", False, Status.INDETERMINATE),
        ({"captured_amount_in_status": False}, "4.00", True, Status.INDETERMINATE),
        # It has a word of its own for what is held.
        ({"held_word": "pre_auth"}, None, True, Status.SUCCESS),
        ({"held_word": "pre_auth"}, "4.00", True, Status.SUCCESS),
        ({"held_word": "pre_auth", "captured_amount_in_status": False}, "4.00", True, Status.SUCCESS),
        ({"held_word": "pre_auth"}, None, False, Status.INDETERMINATE),
        # `new` teaches nothing: it could be an old answer.
        ({"held_word": "new"}, None, True, Status.INDETERMINATE),
    ],
)
async def test_lost_capture_is_asked_about(
    tmp_path: Path, switches: dict[str, Any], amount: str | None, done: bool, status: Status
) -> None:
    """Whatever EPoint's words for a hold are, nothing is taken for captured that was not."""
    settings = SimulatorSettings(switches=Switches(**switches))
    async with open_shop(tmp_path, settings=settings, call_limit_s=1.0, deadline_s=2.5) as shop:
        after = await lost_capture(shop, amount, done=done)

        assert after.status is status
        if status is Status.SUCCESS:
            assert after.taken_amount == (at_epoint(shop, after)[1])
        await shop.later(hours=25)
        expected = status if status is Status.SUCCESS else Status.REQUIRES_REVIEW
        assert (await shop.transaction(after.id)).status is expected
        assert shop.requests("capture") == 1


async def test_lost_cancellation_is_settled_by_returned(shop: Shop) -> None:
    """`returned` of something that was never captured means that the hold is gone."""
    hold = await held(shop, order_id="A-1")
    shop.plan("A-1", reply="drop", reply_to=("refund",))
    await cancel(shop, hold)
    await shop.later(seconds=6)
    after = await shop.transaction(hold.id)

    assert (after.status, request_of(after)) == (Status.VOIDED, (HoldRequestKind.CANCEL, HoldRequestStatus.SUCCESS))


async def test_hold_that_the_bank_lets_go_is_noticed(shop: Shop) -> None:
    """EPoint tells nobody; the daily question finds it, and a capture before that is declined."""
    shop.simulator.state.switches = Switches(hold_lifetime_s=-1)
    hold, other = await held(shop), await held(shop)
    declined = await capture(shop, other)
    await shop.later(days=1.2)

    assert request_of(declined.value) == (HoldRequestKind.CAPTURE, HoldRequestStatus.FAILED)
    for name in (hold.id, other.id):
        assert (await shop.transaction(name)).status is Status.VOIDED


async def test_capture_in_the_cabinet_needs_a_person(tmp_path: Path) -> None:
    """Where EPoint's words differ it is seen that somebody else took the money; how much is for a person to say."""
    settings = SimulatorSettings(switches=Switches(held_word="pre_auth", captured_amount_in_status=False))
    async with open_shop(tmp_path, settings=settings) as shop:
        hold = await held(shop)
        await shop.later(seconds=6)
        url = f"{shop.simulator.url}/_control/transactions/{hold.gateway.transaction_id}/capture"
        async with shop.client.post(url, json={"amount": "7.00"}) as answer:
            assert answer.status == 200
        await shop.later(days=1.2)
        assert (await shop.transaction(hold.id)).status is Status.REQUIRES_REVIEW
        after = await find(shop, hold, HoldFinding.CAPTURED, "7.00")

        assert (after.status, after.refundable_amount) == (Status.SUCCESS, Decimal("7.00"))
        assert (await shop.refund(after)).status is RefundStatus.SUCCESS


async def test_lost_callback_of_a_hold_is_made_up_for(shop: Shop) -> None:
    """get-status says `success`: held, and still nothing is taken."""
    opened = await shop.pay(operation=PREAUTHORIZE)
    await shop.hosted_page(opened.redirect_url or "", APPROVED)
    await shop.later(seconds=6)

    assert (await shop.transaction(opened.id)).status is Status.AUTHORIZED


# Decisions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finding", "amount", "status", "taken"),
    [
        (HoldFinding.HELD, None, Status.AUTHORIZED, "0"),
        (HoldFinding.CAPTURED, None, Status.SUCCESS, "4.00"),
        (HoldFinding.CAPTURED, "10.00", Status.SUCCESS, "10.00"),
        (HoldFinding.RELEASED, None, Status.VOIDED, "0"),
    ],
)
async def test_person_settles_a_lost_capture(
    tmp_path: Path, finding: HoldFinding, amount: str | None, status: Status, taken: str
) -> None:
    """With a note in the history; the same decision again decides nothing."""
    settings = SimulatorSettings(switches=Switches(captured_amount_in_status=False))
    async with open_shop(tmp_path, settings=settings, call_limit_s=1.0, deadline_s=2.5) as shop:
        hold = await lost_capture(shop, "4.00")
        captured, call = None if amount is None else Decimal(amount), a_call("resolveHold")
        decide = shop.cashier.holds.resolve
        result = await decide(call, hold.id, finding, captured, "Seen in the cabinet.")
        again = await decide(call, hold.id, finding, captured, "Seen in the cabinet.")

        assert (result.value.status, result.value.taken_amount) == (status, Decimal(taken))
        assert (again.replayed, again.value) == (True, result.value)
        last = (await shop.history(hold.id))[-1]
        assert (last.source, last.actor, last.note) == (EventSource.OPERATOR, "test", "Seen in the cabinet.")


async def test_decision_after_which_it_is_captured_again(shop: Shop) -> None:
    """A person found that EPoint never did it, so the shop may try once more."""
    hold = await lost_capture(shop, None, done=False)
    await find(shop, hold, HoldFinding.HELD)
    shop.simulator.state.forget_plan("A-1")

    assert (await capture(shop, hold)).value.status is Status.SUCCESS
    assert at_epoint(shop, hold) == ("captured", Decimal("10.00"))


async def test_decisions_that_make_no_sense_are_refused(shop: Shop) -> None:
    """Payments have another mutation, a settled hold needs none, and sums must fit."""
    paid, hold = await shop.paid(), await held(shop)
    done = (await capture(shop, await held(shop), "6.00")).value
    attempts = [
        find(shop, paid, HoldFinding.CAPTURED),
        find(shop, hold, HoldFinding.HELD),
        find(shop, hold, HoldFinding.RELEASED, "1.00"),
        find(shop, hold, HoldFinding.CAPTURED, "10.01"),
        find(shop, hold, HoldFinding.CAPTURED, "0"),
        find(shop, done, HoldFinding.RELEASED),
        shop.cashier.resolutions.transaction(a_call("resolveTransaction"), hold.id, True, "?"),
    ]
    refused = await asyncio.gather(*attempts, return_exceptions=True)

    assert [getattr(error, "code", error) for error in refused] == [ErrorCode.INVALID_INPUT] * len(attempts)
    paths = [error.path[-1] for error in refused if isinstance(error, RefusedError)]
    assert paths == [
        *("transactionId", "transactionId", "capturedAmount", "capturedAmount", "capturedAmount"),
        *("transactionId", "transactionId"),
    ]
    assert (await shop.transaction(hold.id)).status is Status.AUTHORIZED


@pytest.mark.parametrize("finding", [HoldFinding.CAPTURED, HoldFinding.HELD])
async def test_decision_takes_the_order_back_that_is_free_by_now(shop: Shop, finding: HoldFinding) -> None:
    """What was taken or is held after all is the payment of its order, so nobody may pay that a second time."""
    hold = (await cancel(shop, await held(shop, order_id="A-1"))).value
    other = await shop.pay(order_id="A-1")
    await shop.callback(**success_of(hold, amount="3.33"))
    assert (await shop.transaction(hold.id)).status is Status.REQUIRES_REVIEW
    await shop.callback(status="failed", order_id=other.gateway_order_id, transaction=other.gateway.transaction_id)
    assert (await shop.transaction(other.id)).status is Status.FAILED
    after = await find(shop, hold, finding)

    assert after.holds_order
    with pytest.raises(OrderConflictError):
        await shop.pay(order_id="A-1")


@pytest.mark.parametrize("is_paid_meanwhile", [False, True])
async def test_late_capture_after_a_decision_takes_the_order_back(shop: Shop, is_paid_meanwhile: bool) -> None:
    """A person said that it was let go, and the order was free; now EPoint says that it was captured."""
    hold = await lost_capture(shop, None)
    await find(shop, hold, HoldFinding.RELEASED)
    assert not (await shop.transaction(hold.id)).holds_order
    if is_paid_meanwhile:
        await shop.paid(order_id="A-1")
    done = HoldRequestStatus.SUCCESS
    after = await shop.cashier.books.write(
        lambda unit: settle_hold_request(unit, hold.id, 1, done, None, by_gateway(unit))
    )

    assert (after.status, after.holds_order) == (Status.REQUIRES_REVIEW, not is_paid_meanwhile)
    with pytest.raises(OrderConflictError):
        await shop.pay(order_id="A-1")


async def test_decision_leaves_the_order_to_a_payment_that_has_it_by_now(shop: Shop) -> None:
    """A person may find two payments of one order; neither is lost, and one holds it."""
    hold = (await cancel(shop, await held(shop, order_id="A-1"))).value
    paid = await shop.paid(order_id="A-1")
    await shop.callback(**success_of(hold, amount="3.33"))
    after = await find(shop, hold, HoldFinding.CAPTURED)

    assert (after.status, after.holds_order) == (Status.SUCCESS, False)
    assert (await shop.transaction(paid.id)).holds_order


async def test_decision_never_contradicts_refunds(shop: Shop) -> None:
    """What went back was taken before: a review of a refunded hold cannot end in less."""
    hold = (await capture(shop, await held(shop), "6.00")).value
    await shop.refund(hold, "5.00")
    await shop.callback(**success_of(hold, amount="3.33"))
    assert (await shop.transaction(hold.id)).status is Status.REQUIRES_REVIEW
    for finding, amount in ((HoldFinding.RELEASED, None), (HoldFinding.HELD, None), (HoldFinding.CAPTURED, "4.99")):
        with pytest.raises(RefusedError):
            await find(shop, hold, finding, amount)

    assert (await find(shop, hold, HoldFinding.CAPTURED, "5.00")).status is Status.RETURNED


# Grants -------------------------------------------------------------------------------------------------------


async def test_merchant_without_the_grant_is_told_to_ask_for_it(shop: Shop) -> None:
    """EPoint's own words, and what they probably mean; the order is free for another way to pay."""
    await not_granted(shop, "pre-auth")
    result = await shop.cashier.payments.start(*payment(operation=PREAUTHORIZE))

    assert result.error is not None
    assert (result.value.status, result.error.code) == (Status.FAILED, ErrorCode.GATEWAY_REFUSED)
    assert result.error.message == (
        "This service is not available. Pre-authorisation must be granted to a merchant by "
        "EPoint: ask it if that was done."
    )


async def test_capture_without_the_grant_is_open_and_says_what_to_ask_for(shop: Shop) -> None:
    """`error` is no documented end of a capture, so it is found out; what EPoint said is told beside it."""
    hold = await held(shop)
    await not_granted(shop, "pre-auth")
    result = await capture(shop, hold)

    assert result.value.status is Status.INDETERMINATE
    assert result.error is not None
    assert (result.error.code, result.error.message) == (
        ErrorCode.GATEWAY_REFUSED,
        "This service is not available. Pre-authorisation must be granted to a merchant by EPoint: ask it if that "
        "was done. This proves nothing about the money: wait until it is found out.",
    )
