from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from graphql import OperationDefinitionNode, build_schema, parse, validate
from graphql.execution.values import get_variable_values
from starlette.applications import Starlette

from gql_epoint.web import explorer_page as module
from gql_epoint.web.explorer_page import (
    BUNDLE,
    EXPLORER_CSP,
    SANDBOX_TABS,
    TABS,
    explorer_assets,
    explorer_page,
    explorer_tabs,
)

ROOT = Path(__file__).parent.parent
SOURCES = Path(module.__file__).parent / "explorer"
SCHEMA = ROOT / "schema.graphql"
BUILD = json.loads((BUNDLE / "build.json").read_text())
TAB_FILES = sorted(TABS.glob("*.graphql"))
SANDBOX_TAB_FILES = sorted(SANDBOX_TABS.glob("*.graphql"))

tab_files = pytest.mark.parametrize("path", TAB_FILES + SANDBOX_TAB_FILES, ids=lambda path: path.stem)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """The same as `hashes` in explorer/build/manifest.js."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: sha256(path.read_bytes()) for name, path in sorted(files.items()) if "node_modules" not in path.parts
    }


class References(HTMLParser):
    """Collect what a page loads by itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.root: dict[str, str | None] = {}
        self.inline_scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "script" and "src" not in attributes:
            self.inline_scripts += 1
        if tag != "a":
            self.urls += [url for name in ("src", "href", "srcset", "data") if (url := attributes.get(name))]
        if attributes.get("id") == "explorer":
            self.root = attributes


