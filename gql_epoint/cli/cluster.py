"""Several nodes over one PostgreSQL on this machine: what they share, and what happens when one dies."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping

from gql_epoint.cli.configuration import settings_from, with_changes
from gql_epoint.cli.local_postgres import PostgresServer
from gql_epoint.cli.logs import start_logging
from gql_epoint.cli.parent import exit_with_parent
from gql_epoint.cli.simulating import simulator_beside
from gql_epoint.cli.starting import run_to_end
from gql_epoint.cli.terminal import complain, say
from gql_epoint.errors import ConfigurationError
from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.settings import DOCUMENTATION_PRIVATE_KEY, DOCUMENTATION_PUBLIC_KEY, Settings
from gql_epoint.web.app import GRAPHQL_PATH, WEBHOOK_PATH

_NODE_START_S = 30.0


class _Node:
    """One service, started by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url


def cluster(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Run PostgreSQL, one node for each port and the simulator until stopped; nothing of it is kept."""
    environ = with_changes(
        environ,
        GQL_EPOINT_SANDBOX="1",
        GQL_EPOINT_SIMULATOR_PORT=options.simulator_port,
        GQL_EPOINT_LOG_LEVEL=environ.get("GQL_EPOINT_LOG_LEVEL") or "WARNING",
        # Keys of a real merchant that happen to be set mean nothing to the simulator.
        EPOINT_PUBLIC_KEY=DOCUMENTATION_PUBLIC_KEY,
        EPOINT_PRIVATE_KEY=DOCUMENTATION_PRIVATE_KEY,
    )
    nodes = [settings_from(environ, GQL_EPOINT_PORT=port.strip()) for port in options.ports.split(",")]
    if any(node.port == 0 for node in nodes):
        raise ConfigurationError(
            "--ports", "must be ports, such as 8080,8082,8083: one of them takes the callbacks"
        )
    start_logging(nodes[0].log_level, nodes[0].log_format)
    if options.exit_with_parent:
        exit_with_parent()
    with _database() as url:
        return run_to_end(_cluster(nodes, environ | {"GQL_EPOINT_DATABASE_URL": url}))


@contextlib.contextmanager
def _database() -> Iterator[str]:
    server = PostgresServer()
    try:
        server.start()
        yield server.url
    finally:
        server.delete()


async def _cluster(settings: list[Settings], environ: Mapping[str, str]) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    callbacks = f"http://127.0.0.1:{settings[0].port}{WEBHOOK_PATH}"
    async with (
        simulator_beside(settings[0], callbacks, books=None) as (simulator, simulator_url),
        contextlib.AsyncExitStack() as stack,
    ):
        if simulator_url is None:
            complain("the simulator did not start; its port is chosen with `gql-epoint cluster --simulator-port`.")
            return 1
        environ = {**environ, "GQL_EPOINT_GATEWAY_URL": simulator_url}
        nodes = []
        for node in settings:
            # One after the other: the first makes the tables.
            started = await stack.enter_async_context(_node(node.port, environ))
            if started is None:
                complain(
                    f"the node on port {node.port} did not start; `gql-epoint cluster --ports` chooses others."
                )
                return 1
            nodes.append(started)
        say(_welcome(nodes, simulator_url, environ["GQL_EPOINT_DATABASE_URL"]))
        return await _until_over(stopping, nodes, simulator)


async def _until_over(stopping: asyncio.Event, nodes: list[_Node], simulator: asyncio.subprocess.Process) -> int:
    """Wait for a signal, or for the end of the simulator or of all nodes: one of them may die."""
    stop: asyncio.Task[object] = asyncio.create_task(stopping.wait())
    gone: asyncio.Task[object] = asyncio.create_task(simulator.wait())
    ends: dict[asyncio.Task[object], _Node] = {asyncio.create_task(node.process.wait()): node for node in nodes}
    try:
        while ends:
            done, _ = await asyncio.wait({stop, gone, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if stop in done:
                return 0
            if gone in done:
                complain("the simulator has stopped, so the cluster stops as well.")
                return 1
            for end in done:
                complain(f"the node on {ends.pop(end).url} has ended; {len(ends)} left.")
        return 1
    finally:
        for task in (stop, gone, *ends):
            task.cancel()


@contextlib.asynccontextmanager
async def _node(port: int, environ: Mapping[str, str]) -> AsyncIterator[_Node | None]:
    """Run a node beside us; None if it did not start, for a reason that it has told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gql_epoint.cli", "serve", "--port", str(port), "--exit-with-parent"),
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us, who stop the nodes before what they need
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_NODE_START_S):
            line = (await process.stdout.readline()).decode()
        yield _Node(process, line.split()[-1]) if line else None
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _welcome(nodes: list[_Node], simulator_url: str, database_url: str) -> str:
    first, last = nodes[0], nodes[-1]
    listed = "\n".join(
        f"  Node {i}   {node.url}{GRAPHQL_PATH}   pid {node.process.pid}" for i, node in enumerate(nodes, 1)
    )
    subscription = '{"query": "subscription { events { cursor event { id sequence source } } }"}'
    return f"""\
{len(nodes)} nodes over one PostgreSQL:

{listed}

  EPoint simulator   {simulator_url}
  PostgreSQL         {database_url}
  Development key    {DEVELOPMENT_KEY}

Three things to try:
  1. Watch on the last node whatever happens on any of them:
     curl -N {last.url}{GRAPHQL_PATH} -H 'Authorization: Bearer {DEVELOPMENT_KEY}' \\
       -H 'Content-Type: application/json' -H 'Accept: text/event-stream' -d '{subscription}'
  2. Start a payment on the first, {first.url}{GRAPHQL_PATH}, and pay on the page of its nextAction: the callback
     reaches the first node, and the one that watches tells of it.
  3. kill -9 {last.process.pid} in the middle of anything: the others settle what it left open.

Ctrl-C stops all of it and keeps nothing."""
