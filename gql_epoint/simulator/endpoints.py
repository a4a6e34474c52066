"""EPoint's API over HTTP: envelope, signature, error bodies, and answers that go wrong on purpose."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gql_epoint.epoint.callback import read_envelope
from gql_epoint.epoint.heartbeat import HEARTBEAT, HEARTBEAT_VERSIONED
from gql_epoint.epoint.operations import OPERATIONS, WALLETS
from gql_epoint.epoint.signing import Sealed, unseal
from gql_epoint.epoint.wire import Operation, Sending
from gql_epoint.errors import SignatureError, UnreadableError
from gql_epoint.simulator.books import Image
from gql_epoint.simulator.desk import HANDLERS, answer, keys_of
from gql_epoint.simulator.invoices import BODY_BYTES_MAX as INVOICE_BYTES_MAX
from gql_epoint.simulator.invoices import HANDLERS as INVOICES
from gql_epoint.simulator.invoices import read_parts
from gql_epoint.simulator.request import Call, DeskError
from gql_epoint.simulator.settings import Merchant, Reply
from gql_epoint.simulator.state import State

ABORT = "gql_epoint.simulator.abort"  # the ASGI extension by which our server closes a connection
BODY_BYTES_MAX = 64 * 1024

# Numbers with a point stay text, so that no amount passes through a float.
_decoder = msgspec.json.Decoder(float_hook=str)
# A Decimal becomes a JSON number, digit by digit.
_encoder = msgspec.json.Encoder(decimal_format="number")


class TooLargeError(Exception):
    """A body that is longer than anything EPoint takes."""


def api_routes(state: State, closing: asyncio.Event) -> list[Route]:
    """Return one route per operation, and the heartbeat."""
    routes = [
        Route(
            operation.path,
            _endpoint(state, operation, closing),
            methods=["GET" if operation.sending is Sending.GET else "POST"],
        )
        for operation in OPERATIONS.values()
        if operation.name in HANDLERS  # a test names the operation that is missing there
    ]
    # The first is documented; some clients ask the second.
    heartbeats = [
        Route(operation.path, _heartbeat(state, operation, closing), methods=["GET"])
        for operation in (HEARTBEAT, HEARTBEAT_VERSIONED)
    ]
    return heartbeats + routes


async def read_body(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Read a request's body, or raise TooLargeError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise TooLargeError
    return bytes(body)


def public_address(state: State, request: Request) -> str:
    """Return the address under which customers reach this simulator, without a slash at the end."""
    return (state.settings.public_url or str(request.base_url)).rstrip("/")


def _heartbeat(state: State, operation: Operation[Any, Any], closing: asyncio.Event) -> Any:
    async def endpoint(request: Request) -> Response:
        state.requests[operation.name] += 1
        if operation.path not in state.switches.heartbeats:
            return HTMLResponse("<h1>Not Found</h1>", 404)
        reply = state.take_reply(operation, operation.name)
        return _json({"status": "ok"}) if reply == "normal" else _faulty(state, reply, closing)

    return endpoint


def _endpoint(state: State, operation: Operation[Any, Any], closing: asyncio.Event) -> Any:
    async def endpoint(request: Request) -> Response:
        state.requests[operation.name] += 1
        images: tuple[Image, ...] = ()
        try:
            if operation.sending is Sending.GET:
                # It names no merchant and proves nothing; what it asks stands in its path.
                merchant, fields = next(iter(state.merchants.values())), dict(request.path_params)
            else:
                with_images = operation.name in INVOICES
                raw = await read_body(request, INVOICE_BYTES_MAX if with_images else BODY_BYTES_MAX)
                content_type = request.headers.get("content-type", "")
                alone = _unsigned(state, content_type, raw) if operation is WALLETS else None
                if alone is not None:
                    merchant, fields = alone
                else:
                    read = read_parts if with_images else read_alone
                    merchant, fields, images = open_envelope(state, read, content_type, raw)
        except TooLargeError:
            return _error(state, DeskError("error", "Invalid request parameters"), http_status=413)
        except DeskError as exc:
            return _error(state, exc, http_status=401 if operation.refuses_by_status else None)
        reply = state.take_reply(operation, *keys_of(state, fields), operation.name)
        if reply.endswith("_before"):
            return _faulty(state, reply.removesuffix("_before"), closing)
        call = Call(
            state=state,
            operation=operation,
            merchant=merchant,
            fields=fields,
            pages=public_address(state, request),
            images=images,
        )
        try:
            answered = answer(call)
        except DeskError as exc:
            response = _error(state, exc, http_status=422 if operation.refuses_by_status else None)
        else:
            if answered.silent:
                return _faulty(state, "hang", closing)
            response = _reply(state, answered.fields) if answered.listed is None else _json(answered.listed)
        return response if reply == "normal" else _faulty(state, reply, closing)

    return endpoint


def read_alone(content_type: str, raw: bytes) -> tuple[Sealed, tuple[Image, ...]]:
    """Read a body that holds an envelope and nothing else."""
    return read_envelope(content_type, raw), ()


def open_envelope(
    state: State, read: Callable[[str, bytes], tuple[Sealed, tuple[Image, ...]]], content_type: str, raw: bytes
) -> tuple[Merchant, dict[str, Any], tuple[Image, ...]]:
    """Return the merchant, the fields and the images of a request whose signature is right, else raise DeskError.

    EPoint looks the merchant up first, so an unknown merchant is told apart from a wrong signature.
    """
    try:
        sealed, images = read(content_type, raw)
    except UnreadableError as exc:
        raise DeskError("error", "Invalid request parameters") from exc
    fields = _peek(sealed)
    public_key = fields.get("public_key")
    merchant = state.merchants.get(public_key) if isinstance(public_key, str) else None
    if merchant is None:
        raise DeskError("server_error", "Merchant not found")
    try:
        unseal(merchant.private_key, sealed.data, sealed.signature)
    except SignatureError as exc:
        raise DeskError("server_error", "Signature did not match") from exc
    if fields.get("card_id") is None and "card_uid" in fields:
        fields["card_id"] = fields["card_uid"]  # its name in the documents of 2022
    return merchant, fields, images


def _unsigned(state: State, content_type: str, raw: bytes) -> tuple[Merchant, dict[str, Any]] | None:
    """Return the merchant of a body that holds a public key and no signature, as v1.0.3 asks for the wallets."""
    try:
        if content_type.startswith("application/json"):
            fields = _decoder.decode(raw) if raw.startswith(b"{") else {}
        else:
            fields = dict(parse_qsl(raw.decode("latin-1"), max_num_fields=10))
    except (msgspec.DecodeError, ValueError):
        return None
    merchant = state.merchants.get(str(fields.get("public_key")))
    return None if merchant is None or "signature" in fields else (merchant, fields)


def _peek(sealed: Sealed) -> dict[str, Any]:
    try:
        fields = _decoder.decode(base64.b64decode(sealed.data, validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _reply(state: State, fields: dict[str, Any], http_status: int = 200) -> Response:
    if not state.switches.trace_id:
        return _json(fields, http_status)
    trace = state.new_trace_name()
    return _json({**fields, "trace_id": trace}, http_status, {"x-request-id": trace})


def _error(state: State, error: DeskError, http_status: int | None = None) -> Response:
    fields = {"status": error.status, "message": error.message}
    return _reply(state, fields, error.http_status or http_status or state.switches.error_http_status)


def _json(fields: Any, http_status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encoder.encode(fields), http_status, headers, media_type="application/json")


def _faulty(state: State, fault: Reply | str, closing: asyncio.Event) -> Response:
    match fault:
        case "garbage":
            return HTMLResponse("<html><body>Xidmət müvəqqəti əlçatan deyil")
        case "http_500":
            return HTMLResponse("<h1>Server Error</h1>", 500)
        case "hang":
            return _NoAnswer(state.settings.hang_s, closing)
        case _:
            return _NoAnswer(0.0, closing)


class _NoAnswer(Response):
    """Answers nothing for a time, then closes the connection."""

    def __init__(self, wait_s: float, closing: asyncio.Event) -> None:
        super().__init__()
        self._wait_s = wait_s
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        stopped = asyncio.ensure_future(self._closing.wait())
        try:
            if self._wait_s > 0:
                await asyncio.wait({gone, stopped}, timeout=self._wait_s, return_when=asyncio.FIRST_COMPLETED)
            abort = scope.get("extensions", {}).get(ABORT)
            if abort is None:  # another server: an empty 502 is the nearest thing
                await super().__call__(scope, receive, send)
                return
            abort()
            # The server takes a closed connection for an answer, but has to notice it first.
            await asyncio.wait({gone}, timeout=5.0)
        finally:
            gone.cancel()
            stopped.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
