"""Transfers to businesses: never sent twice, never believed without proof, and the journey on both stores."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gql_epoint.cashier.business_transfers import BusinessTransferBy
from gql_epoint.cashier.commands import Result
from gql_epoint.cashier.transfer_orders import TransferOrder
from gql_epoint.epoint.b2b import B2BStatusReply
from gql_epoint.errors import ErrorCode, InProgressError, KeyReusedError, RefusedError, TransferConflictError
from gql_epoint.ledger.business_transfer import (
    BusinessTransfer,
    TransferNews,
    TransferStatus,
    apply_transfer,
    hinted,
    status_failure,
    status_news,
)
from gql_epoint.ledger.events import EventSource, Provenance
from gql_epoint.ledger.transaction import Failure, FailureCategory
from gql_epoint.ledger.words import RESOLVED_AS_FAILED
from gql_epoint.simulator.server import RunningSimulator, running
from gql_epoint.simulator.settings import SimulatorSettings, Switches
from tests.cases import CASES, FIELDS, IBAN, MUTATION, transfer
from tests.cashier_kit import MERCHANT, Shop, a_call, open_shop
from tests.nodes import Node
from tests.postgres import new_database
from tests.service import Client

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BY = Provenance(now=NOW, source=EventSource.RECONCILER)
PLAIN_IBAN = IBAN.replace(" ", "")
BY_HAND = SimulatorSettings(switches=Switches(transfer_step_s=None))

WATCH = (
    "subscription ($id: ID!) { businessTransferUpdated(by: {id: $id}) { kind businessTransfer { "
    + FIELDS["businessTransfer"]
    + " } } }"
)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path, settings=BY_HAND) as opened:
        yield opened


def an_order(**changes: Any) -> TransferOrder:
    """A transfer that EPoint takes."""
    values: dict[str, Any] = {
        "order_id": "B-1",
        "amount": Decimal("250.00"),
        "currency": "AZN",
        "iban": IBAN,
        "payee_name": "Çay MMC",
        "payee_tin": "1234567891",
        "bank_code": "505141",
        "description": "Invoice 17",
    }
    return TransferOrder(**(values | changes))


def a_transfer(**changes: Any) -> BusinessTransfer:
    """A transfer as it is recorded."""
    values: dict[str, Any] = {
        "id": "bt_1",
        "status": TransferStatus.PENDING,
        "version": 1,
        "order_id": "B-1",
        "gateway_order_id": "B-1",
        "amount": Decimal("250.00"),
        "currency": "AZN",
        "created_at": NOW,
        "updated_at": NOW,
        "iban": PLAIN_IBAN,
    }
    return BusinessTransfer(**(values | changes))


async def start(shop: Shop, **changes: Any) -> Result[BusinessTransfer]:
    """Order a transfer with a fresh key, or with `key`."""
    call = {name: changes.pop(name) for name in ("key", "input_hash") if name in changes}
    return await shop.cashier.business_transfers.start(a_call("transferToBusiness", **call), an_order(**changes))


async def known(shop: Shop, order_id: str = "B-1") -> BusinessTransfer:
    found = await shop.cashier.business_transfers.find(BusinessTransferBy(order_id=order_id))
    assert found is not None
    return found


def at_epoint(shop: Shop) -> list[str]:
    """The order ids that EPoint has taken."""
    return [row.order_id for row in shop.simulator.state.books.transfers]


def bank_says(shop: Shop, state: Any, order_id: str = "B-1") -> None:
    found = shop.simulator.state.books.transfer(order_id)
    assert found is not None
    found.state = state


async def test_accepted_is_not_arrived(shop: Shop) -> None:
    """EPoint's success says that it took the order; the money is there when its status says so."""
    made = await start(shop)

    assert (made.value.status, made.error, made.replayed) == (TransferStatus.PENDING, None, False)
    assert (made.value.iban, made.value.amount) == (PLAIN_IBAN, Decimal("250.00"))
    for state in ("PROCESSING", "SUCCESS"):
        bank_says(shop, state)
        await shop.later(minutes=10)
        assert (await known(shop)).status == state
    events = await shop.history(made.value.id)
    assert [event.current for event in events] == ["PENDING", "PROCESSING", "SUCCESS"]
    assert (await known(shop)).ask_at is None
    feed = await shop.cashier.books.read(lambda reader: reader.feed(0, 100))
    assert [event.id for event in feed] == [event.id for event in events]