def test_the_bundle_is_as_new_as_its_sources() -> None:
    """A change under web/explorer without `make explorer` fails here."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in hashes(SOURCES).items())

    assert sha256(lines.encode()) == BUILD["sources"], "web/static/explorer is stale: run `make explorer`"


def test_the_bundle_is_complete_and_was_not_changed_by_hand() -> None:
    """Every file is the one the build wrote, and there is no other."""
    found = hashes(BUNDLE)
    del found["build.json"]

    assert BUILD["files"] == found


def test_the_lockfile_pins_versions_and_names_no_address() -> None:
    """Any mirror can serve the packages; their hashes decide."""
    packages = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}

    assert not [name for name, package in installed.items() if "resolved" in package]
    assert not [name for name, package in installed.items() if "integrity" not in package]


def test_every_direct_dependency_has_an_exact_version() -> None:
    manifest = json.loads((SOURCES / "package.json").read_text())
    versions = manifest["dependencies"] | manifest["devDependencies"]

    assert {
        name: version for name, version in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)
    } == {}


def test_what_the_page_references_exists_and_is_ours() -> None:
    references = References((BUNDLE / "index.html").read_text())
    outside = [url for url in references.urls if not url.startswith(("/explorer/", "data:"))]
    missing = [
        url
        for url in references.urls
        if url.startswith("/explorer/") and not (BUNDLE / url.removeprefix("/explorer/")).is_file()
    ]

    assert any(url.endswith(".js") for url in references.urls)
    assert outside == []
    assert missing == []
    assert references.inline_scripts == 0


def test_no_style_sheet_loads_anything_from_elsewhere() -> None:
    for path in BUNDLE.glob("assets/*.css"):
        text = path.read_text()

        assert re.findall(r"@import[^;]{0,80}", text) == [], path.name
        assert re.findall(r"url\(\s*['\"]?(?!data:|#|/explorer/|\./)[^)]{0,80}", text) == [], path.name


def test_no_script_loads_another_from_elsewhere() -> None:
    """Addresses in texts are fine; importing, starting a worker or fetching from one is not."""
    loads = re.compile(
        r"""(?:import\s*\(?|from|importScripts\(|Worker\(|fetch\()\s*["'`](?:https?:|wss?:)?//[^"'`]{0,80}"""
    )
    for path in BUNDLE.glob("assets/*.js"):
        assert loads.findall(path.read_text()) == [], path.name


def test_the_bundle_has_no_source_maps_and_a_reasonable_size() -> None:
    sizes = {path.name: path.stat().st_size for path in BUNDLE.rglob("*") if path.is_file()}

    assert not [name for name in sizes if name.endswith(".map")]
    assert sum(sizes.values()) < 8_000_000


def test_licenses_name_what_is_bundled() -> None:
    text = (BUNDLE / "LICENSES.txt").read_text()

    for name in ("graphiql 5.", "monaco-editor 0.", "react 19.", "graphql 16.", "graphql-ws 6.", "prettier 3."):
        assert f"\n{name}" in text


def test_the_page_says_what_the_service_is() -> None:
    headers = {"Authorization": 'Bearer sk_"sandbox"_<&>'}
    root = References(explorer_page(endpoint="/graphql", headers=headers, sandbox=True)).root

    assert root["data-endpoint"] == "/graphql"
    assert headers == json.loads(root["data-headers"] or "")
    assert root["data-sandbox"] == "true"
    tabs = explorer_tabs(sandbox=True)
    assert [tab.query for tab in tabs] == [tab["query"] for tab in json.loads(root["data-tabs"] or "")]


def test_outside_the_sandbox_the_page_holds_no_credential() -> None:
    root = References(explorer_page(endpoint="/graphql", headers={}, sandbox=False)).root

    assert root["data-headers"] == ""
    assert root["data-sandbox"] == "false"
    assert "simulator" not in (root["data-tabs"] or "")
    with pytest.raises(AssertionError):
        explorer_page(endpoint="/graphql", headers={"Authorization": "Bearer sk_live"}, sandbox=False)


def test_nothing_in_the_attributes_can_leave_them() -> None:
    """Even an endpoint that looks like markup or like another attribute stays text."""
    hostile = '"><script>alert(1)</script><p data-headers="" data-x="'
    root = References(explorer_page(endpoint=hostile, headers={}, sandbox=False)).root

    assert hostile == root["data-endpoint"]
    assert root["data-headers"] == ""


def test_the_policy_allows_no_foreign_origin_and_no_inline_script() -> None:
    policy = {name: sources for name, *sources in (part.split() for part in EXPLORER_CSP.split("; "))}
    allowed = {source for sources in policy.values() for source in sources}

    assert {"'none'", "'self'", "data:", "'unsafe-inline'"} == allowed
    assert policy["default-src"] == ["'none'"]
    assert ["'self'"] == policy["script-src"] == policy["worker-src"] == policy["connect-src"]


@pytest.fixture
async def client() -> httpx.AsyncClient:
    app = Starlette(routes=[explorer_assets()])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop.test")


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip, deflate, br", "gzip"),
        ("br;q=1, gzip;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_assets_come_compressed_to_whoever_accepts_it(
    client: httpx.AsyncClient, accept: str, encoding: str | None
) -> None:
    path = max(BUNDLE.glob("assets/*.js"), key=lambda file: file.stat().st_size)
    async with client:
        response = await client.get(f"/explorer/assets/{path.name}", headers={"Accept-Encoding": accept})

    assert response.status_code == 200
    assert encoding == response.headers.get("content-encoding")
    assert response.headers["vary"] == "Accept-Encoding"
    assert path.read_bytes() == response.content


async def test_assets_may_be_kept_for_ever_and_scripts_are_scripts(client: httpx.AsyncClient) -> None:
    async with client:
        for url in References((BUNDLE / "index.html").read_text()).urls:
            if not url.startswith("/explorer/"):
                continue
            response = await client.get(url)

            assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["content-security-policy"] == EXPLORER_CSP
            kind = "text/css" if url.endswith(".css") else "text/javascript"
            assert response.headers["content-type"].startswith(kind)


async def test_every_file_of_the_bundle_has_a_media_type(client: httpx.AsyncClient) -> None:
    names = [name for name in BUILD["files"] if name != "index.html"]
    async with client:
        statuses = {name: (await client.get(f"/explorer/{name}")).status_code for name in names}

    assert dict.fromkeys(names, 200) == statuses


@pytest.mark.parametrize(
    "path",
    ["index.html", "build.json", "assets/", "assets/../index.html", "assets/%2e%2e/%2e%2e/%2e%2e/__init__.py", ""],
)
async def test_nothing_but_the_files_of_the_bundle_is_served(client: httpx.AsyncClient, path: str) -> None:
    async with client:
        response = await client.get(f"/explorer/{path}")

    assert response.status_code == 404


def test_tabs_are_numbered_without_gaps() -> None:
    for files in (TAB_FILES, SANDBOX_TAB_FILES):
        numbers = [int(path.stem.split("-")[0]) for path in files]

        assert list(range(1, len(files) + 1)) == numbers


def test_every_variables_file_belongs_to_a_tab() -> None:
    for folder, files in ((TABS, TAB_FILES), (SANDBOX_TABS, SANDBOX_TAB_FILES)):
        assert {path.stem for path in folder.glob("*.json")} <= {path.stem for path in files}


@tab_files
def test_a_tab_teaches_and_holds_one_named_operation(path: Path) -> None:
    """GraphiQL takes the tab's title from the operation's name; its first line says the same number as the file."""
    text = path.read_text()
    (operation,) = parse(text).definitions

    assert isinstance(operation, OperationDefinitionNode)
    assert operation.name is not None
    which = "Sandbox " if path in SANDBOX_TAB_FILES else ""
    assert text.startswith(f"# {which}{int(path.stem.split('-')[0])}. ")
    assert bool(operation.variable_definitions) == path.with_suffix(".json").exists()


@tab_files
def test_a_tab_that_moves_money_brings_a_good_key(path: Path) -> None:
    """A key too short would be refused, and one shared by two tabs would never reach the second."""
    keys = re.findall(r'"idempotencyKey": "(.*)"', "".join(file.read_text() for file in TABS.glob("*.json")))
    own = re.findall(r'"idempotencyKey": "(.*)"', tab_variables(path))

    assert all(re.fullmatch(r"[!-~]{16,255}", key) for key in own)
    assert len(set(keys)) == len(keys)


@pytest.mark.skipif(not SCHEMA.exists(), reason="schema.graphql has not been generated yet")
@tab_files
def test_a_tab_fits_the_schema(path: Path) -> None:
    """The document is valid, and its variables can be coerced."""
    schema = build_schema(SCHEMA.read_text())
    document = parse(path.read_text())
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)

    assert [str(error) for error in validate(schema, document)] == []
    coerced = get_variable_values(
        schema, operation.variable_definitions or (), json.loads(tab_variables(path) or "{}")
    )
    assert not isinstance(coerced, list), [str(error) for error in coerced]


def tab_variables(path: Path) -> str:
    variables = path.with_suffix(".json")
    return variables.read_text() if variables.exists() else ""
