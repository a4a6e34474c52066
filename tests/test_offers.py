"""What customers can choose from, over real HTTP: asked of EPoint, refused by it, chosen and paid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cases import PLANS, WATCH_TRANSACTION, World, world_numbers
from tests.service import PUBLIC_KEY, Client, Service
from tests.simulator_client import granted_all_but
from tests.test_journeys import watch


@pytest.fixture
def world(service: Service, client: Client) -> World:
    return World(service=service, client=client, number=next(world_numbers))


@pytest.fixture
async def ungranted(world: World) -> AsyncIterator[World]:
    """A merchant to whom EPoint has granted nothing that it can refuse."""
    merchant, everything = f"/merchants/{PUBLIC_KEY}", ["amex", "pre-auth", "installments", "wallets"]
    await world.service.simulator.control("PUT", merchant, granted_all_but(*everything))
    yield world
    await world.service.simulator.control("PUT", merchant, granted_all_but())


async def page(world: World, url: str, **form: str) -> str:
    """Open a hosted page, or press its button, and return what it shows."""
    session = world.client.session
    asking = session.post(url, data=form, allow_redirects=False) if form else session.get(url)
    async with asking as answer:
        assert answer.status < 400
        return await answer.text()


async def at_epoint(world: World) -> dict[str, Any]:
    """Return what EPoint's books have of this journey's order."""
    books = await world.service.simulator.control("GET", "/books")
    (found,) = [row for row in books["transactions"] if row["order_id"] == world.order_id]
    return dict(found)


def order(world: World, **more: Any) -> dict[str, Any]:
    base = {"idempotencyKey": world.key("main"), "orderId": world.order_id, "amount": {"amount": "12.34"}}
    return base | more


# Instalments --------------------------------------------------------------------------------------------------


async def test_plans_are_listed(world: World) -> None:
    """Each bank's card with its months; asking makes nothing at EPoint or here."""
    plans = (await world.client.data(PLANS, order=world.order_id))["installmentPlans"]
    books = await world.service.simulator.control("GET", "/books")

    assert plans == [
        {"cardId": "1", "name": "First Test Bank", "months": [2, 3, 6, 12]},
        {"cardId": "2", "name": "Second Test Bank", "months": [3, 18]},
    ]
    assert [row for row in books["transactions"] if row["order_id"] == world.order_id] == []


async def test_payment_in_instalments_shows_what_was_chosen(world: World) -> None:
    """The page names the bank and the months, and EPoint has them."""
    opened = await world.run("payInInstallments", "transaction", order(world, cardId="2", months=18))
    shown = await page(world, opened["nextAction"]["url"])

    assert "18 months, Second Test Bank" in shown
    found = await at_epoint(world)
    assert (found["operation"], found["installment_month"]) == ("pay_in_installments", 18)


@pytest.mark.parametrize(("card_id", "months"), [("1", 18), ("9", 3)])
async def test_what_is_not_offered_is_refused_by_epoint(world: World, card_id: str, months: int) -> None:
    """The transaction is recorded as FAILED, with EPoint's words beside it."""
    document = """mutation ($input: PayInInstallmentsInput!) { payInInstallments(input: $input) {
      errors { code message } transaction { status } } }"""
    answer = await world.client.data(document, input=order(world, cardId=card_id, months=months))
    payload = answer["payInInstallments"]

    assert payload["transaction"] == {"status": "FAILED"}
    assert payload["errors"][0]["code"] == "GATEWAY_REFUSED"
    assert "field is invalid. Payment in instalments must be granted" in payload["errors"][0]["message"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"cardId": " "}, "cardId"),
        ({"cardId": "1" * 65}, "cardId"),
        ({"months": 0}, "months"),
        ({"months": 121}, "months"),
    ],
)
async def test_impossible_choice_is_refused_here(world: World, fields: dict[str, Any], path: str) -> None:
    """Nothing is recorded, and the path names the field."""
    document = """mutation ($input: PayInInstallmentsInput!) { payInInstallments(input: $input) {
      errors { code path } transaction { status } } }"""
    answer = await world.client.data(document, input=order(world, cardId="1", months=3) | fields)

    assert answer["payInInstallments"] == {
        "transaction": None,
        "errors": [{"code": "INVALID_INPUT", "path": ["input", path]}],
    }


