"""Credentials on every transport: each root field for each of them, and streams that end with their token."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from gql_epoint.keys import DEVELOPMENT_KEY, SecretKey, digest_of
from gql_epoint.keys import Scope as KeyScope
from gql_epoint.schema.access import Scope
from gql_epoint.schema.enums import ClientOperation
from tests.cases import World, invoice
from tests.checkout_kit import WATCH, browser, confirm, create, expire, forget, token
from tests.service import Client, Service, start_service
from tests.shop import PAY, new_order, payment
from tests.test_access import BROWSER_ROOTS, DOCUMENTS, ROOTS
from tests.transports import TRANSPORTS as EVERY_TRANSPORT

TIMEOUT_S = 10.0
FIRST_EVENT_S = 30.0  # on a busy machine; on a calm one it is there at once
SETTLE = """mutation ($id: ID!, $state: SimulatorInvoiceState!) {
  simulatorSettleInvoice(by: {id: $id}, state: $state) { errors { code } } }"""
REFUSALS = {"FORBIDDEN", "UNAUTHENTICATED"}
KEYS = {f"only {scope.value}": f"sk_live_only_{scope.value}" for scope in Scope}
TOKENS = {"token": tuple(ClientOperation), "watching token": (ClientOperation.READ, ClientOperation.SUBSCRIBE)}
INVALID = ("wrong", "expired token", "forgotten token")
CREDENTIALS = ("none", *INVALID, *TOKENS, *KEYS, "every scope")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service that knows a key for each scope."""
    keys = [
        SecretKey(name=f"key-{number}", scopes=frozenset({KeyScope[name.split()[-1]]}), digest=digest_of(secret))
        for number, (name, secret) in enumerate(KEYS.items())
    ]
    lines = ",".join(key.line() for key in keys)
    service = start_service(tmp_path_factory.mktemp("guarded"), GQL_EPOINT_SECRET_KEYS=lines)
    yield service
    service.close()


@contextlib.asynccontextmanager
async def caller(service: Service, name: str) -> AsyncIterator[Client]:
    """A client with the credential of this name."""
    async with service.client() as backend:
        made = await create(backend)
        secret: str | None = {"none": None, "wrong": "sk_live_wrong", "every scope": DEVELOPMENT_KEY, **KEYS}.get(
            name
        )
        if "token" in name:
            operations = TOKENS.get(name, TOKENS["token"])
            secret = await token(backend, made["checkout"]["id"], *(operation.value for operation in operations))
            {"expired token": expire, "forgotten token": forget}.get(name, lambda *_: None)(service, secret)
        async with service.client(secret) as client:
            yield client


def expected(field: str, credential: str) -> set[str]:
    """What the contract's declaration means for a credential."""
    if credential == "none" or credential in INVALID:
        return {"UNAUTHENTICATED"}
    if credential in TOKENS:
        allowed = field == "Query.viewer" or (
            field in BROWSER_ROOTS and BROWSER_ROOTS[field][1] in TOKENS[credential]
        )
    else:
        scope = ROOTS[field][1] if field in ROOTS else None
        allowed = field in ROOTS and (scope is None or credential in ("every scope", f"only {scope.value}"))
    return set() if allowed else {"FORBIDDEN"}


def refusals(answer: Any) -> set[str]:
    errors = answer if isinstance(answer, list) else (answer or {}).get("errors") or []
    return {(error.get("extensions") or {}).get("code") for error in errors} & REFUSALS


@contextlib.asynccontextmanager
async def no_silence(service: Service) -> AsyncIterator[None]:
    """Let something have happened, and happen at the simulator again and again: no stream waits in vain."""
    async with service.client() as backend:
        order = new_order()
        made = await World(service=service, client=backend, number=0).run(
            "createInvoice", "invoice", invoice(order, f"key-of-{order}")
        )

        async def go_on() -> None:
            for state in itertools.cycle(("PAID", "WAITING_FOR_PAYMENT")):
                await backend.data(SETTLE, id=made["id"], state=state)
                await asyncio.sleep(0.1)

        going_on = asyncio.create_task(go_on())
        try:
            yield
        finally:
            going_on.cancel()
            await asyncio.wait({going_on})
        assert going_on.cancelled(), going_on.exception()


