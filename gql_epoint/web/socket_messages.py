"""The messages of the graphql-transport-ws protocol: what a client may say, and what is said to it."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any

import msgspec

from gql_epoint.web.asking import Asked

SUBPROTOCOL = "graphql-transport-ws"

OperationId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Payload = dict[str, Any] | None


class CloseCode(IntEnum):
    """Why a connection was closed; the meanings are the protocol's."""

    GOING_AWAY = 1001
    TRY_AGAIN_LATER = 1013
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITIALISATIONS = 4429


class Close(Exception):  # noqa: N818 - the protocol's way to answer, and no error of ours
    """Close the connection; raise it while a message is taken."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        # A close frame has room for 123 bytes.
        self.reason = reason.encode()[:120].decode("utf-8", "ignore")


class Init(msgspec.Struct, frozen=True, tag="connection_init"):
    """The client says who it is; a payload of null means no payload."""

    payload: Payload = None


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """The client asks whether anybody is there."""

    payload: Payload = None


class Pong(msgspec.Struct, frozen=True, tag="pong", omit_defaults=True):
    """Somebody is there."""

    payload: Payload = None


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """The client asks for an operation of any type."""

    id: OperationId
    payload: Asked


class Complete(msgspec.Struct, frozen=True, tag="complete"):
    """There are no more results, or none are wanted."""

    id: OperationId


class Ack(msgspec.Struct, frozen=True, tag="connection_ack"):
    """The connection is ready for operations."""


class Error(msgspec.Struct, frozen=True, tag="error"):
    """The operation could not be run, and there will be nothing more of it."""

    id: str
    payload: list[dict[str, Any]]


FromClient = Init | Ping | Pong | Subscribe | Complete

_decoder: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)
_encoder = msgspec.json.Encoder()


def decode(text: str) -> FromClient:
    """Return a client's message. Raises Close 4400 for everything that is none."""
    try:
        message = _decoder.decode(text)
    except msgspec.ValidationError as exc:  # its text names types and places
        raise Close(CloseCode.BAD_MESSAGE, f"Invalid message: {exc}") from None
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Close(CloseCode.BAD_MESSAGE, "Invalid message: not JSON") from None
    if isinstance(message, Subscribe) and message.payload.query is None and message.payload.names_nothing:
        raise Close(CloseCode.BAD_MESSAGE, "Invalid message: it asks for nothing")
    return message


def encode(message: Ack | Pong | Error | Complete) -> str:
    """Return a message as text: clients refuse binary frames."""
    return _encoder.encode(message).decode()


def encode_next(operation_id: str, result: str) -> str:
    """Return the message that carries one result, which is JSON already and may be sent to many."""
    return f'{{"type":"next","id":{_encoder.encode(operation_id).decode()},"payload":{result}}}'
