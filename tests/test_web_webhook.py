from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.service import Client, Service
from tests.shop import CALLBACK, FORM, URLENCODED, form

PATH = "/webhooks/epoint"
BODY = CALLBACK

# Requests that EPoint's documentation signs with its example key: whoever reflects one to us proves nothing.
REFLECTED = {
    "V1": (
        "eyJwdWJsaWNfa2V5IjoiaTAwMDAwMDAwMSIsImFtb3VudCI6IjMwLjc1IiwiY3VycmVuY3kiOiJBWk4iLCJkZXNjcmlwdGlvbiI6InRlc3Qg"
        "cGF5bWVudCIsIm9yZGVyX2lkIjoiMSJ9",
        "a76GNudqblZtV8qF199hctA+cG0=",
    ),
    "V2": ("eyJwdWJsaWNfa2V5IjoiaTAwMDAwMDAwMSIsIm9yZGVyX2lkIjoxNX0=", "bH9cG854p/wHLf5j6pp6LBI+wBs="),
}


async def send(client: Client, body: bytes, content_type: str = URLENCODED) -> tuple[int, str]:
    headers = {"Content-Type": content_type}
    async with client.session.post(f"{client.url}{PATH}", data=body, headers=headers) as response:
        return response.status, await response.text()


async def dispositions(client: Client) -> list[str]:
    found = await client.data("{ callbacks(first: 100) { edges { node { disposition orderId } } } }")
    return [edge["node"]["disposition"] for edge in found["callbacks"]["edges"]]


async def test_a_callback_that_epoint_signed_is_recorded(start_service: Any) -> None:
    """Even one that belongs to nothing known here is kept, and answered with 200."""
    service: Service = start_service()
    async with service.client() as client:
        assert await send(client, form(BODY)) == (200, "OK")
        assert await dispositions(client) == ["UNMATCHED"]


def bad(body: object) -> bytes:
    return urlencode({"data": base64.b64encode(json.dumps(body).encode()).decode(), "signature": "AAAA"}).encode()


REFUSED: dict[str, tuple[bytes, str]] = {
    "a signature that is wrong": (bad(BODY), URLENCODED),
    "a signature by another key": (form(BODY, key="another-key-of-somebody"), URLENCODED),
    "a changed amount": (form(BODY).replace(b"data=ey", b"data=eyA"), URLENCODED),
    "reflected V1": (
        urlencode(dict(zip(("data", "signature"), REFLECTED["V1"], strict=True))).encode(),
        URLENCODED,
    ),
    "reflected V2": (
        urlencode(dict(zip(("data", "signature"), REFLECTED["V2"], strict=True))).encode(),
        URLENCODED,
    ),
    "a reflected request with a status": (form({**BODY, "public_key": "i000000001"}), URLENCODED),
    "no status": (form({"order_id": "1"}), URLENCODED),
    "a list": (form([BODY]), URLENCODED),
    "a number": (form(1), URLENCODED),
    "nothing": (b"", URLENCODED),
    "only data": (b"data=e30%3D", URLENCODED),
    "binary": (bytes(range(256)), "application/octet-stream"),
    "cut JSON": (b'{"data":', "application/json"),
    "an empty multipart": (b"--x--", "multipart/form-data; boundary=x"),
    "the empty signature of empty data": (b"data=&signature=", URLENCODED),
}


@pytest.mark.parametrize(("body", "content_type"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_epoint_did_not_send_is_a_400(client: Client, body: bytes, content_type: str) -> None:
    """The answer is always the same and says nothing about what was wrong."""
    assert await send(client, body, content_type) == (
        400,
        '{"errors":[{"message":"Bad request.","extensions":{"code":"BAD_REQUEST"}}]}',
    )


async def test_a_refused_callback_leaves_one_line_and_none_of_its_content(start_service: Any) -> None:
    """Whoever floods the webhook fills neither the books nor the log with words of their choice."""
    service: Service = start_service()
    async with service.client() as client:
        await send(client, bad({**BODY, "order_id": "PLANTED"}))
        await send(client, b"data=PLANTED&signature=PLANTED")
        assert await dispositions(client) == []
    log = service.logged()

    assert log.count("callback refused: SignatureError") == 2
    assert "PLANTED" not in log


async def test_an_oversized_callback_is_a_413(client: Client) -> None:
    """By its header or by what really comes; EPoint's own are far smaller."""

    async def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 1_000

    async with client.session.post(f"{client.url}{PATH}", data=chunks(), headers=FORM) as streamed:
        assert streamed.status == 413
    assert (await send(client, b"x" * 65_537))[0] == 413
    assert (await send(client, b"x" * 65_536))[0] == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_a_405(client: Client, method: str) -> None:
    async with client.session.request(method, f"{client.url}{PATH}") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
