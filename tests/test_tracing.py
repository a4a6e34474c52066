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


async def test_a_request_and_its_call_to_epoint_are_one_trace(start_service: Any, collector: Collector) -> None:
    """The caller's trace goes on, spans are named by GraphQL's conventions, and nothing personal is in them."""
    service: Service = start_service(
        GQL_EPOINT_TRACES="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )
    order = new_order()
    async with service.client() as client:
        client.authorization["traceparent"] = f"00-{CALLER}-00f067aa0ba902b7-01"
        await client.data(PAY, input=payment(order) | {"description": "A ring for Aydan"})
        await asyncio.to_thread(service.stop)
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
        with tracing.server_span("a", {}, b="c"), tracing.client_span("d"):
            tracing.note(e=1)
            tracing.note_operation("query", None)
        from gql_epoint.cli.traces import tracing
        with tracing(True, "x"): pass
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)

    assert "needs OpenTelemetry: pip install 'gql-epoint[otel]'" in done.stderr.splitlines()[-1]
