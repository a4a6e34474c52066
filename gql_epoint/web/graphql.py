"""The GraphQL endpoint: queries and mutations as JSON, subscriptions as event streams and over WebSocket.

Strawberry's view does the protocol work. What it would do by default and must not is replaced here: see each
method.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import msgspec
from cross_web import HTTPException, StarletteRequestAdapter
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import MissingQueryError
from strawberry.http import GraphQLRequestData
from strawberry.http.streaming import SSETransport
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from gql_epoint.cashier import Cashier
from gql_epoint.errors import StoreUnavailableError
from gql_epoint.schema.access import Credential
from gql_epoint.schema.context import RequestContext
from gql_epoint.web.bodies import read_body
from gql_epoint.web.credentials import Doorkeeper, ExpiredCredentialError, WrongCredentialError
from gql_epoint.web.explorer_page import EXPLORER_HEADERS
from gql_epoint.web.negotiation import prefers_html, prefers_stream, takes_stream
from gql_epoint.web.replies import NO_STORE, Refusal
from gql_epoint.web.sockets import SocketHandler

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from strawberry.schema import BaseSchema

INIT_TIMEOUT = timedelta(seconds=10)
SUBSCRIPTIONS_MAX = 50

ResultT = TypeVar("ResultT")

_encoder = msgspec.json.Encoder()
_AT_ONCE = {OperationType.QUERY, OperationType.MUTATION}


class EventStream(SSETransport):
    """Event streams as clients read them: urql cannot split frames that end in CRLF."""

    headers: ClassVar[dict[str, str]] = {
        **SSETransport.headers,
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-store, no-transform",
    }

    def encode_event(self, event: str, data: str | None = None) -> str:
        """Return one event; JSON as it is encoded here holds no line ends."""
        return f"event: {event}\ndata: {data or ''}\n\n"

    def encode_comment(self, comment: str) -> str:
        """Return a line that clients skip; it keeps proxies from closing a quiet stream."""
        return f": {comment}\n\n"


class GraphQLView(GraphQL[Any, None]):
    """One endpoint for all transports. `closing` ends the event streams when the server stops."""

    graphql_transport_ws_handler_class = SocketHandler

    def __init__(
        self,
        schema: BaseSchema,
        cashier: Cashier,
        doorkeeper: Doorkeeper,
        *,
        merchant: str,
        sandbox: bool,
        body_bytes_max: int,
        allowed_origins: tuple[str, ...],
        explorer: str | None,
        closing: asyncio.Event,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=True,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            connection_init_wait_timeout=INIT_TIMEOUT,
            multipart_uploads_enabled=False,
            max_subscriptions_per_connection=SUBSCRIPTIONS_MAX,
            allowed_origins=allowed_origins,
        )
        self.stream_transport_classes_by_protocol = {GRAPHQL_SSE_PROTOCOL: EventStream}
        self._cashier = cashier
        self.doorkeeper = doorkeeper
        self._merchant = merchant
        self._sandbox = sandbox
        self._body_bytes_max = body_bytes_max
        self._explorer = explorer
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; whatever is refused is refused in JSON."""
        if scope["type"] == "websocket":
            await self.run(WebSocket(scope, receive=receive, send=send))
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Refusal as refusal:
            response = refusal.response()
        except HTTPException as exc:
            response = Refusal(exc.status_code, exc.reason or "Bad request.").response()
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method not in ("GET", "POST"):
            raise Refusal(405, "GraphQL is spoken by GET and POST.", "METHOD_NOT_ALLOWED", Allow="GET, POST")
        if self._explorer is not None and _opens_a_page(request):
            return HTMLResponse(self._explorer, headers=EXPLORER_HEADERS)
        return await self.run(request)

    # -- who asks -----------------------------------------------------------------------------------------

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Any:
        """Return what resolvers know. On a socket it is known only once `connection_init` has come."""
        if isinstance(request, WebSocket):
            return {"request_id": request.state.request_id}
        try:
            credential = await self.doorkeeper.admit(request.headers.get("authorization"))
        except WrongCredentialError as exc:
            raise Refusal(401, str(exc), "UNAUTHENTICATED", WWW_Authenticate="Bearer") from None
        except StoreUnavailableError:
            message = "The service cannot reach its database. Try again a little later."
            raise Refusal(503, message, "SERVICE_UNAVAILABLE", Retry_After="1") from None
        return self.context_for(credential, request.state.request_id)

    def context_for(self, credential: Credential | None, request_id: str) -> RequestContext:
        """Return the context of an operation."""
        return RequestContext(
            cashier=self._cashier,
            credential=credential,
            merchant=self._merchant,
            sandbox=self._sandbox,
            request_id=request_id,
        )

    def should_render_graphql_ide(self, _request: object) -> bool:
        """Never; `_respond` did, for browsers. Strawberry's own rule takes every `*/*` for a browser."""
        return False

    # -- what is asked ------------------------------------------------------------------------------------

    async def parse_http_body(self, request: Any) -> GraphQLRequestData:
        """Read the request. Strawberry reads any size and falls over bodies that are no object."""
        assert isinstance(request, StarletteRequestAdapter)
        if request.method == "GET":
            asked = _read_query(request.query_params)
        else:
            http: Request = request._request  # noqa: SLF001 - the adapter has no way to read in chunks
            _check_content(http)
            asked = _convert(_decode(await read_body(http, self._body_bytes_max)))
        stream = prefers_stream(request.headers.get("accept", ""))
        return GraphQLRequestData(
            query=asked.query,
            variables=asked.variables,
            operation_name=asked.operation_name,
            extensions=asked.extensions,
            protocol="sse" if stream else "http",
        )

    async def execute_operation(
        self,
        request: Request,
        request_adapter: Any,
        request_data: Any,
        context: Any,
        root_value: None,
        sub_response: Response,
    ) -> Any:
        """Run it. A client that reads both JSON and streams gets a stream for subscriptions only."""
        schema, query = self.schema, request_data.query
        allowed = OperationType.from_http(request_adapter.method)
        asked = {
            "variable_values": request_data.variables,
            "context_value": context,
            "operation_name": request_data.operation_name,
            "operation_extensions": request_data.extensions,
        }
        try:
            result = await schema.execute(query, allowed_operation_types=allowed & _AT_ONCE, **asked)
        except MissingQueryError:
            raise Refusal(400, "The request has no query.") from None
        except CannotGetOperationTypeError as exc:
            raise Refusal(400, exc.as_http_error_reason()) from None
        except InvalidOperationTypeError as exc:
            _check_streamable(request, exc.operation_type)
            request_data.protocol = "sse"
            stream = await schema.stream(query, allowed_operation_types={OperationType.SUBSCRIPTION}, **asked)
            return _told(self.doorkeeper.while_valid(cast(Any, stream), context.credential))
        return result if request_data.protocol == "http" else _once(result)

    def decode_json(self, data: str | bytes) -> object:
        """Decode a message of a socket; Strawberry knows no other error than this one."""
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, ValueError) as exc:
            raise json.JSONDecodeError("not JSON", "", 0) from exc

    # -- what is answered ---------------------------------------------------------------------------------

    def encode_json(self, data: object) -> str:
        """Encode as text: bytes would become binary frames on a socket, which clients refuse."""
        return _encoder.encode(data).decode()

    def create_response(self, response_data: Any, sub_response: Response) -> Response:
        """Return a JSON response that nobody may keep: it shows data of payments."""
        response = super().create_response(response_data, sub_response)
        response.headers.update(NO_STORE)
        return response

    def _stream_result(self, request: Request, result: Any, transport: Any) -> Callable[[], Any]:
        stream = super()._stream_result(request, result, transport)
        return lambda: _until(self._closing, stream())


