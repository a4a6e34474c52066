from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

import gql_epoint.simulator
from gql_epoint.epoint.operations import OPERATIONS
from gql_epoint.epoint.signing import seal
from gql_epoint.epoint.wire import Kind, Sending
from gql_epoint.simulator import Switches
from gql_epoint.simulator.desk import HANDLERS
from gql_epoint.simulator.facts import CALLBACK_FIELDS, CHARGE_FIELDS
from tests.simulator_client import (
    APPROVED,
    DECLINED,
    MERCHANT,
    OTHER_MERCHANT,
    PAY,
    SECURE,
    SILENT,
    SPLIT,
    World,
    world,
)


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_simulated(name):
    """An operation of the wire that the simulator lacks fails here by name."""
    assert name in HANDLERS
    operation = OPERATIONS[name]
    assert (operation.has_callback or operation.callback_disputed) == (name in CALLBACK_FIELDS)
    answered_like_charges = operation.kind is Kind.CHARGE and name not in (
        "refund",
        "capture",
        "apple_pay",
        "google_pay",
        "business_transfer",
    )
    assert answered_like_charges == (name in CHARGE_FIELDS)


def test_it_imports_only_the_wire():
    """Logic shared with the service cannot catch the service's mistakes, so nothing of it is imported."""
    allowed = ("gql_epoint.epoint", "gql_epoint.errors", "gql_epoint.simulator")
    imported = set()
    for path in Path(gql_epoint.simulator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
    ours = {name for name in imported if name.split(".")[0] == "gql_epoint"}

    assert ours
    assert set() == {name for name in ours if not f"{name}.".startswith(tuple(f"{root}." for root in allowed))}


@pytest.mark.parametrize("path", ["/api/heartbeat", "/api/1/heartbeat"])
async def test_heartbeat(sandbox: World, path):
    """Both addresses that clients use say ok."""
    assert (await sandbox.http.get(path)).json() == {"status": "ok"}


SIGNED = {name: operation for name, operation in OPERATIONS.items() if operation.sending is not Sending.GET}


@pytest.mark.parametrize("operation", SIGNED.values(), ids=SIGNED)
async def test_merchant_first_then_signature(sandbox: World, operation):
    """Each endpoint tells an unknown merchant from a wrong key, in EPoint's own words."""
    unknown = msgspec.structs.replace(MERCHANT, public_key="i999999999")
    wrong = msgspec.structs.replace(MERCHANT, private_key="wrong")
    answers = [await sandbox.post(operation.path, {}, merchant=merchant) for merchant in (unknown, wrong)]

    assert [answer.status_code for answer in answers] == [401 if operation.refuses_by_status else 200] * 2
    said = [(answer.json()["status"], answer.json()["message"]) for answer in answers]
    assert said == [("server_error", "Merchant not found"), ("server_error", "Signature did not match")]


@pytest.mark.parametrize(
    "send",
    [
        lambda sealed: {"data": sealed},
        lambda sealed: {"json": sealed},
        lambda sealed: {"files": {name: (None, value) for name, value in sealed.items()}},
    ],
    ids=["urlencoded", "json", "multipart"],
)
async def test_three_encodings(sandbox: World, send):
    """A request is read from each of the bodies that EPoint's clients send."""
    body = msgspec.json.encode({"public_key": MERCHANT.public_key, **PAY})
    sealed = msgspec.to_builtins(seal(MERCHANT.private_key, body))
    reply = (await sandbox.http.post("/api/1/request", **send(sealed))).json()

    assert reply["status"] == "success"


@pytest.mark.parametrize("body", [b"", b"nonsense", b"data=a", b"[]", b'{"data":1,"signature":2}', b"\xff\xfe"])
async def test_a_body_without_data_and_signature_is_an_error(sandbox: World, body):
    """What is no envelope gets EPoint's general error."""
    reply = (await sandbox.http.post("/api/1/request", content=body)).json()

    assert (reply["status"], reply["message"]) == ("error", "Invalid request parameters")


async def test_a_huge_body_is_refused(sandbox: World):
    """No request can fill the memory."""
    assert (await sandbox.http.post("/api/1/request", content=b"x" * 100_000)).status_code == 413


@pytest.mark.parametrize(
    ("path", "fields", "names"),
    [
        ("request", PAY, {"transaction", "redirect_url"}),
        ("split-request", SPLIT, {"transaction", "redirect_url"}),
        ("card-registration-with-pay", PAY, {"transaction", "redirect_url", "card_id"}),
        ("split-card-registration-with-pay", SPLIT, {"transaction", "redirect_url", "card_id"}),
        ("card-registration", {"language": "az"}, {"redirect_url", "card_id"}),
    ],
)
async def test_redirecting_operations(sandbox: World, path, fields, names):
    """Each answers with the fields of its table and ids of EPoint's shape."""
    reply = await sandbox.call(path, fields)

    assert names | {"status", "trace_id"} == set(reply)
    assert reply["status"] == "success"
    assert re.fullmatch(r"te\d{10}", reply.get("transaction", "te0000000000"))
    assert re.fullmatch(r"ce[0-9a-f-]{34}", reply.get("card_id", "ce" + "0" * 34))
    assert (await sandbox.status(reply["transaction"]))["status"] == "new" if "transaction" in reply else True


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("request", {"amount": None}, "The amount field is required."),
        ("request", {"amount": "0"}, "The amount field is invalid."),
        ("request", {"amount": "-5"}, "The amount field is invalid."),
        ("request", {"amount": "1.001"}, "The amount field is invalid."),
        ("request", {"amount": True}, "The amount field is invalid."),
        ("request", {"order_id": ""}, "The order_id field is required."),
        ("request", {"order_id": {}}, "The order_id field is invalid."),
        ("request", {"order_id": "x" * 256}, "The order_id field is too long."),
        ("request", {"description": "x" * 1001}, "The description field is too long."),
        ("request", {"currency": "GBP"}, "The currency field is invalid."),
        ("request", {"language": "de"}, "The language field is invalid."),
        ("request", {"success_redirect_url": "javascript:alert(1)"}, "The success_redirect_url field is invalid."),
        ("card-registration-with-pay", {"description": None}, "The description field is required."),
        ("split-request", {"currency": "USD"}, "The currency field is invalid."),
        ("split-request", {"split_user": "i123456789"}, "The split_user field is invalid."),
        ("split-request", {"split_amount": "30.76"}, "The split_amount field is invalid."),
        ("execute-pay", {}, "The card_id field is required."),
        ("reverse", {}, "The transaction field is required."),
        ("get-status", {"order_id": None}, "The transaction field is required."),
        ("get-status", {"order_id": "never-seen"}, "Transaction not found"),
        ("get-status", {"transaction": "te0000000000"}, "Transaction not found"),
        ("get-status-card", {"card_id": "ce-none"}, "Card not found"),
    ],
)
async def test_bad_requests(sandbox: World, path, change, message):
    """What EPoint cannot take is an `error` with a sentence and no transaction."""
    reply = await sandbox.call(path, {**SPLIT, **change})

    assert ("error", message) == (reply["status"], reply["message"])
    assert "transaction" not in reply


