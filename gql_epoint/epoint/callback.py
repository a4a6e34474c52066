"""Turn the raw body of EPoint's webhook into a Callback that can be believed.

EPoint documents "a POST with two parameters, data and signature" and no content type. PHP merchants receive
urlencoded bodies, a production Go integration recorded multipart, and some clients see JSON, so all three are read.
"""

from __future__ import annotations

from decimal import Decimal
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs

import msgspec

from gql_epoint.epoint.reading import read_object
from gql_epoint.epoint.signing import Sealed, unseal
from gql_epoint.errors import SignatureError, UnreadableError


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """What EPoint says in a callback. Every field may be missing; unknown words are kept as they came."""

    status: str | None = None
    order_id: str | None = None
    transaction: str | None = None
    amount: Decimal | None = None
    split_amount: Decimal | None = None
    currency: str | None = None
    code: str | None = None
    message: str | None = None
    card_id: str | None = None
    card_name: str | None = None
    card_mask: str | None = None
    bank_transaction: str | None = None
    bank_response: str | None = None
    operation_code: str | None = None
    rrn: str | None = None
    trace_id: str | None = None
    other_attr: Any = None


def read_callback(private_key: str, content_type: str, raw: bytes) -> Callback:
    """Verify a webhook body and return what EPoint says in it.

    The caller limits the size of `raw` first. Raises SignatureError if the signature does not match, and also
    if the signed body is a request of our own that somebody reflected: EPoint signs both directions alike, and
    only requests hold `public_key` while only callbacks hold `status`. Raises UnreadableError if no data and
    signature can be found, or if what they prove is not a JSON object.
    """
    sealed = read_envelope(content_type, raw)
    body = unseal(private_key, sealed.data, sealed.signature)
    fields = _object(body)
    if "public_key" in fields or "status" not in fields:
        raise SignatureError
    return read_object(fields, Callback)


def read_envelope(content_type: str, raw: bytes) -> Sealed:
    """Find `data` and `signature` in an urlencoded, multipart or JSON body.

    The body's own first character decides where the content type is missing or wrong. Raises UnreadableError.
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            fields = _multipart(content_type, raw)
        elif kind == "application/json" or raw.lstrip()[:1] == b"{":
            fields = {name: value for name, value in _object(raw).items() if isinstance(value, str)}
        else:
            fields = _urlencoded(raw)
        return Sealed(data=fields["data"], signature=fields["signature"])
    except (KeyError, ValueError) as exc:
        raise UnreadableError("no data and signature in the body") from exc


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = _decoder.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise UnreadableError("not JSON") from exc
    if not isinstance(value, dict):
        raise UnreadableError("JSON, but not an object")
    return value


# Numbers with a point stay text, so that no amount passes through a float.
_decoder = msgspec.json.Decoder(float_hook=str)


def _urlencoded(raw: bytes) -> dict[str, str]:
    pairs = parse_qs(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    return {name: values[0] for name, values in pairs.items()}


def _multipart(content_type: str, raw: bytes) -> dict[str, str]:
    if "\r" in content_type or "\n" in content_type:
        raise ValueError("line break in a header")
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + raw)
    fields: dict[str, str] = {}
    for part in message.get_payload() if message.is_multipart() else ():
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields.setdefault(name, payload.decode("ascii").strip())
    return fields
