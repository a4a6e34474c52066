"""Schemathesis against the service as it runs in production: it answers what fits the schema, and leaks nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from gql_epoint.keys import Scope, SecretKey, digest_of, new_secret_key
from tests.service import Service

schemathesis = pytest.importorskip("schemathesis")

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

PRIVATE_KEY = "s2kq9v1m7x4wz8c3b6n5t0r2y1u4i7o9p8a6d5f3g2h1"  # the simulator's second merchant
EXAMPLES_MAX = 100

nodes = schemathesis.graphql.nodes
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS: dict[str, Any] = {
    "Date": st.one_of(st.dates().map(str), texts),
    "DateTime": st.one_of(st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"), texts),
    "Decimal": st.one_of(st.decimals(0, 1000, places=2).map(str), texts),
    "IdempotencyKey": st.one_of(st.uuids().map(str), texts),
    "JSON": texts,
    "URL": st.one_of(st.just("https://shop.example/back"), texts),
}
for name, strategy in SCALARS.items():
    schemathesis.graphql.scalar(name, strategy.map(nodes.String))

contract = schemathesis.graphql.from_path(Path(__file__).parents[2] / "schema.graphql")


class Live(Service):
    """A service outside of sandbox mode, and a key for it with all scopes."""

    def __init__(self, directory: Path) -> None:
        self.key = new_secret_key(os.urandom)
        row = SecretKey(name="fuzz", scopes=frozenset(Scope), digest=digest_of(self.key))
        super().__init__(
            directory,
            GQL_EPOINT_SANDBOX="0",
            EPOINT_PUBLIC_KEY="i000000002",
            EPOINT_PRIVATE_KEY=PRIVATE_KEY,
            GQL_EPOINT_SECRET_KEYS=row.line(),
            GQL_EPOINT_CALL_TIMEOUT_S="2",
        )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    service = Live(tmp_path_factory.mktemp("live"))
    try:
        service.start()
        yield service
    finally:
        service.close()


@contract.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES_MAX,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_whatever_fits_the_schema_is_answered(case: Any, live: Live) -> None:
    """No server error and no unexpected one, and nothing of the inside in the answer or the log."""
    response = case.call(base_url=f"{live.url}/graphql", headers={"Authorization": f"Bearer {live.key}"})
    answer = response.json()

    assert response.status_code in (200, 400), answer
    assert "INTERNAL_ERROR" not in response.text
    assert "data" in answer or answer["errors"]
    for secret in (PRIVATE_KEY, live.key, "Traceback", "site-packages", "sqlite", str(live.directory)):
        assert secret not in response.text


def test_nothing_unexpected_is_in_the_log(live: Live) -> None:
    """Run after the others: neither a bug nor a secret."""
    logged = live.logged()

    assert "unexpected" not in logged
    assert "Traceback" not in logged
    assert PRIVATE_KEY not in logged
    assert live.key not in logged
