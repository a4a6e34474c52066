"""The gateway client, against real sockets: what is sent, what comes back, and what a broken call means.

Most servers here are a few lines over raw sockets, because what matters is what HTTP servers do when they fail.
"""

import asyncio
import gzip
import json
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
import pytest

from gql_epoint.epoint.operations import GET_STATUS, PAY, PAY_WITH_SAVED_CARD, REFUND
from gql_epoint.epoint.replies import ChargeReply, RedirectReply
from gql_epoint.epoint.requests import PayRequest, RefundRequest, SavedCardPayRequest, StatusRequest
from gql_epoint.epoint.signing import unseal
from gql_epoint.errors import ConfigurationError, GatewayUnavailableError, GatewayUnclearError
from gql_epoint.gateway import Gateway, Merchant
from gql_epoint.gateway.answers import Pages

MERCHANT = Merchant(public_key="i000000001", private_key="a-private-key")
CHARGE = SavedCardPayRequest(
    amount=Decimal("20.50"), currency="AZN", language="az", order_id="order-1", card_id="ce-secret-card"
)

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Write a whole HTTP answer."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


SUCCESS = reply(b'{"status":"success","transaction":"te001","amount":20.5,"trace_id":"trace-1"}')


class RawServer:
    """A server that records what it receives and answers with whatever bytes a test wants."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self._answer = answer
        self._tls = tls
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def drop_connections(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        self._server.close()
        self.drop_connections()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0])
                self.received.append((head, await reader.readexactly(length)))
                self.arrived.set()
                await self._answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Run a raw server; bytes are sent as the answer to every request."""

    async def write(writer: asyncio.StreamWriter) -> None:
        assert isinstance(answer, bytes)
        writer.write(answer)

    server = RawServer(write if isinstance(answer, bytes) else answer, tls)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def gateway_to(url: str, **options: Any) -> Gateway:
    """Build a gateway that a test does not wait long for."""
    return Gateway(MERCHANT, **({"base_url": url, "connect_timeout_s": 5.0, "total_timeout_s": 5.0} | options))


# ---------------------------------------------------------------------------------------------------------
# What is sent, and what comes back.
# ---------------------------------------------------------------------------------------------------------


async def test_sends_one_signed_form_and_reads_the_reply() -> None:
    """A call is a POST of `data` and `signature` to the operation's path, and its reply is typed."""
    async with serving(SUCCESS) as server, gateway_to(server.url) as gateway:
        answer = await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    assert answer == ChargeReply(status="success", transaction="te001", amount=Decimal("20.5"), trace_id="trace-1")
    ((head, body),) = server.received
    form = parse_qs(body.decode("ascii"), strict_parsing=True)
    assert head.startswith("POST /api/1/execute-pay HTTP/1.1\r\n")
    assert "Content-Type: application/x-www-form-urlencoded\r\n" in head
    assert {"data", "signature"} == form.keys()
    assert json.loads(unseal("a-private-key", form["data"][0], form["signature"][0])) == {
        "public_key": "i000000001",
        "amount": "20.50",
        "currency": "AZN",
        "language": "az",
        "order_id": "order-1",
        "card_id": "ce-secret-card",
    }


async def test_the_form_is_encoded_as_forms_are() -> None:
    """Base64 has characters that mean something else in a form; among so many texts each of them comes."""
    requests = [msgspec.structs.replace(CHARGE, description="\u00fe\u00ff?>" * number) for number in range(1, 31)]
    async with serving(SUCCESS) as server, gateway_to(server.url) as gateway:
        for request in requests:
            await gateway.call(PAY_WITH_SAVED_CARD, request)
        previews = [gateway.preview(PAY_WITH_SAVED_CARD, request) for request in requests]

    bodies = [body.decode() for _, body in server.received]
    assert bodies == [urlencode({"data": one.data, "signature": one.signature}) for one in previews]
    assert all(code in "".join(bodies) for code in ("%2B", "%2F", "%3D"))


