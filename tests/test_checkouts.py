"""Checkouts at the cashier: what can be fixed, attempts one at a time, and every way one can end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gql_epoint.cashier.commands import NewCheckout, Result, TransactionBy
from gql_epoint.cashier.watching import SELDOM
from gql_epoint.errors import ErrorCode, KeyReusedError, OrderConflictError, RefusedError
from gql_epoint.keys import is_client_token
from gql_epoint.ledger.checkout import (
    CheckoutPurpose,
    CheckoutState,
    CheckoutStatus,
    ClientOperation,
    PaymentMethodType,
)
from gql_epoint.ledger.transaction import SavedCardStatus, Status, Transaction, TransactionOperation
from gql_epoint.live import Bell
from tests.cashier_kit import APPROVED, DECLINED, Shop, a_checkout, open_shop, success_of

HOSTED, SAVED, WIDGET = PaymentMethodType.HOSTED_PAGE, PaymentMethodType.SAVED_CARD, PaymentMethodType.WIDGET
SPLIT = {"split_user": "i000000002", "split_amount": Decimal("4.00")}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5, poll_s=0.1) as shop:
        yield shop


async def state_of(shop: Shop, made: NewCheckout) -> CheckoutState:
    state = await shop.cashier.checkouts.state(made.state.checkout.id)
    assert state is not None
    return state


async def attempt(shop: Shop, made: NewCheckout, **chosen: Any) -> Transaction:
    """Confirm, and return the transaction that counts."""
    result = await shop.confirm(made.state.checkout.id, **chosen)
    assert result.value.transaction is not None
    return result.value.transaction


async def at_epoint(shop: Shop, transaction: Transaction, card_number: str) -> None:
    """Act as the customer on EPoint's page, and hear of it."""
    assert transaction.redirect_url is not None
    await shop.hosted_page(transaction.redirect_url, card_number)
    await shop.cashier.lookup.refresh(TransactionBy(id=transaction.id), "test")


