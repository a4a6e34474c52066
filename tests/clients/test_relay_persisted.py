"""Persisted documents end to end: the service takes the manifest of Relay's compiler and runs nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.test_clients import HERE, run_script
from tests.service import start_service

pytestmark = pytest.mark.clients

COMPILED = HERE / "generated" / "persisted"
MANIFEST = HERE / "generated" / "persisted.json"


def compile_documents() -> None:
    # The compiler leaves what it has compiled before, and the manifest with it, as they are.
    shutil.rmtree(COMPILED, ignore_errors=True)
    COMPILED.mkdir(parents=True)
    MANIFEST.write_text("{}")
    compiler = HERE / "node_modules" / ".bin" / "relay-compiler"
    done = subprocess.run([compiler, "relay.persisted.json"], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_relay_sends_ids_of_documents(tmp_path: Path) -> None:
    """The file that `relay-compiler` writes is GQL_EPOINT_DOCUMENTS as it is; the journey needs no document."""
    compile_documents()
    assert len(json.loads(MANIFEST.read_text())) >= 4
    service = start_service(tmp_path, GQL_EPOINT_DOCUMENTS=str(MANIFEST), GQL_EPOINT_DOCUMENTS_ONLY="1")
    try:
        await run_script(service, HERE / "relay_persisted.mjs")
    finally:
        service.close()
