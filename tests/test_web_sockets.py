from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from gql_epoint.keys import DEVELOPMENT_KEY
from tests.service import Client, Service
from tests.shop import PAY, new_order, payment

TIMEOUT_S = 10.0
INIT = {"type": "connection_init"}
ASK = {"query": "{ __typename }"}


async def receive(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    message = await socket.receive(TIMEOUT_S)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return dict(json.loads(message.data))


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(TIMEOUT_S):
        while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            pass
    return socket.close_code


# -- the handshake --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "protocols", [("graphql-transport-ws",), ("graphql-ws", "graphql-transport-ws"), ("x", "graphql-transport-ws")]
)
async def test_the_modern_protocol_is_chosen_whatever_comes_first(
    client: Client, protocols: tuple[str, ...]
) -> None:
    async with client.raw_socket(protocols=protocols) as socket:
        assert socket.protocol == "graphql-transport-ws"


@pytest.mark.parametrize("protocols", [("graphql-ws",), ("graphql-sse",), ()])
async def test_other_protocols_are_refused(client: Client, protocols: tuple[str, ...]) -> None:
    """The legacy protocol has the same name as a modern library: no one gets it by mistake."""
    async with client.raw_socket(protocols=protocols) as socket:
        assert await close_code(socket) == 4406


async def test_a_page_on_another_origin_is_refused(client: Client) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with client.raw_socket(headers={"Origin": "https://evil.example"}):
            pass

    assert caught.value.status == 403


async def test_a_page_of_the_service_itself_is_let_in(client: Client) -> None:
    async with client.raw_socket(headers={"Origin": client.url}) as socket:
        assert socket.protocol == "graphql-transport-ws"


async def test_frames_are_not_compressed(client: Client) -> None:
    """Compression costs 60 to 150 kB for each connection."""
    async with client.session.ws_connect(
        client.graphql, protocols=("graphql-transport-ws",), compress=15
    ) as socket:
        assert not socket.compress


# -- connection_init ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "init",
    [
        INIT,
        {**INIT, "payload": None},
        {**INIT, "payload": {}},
        {**INIT, "payload": {"x": [1]}},
        {**INIT, "payload": {"authorization": f"Bearer {DEVELOPMENT_KEY}"}},
        {**INIT, "payload": {"Authorization": f"Bearer {DEVELOPMENT_KEY}"}},
    ],
    ids=str,
)
async def test_a_connection_is_acknowledged(client: Client, init: object) -> None:
    """A null payload is allowed by the protocol, and headers of explorers come in their own case."""
    async with client.raw_socket() as socket:
        await socket.send_json(init)

        assert await receive(socket) == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "value",
    ["Bearer wrong", "Bearer ", "", DEVELOPMENT_KEY, None, 1, ["Bearer x"], {"a": 1}],
    ids=str,
)
async def test_a_wrong_credential_closes_with_4403(client: Client, value: object) -> None:
    async with client.raw_socket() as socket:
        await socket.send_json({**INIT, "payload": {"authorization": value}})

        assert await close_code(socket) == 4403


async def test_two_credentials_are_wrong(client: Client) -> None:
    good = f"Bearer {DEVELOPMENT_KEY}"
    async with client.raw_socket() as socket:
        await socket.send_json({**INIT, "payload": {"authorization": good, "Authorization": good}})

        assert await close_code(socket) == 4403


async def test_a_second_init_closes_with_4429(client: Client) -> None:
    async with client.socket() as socket:
        await socket.send_json(INIT)

        assert await close_code(socket) == 4429


async def test_an_operation_before_the_init_closes_with_4401(client: Client) -> None:
    async with client.raw_socket() as socket:
        await socket.send_json({"id": "1", "type": "subscribe", "payload": ASK})

        assert await close_code(socket) == 4401


# -- messages -------------------------------------------------------------------------------------------------

ODD_MESSAGES = [
    "",
    "x",
    "1",
    "null",
    '"text"',
    "[]",
    "[" * 50_000,
    '[{"type": "ping"}]',
    "{}",
    '{"type": null}',
    '{"type": 1}',
    '{"type": ["ping"]}',
    '{"type": "unknown"}',
    '{"type": "start", "id": "1"}',
    '{"type": "ping", "payload": 1}',
    '{"type": "connection_init", "payload": 1}',
    '{"type": "connection_init", "payload": []}',
    '{"type": "subscribe"}',
    '{"type": "subscribe", "id": "1"}',
    '{"type": "subscribe", "id": "1", "payload": null}',
    '{"type": "subscribe", "id": "1", "payload": []}',
    '{"type": "subscribe", "id": "1", "payload": {}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "operationName": 1}}',
    '{"type": "subscribe", "id": ["1"], "payload": {"query": "{a}"}}',
    '{"type": "subscribe", "id": 1, "payload": {"query": "{a}"}}',
    '{"type": "subscribe", "id": "", "payload": {"query": "{a}"}}',
    '{"type": "subscribe", "id": {}, "payload": {"query": "{a}"}}',
    '{"type": "complete"}',
    '{"type": "complete", "id": ["1"]}',
    '{"type": "subscribe", "id": "\\ud800", "payload": {"query": "{a}"}}',
]


