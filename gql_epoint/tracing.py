"""Spans for OpenTelemetry, where it is installed; nothing otherwise.

A span says what was done, how it ended and how long it took. It never holds a document, an argument, a body or the
text of an error: these may hold personal data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

try:
    from opentelemetry import propagate, trace
except ModuleNotFoundError:
    # `pip install 'gql-epoint[otel]'` brings it.
    propagate = trace = None  # type: ignore[assignment]

_NAME_LENGTH_MAX = 100


@cache
def is_on() -> bool:
    """Whether spans go anywhere, as of the first that is asked for.

    OpenTelemetry's own no-ops are not free where it is installed and not used.
    """
    return trace is not None and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@contextlib.contextmanager
def server_span(name: str, headers: Mapping[str, str], **attributes: str | int) -> Iterator[None]:
    """Run the block as the answer to a request; a caller's trace goes on in it."""
    if not is_on():
        yield
        return
    context = propagate.extract(headers)
    with _started(name, trace.SpanKind.SERVER, attributes, context):
        yield


@contextlib.contextmanager
def client_span(name: str, **attributes: str | int) -> Iterator[None]:
    """Run the block as a call to somebody else, who is not told of the trace."""
    if not is_on():
        yield
        return
    with _started(name, trace.SpanKind.CLIENT, attributes, None):
        yield


def note(**attributes: str | int) -> None:
    """Tell the span at hand more; dots are written as two underscores."""
    if is_on():
        trace.get_current_span().set_attributes(_dotted(attributes))


def note_operation(kind: str, name: str | None) -> None:
    """Tell the span at hand that it is a GraphQL operation, by the semantic conventions for them."""
    if not is_on():
        return
    trace.get_current_span().update_name(kind)
    note(graphql__operation__type=kind)
    if name is not None:
        note(graphql__operation__name=name[:_NAME_LENGTH_MAX])


@contextlib.contextmanager
def _started(name: str, kind: Any, attributes: Mapping[str, str | int], context: Any) -> Iterator[None]:
    tracer = trace.get_tracer("gql_epoint")
    with tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=_dotted(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as exc:
            span.set_attribute("error.type", type(exc).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise


def _dotted(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {name.replace("__", "."): value for name, value in attributes.items()}
