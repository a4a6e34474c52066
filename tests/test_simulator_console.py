"""What the console shows and does, over HTTP; tests/browser/test_console.py presses its buttons."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import msgspec
import pytest

from gql_epoint.epoint.signing import seal
from gql_epoint.simulator import SimulatorSettings, running
from gql_epoint.simulator.console.journal import TEXT_CHARACTERS_MAX, hide_cards, shorten
from gql_epoint.simulator.console.views import features_of
from tests.simulator_client import APPROVED, MERCHANT, OTHER_MERCHANT, PAY, World, world


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


def sealed_form_of(raw: bytes):
    sealed = seal(MERCHANT.private_key, raw)
    return {"data": sealed.data, "signature": sealed.signature}


async def details(sandbox: World, name: str):
    return await sandbox.control("GET", f"/transactions/{name}")


@asynccontextmanager
async def live(sandbox: World):
    """The stream of changes: yields a function that waits for the next event."""
    async with sandbox.http.stream("GET", "/_control/live") as answer:
        lines = answer.aiter_lines()

        async def following():
            async with asyncio.timeout(5):
                async for line in lines:
                    if line.startswith("data: "):
                        return json.loads(line.removeprefix("data: "))
            raise AssertionError("the stream has ended")

        yield following


# -- what was said ----------------------------------------------------------------------------------------


async def test_an_exchange_is_shown_as_sent_and_decoded(sandbox: World):
    """The envelope byte for byte, what is in it, the verdict on its signature, and the answer."""
    reply = await sandbox.call("request", {**PAY, "order_id": "shown"})
    shown = await details(sandbox, reply["transaction"])
    (exchange,) = shown["exchanges"]
    fields = json.loads(exchange["decoded"])
    data = base64.b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode()

    assert (exchange["method"], exchange["path"], exchange["operation"]) == ("POST", "/api/1/request", "pay")
    assert {"public_key": MERCHANT.public_key, **PAY, "order_id": "shown"} == fields
    assert dict(httpx.QueryParams(exchange["request"])) == {
        "data": data,
        "signature": seal(MERCHANT.private_key, base64.b64decode(data)).signature,
    }
    assert (exchange["signature"], exchange["http_status"]) == ("valid", 200)
    assert json.loads(exchange["reply"]) == reply == json.loads(exchange["reply_decoded"])


async def test_numbers_are_shown_as_they_were_written(sandbox: World):
    """30.50 does not become 30.5 on the way to the eye."""
    reply = await sandbox.call("request", {**PAY, "other_attr": msgspec.Raw(b"30.50")})
    (exchange,) = (await details(sandbox, reply["transaction"]))["exchanges"]

    assert '"other_attr": 30.50' in exchange["decoded"]


async def test_a_transaction_has_all_that_was_said_about_it(sandbox: World):
    """Requests that name it, its order or its page come together, the oldest first."""
    reply = await sandbox.paid(order_id="together")
    name = reply["transaction"]
    await sandbox.status(name)
    await sandbox.call("get-status", {"order_id": "together"})
    shown = await details(sandbox, name)

    assert [exchange["path"] for exchange in shown["exchanges"]] == [
        "/api/1/request",
        reply["redirect_url"].removeprefix(sandbox.url),
        "/api/1/get-status",
        "/api/1/get-status",
    ]


async def test_a_registration_is_found_by_its_card(sandbox: World):
    """EPoint never tells its id, so the card names it."""
    card = await sandbox.saved_card()
    await sandbox.call("get-status-card", {"card_id": card})
    shown = await details(sandbox, card)

    assert (card, "success", "save_card") == (shown["card_id"], shown["status"], shown["operation"])
    assert [exchange["operation"] for exchange in shown["exchanges"]] == ["save_card", None, "card_status"]


@pytest.mark.parametrize(
    ("merchant", "key", "verdict"),
    [
        (MERCHANT.public_key, MERCHANT.private_key, "valid"),
        (MERCHANT.public_key, OTHER_MERCHANT.private_key, "invalid"),
        ("i999999999", MERCHANT.private_key, "unknown_merchant"),
    ],
)
async def test_the_verdict_on_a_signature(sandbox: World, merchant, key, verdict):
    """Requests that led to nothing are listed too, with the reason."""
    sealed = seal(key, json.dumps({"public_key": merchant, "transaction": f"te-{verdict}"}).encode())
    await sandbox.http.post("/api/1/get-status", json={"data": sealed.data, "signature": sealed.signature})
    shown = [one for one in sandbox.state.journal if f"te-{verdict}" in (one.decoded or "")]
    listed = (await sandbox.control("GET", "/transactions"))["loose"]

    assert [one.signature for one in shown] == [verdict]
    assert (shown[0].number in [one["number"] for one in listed]) == (verdict != "valid")


async def test_what_is_no_envelope_is_shown_as_it_is(sandbox: World):
    """Without a signature there is no verdict but that it is missing."""
    await sandbox.http.post("/api/1/get-status", content=b"hello")
    listed = await sandbox.control("GET", "/transactions")

    assert tuple(listed["loose"][0][name] for name in ("request", "signature", "decoded")) == (
        "hello",
        "missing",
        None,
    )


async def test_an_answer_that_never_comes_can_be_seen(sandbox: World):
    """While it hangs there is no status and no duration; once it is cut off, there is a duration and no status."""
    await sandbox.control("PUT", "/orders/hanging", {"reply": "hang"})
    form = sealed_form({**PAY, "order_id": "hanging"})
    asking = asyncio.create_task(sandbox.http.post("/api/1/request", data=form, timeout=60))

    async def shown():
        answer = await sandbox.http.get("/_control/transactions/hanging")
        return answer.json()["exchanges"] if answer.status_code == 200 else []

    async with asyncio.timeout(5):
        while not (waiting := await shown()):
            await asyncio.sleep(0.02)
        asking.cancel()
        while (ended := await shown())[0]["duration_ms"] is None:
            await asyncio.sleep(0.02)

    assert [(one["http_status"], one["duration_ms"]) for one in waiting] == [(None, None)]
    assert [(one["http_status"], one["number"]) for one in ended] == [(None, waiting[0]["number"])]


def sealed_form(fields):
    return sealed_form_of(json.dumps({"public_key": MERCHANT.public_key, **fields}).encode())


NASTY = {
    "deep": sealed_form_of(b"[" * 20_000),
    "half of a surrogate": sealed_form_of(b'{"public_key": "i000000001", "order_id": "\\ud800"}'),
    "not base64": {"data": "é====", "signature": "é"},
    "a number as an id": sealed_form_of(b'{"public_key": 1, "order_id": 1e999, "transaction": [], "card_id": {}}'),
    "nothing": {"data": "", "signature": ""},
}


@pytest.mark.parametrize("what", NASTY)
async def test_what_makes_no_sense_is_answered_and_shown(sandbox: World, what):
    """Whoever looks on changes no answer, and one odd request does not hide all others."""
    answer = await sandbox.http.post("/api/1/get-status", data=NASTY[what])
    listed = (await sandbox.control("GET", "/transactions"))["loose"]

    assert answer.json()["status"] in ("error", "server_error")
    assert (listed[0]["path"], listed[0]["http_status"]) == ("/api/1/get-status", 200)


async def test_a_path_that_is_no_text_is_answered_and_shown(sandbox: World):
    """Bytes that are no UTF-8 included."""
    answer = await sandbox.http.post("/api/1/%ff%00")
    listed = (await sandbox.control("GET", "/transactions"))["loose"]

    assert (answer.status_code, listed[0]["http_status"]) == (404, 404)


def test_long_texts_are_cut():
    """And say so: the ring is bounded in what it holds as well."""
    assert shorten("a" * TEXT_CHARACTERS_MAX) == "a" * TEXT_CHARACTERS_MAX
    assert shorten("a" * (TEXT_CHARACTERS_MAX + 7)).endswith("a\n… 7 more characters")


async def test_the_ring_is_bounded():
    """The oldest exchange goes first."""
    async with world(exchanges_max=3) as small:
        replies = [await small.call("request", {**PAY, "order_id": f"ring-{number}"}) for number in range(5)]

        assert [one.transaction for one in small.state.journal] == [one["transaction"] for one in replies[2:]]


# -- what is not shown ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4111 1111 1111 1111", "411111******1111"),
        ("5105-1051-0510-5100", "510510******5100"),
        ('{"pan":"5555555555554444"}', '{"pan":"555555******4444"}'),
        ("4000000000000116", "400000******0116"),
        ("5555555555554443", "5555555555554443"),
        ("order 20261125123456", "order 20261125123456"),
        ("AZ21NABZ00000000137010001944", "AZ21NABZ00000000137010001944"),
    ],
)
def test_card_numbers_are_recognised(text, shown):
    """A number that no card can have stays: it is somebody's order id."""
    assert shown == hide_cards(text)


