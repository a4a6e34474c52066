"""The PyPI client `epoint` 0.4.0, an independent implementation, drives the simulator through every call it knows.

Its author wrote it from EPoint's developer portal. Where it and the public documents disagree, the better source
wins in the simulator, and a comment here says which; the sources are EPoint's API documents of 2022 and v1.0.3, its
Apple Pay and Google Pay document, the portal, and `integrify-epoint`, whose tests are written to run live.

What the simulator leaves out is in LEFT_OUT with its reason; such a call has to find nothing there.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from urllib.parse import urlsplit

import epoint
import httpx
import pytest

from tests.simulator_client import APPROVED, DECLINED, MERCHANT, OTHER_MERCHANT, World, world

AMOUNT = Decimal("30.75")
Client = epoint.AsyncEpointClient

# Every call, and the test that makes it.
TESTED = {
    "create_payment": "test_redirecting_operations",
    "create_split_payment": "test_redirecting_operations",
    "register_card_and_pay": "test_redirecting_operations",
    "register_card": "test_saving_a_card",
    "get_card_status": "test_saving_a_card",
    "charge_saved_card": "test_charges",
    "split_charge_saved_card": "test_charges",
    "refund": "test_payout",
    "get_status": "test_status_and_refund",
    "reverse": "test_status_and_refund",
    "verify_callback": "test_redirecting_operations",
    "heartbeat": "test_heartbeat",
}

# What is public and is no call.
NO_CALLS = {
    "from_env": "reads the environment",
    "aclose": "closes the connections",
}


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


@pytest.fixture(scope="module")
async def client(sandbox: World):
    """A client of the first merchant."""
    async with Client(MERCHANT.public_key, MERCHANT.private_key, base_url=sandbox.url) as speaking:
        yield speaking


async def card_of(sandbox: World, client: Client, *, for_payouts: bool = False) -> str:
    """Save a card and return its id."""
    reply = await client.register_card(for_payouts=for_payouts)
    await sandbox.submit(reply.redirect_url, APPROVED)
    await sandbox.shop.raw()
    return reply.card_id


async def called_back(sandbox: World, client: Client) -> epoint.Callback:
    """Wait for the next callback and let the client verify it."""
    _, body = await sandbox.shop.raw()
    form = dict(httpx.QueryParams(body.decode()))
    return client.verify_callback(form["data"], form["signature"])


# -- what the simulator plays -------------------------------------------------------------------------------------

Redirecting = Callable[[Client, str], Awaitable[epoint.Response]]

REDIRECTING: dict[str, Redirecting] = {
    "create_payment": lambda client, order: client.create_payment(AMOUNT, order, other_attr={"cart": 7}),
    "create_split_payment": lambda client, order: client.create_split_payment(
        AMOUNT, order, OTHER_MERCHANT.public_key, 10
    ),
    # The client and EPoint's documents call the description optional. Integrators report that it fails without
    # one (a comment in a public SDK, and integrify-epoint makes it mandatory): their experience wins.
    "register_card_and_pay": lambda client, order: client.register_card_and_pay(
        AMOUNT, order, description="a book"
    ),
}


@pytest.mark.parametrize(("number", "status"), [(APPROVED, "success"), (DECLINED, "failed")])
@pytest.mark.parametrize("name", REDIRECTING)
async def test_redirecting_operations(sandbox: World, client: Client, name: str, number: str, status: str) -> None:
    """Each opens a page, and the client's own check takes the callback."""
    order = f"epoint-{name}-{status}"
    reply = await REDIRECTING[name](client, order)
    await sandbox.submit(reply.redirect_url, number)
    callback = await called_back(sandbox, client)

    assert reply.ok
    assert callback.ok == (status == "success")
    assert (callback.status, callback.order_id, callback.transaction) == (status, order, reply.transaction)
    # The client makes a float of an amount, which nothing in EPoint's documents asks for: compared as it came.
    assert Decimal(str(callback.raw["amount"])) == AMOUNT
    assert (callback.card_id is not None) == (name == "register_card_and_pay")
    # What the client passes on as it came is a string: so say integrify-epoint and the Apple Pay document, against
    # the arrays of two PHP SDKs.
    assert callback.other_attr == ('{"cart":7}' if name == "create_payment" else None)
    assert Decimal(str(callback.raw.get("split_amount") or 0)) == (10 if name == "create_split_payment" else 0)


