"""The simulator's console in a real browser: each button does what it says, live and under a strict policy."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.async_api import expect

from gql_epoint.simulator import SimulatorSettings, running
from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.console.views import features_of
from tests.simulator_client import APPROVED, DECLINED, MERCHANT, OTHER_MERCHANT, PAY, World, sealed, world
from tests.test_simulator_business import INVOICE, TRANSFER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Locator, Page

    from tests.browser.conftest import Watched

pytestmark = pytest.mark.browser


@pytest.fixture
async def sandbox() -> AsyncIterator[World]:
    """A simulator of the test's own, with a shop that takes callbacks."""
    async with world() as made:
        yield made


@pytest.fixture
def service_url(sandbox: World) -> str:
    return sandbox.url


async def opened(watched: Watched, sandbox: World, order: str, path: str = "request") -> str:
    """Start a payment, open its page in the console, and return EPoint's id of it."""
    reply = await sandbox.call(path, {**PAY, "order_id": order})
    await show(watched, reply["transaction"])
    return str(reply["transaction"])


async def show(watched: Watched, name: str) -> None:
    await watched.page.goto(f"{watched.origin}/#/transactions/{name}")
    await expect(watched.page.locator(".detail dd", has_text=name).first).to_be_visible()


def status(page: Page) -> Locator:
    return page.locator(".detail .top .badge")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


async def choose(page: Page, way: str, count: str | None = None) -> None:
    """Choose how the callback travels."""
    await page.get_by_role("radio", name=way).check()
    if count is not None:
        await page.locator(".parameter:visible input").fill(count)


async def nothing_arrives(sandbox: World) -> bool:
    await asyncio.sleep(0.3)
    return sandbox.shop.received.empty()


# -- watching -----------------------------------------------------------------------------------------------------


async def test_a_transaction_appears_by_itself_and_changes(watched: Watched, sandbox: World) -> None:
    """The page is opened once; nothing is reloaded."""
    page = watched.page
    await page.goto(watched.origin)
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.get_by_text("No transactions yet")).to_be_visible()
    reply = await sandbox.call("request", {**PAY, "order_id": "live-1"})
    row = page.get_by_role("link", name=re.compile("live-1"))
    await expect(row).to_contain_text("30.75 AZN")
    await expect(row.locator(".badge")).to_have_text("new")
    await sandbox.submit(reply["redirect_url"], DECLINED)
    await expect(row.locator(".badge")).to_have_text("failed")
    await expect(row.locator(".dot.is-delivered")).to_have_count(1)
    await watched.assert_clean()


async def test_requests_and_answers_are_shown_decoded_and_as_sent(watched: Watched, sandbox: World) -> None:
    """The signature's verdict, the fields, the base64 and the answer."""
    page = watched.page
    name = await opened(watched, sandbox, "said-1")
    entry = page.locator("details.entry", has_text="/api/1/request")
    await expect(entry.locator("summary").first).to_contain_text("/api/1/request")
    await expect(entry).to_contain_text("signature valid")
    await entry.locator("summary").first.click()
    request, answer = entry.locator(".panes > section").nth(0), entry.locator(".panes > section").nth(1)
    await expect(request.locator(".code").first).to_contain_text('"order_id": "said-1"')
    await expect(answer.locator(".code").first).to_contain_text(f'"transaction": "{name}"')
    await request.get_by_text("As sent").click()
    await expect(request.locator(".raw")).to_contain_text("data=")

    # What is open stays open when something else happens.
    await sandbox.status(name)
    await expect(page.locator("details.entry")).to_have_count(2)
    await expect(request.locator(".raw")).to_be_visible()
    await watched.assert_clean()


async def test_a_forged_request_is_listed_by_itself(watched: Watched, sandbox: World) -> None:
    """With the verdict, though it belongs to no transaction."""
    page = watched.page
    await page.goto(watched.origin)
    body = sealed({"public_key": MERCHANT.public_key, **PAY}, OTHER_MERCHANT.private_key)
    await sandbox.http.post("/api/1/request", data=body)
    await expect(page.locator("#others-count")).to_have_text("1")
    await page.get_by_role("link", name=re.compile("Other requests")).click()
    await expect(page.locator("details.entry")).to_contain_text("signature invalid")
    await expect(page.locator("details.entry")).to_contain_text("server_error")
    await watched.assert_clean()