@pytest.mark.parametrize("written", ["5555 5555 5555 4444", "\\u0035555555555554444"])
async def test_no_card_number_is_recorded(sandbox: World, written):
    """Not what a customer types, and not one that a shop puts where it does not belong."""
    body = json.dumps({**PAY, "public_key": MERCHANT.public_key, "description": "@"}).replace("@", written)
    sealed = seal(MERCHANT.private_key, body.encode())
    reply = await sandbox.http.post("/api/1/request", data={"data": sealed.data, "signature": sealed.signature})
    await sandbox.submit(reply.json()["redirect_url"], "5555 5555 5555 4444")
    await sandbox.shop.callback()
    name = reply.json()["transaction"]
    kept = "".join(repr(one) for one in sandbox.state.journal if one.transaction == name)

    assert "555555******4444" in kept
    assert not [form for form in (sealed.data, "5555555555554444", "5555 5555", "\\u0035") if form in kept]


async def test_no_token_of_a_phone_is_recorded(sandbox: World):
    """What Apple Pay or Google Pay give a shop is as good as a card."""
    fields = {"id": 1, "token": {"data": "c2VjcmV0"}, "billingContact": {"name": "Leyla"}, "order_id": "tokens"}
    await sandbox.call("get-status", fields)
    kept = repr([one for one in sandbox.state.journal if one.order_id == "tokens"])

    assert '"token":"***"' in kept
    assert not [secret for secret in ("c2VjcmV0", "Leyla", sealed_form(fields)["data"]) if secret in kept]


