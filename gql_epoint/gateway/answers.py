"""What an answer of EPoint is worth, and what it means that none came."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import aiohttp
from yarl import URL

from gql_epoint.epoint.reading import read
from gql_epoint.epoint.wire import Operation, Reply, ReplyT
from gql_epoint.errors import (
    GatewayError,
    GatewayRefusedError,
    GatewayUnavailableError,
    GatewayUnclearError,
    UnreadableError,
)


def read_reply(operation: Operation[Any, ReplyT], status: int, body: bytes) -> ReplyT:
    """Return the reply; raises GatewayUnclearError, and GatewayRefusedError where the operation can be refused."""
    if 300 <= status < 400:
        raise GatewayUnclearError(operation.name, f"HTTP {status}, a redirect, which is not followed")
    if _may_refuse(operation, status):
        raise _refusal(operation.name, status, body)
    if status != 200 and not _may_lack_grant(operation, status):
        raise GatewayUnclearError(operation.name, f"HTTP {status}", status)
    try:
        reply = read(body, operation.reply, operation.wrap)
    except UnreadableError as exc:
        raise GatewayUnclearError(operation.name, f"HTTP {status}, but the answer is not a JSON object") from exc
    if status != 200 and reply.status != "error":
        raise GatewayUnclearError(operation.name, f"HTTP {status}", status)
    return reply


def has_wanted_body(operation: Operation[Any, Any], status: int) -> bool:
    """Whether the body of an answer with this status says anything that `read_reply` goes by."""
    return status == 200 or _may_refuse(operation, status) or _may_lack_grant(operation, status)


# What says that a request was not carried out. 408, 409 and 425 say that something else may be under way.
_REFUSALS = frozenset({400, 401, 403, 404, 422, 429})


def _may_refuse(operation: Operation[Any, Any], status: int) -> bool:
    return operation.refuses_by_status and status in _REFUSALS


def _may_lack_grant(operation: Operation[Any, Any], status: int) -> bool:
    """Whether this may be how EPoint says `error` for want of a grant: undocumented; another sandbox does so."""
    return operation.grant is not None and status == 403


def _refusal(operation: str, status: int, body: bytes) -> GatewayError:
    """Return what a refusing status means; what is not EPoint's own JSON came from something in between."""
    try:
        reply = read(body, Reply)
    except UnreadableError:
        return GatewayUnclearError(operation, f"HTTP {status}, and the answer is not a JSON object")
    if reply.status is None and reply.message is None:
        return GatewayUnclearError(operation, f"HTTP {status}, and the answer says nothing")
    return GatewayRefusedError(operation, status, reply.message)


# Scheme and host in the plainest form there is, which has no second reading: what follows is the path. To take an
# address apart takes long, and EPoint has few hosts.
_PLAIN_BEGINNING = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]+)?/", re.ASCII)
_GOOD_MAX = 100


class Pages:
    """The pages that a customer may be sent to: on the host of `base_url`, on `hosts`, and on hosts below them."""

    def __init__(self, base_url: str, hosts: Iterable[str]) -> None:
        self._hosts = (str(URL(base_url).host), *hosts)
        self._scheme = URL(base_url).scheme
        self._good: set[str] = set()

    def check(self, operation: str, page: str | None) -> None:
        """Raise GatewayUnclearError for a page where nobody should type a card number."""
        if not page:
            return
        beginning = _PLAIN_BEGINNING.match(page)
        if beginning is not None and beginning[0] in self._good:
            return
        try:
            url = URL(page)
        except ValueError:
            raise GatewayUnclearError(operation, "the page for the customer has no readable address") from None
        ours = any(url.host == host or (url.host or "").endswith(f".{host}") for host in self._hosts)
        if url.user or not ours or url.scheme not in ("https", self._scheme):
            raise GatewayUnclearError(operation, "the page for the customer is not on EPoint's host")
        if beginning is not None and len(self._good) < _GOOD_MAX:
            self._good.add(beginning[0])


class OversizedError(Exception):
    """The reply is longer than is worth reading."""


# Whether money can have moved is not guessed from the kind of error, because the kinds overlap: a
# timeout can come before, during or after sending. It follows from one fact, which the connection pool reports:
# a call that never got a connection has sent nothing. The kind of error only finds the words.
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
    (OversizedError, GatewayUnclearError, "the answer is too long"),
    (Exception, GatewayUnclearError, "the connection was lost before the answer"),
)


def translate(operation: str, error: Exception, *, connected: bool) -> GatewayError:
    """Return our error for what the HTTP client raised."""
    ours = GatewayUnclearError if connected else GatewayUnavailableError
    words = next(words for theirs, kind, words in _TABLE if kind is ours and isinstance(error, theirs))
    return ours(operation, words)
