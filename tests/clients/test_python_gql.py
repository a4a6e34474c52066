"""Python's gql on each of its transports: pay, watch, and the final status."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.service import Service
from tests.shop import PAY, WATCH, new_order, payment

gql = pytest.importorskip("gql")

from gql.transport.aiohttp import AIOHTTPTransport  # noqa: E402 - only where gql is installed
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport  # noqa: E402
from gql.transport.exceptions import TransportQueryError  # noqa: E402
from gql.transport.httpx import HTTPXAsyncTransport, HTTPXTransport  # noqa: E402
from gql.transport.requests import RequestsHTTPTransport  # noqa: E402
from gql.transport.websockets import WebsocketsTransport  # noqa: E402

pytestmark = pytest.mark.clients

STATUS = "query ($order: String!) { transaction(by: {orderId: $order}) { status isFinal } }"
HTTP = [AIOHTTPTransport, HTTPXAsyncTransport]
SYNCHRONOUS = [HTTPXTransport, RequestsHTTPTransport]
SOCKETS = [AIOHTTPWebsocketsTransport, WebsocketsTransport]


def over(kind: Any, service: Service, authorization: str) -> Any:
    url = f"{service.url}/graphql"
    if kind in SOCKETS:
        return kind(url=url.replace("http", "ws", 1), init_payload={"authorization": authorization})
    return kind(url=url, headers={"Authorization": authorization})


def asked(text: str, **variables: Any) -> Any:
    return gql.GraphQLRequest(text, variable_values=variables)


@pytest.fixture
def authorization(client: Any) -> str:
    return str(client.authorization["Authorization"])


@pytest.mark.parametrize("http", [*HTTP, *SOCKETS])
@pytest.mark.parametrize("socket", SOCKETS)
async def test_the_journey(service: Service, authorization: str, http: Any, socket: Any) -> None:
    """Queries and mutations over one transport, which may be a socket as well, and subscriptions over another."""
    order = new_order()
    seen = []
    async with asyncio.timeout(20):
        async with (
            gql.Client(transport=over(http, service, authorization)) as asking,
            gql.Client(transport=over(socket, service, authorization)) as watching,
        ):
            paid = await asking.execute(asked(PAY, input=payment(order)))
            async for update in watching.subscribe(asked(WATCH, order=order)):
                seen.append(update["transactionUpdated"]["transaction"]["status"])
                if len(seen) == 1:
                    await service.simulator.pay(paid["pay"]["transaction"]["nextAction"]["url"])
            found = await asking.execute(asked(STATUS, order=order))

    assert seen == ["REQUIRES_ACTION", "SUCCESS"]
    assert found["transaction"] == {"status": "SUCCESS", "isFinal": True}


@pytest.mark.parametrize("kind", SYNCHRONOUS)
async def test_the_journey_without_asyncio(service: Service, authorization: str, kind: Any) -> None:
    """Pay, ask, and watch beside it: these transports cannot subscribe."""
    order = new_order()

    def ask(text: str, **variables: Any) -> Any:
        with gql.Client(transport=over(kind, service, authorization)) as session:
            return session.execute(asked(text, **variables))

    paid = await asyncio.to_thread(ask, PAY, input=payment(order))
    async with asyncio.timeout(20), gql.Client(transport=over(SOCKETS[0], service, authorization)) as watching:
        async for update in watching.subscribe(asked(WATCH, order=order)):
            if update["transactionUpdated"]["kind"] == "SNAPSHOT":
                await service.simulator.pay(paid["pay"]["transaction"]["nextAction"]["url"])
    found = await asyncio.to_thread(ask, STATUS, order=order)

    assert found["transaction"] == {"status": "SUCCESS", "isFinal": True}


@pytest.mark.parametrize("kind", [*HTTP, *SOCKETS])
async def test_it_reads_the_schema_and_errors(service: Service, authorization: str, kind: Any) -> None:
    """With the schema it checks documents by itself; without, ours arrive."""
    async with gql.Client(
        transport=over(kind, service, authorization), fetch_schema_from_transport=True
    ) as informed:
        assert informed.client.schema.mutation_type.fields["pay"]
    async with gql.Client(transport=over(kind, service, authorization)) as session:
        with pytest.raises(TransportQueryError, match="Cannot query field"):
            await session.execute(gql.gql("{ nothing }"))