async def test_no_key_is_shown(sandbox: World):
    """Neither the page nor what it reads has a private key."""
    name = (await sandbox.paid())["transaction"]
    paths = ("/", "/_control/console", "/_control/transactions", f"/_control/transactions/{name}")
    everything = "".join([(await sandbox.http.get(path)).text for path in paths])

    assert not [one for one in (MERCHANT, OTHER_MERCHANT) if one.private_key in everything]


# -- what can be done -------------------------------------------------------------------------------------


async def test_a_bank_approves_or_declines(sandbox: World):
    """As if a customer had paid: with a masked card, a callback, and what can be done next."""
    for code, status, actions in (
        ("000", "success", {"settle": False, "capture": False, "refund": True, "resend": True}),
        ("116", "failed", {"settle": False, "capture": False, "refund": False, "resend": True}),
    ):
        name = (await sandbox.call("request", PAY))["transaction"]
        before = (await details(sandbox, name))["actions"]
        assert [act for act, possible in before.items() if possible] == ["settle"]
        await sandbox.control("POST", f"/transactions/{name}/settle", {"code": code})
        callback = await sandbox.shop.callback()

        assert (status, code, "411111******1111") == (callback.status, callback.code, callback.card_mask)
        assert (await details(sandbox, name))["actions"] == actions


async def test_another_amount_than_ordered(sandbox: World):
    """EPoint's books and its callback agree with each other, and not with the order."""
    name = (await sandbox.call("request", PAY))["transaction"]
    await sandbox.control("POST", f"/transactions/{name}/settle", {"code": "000", "amount": "3.07"})

    assert str((await sandbox.shop.callback()).amount) == "3.07"
    assert (await sandbox.status(name))["amount"] == 3.07


@pytest.mark.parametrize(
    "body",
    [
        {"code": "000", "amount": "0"},
        {"code": "000", "amount": "-1"},
        {"code": "000", "amount": "1.005"},
        {"code": "000", "callback": {"copies": 1000}},
        {"code": "000", "callback": {"delay_s": 1e9}},
        {"code": "000", "callback": {"colour": "red"}},
        {"code": "0"},
        {},
    ],
)
async def test_what_makes_no_sense_changes_nothing(sandbox: World, body):
    """The transaction stays open, and the sentence says what is wrong."""
    name = (await sandbox.call("request", PAY))["transaction"]
    answer = await sandbox.http.post(f"/_control/transactions/{name}/settle", json=body)

    assert (400, {"error"}) == (answer.status_code, set(answer.json()))
    assert (await details(sandbox, name))["status"] == "new"


