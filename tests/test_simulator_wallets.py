"""The simulator's wallets: asked for with a signature or without, and a page with a look of its own."""

from __future__ import annotations

import pytest

from tests.simulator_client import PAY, World, world

LIVE = {"8": "Portmanat", "9": "M10", "10": "BirBank"}


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


async def test_status_is_answered_as_it_was_recorded_live(sandbox: World):
    """A map without a status, to a signed question."""
    assert await sandbox.call("wallet/status", {}) == LIVE


@pytest.mark.parametrize(
    "body", [{"data": {"public_key": "i000000001"}}, {"json": {"public_key": "i000000001"}}], ids=["form", "json"]
)
async def test_public_key_alone_is_enough(sandbox: World, body):
    """v1.0.3 asks without a signature."""
    assert (await sandbox.http.post("/api/1/wallet/status", **body)).json() == LIVE


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"public_key": "i999999999"}},
        {"data": {"public_key": "i000000001", "data": "e30=", "signature": "wrong"}},
        {"content": b"\xff{", "headers": {"content-type": "application/json"}},
        {"content": b"&".join(b"a=%d" % number for number in range(30))},
        {"content": b"{", "headers": {"content-type": "application/json"}},
        {},
    ],
)
async def test_anything_else_is_refused(sandbox: World, body):
    """An unknown merchant, a wrong signature, and bodies that say nothing."""
    reply = (await sandbox.http.post("/api/1/wallet/status", **body)).json()

    assert reply["status"] in ("error", "server_error")


async def test_public_key_alone_opens_nothing_else(sandbox: World):
    """Only the list of wallets is for everybody."""
    form = {**PAY, "public_key": "i000000001", "wallet_id": "9"}
    reply = (await sandbox.http.post("/api/1/wallet/payment", data=form)).json()

    assert reply["status"] == "error"


async def test_page_is_the_wallets_own(sandbox: World):
    """Its name, the amount, and no card number to type; a strange decision changes nothing."""
    reply = await sandbox.call("wallet/payment", {**PAY, "wallet_id": "9", "order_id": "w-1"})
    page = (await sandbox.http.get(reply["redirect_url"])).text
    strange = await sandbox.http.post(reply["redirect_url"], data={"decision": "perhaps"})
    card = await sandbox.http.post(reply["redirect_url"], data={"card_number": "4111111111111111"})

    assert "M10" in page
    assert "card_number" not in page
    assert (strange.status_code, card.status_code) == (422, 422)
    assert (await sandbox.status(reply["transaction"]))["status"] == "new"
    await sandbox.http.post(reply["redirect_url"], data={"decision": "confirm"})
    callback = await sandbox.shop.callback()
    assert (callback.status, callback.order_id) == ("success", "w-1")


async def test_nothing_to_list_is_an_empty_array(sandbox: World):
    """As PHP writes an empty map."""
    await sandbox.control("PUT", "/settings", {"switches": {"wallet_offers": []}})

    assert (await sandbox.post("/api/1/wallet/status", {})).json() == []
