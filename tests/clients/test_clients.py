"""Run each `*.test.mjs` with Node against the real service; the clients that users bring are pinned beside it.

`make test-clients` installs them. A script reads SERVICE and SIMULATOR, the addresses, and KEY, a secret key.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gql_epoint.keys import DEVELOPMENT_KEY
from tests.service import Service

HERE = Path(__file__).parent
SCRIPTS = sorted(HERE.glob("*.test.mjs"))
TIMEOUT_S = 50.0

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name.removesuffix(".test.mjs"))
async def test_client(service: Service, script: Path) -> None:
    """Its own assertions hold."""
    await run_script(service, script)


async def run_script(service: Service, script: Path) -> None:
    """Run a script; what it printed says which of its assertions did not hold."""
    environ = os.environ | {"SERVICE": service.url, "SIMULATOR": service.simulator.url, "KEY": DEVELOPMENT_KEY}
    process = await asyncio.create_subprocess_exec(
        "node",
        script.name,
        cwd=HERE,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"{script.name} did not end")

    assert process.returncode == 0, printed.decode()
