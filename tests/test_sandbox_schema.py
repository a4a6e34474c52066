"""What the contract of the sandbox has and that of production has not, and how it plays with the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from graphql import OperationDefinitionNode, get_introspection_query, parse, validate

from gql_epoint.keys import DEVELOPMENT_KEY, digest_of
from gql_epoint.schema import build_schema
from gql_epoint.schema.access import Credential
from gql_epoint.schema.context import RequestContext
from gql_epoint.web.explorer_page import Tab, explorer_tabs
from tests.service import Client, Service
from tests.test_access import DOCUMENTS, EVERY_KEY

PRODUCTION = build_schema()
SANDBOX = build_schema(sandbox=True)
PLAYING = {name: text for name, text in DOCUMENTS.items() if "simulator" in name}

PAY = """mutation Pay($input: PayInput!) { pay(input: $input) { transaction { id gateway { transactionId } } } }"""
APPROVE = """mutation Approve($by: SimulatorBy!, $amount: Decimal, $callback: SimulatorCallbackInput) {
  simulatorApprove(by: $by, amount: $amount, callback: $callback) {
    simulatorTransaction { gatewayTransactionId status bankCode callbacks { number state } } errors { code message }
  }
}"""
STATUS = "query Status($order: String!) { transaction(by: {orderId: $order}) { status } }"


# -- production has none of it ------------------------------------------------------------------------------------


async def introspected(schema: Any, credential: Credential) -> Any:
    nothing: Any = None
    context = RequestContext(
        cashier=nothing, credential=credential, merchant="i1", sandbox=False, request_id="req-1"
    )
    query = get_introspection_query(descriptions=False)
    return (await schema.execute(query, context_value=context)).data["__schema"]


async def test_production_has_no_trace_of_the_simulator() -> None:
    """No field, type or directive: whoever explores a live service cannot even learn of it."""
    live = await introspected(PRODUCTION, EVERY_KEY)
    played = await introspected(SANDBOX, EVERY_KEY)

    assert not [one["name"] for one in live["types"] if "imulator" in one["name"]]
    assert not [
        field["name"] for one in live["types"] for field in one["fields"] or () if "imulator" in field["name"]
    ]
    assert "sandboxOnly" not in {one["name"] for one in live["directives"]}
    assert {one["name"] for one in live["types"]} < {one["name"] for one in played["types"]}


@pytest.mark.parametrize("name", PLAYING)
def test_production_does_not_know_the_fields(name: str) -> None:
    """A document that plays is not valid there, and is valid in the sandbox."""
    schemas = [one._schema for one in (PRODUCTION, SANDBOX)]  # noqa: SLF001
    live, played = (validate(schema, parse(PLAYING[name])) for schema in schemas)

    assert ["Cannot query field" in error.message for error in live] == [True]
    assert played == []


def test_everything_that_plays_is_marked() -> None:
    """The committed contract says of each such field that it is for the sandbox, and of no other."""
    lines = SANDBOX.as_str().splitlines()
    marked = [line for line in lines if "@sandboxOnly" in line and not line.startswith("directive")]

    assert len(marked) == len(PLAYING)
    assert "@sandboxOnly" not in PRODUCTION.as_str()


async def test_a_service_outside_the_sandbox_refuses_it(start_service: Callable[..., Service]) -> None:
    """The real program, with the settings of a live one: neither introspection nor a document finds a way."""
    live = start_service(
        GQL_EPOINT_SANDBOX="0",
        EPOINT_PUBLIC_KEY="i000000001",
        EPOINT_PRIVATE_KEY="not-the-key-of-the-documents-but-as-long-as-it",
        GQL_EPOINT_SECRET_KEYS=_key_line(),
        GQL_EPOINT_GATEWAY_URL="https://epoint.az",
    )
    async with live.client(_SECRET) as client:
        types = await client.data("{ __schema { types { name } } }")
        refused = await client.execute(PLAYING["Mutation.simulatorApprove"])

    assert not [one["name"] for one in types["__schema"]["types"] if "imulator" in one["name"]]
    assert "Cannot query field 'simulatorApprove'" in refused["errors"][0]["message"]


_SECRET = "sk_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


def _key_line() -> str:
    return f"shop:PAYMENTS_READ+PAYMENTS_WRITE:{digest_of(_SECRET)}"


# -- playing ------------------------------------------------------------------------------------------------------


async def ordered(client: Client, order: str) -> dict[str, Any]:
    """Start a payment and return it."""
    variables = {"idempotencyKey": f"sandbox-schema-{order}", "orderId": order, "amount": {"amount": "12.50"}}
    return dict((await client.data(PAY, input=variables))["pay"]["transaction"])


async def until(client: Client, order: str, status: str) -> None:
    """Wait until the service says so of an order."""
    async with asyncio.timeout(10):
        while (await client.data(STATUS, order=order))["transaction"]["status"] != status:
            await asyncio.sleep(0.05)


async def approved(client: Client, by: dict[str, str], **more: Any) -> dict[str, Any]:
    payload = (await client.data(APPROVE, by=by, **more))["simulatorApprove"]
    assert payload["errors"] == []
    return dict(payload["simulatorTransaction"])


@pytest.mark.parametrize("kind", ["transactionId", "orderId", "gatewayTransactionId"])
async def test_a_customer_pays_without_a_browser(client: Client, kind: str) -> None:
    """Whatever the transaction is named by; the callback arrives as from the page."""
    order = f"played-{kind}"
    made = await ordered(client, order)
    names = {
        "transactionId": made["id"],
        "orderId": order,
        "gatewayTransactionId": made["gateway"]["transactionId"],
    }
    shown = await approved(client, {kind: names[kind]})

    assert (shown["gatewayTransactionId"], shown["status"], shown["bankCode"]) == (
        made["gateway"]["transactionId"],
        "success",
        "000",
    )
    await until(client, order, "SUCCESS")


async def test_a_card_is_saved_without_a_browser(client: Client) -> None:
    """A registration has no order, so its card names it."""
    save = """mutation { saveCard(input: {idempotencyKey: "sandbox-schema-card"}) { savedCard { id status } } }"""
    card = (await client.data(save))["saveCard"]["savedCard"]
    await approved(client, {"savedCardId": card["id"]})
    read = "query Card($id: ID!) { savedCard(by: {id: $id}) { status } }"
    async with asyncio.timeout(10):
        while (await client.data(read, id=card["id"]))["savedCard"]["status"] != "ACTIVE":
            await asyncio.sleep(0.05)

    assert card["status"] == "PENDING"


async def test_a_bank_declines_with_a_code(client: Client) -> None:
    """The service takes the code from the callback."""
    await ordered(client, "played-decline")
    decline = """mutation { simulatorDecline(by: {orderId: "played-decline"}, bankCode: "208") {
      simulatorTransaction { status bankCode } errors { code } } }"""
    payload = (await client.data(decline))["simulatorDecline"]
    await until(client, "played-decline", "FAILED")
    failure = '{ transaction(by: {orderId: "played-decline"}) { failure { bankCode } } }'

    assert payload == {"simulatorTransaction": {"status": "failed", "bankCode": "208"}, "errors": []}
    assert (await client.data(failure))["transaction"]["failure"]["bankCode"] == "208"


async def test_the_tabs_of_the_explorer_play_the_whole_journey(start_service: Callable[..., Service]) -> None:
    """Pay, act as the customer, ask: nothing but GraphiQL is needed."""
    pay, _watch, status, *_ = explorer_tabs(sandbox=True)
    (act,) = [tab for tab in explorer_tabs(sandbox=True) if "ActAsCustomer" in tab.query]
    async with start_service().client() as client:

        async def run(tab: Tab) -> Any:
            return await client.data(tab.query, **json.loads(tab.variables or "{}"))

        await run(pay)
        played = await run(act)
        async with asyncio.timeout(10):
            while (shown := (await run(status))["transaction"])["status"] != "SUCCESS":
                await asyncio.sleep(0.05)

    assert played["simulatorApprove"]["errors"] == []
    assert shown["card"]["mask"] == played["simulatorApprove"]["simulatorTransaction"]["cardMask"]


@pytest.mark.parametrize(("settling", "status"), [("Capture", "SUCCESS"), ("LetGo", "VOIDED")])
async def test_the_tabs_of_the_explorer_hold_and_settle(
    start_service: Callable[..., Service], settling: str, status: str
) -> None:
    """Hold, act as the customer, and take a part or let go; what was taken is refunded by the tab for refunds."""
    tabs = {operation_of(tab): tab for tab in explorer_tabs(sandbox=True)}
    order = json.loads(tabs["Hold"].variables or "")["input"]["orderId"]
    async with start_service().client() as client:

        async def run(name: str, **changes: Any) -> Any:
            variables = json.loads(tabs[name].variables or "") | changes
            (payload,) = (await client.data(tabs[name].query, **variables)).values()
            assert payload["errors"] == []
            return payload

        await run("Hold")
        await run("ActAsCustomer", orderId=order)
        await until(client, order, "AUTHORIZED")
        settled = (await run(settling))["transaction"]
        if status == "SUCCESS":
            refund = json.loads(tabs["Refund"].variables or "")["input"] | {"transaction": {"orderId": order}}
            given = (await run("Refund", input=refund))["refund"]

            assert (settled["capturedAmount"]["amount"], settled["amount"]["amount"]) == ("55.00", "80.00")
            assert given["transaction"]["refundableAmount"]["amount"] == "51.00"

    assert settled["status"] == status


def operation_of(tab: Tab) -> str:
    """Return the name of a tab's operation, which is its title."""
    (operation,) = parse(tab.query).definitions
    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    return operation.name.value


