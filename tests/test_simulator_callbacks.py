from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gql_epoint.epoint.callback import read_callback, read_envelope
from gql_epoint.epoint.signing import unseal
from gql_epoint.errors import SignatureError
from tests.simulator_client import APPROVED, DECLINED, MERCHANT, PAY, SECURE, SPLIT, World, world

BANK = {"bank_transaction", "bank_response", "operation_code", "rrn", "card_name", "card_mask", "trace_id"}
PAYMENT = BANK | {"order_id", "status", "code", "message", "transaction", "amount", "other_attr"}
WITH_CARD = PAYMENT - {"message"} | {"card_id"}
CARD = BANK | {"status", "code", "message", "card_id"}


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


async def body_of(sandbox: World) -> tuple[str, bytes]:
    content_type, raw = await sandbox.shop.raw()
    sealed = read_envelope(content_type, raw)
    return content_type, unseal(MERCHANT.private_key, sealed.data, sealed.signature)


async def pay(sandbox: World, order_id: str, number: str = APPROVED, **plan: Any) -> str:
    """Pay an order on the hosted page, with a plan for its callback."""
    await sandbox.control("PUT", f"/orders/{order_id}", {"callback": plan})
    reply = await sandbox.call("request", {**PAY, "order_id": order_id, "other_attr": ["a", 1]})
    await sandbox.submit(reply["redirect_url"], number)
    return reply["transaction"]


async def delivery(sandbox: World, transaction: str, state: str) -> dict[str, Any]:
    """Wait until the books say that a callback has come to a state."""
    async with asyncio.timeout(5):
        while True:
            for found in (await sandbox.control("GET", "/books"))["callbacks"]:
                if (found["transaction"], found["state"]) == (transaction, state):
                    return found
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "fields", "code", "names"),
    [
        ("request", PAY, "100", PAYMENT),
        ("split-request", SPLIT, "100", PAYMENT | {"split_amount"}),
        ("card-registration-with-pay", PAY, "200", WITH_CARD),
        ("split-card-registration-with-pay", SPLIT, "200", WITH_CARD | {"split_amount"}),
        ("card-registration", {"language": "en"}, "001", CARD),
    ],
)
@pytest.mark.parametrize("number", [APPROVED, DECLINED])
async def test_fields_by_operation(sandbox: World, path, fields, code, names, number):
    """Each callback has the fields of EPoint's table, whatever the outcome; without the ids of a registration."""
    reply = await sandbox.call(path, fields)
    await sandbox.submit(reply["redirect_url"], number)
    content_type, body = await body_of(sandbox)
    callback = read_callback_body(body)

    assert content_type == "application/x-www-form-urlencoded"
    assert names == set(callback)
    assert code == callback["operation_code"]
    assert ("success" if number == APPROVED else "failed") == callback["status"]
    assert reply.get("card_id") == callback.get("card_id")
    assert (number == APPROVED) == (callback["rrn"] is not None)


def read_callback_body(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body)


async def test_a_failed_registration_says_500(sandbox: World):
    """The code of a failed card registration is 500; the bank's own is in bank_response."""
    reply = await sandbox.call("card-registration", {"language": "en"})
    await sandbox.submit(reply["redirect_url"], DECLINED)
    callback = await sandbox.shop.callback()

    assert (callback.status, callback.code, callback.bank_response) == ("failed", "500", "116")


@pytest.mark.parametrize(("decision", "status", "code"), [("confirm", "success", "000"), ("fail", "failed", "117")])
async def test_three_d_secure(sandbox: World, decision, status, code):
    """The callback comes after the customer's decision and says how it went."""
    reply = await sandbox.call("request", PAY)
    step = await sandbox.submit(reply["redirect_url"], SECURE)
    waiting = (await sandbox.status(reply["transaction"]))["status"]
    await sandbox.http.post(reply["redirect_url"], data={"decision": decision})
    callback = await sandbox.shop.callback()

    assert (step.status_code, waiting) == (303, "new")
    assert (callback.status, callback.code) == (status, code)


@pytest.mark.parametrize("language", ["az", "en"])
async def test_the_message_speaks_the_language_of_the_request(sandbox: World, language):
    """Bank messages are localized."""
    reply = await sandbox.call("request", {**PAY, "language": language})
    await sandbox.submit(reply["redirect_url"], APPROVED)

    assert {"az": "Təsdiq edildi", "en": "Confirmed"}[language] == (await sandbox.shop.callback()).message


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart", "json"])
async def test_encodings(sandbox: World, encoding):
    """The same callback arrives in each body that has been seen in the wild."""
    transaction = await pay(sandbox, f"in-{encoding}", encoding=encoding)
    content_type, raw = await sandbox.shop.raw()

    assert {"urlencoded": "x-www-form-urlencoded", "multipart": "form-data", "json": "json"}[
        encoding
    ] in content_type
    assert transaction == read_callback(MERCHANT.private_key, content_type, raw).transaction


