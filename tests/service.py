"""The real service and a real simulator, as the processes that users run, and a client that speaks to them.

    service = start_service(directory, GQL_EPOINT_CALL_TIMEOUT_S="2")
    async with service.client() as client:
        answer = await client.execute("{ viewer { level } }")
        async for payload in client.subscribe("subscription { ... }"):      # WebSocket; client.stream is SSE
            ...
    service.kill()          # like a power cut
    service.start()         # again, on the same database and port

Each process ends with the one that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

from gql_epoint.keys import DEVELOPMENT_KEY

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
PUBLIC_KEY = "i000000001"
SUBPROTOCOL = "graphql-transport-ws"
EXECUTION = "GQL_EPOINT_COMPILED"
COMPILED = os.environ.get(EXECUTION, "1") != "0"
"""Whether operations are compiled here; GQL_EPOINT_COMPILED=0 runs the same tests with graphql-core."""


class Process:
    """One command of gql-epoint that announces its address; what it logs goes to `log`."""

    def __init__(self, log: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.arguments = arguments
        self.url = ""
        # Nothing of the developer's own settings may leak into a test, but for how operations are executed.
        clean = {name: value for name, value in os.environ.items() if "EPOINT_" not in name or name == EXECUTION}
        self._environ = clean | dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, at the address where it was before if there was one."""
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "gql_epoint.cli", *self.arguments, "--port", port, "--exit-with-parent"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=self._environ
            )
        self.url = self._announced().split()[-1]

    def logged(self) -> str:
        """Return what it has logged so far."""
        return self.log.read_text()

    def stop(self) -> int:
        """Stop it in order and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it at once, like a power cut."""
        self._end(signal.SIGKILL)

    def abandon(self) -> int:
        """Let go of it as if we had died, and return its exit code."""
        return self._end(None)

    def _end(self, number: signal.Signals | None) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None
        if number is None:
            process.stdin.close()
        else:
            process.send_signal(number)
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()

    def _announced(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            announced = bool(selector.select(START_TIMEOUT_S))
        line = self._process.stdout.readline().decode() if announced else ""
        if not line:
            self._end(signal.SIGKILL)
            raise AssertionError(f"{' '.join(self.arguments)} did not start:\n{self.logged()}")
        return line


class Simulator(Process):
    """A simulator and its control API; see gql_epoint/simulator/control.py."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "simulator.log", "simulator", "--books", str(directory / "simulator.json"))

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """Call the control API, for instance `("PUT", "/orders/o-1", {"reply": "drop"})`."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/_control{path}", json=body) as response,
        ):
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def pay(self, url: str, card: str = "4111 1111 1111 1111") -> None:
        """Be the customer: open a hosted page and pay with a card."""
        async with aiohttp.ClientSession() as session, session.get(url) as page:
            assert page.status == 200, await page.text()
            form = {"card_number": card, "decision": "confirm"}  # A wallet's page asks for the latter.
            async with session.post(page.url, data=form, allow_redirects=False) as answer:
                assert answer.status < 400, await answer.text()

    async def decide(self, url: str, decision: str) -> None:
        """Be the customer in the widget, or at the bank: `approve`, `decline`, `confirm` or `fail`."""
        async with aiohttp.ClientSession() as session, session.get(url) as page:
            assert page.status == 200, await page.text()
            async with session.post(page.url, data={"decision": decision}, allow_redirects=False) as answer:
                assert answer.status < 400, await answer.text()


class Service(Process):
    """A service in sandbox mode with a simulator of its own, on a database in `directory`."""

    def __init__(self, directory: Path, **environ: str) -> None:
        self.directory = directory
        self.database = directory / "service.db"
        self.simulator = Simulator(directory)
        self.simulator.start()
        settings = {
            "GQL_EPOINT_SANDBOX": "1",
            "GQL_EPOINT_DATABASE_URL": f"sqlite:///{self.database}",
            "GQL_EPOINT_GATEWAY_URL": self.simulator.url,
        }
        super().__init__(directory / "service.log", "serve", environ=settings | environ)

    def start(self) -> None:
        """Start it, and let the simulator send its callbacks there."""
        super().start()
        request = msgspec.json.encode({"result_url": f"{self.url}/webhooks/epoint"})
        control = f"{self.simulator.url}/_control/merchants/{PUBLIC_KEY}"
        with contextlib.closing(_open("PUT", control, request)) as answer:
            assert answer.status == 200

    def restart(self) -> None:
        """Kill it and start it again on the same database."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Stop both processes."""
        try:
            self.stop()
        finally:
            self.simulator.stop()

    def client(self, key: str | None = DEVELOPMENT_KEY) -> Client:
        """Return a client with a secret key, or an anonymous one."""
        return Client(self.url, key)


