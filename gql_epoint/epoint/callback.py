"""Turn the raw body of EPoint's webhook into a Callback that can be believed.

EPoint documents "a POST with two parameters, data and signature" and no content type. PHP merchants receive
urlencoded bodies, a production Go integration recorded multipart, and some clients see JSON, so all three are read.
Nothing is believed, and next to nothing is parsed, before the signature matches.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec

from gql_epoint.epoint.reading import decode_object, read_object
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
    signature can be found, or if what they prove is not a JSON object. A blank key is a ConfigurationError.
    """
    sealed = read_envelope(content_type, raw)
    fields = decode_object(unseal(private_key, sealed.data, sealed.signature))
    if "public_key" in fields or "status" not in fields:
        raise SignatureError
    return read_object(fields, Callback)


def read_envelope(content_type: str, raw: bytes) -> Sealed:
    """Find `data` and `signature` in an urlencoded, multipart or JSON body. Raises UnreadableError.

    The body's first characters decide which it is, because content types are missing or wrong in practice: `{`
    begins JSON and `--` multipart. The content type only helps to find the boundary after a preamble.
    """
    boundary = _boundary(content_type, raw)
    try:
        if boundary:
            fields = _multipart(boundary, raw)
        elif raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            fields = {name: value for name, value in decode_object(raw).items() if isinstance(value, str)}
        else:
            fields = _urlencoded(raw)
        return Sealed(data=fields["data"], signature=fields["signature"])
    except (KeyError, ValueError) as exc:
        raise UnreadableError("no data and signature in the body") from exc


# The envelope has two fields, and a form may carry a few more; whoever sends hundreds wants to keep us busy.
_FIELDS_MAX = 20
_PART_HEAD_BYTES_MAX = 1_000

_BOUNDARY_PARAMETER = re.compile(r'boundary="?([^";,\s]{1,70})', re.IGNORECASE | re.ASCII)
_BOUNDARY_LINE = re.compile(rb"--([\x21-\x7e]{1,70})\r?\n")
_PART_NAME = re.compile(rb'^content-disposition:.*[;\s]name="?([^";\s]+)', re.IGNORECASE | re.MULTILINE)


def _urlencoded(raw: bytes) -> dict[str, str]:
    text = raw.decode("ascii").strip("\r\n")
    pairs = parse_qs(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX, separator="&")
    # Base64 has no spaces: where one shows up, the sender wrote a plus sign without encoding it.
    return {name: values[0].replace(" ", "+") for name, values in pairs.items()}


def _boundary(content_type: str, raw: bytes) -> bytes | None:
    if content_type.strip().lower().startswith("multipart/form-data"):
        parameter = _BOUNDARY_PARAMETER.search(content_type)
        if parameter and b"--" + parameter[1].encode("utf-8", "replace") in raw:
            return parameter[1].encode("utf-8", "replace")
    line = _BOUNDARY_LINE.match(raw)
    return line[1] if line else None


def _multipart(boundary: bytes, raw: bytes) -> dict[str, str]:
    # Written here, because the parser in the standard library is made for e-mail: it nests, decodes and guesses.
    # Base64 holds no line breaks, so it does no harm to read every kind of them as one.
    parts = (b"\n" + raw.replace(b"\r\n", b"\n")).split(b"\n--" + boundary, _FIELDS_MAX + 1)
    fields: dict[str, str] = {}
    for part in parts[1:]:
        head, gap, value = part.partition(b"\n\n")
        if part.startswith(b"--") or len(head) > _PART_HEAD_BYTES_MAX:
            break
        name = _PART_NAME.search(head)
        if name and gap:
            fields.setdefault(name[1].decode("ascii"), value.decode("ascii").strip())
    return fields