@pytest.mark.parametrize("lie", [{"amount": "1.25"}, {"callback": {"amount": "1.25"}}])
async def test_another_amount_than_ordered_goes_to_a_person(client: Client, lie: dict[str, Any]) -> None:
    """Whether EPoint took another one or its callback only says so."""
    order = f"played-amount-{'callback' in lie}"
    await ordered(client, order)
    await approved(client, {"orderId": order}, **lie)

    await until(client, order, "REQUIRES_REVIEW")


async def test_a_cabinet_refund_is_found_by_asking(client: Client) -> None:
    """No callback tells of it."""
    await ordered(client, "played-refund")
    await approved(client, {"orderId": "played-refund"})
    await until(client, "played-refund", "SUCCESS")
    refund = """mutation { simulatorRefund(by: {orderId: "played-refund"}) {
      errors { code } simulatorTransaction { status refunded { amount } } } }"""
    payload = (await client.data(refund))["simulatorRefund"]
    await client.data('mutation { refreshTransaction(by: {orderId: "played-refund"}) { replayed } }')

    assert payload == {
        "errors": [],
        "simulatorTransaction": {"status": "returned", "refunded": {"amount": "12.50"}},
    }
    await until(client, "played-refund", "RETURNED")


async def test_callbacks_are_delayed_lost_hurried_and_repeated(client: Client) -> None:
    """The network is played as well: lost, sent again late, hurried, and doubled."""
    order = "played-callbacks"
    await ordered(client, order)
    lost = await approved(client, {"orderId": order}, callback={"drop": True})
    resend = """mutation Resend($callback: SimulatorCallbackInput) {
      simulatorResendCallback(by: {orderId: "played-callbacks"}, callback: $callback) {
        errors { message } simulatorTransaction { callbacks { number state encoding signed } } } }"""

    async def sent(**callback: Any) -> list[dict[str, Any]]:
        payload = (await client.data(resend, callback=callback))["simulatorResendCallback"]
        assert payload["errors"] == []
        return list(payload["simulatorTransaction"]["callbacks"])

    assert [one["state"] for one in lost["callbacks"]] == ["DROPPED"]
    late = (await sent(delayMs=60_000, encoding="MULTIPART"))[-1]
    later = (await sent(delayMs=60_000, badSignature=True))[-1]
    drop = "mutation Drop($number: Int!) { simulatorDropCallback(number: $number) { errors { code } } }"
    send = "mutation Send($number: Int!) { simulatorSendCallback(number: $number) { errors { code } } }"
    assert (late["state"], late["encoding"], later["signed"]) == ("WAITING", "MULTIPART", False)
    assert (await client.data(STATUS, order=order))["transaction"]["status"] == "REQUIRES_ACTION"

    dropped = await client.data(drop, number=later["number"])
    hurried = await client.data(send, number=late["number"])
    assert (dropped, hurried) == (
        {"simulatorDropCallback": {"errors": []}},
        {"simulatorSendCallback": {"errors": []}},
    )
    await until(client, order, "SUCCESS")
    assert len(await sent(copies=2)) == 5
    again = await client.data(drop, number=later["number"])
    assert again == {"simulatorDropCallback": {"errors": [{"code": "NOT_FOUND"}]}}