async def ask_by_post(client: Client, document: str) -> set[str]:
    return refusals(await client.execute(document))


async def ask_by_stream(client: Client, document: str) -> set[str]:
    """Ask for an event stream and look at its first event; something happens for every stream that was let in."""
    headers = {"Accept": "text/event-stream", **client.authorization}
    async with client.session.post(client.graphql, json={"query": document}, headers=headers) as response:
        if response.content_type == "application/json":
            return refusals(await response.json())
        async with asyncio.timeout(FIRST_EVENT_S):
            async for line in response.content:
                if line.startswith(b"data: {"):
                    return refusals(json.loads(line[6:]))
    raise AssertionError(f"{document} ended without an event")


async def ask_by_socket(client: Client, document: str) -> set[str]:
    """Ask over WebSocket; a connection that is refused says so by its close code."""
    async with client.raw_socket() as socket:
        payload = {name.lower(): value for name, value in client.authorization.items()}
        await socket.send_json({"type": "connection_init", "payload": payload})
        if (await socket.receive(TIMEOUT_S)).type is not aiohttp.WSMsgType.TEXT:
            assert socket.close_code == 4403
            return {"UNAUTHENTICATED"}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": document}})
        return refusals((await socket.receive_json(timeout=FIRST_EVENT_S)).get("payload"))


