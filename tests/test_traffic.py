"""How much one caller may ask: token buckets, open connections, and who counts as one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from gql_epoint.setting_values import parse_networks
from gql_epoint.web.addresses import client_address
from gql_epoint.web.throttle import Buckets
from tests.checkout_kit import WATCH, create
from tests.service import Client

VIEWER = "{ viewer { level } }"


class FakeTime:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_bucket_gives_a_minutes_worth_and_then_fills_evenly() -> None:
    """A burst is fine; after it one request comes back every so often, and waiting says for how long."""
    time = FakeTime()
    buckets = Buckets(60, time)
    assert [buckets.take("a") for _ in range(60)] == [0.0] * 60
    assert buckets.take("a") == pytest.approx(1.0)
    assert buckets.take("b") == 0.0
    time.now += 0.5
    assert buckets.take("a") == pytest.approx(0.5)
    time.now += 0.5
    assert (buckets.take("a"), buckets.take("a")) == (0.0, pytest.approx(1.0))
    time.now += 3600
    assert [buckets.take("a") for _ in range(61)].count(0.0) == 60


def test_bucket_without_a_size_never_refuses() -> None:
    """0 is no limit."""
    assert {Buckets(0, FakeTime()).take("a") for _ in range(1000)} == {0.0}


def test_buckets_do_not_grow_for_ever() -> None:
    """Whoever sends each request from another address fills no memory."""
    buckets = Buckets(1, FakeTime(), remembered_max=10)
    for number in range(100):
        buckets.take(str(number))

    assert len(buckets._left) == 10  # noqa: SLF001


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "counted"),
    [
        ("203.0.113.9", ["198.51.100.1"], "", "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.0.0.2"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.0/8", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", [], "", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "10.0.0.1", "198.51.100.1"),
    ],
)
def test_address_is_what_trusted_proxies_say(peer: str, forwarded: list[str], proxies: str, counted: str) -> None:
    """Whatever a stranger writes into the header counts for nothing."""
    scope: Any = {
        "type": "http",
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded],
    }

    assert client_address(scope, parse_networks(proxies)) == counted


async def statuses(client: Client, count: int) -> list[int]:
    return [(await client.post(b'{"query": "{ viewer { level } }"}'))[0] for _ in range(count)]


async def test_strangers_are_counted_by_address_and_keys_by_themselves(start_service: Any) -> None:
    """The refusal says when to come back; a backend on the same address and EPoint's callbacks go on."""
    service = start_service(GQL_EPOINT_ADDRESS_REQUESTS_PER_MINUTE="3", GQL_EPOINT_KEY_REQUESTS_PER_MINUTE="10")
    async with service.client() as backend, service.client(None) as stranger, service.client("guess") as guessing:
        assert await statuses(stranger, 2) == [200, 200]
        assert await statuses(guessing, 1) == [401]
        status, answer, headers = await guessing.post(b"{}")
        assert (status, answer["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(headers["Retry-After"]) <= 20
        assert headers["X-Request-ID"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with stranger.raw_socket():
                pass
        assert caught.value.status == 429
        async with backend.session.post(f"{service.url}/webhooks/epoint", data={"data": "x"}) as webhook:
            assert webhook.status == 400
        assert await statuses(backend, 11) == [200] * 10 + [429]


async def test_token_is_counted_by_itself(start_service: Any) -> None:
    """One page that asks too often holds up no other page behind the same address."""
    service = start_service(GQL_EPOINT_TOKEN_REQUESTS_PER_MINUTE="2")
    async with service.client() as backend:
        secrets = [(await create(backend))["clientToken"]["secret"] for _ in range(2)]
        async with service.client(secrets[0]) as one, service.client(secrets[1]) as other:
            assert await statuses(one, 3) == [200, 200, 429]
            assert await statuses(other, 1) == [200]


async def test_open_streams_and_sockets_have_an_end(start_service: Any) -> None:
    """Per token and per address; a place is free again as soon as a connection is over."""
    service = start_service(GQL_EPOINT_TOKEN_STREAMS_MAX="1", GQL_EPOINT_ADDRESS_CONNECTIONS_MAX="2")
    async with service.client() as backend, contextlib.AsyncExitStack() as stack:
        secret = (await create(backend))["clientToken"]["secret"]
        page = await stack.enter_async_context(service.client(secret))
        stream = page.stream(WATCH)
        await anext(stream)
        assert await statuses(page, 1) == [429]
        async with page.raw_socket(), backend.session.post(page.graphql, json={"query": VIEWER}) as third:
            assert third.status == 429
        assert await statuses(backend, 1) == [200]
        await stream.aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(10):
            while await statuses(page, 1) != [200]:
                await asyncio.sleep(0.05)


async def over_socket(socket: aiohttp.ClientWebSocketResponse, number: int) -> dict[str, Any]:
    """Ask on an open socket and return its first message about the operation."""
    await socket.send_json({"id": str(number), "type": "subscribe", "payload": {"query": VIEWER}})
    while True:
        message = await socket.receive_json(timeout=10)
        if message["id"] == str(number):
            return dict(message)


async def test_operations_on_a_socket_count_as_requests(start_service: Any) -> None:
    """In the bucket of the token: what is too much is refused alone, and the socket goes on."""
    service = start_service(GQL_EPOINT_TOKEN_REQUESTS_PER_MINUTE="3")
    async with service.client() as backend:
        secrets = [(await create(backend))["clientToken"]["secret"] for _ in range(2)]
        async with service.client(secrets[0]) as page, page.socket() as one, page.socket() as other:
            assert await statuses(page, 1) == [200]
            assert (await over_socket(one, 1))["type"] == "next"
            assert (await over_socket(other, 2))["type"] == "next"
            for socket, number in ((one, 3), (other, 4)):
                refused = await over_socket(socket, number)
                assert refused["type"] == "error"
                extensions = refused["payload"][0]["extensions"]
                assert extensions["code"] == "RATE_LIMITED"
                assert 0 < extensions["retryAfterMs"] <= 20_000
            assert await statuses(page, 1) == [429]
            await one.send_json({"type": "ping"})
            assert (await one.receive_json(timeout=10))["type"] in ("pong", "complete")
        async with service.client(secrets[1]) as page, page.socket() as third:
            assert (await over_socket(third, 1))["type"] == "next"


async def test_operations_on_sockets_count_for_keys_and_addresses(start_service: Any) -> None:
    """A key has its own bucket there as well; a stranger is counted by address, the handshake included."""
    service = start_service(GQL_EPOINT_KEY_REQUESTS_PER_MINUTE="2", GQL_EPOINT_ADDRESS_REQUESTS_PER_MINUTE="4")
    async with service.client() as backend, service.client(None) as stranger:
        async with backend.socket() as socket:
            kinds = [(await over_socket(socket, number))["type"] for number in range(3)]
        assert kinds == ["next", "next", "error"]
        assert await statuses(backend, 1) == [429]
        # Two handshakes of this address were counted: that of the key's socket, and this one.
        async with stranger.socket() as socket:
            codes = [(await over_socket(socket, number))["payload"][0]["extensions"]["code"] for number in range(3)]
        assert codes == ["UNAUTHENTICATED", "UNAUTHENTICATED", "RATE_LIMITED"]


async def test_sockets_are_counted_for_their_token(start_service: Any) -> None:
    """Sockets, streams and EventSources of one token share its places; the next one may try again later."""
    service = start_service(GQL_EPOINT_TOKEN_STREAMS_MAX="2")
    async with service.client() as backend, contextlib.AsyncExitStack() as stack:
        secret = (await create(backend))["clientToken"]["secret"]
        page = await stack.enter_async_context(service.client(secret))
        source = await _event_source(page)
        await stack.enter_async_context(source)
        first = page.socket()
        await first.__aenter__()
        assert await statuses(page, 1) == [429]
        async with page.raw_socket() as refused:
            payload = {"authorization": page.authorization["Authorization"]}
            await refused.send_json({"type": "connection_init", "payload": payload})
            assert (await refused.receive(10)).type is aiohttp.WSMsgType.CLOSE
            assert refused.close_code == 1013
        async with backend.socket() as other:
            assert (await over_socket(other, 1))["type"] == "next"
        await first.__aexit__(None, None, None)
        async with asyncio.timeout(10):
            while await statuses(page, 1) != [200]:
                await asyncio.sleep(0.05)
        another = await _event_source(page)
        await stack.enter_async_context(another)
        assert another.status == 200
        source.close()
        another.close()


async def _event_source(page: Client) -> aiohttp.ClientResponse:
    """Open a stream as a browser's EventSource does: by its token alone."""
    async with page.session.put(page.graphql, headers=page.authorization) as reserved:
        assert reserved.status == 201
        token = await reserved.text()
    headers = {"Accept": "text/event-stream"}
    response = await page.session.get(page.graphql, params={"token": token}, headers=headers)
    assert response.status == 200, await response.text()
    return response
