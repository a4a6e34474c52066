"""Run the service as its container would, from inside namespaces of its own: `unshare --mount --net` starts this.

Its root holds the image's venv, the system's programs and a /data of its own, and cannot be written to; its user is
the Containerfile's, without any capability. Prints what was seen, as JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 40.0
_SIOCSIFFLAGS = 0x8914
_UP_AND_RUNNING = 0x1 | 0x40


class Stage:
    """The last stage of a Containerfile, set up below `root`."""

    def __init__(self, root: Path, venv: Path, containerfile: str) -> None:
        self._root = root
        self._venv = venv
        lines = containerfile.replace("\\\n", " ").split("\nFROM ")[-1].splitlines()[1:]
        self._lines = [line.partition(" ")[::2] for line in lines]
        self.user, self.group = self.one("USER").split(":")
        self.environ = dict(pair.split("=", 1) for value in self.all("ENV") for pair in shlex.split(value))
        self.environ["PATH"] = self.environ["PATH"].replace("$PATH", "/usr/bin:/bin")

    def all(self, word: str) -> list[str]:
        return [value.strip() for name, value in self._lines if name == word]

    def one(self, word: str) -> str:
        (value,) = self.all(word)
        return value

    def build(self) -> None:
        """Put the root together; what is mounted here nobody else sees."""
        _run("mount", "--bind", self._root, self._root)
        # First, for the venv may be in a folder of /tmp.
        for name, mode in (("data", "0755"), ("tmp", "1777")):
            (self._root / name).mkdir(exist_ok=True)
            _run("mount", "-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", self._root / name)
        os.chown(self._root / "data", int(self.user), int(self.group))
        for name in ("usr", "etc", "bin", "sbin", "lib", "lib64"):
            host = Path("/", name)
            if host.is_symlink():
                (self._root / name).symlink_to(host.readlink())
            elif host.is_dir():
                self._bind(host)
        for path in {Path(sys.base_prefix), self._venv}:
            if not path.is_relative_to("/usr"):
                self._bind(path)
        for name in ("proc", "dev"):
            (self._root / name).mkdir()
            _run("mount", "--rbind", f"/{name}", self._root / name)
        (self._root / "opt").mkdir(exist_ok=True)
        if not (self._root / "opt" / "gql-epoint").exists():
            (self._root / "opt" / "gql-epoint").symlink_to(self._venv)
        _run("mount", "-o", "remount,bind,ro", self._root)

    def start(self, *command: str, **environ: str) -> subprocess.Popen[str]:
        """Start a command as the container does."""
        settings = [f"{name}={value}" for name, value in (self.environ | environ).items()]
        rights = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        return subprocess.Popen(
            [
                *("chroot", str(self._root), "/usr/bin/setpriv", f"--reuid={self.user}", f"--regid={self.group}"),
                *(*rights, "/usr/bin/env", "-i", "-C", self.one("WORKDIR"), *settings, *command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def told(self, *command: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and what it said."""
        process = self.start(*command)
        said, _ = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said.strip()

    def data(self) -> list[str]:
        """Return the files of /data."""
        return sorted(path.name for path in (self._root / "data").iterdir())

    def _bind(self, path: Path) -> None:
        target = self._root / path.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", path, target)
        _run("mount", "-o", "remount,bind,ro", target)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)


def raise_loopback() -> None:
    """A fresh network has 127.0.0.1, and it is down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _UP_AND_RUNNING))


def main(root: Path, venv: Path, containerfile: Path, settings: dict[str, str]) -> None:
    """Serve, ask how it is as the container's health check does, and stop."""
    raise_loopback()
    stage = Stage(root, venv, containerfile.read_text())
    stage.build()
    entry = json.loads(stage.one("ENTRYPOINT"))
    health = json.loads(stage.one("HEALTHCHECK").partition("CMD ")[2])
    seen: dict[str, Any] = {
        "user": stage.told("id")[1],
        "writable": [path for path in ("/", "/opt/gql-epoint", "/etc", "/data") if _can_write(stage, path)],
        "unhealthy": stage.told(*health)[0],
    }
    serving = stage.start(*entry, *json.loads(stage.one("CMD")), **settings)
    give_up_at = time.monotonic() + PATIENCE_S
    while (healthy := stage.told(*health)[0]) and serving.poll() is None and time.monotonic() < give_up_at:
        time.sleep(0.1)
    ask = health[-1].replace("/healthz", "/readyz").replace("urlopen(", "print(urlopen(").rstrip(")") + ").status)"
    seen |= {"healthy": healthy, "ready": stage.told("python", "-c", ask)[1]}
    serving.send_signal(signal.Signals[stage.one("STOPSIGNAL")])
    said, _ = serving.communicate(timeout=PATIENCE_S)
    seen |= {"exit": serving.returncode, "said": said, "data": stage.data()}
    print(json.dumps(seen))  # noqa: T201


def _can_write(stage: Stage, folder: str) -> bool:
    return stage.told("/bin/sh", "-c", f"echo > {folder}/trial && rm {folder}/trial")[0] == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4]))
