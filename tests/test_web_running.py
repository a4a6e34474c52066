"""What becomes of an operation when its time is up or its client goes, seen from inside the process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import strawberry
from starlette.types import ASGIApp
from strawberry.types.graphql import OperationType

from gql_epoint.owned import Owned
from gql_epoint.schema.context import Place
from gql_epoint.schema.deadlines import executor_with
from gql_epoint.web.asking import Asked
from gql_epoint.web.closing import Closing, ClosingSockets, OpenSockets
from gql_epoint.web.graphql import GraphQLEndpoint
from gql_epoint.web.running import OtherTypeError, Runner, formatted
from gql_epoint.web.sockets import Sockets

EVENT_DEADLINE_S = 0.3

log: list[str] = []


async def work(name: str, seconds: float = 0.2) -> str:
    log.append(f"{name} began")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        raise
    log.append(f"{name} ended")
    return name


@strawberry.type
class Query:
    @strawberry.field
    async def slow(self) -> str:
        return await work("query")


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def slow(self) -> str:
        return await work("mutation")


@strawberry.type
class Tick:
    nap_s: strawberry.Private[float]

    @strawberry.field
    async def slow(self) -> str:
        if self.nap_s < 0:
            raise ValueError("the database is away for a moment")
        return await work("event", self.nap_s)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncGenerator[int, None]:
        log.append("ticks began")
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            log.append("ticks closed")

    @strawberry.subscription
    async def ticks_of(self, info: strawberry.Info[Any], naps: list[float]) -> AsyncGenerator[Tick, None]:
        try:
            await asyncio.sleep(EVENT_DEADLINE_S * 1.5)  # Waiting is not limited.
            for number, nap_s in enumerate(naps, start=1):
                info.context.place.event_id = f"id-{number}"
                yield Tick(nap_s=nap_s)
        finally:
            log.append("ticks closed")

    @strawberry.subscription
    async def bug(self) -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("a secret")


SCHEMA = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    execution_context_class=executor_with(EVENT_DEADLINE_S),
)


async def _request_context(_request: Any) -> Any:
    return context()


async def _nobody(_payload: Any) -> None:
    return None


VISITORS: Any = SimpleNamespace(
    of_request=_request_context,
    of_socket=_nobody,
    context=lambda *_: context(),
    seconds_left=lambda _credential: lifetime_s[0],
)
lifetime_s: list[float | None] = [None]


def context() -> Any:
    return SimpleNamespace(request_id="r-1", place=Place(), credential=None)


@pytest.fixture(autouse=True)
def _fresh_log() -> None:
    log.clear()
    lifetime_s[0] = None


async def until(line: str) -> None:
    async with asyncio.timeout(5):
        while line not in log:
            await asyncio.sleep(0.01)


def codes(result: Any) -> list[str]:
    return [error["extensions"]["code"] for error in formatted(result)["errors"]]


# -- Runner ---------------------------------------------------------------------------------------------------


async def test_a_query_ends_when_its_time_is_up() -> None:
    result = await Runner(SCHEMA, deadline_s=0.02).answer(Asked(query="{ slow }"), context())

    assert codes(result) == ["DEADLINE_EXCEEDED"]
    await until("query cancelled")


async def test_a_mutation_goes_on_when_its_time_is_up() -> None:
    """What it has begun at EPoint is not undone by us; a shutdown waits for it."""
    owned = Owned()
    result = await Runner(SCHEMA, deadline_s=0.02, owned=owned).answer(Asked(query="mutation { slow }"), context())
    seen = list(log)
    await owned.drain()

    assert codes(result) == ["DEADLINE_EXCEEDED"]
    assert (seen, log) == (["mutation began"], ["mutation began", "mutation ended"])


async def test_a_type_that_is_not_allowed_does_not_run() -> None:
    runner = Runner(SCHEMA, deadline_s=1)
    for query in ("mutation { slow }", "subscription { ticks }"):
        with pytest.raises(OtherTypeError):
            await runner.answer(Asked(query=query), context(), frozenset({OperationType.QUERY}))

    assert log == []


async def test_closing_the_results_closes_the_source() -> None:
    results = Runner(SCHEMA, deadline_s=1).results(Asked(query="subscription { ticks }"), context())
    assert formatted(await anext(results)) == {"data": {"ticks": 1}}
    await results.aclose()

    assert log == ["ticks began", "ticks closed"]


LATE = "subscription { ticksOf(naps: [0, 0, 60, 0]) { slow } }"


async def test_an_event_whose_time_is_up_ends_its_subscription() -> None:
    """Waiting for events is not limited; the work on one is, and what it waits for is cancelled."""
    runner = Runner(SCHEMA, deadline_s=5)
    *answered, late = [result async for result in runner.results(Asked(query=LATE), context())]

    assert [formatted(result) for result in answered] == [{"data": {"ticksOf": {"slow": "event"}}}] * 2
    assert codes(late) == ["DEADLINE_EXCEEDED"]
    assert "data" not in formatted(late)
    assert log == ["event began", "event ended"] * 2 + ["event began", "event cancelled", "ticks closed"]


async def test_a_bug_in_a_source_ends_it_without_its_text() -> None:
    runner = Runner(SCHEMA, deadline_s=1)
    found = [formatted(result) async for result in runner.results(Asked(query="subscription { bug }"), context())]

    assert found[0] == {"data": {"bug": 1}}
    assert len(found) == 2


# -- HTTP -----------------------------------------------------------------------------------------------------


def endpoint(**options: Any) -> GraphQLEndpoint:
    runner = Runner(SCHEMA, deadline_s=5)
    sockets = Sockets(runner, VISITORS, allowed_origins=(), **options)
    return GraphQLEndpoint(runner, VISITORS, sockets, body_bytes_max=1_000, explorer=None, closing=Closing())


class Wire:
    """The server's side of one ASGI call: what a client sends goes in, what it would read comes out."""

    def __init__(self, scope: dict[str, Any], app: ASGIApp | None = None, **options: Any) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope |= {"asgi": {"version": "3.0"}, "path": "/graphql", "query_string": b"", "state": {"request_id": "r"}}
        self.broken = False
        self.call = asyncio.create_task((app or endpoint(**options))(scope, self.received.get, self.send))  # type: ignore[arg-type]

    async def send(self, message: Any) -> None:
        if self.broken:
            raise OSError("the client has gone")
        await self.sent.put(message)

    async def take(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.sent.get()

    async def over(self) -> None:
        async with asyncio.timeout(5):
            await self.call


@contextlib.asynccontextmanager
async def posted(query: str, accept: str = "application/json") -> AsyncIterator[Wire]:
    headers = {"content-type": "application/json", "accept": accept}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    wire = Wire({"type": "http", "method": "POST", "headers": raw})
    wire.received.put_nowait({"type": "http.request", "body": json.dumps({"query": query}).encode()})
    yield wire
    await wire.over()


async def test_a_query_stops_when_its_client_goes() -> None:
    async with posted("{ slow }") as wire:
        await until("query began")
        wire.received.put_nowait({"type": "http.disconnect"})

    assert log == ["query began", "query cancelled"]


async def test_a_mutation_goes_on_when_its_client_goes() -> None:
    async with posted("mutation { slow }") as wire:
        await until("mutation began")
        wire.received.put_nowait({"type": "http.disconnect"})
    await until("mutation ended")

    assert log == ["mutation began", "mutation ended"]


@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0, application/json"])
async def test_a_source_closes_when_the_reader_of_its_stream_goes(accept: str) -> None:
    async with posted("subscription { ticks }", accept) as wire:
        assert (await wire.take())["status"] == 200
        while b'"ticks":1' not in (await wire.take())["body"]:
            pass
        wire.received.put_nowait({"type": "http.disconnect"})

    assert log == ["ticks began", "ticks closed"]


async def test_a_client_resumes_after_what_was_answered() -> None:
    """An event whose time was up has no id on the stream, so the last id is that of the one before."""
    async with posted(LATE, "text/event-stream") as wire:
        await wire.take()
        body = b""
        while b"complete" not in body:
            body += (await wire.take())["body"]
    events = body.split(b"\n\n")

    assert [event.partition(b"\n")[0] for event in events[:3]] == [b"id: id-1", b"id: id-2", b"event: next"]
    assert b"DEADLINE_EXCEEDED" in events[2]


async def test_an_event_that_came_to_nothing_has_no_id() -> None:
    """Its client is told of the error, and a break right after it begins again with this event."""
    async with posted("subscription { ticksOf(naps: [0, -1]) { slow } }", "text/event-stream") as wire:
        await wire.take()
        body = b""
        while b"complete" not in body:
            body += (await wire.take())["body"]
    events = body.split(b"\n\n")

    assert [event.partition(b"\n")[0] for event in events[:2]] == [b"id: id-1", b"event: next"]
    assert b'"data":null' in events[1]


@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0, application/json"])
async def test_no_stream_outlives_its_credential(accept: str) -> None:
    lifetime_s[0] = 0.05
    async with posted("subscription { ticks }", accept):
        await until("ticks closed")


# -- sockets --------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[Wire]:
    wire = Wire({"type": "websocket", "headers": [], "subprotocols": ["graphql-transport-ws"]}, **options)
    wire.received.put_nowait({"type": "websocket.connect"})
    assert (await wire.take())["type"] == "websocket.accept"
    say(wire, type="connection_init")
    assert json.loads((await wire.take())["text"]) == {"type": "connection_ack"}
    yield wire
    wire.received.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await wire.over()


def say(wire: Wire, **message: Any) -> None:
    wire.received.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})


