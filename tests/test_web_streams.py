from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.service import Client, Service, events
from tests.shop import WATCH, new_order, pay, statuses

MIXED = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"


@pytest.mark.parametrize("transport", ["subscribe", "stream"], ids=["WebSocket", "event stream"])
@pytest.mark.parametrize(("card", "final"), [("4111 1111 1111 1111", "SUCCESS"), ("4000 0000 0000 0116", "FAILED")])
async def test_a_payment_is_watched_to_its_end(
    service: Service, client: Client, transport: str, card: str, final: str
) -> None:
    """The state now, then each change, and the end at the final one: the whole way, over real processes."""
    order = new_order()
    transaction = await pay(client, order)
    payloads: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        async for payload in getattr(client, transport)(WATCH, order=order):
            payloads.append(payload)
            if len(payloads) == 1:
                await service.simulator.pay(transaction["nextAction"]["url"], card)

    assert statuses(payloads) == [("SNAPSHOT", "REQUIRES_ACTION"), ("CHANGE", final)]


async def test_a_client_that_reads_both_gets_json_for_queries_and_a_stream_for_subscriptions(
    client: Client,
) -> None:
    """urql lists event streams beside JSON on every request."""
    order = new_order()
    await pay(client, order)
    headers = {"Accept": MIXED, **client.authorization}
    async with client.session.post(client.graphql, json={"query": "{ __typename }"}, headers=headers) as answer:
        assert answer.content_type == "application/graphql-response+json"
        assert await answer.json(content_type=None) == {"data": {"__typename": "Query"}}
    body = {"query": WATCH, "variables": {"order": order}}
    async with client.session.post(client.graphql, json=body, headers=headers) as answer:
        assert answer.content_type == "text/event-stream"
        async for event, _ in events(answer):
            assert event == "next"
            break


async def test_a_client_that_reads_json_only_is_told_how_to_subscribe(client: Client) -> None:
    body = {"query": WATCH, "variables": {"order": "x"}}
    headers = {"Accept": "application/json", **client.authorization}
    async with client.session.post(client.graphql, json=body, headers=headers) as answer:
        assert answer.status == 406
        assert "text/event-stream" in (await answer.json())["errors"][0]["message"]


async def test_a_stream_carries_queries_and_errors_too(client: Client) -> None:
    """A client in distinct connections mode knows nothing but streams."""
    assert [p async for p in client.stream("{ __typename }")] == [{"data": {"__typename": "Query"}}]
    (broken,) = [payload async for payload in client.stream("{")]
    assert broken["errors"]


async def test_a_stream_is_not_kept_buffered_or_framed_with_carriage_returns(client: Client) -> None:
    """urql cannot split frames that end in CRLF."""
    headers = {"Accept": "text/event-stream", **client.authorization}
    async with client.session.post(client.graphql, json={"query": "{ __typename }"}, headers=headers) as answer:
        assert answer.headers["Cache-Control"] == "no-store, no-transform"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert (
            await answer.read()
            == b'event: next\ndata: {"data":{"__typename":"Query"}}\n\nevent: complete\ndata: \n\n'
        )


async def test_a_multipart_part_ends_with_its_own_boundary(client: Client) -> None:
    """Apollo reads a part only once the boundary after it is there, and must not wait for a heartbeat."""
    order = new_order()
    await pay(client, order)
    headers = {"Accept": 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0', **client.authorization}
    body = {"query": WATCH, "variables": {"order": order}}
    async with client.session.post(client.graphql, json=body, headers=headers) as answer, asyncio.timeout(5):
        assert answer.headers["Content-Type"] == 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
        part = await answer.content.readuntil(b"}\r\n--graphql")

    assert part.startswith(b'\r\n--graphql\r\nContent-Type: application/json\r\n\r\n{"payload":{"data":')


async def test_a_wrong_credential_opens_no_stream(service: Service) -> None:
    async with service.client("wrong") as stranger:
        headers = {"Accept": "text/event-stream", **stranger.authorization}
        async with stranger.session.post(stranger.graphql, json={"query": WATCH}, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (401, "application/json")
