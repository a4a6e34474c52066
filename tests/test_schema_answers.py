"""What the contract answers, over a real cashier, database and simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gql_epoint.schema import build_schema
from gql_epoint.schema.access import AuthLevel, Credential, Scope
from gql_epoint.schema.context import RequestContext
from tests.cashier_kit import APPROVED, Shop, open_shop, success_of
from tests.service import COMPILED

SCHEMA = build_schema(compiled=COMPILED)
KEY = Credential(name="shop backend", level=AuthLevel.SECRET_KEY, scopes=frozenset(Scope))

PAY = """mutation ($input: PayInput!) { pay(input: $input) {
  replayed
  errors {
    __typename code message path
    ... on OrderConflictError { transaction { id nextAction { ... on RedirectAction { url } } } }
  }
  transaction {
    id orderId status isFinal version amount { amount currency } metadata failure { category retryable }
    nextAction { __typename ... on RedirectAction { url } }
    events { edges { cursor node { id sequence source actor ... on StatusChanged { previousStatus status } } } }
  }
} }"""


class Caller:
    """Runs documents as a backend with every scope."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.context = RequestContext(
            cashier=shop.cashier, credential=KEY, merchant="i000000001", sandbox=True, request_id="req-1"
        )

    async def run(self, document: str, **variables: Any) -> dict[str, Any]:
        """Return the data of an operation that has no errors."""
        result = await SCHEMA.execute(document, variables, context_value=self.context)
        assert result.errors is None
        assert result.data is not None
        return result.data

    async def refused(self, document: str, **variables: Any) -> dict[str, Any]:
        """Return the one error of an operation, as a client sees it."""
        result = await SCHEMA.execute(document, variables, context_value=self.context)
        assert result.errors is not None
        (error,) = result.errors
        return dict(error.formatted)

    async def watch(self, document: str, limit: int = 100, **variables: Any) -> list[Any]:
        """Return what a subscription sends until it completes or `limit` is reached."""
        found: list[Any] = []
        results = await SCHEMA.stream(document, variables, context_value=self.context)
        async for result in results:
            found.append(result.errors[0].formatted if result.errors else result.data)
            if len(found) == limit:
                await results.aclose()  # type: ignore[attr-defined]
                break
        return found

    async def pay(self, **changes: Any) -> dict[str, Any]:
        """Return the payload of a payment."""
        payload: dict[str, Any] = (await self.run(PAY, input=an_order(**changes)))["pay"]
        return payload

    async def paid(self, order_id: str) -> dict[str, Any]:
        """Return a payment that the customer has made and this service has heard of."""
        transaction = (await self.pay(orderId=order_id))["transaction"]
        await self.shop.hosted_page(transaction["nextAction"]["url"], APPROVED)
        await self.run(REFRESH, by={"id": transaction["id"]})
        return dict(transaction)


REFRESH = """mutation ($by: TransactionBy!) { refreshTransaction(by: $by) {
  errors { code path } transaction { id status adopted operation orderId }
} }"""


def an_order(**changes: Any) -> dict[str, Any]:
    """A valid input of `pay` with a fresh order and key."""
    order = {"idempotencyKey": str(uuid4()), "orderId": str(uuid4()), "amount": {"amount": "10.5"}}
    return order | changes


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    """A backend that calls a service with a simulator behind it."""
    async with open_shop(tmp_path) as shop:
        yield Caller(shop)


async def test_a_payment_starts(caller: Caller) -> None:
    """The answer says where to send the customer, and the history names the key."""
    payload = await caller.pay(orderId="A-1")
    transaction = payload["transaction"]

    assert (payload["replayed"], payload["errors"]) == (False, [])
    assert transaction["status"] == "REQUIRES_ACTION"
    assert transaction["amount"] == {"amount": "10.50", "currency": "AZN"}
    assert transaction["nextAction"]["__typename"] == "RedirectAction"
    assert [edge["node"]["actor"] for edge in transaction["events"]["edges"]] == ["shop backend"] * 2
    assert [edge["node"]["status"] for edge in transaction["events"]["edges"]] == ["NEW", "REQUIRES_ACTION"]
    assert transaction["version"] == transaction["events"]["edges"][-1]["node"]["sequence"]


async def test_a_repetition_changes_nothing(caller: Caller) -> None:
    """The same key with the same input, however it is written, shows the same transaction."""
    order = an_order()
    first = await caller.pay(**order)
    again = await caller.pay(**(order | {"amount": {"amount": "10.50", "currency": "AZN"}, "description": None}))

    assert again["replayed"] is True
    assert again["transaction"] == first["transaction"]
    assert caller.shop.requests("pay") == 1


