"""Event streams that go on after a break, and streams that carry many operations."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from gql_epoint.schema.access import AuthLevel, Credential
from gql_epoint.schema.context import Place
from gql_epoint.web.closing import Closing
from gql_epoint.web.replies import Refusal
from gql_epoint.web.single_connection import STREAMS_PER_CREDENTIAL_MAX, SingleConnections
from gql_epoint.web.streams import FrameResponse, Produce, Write
from tests.service import Client, Service
from tests.shop import WATCH, new_order, pay

EVENTS = "subscription ($after: String) { events(after: $after) { cursor event { id } } }"
STREAM = {"Accept": "text/event-stream"}
TOKEN = "X-GraphQL-Event-Stream-Token"


async def blocks(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Yield the fields of each event; comments are left out."""
    assert response.status == 200, await response.text()
    rest = ""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk.decode()).split("\n\n")
        for block in whole:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if fields:
                yield fields


@contextlib.asynccontextmanager
async def streamed(
    client: Client, query: str, last: str | None = None, **variables: object
) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    headers = {**STREAM, **client.authorization} | ({} if last is None else {"Last-Event-ID": last})
    body = {"query": query, "variables": variables}
    async with asyncio.timeout(15), client.session.post(client.graphql, json=body, headers=headers) as response:
        yield blocks(response)


# -- resuming -------------------------------------------------------------------------------------------------


async def test_the_feed_goes_on_after_the_last_event_that_was_seen(client: Client) -> None:
    """Last-Event-ID is what browsers send by themselves when a stream breaks; nothing is missed or comes twice."""
    await pay(client, new_order())
    async with streamed(client, EVENTS) as stream:
        before = [await anext(stream) for _ in range(2)]
    async with streamed(client, EVENTS, before[0]["id"]) as stream:
        again = await anext(stream)

    assert again == before[1]
    assert json.loads(before[0]["data"])["data"]["events"]["cursor"] == before[0]["id"]


async def test_what_was_seen_is_newer_than_what_the_document_says(client: Client) -> None:
    """The document stays the same on each reconnect, so its argument is where the very first stream began."""
    await pay(client, new_order())
    async with streamed(client, EVENTS) as stream:
        first, second = [await anext(stream) for _ in range(2)]
    async with streamed(client, EVENTS, first["id"], after=None) as stream:
        assert await anext(stream) == second


async def test_a_transaction_goes_on_after_the_version_that_was_seen(service: Service, client: Client) -> None:
    order = new_order()
    transaction = await pay(client, order)
    async with streamed(client, WATCH, order=order) as stream:
        snapshot = await anext(stream)
    async with streamed(client, WATCH, snapshot["id"], order=order) as stream:
        await service.simulator.pay(transaction["nextAction"]["url"])
        change, complete = [await anext(stream) for _ in range(2)]
    async with streamed(client, WATCH, change["id"], order=order) as stream:
        rest = [fields["event"] async for fields in stream]

    update = json.loads(change["data"])["data"]["transactionUpdated"]
    assert (update["kind"], update["transaction"]["status"]) == ("CHANGE", "SUCCESS")
    assert complete["event"] == "complete"
    assert rest == ["complete"]  # its client had the final version, and missed only the end


@pytest.mark.parametrize("last", ["x", "1", "ə", "ZXZlbnRzOjE", "-1", "'; --"])
async def test_an_id_that_is_not_of_this_stream_is_an_error(client: Client, last: str) -> None:
    async with streamed(client, WATCH, last, order="x") as stream:
        answer = json.loads((await anext(stream))["data"])

    assert answer["errors"][0]["extensions"]["code"] == "INVALID_INPUT"
    assert "Last-Event-ID" in answer["errors"][0]["message"]


async def test_an_empty_id_is_the_beginning(client: Client) -> None:
    """Browsers send one after an event without an id."""
    await pay(client, new_order())
    async with streamed(client, EVENTS, "") as stream:
        assert (await anext(stream))["event"] == "next"


# -- pace -----------------------------------------------------------------------------------------------------


class Page:
    """A client of one response: what it was sent, and whether it reads."""

    def __init__(self, produce: Produce, **options: Any) -> None:
        self.closing = Closing()
        self.bodies: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.leaves = asyncio.Event()
        response = FrameResponse(
            produce, content_type="text/event-stream", heartbeat=b":", closing=self.closing, **options
        )
        self.call = asyncio.create_task(response({"type": "http"}, self._receive, self._send))

    async def _receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.bodies += [message["body"]] if "body" in message else []

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.bodies) < count:
                await asyncio.sleep(0.001)