async def test_texts_of_requests_stay_texts(watched: Watched, sandbox: World) -> None:
    """Markup in an order id or a shop's answer is shown and never becomes part of the page."""
    evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    reply = await sandbox.call("request", {**PAY, "order_id": evil, "description": evil})
    await show(watched, reply["transaction"])
    await expect(watched.page.locator(".detail")).to_contain_text(evil)

    assert await watched.page.evaluate("window.hacked") is None
    assert await watched.page.locator("main img, main script").count() == 0
    await watched.assert_clean()


async def test_the_list_can_be_searched(watched: Watched, sandbox: World) -> None:
    """By order, by status."""
    page = watched.page
    for order in ("found-1", "other-2"):
        await sandbox.call("request", {**PAY, "order_id": order})
    await sandbox.paid(DECLINED, order_id="failed-3")
    await page.goto(watched.origin)
    await expect(page.locator(".item")).to_have_count(3)
    await page.get_by_role("searchbox").fill("FOUND")
    await expect(page.locator(".item .title")).to_have_text(["found-1"])
    await page.get_by_role("searchbox").fill("")
    await page.get_by_label("Status").select_option("failed")
    await expect(page.locator(".item .title")).to_have_text(["failed-3"])
    await watched.assert_clean()


async def test_it_finds_its_simulator_again(browser: Browser, watched: Watched) -> None:
    """A simulator that is started anew is shown as it is then, without a reload."""
    page = watched.page
    async with world() as first:
        port = int(first.url.rpartition(":")[2])
        await page.goto(first.url)
        await first.call("request", {**PAY, "order_id": "before"})
        await expect(page.locator(".item .title")).to_have_text(["before"])
    await expect(page.locator("#live")).to_have_text("not connected")
    async with running(SimulatorSettings(), port=port) as second, httpx.AsyncClient(base_url=second.url) as http:
        await http.post("/api/1/request", data=sealed({"public_key": MERCHANT.public_key, **PAY}))
        await expect(page.locator("#live")).to_have_text("live", timeout=20_000)
        await expect(page.locator(".item .title")).to_have_text([PAY["order_id"]])

    assert await watched.violations() == []


# -- buttons ------------------------------------------------------------------------------------------------------


async def test_approve(watched: Watched, sandbox: World) -> None:
    """The bank approves and the shop is told."""
    page = watched.page
    name = await opened(watched, sandbox, "approve")
    await button(page, "Approve").click()
    await expect(status(page)).to_have_text("success")
    await expect(page.locator("[data-callback]")).to_contain_text("delivered")
    callback = await sandbox.shop.callback()

    assert (callback.transaction, callback.status, callback.code) == (name, "success", "000")
    await watched.assert_clean()


async def test_decline_with_a_code(watched: Watched, sandbox: World) -> None:
    """The code is typed or chosen, and explained."""
    page = watched.page
    await opened(watched, sandbox, "decline")
    await page.get_by_label("Bank code").fill("208")
    await expect(page.locator("#meaning")).not_to_be_empty()
    await button(page, "Decline").click()
    await expect(status(page)).to_have_text("failed")

    assert (await sandbox.shop.callback()).code == "208"
    await watched.assert_clean()


async def test_change_the_amount(watched: Watched, sandbox: World) -> None:
    """A success with another amount than ordered, in EPoint's books as well."""
    page = watched.page
    name = await opened(watched, sandbox, "amount")
    await page.get_by_label("Amount taken").fill("3.07")
    await button(page, "Approve").click()
    await expect(page.locator(".detail .top h2")).to_have_text("3.07 AZN")

    assert str((await sandbox.shop.callback()).amount) == "3.07"
    assert (await sandbox.status(name))["amount"] == 3.07
    await watched.assert_clean()


async def test_refund_from_the_cabinet(watched: Watched, sandbox: World) -> None:
    """In part, then the rest; no callback tells of it."""
    page = watched.page
    name = (await sandbox.paid(order_id="refund"))["transaction"]
    await show(watched, name)
    await page.get_by_label("Refund amount").fill("10.75")
    await button(page, "Refund").click()
    await expect(page.locator(".detail")).to_contain_text("10.75 AZN (cabinet)")
    await expect(page.get_by_label("Refund amount")).to_have_attribute("placeholder", "20.00")
    await button(page, "Refund").click()
    await expect(status(page)).to_have_text("returned")

    assert (await sandbox.status(name))["status"] == "returned"
    assert sandbox.shop.received.empty()
    await watched.assert_clean()


