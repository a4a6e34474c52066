"""The GraphQL endpoint, by the specification of GraphQL over HTTP: JSON for answers, streams for subscriptions.

Strawberry's view passes 53 of the 61 public audits: it answers text to what it refuses, takes every type that
contains `application/json`, always says 200 or always 400, falls over bodies that are no object, reads any size,
and makes a stream of each query whose client can also read streams. So this is written over `schema.execute` and
`schema.stream`.

A document that cannot run is a 400 to clients of `application/graphql-response+json`. To clients that read
`application/json` alone it is a 200: they take a 4xx for an answer of something else than GraphQL, and throw the
errors away.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.websockets import WebSocket
from strawberry.types.graphql import OperationType

from gql_epoint.web.asking import Asked, read_post, read_url
from gql_epoint.web.bodies import BodyReader
from gql_epoint.web.closing import Closing
from gql_epoint.web.explorer_page import EXPLORER_HEADERS
from gql_epoint.web.headers import header
from gql_epoint.web.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, Accept, read_accept
from gql_epoint.web.replies import Refusal, json_response
from gql_epoint.web.running import (
    AT_ONCE,
    ClientGoneError,
    OtherTypeError,
    Runner,
    formatted,
    is_request_error,
)
from gql_epoint.web.single_connection import OPERATIONS_MAX, TOKEN_HEADER, SingleConnections
from gql_epoint.web.streams import framing_for, stream_response
from gql_epoint.web.throttle import Throttle
from gql_epoint.web.visitors import Visitors

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from strawberry.types import ExecutionResult

    from gql_epoint.schema.context import RequestContext
    from gql_epoint.web.sockets import Sockets

SAYING_SO_S = 1.0
"""What a stream may last longer than its credential, so that the last thing on it can say why it ends."""

_TOKEN_HEADER = TOKEN_HEADER.lower().encode()
_ALLOW = "DELETE, GET, POST, PUT"
_FORMS = f"{GRAPHQL_RESPONSE}, {JSON}, {EVENT_STREAM}"

# What is not the client's fault. All else that stops an operation before it runs is.
_OUR_STATUS = {"INTERNAL_ERROR": 500, "SERVICE_UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 503}


class GraphQLEndpoint:
    """One URL for all transports. `closing` ends the event streams when the server stops."""

    def __init__(
        self,
        runner: Runner,
        visitors: Visitors,
        sockets: Sockets,
        *,
        body_bytes_max: int,
        explorer: str | None,
        closing: Closing,
        throttle: Throttle | None = None,
        operations_max: int = OPERATIONS_MAX,
    ) -> None:
        self._runner = runner
        self._visitors = visitors
        self._sockets = sockets
        self._bodies = BodyReader(body_bytes_max)
        self._explorer = explorer
        self._closing = closing
        self._single = SingleConnections(
            runner, closing, body_bytes_max=body_bytes_max, throttle=throttle, operations_max=operations_max
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a socket; whatever is refused is refused in JSON."""
        if scope["type"] == "websocket":
            await self._sockets.serve(WebSocket(scope, receive=receive, send=send))
            return
        request = Request(scope, receive)
        accept = read_accept(header(scope, b"accept") or "")
        try:
            response = await self._respond(request, accept)
        except Refusal as refusal:
            response = refusal.response(accept.json or JSON)
        await response(scope, receive, send)

    async def _respond(self, request: Request, accept: Accept) -> Response:
        if request.method not in ("DELETE", "GET", "POST", "PUT"):
            raise Refusal(405, "GraphQL is spoken by GET and POST.", "METHOD_NOT_ALLOWED", Allow=_ALLOW)
        if self._explorer is not None and _opens_a_page(request, accept):
            return HTMLResponse(self._explorer, headers={**EXPLORER_HEADERS, "Vary": "Accept"})
        context = await self._visitors.of_request(request)
        token = _token(request)
        if token or request.method in ("DELETE", "PUT"):
            return await self._respond_single(request, accept, context, token)
        if accept.json is None and accept.stream is None:
            raise Refusal(406, f"Answers come as one of {_FORMS}.", "NOT_ACCEPTABLE")
        asked, allowed = await self._read(request)
        if asked.names_nothing:
            raise Refusal(400, "The request has no query.")
        if accept.json is None or accept.prefers_stream:
            return self._stream(asked, context, accept, allowed)
        try:
            result = await self._runner.answer(asked, context, allowed, partial(_gone, request))
        except ClientGoneError:
            raise Refusal(408, "The client has gone.", "REQUEST_TIMEOUT") from None
        except OtherTypeError as exc:
            if exc.operation_type is OperationType.MUTATION:
                raise Refusal(405, "Mutations are sent by POST.", "METHOD_NOT_ALLOWED", Allow="POST") from None
            return self._stream(asked, context, accept, allowed)
        return _answer(result, accept.json)

    async def _respond_single(
        self, request: Request, accept: Accept, context: RequestContext, token: str
    ) -> Response:
        """Serve a request of graphql-sse's single connection mode."""
        if request.method == "PUT":
            return self._single.reserve(context, self._lasts_s(context))
        if request.method == "DELETE":
            return await self._single.stop(request, token, context)
        if accept.prefers_stream:
            return self._single.open(token, context)
        if request.method == "POST":
            return await self._single.submit(request, token, context)
        raise Refusal(406, f"An event stream is opened with `Accept: {EVENT_STREAM}`.", "NOT_ACCEPTABLE")

    async def _read(self, request: Request) -> tuple[Asked, frozenset[OperationType]]:
        if request.method == "GET":
            return read_url(request.query_params), frozenset({OperationType.QUERY})
        return await read_post(request, self._bodies), AT_ONCE

    def _stream(
        self, asked: Asked, context: RequestContext, accept: Accept, allowed: frozenset[OperationType]
    ) -> Response:
        if accept.stream is None:
            raise Refusal(
                406,
                "Subscribe with `Accept: text/event-stream`, or over WebSocket by graphql-transport-ws.",
                "NOT_ACCEPTABLE",
            )
        results = self._runner.results(asked, context, allowed)
        framing = framing_for(accept.stream)
        return stream_response(results, framing, context.place, self._closing, lasts_s=self._lasts_s(context))

    def _lasts_s(self, context: RequestContext) -> float | None:
        """Return how long a stream may last: its credential's time, and time to say that it is over."""
        left_s = self._visitors.seconds_left(context.credential)
        return None if left_s is None else left_s + SAYING_SO_S


def _token(request: Request) -> str:
    """Return the token of a single connection, if the request names one."""
    named = header(request.scope, _TOKEN_HEADER)
    return named or (request.query_params.get("token") or "" if request.scope["query_string"] else "")


def _opens_a_page(request: Request, accept: Accept) -> bool:
    return request.method == "GET" and "query" not in request.query_params and accept.prefers_html


def _answer(result: ExecutionResult, media_type: str) -> Response:
    status = 200
    if media_type == GRAPHQL_RESPONSE and is_request_error(result):
        codes = [(error.extensions or {}).get("code") for error in result.errors or ()]
        status = max(_OUR_STATUS.get(code, 400) if isinstance(code, str) else 400 for code in codes)
    return json_response(formatted(result), status, {"Vary": "Accept"}, media_type=media_type)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