async def test_one_key_makes_one_transfer(shop: Shop) -> None:
    """The same request again shows what the first one made, also when the payee's bank was quicker."""
    first = await start(shop, key="the-one-and-only")
    bank_says(shop, "SUCCESS")
    await shop.later(minutes=1)
    again = await start(shop, key="the-one-and-only")

    assert (again.value.id, again.value.status, again.replayed) == (first.value.id, TransferStatus.SUCCESS, True)
    assert shop.requests("business_transfer") == 1
    with pytest.raises(KeyReusedError):
        await start(shop, key="the-one-and-only", input_hash="another")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("PENDING", ErrorCode.ORDER_IN_PROGRESS),
        ("PROCESSING", ErrorCode.ORDER_IN_PROGRESS),
        ("SUCCESS", ErrorCode.ORDER_ALREADY_PAID),
    ],
)
async def test_one_order_has_one_live_transfer(shop: Shop, state: str, code: ErrorCode) -> None:
    """Another key does not transfer the same order again; the refusal names the transfer that is there."""
    made = await start(shop)
    bank_says(shop, state)
    await shop.later(minutes=1)
    with pytest.raises(TransferConflictError) as refused:
        await start(shop)

    assert (refused.value.code, refused.value.transfer.id) == (code, made.value.id)
    assert at_epoint(shop) == ["B-1"]


async def test_at_once_from_many_sides_one_transfer(shop: Shop) -> None:
    """Twenty requests with keys of their own: one is sent."""
    results = await asyncio.gather(*(start(shop) for _ in range(20)), return_exceptions=True)

    assert sum(isinstance(result, Result) for result in results) == 1
    assert shop.requests("business_transfer") == 1


async def test_after_a_failure_the_order_may_be_tried_again(shop: Shop) -> None:
    """EPoint's order ids are unique, so the second attempt has a suffix."""
    await start(shop)
    bank_says(shop, "FAILED")
    await shop.later(minutes=1)
    failed = await known(shop)
    again = (await start(shop)).value

    assert (failed.status, failed.holds_order, failed.failure is not None) == (TransferStatus.FAILED, False, True)
    assert (again.order_id, again.gateway_order_id) == ("B-1", "B-1-2")
    assert at_epoint(shop) == ["B-1", "B-1-2"]
    assert (await known(shop)).id == again.id


@pytest.mark.parametrize("reply", ["drop", "garbage", "http_500"])
async def test_lost_answer_is_found_by_the_order_id(shop: Shop, reply: str) -> None:
    """The transfer is not sent again; the status tells that EPoint has it."""
    shop.plan("B-1", reply=reply, reply_to=("business_transfer",))
    made = await start(shop)
    assert (made.value.status, made.error) == (TransferStatus.INDETERMINATE, None)
    bank_says(shop, "SUCCESS")
    await shop.later(minutes=1)

    assert (await known(shop)).status is TransferStatus.SUCCESS
    assert shop.requests("business_transfer") == 1


async def test_an_order_that_epoint_does_not_know_proves_nothing(shop: Shop) -> None:
    """Not at once and not after a month: a person decides, and until then nothing is sent again."""
    shop.plan("B-1", reply="reset_before", reply_to=("business_transfer",))
    made = (await start(shop)).value
    for days in (0, 1, 5, 10, 20):
        await shop.later(days=days, minutes=5)
        assert (await known(shop)).status is TransferStatus.INDETERMINATE
    assert (await known(shop)).ask_at is None
    with pytest.raises(TransferConflictError):
        await start(shop)
    call = a_call("resolveBusinessTransfer", key="the-decision-of-a-person")
    for replayed in (False, True):
        decided = await shop.cashier.business_transfers.resolve(call, made.id, False, "EPoint never had it.")
        assert (decided.value.status, decided.replayed) == (TransferStatus.FAILED, replayed)

    last = (await shop.history(made.id))[-1]
    assert (last.source, last.actor, last.note) == (EventSource.OPERATOR, "test", "EPoint never had it.")
    with pytest.raises(RefusedError, match="only INDETERMINATE needs a decision"):
        await shop.cashier.business_transfers.resolve(a_call("x"), made.id, True, "No, it had.")


