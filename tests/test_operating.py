"""The page for operators and the container files say nothing that is not so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gql_epoint.cli.main import command_names
from gql_epoint.settings import SETTINGS
from gql_epoint.store.postgres.connecting import PostgresLimits
from gql_epoint.web.metrics import Metrics, metrics_table

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "gql_epoint" / "docs" / "operating.md"
CONTAINER = ROOT / ".ci" / "container"
NAMES = {row.name for row in SETTINGS}
FILES = [GUIDE, CONTAINER / "Containerfile", CONTAINER / "compose.yaml"]


def blocks(language: str) -> list[Any]:
    """The code blocks of the guide in one language, read."""
    return [yaml.safe_load(text) for text in re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)]


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((CONTAINER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def containerfile() -> str:
    return (CONTAINER / "Containerfile").read_text()


def test_the_guide_has_every_metric() -> None:
    """The table is `gql_epoint.web.metrics.metrics_table()`."""
    found = re.search(r"<!-- metrics -->\n(.*?)\n<!-- /metrics -->", GUIDE.read_text(), re.DOTALL)

    assert found
    assert found[1] == metrics_table()


def test_alerts_are_about_metrics_that_exist() -> None:
    """Each has a name and an expression, and every metric in it is one of ours."""
    figures = Metrics(lambda: 0)
    known = {sample.name for family in figures.registry.collect() for sample in family.samples}
    known |= {f"{family.name}_count" for family in figures.registry.collect() if family.type == "histogram"}
    _, alerts = blocks("yaml")
    rules = alerts["groups"][0]["rules"]

    assert {name for rule in rules for name in re.findall(r"gql_epoint_\w+", rule["expr"])} <= known
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 6
    told = set(re.findall(r"^\| (\w+) \| ", GUIDE.read_text(), re.MULTILINE))
    assert {"MoneyInDoubt", "ReviewNeeded", "UnmatchedCallbacks", "BadSignatures"} <= told


def test_whatever_waits_for_a_person_pages_one() -> None:
    """A kind of which nothing needs a person is named here, and the guide says why."""
    _, alerts = blocks("yaml")
    named = " ".join(rule["expr"] for rule in alerts["groups"][0]["rules"])
    waiting = re.findall(r"`(gql_epoint_(?:indeterminate|review|unmatched)_\w+)`", metrics_table())

    assert {figure for figure in waiting if figure not in named} == {"gql_epoint_indeterminate_invoices"}
    assert "Indeterminate invoices page nobody" in GUIDE.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_settings_and_commands_that_are_named_exist(file: Path) -> None:
    text = file.read_text()

    assert set(re.findall(r"\b(?:GQL_)?EPOINT_[A-Z_]+", text)) <= NAMES
    assert set(re.findall(r"`gql-epoint (\w+)", text)) <= set(command_names())


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE.read_text())

    assert links
    assert [link for link in links if not (GUIDE.parent / link).exists()] == []
    assert "(gql_epoint/docs/operating.md)" in (ROOT / "README.md").read_text()


def test_what_the_guide_tells_of_the_api_is_in_the_schema() -> None:
    schema, text = (ROOT / "schema.graphql").read_text(), GUIDE.read_text()

    for name in [*re.findall(r"`(\w+)\(", text), "resolveTransaction", "resolveRefund"]:
        assert re.search(rf"^  {name}\(", schema, re.MULTILINE), name
    for name in ("statusIn", "dispositionIn"):
        assert (name in text) <= (f"  {name}:" in schema)


# -- containers -----------------------------------------------------------------------------------------------


def test_what_the_container_copies_exists(containerfile: str) -> None:
    """And is not left out of what the build is given."""
    copied = [line.split()[1:-1] for line in containerfile.splitlines() if re.match(r"COPY (?!--from)", line)]
    ignored = (CONTAINER / "Containerfile.dockerignore").read_text().splitlines()

    sources = [source for line in copied for source in line]
    assert "gql_epoint" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored


def test_the_container_has_no_root_and_can_be_asked_how_it_is(containerfile: str) -> None:
    last = containerfile.split("\nFROM ")[-1]

    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "/healthz" in last
    assert 'ENTRYPOINT ["gql-epoint"]' in last
    assert "EXPOSE 8080" in last
    assert "GQL_EPOINT_PORT=8080" in last


def test_the_nodes_are_hardened_and_wait_for_the_database(compose: Any) -> None:
    """Two nodes and who migrates for them: nothing to write on, no privileges, and time to finish calls."""
    services = compose["services"]
    ours = {name: service for name, service in services.items() if service["image"] == "gql-epoint"}

    assert set(ours) == {"migrate", "node-1", "node-2"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["stop_grace_period"] == "60s"
        assert set(service["depends_on"]) <= set(services)
        assert set(service["environment"]) <= NAMES
        assert (CONTAINER / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    assert ours["migrate"]["command"] == ["migrate"]
    assert all(port.startswith("127.0.0.1:") for name in ("node-1", "node-2") for port in ours[name]["ports"])
    assert "healthcheck" in services["database"]


def test_secrets_of_the_compose_file_must_be_given(compose: Any) -> None:
    """None has a default that somebody could forget to change."""
    environment = compose["services"]["node-1"]["environment"]

    for name in ("EPOINT_PUBLIC_KEY", "EPOINT_PRIVATE_KEY", "GQL_EPOINT_SECRET_KEYS"):
        assert environment[name].startswith(f"${{{name}:?")
    assert "${POSTGRES_PASSWORD:?" in environment["GQL_EPOINT_DATABASE_URL"]


def test_the_number_of_connections_is_as_the_guide_says() -> None:
    limits = PostgresLimits()

    assert f"at most {limits.writers + limits.readers + 1} connections" in GUIDE.read_text()
