"""The command simulator, and how other commands run one beside them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from gql_epoint import simulator as epoint_simulator
from gql_epoint.cli.configuration import with_changes
from gql_epoint.cli.logs import start_logging
from gql_epoint.cli.parent import exit_with_parent
from gql_epoint.cli.starting import bind, run_to_end
from gql_epoint.cli.terminal import say
from gql_epoint.settings import Settings, read_setting
from gql_epoint.simulator import SANDBOX_MERCHANTS, SimulatorSettings

_SIMULATOR_START_S = 20.0
SIMULATOR_BOOKS = "gql-epoint-simulator.json"  # beside the sandbox's own database, whose transactions it remembers


def simulator(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Run the simulator until stopped."""
    port = 0
    if options.port != "0":
        port = read_setting(
            "GQL_EPOINT_SIMULATOR_PORT", with_changes(environ, GQL_EPOINT_SIMULATOR_PORT=options.port)
        )
    if options.exit_with_parent:
        exit_with_parent()
    start_logging("INFO", "text")
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
    listener = bind(options.host, port, "simulator --port")
    serving = epoint_simulator.serve(
        settings, sock=listener, announce=lambda url: say(f"gql-epoint simulator on {url}")
    )
    run_to_end(serving)
    return 0


@contextlib.asynccontextmanager
async def simulator_beside(
    settings: Settings, result_url: str, books: str | None = SIMULATOR_BOOKS
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str | None]]:
    """Run the simulator beside us; the address is None if it did not start, for a reason that it has told."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gql_epoint.cli", "simulator", "--exit-with-parent"),
        *("--port", str(settings.simulator_port), "--result-url", result_url),
        *(("--books", books) if books else ()),
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