async def refused(shop: Shop, made: NewCheckout, **chosen: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await shop.confirm(made.state.checkout.id, **chosen)
    return caught.value


# Making one -----------------------------------------------------------------------------------------------------


async def test_new_checkout_is_open_and_has_a_token(shop: Shop) -> None:
    """The secret is given once, in a form that scanners know, and is not what is stored."""
    made = await shop.checkout()
    assert made.issued is not None
    token = made.issued.token

    assert made.state.status is CheckoutStatus.OPEN
    assert made.state.checkout.methods == {HOSTED}
    assert is_client_token(made.issued.secret)
    assert made.issued.secret not in repr(token)
    assert token.operations == set(ClientOperation)
    assert token.expires_at - made.state.checkout.created_at == timedelta(minutes=30)
    assert await shop.cashier.checkouts.find_token(made.issued.secret) == token


async def test_repeated_request_gets_the_checkout_and_no_token(shop: Shop) -> None:
    """The secret is kept nowhere, so it cannot be shown again; another token can be made."""
    call, order = a_checkout()
    first = await shop.cashier.checkouts.create(call, order)
    again = await shop.cashier.checkouts.create(call, order)
    checkout_id = first.value.state.checkout.id

    assert (again.replayed, again.value.state.checkout, again.value.issued) == (
        True,
        first.value.state.checkout,
        None,
    )
    operations = frozenset({ClientOperation.READ})
    issued = await shop.cashier.checkouts.create_token(checkout_id, operations)
    assert (issued.token.checkout_id, issued.token.operations) == (checkout_id, operations)


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"order_id": " "}, ErrorCode.INVALID_INPUT, ("orderId",)),
        ({"amount": None}, ErrorCode.INVALID_INPUT, ("amount",)),
        ({"amount": Decimal("0.001")}, ErrorCode.INVALID_INPUT, ("amount", "amount")),
        ({"ttl_s": 59}, ErrorCode.INVALID_INPUT, ("ttlSeconds",)),
        ({"ttl_s": 86_401}, ErrorCode.INVALID_INPUT, ("ttlSeconds",)),
        ({"attempts_max": 0}, ErrorCode.INVALID_INPUT, ("maxAttempts",)),
        ({"attempts_max": 21}, ErrorCode.INVALID_INPUT, ("maxAttempts",)),
        ({"client_operations": frozenset()}, ErrorCode.INVALID_INPUT, ("clientOperations",)),
        ({"methods": frozenset()}, ErrorCode.INVALID_INPUT, ("methods",)),
        ({"methods": frozenset({WIDGET}), **SPLIT}, ErrorCode.METHOD_NOT_ALLOWED, ("methods",)),
        (
            {"methods": frozenset({WIDGET, HOSTED}), "currency": "USD"},
            ErrorCode.CURRENCY_NOT_SUPPORTED,
            ("amount", "currency"),
        ),
        ({"methods": frozenset({WIDGET}), "save_card": True}, ErrorCode.INVALID_INPUT, ("saveCard",)),
        ({"methods": frozenset({SAVED})}, ErrorCode.INVALID_INPUT, ("savedCardIds",)),
        ({"saved_card_ids": ("card_1",)}, ErrorCode.NOT_FOUND, ("savedCardIds", "0")),
        ({"saved_card_ids": ("card_1",) * 21}, ErrorCode.INVALID_INPUT, ("savedCardIds",)),
        (
            {"methods": frozenset({HOSTED}), "saved_card_ids": ("card_1",)},
            ErrorCode.INVALID_INPUT,
            ("savedCardIds",),
        ),
        ({"save_card": True, "description": None}, ErrorCode.INVALID_INPUT, ("description",)),
        (
            {"save_card": True, "methods": frozenset({SAVED}), "saved_card_ids": ("card_1",)},
            ErrorCode.INVALID_INPUT,
            ("saveCard",),
        ),
        (SPLIT | {"currency": "USD"}, ErrorCode.CURRENCY_NOT_SUPPORTED, ("amount", "currency")),
        (SPLIT | {"split_amount": Decimal("10.01")}, ErrorCode.INVALID_INPUT, ("split", "amount")),
        ({"success_url": "ftp://shop.example"}, ErrorCode.URL_NOT_ALLOWED, ("returnUrls", "success")),
        ({"metadata": "[]"}, ErrorCode.INVALID_INPUT, ("metadata",)),
        ({"purpose": CheckoutPurpose.SAVE_CARD}, ErrorCode.INVALID_INPUT, ("amount",)),
        (
            {"purpose": CheckoutPurpose.SAVE_CARD, "amount": None, "methods": frozenset({SAVED})},
            ErrorCode.METHOD_NOT_ALLOWED,
            ("methods",),
        ),
        (
            {"purpose": CheckoutPurpose.SAVE_CARD, "amount": None, "order_id": ""},
            ErrorCode.INVALID_INPUT,
            ("orderId",),
        ),
        (
            {"purpose": CheckoutPurpose.SAVE_CARD, "amount": None, "metadata": "1"},
            ErrorCode.INVALID_INPUT,
            ("metadata",),
        ),
    ],
)
async def test_what_no_attempt_could_do_is_refused_at_once(
    shop: Shop, changes: dict[str, Any], code: ErrorCode, path: tuple[str, ...]
) -> None:
    """A backend hears of its mistake, not a customer; the key is not used."""
    call, order = a_checkout(**changes)
    with pytest.raises(RefusedError) as caught:
        await shop.cashier.checkouts.create(call, order)

    assert (caught.value.code, caught.value.path) == (code, ("input", *path))
    _, valid = a_checkout()
    assert not (await shop.cashier.checkouts.create(call, valid)).replayed


@pytest.mark.parametrize(
    ("paid", "code"), [(True, ErrorCode.ORDER_ALREADY_PAID), (False, ErrorCode.ORDER_IN_PROGRESS)]
)
async def test_order_that_is_live_or_paid_gets_no_checkout(shop: Shop, paid: bool, code: ErrorCode) -> None:
    """The backend learns of the other payment, with which it can go on."""
    other = await shop.paid(order_id="A-1") if paid else await shop.pay(order_id="A-1")
    with pytest.raises(OrderConflictError) as caught:
        await shop.checkout(order_id="A-1")

    assert (caught.value.code, caught.value.transaction.id) == (code, other.id)


