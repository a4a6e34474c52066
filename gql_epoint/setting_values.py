"""Turn the text of one setting into its value.

Each parser raises ValueError with words that complete a sentence starting with the setting's name, and never
quotes the text: it may be a secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PRIVATE_KEY_LENGTH_MIN = 16  # EPoint gives out 24 to 44 characters; what is shorter is a placeholder.


class Secret:
    """A text that no `repr`, `str` or format shows; `reveal` gives it to whoever must have it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')" if self._text else "Secret('')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_flag(text: str) -> bool:
    """Read 1 or 0, and the other words for yes and no."""
    word = text.lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be 1 or 0")


class DocumentsOnly(Enum):
    """Who may run nothing but the documents of the manifest."""

    NOBODY = "0"
    CLIENT = "client"
    ALL = "all"


def parse_documents_only(text: str) -> DocumentsOnly:
    """Read whom the manifest binds: a flag is nobody or everybody."""
    word = text.lower()
    if word in ("client", "all"):
        return DocumentsOnly(word)
    try:
        return DocumentsOnly.ALL if parse_flag(word) else DocumentsOnly.NOBODY
    except ValueError:
        raise ValueError("must be 0, client or all (which is 1)") from None


def parse_text(text: str) -> str:
    """Take the text as it is."""
    return text


def parse_public_key(text: str) -> str:
    """Read EPoint's public id of a merchant."""
    if not re.fullmatch(r"[\x21-\x7e]{1,100}", text):
        raise ValueError("must be a public key such as i000000001, without spaces")
    return text


def parse_private_key(text: str) -> Secret:
    """Read an EPoint private key, which is one word and not a short one."""
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("must be one word of visible ASCII characters; copy it again from EPoint's cabinet")
    if len(text) < _PRIVATE_KEY_LENGTH_MIN:
        raise ValueError("is too short to be a private key of EPoint; copy it again from EPoint's cabinet")
    return Secret(text)


def parse_token(text: str) -> Secret | None:
    """Read a token that somebody made up, which must be long enough not to be guessed; blank is None."""
    if text and not re.fullmatch(r"[\x21-\x7e]{24,200}", text):
        raise ValueError(
            "must be one word of 24 to 200 visible ASCII characters, such as `openssl rand -hex 24` makes"
        )
    return Secret(text) if text else None


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes these words only."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return parse


def parse_host(text: str) -> str:
    """Read an address or name to listen on."""
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{1,253}", text):
        raise ValueError("must be an address or name to listen on, such as 127.0.0.1 or 0.0.0.0, without a port")
    return text


def parse_hosts(text: str) -> frozenset[str]:
    """Read names of hosts, separated by commas."""
    hosts = frozenset(host.strip().lower() for host in text.split(",") if host.strip())
    if not all(re.fullmatch(r"[a-z0-9.-]{1,253}", host) for host in hosts):
        raise ValueError(
            "must be names of hosts separated by commas, such as shop.example, without https:// or paths"
        )
    return hosts


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks, separated by commas."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            "must be addresses or networks separated by commas, such as 10.0.0.5 or 10.0.0.0/8"
        ) from None


def whole_number(low: int, high: int, unit: str) -> Callable[[str], int]:
    """Return a parser of whole numbers in a range; the unit is for the error."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}{unit}")
        return int(text)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return a parser of durations in a range."""

    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or not low <= float(text) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}, in seconds")
        return float(text)

    return parse


def _split(text: str) -> SplitResult | None:
    """Split an http or https URL with a host and a good port; None for anything else."""
    try:
        url = urlsplit(text)
        good = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return None
    return url if good and url.username is None and not re.search(r"[\s\\]", text) else None


def parse_url(text: str) -> str | None:
    """Read an http or https address; blank is None."""
    if text and _split(text) is None:
        raise ValueError("must be an http or https address such as https://shop.example/paid")
    return text or None


def parse_public_url(text: str) -> str | None:
    """Read the address of this service; its secrets travel in it, so plain http is for this machine only."""
    url = _split(text)
    if text and (url is None or url.query or url.fragment):
        raise ValueError("must be an https address such as https://pay.shop.example")
    if url is not None and url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError("must start with https, or the addresses that EPoint calls could be read on their way")
    return text.rstrip("/") or None


def parse_gateway_url(text: str) -> str:
    """Read the address of EPoint; plain http is for this machine only."""
    url = _split(text)
    if text and (url is None or url.query or url.fragment):
        raise ValueError("must be an http or https address such as https://epoint.az")
    if url is not None and url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise ValueError("must start with https, or the signed requests could be read and changed on their way")
    return text.rstrip("/")


def parse_origins(text: str) -> tuple[str, ...]:
    """Read web origins, separated by commas."""
    origins = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    for origin in origins:
        url = _split(origin)
        if url is None or url.path or url.query or url.fragment:
            raise ValueError(
                "must be a list of origins separated by commas, each with a scheme and a host and no path, such as "
                "https://shop.example; `*` is not taken"
            )
    return tuple(origin.lower() for origin in origins)


def parse_path(text: str) -> Path | None:
    """Read the path of a file, or nothing."""
    return Path(text) if text else None


def parse_database_url(text: str) -> Secret:
    """Read a database URL, which is a secret because it may hold a password."""
    scheme, _, rest = text.partition("://")
    is_file = scheme == "sqlite" and re.fullmatch(r"/[^?]+", rest) and rest != "/:memory:"
    is_server = scheme in ("postgresql", "postgres") and re.fullmatch(r"\S+", rest)
    if not is_file and not is_server:
        raise ValueError(
            "must be sqlite:///file.db for a file in the working directory, sqlite:////folder/file.db for one "
            "anywhere, or postgresql://user:password@host/database"
        )
    return Secret(text)


def without_password(url: str) -> str:
    """Return a database URL that may be shown."""
    scheme, separator, rest = url.partition("://")
    location = rest.rpartition("@")[2] if scheme != "sqlite" else rest
    return scheme + separator + location.partition("?")[0]