async def test_preview_is_what_a_call_sends() -> None:
    """The dry run shows the very bytes, and needs no open gateway."""
    async with serving(SUCCESS) as server:
        preview = gateway_to(server.url + "/").preview(PAY_WITH_SAVED_CARD, CHARGE)
        assert server.connections == 0

        async with gateway_to(server.url) as gateway:
            await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    ((_, body),) = server.received
    assert {"data": [preview.data], "signature": [preview.signature]} == parse_qs(body.decode("ascii"))
    assert preview.path == "/api/1/execute-pay"
    assert preview.url == f"{server.url}/api/1/execute-pay"
    assert preview.payload["amount"] == "20.50"
    assert "description" not in preview.payload


async def test_status_words_are_passed_on() -> None:
    """A decline, a complaint about the signature and a word never seen are replies, not errors."""
    for word in ("failed", "server_error", "something new"):
        async with serving(reply(b'{"status":"%s"}' % word.encode())) as server, gateway_to(server.url) as gateway:
            answer = await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

        assert answer.status == word


async def test_connections_are_kept() -> None:
    """A second call does not pay for TCP and TLS again."""
    async with serving(SUCCESS) as server, gateway_to(server.url) as gateway:
        for _ in range(3):
            await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    assert (server.connections, len(server.received)) == (1, 3)


async def test_cookies_are_neither_kept_nor_sent() -> None:
    """No state hides between calls."""
    answer = reply(b'{"status":"success"}', headers="Set-Cookie: session=1; Path=/\r\n")
    async with serving(answer) as server, gateway_to(server.url) as gateway:
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    assert not any("cookie" in head.lower() for head, _ in server.received)


