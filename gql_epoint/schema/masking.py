"""What a client is told of an exception that nobody expected: a request id, and nothing else.

Errors made on purpose pass as they are, syntax and validation errors among them. Our own exceptions that a
resolver may raise have one row each. The rest is logged with its traceback and masked, for its text may hold
anything.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any

from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.extensions import SchemaExtension

from gql_epoint.errors import GatewayError, RefusedError, StoreUnavailableError
from gql_epoint.redaction import redact_name

logger = logging.getLogger("gql_epoint")

_KNOWN: tuple[tuple[type[Exception], str, str], ...] = (
    (
        StoreUnavailableError,
        "SERVICE_UNAVAILABLE",
        "The service cannot reach its database. Try again a little later.",
    ),
    (GatewayError, "GATEWAY_UNAVAILABLE", "EPoint did not answer. Try again a little later."),
)

# graphql-core quotes the whole value in some of its errors, and values hold names and card ids.
_QUOTED_VALUES = (
    (re.compile(r"(, found|; found|\. Found): .*", re.DOTALL), "."),
    (re.compile(r"( cannot represent [^:]*): .*", re.DOTALL), r"\1."),
    (re.compile(r"\bValue .*(?= does not exist in ')", re.DOTALL), "The value"),
    (re.compile(r"\b(Unexpected|found) (Int|Float|String|BlockString) .*", re.DOTALL), r"\1 \2."),
)
# What graphql-core says of the values of variables, and not of how a document uses them.
_OF_VARIABLES = re.compile(r"Variable '\$\w+' (has invalid value|of required type|of non-null type)")
# A browser has its documents; guessing helps only whoever explores what it is not shown.
_SUGGESTION = re.compile(r" Did you mean .*", re.DOTALL)


class MaskingExtension(SchemaExtension):
    """Masks the errors of each result before any transport sends it."""

    _streamed = False

    def on_operation(self) -> Iterator[None]:
        """Mask the result of a query or mutation, and of a document that was refused."""
        yield
        if not self._streamed:
            self._mask(self.execution_context.result)

    def on_stream_result(self, result: Any) -> Iterator[None]:
        """Mask each result of a stream."""
        self._streamed = True
        self._mask(result)
        yield

    def _mask(self, result: Any) -> None:
        mask_result(result, self.execution_context.context)


def mask_result(result: Any, context: Any) -> None:
    """Mask the errors of a result in place; doing it twice changes nothing."""
    errors = getattr(result, "errors", None)
    if errors:
        request_id = getattr(context, "request_id", "")
        credential = getattr(context, "credential", None)
        suggest = credential is None or not credential.is_browser
        result.errors = [mask(error, request_id, suggest=suggest) for error in errors]


def mask(error: GraphQLError, request_id: str, *, suggest: bool = True) -> GraphQLError:
    """Return what a client may see of an error; logs the unexpected ones."""
    cause = error.original_error
    deliberate = error
    while isinstance(cause, GraphQLError):
        deliberate, cause = cause, cause.original_error
    if cause is None:
        message = error.message if suggest else _SUGGESTION.sub("", error.message)
        extensions = {"code": _code_of(error), **(deliberate.extensions or error.extensions or {})}
        return _replace(error, _without_values(message), extensions)
    if isinstance(cause, RefusedError):
        return _replace(error, cause.message, {"code": cause.code.value})
    for kind, code, message in _KNOWN:
        if isinstance(cause, kind):
            logger.warning("request %s: %s at %s", request_id, type(cause).__name__, error.path)
            return _replace(error, message, {"code": code, "requestId": request_id})
    # The text of an exception may hold values; where it was raised does not.
    logger.error(
        "request %s: unexpected %s at %s\n%s",
        request_id,
        type(cause).__name__,
        error.path,
        "".join(traceback.format_tb(cause.__traceback__)),
    )
    return _replace(error, "Unexpected error", {"code": "INTERNAL_ERROR", "requestId": request_id})


def _code_of(error: GraphQLError) -> str:
    """Return the code of an error of graphql-core, which has none: by the names that Apollo's clients know."""
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED"
    if error.path is not None or _OF_VARIABLES.match(error.message):
        return "BAD_USER_INPUT"
    return "GRAPHQL_VALIDATION_FAILED"


def _without_values(message: str) -> str:
    """Return the words of an error without the value that it is about, and names unless they look like secrets."""
    for quoted, words in _QUOTED_VALUES:
        message = quoted.sub(words, message)
    return redact_name(message)


def _replace(error: GraphQLError, message: str, extensions: dict[str, Any] | None) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
