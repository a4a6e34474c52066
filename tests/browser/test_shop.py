"""The demo shop in a real browser: what a customer does, what goes wrong, and what must not happen twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.shop_kit import Mall, mall

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

    from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser

APPROVED, POOR, STOLEN, SECURE, SILENT = "1111", "0116", "0208", "3220", "9999"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mall]:
    async with mall(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture
def service_url(shop: Mall) -> str:
    """The page under test is the shop's; the service and the simulator are other origins, as in life."""
    return shop.url


@pytest.fixture
def customer(watched: Watched) -> Page:
    return watched.page


def state(page: Page, name: str) -> Any:
    """What the page shows of the payment."""
    return expect(page.locator("#state")).to_have_attribute("data-state", name, timeout=15_000)


async def order(page: Page, shop: Mall, *goods: str, save_card: bool = False) -> str:
    """Fill the basket, go to the payment, and return the order's id."""
    await page.goto(f"{shop.url}/")
    for name in goods or ("tea", "tea", "pakhlava"):
        await page.locator(f"[data-add={name}]").click()
    if save_card:
        await page.get_by_label("Remember my card").check()
    await page.get_by_role("button", name="Go to payment").click()
    await page.wait_for_url("**/orders/*")
    await state(page, "pay")
    return urlsplit(page.url).path.rpartition("/")[2]


async def press_pay(page: Page) -> None:
    await page.locator("#pay-button").click()
    await page.wait_for_url("**/pay/*")


async def use_card(page: Page, card: str) -> None:
    await page.get_by_role("button", name=re.compile(f"{card}$|{card} ")).click()


async def pay_with(page: Page, card: str) -> None:
    await press_pay(page)
    await use_card(page, card)


async def clean(watched: Watched, shop: Mall) -> None:
    """No policy was violated, nothing failed, and nobody but the shop, the service and the card page was asked."""
    known = {urlsplit(url).netloc for url in (shop.url, shop.service.url, shop.service.simulator.url)}
    asked = [url for url in watched.requests + watched.sockets if urlsplit(url).scheme not in ("data", "blob")]
    assert {urlsplit(url).netloc for url in asked} <= known
    assert await watched.violations() == []
    assert watched.problems == []


def questions(watched: Watched, shop: Mall) -> list[str]:
    """The requests that the page has sent to the service by HTTP."""
    return [url for url in watched.requests if url.startswith(f"{shop.service.url}/graphql")]


async def test_a_customer_buys_something(watched: Watched, customer: Page, shop: Mall) -> None:
    """From the shelf to the shop's own confirmation, at the price of the shelf."""
    order_id = await order(customer, shop)
    await expect(customer.locator("#pay-button")).to_have_text("Pay 31.90\u00a0AZN")
    await press_pay(customer)
    await expect(customer.locator(".amount")).to_have_text("31.90 AZN")
    await use_card(customer, APPROVED)
    await customer.wait_for_url(f"**/orders/{order_id}?from=card*")
    await state(customer, "paid")

    await expect(customer.get_by_role("status")).to_contain_text("The shop has checked the payment")
    await expect(customer).to_have_title("Paid. Thank you! · Çinar")
    assert await shop.payments(order_id) == [{"status": "SUCCESS"}]
    await watched.screenshot("shop-paid")
    await clean(watched, shop)


async def test_a_declined_customer_tries_again(watched: Watched, customer: Page, shop: Mall) -> None:
    """The reason is in words, the attempts that are left are counted, and the second card pays."""
    order_id = await order(customer, shop)
    await pay_with(customer, POOR)
    await state(customer, "declined")
    await expect(customer.locator("#state-text")).to_have_text(re.compile("not enough money on the card"))
    await expect(customer.locator("#state-more")).to_have_text("No money has left your account. Attempts left: 2")
    await customer.get_by_role("button", name="Try again").click()
    await customer.wait_for_url("**/pay/*")
    await use_card(customer, APPROVED)
    await state(customer, "paid")

    assert await shop.payments(order_id) == [{"status": "SUCCESS"}, {"status": "FAILED"}]
    await clean(watched, shop)