async def test_callbacks_are_reordered(start_service: Callable[..., Service]) -> None:
    """The later of two comes first; both are taken."""
    shown = "query ($by: SimulatorBy!) { simulatorTransaction(by: $by) { callbacks { attempts { at } } } }"
    delivered = []
    async with start_service().client() as client:
        for order in ("played-first", "played-second"):
            await ordered(client, order)
            await approved(client, {"orderId": order}, callback={"reorder": 2})
        for order in ("played-first", "played-second"):
            await until(client, order, "SUCCESS")
            (callback,) = (await client.data(shown, by={"orderId": order}))["simulatorTransaction"]["callbacks"]
            delivered.append(callback["attempts"][0]["at"])
    first, second = delivered

    assert second < first


HOLD = "mutation Hold($input: PreauthorizeInput!) { preauthorize(input: $input) { transaction { id } } }"


async def holding(client: Client, order: str) -> None:
    """Hold 12.50 on a customer's card."""
    variables = {"idempotencyKey": f"sandbox-schema-{order}", "orderId": order, "amount": {"amount": "12.50"}}
    await client.data(HOLD, input=variables)
    await approved(client, {"orderId": order})
    await until(client, order, "AUTHORIZED")


@pytest.mark.parametrize(
    ("field", "word", "status"),
    [
        ('simulatorCapture(by: {orderId: "%s"}, amount: "5.00")', "captured", "REQUIRES_REVIEW"),
        ('simulatorCapture(by: {orderId: "%s"})', "captured", "AUTHORIZED"),
        ('simulatorRefund(by: {orderId: "%s"})', "released", "VOIDED"),
    ],
)
async def test_a_hold_is_taken_or_let_go_in_the_cabinet(client: Client, field: str, word: str, status: str) -> None:
    """No callback tells of it, and get-status says of a capture what it said of the hold: a person decides."""
    order = f"played-hold-{status}"
    await holding(client, order)
    document = f"mutation {{ {field % order} {{ errors {{ code }} simulatorTransaction {{ status }} }} }}"
    (first,) = (await client.data(document)).values()
    (second,) = (await client.data(document)).values()
    await client.data(f'mutation {{ refreshTransaction(by: {{orderId: "{order}"}}) {{ replayed }} }}')

    assert first == {"errors": [], "simulatorTransaction": {"status": word}}
    assert second["errors"] == [{"code": "INVALID_INPUT"}]
    assert (await client.data(STATUS, order=order))["transaction"]["status"] == status