async def test_what_was_never_sent_has_failed(tmp_path: Path) -> None:
    """Without a connection no money can have moved, and the order is free."""
    async with open_shop(tmp_path, gateway_url="http://127.0.0.1:9") as shop:
        made = await start(shop)

    assert (made.value.status, made.value.holds_order) == (TransferStatus.FAILED, False)
    assert made.value.failure is not None
    assert made.value.failure.retryable
    assert made.error is not None
    assert made.error.code is ErrorCode.GATEWAY_UNAVAILABLE


async def test_without_the_grant_epoint_says_so(shop: Shop) -> None:
    """The shop is told what to do about it."""
    merchants = shop.simulator.state.merchants
    key = MERCHANT.public_key
    merchants[key] = msgspec.structs.replace(merchants[key], granted=())
    made = await start(shop)

    assert made.value.status is TransferStatus.FAILED
    assert made.error is not None
    assert made.error.code is ErrorCode.GATEWAY_REFUSED
    assert "has not granted this merchant transfers to businesses" in made.error.message


async def test_answer_that_never_came_is_lost_at_its_deadline(shop: Shop) -> None:
    """The same key waits until then; whoever finds the deadline past records it, and EPoint is asked."""
    shop.plan("B-1", reply="hang", reply_to=("business_transfer",))
    waiting = asyncio.create_task(start(shop, key="the-one-and-only"))
    while not shop.requests("business_transfer"):
        await asyncio.sleep(0.01)
    with pytest.raises(InProgressError):
        await start(shop, key="the-one-and-only")
    waiting.cancel()
    await shop.later(seconds=41)
    assert (await known(shop)).status is TransferStatus.INDETERMINATE
    await shop.later(seconds=20)

    # EPoint had it all the time, and it is pending there.
    assert (await known(shop)).status is TransferStatus.PENDING


@pytest.mark.parametrize("part", [{"iban": "AZ77VTBA00000000001234567890"}, {"amount": Decimal("2.50")}])
async def test_status_of_another_transfer_is_not_believed(shop: Shop, part: dict[str, Any]) -> None:
    """The question names no merchant: an answer about other money stops everything until a person looks."""
    made = (await start(shop)).value
    theirs = shop.simulator.state.books.transfer("B-1")
    assert theirs is not None
    ours = {name: getattr(theirs, name) for name in part}
    for name, value in (part | {"state": "SUCCESS"}).items():
        setattr(theirs, name, value)
    await shop.later(minutes=1)
    doubted = await known(shop)
    for name, value in ours.items():
        setattr(theirs, name, value)
    await shop.later(days=1)
    await shop.cashier.business_transfers.refresh(BusinessTransferBy(id=made.id), "test")

    assert (doubted.status, doubted.disputed) == (TransferStatus.INDETERMINATE, True)
    assert (await known(shop)).status is TransferStatus.INDETERMINATE
    assert "another account or amount" in ((await shop.history(made.id))[-1].note or "")