async def test_attempts_end(watched: Watched, customer: Page, shop: Mall) -> None:
    """A stolen card looks like any other no, and after the third there is nothing to press."""
    order_id = await order(customer, shop)
    for shown in ("declined", "declined", "no-attempts"):
        await pay_with(customer, STOLEN)
        await customer.wait_for_url("**/orders/*")
        await state(customer, shown)
        await expect(customer.locator("#state-text")).to_have_text(re.compile("^The bank declined the payment"))

    await expect(customer.locator("#pay-button")).to_be_hidden()
    assert len(await shop.payments(order_id)) == 3
    await clean(watched, shop)


@pytest.mark.parametrize(("decision", "shown"), [("Confirm", "paid"), ("Fail", "declined")])
async def test_three_d_secure(watched: Watched, customer: Page, shop: Mall, decision: str, shown: str) -> None:
    await order(customer, shop)
    await pay_with(customer, SECURE)
    await customer.get_by_role("button", name=decision).click()
    await state(customer, shown)

    if shown == "declined":
        await expect(customer.locator("#state-text")).to_contain_text("3-D Secure")
    await clean(watched, shop)


async def test_the_status_comes_over_the_socket(watched: Watched, customer: Page, shop: Mall) -> None:
    """A page that waits asks nothing; when somebody pays elsewhere it says so at once."""
    await order(customer, shop)
    async with customer.expect_request(
        lambda request: request.post_data is not None and "Confirm(" in request.post_data
    ):
        await customer.locator("#pay-button").click()
    await customer.wait_for_url("**/pay/*")
    card_page = customer.url
    await customer.go_back()
    await state(customer, "card-page")
    await expect(customer.locator("#link")).to_have_attribute("data-link", "live")
    asked = len(questions(watched, shop))
    await customer.wait_for_timeout(1_500)
    await shop.service.simulator.pay(card_page)
    await state(customer, "paid")

    assert len(questions(watched, shop)) == asked
    assert {urlsplit(url).netloc for url in watched.sockets} == {urlsplit(shop.service.url).netloc}
    assert await customer.evaluate("sessionStorage.getItem('basket')") is None
    await clean(watched, shop)


async def test_a_double_click_is_one_payment(watched: Watched, customer: Page, shop: Mall) -> None:
    order_id = await order(customer, shop)
    await customer.locator("#pay-button").dblclick()
    await customer.wait_for_url("**/pay/*")

    assert len(await shop.payments(order_id)) == 1
    await clean(watched, shop)


async def test_two_tabs_are_one_payment(watched: Watched, customer: Page, shop: Mall) -> None:
    """Both are pressed at once, with tokens and keys of their own; both lead to the same card page."""
    order_id = await order(customer, shop)
    other = await customer.context.new_page()
    await other.goto(customer.url)
    await state(other, "pay")
    # Not by clicks: the one that loses would hide its button before the other hand is there.
    await asyncio.gather(*(page.evaluate("document.forms.pay.requestSubmit()") for page in (customer, other)))
    await asyncio.gather(*(page.wait_for_url("**/pay/*") for page in (customer, other)))

    assert other.url == customer.url
    assert len(await shop.payments(order_id)) == 1
    await other.close()
    await clean(watched, shop)


async def test_back_from_the_card_page_leads_there_again(watched: Watched, customer: Page, shop: Mall) -> None:
    """The payment is under way: there is no second one to start, and the first can be finished."""
    order_id = await order(customer, shop)
    await press_pay(customer)
    card_page = customer.url
    await customer.go_back()
    await state(customer, "card-page")
    await expect(customer.locator("#pay-button")).to_be_hidden()
    await customer.get_by_role("link", name="Go to the bank's page").click()
    await customer.wait_for_url("**/pay/*")
    assert customer.url == card_page
    await use_card(customer, APPROVED)
    await state(customer, "paid")
    await customer.go_back()

    assert len(await shop.payments(order_id)) == 1
    await clean(watched, shop)


async def test_reloading_the_page_that_one_returns_to(watched: Watched, customer: Page, shop: Mall) -> None:
    """Each load gets a token of its own, which can only watch; the state is the service's."""
    order_id = await order(customer, shop)
    await pay_with(customer, APPROVED)
    await state(customer, "paid")
    tokens: list[dict[str, Any]] = []

    async def keep(route: Route) -> None:
        answer = await route.fetch()
        tokens.append(await answer.json())
        await route.fulfill(response=answer)

    await customer.route("**/api/orders/*/token", keep)
    for _ in range(2):
        await customer.reload()
        await state(customer, "paid")

    assert [granted["operations"] for granted in tokens] == [["READ", "SUBSCRIBE"]] * 2
    assert len({granted["token"] for granted in tokens}) == 2
    assert len(await shop.payments(order_id)) == 1
    await clean(watched, shop)


