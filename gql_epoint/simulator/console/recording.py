"""Write down what the simulator is asked and what it answers, from outside: no endpoint knows of it."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_epoint.epoint.callback import read_envelope
from gql_epoint.epoint.operations import OPERATIONS
from gql_epoint.epoint.signing import unseal
from gql_epoint.errors import SignatureError, UnreadableError
from gql_epoint.simulator.console.journal import Exchange, Signature, hide_cards, shorten
from gql_epoint.simulator.invoices import without_images
from gql_epoint.simulator.request import text_of
from gql_epoint.simulator.state import State

_READ_BYTES_MAX = 256 * 1024  # of a body; what is longer is passed on and not read
_OPERATIONS = {operation.path: operation.name for operation in OPERATIONS.values()}
_PAGES = ("/pay/", "/widget/")
_CARD_FIELD = "card_number"
_SECRET_FIELDS = ("token", "billingContact")  # what Apple Pay and Google Pay give a shop, and nobody should keep
_FORGED = ("invalid", "unknown_merchant")
_decoder = msgspec.json.Decoder(float_hook=str)


class Recorder:
    """ASGI middleware: records the API and what customers send from hosted pages, and rings when it has."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and listen."""
        if scope["type"] != "http" or not _is_recorded(scope):
            await self._app(scope, receive, send)
            return
        recording = _Recording(self._state, scope)

        async def received() -> Message:
            message = await receive()
            recording.hear(message)
            return message

        async def sent(message: Message) -> None:
            recording.tell(message)
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            recording.finish()


def _is_recorded(scope: Scope) -> bool:
    path: str = scope["path"]
    # A heartbeat says nothing, and may be asked for every second.
    if path.startswith("/api/"):
        return not path.endswith("/heartbeat")
    return path.startswith(_PAGES) and scope["method"] == "POST"


