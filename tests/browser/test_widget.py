"""A page that embeds the widget: paid in the frame, told by the subscription, and deaf to forged messages."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.checkout_kit import create

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Browser, Page

    from tests.service import Service

pytestmark = pytest.mark.browser

DOCUMENT = Path(__file__).parents[2] / "gql_epoint" / "docs" / "widget.md"
WATCH = "subscription { checkoutUpdated { checkout { status transaction { status } } } }"

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A shop</title>
<link rel="icon" href="data:,"></head><body><div id="place"></div><script type="module">
%(source)s
const authorization = "Bearer " + location.hash.slice(1);
const headers = { "content-type": "application/json", accept: "application/json", authorization };
let sent = 0;
async function graphql(query, variables) {
  sent += 1;
  const body = JSON.stringify({ query, variables });
  const { data, errors } = await (await fetch("%(service)s/graphql", { method: "POST", headers, body })).json();
  if (errors) throw new Error(errors[0].message);
  return data;
}
window.seen = [];
window.heard = [];
window.sent = () => sent;
window.addEventListener("message", (event) => window.heard.push(event.data.status));
const socket = new WebSocket("%(service)s/graphql".replace("http", "ws"), "graphql-transport-ws");
const send = (message) => socket.send(JSON.stringify(message));
socket.onopen = () => send({ type: "connection_init", payload: { authorization } });
socket.onmessage = ({ data }) => {
  const { type, payload } = JSON.parse(data);
  if (type === "connection_ack") send({ id: "1", type: "subscribe", payload: { query: `%(watch)s` } });
  if (type === "next") {
    const { status, transaction } = payload.data.checkoutUpdated.checkout;
    window.seen.push([status, transaction && transaction.status]);
  }
  if (type === "complete") window.over = true;
};
window.embed = () => embedWidget(document.getElementById("place"), graphql);
</script></body></html>"""


class Shop:
    """A web server with one page, for one service."""

    def __init__(self) -> None:
        self.origin = ""
        self.service: Service | None = None

    async def page(self, _request: web.Request) -> web.Response:
        assert self.service is not None
        (source,) = re.findall(r"```js\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
        text = PAGE % {"source": source.replace("export ", ""), "service": self.service.url, "watch": WATCH}
        # What the document says is enough: the frame's origin, and the service that the page speaks to.
        policy = (
            "default-src 'none'; script-src 'unsafe-inline'; img-src data:; "
            f"frame-src {self.service.simulator.url}; "
            f"connect-src {self.service.url} {self.service.url.replace('http', 'ws')}"
        )
        headers = {"content-security-policy": policy}
        return web.Response(text=text, content_type="text/html", headers=headers)


@pytest.fixture
async def shop(start_service: Callable[..., Service]) -> AsyncIterator[Shop]:
    """The page's own server, at an origin that may call the service."""
    shop = Shop()
    app = web.Application()
    app.router.add_get("/", shop.page)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    shop.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    shop.service = start_service(GQL_EPOINT_ALLOWED_ORIGINS=shop.origin)
    yield shop
    await runner.cleanup()


@contextlib.asynccontextmanager
async def embedded(browser: Browser, shop: Shop, **plan: Any) -> AsyncIterator[tuple[Page, str]]:
    """Open the page with a checkout's token and embed the widget; yield it and the order."""
    assert shop.service is not None
    async with shop.service.client() as client:
        payload = await create(client, methods=["WIDGET"])
    order = payload["checkout"]["orderId"]
    await shop.service.simulator.control("PUT", f"/orders/{order}", plan)
    context = await browser.new_context(viewport={"width": 390, "height": 844})
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    await page.goto(f"{shop.origin}/#{payload['clientToken']['secret']}")
    await page.wait_for_function("() => window.seen.length > 0")
    await page.evaluate("window.embed()")
    await page.wait_for_function("() => window.seen.at(-1)[1] === 'REQUIRES_ACTION'")
    yield page, order
    assert problems == []
    await context.close()


@pytest.mark.parametrize("callback", [True, False], ids=["callback", "no-callback"])
async def test_customer_pays_in_the_frame_and_the_page_is_told(
    browser: Browser, shop: Shop, callback: bool
) -> None:
    """With the callback, or by asking after the widget's message: the subscription alone says SUCCESS."""
    async with embedded(browser, shop, callback={"drop": not callback}) as (page, _order):
        before = await page.evaluate("window.sent()")
        await page.frame_locator("#place iframe").get_by_role("button", name="Pay with").click()
        await page.frame_locator("#place iframe").get_by_role("heading", name="Done").wait_for()
        await page.wait_for_function("() => window.over")

        assert await page.evaluate("window.seen.at(-1)") == ["COMPLETE", "SUCCESS"]
        assert await page.evaluate("window.heard") == ["success"]
        assert await page.evaluate("window.sent()") == before + 1


async def test_forged_message_changes_nothing(browser: Browser, shop: Shop) -> None:
    """One from another window is ignored; a page that believes it learns that EPoint has heard of no payment."""
    assert shop.service is not None
    async with embedded(browser, shop) as (page, order):
        sent = await page.evaluate("window.sent()")
        forged = "{status: 'success', payment: {total: 12.34}}"
        await page.evaluate(f"window.postMessage({forged}, '*')")
        await page.evaluate(
            f"""() => {{ const other = document.createElement("iframe");
            other.srcdoc = `<script>parent.postMessage({forged}, "*")</script>`; document.body.append(other); }}"""
        )
        await page.wait_for_function("() => window.heard.length > 0")
        assert await page.evaluate("window.sent()") == sent
        # The page falls for it: it confirms again, as it would upon a real message.
        await page.evaluate("window.embed()")
        while True:
            books = await shop.service.simulator.control("GET", "/books")
            if books["requests"].get("get_status", 0) > 0:
                break
        states = await page.evaluate("window.seen")

        assert states[-1] == ["OPEN", "REQUIRES_ACTION"]
        assert [row["status"] for row in books["transactions"] if row["order_id"] == order] == ["new"]
        await page.frame_locator("#place iframe").get_by_role("button", name="Pay with").click()
        await page.wait_for_function("() => window.over")
        assert await page.evaluate("window.seen.at(-1)") == ["COMPLETE", "SUCCESS"]


async def test_declined_customer_pays_at_the_second_attempt(browser: Browser, shop: Shop) -> None:
    """The frame tells of the decline, the subscription why, and the page embeds another widget."""
    async with embedded(browser, shop) as (page, _order):
        await page.frame_locator("#place iframe").get_by_role("button", name="Let the bank decline").click()
        await page.wait_for_function("() => window.seen.at(-1)[1] === 'FAILED'")
        await page.evaluate("window.embed()")
        await page.frame_locator("#place iframe").get_by_role("button", name="Pay with").click()
        await page.wait_for_function("() => window.over")

        assert await page.evaluate("window.seen.at(-1)") == ["COMPLETE", "SUCCESS"]
