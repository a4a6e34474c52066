"""The whole journey of each operation over real HTTP and WebSocket, from the mutation to the event history."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gql_epoint.epoint import OPERATIONS, Kind
from tests.cases import (
    CASES,
    LOOKUPS,
    MUTATION,
    OWN_JOURNEYS,
    WATCH_CARD,
    WATCH_TRANSACTION,
    Case,
    World,
    world_numbers,
)
from tests.service import Client, Service

HISTORY = """query ($id: ID!) { node(id: $id) { ... on Transaction { events(first: 50) { edges { node {
  __typename sequence source actor recordedAt
  ... on StatusChanged { status callback { disposition gatewayStatus } }
  ... on RefundChanged { refundStatus }
  ... on HoldChanged { holdRequestKind holdStatus amount }
} } } } } }"""
FEED = """query ($after: String) { events(first: 100, after: $after) { edges { cursor node {
  __typename sequence ... on SavedCardChanged { cardStatus savedCard { id } }
} } pageInfo { hasNextPage endCursor } } }"""
TRANSACTION = """query ($id: ID!) { transaction(by: {id: $id}) {
  status isFinal version metadata orderId amount { amount currency } split { user amount { amount currency } }
  refundedAmount { amount } refundableAmount { amount } nextAction { __typename } savedCard { id status }
  gateway { status transactionId rrn } card { mask holderName } failure { category bankCode message retryable }
  refunds { edges { node { id amount { amount } status reason } } }
} }"""


GATEWAY_STATUS = """query ($id: String!) { gatewayStatus(transactionId: $id) {
  status amount transactionId transaction { id }
} }"""
REFRESH = """mutation ($id: String!) { refreshTransaction(by: {gatewayTransactionId: $id}) {
  transaction { id } errors { code }
} }"""


@pytest.fixture
def world(service: Service, client: Client) -> World:
    return World(service=service, client=client, number=next(world_numbers))


async def watch(
    world: World, document: str, field: str, object_id: str, until: str | None = None
) -> list[dict[str, Any]]:
    """Collect the states that a subscription pushes until it completes, or until a transaction has this status."""
    updates = []
    async for update in world.client.subscribe(document, id=object_id):
        updates.append(update["data"][field])
        if until is not None and updates[-1]["transaction"]["status"] == until:
            break
    return updates


async def history(world: World, transaction_id: str) -> list[dict[str, Any]]:
    """Read the events of a transaction, checking that they are numbered without gaps."""
    node = (await world.client.data(HISTORY, id=transaction_id))["node"]
    events = [edge["node"] for edge in node["events"]["edges"]]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    return events


def states(events: list[dict[str, Any]]) -> tuple[str, ...]:
    """What each event of a transaction says."""
    return tuple(event.get("status") or event.get("refundStatus") or event["holdStatus"] for event in events)


async def query(world: World, transaction_id: str) -> dict[str, Any]:
    """Ask for a transaction."""
    found: dict[str, Any] = (await world.client.data(TRANSACTION, id=transaction_id))["transaction"]
    return found


def test_each_operation_has_its_case_and_mutation() -> None:
    """A row in the operations table without a journey fails here by name."""
    assert set(CASES) | set(LOOKUPS) == set(OPERATIONS)
    assert {name for name, case in CASES.items() if case.customer_acts} == {
        name for name, operation in OPERATIONS.items() if operation.kind is Kind.REDIRECT
    }


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.field not in OWN_JOURNEYS])
async def test_journey(world: World, name: str) -> None:
    """From the mutation to the event history, with the callback and the push where the customer acts."""
    case = CASES[name]
    made = await world.run(case.mutation, case.field, await case.input(world))
    if case.field == "savedCard":
        await _finish_card(world, case, made)
        return
    transaction_id = made["transaction"]["id"] if case.field == "refund" else made["id"]
    if case.customer_acts:
        until = case.events[-1]
        watching = asyncio.create_task(watch(world, WATCH_TRANSACTION, "transactionUpdated", made["id"], until))
        await case.act(world, made)
        updates = await watching
        assert (updates[0]["kind"], updates[-1]["transaction"]["status"]) == ("SNAPSHOT", case.events[-1])
        versions = [update["transaction"]["version"] for update in updates]
        assert versions == sorted(set(versions))

    events = await history(world, transaction_id)
    assert states(events) == case.events
    assert events[0]["actor"] == "development"
    assert [event["source"] == "GATEWAY_CALLBACK" for event in events].count(True) == int(
        case.callback and (case.customer_acts or name in ("refund", "capture"))
    )
    found = await query(world, transaction_id)
    assert found["status"] == case.events[-1]
    assert (found["isFinal"], found["nextAction"], found["failure"]) == (name != "preauthorize", None, None)
    assert found["amount"] == {"amount": "12.34", "currency": "AZN"}
    assert found["split"] == (
        {"user": "i000000002", "amount": {"amount": "2.30", "currency": "AZN"}} if "split" in name else None
    )
    if "save_card" in name or "saved_card" in name or name == "payout":
        assert found["savedCard"]["status"] == "ACTIVE"
    if name in ("pay", "preauthorize"):
        assert found["metadata"] == {"cart": [1, 2.5, "üç"], "gift": True, "note": None}
    assert await _at_epoint(world, found["gateway"]["transactionId"]) == {
        "amount": "12.34",
        "split_amount": "2.30" if "split" in name else None,
        "returned": name == "refund",
    }


async def _at_epoint(world: World, transaction: str) -> dict[str, Any]:
    """What EPoint's own books say."""
    books = await world.service.simulator.control("GET", "/books")
    (found,) = [known for known in books["transactions"] if known["transaction"] == transaction]
    return {
        "amount": found["amount"],
        "split_amount": found["split_amount"],
        "returned": bool(found["refunds"]),
    }


