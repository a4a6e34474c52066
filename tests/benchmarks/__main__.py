"""Measure payments over HTTP: this service beside what a user would write instead.

    python -m tests.benchmarks [--rounds 5] [--seconds 2] [--connections 32] [--only NAME ...]

Each round starts every server afresh and asks it for the same time, one after another, so that a busy machine is
equally busy for all; a ratio compares two turns of one round. Two ratios are told: of requests per second, which
depends on what else the machine does, and of processor time per request, which does so less.

A turn is over before the service asks EPoint what became of the payments in it, five seconds after each, as nobody
has called back. That is work of its own, and no part of answering a request.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import msgspec

from tests.benchmarks.contenders import BASELINE, Contender, contenders, fake_gateway, find_postgres
from tests.benchmarks.load import Figures
from tests.benchmarks.processes import Server, python

WARM_UP_S = 1.0


class Turn(msgspec.Struct, kw_only=True):
    """What one server did in one round."""

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    megabytes: float


def main() -> None:
    """Run the benchmark."""
    options = _options()
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="gql-epoint-bench-", dir=options.folder)
        folder = Path(stack.enter_context(made))
        gateway = stack.enter_context(fake_gateway(folder))
        chosen = list(_chosen(stack, options.only))
        turns: dict[str, list[Turn]] = {contender.name: [] for contender in chosen}
        for number in range(1, options.rounds + 1):
            for contender in chosen:
                place = folder / f"{number}-{contender.name.replace(' ', '-')}"
                turns[contender.name].append(_turn(contender, gateway.url, place, options))
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)  # noqa: T201
    for line in _table(turns, {contender.name for contender in chosen if contender.keeps_books}):
        print(line)  # noqa: T201
    print(f"\n{_where(options)}")  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", nargs="*", help="parts of names; the baseline always runs")
    parser.add_argument("--folder", help="where the databases are; by default the system's temporary folder")
    return parser.parse_args()


def _chosen(stack: contextlib.ExitStack, only: list[str] | None) -> Iterator[Contender]:
    postgres = find_postgres() if only is None or any("postgres" in part.lower() for part in only) else None
    if postgres is not None:
        postgres.start()
        stack.callback(postgres.delete)
    for contender in contenders(postgres.url if postgres else None):
        if only and contender.name != BASELINE and not any(part in contender.name for part in only):
            continue
        if contender.lacks is not None:
            print(f"{contender.name} is left out; it needs {contender.lacks}", file=sys.stderr)  # noqa: T201
            continue
        yield contender


def _turn(contender: Contender, gateway_url: str, place: Path, options: argparse.Namespace) -> Turn:
    server = contender.start(gateway_url, place)
    try:
        _asked(contender, server, WARM_UP_S, options.connections)
        cpu_s = server.cpu_s()
        figures = _asked(contender, server, options.seconds, options.connections)
        return Turn(
            per_s=figures.answers / figures.seconds,
            cpu_us=(server.cpu_s() - cpu_s) / figures.answers * 1e6,
            p50_ms=figures.p50_ms,
            p99_ms=figures.p99_ms,
            megabytes=server.rss_bytes() / 1e6,
        )
    finally:
        server.stop()


def _asked(contender: Contender, server: Server, seconds: float, connections: int) -> Figures:
    url = server.url + contender.path
    load = python("tests.benchmarks.load", url, contender.kind, str(seconds), str(connections))
    printed = subprocess.run(load, stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(printed, type=Figures)


def _table(turns: dict[str, list[Turn]], keeping_books: set[str]) -> Iterator[str]:
    yield "| | books kept | requests/s | of bare ASGI | by processor time | µs each | p50 ms | p99 ms | MB |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    baseline = turns[BASELINE]
    for name, own in turns.items():
        by_rate = [one.per_s / base.per_s for one, base in zip(own, baseline, strict=True)]
        by_cpu = [base.cpu_us / one.cpu_us for one, base in zip(own, baseline, strict=True)]
        cells = [
            name,
            "durably" if name in keeping_books else "no",
            f"{median(one.per_s for one in own):,.0f}",
            _spread(by_rate),
            _spread(by_cpu),
            f"{median(one.cpu_us for one in own):,.0f}",
            f"{median(one.p50_ms for one in own):.1f}",
            f"{median(one.p99_ms for one in own):.1f}",
            f"{median(one.megabytes for one in own):.0f}",
        ]
        yield f"| {' | '.join(cells)} |"


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"


def _where(options: argparse.Namespace) -> str:
    return (
        f"{options.rounds} rounds of {options.seconds:g} s, {options.connections} connections, one process each; "
        f"Python {platform.python_version()}, {platform.machine()}. Medians, and in brackets the smallest and the "
        "largest. The database of PostgreSQL is a process of its own, whose processor time is not counted."
    )


if __name__ == "__main__":
    main()
