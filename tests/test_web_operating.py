"""What tells an operator how the service is: health, readiness, metrics and log lines."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from gql_epoint.live import Live
from gql_epoint.web.metrics import CALLBACK_FATES, Metrics
from tests.postgres import new_database
from tests.service import Client, Service
from tests.shop import CALLBACK, FORM, WATCH, form, new_order, pay

TOKEN = "metrics-token-of-a-test-0001"
GUIDE = Path(__file__).parent.parent / "gql_epoint" / "docs" / "operating.md"


async def metrics(client: Client, **headers: str) -> dict[str, float]:
    """Return all samples by their name and labels, as Prometheus writes them."""
    async with client.session.get(f"{client.url}/metrics", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        lines = (await answer.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


async def ready(client: Client) -> tuple[int, dict[str, Any]]:
    async with client.session.get(f"{client.url}/readyz") as answer:
        return answer.status, await answer.json()


async def test_a_service_that_can_work_says_so(service: Service, client: Client) -> None:
    """Each check by its name, and no problems."""
    status, body = await ready(client)

    names = ["database", "migrations", "follower", "reconciler", "key", "accepting"]
    assert status == 200
    assert body.pop("gateway") in ("unknown", "ok")
    assert body == {"status": "ok", "checks": dict.fromkeys(names, "ok"), "problems": {}}


async def test_a_node_whose_database_goes_away_is_not_ready(start_service: Any) -> None:
    """It says what is wrong; it is alive all the same, so nobody starts it again for that."""
    async with new_database() as url:
        service: Service = start_service(GQL_EPOINT_DATABASE_URL=url)
        async with service.client() as client:
            assert (await ready(client))[0] == 200
    async with service.client() as client, asyncio.timeout(40):
        status, body = await ready(client)
        while body["checks"]["follower"] == "ok":
            await asyncio.sleep(0.1)
            status, body = await ready(client)
        figures = await metrics(client)

    assert status == 503
    assert body["problems"] == {
        "database": "does not answer",
        "migrations": "not known while the database does not answer",
        "follower": "changes elsewhere are not heard of now",
    }
    assert figures["gql_epoint_database_up"] == 0
    assert str(figures["gql_epoint_indeterminate_transactions"]) == "nan"


async def test_metrics_count_what_happens(start_service: Any) -> None:
    """Callbacks by their fate, calls to EPoint by operation and outcome, what is open, and what is in the books."""
    service: Service = start_service()
    order = new_order()
    async with service.client() as client:
        before = await metrics(client)
        await pay(client, order)
        for body in (form(CALLBACK), b"data=e30%3D&signature=AAAA", b"nothing"):
            async with client.session.post(f"{service.url}/webhooks/epoint", data=body, headers=FORM):
                pass
        watching = aiter(client.subscribe(WATCH, order=order))
        await anext(watching)
        after = await metrics(client)
        await watching.aclose()

    assert before['gql_epoint_callbacks_total{disposition="unmatched"}'] == 0
    assert [after[f'gql_epoint_callbacks_total{{disposition="{fate}"}}'] for fate in CALLBACK_FATES] == [
        {"unmatched": 1, "bad_signature": 1, "unreadable": 1}.get(fate, 0) for fate in CALLBACK_FATES
    ]
    assert after['gql_epoint_gateway_call_seconds_count{operation="pay",outcome="answered"}'] == 1
    assert after['gql_epoint_http_request_seconds_count{method="POST",path="/graphql",status="200"}'] == 1
    assert after['gql_epoint_http_request_seconds_count{method="POST",path="/webhooks/epoint",status="400"}'] == 2
    assert after["gql_epoint_subscriptions"] == after["gql_epoint_websocket_connections"] == 1
    assert after["gql_epoint_unmatched_callbacks"] == 1
    assert after["gql_epoint_database_up"] == 1
    assert after["gql_epoint_reconcile_lag_seconds"] < 5


async def test_callers_make_no_series(start_service: Any) -> None:
    """A path or method that somebody makes up counts as another, so memory stays bounded."""
    service: Service = start_service()
    async with service.client() as client:
        for method, path in (("GET", "/wp-admin"), ("BREW", "/graphql"), ("GET", "/healthz/x")):
            async with client.session.request(method, f"{service.url}{path}"):
                pass
        text = "\n".join(await metrics(client))

    assert "wp-admin" not in text
    assert "BREW" not in text
    assert 'method="GET",path="other",status="404"' in text


async def test_metrics_need_their_token(start_service: Any) -> None:
    """Nobody else reads them, whatever secret key they have."""
    service: Service = start_service(GQL_EPOINT_METRICS_TOKEN=TOKEN)
    async with service.client() as client:
        for headers in (
            {},
            client.authorization,
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer "},
        ):
            async with client.session.get(f"{service.url}/metrics", headers=headers) as answer:
                assert answer.status == 401
                assert TOKEN not in await answer.text()

        assert await metrics(client, Authorization=f"Bearer {TOKEN}")


async def test_log_lines_are_json_and_name_request_and_transaction(start_service: Any) -> None:
    """A call to EPoint can be found by the request that made it; nothing personal is in any line."""
    service: Service = start_service(GQL_EPOINT_LOG_FORMAT="json")
    order = new_order()
    async with service.client() as client:
        client.authorization["X-Request-ID"] = "request-of-a-test"
        transaction = await pay(client, order)
    await asyncio.to_thread(service.stop)  # A request is logged after it was answered.
    lines = [json.loads(line) for line in service.logged().splitlines()]
    (call,) = [line for line in lines if line.get("operation") == "pay"]
    (request,) = [line for line in lines if line.get("path") == "/graphql"]

    ids = {"request_id": "request-of-a-test", "transaction_id": transaction["id"]}
    assert {name: call[name] for name in ids} == ids
    assert (call["level"], call["logger"], call["outcome"]) == ("INFO", "epoint", "answered")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", call["time"])
    assert (request["request_id"], request["method"], request["status"]) == (ids["request_id"], "POST", 200)
    assert order not in service.logged()


async def test_two_applications_do_not_share_figures() -> None:
    """Each has its own registry."""
    one, other = Metrics(Live().watching), Metrics(Live().watching)
    one.callback_taken("applied")

    sample = ("gql_epoint_callbacks_total", {"disposition": "applied"})
    assert [figures.registry.get_sample_value(*sample) for figures in (one, other)] == [1, 0]