async def test_a_callback_is_sent_again_in_another_way(sandbox: World):
    """For this sending only: doubled, as JSON, with a lie; the next one is as always."""
    name = (await sandbox.paid())["transaction"]
    way = {"copies": 2, "encoding": "json", "amount": "1.00"}
    await sandbox.control("POST", f"/callbacks/{name}/resend", {"callback": way})
    sent = [await sandbox.shop.callback() for _ in range(2)]
    await sandbox.control("POST", f"/callbacks/{name}/resend")
    usual = await sandbox.shop.callback()

    assert ([format(one.amount, ".2f") for one in sent], str(usual.amount)) == (["1.00", "1.00"], "30.75")
    shown = (await details(sandbox, name))["callbacks"]
    assert [one["encoding"] for one in shown] == ["urlencoded", "json", "json", "urlencoded"]


async def test_a_delivery_is_shown_with_its_attempts(sandbox: World):
    """What was sent, signed as it was, and what the shop said to each attempt."""
    sandbox.shop.answers = [500]
    name = (await sandbox.call("request", PAY))["transaction"]
    way = {"retry_delay_s": 0.01}
    await sandbox.control("POST", f"/transactions/{name}/settle", {"code": "000", "callback": way})
    first, again = await sandbox.shop.raw(), await sandbox.shop.raw()
    (shown,) = await until(sandbox, name, "delivered")
    form = dict(httpx.QueryParams(first[1].decode()))

    assert (form, True) == ({"data": shown["data"], "signature": shown["signature"]}, first == again)
    assert json.loads(shown["decoded"])["transaction"] == name
    assert [attempt["http_status"] for attempt in shown["attempts"]] == [500, 200]
    assert shown["signed"]


async def until(sandbox: World, name: str, state: str):
    """Wait until all callbacks of a transaction are in a state."""
    async with asyncio.timeout(5):
        while True:
            shown = (await details(sandbox, name))["callbacks"]
            if shown and {one["state"] for one in shown} == {state}:
                return shown
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", [{"delay_s": 60}, {"reorder": 2, "reorder_wait_s": 60}])
@pytest.mark.parametrize(("act", "state"), [("send", "delivered"), ("drop", "dropped")])
async def test_a_waiting_callback_is_hurried_or_lost(sandbox: World, way, act, state):
    """Whether it is late on purpose or held back; and nothing can be done about it twice."""
    name = (await sandbox.call("request", PAY))["transaction"]
    await sandbox.control("POST", f"/transactions/{name}/settle", {"code": "000", "callback": way})
    (shown,) = (await details(sandbox, name))["callbacks"]
    assert shown["state"] == "waiting"
    await sandbox.control("POST", f"/deliveries/{shown['number']}/{act}")
    if act == "send":
        assert (await sandbox.shop.callback()).transaction == name
    await until(sandbox, name, state)
    answer = await sandbox.http.post(f"/_control/deliveries/{shown['number']}/{act}")

    assert answer.status_code == 404
    assert sandbox.shop.received.empty()


async def test_settings_can_be_chosen_from(sandbox: World):
    """The console learns of a new setting from here."""
    shown = await sandbox.control("GET", "/console")
    switches = {row["name"]: row for row in shown["switches"]}
    callback = {row["name"]: row for row in shown["callback"]}

    assert switches["decline_word"]["choices"] == ["error", "failed"]
    assert (switches["trace_id"]["kind"], callback["delay_s"]["kind"]) == ("flag", "number")
    assert [merchant["public_key"] for merchant in shown["merchants"]] == ["i000000001", "i000000002"]
    assert "private_key" not in shown["merchants"][0]
    assert "116" in [row["code"] for row in shown["bank_codes"]]


def test_what_epoint_grants_is_known_by_the_default():
    """A merchant has everything until something is taken away."""

    class Granted(msgspec.Struct):
        granted: tuple[str, ...] = ("tokens", "b2b")

    assert features_of(MERCHANT) == features_of(type(MERCHANT)(public_key="i1", private_key="k"))
    assert features_of(Granted(granted=("b2b",))) == [
        {"name": "tokens", "granted": False},
        {"name": "b2b", "granted": True},
    ]


# -- live -------------------------------------------------------------------------------------------------


async def test_changes_are_told_at_once(sandbox: World):
    """One event says where one stands, the next which transaction has changed."""
    async with live(sandbox) as following:
        first = await following()
        name = (await sandbox.paid())["transaction"]
        changed: list[str] = []
        while name not in changed:
            event = await following()
            changed += event["transactions"]

        assert (event["revision"] > first["revision"], first["transactions"]) == (True, [])


