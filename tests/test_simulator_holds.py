"""The simulator's holds: what is held, taken and let go, and every answer that EPoint's documents leave open."""

from __future__ import annotations

from typing import Any

import pytest

from gql_epoint.simulator.settings import Switches
from tests.simulator_client import DECLINED, PAY, World, granted_all_but, world

HOLD = {name: value for name, value in PAY.items() if name != "is_installment"}


@pytest.fixture
async def sandbox():
    async with world() as made:
        yield made


async def held(sandbox: World, **fields: Any) -> str:
    """Have an amount held and return the transaction."""
    return str((await sandbox.paid(path="pre-auth-request", **fields))["transaction"])


async def capture(sandbox: World, transaction: str, amount: str = "30.75") -> dict[str, Any]:
    return await sandbox.call("pre-auth-complete", {"transaction": transaction, "amount": amount})


async def reverse(sandbox: World, transaction: str, **fields: Any) -> dict[str, Any]:
    return await sandbox.call(
        "reverse", {"transaction": transaction, "currency": "AZN", "language": "en", **fields}
    )


async def test_page_says_that_nothing_is_taken(sandbox: World):
    """A customer sees a hold, and the amount."""
    reply = await sandbox.call("pre-auth-request", HOLD)
    page = (await sandbox.http.get(reply["redirect_url"])).text

    assert (reply["status"], reply["transaction"][:2]) == ("success", "te")
    for text in ("Hold an amount on your card", "Hold 30.75 AZN", "Nothing is taken now"):
        assert text in page


async def test_callback_is_that_of_a_payment(sandbox: World):
    """Its fields and its words are those of any payment."""
    reply = await sandbox.call("pre-auth-request", HOLD)
    await sandbox.submit(reply["redirect_url"], DECLINED)
    declined = await sandbox.shop.callback()

    assert (declined.status, declined.code, declined.transaction) == ("failed", "116", reply["transaction"])


async def test_hold_is_captured_once(sandbox: World):
    """All of it or a part; not twice, and not more than is held."""
    transaction = await held(sandbox)
    more = await capture(sandbox, transaction, "30.76")
    part = await capture(sandbox, transaction, "10.00")
    twice = await capture(sandbox, transaction, "10.00")

    assert [reply["status"] for reply in (more, part, twice)] == ["failed", "success", "failed"]
    assert (await sandbox.status(transaction))["amount"] == 10.0
    (row,) = (await sandbox.control("GET", "/books"))["transactions"]
    assert (row["hold"], row["captured_amount"], row["amount"]) == ("captured", "10.00", "30.75")


async def test_reverse_lets_go_or_gives_back_what_was_taken(sandbox: World):
    """Before the capture it releases all of it; afterwards it refunds the captured part and no more."""
    one, other = await held(sandbox, order_id="one"), await held(sandbox, order_id="other")
    part = await reverse(sandbox, one, amount="1.00")
    released = await reverse(sandbox, one)
    late = await capture(sandbox, one)
    await capture(sandbox, other, "10.00")
    more = await reverse(sandbox, other, amount="10.01")
    refunded = await reverse(sandbox, other)

    replies = (part, released, late, more, refunded)
    assert [reply["status"] for reply in replies] == ["failed", "success", "failed", "failed", "success"]
    assert [(await sandbox.status(name))["status"] for name in (one, other)] == ["returned", "returned"]


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, ("success", "success", 10.0, "returned")),
        ({"held_word": "pre_auth"}, ("pre_auth", "success", 10.0, "returned")),
        ({"released_word": "canceled"}, ("success", "success", 10.0, "canceled")),
        ({"captured_amount_in_status": False}, ("success", "success", 30.75, "returned")),
    ],
)
async def test_words_can_be_chosen(sandbox: World, switches: dict[str, Any], expected: tuple[Any, ...]):
    """get-status while it is held, after a part was taken, and after it was let go."""
    await sandbox.control("PUT", "/settings", {"switches": switches})
    one, other = await held(sandbox, order_id="one"), await held(sandbox, order_id="other")
    while_held = (await sandbox.status(one))["status"]
    await capture(sandbox, one, "10.00")
    await reverse(sandbox, other)
    taken = await sandbox.status(one)

    assert (while_held, taken["status"], taken["amount"], (await sandbox.status(other))["status"]) == expected


async def test_part_of_a_hold_may_be_refused(sandbox: World):
    """Whether EPoint takes parts is not documented."""
    await sandbox.control("PUT", "/settings", {"switches": {"capture_part": False}})
    transaction = await held(sandbox)

    assert (await capture(sandbox, transaction, "10.00"))["status"] == "failed"
    assert (await capture(sandbox, transaction))["status"] == "success"


async def test_bank_lets_go_of_an_old_hold():
    """Its time can be set; then it can be captured no more, and nobody is told."""
    async with world(switches=Switches(hold_lifetime_s=-1)) as sandbox:
        transaction = await held(sandbox)

        assert (await capture(sandbox, transaction))["status"] == "failed"
        assert (await sandbox.status(transaction))["status"] == "returned"
        assert sandbox.shop.received.empty()


async def test_cabinet_captures_and_lets_go(sandbox: World):
    """What a person does in EPoint's cabinet, past the shop."""
    one, other = await held(sandbox, order_id="one"), await held(sandbox, order_id="other")
    taken = await sandbox.control("POST", f"/transactions/{one}/capture", {"amount": "5.00"})
    released = await sandbox.control("POST", f"/transactions/{other}/refund", {})

    assert (taken["hold"], taken["captured_amount"], released["hold"]) == ("captured", "5.00", "released")


async def test_payment_is_no_hold(sandbox: World):
    """pre-auth-complete takes nothing of what was paid."""
    paid = (await sandbox.paid())["transaction"]

    assert (await capture(sandbox, paid))["message"] == "Transaction is not a pre-authorization"


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, (200, "error", "This service is not available")),
        (
            {"not_granted_status": "failed", "not_granted_message": "Denied", "not_granted_http_status": 403},
            (403, "failed", "Denied"),
        ),
    ],
)
async def test_feature_that_is_not_granted(
    sandbox: World, switches: dict[str, Any], expected: tuple[int, str, str]
):
    """It answers with an error that can be chosen; nothing happens, and the other merchant keeps it."""
    await sandbox.control("PUT", "/settings", {"switches": switches})
    await sandbox.control("PUT", "/merchants/i000000001", granted_all_but("pre-auth"))
    answer = await sandbox.post("/api/1/pre-auth-request", HOLD)

    assert (answer.status_code, answer.json()["status"], answer.json()["message"]) == expected
    assert (await sandbox.control("GET", "/books"))["transactions"] == []
    assert (await sandbox.call("request", PAY))["status"] == "success"
    unknown = await sandbox.http.put("/_control/merchants/i000000001", json={"granted": ["flying"]})
    assert (unknown.status_code, unknown.json()) == (400, {"error": "no such feature: flying"})
