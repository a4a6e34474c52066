"""Ask one thing over each transport, and keep every byte that comes back.

    for name, ask in TRANSPORTS.items():
        heard = await ask(client, {"query": "{ viewer { level } }"})
        heard.answer         # the first result, as {"data": ..., "errors": [...]}
        heard.text           # all that was received: status, headers, bodies, messages, close reasons

A transport that cannot carry an operation (GET and mutations) answers with a refusal, which is an answer too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from tests.service import Client

TIMEOUT_S = 10.0

Asked = Mapping[str, Any]
Headers = Mapping[str, str]


class Heard(msgspec.Struct):
    """What came back: all of it as text, and the first result."""

    text: str = ""
    answer: dict[str, Any] = {}

    @property
    def codes(self) -> list[str]:
        """The codes of its errors."""
        return [(error.get("extensions") or {}).get("code", "") for error in self.answer.get("errors", [])]

    @property
    def messages(self) -> list[str]:
        """The messages of its errors."""
        return [error["message"] for error in self.answer.get("errors", [])]


Ask = Callable[..., Awaitable[Heard]]


async def over_post(client: Client, asked: Asked, headers: Headers | None = None) -> Heard:
    """POST, JSON to JSON."""
    return await _post(client, asked, {"Accept": "application/json", **(headers or {})})


async def over_graphql_response(client: Client, asked: Asked, headers: Headers | None = None) -> Heard:
    """POST, with the statuses of GraphQL over HTTP."""
    return await _post(client, asked, {"Accept": "application/graphql-response+json", **(headers or {})})


async def over_get(client: Client, asked: Asked, headers: Headers | None = None) -> Heard:
    """GET, with everything in the URL."""
    params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in asked.items()}
    sent = {**client.authorization, **(headers or {})}
    async with client.session.get(client.graphql, params=params, headers=sent) as response:
        return _whole(response, await response.text())


async def over_stream(client: Client, asked: Asked, headers: Headers | None = None) -> Heard:
    """Server-sent events, a stream for each operation."""
    return await _streamed(client, asked, {"Accept": "text/event-stream", **(headers or {})}, b"data: {")


async def over_multipart(client: Client, asked: Asked, headers: Headers | None = None) -> Heard:
    """Apollo's multipart."""
    accept = "multipart/mixed;subscriptionSpec=1.0, application/json"
    return await _streamed(client, asked, {"Accept": accept, **(headers or {})}, b'{"payload":')


async def over_single_connection(client: Client, asked: Asked, headers: Headers | None = None) -> Heard:
    """Server-sent events, one stream for all operations."""
    sent = {**client.authorization, **(headers or {})}
    async with client.session.put(client.graphql, headers=sent) as reserved:
        token = await reserved.text()
        if reserved.status != 201:
            return _whole(reserved, token)
    streaming = {"Accept": "text/event-stream", "X-GraphQL-Event-Stream-Token": token, **sent}
    body = {**asked, "extensions": {**(asked.get("extensions") or {}), "operationId": "1"}}
    async with client.session.get(client.graphql, headers=streaming) as stream:
        telling = {"X-GraphQL-Event-Stream-Token": token, **sent}
        async with client.session.post(client.graphql, json=body, headers=telling) as told:
            heard = _whole(told, await told.text())
            if told.status != 202:
                return heard
        async for line in stream.content:
            heard.text += line.decode()
            if line.startswith(b"data: {"):
                data = json.loads(line[6:])
                heard.answer = data.get("payload", {})
                return heard
    return heard


async def over_socket(client: Client, asked: Asked, headers: Headers | None = None) -> Heard:
    """WebSocket; headers go to the handshake, and the credential into `connection_init`."""
    heard = Heard()
    async with client.raw_socket(headers=headers) as socket:
        payload = {name.lower(): value for name, value in client.authorization.items()}
        await socket.send_json({"type": "connection_init", "payload": payload})
        await socket.send_json({"id": "1", "type": "subscribe", "payload": asked})
        async with asyncio.timeout(TIMEOUT_S):
            async for message in socket:
                heard.text += f"{message.data}\n"
                said = json.loads(message.data)
                if said["type"] in ("next", "error"):
                    heard.answer = said["payload"] if said["type"] == "next" else {"errors": said["payload"]}
                    return heard
        heard.text += f"{socket.close_code} {_reason(socket)}\n"
    return heard


TRANSPORTS: dict[str, Ask] = {
    "POST": over_post,
    "POST graphql-response": over_graphql_response,
    "GET": over_get,
    "SSE": over_stream,
    "SSE single connection": over_single_connection,
    "multipart": over_multipart,
    "WebSocket": over_socket,
}


async def _post(client: Client, asked: Asked, headers: Headers) -> Heard:
    sent = {**client.authorization, **headers}
    async with client.session.post(client.graphql, json=asked, headers=sent) as response:
        return _whole(response, await response.text())


async def _streamed(client: Client, asked: Asked, headers: Headers, start: bytes) -> Heard:
    sent = {**client.authorization, **headers}
    async with client.session.post(client.graphql, json=asked, headers=sent) as response:
        if response.content_type == "application/json":
            return _whole(response, await response.text())
        heard = _whole(response, "")
        async for line in response.content:
            heard.text += line.decode()
            if line.startswith(start):
                data = line.strip().removeprefix(b"data: ").removesuffix(b"--graphql")
                answer = json.loads(data)
                heard.answer = answer.get("payload", answer)
                return heard
    return heard


def _whole(response: aiohttp.ClientResponse, body: str) -> Heard:
    head = [str(response.status), *(f"{name}: {value}" for name, value in response.headers.items())]
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    return Heard("\n".join([*head, body]), answer if isinstance(answer, dict) else {})


def _reason(socket: aiohttp.ClientWebSocketResponse) -> str:
    return str(getattr(socket, "_close_reason", "") or "")
