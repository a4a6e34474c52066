"""The demo shop's server: what it decides, what it hands out, and to whom."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from graphql import parse, validate

from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.schema import build_schema
from gql_epoint.shop import payments
from gql_epoint.shop.goods import GOODS
from gql_epoint.shop.orders import CHECKOUTS_MAX, CUSTOMERS_MAX, ORDERS_MAX, Customers
from gql_epoint.shop.words import WORDS, choose, money
from tests.checkout_kit import confirm
from tests.shop_kit import Mall, mall

STATIC = Path(payments.__file__).parent / "static"
SCHEMA = build_schema()._schema  # noqa: SLF001


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mall]:
    async with mall(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def customer(shop: Mall) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with its cookies, on the shop's own pages."""
    async with visitor(shop) as browser:
        yield browser


def visitor(shop: Mall) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=shop.url, headers={"origin": shop.url}, timeout=20)


async def ordered(customer: httpx.AsyncClient, save_card: bool = False, **items: int) -> str:
    answer = await customer.post("/api/orders", json={"items": items or {"tea": 2}, "saveCard": save_card})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order"])


async def token(customer: httpx.AsyncClient, order: str, use: str = "watch") -> dict[str, Any]:
    answer = await customer.post(f"/api/orders/{order}/token", json={"use": use})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def pay(shop: Mall, granted: dict[str, Any], card: str = "4111 1111 1111 1111") -> None:
    """Be the page and the customer: confirm, and pay on the card page, until it is settled."""
    async with shop.service.client(granted["token"]) as page:
        payload = await confirm(page)
        await shop.service.simulator.pay(payload["checkout"]["transaction"]["nextAction"]["url"], card)
        document = "subscription { checkoutUpdated { checkout { transaction { status isFinal } } } }"
        async for update in page.subscribe(document):
            if update["data"]["checkoutUpdated"]["checkout"]["transaction"]["isFinal"]:
                return


# -- what it says to the service ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CREATE_CHECKOUT", "CREATE_CLIENT_TOKEN", "CANCEL_CHECKOUT", "PAYMENT"])
def test_the_server_s_documents_are_valid(name: str) -> None:
    assert validate(SCHEMA, parse(getattr(payments, name))) == []


@pytest.mark.parametrize("name", ["CONFIRM", "READ", "WATCH"])
def test_the_page_s_documents_are_valid(name: str) -> None:
    """They are in the module that frontends copy."""
    source = (STATIC / "checkout.js").read_text()
    fragment = re.search(r"const STATE = `(.*?)`", source, re.DOTALL)
    found = re.search(rf"export const {name} = `(.*?)`", source, re.DOTALL)
    assert fragment is not None
    assert found is not None

    assert validate(SCHEMA, parse(found[1].replace("${STATE}", fragment[1]))) == []


async def test_the_amount_is_the_server_s(shop: Mall, customer: httpx.AsyncClient) -> None:
    """The page names goods and numbers; the price of the shelf is what the checkout holds."""
    order = await ordered(customer, tea=2, pakhlava=1)
    async with shop.service.client((await token(customer, order))["token"]) as page:
        found = await page.data("{ checkout { orderId description amount { amount currency } } }")

    assert found["checkout"] == {
        "orderId": order,
        "description": "2 × Lənkəran qara çayı, 1 × Bakı paxlavası",
        "amount": {"amount": str(GOODS["tea"].price * 2 + GOODS["pakhlava"].price), "currency": "AZN"},
    }


@pytest.mark.parametrize(
    "basket",
    [
        {"items": {}},
        {"items": {"gold": 1}},
        {"items": {"tea": 0}},
        {"items": {"tea": -1}},
        {"items": {"tea": 11}},
        {"items": {"tea": 1.5}},
        {"items": {"tea": 1}, "price": "0.01"},
        {"items": {"tea": 1}, "amount": {"amount": "0.01"}},
        {"items": {f"tea{number}": 1 for number in range(30)}},
        [],
    ],
)
async def test_a_basket_holds_goods_and_numbers_and_nothing_else(customer: httpx.AsyncClient, basket: Any) -> None:
    answer = await customer.post("/api/orders", json=basket)

    assert answer.status_code in (400, 422)
    assert "order" not in answer.json()


async def test_a_body_is_short_and_json(customer: httpx.AsyncClient) -> None:
    """A form of another site can send neither JSON's type nor a foreign origin that is ours."""
    long = await customer.post("/api/orders", json={"items": {"tea": 1}, "saveCard": "x" * 5_000})
    text = await customer.post(
        "/api/orders", content='{"items": {"tea": 1}}', headers={"content-type": "text/plain"}
    )

    assert (long.status_code, text.status_code) == (413, 415)


# -- tokens ---------------------------------------------------------------------------------------------------


