"""Secret keys and client tokens: made here, shown once, and kept only as hashes.

Each is 256 random bits, so one round of SHA-256 is as good as a slow hash, and a digest may be looked up in a
table: whoever can choose what to present still cannot choose its digest.
"""

from __future__ import annotations

import hashlib
import re
import string
import zlib
from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

DEVELOPMENT_KEY = "sk_sandbox_development"
"""The key of sandbox mode, known to everybody. Nothing else accepts it."""

_PREFIX = "sk_live_"
_CLIENT_PREFIX = "ct_"
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # 256 bits in base 62
_CHECKSUM_LENGTH = 6  # 32 bits in base 62
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a secret key may be used for."""

    PAYMENTS_WRITE = "PAYMENTS_WRITE"
    PAYMENTS_READ = "PAYMENTS_READ"
    REFUNDS_WRITE = "REFUNDS_WRITE"
    PAYOUTS_WRITE = "PAYOUTS_WRITE"
    LEDGER_RESOLVE = "LEDGER_RESOLVE"


class SecretKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a key: its name, its scopes and the SHA-256 of it, in hex."""

    name: str
    scopes: frozenset[Scope]
    digest: str

    def line(self) -> str:
        """Return the key as `GQL_EPOINT_SECRET_KEYS` lists it."""
        return f"{self.name}:{'+'.join(scope for scope in Scope if scope in self.scopes)}:{self.digest}"


DEVELOPMENT = SecretKey(
    name="development", scopes=frozenset(Scope), digest=hashlib.sha256(DEVELOPMENT_KEY.encode()).hexdigest()
)


def new_secret_key(random: Callable[[int], bytes]) -> str:
    """Make a key: `sk_live_`, 256 bits from `random`, and a checksum by which scanners know a leaked one."""
    return _new(_PREFIX, random)


def new_client_token(random: Callable[[int], bytes]) -> str:
    """Make a client token in the same way; it starts with `ct_`."""
    return _new(_CLIENT_PREFIX, random)


def is_intact(key: str) -> bool:
    """Tell whether `key` has the form of a key and its checksum fits: a typo or a cut shows here."""
    return _is_intact(_PREFIX, key)


def is_client_token(text: str) -> bool:
    """Tell whether `text` has the form of a client token, so that nothing else has to be looked up."""
    return _is_intact(_CLIENT_PREFIX, text)


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key in hex. Takes any text, also what no UTF-8 can hold."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def parse_scopes(text: str, separator: str) -> frozenset[Scope]:
    """Read a list of scopes. Raises ValueError with a sentence that names the known ones."""
    names = [name.strip() for name in text.split(separator) if name.strip()]
    if not names or not set(names) <= set(Scope):
        raise ValueError(f"the scopes must be some of {', '.join(Scope)}")
    return frozenset(map(Scope, names))


def check_name(name: str) -> str:
    """Return a good name for a key. Raises ValueError with a sentence that says what is good."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name has 1 to 64 lower-case letters, digits, dots, hyphens and underscores")
    return name


def parse_keys(text: str) -> tuple[SecretKey, ...]:
    """Read the lines of `GQL_EPOINT_SECRET_KEYS`, separated by commas or line ends.

    Raises ValueError with a sentence that names the entry by its number and never quotes it: it may be a key.
    """
    entries = [entry.strip() for entry in re.split(r"[,\n]", text) if entry.strip()]
    keys = tuple(_parse_key(entry, number) for number, entry in enumerate(entries, start=1))
    for what, values in (("names", [key.name for key in keys]), ("hashes", [key.digest for key in keys])):
        if len(set(values)) < len(values):
            raise ValueError(f"two entries have the same {what}")
    return keys


class KeyRing:
    """The keys that are accepted, to be found by what a client presents."""

    def __init__(self, keys: Iterable[SecretKey]) -> None:
        self._by_digest = {key.digest: key for key in keys}

    def find(self, presented: str) -> SecretKey | None:
        """Return the key whose secret this is. Nothing is ever found for a blank one."""
        # Hashes are compared, so the time that it takes tells nothing of a key.
        return self._by_digest.get(digest_of(presented)) if presented.strip() else None


_WORTHLESS = frozenset({digest_of(""), digest_of("\n"), DEVELOPMENT.digest, digest_of(f"{DEVELOPMENT_KEY}\n")})


def _parse_key(entry: str, number: int) -> SecretKey:
    name, _, rest = entry.partition(":")
    scopes, _, digest = rest.partition(":")
    try:
        if _PREFIX in entry or not _DIGEST.fullmatch(digest.strip().lower()):
            raise ValueError(
                "it must be name:SCOPE+SCOPE:hash, where the hash is the SHA-256 of the key in hex and never the "
                "key itself; `gql-epoint keys new` prints such a line"
            )
        if digest.strip().lower() in _WORTHLESS:
            raise ValueError("it is the hash of an empty key or of the sandbox's key, which everybody knows")
        return SecretKey(
            name=check_name(name.strip()), scopes=parse_scopes(scopes, "+"), digest=digest.strip().lower()
        )
    except ValueError as exc:
        raise ValueError(f"entry {number} cannot be used: {exc}") from None


def _new(prefix: str, random: Callable[[int], bytes]) -> str:
    secret = _base62(int.from_bytes(random(_SECRET_BYTES), "big"), _SECRET_LENGTH)
    return f"{prefix}{secret}_{_checksum(secret)}"


def _is_intact(prefix: str, text: str) -> bool:
    secret, _, checksum = text.removeprefix(prefix).partition("_")
    return text.startswith(prefix) and len(secret) == _SECRET_LENGTH and checksum == _checksum(secret)


def _checksum(secret: str) -> str:
    return _base62(zlib.crc32(secret.encode("utf-8", "surrogatepass")), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits
