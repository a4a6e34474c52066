"""Erasing personal data: what goes, what stays, and who is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gql_epoint.cashier.retention import BATCH, Retention
from gql_epoint.epoint.callback import Callback
from gql_epoint.ledger import ids
from gql_epoint.ledger.business_transfer import TransferStatus
from gql_epoint.ledger.invoice import InvoiceStatus
from gql_epoint.ledger.transaction import Disposition, RefundStatus, SavedCardStatus, Status
from gql_epoint.store import open_store
from gql_epoint.store.protocol import Store
from tests.postgres import new_database
from tests.store_contract import (
    a_callback,
    a_card,
    a_checkout,
    a_refund,
    a_transaction,
    a_transfer,
    an_event,
    an_invoice,
    insert,
    read,
)

NOW = datetime.now(UTC).replace(microsecond=0)
OLD = NOW - timedelta(days=40)
YEAR = timedelta(days=365)
MONTH = timedelta(days=30)

PERSONAL: dict[str, Any] = {
    "description": "A ring for Aydan",
    "metadata": '{"email": "a@b.example"}',
    "card_mask": "411111******1111",
    "card_holder_name": "AYDAN MAMMADOVA",
}
BODY = Callback(
    status="success",
    order_id="o-1",
    transaction="te1",
    amount=Decimal("10.00"),
    rrn="123",
    card_mask="411111******1111",
    card_name="AYDAN MAMMADOVA",
    other_attr={"email": "a@b.example"},
)
TRACES = ("Aydan", "AYDAN", "411111", "a@b.example")


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path}/books.db", sandbox=True, clock=lambda: datetime.now(UTC))
        await opened.open()
        yield opened
        await opened.close()
        return
    async with new_database() as url:
        opened = open_store(url, sandbox=True, clock=lambda: datetime.now(UTC))
        await opened.open()
        yield opened
        await opened.close()


def made(prefix: str, moment: datetime, number: int) -> dict[str, Any]:
    """The id and the times of something that was made then; ids sort by time."""
    return {
        "id": ids.new_id(prefix, moment, number.to_bytes(ids.RANDOM_BYTES, "big")),
        "created_at": moment,
        "updated_at": moment,
    }


def a_paid(number: int, moment: datetime = OLD, **changes: Any) -> Any:
    return a_transaction(**made("tr", moment, number) | PERSONAL | {"status": Status.SUCCESS} | changes)


def a_body(number: int, moment: datetime = OLD, **changes: Any) -> Any:
    times = made("cb", moment, number)
    body = msgspec.json.encode(BODY).decode()
    values = {"id": times["id"], "received_at": moment, "body": body, "disposition": Disposition.APPLIED}
    return a_callback(**values | changes)


async def test_personal_data_goes_and_the_books_stay(store: Store) -> None:
    """Every other column is as it was, versions and times included, and no event is made of it."""
    paid = a_paid(1, gateway_order_id="o-1", order_id="o-1", amount=Decimal("10.00"))
    refund = a_refund(paid.id, status=RefundStatus.SUCCESS, reason="Aydan did not like it")
    card = a_card(
        **made("card", OLD, 1), status=SavedCardStatus.EXPIRED, mask="411111******1111", holder_name="AYDAN"
    )
    callback = a_body(1, transaction_id=paid.id)
    event = an_event(paid.id, transaction_id=paid.id, note="checked by phone")
    await insert(store, paid, refund, card, callback, event)

    erased = await Retention(store, dry_run=False).erase(MONTH)

    assert (erased.transactions, erased.refunds, erased.saved_cards, erased.callbacks) == (1, 1, 1, 1)
    assert await read(store, paid) == msgspec.structs.replace(paid, **dict.fromkeys(PERSONAL))
    assert await read(store, refund) == msgspec.structs.replace(refund, reason=None)
    assert await read(store, card) == msgspec.structs.replace(card, mask=None, holder_name=None)
    after = await read(store, callback)
    assert msgspec.structs.replace(after, body=callback.body) == callback
    assert msgspec.json.decode(after.body, type=Callback) == msgspec.structs.replace(
        BODY, card_mask=None, card_name=None, other_attr=None
    )
    assert msgspec.structs.replace(await read(store, event), position=None) == event
    everything = "".join(map(str, [await read(store, row) for row in (paid, refund, card, callback)]))
    assert not any(trace in everything for trace in TRACES)


@pytest.mark.parametrize(("changed_at", "erased"), [(OLD, True), (NOW, False)])
async def test_checkout_of_an_erased_payment_is_erased_too(
    store: Store, changed_at: datetime, erased: bool
) -> None:
    """It says the same about the customer as its attempts do; one that is in use is left alone."""
    checkout = a_checkout(**made("co", OLD, 1) | {"updated_at": changed_at}, description="Aydan", metadata="{}")
    await insert(store, checkout, a_paid(1, checkout_id=checkout.id))
    await Retention(store, dry_run=True).erase(MONTH)
    assert await read(store, checkout) == checkout
    await Retention(store, dry_run=False).erase(MONTH)

    bare = msgspec.structs.replace(checkout, description=None, metadata=None)
    assert await read(store, checkout) == (bare if erased else checkout)


async def test_payees_of_decided_transfers_are_erased(store: Store) -> None:
    """Who was paid goes, that something was paid stays; what is not decided has to be compared with the payee."""
    payee = {"iban": "AZ21NABZ00000000137010001944", "payee_name": "Aydan MMC", "payee_tin": "1234567892"}
    payee |= {"email": "a@b.example", "address": "Aydan", "description": "Aydan", "additional_info": "Aydan"}
    payee |= {"bank_code": "505141", "bank_name": "Aydan"}
    over = a_transfer(**made("bt", OLD, 1) | payee, status=TransferStatus.SUCCESS)
    unclear = a_transfer(**made("bt", OLD, 2) | payee, status=TransferStatus.INDETERMINATE)
    young = a_transfer(**made("bt", NOW, 3) | payee, status=TransferStatus.FAILED)
    await insert(store, over, unclear, young)

    assert (await Retention(store, dry_run=True).erase(MONTH)).business_transfers == 1
    assert await read(store, over) == over
    assert (await Retention(store, dry_run=False).erase(MONTH)).business_transfers == 1
    assert await read(store, over) == msgspec.structs.replace(over, **dict.fromkeys(payee))
    assert [await read(store, row) for row in (unclear, young)] == [unclear, young]
    assert (await Retention(store, dry_run=False).erase(MONTH)).business_transfers == 0


async def test_customers_of_old_invoices_are_erased(store: Store) -> None:
    """Where EPoint is not asked any more: the amount, the order and the outcome stay."""
    who = {"name": "Aydan", "description": "Aydan", "phone": "+994501234567", "email": "a@b.example"}
    who |= {"tin": "1234567892", "contract_number": "Aydan"}
    paid = an_invoice(**made("inv", OLD, 1) | who, status=InvoiceStatus.PAID)
    forgotten = an_invoice(**made("inv", OLD, 2) | who, status=InvoiceStatus.WAITING_FOR_PAYMENT)
    waiting = an_invoice(**made("inv", OLD, 3) | who, status=InvoiceStatus.WAITING_FOR_PAYMENT, ask_at=NOW)
    young = an_invoice(**made("inv", NOW, 4) | who, status=InvoiceStatus.PAID)
    await insert(store, paid, forgotten, waiting, young)

    assert (await Retention(store, dry_run=True).erase(MONTH)).invoices == 2
    assert (await Retention(store, dry_run=False).erase(MONTH)).invoices == 2
    for row in (paid, forgotten):
        assert await read(store, row) == msgspec.structs.replace(row, **dict.fromkeys(who))
    assert [await read(store, row) for row in (waiting, young)] == [waiting, young]
    assert (await Retention(store, dry_run=False).erase(MONTH)).invoices == 0


async def test_a_second_pass_and_a_dry_run_change_nothing(store: Store) -> None:
    await insert(store, paid := a_paid(1), callback := a_body(1))

    dry = await Retention(store, dry_run=True).erase(MONTH)
    assert (await read(store, paid), await read(store, callback)) == (paid, callback)
    assert (dry.transactions, dry.callbacks) == (1, 1)

    first = await Retention(store, dry_run=False).erase(MONTH)
    second = await Retention(store, dry_run=False).erase(MONTH)
    assert (first.transactions, first.callbacks) == (1, 1)
    assert (second.transactions, second.callbacks) == (0, 0)


async def test_what_is_young_or_open_is_left_alone(store: Store) -> None:
    """Also the callbacks of such transactions, and cards that are in use."""
    open_one = a_paid(1, status=Status.INDETERMINATE)
    disputed = a_paid(2, status=Status.REQUIRES_REVIEW)
    refunding = a_paid(3, refund_pending_amount=Decimal("1.00"))
    young = a_paid(4, NOW)
    late_change = a_paid(5, updated_at=NOW)
    rows = [
        *(open_one, disputed, refunding, young, late_change),
        a_refund(refunding.id, reason="Aydan"),
        a_card(**made("card", OLD, 1), status=SavedCardStatus.ACTIVE, mask="411111******1111"),
        *(a_body(n, transaction_id=row.id) for n, row in enumerate((open_one, disputed, refunding, late_change))),
        a_body(9, NOW),
    ]
    await insert(store, *rows)

    erased = await Retention(store, dry_run=False).erase(MONTH)

    assert (erased.transactions, erased.refunds, erased.saved_cards, erased.callbacks) == (0, 0, 0, 0)
    assert [await read(store, row) for row in rows] == rows


@pytest.mark.parametrize("name", [{"gateway_transaction_id": "te1"}, {"gateway_card_id": "ce1"}, {}])
async def test_callbacks_that_fit_nothing_are_erased_as_well(store: Store, name: dict[str, str]) -> None:
    """They keep what it takes to match them, should their transaction still turn up."""
    await insert(store, callback := a_body(1, disposition=Disposition.UNMATCHED, **name))

    assert (await Retention(store, dry_run=False).erase(MONTH)).callbacks == 1
    after = await read(store, callback)
    assert after.disposition is Disposition.UNMATCHED
    assert not any(trace in after.body for trace in TRACES)


async def test_any_number_is_erased_in_batches(store: Store) -> None:
    """All of one moment too, which is where pages by time go wrong."""
    count = 2 * BATCH + 1
    await insert(store, *(a_paid(n) for n in range(count)), *(a_body(n) for n in range(count)))

    assert (await Retention(store, dry_run=False).erase(YEAR)).transactions == 0
    erased = await Retention(store, dry_run=False).erase(MONTH)
    assert (erased.transactions, erased.callbacks) == (count, count)