async def test_the_environment_does_not_redirect_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment gets nothing to see."""
    async with serving(SUCCESS) as server, serving(SUCCESS) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with gateway_to(server.url) as gateway:
            await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    assert (len(server.received), len(proxy.received)) == (1, 0)


async def test_a_compressed_answer_is_read_although_none_was_asked_for() -> None:
    """A proxy in front of EPoint that compresses everything does not make charges unclear."""
    answer = reply(gzip.compress(b'{"status":"success"}'), headers="Content-Encoding: gzip\r\n")
    async with serving(answer) as server, gateway_to(server.url) as gateway:
        assert (await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)).status == "success"

    assert "Accept-Encoding: identity\r\n" in server.received[0][0]


async def test_replies_are_typed_by_their_operation() -> None:
    """The row decides how a reply is read."""
    body = b'{"status":"success","transaction":"te001","redirect_url":"https://epoint.az/pay"}'
    request = PayRequest(amount=Decimal("1.00"), currency="AZN", language="az", order_id="1")
    async with serving(reply(body)) as server, gateway_to(server.url, page_hosts=["epoint.az"]) as gateway:
        answer: RedirectReply = await gateway.call(PAY, request)

    assert answer == RedirectReply(status="success", transaction="te001", redirect_url="https://epoint.az/pay")


@pytest.mark.parametrize(
    ("page", "believed"),
    [
        ("https://epoint.az/pay/1", True),
        ("https://secure.epoint.az/pay/1", True),
        ("http://127.0.0.1:9999/pay", True),
        ("http://epoint.az/pay", True),
        ("https://epoint.az.evil.example/pay", False),
        ("https://evilepoint.az/pay", False),
        ("https://epoint.az@evil.example/pay", False),
        ("https://user@epoint.az/pay", False),
        ("javascript:alert(1)", False),
        ("//epoint.az/pay", False),
        ("/pay", False),
    ],
)
async def test_customers_are_sent_to_pages_of_epoint_only(page: str, believed: bool) -> None:
    """Whoever could write an answer could else collect card numbers. Plain http is for a gateway on plain http."""
    body = json.dumps({"status": "success", "transaction": "te001", "redirect_url": page}).encode()
    request = PayRequest(amount=Decimal("1.00"), currency="AZN", language="az", order_id="1")
    async with serving(reply(body)) as server, gateway_to(server.url, page_hosts=["epoint.az"]) as gateway:
        if believed:
            assert (await gateway.call(PAY, request)).redirect_url == page
            return
        with pytest.raises(GatewayUnclearError) as caught:
            await gateway.call(PAY, request)

    assert page not in str(caught.value)


@pytest.mark.parametrize(
    "beginning", ["https://", "HTTPS://", "https:\t//", "ht\ttps://", "https:/\t/", "\x01https://"]
)
@pytest.mark.parametrize(
    "after", ["/pay", "/pay?a=https://epoint.az/", "", "?a=/", "#a/", "\\/pay", ":443/pay", "@epoint.az/pay"]
)
def test_a_page_is_not_believed_for_what_was_believed_before(beginning: str, after: str) -> None:
    """What was found good is remembered, and says nothing of another host, however its address is written."""
    pages = Pages("https://epoint.az", ())
    for host in ("epoint.az", "secure.epoint.az", "epoint.az:443"):
        with suppress(GatewayUnclearError):
            pages.check("pay", f"{beginning}{host}{after}")

    for host in (
        "evil.example",
        "epoint.az.evil.example",
        "user@epoint.az",
        "epoint.az@evil.example",
        "evilepoint.az",
    ):
        with pytest.raises(GatewayUnclearError):
            pages.check("pay", f"{beginning}{host}{after}")


# ---------------------------------------------------------------------------------------------------------
# Nothing was sent.
# ---------------------------------------------------------------------------------------------------------


async def fails_unsent(gateway: Gateway, reason: str, **options: Any) -> None:
    """Assert that the call fails for `reason`, before anything was sent."""
    async with gateway:
        with pytest.raises(GatewayUnavailableError) as caught:
            await gateway.call(PAY_WITH_SAVED_CARD, CHARGE, **options)

    assert str(caught.value) == f"pay_with_saved_card: {reason}"
    assert (caught.value.money_may_have_moved, caught.value.retryable) == (False, True)


@asynccontextmanager
async def mute_listener() -> AsyncIterator[str]:
    """Listen on a port, let the kernel accept, and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def untrusted_certificate(folder: Path) -> ssl.SSLContext:
    """Return a server's TLS context with a certificate that nobody trusts."""
    pem = folder / "self-signed.pem"
    pem.write_text(
        "-----BEGIN {0}-----\n{1}\n-----END {0}-----\n-----BEGIN {2}-----\n{3}\n-----END {2}-----\n".format(
            "PRIVATE KEY",
            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXiJOCx9U64RzPmdg\n"
            "48zupV25+iJQlLnmTgnQtcoS3oGhRANCAARRnkdZHdr77Qiupm/djlEi4RzjuJVv\n"
            "vvt5A+HKAs5t+mzjey7Yt79vleabKeGwws1H+Nmgo5DKEV8iIDGRqSTz",
            "CERTIFICATE",
            "MIIBnDCCAUGgAwIBAgIUamTm+rGcuFsQl3OOST3J3GLoaBowCgYIKoZIzj0EAwIw\n"
            "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTAwNDQyN1oYDzIxMjYxMTAx\n"
            "MDA0NDI3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
            "PQMBBwNCAARRnkdZHdr77Qiupm/djlEi4RzjuJVvvvt5A+HKAs5t+mzjey7Yt79v\n"
            "leabKeGwws1H+Nmgo5DKEV8iIDGRqSTzo28wbTAdBgNVHQ4EFgQUXSgnXu4lhbDR\n"
            "AaFy1IARhOUSv7cwHwYDVR0jBBgwFoAUXSgnXu4lhbDRAaFy1IARhOUSv7cwDwYD\n"
            "VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI\n"
            "zj0EAwIDSQAwRgIhAM3idU9tWzGkd0CN7jp2ejRrz4hSi0SuewWFq98rZYbTAiEA\n"
            "wt5eiHemvpdo60CeEGpsPB7wSiDsegQAqUoXFNmkJ8U=",
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_refused() -> None:
    """Nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    await fails_unsent(gateway_to(f"http://127.0.0.1:{port}"), "no connection could be made")


async def test_unknown_host() -> None:
    """The name does not exist."""
    await fails_unsent(gateway_to("http://gateway.invalid"), "the host name does not resolve")


async def test_untrusted_certificate(tmp_path: Path) -> None:
    """Somebody else answers at EPoint's address: it does not even see the request."""
    async with serving(SUCCESS, tls=untrusted_certificate(tmp_path)) as server:
        await fails_unsent(gateway_to(server.url), "the certificate is not trusted")

    assert server.received == []


async def test_no_tls() -> None:
    """A server that does not speak TLS where it should."""

    async def speak_plainly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"", status="400 Bad Request"))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await fails_unsent(gateway_to(f"https://127.0.0.1:{port}"), "the TLS handshake failed")


