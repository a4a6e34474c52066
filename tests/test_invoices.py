"""Invoices: made once, found again when the answer is lost, sent once per key, and paid on EPoint's page."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from gql_epoint.cashier.commands import Result
from gql_epoint.cashier.invoice_orders import IMAGE_BYTES_MAX, InvoiceTerms, read_images
from gql_epoint.cashier.invoices import InvoiceBy
from gql_epoint.epoint.invoices import GatewayInvoice, read_invoices
from gql_epoint.errors import ErrorCode, InProgressError, KeyReusedError, RefusedError
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.events import EventSource, Provenance
from gql_epoint.ledger.invoice import (
    ASKING_LIMIT,
    Invoice,
    InvoiceNews,
    InvoiceStatus,
    after_invoice_ask,
    apply_invoice,
    invoice_news,
)
from gql_epoint.ledger.words import TEMPORARY_FAILURE
from gql_epoint.simulator.bank import message_of
from gql_epoint.simulator.books import Invoice as Theirs
from gql_epoint.simulator.server import running
from tests.cases import CASES, FIELDS, MUTATION, PNG, World, invoice, terms, world_numbers
from tests.cashier_kit import MERCHANT, Shop, a_call, open_shop
from tests.service import Client, Service
from tests.test_business_transfers import a_node, run

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BY = Provenance(now=NOW, source=EventSource.RECONCILER)
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0picture").decode()
BMP = base64.b64encode(b"BMpicture").decode()
WATCH = "subscription ($id: ID!) { invoiceUpdated(by: {id: $id}) { kind invoice { " + FIELDS["invoice"] + " } } }"
HISTORY = """query ($id: ID!) { node(id: $id) { ... on Invoice { events { edges { node { sequence
  ... on InvoiceChanged { invoiceStatus invoice { id } } } } } } } }"""


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path) as opened:
        yield opened


@pytest.fixture
def world(service: Service, client: Client) -> World:
    return World(service=service, client=client, number=next(world_numbers))


def the_terms(**changes: Any) -> InvoiceTerms:
    """What EPoint takes."""
    values: dict[str, Any] = {
        "amount": Decimal("99.90"),
        "currency": "AZN",
        "period_from": date(2026, 1, 1),
        "period_to": date(2026, 1, 31),
        "name": "Aydan",
        "description": "Tea",
        "phone": "+994501234567",
    }
    return InvoiceTerms(**(values | changes))


def an_invoice(**changes: Any) -> Invoice:
    """An invoice as it is recorded."""
    values: dict[str, Any] = {
        "id": "inv_1",
        "status": InvoiceStatus.WAITING_FOR_PAYMENT,
        "version": 2,
        "order_id": "I-1",
        "reference": "I-1-x",
        "amount": Decimal("99.90"),
        "currency": "AZN",
        "period_from": "2026-01-01",
        "period_to": "2026-01-31",
        "created_at": NOW,
        "updated_at": NOW,
        "gateway_id": "1001",
    }
    return Invoice(**(values | changes))


async def create(shop: Shop, order_id: str = "I-1", **changes: Any) -> Result[Invoice]:
    call = {name: changes.pop(name) for name in ("key", "input_hash") if name in changes}
    return await shop.cashier.invoices.create(a_call("createInvoice", **call), order_id, the_terms(**changes))


async def known(shop: Shop, order_id: str = "I-1") -> Invoice:
    found = await shop.cashier.invoices.find(InvoiceBy(order_id=order_id))
    assert found is not None
    return found


def theirs(shop: Shop) -> list[Theirs]:
    return shop.simulator.state.books.invoices


def plan(shop: Shop, call: str, reply: str, times: int | None = None) -> None:
    shop.plan(call, reply=reply, reply_to=(call,), reply_times=times)


async def test_an_invoice_waits_until_epoint_says_that_it_is_paid(shop: Shop) -> None:
    """No callback tells of it, so it is asked for; then nobody asks any more."""
    made = (await create(shop)).value
    (there,) = theirs(shop)
    assert (made.status, made.gateway_id) == (InvoiceStatus.WAITING_FOR_PAYMENT, str(there.id))
    assert (there.sum, there.merchant_order_id) == (Decimal("99.90"), made.reference)
    await shop.later(minutes=2)
    assert (await known(shop)).status is InvoiceStatus.WAITING_FOR_PAYMENT
    there.state = "paid"
    await shop.later(minutes=10)
    paid = await known(shop)

    assert (paid.status, paid.gateway_status, paid.ask_at) == (InvoiceStatus.PAID, "paid", None)
    assert [event.current for event in await shop.history(made.id)] == ["NEW", "WAITING_FOR_PAYMENT", "PAID"]


async def test_one_key_makes_one_invoice(shop: Shop) -> None:
    """However often it is repeated, and while the first one is under way."""
    first = await create(shop, key="the-one-and-only")
    again = await create(shop, key="the-one-and-only")

    assert (again.value.id, again.replayed) == (first.value.id, True)
    assert len(theirs(shop)) == 1
    with pytest.raises(KeyReusedError):
        await create(shop, key="the-one-and-only", input_hash="another")


@pytest.mark.parametrize("reply", ["drop", "garbage", "http_500"])
async def test_lost_answer_is_found_in_the_list(shop: Shop, reply: str) -> None:
    """By the reference that no other invoice has; it is never made a second time."""
    await create(shop, "other")
    plan(shop, "create_invoice", reply)
    lost = await create(shop)
    assert (lost.value.status, lost.error) == (InvoiceStatus.INDETERMINATE, None)
    await shop.later(seconds=10)
    found = await known(shop)

    assert found.status is InvoiceStatus.WAITING_FOR_PAYMENT
    (there,) = [row for row in theirs(shop) if row.merchant_order_id == found.reference]
    assert found.gateway_id == str(there.id)
    assert shop.requests("create_invoice") == 2


async def test_what_is_not_in_the_list_stays_open(shop: Shop) -> None:
    """Nobody documents how much of the list EPoint shows: the merchant makes another with a new key, or none."""
    plan(shop, "create_invoice", "reset_before", 1)
    await create(shop, key="the-one-and-only")
    for days in (0, 1, 30, 70):
        await shop.later(days=days, seconds=10)
        assert (await known(shop)).status is InvoiceStatus.INDETERMINATE
    again = await create(shop, key="the-one-and-only")

    assert (again.replayed, (await known(shop)).ask_at, theirs(shop)) == (True, None, [])
    another = (await create(shop)).value
    assert (another.status, another.order_id) == (InvoiceStatus.WAITING_FOR_PAYMENT, again.value.order_id)


async def test_answer_that_never_came_is_lost_at_its_deadline(shop: Shop) -> None:
    plan(shop, "create_invoice", "hang")
    waiting = asyncio.create_task(create(shop, key="the-one-and-only"))
    while not shop.requests("create_invoice"):
        await asyncio.sleep(0.01)
    with pytest.raises(InProgressError):
        await create(shop, key="the-one-and-only")
    waiting.cancel()
    await shop.later(seconds=41)
    assert (await known(shop)).status is InvoiceStatus.INDETERMINATE
    await shop.later(seconds=20)

    assert (await known(shop)).status is InvoiceStatus.WAITING_FOR_PAYMENT


async def test_refusals_are_told(tmp_path: Path) -> None:
    """No connection, and no grant: the invoice has failed, and the error beside it says why."""
    async with open_shop(tmp_path / "a", gateway_url="http://127.0.0.1:9") as shop:
        away = await create(shop)
    async with open_shop(tmp_path / "b") as shop:
        merchants, key = shop.simulator.state.merchants, MERCHANT.public_key
        merchants[key] = msgspec.structs.replace(merchants[key], granted=("b2b",))
        refused = await create(shop)
        with pytest.raises(RefusedError, match="has not granted this merchant invoices"):
            await shop.cashier.invoices.at_gateway("outgoing", newest_first=True)

    assert [away.value.status, refused.value.status] == [InvoiceStatus.FAILED] * 2
    assert away.error is not None
    assert refused.error is not None
    assert (away.error.code, refused.error.code) == (ErrorCode.GATEWAY_UNAVAILABLE, ErrorCode.GATEWAY_REFUSED)
    assert "has not granted this merchant invoices" in refused.error.message


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()


async def test_images_go_with_it_and_are_not_kept(shop: Shop) -> None:
    """Named by what they are, unchanged to the byte."""
    await create(shop, images=(PNG, JPEG, BMP))
    (there,) = theirs(shop)

    assert [(image.name, image.sha256) for image in there.images] == [
        (f"image-{number}.{suffix}", hashlib.sha256(base64.b64decode(text)).hexdigest())
        for number, (suffix, text) in enumerate((("png", PNG), ("jpg", JPEG), ("bmp", BMP)), start=1)
    ]


@pytest.mark.parametrize(
    "image",
    [
        base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>').decode(),
        base64.b64encode(b"GIF89a").decode(),
        base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * IMAGE_BYTES_MAX).decode(),
        "https://example.az/picture.png",
        "",
        PNG[:-1],
    ],
    ids=["svg", "gif", "long", "address", "empty", "cut"],
)
def test_what_is_no_image_is_refused(image: str) -> None:
    """By its first bytes, its length and its alphabet; and an address is never fetched."""
    with pytest.raises(RefusedError, match="number 2"):
        read_images((PNG, image))


def test_images_have_a_number() -> None:
    with pytest.raises(RefusedError, match="at most 5 images"):
        read_images((PNG,) * 6)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"amount": Decimal(0)}, "terms.amount.amount"),
        ({"amount": Decimal("1.001")}, "terms.amount.amount"),
        ({"currency": "EUR"}, "terms.amount.currency"),
        ({"period_to": date(2025, 12, 31)}, "terms.periodTo"),
        ({"name": "a" * 256}, "terms.name"),
        ({"description": "a" * 1001}, "terms.description"),
        ({"phone": "112"}, "terms.phone"),
        ({"email": "nobody"}, "terms.email"),
        ({"tin": "1"}, "terms.tin"),
        ({"contract_number": "a\x00"}, "terms.contractNumber"),
        ({"images": ("x",)}, "terms.images"),
    ],
)
async def test_wrong_terms_are_refused(shop: Shop, changes: dict[str, Any], path: str) -> None:
    """Each with the name of its field, for new invoices and for changes; nothing is recorded."""
    with pytest.raises(RefusedError) as refused:
        await create(shop, **changes)
    assert refused.value.path == ("input", *path.split("."))
    made = (await create(shop)).value
    with pytest.raises(RefusedError) as refused:
        await shop.cashier.invoice_changes.update(a_call("updateInvoice"), made.id, the_terms(**changes))

    assert refused.value.path == ("input", *path.split("."))
    assert shop.requests("update_invoice") == 0


async def test_change_replaces_the_terms_once_per_key(shop: Shop) -> None:
    made = (await create(shop)).value
    call = a_call("updateInvoice")
    new = the_terms(amount=Decimal("5.00"), name=None)
    changed = await shop.cashier.invoice_changes.update(call, made.id, new)
    again = await shop.cashier.invoice_changes.update(call, made.id, new)
    (there,) = theirs(shop)

    assert (changed.value.amount, changed.value.name, changed.value.version) == (Decimal("5.00"), None, 3)
    assert (there.sum, there.name, there.merchant_order_id) == (Decimal("5.00"), None, made.reference)
    assert (again.replayed, shop.requests("update_invoice")) == (True, 1)
    there.state = "paid"
    await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")
    with pytest.raises(RefusedError, match="it must be WAITING_FOR_PAYMENT"):
        await shop.cashier.invoice_changes.update(a_call("updateInvoice"), made.id, new)


@pytest.mark.parametrize("reply", ["drop", "reset_before"])
async def test_lost_change_is_known_by_the_amount_that_is_paid(shop: Shop, reply: str) -> None:
    """Whether EPoint made it or not, a payment of the one amount or the other is believed, and told right."""
    made = (await create(shop)).value
    plan(shop, "update_invoice", reply)
    lost = await shop.cashier.invoice_changes.update(
        a_call("updateInvoice"), made.id, the_terms(amount=Decimal("5.00"))
    )
    (there,) = theirs(shop)
    there.state = "paid"
    paid = (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value

    assert (lost.error and lost.error.code, lost.value.amount) == (ErrorCode.GATEWAY_UNAVAILABLE, Decimal("99.90"))
    assert (paid.status, paid.amount, paid.disputed) == (InvoiceStatus.PAID, there.sum, False)


@contextlib.asynccontextmanager
async def held_up(shop: Shop) -> AsyncIterator[asyncio.Event]:
    """Let the answer to one change come late: EPoint does what it is asked, and its reply waits for the event."""
    release, changes = asyncio.Event(), itertools.count(1)

    async def pass_on(request: web.Request) -> web.Response:
        url, content_type = f"{shop.simulator.url}{request.path_qs}", request.headers["content-type"]
        async with shop.client.post(
            url, data=await request.read(), headers={"content-type": content_type}
        ) as reply:
            body = await reply.read()
        if request.path.endswith("/update") and next(changes) == 1:
            await release.wait()
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/{path:.*}", pass_on)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    books = shop.cashier.books
    direct = books.gateway
    try:
        async with Gateway(MERCHANT, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}") as books.gateway:
            yield release
    finally:
        books.gateway = direct
        await runner.cleanup()


async def update(shop: Shop, made: Invoice, amount: str, **call: Any) -> Result[Invoice]:
    new = the_terms(amount=Decimal(amount))
    return await shop.cashier.invoice_changes.update(a_call("updateInvoice", **call), made.id, new)


async def heard_of(shop: Shop, amount: str) -> None:
    """Wait until EPoint has this amount."""
    async with asyncio.timeout(10):
        while theirs(shop)[0].sum != Decimal(amount):
            await asyncio.sleep(0.01)


async def test_changes_are_sent_one_at_a_time(shop: Shop) -> None:
    """Answers may come in another order than requests arrive: of two at once nobody knew which EPoint has."""
    made = (await create(shop)).value
    async with held_up(shop) as release:
        first = asyncio.create_task(update(shop, made, "5.00", key="the-first-of-two-keys"))
        await heard_of(shop, "5.00")
        with pytest.raises(RefusedError) as refused:
            await update(shop, made, "6.00")
        with pytest.raises(InProgressError):
            await update(shop, made, "5.00", key="the-first-of-two-keys")
        release.set()
        assert (await first).value.amount == Decimal("5.00")

    assert (refused.value.code, shop.requests("update_invoice")) == (ErrorCode.INVOICE_IN_PROGRESS, 1)
    assert (await update(shop, made, "6.00")).value.amount == theirs(shop)[0].sum == Decimal("6.00")


async def test_answer_that_comes_after_another_change_is_no_news(shop: Shop) -> None:
    """It was taken for lost at its deadline, and the invoice was changed again: EPoint has the later one."""
    made = (await create(shop)).value
    async with held_up(shop) as release:
        first = asyncio.create_task(update(shop, made, "5.00"))
        await heard_of(shop, "5.00")
        shop.clock.ahead += timedelta(seconds=41)
        await update(shop, made, "6.00")
        release.set()
        await first

    assert (await known(shop)).amount == theirs(shop)[0].sum == Decimal("6.00")
    assert (await known(shop)).pending_amount is None


async def test_next_change_waits_until_a_lost_one_cannot_arrive_any_more(shop: Shop) -> None:
    """It may be on its way still; past its deadline the next one is sent, and is what EPoint has."""
    made = (await create(shop)).value
    plan(shop, "update_invoice", "drop")
    assert (await update(shop, made, "5.00")).error is not None
    plan(shop, "update_invoice", "normal")
    with pytest.raises(RefusedError) as refused:
        await update(shop, made, "6.00")
    shop.clock.ahead += timedelta(seconds=41)

    assert refused.value.code is ErrorCode.INVOICE_IN_PROGRESS
    assert (await update(shop, made, "6.00")).value.amount == theirs(shop)[0].sum == Decimal("6.00")


async def test_lost_change_that_was_made_is_an_event_when_it_is_seen(shop: Shop) -> None:
    """Readers hear of the amount by its version, as of everything else."""
    made = (await create(shop)).value
    plan(shop, "update_invoice", "drop")
    await update(shop, made, "5.00")
    found = (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value

    assert (found.amount, found.pending_amount, found.version) == (Decimal("5.00"), None, made.version + 1)
    assert len(await shop.history(made.id)) == found.version


async def test_sending_that_never_left_leaves_a_lost_change_open(shop: Shop) -> None:
    """What is sent to a customer says nothing about the amount."""
    made = (await create(shop)).value
    plan(shop, "update_invoice", "drop")
    await update(shop, made, "5.00")
    shop.cashier.books.gateway, away = Gateway(MERCHANT, base_url="http://127.0.0.1:9"), shop.cashier.books.gateway
    async with shop.cashier.books.gateway:
        refused = await shop.cashier.invoice_changes.send_by_sms(a_call("sendInvoiceBySms"), made.id, None)
    shop.cashier.books.gateway = away
    theirs(shop)[0].state = "paid"
    paid = (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value

    assert refused.error is not None
    assert (paid.status, paid.amount, paid.disputed) == (InvoiceStatus.PAID, Decimal("5.00"), False)


async def test_change_that_is_answered_after_the_payment_leaves_what_was_paid(shop: Shop) -> None:
    """EPoint takes changes of what is paid, for all that is known; the amount is what the customer paid."""
    made = (await create(shop)).value
    async with held_up(shop) as release:
        changing = asyncio.create_task(update(shop, made, "5.00"))
        await heard_of(shop, "5.00")
        theirs(shop)[0].sum, theirs(shop)[0].state = made.amount, "paid"
        paid = (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value
        release.set()
        await changing

    assert paid.status is InvoiceStatus.PAID
    assert ((await known(shop)).amount, (await known(shop)).status) == (made.amount, InvoiceStatus.PAID)


@pytest.mark.parametrize("state", ["paid", "waiting_for_payment", "canceled"])
async def test_dispute_ends_when_epoint_says_otherwise(shop: Shop, state: str) -> None:
    """The cabinet was put right: what EPoint shows now is asked for, and counts."""
    made = (await create(shop)).value
    (there,) = theirs(shop)
    there.sum, there.state = Decimal("0.01"), "paid"
    assert (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value.disputed
    there.sum, there.state = made.amount, state
    after = (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value

    assert (after.status.lower(), after.disputed) == (state, False)
    assert len(await shop.history(made.id)) == after.version


async def test_person_ends_a_dispute(shop: Shop) -> None:
    """With the amount that was paid and a note in the history; what EPoint goes on saying fits it then."""
    made = (await create(shop)).value
    call = a_call("resolveInvoice")
    resolve = shop.cashier.invoice_changes.resolve
    with pytest.raises(RefusedError, match="needs no decision"):
        await resolve(call, made.id, Decimal("5.00"), "AZN", "Seen in the cabinet.")
    (there,) = theirs(shop)
    there.sum, there.state = Decimal("5.00"), "paid"
    await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")
    for replayed in (False, True):
        decided = await resolve(call, made.id, Decimal("5.00"), "AZN", "Seen in the cabinet.")
        assert (decided.value.status, decided.value.amount, decided.value.disputed, decided.replayed) == (
            *(InvoiceStatus.PAID, Decimal("5.00"), False),
            replayed,
        )
    last = (await shop.history(made.id))[-1]
    after = (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value

    assert (last.source, last.actor, last.note) == (EventSource.OPERATOR, "test", "Seen in the cabinet.")
    assert (after.version, after.disputed, after.ask_at) == (decided.value.version, False, None)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"currency": "USD"}, "amount.currency"),
        ({"amount": Decimal("0")}, "amount.amount"),
        ({"amount": Decimal("5.001")}, "amount.amount"),
        ({"note": " "}, "note"),
        ({"invoice_id": "inv_0"}, "invoiceId"),
    ],
)
async def test_decision_that_cannot_be_written_down_is_refused(
    shop: Shop, changes: dict[str, Any], path: str
) -> None:
    values = {"invoice_id": "inv_0", "amount": Decimal("5.00"), "currency": "AZN", "note": "Seen."} | changes
    with pytest.raises(RefusedError) as refused:
        await shop.cashier.invoice_changes.resolve(a_call("resolveInvoice"), **values)

    assert refused.value.path == ("input", *path.split("."))


async def test_payment_of_another_amount_is_not_a_payment(shop: Shop) -> None:
    """Somebody changed it in the cabinet: a person has to look."""
    made = (await create(shop)).value
    (there,) = theirs(shop)
    there.sum, there.state = Decimal("0.01"), "paid"
    doubted = (await shop.cashier.invoices.refresh(InvoiceBy(id=made.id), "test")).value

    assert (doubted.status, doubted.disputed) == (InvoiceStatus.WAITING_FOR_PAYMENT, True)
    assert "another amount" in ((await shop.history(made.id))[-1].note or "")


async def test_link_is_sent_once_per_key(shop: Shop) -> None:
    """To the invoice's own phone, or another one; a lost answer is told and not repeated."""
    made = (await create(shop)).value
    call = a_call("sendInvoiceBySms")
    for _ in range(3):
        await shop.cashier.invoice_changes.send_by_sms(call, made.id, None)
    await shop.cashier.invoice_changes.send_by_email(a_call("x"), made.id, "a@example.az")
    plan(shop, "send_invoice_sms", "drop")
    lost = await shop.cashier.invoice_changes.send_by_sms(a_call("x"), made.id, "+994 (50) 000-00-00")

    sent = [(one.channel, one.to) for one in shop.simulator.state.books.sent]
    assert sent == [("sms", "+994501234567"), ("email", "a@example.az"), ("sms", "+994500000000")]
    assert lost.error is not None
    assert lost.error.code is ErrorCode.GATEWAY_UNAVAILABLE
    with pytest.raises(RefusedError, match="the invoice has none"):
        await shop.cashier.invoice_changes.send_by_email(a_call("x"), made.id, None)
    with pytest.raises(RefusedError, match="no such invoice"):
        await shop.cashier.invoice_changes.send_by_sms(a_call("x"), "inv_0", None)


