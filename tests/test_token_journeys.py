"""The widget, Apple Pay and Google Pay over real HTTP and WebSocket: as a shop's backend and its page see them."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cases import CASES, MUTATION, WATCH_TRANSACTION, World, world_numbers
from tests.checkout_kit import create
from tests.service import PUBLIC_KEY, Client, Service
from tests.simulator_client import granted_all_but

SESSION = """mutation ($origin: String!) { applePaySession(input: {origin: $origin}) {
  session errors { code message path } } }"""
WIDGET_CHECKOUT = """id status methods attemptsLeft transaction {
  id status version nextAction { __typename ... on EmbedWidgetAction { url expectedOrigin } }
}"""
CONFIRM = f"""mutation ($key: IdempotencyKey!) {{
  confirmCheckout(input: {{idempotencyKey: $key, method: {{widget: {{}}}}}}) {{
    replayed errors {{ code message path }} checkout {{ {WIDGET_CHECKOUT} }} }} }}"""
WATCH = f"subscription {{ checkoutUpdated {{ kind checkout {{ {WIDGET_CHECKOUT} }} }} }}"
READ = f"{{ checkout {{ {WIDGET_CHECKOUT} }} }}"


@pytest.fixture
def world(service: Service, client: Client) -> World:
    return World(service=service, client=client, number=next(world_numbers))


async def watched(page: Client) -> list[dict[str, Any]]:
    return [update["data"]["checkoutUpdated"]["checkout"] async for update in page.subscribe(WATCH)]


async def confirm(page: Client, key: str) -> dict[str, Any]:
    payload: dict[str, Any] = (await page.data(CONFIRM, key=key))["confirmCheckout"]
    assert payload["errors"] == [], payload
    return payload


async def try_mutation(world: World, mutation: str, order: dict[str, Any]) -> dict[str, Any]:
    """Run a mutation that makes a transaction, and return its payload."""
    document = MUTATION % (mutation[0].upper() + mutation[1:], mutation, "transaction", "id status")
    payload: dict[str, Any] = (await world.client.data(document, input=order))[mutation]
    return payload


# A shop's backend -------------------------------------------------------------------------------------------------


async def test_apple_pay_gets_its_session_for_an_allowed_page(world: World) -> None:
    """As it came, for the page to complete Apple's validation with; another page gets none."""
    given = (await world.client.data(SESSION, origin="https://shop.example"))["applePaySession"]
    assert given["errors"] == []
    assert given["session"]["domainName"] == "shop.example"
    refused = (await world.client.data(SESSION, origin="https://evil.example"))["applePaySession"]

    assert refused["session"] is None
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("URL_NOT_ALLOWED", ["input", "origin"])
    ]


async def test_origins_that_may_call_may_show_apple_pay(start_service: Any) -> None:
    """Without a setting of its own."""
    service = start_service(
        GQL_EPOINT_ALLOWED_ORIGINS="https://a.example", GQL_EPOINT_APPLE_PAY_ORIGINS="https://b.example"
    )
    async with service.client() as client:
        for origin, allowed in (("https://b.example", True), ("https://a.example", False)):
            answer = (await client.data(SESSION, origin=origin))["applePaySession"]
            assert (answer["session"] is not None) is allowed


async def test_widget_for_a_backend_says_where_it_is_and_whom_to_believe(world: World) -> None:
    """The expected origin is the address's own, and the transaction waits."""
    made = await world.run("createWidget", "transaction", await CASES["widget"].input(world))
    action = made["nextAction"]
    parts = urlsplit(action["url"])

    assert made["status"] == "REQUIRES_ACTION"
    assert action["expectedOrigin"] == f"{parts.scheme}://{parts.netloc}" == world.service.simulator.url


async def test_token_payment_tells_the_page_what_to_pay(world: World) -> None:
    """EPoint's script wants its id of the record; if the bank asks for 3-D Secure, the customer is sent there."""
    opened = await world.run("createTokenPayment", "transaction", await CASES["token_payment"].input(world))
    assert opened["nextAction"]["paymentId"].isdecimal()
    watching = asyncio.create_task(
        _collect(world.client.subscribe(WATCH_TRANSACTION, id=opened["id"]), "transactionUpdated")
    )
    charge = {"idempotencyKey": world.key("charge"), "transactionId": opened["id"], "token": "redirect"}
    waiting = await world.run("googlePay", "transaction", charge)
    assert waiting["status"] == "REQUIRES_ACTION"
    await world.service.simulator.decide(waiting["nextAction"]["url"], "confirm")
    states = [update["transaction"]["status"] for update in await watching]

    assert states[-1] == "SUCCESS"
    # Another token with the same key is the same request: nothing that is made of a token is kept to compare.
    again = await world.run("googlePay", "transaction", charge | {"token": {"other": "token"}})
    assert (again["id"], again["status"], again["nextAction"]) == (opened["id"], "SUCCESS", None)


async def _collect(stream: Any, field: str) -> list[dict[str, Any]]:
    return [update["data"][field] async for update in stream]


async def test_declined_token_tells_the_customer_why(world: World) -> None:
    """A decline is data; charging the same payment again is refused with the reason."""
    opened = await world.run("createTokenPayment", "transaction", await CASES["token_payment"].input(world))
    charge = {
        "idempotencyKey": world.key("charge"),
        "transactionId": opened["id"],
        "token": {"simulate": "decline"},
    }
    declined = await world.run("applePay", "transaction", charge)
    assert declined["status"] == "FAILED"
    assert declined["failure"]["message"]
    refused = await try_mutation(world, "applePay", charge | {"idempotencyKey": world.key("again")})

    assert [(error["code"], error["path"]) for error in refused["errors"]] == [
        ("INVALID_INPUT", ["input", "transactionId"])
    ]