async def test_a_description_is_needed_to_save_the_card(client: Client) -> None:
    """A refusal of EPoint is a GatewayError of the client."""
    with pytest.raises(epoint.GatewayError, match="description"):
        await client.register_card_and_pay(AMOUNT, "epoint-undescribed")


async def test_saving_a_card(sandbox: World, client: Client) -> None:
    """A registration, its callback and the question about it are about the same card."""
    reply = await client.register_card()
    before = await client.get_card_status(reply.card_id)
    await sandbox.submit(reply.redirect_url, APPROVED)
    callback = await called_back(sandbox, client)
    after = await client.get_card_status(reply.card_id)

    assert (reply.ok, reply.transaction) == (True, None)
    assert (callback.card_id, callback.operation_code) == (reply.card_id, epoint.OperationCode.CARD_REGISTRATION)
    # A registration has no order, transaction or amount (v1.0.3); the client fills in '' and 0.0.
    assert (callback.order_id, callback.transaction, callback.amount) == ("", "", 0.0)
    # In the answer `status` is the card's state (portal), so the client's `ok` says nothing about it.
    assert (before.status, after.status) == (epoint.CardStatus.NEW, epoint.CardStatus.ACTIVE)


@pytest.mark.parametrize("name", ["charge_saved_card", "split_charge_saved_card"])
async def test_charges(sandbox: World, client: Client, name: str) -> None:
    """The reply is the result: no callback follows (v1.0.3; the author's own sandbox sends one)."""
    card = await card_of(sandbox, client)
    split = (OTHER_MERCHANT.public_key, 10) if name.startswith("split") else ()
    paid = await getattr(client, name)(card, AMOUNT, f"epoint-{name}", *split)
    await sandbox.control("PUT", f"/orders/epoint-{name}-declined", {"bank_code": "116"})
    declined = await getattr(client, name)(card, AMOUNT, f"epoint-{name}-declined", *split)

    assert (paid.ok, paid.amount) == (True, float(AMOUNT))
    # A decline of a charge has the word `failed` (v1.0.3), which the client passes on without an exception.
    assert (declined.ok, declined.status) == (False, epoint.Status.FAILED)
    assert sandbox.shop.received.empty()


async def test_payout(sandbox: World, client: Client) -> None:
    """The client calls it `refund`; v1.0.3, the portal and integrify-epoint call it a payout, and it is one."""
    payout_card = await card_of(sandbox, client, for_payouts=True)
    debit_card = await card_of(sandbox, client)
    sent = await client.refund(payout_card, AMOUNT, "epoint-payout")
    refused = await client.refund(debit_card, AMOUNT, "epoint-payout-refused")

    assert (sent.ok, sent.amount) == (True, float(AMOUNT))
    assert (refused.ok, refused.status) == (False, "failed")


async def test_status_and_refund(sandbox: World, client: Client) -> None:
    """The client reads every state of a transaction, and gives a payment back in parts."""
    paid, declined = [await client.create_payment(AMOUNT, f"epoint-status-{number}") for number in range(2)]
    seen = [await client.get_status(paid.transaction)]
    for reply, number in ((paid, APPROVED), (declined, DECLINED)):
        await sandbox.submit(reply.redirect_url, number)
        await sandbox.shop.raw()
        seen.append(await client.get_status(reply.transaction))
    parts = [await client.reverse(paid.transaction, amount=10), await client.reverse(paid.transaction)]
    seen.append(await client.get_status(paid.transaction))

    # `error` with a transaction is a decline (v1.0.3, against the portal's `failed`): the client knows both.
    assert [reply.status for reply in seen] == ["new", "success", "error", "returned"]
    assert (seen[1].order_id, seen[1].amount, seen[2].transaction) == (
        "epoint-status-0",
        float(AMOUNT),
        declined.transaction,
    )
    assert [part.ok for part in parts] == [True, True]


async def test_the_portals_word_for_a_decline_is_read_as_well(client: Client, sandbox: World) -> None:
    """The developer portal lists `failed`; with that switch the client sees the same payment."""
    await sandbox.control("PUT", "/settings", {"switches": {"decline_word": "failed"}})
    try:
        reply = await client.create_payment(AMOUNT, "epoint-portal")
        await sandbox.submit(reply.redirect_url, DECLINED)
        await sandbox.shop.raw()

        assert (await client.get_status(reply.transaction)).status == epoint.Status.FAILED
    finally:
        await sandbox.control("PUT", "/settings", {"switches": {"decline_word": "error"}})


