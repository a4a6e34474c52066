"""What a request costs in function calls, compared with committed figures: nobody makes it dearer unnoticed.

Calls are counted and no time is measured, so a busy machine changes nothing. Counted are the calls, and the
resumptions of coroutines, of this project and of the libraries that run a GraphQL request; the server and the HTTP
client are not. After a change that is meant, take the figures that a failure shows, and say in the commit what for.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.settings import read_settings
from gql_epoint.web.app import create_app
from tests.benchmarks.contenders import fake_gateway
from tests.benchmarks.load import pay_body, transaction_body

ROUNDS = 20
TOLERANCE = 0.03

COUNTED = ("/gql_epoint/", "/graphql/", "/strawberry/", "/starlette/")

FIGURES: dict[tuple[int, int], dict[str, int]] = {
    (3, 11): {"pay": 535, "transaction": 306},
}


class Counting:
    """Counts the calls of all threads while it is on."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._on = False

    def start(self) -> None:
        """Begin in this thread, and in those that are started later."""
        threading.setprofile(self._count)
        sys.setprofile(self._count)

    def stop(self) -> None:
        """End."""
        sys.setprofile(None)
        threading.setprofile(None)

    def _count(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            name = frame.f_code.co_filename
            for part in COUNTED:
                if part in name:
                    self.calls[part] += 1
                    return


class Application:
    """The service in this process, without a server: what a request is answered, and what it cost."""

    def __init__(self, app: Any, counting: Counting | None = None) -> None:
        self._app = app
        self._counting = counting or Counting()

    async def ask(self, body: bytes) -> tuple[Any, Counter[str]]:
        """Send one GraphQL request."""
        headers = {
            "host": "here",
            "authorization": f"Bearer {DEVELOPMENT_KEY}",
            "content-type": "application/json",
            "accept": "application/json",
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "POST",
            "path": "/graphql",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
        }
        sent: list[Any] = []
        read = False

        async def receive() -> dict[str, Any]:
            nonlocal read
            if read:
                await asyncio.Event().wait()  # The client stays.
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        before = Counter(self._counting.calls)
        await self._app(scope, receive, send)
        return msgspec.json.decode(sent[1]["body"]), self._counting.calls - before


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    counting = Counting()
    with fake_gateway(tmp_path) as gateway:
        settings, problems = read_settings(
            {
                "GQL_EPOINT_SANDBOX": "1",
                "GQL_EPOINT_DATABASE_URL": f"sqlite:///{tmp_path / 'cost.db'}",
                "GQL_EPOINT_GATEWAY_URL": gateway.url,
            }
        )
        assert settings is not None, problems
        app = create_app(settings)
        counting.start()
        try:
            async with app.router.lifespan_context(app):
                yield Application(app, counting)
        finally:
            counting.stop()


async def cheapest(application: Application, bodies: list[bytes]) -> Counter[str]:
    """Return the cost of the cheapest of some requests: in the others something else had its turn."""
    costs = []
    for body in bodies:
        answer, cost = await application.ask(body)
        assert "errors" not in answer, answer
        costs.append(cost)
    return min(costs, key=Counter.total)


async def test_requests_cost_what_they_did(application: Application) -> None:
    pay = await cheapest(application, [pay_body(number) for number in range(ROUNDS)])
    answer, _ = await application.ask(pay_body(ROUNDS))
    by_id = transaction_body(answer["data"]["pay"]["transaction"]["id"])
    found = {"pay": pay, "transaction": await cheapest(application, [by_id] * ROUNDS)}
    totals = {name: cost.total() for name, cost in found.items()}
    expected = FIGURES.get(sys.version_info[:2])
    if expected is None:
        pytest.skip(f"no figures for this version of Python; here they are {totals}")

    for name, total in totals.items():
        assert total == pytest.approx(expected[name], rel=TOLERANCE), f"{totals}, made up of {found[name]}"


async def test_what_is_dearer_would_be_seen(application: Application) -> None:
    """The same payment with a longer answer costs more than the tolerance."""
    bodies = [pay_body(number) for number in range(ROUNDS)]
    more = b"{ id version isFinal orderId createdAt updatedAt adopted operation status"
    longer = [body.replace(b"{ id status", more) for body in bodies]
    short = await cheapest(application, bodies[: ROUNDS // 2])
    long = await cheapest(application, longer[ROUNDS // 2 :])

    assert long.total() > short.total() * (1 + TOLERANCE)