# Paying ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixed", "operation"),
    [
        ({}, TransactionOperation.PAY),
        ({"save_card": True}, TransactionOperation.PAY_AND_SAVE_CARD),
        (SPLIT, TransactionOperation.SPLIT_PAY),
        (SPLIT | {"save_card": True}, TransactionOperation.SPLIT_PAY_AND_SAVE_CARD),
    ],
)
async def test_hosted_page_pays_what_was_fixed(
    shop: Shop, fixed: dict[str, Any], operation: TransactionOperation
) -> None:
    """The operation follows from the checkout; the customer pays, and it is complete."""
    made = await shop.checkout(**fixed, metadata='{"cart":1}')
    started = await attempt(shop, made, language="en")
    checkout = made.state.checkout

    assert (started.status, started.operation) == (Status.REQUIRES_ACTION, operation)
    assert (started.order_id, started.amount, started.currency) == (checkout.order_id, Decimal("10.00"), "AZN")
    assert (started.split_user, started.split_amount) == (checkout.split_user, checkout.split_amount)
    assert (started.metadata, started.language, started.checkout_id) == ('{"cart":1}', "en", checkout.id)
    await at_epoint(shop, started, APPROVED)
    done = await state_of(shop, made)
    assert (done.status, done.transaction and done.transaction.status) == (CheckoutStatus.COMPLETE, Status.SUCCESS)
    assert (done.card is not None) == checkout.save_card
    assert (await refused(shop, made)).code is ErrorCode.CHECKOUT_NOT_OPEN
    assert shop.requests(operation.lower()) == 1


@pytest.mark.parametrize("split", [{}, SPLIT])
async def test_saved_card_that_is_offered_is_charged(shop: Shop, split: dict[str, Any]) -> None:
    """It is decided at once, and a card that is not offered looks as if it did not exist."""
    offered, other = await shop.saved_card(), await shop.saved_card()
    made = await shop.checkout(saved_card_ids=(offered.id,), **split)
    assert made.state.checkout.methods == {HOSTED, SAVED}
    assert await shop.cashier.checkouts.offered_cards(made.state.checkout) == [offered]
    foreign = await refused(shop, made, card=other.id)
    missing = await refused(shop, made, card="card_nonsense")
    charged = await attempt(shop, made, card=offered.id)

    assert (foreign.code, foreign.message, foreign.path) == (missing.code, missing.message, missing.path)
    assert (charged.status, charged.saved_card_id) == (Status.SUCCESS, offered.id)
    assert charged.operation.endswith("PAY_WITH_SAVED_CARD")
    assert (await state_of(shop, made)).status is CheckoutStatus.COMPLETE


async def test_methods_that_are_not_offered_are_refused(shop: Shop) -> None:
    """Only what the backend allowed."""
    card = await shop.saved_card()
    hosted = await shop.checkout()
    saved = await shop.checkout(methods=frozenset({SAVED}), saved_card_ids=(card.id,))

    assert (await refused(shop, hosted, card=card.id)).code is ErrorCode.METHOD_NOT_ALLOWED
    assert (await refused(shop, saved)).code is ErrorCode.METHOD_NOT_ALLOWED


async def test_card_that_has_expired_since_is_refused_by_its_place(shop: Shop) -> None:
    """It is no longer shown, and the path is that of a browser's input."""
    card = await shop.saved_card()
    made = await shop.checkout(saved_card_ids=(card.id,))

    async def expire(unit: Any) -> None:
        known = await unit.saved_card(card.id)
        await unit.save_saved_card(msgspec.structs.replace(known, status=SavedCardStatus.EXPIRED))

    await shop.cashier.books.write(expire)
    told = await refused(shop, made, card=card.id)

    assert (told.code, told.path) == (ErrorCode.CARD_NOT_USABLE, ("input", "method", "savedCard"))
    assert await shop.cashier.checkouts.offered_cards(made.state.checkout) == []
    assert (await state_of(shop, made)).checkout.attempts == 0


