"""The commands that run until they are stopped: serve, simulator, sandbox."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from uvicorn.loops.auto import auto_loop_factory

from gql_epoint import simulator as epoint_simulator
from gql_epoint.cli.parent import exit_with_parent
from gql_epoint.cli.terminal import complain, say
from gql_epoint.errors import ConfigurationError
from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.points import arm
from gql_epoint.settings import (
    DOCUMENTATION_PRIVATE_KEY,
    DOCUMENTATION_PUBLIC_KEY,
    Settings,
    read_setting,
    read_settings,
)
from gql_epoint.simulator import SANDBOX_MERCHANTS, SimulatorSettings
from gql_epoint.web import server
from gql_epoint.web.app import GRAPHQL_PATH, WEBHOOK_PATH

T = TypeVar("T")

_SIMULATOR_START_S = 20.0
_SIMULATOR_BOOKS = "gql-epoint-simulator.json"  # beside the sandbox's own database, whose transactions it remembers


def serve(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Serve until stopped."""
    settings = _settings(environ, GQL_EPOINT_HOST=options.host, GQL_EPOINT_PORT=options.port)
    _log(settings.log_level)
    if options.exit_with_parent:
        exit_with_parent()
    if settings.die_at is not None:
        arm(settings.die_at)
    listener = _bind(settings.host, settings.port, "serve --port")
    _run(server.serve(settings, listener, announce=lambda url: say(f"gql-epoint serving on {url}")))
    return 0


def simulator(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Run the simulator until stopped."""
    port = 0
    if options.port != "0":
        port = read_setting("GQL_EPOINT_SIMULATOR_PORT", _with(environ, GQL_EPOINT_SIMULATOR_PORT=options.port))
    if options.exit_with_parent:
        exit_with_parent()
    _log("INFO")
    first, *others = SANDBOX_MERCHANTS
    urls = {
        name: value
        for name in ("result_url", "success_url", "error_url")
        if (value := getattr(options, name)) is not None
    }
    settings = SimulatorSettings(
        merchants=(msgspec.structs.replace(first, **urls), *others),
        books=Path(options.books) if options.books else None,
    )
    listener = _bind(options.host, port, "simulator --port")
    serving = epoint_simulator.serve(
        settings, sock=listener, announce=lambda url: say(f"gql-epoint simulator on {url}")
    )
    _run(serving)
    return 0


def sandbox(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Run the service in sandbox mode, with a simulator as a child that lives no longer than it."""
    settings = _settings(
        environ,
        GQL_EPOINT_SANDBOX="1",
        GQL_EPOINT_PORT=options.port,
        GQL_EPOINT_SIMULATOR_PORT=options.simulator_port,
        # Keys of a real merchant that happen to be set mean nothing to the simulator.
        EPOINT_PUBLIC_KEY=DOCUMENTATION_PUBLIC_KEY,
        EPOINT_PRIVATE_KEY=DOCUMENTATION_PRIVATE_KEY,
    )
    _log("WARNING" if settings.log_level == "INFO" else settings.log_level)
    if options.exit_with_parent:
        exit_with_parent()
    listener = _bind(settings.host, settings.port, "sandbox --port")
    return _run(_sandbox(settings, listener))


async def _sandbox(settings: Settings, listener: socket.socket) -> int:
    url = server.address_of(listener)
    async with _child(settings, f"{url}{WEBHOOK_PATH}") as (child, simulator_url):
        if simulator_url is None:
            complain("the simulator did not start; its port is chosen with `gql-epoint sandbox --simulator-port`.")
            return await child.wait() or 1
        settings = msgspec.structs.replace(settings, gateway_url=simulator_url)
        serving = asyncio.create_task(
            server.serve(settings, listener, announce=lambda url: say(_welcome(url, simulator_url)))
        )
        leaving = asyncio.create_task(child.wait())
        await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            leaving.cancel()
            serving.result()
            return 0
        complain("the simulator has stopped, so the sandbox stops as well.")
        serving.cancel()
        await asyncio.wait({serving})
        return 1


@contextlib.asynccontextmanager
async def _child(
    settings: Settings, result_url: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str | None]]:
    """Run the simulator beside us; the address is None if it did not start, for a reason that it has told."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gql_epoint.cli", "simulator", "--exit-with-parent"),
        *("--port", str(settings.simulator_port), "--result-url", result_url),
        *("--books", _SIMULATOR_BOOKS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us; the child is stopped after the service that needs it.
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(_SIMULATOR_START_S):
            line = (await child.stdout.readline()).decode()
        yield child, line.split()[-1] if line else None
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def _welcome(url: str, simulator_url: str) -> str:
    query = '{"query": "{ viewer { level scopes sandbox } }"}'
    return f"""\
gql-epoint serving on {url}

  GraphQL and its explorer   {url}{GRAPHQL_PATH}
  EPoint simulator           {simulator_url}
  Development key            {DEVELOPMENT_KEY}

Three things to try:
  1. Open {url}{GRAPHQL_PATH} in a browser and run the first tab: it starts a payment.
  2. Open the nextAction url of the answer and pay with 4111 1111 1111 1111, while a subscription watches.
  3. curl {url}{GRAPHQL_PATH} -H 'Authorization: Bearer {DEVELOPMENT_KEY}' \\
       -H 'Content-Type: application/json' -d '{query}'

Ctrl-C stops both."""


def _with(environ: Mapping[str, str], **changes: str | None) -> dict[str, str]:
    return {**environ, **{name: value for name, value in changes.items() if value is not None}}


def _settings(environ: dict[str, str], **changes: str | None) -> Settings:
    settings, problems = read_settings(_with(environ, **changes))
    if settings is None:
        if len(problems) > 1:
            complain(f"{len(problems)} settings would not work; `gql-epoint check` lists them. The first:")
        raise problems[0]
    return settings


def _bind(host: str, port: int, option: str) -> socket.socket:
    try:
        return server.bind(host, port)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            other = f"`gql-epoint {option} {port + 10}`"
            raise ConfigurationError(f"port {port}", f"is taken; choose another, such as {other}") from None
        raise ConfigurationError(f"{host}:{port}", f"cannot be listened on: {exc.strerror or exc}") from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the faster event loop of uvloop if it is installed."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(work)


def _log(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
