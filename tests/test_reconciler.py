"""What nobody told us is found out: deadlines, schedules, the end of a day, decisions of people, and lost bells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gql_epoint.cashier.commands import CardBy, SaveCardOrder, TransactionBy
from gql_epoint.cashier.reconciler import BATCH
from gql_epoint.epoint.wire import Operation, ReplyT, RequestT
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.events import EventSource
from gql_epoint.ledger.schedule import JITTER_BYTES, spread
from gql_epoint.ledger.transaction import SavedCardStatus, Status, Transaction, TransactionOperation
from gql_epoint.store.protocol import Wakeup
from tests.cashier_kit import APPROVED, Shop, a_call, open_shop, payment, success_of


class WatchedGateway(Gateway):
    """A gateway that writes down what it is asked, and how much of it at the same time."""

    def __init__(self, real: Gateway) -> None:
        self._real = real
        self.heard: list[str] = []
        self.at_once = self.at_once_max = 0

    async def call(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, *, timeout_s: float | None = None
    ) -> ReplyT:
        self.heard.append(operation.name)
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            return await self._real.call(operation, request, timeout_s=timeout_s)
        finally:
            self.at_once -= 1


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5, poll_s=0.2) as shop:
        yield shop


async def charge(shop: Shop, order_id: str, reply: str) -> Transaction:
    """Charge a saved card while EPoint answers in some broken way."""
    card = await shop.saved_card()
    shop.plan(order_id, reply=reply)
    by = CardBy(id=card.id)
    return await shop.pay(order_id=order_id, operation=TransactionOperation.PAY_WITH_SAVED_CARD, card=by)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (TransactionOperation.PAY, Status.FAILED),
        (TransactionOperation.PAY_WITH_SAVED_CARD, Status.INDETERMINATE),
    ],
)
async def test_call_whose_process_died_is_settled_after_its_deadline(
    tmp_path: Path, operation: TransactionOperation, expected: Status
) -> None:
    """A process dies between recording the intent and the answer; the next one finds the deadline past."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        card = await shop.saved_card()
        by = CardBy(id=card.id) if operation is TransactionOperation.PAY_WITH_SAVED_CARD else None
        call, order = payment(operation=operation, card=by, order_id="A-1")
        desk = shop.cashier.payments
        # What `start` does before it calls EPoint, and then the process is gone.
        begun = await shop.cashier.books.write(lambda unit: desk._begin(unit, call, order))  # noqa: SLF001
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        early = await shop.transaction(begun.transaction.id)
        await shop.later(seconds=3)
        settled = await shop.transaction(begun.transaction.id)
        replayed = await shop.cashier.payments.start(call, order)

        assert (early.status, settled.status) == (Status.NEW, expected)
        assert (replayed.replayed, replayed.value.id) == (True, settled.id)
        assert shop.requests(operation.lower()) == 0
        assert (await shop.history(settled.id))[-1].source is EventSource.RECONCILER


async def test_retry_with_the_same_key_settles_a_dead_call_itself(tmp_path: Path) -> None:
    """Whoever finds the deadline past applies the rule; no sweep is needed."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        call, order = payment()
        desk = shop.cashier.payments
        await shop.cashier.books.write(lambda unit: desk._begin(unit, call, order))  # noqa: SLF001
        shop.clock.ahead += timedelta(seconds=3)
        result = await shop.cashier.payments.start(call, order)

        assert (result.replayed, result.value.status) == (True, Status.FAILED)
        assert (await shop.pay(order_id=order.order_id)).status is Status.REQUIRES_ACTION


async def test_refresh_that_settles_a_dead_call_settles_the_card_that_it_was_to_save(tmp_path: Path) -> None:
    """Nobody holds the page's address, so no card can come of it; it must not wait for ever."""
    async with open_shop(tmp_path, call_limit_s=1.0, deadline_s=2.5) as shop:
        call, order = payment(operation=TransactionOperation.PAY_AND_SAVE_CARD)
        desk = shop.cashier.payments
        begun = await shop.cashier.books.write(lambda unit: desk._begin(unit, call, order))  # noqa: SLF001
        shop.clock.ahead += timedelta(seconds=3)
        refreshed = (await shop.cashier.lookup.refresh(TransactionBy(id=begun.transaction.id), "test")).value
        card = await shop.card(refreshed.saved_card_id or "")

        assert (refreshed.status, card.status) == (Status.FAILED, SavedCardStatus.REJECTED)


