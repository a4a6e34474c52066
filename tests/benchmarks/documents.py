"""Measure how long documents made to be slow take to be refused, and how long they hold up anybody else.

`make bench-documents`, or `python -m tests.benchmarks.documents [runs]`. A real service is sent a megabyte of each
shape, and then as much of it as its length lets through; meanwhile a neighbour asks for something small, again and
again. Last comes what just passes each limit, and is validated. Printed are the medians of some runs: the time
until the refusal, and the longest wait of the neighbour. Both should stay under 100 ms. The first line is the
neighbour alone, which is what the machine itself does at the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from gql_epoint.schema.limits import LIMITS
from tests.service import Client, start_service
from tests.test_limits import EDGES, MEGABYTE, SHAPES, chain, fitted, pages

RUNS = 5
ALONE_S = 0.3
FIXED = {
    "doubling, 20 levels": chain(20, spreads=2),
    "doubling, 60 levels": chain(60, spreads=2),
    "pages of pages": pages("first: 100", "first: 100"),
}


def bodies() -> dict[str, bytes]:
    """Return what is sent, by its name: the largest of each shape, and what just passes each limit."""
    texts = {
        f"{name}, {length:,} characters": fitted(shape, length)
        for length in (MEGABYTE, LIMITS.characters)
        for name, shape in SHAPES.items()
    }
    edges = {f"{limit}, all that is let through": shape(edge) for limit, (shape, edge) in EDGES.items()}
    return {name: json.dumps({"query": text}).encode() for name, text in (texts | FIXED | edges).items()}


@contextlib.asynccontextmanager
async def neighbour(client: Client, waits: list[float]) -> AsyncIterator[None]:
    """Ask for something small while the block runs, and note each wait in seconds."""

    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            started = time.perf_counter()
            await client.data("{ viewer { level } }")
            waits.append(time.perf_counter() - started)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.02)
    try:
        yield
    finally:
        over.set()
        await asking  # The request that is under way is the one that may have waited long.


async def measure(client: Client, other: Client, body: bytes) -> tuple[str, float, float]:
    """Return what a document is refused by, the time until then, and the neighbour's longest wait, in seconds."""
    waits: list[float] = []
    async with neighbour(other, waits):
        started = time.perf_counter()
        _, answer, _ = await client.post(body)
        refused_s = time.perf_counter() - started
    error = answer.get("errors", [{"message": "answered"}])[0]
    return error.get("extensions", {}).get("limit", error["message"][:60]), refused_s, max(waits)


async def main(runs: int) -> None:
    """Print a line for each shape."""
    with tempfile.TemporaryDirectory() as folder:
        service = start_service(Path(folder), GQL_EPOINT_BODY_BYTES_MAX=str(4 * MEGABYTE))
        try:
            async with service.client() as client, service.client() as other:
                alone: list[float] = []
                async with neighbour(other, alone):
                    await asyncio.sleep(ALONE_S)
                print(f"{'ms':>8} {'wait ms':>8}  shape: refused by")  # noqa: T201
                print(f"{'':>8} {max(alone) * 1000:8.1f}  the neighbour alone")  # noqa: T201
                for name, body in bodies().items():
                    results = [await measure(client, other, body) for _ in range(runs)]
                    refused_ms, wait_ms = (
                        statistics.median(result[column] for result in results) * 1000 for column in (1, 2)
                    )
                    print(f"{refused_ms:8.1f} {wait_ms:8.1f}  {name}: {results[0][0]}", flush=True)  # noqa: T201
        finally:
            service.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
