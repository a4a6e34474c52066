"""Our service speaks graphql-transport-ws; see tests/socket_protocol.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.web.sockets import INIT_TIMEOUT_S
from tests.service import start_service
from tests.shop import PAY, WATCH, new_order, pay, payment
from tests.socket_protocol import ProtocolSuite, Server

CALL_TIMEOUT_S = 1.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: Any) -> AsyncIterator[Server]:
    service = start_service(tmp_path_factory.mktemp("protocol"), GQL_EPOINT_CALL_TIMEOUT_S=str(int(CALL_TIMEOUT_S)))

    async def slow() -> dict[str, Any]:
        """Start a payment that EPoint does not answer in time."""
        order = new_order()
        await service.simulator.control("PUT", f"/orders/{order}", {"reply": "hang_before"})
        return {"query": PAY, "variables": {"input": payment(order)}}

    try:
        async with service.client() as client:
            order = new_order()
            transaction = await pay(client, order)
            await service.simulator.pay(transaction["nextAction"]["url"])
            assert [payload async for payload in client.subscribe(WATCH, order=order)]
        server = Server(
            url=f"{service.url}/graphql",
            init_timeout_s=INIT_TIMEOUT_S,
            finite={"query": WATCH, "variables": {"order": order}},
            slow=slow,
            slow_s=CALL_TIMEOUT_S,
            credential={"authorization": f"Bearer {DEVELOPMENT_KEY}"},
            wrong_credential={"authorization": "Bearer wrong"},
        )
        async with server.session:
            yield server
    finally:
        service.close()


class TestOurService(ProtocolSuite):
    """The service, as users run it."""