class _Recording:
    def __init__(self, state: State, scope: Scope) -> None:
        self._state = state
        self._scope = scope
        self._request = bytearray()
        self._reply = bytearray()
        self._started_s = time.perf_counter()
        self._exchange: Exchange | None = None

    def hear(self, message: Message) -> None:
        """Take a part of the request; with the last one the exchange can be seen, answered or not."""
        if message["type"] != "http.request" or self._exchange is not None:
            return
        if len(self._request) < _READ_BYTES_MAX:
            self._request += message.get("body", b"")
        if not message.get("more_body", False):
            self._begin()

    def tell(self, message: Message) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            (self._exchange or self._begin()).http_status = message["status"]
        elif message["type"] == "http.response.body" and len(self._reply) < _READ_BYTES_MAX:
            self._reply += message.get("body", b"")

    def finish(self) -> None:
        """Write down how it ended."""
        exchange = self._exchange or self._begin()
        exchange.duration_ms = round((time.perf_counter() - self._started_s) * 1000, 1)
        exchange.reply = shorten(hide_cards(self._reply.decode("utf-8", "replace")))
        reply = _decoded(bytes(self._reply))
        if exchange.signature not in _FORGED:
            exchange.transaction = exchange.transaction or text_of(reply, "transaction") or self._subject(reply)
            exchange.card_id = exchange.card_id or text_of(reply, "card_id")
        self._state.changes.ring(exchange.transaction)

    def _begin(self) -> Exchange:
        headers = {name.lower(): value.decode("latin-1") for name, value in self._scope["headers"]}
        path = self._scope["path"]
        exchange = Exchange(
            number=self._state.journal.next_number(),
            at=self._state.clock(),
            method=self._scope["method"],
            path=quote(path, errors="replace"),
            operation=_OPERATIONS.get(path),
            content_type=headers.get(b"content-type", ""),
        )
        raw = bytes(self._request)
        if path.startswith(_PAGES):
            self._read_page(exchange, raw)
        else:
            self._read_call(exchange, raw)
        self._exchange = exchange
        self._state.journal.add(exchange)
        self._state.changes.ring(exchange.transaction)
        return exchange

    def _read_page(self, exchange: Exchange, raw: bytes) -> None:
        """Keep what a customer did, and of a card number what a bank would show."""
        transaction = self._state.books.page(self._scope["path"].rpartition("/")[2])
        if transaction is not None:
            exchange.transaction, exchange.merchant = transaction.transaction, transaction.merchant
            exchange.order_id, exchange.card_id = transaction.order_id, transaction.card_id
        try:
            pairs = parse_qsl(raw.decode("ascii"), max_num_fields=10)
        except ValueError:
            exchange.request = "(a form that cannot be read)"
            return
        shown = [(name, _masked(value) if name == _CARD_FIELD else hide_cards(value)) for name, value in pairs]
        exchange.request = shorten(urlencode(shown, safe="*"))

    def _read_call(self, exchange: Exchange, raw: bytes) -> None:
        """Keep the envelope as sent, without images, and what is in it. With a card number, only the latter."""
        envelope, shown = without_images(exchange.content_type, raw)
        text = shown.decode("utf-8", "replace")
        try:
            sealed = read_envelope(exchange.content_type, envelope)
            payload = base64.b64decode(sealed.data, validate=True)
        except (UnreadableError, binascii.Error, ValueError):
            exchange.request = shorten(hide_cards(text))
            exchange.signature = "missing" if raw else None
            self._name(exchange, _plain(exchange.content_type, raw))
            return
        fields = _decoded(payload)
        exchange.signature = self._judge(fields.get("public_key"), sealed.data, sealed.signature)
        self._name(exchange, fields)
        if exchange.signature in _FORGED:
            exchange.transaction = None  # Whoever sent this knows an id, and no more than that.
        decoded = payload.decode("utf-8", "replace")
        secret = {name: "***" for name in _SECRET_FIELDS if name in fields}
        # Written anew, a number that hides behind escapes is found as well.
        anew = msgspec.json.encode(fields | secret).decode() if secret or "\\" in decoded else decoded
        if not secret and hide_cards(decoded) == decoded and hide_cards(anew) == anew:
            exchange.request, exchange.decoded = shorten(hide_cards(text)), shorten(decoded)
        else:
            exchange.request = f"({len(raw)} bytes that are not kept: they hold a card number or a token)"
            exchange.decoded = hide_cards(shorten(anew))

    def _judge(self, public_key: Any, data: str, signature: str) -> Signature:
        merchant = self._state.merchants.get(public_key) if isinstance(public_key, str) else None
        if merchant is None:
            return "unknown_merchant"
        try:
            unseal(merchant.private_key, data, signature)
        except SignatureError:
            return "invalid"
        return "valid"

    def _name(self, exchange: Exchange, fields: dict[str, Any]) -> None:
        exchange.merchant = text_of(fields, "public_key")
        exchange.transaction = text_of(fields, "transaction")
        exchange.order_id = text_of(fields, "order_id")
        exchange.card_id = text_of(fields, "card_id")

    def _subject(self, reply: dict[str, Any]) -> str | None:
        """Find the transaction that neither side has named."""
        exchange, books = self._exchange, self._state.books
        assert exchange is not None
        if exchange.merchant is not None and exchange.order_id is not None:
            found = books.latest(exchange.merchant, exchange.order_id)
        else:
            card_id = exchange.card_id or text_of(reply, "card_id")
            found = books.registration(card_id) if card_id is not None else None
        return found.transaction if found is not None else None


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        fields = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _plain(content_type: str, raw: bytes) -> dict[str, Any]:
    """Return the fields of a request without envelope, such as that for the wallets."""
    if "urlencoded" not in content_type:
        return _decoded(raw)
    try:
        return {name: values[0] for name, values in parse_qs(raw.decode("ascii"), max_num_fields=20).items()}
    except ValueError:
        return {}


def _masked(number: str) -> str:
    """Return what may be kept of whatever a customer typed where a card number belongs."""
    digits = "".join(character for character in number if character.isdigit())
    return f"{digits[:6]}******{digits[-4:]}" if len(digits) >= 12 else "*" * min(len(number), 12)