@pytest.mark.parametrize(
    ("purpose", "for_payout"),
    [(CheckoutPurpose.SAVE_CARD, False), (CheckoutPurpose.SAVE_CARD_FOR_PAYOUT, True)],
)
async def test_card_is_saved_without_a_payment(shop: Shop, purpose: CheckoutPurpose, for_payout: bool) -> None:
    """The second confirmation gets the registration that waits; once saved, it is complete."""
    made = await shop.checkout(purpose=purpose, amount=None)
    first = (await shop.confirm(made.state.checkout.id)).value
    second = await shop.confirm(made.state.checkout.id)
    assert first.card is not None
    assert (second.replayed, second.value.card) == (True, first.card)
    assert (first.transaction, first.card.usable_for_payout) == (None, for_payout)
    assert first.card.redirect_url is not None
    await shop.hosted_page(first.card.redirect_url, APPROVED)
    await shop.callback(status="success", card_id=first.card.card_id, card_mask="411111******1111")

    assert (await state_of(shop, made)).status is CheckoutStatus.COMPLETE
    assert (await refused(shop, made)).code is ErrorCode.CHECKOUT_NOT_OPEN
    assert shop.requests("save_card") == 1


# One attempt at a time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_card", [False, True])
async def test_fifty_concurrent_confirmations_make_one_transaction(shop: Shop, with_card: bool) -> None:
    """Each with a key of its own: one starts the attempt, all others get it."""
    card = (await shop.saved_card()).id if with_card else None
    made = await shop.checkout(saved_card_ids=(card,) if card else ())
    results = await asyncio.gather(
        *(shop.confirm(made.state.checkout.id, card=card) for _ in range(50)), return_exceptions=True
    )
    confirmed = [result for result in results if not isinstance(result, BaseException)]

    # A charge may be decided before the last confirmation is heard, which is then too late.
    assert all(isinstance(result, (RefusedError, Result)) for result in results)
    assert with_card or len(confirmed) == 50
    assert len({result.value.transaction.id for result in confirmed if result.value.transaction}) == 1
    assert [result.replayed for result in confirmed].count(False) == 1
    assert (await state_of(shop, made)).checkout.attempts == 1
    assert shop.requests("pay_with_saved_card" if with_card else "pay") == 1


async def test_key_of_a_second_confirmation_belongs_to_the_attempt_it_got(shop: Shop) -> None:
    """Repeating it later cannot start another attempt by surprise."""
    made = await shop.checkout()
    first = await attempt(shop, made)
    key = "second-confirmation"
    assert (await attempt(shop, made, key=key)).id == first.id
    await at_epoint(shop, first, DECLINED)
    again = await shop.confirm(made.state.checkout.id, key=key)

    assert (again.replayed, again.value.transaction and again.value.transaction.id) == (True, first.id)
    assert (await state_of(shop, made)).checkout.attempts == 1


async def test_key_belongs_to_the_checkout_and_its_input(shop: Shop) -> None:
    """The same key in another checkout is another key; with another method it is refused."""
    card = await shop.saved_card()
    one, other = await shop.checkout(saved_card_ids=(card.id,)), await shop.checkout()
    key = "a-key-of-two-checkouts"
    first, second = await attempt(shop, one, key=key), await attempt(shop, other, key=key)

    assert first.id != second.id
    with pytest.raises(KeyReusedError):
        await shop.confirm(one.state.checkout.id, key=key, card=card.id)


async def test_declined_attempt_is_followed_by_another_until_none_is_left(shop: Shop) -> None:
    """Each attempt is a transaction of its own; the limit counts attempts, not confirmations."""
    made = await shop.checkout(attempts_max=2)
    first = await attempt(shop, made)
    await at_epoint(shop, first, DECLINED)
    declined = await state_of(shop, made)
    assert (declined.status, declined.checkout.attempts_left) == (CheckoutStatus.OPEN, 1)
    second = await attempt(shop, made)
    assert second.id != first.id
    await at_epoint(shop, second, DECLINED)

    assert (await refused(shop, made)).code is ErrorCode.ATTEMPT_LIMIT_REACHED
    assert (await state_of(shop, made)).status is CheckoutStatus.OPEN


