"""A cashier over a real SQLite file and a real gateway client, talking HTTP to a simulator in this process."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.commands import (
    Call,
    CheckoutOrder,
    Confirmation,
    NewCheckout,
    PaymentOrder,
    RefundOrder,
    Result,
    SaveCardOrder,
    TransactionBy,
)
from gql_epoint.cashier.desk import Books, Defaults
from gql_epoint.epoint import PAY, PayRequest, seal
from gql_epoint.gateway import Gateway, Merchant
from gql_epoint.ledger.checkout import CheckoutPurpose, CheckoutState, PaymentMethodType
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.transaction import Refund, SavedCard, Transaction, TransactionOperation
from gql_epoint.live import Live
from gql_epoint.simulator.server import RunningSimulator, running
from gql_epoint.simulator.settings import SANDBOX_MERCHANTS, OrderPlan, SimulatorSettings
from gql_epoint.store import open_store
from gql_epoint.store.protocol import Page, Reader

MERCHANT = Merchant(public_key=SANDBOX_MERCHANTS[0].public_key, private_key=SANDBOX_MERCHANTS[0].private_key)
APPROVED = "4111111111111111"
DECLINED = "4111111111111116"

_numbers = itertools.count(1)


class Clock:
    """The database's clock, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Shop:
    """What a test needs of one running cashier."""

    def __init__(self, cashier: Cashier, clock: Clock, simulator: RunningSimulator, client: aiohttp.ClientSession):
        self.cashier = cashier
        self.clock = clock
        self.simulator = simulator
        self.client = client

    def plan(self, key: str, **plan: Any) -> None:
        """Tell the simulator what happens to an order, a transaction or a card."""
        self.simulator.state.set_plan(key, OrderPlan(**plan))

    def requests(self, name: str) -> int:
        """How often the simulator was asked for an operation."""
        return self.simulator.state.requests[name]

    async def pay(self, **changes: Any) -> Transaction:
        """Start a payment with a fresh order and key; `changes` are fields of PaymentOrder, or `key`."""
        call, order = payment(**changes)
        return (await self.cashier.payments.start(call, order)).value

    async def hosted_page(self, url: str, card_number: str) -> None:
        """Do what a customer does on the card page; the callback goes nowhere, as no result URL is set."""
        async with self.client.post(url, data={"card_number": card_number}, allow_redirects=False) as response:
            assert response.status in (200, 303), await response.text()

    async def paid(self, amount: str = "10.00", **changes: Any) -> Transaction:
        """Return a payment that succeeded."""
        transaction = await self.pay(amount=Decimal(amount), **changes)
        assert transaction.redirect_url is not None
        await self.hosted_page(transaction.redirect_url, APPROVED)
        return (await self.cashier.lookup.refresh(TransactionBy(id=transaction.id), "test")).value

    async def saved_card(self, card_number: str = APPROVED, *, for_payout: bool = False) -> SavedCard:
        """Return a card that was registered."""
        order = SaveCardOrder(for_payout=for_payout)
        card = (await self.cashier.cards.start(a_call("saveCard"), order)).value
        assert card.redirect_url is not None
        await self.hosted_page(card.redirect_url, card_number)
        await self.callback(status="success", card_id=card.card_id, card_mask="411111******1111")
        return await self.card(card.id)

    async def made_elsewhere(self, order_id: str, card_number: str | None = APPROVED) -> str:
        """Pay 10 AZN past these books, as a shop with EPoint's plain API would; return EPoint's id of it."""
        request = PayRequest(amount=Decimal("10.00"), currency="AZN", language="az", order_id=order_id)
        async with Gateway(MERCHANT, base_url=self.simulator.url) as gateway:
            reply = await gateway.call(PAY, request)
        assert reply.transaction is not None
        assert reply.redirect_url is not None
        if card_number is not None:
            await self.hosted_page(reply.redirect_url, card_number)
        return reply.transaction

    async def checkout(self, **changes: Any) -> NewCheckout:
        """Make a checkout of 10 AZN with a fresh order and key; `changes` are fields of CheckoutOrder, or `key`."""
        call, order = a_checkout(**changes)
        return (await self.cashier.checkouts.create(call, order)).value

    async def confirm(
        self,
        checkout_id: str,
        *,
        card: str | None = None,
        key: str | None = None,
        language: str | None = None,
        address: str | None = None,
    ) -> Result[CheckoutState]:
        """Confirm a checkout as a browser does, on the hosted page or with a saved card."""
        method = PaymentMethodType.SAVED_CARD if card else PaymentMethodType.HOSTED_PAGE
        call = a_call("confirmCheckout", owner=checkout_id, actor=checkout_id, input_hash=f"{method} {card}")
        call = msgspec.structs.replace(call, key=key or call.key)
        chosen = Confirmation(method=method, saved_card_id=card, language=language)
        return await self.cashier.checkouts.confirm(call, checkout_id, chosen, address)

    async def refund(self, transaction: Transaction, amount: str | None = None, **call: Any) -> Refund:
        """Refund a transaction."""
        order = RefundOrder(
            transaction=TransactionBy(id=transaction.id), amount=None if amount is None else Decimal(amount)
        )
        return (await self.cashier.refunds.start(a_call("refund", **call), order)).value

    async def callback(self, **fields: Any) -> str:
        """Deliver a signed callback and return its disposition."""
        return await self.cashier.callbacks.take("application/x-www-form-urlencoded", signed(fields))

    async def transaction(self, transaction_id: str) -> Transaction:
        """Read a transaction."""
        found = await self.cashier.books.read(lambda reader: reader.transaction(transaction_id))
        assert found is not None
        return found

    async def card(self, card_id: str) -> SavedCard:
        """Read a saved card."""
        found = await self.cashier.books.read(lambda reader: reader.saved_card(card_id))
        assert found is not None
        return found

    async def refund_row(self, refund_id: str) -> Refund:
        """Read a refund."""
        found = await self.cashier.books.read(lambda reader: reader.refund(refund_id))
        assert found is not None
        return found

    async def history(self, stream_id: str) -> list[Event]:
        """Read all events of a stream, checking that they are numbered without gaps."""
        events = await self.cashier.books.read(lambda reader: reader.stream_events(stream_id, Page(limit=1000)))
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        return list(events)

    async def lag(self) -> float:
        """For how many seconds the oldest work of the sweep has waited; 0 if none waits."""

        async def look(reader: Reader) -> float:
            backlog = await reader.backlog()
            return max(backlog.ask_lag_s(reader.now), backlog.settle_lag_s(reader.now))

        return await self.cashier.books.read(look)

    async def later(self, **ahead: float) -> None:
        """Put the clock forward and let the reconciler do what is due then."""
        self.clock.ahead += timedelta(**ahead)
        await self.cashier.reconciler.settle_overdue()
        await self.cashier.reconciler.ask_due()


