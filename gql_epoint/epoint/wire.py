"""What all wire structs have in common, what a row of the operations table says, and how a request becomes JSON."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec

RequestT = TypeVar("RequestT", bound="Request")
ReplyT = TypeVar("ReplyT", bound="Reply")


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields that a caller chooses; the gateway client puts the merchant's `public_key` before them."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What every EPoint reply may hold. `status` is EPoint's own word, an open vocabulary."""

    status: str | None = None
    message: str | None = None
    trace_id: str | None = None


class Kind(Enum):
    """How an operation's final result arrives."""

    REDIRECT = "redirect"  # the customer acts on EPoint's page; the result comes by callback
    CHARGE = "charge"  # the reply is the result, and money has moved if it says so
    WRITE = "write"  # the reply is the result; no money moves, and yet it must not be done twice
    LOOKUP = "lookup"  # a question that changes nothing


class Sending(Enum):
    """How a request travels."""

    FORM = "form"  # POST with data and signature, urlencoded
    JSON = "json"  # POST with data and signature in a JSON object
    GET = "get"  # GET without a signature; fields of the request stand in the path, as `{order_id}`


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes beside the envelope, which makes the body multipart. EPoint does not sign it."""

    name: str
    file_name: str
    content_type: str
    content: bytes


class Operation(msgspec.Struct, Generic[RequestT, ReplyT], frozen=True, kw_only=True):
    """One row: how an operation is called and answered.

    `grant` names what EPoint must grant a merchant for it. `wrap` makes an object of a reply that is none.
    """

    name: str
    path: str
    request: type[RequestT]
    reply: type[ReplyT]
    kind: Kind
    grant: str | None = None
    wrap: Callable[[Any], Any] | None = None
    # Sources disagree whether a callback follows. One that comes is taken, and get-status is asked anyway.
    callback_disputed: bool = False
    sending: Sending = Sending.FORM
    # Whether EPoint answers errors with real HTTP statuses: 4xx with a JSON object is then a refusal.
    refuses_by_status: bool = False

    @property
    def has_callback(self) -> bool:
        """Whether EPoint surely sends a signed callback with the final result."""
        return self.kind is Kind.REDIRECT and not self.callback_disputed

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no harm."""
        return self.kind is Kind.LOOKUP


def encode_payload(public_key: str, request: Request) -> bytes:
    """Return the JSON body of a request: the merchant's public key, then the fields that are set.

    Amounts keep the places they have. Raises ValueError for an amount that is not positive and for text that is
    not valid Unicode, and TypeError for a float: 0.1 + 0.2 must not reach a bank.
    """
    fields: dict[str, Any] = {"public_key": public_key}
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if value is None:
            continue
        if type(value) is str:
            fields[name] = value
            continue
        if isinstance(value, float):
            raise TypeError(f"{name} is a float; amounts are Decimal")
        fields[name] = _encode_amount(name, value) if isinstance(value, Decimal) else value
    return msgspec.json.encode(fields)


def _encode_amount(name: str, amount: Decimal) -> str:
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"{name} is not a positive amount")
    return f"{amount:f}"  # str() would write 1E+2 for a hundred.
