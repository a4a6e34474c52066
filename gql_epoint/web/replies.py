"""Refusals on HTTP, in the shape that GraphQL clients read: `{"errors": [{"message", "extensions": {"code"}}]}`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gql_epoint.web.safe_headers import SAFE_HEADERS

_encoder = msgspec.json.Encoder()

NO_STORE = {"Cache-Control": "no-store"}


class Refusal(Exception):  # noqa: N818 - it is an answer, and nothing has gone wrong here
    """An answer other than the one that was asked for; raise it anywhere below a route."""

    def __init__(self, status: int, message: str, code: str = "BAD_REQUEST", **headers: str) -> None:
        super().__init__(status, message, code)
        self.status = status
        self.message = message
        self.code = code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self, media_type: str = "application/json") -> Response:
        """Return it as JSON."""
        body = {"errors": [{"message": self.message, "extensions": {"code": self.code}}]}
        return json_response(body, self.status, self.headers, media_type=media_type)


def json_response(
    body: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    media_type: str = "application/json",
) -> Response:
    """Return a JSON response that nobody may keep."""
    return _Written(_encoder.encode(body), status, _raw_headers(media_type, tuple((headers or {}).items())))


class _Written(Response):
    """A response whose headers need not be made anew."""

    def __init__(self, body: bytes, status: int, raw_headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [*raw_headers, (b"content-length", str(len(body)).encode())]


@lru_cache(maxsize=100)
def _raw_headers(media_type: str, headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    written = Response(headers={**NO_STORE, **dict(headers)}, media_type=media_type).raw_headers
    return [header for header in written if header[0] != b"content-length"]


async def on_refusal(_request: Request, refusal: Exception) -> Response:
    """Answer a Refusal."""
    assert isinstance(refusal, Refusal)
    return refusal.response()


async def on_http_exception(_request: Request, exc: Exception) -> Response:
    """Answer what the router refuses: 404 and 405."""
    assert isinstance(exc, HTTPException)
    status = HTTPStatus(exc.status_code)
    refusal = Refusal(status, f"{status.phrase}.", status.name)
    refusal.headers = dict(exc.headers or {})
    return refusal.response()


async def on_bug(request: Request, _exc: Exception) -> Response:
    """Answer an exception that nobody expected; the server logs it, and the client gets its request's name only."""
    request_id = request.scope.get("state", {}).get("request_id", "-")
    # Sent from outside the middleware that names requests, so these headers are written here.
    message = f"Something went wrong here. Name request {request_id}."
    response = Refusal(500, message, "INTERNAL_ERROR", X_Request_ID=request_id).response()
    response.headers.update(SAFE_HEADERS)
    return response
