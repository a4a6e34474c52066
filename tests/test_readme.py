"""The README is code too: what it shows to copy runs, and what it names exists."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path

import pytest
from graphql import parse, validate

import gql_epoint.epoint
from gql_epoint.epoint import OPERATIONS
from gql_epoint.schema import build_schema

README = Path(__file__).parents[1] / "README.md"
SCHEMA = build_schema()


def blocks(language: str) -> list[str]:
    """Return the code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("document", blocks("graphql"), ids=lambda text: text.split()[1])
def test_graphql_of_the_readme_is_valid(document: str) -> None:
    """Whoever copies an operation can send it."""
    assert validate(SCHEMA._schema, parse(document)) == []  # noqa: SLF001


def test_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The dry run prints what would be sent, and sends nothing."""
    (source,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(source, str(README), "exec"), names)

    printed = capsys.readouterr().out
    assert printed.startswith("/api/1/request {'public_key': 'i000000001', 'amount': '25.50'")
    assert inspect.iscoroutinefunction(names["pay"])


def test_operations_table_is_complete() -> None:
    """Each path of EPoint that the service speaks has its row, with the right word about callbacks."""
    rows = re.findall(
        r"^\| (.+?) \| `(/api/1/[a-z/-]+)` \| (.+?) \|$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    told = {path: "callback follows" in result for _, path, result in rows}

    assert told == {operation.path: operation.has_callback for operation in OPERATIONS.values()}


def test_every_name_of_integrify_epoint_is_mapped() -> None:
    """Whoever comes from the SDK finds each of its calls, and what is promised for it exists here."""
    text = README.read_text(encoding="utf-8").split("## From integrify-epoint")[1].split("\n## ")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The SDK complains of missing keys when it is imported.
        from integrify.epoint.client import EPointClientClass
    calls = list(EPointClientClass(sync=True).urls)
    assert [name for name in calls if f"`.{name}" not in text] == []

    promised = re.findall(r"gateway\.(?:call|preview)\((\w+), (\w+)\(", text) + re.findall(
        r"`gql_epoint\.epoint\.(\w+)`", text
    )
    names = {name for found in promised for name in (found if isinstance(found, tuple) else (found,))}
    assert {name for name in names if not hasattr(gql_epoint.epoint, name)} == set()