@pytest.mark.parametrize(
    ("built", "called"),
    [
        ({"connect_timeout_s": 0.05}, {}),
        ({"connect_timeout_s": 0.05, "total_timeout_s": 0.05}, {}),
        ({"total_timeout_s": 0.05}, {}),
        ({}, {"timeout_s": 0.05}),
        ({}, {"timeout_s": 0.0}),
        ({}, {"timeout_s": -1.0}),
    ],
)
async def test_connecting_takes_too_long(built: dict[str, float], called: dict[str, float]) -> None:
    """Whichever of the limits ends the wait for a connection, nothing was sent, and that is known."""
    async with mute_listener() as address:
        await fails_unsent(
            gateway_to(f"https://{address}", **built), "no connection could be made in time", **called
        )


async def test_no_time_left() -> None:
    """A call whose deadline has passed is not sent, not even over a connection that is ready."""
    async with serving(SUCCESS) as server, gateway_to(server.url) as gateway:
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)
        with pytest.raises(GatewayUnavailableError):
            await gateway.call(PAY_WITH_SAVED_CARD, CHARGE, timeout_s=0.0)

    assert len(server.received) == 1


async def test_no_free_connection() -> None:
    """A slow EPoint lets calls queue for as long as connecting may take, and no longer."""
    async with serving(lambda _: asyncio.sleep(60)) as server:
        gateway = gateway_to(server.url, connections_max=1, connect_timeout_s=0.1)
        async with gateway, asyncio.TaskGroup() as tasks:
            first = tasks.create_task(gateway.call(PAY_WITH_SAVED_CARD, CHARGE))
            await server.arrived.wait()

            with pytest.raises(GatewayUnavailableError, match="no connection could be made in time"):
                await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

            first.cancel()

    assert len(server.received) == 1


async def test_a_request_that_cannot_be_written_is_not_sent() -> None:
    """A mistake of the program shows as one, before any connection."""
    request = RefundRequest(language="az", transaction="te1", currency="AZN", amount=Decimal(-5))
    async with serving(SUCCESS) as server, gateway_to(server.url) as gateway:
        with pytest.raises(ValueError, match="amount is not a positive amount"):
            await gateway.call(REFUND, request)

    assert server.connections == 0


# ---------------------------------------------------------------------------------------------------------
# Something was sent.
# ---------------------------------------------------------------------------------------------------------


async def fails_unclear(gateway: Gateway, reason: str, **options: Any) -> None:
    """Assert that the call fails for `reason`, after something was sent."""
    async with gateway:
        with pytest.raises(GatewayUnclearError) as caught:
            await gateway.call(PAY_WITH_SAVED_CARD, CHARGE, **options)

    assert str(caught.value) == f"pay_with_saved_card: {reason}"
    assert (caught.value.money_may_have_moved, caught.value.retryable) == (True, False)


