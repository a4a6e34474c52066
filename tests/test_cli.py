from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from gql_epoint.cli.main import Commands, _parser
from gql_epoint.keys import DEVELOPMENT_KEY, digest_of, is_intact, parse_keys
from gql_epoint.schema import schema_text
from gql_epoint.settings import DOCUMENTATION_PRIVATE_KEY, SETTINGS, Settings, settings_table
from gql_epoint.store.queries import load_migrations
from tests.ports import hold_port, port_of
from tests.postgres import new_database
from tests.service import Process, Service, wait_until_gone
from tests.shop import PAY, new_order, pay, payment

COMMAND = [sys.executable, "-m", "gql_epoint.cli"]
LIVE = {
    "EPOINT_PUBLIC_KEY": "i000000001",
    "EPOINT_PRIVATE_KEY": "0123456789abcdefghij",
    "GQL_EPOINT_SECRET_KEYS": f"shop:PAYMENTS_READ:{digest_of('sk_live_x')}",
}


def environment(**environ: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "EPOINT_" not in name} | environ


def run(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an empty folder."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment(**environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


# -- settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_wrong_setting_is_one_sentence_and_exit_code_2(tmp_path: Path, command: str) -> None:
    """Never a traceback, and never the value."""
    done = run(tmp_path, command, **LIVE | {"EPOINT_PRIVATE_KEY": DOCUMENTATION_PRIVATE_KEY})

    assert done.returncode == 2
    assert re.fullmatch(r"gql-epoint: EPOINT_PRIVATE_KEY: is the example key .*\n", done.stderr)
    assert DOCUMENTATION_PRIVATE_KEY not in done.stdout + done.stderr


def test_several_wrong_settings_point_to_check(tmp_path: Path) -> None:
    serve = run(tmp_path, "serve")
    check = run(tmp_path, "check")

    assert serve.stderr.startswith("gql-epoint: 3 settings would not work; `gql-epoint check` lists them.")
    assert [line.split(": ")[1] for line in check.stderr.splitlines()] == list(LIVE)


def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    for command in ("check", "serve"):
        done = run(tmp_path, command, **LIVE, GQL_EPOINT_DATABASE_URL="sqlite:///missing/x.db", GQL_EPOINT_PORT="0")

        assert done.returncode == 2
        assert re.fullmatch(r"gql-epoint: GQL_EPOINT_DATABASE_URL: .*missing/x\.db.*\.\n", done.stderr)


def test_a_database_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    """It may be a matter of time, so the exit code is another one."""
    url = "postgresql://postgres:hush@127.0.0.1:9/books"
    for command in ("check", "serve"):
        done = run(tmp_path, command, **LIVE, GQL_EPOINT_DATABASE_URL=url, GQL_EPOINT_PORT="0")

        assert done.returncode == 1
        assert re.fullmatch(
            r"gql-epoint: GQL_EPOINT_DATABASE_URL: the database cannot be used now: .*\.\n", done.stderr
        )
        assert "hush" not in done.stdout + done.stderr


def test_books_of_the_other_mode_are_refused(tmp_path: Path) -> None:
    """A sandbox never writes into live books, nor the other way."""
    database = "sqlite:///books.db"
    assert run(tmp_path, "migrate", **LIVE, GQL_EPOINT_DATABASE_URL=database).returncode == 0

    for command in ("check", "migrate"):
        refused = run(tmp_path, command, GQL_EPOINT_SANDBOX="1", GQL_EPOINT_DATABASE_URL=database)
        assert (refused.returncode, "holds live books" in refused.stderr) == (2, True)
    done = run(tmp_path, "serve", GQL_EPOINT_SANDBOX="1", GQL_EPOINT_DATABASE_URL=database, GQL_EPOINT_PORT="0")

    assert done.returncode == 2
    assert "holds live books and this is sandbox mode" in done.stderr


def test_check_shows_settings_and_no_secret(tmp_path: Path) -> None:
    done = run(tmp_path, "check", **LIVE)

    assert done.returncode == 0
    shown = [line.split() for line in done.stdout.splitlines()]
    assert ["EPOINT_PRIVATE_KEY", "set", "***"] in shown
    assert ["GQL_EPOINT_PORT", "default", "8080"] in shown
    assert done.stdout.endswith("makes its tables.\nThe service would start.\n")
    for secret in (LIVE["EPOINT_PRIVATE_KEY"], LIVE["GQL_EPOINT_SECRET_KEYS"]):
        assert secret not in done.stdout + done.stderr


def test_migrate_says_what_it_did_and_check_what_it_would_do(tmp_path: Path) -> None:
    """A look changes nothing, and a second migration has nothing to do."""
    known = len(load_migrations("gql_epoint.store.sqlite"))

    said = [
        run(tmp_path, command, **LIVE).stdout.splitlines() for command in ("check", "migrate", "check", "migrate")
    ]

    assert said[0][-2] == "The database is empty; `gql-epoint migrate`, or the first start, makes its tables."
    assert said[1] == [f"The database is up to date: it had 0 of {known} migrations, now it has all."]
    assert said[2][-2] == f"The database is up to date: {known} of {known} migrations."
    assert said[3] == [f"Nothing to do: the database has had all {known} migrations."]


# -- upkeep ---------------------------------------------------------------------------------------------------


async def test_a_backup_of_a_running_service_can_be_opened_and_served(start_service: Any, tmp_path: Path) -> None:
    """Put back, it knows the payment and its key, and goes on with it."""
    service: Service = start_service()
    order = new_order()
    sandbox = {"GQL_EPOINT_SANDBOX": "1", "GQL_EPOINT_DATABASE_URL": f"sqlite:///{service.database}"}
    async with service.client() as client:
        transaction = await pay(client, order)
    done = run(tmp_path, "backup", "books.db", **sandbox)
    service.stop()
    for file in service.directory.glob("service.db*"):
        file.unlink()
    backup = tmp_path / "books.db"
    restored = sandbox | {"GQL_EPOINT_DATABASE_URL": f"sqlite:///{backup}"}
    checked = run(tmp_path, "check", **restored)
    mode = backup.stat().st_mode & 0o777
    backup.rename(service.database)
    service.start()
    async with service.client() as client:
        again = (await client.data(PAY, input=payment(order)))["pay"]

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("books.db holds the books as of now, checked, in ")
    assert "The database is up to date" in checked.stdout
    assert mode == 0o600
    assert (again["replayed"], again["transaction"]["id"]) == (True, transaction["id"])


def test_a_backup_replaces_nothing_and_needs_books(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("precious")
    no_books = run(tmp_path, "backup", "new", **LIVE)
    assert run(tmp_path, "migrate", **LIVE).returncode == 0
    taken = run(tmp_path, "backup", "taken", **LIVE)
    nowhere = run(tmp_path, "backup", "missing/new", **LIVE)

    assert [done.returncode for done in (no_books, taken, nowhere)] == [2, 2, 2]
    assert "holds no books yet" in no_books.stderr
    assert "a backup replaces nothing" in taken.stderr
    assert (tmp_path / "taken").read_text() == "precious"
    assert not (tmp_path / "new").exists()


def test_a_backup_of_postgresql_is_told_how(tmp_path: Path) -> None:
    """With its own tools, and without showing the password."""
    url = "postgresql://postgres:hush@127.0.0.1:9/books"
    done = run(tmp_path, "backup", "books.dump", **LIVE, GQL_EPOINT_DATABASE_URL=url)

    assert done.returncode == 1
    assert 'pg_dump --format=custom --file=books.dump "$GQL_EPOINT_DATABASE_URL"' in done.stderr
    assert "hush" not in done.stderr


async def test_erasing_works_beside_a_running_service(start_service: Any, tmp_path: Path) -> None:
    service: Service = start_service()
    async with service.client() as client:
        await pay(client, new_order())
        environ = {"GQL_EPOINT_SANDBOX": "1", "GQL_EPOINT_DATABASE_URL": f"sqlite:///{service.database}"}
        erased = run(tmp_path, "erase", "--older-than", "1", **environ)
        dry = run(tmp_path, "erase", "--older-than", "1", "--dry-run", **environ)
        await pay(client, new_order())

    assert erased.stdout.startswith(
        "Erased personal data of 0 transactions, 0 refunds, 0 saved cards, 0 callbacks, "
        "0 transfers to businesses and 0 invoices"
    )
    assert dry.stdout.startswith("Would erase personal data of 0 transactions")


def test_erasing_wants_a_number_of_days_and_migrated_books(tmp_path: Path) -> None:
    for days in ("0", "-1", "soon"):
        assert run(tmp_path, "erase", "--older-than", days, **LIVE).returncode == 2
    done = run(tmp_path, "erase", "--older-than", "30", **LIVE)

    assert (done.returncode, "lacks migrations" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_look_leaves_no_file(tmp_path: Path) -> None:
    assert run(tmp_path, "check", **LIVE).returncode == 0
    assert list(tmp_path.iterdir()) == []


async def test_migrations_of_postgresql_are_told_as_well(tmp_path: Path) -> None:
    async with new_database() as url:
        environ = LIVE | {"GQL_EPOINT_DATABASE_URL": url}
        said = [run(tmp_path, command, **environ).stdout for command in ("check", "migrate", "check")]

    assert "The database is empty" in said[0]
    assert "it had 0 of" in said[1]
    assert "The database is up to date" in said[2]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({}, 0, "accepts the keys."),
        ({"EPOINT_PRIVATE_KEY": "0123456789abcdefghij"}, 1, "Signature did not match. EPOINT_PRIVATE_KEY is not"),
        ({"EPOINT_PUBLIC_KEY": "i000000009"}, 1, "Merchant not found. EPoint does not know EPOINT_PUBLIC_KEY."),
        (
            {"GQL_EPOINT_GATEWAY_URL": "http://127.0.0.1:9"},
            1,
            "gave no usable answer: no connection could be made.",
        ),
    ],
    ids=["good keys", "wrong private key", "unknown merchant", "nobody there"],
)
def test_check_asks_the_gateway(
    service: Service, tmp_path: Path, change: dict[str, str], code: int, words: str
) -> None:
    """By the status of a transaction that does not exist, which moves nothing."""
    environ = {"GQL_EPOINT_SANDBOX": "1", "GQL_EPOINT_GATEWAY_URL": service.simulator.url} | change

    done = run(tmp_path, "check", "--gateway", **environ)

    assert done.returncode == code
    assert words in done.stdout + done.stderr


def test_check_prints_the_table_of_the_readme(tmp_path: Path) -> None:
    assert run(tmp_path, "check", "--table").stdout.rstrip("\n") == settings_table()


# -- help, keys and schema ------------------------------------------------------------------------------------


def test_the_help_names_every_setting_and_shows_examples(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").stdout

    assert all(f"  {row.name}\n" in text for row in SETTINGS)
    for command in ("serve", "simulator", "sandbox", "cluster", "migrate", "backup", "erase", "schema", "check"):
        assert "example" in run(tmp_path, command, "--help").stdout
    assert "example" in run(tmp_path, "keys", "new", "--help").stdout


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--table"], ["migrate", "--help"]])
def test_a_question_does_not_load_the_service(tmp_path: Path, arguments: list[str]) -> None:
    """Who asks what there is waits for a tenth of a second and not for two."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gql_epoint.cli", *arguments],
        cwd=tmp_path,
        env=environment(**LIVE),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert "gql_epoint.cli.main" in done.stderr
    assert not re.search(r"\b(strawberry|graphql|aiohttp|uvicorn|starlette)$", done.stderr, re.MULTILINE)


def test_the_simulator_loads_no_service(tmp_path: Path) -> None:
    """It starts beside the service, which waits for it."""
    code = "import sys, gql_epoint.cli.simulating as simulating; print('strawberry' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert printed.stdout == "False\n"


def test_loading_a_command_is_not_held_up_by_the_garbage_collector(tmp_path: Path) -> None:
    """It would look at a hundred thousand objects that stay; whoever runs after that has a collector again."""
    code = """
import gc, sys
from gql_epoint.cli.main import _loaded
before = gc.get_stats()
command = _loaded("serving:serve")
print(command.__name__, gc.get_stats() == before, gc.isenabled(), gc.get_freeze_count() > 50_000)
"""
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert printed.stdout == "serve True True True\n"


def test_every_command_is_where_the_command_line_looks_for_it() -> None:
    """They are named by their place, which nothing else checks until one is run."""

    def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
        if parser.get_default("command"):
            yield parser.get_default("command")
        for action in parser._actions:  # noqa: SLF001
            if isinstance(action, Commands):
                for choice in action.choices.values():
                    yield from commands(choice)

    places = list(commands(_parser()))

    assert len(places) == 10
    assert all(callable(resolve_name(f"gql_epoint.cli.{place}")) for place in places)


def test_a_new_key_fits_its_line(tmp_path: Path) -> None:
    """The line goes into the setting as it is; the key is shown and stored nowhere."""
    done = run(tmp_path, "keys", "new", "--name", "shop-backend", "--scopes", "PAYMENTS_WRITE, PAYMENTS_READ")
    key, line = re.findall(r"^    (\S+)$", done.stdout, re.MULTILINE)

    (made,) = parse_keys(line)
    assert is_intact(key)
    assert (made.name, sorted(made.scopes), made.digest) == (
        "shop-backend",
        ["PAYMENTS_READ", "PAYMENTS_WRITE"],
        digest_of(key),
    )
    assert Settings.from_env(LIVE | {"GQL_EPOINT_SECRET_KEYS": line}).secret_keys == (made,)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "scopes", "words"),
    [("Shop Backend", "PAYMENTS_READ", "a name has 1 to 64"), ("shop", "EVERYTHING", "the scopes must be some of")],
)
def test_a_wrong_key_request_is_explained(tmp_path: Path, name: str, scopes: str, words: str) -> None:
    done = run(tmp_path, "keys", "new", "--name", name, "--scopes", scopes)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_the_schema_is_printed_and_compared(tmp_path: Path) -> None:
    (tmp_path / "good.graphql").write_text(schema_text())
    (tmp_path / "old.graphql").write_text(schema_text().replace("PaymentS", "Payment") + "\nscalar Old\n")

    assert run(tmp_path, "schema").stdout == schema_text()
    assert run(tmp_path, "schema", "--check", "good.graphql").returncode == 0
    assert run(tmp_path, "schema", "--check", "old.graphql").returncode == 1
    assert run(tmp_path, "schema", "--check", "missing.graphql").returncode == 2


# -- processes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "simulator", "sandbox"])
def test_a_taken_port_is_explained(tmp_path: Path, taken_port: int, command: str) -> None:
    """The sentence says what to type instead."""
    done = run(tmp_path, command, "--port", str(taken_port), GQL_EPOINT_SANDBOX="1")

    assert done.returncode == 2
    assert f"port {taken_port}: is taken; choose another, such as `gql-epoint {command} --port" in done.stderr


def test_a_taken_shop_port_is_explained(tmp_path: Path, taken_port: int) -> None:
    done = run(tmp_path, "sandbox", "--port", "0", "--shop-port", str(taken_port))

    assert done.returncode == 2
    assert f"port {taken_port}: is taken; choose another, such as `gql-epoint sandbox --shop-port" in done.stderr


def test_a_taken_simulator_port_stops_the_sandbox(tmp_path: Path, taken_port: int) -> None:
    done = run(tmp_path, "sandbox", "--port", "0", "--shop-port", "0", "--simulator-port", str(taken_port))

    assert done.returncode == 2
    assert f"port {taken_port}: is taken" in done.stderr
    assert "--simulator-port" in done.stderr


def test_a_service_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Its standard input ends, whatever killed the parent."""
    process = Process(
        tmp_path / "log",
        "serve",
        environ={"GQL_EPOINT_SANDBOX": "1", "GQL_EPOINT_DATABASE_URL": f"sqlite:///{tmp_path}/x.db"},
    )
    process.start()

    assert process.abandon() == 0


class Sandbox:
    """`gql-epoint sandbox` as `make run` starts it, and what it says."""

    def __init__(self, tmp_path: Path) -> None:
        self.log = (tmp_path / "log").open("w+")
        self.place = hold_port()
        port = str(port_of(self.place))
        self.process = subprocess.Popen(
            [*COMMAND, "sandbox", "--port", "0", "--shop-port", "0", "--simulator-port", port],
            cwd=tmp_path,
            env=environment(EPOINT_PRIVATE_KEY="a-real-key-that-is-set", EPOINT_PUBLIC_KEY="i000000009"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        while "Ctrl-C" not in self.said:
            line = self.process.stdout.readline()
            assert line, f"it ended:\n{self.said}\n{Path(self.log.name).read_text()}"
            self.said += line
        self.url = self.said.split()[3]
        self.simulator_url = re.findall(r"EPoint simulator +(\S+)", self.said)[0]
        self.shop_url = re.findall(r"Demo shop +(\S+)", self.said)[0]
        self.simulator_pid = child_of(self.process.pid)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        self.place.close()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path)
    yield running
    running.close()


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def get(url: str) -> int:
    with urlopen(url, timeout=10) as answer:
        return int(answer.status)


def test_a_sandbox_says_where_everything_is(sandbox: Sandbox) -> None:
    """Three addresses that answer, the key, and four things to try; real keys that are set do not reach it."""
    assert get(f"{sandbox.url}/readyz") == 200
    assert get(sandbox.simulator_url) == 200
    assert get(sandbox.shop_url) == 200
    assert DEVELOPMENT_KEY in sandbox.said
    assert [line.split()[0] for line in sandbox.said.splitlines() if re.match(r" +\d\. ", line)] == [
        "1.",
        "2.",
        "3.",
        "4.",
    ]


def test_the_pages_of_the_shop_alone_may_call_a_sandbox(sandbox: Sandbox) -> None:
    """Nobody has to set an origin to try it, and no other page may call because of that."""
    assert allowed_origin(f"{sandbox.url}/graphql", sandbox.shop_url) == sandbox.shop_url
    assert allowed_origin(f"{sandbox.url}/graphql", sandbox.simulator_url) is None


def allowed_origin(url: str, origin: str) -> str | None:
    """Ask as a browser does before it lets a page call, and return what the page may be."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    try:
        with urlopen(Request(url, method="OPTIONS", headers=headers), timeout=10) as answer:
            return answer.headers.get("Access-Control-Allow-Origin")
    except HTTPError as refused:
        return refused.headers.get("Access-Control-Allow-Origin")


def test_ctrl_c_stops_all_three(sandbox: Sandbox) -> None:
    started = time.monotonic()
    sandbox.process.send_signal(signal.SIGINT)

    assert sandbox.process.wait(20) == 0
    assert wait_until_gone(sandbox.simulator_pid)
    assert time.monotonic() - started < 10


def test_the_simulator_dies_with_a_sandbox_that_is_killed(sandbox: Sandbox) -> None:
    """No orphan keeps the port, not even after kill -9."""
    sandbox.process.send_signal(signal.SIGKILL)
    sandbox.process.wait(20)

    assert wait_until_gone(sandbox.simulator_pid)


def test_a_sandbox_without_its_simulator_ends(sandbox: Sandbox) -> None:
    os.kill(sandbox.simulator_pid, signal.SIGKILL)

    assert sandbox.process.wait(20) == 1
    assert "the simulator has stopped" in Path(sandbox.log.name).read_text()


# -- a cluster ------------------------------------------------------------------------------------------------


def test_a_cluster_shares_its_books_and_dies_with_its_parent(tmp_path: Path) -> None:
    """What one node took is known to the other, a node may die, and after a kill -9 nothing is left."""
    with contextlib.ExitStack() as stack:
        *ports, simulator = (str(port_of(stack.enter_context(hold_port()))) for _ in range(3))
        command = [*COMMAND, "cluster", "--ports", ",".join(ports), "--simulator-port", simulator]
        log = stack.enter_context((tmp_path / "log").open("w+"))
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        with process, process.stdout:
            said = ""
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, f"it ended:\n{said}\n{(tmp_path / 'log').read_text()}"
                said += line
            children = descendants_of(process.pid)
            urls = re.findall(r"Node \d +(\S+)", said)
            assert _graphql(urls[0], PAY_ONE)["pay"]["transaction"]["status"] == "REQUIRES_ACTION"
            assert _graphql(urls[1], STATUS_OF_ONE)["transaction"]["status"] == "REQUIRES_ACTION"
            os.kill(int(re.findall(r"pid (\d+)", said)[-1]), signal.SIGKILL)
            assert _graphql(urls[0], STATUS_OF_ONE)["transaction"]["status"] == "REQUIRES_ACTION"
            process.kill()
            assert len(children) >= 5
            assert all(map(wait_until_gone, children))


PAY_ONE = """mutation { pay(input: {
    idempotencyKey: "cluster-key-0001", orderId: "o-1", amount: {amount: "1.00", currency: AZN}
}) { transaction { status } } }"""
STATUS_OF_ONE = """{ transaction(by: {orderId: "o-1"}) { status } }"""


def _graphql(url: str, query: str) -> Any:
    headers = {"Authorization": f"Bearer {DEVELOPMENT_KEY}", "Content-Type": "application/json"}
    request = Request(url, data=json.dumps({"query": query}).encode(), headers=headers)
    with urlopen(request, timeout=20) as answer:
        return json.load(answer)["data"]


def descendants_of(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in descendants_of(child)]
