"""The webhook's use case: applied once, in any order, stored whatever it says, and early ones are kept."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gql_epoint.cashier.callbacks import apply_unmatched_card
from gql_epoint.cashier.commands import CardBy, SaveCardOrder, TokenCharge, TransactionBy
from gql_epoint.epoint import GOOGLE_PAY, Callback
from gql_epoint.errors import RefusedError, SignatureError, UnreadableError
from gql_epoint.ledger.events import EventSource
from gql_epoint.ledger.transaction import (
    CallbackRecord,
    Disposition,
    SavedCardStatus,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.store.protocol import Page
from tests.cashier_kit import APPROVED, DECLINED, Shop, a_call, open_shop, signed, success_of


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        yield shop


@pytest.fixture(scope="module")
async def long_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """One shop for many generated examples, each on an order of its own."""
    async with open_shop(tmp_path_factory.mktemp("books")) as shop:
        yield shop


async def records(shop: Shop) -> list[CallbackRecord]:
    """All stored callbacks, oldest first."""
    page = await shop.cashier.books.read(lambda reader: reader.callbacks(Page(limit=100), None))
    return list(reversed(page))


def declined(transaction: Transaction, **changes: Any) -> dict[str, Any]:
    """The fields of a decline of this transaction."""
    fields = {
        "status": "failed",
        "order_id": transaction.gateway_order_id,
        "transaction": transaction.gateway.transaction_id,
        "code": "116",
        "message": {"message": "Kartda kifayət qədər balans yoxdur"},
    }
    return fields | changes


async def test_success_is_applied_and_told_in_the_history(shop: Shop) -> None:
    """The event names the callback that caused it."""
    transaction = await shop.pay()

    assert await shop.callback(**success_of(transaction)) == Disposition.APPLIED
    paid = await shop.transaction(transaction.id)
    assert (paid.status, paid.card_mask, paid.gateway.status) == (Status.SUCCESS, "411111******1111", "success")
    (record,) = await records(shop)
    last = (await shop.history(transaction.id))[-1]
    assert (last.source, last.callback_id) == (EventSource.GATEWAY_CALLBACK, record.id)
    assert record.transaction_id == transaction.id


async def test_repeated_callback_changes_nothing(shop: Shop) -> None:
    """The bank saying it twice makes one event and two stored callbacks."""
    transaction = await shop.pay()
    first = await shop.callback(**success_of(transaction))
    before = await shop.transaction(transaction.id)
    second = await shop.callback(**success_of(transaction, trace_id="another"))

    assert (first, second) == (Disposition.APPLIED, Disposition.DUPLICATE)
    assert await shop.transaction(transaction.id) == before
    assert len(await records(shop)) == 2


async def test_concurrent_copies_of_a_callback_make_one_event(shop: Shop) -> None:
    """Thirty deliveries at once are one change."""
    transaction = await shop.pay()
    found = await asyncio.gather(*(shop.callback(**success_of(transaction)) for _ in range(30)))

    assert sorted(found).count(Disposition.APPLIED) == 1
    assert len(await shop.history(transaction.id)) == 3


MISMATCHES = (
    {"amount": "9.99"},
    {"amount": 1000},
    {"order_id": "another-order"},
    {"transaction": "te9999999999"},
    {"currency": "USD"},
)


@pytest.mark.parametrize("paid_before", [False, True])
@pytest.mark.parametrize("difference", MISMATCHES)
async def test_success_that_differs_needs_a_person(
    shop: Shop, difference: dict[str, Any], paid_before: bool
) -> None:
    """Signed evidence against the order stops everything, after a success as well."""
    transaction = await shop.pay()
    if paid_before:
        await shop.callback(**success_of(transaction))

    assert await shop.callback(**success_of(transaction, **difference)) == Disposition.MISMATCH
    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_REVIEW


INCOMPLETE = ({"amount": None}, {"order_id": None}, {"amount": "ten"}, {"status": None}, {"status": "mystery"})


@pytest.mark.parametrize("card_number", [APPROVED, DECLINED])
@pytest.mark.parametrize("missing", INCOMPLETE)
async def test_callback_that_proves_nothing_makes_us_ask(
    shop: Shop, missing: dict[str, Any], card_number: str
) -> None:
    """What a callback lacks is asked of get-status at once, and that decides."""
    transaction = await shop.pay()
    assert transaction.redirect_url is not None
    await shop.hosted_page(transaction.redirect_url, card_number)
    told = await shop.callback(**success_of(transaction, **missing))
    assert told == Disposition.STALE
    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_ACTION
    await shop.cashier.reconciler.ask_due()

    expected = Status.SUCCESS if card_number == APPROVED else Status.FAILED
    assert (await shop.transaction(transaction.id)).status is expected


@pytest.mark.parametrize(
    ("card_number", "expected"), [(APPROVED, Status.SUCCESS), (DECLINED, Status.REQUIRES_REVIEW)]
)
@pytest.mark.parametrize("order", [0, 1])
async def test_contradiction_is_settled_by_get_status(
    shop: Shop, card_number: str, expected: Status, order: int
) -> None:
    """A success and a decline in either order: EPoint's own answer decides, or a person does."""
    transaction = await shop.pay()
    assert transaction.redirect_url is not None
    await shop.hosted_page(transaction.redirect_url, card_number)
    news = [success_of(transaction), declined(transaction)]
    first = await shop.callback(**news[order])
    second = await shop.callback(**news[1 - order])
    assert (first, second) == (Disposition.APPLIED, Disposition.MISMATCH)
    await shop.cashier.reconciler.ask_due()

    assert (await shop.transaction(transaction.id)).status is expected


