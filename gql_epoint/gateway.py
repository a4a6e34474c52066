"""The only HTTP to EPoint: a signed request out, and a typed reply or a precise error back.

    async with Gateway(Merchant(public_key="i000000001", private_key=...)) as gateway:
        reply = await gateway.call(PAY, PayRequest(...))

The errors say whether money can have moved. What a reply's status means is not judged here, and nothing is ever
sent twice.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from gql_epoint.epoint.reading import read
from gql_epoint.epoint.signing import seal
from gql_epoint.epoint.wire import Operation, Reply, ReplyT, RequestT, Sending, Upload, encode_payload
from gql_epoint.errors import (
    ConfigurationError,
    GatewayError,
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnclearError,
    UnreadableError,
)
from gql_epoint.tracing import client_span, note


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


class Gateway:
    """A connection pool to EPoint for one merchant; enter it with `async with`, use it from one event loop.

    `connect_timeout_s` covers the wait for a free connection, DNS, TCP and TLS. `total_timeout_s` covers the
    whole call. A reply of more than `reply_bytes_max` bytes is not read.

    `observe` is told of each call: its operation, its outcome as in the log, and its seconds.

    Idle connections are kept for `keep_alive_s` only: a server that closes one at the moment it is used again
    leaves a charge unclear, so the default stays below the 5 s after which the least patient servers close.

    A customer is sent only to pages on the host of `base_url`, on one of `page_hosts`, or on hosts below them. An
    answer that names another is not believed, whoever could write it.
    """

    def __init__(
        self,
        merchant: Merchant,
        *,
        base_url: str = "https://epoint.az",
        connect_timeout_s: float = 5.0,
        total_timeout_s: float = 30.0,
        keep_alive_s: float = 4.0,
        connections_max: int = 100,
        reply_bytes_max: int = 1_000_000,
        dns_cache_s: int = 60,
        page_hosts: Iterable[str] = (),
        logger_name: str = "epoint",
        observe: Callable[[str, str, float], None] | None = None,
    ) -> None:
        self._merchant = merchant
        self._base_url = _checked(base_url)
        self._connect_timeout_s = connect_timeout_s
        self._total_timeout_s = total_timeout_s
        self._keep_alive_s = keep_alive_s
        self._connections_max = connections_max
        self._reply_bytes_max = reply_bytes_max
        self._dns_cache_s = dns_cache_s
        self._page_hosts = (str(URL(self._base_url).host), *page_hosts)
        self._log = logging.getLogger(logger_name)
        self._observe = observe
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = self._new_session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def preview(self, operation: Operation[RequestT, ReplyT], request: RequestT) -> Preview:
        """Return what `call` would send, and send nothing. Needs no open gateway."""
        url = str(self._outgoing(operation, request).url)
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

    async def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        timeout_s: float | None = None,
        files: Sequence[Upload] = (),
    ) -> ReplyT:
        """Send one request and return the reply; `timeout_s` cuts the call off earlier than usual.

        With `files` the body is multipart.

        Raises GatewayUnavailableError if nothing was sent, so no money can have moved, and GatewayUnclearError
        if the request may have arrived and no believable answer came back; operations with `refuses_by_status` also
        raise GatewayRefusedError. A cancelled call is as unclear as
        the latter, but stays a CancelledError. Raises ValueError or TypeError, before anything is sent, for a
        request that cannot be written.
        """
        if self._session is None:
            raise RuntimeError("The gateway is not open: use it inside `async with Gateway(...)`.")
        outgoing = self._outgoing(operation, request, files)
        limit_s = self._total_timeout_s if timeout_s is None else min(timeout_s, self._total_timeout_s)
        names = {
            "epoint__operation": operation.name,
            "http__request__method": outgoing.method,
            "url__path": operation.path,
        }
        with client_span(f"epoint {operation.name}", **names):
            return await self._send(self._session, operation, outgoing, limit_s)

    def _outgoing(
        self, operation: Operation[RequestT, ReplyT], request: RequestT, files: Sequence[Upload] = ()
    ) -> _Outgoing:
        if operation.sending is Sending.GET:
            named = {name: quote(str(getattr(request, name)), safe="") for name in request.__struct_fields__}
            # Already encoded: it must not be encoded a second time, nor its dots be taken for a way up.
            return _Outgoing("GET", URL(self._base_url + operation.path.format(**named), encoded=True), {})
        sealed = seal(self._merchant.private_key, encode_payload(self._merchant.public_key, request))
        envelope = {"data": sealed.data, "signature": sealed.signature}
        if files:
            return _Outgoing("POST", URL(self._base_url + operation.path), {"data": _multipart(envelope, files)})
        url = URL(self._base_url + operation.path)
        if operation.sending is Sending.JSON:
            return _Outgoing("POST", url, {"json": envelope})
        return _Outgoing("POST", url, {"data": urlencode(envelope).encode(), "headers": _FORM})

    async def _send(
        self,
        session: aiohttp.ClientSession,
        operation: Operation[Any, ReplyT],
        outgoing: _Outgoing,
        limit_s: float,
    ) -> ReplyT:
        call = _Call()
        outcome = "aborted"  # Cancelled, or a bug: as unclear as can be, and not ours to name.
        try:
            if limit_s <= 0:
                raise TimeoutError  # A kept connection could take the request before any timer runs.
            status, body = await self._exchange(session, operation, outgoing, limit_s, call)
            # Whoever could make EPoint repeat the key that signs would read it in the reply's message.
            reply = _read_reply(operation, status, body.replace(self._merchant.private_key.encode(), b"***"))
            self._check_page(operation.name, getattr(reply, "redirect_url", None))
            outcome, call.trace_id = "answered", reply.trace_id or call.trace_id
            return reply
        except GatewayRefusedError:
            outcome = "answered"
            raise
        except GatewayUnclearError:
            outcome = "unclear"
            raise
        except (aiohttp.ClientError, OSError, _OversizedError) as exc:
            error = _translate(operation.name, exc, connected=call.connected)
            outcome = "unclear" if error.money_may_have_moved else "unavailable"
            raise error from exc
        finally:
            self._record(operation.name, outcome, call)

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        operation: Operation[Any, Any],
        outgoing: _Outgoing,
        limit_s: float,
        call: _Call,
    ) -> tuple[int, bytes]:
        _call_under_way.set(call)
        async with (
            asyncio.timeout(limit_s),
            session.request(outgoing.method, outgoing.url, allow_redirects=False, **outgoing.how) as response,
        ):
            call.trace_id = response.headers.get("X-Request-ID")
            # The body of another status is never used, so it is not waited for either.
            wanted = response.status == 200 or _may_refuse(operation, response.status)
            body = await self._read_body(response) if wanted else b""
            return response.status, body

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._reply_bytes_max:
                raise _OversizedError
        return bytes(body)

    def _check_page(self, operation: str, page: str | None) -> None:
        """Raise GatewayUnclearError for a page where nobody should type a card number."""
        if not page:
            return
        try:
            url = URL(page)
        except ValueError:
            raise GatewayUnclearError(operation, "the page for the customer has no readable address") from None
        ours = any(url.host == host or (url.host or "").endswith(f".{host}") for host in self._page_hosts)
        if url.user or not ours or url.scheme not in ("https", URL(self._base_url).scheme):
            raise GatewayUnclearError(operation, "the page for the customer is not on EPoint's host")

    def _record(self, operation: str, outcome: str, call: _Call) -> None:
        # Four facts and no more: data, signatures, card numbers and bodies stay out of logs.
        note(epoint__outcome=outcome)
        duration_s = time.monotonic() - call.started_s
        if self._observe is not None:
            self._observe(operation, outcome, duration_s)
        level = logging.INFO if outcome == "answered" else logging.WARNING
        if not self._log.isEnabledFor(level):
            return
        trace_id = _UNLOGGABLE.sub("", call.trace_id or "")[:100] or "-"
        duration_ms = round(duration_s * 1000)
        self._log.log(
            level,
            "operation=%s outcome=%s duration_ms=%d trace_id=%s",
            operation,
            outcome,
            duration_ms,
            trace_id,
            extra={"operation": operation, "outcome": outcome, "duration_ms": duration_ms, "trace_id": trace_id},
        )

    def _new_session(self) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=self._connections_max,
            limit_per_host=0,
            force_close=False,
            keepalive_timeout=self._keep_alive_s,
            use_dns_cache=True,
            ttl_dns_cache=self._dns_cache_s,
            ssl=True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            # `total` is an asyncio.timeout of our own, and a threshold without end keeps `connect` from being
            # rounded up to whole seconds: both have to end before the caller's deadline.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s, ceil_threshold=float("inf")),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "gql-epoint"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            raise_for_status=False,
            auto_decompress=True,
        )


# ---------------------------------------------------------------------------------------------------------
# Errors. Whether money can have moved is not guessed from the kind of error, because the kinds overlap: a
# timeout can come before, during or after sending. It follows from one fact, which the connection pool reports:
# a call that never got a connection has sent nothing. The kind of error only finds the words.
# ---------------------------------------------------------------------------------------------------------


class _OversizedError(Exception):
    """The reply is longer than is worth reading."""


_TABLE: tuple[tuple[type[Exception], type[GatewayError], str], ...] = (
    (aiohttp.ClientConnectorDNSError, GatewayUnavailableError, "the host name does not resolve"),
    (aiohttp.ClientConnectorCertificateError, GatewayUnavailableError, "the certificate is not trusted"),
    (aiohttp.ClientSSLError, GatewayUnavailableError, "the TLS handshake failed"),
    (TimeoutError, GatewayUnavailableError, "no connection could be made in time"),
    (Exception, GatewayUnavailableError, "no connection could be made"),
    (TimeoutError, GatewayUnclearError, "no answer came in time"),
    (aiohttp.ServerDisconnectedError, GatewayUnclearError, "the connection was closed before the answer"),
    (aiohttp.ClientPayloadError, GatewayUnclearError, "the answer was cut short"),
    (aiohttp.ClientResponseError, GatewayUnclearError, "the answer is not HTTP"),
    (_OversizedError, GatewayUnclearError, "the answer is too long"),
    (Exception, GatewayUnclearError, "the connection was lost before the answer"),
)


def _translate(operation: str, error: Exception, *, connected: bool) -> GatewayError:
    ours = GatewayUnclearError if connected else GatewayUnavailableError
    words = next(words for theirs, kind, words in _TABLE if kind is ours and isinstance(error, theirs))
    return ours(operation, words)


def _read_reply(operation: Operation[Any, ReplyT], status: int, body: bytes) -> ReplyT:
    if 300 <= status < 400:
        raise GatewayUnclearError(operation.name, f"HTTP {status}, a redirect, which is not followed")
    if _may_refuse(operation, status):
        raise _refusal(operation.name, status, body)
    if status != 200:
        raise GatewayUnclearError(operation.name, f"HTTP {status}", status)
    try:
        return read(body, operation.reply, operation.wrap)
    except UnreadableError as exc:
        raise GatewayUnclearError(operation.name, "HTTP 200, but the answer is not a JSON object") from exc


# What says that a request was not carried out. 408, 409 and 425 say that something else may be under way.
_REFUSALS = frozenset({400, 401, 403, 404, 422, 429})


def _may_refuse(operation: Operation[Any, Any], status: int) -> bool:
    return operation.refuses_by_status and status in _REFUSALS


def _refusal(operation: str, status: int, body: bytes) -> GatewayError:
    """Return what a refusing status means; what is not EPoint's own JSON came from something in between."""
    try:
        reply = read(body, Reply)
    except UnreadableError:
        return GatewayUnclearError(operation, f"HTTP {status}, and the answer is not a JSON object")
    if reply.status is None and reply.message is None:
        return GatewayUnclearError(operation, f"HTTP {status}, and the answer says nothing")
    return GatewayRefusedError(operation, status, reply.message)