@pytest.mark.parametrize("token", ["17", "null", "[1]", '""', "{}"])
async def test_what_is_no_token_is_refused_without_being_quoted(world: World, token: str) -> None:
    """Neither the scalar nor the validation shows a value."""
    document = (
        f'mutation {{ googlePay(input: {{idempotencyKey: "{world.key("charge")}", transactionId: "tr_1", '
        f'token: {token}, billingContact: "secret-contact"}}) {{ errors {{ code message }} }} }}'
    )
    answer = await world.client.execute(document)

    assert "secret-contact" not in str(answer)
    errors = answer.get("errors") or answer["data"]["googlePay"]["errors"]
    assert errors


@pytest.mark.parametrize("mutation", ["createWidget", "createTokenPayment", "splitTokenPayment"])
async def test_what_epoint_has_not_granted_says_what_to_do(world: World, mutation: str) -> None:
    """GATEWAY_REFUSED, with EPoint's words and ours; switched off for this merchant by the control API alone."""
    name = {"createWidget": "widget", "createTokenPayment": "token_payment"}.get(mutation, "split_token_payment")
    merchant = f"/merchants/{PUBLIC_KEY}"
    await world.service.simulator.control("PUT", merchant, {"granted": []})
    try:
        payload = await try_mutation(world, mutation, await CASES[name].input(world))
    finally:
        await world.service.simulator.control("PUT", merchant, granted_all_but())

    assert payload["transaction"]["status"] == "FAILED"
    (error,) = payload["errors"]
    assert error["code"] == "GATEWAY_REFUSED"
    assert "Apple Pay and Google Pay must be granted to a merchant by EPoint" in error["message"]


# A page with a client token ---------------------------------------------------------------------------------------


async def test_page_pays_in_the_widget_and_is_told(service: Service, client: Client) -> None:
    """Confirmed, embedded, paid, pushed."""
    payload = await create(client, methods=["WIDGET", "HOSTED_PAGE"])
    assert payload["checkout"]["methods"] == ["HOSTED_PAGE", "WIDGET"]
    async with service.client(payload["clientToken"]["secret"]) as page:
        watching = asyncio.create_task(watched(page))
        opened = (await confirm(page, "confirm-in-the-widget"))["checkout"]
        action = opened["transaction"]["nextAction"]
        assert (action["__typename"], action["expectedOrigin"]) == ("EmbedWidgetAction", service.simulator.url)
        await service.simulator.decide(action["url"], "approve")
        seen = await watching

    assert (seen[-1]["status"], seen[-1]["transaction"]["status"]) == ("COMPLETE", "SUCCESS")
    assert seen[-1]["transaction"]["nextAction"] is None


async def test_page_that_hears_the_message_confirms_again(service: Service, client: Client) -> None:
    """EPoint never calls back, so it is asked; confirming again starts nothing, and the page is told in the end."""
    payload = await create(client, methods=["WIDGET"])
    order = payload["checkout"]["orderId"]
    await service.simulator.control("PUT", f"/orders/{order}", {"callback": {"drop": True}})
    key = "confirm-and-confirm-again"
    async with service.client(payload["clientToken"]["secret"]) as page:
        opened = (await confirm(page, key))["checkout"]["transaction"]
        watching = asyncio.create_task(watched(page))
        await service.simulator.decide(opened["nextAction"]["url"], "approve")
        again = await confirm(page, key)
        assert (again["replayed"], again["checkout"]["transaction"]["id"]) == (True, opened["id"])
        seen = await watching
    books = await service.simulator.control("GET", "/books")

    assert seen[-1]["status"] == "COMPLETE"
    assert [row["operation"] for row in books["transactions"] if row["order_id"] == order] == ["widget"]


async def test_declined_in_the_widget_the_customer_tries_another_way(service: Service, client: Client) -> None:
    """A decline frees the checkout for the next attempt, on the hosted page or in another widget."""
    payload = await create(client, methods=["WIDGET", "HOSTED_PAGE"])
    async with service.client(payload["clientToken"]["secret"]) as page:
        first = (await confirm(page, "confirm-number-one"))["checkout"]["transaction"]
        await service.simulator.decide(first["nextAction"]["url"], "decline")
        while (checkout := (await page.data(READ))["checkout"])["transaction"]["status"] != "FAILED":
            await asyncio.sleep(0.05)
        assert checkout["status"] == "OPEN"
        second = (await confirm(page, "confirm-number-two"))["checkout"]["transaction"]
        assert second["id"] != first["id"]
        await service.simulator.decide(second["nextAction"]["url"], "approve")
        seen = await watched(page)

    assert seen[-1]["status"] == "COMPLETE"


async def test_page_is_told_nothing_of_grants(service: Service, client: Client) -> None:
    """What the merchant lacks is the shop's business."""
    payload = await create(client, methods=["WIDGET"])
    merchant = f"/merchants/{PUBLIC_KEY}"
    await service.simulator.control("PUT", merchant, {"granted": []})
    try:
        async with service.client(payload["clientToken"]["secret"]) as page:
            answer = (await page.data(CONFIRM, key="confirm-what-is-not-granted"))["confirmCheckout"]
    finally:
        await service.simulator.control("PUT", merchant, granted_all_but())

    assert [error["code"] for error in answer["errors"]] == ["GATEWAY_REFUSED"]
    assert "grant" not in answer["errors"][0]["message"]