async def test_an_unknown_transaction_is_an_error(client: Client) -> None:
    """`error` without a transaction is a refused question, not a decline."""
    with pytest.raises(epoint.GatewayError):
        await client.get_status("te0000000000")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("i999999999", MERCHANT.private_key), "Merchant not found"),
        ((MERCHANT.public_key, "wrong"), "Signature did not match"),
    ],
)
async def test_wrong_keys(sandbox: World, keys: tuple[str, str], message: str) -> None:
    """`server_error` is neither a success nor a decline; integrify-epoint's live tests have these sentences."""
    async with Client(*keys, base_url=sandbox.url) as stranger:
        reply = await stranger.get_status("te0000000000")

    assert (reply.ok, reply.status, reply.message) == (False, epoint.Status.SERVER_ERROR, message)


async def test_a_forged_callback_is_refused(sandbox: World, client: Client) -> None:
    """The client notices the wrong key."""
    await sandbox.control("PUT", "/orders/epoint-forged", {"callback": {"bad_signature": True}})
    reply = await client.create_payment(AMOUNT, "epoint-forged")
    await sandbox.submit(reply.redirect_url, APPROVED)

    with pytest.raises(epoint.SignatureError):
        await called_back(sandbox, client)


async def test_heartbeat(client: Client) -> None:
    """At `/api/heartbeat`, as v1.0.3 has it; three other clients ask `/api/1/heartbeat`, which answers as well."""
    assert (await client.heartbeat()).ok


async def test_the_synchronous_client_is_answered_alike(sandbox: World) -> None:
    """It is the same requests, without asyncio."""

    def pay() -> epoint.Response:
        with epoint.EpointClient(MERCHANT.public_key, MERCHANT.private_key, base_url=sandbox.url) as speaking:
            return speaking.create_payment("30.75", "epoint-synchronous")

    reply = await asyncio.to_thread(pay)

    assert reply.ok
    assert (await sandbox.status(reply.transaction))["order_id"] == "epoint-synchronous"


# -- journeys: each makes several calls, or one that needs a page ------------------------------------------------

Journey = Callable[[World, Client], Awaitable[None]]


async def pays_on_a_page(sandbox: World, client: Client, reply: epoint.Response, order: str) -> None:
    """A page on EPoint's host where a card pays, and a callback about the order."""
    assert reply.redirect_url.startswith(sandbox.url)
    await sandbox.submit(reply.redirect_url, APPROVED)
    callback = await called_back(sandbox, client)

    assert (callback.ok, callback.order_id, Decimal(str(callback.raw["amount"]))) == (True, order, AMOUNT)
    assert (await client.get_status(callback.transaction)).order_id == order


async def payment_request(sandbox: World, client: Client) -> None:
    """The path that the WooCommerce and OpenCart plugins use."""
    reply = await client.create_payment_request(AMOUNT, "epoint-request")
    await pays_on_a_page(sandbox, client, reply, "epoint-request")


async def amex(sandbox: World, client: Client) -> None:
    """Portal: needs a grant, and has no instalments."""
    await pays_on_a_page(sandbox, client, await client.create_amex_payment(AMOUNT, "epoint-amex"), "epoint-amex")


async def checkout_form(sandbox: World, client: Client) -> None:
    """A browser posts it, and is sent on to the page (v1.0.3 has the form, a sandbox the 303)."""
    form = client.checkout_form(AMOUNT, "epoint-form")
    answer = await sandbox.http.post(urlsplit(form.url).path, data=form.fields)
    location = answer.headers["location"]
    await sandbox.submit(location, APPROVED)
    callback = await called_back(sandbox, client)

    assert answer.status_code == 303
    assert location.startswith(sandbox.url)
    assert (callback.ok, callback.order_id) == (True, "epoint-form")


async def hold_and_capture(sandbox: World, client: Client) -> None:
    """Held on the page, and a part of it taken; no callback tells of that.

    The capture has neither language nor currency (v1.0.3).
    """
    held = await client.reserve(AMOUNT, "epoint-hold")
    await pays_on_a_page(sandbox, client, held, "epoint-hold")
    taken = await client.capture(held.transaction, 20)
    again = await client.capture(held.transaction, 20)

    # What get-status says of a hold is in no source; the amount of a partial capture neither. Switches decide.
    assert (taken.ok, again.ok) == (True, False)
    assert sandbox.state.books.transaction(held.transaction).captured_amount == 20
    assert sandbox.shop.received.empty()