async def test_the_first_token_can_pay_and_a_later_one_only_what_it_is_for(customer: httpx.AsyncClient) -> None:
    """createCheckout's own token is good for all; a page to which the customer returns can watch, and no more."""
    order = await ordered(customer)
    first, again, paying = (
        await token(customer, order),
        await token(customer, order),
        await token(customer, order, "pay"),
    )

    assert set(first["operations"]) == {"CONFIRM", "READ", "SUBSCRIBE"}
    assert set(again["operations"]) == {"READ", "SUBSCRIBE"}
    assert set(paying["operations"]) == {"CONFIRM", "READ", "SUBSCRIBE"}
    assert len({found["token"] for found in (first, again, paying)}) == 3


async def test_the_secret_key_is_in_nothing_that_a_browser_gets(customer: httpx.AsyncClient) -> None:
    order = await ordered(customer)
    paths = ["/", f"/orders/{order}", *(f"/static/{path.name}" for path in STATIC.iterdir())]
    seen = [(await customer.get(path)) for path in paths]
    seen.append(await customer.post(f"/api/orders/{order}/token", json={"use": "pay"}))

    assert all(answer.status_code == 200 for answer in seen)
    assert [answer.url for answer in seen if DEVELOPMENT_KEY in answer.text + str(answer.headers)] == []


@pytest.mark.parametrize("path", ["token", "checkout", "cancel"])
async def test_an_order_is_its_customer_s_alone(shop: Mall, customer: httpx.AsyncClient, path: str) -> None:
    """Somebody else's order and one that does not exist are the same."""
    order = await ordered(customer)
    body = {"use": "watch"}
    async with visitor(shop) as stranger:
        await stranger.get("/")
        foreign = await stranger.post(f"/api/orders/{order}/{path}", json=body)
        missing = await stranger.post(f"/api/orders/CINAR-2222-2222/{path}", json=body)
        pages = [await stranger.get(f"/orders/{name}") for name in (order, "CINAR-2222-2222")]
        progress = await stranger.get(f"/api/orders/{order}")

    assert (
        (foreign.status_code, foreign.content) == (missing.status_code, missing.content) == (404, missing.content)
    )
    assert progress.status_code == 404
    assert (pages[0].status_code, pages[0].content) == (404, pages[1].content)


async def test_two_tabs_at_once_make_one_checkout(shop: Mall, customer: httpx.AsyncClient) -> None:
    order = await ordered(customer)
    found = []
    for granted in await asyncio.gather(token(customer, order), token(customer, order)):
        async with shop.service.client(granted["token"]) as page:
            found.append((await page.data("{ checkout { id } }"))["checkout"]["id"])

    assert found[0] == found[1]


# -- delivery -------------------------------------------------------------------------------------------------


async def test_only_the_service_s_word_makes_an_order_paid(shop: Mall, customer: httpx.AsyncClient) -> None:
    """A page that says it has paid, by its address or otherwise, changes nothing."""
    order = await ordered(customer)
    granted = await token(customer, order)
    await customer.get(f"/orders/{order}?from=card&status=success")
    before = (await customer.get(f"/api/orders/{order}")).json()
    await pay(shop, granted)

    assert before == {"paid": False}
    assert (await customer.get(f"/api/orders/{order}")).json() == {"paid": True}


async def test_a_saved_card_is_offered_to_its_customer(shop: Mall, customer: httpx.AsyncClient) -> None:
    """With the next order, to the same cookie, and to nobody else."""
    order = await ordered(customer, save_card=True)
    await pay(shop, await token(customer, order))
    await customer.get(f"/api/orders/{order}")
    masks = []
    async with visitor(shop) as stranger:
        for browser in (customer, stranger):
            granted = await token(browser, await ordered(browser))
            async with shop.service.client(granted["token"]) as page:
                found = (await page.data("{ checkout { methods savedCards { details { mask } } } }"))["checkout"]
            masks.append([card["details"]["mask"][-4:] for card in found["savedCards"]])

    assert masks == [["1111"], []]


async def test_a_new_checkout_follows_one_that_is_over_and_not_for_ever(
    shop: Mall, customer: httpx.AsyncClient
) -> None:
    """The limit of attempts is not a limit per checkout only: card testers would ask for the next."""
    order = await ordered(customer)
    for _ in range(CHECKOUTS_MAX - 1):
        await token(customer, order)
        shop.expire(order)
        assert (await customer.post(f"/api/orders/{order}/checkout")).status_code == 200
    granted = await token(customer, order)
    refused = await customer.post(f"/api/orders/{order}/checkout")

    assert (refused.status_code, refused.json()) == (409, {"error": "ATTEMPT_LIMIT_REACHED"})
    assert "CONFIRM" in granted["operations"]


async def test_a_service_that_is_away_is_a_code_and_no_more(tmp_path: Path) -> None:
    """Neither its address nor its words go to the page, and it recovers by itself."""
    async with mall(tmp_path) as shop, visitor(shop) as customer:
        order = await ordered(customer)
        shop.service.stop()
        away = await customer.post(f"/api/orders/{order}/token", json={"use": "watch"})
        shop.service.start()

        assert (away.status_code, away.json()) == (502, {"error": "UNAVAILABLE"})
        assert (await token(customer, order))["operations"]