async def test_refresh_asks_now(shop: Shop) -> None:
    """And says what EPoint said where that is nothing."""
    await start(shop)
    bank_says(shop, "SUCCESS")
    refreshed = await shop.cashier.business_transfers.refresh(BusinessTransferBy(order_id="B-1"), "test")
    assert (refreshed.value.status, refreshed.error) == (TransferStatus.SUCCESS, None)

    shop.plan("B-2", reply="reset_before", reply_to=("business_transfer",))
    await start(shop, order_id="B-2")
    unknown = await shop.cashier.business_transfers.refresh(BusinessTransferBy(order_id="B-2"), "test")
    assert (unknown.value.status, unknown.error and unknown.error.code) == (
        TransferStatus.INDETERMINATE,
        ErrorCode.GATEWAY_REFUSED,
    )
    with pytest.raises(RefusedError, match="no such transfer"):
        await shop.cashier.business_transfers.refresh(BusinessTransferBy(order_id="B-3"), "test")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"order_id": ""}, "orderId"),
        ({"order_id": "a/b"}, "orderId"),
        ({"order_id": ".."}, "orderId"),
        ({"order_id": "ç"}, "orderId"),
        ({"order_id": "a" * 201}, "orderId"),
        ({"amount": Decimal(0)}, "amount.amount"),
        ({"amount": Decimal("40000.01")}, "amount.amount"),
        ({"amount": Decimal("1.001")}, "amount.amount"),
        ({"amount": Decimal("NaN")}, "amount.amount"),
        ({"currency": "USD"}, "amount.currency"),
        ({"iban": "DE89370400440532013000"}, "payee.iban"),
        ({"iban": PLAIN_IBAN.replace("1370", "1730")}, "payee.iban"),
        ({"iban": PLAIN_IBAN[:-1]}, "payee.iban"),
        ({"payee_tin": "123456789"}, "payee.tin"),
        ({"payee_tin": "1234567893"}, "payee.tin"),
        ({"payee_tin": "123456789١"}, "payee.tin"),
        ({"payee_name": " "}, "payee.name"),
        ({"payee_name": "a" * 256}, "payee.name"),
        ({"bank_code": ""}, "payee.bankCode"),
        ({"description": ""}, "description"),
        ({"description": "a" * 256}, "description"),
        ({"description": "a\x00"}, "description"),
        ({"email": "nobody"}, "payee.email"),
        ({"address": "a" * 256}, "payee.address"),
    ],
)
async def test_wrong_orders_are_refused(shop: Shop, changes: dict[str, Any], path: str) -> None:
    """Each with the name of its field; nothing is recorded and nothing is sent."""
    with pytest.raises(RefusedError) as refused:
        await start(shop, **changes)

    assert refused.value.path == ("input", *path.split("."))
    assert shop.requests("business_transfer") == 0
    assert await shop.cashier.books.read(lambda reader: reader.feed(0, 1)) == []


@pytest.mark.parametrize("amount", ["0.01", "40000", "40000.00"])
async def test_the_limits_themselves_are_allowed(shop: Shop, amount: str) -> None:
    assert (await start(shop, amount=Decimal(amount))).value.amount == Decimal(amount)


# What follows from what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", TransferStatus)
@pytest.mark.parametrize("news", TransferNews)
def test_the_same_news_twice_changes_nothing(status: TransferStatus, news: TransferNews) -> None:
    """Whatever state it is in, and one event per version."""
    once = apply_transfer(a_transfer(status=status), news, BY)
    twice = apply_transfer(once.transfer, news, BY)

    assert len(once.events) == once.transfer.version - 1
    assert (twice.transfer.status, twice.events) == (once.transfer.status, ())


@pytest.mark.parametrize("news", TransferNews)
def test_what_is_not_settled_waits_for_an_answer_or_is_asked_about(news: TransferNews) -> None:
    """A status before the answer to the order, which then never comes, leaves nobody waiting for ever."""
    called = a_transfer(call_deadline=NOW + timedelta(seconds=40))
    after = apply_transfer(called, news, BY).transfer

    assert after.status.is_final or after.disputed or after.call_deadline is not None or after.ask_at is not None


@pytest.mark.parametrize("news", TransferNews)
def test_only_a_person_settles_what_is_disputed(news: TransferNews) -> None:
    disputed = a_transfer(status=TransferStatus.INDETERMINATE, disputed=True)
    settled = news in (TransferNews.VERDICT_SUCCEEDED, TransferNews.VERDICT_FAILED)

    assert apply_transfer(disputed, news, BY).transfer.status.is_final is settled


@pytest.mark.parametrize(
    ("status", "news"),
    [
        (TransferStatus.SUCCESS, TransferNews.FAILED),
        (TransferStatus.FAILED, TransferNews.SUCCESS),
        (TransferStatus.FAILED, TransferNews.PROCESSING),
    ],
)
def test_a_final_state_is_not_simply_replaced(status: TransferStatus, news: TransferNews) -> None:
    """Money that came back, or went after all: a person is told."""
    change = apply_transfer(a_transfer(status=status, holds_order=False), news, BY, order_taken=True)

    assert (change.transfer.status, change.transfer.disputed) == (TransferStatus.INDETERMINATE, True)
    assert change.events[0].note is not None
    assert not change.transfer.holds_order


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (TransferNews.VERDICT_FAILED, TransferNews.ACCEPTED),
        (TransferNews.VERDICT_FAILED, TransferNews.SUCCESS),
        (TransferNews.VERDICT_SUCCEEDED, TransferNews.REFUSED),
        (TransferNews.VERDICT_SUCCEEDED, TransferNews.NOT_SENT),
        (TransferNews.VERDICT_SUCCEEDED, TransferNews.FAILED),
    ],
)
@pytest.mark.parametrize("taken", [True, False])
def test_late_answer_against_a_persons_verdict_needs_a_person_again(
    verdict: TransferNews, answer: TransferNews, taken: bool
) -> None:
    """The order call came back after all and says otherwise. No other transfer of the order may start meanwhile."""
    reason = RESOLVED_AS_FAILED if verdict is TransferNews.VERDICT_FAILED else None
    lost = apply_transfer(a_transfer(), TransferNews.LOST, BY).transfer
    decided = apply_transfer(lost, verdict, BY, failure=reason).transfer
    change = apply_transfer(decided, answer, BY, order_taken=taken)

    assert decided.status.is_final
    assert (change.transfer.status, change.transfer.disputed) == (TransferStatus.INDETERMINATE, True)
    assert change.transfer.holds_order is (decided.holds_order or not taken)
    assert change.events[0].note is not None
    again = apply_transfer(change.transfer, verdict, BY, failure=reason).transfer
    assert (again.status, again.disputed) == (decided.status, False)


