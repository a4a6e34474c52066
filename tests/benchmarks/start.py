"""Time from a command to its first line, in turns: `python -m tests.benchmarks.start`.

`serve` has its line once it answers. Its books have been made before, and are empty: a million transactions in them
add nothing that could be seen (tests.benchmarks.growth).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.contenders import service
from tests.benchmarks.processes import Server, python

COMMANDS = ("--help", "simulator", "serve")
_NO_GATEWAY = "http://127.0.0.1:9"


def _start_s(command: str, folder: Path) -> float:
    started_s = time.perf_counter()
    if command == "--help":
        subprocess.run(python("gql_epoint.cli", command), check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started_s
    if command == "simulator":
        server = Server(python("gql_epoint.cli", command, "--port", "0"), folder / "simulator.log")
    else:
        server = service(_NO_GATEWAY, folder, f"sqlite:///{folder / 'start.db'}")
    elapsed_s = time.perf_counter() - started_s
    server.stop()
    return elapsed_s


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="gql-epoint-bench-") as name:
        for command in COMMANDS:
            _start_s(command, Path(name))  # Python keeps what it compiles
        turns = [{command: _start_s(command, Path(name)) for command in COMMANDS} for _ in range(rounds)]
    for command in COMMANDS:
        times_s = sorted(turn[command] for turn in turns)
        print(f"{command:10} {median(times_s):.2f} s ({times_s[0]:.2f} to {times_s[-1]:.2f})")  # noqa: T201


if __name__ == "__main__":
    main()