def counting(made: list[int], *, pause_s: float = 60) -> Produce:
    """Write 1, then nothing for long; note what was made, and 0 at the end."""

    async def produce(write: Write) -> bytes:
        try:
            while True:
                made.append(len(made) + 1)
                await write(str(len(made)).encode())
                await asyncio.sleep(pause_s)
        finally:
            made.append(0)

    return produce


async def test_a_quiet_stream_has_heartbeats_and_stops_with_the_server() -> None:
    made: list[int] = []
    page = Page(counting(made), heartbeat_s=0.01)
    await page.until(4)
    page.closing.set()
    async with asyncio.timeout(5):
        await page.call

    assert page.bodies[:4] == [b"1", b":", b":", b":"]
    assert page.bodies[-1] == b""  # the response is complete
    assert made == [1, 0]


async def test_a_busy_stream_has_no_heartbeats() -> None:
    page = Page(counting([], pause_s=0.001), heartbeat_s=0.5)
    await page.until(50)
    page.leaves.set()
    await page.call

    assert b":" not in page.bodies


async def test_a_source_waits_for_a_slow_reader() -> None:
    """Nothing is made that is not read, heartbeats neither; and whoever never reads again can be sent away."""
    made: list[int] = []
    page = Page(counting(made, pause_s=0), heartbeat_s=0.005)
    await page.until(1)
    page.reads.clear()
    await asyncio.sleep(0.05)
    count, read = len(made), len(page.bodies)
    await asyncio.sleep(0.05)
    page.leaves.set()
    async with asyncio.timeout(5):
        await page.call

    assert made == [*range(1, count + 1), 0]
    assert count <= read + 1


async def test_a_stream_ends_with_its_time() -> None:
    made: list[int] = []
    page = Page(counting(made), lasts_s=0.02)
    async with asyncio.timeout(5):
        await page.call

    assert (page.bodies, made) == ([b"1", b""], [1, 0])


async def test_a_bug_in_a_source_is_raised() -> None:
    """The middleware that logs bugs sees it, and the client sees an answer that breaks off."""

    async def produce(write: Write) -> bytes:
        await write(b"1")
        raise LookupError

    page = Page(produce)
    with pytest.raises(LookupError):
        await page.call

    assert page.bodies == [b"1"]


# -- many operations on one stream ----------------------------------------------------------------------------


async def reserve(client: Client) -> str:
    async with client.session.put(client.graphql, headers=client.authorization) as response:
        assert response.status == 201
        return await response.text()


async def submit(
    client: Client, token: str, operation_id: Any, query: str, last: str | None = None, **variables: object
) -> int:
    body = {"query": query, "variables": variables, "extensions": {"operationId": operation_id}}
    headers = {TOKEN: token, **client.authorization} | ({} if last is None else {"Last-Event-ID": last})
    async with client.session.post(client.graphql, json=body, headers=headers) as response:
        return response.status


@contextlib.asynccontextmanager
async def opened(client: Client, token: str) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """Open a stream as a browser's EventSource does: without any header of its own."""
    url = f"{client.graphql}?token={token}"
    async with asyncio.timeout(15), client.session.get(url, headers=STREAM) as response:
        yield blocks(response)


async def test_one_stream_carries_many_operations(service: Service, client: Client) -> None:
    order = new_order()
    transaction = await pay(client, order)
    token = await reserve(client)
    async with opened(client, token) as stream:
        assert await submit(client, token, "watch", WATCH, order=order) == 202
        snapshot = await anext(stream)
        assert await submit(client, token, "ask", "{ __typename }") == 202
        answer = [await anext(stream) for _ in range(2)]
        await service.simulator.pay(transaction["nextAction"]["url"])
        change = [await anext(stream) for _ in range(2)]

    assert json.loads(snapshot["data"])["id"] == "watch"
    payload = {"data": {"__typename": "Query"}}
    assert answer[0] == {
        "id": "",
        "event": "next",
        "data": json.dumps({"id": "ask", "payload": payload}, separators=(",", ":")),
    }
    assert answer[1] == {"event": "complete", "data": '{"id":"ask"}'}
    assert [fields["event"] for fields in change] == ["next", "complete"]


async def test_each_operation_on_a_stream_goes_on_after_its_own_last_event(client: Client) -> None:
    """On a new stream, for the old one is gone; the id of an event belongs to the operation that it names."""
    order = new_order()
    await pay(client, order)
    token = await reserve(client)
    async with opened(client, token) as stream:
        assert await submit(client, token, "feed", EVENTS) == 202
        first, second = [await anext(stream) for _ in range(2)]
        assert await submit(client, token, "ask", "{ __typename }") == 202
        while json.loads((other := await anext(stream))["data"])["id"] != "ask":
            pass
    token = await reserve(client)
    async with opened(client, token) as stream:
        assert await submit(client, token, "feed", EVENTS, first["id"]) == 202
        again = await anext(stream)
        assert await submit(client, token, "wrong", WATCH, first["id"], order=order) == 202
        while json.loads((wrong := await anext(stream))["data"])["id"] != "wrong":
            pass

    assert again == second
    assert json.loads(first["data"])["payload"]["data"]["events"]["cursor"] == first["id"]
    assert other["id"] == wrong["id"] == ""
    assert "Last-Event-ID" in json.loads(wrong["data"])["payload"]["errors"][0]["message"]