@pytest.mark.skipif("hold" not in Transaction.__struct_fields__, reason="the simulator holds nothing yet")
@pytest.mark.parametrize(("press", "status_then"), [("Capture", "captured"), ("Release", "released")])
async def test_what_is_held_is_taken_or_let_go(
    watched: Watched, sandbox: World, press: str, status_then: str
) -> None:
    """In the cabinet, where the shop does not see it."""
    page = watched.page
    await opened(watched, sandbox, "held", "pre-auth-request")
    await button(page, "Approve").click()
    await expect(status(page)).to_have_text("held")
    await button(page, press).click()
    await expect(status(page)).to_have_text(status_then)
    await watched.assert_clean()


async def test_resend(watched: Watched, sandbox: World) -> None:
    """The same callback once more."""
    page = watched.page
    name = (await sandbox.paid(order_id="resend"))["transaction"]
    await show(watched, name)
    await button(page, "Resend callback").click()

    assert (await sandbox.shop.callback()).transaction == name
    await expect(page.locator("[data-callback]")).to_have_count(2)
    await watched.assert_clean()


async def test_double(watched: Watched, sandbox: World) -> None:
    """Three copies at once."""
    page = watched.page
    await opened(watched, sandbox, "double")
    await choose(page, "Double", "3")
    await button(page, "Approve").click()
    await expect(page.locator("[data-callback]")).to_have_count(3)

    callbacks = [await sandbox.shop.callback() for _ in range(3)]
    assert {callback.order_id for callback in callbacks} == {"double"}
    await watched.assert_clean()


async def test_delay_and_send_now(watched: Watched, sandbox: World) -> None:
    """It waits, and can be hurried."""
    page = watched.page
    await opened(watched, sandbox, "delay")
    await choose(page, "Delay", "600")
    await button(page, "Approve").click()
    await expect(page.locator("[data-callback] .badge").first).to_have_text("waiting")
    assert await nothing_arrives(sandbox)
    await button(page, "Send now").click()
    await expect(page.locator("[data-callback] .badge").first).to_have_text("delivered")

    assert (await sandbox.shop.callback()).order_id == "delay"
    await watched.assert_clean()


async def test_drop(watched: Watched, sandbox: World) -> None:
    """Lost at once; and one that waits can be lost later."""
    page = watched.page
    await opened(watched, sandbox, "drop")
    await choose(page, "Drop")
    await button(page, "Approve").click()
    await expect(page.locator("[data-callback] .badge").first).to_have_text("dropped")
    await choose(page, "Delay", "600")
    await button(page, "Resend callback").click()
    await button(page, "Drop it").click()
    await expect(page.locator("[data-callback] .head > .badge")).to_have_text(["dropped", "dropped"])

    assert await nothing_arrives(sandbox)
    await watched.assert_clean()


async def test_reorder(watched: Watched, sandbox: World) -> None:
    """The later of two comes first."""
    page = watched.page
    for order in ("first", "second"):
        await opened(watched, sandbox, f"reorder-{order}")
        await choose(page, "Reorder", "2")
        await button(page, "Approve").click()
        await expect(status(page)).to_have_text("success")

    orders = [(await sandbox.shop.callback()).order_id for _ in range(2)]
    assert orders == ["reorder-second", "reorder-first"]
    await watched.assert_clean()


async def test_shape_and_lies(watched: Watched, sandbox: World) -> None:
    """Another encoding, another amount than in the books, a wrong signature."""
    page = watched.page
    name = (await sandbox.paid(order_id="lies"))["transaction"]
    await show(watched, name)
    await page.get_by_text("Shape and lies").click()
    await page.get_by_label("Encoding").select_option("json")
    await page.get_by_label("Says amount").fill("99.00")
    await button(page, "Resend callback").click()
    lied = await sandbox.shop.callback()
    await page.get_by_label("Forged signature").check()
    await button(page, "Resend callback").click()
    await expect(page.locator("[data-callback]").last).to_contain_text("signature spoilt")
    await expect(page.locator("[data-callback]").last).to_contain_text("json")

    assert str(lied.amount) == "99.00"
    assert (await sandbox.status(name))["amount"] == 30.75
    await watched.assert_clean()


