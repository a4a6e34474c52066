"""How much one caller may ask: token buckets, open connections, and who counts as one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from gql_epoint.setting_values import parse_networks
from gql_epoint.web.addresses import client_address
from gql_epoint.web.traffic import Buckets
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