async def test_refusals_are_data(caller: Caller) -> None:
    """Each kind has its type, its code and the path of what is wrong."""
    order = an_order()
    first = await caller.pay(**order)
    conflict = await caller.pay(**(order | {"idempotencyKey": str(uuid4())}))
    refusals = [
        await caller.pay(**(order | {"amount": {"amount": "11.00"}})),
        conflict,
        await caller.pay(idempotencyKey="short"),
        await caller.pay(amount={"amount": "0.001"}),
        await caller.pay(metadata=[1]),
        await caller.pay(description="\ud800"),
    ]

    assert [(r["errors"][0]["__typename"], r["errors"][0]["code"], r["errors"][0]["path"]) for r in refusals] == [
        ("IdempotencyKeyReusedError", "IDEMPOTENCY_KEY_REUSED", ["input", "idempotencyKey"]),
        ("OrderConflictError", "ORDER_IN_PROGRESS", ["input", "orderId"]),
        ("GenericError", "INVALID_INPUT", ["input", "idempotencyKey"]),
        ("GenericError", "INVALID_INPUT", ["input", "amount", "amount"]),
        ("GenericError", "INVALID_INPUT", ["input", "metadata"]),
        ("GenericError", "INVALID_INPUT", ["input"]),
    ]
    assert all(refusal["transaction"] is None for refusal in refusals)
    assert conflict["errors"][0]["transaction"]["id"] == first["transaction"]["id"]


METADATA = {"b": [1, 2.5, -0.0, None, True, {"ə": "ş\n"}], "a": 2**80, "": {}, "1": 1.0}


async def test_metadata_comes_back_equal(caller: Caller) -> None:
    """From a variable: every kind of JSON value, in the order it had."""
    metadata = (await caller.pay(metadata=METADATA))["transaction"]["metadata"]

    assert metadata == METADATA
    assert list(metadata) == list(METADATA)
    assert [type(item) for item in metadata["b"]] == [type(item) for item in METADATA["b"]]  # type: ignore[attr-defined]


async def test_metadata_may_be_a_literal(caller: Caller) -> None:
    """Written as an object in the document, with a variable inside."""
    document = """mutation ($key: IdempotencyKey!, $cart: String, $none: Int) { pay(input: {
      idempotencyKey: $key, orderId: "M-1", amount: {amount: "1"},
      metadata: {cart: $cart, no: $none, items: [{x: 1.5}, $none]}
    }) { transaction { metadata } } }"""
    data = await caller.run(document, key=str(uuid4()), cart="c-1")

    assert data["pay"]["transaction"]["metadata"] == {"cart": "c-1", "items": [{"x": 1.5}, None]}


async def test_refunds_stay_within_the_payment(caller: Caller) -> None:
    """A part goes back, and what is too much is refused with what is left."""
    transaction = await caller.paid("R-1")
    document = """mutation ($input: RefundInput!) { refund(input: $input) {
      refund { amount { amount } transaction { status refundedAmount { amount } refundableAmount { amount } } }
      errors { code path ... on RefundExceedsRefundableError { refundable { amount currency } } }
    } }"""
    refund = {"transaction": {"id": transaction["id"]}, "amount": {"amount": "4"}}
    done = (await caller.run(document, input=refund | {"idempotencyKey": str(uuid4())}))["refund"]
    refund["amount"] = {"amount": "6.51"}
    too_much = (await caller.run(document, input=refund | {"idempotencyKey": str(uuid4())}))["refund"]

    assert done["errors"] == []
    assert done["refund"]["transaction"] == {
        "status": "SUCCESS",
        "refundedAmount": {"amount": "4.00"},
        "refundableAmount": {"amount": "6.50"},
    }
    assert too_much["refund"] is None
    assert too_much["errors"] == [
        {
            "code": "REFUND_EXCEEDS_REFUNDABLE",
            "path": ["input", "amount"],
            "refundable": {"amount": "6.50", "currency": "AZN"},
        }
    ]