async def test_attempts_and_bodies_of_callbacks(watched: Watched, sandbox: World) -> None:
    """Each attempt with its HTTP status and what the shop answered; the body decoded and as sent."""
    page = watched.page
    sandbox.shop.answers = [503]
    await sandbox.control("PUT", "/settings", {"callback": {"retry_delay_s": 0.05}})
    await opened(watched, sandbox, "attempts")
    await button(page, "Approve").click()
    callback = page.locator("[data-callback]")
    await expect(callback.locator("tbody tr")).to_have_count(2)
    await expect(callback.locator("tbody .badge")).to_have_text(["503", "200"])
    await callback.get_by_text("Body").click()
    await expect(callback.locator(".code").first).to_contain_text('"order_id": "attempts"')
    await callback.get_by_text("As sent").click()
    await expect(callback.locator(".raw")).to_be_visible()
    await watched.assert_clean()


async def test_a_mistake_is_told_and_changes_nothing(watched: Watched, sandbox: World) -> None:
    """The control API's sentence is shown."""
    page = watched.page
    name = await opened(watched, sandbox, "mistake")
    await page.get_by_label("Amount taken").fill("much")
    await button(page, "Approve").click()
    await expect(page.locator(".toast.bad")).to_contain_text("amount")

    assert (await sandbox.status(name))["status"] == "new"
    # The browser's own note that an answer was 400 is no problem of the page.
    assert [problem for problem in watched.problems if "400" not in problem] == []


async def test_what_somebody_types_survives_what_happens(watched: Watched, sandbox: World) -> None:
    """News about the transaction do not empty a form that is being filled in."""
    page = watched.page
    name = await opened(watched, sandbox, "typing")
    await page.get_by_label("Amount taken").fill("12.3")
    await choose(page, "Delay", "7")
    await sandbox.status(name)
    await expect(page.locator("details.entry")).to_have_count(2)

    assert await page.get_by_label("Amount taken").input_value() == "12.3"
    assert await page.locator("#count-delay").input_value() == "7"
    await watched.assert_clean()


# -- business -----------------------------------------------------------------------------------------------------

WAITING_BANK = {"switches": {"transfer_step_s": None}}


async def transferring(watched: Watched, sandbox: World, order: str) -> Locator:
    """Order a transfer whose bank waits, and return its card in the console."""
    await sandbox.control("PUT", "/settings", WAITING_BANK)
    await watched.page.goto(f"{watched.origin}/#/business")
    await expect(watched.page.locator("#live")).to_have_text("live")
    hook = {"order_id": order, "webhook_url": f"{sandbox.shop.url}/result"}
    assert (await sandbox.call("b2b/payment", TRANSFER | hook))["status"] == "success"
    return watched.page.get_by_role("article", name=order, exact=True)


async def invoicing(watched: Watched, sandbox: World) -> Locator:
    """Make an invoice while the console is open, and return its card."""
    await watched.page.goto(f"{watched.origin}/#/business")
    await expect(watched.page.locator("#live")).to_have_text("live")
    made = await sandbox.call("invoices/create", INVOICE | {"name": "Aydan"})
    return watched.page.get_by_role("article", name=str(made["id"]), exact=True)


def state_of(card: Locator) -> Locator:
    return card.locator(".top .badge")


async def told(sandbox: World) -> dict[str, Any]:
    """Wait for a webhook."""
    return dict(json.loads((await sandbox.shop.raw())[1]))


@pytest.mark.parametrize(("press", "word"), [("Accept", "success"), ("Reject", "failed")])
async def test_a_transfer_is_accepted_or_rejected(watched: Watched, sandbox: World, press: str, word: str) -> None:
    """It appears by itself; the bank works on it, decides, and the shop is told without a signature."""
    card = await transferring(watched, sandbox, f"b2b-{word}")
    await expect(card).to_contain_text("250.00 AZN")
    await card.get_by_role("button", name="Process").click()
    await expect(state_of(card)).to_have_text("processing")
    assert await nothing_arrives(sandbox)
    await card.get_by_role("button", name=press).click()
    await expect(state_of(card)).to_have_text(word)
    await expect(card.locator("tbody .badge")).to_have_text("200")

    assert (await told(sandbox))["status"] == word
    await watched.assert_clean()


