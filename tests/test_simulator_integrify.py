"""The public Python SDK, which is written against the real EPoint, cannot tell the simulator from it."""

from __future__ import annotations

import importlib
from decimal import Decimal
from types import SimpleNamespace

import pytest

from tests.simulator_client import APPROVED, DECLINED, MERCHANT, OTHER_MERCHANT, World, granted_all_but, world

ORDER = {"amount": Decimal("30.75"), "currency": "AZN"}
SPLIT = {**ORDER, "split_user_id": OTHER_MERCHANT.public_key, "split_amount": Decimal(10)}


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


@pytest.fixture(scope="module")
async def sdk(sandbox: World):
    """The SDK reads its keys when it is first imported, and again from its own module at each call."""
    keys = {"EPOINT_PUBLIC_KEY": MERCHANT.public_key, "EPOINT_PRIVATE_KEY": MERCHANT.private_key}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        epoint = importlib.import_module("integrify.epoint.client")
        callbacks = importlib.import_module("integrify.epoint.helpers")
        schemas = importlib.import_module("integrify.epoint.schemas.callback")
        for name, value in keys.items():
            patch.setattr(epoint.env, name, value)
        client = epoint.EPointClientClass(base_url=sandbox.url, sync=False)
        yield SimpleNamespace(
            client=client,
            env=epoint.env,
            decode=lambda raw: callbacks.decode_callback_data(schemas.CallbackDataSchema.model_validate(raw)),
        )
        await client.aclose()


async def card_of(sandbox: World, sdk, number: str = APPROVED) -> str:
    reply = await sdk.client.save_card()
    await sandbox.submit(reply.body.redirect_url, number)
    await sandbox.shop.raw()
    return reply.body.card_id


@pytest.mark.parametrize(
    ("method", "fields", "saves_card"),
    [
        ("pay", {**ORDER, "description": "a book", "other_attr": {"a": 1}}, False),
        ("split_pay", {**SPLIT, "other_attr": {"a": 1}}, False),
        ("pay_and_save_card", {**ORDER, "description": "a book"}, True),
        ("split_pay_and_save_card", SPLIT, True),
    ],
)
@pytest.mark.parametrize(("number", "status"), [(APPROVED, "success"), (DECLINED, "failed")])
async def test_redirecting_operations(sandbox: World, sdk, method, fields, saves_card, number, status):
    """Each opens a page, and the SDK's own decoder takes the callback and its amount."""
    reply = await getattr(sdk.client, method)(order_id=f"{method}-{status}", **fields)
    await sandbox.submit(reply.body.redirect_url, number)
    callback = sdk.decode((await sandbox.shop.raw())[1])

    assert reply.ok
    assert (status, f"{method}-{status}") == (callback.status.value, callback.order_id)
    assert (reply.body.transaction, Decimal("30.75")) == (callback.transaction, callback.amount)
    assert (Decimal(10) if "split_amount" in fields else None) == callback.split_amount
    assert saves_card == (callback.card_id is not None)
    assert fields.get("other_attr") is None or callback.other_attr == '{"a":1}'


async def test_saving_a_card(sandbox: World, sdk):
    """A registration and its callback are about the same card."""
    reply = await sdk.client.save_card()
    await sandbox.submit(reply.body.redirect_url, APPROVED)
    callback = sdk.decode((await sandbox.shop.raw())[1])

    assert reply.ok
    assert (reply.body.card_id, "001") == (callback.card_id, callback.operation_code)


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("pay_with_saved_card", ORDER, "success"),
        ("split_pay_with_saved_card", SPLIT, "success"),
        ("payout", ORDER, "failed"),  # the SDK cannot register a card for payouts
    ],
)
async def test_charges(sandbox: World, sdk, method, fields, status):
    """The reply is the result."""
    card = await card_of(sandbox, sdk)
    reply = await getattr(sdk.client, method)(order_id=method, card_id=card, **fields)

    assert (status, status == "success") == (reply.body.status.value, reply.ok)
    assert (Decimal("30.75") if reply.ok else None) == reply.body.amount


async def test_payout(sandbox: World, sdk):
    """A payout to a card that was registered for it."""
    card = await sandbox.saved_card(refund=1)
    reply = await sdk.client.payout(order_id="payout", card_id=card, **ORDER)

    assert (reply.ok, Decimal("30.75")) == (True, reply.body.amount)


