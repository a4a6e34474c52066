"""Traces: what a collector is sent, and what it never is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.service import Service
from tests.shop import PAY, new_order, payment

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector:
    """An OpenTelemetry collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[bytes] = []
        self.spans: list[Span] = []

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(body := await request.read())
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collecting = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collecting.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collecting.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield collecting
    await runner.cleanup()


def told(span: Span) -> dict[str, Any]:
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


@pytest.fixture
def traced(start_service: Any, collector: Collector) -> Service:
    """A service that sends its traces to the collector."""
    service: Service = start_service(
        GQL_EPOINT_TRACES="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    return service


async def test_a_request_and_its_call_to_epoint_are_one_trace(traced: Service, collector: Collector) -> None:
    """The caller's trace goes on, spans are named by GraphQL's conventions, and nothing personal is in them."""
    order = new_order()
    async with traced.client() as client:
        client.authorization["traceparent"] = f"00-{CALLER}-00f067aa0ba902b7-01"
        await client.data(PAY, input=payment(order) | {"description": "A ring for Aydan"})
        await asyncio.to_thread(traced.stop)
    spans = {span.name: span for span in collector.spans if span.trace_id.hex() == CALLER}
    request, call = spans["mutation"], spans["epoint pay"]

    assert call.parent_span_id == request.span_id
    assert (request.kind, call.kind) == (Span.SpanKind.SPAN_KIND_SERVER, Span.SpanKind.SPAN_KIND_CLIENT)
    assert told(request) == {
        "http.request.method": "POST",
        "http.route": "/graphql",
        "http.response.status_code": 200,
        "graphql.operation.type": "mutation",
    } | {name: value for name, value in told(request).items() if name == "graphql.operation.name"}
    assert told(call) == {
        "epoint.operation": "pay",
        "epoint.outcome": "answered",
        "http.request.method": "POST",
        "url.path": "/api/1/request",
    }
    everything = b"".join(collector.bodies)
    for secret in (order, "Aydan", "signature", "idempotencyKey"):
        assert secret.encode() not in everything


def operations(collector: Collector) -> list[Span]:
    """The spans of GraphQL operations, in the order in which they began."""
    found = [span for span in collector.spans if "http.route" not in told(span) and "epoint" not in span.name]
    return sorted(found, key=lambda span: span.start_time_unix_nano)


async def test_each_operation_on_a_socket_is_a_span(traced: Service, collector: Collector) -> None:
    """Named by its type, for as long as it runs; what it calls is below it, and its document is nowhere."""
    order = new_order()
    literal = f'subscription Watch {{ transactionUpdated(by: {{orderId: "{order}"}}) {{ kind }} }}'
    trace = {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"}
    messages: list[dict[str, Any]] = [
        {"query": f"mutation Buy{PAY.removeprefix(chr(10) + 'mutation')}", "variables": {"input": payment(order)}},
        {"query": literal, "extensions": trace},
        {"query": "{ nothing }"},
        {"query": "query Who { viewer { level } }"},
    ]
    async with traced.client() as client, client.socket() as socket:
        for number, payload in enumerate(messages):
            await socket.send_json({"id": f"{number}", "type": "subscribe", "payload": payload})
            answer = await socket.receive_json()
            assert answer["type"] == ("error" if number == 2 else "next"), answer
            if number in (0, 3):
                assert (await socket.receive_json())["type"] == "complete"
        await socket.send_json({"id": "1", "type": "complete"})
        await socket.send_json({"type": "ping"})
        await socket.receive_json()
        await asyncio.to_thread(traced.stop)
    buy, watch, nothing, who = operations(collector)
    calls = [span for span in collector.spans if span.name == "epoint pay"]

    assert [span.kind for span in (buy, watch, nothing, who)] == [Span.SpanKind.SPAN_KIND_SERVER] * 4
    assert [(span.name, told(span)) for span in (buy, watch, nothing, who)] == [
        ("mutation", {"graphql.operation.type": "mutation", "graphql.operation.name": "Buy"}),
        ("subscription", {"graphql.operation.type": "subscription", "graphql.operation.name": "Watch"}),
        ("GraphQL Operation", {"error.type": "GRAPHQL_VALIDATION_FAILED"}),
        ("query", {"graphql.operation.type": "query", "graphql.operation.name": "Who"}),
    ]
    assert len({span.trace_id for span in (buy, watch, nothing, who)}) == 4
    assert watch.trace_id.hex() == CALLER
    assert [span.parent_span_id for span in calls] == [buy.span_id]
    assert watch.end_time_unix_nano > who.end_time_unix_nano
    for secret in (order, "nothing", "viewer", "orderId", "idempotencyKey"):
        assert secret.encode() not in b"".join(collector.bodies)


async def test_an_event_stream_is_the_span_of_its_operation(traced: Service, collector: Collector) -> None:
    order = new_order()
    async with traced.client() as client:
        await client.data(PAY, input=payment(order))
        async for answer in client.stream(f'query Ask {{ transaction(by: {{orderId: "{order}"}}) {{ id }} }}'):
            assert answer["data"]["transaction"]["id"]
        await asyncio.to_thread(traced.stop)
    (span,) = [span for span in collector.spans if span.name == "query"]

    assert told(span) == {
        "http.request.method": "POST",
        "http.route": "/graphql",
        "http.response.status_code": 200,
        "graphql.operation.type": "query",
        "graphql.operation.name": "Ask",
    }
    assert order.encode() not in b"".join(collector.bodies)


async def test_each_operation_on_a_shared_event_stream_is_a_span(traced: Service, collector: Collector) -> None:
    """Below the request that sent it, which is answered long before."""
    async with traced.client() as client, asyncio.timeout(15):
        async with client.session.put(client.graphql, headers=client.authorization) as reserved:
            token = await reserved.text()
        url, accept = f"{client.graphql}?token={token}", {"Accept": "text/event-stream"}
        async with client.session.get(url, headers=accept) as stream:
            body = {"query": "query Who { viewer { level } }", "extensions": {"operationId": "1"}}
            headers = {"X-GraphQL-Event-Stream-Token": token, **client.authorization}
            async with client.session.post(client.graphql, json=body, headers=headers) as sent:
                assert sent.status == 202
            while b"complete" not in await stream.content.readline():
                pass
        await asyncio.to_thread(traced.stop)
    (who,) = operations(collector)
    (post,) = [span for span in collector.spans if told(span).get("http.response.status_code") == 202]

    assert (who.name, who.parent_span_id) == ("query", post.span_id)
    assert told(who) == {"graphql.operation.type": "query", "graphql.operation.name": "Who"}
    assert token.encode() not in b"".join(collector.bodies)


async def test_traces_are_off_until_they_are_asked_for(start_service: Any, collector: Collector) -> None:
    service: Service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    async with service.client() as client:
        await client.data("{ viewer { level } }")
        await asyncio.to_thread(service.stop)

    assert collector.bodies == []


def test_only_two_modules_know_of_opentelemetry() -> None:
    """Without the extra everything else works as it is."""
    root = Path(__file__).parent.parent / "gql_epoint"
    found = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}

    assert {name for name, text in found.items() if "opentelemetry" in text} == {"tracing.py", "cli/traces.py"}


def test_nothing_needs_opentelemetry() -> None:
    """A span is a block like any other, and whoever asks for traces is told what to install."""
    program = """if True:
        import sys
        sys.modules["opentelemetry"] = None
        from gql_epoint import tracing
        with tracing.server_span("a", {}, b="c"), tracing.client_span("d"), tracing.operation_span({}):
            tracing.note(e=1)
            tracing.note_operation("query", None)
        from gql_epoint.cli.traces import tracing
        with tracing(True, "x"): pass
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)

    assert "needs OpenTelemetry: pip install 'gql-epoint[otel]'" in done.stderr.splitlines()[-1]