async def test_a_webhook_of_a_transfer_is_doubled_late_or_a_lie(watched: Watched, sandbox: World) -> None:
    """What is typed stays while the transfer changes."""
    card = await transferring(watched, sandbox, "b2b-hook")
    await card.get_by_text("The unsigned webhook").click()
    await card.get_by_label("Copies").fill("2")
    await card.get_by_role("button", name="Accept").click()
    assert [(await told(sandbox))["status"] for _ in range(2)] == ["success"] * 2
    await expect(card.locator("tbody tr")).to_have_count(2)
    await expect(card.get_by_label("Copies")).to_have_value("2")

    await card.get_by_label("Copies").fill("1")
    await card.get_by_label("Seconds late").fill("0.6")
    await card.get_by_label("Says", exact=True).select_option("failed")
    await card.get_by_label("Says amount").fill("1.00")
    await card.get_by_role("button", name="Send webhook").click()
    assert await nothing_arrives(sandbox)
    lie = await told(sandbox)
    await card.get_by_label("Lost on the way").check()
    await card.get_by_role("button", name="Send webhook").click()

    assert (lie["status"], lie["amount"]) == ("failed", "1.00")
    assert await nothing_arrives(sandbox)
    await watched.assert_clean()


async def test_the_bank_decides_by_itself_or_waits(watched: Watched, sandbox: World) -> None:
    """One switch; what is ordered meanwhile goes by it."""
    card = await transferring(watched, sandbox, "b2b-waits")
    pace = watched.page.get_by_role("switch", name="by itself")
    await expect(pace).not_to_be_checked()
    await pace.click()
    await expect(watched.page.locator(".toast")).to_have_text("The bank decides by itself.")
    await sandbox.call("b2b/payment", TRANSFER | {"order_id": "b2b-goes"})
    await expect(state_of(watched.page.get_by_role("article", name="b2b-goes"))).to_have_text("success")
    await expect(state_of(card)).to_have_text("pending")
    await watched.assert_clean()


async def test_an_invoice_is_paid_canceled_and_opened_again(watched: Watched, sandbox: World) -> None:
    """With a button, without a reload, and for EPoint's API as well."""
    card = await invoicing(watched, sandbox)
    await expect(card).to_contain_text("Aydan")
    for press, state in (
        ("Pay", "paid"),
        ("Cancel", "canceled"),
        ("Open again", "waiting for payment"),
    ):
        await card.get_by_role("button", name=press, exact=True).click()
        await expect(state_of(card)).to_have_text(state)

    shown = await sandbox.call("invoices/view", {"id": await card.get_attribute("aria-label")})
    assert shown["invoice"]["status"] == "waiting_for_payment"
    await watched.assert_clean()


async def test_the_outbox_shows_what_was_sent(watched: Watched, sandbox: World) -> None:
    """An SMS and an e-mail as they go out; by their link a customer pays at the second attempt, and it shows."""
    card = await invoicing(watched, sandbox)
    number = await card.get_attribute("aria-label")
    outbox = watched.page.get_by_role("region", name="Outbox")
    await sandbox.call("invoices/send-sms", {"id": number, "phone": "+994501234567"})
    await sandbox.call("invoices/send-email", {"id": number, "email": "a@example.az"})
    await expect(outbox.locator(".head .mono")).to_have_text(["a@example.az", "+994501234567"])
    await expect(card).to_contain_text("sms to +994501234567, email to a@example.az")
    async with watched.page.context.expect_page() as opening:
        await outbox.get_by_role("link").first.click()
    customer = await opening.value
    await customer.get_by_label("Card number").fill(DECLINED)
    await customer.get_by_role("button", name="Pay 99.90 AZN").click()
    await expect(customer.get_by_role("alert")).to_be_visible()
    await expect(state_of(card)).to_have_text("waiting for payment")
    await customer.get_by_label("Card number").fill(APPROVED)
    await customer.get_by_role("button", name="Pay 99.90 AZN").click()
    await expect(customer.get_by_text("This invoice is paid.")).to_be_visible()
    await expect(state_of(card)).to_have_text("paid")
    await watched.assert_clean()


