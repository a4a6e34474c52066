"""Schemathesis against the service as it runs in production: it answers what fits the schema, and leaks nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import graphql
import httpx
import hypothesis
import pytest
from hypothesis import strategies as st

from gql_epoint.keys import Scope, SecretKey, digest_of, new_secret_key
from tests.service import Service
from tests.shop import PAY, payment

hypothesis_graphql = pytest.importorskip("hypothesis_graphql")
schemathesis = pytest.importorskip("schemathesis")

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

PRIVATE_KEY = "s2kq9v1m7x4wz8c3b6n5t0r2y1u4i7o9p8a6d5f3g2h1"  # the simulator's second merchant
EXAMPLES_MAX = 100
SILENCE_S = 0.5
KNOWN = "an-order-that-exists"

nodes = schemathesis.graphql.nodes
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS: dict[str, Any] = {
    "Date": st.one_of(st.dates().map(str), texts),
    "DateTime": st.one_of(st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"), texts),
    "Decimal": st.one_of(st.decimals(0, 1000, places=2).map(str), texts),
    "IdempotencyKey": st.one_of(st.uuids().map(str), texts),
    "JSON": texts,
    "URL": st.one_of(st.just("https://shop.example/back"), texts),
}
for name, strategy in SCALARS.items():
    schemathesis.graphql.scalar(name, strategy.map(nodes.String))

CONTRACT = Path(__file__).parents[2] / "schema.graphql"
contract = schemathesis.graphql.from_path(CONTRACT)


bounded = hypothesis.settings(
    max_examples=EXAMPLES_MAX,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

ACCEPT = "application/graphql-response+json"
ASKED = {
    "query": "query Q($n: Int) { transactions(first: $n) { edges { cursor } } }",
    "variables": {"n": 1},
    "operationName": "Q",
    "extensions": {},
}
VALID_BODIES = st.just(json.dumps(ASKED).encode())
VALID_MESSAGES = st.sampled_from(
    [
        json.dumps(message).encode()
        for message in (
            {"id": "1", "type": "subscribe", "payload": ASKED},
            {"id": "1", "type": "complete"},
            {"type": "ping", "payload": {"a": 1}},
            {"type": "connection_init", "payload": {}},
        )
    ]
)
ODD = [
    b"",
    b"null",
    b"-1",
    b"1e999",
    b"1" * 5_000,
    b'"\\ud800"',
    b"[]",
    b"{}",
    b"[" * 50_000,
    b"\xff",
    b"\x00",
    b'"',
]


def spoilt(good: bytes, data: st.DataObject) -> bytes:
    """Return good bytes with something odd in place of a part of them."""
    start, end = sorted(data.draw(st.integers(0, len(good))) for _ in range(2))
    return good[:start] + data.draw(st.sampled_from(ODD)) + good[end:]


def as_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def subscriptions() -> st.SearchStrategy[str]:
    """Schemathesis makes queries and mutations only, so subscriptions are made as queries of another schema."""
    schema = graphql.build_schema(CONTRACT.read_text())
    watching = graphql.GraphQLSchema(query=schema.subscription_type, types=list(schema.type_map.values()))
    made = hypothesis_graphql.queries(
        watching, custom_scalars={name: strategy.map(nodes.String) for name, strategy in SCALARS.items()}
    )
    return st.builds(lambda text, is_known: _subscription(text, is_known=is_known), made, st.booleans())


def _subscription(query: str, *, is_known: bool) -> str:
    named = re.sub(r'orderId: "(?:\\.|[^"\\])*"', f'orderId: "{KNOWN}"', query) if is_known else query
    return f"subscription {named.removeprefix('query')}"


class Live(Service):
    """A service outside of sandbox mode, and a key for it with all scopes."""

    def __init__(self, directory: Path) -> None:
        self.key = new_secret_key(os.urandom)
        row = SecretKey(name="fuzz", scopes=frozenset(Scope), digest=digest_of(self.key))
        super().__init__(
            directory,
            GQL_EPOINT_SANDBOX="0",
            EPOINT_PUBLIC_KEY="i000000002",
            EPOINT_PRIVATE_KEY=PRIVATE_KEY,
            GQL_EPOINT_SECRET_KEYS=row.line(),
            GQL_EPOINT_CALL_TIMEOUT_S="2",
            # All of this comes from one address, and more of it than one is allowed.
            GQL_EPOINT_ADDRESS_REQUESTS_PER_MINUTE="0",
        )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    service = Live(tmp_path_factory.mktemp("live"))
    try:
        service.start()
        yield service
    finally:
        service.close()


@contract.parametrize()
@bounded
def test_whatever_fits_the_schema_is_answered(case: Any, live: Live) -> None:
    """No server error and no unexpected one, and nothing of the inside in the answer or the log."""
    response = case.call(base_url=f"{live.url}/graphql", headers={"Authorization": f"Bearer {live.key}"})
    answer = response.json()

    assert response.status_code in (200, 400), answer
    assert "INTERNAL_ERROR" not in response.text
    assert "data" in answer or answer["errors"]
    for secret in (PRIVATE_KEY, live.key, "Traceback", "site-packages", "sqlite", str(live.directory)):
        assert secret not in response.text


@hypothesis.given(body=st.one_of(st.binary(max_size=200), st.builds(spoilt, VALID_BODIES, st.data())))
@bounded
def test_whatever_the_bytes_are_the_answer_is_not_a_500(body: bytes, live: Live) -> None:
    """Neither from noise nor from a good request with something wrong in it."""
    headers = {"Authorization": f"Bearer {live.key}", "Content-Type": "application/json", "Accept": ACCEPT}
    response = httpx.post(f"{live.url}/graphql", content=body, headers=headers)

    assert response.status_code in (200, 400, 405), (body, response.text)
    assert "INTERNAL_ERROR" not in response.text
    assert set(response.json()) <= {"data", "errors"}


@hypothesis.given(text=st.one_of(st.text(max_size=200), st.builds(spoilt, VALID_MESSAGES, st.data()).map(as_text)))
@bounded
def test_whatever_a_message_says_the_socket_answers_by_its_protocol(text: str, live: Live) -> None:
    """A message about an operation, or a close with one of the protocol's codes; never a crash."""

    async def answer() -> tuple[str, object]:
        async with live.client(live.key) as client, client.socket() as socket:
            await socket.send_str(text)
            await socket.send_json({"type": "ping"})
            message = await socket.receive(timeout=10)
            if message.type is aiohttp.WSMsgType.TEXT:
                return message.json()["type"], message.data
            return "closed", socket.close_code

    kind, seen = asyncio.run(answer())

    assert kind in ("next", "error", "complete", "pong") or seen in (4400, 4409, 4429), (text, seen)
    assert "INTERNAL_ERROR" not in str(seen)


