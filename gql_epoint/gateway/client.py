"""The connection to EPoint: sends a request, once, and says of each failure whether money can have moved."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from functools import cache
from types import TracebackType
from typing import Any, Self

import aiohttp

from gql_epoint.deadlines import Deadlines
from gql_epoint.epoint.wire import Operation, ReplyT, RequestT, Upload
from gql_epoint.errors import GatewayRefusedError, GatewayUnclearError
from gql_epoint.gateway.answers import OversizedError, Pages, has_wanted_body, read_reply, translate
from gql_epoint.gateway.writing import Merchant, Outgoing, Preview, Writer
from gql_epoint.tracing import client_span, note


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
        self._writer = Writer(merchant, base_url)
        self._connect_timeout_s = connect_timeout_s
        self._total_timeout_s = total_timeout_s
        self._keep_alive_s = keep_alive_s
        self._connections_max = connections_max
        self._reply_bytes_max = reply_bytes_max
        self._dns_cache_s = dns_cache_s
        self._pages = Pages(base_url, page_hosts)
        self._log = logging.getLogger(logger_name)
        self._observe = observe
        self._session: aiohttp.ClientSession | None = None
        self._deadlines = cache(Deadlines)  # for each limit, of which there are few

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
        return self._writer.preview(operation, request)

    async def call(
        self,
        operation: Operation[RequestT, ReplyT],
        request: RequestT,
        *,
        timeout_s: float | None = None,
        files: Sequence[Upload] = (),
    ) -> ReplyT:
        """Send one request and return the reply; `timeout_s` cuts the call off earlier than usual.

        With `files` the body is multipart. There are few different values of `timeout_s`: each is remembered.

        Raises GatewayUnavailableError if nothing was sent, so no money can have moved, and GatewayUnclearError
        if the request may have arrived and no believable answer came back; operations with `refuses_by_status` also
        raise GatewayRefusedError. A cancelled call is as unclear as can be, but stays a CancelledError. Raises
        ValueError or TypeError, before anything is sent, for a request that cannot be written.
        """
        if self._session is None:
            raise RuntimeError("The gateway is not open: use it inside `async with Gateway(...)`.")
        outgoing = self._writer.write(operation, request, files)
        limit_s = self._total_timeout_s if timeout_s is None else min(timeout_s, self._total_timeout_s)
        names = {
            "epoint__operation": operation.name,
            "http__request__method": outgoing.method,
            "url__path": operation.path,
        }
        with client_span(f"epoint {operation.name}", **names):
            return await self._send(self._session, operation, outgoing, limit_s)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        operation: Operation[Any, ReplyT],
        outgoing: Outgoing,
        limit_s: float,
    ) -> ReplyT:
        call = _Call()
        outcome = "aborted"  # Cancelled, or a bug: as unclear as can be, and not ours to name.
        try:
            if limit_s <= 0:
                raise TimeoutError  # A kept connection could take the request before any timer runs.
            status, body = await self._exchange(session, operation, outgoing, limit_s, call)
            # Whoever could make EPoint repeat the key that signs would read it in the reply's message.
            reply = read_reply(operation, status, body.replace(self._merchant.private_key.encode(), b"***"))
            self._pages.check(operation.name, getattr(reply, "redirect_url", None))
            outcome, call.trace_id = "answered", reply.trace_id or call.trace_id
            return reply
        except GatewayRefusedError:
            outcome = "answered"
            raise
        except GatewayUnclearError:
            outcome = "unclear"
            raise
        except (aiohttp.ClientError, OSError, OversizedError) as exc:
            error = translate(operation.name, exc, connected=call.connected)
            outcome = "unclear" if error.money_may_have_moved else "unavailable"
            raise error from exc
        finally:
            self._record(operation.name, outcome, call)

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        operation: Operation[Any, Any],
        outgoing: Outgoing,
        limit_s: float,
        call: _Call,
    ) -> tuple[int, bytes]:
        _call_under_way.set(call)
        with self._deadlines(limit_s).begin():
            asking = session.request(outgoing.method, outgoing.url, allow_redirects=False, **outgoing.how)
            async with asking as response:
                call.trace_id = response.headers.get("X-Request-ID")
                # The body of another status is never used, so it is not waited for either.
                wanted = has_wanted_body(operation, response.status)
                body = await self._read_body(response) if wanted else b""
                return response.status, body

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        while not response.content.at_eof():
            body += await response.content.readany()
            if len(body) > self._reply_bytes_max:
                raise OversizedError
        return bytes(body)

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
            # `total` is a deadline of our own, and a threshold without end keeps `connect` from being
            # rounded up to whole seconds: both have to end before the caller's deadline.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s, ceil_threshold=float("inf")),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "gql-epoint"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            raise_for_status=False,
            auto_decompress=True,
        )


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


_UNLOGGABLE = re.compile(r"[^\w.:/-]", re.ASCII)
