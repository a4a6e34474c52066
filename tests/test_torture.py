"""A short run of the seeded simulation, and the promise that a seed is a run. `make torture` runs it for longer."""

from __future__ import annotations

import secrets

import msgspec
import pytest

from tests.torture import POSTGRESQL, STORES, play


@pytest.mark.parametrize("seed", ["1", "2", "3", "4", "5", "6"])
async def test_bad_days_end_well(seed: str) -> None:
    """The invariants hold after each step, and in the end the books say what EPoint's say."""
    await play(seed)


async def test_bad_days_on_postgresql_end_well() -> None:
    """The same on the other store; `make torture STORE=postgresql` plays more of them."""
    await play("1", store=POSTGRESQL)


@pytest.mark.parametrize("store", STORES)
async def test_a_bad_day_of_today_ends_well(store: str) -> None:
    """A seed that nobody has tried; it is printed, and a failure names it."""
    seed = secrets.token_hex(4)
    print(f"SEED={seed} STORE={store}")  # noqa: T201
    await play(seed, store=store)


async def test_one_seed_is_one_run() -> None:
    """Without bursts, two runs leave the same books, to the byte."""
    first = await play("7", bursts=False)
    second = await play("7", bursts=False)
    other = await play("8", bursts=False)

    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert msgspec.json.encode(first) != msgspec.json.encode(other)