async def test_a_stream_that_nobody_opens_is_given_up() -> None:
    """Its token is unknown then, its operations are stopped, and its place is free for another."""
    credential = Credential(name="shop", level=AuthLevel.SECRET_KEY)
    context: Any = SimpleNamespace(credential=credential, place=Place(), request_id="r")
    runner: Any = None
    streams = SingleConnections(runner, asyncio.Event(), body_bytes_max=1_000, open_within_s=0.05)
    tokens = [bytes(streams.reserve(context, None).body).decode() for _ in range(STREAMS_PER_CREDENTIAL_MAX)]
    with pytest.raises(Refusal, match="Too many event streams"):
        streams.reserve(context, None)
    opened_in_time = streams.open(tokens[0], context)
    running = asyncio.create_task(asyncio.sleep(60))
    streams._streams[tokens[-1]].operations["1"] = running  # noqa: SLF001
    async with asyncio.timeout(5):
        await asyncio.wait({running})

    assert running.cancelled()
    assert opened_in_time.status_code == 200
    for token in tokens[1:]:
        with pytest.raises(Refusal, match="no such event stream"):
            streams.open(token, context)
    with pytest.raises(Refusal, match="open already"):
        streams.open(tokens[0], context)
    assert streams.reserve(context, None).status_code == 201


async def test_an_operation_may_be_sent_before_the_stream_is_open(client: Client) -> None:
    token = await reserve(client)
    assert await submit(client, token, "1", "{ __typename }") == 202
    async with opened(client, token) as stream:
        assert [(await anext(stream))["event"] for _ in range(2)] == ["next", "complete"]


async def test_what_cannot_run_says_so_on_the_stream(client: Client) -> None:
    token = await reserve(client)
    async with opened(client, token) as stream:
        assert await submit(client, token, "1", "{ nothing }") == 202
        assert json.loads((await anext(stream))["data"])["payload"]["errors"]


async def test_an_operation_is_stopped_by_its_id(client: Client) -> None:
    token = await reserve(client)
    headers = {TOKEN: token, **client.authorization}
    async with opened(client, token) as stream:
        assert await submit(client, token, "1", EVENTS) == 202
        await anext(stream)
        assert await submit(client, token, "1", EVENTS) == 409
        for _ in range(2):
            async with client.session.delete(f"{client.graphql}?operationId=1", headers=headers) as response:
                assert response.status == 200
        assert await submit(client, token, "1", "{ __typename }") == 202


async def test_a_token_opens_one_stream_and_ends_with_it(client: Client) -> None:
    token = await reserve(client)
    async with (
        opened(client, token),
        client.session.get(f"{client.graphql}?token={token}", headers=STREAM) as twice,
    ):
        assert twice.status == 409
    async with asyncio.timeout(5):
        while await submit(client, token, "1", "{ __typename }") != 404:
            await asyncio.sleep(0.05)


async def test_a_token_is_no_credential(service: Service, client: Client) -> None:
    """It may be in a proxy's log, so it sends nothing: that takes the key with which it was reserved."""
    token = await reserve(client)
    async with service.client(None) as thief:
        assert await submit(thief, token, "1", "{ __typename }") == 401
        async with thief.session.delete(thief.graphql, headers={TOKEN: token}) as response:
            assert response.status == 401
        async with thief.session.put(thief.graphql) as response:
            assert response.status == 401


@pytest.mark.parametrize("token", ["x", "", "ə" * 40])
async def test_an_unknown_token_is_a_404(client: Client, token: str) -> None:
    headers = {**STREAM, **client.authorization}
    async with client.session.get(f"{client.graphql}?token={token or 'none'}", headers=headers) as response:
        assert (response.status, (await response.json())["errors"][0]["extensions"]["code"]) == (404, "NOT_FOUND")
    async with client.session.delete(client.graphql, headers=client.authorization) as response:
        assert response.status == 404


@pytest.mark.parametrize("operation_id", [None, "", 1, "x" * 129, []])
async def test_an_operation_has_an_id(client: Client, operation_id: object) -> None:
    assert await submit(client, await reserve(client), operation_id, "{ __typename }") == 400