async def test_what_was_said_of_transfers_and_invoices_is_shown_decoded_and_as_sent(
    watched: Watched, sandbox: World
) -> None:
    """Beside them, and not among the requests that lead to nothing."""
    page = watched.page
    await transferring(watched, sandbox, "b2b-said")
    await sandbox.call("invoices/view", {"id": 7})
    asked = page.get_by_role("region", name="Requests").locator("details.entry")
    await expect(asked).to_have_count(2)
    await expect(asked.first).to_contain_text("/api/1/invoices/view")
    await asked.last.locator("summary").first.click()
    await expect(asked.last.locator(".code").first).to_contain_text('"order_id": "b2b-said"')
    await asked.last.get_by_text("As sent").first.click()
    await expect(asked.last.locator(".raw").first).to_contain_text("data=")
    await expect(page.locator("#others-count")).to_be_hidden()
    await watched.assert_clean()


async def test_what_is_held_is_listed_and_leads_to_its_buttons(watched: Watched, sandbox: World) -> None:
    """A hold appears by itself, and is gone once it is taken."""
    page = watched.page
    await page.goto(f"{watched.origin}/#/business")
    holds = page.get_by_role("region", name="Holds")
    await expect(holds).to_contain_text("Nothing is held")
    await sandbox.paid(path="pre-auth-request", order_id="held-for-business")
    await holds.get_by_role("link", name=re.compile("held-for-business")).click()
    await page.get_by_label("Amount to take").fill("10.50")
    await button(page, "Capture").click()
    await expect(status(page)).to_have_text("captured")
    await page.get_by_role("link", name="Business", exact=True).click()
    await expect(holds).to_contain_text("Nothing is held")
    await watched.assert_clean()


# -- merchants and settings ---------------------------------------------------------------------------------------


async def test_merchants_can_be_changed(watched: Watched, sandbox: World) -> None:
    """As in EPoint's dashboard; a field that is emptied is no address."""
    page = watched.page
    await page.goto(f"{watched.origin}/#/merchants")
    card = page.get_by_label(MERCHANT.public_key, exact=True)
    await expect(card.get_by_label("Result URL")).to_have_value(f"{sandbox.shop.url}/result")
    await card.get_by_label("Success URL").fill("https://shop.example/thanks")
    await card.get_by_label("Result URL").fill("")
    await card.get_by_role("button", name="Save").click()
    await expect(page.locator(".toast")).to_have_text("Saved.")

    changed = sandbox.state.merchants[MERCHANT.public_key]
    assert (changed.success_url, changed.result_url) == ("https://shop.example/thanks", None)
    assert MERCHANT.private_key not in await page.content()
    await watched.assert_clean()


@pytest.mark.skipif(not features_of(MERCHANT), reason="EPoint grants nothing merchant by merchant here")
async def test_grants_can_be_taken_away(watched: Watched, sandbox: World) -> None:
    """One feature of one merchant; the others stay."""
    page = watched.page
    await page.goto(f"{watched.origin}/#/merchants")
    names = [feature["name"] for feature in features_of(MERCHANT)]
    card = page.get_by_label(MERCHANT.public_key, exact=True)
    await card.get_by_label(names[0], exact=True).click()
    await expect(page.locator(".toast")).to_have_text(f"{names[0]}: not granted", ignore_case=True)

    changed = features_of(sandbox.state.merchants[MERCHANT.public_key])
    assert [feature["name"] for feature in changed if feature["granted"]] == names[1:]
    assert features_of(sandbox.state.merchants[OTHER_MERCHANT.public_key]) == features_of(OTHER_MERCHANT)
    await watched.assert_clean()


async def test_settings_can_be_changed(watched: Watched, sandbox: World) -> None:
    """A flag, a word and a number, each at once; and what is changed elsewhere shows here."""
    page = watched.page
    await page.goto(f"{watched.origin}/#/settings")
    await page.get_by_label("split refundable").click()
    await page.get_by_label("decline word").select_option("failed")
    await page.get_by_label("delay (s)", exact=True).fill("1.5")
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("changed", exact=True)).to_have_count(3)

    switches, callback = sandbox.state.switches, sandbox.state.callback
    assert (switches.split_refundable, switches.decline_word, callback.delay_s) == (False, "failed", 1.5)
    await sandbox.control("PUT", "/settings", {"switches": {"split_refundable": True}})
    await expect(page.get_by_label("split refundable")).to_be_checked()
    await watched.assert_clean()


