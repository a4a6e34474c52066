"""A customer's whole way through a checkout over real HTTP, WebSocket and SSE, with a client token alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cases import World
from tests.checkout_kit import CHECKOUT, HOSTED, READ, WATCH, browser, confirm, create, token
from tests.service import Client, Service

DECLINED = "4111 1111 1111 1116"
FRAUD, NO, UNUSABLE = "102", "100", "101"


async def updates(page: Client, *, sse: bool = False) -> list[dict[str, Any]]:
    """Watch the checkout to its end."""
    stream = page.stream(WATCH) if sse else page.subscribe(WATCH)
    return [update["data"]["checkoutUpdated"] async for update in stream]


async def read(page: Client) -> dict[str, Any]:
    checkout: dict[str, Any] = (await page.data(READ))["checkout"]
    return checkout


@pytest.mark.parametrize("sse", [False, True], ids=["WebSocket", "SSE"])
async def test_customer_pays_while_the_page_watches(service: Service, client: Client, sse: bool) -> None:
    """The backend fixes 12.34 AZN, the browser confirms, EPoint is paid, and the page hears of it."""
    async with browser(service, client) as page:
        watching = asyncio.create_task(updates(page, sse=sse))
        confirmed = await confirm(page)
        assert (confirmed["replayed"], confirmed["errors"]) == (False, [])
        checkout = confirmed["checkout"]
        assert checkout["amount"] == {"amount": "12.34", "currency": "AZN"}
        assert (checkout["status"], checkout["attemptsLeft"]) == ("OPEN", 4)
        await service.simulator.pay(checkout["transaction"]["nextAction"]["url"])
        seen = await watching
        done = await read(page)

    assert (seen[0]["kind"], seen[0]["checkout"]["status"]) == ("SNAPSHOT", "OPEN")
    assert {update["kind"] for update in seen[1:]} == {"CHANGE"}
    assert seen[-1]["checkout"] == done
    assert (done["status"], done["transaction"]["status"]) == ("COMPLETE", "SUCCESS")
    assert done["transaction"]["id"] == checkout["transaction"]["id"]


async def test_declined_customer_tries_again(service: Service, client: Client) -> None:
    """The page learns of the decline by its subscription, and the next attempt is paid."""
    async with browser(service, client, maxAttempts=2) as page:
        watching = asyncio.create_task(updates(page))
        first = (await confirm(page))["checkout"]["transaction"]
        again = await confirm(page)
        assert (again["replayed"], again["checkout"]["transaction"]["id"]) == (True, first["id"])
        await service.simulator.pay(first["nextAction"]["url"], DECLINED)
        while (checkout := await read(page))["transaction"]["status"] != "FAILED":
            await asyncio.sleep(0.05)
        assert (checkout["status"], checkout["attemptsLeft"]) == ("OPEN", 1)
        assert checkout["transaction"]["failure"]["category"] == "INSUFFICIENT_FUNDS"
        second = (await confirm(page))["checkout"]["transaction"]
        assert second["id"] != first["id"]
        await service.simulator.pay(second["nextAction"]["url"])
        seen = await watching

    statuses = [
        update["checkout"]["transaction"] and update["checkout"]["transaction"]["status"] for update in seen
    ]
    assert statuses[-1] == "SUCCESS"
    assert "FAILED" in statuses


async def test_last_attempt_is_the_last(service: Service, client: Client) -> None:
    """Then only the shop can help."""
    async with browser(service, client, maxAttempts=1) as page:
        first = (await confirm(page))["checkout"]["transaction"]
        await service.simulator.pay(first["nextAction"]["url"], DECLINED)
        while (await read(page))["transaction"]["status"] != "FAILED":
            await asyncio.sleep(0.05)
        refused = await confirm(page)

    assert refused["checkout"] is None
    assert [error["code"] for error in refused["errors"]] == ["ATTEMPT_LIMIT_REACHED"]


async def test_customer_pays_with_a_saved_card(service: Service, client: Client) -> None:
    """The cards that the shop offers are shown with their masks, and no other is taken."""
    world = World(service=service, client=client, number=9_000_001)
    card_id = await world.saved_card()
    async with browser(service, client, savedCardIds=[card_id]) as page:
        before = await read(page)
        assert before["methods"] == ["HOSTED_PAGE", "SAVED_CARD"]
        assert [card["id"] for card in before["savedCards"]] == [card_id]
        foreign = await confirm(page, {"savedCard": "card_of_somebody_else"})
        confirmed = await confirm(page, {"savedCard": card_id})

    assert [error["code"] for error in foreign["errors"]] == ["NOT_FOUND"]
    assert confirmed["errors"] == []
    assert confirmed["checkout"]["status"] == "COMPLETE"
    assert confirmed["checkout"]["transaction"]["savedCard"] == {"id": card_id}


@pytest.mark.parametrize("purpose", ["SAVE_CARD", "SAVE_CARD_FOR_PAYOUT"])
async def test_customer_saves_a_card(service: Service, client: Client, purpose: str) -> None:
    """There is no transaction; the card is saved, and the page hears of it."""
    async with browser(service, client, purpose=purpose, amount=None) as page:
        watching = asyncio.create_task(updates(page))
        checkout = (await confirm(page))["checkout"]
        assert (checkout["amount"], checkout["transaction"]) == (None, None)
        await service.simulator.pay(checkout["savedCard"]["nextAction"]["url"])
        seen = await watching

    assert (seen[-1]["checkout"]["status"], seen[-1]["checkout"]["savedCard"]["status"]) == ("COMPLETE", "ACTIVE")


async def test_payment_that_saves_its_card_shows_both(service: Service, client: Client) -> None:
    """saveCard turns the payment into one that saves, and a split goes along."""
    split = {"user": "i000000002", "amount": "2.30"}
    async with browser(service, client, saveCard=True, split=split) as page:
        watching = asyncio.create_task(updates(page))
        checkout = (await confirm(page))["checkout"]
        await service.simulator.pay(checkout["transaction"]["nextAction"]["url"])
        await watching
        done = await read(page)

    assert done["status"] == "COMPLETE"
    assert done["savedCard"]["id"] == done["transaction"]["savedCard"]["id"]
    backend = "query ($id: ID!) { transaction(by: {id: $id}) { operation split { user amount { amount } } } }"
    assert (await client.data(backend, id=done["transaction"]["id"]))["transaction"] == {
        "operation": "SPLIT_PAY_AND_SAVE_CARD",
        "split": {"user": "i000000002", "amount": {"amount": "2.30"}},
    }


async def test_stolen_card_looks_like_any_other_no(service: Service, client: Client) -> None:
    """The shop sees why; whoever tries cards learns nothing, not even by whether to try again."""
    shown = []
    for code in (FRAUD, NO, UNUSABLE):
        payload = await create(client)
        plan = {"bank_code": code}
        await service.simulator.control("PUT", f"/orders/{payload['checkout']['orderId']}", plan)
        async with service.client(payload["clientToken"]["secret"]) as page:
            started = (await confirm(page))["checkout"]["transaction"]
            await service.simulator.pay(started["nextAction"]["url"])
            while (checkout := await read(page))["transaction"]["status"] != "FAILED":
                await asyncio.sleep(0.05)
        shown.append(checkout["transaction"]["failure"])

    assert shown[0]["category"] == "DO_NOT_HONOR"
    assert shown[1:] == shown[:1] * 2


async def test_customer_returns_with_another_token(service: Service, client: Client) -> None:
    """The page that EPoint sends the customer back to may watch, and no more."""
    payload = await create(client)
    checkout_id = payload["checkout"]["id"]
    async with service.client(await token(client, checkout_id)) as page:
        assert (await read(page))["id"] == checkout_id
        refused = await page.execute(
            'mutation { confirmCheckout(input: {idempotencyKey: "0123456789abcdef", '
            "method: {hostedPage: {}}}) { replayed } }"
        )

    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]


async def test_canceled_checkout_ends_the_pages_wait(service: Service, client: Client) -> None:
    """The shop cancels, the page hears of it, and nothing can be confirmed any more."""
    payload = await create(client)
    cancel = "mutation ($id: ID!) { cancelCheckout(id: $id) { replayed errors { code path } checkout { status } } }"
    async with service.client(payload["clientToken"]["secret"]) as page:
        watching = asyncio.create_task(updates(page))
        await asyncio.sleep(0.2)
        canceled = (await client.data(cancel, id=payload["checkout"]["id"]))["cancelCheckout"]
        seen = await watching
        refused = await confirm(page)

    assert canceled == {"replayed": False, "errors": [], "checkout": {"status": "CANCELED"}}
    assert [update["checkout"]["status"] for update in seen][-1] == "CANCELED"
    assert [error["code"] for error in refused["errors"]] == ["CHECKOUT_NOT_OPEN"]
    missing = (await client.data(cancel, id="co_nonsense"))["cancelCheckout"]
    assert missing["errors"] == [{"code": "NOT_FOUND", "path": ["id"]}]


async def test_backend_finds_a_checkout_by_its_id(client: Client) -> None:
    """As any other object; a repeated request shows it without a token."""
    key = "the-key-of-a-checkout"
    payload = await create(client, idempotencyKey=key, orderId="order-found-by-id", methods=["HOSTED_PAGE"])
    again = await create(client, idempotencyKey=key, orderId="order-found-by-id", methods=["HOSTED_PAGE"])
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on Checkout {{ {CHECKOUT} }} }} }}"
    found = (await client.data(document, id=payload["checkout"]["id"]))["node"]

    assert found["orderId"] == "order-found-by-id"
    assert (again["replayed"], again["checkout"], again["clientToken"]) == (True, payload["checkout"], None)
    other = await create(client, idempotencyKey=key, orderId="order-found-by-id")
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_killed_service_goes_on_with_the_checkout(start_service: Any) -> None:
    """After kill -9 the token still opens it, the key replays, and nothing is charged twice."""
    service = start_service()
    async with service.client() as client, browser(service, client) as page:
        first = await confirm(page, HOSTED, idempotencyKey="the-key-before-the-crash")
        service.kill()
        await service.simulator.pay(first["checkout"]["transaction"]["nextAction"]["url"])
        service.start()
        seen = await updates(page)
        again = await confirm(page, HOSTED, idempotencyKey="the-key-before-the-crash")

        assert seen[-1]["checkout"]["status"] == "COMPLETE"
        assert (again["replayed"], again["checkout"]["transaction"]["status"]) == (True, "SUCCESS")
        books = await service.simulator.control("GET", "/books")
        assert books["requests"]["pay"] == 1