async def test_answer_after_the_deadline_is_applied_as_news(shop: Shop) -> None:
    """The sweep was faster than a slow EPoint: the late answer still tells what happened."""
    card = await shop.saved_card()
    shop.plan("A-1", reply="hang")
    paying = asyncio.create_task(
        shop.pay(order_id="A-1", operation=TransactionOperation.PAY_WITH_SAVED_CARD, card=CardBy(id=card.id))
    )
    while not shop.requests("pay_with_saved_card"):
        await asyncio.sleep(0.01)
    shop.clock.ahead += timedelta(seconds=3)
    await shop.cashier.reconciler.settle_overdue()
    found = await shop.cashier.lookup.transaction(TransactionBy(order_id="A-1"))
    assert found is not None
    assert found.status is Status.INDETERMINATE
    await shop.later(seconds=6)

    assert (await shop.transaction(found.id)).status is Status.SUCCESS
    assert (await paying).status is Status.SUCCESS


async def test_questions_come_at_growing_distances(shop: Shop) -> None:
    """5 s, 15 s, 1 min, 5 min, 15 min, 1 h, then hourly to the end of the day; each up to a tenth longer."""
    transaction = await shop.pay()
    distances = []
    for _ in range(9):
        before = await shop.transaction(transaction.id)
        assert before.ask_at is not None
        distances.append((before.ask_at - shop.clock()).total_seconds())
        shop.clock.ahead += before.ask_at - shop.clock()
        await shop.cashier.reconciler.ask_due()

    documented = [5, 15, 60, 300, 900, 3600, 3600, 3600, 3600]
    # A little of each distance has passed by the time that it is measured.
    assert all(base - 1 < distance <= base * 1.1 for base, distance in zip(documented, distances, strict=True))
    assert distances != pytest.approx(documented, rel=0.0001)
    assert shop.requests("get_status") == 9


async def test_card_is_asked_about_at_growing_distances(shop: Shop) -> None:
    """The same for a registration that waits."""
    card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
    distances = []
    for _ in range(4):
        before = await shop.card(card.id)
        assert before.ask_at is not None
        distances.append((before.ask_at - shop.clock()).total_seconds())
        shop.clock.ahead += before.ask_at - shop.clock()
        await shop.cashier.reconciler.ask_due()

    documented = [5, 15, 60, 300]
    assert all(base - 1 < distance <= base * 1.1 for base, distance in zip(documented, distances, strict=True))


async def test_payment_whose_epoint_id_is_unknown_is_found_by_its_order(shop: Shop) -> None:
    """The answer to a charge is lost, and with it EPoint's id: the order id that it was sent leads to it."""
    lost = await charge(shop, "A-1", "drop")
    assert (lost.status, lost.gateway.transaction_id) == (Status.INDETERMINATE, None)
    await shop.later(seconds=6)
    found = await shop.transaction(lost.id)

    (at_epoint,) = (t for t in shop.simulator.state.books.transactions if t.order_id == "A-1")
    assert (found.status, found.gateway.transaction_id) == (Status.SUCCESS, at_epoint.transaction)


async def test_batch_is_bounded_and_cards_do_not_wait_behind_payments(shop: Shop) -> None:
    """EPoint never has more than a batch of questions at a time, and each batch of payments lets cards in."""
    transactions = [await shop.pay() for _ in range(BATCH + 5)]
    card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
    gateway = shop.cashier.books.gateway = WatchedGateway(shop.cashier.books.gateway)
    await shop.later(seconds=6)

    assert gateway.heard == ["get_status"] * BATCH + ["card_status"] + ["get_status"] * 5
    assert gateway.at_once_max == BATCH
    assert shop.requests("get_status") == len(transactions)
    assert (await shop.card(card.id)).asks == 1


async def test_lag_shows_a_sweep_that_does_not_come_round(shop: Shop) -> None:
    """Work that is due and not done is measured; a sweep brings it back to nothing."""
    assert await shop.lag() == 0.0
    await shop.pay()
    shop.clock.ahead += timedelta(seconds=65)
    waiting = await shop.lag()
    await shop.later(seconds=0)

    assert 59.0 < waiting < 75.0
    assert await shop.lag() == 0.0


