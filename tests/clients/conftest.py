"""The service that the clients are run against: with what some of them need turned on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service import Service, start_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Like the one of all tests, with Apollo's automatic persisted queries."""
    running = start_service(tmp_path_factory.mktemp("clients"), GQL_EPOINT_PERSISTED_QUERIES="1")
    yield running
    running.close()
