"""Many real service processes, started fast: each is forked from one that has imported everything already.

simulator = ...                      # one in this process, with a merchant for each group of nodes
node = Node(log, environ)
await node.start()
...
assert await node.died() == -signal.SIGKILL
await node.start()                   # again, at the same address
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import weakref
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import aiohttp

from tests.ports import hold_port, port_of
from tests.service import Client

PATIENCE_S = 30.0
# More of them at a time would only take the processor from those that are running.
_STARTING = asyncio.Semaphore(3)
_PR_SET_PDEATHSIG = 1


class Node:
    """One service process at an address of its own, also while it is down; what it logs goes to `log`."""

    def __init__(self, log: Path, environ: Mapping[str, str]) -> None:
        self.log = log
        self.environ = dict(environ)
        # Held open, or another node gets the port while this one is down, and answers in its place.
        place = hold_port()
        weakref.finalize(self, place.close)
        self.port = port_of(place)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: BaseProcess | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    async def start(self, **environ: str) -> None:
        """Start it, with further settings for this time, and wait until it answers."""
        environ = {**self.environ, **environ, "GQL_EPOINT_PORT": str(self.port)}
        async with _STARTING:
            await self._start(environ)

    async def _start(self, environ: dict[str, str]) -> None:
        self._process = _context().Process(target=_serve, args=(str(self.log), environ))  # type: ignore[attr-defined]
        self._process.start()
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
            while True:
                assert self._process.is_alive(), self.log.read_text()
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"{self.url}/healthz"):
                        return
                await asyncio.sleep(0.02)

    async def died(self) -> int | None:
        """Wait until it has ended by itself and return its exit code: minus the number of a signal."""
        process = self._process
        assert process is not None
        async with asyncio.timeout(PATIENCE_S):
            while process.is_alive():
                await asyncio.sleep(0.02)
        self._process = None
        return process.exitcode

    async def stop(self) -> None:
        """Stop it in order."""
        if self._process is not None:
            self._process.terminate()
            await self.died()

    async def kill(self) -> None:
        """Stop it at once, like a power cut."""
        if self._process is not None:
            self._process.kill()
            await self.died()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still while the block runs, as a machine that is short of memory does."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def client(self) -> Client:
        """Return a client with the development key."""
        return Client(self.url)


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "gql_epoint.cli.serving", "asyncpg", "tests.nodes"])
    return context


def _serve(log: str, environ: dict[str, str]) -> None:
    from gql_epoint.cli import main

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in [name for name in os.environ if "EPOINT_" in name]:
        del os.environ[name]
    os.environ.update(environ)
    sys.exit(_run(main))


def _run(main: Any) -> int:
    return int(main(["serve"]) or 0)