async def test_streams_are_bounded():
    """The next one is told to come back."""
    async with (
        running(SimulatorSettings()) as simulator,
        httpx.AsyncClient(base_url=simulator.url, limits=httpx.Limits(max_connections=None)) as http,
        AsyncExitStack() as streams,
    ):
        lines = []  # kept, because a stream whose lines are collected is closed
        for _ in range(100):
            stream = await streams.enter_async_context(http.stream("GET", "/_control/live"))
            lines.append(stream.aiter_lines())
            assert await anext(lines[-1]) == "event: changed"
        refused = await http.get("/_control/live")

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


async def test_a_stream_ends_with_the_simulator():
    """It is brought to its end, and not cut off when the patience of the server is."""
    simulation = running(SimulatorSettings())
    simulator = await simulation.__aenter__()
    try:
        async with (
            httpx.AsyncClient(base_url=simulator.url, timeout=10) as http,
            http.stream("GET", "/_control/live") as stream,
        ):
            lines = stream.aiter_lines()
            assert await anext(lines) == "event: changed"
            stopping = asyncio.create_task(simulation.__aexit__(None, None, None))

            assert [line async for line in lines if line.startswith("event")] == []
    finally:
        await stopping


# -- from elsewhere ---------------------------------------------------------------------------------------

HOSTS = {
    "127.0.0.1": 200,
    "[::1]:8081": 200,
    "localhost:8081": 200,
    "shop.localhost": 200,
    "simulator:8081": 200,
    "192.168.1.7:8081": 200,
    "rebound.example": 421,
    "127.0.0.1.example:8081": 421,
    "localhost.example": 421,
    "": 421,
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/", "/console/main.js", "/_control/books", "/_control/transactions"])
async def test_a_name_that_was_rebound_gets_nothing(sandbox: World, host, path):
    """A page of an attacker whose name suddenly means this machine sends that name as Host."""
    answer = await sandbox.http.get(path, headers={"host": host})

    assert answer.status_code == HOSTS[host]


async def test_a_public_name_can_be_allowed():
    """The one under which customers reach the simulator."""
    async with (
        running(SimulatorSettings(public_url="https://epoint.shop.example")) as simulator,
        httpx.AsyncClient(base_url=simulator.url) as http,
    ):
        statuses = [
            (await http.get("/_control/books", headers={"host": host})).status_code
            for host in ("epoint.shop.example", "other.shop.example")
        ]

        assert statuses == [200, 421]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "text/plain; application/json"}, 415),
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
async def test_other_websites_cannot_change_anything(sandbox: World, headers, status):
    """What their scripts and forms can send is refused before it is read."""
    name = (await sandbox.call("request", PAY))["transaction"]
    answer = await sandbox.http.post(
        f"/_control/transactions/{name}/settle",
        content=b'{"code": "000"}',
        headers={"content-type": "application/json", **headers},
    )

    assert answer.status_code == status
    assert ((await sandbox.status(name))["status"] == "success") == (status == 200)
    if status == 200:
        await sandbox.shop.callback()


async def test_the_page_of_the_simulator_itself_can(sandbox: World):
    """Its origin is the address it came from."""
    answer = await sandbox.http.put("/_control/settings", json={}, headers={"origin": sandbox.url})

    assert answer.status_code == 200


async def test_the_api_is_open_to_every_host(sandbox: World):
    """EPoint's own side has signatures, and is reached under whatever name the shop gives it."""
    answer = await sandbox.http.post(
        "/api/1/get-status", data=sealed_form({"order_id": "none"}), headers={"host": "epoint.example"}
    )

    assert answer.status_code == 200


async def test_the_page_is_served_under_a_strict_policy(sandbox: World):
    """Scripts and styles are files of its own, nothing is asked of others, and texts cannot become markup."""
    answers = [await sandbox.http.get(path) for path in ("/", "/console/main.js", "/console/console.css")]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "frame-ancestors 'none'" in policy
    assert [answer.headers["content-type"].split(";")[0] for answer in answers] == [
        "text/html",
        "text/javascript",
        "text/css",
    ]
    assert (await sandbox.http.get("/console/index.html")).status_code == 404
    assert (await sandbox.http.get("/console/..%2fpage.py")).status_code == 404


async def test_the_hosted_page_still_takes_forms_of_every_origin(sandbox: World):
    """A customer comes from the shop's page."""
    reply = await sandbox.call("request", PAY)
    answer = await sandbox.http.post(
        reply["redirect_url"], data={"card_number": APPROVED}, headers={"origin": "null"}
    )
    await sandbox.shop.callback()

    assert answer.status_code == 303