async def test_late_success_of_an_older_attempt_needs_a_person(shop: Shop) -> None:
    """Two successes of one order: the second is held back for a person, and never shipped by itself."""
    first = await shop.pay(order_id="A-1")
    await shop.callback(**declined(first))
    second = await shop.pay(order_id="A-1")
    await shop.callback(**success_of(second))
    assert first.gateway.transaction_id is not None
    at_epoint = shop.simulator.state.books.transaction(first.gateway.transaction_id)
    assert at_epoint is not None
    at_epoint.status = "success"
    await shop.callback(**success_of(first))
    await shop.cashier.reconciler.ask_due()

    assert (await shop.transaction(first.id)).status is Status.REQUIRES_REVIEW
    assert (await shop.transaction(second.id)).status is Status.SUCCESS


async def test_order_with_an_open_contradiction_takes_no_new_payment(shop: Shop) -> None:
    """While nobody knows whether it is paid, nobody may pay it again."""
    transaction = await shop.pay(order_id="A-1")
    await shop.callback(**declined(transaction))
    await shop.callback(**success_of(transaction))
    with pytest.raises(RefusedError):
        await shop.pay(order_id="A-1")

    assert (await shop.transaction(transaction.id)).holds_order


async def test_unknown_order_is_stored_and_adopted_when_its_transaction_appears(shop: Shop) -> None:
    """A callback that nobody can place is kept, and applied once somebody can."""
    name = await shop.made_elsewhere("elsewhere")
    fields = {"status": "success", "order_id": "elsewhere", "transaction": name, "amount": 10}
    assert await shop.callback(**fields) == Disposition.UNMATCHED
    adopted = (await shop.cashier.lookup.refresh(TransactionBy(gateway_transaction_id=name), "test")).value

    (record,) = [found for found in await records(shop) if found.order_id == "elsewhere"]
    assert (record.transaction_id, record.disposition) == (adopted.id, Disposition.DUPLICATE)
    assert await shop.callback(**fields) == Disposition.DUPLICATE


