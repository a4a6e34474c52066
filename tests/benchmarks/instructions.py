"""Count the instructions of a payment, which no busy machine changes: `python -m tests.benchmarks.instructions`.

The service without its server runs in valgrind, twice: what the second run has more, its additional payments took.
Two counts of the same code differ by a thousandth; times of it, on a machine that does other things, by a tenth. An
instruction is no unit of time, so what is worth it is found here and proved by `make bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.settings import read_settings
from gql_epoint.web.app import create_app
from gql_epoint.web.server import leave_alone_what_stays
from tests.benchmarks.contenders import fake_gateway
from tests.benchmarks.load import pay_body
from tests.benchmarks.processes import python
from tests.test_cost import Application

TOGETHER = 32


async def _pay(batches: int, folder: Path) -> None:
    with fake_gateway(folder) as gateway:
        environ = {
            "GQL_EPOINT_SANDBOX": "1",
            "GQL_EPOINT_DATABASE_URL": f"sqlite:///{folder / 'instructions.db'}",
            "GQL_EPOINT_GATEWAY_URL": gateway.url,
        }
        settings, problems = read_settings(environ)
        assert settings is not None, problems
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            service = Application(app)
            leave_alone_what_stays()
            for batch in range(batches):
                numbers = range(batch * TOGETHER, (batch + 1) * TOGETHER)
                await asyncio.gather(*(service.ask(pay_body(number)) for number in numbers))


def _instructions(batches: int) -> int:
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*valgrind, *python("tests.benchmarks.instructions", "--batches", str(batches))]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.search(r"Collected : (\d+)", told)
    assert found is not None, told
    return int(found[1])


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.instructions", description=__doc__)
    parser.add_argument("--batches", type=int, help=argparse.SUPPRESS)  # what runs in valgrind
    options = parser.parse_args()
    if options.batches is not None:
        with (
            tempfile.TemporaryDirectory(prefix="gql-epoint-bench-") as name,
            asyncio.Runner(loop_factory=auto_loop_factory()) as runner,
        ):
            runner.run(_pay(options.batches, Path(name)))
        return
    if not shutil.which("valgrind"):
        sys.exit("This needs valgrind, which counts instructions: apt install valgrind, for example.")
    few, many = 8, 18
    each = (_instructions(many) - _instructions(few)) / ((many - few) * TOGETHER)
    print(f"{each / 1000:,.0f} thousand instructions for a payment")  # noqa: T201


if __name__ == "__main__":
    main()