def test_late_acceptance_of_what_the_bank_then_refused_is_no_contradiction() -> None:
    """EPoint took the order before it said that the transfer failed; its answer was only slow."""
    lost = apply_transfer(a_transfer(), TransferNews.LOST, BY).transfer
    failed = apply_transfer(lost, TransferNews.FAILED, BY, failure=status_failure(B2BStatusReply())).transfer
    change = apply_transfer(failed, TransferNews.ACCEPTED, BY)

    assert (change.transfer.status, change.events) == (TransferStatus.FAILED, ())


async def test_webhook_after_a_persons_verdict_of_failure_has_epoint_asked(tmp_path: Path) -> None:
    """A person said that the money did not move. If EPoint reports something, its status is worth a question."""
    async with open_shop(tmp_path, settings=BY_HAND, public_url="https://pay.example") as shop:
        shop.plan("B-1", reply="drop", reply_to=("business_transfer",))
        made = (await start(shop)).value
        call = a_call("resolveBusinessTransfer")
        await shop.cashier.business_transfers.resolve(call, made.id, False, "EPoint never had it.")
        bank_says(shop, "SUCCESS")
        url = shop.simulator.state.books.transfers[0].webhook_url
        assert await shop.cashier.business_transfers.hint(url.rpartition("/")[2])
        await shop.later(seconds=0)

        assert ((await known(shop)).status, (await known(shop)).disputed) == (TransferStatus.INDETERMINATE, True)


@pytest.mark.parametrize(
    ("changes", "news"),
    [
        ({}, TransferNews.SUCCESS),
        ({"status": "Success"}, TransferNews.SUCCESS),
        ({"payee_iban": IBAN.lower()}, TransferNews.SUCCESS),
        ({"payee_iban": f"{PLAIN_IBAN[:6]}****{PLAIN_IBAN[-4:]}"}, TransferNews.SUCCESS),
        ({"payee_iban": f"{PLAIN_IBAN[:6]}****0000"}, TransferNews.FOREIGN),
        ({"amount": Decimal("250")}, TransferNews.SUCCESS),
        ({"amount": Decimal("250.01")}, TransferNews.FOREIGN),
        ({"order_id": "B-2"}, TransferNews.FOREIGN),
        ({"order_id": None}, TransferNews.SUCCESS),
        ({"amount": None}, TransferNews.NOTHING),
        ({"payee_iban": None}, TransferNews.NOTHING),
        ({"status": None}, TransferNews.NOTHING),
        ({"status": "error"}, TransferNews.NOTHING),
        ({"status": "DONE"}, TransferNews.NOTHING),
    ],
)
def test_what_a_status_proves(changes: dict[str, Any], news: TransferNews) -> None:
    """It has to name the account and the amount; a word that nobody knows proves nothing."""
    fields = {"status": "SUCCESS", "order_id": "B-1", "amount": Decimal("250.00"), "payee_iban": PLAIN_IBAN}

    assert status_news(a_transfer(), B2BStatusReply(**(fields | changes))) is news


