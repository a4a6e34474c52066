"""Spans for OpenTelemetry, where it is installed; nothing otherwise.

A span says what was done, how it ended and how long it took. It never holds a document, an argument, a body or the
text of an error: these may hold personal data.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from gql_epoint.redaction import redact_name

try:
    from opentelemetry import propagate, trace
except ModuleNotFoundError:
    # `pip install 'gql-epoint[otel]'` brings it.
    propagate = trace = None  # type: ignore[assignment]

_NAME_LENGTH_MAX = 100
_CALLERS_TRACE = ("traceparent",)
_NO_SPAN = contextlib.nullcontext()


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
    # The rest of what a caller can send along may hold anything: only the ids of its trace are taken.
    known = {name: headers[name] for name in _CALLERS_TRACE if name in headers}
    context = propagate.extract(known)
    with _started(name, trace.SpanKind.SERVER, attributes, context):
        yield


@contextlib.contextmanager
def operation_span(extensions: Mapping[str, Any] | None) -> Iterator[None]:
    """Run the block as one of the GraphQL operations that share a connection.

    A caller's trace goes on in it if the extensions of the request hold its `traceparent`: the headers of the
    connection are older than the operation. An operation that its client stops has not failed.
    """
    if trace is None:
        yield
        return
    given = {name: (extensions or {}).get(name) for name in ("traceparent", "tracestate")}
    carrier = {name: value for name, value in given.items() if isinstance(value, str)}
    context = propagate.extract(carrier) if "traceparent" in carrier else None
    with _started("GraphQL Operation", trace.SpanKind.SERVER, {}, context, quiet=asyncio.CancelledError):
        yield


def client_span(name: str, **attributes: str | int) -> contextlib.AbstractContextManager[None]:
    """Run the block as a call to somebody else, who is not told of the trace."""
    return _started(name, trace.SpanKind.CLIENT, attributes, None) if is_on() else _NO_SPAN


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
        note(graphql__operation__name=redact_name(name)[:_NAME_LENGTH_MAX])


@contextlib.contextmanager
def _started(
    name: str,
    kind: Any,
    attributes: Mapping[str, str | int],
    context: Any,
    quiet: type[BaseException] | tuple[()] = (),
) -> Iterator[None]:
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
        except quiet:
            raise
        except BaseException as exc:
            span.set_attribute("error.type", type(exc).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise


def _dotted(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {name.replace("__", "."): value for name, value in attributes.items()}