def test_jitter_never_asks_early_and_adds_a_tenth_at_most() -> None:
    """The documented distance is the least; nothing to ask stays nothing, and what is due stays due."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = now + timedelta(seconds=100)

    assert spread(later, now, bytes(JITTER_BYTES)) == later
    assert spread(later, now, b"\x80" + bytes(JITTER_BYTES - 1)) == later + timedelta(seconds=5)
    most = spread(later, now, b"\xff" * JITTER_BYTES)
    assert most is not None
    assert timedelta(seconds=9.9) < most - later <= timedelta(seconds=10)
    assert spread(None, now, b"\xff" * JITTER_BYTES) is None
    assert spread(now, now, b"\xff" * JITTER_BYTES) == now


async def test_nothing_is_asked_once_it_is_final(shop: Shop) -> None:
    """A paid payment costs no more questions."""
    transaction = await shop.pay()
    await shop.callback(**success_of(transaction))
    await shop.later(hours=2)

    assert shop.requests("get_status") == 0


async def test_unfinished_payment_expires_after_a_day(shop: Shop) -> None:
    """EPoint still says `new`; a success after that is checked with EPoint before it counts."""
    transaction = await shop.pay(order_id="A-1")
    await shop.later(hours=25)
    expired = await shop.transaction(transaction.id)
    assert (expired.status, expired.failure and expired.failure.category) == (Status.EXPIRED, "ABANDONED")
    assert transaction.redirect_url is not None
    await shop.hosted_page(transaction.redirect_url, APPROVED)
    await shop.callback(**success_of(transaction))
    await shop.cashier.reconciler.ask_due()

    assert (await shop.transaction(transaction.id)).status is Status.SUCCESS


async def test_indeterminate_for_a_day_needs_a_person(shop: Shop) -> None:
    """EPoint never heard of the charge and proves nothing, so somebody has to look."""
    transaction = await charge(shop, "A-1", "reset_before")
    assert transaction.status is Status.INDETERMINATE
    await shop.later(hours=23)
    waiting = await shop.transaction(transaction.id)
    await shop.later(hours=2)

    assert (waiting.status, (await shop.transaction(transaction.id)).status) == (
        Status.INDETERMINATE,
        Status.REQUIRES_REVIEW,
    )


@pytest.mark.parametrize(("succeeded", "expected"), [(True, Status.SUCCESS), (False, Status.FAILED)])
async def test_person_settles_a_transaction(shop: Shop, succeeded: bool, expected: Status) -> None:
    """The decision, its author and its reason stay in the history; repeated news changes nothing."""
    transaction = await shop.pay()
    wrong = success_of(transaction, amount="1.00")
    await shop.callback(**wrong)
    call = a_call("resolveTransaction")
    result = await shop.cashier.resolutions.transaction(call, transaction.id, succeeded, "Asked the bank.")
    again = await shop.cashier.resolutions.transaction(call, transaction.id, succeeded, "Asked the bank.")
    await shop.callback(**wrong)

    assert (result.value.status, again.replayed) == (expected, True)
    last = (await shop.history(transaction.id))[-1]
    assert (last.source, last.note, last.current) == (EventSource.OPERATOR, "Asked the bank.", expected)
    assert result.value.holds_order is succeeded


async def test_settled_transactions_take_no_decision(shop: Shop) -> None:
    """Only what evidence could not settle is for people; a decision needs a reason."""
    transaction = await shop.pay()
    for note, code in (("why", ErrorCode.INVALID_INPUT), (" ", ErrorCode.INVALID_INPUT)):
        with pytest.raises(RefusedError) as refused:
            await shop.cashier.resolutions.transaction(a_call("resolve"), transaction.id, True, note)

        assert refused.value.code is code
    with pytest.raises(RefusedError) as missing:
        await shop.cashier.resolutions.transaction(a_call("resolve"), "tr_nonsense", True, "why")
    assert missing.value.code is ErrorCode.NOT_FOUND


async def test_sweep_goes_on_by_itself(shop: Shop) -> None:
    """The running reconciler settles and asks without being told."""
    running = asyncio.create_task(shop.cashier.reconciler.run())
    try:
        transaction = await shop.pay()
        assert transaction.redirect_url is not None
        await shop.hosted_page(transaction.redirect_url, APPROVED)
        shop.clock.ahead += timedelta(seconds=6)
        async with asyncio.timeout(10):
            while (await shop.transaction(transaction.id)).status is not Status.SUCCESS:
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# Watching -------------------------------------------------------------------------------------------------------


async def test_watcher_sees_the_state_then_newer_versions_then_the_end(shop: Shop) -> None:
    """A snapshot, strictly newer versions, and the stream ends at the first final state."""
    transaction = await shop.pay()
    seen = []
    async for first, state in shop.cashier.watching.transaction(TransactionBy(id=transaction.id)):
        seen.append((first, state.version, state.status))
        if len(seen) == 1:
            await shop.callback(**success_of(transaction))

    assert seen == [(True, 2, Status.REQUIRES_ACTION), (False, 3, Status.SUCCESS)]


async def test_watcher_of_something_final_gets_one_snapshot(shop: Shop) -> None:
    """Coming late costs nothing: the final state is told at once, and that is all."""
    paid = await shop.paid()
    seen = [state.status async for _, state in shop.cashier.watching.transaction(TransactionBy(id=paid.id))]

    assert seen == [Status.SUCCESS]


async def test_watcher_that_knows_a_version_hears_only_newer_ones(shop: Shop) -> None:
    """With afterVersion a paid payment can be watched for its refunds."""
    paid = await shop.paid()
    watching = shop.cashier.watching.transaction(TransactionBy(id=paid.id), paid.version)
    heard = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0.3)
    assert not heard.done()
    await shop.refund(paid, "1.00")
    _, state = await heard

    assert state.version > paid.version
    await watching.aclose()


async def test_lost_wake_up_costs_a_delay_and_no_change(shop: Shop) -> None:
    """A watcher whose bell never rings reads the row again by itself."""
    transaction = await shop.pay()
    watching = shop.cashier.watching.transaction(TransactionBy(id=transaction.id))
    await anext(watching)
    heard = asyncio.ensure_future(anext(watching))
    live = shop.cashier.books.live
    deaf, live._audiences = live._audiences, {}  # noqa: SLF001 - as if every wake-up were lost
    await shop.callback(**success_of(transaction))
    live._audiences = deaf  # noqa: SLF001
    async with asyncio.timeout(5):
        _, state = await heard

    assert state.status is Status.SUCCESS
    live.wake([Wakeup(transaction.id, 99)])
    await watching.aclose()


async def test_feed_resumes_without_loss_or_repetition(shop: Shop) -> None:
    """Every event once, in commit order, across any number of reconnections."""
    positions: list[int] = []
    for _ in range(4):
        await asyncio.gather(*(shop.pay() for _ in range(5)))
        feed = shop.cashier.watching.events(positions[-1] if positions else 0)
        for _ in range(7):
            event = await anext(feed)
            assert event.position is not None
            positions.append(event.position)
        await feed.aclose()

    assert positions == list(range(1, 29))


async def test_watching_what_does_not_exist_is_refused(shop: Shop) -> None:
    """An unknown transaction or card is NOT_FOUND at the first step."""
    for stream in (
        shop.cashier.watching.transaction(TransactionBy(id="tr_nonsense")),
        shop.cashier.watching.saved_card(CardBy(card_id="ce-nonsense")),
    ):
        with pytest.raises(RefusedError) as refused:
            await anext(stream)

        assert refused.value.code is ErrorCode.NOT_FOUND


async def test_saved_card_is_watched_until_it_is_decided(shop: Shop) -> None:
    """The stream of a registration ends when the card is usable or refused."""
    card = (await shop.cashier.cards.start(a_call("saveCard"), SaveCardOrder())).value
    seen = []
    async for _, state in shop.cashier.watching.saved_card(CardBy(id=card.id)):
        seen.append(state.status)
        if len(seen) == 1:
            await shop.callback(status="success", card_id=card.card_id)

    assert seen == [SavedCardStatus.PENDING, SavedCardStatus.ACTIVE]


async def test_amounts_survive_the_whole_way(shop: Shop) -> None:
    """The largest amount, to the qəpik, is what EPoint gets and what the books keep."""
    transaction = await shop.pay(amount=Decimal("9999999.99"))
    (at_epoint,) = shop.simulator.state.books.transactions

    assert at_epoint.amount == transaction.amount == Decimal("9999999.99")
