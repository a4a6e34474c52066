"""The plain module of the frontend guide, in a real browser, on a page of the demo shop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.test_shop import order, use_card
from tests.shop_kit import Mall, mall
from tests.test_docs import plain_module

if TYPE_CHECKING:
    from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser

MOUNT = """async (order) => {
  document.body.innerHTML = '<h1 id="of-guide"></h1><button id="go">Pay</button>';
  const status = document.getElementById("of-guide"), payButton = document.getElementById("go");
  const { mount } = await import("/guide.js");
  await mount({ order, status, payButton });
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mall]:
    async with mall(tmp_path_factory.mktemp("shop")) as running:
        yield running


@pytest.fixture
def service_url(shop: Mall) -> str:
    """The page under test is the shop's."""
    return shop.url


async def test_the_guide_s_module_pays_after_a_decline(watched: Watched, shop: Mall) -> None:
    """It stands where the shop's own script would, under the shop's policy."""
    page = watched.page
    order_id = await order(page, shop)
    await page.route(
        "**/guide.js", lambda route: route.fulfill(body=plain_module(), content_type="text/javascript")
    )
    await page.route("**/static/order.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    await page.reload()
    shown, button = page.locator("#of-guide"), page.get_by_role("button", name="Pay")
    for card in ("0116", "1111"):
        await page.evaluate(MOUNT, order_id)
        await expect(shown).to_have_attribute("data-link", "live")
        await button.click()
        await page.wait_for_url("**/pay/*")
        await use_card(page, card)
        await page.wait_for_url("**/orders/*")
    await page.evaluate(MOUNT, order_id)

    await expect(shown).to_have_text("SUCCESS")
    await expect(button).to_be_hidden()
    assert await shop.payments(order_id) == [{"status": "SUCCESS"}, {"status": "FAILED"}]
    assert await watched.violations() == []
    assert watched.problems == []