async def test_the_customer_is_back_before_the_bank_s_answer(watched: Watched, customer: Page, shop: Mall) -> None:
    """The page says to wait, and changes by itself."""
    order_id = await order(customer, shop)
    await press_pay(customer)
    card_page = customer.url
    await customer.goto(f"{shop.url}/orders/{order_id}?from=card")
    await state(customer, "waiting")
    await expect(customer.get_by_role("status")).to_contain_text("do not pay again")
    await shop.service.simulator.pay(card_page)
    await state(customer, "paid")
    await clean(watched, shop)


async def test_a_card_that_was_saved_pays_at_once(watched: Watched, customer: Page, shop: Mall) -> None:
    await order(customer, shop, save_card=True)
    await pay_with(customer, APPROVED)
    await expect(customer.get_by_role("status")).to_contain_text("The shop has checked the payment")
    order_id = await order(customer, shop, "glasses")
    await expect(customer.get_by_label("Saved card")).to_be_checked()
    await expect(customer.locator("#methods")).to_contain_text("•••• 1111")
    await customer.locator("#pay-button").click()
    await state(customer, "paid")

    assert await shop.payments(order_id) == [{"status": "SUCCESS"}]
    await clean(watched, shop)


async def test_an_expired_checkout_can_be_started_again(watched: Watched, customer: Page, shop: Mall) -> None:
    order_id = await order(customer, shop)
    shop.expire(order_id)
    await customer.reload()
    await state(customer, "expired")
    await customer.get_by_role("button", name="Start again").click()
    await state(customer, "pay")
    await pay_with(customer, APPROVED)
    await state(customer, "paid")
    await clean(watched, shop)


async def test_a_canceled_order_cannot_be_paid(watched: Watched, customer: Page, shop: Mall) -> None:
    order_id = await order(customer, shop)
    # The page hears of it by its subscription, and is loaded anew besides.
    async with customer.expect_event("load"):
        await customer.get_by_role("button", name="Cancel the order").click()
    await state(customer, "canceled")

    await expect(customer.locator("#pay-button")).to_be_hidden()
    assert await shop.payments(order_id) == []
    await clean(watched, shop)


async def test_a_lost_answer_is_no_second_payment(watched: Watched, customer: Page, shop: Mall) -> None:
    """The first request arrives and its answer does not: the same key is sent again, and gets the same payment."""
    order_id = await order(customer, shop)
    keys: list[str] = []

    async def lose_the_first(route: Route) -> None:
        sent = route.request.post_data_json
        if "Confirm(" not in sent["query"]:
            await route.continue_()
            return
        keys.append(sent["variables"]["input"]["idempotencyKey"])
        if len(keys) == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await customer.route("**/graphql", lose_the_first)
    await press_pay(customer)

    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(await shop.payments(order_id)) == 1


async def test_without_sockets_the_page_still_finds_out(watched: Watched, customer: Page, shop: Mall) -> None:
    """Some proxies pass no WebSocket: then the page asks now and then, and says that it is not live."""
    await customer.context.route_web_socket("**/graphql", lambda socket: socket.close())
    order_id = await order(customer, shop)
    await press_pay(customer)
    card_page = customer.url
    await customer.goto(f"{shop.url}/orders/{order_id}")
    await state(customer, "card-page")
    await expect(customer.locator("#link")).to_have_attribute("data-link", "waiting")
    await shop.service.simulator.pay(card_page)
    await state(customer, "paid")

    assert len(questions(watched, shop)) > 1
    assert await watched.violations() == []


async def test_a_restarted_service_is_found_again(customer: Page, shop: Mall) -> None:
    """The socket breaks; the page says so, connects again, and misses nothing."""
    await order(customer, shop)
    await press_pay(customer)
    card_page = customer.url
    await customer.go_back()
    await state(customer, "card-page")
    shop.service.stop()
    await expect(customer.locator("#link")).to_have_attribute("data-link", "waiting")
    shop.service.start()
    await shop.service.simulator.pay(card_page)
    await state(customer, "paid")


