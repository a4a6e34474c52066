"""Tell an orchestrator whether the process is up, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from gql_epoint.cashier import Cashier
from gql_epoint.errors import StoreUnavailableError
from gql_epoint.store.protocol import Reader
from gql_epoint.web.replies import json_response

DATABASE_TIMEOUT_S = 2.0


async def alive(_request: Request) -> Response:
    """Answer as long as the process does."""
    return json_response({"status": "ok"})


def ready(cashier: Cashier, is_reconciling: Callable[[], bool]) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that answers 200 if work can be done and 503 with the reason if not."""

    async def answer(_request: Request) -> Response:
        checks = {
            "database": await _database_answers(cashier),
            "reconciler": is_reconciling(),
            "key": bool(cashier.books.private_key.strip()),
        }
        good = all(checks.values())
        body = {
            "status": "ok" if good else "unavailable",
            "checks": {name: "ok" if passed else "failed" for name, passed in checks.items()},
        }
        return json_response(body, 200 if good else 503)

    return answer


async def _database_answers(cashier: Cashier) -> bool:
    async def look(reader: Reader) -> None:
        await reader.transaction("")

    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            await cashier.books.read(look)
    except (StoreUnavailableError, TimeoutError):
        return False
    return True
