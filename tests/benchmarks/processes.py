"""Start servers as processes of their own, and read from the system what they cost."""

from __future__ import annotations

import asyncio
import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

START_TIMEOUT_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Server:
    """A process that prints its address as the last word of its first line, and ends when its input does."""

    def __init__(
        self, command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        # Nothing of the developer's own settings may change a figure.
        clean = {name: value for name, value in os.environ.items() if "EPOINT_" not in name}
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                env=clean | dict(environ or {}),
                cwd=cwd,
            )
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline().decode() if selector.select(START_TIMEOUT_S) else ""
        if not line:
            self._process.kill()
            raise RuntimeError(f"{' '.join(command)} did not start:\n{log.read_text()}")
        self.url = line.split()[-1]

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def stop(self) -> None:
        """Let it end in order."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def cpu_s(self) -> float:
        """Return the processor time that all its threads have used."""
        return cpu_s(self.pid)

    def rss_bytes(self) -> int:
        """Return the memory that it occupies now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """Return the processor time that all threads of a process have used, in the system on its behalf as well."""
    # The scheduler's own sum is in nanoseconds; the ticks of `stat` are too coarse for short turns.
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except FileNotFoundError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of the tests."""
    return [sys.executable, "-m", module, *arguments]


async def announce_and_wait(url: str) -> None:
    """For servers of our own: print the address, and return when the input ends."""
    print(url, flush=True)  # noqa: T201 - whoever started it reads this
    await asyncio.to_thread(sys.stdin.buffer.read)