async def _finish_card(world: World, case: Case, made: dict[str, Any]) -> None:
    watching = asyncio.create_task(watch(world, WATCH_CARD, "savedCardUpdated", made["id"]))
    await world.service.simulator.pay(made["nextAction"]["url"])
    updates = await watching
    assert [update["savedCard"]["status"] for update in updates][-1] == case.events[-1]
    told, after = [], None
    while True:
        page = (await world.client.data(FEED, after=after))["events"]
        told += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    ours = [event for event in told if event.get("savedCard", {}).get("id") == made["id"]]

    assert tuple(event["cardStatus"] for event in ours) == case.events
    assert [event["sequence"] for event in ours] == [1, 2]


async def test_saved_card_is_used_again_and_again(world: World) -> None:
    """One registration, two charges, named by our id and by EPoint's."""
    card_id = await world.saved_card()
    document = "query ($id: ID!) { savedCard(by: {id: $id}) { cardId usableForPayout } }"
    card = (await world.client.data(document, id=card_id))["savedCard"]
    for number, by in enumerate(({"id": card_id}, {"cardId": card["cardId"]})):
        order = {"idempotencyKey": world.key(f"use-{number}"), "orderId": f"{world.order_id}-{number}", "card": by}
        charged = await world.run("payWithSavedCard", "transaction", order | {"amount": {"amount": "1.00"}})

        assert (charged["status"], charged["savedCard"]["id"]) == ("SUCCESS", card_id)


