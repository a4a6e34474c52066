"""Tell an orchestrator whether the process is up, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.pulse import Beat
from gql_epoint.errors import StoreUnavailableError
from gql_epoint.store.protocol import Migrations, Reader
from gql_epoint.web.replies import json_response

DATABASE_TIMEOUT_S = 2.0


async def alive(_request: Request) -> Response:
    """Answer as long as the process does; a database that is away is no reason to start it again."""
    return json_response({"status": "ok"})


def ready(
    cashier: Cashier, *, is_reconciling: Callable[[], bool], is_closing: Callable[[], bool]
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that answers 200 if work can be done, and 503 with what is wrong if not."""

    async def answer(_request: Request) -> Response:
        migrations = await _migrations(cashier)
        problems = {
            "database": None if migrations is not None else "does not answer",
            "migrations": _lacking(migrations),
            "follower": None if cashier.books.store.is_following() else "changes elsewhere are not heard of now",
            "reconciler": None if is_reconciling() else "has stopped",
            "key": None if cashier.books.private_key.strip() else "EPOINT_PRIVATE_KEY is empty",
            "accepting": None if not is_closing() else "the service is stopping",
        }
        return _tell(problems, cashier.pulse.last())

    return answer


def _tell(problems: Mapping[str, str | None], beat: Beat | None) -> Response:
    good = not any(problems.values())
    body = {
        "status": "ok" if good else "unavailable",
        "checks": {name: "failed" if problem else "ok" for name, problem in problems.items()},
        "problems": {name: problem for name, problem in problems.items() if problem},
        # Told and no more: a node that is taken away because EPoint is could not take its callbacks either.
        "gateway": "unknown" if beat is None else "ok" if beat.reachable else "failed",
    }
    return json_response(body, 200 if good else 503)


async def _migrations(cashier: Cashier) -> Migrations | None:
    async def look(reader: Reader) -> Migrations:
        return await reader.migrations()

    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            return await cashier.books.read(look)
    except (StoreUnavailableError, TimeoutError):
        return None


def _lacking(migrations: Migrations | None) -> str | None:
    """More than this version knows are fine: a node of the next version has started already."""
    if migrations is None:
        return "not known while the database does not answer"
    if migrations.done < migrations.known:
        return f"{migrations.done} of {migrations.known}: an older backup was put back"
    return None
