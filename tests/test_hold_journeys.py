"""Holds over real HTTP and WebSocket: watched from the customer's page to the capture or the cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cases import MUTATION, World, world_numbers
from tests.service import Client, Service
from tests.simulator_client import granted_all_but
from tests.test_journeys import history, states

MONEY = """query ($id: ID!) { transaction(by: {id: $id}) {
  status isFinal amount { amount } authorizedAmount { amount } capturedAmount { amount } refundableAmount { amount }
  holdRequest { kind status amount { amount } failure { category message } }
} }"""
WATCH = """subscription ($id: ID!) { transactionUpdated(by: {id: $id}) {
  transaction { status isFinal authorizedAmount { amount } capturedAmount { amount } }
} }"""
MERCHANT = "/merchants/i000000001"


@pytest.fixture
def world(service: Service, client: Client) -> World:
    return World(service=service, client=client, number=next(world_numbers))


async def money(world: World, transaction_id: str) -> dict[str, Any]:
    """Ask what is held, taken and refundable."""
    found: dict[str, Any] = (await world.client.data(MONEY, id=transaction_id))["transaction"]
    return {name: value["amount"] if name.lower().endswith("amount") else value for name, value in found.items()}


async def ask(world: World, mutation: str, step: str, **fields: Any) -> dict[str, Any]:
    """Run a mutation that may be refused and return its payload."""
    document = MUTATION % (mutation[0].upper() + mutation[1:], mutation, "transaction", "id status")
    payload: dict[str, Any] = (
        await world.client.data(document, input={"idempotencyKey": world.key(step), **fields})
    )[mutation]
    return payload


async def test_one_subscription_tells_of_the_hold_and_of_its_capture(world: World) -> None:
    """It goes on while the amount is held, and completes when a part of it is taken."""
    opened = await world.run(
        "preauthorize",
        "transaction",
        {"idempotencyKey": world.key("main"), "orderId": world.order_id, "amount": {"amount": "12.34"}},
    )
    heard: list[tuple[str, bool, str, str]] = []

    async def listen() -> None:
        async for update in world.client.subscribe(WATCH, id=opened["id"]):
            seen = update["data"]["transactionUpdated"]["transaction"]
            amounts = (seen["authorizedAmount"]["amount"], seen["capturedAmount"]["amount"])
            heard.append((seen["status"], seen["isFinal"], *amounts))

    listening = asyncio.create_task(listen())
    await world.service.simulator.pay(opened["nextAction"]["url"])
    async with asyncio.timeout(20):
        while not heard or heard[-1][0] != "AUTHORIZED":
            await asyncio.sleep(0.02)
    captured = await ask(
        world, "capture", "capture", transaction={"orderId": world.order_id}, amount={"amount": "7.30"}
    )
    await listening

    assert (captured["transaction"]["status"], captured["errors"]) == ("SUCCESS", [])
    assert ("AUTHORIZED", False, "12.34", "0.00") in heard
    assert heard[-1] == ("SUCCESS", True, "0.00", "7.30")
    assert await money(world, opened["id"]) == {
        "status": "SUCCESS",
        "isFinal": True,
        "amount": "12.34",
        "authorizedAmount": "0.00",
        "capturedAmount": "7.30",
        "refundableAmount": "7.30",
        "holdRequest": {"kind": "CAPTURE", "status": "SUCCESS", "amount": {"amount": "7.30"}, "failure": None},
    }


async def test_hold_is_let_go(world: World) -> None:
    """VOIDED and final; what is final cannot be captured."""
    held = await world.held()
    by = {"gatewayTransactionId": held["gateway"]["transactionId"]}
    canceled = await ask(world, "cancelPreauthorization", "cancel", transaction=by)
    refused = await ask(world, "capture", "capture", transaction=by)

    assert (canceled["transaction"]["status"], canceled["errors"]) == ("VOIDED", [])
    assert [error["code"] for error in refused["errors"]] == ["NOT_CAPTURABLE"]
    assert states(await history(world, held["id"]))[3:] == ("PROCESSING", "SUCCESS", "VOIDED")
    assert (await money(world, held["id"]))["capturedAmount"] == "0.00"


async def test_declined_capture_is_seen(world: World) -> None:
    """An error beside the transaction, and the reason on it; it is held as before and a new key may try again."""
    held = await world.held()
    by = {"id": held["id"]}
    await world.service.simulator.control("PUT", f"/orders/{world.order_id}", {"bank_code": "116"})
    declined = await ask(world, "capture", "declined", transaction=by)
    await world.service.simulator.control("DELETE", f"/orders/{world.order_id}")
    seen = await money(world, held["id"])
    again = await ask(world, "capture", "again", transaction=by)

    assert [error["code"] for error in declined["errors"]] == ["GATEWAY_REFUSED"]
    assert (seen["status"], seen["authorizedAmount"]) == ("AUTHORIZED", "12.34")
    assert (seen["holdRequest"]["status"], seen["holdRequest"]["failure"]["message"]) == (
        "FAILED",
        "Kartda kifayət qədər balans yoxdur",
    )
    assert again["transaction"]["status"] == "SUCCESS"


async def test_too_much_and_too_often_is_refused(world: World) -> None:
    """More than is held, another currency, and a capture beside a lost one: nothing reaches EPoint."""
    held = await world.held()
    by = {"id": held["id"]}
    more = await ask(world, "capture", "more", transaction=by, amount={"amount": "12.35"})
    euro = await ask(world, "capture", "euro", transaction=by, amount={"amount": "1.00", "currency": "EUR"})
    await world.service.simulator.control("PUT", f"/orders/{world.order_id}", {"reply": "drop"})
    lost = await ask(world, "capture", "lost", transaction=by, amount={"amount": "12.34"})
    beside = await ask(world, "cancelPreauthorization", "beside", transaction=by)
    decided = await ask(
        world, "resolveHold", "decided", transactionId=held["id"], finding="CAPTURED", note="Seen in the cabinet."
    )

    codes = [[error["code"] for error in payload["errors"]] for payload in (more, euro, lost, beside, decided)]
    assert codes == [["CAPTURE_EXCEEDS_AUTHORIZED"], ["CURRENCY_NOT_SUPPORTED"], [], ["HOLD_IN_PROGRESS"], []]
    assert (lost["transaction"]["status"], decided["transaction"]["status"]) == ("INDETERMINATE", "SUCCESS")
    assert (await money(world, held["id"]))["capturedAmount"] == "12.34"


async def test_merchant_without_the_grant(world: World) -> None:
    """GATEWAY_REFUSED says who has to grant it."""
    await world.service.simulator.control("PUT", MERCHANT, granted_all_but("pre-auth"))
    try:
        refused = await ask(
            world, "preauthorize", "refused", orderId=world.order_id, amount={"amount": "1.00"}, language="EN"
        )
    finally:
        await world.service.simulator.control("PUT", MERCHANT, granted_all_but())

    assert refused["transaction"]["status"] == "FAILED"
    assert [error["code"] for error in refused["errors"]] == ["GATEWAY_REFUSED"]
    assert "must be granted to a merchant by EPoint" in refused["errors"][0]["message"]
