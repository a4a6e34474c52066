"""Apple Pay, Google Pay and the widget at the cashier: charged once, whatever is lost, and no token is kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gql_epoint.cashier.commands import Call, Confirmation, Result, TokenCharge
from gql_epoint.epoint import APPLE_PAY, GOOGLE_PAY, TokenChargeRequest
from gql_epoint.errors import ErrorCode, InProgressError, KeyReusedError, OrderConflictError, RefusedError
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.checkout import CheckoutStatus, PaymentMethodType
from gql_epoint.ledger.events import EventSource
from gql_epoint.ledger.transaction import Status, Transaction, TransactionOperation
from tests.cashier_kit import MERCHANT, Shop, a_call, open_shop, payment, success_of
from tests.postgres import new_database

SECRET = "dpan-5200000000000007"
ORIGIN = "https://shop.example"
NOWHERE = "http://127.0.0.1:1"  # nobody listens there


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5, apple_pay_origins=frozenset({ORIGIN})) as shop:
        yield shop


async def opened(shop: Shop, **changes: Any) -> Transaction:
    return await shop.pay(operation=TransactionOperation.TOKEN_PAYMENT, **changes)


async def charge(
    shop: Shop, transaction: Transaction, token: Any = "approve", *, call: Call | None = None, **changes: Any
) -> Result[Transaction]:
    order = TokenCharge(operation=GOOGLE_PAY, transaction_id=transaction.id, token=token)
    return await shop.cashier.tokens.charge(call or a_call("googlePay"), msgspec.structs.replace(order, **changes))


async def refused(shop: Shop, transaction: Transaction, token: Any = "approve", **changes: Any) -> RefusedError:
    with pytest.raises(RefusedError) as refusal:
        await charge(shop, transaction, token, **changes)
    return refusal.value


async def test_opening_charges_nothing_and_names_the_record(shop: Shop) -> None:
    """The order is held, and EPoint's record is what a token is charged to; the order id describes it."""
    transaction = await opened(shop, description=None)
    record = shop.simulator.state.books.payment(int(transaction.token_payment_id or "0"))

    assert record is not None
    assert (record.status, record.order_id, record.description) == (
        "new",
        transaction.order_id,
        transaction.order_id,
    )
    assert (transaction.status, transaction.redirect_url) == (Status.REQUIRES_ACTION, None)
    assert transaction.holds_order
    assert transaction.description == transaction.order_id


@pytest.mark.parametrize("operation", [APPLE_PAY, GOOGLE_PAY])
async def test_charge_is_final_at_once(shop: Shop, operation: Any) -> None:
    """The history says who charged, and that EPoint answered."""
    transaction = await opened(shop)
    result = await charge(shop, transaction, {"simulate": "approve"}, operation=operation)

    assert (result.value.status, result.replayed, result.error) == (Status.SUCCESS, False, None)
    history = await shop.history(transaction.id)
    assert [(event.current, event.source) for event in history] == [
        ("NEW", EventSource.API),
        ("REQUIRES_ACTION", EventSource.GATEWAY_RESPONSE),
        ("NEW", EventSource.API),
        ("SUCCESS", EventSource.GATEWAY_RESPONSE),
    ]
    assert {event.actor for event in history} == {"test"}
    assert shop.requests(operation.name) == 1


async def test_success_of_a_charge_is_verified(shop: Shop) -> None:
    """Its answer names neither amount nor card, so get-status is asked once for them."""
    transaction = await opened(shop)
    await charge(shop, transaction)
    await shop.later(seconds=6)
    await shop.later(hours=1)
    found = await shop.transaction(transaction.id)

    assert (found.status, found.card_mask, found.ask_at) == (Status.SUCCESS, "520000******0007", None)
    assert found.gateway.rrn is not None
    assert shop.requests("get_status") == 1
    assert len(await shop.history(transaction.id)) == 4


async def test_charge_of_another_amount_is_for_a_person(shop: Shop) -> None:
    """EPoint said success, and then that it was less."""
    transaction = await opened(shop)
    await charge(shop, transaction)
    record = shop.simulator.state.books.payment(int(transaction.token_payment_id or "0"))
    assert record is not None
    record.amount = Decimal("0.01")
    await shop.later(seconds=6)

    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_REVIEW


async def test_declined_charge_is_data_and_the_next_attempt_is_another_payment(shop: Shop) -> None:
    """It frees the order; EPoint gets the order's id with a suffix."""
    transaction = await opened(shop)
    declined = (await charge(shop, transaction, "decline")).value
    assert (declined.status, declined.holds_order) == (Status.FAILED, False)
    assert declined.failure is not None
    again = await opened(shop, order_id=transaction.order_id)

    assert again.gateway_order_id == f"{transaction.order_id}-2"
    assert (await charge(shop, again)).value.status is Status.SUCCESS
    assert (await refused(shop, declined)).code is ErrorCode.INVALID_INPUT


