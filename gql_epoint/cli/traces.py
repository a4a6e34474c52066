"""Send spans to an OpenTelemetry collector while a block runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gql_epoint.errors import ConfigurationError

SETTING = "GQL_EPOINT_TRACES"


@contextlib.contextmanager
def tracing(on: bool, service_name: str) -> Iterator[None]:
    """Send what is traced by OTLP over HTTP; the standard OTEL_… variables say where to, and how much of it."""
    if not on:
        yield
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as exc:
        raise ConfigurationError(SETTING, "needs OpenTelemetry: pip install 'gql-epoint[otel]'") from exc
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