@pytest.mark.parametrize(
    ("plan", "part"),
    [
        ({}, b'"amount":30.75'),
        ({"amount_as_text": True}, b'"amount":"30.75"'),
        ({"amount": "0.01"}, b'"amount":0.01'),
        ({"amount": "0.01", "amount_as_text": True}, b'"amount":"0.01"'),
        ({}, b'"message":"Confirmed"'),
        ({"message_as_object": True}, b'"message":{"message":"Confirmed"}'),
        ({}, rb'"other_attr":"[\"a\",1]"'),
        ({"other_attr_as_given": True}, b'"other_attr":["a",1]'),
        ({"fields": {"order_id": "another", "extra": 1}}, b'"order_id":"another"'),
        ({"fields": {"extra": 1}}, b'"extra":1'),
    ],
)
async def test_shapes_and_lies(sandbox: World, plan, part):
    """A plan changes what a callback says and in which JSON type."""
    await pay(sandbox, "shaped", **plan)

    assert part in (await body_of(sandbox))[1]


async def test_missing_fields(sandbox: World):
    """A plan leaves fields out."""
    await pay(sandbox, "short", omit=["amount", "trace_id"])
    callback = read_callback_body((await body_of(sandbox))[1])

    assert PAYMENT - {"amount", "trace_id"} == set(callback)


async def test_a_forged_callback(sandbox: World):
    """A plan breaks the signature."""
    await pay(sandbox, "forged", bad_signature=True)

    with pytest.raises(SignatureError):
        await sandbox.shop.callback()


async def test_doubled(sandbox: World):
    """Copies say the same and are told apart in the books only."""
    transaction = await pay(sandbox, "doubled", copies=3)
    bodies = [await sandbox.shop.raw() for _ in range(3)]

    assert len({raw for _, raw in bodies}) == 1
    assert sum(one.transaction == transaction for one in sandbox.state.deliveries) == 3


async def test_dropped_and_sent_again(sandbox: World):
    """A dropped callback never comes by itself; resending follows the plan of then."""
    transaction = await pay(sandbox, "lost", drop=True)
    await delivery(sandbox, transaction, "dropped")
    assert sandbox.shop.received.empty()
    await sandbox.control("DELETE", "/orders/lost")
    await sandbox.control("POST", f"/callbacks/{transaction}/resend")

    assert transaction == (await sandbox.shop.callback()).transaction


async def test_delayed(sandbox: World):
    """The customer is back at the shop while the callback still waits."""
    transaction = await pay(sandbox, "late", delay_s=0.3)

    assert (await delivery(sandbox, transaction, "waiting"))["attempts"] == []
    assert transaction == (await sandbox.shop.callback()).transaction


async def test_reordered(sandbox: World):
    """Held callbacks come in reverse."""
    names = [await pay(sandbox, f"turn-{number}", reorder=3) for number in range(3)]

    assert names[::-1] == [(await sandbox.shop.callback()).transaction for _ in names]


async def test_reordering_does_not_wait_for_ever(sandbox: World):
    """What is held comes after a time, even if nothing overtakes it."""
    transaction = await pay(sandbox, "alone", reorder=2, reorder_wait_s=0.05)

    assert transaction == (await sandbox.shop.callback()).transaction


async def test_retried_until_200(sandbox: World):
    """Anything but 200 is tried again, and the books hold every attempt."""
    sandbox.shop.answers = [500, 404, 302, 201]
    transaction = await pay(sandbox, "retried", retry_delay_s=0.001)
    found = await delivery(sandbox, transaction, "delivered")

    assert [attempt["http_status"] for attempt in found["attempts"]] == [500, 404, 302, 201, 200]
    assert len([await sandbox.shop.raw() for _ in range(5)]) == 5


async def test_given_up(sandbox: World):
    """A shop that cannot be reached gets a bounded number of attempts."""
    await sandbox.control("PUT", "/merchants/i000000001", {"result_url": "http://127.0.0.1:1/"})
    try:
        transaction = await pay(sandbox, "away", retries=2, retry_delay_s=0.001)
        found = await delivery(sandbox, transaction, "given_up")
    finally:
        url = f"{sandbox.shop.url}/result"
        await sandbox.control("PUT", "/merchants/i000000001", {"result_url": url})

    assert [attempt["error"] for attempt in found["attempts"]] == ["ClientConnectorError"] * 3


async def test_sync_operations_send_none(sandbox: World):
    """A charge, a payout and a refund say it all in their reply."""
    paid = await sandbox.paid()
    debit, payout = await sandbox.saved_card(), await sandbox.saved_card(refund=1)
    before = len(sandbox.state.deliveries)
    await sandbox.call("execute-pay", {**PAY, "card_id": debit})
    await sandbox.call("refund-request", {**PAY, "card_id": payout})
    await sandbox.call("reverse", {"transaction": paid["transaction"], "currency": "AZN"})

    assert before == len(sandbox.state.deliveries)


async def test_leaving_cancels_what_waits():
    """The end of the simulator does not wait for a callback that is due tomorrow."""
    async with world() as other:
        async with asyncio.timeout(10):
            await pay(other, "tomorrow", delay_s=86_400)
        state = other.state
    assert [one.state for one in state.deliveries] == ["cancelled"]


async def test_amounts_stay_exact(sandbox: World):
    """An amount that floats cannot hold comes back digit by digit."""
    reply = await sandbox.call("request", {**PAY, "amount": "123456789012.07"})
    await sandbox.submit(reply["redirect_url"], APPROVED)

    assert Decimal("123456789012.07") == (await sandbox.shop.callback()).amount
