"""A seeded simulation of bad days: `make torture SEED=7 MINUTES=5`, or `python -m tests.torture 7 5 postgresql`.

One cashier on a SQLite file, or on a PostgreSQL database, talks HTTP to a simulator. A generator of numbers decides
every step: what the shop, its customers, banks and EPoint do, which replies are lost, spoilt or held back, in which
order and how often callbacks come, when the cashier dies with calls under way, and how the clock jumps. The
invariants are checked after each step. At the end of a round everything that is still on its way arrives, days
pass, a person decides what is left by looking into EPoint's books, and then both books must say the same.

How far a seed reproduces a run: ids, times, amounts and faults all come from the seed, the clock moves only when a
step moves it, and a step begins when the one before has ended or its call is held. So the books of two runs are the
same to the byte, which a test holds. Left out of that are bursts, where the calls of one step race for real: who
wins there is up to sockets and threads. `bursts=False` runs without them. PostgreSQL's own clock cannot be stopped,
only put forward and back: there the steps are the same, and times differ by what the machine took for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.commands import (
    Call,
    CaptureOrder,
    CardBy,
    PaymentOrder,
    RefundOrder,
    SaveCardOrder,
    TokenCharge,
    TransactionBy,
)
from gql_epoint.cashier.desk import Books, Defaults
from gql_epoint.epoint.operations import APPLE_PAY, GOOGLE_PAY
from gql_epoint.epoint.wire import Kind, Operation, ReplyT, RequestT, Upload
from gql_epoint.errors import GatewayUnclearError, InProgressError, RefusedError
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.holds import HoldFinding
from gql_epoint.ledger.transaction import (
    RefundStatus,
    SavedCardStatus,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.live import Live
from gql_epoint.simulator.books import Card
from gql_epoint.simulator.server import RunningSimulator, running
from gql_epoint.simulator.settings import OrderPlan, SimulatorSettings, Switches
from gql_epoint.store.postgres import PostgresStore
from gql_epoint.store.protocol import Store
from gql_epoint.store.sqlite import SqliteStore
from tests.audit import WAITS_FOR_A_PERSON, Ledger, check_against_gateway, check_invariants, read_ledger
from tests.cashier_kit import APPROVED, DECLINED, MERCHANT, signed
from tests.postgres import new_database
from tests.torture_business import PUBLIC_URL, BusinessSteps

SQLITE, POSTGRESQL = STORES = ("sqlite", "postgresql")
STEPS = 160
PATIENCE_S = 20.0
CARD = "ce000000-0000-4000-8000-000000000001"
PAYOUT_CARD = "ce000000-0000-4000-8000-000000000002"
OPERATIONS = (
    (TransactionOperation.PAY, None),
    (TransactionOperation.PAY, None),
    (TransactionOperation.PAY_WITH_SAVED_CARD, CARD),
    (TransactionOperation.PAY_WITH_SAVED_CARD, CARD),
    (TransactionOperation.PAY_AND_SAVE_CARD, None),
    (TransactionOperation.PAYOUT, PAYOUT_CARD),
    (TransactionOperation.WIDGET, None),
    (TransactionOperation.TOKEN_PAYMENT, None),
    (TransactionOperation.TOKEN_PAYMENT, None),
    (TransactionOperation.PREAUTHORIZE, None),
    (TransactionOperation.PREAUTHORIZE, None),
)
TOKENS = ("approve", "approve", "approve", "decline", "redirect")
# What EPoint may say of something that is held; none of it is documented.
HELD_WORDS = ("success", "success", "pre_auth", "new")
SPOILT = ("normal", "drop", "garbage", "http_500", "reset_before", "http_500_before")
START = datetime(2026, 1, 1, 9, tzinfo=UTC)


class PowerCutError(Exception):
    """The process of this call is gone."""


class ManualClock:
    """A clock that stands still between jumps."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class BadWire(Gateway):
    """A gateway whose answers may be held back, to come later, never, or after the process died."""

    def __init__(self, real: Gateway, random: Random) -> None:
        self._real = real
        self._random = random
        self._turn = asyncio.Lock()
        self.held: list[asyncio.Future[None]] = []
        self.something_held = asyncio.Event()
        self.calm = False

    async def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        timeout_s: float | None = None,
        files: Sequence[Upload] = (),
    ) -> ReplyT:
        hold = not self.calm and operation.kind is not Kind.LOOKUP and self._random.random() < 0.3
        async with self._turn:
            reply = await self._real.call(operation, request, timeout_s=timeout_s, files=files)
        if hold:
            release: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.held.append(release)
            self.something_held.set()
            await release
        return reply

    def release(self, index: int, error: Exception | None = None) -> None:
        """Let a held answer arrive, or end its wait with an error."""
        future = self.held.pop(index)
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class Round:
    """One database from its first step to its last check."""

    def __init__(
        self,
        seed: str,
        new_store: Callable[[], Store],
        simulator: RunningSimulator,
        clock: ManualClock,
        real: Gateway,
    ) -> None:
        self.random = Random(f"{seed} steps")
        self.chance = Random(f"{seed} ids")
        self.new_store = new_store
        self.simulator = simulator
        self.clock = clock
        self.wire = BadWire(real, Random(f"{seed} wire"))
        self.tasks: list[asyncio.Task[Any]] = []
        self.calls: list[tuple[Call, PaymentOrder]] = []
        self.refund_calls: list[tuple[Call, RefundOrder]] = []
        self.hold_calls: list[tuple[Call, CaptureOrder | TransactionBy]] = []
        self.card_calls: list[Call] = []
        self.charge_calls: list[tuple[Call, TokenCharge]] = []
        self.made: dict[str, str] = {}
        self.taken = 0
        self.delivered: Counter[int] = Counter()
        self.feed: list[tuple[str, int, int | None]] = []
        self.trace: list[str] = []
        self.client = aiohttp.ClientSession()
        self.business = BusinessSteps(self)
        self.store: Store
        self.cashier: Cashier

    # The process ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self.store = self.new_store()
        await self.store.open()
        books = Books(
            store=self.store,
            gateway=self.wire,
            live=Live(),
            private_key=MERCHANT.private_key,
            sandbox=True,
            defaults=Defaults(),
            random=self.chance.randbytes,
            public_url=PUBLIC_URL,
        )
        self.cashier = Cashier(books)

    async def die(self) -> None:
        """End with every call under way, and start again on the same database."""
        while self.wire.held:
            self.wire.release(0, PowerCutError())
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()
        await self.store.close()
        await self.open()

    async def run(self, work: Awaitable[Any]) -> None:
        """Start something and come back when it has ended or its answer is held back."""
        self.wire.something_held.clear()
        task = asyncio.ensure_future(work)
        self.tasks.append(task)
        held = asyncio.ensure_future(self.wire.something_held.wait())
        await asyncio.wait({task, held}, return_when=asyncio.FIRST_COMPLETED)
        held.cancel()
        await self.reap()

    async def reap(self) -> None:
        """Look at what has ended; a refusal is an answer, everything else that is raised is a bug."""
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            if (error := task.exception()) is not None and not isinstance(error, (RefusedError, PowerCutError)):
                raise error

    # Steps ----------------------------------------------------------------------------------------------------

    def new_call(self, mutation: str) -> Call:
        key = f"key-{self.chance.getrandbits(64):016x}"
        return Call(owner=MERCHANT.public_key, actor="shop", mutation=mutation, key=key, input_hash=key)

    async def once(self, desk: Any, call: Call, order: Any) -> None:
        """Ask a desk for something; whatever a key has once made, it makes for ever."""
        made = (await desk.start(call, order)).value.id
        assert self.made.setdefault(call.key, made) == made, "a key made two things"

    async def pay(self) -> None:
        operation, card = self.random.choice(OPERATIONS)
        order_id = f"order-{self.random.randrange(40)}"
        plan = OrderPlan(
            reply=self.random.choice(SPOILT) if self.random.random() < 0.4 else "normal",  # type: ignore[arg-type]
            reply_times=1,
            bank_code="116" if self.random.random() < 0.2 else None,
        )
        for attempt in (order_id, *(f"{order_id}-{number}" for number in range(2, 9))):
            self.simulator.state.set_plan(attempt, plan)
        order = PaymentOrder(
            operation=operation,
            order_id=order_id,
            amount=Decimal(self.random.randrange(100, 100_000)) / 100,
            currency="AZN",
            description="A thing",
            card=CardBy(card_id=card) if card else None,
        )
        self.calls.append((self.new_call("pay"), order))
        await self.run(self.once(self.cashier.payments, *self.calls[-1]))

    async def pay_again(self) -> None:
        if self.calls:
            await self.run(self.once(self.cashier.payments, *self.random.choice(self.calls)))

    async def save_card(self) -> None:
        self.card_calls.append(self.new_call("saveCard"))
        await self.run(self.once(self.cashier.cards, self.card_calls[-1], SaveCardOrder(description="A card")))

    async def save_card_again(self) -> None:
        if self.card_calls:
            call = self.random.choice(self.card_calls)
            await self.run(self.once(self.cashier.cards, call, SaveCardOrder(description="A card")))

    async def charge(self) -> None:
        """A token comes for a payment that waits for one, now and then for one that does not."""
        opened = [
            row
            for row in (await self.ledger()).transactions
            if row.operation is TransactionOperation.TOKEN_PAYMENT
            and (row.status is Status.REQUIRES_ACTION or self.random.random() < 0.1)
        ]
        if not opened:
            return
        row = self.random.choice(opened)
        if self.random.random() < 0.4:
            reply = self.random.choice(SPOILT)
            names = ("apple_pay", "google_pay")
            plan = OrderPlan(reply=reply, reply_times=1, reply_to=names)  # type: ignore[arg-type]
            self.simulator.state.set_plan(row.gateway_order_id or "", plan)
        order = TokenCharge(
            operation=self.random.choice((APPLE_PAY, GOOGLE_PAY)),
            transaction_id=row.id,
            token=self.random.choice(TOKENS),
        )
        self.charge_calls.append((self.new_call("charge"), order))
        await self.run(self.charge_once(*self.charge_calls[-1]))

    async def charge_again(self) -> None:
        if self.charge_calls:
            await self.run(self.charge_once(*self.random.choice(self.charge_calls)))

    async def charge_once(self, call: Call, order: TokenCharge) -> None:
        charged = (await self.cashier.tokens.charge(call, order)).value.id
        assert self.made.setdefault(call.key, charged) == charged == order.transaction_id

    async def refund(self) -> None:
        paid = [row for row in (await self.ledger()).transactions if row.status is Status.SUCCESS]
        if not paid:
            return
        row = self.random.choice(paid)
        amount = (row.refundable_amount * self.random.randrange(1, 101) / 100).quantize(Decimal("0.01"))
        everything = amount <= 0 or self.random.random() < 0.3
        order = RefundOrder(transaction=TransactionBy(id=row.id), amount=None if everything else amount)
        if self.random.random() < 0.3:
            reply = self.random.choice(SPOILT)
            plan = OrderPlan(reply=reply, reply_times=1, reply_to=("refund",))  # type: ignore[arg-type]
            self.simulator.state.set_plan(row.gateway_order_id or "", plan)
        self.refund_calls.append((self.new_call("refund"), order))
        await self.run(self.once(self.cashier.refunds, *self.refund_calls[-1]))

    async def refund_again(self) -> None:
        if self.refund_calls:
            await self.run(self.once(self.cashier.refunds, *self.random.choice(self.refund_calls)))

    async def settle_hold(self) -> None:
        """Take a hold, or a part of it, or let it go; or try to where that is not possible."""
        holds = [row for row in (await self.ledger()).transactions if row.is_hold]
        held = [row for row in holds if row.status is Status.AUTHORIZED] or holds
        if not held:
            return
        row = self.random.choice(held)
        if self.random.random() < 0.5:
            reply = self.random.choice(SPOILT)
            plan = OrderPlan(reply=reply, reply_times=1, bank_code="116" if self.random.random() < 0.2 else None)  # type: ignore[arg-type]
            self.simulator.state.set_plan(row.gateway_order_id or "", plan)
        by = TransactionBy(id=row.id)
        if self.random.random() < 0.3:
            self.hold_calls.append((self.new_call("cancelPreauthorization"), by))
        else:
            part = (row.amount * self.random.randrange(1, 111) / 100).quantize(Decimal("0.01"))
            amount = part if self.random.random() < 0.6 and part > 0 else None
            self.hold_calls.append((self.new_call("capture"), CaptureOrder(transaction=by, amount=amount)))
        await self.run(self.once_for_hold(*self.hold_calls[-1]))

    async def settle_hold_again(self) -> None:
        if self.hold_calls:
            await self.run(self.once_for_hold(*self.random.choice(self.hold_calls)))

    async def once_for_hold(self, call: Call, order: CaptureOrder | TransactionBy) -> None:
        holds = self.cashier.holds
        asked = holds.capture(call, order) if isinstance(order, CaptureOrder) else holds.cancel(call, order)
        made = (await asked).value.id
        assert self.made.setdefault(call.key, made) == made, "a key was for two things"

    async def customer(self) -> None:
        """Somebody finishes a page, now and then one that nobody should know."""
        waiting = [row for row in self.simulator.state.books.transactions if row.status == "new" and row.page]
        if not waiting:
            return
        row = self.random.choice(waiting)
        good = self.random.random() < 0.7
        if row.operation == "widget":
            form = {"decision": "approve" if good else "decline"}
        else:
            form = {"card_number": APPROVED if good else DECLINED, "decision": "confirm" if good else "fail"}
        url = f"{self.simulator.url}/{'widget' if row.operation == 'widget' else 'pay'}/{row.page}"
        async with self.client.post(url, data=form, allow_redirects=False) as answer:
            assert answer.status < 500, await answer.text()

    async def callback(self) -> None:
        """A callback arrives: any of those that were sent, the last first, again, or one of long ago."""
        deliveries = self.simulator.state.deliveries
        if deliveries:
            await self.take(self.random.randrange(len(deliveries)))

    async def take(self, index: int) -> None:
        body = msgspec.json.decode(msgspec.json.encode(self.simulator.state.deliveries[index].body))
        await self.cashier.callbacks.take("application/x-www-form-urlencoded", signed(body))
        self.delivered[index] += 1
        self.taken += 1

    async def release(self) -> None:
        """A held answer arrives, or is lost after all."""
        if self.wire.held:
            lost = GatewayUnclearError("held", "lost") if self.random.random() < 0.3 else None
            self.wire.release(self.random.randrange(len(self.wire.held)), lost)
            await self.rest()

    async def rest(self) -> None:
        """Wait until everything that is not held has ended."""
        while len(self.tasks) > len(self.wire.held):
            await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
            await self.reap()

    async def sweep(self) -> None:
        await self.cashier.reconciler.settle_overdue()
        await self.cashier.reconciler.ask_due()

    async def time_passes(self) -> None:
        jump_s = self.random.choice((1, 5, 15, 45, 60, 600, 3600, 20_000, -1, -30, -600))
        self.clock.now += timedelta(seconds=jump_s)

    async def refresh(self) -> None:
        if rows := (await self.ledger()).transactions:
            await self.run(self.cashier.lookup.refresh(TransactionBy(id=self.random.choice(rows).id), "shop"))

    async def burst(self) -> None:
        """Many calls at the same time: of one key, of one order, of one payment's refunds."""
        paid = [row for row in (await self.ledger()).transactions if row.status is Status.SUCCESS]
        work: list[Awaitable[Any]] = []
        if self.charge_calls:
            work += [self.charge_once(*self.random.choice(self.charge_calls)) for _ in range(5)]
        if self.calls:
            work += [self.once(self.cashier.payments, *self.random.choice(self.calls)) for _ in range(5)]
        if paid:
            row = self.random.choice(paid)
            order = RefundOrder(transaction=TransactionBy(id=row.id), amount=Decimal("0.40"))
            work += [self.cashier.refunds.start(self.new_call("refund"), order) for _ in range(8)]
        held = [row for row in (await self.ledger()).transactions if row.status is Status.AUTHORIZED]
        if held:
            by = TransactionBy(id=self.random.choice(held).id)
            for _ in range(3):
                work.append(self.cashier.holds.cancel(self.new_call("cancelPreauthorization"), by))
                work.append(self.cashier.holds.capture(self.new_call("capture"), CaptureOrder(transaction=by)))
        work += self.business.burst()
        calm, self.wire.calm = self.wire.calm, True
        results = await asyncio.gather(*work, return_exceptions=True)
        self.wire.calm = calm
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, (RefusedError, InProgressError)):
                raise result

    # Checks ---------------------------------------------------------------------------------------------------

    async def ledger(self) -> Ledger:
        """Read the books; on PostgreSQL an event gets its place in the feed a moment after it was committed."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                ledger = await self.store.read(read_ledger)
                if len(ledger.feed) == sum(map(len, ledger.streams.values())):
                    return ledger
                await asyncio.sleep(0.005)

    async def check(self) -> Ledger:
        """Assert what holds at any time, and that history only grows."""
        ledger = await self.ledger()
        check_invariants(ledger)
        self.business.check(ledger)
        feed = [(event.stream_id, event.sequence, event.position) for event in ledger.feed]
        assert feed[: len(self.feed)] == self.feed, "history was changed"
        self.feed = feed
        assert len(ledger.callbacks) == self.taken, "an acknowledged callback is lost"
        return ledger

    async def converge(self) -> Ledger:
        """Let everything arrive, a day pass, and a person decide what is left."""
        self.wire.calm = True
        while self.wire.held:
            self.wire.release(0)
        await self.rest()
        for index in range(len(self.simulator.state.deliveries)):
            if not self.delivered[index]:
                await self.take(index)
        self.business.decide()
        # The clock may have gone back behind what was done last.
        for hours in (1, 2, 4, 8, 12, 24, 24):
            self.clock.now += timedelta(hours=hours)
            await self.sweep()
        await self.business.look(await self.ledger())
        ledger = await self.check()
        self.business.check_end(ledger)
        # A hold waits for the shop, for as long as it likes.
        waiting = WAITS_FOR_A_PERSON | {Status.AUTHORIZED}
        open_still = [row for row in ledger.transactions if not row.status.is_final and row.status not in waiting]
        assert open_still == [], "something is neither final nor for a person to decide"
        assert [card for card in ledger.cards if card.status is SavedCardStatus.PENDING] == []
        books = await self.books()
        check_against_gateway(ledger, books, MERCHANT.public_key)
        at_epoint = {card["card_id"] for card in books["cards"] if card["state"] == "active"}
        ours = {card.card_id for card in ledger.cards if card.status is SavedCardStatus.ACTIVE}
        assert ours <= at_epoint, "a card is usable here that EPoint does not have"
        await self.person(ledger, books)
        await self.business.person(ledger)
        ledger = await self.check()
        assert [row for row in ledger.transfers if not row.status.is_final] == []
        assert [row for row in ledger.invoices if row.disputed] == []
        assert [row for row in ledger.transactions if row.status in WAITS_FOR_A_PERSON] == []
        check_against_gateway(ledger, books, MERCHANT.public_key)
        return ledger

    async def person(self, ledger: Ledger, books: dict[str, Any]) -> None:
        """Settle what evidence could not, by what EPoint's cabinet shows."""
        theirs = {row["order_id"]: row for row in books["transactions"]}
        for row in ledger.transactions:
            known = theirs.get(row.gateway_order_id or "")
            if row.status in WAITS_FOR_A_PERSON and row.is_hold:
                await self.find_out(row, known)
            elif row.status in WAITS_FOR_A_PERSON:
                paid = known is not None and known["status"] == "success"
                call = self.new_call("resolveTransaction")
                await self.cashier.resolutions.transaction(call, row.id, paid, "Seen in the cabinet.")
            back = sum((Decimal(refund["amount"]) for refund in (known or {}).get("refunds", [])), Decimal(0))
            mine = [refund for refund in ledger.refunds if refund.transaction_id == row.id]
            back -= sum((refund.amount for refund in mine if refund.status is RefundStatus.SUCCESS), Decimal(0))
            unclear = [refund for refund in mine if refund.status is RefundStatus.INDETERMINATE]
            happened = _that_add_up([refund.amount for refund in unclear], back)
            for refund, succeeded in zip(unclear, happened, strict=True):
                call = self.new_call("resolveRefund")
                await self.cashier.resolutions.refund(call, refund.id, succeeded, "Seen in the cabinet.")

    async def find_out(self, row: Transaction, known: dict[str, Any] | None) -> None:
        """Say what became of a hold, by what EPoint's cabinet shows."""
        findings = {"held": HoldFinding.HELD, "captured": HoldFinding.CAPTURED}
        finding = findings.get((known or {}).get("hold") or "", HoldFinding.RELEASED)
        taken = Decimal(known["captured_amount"]) if known and known["captured_amount"] else None
        await self.cashier.holds.resolve(
            self.new_call("resolveHold"), row.id, finding, taken, "Seen in the cabinet."
        )

    async def books(self) -> dict[str, Any]:
        async with self.client.get(f"{self.simulator.url}/_control/books") as answer:
            return dict(await answer.json())

    async def play(self, *, steps: int, bursts: bool) -> Ledger:
        """Run the steps, check after each, and converge."""
        table: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (10, self.pay),
            (4, self.pay_again),
            (2, self.save_card),
            (1, self.save_card_again),
            (6, self.charge),
            (3, self.charge_again),
            (6, self.refund),
            (3, self.refund_again),
            (5, self.settle_hold),
            (2, self.settle_hold_again),
            (4, self.business.transfer),
            (2, self.business.transfer_again),
            (4, self.business.bank),
            (4, self.business.webhook),
            (3, self.business.invoice),
            (1, self.business.invoice_again),
            (5, self.business.change),
            (2, self.business.change_again),
            (3, self.business.people),
            (3, self.business.refresh),
            (8, self.customer),
            (8, self.callback),
            (6, self.release),
            (4, self.sweep),
            (5, self.time_passes),
            (3, self.refresh),
            (2, self.die),
            (2 if bursts else 0, self.burst),
        ]
        weights, actions = [weight for weight, _ in table], [action for _, action in table]
        for _ in range(steps):
            (action,) = self.random.choices(actions, weights)
            self.trace.append(f"{self.clock.now:%d %H:%M:%S} {action.__name__}")
            await action()
            await self.check()
        self.trace.append("converge")
        return await self.converge()


