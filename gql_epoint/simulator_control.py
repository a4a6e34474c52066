"""Speak to the simulator's control API, as a person at its console does. For the sandbox alone.

It knows that API by its documents, in simulator/control.py and simulator/console/, and imports nothing of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from gql_epoint.errors import ErrorCode, RefusedError

T = TypeVar("T")

_ANSWER_BYTES_MAX = 32 * 1024 * 1024
_CONNECTIONS_MAX = 200  # more than the simulator has streams to give, so that calls always find one


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One POST of a callback: the shop's HTTP status and the beginning of its answer, or what went wrong."""

    at: datetime
    http_status: int | None = None
    error: str | None = None
    reply: str | None = None
    duration_ms: float | None = None


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """One callback on its way or delivered; `decoded` is what is in `data`, laid out for people."""

    number: int
    at: datetime
    state: Literal["waiting", "delivered", "dropped", "given_up", "cancelled"]
    encoding: Literal["urlencoded", "multipart", "json"]
    signed: bool
    data: str | None
    signature: str | None
    decoded: str
    attempts: tuple[Attempt, ...]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to the simulator and its answer, without card numbers."""

    number: int
    at: datetime
    method: str
    path: str
    operation: str | None
    content_type: str
    request: str
    decoded: str | None
    signature: Literal["valid", "invalid", "missing", "unknown_merchant"] | None
    http_status: int | None
    reply: str
    reply_decoded: str | None
    duration_ms: float | None


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in the simulator's books; `exchanges` and `callbacks` are None in a list."""

    transaction: str
    operation: str
    at: datetime
    order_id: str | None
    amount: Decimal | None
    currency: str | None
    refunded: Decimal
    status: str
    code: str | None
    card_id: str | None
    card_mask: str | None
    page: str | None
    exchanges: tuple[Exchange, ...] | None = None
    callbacks: tuple[Callback, ...] | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An SMS or e-mail that EPoint would have sent."""

    at: datetime
    channel: Literal["sms", "email"]
    to: str
    link: str


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an image that came with an invoice."""

    name: str
    size: int
    sha256: str


class SimulatedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice in the simulator's books."""

    id: int
    at: datetime
    state: str
    sum: Decimal
    page: str
    merchant_order_id: str | None
    images: tuple[Image, ...]
    sent: tuple[Message, ...]


class SimulatedTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer to a business in the simulator's books."""

    order_id: str
    at: datetime
    state: str
    amount: Decimal
    iban: str
    name: str
    bulk_id: str
    has_webhook: bool
    webhook_attempts: tuple[Attempt, ...]


class Business(msgspec.Struct, frozen=True, kw_only=True):
    """The latest invoices and transfers, the latest first."""

    invoices: tuple[SimulatedInvoice, ...]
    transfers: tuple[SimulatedTransfer, ...]


class _List(msgspec.Struct, frozen=True, kw_only=True):
    transactions: list[Simulated]


