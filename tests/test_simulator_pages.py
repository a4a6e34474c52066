from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import httpx
import pytest

from gql_epoint.simulator import SimulatorSettings, running
from gql_epoint.simulator.bank import TEST_CARDS
from tests.simulator_client import APPROVED, DECLINED, PAY, SECURE, World, world

EVIL = '"><script>alert(1)</script>&'


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


class Page(HTMLParser):
    """The tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


async def test_the_page_asks_for_a_card_number_only(sandbox: World):
    """A plain form with one input, no script, the amount, the order, and a warning that no money moves."""
    reply = await sandbox.call("request", PAY)
    answer = await sandbox.http.get(reply["redirect_url"])
    tags = Page(answer.text).tags

    assert [found["name"] for tag, found in tags if tag == "input"] == ["card_number"]
    assert all(found == {"method": "post"} for tag, found in tags if tag == "form")
    assert not [tag for tag, found in tags if tag in ("script", "style") or "style" in found]
    for text in ("30.75 AZN", "order-1", "a book", "no real money"):
        assert text in answer.text


async def test_test_cards_are_buttons(sandbox: World):
    """Each offered number can be chosen with one press, without JavaScript."""
    reply = await sandbox.call("request", PAY)
    tags = Page((await sandbox.http.get(reply["redirect_url"])).text).tags
    numbers = [found["value"] for tag, found in tags if tag == "button" and found.get("name") == "card_number"]

    assert [card.number for card in TEST_CARDS] == numbers


async def test_everything_is_escaped(sandbox: World):
    """No text of a request becomes a tag, on any page."""
    fields = {**PAY, "order_id": EVIL, "description": EVIL}
    reply = await sandbox.call("request", fields)
    pages = [await sandbox.http.get(reply["redirect_url"])]
    pages.append(await sandbox.submit(reply["redirect_url"], EVIL))
    await sandbox.submit(reply["redirect_url"], SECURE)
    pages.append(await sandbox.http.get(reply["redirect_url"]))
    await sandbox.http.post(reply["redirect_url"], data={"decision": "confirm"})
    pages.append(await sandbox.http.get(reply["redirect_url"]))
    await sandbox.shop.callback()

    for page in pages:
        assert "<script" not in page.text
        assert "script" not in [tag for tag, _ in Page(page.text).tags]
        assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(("number", "where"), [(APPROVED, "success"), (DECLINED, "error")])
async def test_the_way_back(sandbox: World, number, where):
    """The request's address comes before the dashboard's, and that before the simulator's own page."""
    chosen = {f"{word}_redirect_url": f"https://shop.example/{word}?a=1" for word in ("success", "error")}
    dashboard = {f"{word}_url": f"https://shop.example/dashboard/{word}" for word in ("success", "error")}
    targets = []
    for fields, merchant in ((chosen, dashboard), ({}, dashboard), ({}, dict.fromkeys(dashboard))):
        await sandbox.control("PUT", "/merchants/i000000001", merchant)
        reply = await sandbox.call("request", {**PAY, **fields})
        answer = await sandbox.submit(reply["redirect_url"], number)
        await sandbox.shop.callback()
        assert answer.status_code == 303
        targets.append(answer.headers["location"])

    assert [
        f"https://shop.example/{where}?a=1",
        f"https://shop.example/dashboard/{where}",
        f"{sandbox.url}/back/{where}",
    ] == targets
    assert "shop" in (await sandbox.http.get(targets[2])).text


async def test_a_decline_is_final_and_a_second_press_changes_nothing(sandbox: World):
    """Pressing again leads the same way back, without another callback or another result."""
    reply = await sandbox.call("request", PAY)
    first = await sandbox.submit(reply["redirect_url"], DECLINED)
    await sandbox.shop.callback()
    second = await sandbox.submit(reply["redirect_url"], APPROVED)

    assert first.headers["location"] == second.headers["location"]
    assert (await sandbox.status(reply["transaction"]))["status"] == "error"
    assert sandbox.shop.received.empty()
    assert "Declined" in (await sandbox.http.get(reply["redirect_url"])).text


@pytest.mark.parametrize("number", ["", "4111", "4111x11111111111", "٤" * 16, "1" * 20])
async def test_what_is_no_card_number(sandbox: World, number):
    """The form comes back with a sentence, and the payment stays open."""
    reply = await sandbox.call("request", PAY)
    answer = await sandbox.submit(reply["redirect_url"], number)

    assert (answer.status_code, "12 to 19 digits" in answer.text) == (422, True)
    assert (await sandbox.status(reply["transaction"]))["status"] == "new"


async def test_a_code_of_the_plan_beats_the_card(sandbox: World):
    """An order can be declined although its card is good."""
    await sandbox.control("PUT", "/orders/doomed", {"bank_code": "102"})
    reply = await sandbox.paid(order_id="doomed")

    assert (await sandbox.status(reply["transaction"]))["code"] == "102"


async def test_no_card_number_is_kept(sandbox: World):
    """The books hold the mask and what the number led to."""
    await sandbox.saved_card("4000 0012 3456 7000")
    books = (await sandbox.http.get("/_control/books")).text

    assert "400000******7000" in books
    assert not [part for part in ("400000123456", "4000 0012") if part in books]


async def test_unknown_pages(sandbox: World):
    """A page that does not exist says so."""
    answers = [await sandbox.http.get("/pay/nothing"), await sandbox.submit("/pay/nothing", APPROVED)]

    assert [answer.status_code for answer in answers] == [404, 404]


async def test_a_form_that_cannot_be_read(sandbox: World):
    """A huge or binary form is refused."""
    reply = await sandbox.call("request", PAY)
    answers = [await sandbox.http.post(reply["redirect_url"], content=body) for body in (b"\xff", b"a=b&" * 5000)]

    assert [answer.status_code for answer in answers] == [400, 400]


async def test_the_style_sheet_is_one(sandbox: World):
    """A browser takes no style sheet of another type."""
    assert "text/css" in (await sandbox.http.get("/static/style.css")).headers["content-type"]


async def test_a_page_does_not_live_for_ever():
    """After its lifetime the page is gone and the card's session has expired; the payment stays new."""
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    async with (
        running(SimulatorSettings(), clock=lambda: now[0]) as simulator,
        httpx.AsyncClient(base_url=simulator.url) as http,
    ):
        made = World(simulator.url, simulator.state, None, http)
        reply = await made.call("card-registration-with-pay", PAY)
        now[0] += timedelta(days=1, seconds=1)
        answer = await made.submit(reply["redirect_url"], APPROVED)
        card = await made.call("get-status-card", {"card_id": reply["card_id"]})

        assert answer.status_code == 404
        assert card["status"] == "session_expired"
        assert (await made.status(reply["transaction"]))["status"] == "new"


async def test_every_page_has_a_strict_policy(sandbox: World):
    """Customers type card numbers here: nothing but the page's own style loads, and no frame shows it."""
    reply = await sandbox.call("request", PAY)
    pages = [await sandbox.http.get(path) for path in ("/", reply["redirect_url"], "/pay/nothing", "/back/success")]
    pages.append(await sandbox.submit(reply["redirect_url"], APPROVED))

    for page in pages:
        policy = page.headers.get("content-security-policy", "")
        if page.status_code not in (302, 303):
            assert policy.startswith("default-src 'none'"), page.url
            assert "frame-ancestors 'none'" in policy, page.url
            assert page.headers["x-content-type-options"] == "nosniff"
