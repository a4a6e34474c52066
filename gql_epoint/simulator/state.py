"""All that a running simulator knows: settings that can change, the books, plans for orders, and counters."""

from __future__ import annotations

import random
import uuid
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from gql_epoint.epoint.operations import PREAUTHORIZE
from gql_epoint.epoint.wire import Kind, Operation
from gql_epoint.simulator.bank import APPROVED
from gql_epoint.simulator.books import Books, Transaction, Transfer
from gql_epoint.simulator.console.changes import Changes
from gql_epoint.simulator.console.journal import Journal
from gql_epoint.simulator.settings import CallbackPlan, OrderPlan, Reply, SimulatorSettings


def utc_now() -> datetime:
    """Return the time; the one clock of a simulator that is not given another."""
    return datetime.now(UTC)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One POST of a callback: the answer's HTTP status, or what went wrong."""

    at: datetime
    http_status: int | None = None
    error: str | None = None
    reply: str | None = None  # the beginning of what the shop answered
    duration_ms: float | None = None


class Delivery(msgspec.Struct, kw_only=True):
    """One copy of one callback, with everything that was tried to deliver it."""

    number: int
    at: datetime
    transaction: str
    order_id: str | None
    card_id: str | None
    body: dict[str, Any]
    encoding: str
    signed: bool  # with the merchant's key
    state: str = "waiting"  # then delivered, dropped, given_up or cancelled
    attempts: list[Attempt] = []


class State:
    """What a running simulator knows; no I/O. Used from one event loop, so each method is one step."""

    def __init__(
        self, settings: SimulatorSettings, *, rng: random.Random, clock: Callable[[], datetime], books: Books
    ) -> None:
        self.settings = settings
        self.merchants = {merchant.public_key: merchant for merchant in settings.merchants}
        self.switches = settings.switches
        self.callback = settings.callback
        self.books = books
        self.clock = clock
        self.requests: Counter[str] = Counter()
        self.deliveries: deque[Delivery] = deque(maxlen=settings.callbacks_max)
        self.journal = Journal(settings.exchanges_max)
        self.changes = Changes()
        self.on_transfer: Callable[[Transfer], None] = lambda _: None  # the bank, once there is one
        self._plans: dict[str, OrderPlan] = {}
        self._rng = rng
        self._deliveries_made = 0

    # Plans ----------------------------------------------------------------------------------------------

    def set_plan(self, key: str, plan: OrderPlan) -> None:
        """Decide what happens to an order, a transaction or a card; the oldest plans are forgotten first."""
        self._plans.pop(key, None)
        while len(self._plans) >= self.settings.plans_max:
            del self._plans[next(iter(self._plans))]
        self._plans[key] = plan

    def forget_plan(self, key: str) -> None:
        """Let an order go the normal way again."""
        self._plans.pop(key, None)

    def plan(self, *keys: str | None) -> OrderPlan:
        """Return the plan of the first key that has one, else the normal one."""
        return next((self._plans[key] for key in keys if key is not None and key in self._plans), OrderPlan())

    def plan_of(self, transaction: Transaction) -> OrderPlan:
        """Return the plan of a transaction."""
        return self.plan(transaction.order_id, transaction.transaction, transaction.card_id)

    def callback_plan(self, transaction: Transaction) -> CallbackPlan:
        """Return how the callbacks of a transaction look and travel."""
        return self.plan_of(transaction).callback or self.callback

    def take_reply(self, operation: Operation[Any, Any], *keys: str | None) -> Reply:
        """Say how to answer this request, and count it against `reply_times`."""
        key = next((key for key in keys if key is not None and key in self._plans), None)
        if key is None:
            return "normal"
        plan = self._plans[key]
        meant = operation.name in plan.reply_to if plan.reply_to else operation.kind is not Kind.LOOKUP
        if not meant or plan.reply_times == 0:
            return "normal"
        if plan.reply_times is not None and plan.reply != "normal":
            self._plans[key] = msgspec.structs.replace(plan, reply_times=plan.reply_times - 1)
        return plan.reply

    def find(self, name: str) -> Transaction | None:
        """Find a transaction by EPoint's id, by the card that it saves, or as the latest of an order."""
        orders = (self.books.latest(public_key, name) for public_key in self.merchants)
        return (
            self.books.transaction(name)
            or self.books.registration(name)
            or next((found for found in orders if found is not None), None)
        )

    # Names ----------------------------------------------------------------------------------------------

    def new_transaction_name(self) -> str:
        """Return an id like those of EPoint: `te` and ten digits, never one that is taken."""
        return self._new_name(lambda: f"te{self._digits(10)}")

    def new_card_name(self) -> str:
        """Return an id like those in public fixtures: a UUID that starts with `ce`."""
        return self._new_name(lambda: "ce" + str(self._uuid())[2:])

    def new_page_name(self) -> str:
        """Return a name that nobody can guess, for the address of a hosted page."""
        return self._uuid().hex

    def new_payment_number(self) -> int:
        """Return an id like that of EPoint's example of a record, which is a number, never one that is taken."""
        while self.books.payment(number := self._rng.randrange(10**6, 10**7)) is not None:
            pass
        return number

    def new_delivery_number(self) -> int:
        """Return the number of the next callback that goes out: 1, 2, 3 ..."""
        self._deliveries_made += 1
        return self._deliveries_made

    def new_bulk_name(self) -> str:
        """Return an id of a batch of transfers; its real shape is unknown."""
        return self._digits(8)

    def new_trace_name(self) -> str:
        """Return an id for `trace_id` and X-Request-ID."""
        return self._uuid().hex

    # Results --------------------------------------------------------------------------------------------

    def settle(self, transaction: Transaction, code: str) -> None:
        """Write down the bank's answer to a transaction, and what it means for a card it saves."""
        approved = code == APPROVED
        transaction.status = "success" if approved else "failed"
        transaction.code = code
        if approved and transaction.operation == PREAUTHORIZE.name:
            transaction.hold = "held"
        if approved:
            transaction.bank_transaction = f"b-{self._digits(12)}"
            transaction.rrn = self._digits(12)
        self.books.changed = True
        if transaction.page is None or transaction.card_id is None:
            return
        card = self.books.card(transaction.card_id)
        if card is None:
            return
        card.state = "active" if approved else "rejected"
        if approved:
            card.name = transaction.card_name
            card.mask = transaction.card_mask
            card.expired_date = f"12/{self.clock().year + 3}"  # the format is unknown

    def _digits(self, count: int) -> str:
        return str(self._rng.randrange(10 ** (count - 1), 10**count))

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._rng.getrandbits(128), version=4)

    def _new_name(self, make: Callable[[], str]) -> str:
        while (name := make()) in self.books:
            pass
        return name
