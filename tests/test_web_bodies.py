"""Reading bodies, from inside the process: with time limits that no real client has to wait for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from gql_epoint.web.bodies import BodyReader
from gql_epoint.web.replies import Refusal


def request(*messages: dict[str, Any]) -> Request:
    """Return a request whose client sends these messages, and then nothing."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(60)
        raise AssertionError

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def chunk(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_is_put_together() -> None:
    assert await BodyReader(2).read(request(chunk(b"a", more=True), chunk(b"b", more=False))) == b"ab"


async def test_a_body_that_does_not_come_in_time_is_a_408() -> None:
    """A client that sends a byte now and then holds nothing open for long."""
    with pytest.raises(Refusal) as caught:
        await BodyReader(10, timeout_s=0.02).read(request(chunk(b"a", more=True)))

    assert (caught.value.status, caught.value.headers["Connection"]) == (408, "close")


async def test_a_body_that_is_cut_off_is_a_400() -> None:
    with pytest.raises(Refusal) as caught:
        await BodyReader(10).read(request(chunk(b"a", more=True), {"type": "http.disconnect"}))

    assert caught.value.status == 400


async def test_a_body_that_is_too_long_is_a_413() -> None:
    with pytest.raises(Refusal) as caught:
        await BodyReader(2).read(request(chunk(b"abc", more=False)))

    assert caught.value.status == 413
