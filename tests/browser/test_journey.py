"""What a newcomer does after `make run`: pay in the explorer, act on the card page, and watch the status change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.test_readme import blocks

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.browser.conftest import Watched
    from tests.service import Client, Service

pytestmark = pytest.mark.browser

OPEN = """mutation ($input: PayInput!) { pay(input: $input) {
  transaction { nextAction { ... on RedirectAction { url } } } errors { message } } }"""
STATUS = "query ($id: String!) { transaction(by: {orderId: $id}) { status failure { bankCode } } }"


@pytest.fixture
def service_url(service: Service) -> str:
    """The page under test is the real service's."""
    return service.url


async def run_tab(page: Page, name: str, operation: str) -> None:
    """Open a tab, look at it as a person does before pressing play, and press play."""
    await page.get_by_role("tab", name=re.compile(f"^{name}( |$)")).click()
    await expect(page.locator(".graphiql-query-editor")).to_contain_text(operation)
    # GraphiQL notices a moment later which operation its editor holds; a person is slower than that.
    await page.wait_for_timeout(1000)
    await page.locator(".graphiql-execute-button").click()


async def card_page(client: Client, order_id: str) -> str:
    """Open a payment and return the address of its card page."""
    order = {"idempotencyKey": f"browser-journey-{order_id}", "orderId": order_id, "amount": {"amount": "7.50"}}
    made = (await client.data(OPEN, input=order))["pay"]
    assert made["errors"] == []
    return str(made["transaction"]["nextAction"]["url"])


async def test_newcomer_pays_in_the_explorer_and_watches(watched: Watched, browser: Browser) -> None:
    """The first tab pays, a customer approves on a phone, and the second tab shows the final status, live."""
    page = watched.page
    await page.goto(f"{watched.origin}/graphql")
    answer = page.locator(".result-window")
    await run_tab(page, "Pay", "mutation")
    await expect(answer).to_contain_text("REQUIRES_ACTION")
    url = re.sub(r"\s+", "", await answer.inner_text())
    found = re.search(r"http://127\.0\.0\.1:\d+/pay/[0-9a-f]{32}", url)
    assert found is not None

    await run_tab(page, "Watch", "subscription")
    await expect(answer).to_contain_text("SNAPSHOT")
    phone = await browser.new_context()
    customer = await phone.new_page()
    await customer.goto(found[0])
    async with customer.expect_navigation():
        await customer.get_by_role("button", name=re.compile("4111 1111 1111 1111")).click()
    await phone.close()

    await expect(answer).to_contain_text('"status": "SUCCESS"')
    await watched.screenshot("journey")
    assert await watched.violations() == []


@pytest.mark.parametrize(
    ("card", "status", "code"),
    [("4111 1111 1111 1111", "SUCCESS", None), ("4000 0000 0000 0116", "FAILED", "116")],
)
async def test_card_page_works_without_javascript(
    browser: Browser, client: Client, card: str, status: str, code: str | None
) -> None:
    """A form that asks for a card number and nothing else, on a phone, with scripts off."""
    order_id = f"no-script-{status}"
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = await context.new_page()
    await page.goto(await card_page(client, order_id))
    assert await page.locator("input:not([type=hidden])").count() == 1
    await page.get_by_label("Card number").fill(card)
    await page.get_by_role("button", name=re.compile("^Pay")).click()
    await page.wait_for_load_state()
    await context.close()

    told = [update async for update in client.subscribe(WATCH, id=order_id)][-1]["data"]["transactionUpdated"]
    assert told["transaction"]["status"] == status
    found = (await client.data(STATUS, id=order_id))["transaction"]
    assert found == {"status": status, "failure": code and {"bankCode": code}}


WATCH = "subscription ($id: String!) { transactionUpdated(by: {orderId: $id}) { transaction { status } } }"


async def test_three_d_secure_is_a_second_page(browser: Browser, client: Client) -> None:
    """The bank's page confirms, and the payment succeeds."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(await card_page(client, "three-d-secure"))
    await page.get_by_role("button", name=re.compile("4000 0000 0000 3220")).click()
    await page.get_by_role("button", name="Confirm").click()
    await context.close()

    told = [update async for update in client.subscribe(WATCH, id="three-d-secure")]
    assert told[-1]["data"]["transactionUpdated"]["transaction"]["status"] == "SUCCESS"


async def test_readme_client_runs_as_it_stands(browser: Browser, service: Service, client: Client) -> None:
    """The JavaScript of the README pays and watches, copied to the letter but for the address."""
    (source,) = blocks("js")
    source = source.replace("http://127.0.0.1:8080", service.url).replace("export ", "")
    url = await card_page(client, "readme")
    # That page only lends its origin; its own policy lets nobody connect anywhere.
    context = await browser.new_context(bypass_csp=True)
    page = await context.new_page()
    await page.goto(f"{service.url}/healthz")
    await page.evaluate(
        f"""() => {{ {source}
        window.seen = [];
        window.done = watch("readme", (transaction) => window.seen.push(transaction.status));
        window.asked = graphql("query {{ viewer {{ level }} }}");
        }}"""
    )
    await page.wait_for_function("() => window.seen.length > 0")
    await service.simulator.pay(url)
    await page.evaluate("window.done")

    assert await page.evaluate("window.seen") == ["REQUIRES_ACTION", "SUCCESS"]
    assert await page.evaluate("window.asked") == {"viewer": {"level": "SECRET_KEY"}}
    await context.close()