async def test_sources_close_when_the_client_of_a_socket_goes() -> None:
    async with connected() as wire:
        for number in "123":
            say(wire, type="subscribe", id=number, payload={"query": "subscription { ticks }"})
        for _ in range(3):
            assert json.loads((await wire.take())["text"])["payload"] == {"data": {"ticks": 1}}

    assert sorted(log) == ["ticks began"] * 3 + ["ticks closed"] * 3


async def test_an_answer_for_a_client_that_has_gone_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Its first message finds out, and there are more: nothing of that is logged as a bug."""
    async with connected() as wire:
        say(wire, type="subscribe", id="1", payload={"query": "{ slow }"})
        await until("query began")
        wire.broken = True
        await until("query ended")
        await asyncio.sleep(0.05)

    assert [record.getMessage() for record in caplog.records] == []


async def test_a_source_closes_when_its_client_completes() -> None:
    async with connected() as wire:
        say(wire, type="subscribe", id="1", payload={"query": "subscription { ticks }"})
        await wire.take()
        say(wire, type="complete", id="1")
        await until("ticks closed")


async def test_an_event_whose_time_is_up_is_an_error_of_its_operation_alone() -> None:
    async with connected() as wire:
        say(wire, type="subscribe", id="1", payload={"query": LATE})
        answers = [json.loads((await wire.take())["text"]) for _ in range(3)]
        say(wire, type="subscribe", id="1", payload={"query": "{ __typename }"})
        after = json.loads((await wire.take())["text"])

    assert [answer["type"] for answer in answers] == ["next", "next", "error"]
    assert answers[2]["payload"][0]["extensions"] == {"code": "DEADLINE_EXCEEDED"}
    assert after["payload"] == {"data": {"__typename": "Query"}}


async def test_operations_on_a_socket_are_bounded_also_while_they_end() -> None:
    async with connected(operations_max=2) as wire:
        for number in "123":
            say(wire, type="subscribe", id=number, payload={"query": "subscription { ticks }"})
        answers = [json.loads((await wire.take())["text"]) for _ in range(3)]
        say(wire, type="complete", id="1")
        await until("ticks closed")
        say(wire, type="subscribe", id="4", payload={"query": "subscription { ticks }"})
        again = json.loads((await wire.take())["text"])

    refused = [answer for answer in answers if answer["type"] == "error"]
    assert [answer["id"] for answer in refused] == ["3"]
    assert refused[0]["payload"][0]["extensions"] == {"code": "TOO_MANY_OPERATIONS"}
    assert again["type"] == "next"


async def test_no_socket_outlives_its_credential() -> None:
    lifetime_s[0] = 0.05
    async with connected() as wire:
        say(wire, type="subscribe", id="1", payload={"query": "subscription { ticks }"})
        await wire.take()
        closed = await wire.take()

    assert (closed["type"], closed["code"], closed["reason"]) == (
        "websocket.close",
        4401,
        "The credential has expired",
    )
    assert log == ["ticks began", "ticks closed"]


async def test_connections_of_one_credential_are_bounded() -> None:
    """The next one may try again later, and can once another has closed."""
    app = endpoint(connections_per_credential_max=1)
    for _ in range(2):
        async with connected(app=app):
            second = Wire({"type": "websocket", "headers": [], "subprotocols": ["graphql-transport-ws"]}, app)
            second.received.put_nowait({"type": "websocket.connect"})
            await second.take()
            say(second, type="connection_init")
            closed = await second.take()
            await second.over()

        assert (closed["type"], closed["code"]) == ("websocket.close", 1013)


async def test_connections_are_bounded_before_they_say_who_they_are() -> None:
    app = endpoint(connections_max=1)
    async with connected(app=app):
        second = Wire({"type": "websocket", "headers": [], "subprotocols": ["graphql-transport-ws"]}, app)
        second.received.put_nowait({"type": "websocket.connect"})
        await second.take()
        closed = await second.take()
        await second.over()

    assert (closed["type"], closed["code"]) == ("websocket.close", 1013)


async def test_an_idle_socket_is_closed_with_the_service() -> None:
    """Its client is told to connect again, and what ran on it is stopped."""
    opened = OpenSockets()
    async with connected(app=ClosingSockets(endpoint(), opened)) as wire:
        say(wire, type="subscribe", id="1", payload={"query": "subscription { ticks }"})
        await wire.take()
        await opened.close()
        closed = await wire.take()
        await wire.over()

    assert (closed["type"], closed["code"]) == ("websocket.close", 1001)
    assert log == ["ticks began", "ticks closed"]


async def test_a_socket_whose_task_is_cancelled_is_cancelled() -> None:
    """Only the service's own closing is taken for it, also if both come at once."""
    for closes in (False, True):
        opened = OpenSockets()
        async with connected(app=ClosingSockets(endpoint(), opened)) as wire:
            wire.call.cancel()
            if closes:
                await opened.close()
            await asyncio.wait({wire.call}, timeout=5)
            assert wire.call.cancelled()
            wire.call = asyncio.create_task(asyncio.sleep(0))
