"""Say where the microseconds of a request go, by layer: `python -m tests.benchmarks.profile [pay|transaction]`.

The event loop is sampled, each sample weighed by the processor time that its thread used since the last one. The
writer's thread cannot be sampled from Python, so its calls are counted and timed by its own clock. Both are then
scaled to what the system says the threads used in a run without any of this.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import logging
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.settings import read_settings
from gql_epoint.store.sqlite import SqliteStore
from gql_epoint.web import server
from gql_epoint.web.listening import address_of, bind
from tests.benchmarks.contenders import fake_gateway
from tests.benchmarks.load import Figures
from tests.benchmarks.processes import python

SAMPLE_S = 0.001

# The innermost frame that fits one of these names the layer; what the standard library does is its caller's.
LAYERS = {
    "gql_epoint/schema/": "our schema and resolvers",
    "gql_epoint/cashier/": "cashier",
    "gql_epoint/ledger/": "ledger",
    "gql_epoint/epoint/": "EPoint's wire",
    "gql_epoint/gateway/": "gateway",
    "gql_epoint/store/": "store",
    "gql_epoint/": "web, ours",
    "site-packages/graphql/": "graphql-core",
    "site-packages/strawberry/": "Strawberry",
    "site-packages/aiohttp/": "aiohttp and its kin",
    "site-packages/yarl/": "aiohttp and its kin",
    "site-packages/multidict/": "aiohttp and its kin",
    "site-packages/aiosignal/": "aiohttp and its kin",
    "site-packages/starlette/": "Starlette",
    "site-packages/uvicorn/": "uvicorn",
    "site-packages/prometheus_client/": "metrics",
}


class Sampler:
    """Samples the main thread: processor seconds by layer and by function."""

    def __init__(self) -> None:
        self.layers: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self._last_s = 0.0

    def start(self) -> None:
        """Begin; only the main thread can."""
        self._last_s = time.thread_time()
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)

    def stop(self) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        now_s = time.thread_time()
        used_s, self._last_s = now_s - self._last_s, now_s
        while frame is not None:
            layer = layer_of(frame.f_code.co_filename)
            if layer is not None:
                self.layers[layer] += used_s
                self.functions[f"{layer}: {frame.f_code.co_qualname}"] += used_s  # type: ignore[attr-defined]
                return
            frame = frame.f_back
        self.layers["event loop"] += used_s


def layer_of(file_name: str) -> str | None:
    """Return the layer of a source file, if it has one."""
    return next((layer for part, layer in LAYERS.items() if part in file_name), None)


def _writer_profile() -> cProfile.Profile:
    """Let the writer of the next store profile itself."""
    profile = cProfile.Profile(time.thread_time)
    write_forever: Any = SqliteStore._write_forever  # noqa: SLF001

    def profiled(store: SqliteStore, connection: sqlite3.Connection) -> None:
        profile.enable()
        write_forever(store, connection)
        profile.disable()

    SqliteStore._write_forever = profiled  # type: ignore[method-assign]  # noqa: SLF001
    return profile


def _writer_layers(profile: cProfile.Profile) -> Counter[str]:
    profile.create_stats()
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = profile.stats  # type: ignore[attr-defined]
    layers: Counter[str] = Counter()
    for (file_name, _, function), (_, _, own_s, _, _) in stats.items():
        if "sqlite3" in function:
            layers["SQLite itself"] += own_s
        elif "_queue" not in function:
            layers[layer_of(file_name) or "the standard library"] += own_s
    return layers


def _thread_cpu_s() -> dict[str, float]:
    """Return the processor time of the event loop's thread and of the writer's."""
    names = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    tasks = Path("/proc/self/task").iterdir()
    return {names[t.name]: int((t / "schedstat").read_text().split()[0]) / 1e9 for t in tasks if t.name in names}


async def _asked(kind: str, url: str, seconds: float, *more: str) -> tuple[Figures, dict[str, float]]:
    before = _thread_cpu_s()
    load = await asyncio.create_subprocess_exec(
        *python("tests.benchmarks.load", url, kind, str(seconds), "32", *more), stdout=subprocess.PIPE
    )
    printed, _ = await load.communicate()
    after = _thread_cpu_s()
    return msgspec.json.decode(printed, type=Figures), {name: after[name] - before.get(name, 0.0) for name in after}


async def _profile(kind: str, folder: Path, gateway_url: str, seconds: float) -> None:
    environ = {
        "GQL_EPOINT_SANDBOX": "1",
        "GQL_EPOINT_DATABASE_URL": f"sqlite:///{folder / 'profile.db'}",
        "GQL_EPOINT_GATEWAY_URL": gateway_url,
        "GQL_EPOINT_KEY_REQUESTS_PER_MINUTE": "0",
    }
    settings, problems = read_settings(environ)
    assert settings is not None, problems
    listener = bind("127.0.0.1", 0)
    started = asyncio.Event()
    serving = asyncio.create_task(server.serve(settings, listener, announce=lambda _: started.set()))
    await started.wait()
    url = f"{address_of(listener)}/graphql"
    await _asked("graphql-pay", url, 1.0)
    more: tuple[str, ...] = ()
    if kind == "graphql-transaction":
        with sqlite3.connect(folder / "profile.db") as connection:
            more = connection.execute("SELECT id FROM transactions LIMIT 1").fetchone()
    figures, used = await _asked(kind, url, seconds, *more)
    sampler = Sampler()
    sampler.start()
    await _asked(kind, url, seconds, *more)
    sampler.stop()
    serving.cancel()
    await asyncio.wait({serving})
    _tell(kind, figures.answers, used, sampler)


def _tell(kind: str, answers: int, used: dict[str, float], sampler: Sampler) -> None:
    each = {name: cpu_s / answers * 1e6 for name, cpu_s in used.items()}
    print(f"{kind}: {sum(each.values()):.0f} µs of processor time each\n")  # noqa: T201
    _rows(f"event loop, {each['MainThread']:.0f} µs", sampler.layers.most_common(), each["MainThread"])
    others = sum(cpu_us for name, cpu_us in each.items() if name != "MainThread")
    if _writer is not None and each.get("sqlite-writer", 0) > 1:
        _rows(f"writer, {others:.0f} µs", _writer_layers(_writer).most_common(), others)
    _rows("functions of the event loop", sampler.functions.most_common(25), each["MainThread"], sampler.layers)


def _rows(title: str, rows: Iterable[tuple[str, float]], whole_us: float, of: Counter[str] | None = None) -> None:
    rows = list(rows)
    total = sum(of.values()) if of is not None else sum(seconds for _, seconds in rows)
    print(title)  # noqa: T201
    for name, seconds in rows:
        print(f"  {seconds / total * whole_us:6.1f} µs  {name}")  # noqa: T201
    print()  # noqa: T201


_writer: cProfile.Profile | None = None


def main() -> None:
    """Run it."""
    global _writer
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile")
    parser.add_argument("what", nargs="?", choices=("pay", "transaction"), default="pay")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--writer", action="store_true", help="also profile the writer, which slows all of it down")
    options = parser.parse_args()
    if options.writer:
        _writer = _writer_profile()
    with (
        tempfile.TemporaryDirectory(prefix="gql-epoint-profile-") as name,
        fake_gateway(Path(name)) as gateway,
        asyncio.Runner(loop_factory=auto_loop_factory()) as runner,
    ):
        logging.basicConfig(level="ERROR")
        runner.run(_profile(f"graphql-{options.what}", Path(name), gateway.url, options.seconds))


if __name__ == "__main__":
    main()