def send(*parts: bytes) -> Answer:
    """Answer with `parts` and close the connection in good order."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return answer


async def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with a TCP reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, for ever: no read of a single byte ever takes long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.01)


NOT_JSON = "HTTP 200, but the answer is not a JSON object"
LOST = {
    "closed without an answer": (send(), "the connection was closed before the answer"),
    "closed within the headers": (
        send(b"HTTP/1.1 200 OK\r\nContent"),
        "the connection was closed before the answer",
    ),
    "reset": (reset, "the connection was lost before the answer"),
    "closed within the body": (send(SUCCESS[:-5]), "the answer was cut short"),
    "closed within a chunk": (
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{"),
        "the answer was cut short",
    ),
    "not gzip": (send(reply(b"{}", headers="Content-Encoding: gzip\r\n")), "the answer was cut short"),
    "not HTTP": (send(b"SSH-2.0-OpenSSH_9.2\r\n"), "the answer is not HTTP"),
    "an endless header": (send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), "the answer is not HTTP"),
    "too long": (send(reply(b" " * 2_000)), "the answer is too long"),
    "too long in chunks": (
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"3e8\r\n" + b" " * 1000 + b"\r\n") * 2),
        "the answer is too long",
    ),
    "too long when unpacked": (
        send(reply(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n")),
        "the answer is too long",
    ),
    "empty": (send(reply(b"")), NOT_JSON),
    "HTML": (send(reply(b"<html></html>", headers="Content-Type: text/html\r\n")), NOT_JSON),
    "a JSON list": (send(reply(b"[]")), NOT_JSON),
    "JSON cut short": (send(reply(b'{"status":"success"')), NOT_JSON),
    "HTTP 500": (send(reply(b"{}", status="500 Internal Server Error")), "HTTP 500"),
    "HTTP 502 with success": (send(reply(b'{"status":"success"}', status="502 Bad Gateway")), "HTTP 502"),
    "HTTP 401 with failed": (send(reply(b'{"status":"failed"}', status="401 Unauthorized")), "HTTP 401"),
    "HTTP 201": (send(reply(b'{"status":"success"}', status="201 Created")), "HTTP 201"),
    "HTTP 204": (send(b"HTTP/1.1 204 No Content\r\n\r\n"), "HTTP 204"),
    "HTTP 304": (send(b"HTTP/1.1 304 Not Modified\r\n\r\n"), "HTTP 304, a redirect, which is not followed"),
}


@pytest.mark.parametrize(("answer", "reason"), LOST.values(), ids=LOST)
async def test_a_lost_answer_is_unclear(answer: Answer, reason: str) -> None:
    """Once a connection was there, a charge without a readable answer may have happened; it is sent only once."""
    async with serving(answer) as server:
        await fails_unclear(gateway_to(server.url, reply_bytes_max=1_000), reason)

    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("built", "called"),
    [({"total_timeout_s": 0.6}, {}), ({}, {"timeout_s": 0.6}), ({"total_timeout_s": 0.6}, {"timeout_s": 60.0})],
    ids=["by the gateway's limit", "by the call's limit", "by the smaller limit"],
)
@pytest.mark.parametrize("answer", [lambda _: asyncio.sleep(60), drip], ids=["silent", "dripping"])
async def test_no_answer_in_time(answer: Answer, built: dict[str, float], called: dict[str, float]) -> None:
    """A call ends at its limit, counted from its start, whether the server says nothing or says it slowly."""
    async with serving(answer) as server:
        await fails_unclear(gateway_to(server.url, **built), "no answer came in time", **called)

    assert len(server.received) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_not_followed(status: str) -> None:
    """A signed request goes to EPoint and nowhere else."""
    async with serving(SUCCESS) as other:
        moved = reply(b"", status=status, headers=f"Location: {other.url}/api/1/execute-pay\r\n")
        async with serving(moved) as server:
            await fails_unclear(gateway_to(server.url), f"HTTP {status[:3]}, a redirect, which is not followed")

    assert (len(server.received), len(other.received)) == (1, 0)


async def test_a_kept_connection_that_breaks_is_not_retried() -> None:
    """HTTP clients repeat a request when a kept connection turns out to be closed; a charge must not be."""
    answers = iter([SUCCESS, b""])

    async def once(writer: asyncio.StreamWriter) -> None:
        writer.write(next(answers))
        if len(server.received) == 2:
            writer.close()

    async with serving(once) as server, gateway_to(server.url) as gateway:
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)
        with pytest.raises(GatewayUnclearError, match="the connection was closed before the answer"):
            await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    assert (server.connections, len(server.received)) == (1, 2)


async def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    """A server may close what is idle; the next call makes a new connection and is sent once."""
    async with serving(SUCCESS) as server, gateway_to(server.url) as gateway:
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)
        server.drop_connections()
        await asyncio.sleep(0.05)
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    assert (server.connections, len(server.received)) == (2, 2)


async def test_idle_connections_are_dropped_before_servers_do() -> None:
    """The race of both ends closing at once is avoided, because the loser would be an unclear charge."""
    async with serving(SUCCESS) as server, gateway_to(server.url, keep_alive_s=0.01) as gateway:
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)
        await asyncio.sleep(0.05)
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    assert server.connections == 2


async def test_a_cancelled_call_stays_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever cancels gets the cancellation, and the log tells that the outcome is not known."""
    caplog.set_level(logging.INFO, "epoint")
    async with serving(lambda _: asyncio.sleep(60)) as server, gateway_to(server.url) as gateway:
        call = asyncio.create_task(gateway.call(PAY_WITH_SAVED_CARD, CHARGE))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert "operation=pay_with_saved_card outcome=aborted" in caplog.text