def test_hints_do_not_make_epoint_be_asked_without_end() -> None:
    """The first one asks now, those after it every five seconds at most, and none about what is decided."""
    waiting = a_transfer(ask_at=NOW + timedelta(hours=1))
    first = hinted(waiting, NOW)
    second = hinted(msgspec.structs.replace(first, ask_at=NOW + timedelta(hours=1)), NOW + timedelta(seconds=1))

    assert first.ask_at == NOW
    assert second.ask_at == NOW + timedelta(seconds=5)
    assert hinted(a_transfer(status=TransferStatus.SUCCESS), NOW).ask_at is None
    assert hinted(a_transfer(call_deadline=NOW), NOW).ask_at is None


def test_a_reason_belongs_to_a_failure_alone() -> None:
    reason = Failure(category=FailureCategory.OTHER, message="No", retryable=False)

    assert apply_transfer(a_transfer(), TransferNews.FAILED, BY, failure=reason).transfer.failure == reason
    assert apply_transfer(a_transfer(), TransferNews.SUCCESS, BY, failure=reason).transfer.failure is None


# The service -----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def a_node(
    kind: str, folder: Path, simulator: RunningSimulator, **environ: str
) -> AsyncIterator[tuple[Node, Client]]:
    """A service that EPoint can reach, on a database of this kind."""
    async with contextlib.AsyncExitStack() as stack:
        url = f"sqlite:///{folder / 'books.db'}"
        if kind == "postgres":
            url = await stack.enter_async_context(new_database())
        settings = {
            "GQL_EPOINT_SANDBOX": "1",
            "GQL_EPOINT_DATABASE_URL": url,
            "GQL_EPOINT_GATEWAY_URL": simulator.url,
        }
        node = Node(folder / "node.log", settings | environ)
        node.environ.setdefault("GQL_EPOINT_PUBLIC_URL", node.url)
        await node.start()
        stack.push_async_callback(node.stop)
        yield node, await stack.enter_async_context(node.client())


async def run(client: Client, name: str, input: dict[str, Any], field: str = "businessTransfer") -> Any:  # noqa: A002
    payload = await client.data(MUTATION % (name[0].upper() + name[1:], name, field, FIELDS[field]), input=input)
    return payload[name]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_journey_with_the_webhook(tmp_path: Path, kind: str) -> None:
    """From the mutation to the last push. The webhook makes EPoint be asked before the schedule would."""
    async with running(BY_HAND) as simulator, a_node(kind, tmp_path, simulator) as (node, client):
        made = await run(client, "transferToBusiness", transfer("B-1", "journey-of-a-transfer"))
        watching = asyncio.create_task(_watch(client, made["businessTransfer"]["id"]))
        theirs = simulator.state.books.transfer("B-1")
        assert theirs is not None
        assert theirs.webhook_url is not None
        for state in ("PROCESSING", "SUCCESS"):
            theirs.state = state
            async with client.session.post(
                theirs.webhook_url, json={"order_id": "B-1", "status": "success"}
            ) as answer:
                assert (answer.status, await answer.text()) == (200, "OK")
            async with asyncio.timeout(20):
                while (await _status(client))["status"] != state:
                    await asyncio.sleep(0.05)
        updates = await watching

        assert made["errors"] == []
        assert [update["businessTransfer"]["status"] for update in updates][-1] == CASES[
            "business_transfer"
        ].events[-1]
        final = updates[-1]["businessTransfer"]
        assert (final["isFinal"], final["needsReview"], final["amount"]["amount"]) == (True, False, "250.00")
        assert final["payee"] == {
            "name": "Çay MMC",
            "tin": "1234567891",
            "iban": PLAIN_IBAN,
            "bankCode": "505141",
        }
        events = (await _status(client))["events"]["edges"]
        assert [edge["node"]["transferStatus"] for edge in events] == list(CASES["business_transfer"].events)
        listed = await client.data(
            "{ all: businessTransfers(first: 5) { edges { node { id } } }"
            " doubted: businessTransfers(needsReview: true) { edges { node { id } } } }"
        )
        assert listed == {"all": {"edges": [{"node": {"id": final["id"]}}]}, "doubted": {"edges": []}}
        conflict = await client.data(
            "mutation ($input: TransferToBusinessInput!) { transferToBusiness(input: $input) { errors { code"
            " ... on BusinessTransferConflictError { businessTransfer { id } } } } }",
            input=transfer("B-1", "another-key-for-it"),
        )
        assert conflict["transferToBusiness"]["errors"] == [
            {"code": "ORDER_ALREADY_PAID", "businessTransfer": {"id": final["id"]}}
        ]
    logged = node.log.read_text()
    for secret in (PLAIN_IBAN, "1234567891", "MMC", theirs.webhook_url.rpartition("/")[2]):
        assert secret not in logged