@pytest.mark.parametrize("amount", ["30.75", 30.75, 30, "30"])
async def test_amounts_as_text_and_number(sandbox: World, amount):
    """An amount comes as a string or a number, and goes out as the same number."""
    reply = await sandbox.call("request", {**PAY, "amount": amount})
    answer = await sandbox.post("/api/1/get-status", {"transaction": reply["transaction"]})

    assert f'"amount":{amount}'.encode() in answer.content


@pytest.mark.parametrize("order_id", ["order-a", 15])
async def test_get_status_by_order_is_the_latest(sandbox: World, order_id):
    """An order id finds its latest transaction, also as the number that EPoint's own example sends."""
    await sandbox.call("request", {**PAY, "order_id": order_id})
    latest = await sandbox.call("request", {**PAY, "order_id": order_id})
    found = await sandbox.call("get-status", {"order_id": order_id})

    assert (latest["transaction"], str(order_id)) == (found["transaction"], found["order_id"])


async def test_get_status_of_a_payment(sandbox: World):
    """All documented fields are there, with the bank's code and exact amount."""
    reply = await sandbox.paid(other_attr={"a": 1})
    found = await sandbox.status(reply["transaction"])
    kept = {name: found.pop(name) for name in ("bank_transaction", "rrn", "trace_id")}

    assert all(kept.values())
    assert {
        "status": "success",
        "code": "000",
        "message": "Confirmed",
        "transaction": reply["transaction"],
        "order_id": "order-1",
        "bank_response": "000",
        "operation_code": "100",
        "card_name": "TEST CARDHOLDER",
        "card_mask": "411111******1111",
        "amount": 30.75,
        "other_attr": '{"a":1}',
    } == found