@pytest.mark.parametrize("acknowledged", [False, True], ids=["before the init", "after it"])
@pytest.mark.parametrize("text", ODD_MESSAGES, ids=lambda text: text[:60])
async def test_a_malformed_message_closes_with_4400(client: Client, text: str, acknowledged: bool) -> None:
    """It is the client's mistake and says so; nothing crashes, before a credential least of all."""
    async with client.socket() if acknowledged else client.raw_socket() as socket:
        await socket.send_str(text)

        assert await close_code(socket) == 4400


async def test_a_binary_message_closes_with_4400(client: Client) -> None:
    async with client.raw_socket() as socket:
        await socket.send_bytes(b'{"type": "connection_init"}')

        assert await close_code(socket) == 4400


async def test_a_message_that_is_too_long_closes_with_1009(client: Client) -> None:
    async with client.socket() as socket:
        await socket.send_str(" " * 131_073)

        assert await close_code(socket) == 1009


async def test_a_ping_is_answered(client: Client) -> None:
    async with client.raw_socket() as socket:
        for ping in ({"type": "ping"}, {"type": "ping", "payload": None}, {"type": "ping", "payload": {"a": 1}}):
            await socket.send_json(ping)

            pong = await receive(socket)
            assert (pong["type"], pong.get("payload")) == ("pong", ping.get("payload"))


# -- operations -----------------------------------------------------------------------------------------------


async def test_a_query_runs_over_a_socket(client: Client) -> None:
    assert [payload async for payload in client.subscribe("{ __typename }")] == [{"data": {"__typename": "Query"}}]


@pytest.mark.parametrize(
    "query",
    ["{", "", "{ nothing }", "fragment f on Query { __typename }"],
)
async def test_a_bad_document_is_an_error_of_its_operation_only(client: Client, query: str) -> None:
    """The other operations on the socket go on."""
    async with client.socket() as socket:
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        error = await receive(socket)
        await socket.send_json({"id": "1", "type": "subscribe", "payload": ASK})
        answer = await receive(socket)

    assert (error["id"], error["type"], bool(error["payload"][0]["message"])) == ("1", "error", True)
    assert answer["type"] == "next"


async def test_a_mutation_runs_over_a_socket(client: Client) -> None:
    """The protocol carries every type of operation, and clients with one transport have no other way."""
    order = new_order()
    (answer,) = [payload async for payload in client.subscribe(PAY, input=payment(order))]

    assert answer["data"]["pay"]["transaction"]["status"] == "REQUIRES_ACTION"


async def test_money_moves_once_per_operation_over_a_socket_too(client: Client) -> None:
    """The rule is checked on the document, so no transport goes around it."""
    field = "pay(input: $input) { replayed }"
    async with client.socket() as socket:
        query = f"mutation ($input: PayInput!) {{ a: {field} b: {field} }}"
        asked = {"query": query, "variables": {"input": payment(new_order())}}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": asked})
        error = await receive(socket)

    assert error["type"] == "error"
    assert error["payload"][0]["extensions"]["code"] == "ONE_MONEY_FIELD"


async def test_without_a_credential_the_schema_decides(service: Service) -> None:
    async with service.client(None) as anonymous, anonymous.socket() as socket:
        query = 'subscription { transactionUpdated(by: {id: "x"}) { kind } }'
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})
        error = await receive(socket)

    assert error["type"] == "error"
    assert error["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_an_id_in_use_closes_with_4409(client: Client) -> None:
    async with client.socket() as socket:
        for _ in range(2):
            query = "subscription { events { cursor } }"
            await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": query}})

        assert await close_code(socket) == 4409


async def test_subscriptions_on_a_socket_are_bounded(client: Client) -> None:
    """The fifty-first is refused, and one that is completed makes room."""
    query = "subscription { events(after: null) { cursor } }"
    async with client.socket() as socket:
        for number in range(51):
            await socket.send_json({"id": str(number), "type": "subscribe", "payload": {"query": query}})
        while (message := await receive(socket))["type"] != "error":
            pass

    assert message["id"] == "50"
