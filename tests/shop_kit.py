"""The demo shop in front of the real service and simulator, for tests of its server and of its pages."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gql_epoint import shop
from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.web.listening import address_of, bind
from tests.service import Service, start_service


@dataclass(frozen=True)
class Mall:
    """A shop, and the service that it pays by."""

    url: str
    service: Service

    def expire(self, order_id: str) -> None:
        """Let the checkouts of an order be over now."""
        with contextlib.closing(sqlite3.connect(self.service.database, timeout=10)) as books:
            assert books.execute("UPDATE checkouts SET expires_at = 1 WHERE order_id = ?", (order_id,)).rowcount
            books.commit()

    async def payments(self, order_id: str) -> list[dict[str, Any]]:
        """Return every transaction of an order, the latest first."""
        document = (
            "query ($id: String!) { transactions(first: 50, filter: {orderId: $id}) { edges { node { status } } } }"
        )
        async with self.service.client() as client:
            found = await client.data(document, id=order_id)
        return [edge["node"] for edge in found["transactions"]["edges"]]


@contextlib.asynccontextmanager
async def mall(directory: Path) -> AsyncIterator[Mall]:
    """Run a shop, and a service whose only allowed origin it is: an origin is known before the service starts."""
    listener = bind("127.0.0.1", 0)
    url = address_of(listener)
    service = start_service(directory, GQL_EPOINT_ALLOWED_ORIGINS=url)
    settings = shop.ShopSettings(url=url, graphql_url=f"{service.url}/graphql", secret_key=DEVELOPMENT_KEY)
    try:
        async with shop.running(settings, listener):
            yield Mall(url=url, service=service)
    finally:
        service.close()