# -- browsers' rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/orders/CINAR-2222-2222", "/static/checkout.js", "/api/orders/x", "/nothing"]
)
async def test_every_answer_has_the_security_headers(shop: Mall, customer: httpx.AsyncClient, path: str) -> None:
    """Pages connect to the shop and to the service, and run files of their own; nobody frames them."""
    headers = (await customer.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    service = shop.service.url

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == "'self'"
    assert policy["connect-src"] == f"'self' {service} {service.replace('http', 'ws')}"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1"])
async def test_another_site_s_page_cannot_post(shop: Mall, customer: httpx.AsyncClient, origin: str | None) -> None:
    """Its request would bring the customer's cookie; its origin gives it away."""
    order = await ordered(customer)
    request = customer.build_request("POST", f"/api/orders/{order}/token", json={"use": "pay"})
    del request.headers["origin"]
    if origin is not None:
        request.headers["origin"] = origin
    answer = await customer.send(request)

    assert (answer.status_code, answer.json()) == (403, {"error": "WRONG_ORIGIN"})
    assert "access-control-allow-origin" not in answer.headers


async def test_another_host_name_leads_to_the_one_that_is_ours(shop: Mall) -> None:
    """Cookies and return URLs belong to one name, and a name that somebody rebinds to this machine to none."""
    async with httpx.AsyncClient(base_url=shop.url) as browser:
        answer = await browser.get("/orders/x", headers={"host": "localhost:1"})
        other = await browser.post("/api/orders", headers={"host": "evil.example", "origin": "http://evil.example"})

    assert (answer.status_code, answer.headers["location"]) == (307, f"{shop.url}/orders/x")
    assert other.status_code == 421


async def test_cookies_are_out_of_reach_for_scripts_and_come_back_from_the_card_page(
    customer: httpx.AsyncClient,
) -> None:
    cookies = (await customer.get("/")).headers.get_list("set-cookie")

    assert {cookie.split("=")[0] for cookie in cookies} == {"cinar_customer", "cinar_language"}
    assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in cookies)


async def test_text_of_a_page_is_escaped(customer: httpx.AsyncClient) -> None:
    """Nothing of an address becomes part of a page, and the data of a page ends in no element."""
    page = (await customer.get("/orders/%3Cscript%3E?lang=%22%3E%3Cscript%3E")).text
    shelf = (await customer.get("/")).text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', shelf, re.DOTALL)
    assert data is not None

    assert "<script>" not in page
    assert json.loads(data[1])["words"]["shop"] == "Çinar"
    assert "<" not in data[1]


# -- words and limits -----------------------------------------------------------------------------------------


def test_both_languages_say_everything() -> None:
    assert set(WORDS["az"]) == set(WORDS["en"])
    for name, text in WORDS["az"].items():
        assert re.findall(r"\{\w+\}", text) == re.findall(r"\{\w+\}", WORDS["en"][name]), name


def test_scripts_use_words_that_exist() -> None:
    """A name without a word would show as "undefined"."""
    sources = "".join((STATIC / name).read_text() for name in ("shop.js", "order.js"))
    views = (STATIC / "views.js").read_text()
    used = set(re.findall(r"words\.(\w+)", sources)) | set(re.findall(r'(?:title|text|more): "(\w+)"', views))

    assert used - set(WORDS["en"]) == set()
    assert len(used) > 25


def test_every_category_that_a_browser_is_told_has_its_words() -> None:
    from gql_epoint.schema.declines import MESSAGES

    assert {category.value for category in MESSAGES} <= set(WORDS["az"])


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        ("en", "az", "", "en"),
        (None, "en", "az", "en"),
        (None, None, "ru;q=0.9, en-GB;q=0.8", "en"),
        ("xx", None, "de", "az"),
    ],
)
def test_the_language_is_the_customer_s(asked: str | None, kept: str | None, accepted: str, language: str) -> None:
    assert choose(asked, kept, accepted) == language


def test_amounts_are_written_as_people_do() -> None:
    assert money(Decimal("31.9"), "az") == "31,90\u00a0AZN"
    assert money(Decimal("31.9"), "en") == "31.90\u00a0AZN"


def test_memory_is_bounded() -> None:
    """A stranger who keeps asking for cookies takes the place of whoever was not seen for longest."""
    customers = Customers()
    first, seen = customers.new(), customers.new()
    for _ in range(CUSTOMERS_MAX - 2):
        customers.new()
    assert customers.find(first.key) is first
    customers.new()

    assert customers.find(seen.key) is None
    assert customers.find(first.key) is first
    for _ in range(ORDERS_MAX + 5):
        first.order({"tea": 1}, language="en", save_card=False)
    assert len(first.orders) == ORDERS_MAX