# What follows from what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", InvoiceStatus)
@pytest.mark.parametrize("news", InvoiceNews)
def test_the_same_news_twice_changes_nothing(status: InvoiceStatus, news: InvoiceNews) -> None:
    once = apply_invoice(an_invoice(status=status), news, BY)
    twice = apply_invoice(once.invoice, news, BY)

    assert len(once.events) == once.invoice.version - 2
    assert (twice.invoice.status, twice.events) == (once.invoice.status, ())


@pytest.mark.parametrize(
    ("told", "news"),
    [
        (GatewayInvoice(status="paid"), InvoiceNews.PAID),
        (GatewayInvoice(status="PAID", sum=Decimal("99.9")), InvoiceNews.PAID),
        (GatewayInvoice(status="paid", sum=Decimal("1")), InvoiceNews.FOREIGN),
        (GatewayInvoice(status="paid", sum=Decimal("5.00")), InvoiceNews.PAID),
        (GatewayInvoice(status="waiting_for_payment", sum=Decimal("1")), InvoiceNews.WAITING),
        (GatewayInvoice(status="canceled"), InvoiceNews.CANCELED),
        (GatewayInvoice(status="archived"), InvoiceNews.NOTHING),
        (GatewayInvoice(status="paid", id="1002"), InvoiceNews.NOTHING),
        (GatewayInvoice(status="paid", merchant_order_id="I-2"), InvoiceNews.NOTHING),
        (GatewayInvoice(), InvoiceNews.NOTHING),
    ],
)
def test_what_a_record_proves(told: GatewayInvoice, news: InvoiceNews) -> None:
    """Of another invoice nothing; a word that nobody knows neither."""
    assert invoice_news(an_invoice(pending_amount=Decimal("5.00")), told) is news