async def test_status_and_refund(sandbox: World, sdk):
    """The SDK reads every state of a transaction, and gives a payment back in parts."""
    paid, declined = [await sdk.client.pay(order_id=f"status-{number}", **ORDER) for number in range(2)]
    seen = [await sdk.client.get_transaction_status(transaction_id=paid.body.transaction)]
    for reply, number in ((paid, APPROVED), (declined, DECLINED)):
        await sandbox.submit(reply.body.redirect_url, number)
        await sandbox.shop.raw()
        seen.append(await sdk.client.get_transaction_status(transaction_id=reply.body.transaction))
    name = paid.body.transaction
    part = await sdk.client.refund(transaction_id=name, currency="AZN", amount=Decimal(10))
    rest = await sdk.client.refund(transaction_id=name, currency="AZN")
    seen.append(await sdk.client.get_transaction_status(transaction_id=name))

    assert [reply.body.status.value for reply in seen] == ["new", "success", "error", "returned"]
    assert seen[1].body.order_id == "status-0"
    assert [part.ok, rest.ok] == [True, True]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("EPOINT_PUBLIC_KEY", "i999999999", "Merchant not found"),
        ("EPOINT_PRIVATE_KEY", "wrong", "Signature did not match"),
    ],
)
async def test_wrong_keys(sdk, monkeypatch, name, value, message):
    """The same assertions as the SDK's own tests make about the real EPoint."""
    monkeypatch.setattr(sdk.env, name, value)
    reply = await sdk.client.get_transaction_status(transaction_id="te0000000000")

    assert (False, "server_error", message) == (reply.ok, reply.body.status.value, reply.body.message)


# Apple Pay and Google Pay -----------------------------------------------------------------------------------------

TOKEN_ORDER = {"amount": Decimal("2.50"), "description": "a book"}


async def test_widget(sandbox: World, sdk):
    """The SDK's widget is a page that can be framed, and whose order get-status finds; a callback may follow."""
    reply = await sdk.client.create_widget(order_id="widget", **TOKEN_ORDER)
    page = await sandbox.http.get(reply.body.widget_url)
    await sandbox.http.post(reply.body.widget_url, data={"decision": "approve"})
    callback = sdk.decode((await sandbox.shop.raw())[1])

    assert reply.ok
    assert "frame-ancestors" not in page.headers["content-security-policy"]
    assert "x-frame-options" not in page.headers
    assert ("success", "widget", Decimal("2.50")) == (callback.status.value, callback.order_id, callback.amount)


@pytest.mark.parametrize("method", ["apple_pay", "google_pay"])
@pytest.mark.parametrize(("token", "status"), [("approve", "success"), ("decline", "failed")])
async def test_tokens(sandbox: World, sdk, method, token, status):
    """A record, the charge of a token, and what get-status says of it."""
    order_id = f"{method}-{status}"
    record = await sdk.client.create_token_payment(order_id=order_id, currency="AZN", **TOKEN_ORDER)
    assert record.ok
    assert (record.body.merchant_order_id, record.body.total) == (order_id, Decimal("2.50"))
    token = {"simulate": token} if method == "apple_pay" else token
    reply = await getattr(sdk.client, method)(payment_id=record.body.id, token=token, billing_contact={"name": "A"})
    told = await sdk.client.get_transaction_status(transaction_id=record.body.transaction)

    assert (status, status == "success") == (reply.body.status, reply.ok)
    assert told.body.status.value == ("success" if reply.ok else "error")
    again = await getattr(sdk.client, method)(payment_id=record.body.id, token=token)
    assert (again.ok, again.body.message) == (False, "Payment is not new")


async def test_apple_session(sandbox: World, sdk):
    """What the SDK hands to Apple as it is."""
    reply = await sdk.client.apple_pay_session(origin="https://shop.example")
    refused = await sdk.client.apple_pay_session(origin="shop.example")

    assert (reply.ok, reply.body["domainName"]) == (True, "shop.example")
    assert not refused.ok


async def test_merchant_without_the_grant(sandbox: World, sdk):
    """Each of them is refused in one way, and everything else works."""
    await sandbox.control("PUT", f"/merchants/{MERCHANT.public_key}", {"granted": []})
    refused = [
        await sdk.client.create_widget(order_id="no-widget", **TOKEN_ORDER),
        await sdk.client.create_token_payment(order_id="no-token", currency="AZN", **TOKEN_ORDER),
        await sdk.client.apple_pay_session(origin="https://shop.example"),
    ]
    paid = await sdk.client.pay(order_id="granted-to-all", **ORDER)
    await sandbox.control("PUT", f"/merchants/{MERCHANT.public_key}", granted_all_but())
    granted = await sdk.client.create_widget(order_id="a-widget", **TOKEN_ORDER)

    assert [reply.ok for reply in (*refused, paid, granted)] == [False, False, False, True, True]