def _multipart(envelope: dict[str, str], files: Sequence[Upload]) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in envelope.items():
        form.add_field(name, value)
    for file in files:
        form.add_field(file.name, file.content, content_type=file.content_type, filename=file.file_name)
    return form


class _Outgoing(msgspec.Struct, frozen=True):
    """One request as it goes out; `how` is what the HTTP client is told of its body."""

    method: str
    url: URL
    how: dict[str, Any]


class _Call:
    """What is known about one call while it runs."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.connected = False
        self.trace_id: str | None = None


_call_under_way: ContextVar[_Call] = ContextVar("call_under_way")


class _Connector(aiohttp.TCPConnector):
    """The connection pool, which tells a call that it has got a connection, new or kept."""

    async def connect(self, *args: Any, **options: Any) -> Any:
        connection = await super().connect(*args, **options)
        _call_under_way.get().connected = True
        return connection


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_UNLOGGABLE = re.compile(r"[^\w.:/-]", re.ASCII)


def _checked(base_url: str) -> str:
    problem = "must be an http or https address such as https://epoint.az"
    try:
        url = URL(base_url)
    except ValueError as exc:
        raise ConfigurationError("base_url", problem) from exc
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query_string or url.fragment:
        raise ConfigurationError("base_url", problem)
    return base_url.rstrip("/")