class _Asked(msgspec.Struct, frozen=True, kw_only=True, rename={"operation_name": "operationName"}):
    query: str | None = None
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


def _opens_a_page(request: Request) -> bool:
    return (
        request.method == "GET"
        and "query" not in request.query_params
        and prefers_html(request.headers.get("accept", ""))
    )


def _read_query(parameters: Mapping[str, Any]) -> _Asked:
    asked = {name: parameters[name] for name in ("query", "operationName") if name in parameters}
    for name in ("variables", "extensions"):
        if parameters.get(name):
            asked[name] = _decode(parameters[name])
    return _convert(asked)


def _check_content(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if media_type.strip() != "application/json" or charset not in ("", "charset=utf-8"):
        message = "The Content-Type must be application/json, in UTF-8."
        raise Refusal(415, message, "UNSUPPORTED_MEDIA_TYPE", Accept="application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        message = "Compressed bodies are not read."
        raise Refusal(415, message, "UNSUPPORTED_MEDIA_TYPE", Accept_Encoding="identity")


def _decode(raw: bytes | str) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Refusal(400, "The body, or a parameter of the URL, is not valid JSON in UTF-8.") from None


def _convert(body: object) -> _Asked:
    if isinstance(body, list):
        raise Refusal(400, "Batches are not supported: send one operation per request.")
    try:
        return msgspec.convert(body, _Asked)
    except msgspec.ValidationError as exc:  # Its text names types and places, never values.
        raise Refusal(400, f"This is not a GraphQL request: {exc}.") from None


def _check_streamable(request: Request, operation_type: OperationType) -> None:
    """Return if this operation can go on as a stream."""
    if operation_type is not OperationType.SUBSCRIPTION:
        raise Refusal(405, "Mutations are sent by POST.", "METHOD_NOT_ALLOWED", Allow="POST")
    if not takes_stream(request.headers.get("accept", "")):
        raise Refusal(
            406,
            "Subscribe with `Accept: text/event-stream`, or over WebSocket by graphql-transport-ws.",
            "NOT_ACCEPTABLE",
        )


async def _told(results: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """End a stream whose credential has expired with an error that says so."""
    async with contextlib.aclosing(results):
        try:
            async for result in results:
                yield result
        except ExpiredCredentialError as exc:
            error = GraphQLError(str(exc), extensions={"code": "UNAUTHENTICATED"})
            yield PreExecutionError(data=None, errors=[error])


async def _once(result: ResultT) -> AsyncGenerator[ResultT, None]:
    yield result


async def _until(stop: asyncio.Event, stream: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    """Pass a stream on until it ends or `stop` is set; then close it."""
    stopping = asyncio.ensure_future(stop.wait())
    async with contextlib.aclosing(stream):
        try:
            while True:
                step = asyncio.ensure_future(anext(stream, None))
                try:
                    await asyncio.wait({step, stopping}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not step.done():
                        step.cancel()
                        await asyncio.wait({step})
                item = None if step.cancelled() else step.result()
                if item is None:
                    return
                yield item
        finally:
            stopping.cancel()