@pytest.mark.parametrize("learnt_by", ["refresh", "adoption", "sweep", "callback"])
async def test_early_callback_is_taken_up_by_whoever_learns_the_name(shop: Shop, learnt_by: str) -> None:
    """Nothing here is known by EPoint's name when it comes, and it has no order id. Whatever names it, finds it."""
    transaction = await shop.pay(operation=TransactionOperation.WIDGET)
    assert transaction.gateway.transaction_id is None
    (at_epoint,) = shop.simulator.state.books.transactions
    name = at_epoint.transaction
    early = {"status": "failed", "transaction": name, "code": "116"}
    assert await shop.callback(**early) == Disposition.UNMATCHED
    match learnt_by:
        case "refresh":
            await shop.cashier.lookup.refresh(TransactionBy(id=transaction.id), "test")
        case "adoption":
            await shop.cashier.lookup.refresh(TransactionBy(gateway_transaction_id=name), "test")
        case "sweep":
            await shop.later(seconds=6)
        case "callback":
            await shop.callback(status="waiting", order_id=transaction.gateway_order_id, transaction=name)

    record = (await records(shop))[0]
    assert (record.disposition, record.transaction_id) == (Disposition.APPLIED, transaction.id)
    assert (await shop.transaction(transaction.id)).status is Status.FAILED
    assert await shop.callback(**early) == Disposition.DUPLICATE


async def test_early_callback_of_a_token_payment_settles_its_lost_charge(shop: Shop) -> None:
    """EPoint's record named no transaction, and the bank has not answered; what EPoint said before is heard."""
    opened = await shop.pay(operation=TransactionOperation.TOKEN_PAYMENT)
    name = opened.gateway.transaction_id
    unnamed = msgspec.structs.replace(opened, gateway=msgspec.structs.replace(opened.gateway, transaction_id=None))
    await shop.cashier.books.write(lambda unit: unit.save_transaction(unnamed))
    assert await shop.callback(status="failed", transaction=name, code="116") == Disposition.UNMATCHED
    order = TokenCharge(operation=GOOGLE_PAY, transaction_id=opened.id, token="silent")
    lost = (await shop.cashier.tokens.charge(a_call("googlePay"), order)).value
    assert lost.status is Status.INDETERMINATE
    await shop.later(seconds=6)

    assert (await shop.transaction(opened.id)).status is Status.FAILED
    assert [record.disposition for record in await records(shop)] == [Disposition.APPLIED]


async def test_callback_that_overtakes_the_reply_is_not_lost(shop: Shop) -> None:
    """EPoint can call back before its answer to the opening call is recorded."""
    shop.plan("A-1", reply="hang", reply_to=("pay",))
    opening = asyncio.create_task(shop.pay(order_id="A-1"))
    while not shop.requests("pay"):
        await asyncio.sleep(0.01)
    (at_epoint,) = shop.simulator.state.books.transactions
    name = at_epoint.transaction
    told = await shop.callback(status="success", order_id="A-1", transaction=name, amount="10.00")

    assert told == Disposition.APPLIED
    found = await shop.cashier.lookup.transaction(TransactionBy(order_id="A-1"))
    assert found is not None
    assert (found.status, found.gateway.transaction_id) == (Status.SUCCESS, name)
    # Its answer never comes, so nobody can have had the URL that was paid at: a person must look.
    assert (await opening).status is Status.REQUIRES_REVIEW


@pytest.mark.parametrize("words", list(itertools.permutations(("success", "failed"))))
async def test_card_registration_ends_the_same_in_any_order(shop: Shop, words: tuple[str, str]) -> None:
    """A customer may fail with one card and succeed with the next; the success counts."""
    card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
    for word in words:
        await shop.callback(status=word, card_id=card.card_id, code="000" if word == "success" else "500")

    assert (await shop.card(card.id)).status is SavedCardStatus.ACTIVE


async def test_card_callback_before_its_card_is_known_is_applied_when_it_is(shop: Shop) -> None:
    """It is stored as UNMATCHED, and applied in the unit of work that records EPoint's id for the card."""
    assert await shop.callback(status="success", card_id="ce-early") == Disposition.UNMATCHED
    card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
    named = msgspec.structs.replace(card, card_id="ce-early")
    await shop.cashier.books.write(lambda unit: apply_unmatched_card(unit, named))

    (record,) = await records(shop)
    assert (record.disposition, record.saved_card_id) == (Disposition.APPLIED, card.id)
    assert (await shop.card(card.id)).status is SavedCardStatus.ACTIVE