TRANSPORTS: dict[str, tuple[Callable[[Client, str], Awaitable[set[str]]], tuple[str, ...]]] = {
    "POST": (ask_by_post, ("Query", "Mutation")),
    "SSE": (ask_by_stream, ("Query", "Mutation", "Subscription")),
    "WebSocket": (ask_by_socket, ("Query", "Mutation", "Subscription")),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_every_root_field_for_every_credential(guarded: Service, credential: str, transport: str) -> None:
    """The same answer on every transport, and it is the one that schema.graphql declares."""
    ask, roots = TRANSPORTS[transport]
    fields = [field for field in DOCUMENTS if field.split(".")[0] in roots]
    async with no_silence(guarded), caller(guarded, credential) as client:
        answers = await asyncio.gather(*(ask(client, DOCUMENTS[field]) for field in fields))

    assert dict(zip(fields, answers, strict=True)) == {field: expected(field, credential) for field in fields}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_opens_nothing_has_one_answer(guarded: Service, method: str) -> None:
    """A token that was never made, one that has expired and one that is gone: the same bytes."""
    answers = set()
    for name in INVALID:
        async with caller(guarded, name) as client:
            asked: Any = {"params" if method == "GET" else "json": {"query": "{ viewer { level } }"}}
            async with client.session.request(
                method, client.graphql, headers=client.authorization, **asked
            ) as response:
                answers.add((response.status, await response.read(), response.headers.get("WWW-Authenticate")))

    assert len(answers) == 1
    assert next(iter(answers))[0] == 401


async def test_card_of_another_customer_and_no_card_have_one_answer(service: Service, client: Client) -> None:
    """Byte for byte, on every transport: a browser cannot find out which cards exist."""
    document = (
        'mutation ($m: PaymentMethodInput!) { confirmCheckout(input: {idempotencyKey: "0123456789abcdef", '
        "method: $m}) { replayed checkout { id } errors { __typename code message path } } }"
    )
    mine = await World(service=service, client=client, number=9_000_002).saved_card()
    theirs = await World(service=service, client=client, number=9_000_003).saved_card()
    async with browser(service, client, savedCardIds=[mine]) as page:
        for transport in [name for name in EVERY_TRANSPORT if name != "GET"]:  # which carries no mutations
            answers = set()
            for card in (theirs, "card_nonsense", "tr_1", ""):
                asked = {"query": document, "variables": {"m": {"savedCard": card}}}
                heard = await EVERY_TRANSPORT[transport](page, asked)
                answers.add(re.sub(r"(?im)^(x-request-id|date): .*$", "", heard.text))

            assert len(answers) == 1, transport
            assert "NOT_FOUND" in answers.pop(), transport


async def test_viewer_of_a_token_says_how_long_it_works(service: Service, client: Client) -> None:
    """Level and time, and no scope."""
    payload = await create(client)
    async with service.client(payload["clientToken"]["secret"]) as page:
        viewer = (await page.data("{ viewer { level scopes sandbox expiresAt } }"))["viewer"]

    assert viewer == {
        "level": "CLIENT_TOKEN",
        "scopes": [],
        "sandbox": True,
        "expiresAt": payload["clientToken"]["expiresAt"],
    }


async def test_each_token_opens_its_own_checkout(service: Service, client: Client) -> None:
    """There is no id to put another one in."""
    one, other = await create(client), await create(client)
    for payload in (one, other):
        async with service.client(payload["clientToken"]["secret"]) as page:
            assert (await page.data("{ checkout { id } }"))["checkout"] == {"id": payload["checkout"]["id"]}


async def test_secret_is_stored_nowhere(service: Service, client: Client) -> None:
    """Only its hash is, and no log line has it."""
    payload = await create(client)
    secret = payload["clientToken"]["secret"]
    async with service.client(secret) as page:
        await confirm(page)
    files = [path for path in service.directory.iterdir() if path.is_file()]

    assert files
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []


# The end of a token ----------------------------------------------------------------------------------------------


async def _close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(TIMEOUT_S):
        while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            pass
    return socket.close_code


async def test_socket_closes_when_its_token_expires(service: Service, client: Client) -> None:
    """With 4401, whether anything is running on it or not."""
    secret = (await create(client))["clientToken"]["secret"]
    expire(service, secret, datetime.now(UTC) + timedelta(seconds=1.5))
    async with service.client(secret) as page, page.socket() as quiet, page.socket() as busy:
        await busy.send_json({"id": "1", "type": "subscribe", "payload": {"query": WATCH}})
        assert (await busy.receive_json(timeout=TIMEOUT_S))["type"] == "next"

        assert await _close_code(busy) == 4401
        assert await _close_code(quiet) == 4401


async def test_stream_ends_when_its_token_expires(service: Service, client: Client) -> None:
    """An error that says why, and then the regular end, though nothing has changed."""
    secret = (await create(client))["clientToken"]["secret"]
    expire(service, secret, datetime.now(UTC) + timedelta(seconds=1.5))
    async with service.client(secret) as page:
        payloads = [payload async for payload in page.stream(WATCH)]

    assert payloads[0]["data"]["checkoutUpdated"]["kind"] == "SNAPSHOT"
    assert [error["extensions"]["code"] for error in payloads[-1]["errors"]] == ["UNAUTHENTICATED"]
    assert len(payloads) == 2


async def _all_of(response: aiohttp.ClientResponse) -> str:
    async with asyncio.timeout(TIMEOUT_S):
        return await response.text()


@pytest.mark.parametrize("shared", [False, True], ids=["multipart", "single connection"])
async def test_other_streams_end_with_their_token_as_well(service: Service, client: Client, shared: bool) -> None:
    """They say so in their own way, and end by themselves."""
    secret = (await create(client))["clientToken"]["secret"]
    expire(service, secret, datetime.now(UTC) + timedelta(seconds=1.5))
    async with service.client(secret) as page:
        accept = {"Accept": "multipart/mixed;subscriptionSpec=1.0, application/json", **page.authorization}
        if shared:
            async with page.session.put(page.graphql, headers=page.authorization) as reserved:
                token = {"X-GraphQL-Event-Stream-Token": await reserved.text(), **page.authorization}
            asked = {"query": WATCH, "extensions": {"operationId": "1"}}
            async with page.session.get(page.graphql, headers={"Accept": "text/event-stream", **token}) as stream:
                async with page.session.post(page.graphql, json=asked, headers=token) as told:
                    assert told.status == 202
                text = await _all_of(stream)
        else:
            async with page.session.post(page.graphql, json={"query": WATCH}, headers=accept) as stream:
                text = await _all_of(stream)

    assert text.count("SNAPSHOT") == 1
    assert text.count("UNAUTHENTICATED") == 1


@pytest.mark.parametrize("sse", [False, True], ids=["WebSocket", "SSE"])
async def test_token_is_looked_at_before_each_message(service: Service, client: Client, sse: bool) -> None:
    """Whoever's token is taken away hears nothing more of what happens then."""
    payload = await create(client)
    secret = payload["clientToken"]["secret"]
    async with service.client(secret) as page:
        stream = page.stream(WATCH) if sse else page.subscribe(WATCH)
        first = await anext(stream)
        assert first["data"]["checkoutUpdated"]["kind"] == "SNAPSHOT"
        async with service.client(await token(client, payload["checkout"]["id"], "CONFIRM")) as another:
            forget(service, secret)
            await confirm(another)
        if sse:
            assert [error["extensions"]["code"] for error in (await anext(stream))["errors"]] == ["UNAUTHENTICATED"]
        else:
            with pytest.raises((TypeError, aiohttp.WSMessageTypeError)):
                await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]