def test_invoice_that_was_taken_for_lost_and_never_left_has_failed() -> None:
    """Its process was frozen past the deadline; then it finds that it has sent nothing, and nobody looks again."""
    lost = apply_invoice(an_invoice(status=InvoiceStatus.NEW, gateway_id=None), InvoiceNews.LOST, BY).invoice
    after = apply_invoice(lost, InvoiceNews.NOT_SENT, BY, failure=TEMPORARY_FAILURE).invoice

    assert (after.status, after.ask_at, after.failure) == (InvoiceStatus.FAILED, None, TEMPORARY_FAILURE)


def test_paid_is_not_taken_back_by_an_older_word() -> None:
    paid = an_invoice(status=InvoiceStatus.PAID)

    assert apply_invoice(paid, InvoiceNews.WAITING, BY).invoice.status is InvoiceStatus.PAID
    assert apply_invoice(paid, InvoiceNews.CANCELED, BY).invoice.status is InvoiceStatus.CANCELED


def test_questions_become_rare_and_end() -> None:
    """A few in the first hour, hourly for two days, then four a day, for 90 days."""
    waiting, now, times = an_invoice(), NOW, []
    while (waiting := after_invoice_ask(waiting, now)).ask_at is not None:
        now = waiting.ask_at
        times.append(now - NOW)

    assert times[0] == timedelta(seconds=300)
    assert sum(time <= timedelta(days=2) for time in times) < 60
    assert ASKING_LIMIT <= times[-1] < ASKING_LIMIT + timedelta(days=1)
    assert len(times) < 500


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ([{"id": 1}, {"id": "2"}], ["1", "2"]),
        ({"data": [{"id": 1}], "total": 1}, ["1"]),
        ([1, None, {"id": 1, "sum": "many"}], ["1"]),
        (None, []),
        ("none", []),
    ],
)
def test_lists_of_any_shape_are_read(value: Any, names: list[str]) -> None:
    """EPoint documents none, and the framework that it seems to use wraps them."""
    assert [told.id for told in read_invoices(value)] == names