# -- looks --------------------------------------------------------------------------------------------------------

BEYOND = """(selector) => {
  const { scrollWidth, clientWidth } = document.querySelector(selector);
  return scrollWidth - clientWidth;
}"""
SIZES = {"wide": (1280, 900), "phone": (390, 844)}


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_it_fits_the_screen(
    browser: Browser, watched: Watched, sandbox: World, size: str, colours: str
) -> None:
    """Nothing is wider than the screen, in any view; the pictures are for people to look at."""
    page = watched.page
    width, height = SIZES[size]
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(color_scheme=colours)  # type: ignore[arg-type]
    names = await furnished(sandbox)
    for view, path in {
        "list": "#/transactions",
        "open": f"#/transactions/{names['open']}",
        "paid": f"#/transactions/{names['paid']}",
        "business": "#/business",
        "others": "#/others",
        "merchants": "#/merchants",
        "settings": "#/settings",
    }.items():
        await page.goto(f"{watched.origin}/{path}")
        await expect(page.locator("#live")).to_have_text("live")
        await page.wait_for_timeout(150)
        if view in ("open", "paid"):
            await page.locator("details.entry").first.locator("summary").first.click()
        elif view == "business":
            await page.get_by_text("The unsigned webhook").first.click()
        await watched.screenshot(f"console-{size}-{colours}-{view}")

        beyond = [await page.evaluate(BEYOND, selector) for selector in ("html", "nav")]

        assert beyond == [0, 0], view
    await watched.assert_clean()


async def furnished(sandbox: World) -> dict[str, str]:
    """A simulator in which a little of everything has happened."""
    sandbox.shop.answers = [503]
    await sandbox.control("PUT", "/settings", {"callback": {"retry_delay_s": 0.05}})
    paid = (await sandbox.paid(order_id="INV-2026-00042", description="Two tickets to Baku"))["transaction"]
    await sandbox.control("POST", f"/callbacks/{paid}/resend", {"callback": {"delay_s": 600, "encoding": "json"}})
    await sandbox.control("POST", f"/transactions/{paid}/refund", {"amount": "10.00"})
    await sandbox.status(paid)
    await sandbox.saved_card()
    await sandbox.paid(DECLINED, order_id="a-rather-long-order-id-that-some-shop-has-made-up-0000000001")
    await sandbox.paid(path="pre-auth-request", order_id="HOTEL-2026-00003", description="A room")
    for number in range(3):
        await sandbox.call("request", {**PAY, "order_id": f"order-{number}", "amount": f"{number + 1}.50"})
    opened = await sandbox.call("request", {**PAY, "order_id": "order-open", "other_attr": {"cart": 7}})
    body = sealed({"public_key": MERCHANT.public_key, **PAY}, OTHER_MERCHANT.private_key)
    await sandbox.http.post("/api/1/request", data=body)
    await sandbox.http.post("/api/1/get-status", content=b"hello")
    await sandbox.control("PUT", "/settings", WAITING_BANK)
    # From here on nobody takes callbacks: the webhook of a transfer, which looks otherwise, comes when it likes.
    hook = f"{sandbox.shop.url}/result"
    for order in ("TRANSFER-2026-00007", "a-rather-long-order-id-of-a-transfer-that-some-shop-has-made-up-00001"):
        await sandbox.call("b2b/payment", TRANSFER | {"order_id": order, "webhook_url": hook})
    await sandbox.control("POST", "/transfers/TRANSFER-2026-00007/settle", {"state": "SUCCESS"})
    named = {"name": "Aydan Məmmədova", "email": "aydan@example.az", "description": "Tea for January"}
    for state in ("paid", "waiting_for_payment"):
        made = await sandbox.call("invoices/create", INVOICE | named | {"merchant_order_id": f"INV-{state}"})
        await sandbox.call("invoices/send-email", {"id": made["id"], "email": "aydan@example.az"})
        await sandbox.control("POST", f"/invoices/{made['id']}/settle", {"state": state})
    return {"open": str(opened["transaction"]), "paid": str(paid)}