async def test_query_on_an_old_socket_needs_a_valid_token(service: Service, client: Client) -> None:
    """What opened the socket is not enough for what is asked later."""
    secret = (await create(client))["clientToken"]["secret"]
    async with service.client(secret) as page, page.socket() as socket:
        forget(service, secret)
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": "{ checkout { id } }"}})

        assert await _close_code(socket) == 4401


# What a browser cannot explore ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", EVERY_TRANSPORT)
async def test_introspection_and_suggestions_are_off_on_every_transport(
    service: Service, client: Client, transport: str
) -> None:
    """A client token is told neither the schema nor what it might have meant; a backend is told both."""
    ask = EVERY_TRANSPORT[transport]
    schema = {"query": "{ __schema { queryType { name } } }"}
    typos = [{"query": "{ checkou { id } }"}]
    if transport != "GET":
        confirming = "mutation ($i: ConfirmCheckoutInput!) { confirmCheckout(input: $i) { replayed } }"
        typos.append({"query": confirming, "variables": {"i": {"idempotencyKe": "x", "method": {"hostedPag": {}}}}})
    async with browser(service, client) as page:
        assert (await ask(client, schema)).answer == {"data": {"__schema": {"queryType": {"name": "Query"}}}}
        assert (await ask(page, schema)).codes == ["FORBIDDEN"]
        for typo in typos:
            heard = await ask(page, typo)
            assert heard.messages
            assert "Did you mean" not in heard.text
        assert "Did you mean 'checkout'" in (await ask(client, typos[0])).messages[0]


async def test_keys_are_rotated_one_beside_the_other(start_service: Any) -> None:
    """Both work at once, and what began with the old one is a repeat with the new one: nothing is paid twice."""
    secrets = {name: f"sk_live_rotation_{name}" for name in ("old", "new")}
    scopes = frozenset(KeyScope)
    keys = [SecretKey(name=name, scopes=scopes, digest=digest_of(secret)) for name, secret in secrets.items()]
    service = start_service(GQL_EPOINT_SECRET_KEYS=",".join(key.line() for key in keys))
    fields = payment(new_order())
    answers = []
    for secret in secrets.values():
        async with service.client(secret) as backend:
            answers.append((await backend.data(PAY, input=fields))["pay"])

    assert [answer["replayed"] for answer in answers] == [False, True]
    assert answers[0]["transaction"]["id"] == answers[1]["transaction"]["id"]