# The service -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.field == "invoice"])
async def test_journey(world: World, name: str) -> None:
    """Each mutation, and the history that it leaves."""
    case = CASES[name]
    made = await world.run(case.mutation, case.field, await case.input(world))
    edges = (await world.client.data(HISTORY, id=made["id"]))["node"]["events"]["edges"]
    amount = {"update_invoice": "100.10"}.get(name, "99.90")

    assert made["status"] == case.events[-1]
    assert (made["amount"]["amount"], made["phone"]) == (amount, "+994501234567")
    assert [edge["node"]["invoiceStatus"] for edge in edges] == list(case.events)
    assert {edge["node"]["invoice"]["id"] for edge in edges} == {made["id"]}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_customer_pays_by_the_link(tmp_path: Path, kind: str) -> None:
    """Made, sent, declined, paid on EPoint's page, and pushed; on either store, and nothing of it in the log."""
    async with running() as simulator, a_node(kind, tmp_path, simulator) as (node, client):
        made = (await run(client, "createInvoice", invoice("I-1", "journey-of-an-invoice"), "invoice"))["invoice"]
        for name in ("sendInvoiceBySms", "sendInvoiceByEmail"):
            sending = {"idempotencyKey": f"key-of-{name}", "invoiceId": made["id"]}
            assert (await run(client, name, sending, "invoice"))["errors"] == []
        sms, email = simulator.state.books.sent
        watching = asyncio.create_task(_watch(client, made["id"]))
        async with client.session.get(sms.link) as page:
            text = await page.text()
            assert page.status == 200
            assert "99.90 AZN" in text
            assert "Çay, January" in text
        decline = message_of("116", "en")
        for card, told in (("4111111111111116", decline), ("nonsense", "digits"), ("4111111111111111", "is paid")):
            async with client.session.post(sms.link, data={"card_number": card}) as page:
                assert told in await page.text()
        refreshed = await client.data(
            "mutation ($by: InvoiceBy!) { refreshInvoice(by: $by) { errors { code } invoice { status } } }",
            by={"gatewayInvoiceId": made["gateway"]["invoiceId"]},
        )
        updates = await watching
        document = "{ invoices { edges { node { status } } } gatewayInvoices { invoiceId status amount } }"
        listed = await client.data(document)

        assert refreshed["refreshInvoice"] == {"errors": [], "invoice": {"status": "PAID"}}
        assert [update["invoice"]["status"] for update in updates][-1] == "PAID"
        assert listed["invoices"]["edges"] == [{"node": {"status": "PAID"}}]
        assert listed["gatewayInvoices"] == [
            {"invoiceId": made["gateway"]["invoiceId"], "status": "paid", "amount": "99.90"}
        ]
        assert (sms.to, email.to) == ("+994501234567", "aydan@example.az")
        control = f"{simulator.url}/_control"
        async with client.session.get(f"{control}/outbox") as outbox:
            assert [one["link"] for one in await outbox.json()] == [sms.link] * 2
        number = simulator.state.books.invoices[0].id
        async with client.session.post(f"{control}/invoices/{number}/settle", json={"state": "canceled"}) as answer:
            assert answer.status == 200
    logged = node.log.read_text()
    for secret in ("Aydan", "501234567", "aydan@", "January"):
        assert secret not in logged


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_invoices_that_wait_for_a_person_are_listed(tmp_path: Path, kind: str) -> None:
    """Whom an alert has woken finds them among all others, and no more once they are settled."""
    document = "{ invoices(needsReview: true) { edges { node { orderId needsReview } } } }"
    refresh = "mutation ($by: InvoiceBy!) { refreshInvoice(by: $by) { errors { code } } }"
    async with running() as simulator, a_node(kind, tmp_path, simulator) as (_, client):
        made = [
            await run(client, "createInvoice", invoice(f"I-{number}", f"an-invoice-in-doubt-{number}"), "invoice")
            for number in range(3)
        ]
        theirs = simulator.state.books.invoices[1]
        theirs.sum, theirs.state = Decimal("0.01"), "paid"
        assert (await client.data(document))["invoices"]["edges"] == []
        assert (await client.data(refresh, by={"orderId": "I-1"}))["refreshInvoice"]["errors"] == []
        doubted = (await client.data(document))["invoices"]["edges"]
        decision = {
            "idempotencyKey": "what-was-found-out",
            "invoiceId": made[1]["invoice"]["id"],
            "amount": {"amount": "0.01"},
            "note": "The customer was asked, and agrees.",
        }
        assert (await run(client, "resolveInvoice", decision, "invoice"))["errors"] == []
        settled = (await client.data(document))["invoices"]["edges"]

    assert doubted == [{"node": {"orderId": "I-1", "needsReview": True}}]
    assert settled == []


