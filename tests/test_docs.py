"""The guides say nothing that is not so: documents are valid, code is code that runs, what they name exists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType, parse, validate

from gql_epoint.schema import build_schema
from gql_epoint.settings import SETTINGS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "gql_epoint" / "docs"
FRONTEND = DOCS / "frontend.md"
SECURITY = DOCS / "security.md"
GUIDES = sorted(DOCS.glob("*.md"))
SCHEMA = build_schema()._schema  # noqa: SLF001

guides = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)


def snippets() -> list[tuple[str, str]]:
    """Return the JavaScript of the frontend guide: where it is from, as its comment says, and the code."""
    return re.findall(r"<!-- (.*?) -->\n```js\n(.*?)```", FRONTEND.read_text(), re.DOTALL)


def plain_module() -> str:
    """Return the snippet with plain modules; tests/browser/test_docs.py runs it."""
    return next(code for source, code in snippets() if source == "run by tests/browser/test_docs.py")


def documents(code: str) -> list[str]:
    """Return the GraphQL in JavaScript's template strings, with what is put into them from other ones."""
    parts = dict(re.findall(r"const (\w+) = (?:gql)?`(.*?)`", code, re.DOTALL))
    whole = [re.sub(r"\$\{(\w+)\}", lambda found: parts[found[1]], text) for text in parts.values()]
    return [text for text in whole if re.match(r"\s*(query|mutation|subscription) ", text)]


def test_the_guide_s_code_is_what_the_tests_run() -> None:
    """Each snippet is a whole file that Node runs against the service, or the one that a browser runs."""
    for source, code in snippets():
        if source != "run by tests/browser/test_docs.py":
            assert code == (ROOT / source).read_text(), source
    assert len(snippets()) == FRONTEND.read_text().count("```js") == 5


@pytest.mark.parametrize(("source", "code"), snippets(), ids=lambda text: text.split("\n")[0][-30:])
def test_graphql_of_the_snippets_is_valid(source: str, code: str) -> None:
    found = documents(code)

    assert [error.message for text in found for error in validate(SCHEMA, parse(text))] == []
    assert len(found) == {"server": 3, "delivery": 1, "urql": 2, "apollo": 2}.get(
        re.sub(r".*_|\.mjs$", "", source), 0
    )


@guides
def test_graphql_blocks_are_valid(guide: Path) -> None:
    for text in re.findall(r"```graphql\n(.*?)```", guide.read_text(), re.DOTALL):
        assert validate(SCHEMA, parse(text)) == []


@guides
def test_settings_exist(guide: Path) -> None:
    known = {row.name for row in SETTINGS}

    assert set(re.findall(r"GQL_EPOINT_\w+", guide.read_text())) - known == set()


@guides
def test_links_lead_somewhere(guide: Path) -> None:
    """Relative ones, and headings of the same page."""
    text = guide.read_text()
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (guide.parent / target.partition("#")[0]).exists(), target


def test_words_of_the_contract_exist() -> None:
    """Statuses, codes, scopes and categories are of the schema, or of the transports."""
    words = {name for kind in SCHEMA.type_map.values() if isinstance(kind, GraphQLEnumType) for name in kind.values}
    transports = {"UNAUTHENTICATED", "FORBIDDEN", "DOCUMENT_LIMIT", "ONE_MONEY_FIELD", "RATE_LIMITED"}
    for guide in (FRONTEND, SECURITY):
        used = set(re.findall(r"`(?!GQL_EPOINT)([A-Z]+(?:_[A-Z]+)*)`", guide.read_text()))
        assert used - words - transports - {"GET", "POST"} == set(), guide


def test_every_state_of_the_contract_has_its_row() -> None:
    """The table of what to show has each status of transactions and of checkouts."""
    table = FRONTEND.read_text().split("## What to show")[1].split("\n## ")[0]
    statuses = {word for kind in ("TransactionStatus", "CheckoutStatus") for word in SCHEMA.type_map[kind].values}

    assert statuses - set(re.findall(r"`([A-Z_]+)`", table)) == set()


def test_every_proof_exists() -> None:
    """Each rule of the security page names tests, in this folder or of the browser, and they are there."""
    text = SECURITY.read_text()
    named = re.findall(r"`((?:browser/)?test_\w+\.py)::(test_\w+)`", text)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
    ]
    threats = text.split("## Threats")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!Threat|---)(.*) \|$", threats, re.MULTILINE)

    assert missing == []
    assert len(named) == text.count("::test_")
    assert [row for row in rows if "::test_" not in row.rpartition("| ")[2]] == []
    assert len(rows) >= 45


def test_no_field_takes_a_card_number() -> None:
    """Cards are entered on EPoint's page alone, so nothing here has to be kept as card numbers have to be."""
    taken = {
        name.lower()
        for kind in SCHEMA.type_map.values()
        for place in (*([kind] if isinstance(kind, GraphQLInputObjectType) else []), *arguments(kind))
        for name in place.fields
    }

    assert len(taken) > 50
    assert [name for name in taken if re.search(r"pan$|cardnumber|cvv|cvc|expiry|securitycode", name)] == []


@dataclass
class Arguments:
    """The arguments of one field, like the fields of an input."""

    fields: dict[str, object]


def arguments(kind: object) -> list[Arguments]:
    fields = kind.fields.values() if isinstance(kind, GraphQLObjectType) else ()
    return [Arguments(dict(field.args)) for field in fields]