def _that_add_up(amounts: list[Decimal], total: Decimal) -> list[bool]:
    """Say which of the amounts add up to the total; there is such a choice, or the books are wrong."""
    for choice in range(1 << len(amounts)):
        chosen = [bool(choice >> index & 1) for index in range(len(amounts))]
        if sum((amount for amount, taken in zip(amounts, chosen, strict=True) if taken), Decimal(0)) == total:
            return chosen
    raise AssertionError(f"no choice of {amounts} adds up to {total}")


@contextlib.asynccontextmanager
async def a_database(store: str, clock: ManualClock) -> AsyncIterator[Callable[[], Store]]:
    """Make an empty database of a kind, and yield what opens a store on it, again and again."""
    if store == SQLITE:
        with tempfile.TemporaryDirectory() as folder:
            yield lambda: SqliteStore(Path(folder) / "books.db", sandbox=True, clock=clock)
    else:
        async with new_database() as url:
            yield lambda: PostgresStore(url, sandbox=True, ahead=lambda: clock.now - datetime.now(UTC))


@contextlib.asynccontextmanager
async def a_round(seed: str, store: str) -> AsyncIterator[Round]:
    """Open the world of one round."""
    clock = ManualClock()
    words = Random(f"{seed} words")
    switches = Switches(
        trace_id=False,
        transfer_step_s=None,  # banks decide when a step says so
        held_word=words.choice(HELD_WORDS),
        captured_amount_in_status=words.random() < 0.5,
    )
    settings = SimulatorSettings(switches=switches)
    async with (
        a_database(store, clock) as new_store,
        running(settings, rng=Random(f"{seed} simulator"), clock=clock) as simulator,
        Gateway(MERCHANT, base_url=simulator.url) as real,
    ):
        for name in (CARD, PAYOUT_CARD):
            payout = name == PAYOUT_CARD
            card = Card(card_id=name, merchant=MERCHANT.public_key, at=START, state="active", payout=payout)
            simulator.state.books.add_card(card)
        playing = Round(seed, new_store, simulator, clock, real)
        await playing.open()
        try:
            yield playing
        finally:
            while playing.wire.held:
                playing.wire.release(0, PowerCutError())
            await asyncio.gather(*playing.tasks, return_exceptions=True)
            await playing.client.close()
            await playing.store.close()


