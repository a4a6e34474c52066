"""How the sandbox's contract plays with invoices and transfers to businesses at the simulator."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
from pathlib import Path
from typing import Any

import pytest

from gql_epoint.simulator.server import running
from tests.cases import IBAN, PNG, invoice, transfer
from tests.service import Client, Service
from tests.test_business_transfers import BY_HAND, a_node

SHOWN_INVOICE = """{ gatewayInvoiceId orderId status amount { amount currency } pageUrl images { name bytes sha256 }
  outbox { channel to link } }"""
SHOWN_TRANSFER = """{ orderId status amount { amount } payeeName payeeIban hasWebhook
  webhookAttempts { httpStatus error } }"""
MAKE = """mutation ($input: CreateInvoiceInput!) { createInvoice(input: $input) {
  errors { code } invoice { id gateway { invoiceId orderId } } } }"""
ORDER = """mutation ($input: TransferToBusinessInput!) { transferToBusiness(input: $input) {
  errors { code } businessTransfer { id } } }"""
SETTLE_INVOICE = (
    """mutation ($id: ID!, $state: SimulatorInvoiceState!) { simulatorSettleInvoice(by: {id: $id}, state: $state) {
  errors { code } simulatorInvoice """
    + SHOWN_INVOICE
    + " } }"
)
SETTLE_TRANSFER = (
    """mutation ($order: String!, $state: SimulatorTransferState!, $webhook: SimulatorWebhookInput) {
  simulatorSettleTransfer(by: {orderId: $order}, state: $state, webhook: $webhook) {
    errors { code } simulatorTransfer """
    + SHOWN_TRANSFER
    + " } }"
)
SEND_WEBHOOK = (
    """mutation ($order: String!, $webhook: SimulatorWebhookInput) {
  simulatorSendTransferWebhook(by: {orderId: $order}, webhook: $webhook) {
    errors { code } simulatorTransfer """
    + SHOWN_TRANSFER
    + " } }"
)
REFRESH_TRANSFER = "mutation ($o: String!) { refreshBusinessTransfer(by: {orderId: $o}) { replayed } }"

_numbers = itertools.count()


@pytest.fixture
async def waiting_bank(service: Service) -> None:
    """No transfer goes on by itself."""
    await service.simulator.control("PUT", "/settings", {"switches": {"transfer_step_s": None}})


async def made(client: Client, **changes: Any) -> dict[str, Any]:
    """Make an invoice and return it."""
    order = f"played-invoice-{next(_numbers)}"
    payload = (await client.data(MAKE, input=invoice(order, f"sandbox-{order}", **changes)))["createInvoice"]
    assert payload["errors"] == []
    return dict(payload["invoice"])


async def ordered(client: Client) -> str:
    """Order a transfer and return its order id."""
    order = f"played-transfer-{next(_numbers)}"
    payload = (await client.data(ORDER, input=transfer(order, f"sandbox-{order}")))["transferToBusiness"]
    assert payload["errors"] == []
    return order


async def status_of(client: Client, order: str) -> Any:
    found = await client.data("query ($o: String!) { businessTransfer(by: {orderId: $o}) { status } }", o=order)
    return found["businessTransfer"]["status"]


async def test_an_invoice_is_shown_with_its_images_and_what_was_sent(client: Client) -> None:
    """As EPoint has it; the latest comes first."""
    known = await made(client, images=[PNG])
    for field, to in (("Sms", 'phone: "+994501234567"'), ("Email", 'email: "a@example.az"')):
        key = f'idempotencyKey: "sandbox-send-{field}-{known["id"]}", invoiceId: "{known["id"]}"'
        await client.data(f"mutation {{ sendInvoiceBy{field}(input: {{{key}, {to}}}) {{ errors {{ code }} }} }}")
    (shown,) = (await client.data("{ simulatorInvoices(first: 1) " + SHOWN_INVOICE + " }"))["simulatorInvoices"]
    image = base64.b64decode(PNG)

    assert (shown["gatewayInvoiceId"], shown["orderId"]) == tuple(known["gateway"].values())
    assert (shown["status"], shown["amount"]) == (
        "waiting_for_payment",
        {"amount": "99.90", "currency": "AZN"},
    )
    assert [(one["bytes"], one["sha256"]) for one in shown["images"]] == [
        (len(image), hashlib.sha256(image).hexdigest())
    ]
    assert [(one["channel"], one["to"]) for one in shown["outbox"]] == [
        ("SMS", "+994501234567"),
        ("EMAIL", "a@example.az"),
    ]
    assert {one["link"] for one in shown["outbox"]} == {shown["pageUrl"]}


async def test_an_invoice_is_paid_canceled_and_opened_again(client: Client) -> None:
    """No callback tells of it: the service learns of it by asking."""
    known = await made(client)
    for state, word, status in (
        ("PAID", "paid", "PAID"),
        ("CANCELED", "canceled", "CANCELED"),
        ("WAITING_FOR_PAYMENT", "waiting_for_payment", "WAITING_FOR_PAYMENT"),
    ):
        payload = (await client.data(SETTLE_INVOICE, id=known["id"], state=state))["simulatorSettleInvoice"]
        refresh = "mutation ($id: ID!) { refreshInvoice(by: {id: $id}) { invoice { status } } }"
        after = (await client.data(refresh, id=known["id"]))["refreshInvoice"]["invoice"]["status"]

        assert (payload["errors"], payload["simulatorInvoice"]["status"], after) == ([], word, status)


@pytest.mark.usefixtures("waiting_bank")
async def test_a_transfer_is_carried_out_or_rejected(client: Client) -> None:
    """Its webhook makes the service ask at once."""
    for state in ("SUCCESS", "FAILED"):
        order = await ordered(client)
        for step in ("PROCESSING", state):
            payload = (await client.data(SETTLE_TRANSFER, order=order, state=step))["simulatorSettleTransfer"]
            assert (payload["errors"], payload["simulatorTransfer"]["status"]) == ([], step)
        await client.data(REFRESH_TRANSFER, o=order)

        assert await status_of(client, order) == state
    (shown,) = (await client.data("{ simulatorTransfers(first: 1) " + SHOWN_TRANSFER + " }"))["simulatorTransfers"]
    assert (shown["orderId"], shown["amount"]["amount"], shown["payeeIban"]) == (
        order,
        "250.00",
        IBAN.replace(" ", ""),
    )


async def test_a_webhook_travels_as_it_is_told_to(tmp_path: Path) -> None:
    """Lost, then twice, then with a lie, which changes nothing: nobody signs it, so EPoint is asked."""
    async with running(BY_HAND) as simulator, a_node("sqlite", tmp_path, simulator) as (_, client):
        order = await ordered(client)
        lost = {"drop": True}
        await client.data(SETTLE_TRANSFER, order=order, state="SUCCESS", webhook=lost)
        await client.data(SEND_WEBHOOK, order=order, webhook={"copies": 2, "delayMs": 50})
        lie = {"status": "FAILED", "amount": "1.00"}
        await client.data(SEND_WEBHOOK, order=order, webhook=lie)
        listed = "{ simulatorTransfers { orderId hasWebhook webhookAttempts { httpStatus } } }"
        async with asyncio.timeout(15):
            while await status_of(client, order) != "SUCCESS":
                await asyncio.sleep(0.05)
            while len((shown := (await client.data(listed))["simulatorTransfers"][0])["webhookAttempts"]) < 3:
                await asyncio.sleep(0.05)

        assert shown == {"orderId": order, "hasWebhook": True, "webhookAttempts": [{"httpStatus": 200}] * 3}
        assert await status_of(client, order) == "SUCCESS"


REFUSED = {
    'simulatorSettleInvoice(by: {orderId: "nobody"})': "NOT_FOUND",
    'simulatorSettleInvoice(by: {gatewayInvoiceId: "../1"})': "NOT_FOUND",
    'simulatorSettleTransfer(by: {id: "bt_none"})': "NOT_FOUND",
    'simulatorSettleTransfer(by: {orderId: "%s"}, webhook: {copies: 1000})': "INVALID_INPUT",
    'simulatorSettleTransfer(by: {orderId: "%s"}, webhook: {delayMs: -1})': "INVALID_INPUT",
    'simulatorSendTransferWebhook(by: {orderId: "nobody"})': "NOT_FOUND",
    'simulatorSendTransferWebhook(by: {orderId: "%s"})': "INVALID_INPUT",
}


@pytest.mark.usefixtures("waiting_bank")
@pytest.mark.parametrize("field", REFUSED)
async def test_what_cannot_be_played_is_data(client: Client, field: str) -> None:
    """A code to branch on, and nothing has happened."""
    order = await ordered(client)
    text = field % order if "%s" in field else field
    (payload,) = (await client.data(f"mutation {{ {text} {{ errors {{ code }} }} }}")).values()
    await client.data(REFRESH_TRANSFER, o=order)

    assert payload == {"errors": [{"code": REFUSED[field]}]}
    assert await status_of(client, order) == "PENDING"


@pytest.mark.parametrize("field", ["simulatorInvoices", "simulatorTransfers"])
@pytest.mark.parametrize("first", [0, 101])
async def test_a_window_has_a_size(client: Client, field: str, first: int) -> None:
    answer = await client.execute(f"{{ {field}(first: {first}) {{ status }} }}")

    assert answer["errors"][0]["extensions"]["code"] == "INVALID_INPUT"


@pytest.mark.usefixtures("waiting_bank")
@pytest.mark.parametrize("transport", ["subscribe", "stream"])
async def test_invoices_and_transfers_can_be_watched(client: Client, transport: str) -> None:
    """Each time that something happens to one, over WebSocket and SSE; the other of the two is null."""
    watch = "subscription { simulatorBusinessUpdated { invoice { gatewayInvoiceId status } transfer { status } } }"

    async def keep_changing() -> None:
        # It says nothing until something happens, and nobody says when it has begun to look.
        while True:
            known = await made(client)
            await client.data(SETTLE_INVOICE, id=known["id"], state="PAID")
            order = await ordered(client)
            await client.data(SETTLE_TRANSFER, order=order, state="FAILED")
            await asyncio.sleep(0.1)

    changing = asyncio.create_task(keep_changing())
    invoices, transfers = set(), set()
    try:
        async with (
            asyncio.timeout(20),
            contextlib.aclosing(getattr(client, transport)(watch)) as stream,
        ):
            async for payload in stream:
                update = payload["data"]["simulatorBusinessUpdated"]
                assert (update["invoice"] is None) != (update["transfer"] is None)
                if update["invoice"] is not None:
                    invoices.add(update["invoice"]["status"])
                else:
                    transfers.add(update["transfer"]["status"])
                if "paid" in invoices and "FAILED" in transfers:
                    break
    finally:
        changing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await changing