async def test_transfers_are_listed_in_pages(start_service: Any) -> None:
    """The connection goes both ways, newest first."""
    document = """query ($first: Int, $after: String, $last: Int, $before: String) {
      businessTransfers(first: $first, after: $after, last: $last, before: $before) {
        edges { node { orderId } } pageInfo { hasNextPage startCursor endCursor } } }"""
    async with start_service().client() as client:
        for number in range(3):
            await run(client, "transferToBusiness", transfer(f"B-{number}", f"a-transfer-of-a-page-{number}"))

        async def listed(**arguments: Any) -> tuple[list[str], Any]:
            found = (await client.data(document, **arguments))["businessTransfers"]
            return [edge["node"]["orderId"] for edge in found["edges"]], found["pageInfo"]

        first, info = await listed(first=2)
        rest, end = await listed(first=2, after=info["endCursor"])
        back, _ = await listed(last=2, before=end["startCursor"])

    assert (first, rest, back) == (["B-2", "B-1"], ["B-0"], ["B-2", "B-1"])
    assert (info["hasNextPage"], end["hasNextPage"]) == (True, False)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_schedule_alone_finds_out(tmp_path: Path, kind: str) -> None:
    """Without a public address EPoint is given none, and the status is asked for all the same."""
    async with (
        running(SimulatorSettings(switches=Switches(transfer_step_s=0.1))) as simulator,
        a_node(kind, tmp_path, simulator, GQL_EPOINT_PUBLIC_URL="") as (_, client),
    ):
        made = await run(client, "transferToBusiness", transfer("B-1", "journey-of-a-transfer"))
        updates = await _watch(client, made["businessTransfer"]["id"])
        theirs = simulator.state.books.transfer("B-1")

    assert updates[-1]["businessTransfer"]["status"] == "SUCCESS"
    assert theirs is not None
    assert theirs.webhook_url is None


async def test_the_webhook_of_nothing_is_no_address(tmp_path: Path) -> None:
    """Whoever tries random parts sees what any other address shows; and a huge or unreadable body does no harm."""
    async with running(BY_HAND) as simulator, a_node("sqlite", tmp_path, simulator) as (node, client):
        await run(client, "transferToBusiness", transfer("B-1", "journey-of-a-transfer"))
        theirs = simulator.state.books.transfer("B-1")
        assert theirs is not None
        url = theirs.webhook_url or ""
        answers = [
            await _answer(client, method, address)
            for method in ("POST", "GET", "PUT", "DELETE")
            for address in (f"{node.url}/nowhere", f"{node.url}/webhooks/epoint/transfers/{'a' * 43}")
        ]
        assert len({answer[:2] for answer in answers}) == 1
        assert answers[0][0] == 404
        assert (await _answer(client, "GET", url))[:2] == answers[0][:2]
        assert (await _answer(client, "POST", url, b"x" * 100_000))[0] == 413
        assert (await _answer(client, "POST", url, b"\xff{nonsense"))[0] == 200

        # The lie changes nothing: EPoint is asked and says that the transfer waits.
        assert (await _answer(client, "POST", url, b'{"order_id":"B-1","status":"success"}'))[0] == 200
        await run_until_asked(simulator)
        assert (await _status(client))["status"] == "PENDING"


async def run_until_asked(simulator: RunningSimulator) -> None:
    async with asyncio.timeout(20):
        while not simulator.state.requests["business_transfer_status"]:
            await asyncio.sleep(0.05)


async def _answer(client: Client, method: str, url: str, body: bytes = b"{}") -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body) as answer:
        return answer.status, await answer.read()


async def _watch(client: Client, transfer_id: str) -> list[dict[str, Any]]:
    return [update["data"]["businessTransferUpdated"] async for update in client.subscribe(WATCH, id=transfer_id)]


async def _status(client: Client) -> dict[str, Any]:
    document = (
        '{ businessTransfer(by: {orderId: "B-1"}) { status events { edges { node { sequence'
        " ... on BusinessTransferChanged { transferStatus businessTransfer { id } } } } } } }"
    )
    found: dict[str, Any] = (await client.data(document))["businessTransfer"]
    return found