async def test_a_slow_call_does_not_hold_up_others() -> None:
    """Calls are independent of each other."""

    async def slow_first(writer: asyncio.StreamWriter) -> None:
        if len(server.received) == 1:
            await asyncio.sleep(60)
        writer.write(SUCCESS)

    async with serving(slow_first) as server, gateway_to(server.url) as gateway:
        slow = asyncio.create_task(gateway.call(PAY_WITH_SAVED_CARD, CHARGE))
        await server.arrived.wait()
        answers = await asyncio.gather(*(gateway.call(PAY_WITH_SAVED_CARD, CHARGE) for _ in range(20)))
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)

    assert {answer.status for answer in answers} == {"success"}


# ---------------------------------------------------------------------------------------------------------
# Secrets, the log, and mistakes in the configuration.
# ---------------------------------------------------------------------------------------------------------


async def test_the_log_holds_four_facts_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Operation, outcome, duration and trace id; never what was sent or said."""
    caplog.set_level(logging.DEBUG)
    preview = gateway_to("http://x").preview(PAY_WITH_SAVED_CARD, CHARGE)
    body = (
        b'{"status":"success","card_mask":"416973******1234","card_name":"AYSEL M","trace_id":"t-1\\nforged line"}'
    )
    async with serving(reply(body)) as server, gateway_to(server.url, logger_name="shop.bank") as gateway:
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)
    failing = reply(b"secret", status="500 Oops", headers="X-Request-ID: req-9\r\n")
    async with serving(failing) as server, gateway_to(server.url, logger_name="shop.bank") as gateway:
        with pytest.raises(GatewayUnclearError):
            await gateway.call(GET_STATUS, StatusRequest(order_id="order-1"))

    records = [record for record in caplog.records if record.name == "shop.bank"]
    assert [record.levelno for record in records] == [logging.INFO, logging.WARNING]
    assert [_without_duration(record.getMessage()) for record in records] == [
        "operation=pay_with_saved_card outcome=answered duration_ms=N trace_id=t-1forgedline",
        "operation=get_status outcome=unclear duration_ms=N trace_id=req-9",
    ]
    for secret in (preview.data, preview.signature, "a-private-key", "ce-secret-card", "1234", "AYSEL", "order-1"):
        assert secret not in "".join(_without_duration(record.getMessage()) for record in caplog.records)


def _without_duration(line: str) -> str:
    return " ".join("duration_ms=N" if part.startswith("duration_ms=") else part for part in line.split(" "))


def test_no_repr_shows_the_private_key() -> None:
    """Tracebacks and debuggers print representations."""
    assert repr(MERCHANT) == "Merchant(public_key='i000000001', private_key='***')"
    assert (
        "a-private-key"
        not in f"{MERCHANT} {MERCHANT!s} {[MERCHANT]} {gateway_to('http://x')!r} {MERCHANT.__rich_repr__()}"
    )


@pytest.mark.parametrize(
    ("keys", "setting"),
    [(("", "k"), "EPOINT_PUBLIC_KEY"), (("i1", ""), "EPOINT_PRIVATE_KEY"), (("i1", " \n"), "EPOINT_PRIVATE_KEY")],
)
def test_blank_keys_are_refused(keys: tuple[str, str], setting: str) -> None:
    """A merchant without keys cannot be built, so nothing is ever signed with an empty one."""
    with pytest.raises(ConfigurationError) as caught:
        Merchant(public_key=keys[0], private_key=keys[1])

    assert caught.value.setting == setting


@pytest.mark.parametrize(
    "url",
    [
        "",
        "epoint.az",
        "ftp://epoint.az",
        "https://",
        "https://user@epoint.az",
        "https://epoint.az/?a=1",
        "https://epoint.az/#a",
        "https://epoint.az:port",
    ],
)
def test_addresses_that_cannot_be_meant_are_refused(url: str) -> None:
    """A wrong address is found when the gateway is built, not when a customer pays."""
    with pytest.raises(ConfigurationError, match="must be an http or https address"):
        gateway_to(url)


async def test_a_closed_gateway_says_so() -> None:
    """Calling before or after `async with` is a mistake of the program."""
    gateway = gateway_to("http://127.0.0.1:9")
    with pytest.raises(RuntimeError, match="The gateway is not open"):
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)

    async with gateway:
        pass
    with pytest.raises(RuntimeError, match="The gateway is not open"):
        await gateway.call(PAY_WITH_SAVED_CARD, CHARGE)
