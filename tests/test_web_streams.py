from __future__ import annotations

import asyncio
import itertools
import uuid
from typing import Any

import pytest

from tests.service import Client, Service, events

PAY = """
mutation ($input: PayInput!) {
  pay(input: $input) {
    errors { code message }
    transaction { id orderId status nextAction { ... on RedirectAction { url } } }
  }
}
"""
WATCH = """
subscription ($order: String!) {
  transactionUpdated(by: {orderId: $order}) { kind transaction { status version isFinal } }
}
"""
MIXED = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"

orders = (f"web-{number}-{uuid.uuid4().hex[:8]}" for number in itertools.count(1))


async def pay(client: Client, order: str) -> dict[str, Any]:
    """Start a payment of 10 manat."""
    request = {"idempotencyKey": f"key-of-{order}", "orderId": order, "amount": {"amount": "10.00"}}
    payload = (await client.data(PAY, input=request))["pay"]
    assert payload["errors"] == []
    return dict(payload["transaction"])


def statuses(payloads: list[dict[str, Any]]) -> list[tuple[str, str]]:
    updates = [payload["data"]["transactionUpdated"] for payload in payloads]
    return [(update["kind"], update["transaction"]["status"]) for update in updates]


@pytest.mark.parametrize("transport", ["subscribe", "stream"], ids=["WebSocket", "event stream"])
@pytest.mark.parametrize(("card", "final"), [("4111 1111 1111 1111", "SUCCESS"), ("4000 0000 0000 0116", "FAILED")])
async def test_a_payment_is_watched_to_its_end(
    service: Service, client: Client, transport: str, card: str, final: str
) -> None:
    """The state now, then each change, and the end at the final one: the whole way, over real processes."""
    order = next(orders)
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
    order = next(orders)
    await pay(client, order)
    headers = {"Accept": MIXED, **client.authorization}
    async with client.session.post(client.graphql, json={"query": "{ __typename }"}, headers=headers) as answer:
        assert answer.content_type == "application/json"
        assert await answer.json() == {"data": {"__typename": "Query"}}
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


async def test_a_wrong_credential_opens_no_stream(service: Service) -> None:
    async with service.client("wrong") as stranger:
        headers = {"Accept": "text/event-stream", **stranger.authorization}
        async with stranger.session.post(stranger.graphql, json={"query": WATCH}, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (401, "application/json")


async def test_a_stop_ends_streams_and_sockets_at_once(start_service: Any) -> None:
    """A deployment does not wait for customers to close their browsers."""
    service: Service = start_service()
    async with service.client() as client:
        order = next(orders)
        await pay(client, order)
        watching = [aiter(getattr(client, name)(WATCH, order=order)) for name in ("subscribe", "stream")]
        for stream in watching:
            await anext(stream)
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(service.stop) == 0
        for stream in watching:
            await stream.aclose()


async def test_a_payment_survives_a_power_cut(start_service: Any) -> None:
    """What was answered is there after a kill -9, and its payment goes on."""
    service: Service = start_service()
    order = next(orders)
    async with service.client() as client:
        transaction = await pay(client, order)
    service.restart()
    async with service.client() as client, asyncio.timeout(20):
        found = [payload async for payload in _watch_and_pay(service, client, order, transaction)]

    assert statuses(found) == [("SNAPSHOT", "REQUIRES_ACTION"), ("CHANGE", "SUCCESS")]


async def _watch_and_pay(service: Service, client: Client, order: str, transaction: dict[str, Any]) -> Any:
    async for payload in client.subscribe(WATCH, order=order):
        yield payload
        if payload["data"]["transactionUpdated"]["kind"] == "SNAPSHOT":
            await service.simulator.pay(transaction["nextAction"]["url"])
