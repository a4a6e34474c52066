"""EPoint's signature: seal what we send, unseal what EPoint sends.

The algorithm is `base64(sha1(private_key + data + private_key))` over the raw digest, where `data` is the
base64 text itself. It is not an HMAC, it covers no time and no nonce, and requests and callbacks are signed
alike. So a valid signature proves who wrote the bytes and nothing else: freshness and direction are the
caller's to check. Source: EPoint's API documents v1.0.3 and 2022, section "signature"; pinned by their test
vectors in tests/test_signing.py.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

from gql_epoint.errors import ConfigurationError, SignatureError


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """The two parameters of every signed EPoint request and callback."""

    data: str
    signature: str


def sign(private_key: str, data: str) -> str:
    """Return EPoint's signature of `data`, 28 characters of base64.

    Raises ConfigurationError for a blank key: a signature made with an empty key could be forged by anyone.
    """
    if not private_key.strip():
        raise ConfigurationError("EPOINT_PRIVATE_KEY", "is empty; set the private key of your EPoint merchant")
    # SHA-1 is EPoint's choice, not ours.
    digest = hashlib.sha1(f"{private_key}{data}{private_key}".encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def seal(private_key: str, body: bytes) -> Sealed:
    """Encode and sign a JSON body; the result is what goes over the wire."""
    data = base64.b64encode(body).decode("ascii")
    return Sealed(data=data, signature=sign(private_key, data))


def unseal(private_key: str, data: str, signature: str) -> bytes:
    """Return the body that `signature` proves, or raise SignatureError; nothing else can leave here.

    The comparison takes constant time and comes before any decoding. Empty data is refused although its
    signature is mathematically valid. A blank key raises ConfigurationError and verifies nothing.
    """
    try:
        expected = sign(private_key, data).encode("ascii")
        # Bytes, because compare_digest raises TypeError on text outside ASCII.
        matches = hmac.compare_digest(expected, signature.encode())
    except ValueError as exc:  # Lone surrogates cannot be encoded.
        raise SignatureError from exc
    if not matches or not data:
        raise SignatureError
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise SignatureError from exc