async def test_get_status_of_a_decline(sandbox: World):
    """A decline is `error` with a transaction, and nothing that only a success has."""
    found = await sandbox.status((await sandbox.paid(DECLINED))["transaction"])

    assert (found["status"], found["code"], found["message"]) == ("error", "116", "Declined, insufficient funds")
    assert (found["rrn"], found["bank_transaction"]) == (None, None)


async def test_another_merchant_sees_nothing(sandbox: World):
    """Transactions and cards belong to one merchant."""
    paid, card = await sandbox.paid(), await sandbox.saved_card()
    asked = [
        ("get-status", {"transaction": paid["transaction"]}),
        ("reverse", {"transaction": paid["transaction"], "currency": "AZN"}),
        ("get-status-card", {"card_id": card}),
        ("execute-pay", {**PAY, "card_id": card}),
    ]
    replies = [await sandbox.call(path, fields, merchant=OTHER_MERCHANT) for path, fields in asked]

    assert [reply["status"] for reply in replies] == ["error", "failed", "error", "failed"]


@pytest.mark.parametrize("name", ["card_id", "card_uid"])
@pytest.mark.parametrize(
    ("path", "fields", "extra"),
    [("execute-pay", PAY, {}), ("split-execute-pay", SPLIT, {"split_amount": 10})],
)
async def test_charges(sandbox: World, name, path, fields, extra):
    """A saved card is charged at once, by either name of its id, with the fields of the table and no code."""
    reply = await sandbox.call(path, {**fields, name: await sandbox.saved_card()})
    kept = {field: reply.pop(field) for field in ("transaction", "bank_transaction", "rrn", "trace_id")}

    assert all(kept.values())
    assert {
        "status": "success",
        "message": "Confirmed",
        "bank_response": "000",
        "card_name": "TEST CARDHOLDER",
        "card_mask": "411111******1111",
        "amount": 30.75,
        **extra,
    } == reply


async def test_a_charge_is_declined_by_plan_or_by_card(sandbox: World):
    """An order can be declined once, a card from now on; the transaction then exists and failed."""
    card = await sandbox.saved_card()
    await sandbox.control("PUT", "/orders/unlucky", {"bank_code": "208"})
    by_plan = await sandbox.call("execute-pay", {**PAY, "order_id": "unlucky", "card_id": card})
    await sandbox.control("PUT", f"/cards/{card}", {"code": "116"})
    by_card = await sandbox.call("execute-pay", {**PAY, "card_id": card})

    assert [(reply["status"], reply["bank_response"]) for reply in (by_plan, by_card)] == [
        ("failed", "208"),
        ("failed", "116"),
    ]
    assert (await sandbox.status(by_card["transaction"]))["status"] == "error"


async def test_payouts_and_charges_need_their_own_kind_of_card(sandbox: World):
    """A payout goes to a card registered with refund=1, a charge does not; else nothing is written down."""
    debit, payout = await sandbox.saved_card(), await sandbox.saved_card(refund=1)
    before = len(sandbox.state.books.transactions)
    statuses = [
        (await sandbox.call(path, {**PAY, "card_id": card}))["status"]
        for path, card in [
            ("refund-request", debit),
            ("execute-pay", payout),
            ("refund-request", payout),
            ("execute-pay", debit),
        ]
    ]

    assert statuses == ["failed", "failed", "success", "success"]
    assert before + 2 == len(sandbox.state.books.transactions)


@pytest.mark.parametrize("state", ["new", "pending", "rejected", "expired", "session_expired"])
async def test_only_an_active_card_can_be_used(sandbox: World, state):
    """Every other state refuses the charge."""
    card = await sandbox.saved_card()
    await sandbox.control("PUT", f"/cards/{card}", {"state": state})

    assert (await sandbox.call("execute-pay", {**PAY, "card_id": card}))["status"] == "failed"
    assert state == (await sandbox.call("get-status-card", {"card_id": card}))["status"]


