"""What is over goes at once: requests and subscriptions leave the garbage collector nothing to find.

It looks at thousands of young objects at a time, and everybody waits meanwhile. What refers to itself brings that
time nearer with each request.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from gql_epoint.keys import Scope, SecretKey, digest_of, new_secret_key
from gql_epoint.settings import read_settings
from gql_epoint.web.listening import bind
from gql_epoint.web.server import serve
from tests.benchmarks.contenders import fake_gateway
from tests.benchmarks.subscribers import DOCUMENT, TRANSPORTS, connect
from tests.benchmarks.subscriptions import Shop

ROUNDS = 5

# The service, and what serves and executes for it. Clients run in this process as well, and may leave anything.
OURS = ("gql_epoint", "graphql", "strawberry", "starlette", "uvicorn", "httptools", "websockets")


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    """A server freezes what there is and chooses other thresholds, for its whole process."""
    thresholds = gc.get_threshold()
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A service in this process, behind a real server."""
    key = new_secret_key(os.urandom)
    announced: asyncio.Queue[str] = asyncio.Queue()
    with fake_gateway(tmp_path) as gateway:
        settings, problems = read_settings(
            {
                "GQL_EPOINT_SANDBOX": "1",
                "GQL_EPOINT_DATABASE_URL": f"sqlite:///{tmp_path / 'garbage.db'}",
                "GQL_EPOINT_GATEWAY_URL": gateway.url,
                "GQL_EPOINT_SECRET_KEYS": SecretKey(
                    name="shop", scopes=frozenset(Scope), digest=digest_of(key)
                ).line(),
            }
        )
        assert settings is not None, problems
        serving = asyncio.create_task(serve(settings, bind("127.0.0.1", 0), announce=announced.put_nowait))
        async with asyncio.timeout(30):
            url = await announced.get()
        async with aiohttp.ClientSession() as session:
            yield Shop(url, [key], session)
        serving.cancel()
        await asyncio.wait({serving})


async def test_the_collector_looks_at_little_at_once(shop: Shop) -> None:
    """Everybody waits meanwhile: 20 ms for 30,000 objects, where 200,000 took more than 100."""
    await shop.pay()
    youngest, younger, _ = gc.get_threshold()

    assert youngest * (younger + 1) <= 30_000


async def left_by(work: Callable[[], Awaitable[object]]) -> Counter[str]:
    """Return what of ours only the garbage collector can find after some rounds, by type."""
    await work()  # What is made once refers to what it likes.
    await asyncio.sleep(0.2)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(ROUNDS):
            await work()
        await asyncio.sleep(0.2)
        gc.collect()
        types = [type(found) for found in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    return Counter(
        f"{kind.__module__}.{kind.__qualname__}" for kind in types if kind.__module__.partition(".")[0] in OURS
    )


async def test_a_payment_leaves_no_garbage(shop: Shop) -> None:
    """Its execution, its context and its answer go with it; so do those of the question that follows."""
    assert await left_by(shop.pay) == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_subscription_leaves_no_garbage(shop: Shop, transport: str) -> None:
    """From the handshake to the last event, which completes it, and the end of its connection."""

    async def watch() -> None:
        transaction_id, gateway_id = await shop.pay()
        subscriber = await connect(TRANSPORTS[transport], shop.url, shop.keys[0], DOCUMENT, id=transaction_id)
        await shop.decline(gateway_id)
        async with asyncio.timeout(10):
            await subscriber.ended
        subscriber.transport.abort()

    assert await left_by(watch) == {}
