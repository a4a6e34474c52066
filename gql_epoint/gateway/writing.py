"""How a request goes out: where to, signed by whom, and as which kind of body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from gql_epoint.epoint.signing import Sealed, seal
from gql_epoint.epoint.wire import Operation, ReplyT, RequestT, Sending, Upload, encode_payload
from gql_epoint.errors import ConfigurationError


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs: EPoint's public id of the merchant, and the private key, which no `repr` shows.

    Raises ConfigurationError if either is blank.
    """

    public_key: str
    private_key: str

    def __post_init__(self) -> None:
        if not self.public_key.strip():
            raise ConfigurationError("EPOINT_PUBLIC_KEY", "is empty; set the public key of your EPoint merchant")
        if not self.private_key.strip():
            raise ConfigurationError("EPOINT_PRIVATE_KEY", "is empty; set the private key of your EPoint merchant")

    def __repr__(self) -> str:
        return f"Merchant(public_key={self.public_key!r}, private_key='***')"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("public_key", self.public_key), ("private_key", "***")]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a call would send: the dry run."""

    path: str
    url: str
    payload: dict[str, Any]
    data: str
    signature: str


class Outgoing(msgspec.Struct, frozen=True):
    """One request as it goes out; `how` is what the HTTP client is told of its body."""

    method: str
    url: URL
    how: dict[str, Any]


class Writer:
    """Writes the requests of one merchant to EPoint at one address.

    Raises ConfigurationError for an address that cannot be meant.
    """

    def __init__(self, merchant: Merchant, base_url: str) -> None:
        self._merchant = merchant
        self._base_url = _checked(base_url)
        self._urls: dict[str, URL] = {}

    def write(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, files: Sequence[Upload] = ()
    ) -> Outgoing:
        """Return the request as it goes out, multipart if there are files.

        Raises ValueError or TypeError for what cannot be written.
        """
        if operation.sending is Sending.GET:
            named = {name: quote(str(getattr(request, name)), safe="") for name in request.__struct_fields__}
            # Already encoded: it must not be encoded a second time, nor its dots be taken for a way up.
            return Outgoing("GET", URL(self._base_url + operation.path.format(**named), encoded=True), {})
        sealed = seal(self._merchant.private_key, encode_payload(self._merchant.public_key, request))
        envelope = {"data": sealed.data, "signature": sealed.signature}
        url = self._url(operation.path)
        if files:
            return Outgoing("POST", url, {"data": _multipart(envelope, files)})
        if operation.sending is Sending.JSON:
            return Outgoing("POST", url, {"json": envelope})
        return Outgoing("POST", url, {"data": _form(sealed), "headers": _FORM})

    def preview(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> Preview:
        """Return what goes out, and what the signed part of it says."""
        url = str(self.write(operation, request).url)
        if operation.sending is Sending.GET:
            return Preview(path=operation.path, url=url, payload={}, data="", signature="")
        payload = encode_payload(self._merchant.public_key, request)
        sealed = seal(self._merchant.private_key, payload)
        return Preview(
            path=operation.path,
            url=url,
            payload=msgspec.json.decode(payload),
            data=sealed.data,
            signature=sealed.signature,
        )

    def _url(self, path: str) -> URL:
        """Return the address of an operation; there are few, and to take one apart takes long."""
        found = self._urls.get(path)
        if found is None:
            found = self._urls[path] = URL(self._base_url + path)
        return found


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _form(sealed: Sealed) -> bytes:
    """Return both parameters urlencoded; base64 has three characters that a form must not hold as they are."""
    data = sealed.data.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    signature = sealed.signature.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    return f"data={data}&signature={signature}".encode()


def _multipart(envelope: dict[str, str], files: Sequence[Upload]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in envelope.items():
        form.add_field(name, value)
    for file in files:
        form.add_field(file.name, file.content, content_type=file.content_type, filename=file.file_name)
    return form


def _checked(base_url: str) -> str:
    problem = "must be an http or https address such as https://epoint.az"
    try:
        url = URL(base_url)
    except ValueError as exc:
        raise ConfigurationError("base_url", problem) from exc
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query_string or url.fragment:
        raise ConfigurationError("base_url", problem)
    return base_url.rstrip("/")