async def play(seed: str, *, steps: int = STEPS, bursts: bool = True, store: str = SQLITE) -> Ledger:
    """Run one round; a failure names its seed and what led to it."""
    async with a_round(seed, store) as playing:
        try:
            return await playing.play(steps=steps, bursts=bursts)
        except BaseException as exc:
            last = ", ".join(playing.trace[-8:])
            exc.add_note(f"seed {seed} on {store}, after {len(playing.trace)} steps, the last: {last}")
            raise


def summary(ledger: Ledger) -> str:
    """Say how a round ended."""
    statuses = Counter(str(row.status) for row in ledger.transactions)
    told = ", ".join(f"{count} {name}" for name, count in sorted(statuses.items()))
    counts = f"{len(ledger.refunds)} refunds, {len(ledger.transfers)} transfers, {len(ledger.invoices)} invoices"
    return f"{len(ledger.feed)} events, {len(ledger.callbacks)} callbacks, {counts}; {told}"


def main(seed: str, minutes: float, stores: Sequence[str]) -> None:
    """Play rounds until the time is up, on each store in turn.

    The name that a round prints repeats it, with 0 minutes.
    """
    logging.disable(logging.WARNING)  # lost answers are what this is about
    end = time.monotonic() + minutes * 60
    number = 0
    while number < len(stores) or time.monotonic() < end:
        store = stores[number % len(stores)]
        name = seed if minutes == 0 else f"{seed}.{number}"
        print(f"SEED={name} STORE={store}", end=": ", flush=True)  # noqa: T201
        print(summary(asyncio.run(play(name, store=store))))  # noqa: T201
        number += 1


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:] or STORES)
