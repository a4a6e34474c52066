"""Benchmarks are run by hand, and seldom: here each is run for a moment, so that none is found broken by then."""

from __future__ import annotations

import asyncio
import sys

import pytest

# What each is asked for at the least, and what it says then. `make bench` needs more packages than tests have, and
# books of some size take long to fill.
MODULES = {
    "writes": (["--callers", "2", "--seconds", "0.05", "--rounds", "1"], "by together / one by one"),
    "subscriptions": (["--counts", "30", "--events", "5"], "| SSE | 30 |"),
    "browsers": (["--counts", "30", "--idle-s", "1"], "| SSE | 30 |"),
    "start": (["--rounds", "1"], "serve  "),
    "lists": (["1"], "100 transactions"),
    "profile": (["--seconds", "0.3"], "µs of processor time each"),
}


@pytest.mark.parametrize("name", MODULES)
async def test_a_benchmark_runs(name: str) -> None:
    arguments, says = MODULES[name]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"tests.benchmarks.{name}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    assert says in printed.decode()