async def test_bank_may_want_to_see_the_customer(shop: Shop) -> None:
    """The page is EPoint's, the payment waits, and get-status tells how it went."""
    transaction = await opened(shop)
    waiting = (await charge(shop, transaction, "redirect")).value
    assert waiting.status is Status.REQUIRES_ACTION
    assert waiting.redirect_url is not None
    assert (await refused(shop, waiting)).code is ErrorCode.ORDER_IN_PROGRESS
    async with shop.client.post(waiting.redirect_url, data={"decision": "confirm"}, allow_redirects=False) as page:
        assert page.status == 303
    await shop.later(seconds=6)

    assert (await shop.transaction(transaction.id)).status is Status.SUCCESS


# Once -------------------------------------------------------------------------------------------------------------


async def test_same_call_again_returns_the_payment_and_charges_nothing(shop: Shop) -> None:
    """With the same key, whatever token comes with it: nothing that is made of a token is kept to compare."""
    transaction = await opened(shop)
    call = a_call("googlePay")
    await charge(shop, transaction, call=call)
    again = await charge(shop, transaction, "decline", call=call)

    assert (again.replayed, again.value.status) == (True, Status.SUCCESS)
    assert shop.requests("google_pay") == 1
    with pytest.raises(KeyReusedError):
        await charge(shop, transaction, call=msgspec.structs.replace(call, input_hash="another"))


@pytest.fixture(params=["sqlite", "postgres"])
async def any_shop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shop]:
    """A cashier on each store: SQLite has one writer, PostgreSQL has locks and reruns."""
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(new_database()) if request.param == "postgres" else None
        yield await stack.enter_async_context(open_shop(tmp_path, database_url=url))