async def test_invoices_are_listed_in_pages_and_found_by_each_name(start_service: Any) -> None:
    """The connection goes both ways, newest first; EPoint's own list is by kind and in either order."""
    page = "edges { node { orderId } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    document = (
        "query ($first: Int, $after: String, $last: Int, $before: String) {"
        f" invoices(first: $first, after: $after, last: $last, before: $before) {{ {page} }} }}"
    )
    find = "query ($by: InvoiceBy!) { invoice(by: $by) { id } }"
    theirs = """query ($type: GatewayInvoiceType!, $newest: Boolean!) {
      gatewayInvoices(type: $type, newestFirst: $newest) { invoiceId } }"""
    async with start_service().client() as client:
        made = []
        for number in range(3):
            order = invoice(f"I-{number}", f"an-invoice-of-a-page-{number}")
            made.append((await run(client, "createInvoice", order, "invoice"))["invoice"])

        async def listed(**arguments: Any) -> tuple[list[str], Any]:
            found = (await client.data(document, **arguments))["invoices"]
            return [edge["node"]["orderId"] for edge in found["edges"]], found["pageInfo"]

        first, info = await listed(first=2)
        rest, end = await listed(first=2, after=info["endCursor"])
        back, _ = await listed(last=2, before=end["startCursor"])
        for name in (
            {"id": made[1]["id"]},
            {"orderId": "I-1"},
            {"gatewayInvoiceId": made[1]["gateway"]["invoiceId"]},
        ):
            assert (await client.data(find, by=name))["invoice"] == {"id": made[1]["id"]}
        ids = [{"invoiceId": one["gateway"]["invoiceId"]} for one in made]
        lists = [
            (await client.data(theirs, type=kind, newest=newest))["gatewayInvoices"]
            for kind, newest in (("OUTGOING", True), ("OUTGOING", False), ("INCOMING", True), ("STATIC", True))
        ]

    assert (first, rest, back) == (["I-2", "I-1"], ["I-0"], ["I-2", "I-1"])
    assert (info["hasNextPage"], end["hasNextPage"], end["hasPreviousPage"]) == (True, False, True)
    assert lists == [ids[::-1], ids, [], []]