async def test_late_success_of_an_older_attempt_needs_a_person(shop: Shop) -> None:
    """The first attempt was declined, the second one is paid, and then EPoint says that the first was too."""
    made = await shop.checkout()
    first = await attempt(shop, made)
    await shop.callback(status="failed", order_id=first.gateway_order_id, transaction=first.gateway.transaction_id)
    second = await attempt(shop, made)
    assert first.redirect_url is not None
    await at_epoint(shop, second, APPROVED)
    await shop.hosted_page(first.redirect_url, APPROVED)
    await shop.callback(**success_of(first))
    await shop.later(seconds=1)

    assert (await shop.transaction(first.id)).status is Status.REQUIRES_REVIEW
    state = await state_of(shop, made)
    assert (state.status, state.transaction and state.transaction.id) == (CheckoutStatus.COMPLETE, second.id)


async def test_order_that_is_paid_elsewhere_is_refused_without_a_word_about_it(shop: Shop) -> None:
    """What another payment is like is none of this browser's business."""
    made = await shop.checkout(order_id="A-1")
    await shop.paid(order_id="A-1")
    told = await refused(shop, made)

    assert (type(told), told.code) == (RefusedError, ErrorCode.ORDER_ALREADY_PAID)
    assert (await state_of(shop, made)).checkout.attempts == 0


async def test_refund_does_not_open_it_again(shop: Shop) -> None:
    """What was paid once is complete, whatever happens to the money later."""
    made = await shop.checkout()
    paid = await attempt(shop, made)
    await at_epoint(shop, paid, APPROVED)
    await shop.refund(await shop.transaction(paid.id))

    assert (await state_of(shop, made)).status is CheckoutStatus.COMPLETE
    assert (await refused(shop, made)).code is ErrorCode.CHECKOUT_NOT_OPEN


# The end --------------------------------------------------------------------------------------------------------


async def test_time_closes_it_unless_an_attempt_is_under_way(shop: Shop) -> None:
    """Nobody is cut off on EPoint's page; whoever comes later is."""
    idle, busy = await shop.checkout(ttl_s=60), await shop.checkout(ttl_s=60)
    started = await attempt(shop, busy)
    shop.clock.ahead += timedelta(seconds=61)

    assert (await state_of(shop, idle)).status is CheckoutStatus.EXPIRED
    assert (await refused(shop, idle)).code is ErrorCode.CHECKOUT_NOT_OPEN
    assert (await state_of(shop, busy)).status is CheckoutStatus.OPEN
    assert (await attempt(shop, busy)).id == started.id
    await at_epoint(shop, started, DECLINED)
    assert (await state_of(shop, busy)).status is CheckoutStatus.EXPIRED
    assert (await refused(shop, busy)).code is ErrorCode.CHECKOUT_NOT_OPEN


async def test_token_outlives_its_checkout_by_a_little(shop: Shop) -> None:
    """Long enough to see the result, and no longer; by the database's clock."""
    made = await shop.checkout(ttl_s=60)
    assert made.issued is not None
    find = shop.cashier.checkouts.find_token
    shop.clock.ahead += timedelta(seconds=61)
    assert await find(made.issued.secret) == made.issued.token
    shop.clock.ahead += timedelta(minutes=15)

    assert await find(made.issued.secret) is None
    later = await shop.cashier.checkouts.create_token(made.state.checkout.id, frozenset({ClientOperation.READ}))
    assert await find(later.secret) == later.token


@pytest.mark.parametrize("secret", ["", "ct_", "ct_" + "0" * 43 + "_000000", "sk_sandbox_development", "\ud800"])
async def test_what_is_no_token_finds_none(shop: Shop, secret: str) -> None:
    """A wrong checksum is not even looked up."""
    assert await shop.cashier.checkouts.find_token(secret) is None