async def test_declined_payment_tells_the_customer_why(world: World) -> None:
    """A decline is pushed as data: category, bank code, a sentence, and whether to try again."""
    opened = await world.run("pay", "transaction", await CASES["pay"].input(world))
    watching = asyncio.create_task(watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"]))
    await world.service.simulator.pay(opened["nextAction"]["url"], "4111 1111 1111 1116")
    failed = (await watching)[-1]["transaction"]

    assert failed["status"] == "FAILED"
    assert (failed["failure"]["category"], failed["failure"]["bankCode"]) == ("INSUFFICIENT_FUNDS", "116")
    again = await world.run(
        "pay", "transaction", await CASES["pay"].input(world) | {"idempotencyKey": world.key("second")}
    )
    assert again["status"] == "REQUIRES_ACTION"


async def test_three_d_secure_is_one_more_page(world: World) -> None:
    """The customer confirms at the bank, and the payment goes on as any other."""
    opened = await world.run("pay", "transaction", await CASES["pay"].input(world))
    watching = asyncio.create_task(watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"]))
    url = opened["nextAction"]["url"]
    await world.service.simulator.pay(url, "4111 1111 1111 3220")
    assert not watching.done()
    async with world.client.session.post(url, data={"decision": "confirm"}, allow_redirects=False) as page:
        assert page.status == 303

    assert (await watching)[-1]["transaction"]["status"] == "SUCCESS"


async def test_partial_refunds_until_nothing_is_left(world: World) -> None:
    """Each refund is in the history; one too many is refused with what is left."""
    paid = await world.paid()
    by = {"id": paid["id"]}
    for number, amount in enumerate(("2.34", "9.00")):
        refund = await world.run(
            "refund",
            "refund",
            {"idempotencyKey": world.key(f"refund-{number}"), "transaction": by, "amount": {"amount": amount}},
        )
        assert (refund["status"], refund["amount"]["amount"]) == ("SUCCESS", amount)
    too_much = {"idempotencyKey": world.key("too-much"), "transaction": by, "amount": {"amount": "1.01"}}
    document = MUTATION.replace(
        "code message path", "code ... on RefundExceedsRefundableError { refundable { amount } }"
    )
    answer = await world.client.data(document % ("Refund", "refund", "refund", "id"), input=too_much)

    assert answer["refund"]["errors"] == [{"code": "REFUND_EXCEEDS_REFUNDABLE", "refundable": {"amount": "1.00"}}]
    await world.run("refund", "refund", {"idempotencyKey": world.key("rest"), "transaction": by})
    found = await query(world, paid["id"])
    assert (found["status"], found["refundedAmount"]["amount"]) == ("RETURNED", "12.34")
    assert [edge["node"]["amount"]["amount"] for edge in found["refunds"]["edges"]] == ["2.34", "9.00", "1.00"]


async def test_events_over_sse_resume_without_loss(world: World) -> None:
    """A consumer that comes back with its last cursor misses nothing and hears nothing twice."""
    document = "subscription ($after: String) { events(after: $after) { cursor event { id } } }"

    async def take(count: int, after: str | None) -> list[tuple[str, str]]:
        heard = []
        async for update in world.client.stream(document, after=after):
            message = update["data"]["events"]
            heard.append((message["cursor"], message["event"]["id"]))
            if len(heard) == count:
                break
        return heard

    await world.paid()
    whole = await take(3, None)
    first = await take(1, None)
    rest = await take(2, first[-1][0])

    assert first + rest == whole
    waiting = asyncio.create_task(take(1, await _last_cursor(world)))
    await asyncio.sleep(0.2)
    opened = await world.run(
        "pay",
        "transaction",
        await CASES["pay"].input(world)
        | {"idempotencyKey": world.key("later"), "orderId": f"{world.order_id}-later"},
    )
    ((_, event_id),) = await waiting
    assert opened["id"] in event_id


async def _last_cursor(world: World) -> str:
    after: str | None = None
    while True:
        info = (await world.client.data(FEED, after=after))["events"]["pageInfo"]
        after = info["endCursor"] or after
        if not info["hasNextPage"]:
            assert after is not None
            return after


async def test_transaction_made_elsewhere_is_seen_refreshed_and_refunded(world: World) -> None:
    """gatewayStatus asks EPoint about any transaction; refreshTransaction and refund adopt it."""
    paid = await world.paid()
    epoint_id = paid["gateway"]["transactionId"]
    told = (await world.client.data(GATEWAY_STATUS, id=epoint_id))["gatewayStatus"]

    assert told == {
        "status": "success",
        "amount": "12.34",
        "transactionId": epoint_id,
        "transaction": {"id": paid["id"]},
    }
    refreshed = (await world.client.data(REFRESH, id=epoint_id))["refreshTransaction"]
    assert refreshed == {"transaction": {"id": paid["id"]}, "errors": []}
    unknown = (await world.client.data(REFRESH, id="te0000000000"))["refreshTransaction"]
    assert unknown == {"transaction": None, "errors": [{"code": "NOT_FOUND"}]}


async def test_lost_callback_is_made_up_for(world: World) -> None:
    """EPoint never calls back, and the watcher hears of the payment all the same."""
    await world.service.simulator.control("PUT", f"/orders/{world.order_id}", {"callback": {"drop": True}})
    opened = await world.run("pay", "transaction", await CASES["pay"].input(world))
    await world.service.simulator.pay(opened["nextAction"]["url"])
    updates = await watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"])

    assert updates[-1]["transaction"]["status"] == "SUCCESS"
    assert (await history(world, opened["id"]))[-1]["source"] == "RECONCILER"


CALLBACK_PLANS = (
    {"encoding": "multipart"},
    {"encoding": "json"},
    {"copies": 3},
    {"amount_as_text": True, "message_as_object": True, "other_attr_as_given": True},
    {"delay_s": 0.2},
)


@pytest.mark.parametrize("plan", CALLBACK_PLANS, ids=lambda plan: "-".join(plan))
async def test_callback_in_every_shape_is_understood(world: World, plan: dict[str, Any]) -> None:
    """Whatever encoding, types and repetition EPoint chooses, one change comes of it."""
    await world.service.simulator.control("PUT", f"/orders/{world.order_id}", {"callback": plan})
    opened = await world.run("pay", "transaction", await CASES["pay"].input(world))
    await world.service.simulator.pay(opened["nextAction"]["url"])
    await watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"])

    assert states(await history(world, opened["id"])) == ("NEW", "REQUIRES_ACTION", "SUCCESS")


async def test_callback_with_a_wrong_amount_needs_a_person(world: World) -> None:
    """Nothing is shipped for one qəpik: the payment stops until somebody resolves it."""
    await world.service.simulator.control("PUT", f"/orders/{world.order_id}", {"callback": {"amount": "0.01"}})
    opened = await world.run("pay", "transaction", await CASES["pay"].input(world))
    await world.service.simulator.pay(opened["nextAction"]["url"])
    async for update in world.client.subscribe(WATCH_TRANSACTION, id=opened["id"]):
        if update["data"]["transactionUpdated"]["transaction"]["status"] == "REQUIRES_REVIEW":
            break
    events = await history(world, opened["id"])
    assert events[-1]["callback"] == {"disposition": "MISMATCH", "gatewayStatus": "success"}

    decision = {"transactionId": opened["id"], "resolution": "SUCCEEDED", "note": "The bank confirms 12.34."}
    resolved = await world.run(
        "resolveTransaction", "transaction", decision | {"idempotencyKey": world.key("resolve")}
    )
    assert resolved["status"] == "SUCCESS"


async def test_service_that_was_killed_goes_on_where_it_was(start_service: Any) -> None:
    """After kill -9 the callback is delivered again, the key replays, and nothing is lost or doubled."""
    service = start_service()
    async with service.client() as client:
        world = World(service=service, client=client, number=1)
        order = await CASES["pay"].input(world)
        opened = await world.run("pay", "transaction", order)
        service.kill()
        await service.simulator.pay(opened["nextAction"]["url"])
        service.start()
        updates = await watch(world, WATCH_TRANSACTION, "transactionUpdated", opened["id"])
        replayed = await world.run("pay", "transaction", order)

        assert updates[-1]["transaction"]["status"] == "SUCCESS"
        assert (replayed["id"], replayed["status"]) == (opened["id"], "SUCCESS")
        books = await service.simulator.control("GET", "/books")
        assert books["requests"]["pay"] == 1