async def test_a_transaction_made_elsewhere_is_asked_about_and_adopted(caller: Caller) -> None:
    """`gatewayStatus` records nothing; `refreshTransaction` does."""
    gateway_id = await caller.shop.made_elsewhere("E-1")
    status = (
        "query ($id: String!) { gatewayStatus(transactionId: $id) { status amount orderId transaction { id } } }"
    )
    before = (await caller.run(status, id=gateway_id))["gatewayStatus"]
    adopted = (await caller.run(REFRESH, by={"gatewayTransactionId": gateway_id}))["refreshTransaction"]
    after = (await caller.run(status, id=gateway_id))["gatewayStatus"]

    assert before == {"status": "success", "amount": "10.00", "orderId": "E-1", "transaction": None}
    assert adopted["errors"] == []
    assert adopted["transaction"] | {"id": None} == {
        "id": None,
        "status": "SUCCESS",
        "adopted": True,
        "operation": "UNKNOWN",
        "orderId": "E-1",
    }
    assert after["transaction"] == {"id": adopted["transaction"]["id"]}


async def test_saved_cards_have_both_names(caller: Caller) -> None:
    """Ours and EPoint's lead to the same card."""
    card = await caller.shop.saved_card()
    document = """query ($by: SavedCardBy!) { savedCard(by: $by) {
      id cardId status details { mask } nextAction { __typename }
    } }"""
    by_id = await caller.run(document, by={"id": card.id})
    by_card_id = await caller.run(document, by={"cardId": card.card_id})

    assert by_id == by_card_id
    assert by_id["savedCard"] == {
        "id": card.id,
        "cardId": card.card_id,
        "status": "ACTIVE",
        "details": {"mask": "411111******1111"},
        "nextAction": None,
    }


@pytest.mark.parametrize(
    "document",
    [
        '{ found: transaction(by: {id: "nonsense"}) { id } }',
        '{ found: transaction(by: {id: ""}) { id } }',
        '{ found: transaction(by: {orderId: "none"}) { id } }',
        '{ found: savedCard(by: {cardId: "none"}) { id } }',
        '{ found: node(id: "tr_none") { id } }',
        '{ found: node(id: "ev_tr_none_1") { id } }',
        '{ found: node(id: "ev_") { id } }',
        '{ found: node(id: "") { id } }',
    ],
)
async def test_what_does_not_exist_is_null(caller: Caller, document: str) -> None:
    """Ids that never were and ids that are no ids look the same."""
    assert await caller.run(document) == {"found": None}


async def test_node_finds_every_kind_of_object(caller: Caller) -> None:
    """Each id leads back to its object."""
    transaction = await caller.shop.paid("10.00", order_id="N-1")
    refund = await caller.shop.refund(transaction, "1.00")
    card = await caller.shop.saved_card()
    await caller.shop.callback(**success_of(transaction))
    callbacks = (await caller.run("{ callbacks { edges { node { id } } } }"))["callbacks"]["edges"]
    history = await caller.shop.history(transaction.id)
    found = [
        (await caller.run("query ($id: ID!) { node(id: $id) { __typename id } }", id=object_id))["node"]
        for object_id in (transaction.id, refund.id, card.id, callbacks[0]["node"]["id"], *(e.id for e in history))
    ]

    assert {node["__typename"] for node in found} == {
        "Transaction",
        "Refund",
        "SavedCard",
        "Callback",
        "StatusChanged",
        "RefundChanged",
    }
    assert [node["id"] for node in found][:3] == [transaction.id, refund.id, card.id]