@pytest.mark.parametrize(("installment", "sent"), [(True, True), (False, False), (None, False)])
async def test_pay_can_leave_the_choice_to_the_page(world: World, installment: bool | None, sent: bool) -> None:
    """`installment: true` lets the page offer months; what the customer picks there is EPoint's matter."""
    opened = await world.run("pay", "transaction", order(world, installment=installment))
    url = opened["nextAction"]["url"]
    watching = asyncio.create_task(watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"]))
    shown = await page(world, url)
    await page(world, url, card_number="4111111111111111", installment_month="6")
    final = (await watching)[-1]["transaction"]

    assert ("in 6 months" in shown) is sent
    assert final["status"] == "SUCCESS"
    assert (await at_epoint(world))["installment_month"] == (6 if sent else None)


# Wallets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "switches",
    [{}, {"wallets_as_list": True}, {"wallet_payment_status": False}],
    ids=lambda switches: "".join(switches),
)
async def test_wallet_is_listed_chosen_and_paid_with(world: World, switches: dict[str, Any]) -> None:
    """In both shapes of the list, and where the reply that opens its page has no status."""
    await world.service.simulator.control("PUT", "/settings", {"switches": switches})
    try:
        wallets = (await world.client.data("{ wallets { id name } }"))["wallets"]
        opened = await world.run("payWithWallet", "transaction", order(world, walletId=wallets[1]["id"]))
    finally:
        defaults = {"wallets_as_list": False, "wallet_payment_status": True}
        await world.service.simulator.control("PUT", "/settings", {"switches": defaults})
    watching = asyncio.create_task(watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"]))
    shown = await page(world, opened["nextAction"]["url"])
    await page(world, opened["nextAction"]["url"], decision="confirm")

    assert [(wallet["id"], wallet["name"]) for wallet in wallets] == [
        ("8", "Portmanat"),
        ("9", "M10"),
        ("10", "BirBank"),
    ]
    assert "Pay 12.34 AZN with M10" in shown
    assert (await watching)[-1]["transaction"]["status"] == "SUCCESS"
    assert (await at_epoint(world))["wallet"] == "M10"


@pytest.mark.parametrize(("decision", "category"), [("poor", "INSUFFICIENT_FUNDS"), ("fail", "DO_NOT_HONOR")])
async def test_wallet_that_is_not_paid_with(world: World, decision: str, category: str) -> None:
    """A decline in the wallet is data, as from a card."""
    opened = await world.run("payWithWallet", "transaction", order(world, walletId="9"))
    watching = asyncio.create_task(watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"]))
    await page(world, opened["nextAction"]["url"], decision=decision)
    failed = (await watching)[-1]["transaction"]

    assert (failed["status"], failed["failure"]["category"]) == ("FAILED", category)


async def test_wallet_takes_manat_only_and_only_its_own_names(world: World) -> None:
    """What EPoint could not take is refused here; what it does not offer, by EPoint."""
    document = """mutation ($input: PayWithWalletInput!) { payWithWallet(input: $input) {
      errors { code } transaction { status } } }"""
    dollars = {"amount": {"amount": "1.00", "currency": "USD"}}
    answers = [
        (await world.client.data(document, input=order(world, walletId="9") | more))["payWithWallet"]
        for more in (dollars, {"walletId": ""}, {"walletId": "99", "idempotencyKey": world.key("other")})
    ]

    assert [answer["errors"][0]["code"] for answer in answers] == [
        "CURRENCY_NOT_SUPPORTED",
        "INVALID_INPUT",
        "GATEWAY_REFUSED",
    ]
    assert [answer["transaction"] for answer in answers] == [None, None, {"status": "FAILED"}]


# Other pages --------------------------------------------------------------------------------------------------


async def test_amex_has_a_page_that_says_so(world: World) -> None:
    """The customer reads for which card it is."""
    opened = await world.run("payWithAmex", "transaction", order(world))

    assert "Pay by American Express" in await page(world, opened["nextAction"]["url"])
    assert (await at_epoint(world))["operation"] == "pay_with_amex"


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [("PAYMENT_REQUEST", "payment_request"), ("REQUEST", "pay"), (None, "pay")],
)
async def test_pay_by_the_path_that_is_chosen(world: World, endpoint: str | None, operation: str) -> None:
    """The same page for the same fields, instalments and metadata included; left out, the documented path."""
    more = {"endpoint": endpoint, "installment": True, "metadata": {"cart": 1}}
    opened = await world.run("pay", "transaction", order(world, **more))
    found = await at_epoint(world)

    assert (found["operation"], found["other_attr"], found["asks_installment"]) == (operation, {"cart": 1}, True)
    document = "query ($id: ID!) { transaction(by: {id: $id}) { operation } }"
    assert (await world.client.data(document, id=opened["id"]))["transaction"]["operation"] == operation.upper()


async def test_key_is_for_one_path(world: World) -> None:
    """Another path under the same key is another input."""
    await world.run("pay", "transaction", order(world))
    document = "mutation ($input: PayInput!) { pay(input: $input) { errors { code } } }"
    answer = await world.client.data(document, input=order(world, endpoint="PAYMENT_REQUEST"))

    assert answer["pay"]["errors"] == [{"code": "IDEMPOTENCY_KEY_REUSED"}]


# Grants -------------------------------------------------------------------------------------------------------

WITHOUT_GRANT = {
    "payWithWallet": ({"walletId": "9"}, "Payment by wallet"),
    "payWithAmex": ({}, "American Express"),
    "preauthorize": ({}, "Pre-authorisation"),
    "payInInstallments": ({"cardId": "1", "months": 3}, "Payment in instalments"),
}


@pytest.mark.parametrize("mutation", WITHOUT_GRANT)
async def test_payment_without_the_grant(ungranted: World, mutation: str) -> None:
    """FAILED, and the error says that EPoint has to grant it."""
    more, feature = WITHOUT_GRANT[mutation]
    name = mutation[0].upper() + mutation[1:]
    document = f"""mutation ($input: {name}Input!) {{ {mutation}(input: $input) {{
      errors {{ code message }} transaction {{ status }} }} }}"""
    payload = (await ungranted.client.data(document, input=order(ungranted, **more)))[mutation]

    assert payload["transaction"] == {"status": "FAILED"}
    assert [error["code"] for error in payload["errors"]] == ["GATEWAY_REFUSED"]
    assert f"{feature} must be granted to a merchant by EPoint" in payload["errors"][0]["message"]


@pytest.mark.parametrize(
    ("field", "feature"),
    [
        ('installmentPlans(orderId: "A", amount: {amount: "1.00"}) { months }', "Payment in instalments"),
        ("wallets { name }", "Payment by wallet"),
    ],
)
async def test_question_without_the_grant(ungranted: World, field: str, feature: str) -> None:
    """An error of the query with a code, and no empty list that would look like an answer."""
    answer = await ungranted.client.execute(f"{{ {field} }}")

    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "GATEWAY_REFUSED"}
    assert f"{feature} must be granted to a merchant by EPoint" in error["message"]


async def test_question_that_epoint_does_not_answer(world: World) -> None:
    """GATEWAY_UNAVAILABLE, as for every question to EPoint."""
    await world.service.simulator.control(
        "PUT", f"/orders/{world.order_id}", {"reply": "http_500", "reply_to": ["installment_plans"]}
    )
    answer = await world.client.execute(PLANS, order=world.order_id)

    assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == (None, "GATEWAY_UNAVAILABLE")
