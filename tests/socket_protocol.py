"""The graphql-transport-ws protocol, one test for each thing its document says of a server.

Subclass `ProtocolSuite` with a fixture `server`. The suite runs against our service, and against the protocol's
reference server so that the suite itself is checked. The document is PROTOCOL.md of npm's graphql-ws; each test's
docstring quotes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

SUBPROTOCOL = "graphql-transport-ws"
TIMEOUT_S = 15.0
ASK = {"query": "{ __typename }"}
ENDLESS = {"query": "subscription { events { cursor } }"}


@dataclass(kw_only=True)
class Server:
    """A server, and what it takes to make it do things."""

    url: str
    init_timeout_s: float
    finite: dict[str, Any]  # a subscription that ends after one result
    slow: Callable[[], Awaitable[dict[str, Any]]]  # an operation that takes about `slow_s` for its one result
    slow_s: float
    credential: dict[str, Any]
    wrong_credential: dict[str, Any]
    session: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)

    @contextlib.asynccontextmanager
    async def socket(self, *protocols: str) -> AsyncIterator[Socket]:
        async with self.session.ws_connect(self.url, protocols=protocols or (SUBPROTOCOL,)) as raw:
            yield Socket(raw)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Socket]:
        async with self.socket() as socket:
            await socket.send("connection_init", payload=self.credential)
            assert (await socket.receive())["type"] == "connection_ack"
            yield socket


class Socket:
    """A socket that sends and receives messages."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = raw

    async def send(self, kind: str, **fields: Any) -> None:
        await self.raw.send_str(json.dumps({"type": kind, **fields}))

    async def subscribe(self, operation_id: str, payload: dict[str, Any]) -> None:
        await self.send("subscribe", id=operation_id, payload=payload)

    async def receive(self) -> dict[str, Any]:
        message = await self.raw.receive(TIMEOUT_S)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return dict(json.loads(message.data))

    async def closed(self) -> tuple[int | None, str]:
        """Wait for the server to close; return the code and the reason."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                message = await self.raw.receive()
                if message.type is aiohttp.WSMsgType.CLOSE:
                    return message.data, message.extra or ""
                assert message.type is aiohttp.WSMsgType.TEXT, message

    async def silent(self) -> None:
        """Make sure that nothing is on its way: the answer to a ping is the next thing that comes."""
        await self.send("ping", payload={"silent": True})
        assert (await self.receive()).get("payload") == {"silent": True}


class ProtocolSuite:
    """Each test is one sentence."""

    # -- Communication

    async def test_the_subprotocol(self, server: Server) -> None:
        """The WebSocket sub-protocol for this specification is: `graphql-transport-ws`."""
        async with server.socket() as socket:
            assert socket.raw.protocol == SUBPROTOCOL

    async def test_no_other_subprotocol(self, server: Server) -> None:
        """Said by the servers only: 4406, Subprotocol not acceptable."""
        async with server.socket("graphql-ws") as socket:
            assert (await socket.closed())[0] == 4406

    async def test_messages_are_json_text(self, server: Server) -> None:
        """Messages are represented through the JSON structure and are stringified before being sent."""
        async with server.connection() as socket:
            await socket.subscribe("1", ASK)
            message = await socket.raw.receive(TIMEOUT_S)

        assert message.type is aiohttp.WSMsgType.TEXT
        assert isinstance(json.loads(message.data), dict)

    async def test_all_messages_contain_the_type(self, server: Server) -> None:
        """All messages contain the `type` field outlining the action this message describes."""
        async with server.connection() as socket:
            await socket.raw.send_str('{"id": "1", "payload": {"query": "{ __typename }"}}')

            assert (await socket.closed())[0] == 4400

    async def test_messages_of_operations_contain_the_id(self, server: Server) -> None:
        """Messages corresponding to operations must contain the `id` field."""
        async with server.connection() as socket:
            await socket.send("subscribe", payload=ASK)

            assert (await socket.closed())[0] == 4400

    async def test_many_operations_at_a_time(self, server: Server) -> None:
        """Multiple operations identified with separate IDs can be active at any time, interleaved."""
        async with server.connection() as socket:
            await socket.subscribe("slow", await server.slow())
            await socket.subscribe("quick", ASK)
            kinds = [(message["id"], message["type"]) for message in [await socket.receive() for _ in range(4)]]

        assert kinds == [(name, kind) for name in ("quick", "slow") for kind in ("next", "complete")]

    async def test_a_client_closes_normally(self, server: Server) -> None:
        """The client closes the socket and the connection by dispatching a `1000: Normal Closure`."""
        async with server.connection() as socket:
            await socket.subscribe("1", ENDLESS)
            await socket.raw.close(code=1000)

            assert socket.raw.close_code == 1000

    # -- ConnectionInit and ConnectionAck

    @pytest.mark.parametrize("extra", [{}, {"payload": None}, {"payload": {}}, {"payload": {"a": [1]}}], ids=str)
    async def test_init_is_acknowledged(self, server: Server, extra: dict[str, Any]) -> None:
        """ConnectionAck: expected response to the `ConnectionInit` message; `payload` may be absent or null."""
        async with server.socket() as socket:
            await socket.send("connection_init", **extra)
            ack = await socket.receive()

        assert ack["type"] == "connection_ack"
        assert isinstance(ack.get("payload", {}), dict)

    @pytest.mark.parametrize("payload", [1, "x", [], True], ids=str)
    async def test_the_payload_of_init_is_an_object(self, server: Server, payload: object) -> None:
        """payload?: Record<string, unknown> | null"""
        async with server.socket() as socket:
            await socket.send("connection_init", payload=payload)

            assert (await socket.closed())[0] == 4400

    async def test_init_has_to_come_in_time(self, server: Server) -> None:
        """If the client does not request a connection within the allowed timeout: 4408."""
        started = time.monotonic()
        async with server.socket() as socket:
            code, reason = await socket.closed()

        assert (code, reason) == (4408, "Connection initialisation timeout")
        assert time.monotonic() - started > server.init_timeout_s - 0.5

    async def test_init_comes_once(self, server: Server) -> None:
        """If the server receives more than one `ConnectionInit` message: 4429."""
        async with server.connection() as socket:
            await socket.send("connection_init", payload=server.credential)

            assert await socket.closed() == (4429, "Too many initialisation requests")

    async def test_init_comes_once_before_the_ack_too(self, server: Server) -> None:
        """... at any given time."""
        async with server.socket() as socket:
            for _ in range(2):
                await socket.send("connection_init", payload=server.credential)

            assert await socket.closed() == (4429, "Too many initialisation requests")

    async def test_a_connection_may_be_rejected(self, server: Server) -> None:
        """If the server wishes to reject the connection, for example during authentication: 4403."""
        async with server.socket() as socket:
            await socket.send("connection_init", payload=server.wrong_credential)

            assert await socket.closed() == (4403, "Forbidden")

    async def test_the_client_is_ready_after_the_ack(self, server: Server) -> None:
        """The client is now ready to request subscription operations."""
        async with server.connection() as socket:
            await socket.subscribe("1", server.finite)

            assert (await socket.receive())["type"] == "next"

    # -- Ping and Pong

    async def test_a_ping_is_answered(self, server: Server) -> None:
        """A `Pong` must be sent in response from the receiving party as soon as possible."""
        async with server.connection() as socket:
            await socket.send("ping")

            assert (await socket.receive())["type"] == "pong"

    async def test_a_ping_may_come_before_the_init(self, server: Server) -> None:
        """The `Ping` message can be sent at any time within the established socket."""
        async with server.socket() as socket:
            await socket.send("ping")

            assert (await socket.receive())["type"] == "pong"

    @pytest.mark.parametrize("payload", [{}, {"a": 1}, {"deep": {"er": [None]}}], ids=str)
    async def test_the_payload_of_a_ping_comes_back(self, server: Server, payload: dict[str, Any]) -> None:
        """The optional `payload` field can be used to transfer additional details about the ping."""
        async with server.connection() as socket:
            await socket.send("ping", payload=payload)

            assert await socket.receive() == {"type": "pong", "payload": payload}

    async def test_the_payload_of_a_ping_may_be_null(self, server: Server) -> None:
        """payload?: Record<string, unknown> | null"""
        async with server.connection() as socket:
            await socket.send("ping", payload=None)

            assert (await socket.receive())["type"] == "pong"

    @pytest.mark.parametrize("kind", ["ping", "pong"])
    async def test_the_payload_of_pings_and_pongs_is_an_object(self, server: Server, kind: str) -> None:
        """payload?: Record<string, unknown> | null"""
        async with server.connection() as socket:
            await socket.send(kind, payload="x")

            assert (await socket.closed())[0] == 4400

    @pytest.mark.parametrize("extra", [{}, {"payload": None}, {"payload": {"a": 1}}], ids=str)
    async def test_a_pong_may_come_unsolicited(self, server: Server, extra: dict[str, Any]) -> None:
        """The `Pong` message may even be sent unsolicited as an unidirectional heartbeat."""
        async with server.socket() as socket:
            await socket.send("pong", **extra)
            await socket.silent()

    # -- Subscribe

    @pytest.mark.parametrize("query", ["{ __typename }", "mutation { __typename }"])
    async def test_an_operation_has_the_id_of_its_client(self, server: Server, query: str) -> None:
        """This message provides a unique ID field to connect published messages to the operation."""
        async with server.connection() as socket:
            await socket.subscribe("any text: ə", {"query": query})
            messages = [await socket.receive() for _ in range(2)]

        assert {message["id"] for message in messages} == {"any text: ə"}

    async def test_an_active_id_is_not_used_twice(self, server: Server) -> None:
        """If there is already an active subscriber for the ID, the server must close the socket: 4409."""
        async with server.connection() as socket:
            for _ in range(2):
                await socket.subscribe("same", ENDLESS)

            assert await socket.closed() == (4409, "Subscriber for same already exists")

    async def test_an_active_id_is_not_used_by_another_type(self, server: Server) -> None:
        """... regardless of the operation type."""
        async with server.connection() as socket:
            await socket.subscribe("same", ENDLESS)
            await socket.subscribe("same", ASK)

            assert (await socket.closed())[0] == 4409

    async def test_an_id_is_free_once_the_server_completes(self, server: Server) -> None:
        """The server needs only keep track of IDs for as long as the subscription is active."""
        async with server.connection() as socket:
            for _ in range(3):
                await socket.subscribe("same", ASK)
                assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]

    async def test_an_id_is_free_once_the_client_completes(self, server: Server) -> None:
        """Once a client completes an operation, it is free to re-use that ID."""
        async with server.connection() as socket:
            await socket.subscribe("same", await server.slow())
            await socket.send("complete", id="same")
            await socket.subscribe("same", ASK)

            assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]

    async def test_an_id_is_free_after_an_error(self, server: Server) -> None:
        """An error terminates the operation."""
        async with server.connection() as socket:
            await socket.subscribe("same", {"query": "{ nothing }"})
            await socket.receive()
            await socket.subscribe("same", ASK)

            assert (await socket.receive())["type"] == "next"

    async def test_the_payload_has_null_where_it_may(self, server: Server) -> None:
        """operationName?: string | null; variables?: Record | null; extensions?: Record | null"""
        async with server.connection() as socket:
            nulls = dict.fromkeys(("operationName", "variables", "extensions"))
            await socket.subscribe("1", {**ASK, **nulls})

            assert (await socket.receive())["type"] == "next"

    async def test_the_operation_is_chosen_by_name(self, server: Server) -> None:
        """operationName, variables and extensions reach the operation."""
        async with server.connection() as socket:
            query = "query A { a: __typename } query B($b: Boolean!) { b: __typename @include(if: $b) }"
            variables, extensions = {"b": True}, {"x": 1}
            payload = {"query": query, "operationName": "B", "variables": variables, "extensions": extensions}
            await socket.subscribe("1", payload)

            assert (await socket.receive())["payload"]["data"] == {"b": "Query"}

    @pytest.mark.parametrize(
        "payload",
        [
            None,
            [],
            "x",
            {},
            {"query": None},
            {"query": 1},
            {**ASK, "operationName": 1},
            {**ASK, "variables": "x"},
            {**ASK, "extensions": "x"},
        ],
        ids=str,
    )
    async def test_the_payload_has_its_types(self, server: Server, payload: object) -> None:
        """query: string; operationName?: string; variables?: Record; extensions?: Record"""
        async with server.connection() as socket:
            await socket.send("subscribe", id="1", payload=payload)

            assert (await socket.closed())[0] == 4400

    async def test_operations_before_the_ack_are_refused(self, server: Server) -> None:
        """Executing operations is allowed only after ConnectionAck: 4401."""
        async with server.socket() as socket:
            await socket.subscribe("1", ASK)

            assert await socket.closed() == (4401, "Unauthorized")

    # -- Next, Error and Complete

    async def test_results_come_and_then_complete(self, server: Server) -> None:
        """After all results have been emitted, the `Complete` message will follow."""
        async with server.connection() as socket:
            await socket.subscribe("1", server.finite)
            first, last = [await socket.receive() for _ in range(2)]
            await socket.silent()

        assert (first["id"], first["type"], "data" in first["payload"]) == ("1", "next", True)
        assert last == {"id": "1", "type": "complete"}

    async def test_a_single_result_comes_at_most_once(self, server: Server) -> None:
        """A single result operation: at most one `Next` message is sent."""
        async with server.connection() as socket:
            await socket.subscribe("1", ASK)
            first, last = [await socket.receive() for _ in range(2)]
            await socket.silent()

        assert first == {"id": "1", "type": "next", "payload": {"data": {"__typename": "Query"}}}
        assert last == {"id": "1", "type": "complete"}

    @pytest.mark.parametrize(
        "query", ["{ nothing }", "subscription { nothing }", "query ($a: Int!) { __typename }"]
    )
    async def test_what_cannot_run_is_an_error(self, server: Server, query: str) -> None:
        """Operation execution error(s): before execution starts, usually due to validation errors.

        Syntax errors are left out: the reference server closes the socket with 4500, ours does not.
        """
        async with server.connection() as socket:
            await socket.subscribe("1", {"query": query})
            error = await socket.receive()

        assert (error["id"], error["type"]) == ("1", "error")
        assert all(isinstance(item["message"], str) for item in error["payload"])

    async def test_nothing_follows_an_error(self, server: Server) -> None:
        """This message terminates the operation and no further messages will be sent; no `Complete` either."""
        async with server.connection() as socket:
            await socket.subscribe("1", {"query": "{ nothing }"})
            assert (await socket.receive())["type"] == "error"
            await socket.silent()

    async def test_an_error_concerns_its_operation_only(self, server: Server) -> None:
        """Operation execution error(s) in response to the `Subscribe` message."""
        async with server.connection() as socket:
            await socket.subscribe("good", await server.slow())
            await socket.subscribe("bad", {"query": "{ nothing }"})
            messages = [await socket.receive() for _ in range(3)]

        assert [(m["id"], m["type"]) for m in messages] == [
            ("bad", "error"),
            ("good", "next"),
            ("good", "complete"),
        ]

    async def test_nothing_follows_a_client_s_complete(self, server: Server) -> None:
        """The client has stopped listening: no further events should be sent through."""
        async with server.connection() as socket:
            await socket.subscribe("1", server.finite)
            assert (await socket.receive())["type"] == "next"
            await socket.subscribe("2", await server.slow())
            await socket.send("complete", id="2")
            while (message := await socket.receive())["type"] != "complete":
                pass
            await asyncio.sleep(server.slow_s * 2)
            await socket.silent()

        assert message["id"] == "1"

    async def test_a_result_that_nobody_waits_for_is_not_sent(self, server: Server) -> None:
        """Even if the client sent a `Complete` for a single-result-operation before it resolved."""
        async with server.connection() as socket:
            await socket.subscribe("1", await server.slow())
            await socket.send("complete", id="1")
            await asyncio.sleep(server.slow_s * 2)
            await socket.silent()

    async def test_a_complete_after_the_complete_is_ignored(self, server: Server) -> None:
        """Both must be prepared to receive (and ignore) messages for operations already completed."""
        async with server.connection() as socket:
            await socket.subscribe("1", ASK)
            assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]
            await socket.send("complete", id="1")
            await socket.silent()

    async def test_a_complete_after_the_error_is_ignored(self, server: Server) -> None:
        """... (via a `Error` or `Complete` message)."""
        async with server.connection() as socket:
            await socket.subscribe("1", {"query": "{ nothing }"})
            assert (await socket.receive())["type"] == "error"
            await socket.send("complete", id="1")
            await socket.silent()

    # -- Invalid message

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "x",
            "null",
            "1",
            "[]",
            "{}",
            '{"type": "unknown"}',
            '{"type": 1}',
            '{"type": "start", "id": "1", "payload": {}}',
            '{"type": "complete"}',
            '{"type": "complete", "id": 1}',
            '{"type": "complete", "id": ""}',
            '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
            '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
        ],
    )
    async def test_anything_else_closes_the_socket(self, server: Server, text: str) -> None:
        """A message of a type or format which is not specified: immediate socket closure with 4400."""
        async with server.connection() as socket:
            await socket.raw.send_str(text)

            assert (await socket.closed())[0] == 4400

    async def test_an_unknown_id_is_ignored(self, server: Server) -> None:
        """It is permissable to simply ignore all unknown IDs without closing the connection."""
        async with server.connection() as socket:
            await socket.send("complete", id="never heard of")
            await socket.silent()