async def test_the_largest_images_arrive_byte_by_byte(start_service: Any) -> None:
    """Five of a megabyte, in a new invoice and in a change of it; EPoint gets them as parts of their own."""
    large = {"GQL_EPOINT_BODY_BYTES_MAX": "10000000", "GQL_EPOINT_VARIABLES_BYTES_MAX": "10000000"}
    service: Service = start_service(**large)
    heads = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"BM", b"BM")
    contents = [head + bytes([number]) * (IMAGE_BYTES_MAX - len(head)) for number, head in enumerate(heads)]
    images = [base64.b64encode(content).decode() for content in contents]
    async with service.client() as client:

        async def sent(name: str, order: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
            """Run a mutation, and return the invoice's id and its images at EPoint."""
            document = MUTATION % (name[0].upper() + name[1:], name, "invoice", "id")
            body = io.BytesIO(msgspec.json.encode({"query": document, "variables": {"input": order}}))
            headers = {"content-type": "application/json", **client.authorization}
            async with client.session.post(client.graphql, data=body, headers=headers) as answer:
                payload = (await answer.json())["data"][name]
            assert payload["errors"] == []
            (there,) = (await service.simulator.control("GET", "/business"))["invoices"]
            return payload["invoice"]["id"], there["images"]

        made, first = await sent("createInvoice", invoice("I-1", "the-largest-images", images=images))
        change = {"idempotencyKey": "the-largest-images-2", "invoiceId": made, "terms": terms(images=images[::-1])}
        _, second = await sent("updateInvoice", change)

    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    assert [image["sha256"] for image in first] == digests
    assert [image["sha256"] for image in second] == digests[::-1]
    names = ("image-1.png", "image-2.jpg", "image-3.bmp", "image-4.bmp", "image-5.bmp")
    assert [image["name"] for image in first] == list(names)


async def test_an_image_that_is_too_long_for_a_request_names_the_limit(client: Client) -> None:
    """Which setting to raise is said, whichever of the two is passed first."""
    image = base64.b64encode(b"BM" + b"0" * 50_000).decode()
    document = MUTATION % ("CreateInvoice", "createInvoice", "invoice", "id")
    answer = await client.execute(document, input=invoice("I-1", "an-image-too-long", images=[image]))

    assert answer["errors"][0]["extensions"] == {"code": "DOCUMENT_LIMIT", "limit": "variables_bytes"}


async def test_a_wrong_date_is_refused_without_being_repeated(client: Client) -> None:
    """The contract's own kind of day, and no other."""
    document = "mutation ($input: CreateInvoiceInput!) { createInvoice(input: $input) { replayed } }"
    for wrong in ("2026-02-30", "20260101", "01.01.2026", 20260101):
        body = {"idempotencyKey": "0123456789abcdef", "orderId": "I", "terms": terms(periodFrom=wrong)}
        answer = await client.execute(document, input=body)
        assert str(wrong) not in answer["errors"][0]["message"]


async def _watch(client: Client, invoice_id: str) -> list[dict[str, Any]]:
    return [update["data"]["invoiceUpdated"] async for update in client.subscribe(WATCH, id=invoice_id)]