async def test_fifty_charges_at_once_are_one(any_shop: Shop) -> None:
    """Each with its own key and either wallet; all but one are told that it is being charged, or is paid."""
    shop = any_shop
    transaction = await opened(shop)
    calls = [charge(shop, transaction, operation=(APPLE_PAY, GOOGLE_PAY)[number % 2]) for number in range(50)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    won = [result for result in results if isinstance(result, Result)]
    lost = [result.code for result in results if isinstance(result, OrderConflictError)]

    assert (len(won), len(lost)) == (1, 49)
    assert set(lost) <= {ErrorCode.ORDER_IN_PROGRESS, ErrorCode.ORDER_ALREADY_PAID}
    assert shop.requests("apple_pay") + shop.requests("google_pay") == 1


async def test_fifty_repeats_of_one_call_are_one(any_shop: Shop) -> None:
    """The same key at the same time: one charges, the others wait or get its result."""
    shop = any_shop
    transaction = await opened(shop)
    call = a_call("googlePay")
    results = await asyncio.gather(
        *(charge(shop, transaction, call=call) for _ in range(50)), return_exceptions=True
    )
    others = [result for result in results if not isinstance(result, InProgressError)]

    assert all(isinstance(result, Result) and result.value.status is Status.SUCCESS for result in others)
    assert [result.replayed for result in others if isinstance(result, Result)].count(False) == 1
    assert shop.requests("google_pay") == 1


@pytest.mark.parametrize(
    ("make", "code", "path"),
    [
        (lambda shop: shop.pay(), ErrorCode.INVALID_INPUT, "transactionId"),
        (lambda shop: shop.pay(operation=TransactionOperation.WIDGET), ErrorCode.INVALID_INPUT, "transactionId"),
    ],
)
async def test_only_what_was_opened_for_a_token_is_charged(
    shop: Shop, make: Any, code: ErrorCode, path: str
) -> None:
    """A payment that waits on a page is paid there."""
    refusal = await refused(shop, await make(shop))

    assert (refusal.code, refusal.path) == (code, ("input", path))


async def test_payment_whose_record_epoint_did_not_name_is_not_charged(shop: Shop) -> None:
    """A page instead of a record is an answer that nobody has seen; there is nothing to charge a token to."""
    transaction = await opened(shop)
    odd = msgspec.structs.replace(transaction, token_payment_id=None)
    await shop.cashier.books.write(lambda unit: unit.save_transaction(odd))

    assert (await refused(shop, transaction)).code is ErrorCode.INVALID_INPUT
    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_ACTION


async def test_unknown_payment_is_not_found(shop: Shop) -> None:
    """And the key stays free."""
    transaction = await opened(shop)
    call = a_call("googlePay")
    nobody = msgspec.structs.replace(transaction, id="tr_nobody")

    assert (await refused(shop, nobody, call=call)).code is ErrorCode.NOT_FOUND
    assert (await charge(shop, transaction, call=call)).value.status is Status.SUCCESS


async def test_paid_payment_is_not_charged_again(shop: Shop) -> None:
    transaction = await opened(shop)
    await charge(shop, transaction)

    assert (await refused(shop, transaction)).code is ErrorCode.ORDER_ALREADY_PAID


@pytest.mark.parametrize(
    ("token", "contact", "path"),
    [
        (None, None, "token"),
        (17, None, "token"),
        ("", None, "token"),
        ({}, None, "token"),
        (["a"], None, "token"),
        ("x" * 33_000, None, "token"),
        ({"text": "\ud800"}, None, "token"),
        ("ok", {"name": "x" * 5_000}, "billingContact"),
    ],
)
async def test_what_cannot_be_a_token_never_leaves(shop: Shop, token: Any, contact: Any, path: str) -> None:
    """Refused before anything is recorded, by its place and not by its value."""
    transaction = await opened(shop)
    refusal = await refused(shop, transaction, token, billing_contact=contact)

    assert (refusal.code, refusal.path) == (ErrorCode.INVALID_INPUT, ("input", path))
    assert "xxx" not in refusal.message
    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_ACTION
    assert shop.requests("google_pay") == 0


# Lost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["drop", "garbage", "http_500", "hang"])
async def test_lost_answer_is_indeterminate_and_never_sent_again(shop: Shop, reply: str) -> None:
    """EPoint has charged it; the sweep finds out, and no repetition charges again."""
    transaction = await opened(shop)
    assert transaction.gateway.transaction_id is not None
    shop.plan(transaction.order_id or "", reply=reply, reply_to=("google_pay",))
    call = a_call("googlePay")
    result = await charge(shop, transaction, call=call)
    assert (result.value.status, result.error) == (Status.INDETERMINATE, None)
    assert (await refused(shop, transaction)).code is ErrorCode.ORDER_IN_PROGRESS
    again = await charge(shop, transaction, call=call)
    assert (again.replayed, again.value.status) == (True, Status.INDETERMINATE)
    await shop.later(seconds=6)

    assert (await shop.transaction(transaction.id)).status is Status.SUCCESS
    assert shop.requests("google_pay") == 1


async def test_bank_that_never_answers_leaves_it_indeterminate(shop: Shop) -> None:
    """EPoint still says new; a day later that means that nothing was charged."""
    transaction = await opened(shop)
    result = await charge(shop, transaction, "silent")
    assert result.value.status is Status.INDETERMINATE
    await shop.later(seconds=6)
    assert (await shop.transaction(transaction.id)).status is Status.INDETERMINATE
    await shop.later(hours=25)

    assert (await shop.transaction(transaction.id)).status is Status.EXPIRED


async def test_decline_in_a_word_that_proves_nothing_is_found_out(shop: Shop) -> None:
    """Only success is documented. Another word leaves it open, and get-status tells, with the bank's code."""
    switches = shop.simulator.state.switches
    shop.simulator.state.switches = msgspec.structs.replace(switches, declined_token_word="error")
    transaction = await opened(shop)
    assert (await charge(shop, transaction, "decline")).value.status is Status.INDETERMINATE
    await shop.later(seconds=6)
    found = await shop.transaction(transaction.id)

    assert found.status is Status.FAILED
    assert found.failure is not None
    assert found.failure.bank_code == "116"


@pytest.mark.parametrize("calls_back", [True, False])
async def test_simulator_calls_back_if_it_is_told_to(shop: Shop, calls_back: bool) -> None:
    """Both are played, for sources disagree; nothing here depends on it."""
    state = shop.simulator.state
    state.switches = msgspec.structs.replace(state.switches, token_callbacks=calls_back)
    transaction = await shop.pay(operation=TransactionOperation.WIDGET)
    assert transaction.redirect_url is not None
    await decide(shop, transaction.redirect_url, "approve")

    assert [delivery.order_id for delivery in state.deliveries] == [transaction.order_id] * calls_back


async def test_charge_that_does_not_reach_epoint_failed(tmp_path: Path) -> None:
    """Nothing was sent: the payment failed, and a new one may be made."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        transaction = await opened(shop)
        async with Gateway(MERCHANT, base_url=NOWHERE) as shop.cashier.books.gateway:
            result = await charge(shop, transaction)

        assert result.value.status is Status.FAILED
        assert result.error is not None
        assert result.error.code is ErrorCode.GATEWAY_UNAVAILABLE


async def test_callback_of_a_token_payment_is_taken(shop: Shop) -> None:
    """Whether one comes is disputed; if it does, it settles what was lost."""
    transaction = await opened(shop)
    shop.plan(transaction.order_id or "", reply="drop", reply_to=("google_pay",))
    await charge(shop, transaction)

    assert await shop.callback(**success_of(transaction)) == "APPLIED"
    assert (await shop.transaction(transaction.id)).status is Status.SUCCESS


async def test_charged_payment_is_refunded_like_any_other(shop: Shop) -> None:
    transaction = await opened(shop)
    await charge(shop, transaction)
    await shop.refund(transaction)

    assert (await shop.transaction(transaction.id)).status is Status.RETURNED


# Secret -----------------------------------------------------------------------------------------------------------


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_nothing_of_a_token_is_kept(shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the database, not in its journal, not in the log, in no repr; EPoint alone has it."""
    caplog.set_level(logging.DEBUG)
    transaction = await opened(shop)
    token = {"simulate": "approve", "paymentData": SECRET}
    order = TokenCharge(
        operation=APPLE_PAY, transaction_id=transaction.id, token=token, billing_contact={"name": SECRET}
    )
    await shop.cashier.tokens.charge(a_call("applePay"), order)
    request = TokenChargeRequest(id="1", token=token, billingContact=SECRET)
    written = everything_in(tmp_path)

    assert transaction.id.encode() in written
    assert SECRET.encode() not in written
    assert SECRET not in caplog.text
    for value in (order, request):
        shown = f"{value!r} {value.__rich_repr__()}"
        assert SECRET not in shown
        assert "***" in shown


# Apple's session --------------------------------------------------------------------------------------------------


async def test_session_is_passed_on_as_it_came(shop: Shop) -> None:
    """It is opaque: every field, with its type."""
    session = await shop.cashier.tokens.apple_session(ORIGIN)

    assert session["domainName"] == "shop.example"
    assert isinstance(session["expiresAt"], int)
    assert {"merchantSessionIdentifier", "nonce", "signature"} <= set(session)


@pytest.mark.parametrize("origin", ["https://evil.example", f"{ORIGIN}/", f"{ORIGIN}.evil.example", "", "null"])
async def test_session_is_for_allowed_origins_alone(shop: Shop, origin: str) -> None:
    """Whoever could get one for another page could show Apple Pay in the merchant's name."""
    with pytest.raises(RefusedError) as refusal:
        await shop.cashier.tokens.apple_session(origin)

    assert (refusal.value.code, refusal.value.path) == (ErrorCode.URL_NOT_ALLOWED, ("input", "origin"))
    assert shop.requests("apple_session") == 0


async def test_session_of_a_gateway_that_is_away(shop: Shop) -> None:
    async with Gateway(MERCHANT, base_url=NOWHERE) as shop.cashier.books.gateway:
        with pytest.raises(RefusedError) as refusal:
            await shop.cashier.tokens.apple_session(ORIGIN)

    assert refusal.value.code is ErrorCode.GATEWAY_UNAVAILABLE


@pytest.mark.parametrize("operation", ["WIDGET", "TOKEN_PAYMENT", "SPLIT_TOKEN_PAYMENT"])
async def test_what_epoint_has_not_granted_is_said_so(shop: Shop, operation: str) -> None:
    """The transaction failed, nothing is held, and the error names what to ask EPoint for."""
    books = shop.simulator.state
    key = next(iter(books.merchants))
    books.merchants[key] = msgspec.structs.replace(books.merchants[key], granted=())
    split = {"split_user": "i000000002", "split_amount": "1.00"} if operation.startswith("SPLIT") else {}
    call, order = payment(operation=TransactionOperation(operation))
    order = msgspec.structs.replace(
        order, **{k: type(order.amount)(v) if "amount" in k else v for k, v in split.items()}
    )
    result = await shop.cashier.payments.start(call, order)
    with pytest.raises(RefusedError) as session:
        await shop.cashier.tokens.apple_session(ORIGIN)

    assert (result.value.status, result.value.holds_order) == (Status.FAILED, False)
    assert result.error is not None
    for error in (result.error, session.value):
        assert error.code is ErrorCode.GATEWAY_REFUSED
        assert "Apple Pay and Google Pay must be granted to a merchant by EPoint" in error.message


@pytest.mark.parametrize("operation", [APPLE_PAY, GOOGLE_PAY])
async def test_charge_without_the_grant_is_open_and_says_what_to_ask_for(shop: Shop, operation: Any) -> None:
    """`error` proves nothing about the money, so it is found out; the hint stands beside it."""
    transaction = await opened(shop)
    books = shop.simulator.state
    key = next(iter(books.merchants))
    books.merchants[key] = msgspec.structs.replace(books.merchants[key], granted=())
    result = await charge(shop, transaction, operation=operation)

    assert result.value.status is Status.INDETERMINATE
    assert result.error is not None
    assert result.error.code is ErrorCode.GATEWAY_REFUSED
    assert "Apple Pay and Google Pay must be granted to a merchant by EPoint" in result.error.message
    assert result.error.message.endswith("proves nothing about the money: wait until it is found out.")


# The widget as a checkout's method --------------------------------------------------------------------------------

WIDGET = PaymentMethodType.WIDGET


async def confirm(shop: Shop, checkout_id: str, key: str | None = None) -> Any:
    call = a_call("confirmCheckout", owner=checkout_id, actor=checkout_id, input_hash="WIDGET")
    call = msgspec.structs.replace(call, key=key or call.key)
    return await shop.cashier.checkouts.confirm(call, checkout_id, Confirmation(method=WIDGET))


async def test_widget_pays_a_checkout(shop: Shop) -> None:
    """No callback, no hint: the sweep asks by the order id, and the checkout is complete."""
    checkout = (await shop.checkout(methods=frozenset({WIDGET}))).state.checkout
    state = (await confirm(shop, checkout.id)).value
    assert state.transaction.operation is TransactionOperation.WIDGET
    await decide(shop, state.transaction.redirect_url, "approve")
    await shop.later(seconds=6)
    done = await shop.cashier.checkouts.state(checkout.id)

    assert done is not None
    assert (done.status, done.transaction and done.transaction.status) == (CheckoutStatus.COMPLETE, Status.SUCCESS)


async def test_confirming_again_has_epoint_asked_soon(shop: Shop) -> None:
    """The page heard the widget's message: the same confirmation, and the next sweep asks."""
    checkout = (await shop.checkout(methods=frozenset({WIDGET}))).state.checkout
    key = "confirm-of-the-widget"
    transaction = (await confirm(shop, checkout.id, key)).value.transaction
    for seconds in (6, 17, 66):
        await shop.later(seconds=seconds)
    await decide(shop, transaction.redirect_url, "approve")
    await shop.later(seconds=20)
    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_ACTION  # the next one is in minutes
    again = await confirm(shop, checkout.id, key)
    assert again.replayed
    assert shop.cashier.books.something_to_ask.is_set()
    await shop.later(seconds=0)

    assert (await shop.transaction(transaction.id)).status is Status.SUCCESS
    assert shop.requests("widget") == 1


async def test_forged_hint_changes_nothing(shop: Shop) -> None:
    """EPoint is asked, says that nothing happened, and it waits as before."""
    checkout = (await shop.checkout(methods=frozenset({WIDGET}))).state.checkout
    transaction = (await confirm(shop, checkout.id)).value.transaction
    await shop.later(seconds=30)
    for _ in range(5):
        again = await confirm(shop, checkout.id)
        assert (again.replayed, again.value.transaction.id) == (True, transaction.id)
        await shop.later(seconds=0)

    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_ACTION
    assert await shop.history(transaction.id) == (await shop.history(transaction.id))[:2]
    assert shop.requests("get_status") <= 3


async def test_widget_that_epoint_does_not_know_yet_waits(shop: Shop) -> None:
    """Whether get-status knows an order before the customer acts is not documented; no answer proves nothing."""
    switches = shop.simulator.state.switches
    shop.simulator.state.switches = msgspec.structs.replace(switches, widget_known_at_once=False)
    transaction = await shop.pay(operation=TransactionOperation.WIDGET)
    await shop.later(hours=25)
    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_ACTION
    await shop.later(days=7)

    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_REVIEW


async def test_widget_on_a_foreign_host_is_not_shown(shop: Shop) -> None:
    """A frame inside the shop's page is where customers type: only EPoint's hosts, as for every other page."""
    settings = msgspec.structs.replace(shop.simulator.state.settings, public_url="https://evil.example")
    shop.simulator.state.settings = settings
    transaction = await shop.pay(operation=TransactionOperation.WIDGET)

    assert (transaction.status, transaction.redirect_url) == (Status.FAILED, None)


async def decide(shop: Shop, url: str, decision: str) -> None:
    async with shop.client.post(url, data={"decision": decision}, allow_redirects=False) as page:
        assert page.status == 303