async def test_canceled_checkout_starts_nothing_more(shop: Shop) -> None:
    """Twice is the same as once; a payment that was under way can still succeed."""
    made = await shop.checkout()
    checkout_id = made.state.checkout.id
    started = await attempt(shop, made)
    first, again = (
        await shop.cashier.checkouts.cancel(checkout_id),
        await shop.cashier.checkouts.cancel(checkout_id),
    )

    assert (first.value.status, first.replayed, again.replayed) == (CheckoutStatus.CANCELED, False, True)
    assert (await refused(shop, made)).code is ErrorCode.CHECKOUT_NOT_OPEN
    await at_epoint(shop, started, APPROVED)
    assert (await state_of(shop, made)).status is CheckoutStatus.COMPLETE
    with pytest.raises(RefusedError) as caught:
        await shop.cashier.checkouts.cancel(checkout_id)
    assert caught.value.code is ErrorCode.CHECKOUT_NOT_OPEN


async def test_unknown_checkout_is_not_found(shop: Shop) -> None:
    """By either mutation of a backend."""
    for work in (
        shop.cashier.checkouts.cancel("co_nonsense"),
        shop.cashier.checkouts.create_token("co_nonsense", frozenset(ClientOperation)),
    ):
        with pytest.raises(RefusedError) as caught:
            await work
        assert caught.value.code is ErrorCode.NOT_FOUND