PAGES = """query ($first: Int, $after: String, $last: Int, $before: String, $orderBy: TransactionOrder!,
  $filter: TransactionFilter) {
  transactions(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy, filter: $filter) {
    edges { node { orderId } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


@pytest.mark.parametrize(
    ("order_by", "expected"), [("CREATED_AT_DESC", ["P-4", "P-3", "P-2", "P-1", "P-0"]), ("UPDATED_AT_ASC", None)]
)
async def test_transactions_are_paged_both_ways(caller: Caller, order_by: str, expected: list[str] | None) -> None:
    """Walking forwards and backwards sees each one once, in the same order."""
    for number in range(5):
        await caller.pay(orderId=f"P-{number}")
    await caller.run(REFRESH, by={"orderId": "P-0"})

    forwards: list[str] = []
    page: dict[str, Any] = {"endCursor": None, "hasNextPage": True}
    while page["hasNextPage"]:
        answer = (await caller.run(PAGES, first=2, after=page["endCursor"], orderBy=order_by))["transactions"]
        forwards += order_ids(answer["edges"])
        page = answer["pageInfo"]
    backwards: list[str] = []
    page = {"startCursor": None, "hasPreviousPage": True}
    while page["hasPreviousPage"]:
        answer = (await caller.run(PAGES, last=2, before=page["startCursor"], orderBy=order_by))["transactions"]
        backwards = order_ids(answer["edges"]) + backwards
        page = answer["pageInfo"]

    assert forwards == backwards
    assert sorted(forwards) == [f"P-{number}" for number in range(5)]
    if expected:
        assert forwards == expected


def order_ids(edges: Iterable[dict[str, Any]]) -> list[str]:
    """The order ids of a page."""
    return [edge["node"]["orderId"] for edge in edges]


async def test_filters_all_hold(caller: Caller) -> None:
    """Status, operation, order and time each narrow the list."""
    await caller.paid("F-1")
    await caller.pay(orderId="F-2")
    filters: list[tuple[dict[str, Any], list[str]]] = [
        ({"statusIn": ["SUCCESS"]}, ["F-1"]),
        ({"statusIn": ["SUCCESS", "REQUIRES_ACTION"]}, ["F-2", "F-1"]),
        ({"statusIn": []}, []),
        ({"operationIn": ["PAYOUT"]}, []),
        ({"orderId": "F-2", "operationIn": ["PAY"]}, ["F-2"]),
        ({"createdFrom": "2020-01-01T00:00:00+04:00"}, ["F-2", "F-1"]),
        ({"createdBefore": "2020-01-01T00:00:00Z"}, []),
    ]

    for only, expected in filters:
        answer = (await caller.run(PAGES, filter=only, orderBy="CREATED_AT_DESC"))["transactions"]
        assert order_ids(answer["edges"]) == expected, only


async def test_a_cursor_of_another_order_is_refused(caller: Caller) -> None:
    """Going on in a list that is sorted differently would skip some and repeat others."""
    await caller.pay()
    answer = (await caller.run(PAGES, orderBy="CREATED_AT_DESC"))["transactions"]
    error = await caller.refused(PAGES, after=answer["pageInfo"]["endCursor"], orderBy="UPDATED_AT_ASC")

    assert "`after`" in error["message"]
    assert error["extensions"] == {"code": "INVALID_INPUT"}


async def test_a_final_transaction_completes_the_stream(caller: Caller) -> None:
    """One snapshot, and the end."""
    await caller.paid("S-1")
    seen = await caller.watch(
        'subscription { transactionUpdated(by: {orderId: "S-1"}) { kind transaction { status } } }'
    )

    assert seen == [{"transactionUpdated": {"kind": "SNAPSHOT", "transaction": {"status": "SUCCESS"}}}]


@pytest.mark.parametrize(
    "document",
    [
        'subscription { transactionUpdated(by: {orderId: "none"}) { kind } }',
        'subscription { savedCardUpdated(by: {id: "none"}) { kind } }',
    ],
)
async def test_what_does_not_exist_cannot_be_watched(caller: Caller, document: str) -> None:
    """The stream ends with one error that says so."""
    (error,) = await caller.watch(document)

    assert error["extensions"] == {"code": "NOT_FOUND"}


async def test_the_feed_resumes_without_loss(caller: Caller) -> None:
    """Whoever goes on after a cursor, from the query or the subscription, gets the rest and nothing twice."""
    await caller.paid("L-1")
    document = "subscription ($after: String) { events(after: $after) { cursor event { id } } }"
    whole = (await caller.run("{ events { edges { cursor node { id } } } }"))["events"]["edges"]
    start = [message["events"] for message in await caller.watch(document, 2)]
    rest = [
        message["events"] for message in await caller.watch(document, len(whole) - 2, after=start[-1]["cursor"])
    ]

    assert [(edge["cursor"], edge["node"]["id"]) for edge in whole] == [
        (message["cursor"], message["event"]["id"]) for message in start + rest
    ]


async def test_a_feed_does_not_start_at_a_wrong_cursor(caller: Caller) -> None:
    """Starting elsewhere would look like going on."""
    (error,) = await caller.watch('subscription { events(after: "x") { cursor } }')

    assert error["extensions"] == {"code": "INVALID_INPUT"}


async def test_the_viewer_is_the_credential(caller: Caller) -> None:
    """A client can see what its key may do."""
    data = await caller.run("{ viewer { level scopes sandbox expiresAt } }")

    assert data["viewer"] == {
        "level": "SECRET_KEY",
        "scopes": sorted(scope.value for scope in Scope),
        "sandbox": True,
        "expiresAt": None,
    }
