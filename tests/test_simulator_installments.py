"""The simulator's instalments: what it lists, in both ways that months may be written, and what a page offers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator_client import APPROVED, PAY, World, world

ASK = {"currency": "AZN", "language": "az", "order_id": "order-1", "amount": "30.75"}


@pytest.fixture
async def sandbox():
    async with world() as made:
        yield made


@pytest.mark.parametrize(("as_text", "months"), [(False, [3, 18]), (True, ["3", "18"])])
async def test_plans_are_an_array(sandbox: World, as_text: bool, months: list[Any]):
    """Without a status, as the portal lists it; whether months are numbers is not documented."""
    await sandbox.control("PUT", "/settings", {"switches": {"installment_months_as_text": as_text}})
    plans: Any = (await sandbox.post("/api/1/get-installment-request", ASK)).json()

    assert [sorted(plan) for plan in plans] == [["installment_card_id", "installment_months", "name"]] * 2
    assert plans[1]["installment_months"] == months
    assert (await sandbox.control("GET", "/books"))["transactions"] == []


@pytest.mark.parametrize("missing", ["currency", "order_id"])
async def test_question_lacks_something(sandbox: World, missing: str):
    """An error is an object, as everywhere."""
    fields = {name: value for name, value in ASK.items() if name != missing}

    assert (await sandbox.call("get-installment-request", fields))["status"] == "error"


async def test_question_does_not_use_the_order_up(sandbox: World):
    """Where an order id can be used once, asking does not use it."""
    await sandbox.control("PUT", "/settings", {"switches": {"refuse_duplicate_orders": True}})
    for _ in range(2):
        assert (await sandbox.post("/api/1/get-installment-request", ASK)).json()[0]["installment_card_id"] == "1"
    fields = {**PAY, "installment_card_id": "1", "installment_month": 6}

    assert (await sandbox.call("installment-request", fields))["status"] == "success"
    assert (await sandbox.call("installment-request", fields))["status"] == "error"


@pytest.mark.parametrize("month", ["6", "7", "", "x"])
async def test_page_takes_what_it_offers(sandbox: World, month: str):
    """A choice that the page does not have is none; the payment goes on."""
    reply = await sandbox.call("request", {**PAY, "is_installment": 1})
    form = {"card_number": APPROVED, "installment_month": month}
    await sandbox.http.post(reply["redirect_url"], data=form)
    (row,) = (await sandbox.control("GET", "/books"))["transactions"]

    assert (row["status"], row["installment_month"]) == ("success", 6 if month == "6" else None)


async def test_page_without_instalments_offers_none(sandbox: World):
    """Only `is_installment: 1` asks for the choice."""
    for number, wish in enumerate(({}, {"is_installment": 0})):
        reply = await sandbox.call("request", {**PAY, **wish, "order_id": f"order-{number}"})
        await sandbox.http.post(reply["redirect_url"], data={"card_number": APPROVED, "installment_month": "6"})

        assert "installment_month" not in (await sandbox.http.get(reply["redirect_url"])).text
    assert {row["installment_month"] for row in (await sandbox.control("GET", "/books"))["transactions"]} == {None}