async def test_forged_and_reflected_bodies_leave_no_trace(shop: Shop) -> None:
    """What EPoint did not sign as a callback is refused and not stored."""
    transaction = await shop.pay()
    good = signed(success_of(transaction))
    forged = good.replace(b"signature=", b"signature=x")
    reflected = signed({"public_key": "i000000001", "order_id": transaction.order_id, "amount": "10.00"})
    for raw, error in ((forged, SignatureError), (reflected, SignatureError), (b"nonsense", UnreadableError)):
        with pytest.raises(error):
            await shop.cashier.callbacks.take("application/x-www-form-urlencoded", raw)

    assert await records(shop) == []
    assert (await shop.transaction(transaction.id)).status is Status.REQUIRES_ACTION


NEWS = st.lists(
    st.sampled_from(("paid", "paid", "declined", "wrong amount", "no amount", "unknown word", "silence")),
    min_size=1,
    max_size=6,
)


@given(news=NEWS, order=st.randoms(use_true_random=False), card_number=st.sampled_from((APPROVED, DECLINED)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_order_and_repetition_ends_the_same(
    long_shop: Shop, news: list[str], order: Any, card_number: str
) -> None:
    """Two transactions that hear the same callbacks in different orders end alike, given the same get-status."""
    ends = []
    shuffled = [*news, *news]
    order.shuffle(shuffled)
    for told in (news, shuffled):
        transaction = await long_shop.pay()
        assert transaction.redirect_url is not None
        await long_shop.hosted_page(transaction.redirect_url, card_number)
        for item in told:
            await _tell(long_shop, transaction, item)
        await long_shop.cashier.reconciler.ask_due()
        await long_shop.later(seconds=6)
        end = await long_shop.transaction(transaction.id)
        await long_shop.history(transaction.id)
        ends.append((end.status, end.amount, end.refunded_amount))

    assert ends[0] == ends[1]


async def _tell(shop: Shop, transaction: Transaction, item: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "paid": success_of(transaction),
        "declined": declined(transaction),
        "wrong amount": success_of(transaction, amount="1.00"),
        "no amount": success_of(transaction, amount=None),
        "unknown word": success_of(transaction, status="mystery"),
    }
    if item in fields:
        await shop.callback(**fields[item])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(
    st.sampled_from([*Callback.__struct_fields__, "public_key", "unknown"]), VALUES, max_size=8
)


@given(fields=FIELDS, of_ours=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_signed_nonsense_raises(long_shop: Shop, fields: dict[str, Any], of_ours: bool) -> None:
    """Whatever JSON EPoint signs, about one of our orders or not, is recorded or refused, and never breaks."""
    transaction = await long_shop.pay()
    if of_ours:
        fields = success_of(transaction) | fields
    with contextlib.suppress(SignatureError, UnreadableError):
        await long_shop.callback(**fields)

    await long_shop.history(transaction.id)


@given(raw=st.binary(max_size=200), content_type=st.text(max_size=40))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_bytes_raise(long_shop: Shop, raw: bytes, content_type: str) -> None:
    """Whatever is sent to the webhook is refused cleanly."""
    with pytest.raises((SignatureError, UnreadableError)):
        await long_shop.cashier.callbacks.take(content_type, raw)


async def test_saved_card_payment_gets_no_callback_but_survives_one(shop: Shop) -> None:
    """One SDK says that charges call back too; the same news again is a duplicate."""
    card = await shop.saved_card()
    paid = await shop.pay(operation=TransactionOperation.PAY_WITH_SAVED_CARD, card=CardBy(id=card.id))

    assert await shop.callback(**success_of(paid)) == Disposition.DUPLICATE
