"""Fixtures for all tests: the running service, and clients for it."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
from hypothesis import settings

from tests.service import Client, Service, start_service

# How long one example takes says how busy the machine is, and nothing about the code. Figures come from benchmarks.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service and its simulator for all tests that leave no trace in them; use order ids of your own."""
    running = start_service(tmp_path_factory.mktemp("service"))
    yield running
    running.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(service: Service) -> AsyncIterator[Client]:
    """A client of `service` with the development key."""
    async with service.client() as speaking:
        yield speaking


@pytest.fixture(name="start_service")
def _start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """Start services with settings of the test's own, each with its own simulator and database."""
    running: list[Service] = []

    def start(**environ: str) -> Service:
        running.append(start_service(tmp_path_factory.mktemp("service"), **environ))
        return running[-1]

    yield start
    for service in running:
        service.close()


@pytest.fixture
def thrown_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What an error makes worthless is thrown away by both executors, with the coroutines in it."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        yield
        gc.collect()
