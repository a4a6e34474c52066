"""Invoices, the outbox and transfers to businesses in the console: what it shows and does, over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gql_epoint.simulator.settings import Switches
from tests.simulator_client import APPROVED, DECLINED, MERCHANT, World, sealed, world
from tests.test_simulator_business import INVOICE, TRANSFER
from tests.test_simulator_console import live


@pytest.fixture(scope="module")
async def sandbox():
    """Transfers wait for whoever plays the bank."""
    async with world(switches=Switches(transfer_step_s=None)) as made:
        yield made


async def ordered(sandbox: World, order: str) -> str:
    """Order a transfer whose webhook comes to the shop, and return its path in the control API."""
    await sandbox.call("b2b/payment", TRANSFER | {"order_id": order, "webhook_url": f"{sandbox.shop.url}/result"})
    return f"/transfers/{order}"


async def webhook(sandbox: World) -> dict[str, Any]:
    content_type, body = await sandbox.shop.raw()
    assert content_type == "application/json"
    return dict(json.loads(body))


async def quiet(sandbox: World) -> bool:
    await asyncio.sleep(0.2)
    return sandbox.shop.received.empty()


async def test_the_latest_of_everything_is_shown(sandbox: World) -> None:
    """With what was sent, and without the address that lets the service be asked."""
    path = await ordered(sandbox, "shown")
    made = await sandbox.call("invoices/create", INVOICE | {"name": "Aydan", "merchant_order_id": "I-1"})
    await sandbox.call("invoices/send-sms", {"id": made["id"], "phone": "+994501234567"})
    await sandbox.call("invoices/send-email", {"id": made["id"], "email": "a@example.az"})
    shown = await sandbox.control("GET", "/business")
    (transfer,), (invoice,) = shown["transfers"], shown["invoices"]

    assert (transfer["order_id"], transfer["amount"], transfer["state"]) == ("shown", "250.00", "PENDING")
    assert (transfer["has_webhook"], sandbox.shop.url in json.dumps(shown)) == (True, False)
    assert (invoice["sum"], invoice["name"], invoice["state"]) == ("99.90", "Aydan", "waiting_for_payment")
    assert [(one["channel"], one["to"]) for one in shown["outbox"]] == [
        ("email", "a@example.az"),
        ("sms", "+994501234567"),
    ]
    assert [one["link"] for one in invoice["sent"]] == [sandbox.url + invoice["page"]] * 2
    assert await sandbox.control("GET", path) == transfer
    assert await sandbox.control("GET", f"/invoices/{made['id']}") == invoice


@pytest.mark.parametrize("path", ["/transfers/nobody", "/invoices/7"])
async def test_what_is_not_there_is_not_found(sandbox: World, path: str) -> None:
    """Neither to see nor to change."""
    seen = await sandbox.http.get(f"/_control{path}")
    changed = await sandbox.http.post(
        f"/_control{path}/settle", json={"state": "paid" if "inv" in path else "FAILED"}
    )

    assert (seen.status_code, changed.status_code) == (404, 404)


@pytest.mark.parametrize(("state", "word"), [("SUCCESS", "success"), ("FAILED", "failed")])
async def test_a_decision_is_told_without_a_signature(sandbox: World, state: str, word: str) -> None:
    """Once; and what is only under way is not told."""
    path = await ordered(sandbox, f"decided-{word}")
    await sandbox.control("POST", f"{path}/settle", {"state": "PROCESSING"})
    assert await quiet(sandbox)
    await sandbox.control("POST", f"{path}/settle", {"state": state})
    told = await webhook(sandbox)
    await sandbox.control("POST", f"{path}/settle", {"state": state})

    assert (told["order_id"], told["status"], told["amount"]) == (f"decided-{word}", word, "250.00")
    assert "signature" not in told
    assert await quiet(sandbox)


async def test_a_webhook_is_doubled_delayed_lost_and_made_to_lie(sandbox: World) -> None:
    """Each for one sending alone; the next one is as always."""
    path = await ordered(sandbox, "told")
    await sandbox.control("POST", f"{path}/settle", {"state": "SUCCESS", "callback": {"drop": True}})
    assert await quiet(sandbox)
    await sandbox.control("POST", f"{path}/webhook", {"callback": {"copies": 2}})
    twice = [await webhook(sandbox) for _ in range(2)]
    lie = {"fields": {"status": "failed"}, "amount": "1.00", "delay_s": 0.3}
    await sandbox.control("POST", f"{path}/webhook", {"callback": lie})
    assert await quiet(sandbox)
    lied = await webhook(sandbox)
    await sandbox.control("POST", f"{path}/webhook")
    usual = await webhook(sandbox)

    assert [one["status"] for one in twice] == ["success"] * 2
    assert (lied["status"], lied["amount"], usual["status"]) == ("failed", "1.00", "success")
    async with asyncio.timeout(5):
        while len((shown := await sandbox.control("GET", path))["webhook_attempts"]) < 4:
            await asyncio.sleep(0.02)
    assert {attempt["http_status"] for attempt in shown["webhook_attempts"]} == {200}


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("webhook", {}),
        ("settle", {"state": "DONE"}),
        ("settle", {}),
        ("settle", {"state": "SUCCESS", "callback": {"copies": 1000}}),
        ("settle", {"state": "SUCCESS", "callback": {"delay_s": -1}}),
        ("settle", {"state": "SUCCESS", "colour": "red"}),
    ],
)
async def test_what_makes_no_sense_changes_nothing(sandbox: World, act: str, body: dict[str, Any]) -> None:
    """A webhook before anything is decided, and words that nobody knows."""
    path = await ordered(sandbox, f"nonsense-{len(str(body))}-{act}")
    answer = await sandbox.http.post(f"/_control{path}/{act}", json=body)

    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert (await sandbox.control("GET", path))["state"] == "PENDING"
    assert await quiet(sandbox)


async def test_an_invoice_is_paid_canceled_and_opened_again(sandbox: World) -> None:
    """As a customer elsewhere and a person in the cabinet do; EPoint's API says so, and no callback does."""
    made = await sandbox.call("invoices/create", INVOICE)
    for state in ("paid", "canceled", "waiting_for_payment"):
        shown = await sandbox.control("POST", f"/invoices/{made['id']}/settle", {"state": state})
        seen = await sandbox.call("invoices/view", {"id": made["id"]})

        assert (shown["state"], seen["invoice"]["status"]) == (state, state)
    answer = await sandbox.http.post(f"/_control/invoices/{made['id']}/settle", json={"state": "lost"})
    assert (answer.status_code, await quiet(sandbox)) == (400, True)


