"""Read what a GraphQL request asks, from a body or from a URL. Whatever the bytes are, the worst is a Refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from gql_epoint.web.bodies import BodyReader
from gql_epoint.web.headers import header
from gql_epoint.web.replies import Refusal


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One operation that a client asks for, on any transport."""

    query: str | None = None
    document_id: str | None = None
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None

    @property
    def names_nothing(self) -> bool:
        """Whether it has no document, and no name of one."""
        return not self.query and self.document_id is None and "persistedQuery" not in (self.extensions or {})


def read_url(parameters: Mapping[str, str]) -> Asked:
    """Return what the parameters of a URL ask. Raises Refusal 400."""
    asked: dict[str, object] = {
        name: parameters[name] for name in ("query", "documentId", "operationName") if name in parameters
    }
    for name in ("variables", "extensions"):
        if parameters.get(name):
            asked[name] = _decode(parameters[name])
    return _convert(asked)


async def read_post(request: Request, bodies: BodyReader) -> Asked:
    """Return what a JSON body asks. Raises Refusal 400, 408, 413 or 415."""
    _check_content(request)
    return _convert(_decode(await bodies.read(request)))


def _check_content(request: Request) -> None:
    media_type, _, parameters = (header(request.scope, b"content-type") or "").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if media_type.strip() != "application/json" or charset not in ("", "charset=utf-8"):
        message = "The Content-Type must be application/json, in UTF-8."
        raise Refusal(415, message, "UNSUPPORTED_MEDIA_TYPE", Accept="application/json")
    encoding = header(request.scope, b"content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        message = "Compressed bodies are not read."
        raise Refusal(415, message, "UNSUPPORTED_MEDIA_TYPE", Accept_Encoding="identity")


def _decode(raw: bytes | str) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Refusal(400, "The body, or a parameter of the URL, is not valid JSON in UTF-8.") from None


def _convert(body: object) -> Asked:
    if isinstance(body, list):
        raise Refusal(400, "Batches are not supported: send one operation per request.")
    try:
        return msgspec.convert(body, Asked)
    except msgspec.ValidationError as exc:  # Its text names types and places, never values.
        raise Refusal(400, f"This is not a GraphQL request: {exc}.") from None
