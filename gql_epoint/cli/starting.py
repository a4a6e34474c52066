"""What every command that runs for a while does first: listen, and run a loop."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.errors import ConfigurationError
from gql_epoint.web import listening

T = TypeVar("T")


def bind(host: str, port: int, option: str) -> socket.socket:
    """Listen. Raises ConfigurationError that names the `option` by which another port is chosen."""
    try:
        return listening.bind(host, port)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            other = f"`gql-epoint {option} {port + 10}`"
            raise ConfigurationError(f"port {port}", f"is taken; choose another, such as {other}") from None
        raise ConfigurationError(f"{host}:{port}", f"cannot be listened on: {exc.strerror or exc}") from None


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run on the faster event loop of uvloop if it is installed."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(work)
