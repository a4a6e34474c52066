"""A client that goes while its intent is being written: what was recorded is carried out, as if it had waited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gql_epoint.cashier.commands import SaveCardOrder
from gql_epoint.ledger.transaction import TransactionOperation
from gql_epoint.simulator.settings import SimulatorSettings, Switches
from tests import test_business_transfers as transfers
from tests import test_holds as holds
from tests import test_invoices as invoices
from tests import test_tokens as tokens
from tests.cashier_kit import Shop, a_call, open_shop, payment


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    settings = SimulatorSettings(switches=Switches(transfer_step_s=None))
    async with open_shop(tmp_path, settings=settings) as opened:
        yield opened


Asking = Callable[[], Awaitable[Any]]
State = Callable[[], Awaitable[str]]


async def paying(shop: Shop) -> tuple[Asking, State, str]:
    call, order = payment(order_id="A-1")

    async def state() -> str:
        return (await shop.cashier.payments.start(call, order)).value.status

    return lambda: shop.cashier.payments.start(call, order), state, "REQUIRES_ACTION"


async def saving_a_card(shop: Shop) -> tuple[Asking, State, str]:
    call, order = a_call("saveCard"), SaveCardOrder()

    async def state() -> str:
        card = (await shop.cashier.cards.start(call, order)).value
        return f"{card.status}, {'opened' if card.redirect_url else 'not opened'}"

    return lambda: shop.cashier.cards.start(call, order), state, "PENDING, opened"


async def charging_a_token(shop: Shop) -> tuple[Asking, State, str]:
    opened = await shop.pay(operation=TransactionOperation.TOKEN_PAYMENT)

    async def state() -> str:
        return (await shop.transaction(opened.id)).status

    return lambda: tokens.charge(shop, opened), state, "SUCCESS"


async def refunding(shop: Shop) -> tuple[Asking, State, str]:
    paid = await shop.paid()

    async def state() -> str:
        return (await shop.transaction(paid.id)).status

    return lambda: shop.refund(paid), state, "RETURNED"


async def capturing(shop: Shop) -> tuple[Asking, State, str]:
    hold = await holds.held(shop)

    async def state() -> str:
        return (await shop.transaction(hold.id)).status

    return lambda: holds.capture(shop, hold), state, "SUCCESS"


async def transferring(shop: Shop) -> tuple[Asking, State, str]:
    async def state() -> str:
        return f"{(await transfers.known(shop)).status}, {len(transfers.at_epoint(shop))} at EPoint"

    return lambda: transfers.start(shop), state, "PENDING, 1 at EPoint"


async def invoicing(shop: Shop) -> tuple[Asking, State, str]:
    async def state() -> str:
        return (await invoices.known(shop)).status

    return lambda: invoices.create(shop), state, "WAITING_FOR_PAYMENT"


async def changing_an_invoice(shop: Shop) -> tuple[Asking, State, str]:
    made = (await invoices.create(shop)).value

    async def state() -> str:
        return str((await invoices.known(shop)).amount)

    return lambda: invoices.update(shop, made, "5.00"), state, "5.00"


@pytest.mark.parametrize(
    "scenario",
    [
        paying,
        saving_a_card,
        charging_a_token,
        refunding,
        capturing,
        transferring,
        invoicing,
        changing_an_invoice,
    ],
)
async def test_what_is_being_recorded_when_its_caller_goes_is_carried_out(shop: Shop, scenario: Any) -> None:
    """Else EPoint never hears of what the books say is on its way, and a person has to find that out."""
    ask, state, expected = await scenario(shop)
    asking = asyncio.ensure_future(ask())
    await asyncio.sleep(0)  # It has come to its first wait: the database has the intent, and has not answered.
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await shop.cashier.books.drain()
    await shop.cashier.books.write(_nothing)  # What was accepted before has been written.
    await shop.cashier.books.drain()

    assert await state() == expected


async def _nothing(_unit: object) -> None:
    return None