REFUSED = {
    'simulatorApprove(by: {orderId: "nobody"})': "NOT_FOUND",
    'simulatorApprove(by: {gatewayTransactionId: "te/../0"})': "NOT_FOUND",
    'simulatorApprove(by: {savedCardId: "card_none"})': "NOT_FOUND",
    'simulatorApprove(by: {orderId: "refused"}, amount: "0.00")': "INVALID_INPUT",
    'simulatorApprove(by: {orderId: "refused"}, callback: {copies: 1000})': "INVALID_INPUT",
    'simulatorApprove(by: {orderId: "refused"}, callback: {delayMs: -1})': "INVALID_INPUT",
    'simulatorDecline(by: {orderId: "refused"}, bankCode: "000")': "INVALID_INPUT",
    'simulatorDecline(by: {orderId: "refused"}, bankCode: "no")': "INVALID_INPUT",
    'simulatorRefund(by: {orderId: "refused"})': "INVALID_INPUT",
    'simulatorResendCallback(by: {orderId: "refused"})': "INVALID_INPUT",
    "simulatorSendCallback(number: 0)": "NOT_FOUND",
    "simulatorDropCallback(number: -1)": "NOT_FOUND",
}


@pytest.fixture(scope="module")
async def refused_order(client: Client) -> None:
    await ordered(client, "refused")