@pytest.mark.parametrize("length", [4_000, 400_000])
async def test_images_are_shown_by_their_length(sandbox: World, length: int) -> None:
    """The envelope beside them is verified and decoded, however long they are; they themselves are not kept."""
    fields = sealed({"public_key": MERCHANT.public_key, **INVOICE, "name": f"With {length} bytes"})
    files = [("invoice_images[]", (f"{number}.png", b"\x89PNG" + b"x" * length, "image/png")) for number in "ab"]
    made = (await sandbox.http.post("/api/1/invoices/create", data=fields, files=files)).json()
    exchange = next(one for one in reversed(list(sandbox.state.journal)) if one.path.endswith("/create"))

    assert made["status"] == "success"
    assert (exchange.signature, f"With {length} bytes" in (exchange.decoded or "")) == ("valid", True)
    assert fields["signature"] in exchange.request
    assert "xxxx" not in exchange.request
    if length < 100_000:
        assert exchange.request.count(f"({length + 4} bytes)") == 2
    else:
        assert "(the rest was not read)" in exchange.request


async def test_each_change_is_told_with_its_name(sandbox: World) -> None:
    """Ordered, decided, delivered; made, sent, paid on its page; what is refused there changes nothing."""
    async with live(sandbox) as following:
        assert (await following())["business"] == []

        async def heard(name: str) -> None:
            while name not in (await following())["business"]:
                pass

        path = await ordered(sandbox, "heard")
        await heard("transfers/heard")
        await sandbox.control("POST", f"{path}/settle", {"state": "FAILED"})
        await heard("transfers/heard")
        await webhook(sandbox)
        while not (await sandbox.control("GET", path))["webhook_attempts"]:
            await heard("transfers/heard")
        made = await sandbox.call("invoices/create", INVOICE)
        name = f"invoices/{made['id']}"
        await heard(name)
        await sandbox.call("invoices/send-sms", {"id": made["id"], "phone": "+994501234567"})
        await heard(name)
        page = (await sandbox.control("GET", f"/{name}"))["page"]
        await sandbox.submit(page, DECLINED)
        await sandbox.submit(page, APPROVED)
        await heard(name)

        assert (await sandbox.control("GET", f"/{name}"))["state"] == "paid"