@contextlib.asynccontextmanager
async def open_shop(
    folder: Path,
    *,
    settings: SimulatorSettings | None = None,
    gateway_url: str | None = None,
    database_url: str | None = None,
    **limits: Any,
) -> AsyncIterator[Shop]:
    """Run a cashier in this event loop on a database file in `folder`, or on the database that is named."""
    clock = Clock()
    url = database_url or f"sqlite:///{folder / 'books.db'}"
    store = open_store(url, sandbox=True, clock=clock)
    async with (
        running(settings or SimulatorSettings()) as simulator,
        Gateway(MERCHANT, base_url=gateway_url or simulator.url) as gateway,
        aiohttp.ClientSession() as client,
    ):
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
                **limits,
            )
            yield Shop(Cashier(books), clock, simulator, client)
            await books.drain()
        finally:
            await store.close()


def a_call(mutation: str = "pay", **changes: Any) -> Call:
    """Return a call with a fresh key."""
    number = next(_numbers)
    values = {"owner": "i000000001", "actor": "test", "key": f"key-{number:012d}", "input_hash": "hash"}
    return Call(mutation=mutation, **(values | changes))


def payment(**changes: Any) -> tuple[Call, PaymentOrder]:
    """Return a valid payment with a fresh order, changed in what the test is about."""
    call = {name: changes.pop(name) for name in ("key", "input_hash", "mutation", "owner") if name in changes}
    order = {
        "operation": TransactionOperation.PAY,
        "order_id": f"order-{next(_numbers)}",
        "amount": Decimal("10.00"),
        "currency": "AZN",
        "description": "A test",
    }
    return a_call(call.pop("mutation", "pay"), **call), PaymentOrder(**(order | changes))


def a_checkout(**changes: Any) -> tuple[Call, CheckoutOrder]:
    """Return a valid checkout with a fresh order, changed in what the test is about."""
    call = {name: changes.pop(name) for name in ("key", "input_hash") if name in changes}
    order = {
        "purpose": CheckoutPurpose.PAYMENT,
        "order_id": f"order-{next(_numbers)}",
        "amount": Decimal("10.00"),
        "currency": "AZN",
        "description": "A test",
    }
    return a_call("createCheckout", **call), CheckoutOrder(**(order | changes))


def signed(fields: dict[str, Any]) -> bytes:
    """Return the webhook body that EPoint would send for these fields."""
    sealed = seal(MERCHANT.private_key, msgspec.json.encode(fields))
    return urlencode({"data": sealed.data, "signature": sealed.signature}).encode()


def success_of(transaction: Transaction, /, **changes: Any) -> dict[str, Any]:
    """Return the fields of the success callback that fits a transaction."""
    fields = {
        "status": "success",
        "order_id": transaction.gateway_order_id,
        "transaction": transaction.gateway.transaction_id,
        "amount": str(transaction.amount),
        "code": "000",
        "card_mask": "411111******1111",
    }
    return fields | changes
