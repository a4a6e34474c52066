"""Three service processes over one PostgreSQL, and what happens when nodes, the database or connections go away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest

from gql_epoint.simulator.books import Card
from gql_epoint.simulator.server import RunningSimulator, running
from gql_epoint.simulator.settings import SANDBOX_MERCHANTS, CallbackPlan, OrderPlan, SimulatorSettings
from gql_epoint.store import open_store
from tests.audit import Ledger, check_against_gateway, check_invariants, read_ledger
from tests.nodes import Node
from tests.postgres import PostgresServer, new_database
from tests.service import Client
from tests.shop import PAY, WATCH, payment

MERCHANT = SANDBOX_MERCHANTS[0]
CARD = "ce000000-0000-4000-8000-000000000001"
APPROVED = "4111111111111111"
PATIENCE_S = 40.0

CHARGE = """mutation ($input: PayWithSavedCardInput!) {
  payWithSavedCard(input: $input) { replayed errors { code } transaction { id status version } } }"""
REFUND = """mutation ($input: RefundInput!) {
  refund(input: $input) { replayed errors { code } refund { id status } } }"""
FIND = "query ($order: String!) { transaction(by: {orderId: $order}) { id status isFinal version } }"
EVENTS = """subscription ($after: String) {
  events(after: $after) { cursor event { id sequence } } }"""

_orders = (f"cluster-order-{number}" for number in itertools.count(1))


class Cluster:
    """The nodes, the simulator beside them, and a client of each node."""

    def __init__(self, nodes: Sequence[Node], simulator: RunningSimulator, database_url: str) -> None:
        self.nodes = nodes
        self.simulator = simulator
        self.database_url = database_url
        self.clients = [Client(node.url) for node in nodes]

    async def customer_pays(self, url: str) -> None:
        data = {"card_number": APPROVED}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=data, allow_redirects=False) as answer,
        ):
            assert answer.status in (200, 303), await answer.text()

    def call_back(self, node: int) -> None:
        """Let EPoint send its callbacks to another node from now on."""
        url = f"{self.nodes[node].url}/webhooks/epoint"
        known = self.simulator.state.merchants
        known[MERCHANT.public_key] = msgspec.structs.replace(MERCHANT, result_url=url)

    async def final(self, node: int, order: str) -> dict[str, Any]:
        """Wait until a node says that the payment of an order is final."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    answer = await self.clients[node].execute(FIND, order=order)
                    found = (answer.get("data") or {}).get("transaction")
                    if found and found["isFinal"]:
                        return dict(found)
                await asyncio.sleep(0.1)

    async def audit(self) -> Ledger:
        """Compare the books with the simulator's, and return ours."""
        store = open_store(self.database_url, sandbox=True, clock=lambda: datetime.now(UTC))
        await store.open()
        try:
            ledger = await store.read(read_ledger)
        finally:
            await store.close()
        books_url = f"{self.simulator.url}/_control/books"
        async with aiohttp.ClientSession() as session, session.get(books_url) as answer:
            books = await answer.json()
        check_invariants(ledger)
        check_against_gateway(ledger, books, MERCHANT.public_key)
        return ledger


@contextlib.asynccontextmanager
async def cluster(folder: Path, size: int, server: str | None = None, **environ: str) -> AsyncIterator[Cluster]:
    settings = SimulatorSettings(callback=CallbackPlan(retry_delay_s=0.2, retries=30))
    async with new_database(server) as url, running(settings) as simulator:
        card = Card(card_id=CARD, merchant=MERCHANT.public_key, at=datetime.now(UTC), state="active")
        simulator.state.books.add_card(card)
        common = {
            "GQL_EPOINT_SANDBOX": "1",
            "GQL_EPOINT_DATABASE_URL": url,
            "GQL_EPOINT_GATEWAY_URL": simulator.url,
            "GQL_EPOINT_CALL_TIMEOUT_S": "5",
        }
        made = Cluster([Node(folder / f"{n}.log", common | environ) for n in range(size)], simulator, url)
        try:
            await asyncio.gather(*(node.start() for node in made.nodes))
            made.call_back(0)
            yield made
        finally:
            await asyncio.gather(*(client.__aexit__() for client in made.clients))
            await asyncio.gather(*(node.kill() for node in made.nodes))


@pytest.fixture(scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path_factory.mktemp("cluster"), 3) as made:
        yield made


def charge(order: str) -> dict[str, Any]:
    return payment(order) | {"card": {"cardId": CARD}}


# Exact sums -----------------------------------------------------------------------------------------------------