@hypothesis.given(document=subscriptions())
@bounded
def test_whatever_watches_is_answered_or_waits(document: str, live: Live, told: Counter[str]) -> None:
    """Over WebSocket: a result, an error of that operation, or silence until something happens; never more."""
    answer = asyncio.run(first_answer(live, document))

    told[answer["type"]] += 1
    assert "INTERNAL_ERROR" not in str(answer)
    for secret in (PRIVATE_KEY, live.key, "Traceback", "site-packages", "sqlite", str(live.directory)):
        assert secret not in str(answer)


def test_watching_was_tried_in_earnest(told: Counter[str]) -> None:
    """Run after the one before: some of what it made was valid and answered, and some was refused."""
    assert told["next"] > 0
    assert told["error"] > 0
    assert told["closed"] == 0


@pytest.fixture(scope="module")
def told(live: Live) -> Counter[str]:
    """What became of each subscription; there is a payment that can be watched."""

    async def pay() -> None:
        async with live.client(live.key) as client:
            await client.execute(PAY, input=payment(KNOWN))

    asyncio.run(pay())
    return Counter()


async def first_answer(live: Live, document: str) -> dict[str, Any]:
    """Return the first message about an operation; after silence the connection must still work."""
    async with live.client(live.key) as client, client.socket() as socket:
        await socket.send_json({"id": "1", "type": "subscribe", "payload": {"query": document}})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return {"type": "closed", "code": message.data}
                return dict(message.json())
        await socket.send_json({"id": "2", "type": "subscribe", "payload": {"query": "{ __typename }"}})
        while (await socket.receive_json(timeout=5))["id"] != "2":
            pass
        return {"type": "silence"}


def test_nothing_unexpected_is_in_the_log(live: Live) -> None:
    """Run after the others: neither a bug nor a secret."""
    logged = live.logged()

    assert "unexpected" not in logged
    assert "Traceback" not in logged
    assert PRIVATE_KEY not in logged
    assert live.key not in logged