async def release_a_hold(sandbox: World, client: Client) -> None:
    """A hold is let go by the same call as a refund (portal), and cannot be captured then."""
    held = await client.reserve(AMOUNT, "epoint-release")
    await pays_on_a_page(sandbox, client, held, "epoint-release")
    released = await client.reverse(held.transaction)

    assert released.ok
    assert not (await client.capture(held.transaction, AMOUNT)).ok


async def token_split(sandbox: World, client: Client) -> None:
    """From the portal alone: a redirect, whatever its name says."""
    reply = await client.create_token_split_payment(AMOUNT, "epoint-token-split", OTHER_MERCHANT.public_key, 10)

    assert reply.redirect_url.startswith(sandbox.url)
    assert reply.transaction
    assert (await sandbox.http.get(reply.redirect_url)).status_code == 200


async def widget(sandbox: World, client: Client) -> None:
    """An address for a frame; no transaction is told (Apple Pay and Google Pay document): the order finds it."""
    reply = await client.create_widget(AMOUNT, "epoint-widget", "a book")

    assert reply.ok
    assert reply.widget_url.startswith(sandbox.url)
    assert reply.transaction is None
    assert (await sandbox.http.get(reply.widget_url)).status_code == 200


async def installments(sandbox: World, client: Client) -> None:
    """An array of banks with their months (portal), and a payment by one of them."""
    plan, *_ = await client.get_installment_plans("epoint-plan", amount=AMOUNT)
    assert {"name", "installment_card_id", "installment_months"} <= set(plan)
    month = int(plan["installment_months"][0])
    reply = await client.pay_by_installment(AMOUNT, "epoint-plan", str(plan["installment_card_id"]), month)

    await pays_on_a_page(sandbox, client, reply, "epoint-plan")


async def wallets(sandbox: World, client: Client) -> None:
    """A map of ids to names without a status, as a PHP SDK's author saw it live; another SDK's mock has a list.

    The client signs the question; v1.0.3 asks for `public_key` alone. Both are answered.
    """
    known = await client.list_wallets()
    assert known
    assert all(isinstance(name, str) for name in known.values())
    reply = await client.pay_with_wallet(next(iter(known)), AMOUNT, "epoint-wallet")

    # The status may be absent on success (the same author): the address is the success.
    assert reply.redirect_url.startswith(sandbox.url)
    await sandbox.http.post(reply.redirect_url, data={"decision": "confirm"})
    assert (await called_back(sandbox, client)).order_id == "epoint-wallet"


async def invoices(sandbox: World, client: Client) -> None:
    """Made, changed, shown, listed and sent; the link in an SMS is where the customer pays."""
    period = ("2026-01-01", "2026-12-31")
    number = (await client.create_invoice(AMOUNT, *period, name="Leyla", merchant_order_id="epoint-invoice"))["id"]
    replies = [
        await client.update_invoice(number, 20, *period, name="Leyla"),
        await client.get_invoice(number),
        await client.list_invoices(order="desc"),
        await client.send_invoice_sms(number, "+994501234567"),
        await client.send_invoice_email(number, "leyla@example.com"),
    ]
    sent = [message for message in await sandbox.control("GET", "/outbox") if message["invoice"] == number]
    await sandbox.submit(sent[0]["link"], APPROVED)

    assert [reply.ok for reply in replies] == [True] * 5
    assert (replies[1]["invoice"]["id"], Decimal(str(replies[1]["invoice"]["sum"]))) == (number, 20)
    # `type` is incoming, outgoing or static (v1.0.3); the client passes whatever it is given, and its author's
    # sandbox says `sent`.
    assert number in [invoice["id"] for invoice in replies[2]["invoices"]]
    assert [message["to"] for message in sent] == ["+994501234567", "leyla@example.com"]
    assert (await client.get_invoice(number))["invoice"]["status"] == "paid"