async def test_hundred_calls_with_one_key_on_three_nodes_charge_once(three: Cluster) -> None:
    """One is not replayed, all that are answered name the same transaction, and EPoint has one charge."""
    order = next(_orders)
    answers = await asyncio.gather(
        *(three.clients[number % 3].data(CHARGE, input=charge(order)) for number in range(100))
    )
    payloads = [answer["payWithSavedCard"] for answer in answers]
    codes = {error["code"] for payload in payloads for error in payload["errors"]}
    told = [payload for payload in payloads if not payload["errors"]]
    again = [(await client.data(CHARGE, input=charge(order)))["payWithSavedCard"] for client in three.clients]

    assert codes <= {"IDEMPOTENCY_IN_PROGRESS"}
    assert [payload["replayed"] for payload in told].count(False) == 1
    assert len({payload["transaction"]["id"] for payload in told}) == 1
    assert all(payload["replayed"] and payload["transaction"]["status"] == "SUCCESS" for payload in again)
    assert len([row for row in three.simulator.state.books.transactions if row.order_id == order]) == 1
    await three.audit()


async def test_fifty_partial_refunds_on_three_nodes_never_exceed_the_amount(three: Cluster) -> None:
    """Of fifty times 0.30 out of 10.00 there are exactly 33, here and at EPoint."""
    order = next(_orders)
    paid = (await three.clients[0].data(CHARGE, input=charge(order)))["payWithSavedCard"]["transaction"]

    async def refund(number: int) -> tuple[str, ...]:
        asked = {
            "idempotencyKey": f"refund-{order}-{number:04d}",
            "transaction": {"id": paid["id"]},
            "amount": {"amount": "0.30"},
        }
        payload = (await three.clients[number % 3].data(REFUND, input=asked))["refund"]
        return tuple(error["code"] for error in payload["errors"]) or (payload["refund"]["status"],)

    outcomes = Counter(await asyncio.gather(*map(refund, range(50))))
    (at_epoint,) = [row for row in three.simulator.state.books.transactions if row.order_id == order]
    ledger = await three.audit()
    (ours,) = [row for row in ledger.transactions if row.order_id == order]

    assert outcomes == {("SUCCESS",): 33, ("REFUND_EXCEEDS_REFUNDABLE",): 17}
    assert at_epoint.refunded == ours.refunded_amount == Decimal("9.90")
    assert ours.refund_pending_amount == 0
    assert len(at_epoint.refunds) == 33


# Subscribers ----------------------------------------------------------------------------------------------------


async def watch_with_cuts(cluster: Cluster, order: str, random: Random) -> list[tuple[int, str]]:
    """Watch a payment, being cut off at any moment and coming back on any node, until a stream has ended."""
    seen: list[tuple[int, str]] = []
    while True:
        client = cluster.clients[random.randrange(len(cluster.clients))]
        how = client.subscribe if random.random() < 0.5 else client.stream
        try:
            async with asyncio.timeout(random.choice((0.02, 0.05, 0.1, 0.3, 1.0, 5.0))):
                async with contextlib.aclosing(how(WATCH, order=order)) as stream:
                    async for payload in stream:
                        told = payload["data"]["transactionUpdated"]["transaction"]
                        seen.append((told["version"], told["status"]))
                return seen
        except (TimeoutError, aiohttp.ClientError, TypeError):
            await asyncio.sleep(random.random() * 0.05)


async def follow_with_cuts(
    cluster: Cluster, count: int, after: str | None, random: Random
) -> list[tuple[str, int]]:
    """Follow the feed from a cursor, being cut off at any moment, until there were so many events."""
    seen: list[tuple[str, int]] = []
    while len(seen) < count:
        client = cluster.clients[random.randrange(len(cluster.clients))]
        try:
            async with asyncio.timeout(random.choice((0.05, 0.1, 0.3, 1.0))):
                async with contextlib.aclosing(client.subscribe(EVENTS, after=after)) as stream:
                    async for payload in stream:
                        message = payload["data"]["events"]
                        seen.append((message["event"]["id"], message["event"]["sequence"]))
                        after = message["cursor"]
                        if len(seen) == count or random.random() < 0.05:
                            break
        except (TimeoutError, aiohttp.ClientError, TypeError):
            await asyncio.sleep(random.random() * 0.05)
    return seen


