"""The suite for graphql-transport-ws against the protocol's reference server: npm's graphql-ws, on ws."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.socket_protocol import ProtocolSuite, Server

SLOW_S = 0.5
INIT_TIMEOUT_S = 2.0

pytestmark = pytest.mark.clients


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        "node",
        "reference_server.mjs",
        str(SLOW_S),
        str(INIT_TIMEOUT_S),
        cwd=Path(__file__).parent,
        stdin=asyncio.subprocess.PIPE,  # it ends when this does
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        url = (await process.stdout.readline()).decode().strip()
    assert url, "the reference server did not start"

    async def slow() -> dict[str, Any]:
        return {"query": "{ slow }"}

    server = Server(
        url=url,
        init_timeout_s=INIT_TIMEOUT_S,
        finite={"query": "subscription { once }"},
        slow=slow,
        slow_s=SLOW_S,
        credential={"authorization": "good"},
        wrong_credential={"authorization": "wrong"},
    )
    async with server.session:
        yield server
    process.terminate()
    await process.wait()


class TestReferenceServer(ProtocolSuite):
    """What the protocol's authors run."""
