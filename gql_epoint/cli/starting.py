"""What every command that runs for a while does first: read settings, listen, and run a loop."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.cli.terminal import complain
from gql_epoint.errors import ConfigurationError
from gql_epoint.settings import Settings, read_settings
from gql_epoint.web import server

T = TypeVar("T")


def with_changes(environ: Mapping[str, str], **changes: str | None) -> dict[str, str]:
    """Return the environment with the settings that the command line names; None names nothing."""
    return {**environ, **{name: value for name, value in changes.items() if value is not None}}


def settings_from(environ: dict[str, str], **changes: str | None) -> Settings:
    """Read the settings. Raises ConfigurationError for the first that would not work; tells if there are more."""
    settings, problems = read_settings(with_changes(environ, **changes))
    if settings is None:
        if len(problems) > 1:
            complain(f"{len(problems)} settings would not work; `gql-epoint check` lists them. The first:")
        raise problems[0]
    return settings


def bind(host: str, port: int, option: str) -> socket.socket:
    """Listen. Raises ConfigurationError that names the `option` by which another port is chosen."""
    try:
        return server.bind(host, port)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            other = f"`gql-epoint {option} {port + 10}`"
            raise ConfigurationError(f"port {port}", f"is taken; choose another, such as {other}") from None
        raise ConfigurationError(f"{host}:{port}", f"cannot be listened on: {exc.strerror or exc}") from None


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run on the faster event loop of uvloop if it is installed."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(work)