@pytest.mark.usefixtures("refused_order")
@pytest.mark.parametrize("field", REFUSED)
async def test_what_cannot_be_played_is_data(client: Client, field: str) -> None:
    """A code to branch on, a sentence, and nothing has happened."""
    answer = await client.data(f"mutation {{ {field} {{ simulatorTransaction {{ status }} errors {{ code }} }} }}")
    (payload,) = answer.values()

    assert payload == {"simulatorTransaction": None, "errors": [{"code": REFUSED[field]}]}
    assert (await client.data(STATUS, order="refused"))["transaction"]["status"] == "REQUIRES_ACTION"


async def test_what_was_said_can_be_read(client: Client) -> None:
    """As sent and decoded, with the verdict on the signature; the list has the latest first."""
    await ordered(client, "played-said")
    query = """{ simulatorTransactions(first: 1) { orderId exchanges {
      path signature httpStatus requestBody request response durationMs } } }"""
    ((shown),) = (await client.data(query))["simulatorTransactions"]
    (exchange,) = shown["exchanges"]

    assert (shown["orderId"], exchange["path"], exchange["signature"], exchange["httpStatus"]) == (
        "played-said",
        "/api/1/request",
        "VALID",
        200,
    )
    assert (exchange["request"]["amount"], exchange["response"]["status"]) == ("12.50", "success")
    assert exchange["requestBody"].startswith("data=")
    assert exchange["durationMs"] is not None


async def test_nobody_there_is_null(client: Client) -> None:
    """A question about nothing is no error."""
    nobody = '{ simulatorTransaction(by: {orderId: "nobody"}) { status } }'

    assert await client.data(nobody) == {"simulatorTransaction": None}


async def test_the_simulator_can_be_watched(client: Client) -> None:
    """The state now, then each change: the callback is seen on its way until it is delivered."""
    await ordered(client, "played-watched")
    watch = """subscription { simulatorUpdated(by: {orderId: "played-watched"}) {
      status callbacks { state attempts { httpStatus } } } }"""
    seen = []
    async with asyncio.timeout(15):
        async for payload in client.subscribe(watch):
            seen.append(payload["data"]["simulatorUpdated"])
            if len(seen) == 1:
                await approved(client, {"orderId": "played-watched"})
            if [one["state"] for one in seen[-1]["callbacks"]] == ["DELIVERED"]:
                break

    assert seen[0] == {"status": "new", "callbacks": []}
    assert seen[-1] == {
        "status": "success",
        "callbacks": [{"state": "DELIVERED", "attempts": [{"httpStatus": 200}]}],
    }


async def test_everything_can_be_watched(client: Client) -> None:
    """Without a name each transaction comes when something happens to it, over SSE as well."""
    watch = "subscription { simulatorUpdated { orderId status } }"

    async def keep_ordering() -> None:
        # It says nothing until something happens, and nobody says when it has begun to look.
        for number in itertools.count():
            await ordered(client, f"played-feed-{number}")
            await asyncio.sleep(0.1)

    seen: list[dict[str, Any]] = []
    ordering = asyncio.create_task(keep_ordering())
    try:
        async with asyncio.timeout(15), contextlib.aclosing(client.stream(watch)) as stream:
            async for payload in stream:
                seen.append(payload["data"]["simulatorUpdated"])
                if seen[-1]["orderId"].startswith("played-feed-"):
                    break
    finally:
        ordering.cancel()

    assert seen[-1]["status"] == "new"


async def test_without_a_simulator_it_says_so(start_service: Callable[..., Service]) -> None:
    """Another program at its address, or none: a code, and no bug."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    service = start_service(GQL_EPOINT_GATEWAY_URL=f"http://127.0.0.1:{port}")
    async with service.client(DEVELOPMENT_KEY) as client:
        played = await client.data("mutation { simulatorSendCallback(number: 1) { errors { code } } }")
        listed = await client.execute("{ simulatorTransactions { status } }")
        (watched,) = [one async for one in client.stream("subscription { simulatorUpdated { status } }")]

    assert played == {"simulatorSendCallback": {"errors": [{"code": "GATEWAY_UNAVAILABLE"}]}}
    assert listed["errors"][0]["extensions"]["code"] == "GATEWAY_UNAVAILABLE"
    assert watched["errors"][0]["extensions"]["code"] == "GATEWAY_UNAVAILABLE"