class _Delivery(msgspec.Struct, frozen=True, kw_only=True):
    transaction: str


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed: transactions, and `invoices/1001` or `transfers/order-1`."""

    transactions: list[str]
    business: list[str]


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    error: str


class SimulatorControl:
    """A connection pool to one simulator; enter it with `async with`. Every method may raise RefusedError.

    Its code is NOT_FOUND or INVALID_INPUT if the simulator says so, and GATEWAY_UNAVAILABLE if it says nothing.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 10.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS_MAX)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def transactions(self) -> list[Simulated]:
        """Return the latest transactions, the latest first."""
        answer: _List = await self._call("GET", "/transactions", _List)
        return answer.transactions

    async def transaction(self, name: str) -> Simulated:
        """Return everything about a transaction, by EPoint's id, the card it saves, or its order."""
        answer: Simulated = await self._call("GET", f"/transactions/{quote(name, safe='')}", Simulated)
        return answer

    async def settle(self, name: str, code: str, amount: Decimal | None, callback: dict[str, Any]) -> None:
        """Let the bank answer, perhaps with another amount than ordered; `callback` changes how it is told."""
        body: dict[str, Any] = {"code": code, "callback": callback}
        if amount is not None:
            body["amount"] = format(amount, "f")
        await self._call("POST", f"/transactions/{quote(name, safe='')}/settle", Any, body)

    async def refund(self, name: str, amount: Decimal | None) -> None:
        """Refund in EPoint's cabinet; without an amount all that is left."""
        body = {} if amount is None else {"amount": format(amount, "f")}
        await self._call("POST", f"/transactions/{quote(name, safe='')}/refund", Any, body)

    async def capture(self, name: str, amount: Decimal | None) -> None:
        """Take what is held in EPoint's cabinet; without an amount all of it."""
        body = {} if amount is None else {"amount": format(amount, "f")}
        await self._call("POST", f"/transactions/{quote(name, safe='')}/capture", Any, body)

    async def business(self) -> Business:
        """Return the latest invoices and transfers."""
        answer: Business = await self._call("GET", "/business", Business)
        return answer

    async def invoice(self, number: str) -> SimulatedInvoice:
        """Return one invoice, by EPoint's id."""
        answer: SimulatedInvoice = await self._call("GET", f"/invoices/{quote(number, safe='')}", SimulatedInvoice)
        return answer

    async def settle_invoice(self, number: str, state: str) -> SimulatedInvoice:
        """Pay an invoice, cancel it or open it again, and return it."""
        path = f"/invoices/{quote(number, safe='')}/settle"
        answer: SimulatedInvoice = await self._call("POST", path, SimulatedInvoice, {"state": state})
        return answer

    async def transfer(self, order_id: str) -> SimulatedTransfer:
        """Return one transfer, by the order id that EPoint was given."""
        path = f"/transfers/{quote(order_id, safe='')}"
        answer: SimulatedTransfer = await self._call("GET", path, SimulatedTransfer)
        return answer

    async def settle_transfer(self, order_id: str, state: str, callback: dict[str, Any]) -> SimulatedTransfer:
        """Let a transfer go on, and return it; `callback` changes how its webhook tells of a decision."""
        path = f"/transfers/{quote(order_id, safe='')}/settle"
        body = {"state": state, "callback": callback}
        answer: SimulatedTransfer = await self._call("POST", path, SimulatedTransfer, body)
        return answer

    async def send_webhook(self, order_id: str, callback: dict[str, Any]) -> SimulatedTransfer:
        """Send the webhook of a decided transfer again, and return the transfer."""
        path = f"/transfers/{quote(order_id, safe='')}/webhook"
        answer: SimulatedTransfer = await self._call("POST", path, SimulatedTransfer, {"callback": callback})
        return answer

    async def resend(self, name: str, callback: dict[str, Any]) -> None:
        """Send the callback of a settled transaction again."""
        await self._call("POST", f"/callbacks/{quote(name, safe='')}/resend", Any, {"callback": callback})

    async def release(self, number: int, act: Literal["send", "drop"]) -> str:
        """Send a waiting callback now, or let it get lost; return its transaction."""
        answer: _Delivery = await self._call("POST", f"/deliveries/{number}/{act}", _Delivery, {})
        return answer.transaction

    async def changes(self) -> AsyncGenerator[Changed, None]:
        """Yield the names of what has changed; first none, once changes are seen."""
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeout_s, sock_read=30.0)
        try:
            async with self._opened.get(f"{self.base_url}/_control/live", timeout=timeout) as response:
                if response.status != 200:
                    raise _away()
                async for line in response.content:
                    if line.startswith(b"data: "):
                        yield _read(line.removeprefix(b"data: "), Changed)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise _away() from exc
        raise _away()  # It ends only if the simulator does.

    @property
    def _opened(self) -> aiohttp.ClientSession:
        assert self._session is not None, "The control is not open: use it inside `async with`."
        return self._session

    async def _call(self, method: str, path: str, answer: type[T] | Any, body: Any = None) -> Any:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        url = f"{self.base_url}/_control{path}"
        try:
            async with self._opened.request(
                method, url, json=body, timeout=timeout, allow_redirects=False
            ) as response:
                raw, status = await response.content.read(_ANSWER_BYTES_MAX), response.status
                while chunk := await response.content.read(_ANSWER_BYTES_MAX - len(raw)):
                    raw += chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _away() from exc
        if status == 200:
            return _read(raw, answer)
        if status == 404:
            raise RefusedError(ErrorCode.NOT_FOUND, "The simulator knows nothing of that name.")
        if status == 400:
            raise RefusedError(ErrorCode.INVALID_INPUT, f"The simulator refuses: {_read(raw, _Problem).error}.")
        raise _away()


def _read(raw: bytes, answer: type[T] | Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=answer)
    except msgspec.DecodeError as exc:
        raise _away() from exc


def _away() -> RefusedError:
    return RefusedError(
        ErrorCode.GATEWAY_UNAVAILABLE, "There is no simulator at GQL_EPOINT_GATEWAY_URL, or it does not answer."
    )


def closing(stream: AsyncGenerator[Changed, None]) -> aclosing[Any]:
    """Close the connection of a stream when its reader leaves, and not when it is collected."""
    return aclosing(stream)