async def bank_transfer(sandbox: World, client: Client) -> None:
    """Sent to a business and asked about by its order id; the status is in capitals (portal)."""
    sent = await client.create_bank_transfer(
        "epoint-transfer", 20, "rent", "AZ21NABZ00000000137010001944", "Dostluq MMC", "1234567891", "210005"
    )
    asked = await client.get_bank_transfer("epoint-transfer")

    assert "bulkId" in sent
    assert asked.status in set(epoint.B2BStatus)
    assert asked.order_id == "epoint-transfer"
    await sandbox.control("POST", "/transfers/epoint-transfer/settle", {"state": "SUCCESS"})
    assert (await client.get_bank_transfer("epoint-transfer")).status == epoint.B2BStatus.SUCCESS


# The calls that each journey makes.
JOURNEYS: dict[str, tuple[tuple[str, ...], Journey]] = {
    "the plugins' payment": (("create_payment_request",), payment_request),
    "American Express": (("create_amex_payment",), amex),
    "the browser's form": (("checkout_form",), checkout_form),
    "a hold that is captured": (("reserve", "capture"), hold_and_capture),
    "a hold that is let go": (("reserve", "capture"), release_a_hold),
    "a split of a token": (("create_token_split_payment",), token_split),
    "a widget": (("create_widget",), widget),
    "instalments": (("get_installment_plans", "pay_by_installment"), installments),
    "wallets": (("list_wallets", "pay_with_wallet"), wallets),
    "invoices": (
        (
            *("create_invoice", "update_invoice", "get_invoice", "list_invoices"),
            *("send_invoice_sms", "send_invoice_email"),
        ),
        invoices,
    ),
    "a bank transfer": (("create_bank_transfer", "get_bank_transfer"), bank_transfer),
}


@pytest.mark.parametrize("name", JOURNEYS)
async def test_journeys(sandbox: World, client: Client, name: str) -> None:
    """Each goes all the way: to the page, the callback, and what is asked afterwards."""
    _, journey = JOURNEYS[name]
    await journey(sandbox, client)


async def test_a_refused_form_is_a_page_for_people(sandbox: World, client: Client) -> None:
    """A browser is shown an element `text-danger` (a public SDK parses it), and no transaction is made."""
    form = client.checkout_form(AMOUNT, "epoint-form-refused")
    spoilt = {**form.fields, "signature": "wrong"}
    answers = [
        await sandbox.http.post("/api/1/checkout", data=spoilt),
        await sandbox.http.post("/api/1/checkout", content=b"x" * 70_000),
    ]

    assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == ["text/html"] * 2
    assert 'class="text text-danger">Signature did not match' in answers[0].text
    assert sandbox.state.find("epoint-form-refused") is None


# -- what it leaves out -------------------------------------------------------------------------------------------

# What is not played, and why.
LEFT_OUT = {
    "change_payment_sum": (
        "Re-pricing an open order: named by the portal alone. Whether the customer's page stays, whether a new "
        "transaction begins and what becomes of the old one is in no source, so anything played would be invented."
    ),
}


async def test_what_is_left_out_finds_nothing(client: Client) -> None:
    """An honest 404, and not a success that means nothing."""
    await client.create_payment(10, "epoint-sum")
    with pytest.raises(epoint.TransportError) as raised:
        await client.change_payment_sum(AMOUNT, "epoint-sum")

    assert raised.value.status_code == 404


# -- nothing is forgotten -----------------------------------------------------------------------------------------


def calls(kind: type) -> set[str]:
    """The public methods of a client."""
    return {name for name, _ in inspect.getmembers(kind, inspect.isroutine) if not name.startswith("_")}


def test_every_call_of_the_client_is_made() -> None:
    """A call that a newer version brings fails here by its name until it is tested or its reason is given."""
    on_journeys = {name for names, _ in JOURNEYS.values() for name in names}

    assert calls(Client) == TESTED.keys() | on_journeys | LEFT_OUT.keys() | NO_CALLS.keys()
    assert not TESTED.keys() & on_journeys
    assert {name for name in TESTED.values() if name not in globals()} == set()


def test_both_clients_know_the_same_calls() -> None:
    """So it is enough to make the calls of one."""
    assert calls(epoint.EpointClient) - {"close"} == calls(Client) - {"aclose"}


def test_what_the_client_does_not_know() -> None:
    """EPoint's documents have more; those calls are driven by our own gateway and by integrify-epoint alone."""
    unknown = {"split-card-registration-with-pay", "token/payment", "token/apple/session", "token/apple/pay"}
    source = inspect.getsource(epoint._endpoints)  # noqa: SLF001

    assert {path for path in unknown if f"/api/1/{path}" in source} == set()