async def test_cancellation_and_confirmation_at_once_agree(shop: Shop) -> None:
    """Whoever is first wins: no attempt starts after the cancellation, and none is lost before it."""
    for number in range(10):
        made = await shop.checkout()
        checkout_id = made.state.checkout.id
        both = [shop.confirm(checkout_id), shop.cashier.checkouts.cancel(checkout_id)]
        results: list[Any] = await asyncio.gather(*both[:: 1 if number % 2 else -1], return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        state = await state_of(shop, made)

        assert state.status is CheckoutStatus.CANCELED
        assert [getattr(error, "code", error) for error in errors] in ([], [ErrorCode.CHECKOUT_NOT_OPEN])
        assert (state.transaction is None) == bool(errors)
        assert state.checkout.attempts == (0 if errors else 1)


# What breaks ----------------------------------------------------------------------------------------------------


async def test_crash_after_the_intent_leaves_an_attempt_that_time_settles(shop: Shop) -> None:
    """Until the deadline everybody waits for it; after it the customer may try again."""
    made = await shop.checkout(order_id="A-1")
    shop.plan("A-1", reply="hang", reply_times=1)
    confirming = asyncio.create_task(shop.confirm(made.state.checkout.id))
    while not shop.requests("pay"):
        await asyncio.sleep(0.01)
    for task in tuple(shop.cashier.books.owned._under_way):  # noqa: SLF001 - the process dies here
        task.cancel()
    await asyncio.wait({confirming})
    waiting = await attempt(shop, made)
    assert waiting.status is Status.NEW
    shop.clock.ahead += timedelta(seconds=3)
    second = await attempt(shop, made)

    assert second.id != waiting.id
    assert second.status is Status.REQUIRES_ACTION
    assert (await shop.transaction(waiting.id)).status is Status.FAILED


async def test_refusal_before_the_intent_counts_no_attempt(shop: Shop) -> None:
    """The count and the transaction are one unit of work: both or neither."""
    made = await shop.checkout(order_id="A-1")
    other = await shop.pay(order_id="A-1")
    for _ in range(3):
        assert (await refused(shop, made)).code is ErrorCode.ORDER_IN_PROGRESS
    await at_epoint(shop, other, DECLINED)

    assert (await attempt(shop, made)).status is Status.REQUIRES_ACTION
    assert (await state_of(shop, made)).checkout.attempts == 1


async def test_what_epoint_says_of_the_shop_is_not_for_the_browser(shop: Shop) -> None:
    """The code stays, the words about keys do not."""
    shop.simulator.state.merchants.clear()
    made = await shop.checkout()
    result = await shop.confirm(made.state.checkout.id)

    assert result.error is not None
    assert result.error.code is ErrorCode.GATEWAY_REFUSED
    assert "EPOINT" not in result.error.message


# Watching -------------------------------------------------------------------------------------------------------


async def watch(shop: Shop, made: NewCheckout, seen: list[CheckoutState]) -> None:
    async for is_first, state in shop.cashier.watching.checkout(made.state.checkout.id):
        assert is_first == (not seen)
        seen.append(state)


async def heard(seen: list[CheckoutState], count: int) -> None:
    async with asyncio.timeout(10):
        while len(seen) < count:
            await asyncio.sleep(0.01)


async def test_watcher_sees_each_attempt_and_the_end(shop: Shop) -> None:
    """One stream from the first confirmation to the payment, over a decline and a second attempt."""
    made, seen = await shop.checkout(), list[CheckoutState]()
    watching = asyncio.create_task(watch(shop, made, seen))
    await heard(seen, 1)
    first = await attempt(shop, made)
    await at_epoint(shop, first, DECLINED)
    second = await attempt(shop, made)
    await at_epoint(shop, second, APPROVED)
    async with asyncio.timeout(10):
        await watching

    assert (seen[0].status, seen[0].transaction) == (CheckoutStatus.OPEN, None)
    assert seen[-1].status is CheckoutStatus.COMPLETE
    assert seen[-1].transaction is not None
    assert seen[-1].transaction.id == second.id
    marks = [state.mark for state in seen]
    assert len(set(marks)) == len(marks)


async def test_watcher_hears_of_the_cancellation_and_of_the_time(shop: Shop) -> None:
    """Both have no event: one rings by itself, the other is looked for when it is due."""
    canceled, late = await shop.checkout(), await shop.checkout(ttl_s=60)
    one, other = list[CheckoutState](), list[CheckoutState]()
    watching = asyncio.gather(watch(shop, canceled, one), watch(shop, late, other))
    await heard(one, 1)
    await heard(other, 1)
    await shop.cashier.checkouts.cancel(canceled.state.checkout.id)
    shop.clock.ahead += timedelta(seconds=61)
    async with asyncio.timeout(10):
        await watching

    assert [state.status for state in one] == [CheckoutStatus.OPEN, CheckoutStatus.CANCELED]
    assert [state.status for state in other] == [CheckoutStatus.OPEN, CheckoutStatus.EXPIRED]


async def test_watcher_that_waits_asks_the_books_seldom(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand who wait would else keep the books busy with nothing; what changes rings."""
    made, seen, reads = await shop.checkout(), list[CheckoutState](), 0
    books = shop.cashier.books
    read = books.read

    async def counted(work: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(work)

    monkeypatch.setattr(books, "read", counted)
    watching = asyncio.create_task(watch(shop, made, seen))
    await heard(seen, 1)
    at_first = reads
    await asyncio.sleep(5 * books.poll_s)

    assert reads == at_first
    await asyncio.sleep((SELDOM - 2) * books.poll_s)
    assert reads == at_first + 1  # in case that a wake-up was lost
    watching.cancel()
    await asyncio.wait({watching})
    assert books.live.watching() == 0


async def test_watcher_that_misses_a_wake_up_hears_later(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost wake-up costs a delay and never a change."""
    made, seen = await shop.checkout(), list[CheckoutState]()
    watching = asyncio.create_task(watch(shop, made, seen))
    await heard(seen, 1)
    monkeypatch.setattr(Bell, "ring", lambda _: None)
    await shop.cashier.checkouts.cancel(made.state.checkout.id)
    async with asyncio.timeout(10):
        await watching

    assert [state.status for state in seen] == [CheckoutStatus.OPEN, CheckoutStatus.CANCELED]


async def test_watcher_that_is_closed_while_it_waits_ends(shop: Shop) -> None:
    """Whoever closes may be another task than the one that waits; nothing stays behind."""
    made = await shop.checkout()
    states = shop.cashier.watching.checkout(made.state.checkout.id)
    await anext(states)
    waiting = asyncio.ensure_future(anext(states))
    await asyncio.sleep(0)
    await states.aclose()

    with pytest.raises(StopAsyncIteration):
        await waiting
    assert shop.cashier.books.live.watching() == 0