async def test_the_life_of_a_card(sandbox: World):
    """A card is new, pending at the 3-D Secure step, then active with name and mask, or rejected."""
    reply = await sandbox.call("card-registration", {"language": "en", "description": "my card"})
    ask = {"card_id": reply["card_id"]}
    seen = [await sandbox.call("get-status-card", ask)]
    await sandbox.submit(reply["redirect_url"], SECURE)
    seen.append(await sandbox.call("get-status-card", ask))
    await sandbox.http.post(reply["redirect_url"], data={"decision": "confirm"})
    seen.append(await sandbox.call("get-status-card", ask))
    await sandbox.shop.callback()
    rejected = await sandbox.saved_card(DECLINED)

    assert [card["status"] for card in seen] == ["new", "pending", "active"]
    assert {"id", "name", "mask", "status", "expired_date", "description", "trace_id"} == set(seen[2])
    assert (
        seen[2]["name"],
        seen[2]["mask"],
        seen[2]["description"],
    ) == ("TEST CARDHOLDER", "400000******3220", "my card")
    assert (await sandbox.call("get-status-card", {"card_id": rejected}))["status"] == "rejected"


async def test_refunds_add_up(sandbox: World):
    """Parts can be refunded until nothing is left; get-status says returned only then."""
    name = (await sandbox.paid())["transaction"]
    seen = []
    for amount in ("10.00", "20.76", "20.74", None, None):
        ask = {"language": "en", "transaction": name, "currency": "AZN", "amount": amount}
        reply = await sandbox.call("reverse", ask)
        seen.append((reply["status"], (await sandbox.status(name))["status"]))

    assert seen == [
        ("success", "success"),
        ("failed", "success"),
        ("success", "success"),
        ("success", "returned"),
        ("failed", "returned"),
    ]


async def test_what_cannot_be_refunded(sandbox: World):
    """An unpaid, a declined, and a paid-out transaction, another currency, and a bank that refuses."""
    new = (await sandbox.call("request", PAY))["transaction"]
    declined = (await sandbox.paid(DECLINED))["transaction"]
    payout = await sandbox.call("refund-request", {**PAY, "card_id": await sandbox.saved_card(refund=1)})
    paid = (await sandbox.paid(order_id="stubborn"))["transaction"]
    asks = [(new, "AZN"), (declined, "AZN"), (payout["transaction"], "AZN"), (paid, "USD")]
    replies = [await sandbox.call("reverse", {"transaction": name, "currency": word}) for name, word in asks]
    await sandbox.control("PUT", "/orders/stubborn", {"bank_code": "907"})
    replies.append(await sandbox.call("reverse", {"transaction": paid, "currency": "AZN"}))

    assert [reply["status"] for reply in replies] == ["failed"] * 5
    assert (await sandbox.status(paid))["status"] == "success"


async def test_a_silent_card_leaves_a_payment_open(sandbox: World):
    """The page says processing, no callback comes, the status stays new; saving the card alone works."""
    reply = await sandbox.call("request", PAY)
    await sandbox.submit(reply["redirect_url"], SILENT)
    page = await sandbox.http.get(reply["redirect_url"])

    assert "being processed" in page.text
    assert (await sandbox.status(reply["transaction"]))["status"] == "new"
    assert sandbox.shop.received.empty()
    assert (await sandbox.call("get-status-card", {"card_id": await sandbox.saved_card(SILENT)}))[
        "status"
    ] == "active"


async def test_switches():
    """Each choice that EPoint's documents leave open can be turned the other way."""
    switches = Switches(
        decline_word="failed",
        code_in_charge_reply=True,
        bank_response="text",
        refuse_duplicate_orders=True,
        returned_after="any",
        bare_failures=True,
        trace_id=False,
        amount_as_text=True,
    )
    async with world(switches=switches) as other:
        await other.control("PUT", "/settings", {"switches": {"payment_currencies": ["AZN"]}})
        declined = await other.status((await other.paid(DECLINED))["transaction"])
        repeated = await other.call("request", PAY)
        dollars = await other.call("request", {**PAY, "order_id": "2", "currency": "USD"})
        card = await other.saved_card(APPROVED)
        charge = await other.call("execute-pay", {**PAY, "order_id": "3", "card_id": card})
        await other.call("reverse", {"transaction": charge["transaction"], "amount": "1"})

        assert (declined["status"], declined["card_mask"], declined["amount"]) == ("failed", None, None)
        assert (repeated["status"], repeated["message"]) == ("error", "The order_id has already been used.")
        assert dollars["status"] == "error"
        assert (charge["code"], charge["bank_response"], charge["amount"]) == ("000", "Confirmed", "30.75")
        assert "trace_id" not in charge
        assert (await other.status(charge["transaction"]))["status"] == "returned"