class Client:
    """Speaks GraphQL to a service; enter it with `async with`."""

    def __init__(self, url: str, key: str | None = DEVELOPMENT_KEY) -> None:
        self.url = url
        self.graphql = f"{url}/graphql"
        self.authorization = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.session = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.session.close()

    async def execute(self, query: str, **variables: object) -> dict[str, Any]:
        """Run an operation by POST and return the whole answer, `data` and `errors`."""
        body = {"query": query, "variables": variables}
        async with self.session.post(self.graphql, json=body, headers=self.authorization) as response:
            return dict(await response.json())

    async def data(self, query: str, **variables: object) -> Any:
        """Run an operation that must not have errors and return its data."""
        answer = await self.execute(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def post(self, body: bytes, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        """Send any bytes; return the status, the JSON that came back and the headers."""
        sent = {"Content-Type": "application/json", **self.authorization}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(self.graphql, data=body, headers=sent) as response:
            return response.status, msgspec.json.decode(await response.read()), response.headers

    async def subscribe(self, query: str, **variables: object) -> AsyncIterator[dict[str, Any]]:
        """Run an operation over WebSocket and yield each payload until it completes."""
        async with self.socket() as socket:
            await socket.send_json(_subscribe(query, variables))
            while (message := await socket.receive_json())["type"] == "next":
                yield message["payload"]
            assert message["type"] == "complete", message

    async def stream(self, query: str, **variables: object) -> AsyncIterator[dict[str, Any]]:
        """Run an operation as an event stream and yield each payload until it completes."""
        headers = {"Accept": "text/event-stream", **self.authorization}
        body = {"query": query, "variables": variables}
        async with self.session.post(self.graphql, json=body, headers=headers) as response:
            assert response.content_type == "text/event-stream", await response.text()
            async for event, data in events(response):
                if event == "complete":
                    return
                yield msgspec.json.decode(data)
        raise AssertionError("the stream ended without a complete event")

    @contextlib.asynccontextmanager
    async def socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket that is initialised and acknowledged."""
        async with self.raw_socket() as socket:
            payload = {name.lower(): value for name, value in self.authorization.items()}
            await socket.send_json({"type": "connection_init", "payload": payload})
            assert (await socket.receive_json())["type"] == "connection_ack"
            yield socket

    @contextlib.asynccontextmanager
    async def raw_socket(
        self, *, protocols: tuple[str, ...] = (SUBPROTOCOL,), headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket and send nothing on it."""
        async with self.session.ws_connect(self.graphql, protocols=protocols, headers=headers) as socket:
            yield socket


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str]]:
    """Yield the name and the data of each event in a stream, as strictly as the least lenient client."""
    rest = ""
    async for chunk in response.content.iter_any():
        rest += chunk.decode()
        *blocks, rest = rest.split("\n\n")
        for block in blocks:
            lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if lines:
                yield lines["event"], lines.get("data", "")


def start_service(directory: Path, **environ: str) -> Service:
    """Start a service with a simulator and further settings; close it in the end."""
    service = Service(directory, **environ)
    try:
        service.start()
    except BaseException:
        service.simulator.kill()
        raise
    return service


def wait_until_gone(pid: int, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Wait for a process that need not be our child to end."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":  # ended, and nobody has asked for its exit code yet
            return True
        time.sleep(0.05)
    return False


def _subscribe(query: str, variables: Mapping[str, object]) -> dict[str, Any]:
    return {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}}


def _open(method: str, url: str, body: bytes) -> Any:
    from urllib.request import Request, urlopen

    request = Request(url, data=body, method=method, headers={"Content-Type": "application/json"})
    return urlopen(request, timeout=10)