@pytest.mark.timeout(120)
async def test_subscriber_cut_off_at_any_moment_sees_the_final_state_and_every_event(tmp_path: Path) -> None:
    """On any node, also while one of them dies and comes back; `events(after)` misses and repeats nothing."""
    async with cluster(tmp_path, 3) as three:
        random = Random(5)
        orders = [next(_orders) for _ in range(12)]
        opened = [(await three.clients[0].data(PAY, input=payment(order)))["pay"] for order in orders]
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            watching = [
                group.create_task(watch_with_cuts(three, order, Random(f"{order} {n}")))
                for order in orders
                for n in range(2)
            ]
            # Each payment is recorded, opened and paid: three events.
            following = [group.create_task(follow_with_cuts(three, 36, None, Random(n))) for n in range(3)]
            for number, answer in enumerate(opened):
                await asyncio.sleep(random.random() * 0.1)
                three.call_back(number % 2)
                await three.customer_pays(answer["transaction"]["nextAction"]["url"])
                if number == 5:
                    await three.nodes[2].kill()
                    await three.nodes[2].start()
        ledger = await three.audit()

    for task in watching:
        assert task.result()[-1] == (3, "SUCCESS")
    expected = [(event.stream_id, event.sequence) for event in ledger.feed]
    for followed in following:
        heard = followed.result()
        assert [sequence for _, sequence in heard] == [sequence for _, sequence in expected]
        assert len(set(heard)) == 36


# A node that stands still ---------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
async def test_node_frozen_past_its_deadline_wakes_and_changes_nothing(tmp_path: Path) -> None:
    """Another node finds its call's deadline past and asks EPoint; what the sleeper says afterwards is old news."""
    async with cluster(tmp_path, 2, GQL_EPOINT_CALL_TIMEOUT_S="2") as two:
        order = next(_orders)
        two.simulator.state.set_plan(order, OrderPlan(reply="hang", reply_times=1))
        asking = asyncio.ensure_future(two.clients[0].data(CHARGE, input=charge(order)))
        async with asyncio.timeout(PATIENCE_S):
            while not [row for row in two.simulator.state.books.transactions if row.order_id == order]:
                await asyncio.sleep(0.02)
        with two.nodes[0].frozen():
            found = await two.final(1, order)
            replayed = (await two.clients[1].data(CHARGE, input=charge(order)))["payWithSavedCard"]
        async with asyncio.timeout(PATIENCE_S):
            woken = (await asking)["payWithSavedCard"]
        await asyncio.sleep(0.5)

        assert (found["status"], replayed["replayed"]) == ("SUCCESS", True)
        assert woken["transaction"]["id"] == found["id"]
        assert await two.final(0, order) == found
        (ours,) = (await two.audit()).transactions
        assert ours.version == found["version"]


# The database ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
async def test_database_that_goes_away_and_comes_back_costs_time_only(tmp_path: Path) -> None:
    """Payments with their keys and callbacks are refused with 503 or an error, repeated, and then accepted."""
    server = PostgresServer()
    server.start()
    try:
        async with cluster(tmp_path, 2, server.url) as two:
            orders = [next(_orders) for _ in range(24)]

            async def page_of(number: int, order: str) -> str:
                """Ask for a payment until there is a page; each question has the key of its attempt."""
                for attempt in itertools.count():
                    asked = payment(order) | {"idempotencyKey": f"key-{attempt}-of-{order}"}
                    made: dict[str, Any] | None = None
                    while made is None or made["status"] == "NEW":
                        answer = await two.clients[number % 2].execute(PAY, input=asked)
                        made = ((answer.get("data") or {}).get("pay") or {}).get("transaction")
                        await asyncio.sleep(0.05)
                    if made["status"] != "FAILED":
                        return str(made["nextAction"]["url"])
                    # EPoint opened its page, and the answer was lost with the database.
                raise AssertionError

            async def buy(number: int, order: str, page: str | None) -> None:
                await asyncio.sleep(number * 0.15)
                await two.customer_pays(page or await page_of(number, order))

            # Half of the customers are on EPoint's page already; the others come while the database is away too.
            pages = [await page_of(number, order) for number, order in enumerate(orders[::2])]
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                for number, order in enumerate(orders):
                    group.create_task(buy(number, order, None if number % 2 else pages[number // 2]))
                await asyncio.sleep(1.2)
                await asyncio.to_thread(server.stop)
                await asyncio.sleep(1.5)
                async with aiohttp.ClientSession() as session, session.get(f"{two.nodes[0].url}/readyz") as ready:
                    assert ready.status == 503
                await asyncio.to_thread(server.start)
            for order in orders:
                assert (await two.final(1, order))["status"] == "SUCCESS"
            ledger = await two.audit()
            statuses = [
                [attempt.http_status for attempt in delivery.attempts]
                for delivery in two.simulator.state.deliveries
            ]
    finally:
        server.delete()

    assert any(503 in attempts and attempts[-1] == 200 for attempts in statuses)
    assert len(ledger.callbacks) >= len(orders)