async def test_an_ended_token_is_replaced(watched: Watched, customer: Page, shop: Mall) -> None:
    """The page that was open for long asks its own server for another, and goes on."""
    given: list[str] = []

    async def spoil_the_first(route: Route) -> None:
        answer = await route.fetch()
        granted = await answer.json()
        given.append(granted["token"])
        if len(given) == 1:
            granted["token"] = "ct_" + "A" * 43 + "_AAAAAA"
        await route.fulfill(json=granted)

    await customer.route("**/api/orders/*/token", spoil_the_first)
    await order(customer, shop)

    assert len(given) == 2
    assert await watched.violations() == []


async def test_a_page_with_a_service_that_is_away_says_so(customer: Page, shop: Mall) -> None:
    await customer.route(
        "**/api/orders/*/token", lambda route: route.fulfill(status=502, json={"error": "UNAVAILABLE"})
    )
    await customer.goto(f"{shop.url}/")
    await customer.locator("[data-add=tea]").click()
    await customer.locator("#order").click()

    await expect(customer.get_by_role("alert")).to_contain_text("you will not pay twice")
    await customer.unroute("**/api/orders/*/token")
    await customer.get_by_role("button", name="Check again").click()
    await state(customer, "pay")


async def test_the_basket_by_keyboard_in_azerbaijani_on_a_phone(
    watched: Watched, customer: Page, shop: Mall
) -> None:
    """Labels, focus and a comma: whoever uses no mouse gets to the payment; nothing is wider than the screen."""
    await customer.set_viewport_size({"width": 390, "height": 844})
    await customer.goto(f"{shop.url}/?lang=az")
    await customer.get_by_role("button", name="Səbətə at: Bakı paxlavası").focus()
    await customer.keyboard.press("Enter")
    await customer.get_by_role("button", name="Bir ədəd artır: Bakı paxlavası").focus()
    await customer.keyboard.press("Enter")
    await customer.keyboard.press("Enter")
    await expect(customer.locator("#total")).to_have_text("44,70\u00a0AZN")
    assert await customer.evaluate("document.activeElement.ariaLabel") == "Bir ədəd artır: Bakı paxlavası"
    await customer.reload()
    await expect(customer.locator("#total")).to_have_text("44,70\u00a0AZN")
    await customer.get_by_role("button", name="Ödənişə keç").focus()
    await customer.keyboard.press("Enter")
    await state(customer, "pay")

    await expect(customer.locator("html")).to_have_attribute("lang", "az")
    assert await customer.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await watched.screenshot("shop-phone")
    await clean(watched, shop)


VIEWS = """async () => {
  const { viewOf } = await import("/static/views.js");
  const words = JSON.parse(document.getElementById("data").textContent).words;
  const statuses = ["NEW", "REQUIRES_ACTION", "AUTHORIZED", "SUCCESS", "FAILED", "RETURNED", "VOIDED", "EXPIRED",
    "INDETERMINATE", "REQUIRES_REVIEW", "SOMETHING_NEWER"];
  const final = ["SUCCESS", "FAILED", "RETURNED", "VOIDED", "EXPIRED"];
  const found = [];
  for (const status of ["OPEN", "COMPLETE", "EXPIRED", "CANCELED"])
    for (const of of [null, ...statuses])
      for (const attemptsLeft of [0, 2])
        for (const cameBack of [false, true]) {
          const transaction = of && { status: of, isFinal: final.includes(of) };
          const view = viewOf({ status, attemptsLeft, transaction }, { cameBack });
          const known = Boolean(words[view.title] && words[view.text]);
          found.push({ status, of, attemptsLeft, pays: Boolean(view.pays), known });
        }
  return found;
}"""


async def test_no_view_lets_anybody_pay_while_money_may_be_under_way(customer: Page, shop: Mall) -> None:
    """Every state of a checkout and its attempt has words, and a button to pay only where nothing is open."""
    await customer.goto(f"{shop.url}/")
    views = await customer.evaluate(VIEWS)

    assert len(views) == 4 * 12 * 2 * 2
    assert all(view["known"] for view in views)
    paying = {(view["status"], view["of"]) for view in views if view["pays"]}
    assert paying == {("OPEN", None), ("OPEN", "FAILED"), ("OPEN", "EXPIRED"), ("OPEN", "VOIDED")}
