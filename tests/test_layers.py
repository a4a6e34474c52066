"""Imports go one way, the core does no I/O, and only one place reads the environment: proved from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "gql_epoint"
ROOT = Path(__file__).parent.parent / PACKAGE
SOURCES = sorted(path for path in ROOT.rglob("*.py") if "node_modules" not in path.parts)

# From the outside to the inside. Each may import what stands further down, and itself. `live` knows the wake-ups
# that a store sends, so it stands above it.
LAYERS = ["cli", "web", "schema", "cashier", "gateway", "simulator_control", "live", "store", "ledger", "epoint"]

# Known to everybody; they know only each other.
LEAVES = {
    "compiled": {"compiled"},
    "correlation": set[str](),
    "deadlines": set[str](),
    "errors": set[str](),
    "keys": set[str](),
    "owned": set[str](),
    "points": set[str](),
    "redaction": set[str](),
    "setting_values": set[str](),
    "tracing": {"redaction"},
    "settings": {"errors", "keys", "points", "setting_values"},
}

# What is next to each other and must not know each other, though the order above would let it.
APART = {
    *{("gateway", "live"), ("gateway", "store"), ("live", "ledger"), ("live", "epoint")},
    # The sandbox plays with the simulator from beside everything that moves money.
    *{("cashier", "simulator_control"), ("gateway", "simulator_control")},
    *{("simulator_control", other) for other in ("live", "store", "ledger", "epoint")},
}

# The simulator shares the wire and nothing else: logic on both sides could not catch its own mistakes.
SIMULATOR = {"epoint", "errors"}

# The demo shop knows the service by its address alone, like any other shop.
SHOP = set[str]()

# Errors name a transaction in a type, which is gone when the program runs.
TYPES_ONLY = {("errors", "ledger")}

# No files, sockets, clocks, tasks or chance.
PURE = {
    "__future__",
    "base64",
    "binascii",
    "collections",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "json",
    "math",
    "msgspec",
    "re",
    "typing",
    "types",
    "urllib.parse",
    "datetime",
    "itertools",
}


class Import:
    """One imported module, and where."""

    def __init__(self, path: Path, module: str, line: int, *, types_only: bool, at_start: bool) -> None:
        self.place = f"{path.relative_to(ROOT.parent)}:{line}"
        self.importer = part_of(path)
        self.module = module
        self.types_only = types_only
        self.at_start = at_start

    @property
    def ours(self) -> bool:
        return self.module.split(".")[0] == PACKAGE

    @property
    def imported(self) -> str:
        """The part of the package that is imported."""
        return ".".join(self.module.split(".")[1:2])


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    late = {id(child) for node in ast.walk(tree) if isinstance(node, functions) for child in ast.walk(node)}
    guarded = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            # `from gql_epoint.epoint import signing` may name a module.
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            yield Import(path, module, node.lineno, types_only=id(node) in guarded, at_start=id(node) not in late)


def allowed(part: str) -> set[str]:
    """The parts that a part may import."""
    if part == "__init__":
        return set()
    if part in LEAVES:
        return LEAVES[part]
    if part == "simulator":
        return SIMULATOR | {"simulator"}
    if part == "shop":
        return SHOP | {"shop"}
    below = set(LAYERS[LAYERS.index(part) :]) | set(LEAVES)
    return (below | {"simulator", "shop"} if part == "cli" else below) - {
        other for one, other in APART if one == part
    }


EVERY_IMPORT = [found for path in SOURCES for found in imports(path)]


def test_every_part_has_its_place() -> None:
    """A new module says where it belongs before it lands."""
    known = {"__init__", "simulator", "shop", *LAYERS, *LEAVES}

    assert {part_of(path) for path in SOURCES} <= known


def test_imports_go_one_way() -> None:
    wrong = [
        f"{found.place}: {found.importer} must not import {found.imported}"
        for found in EVERY_IMPORT
        if found.ours
        and found.imported not in allowed(found.importer)
        and not (found.types_only and (found.importer, found.imported) in TYPES_ONLY)
    ]

    assert wrong == []


@pytest.mark.parametrize("part", ["epoint", "ledger"])
def test_the_core_does_no_io(part: str) -> None:
    """What EPoint says and what follows from it can be tested without anything that runs."""
    wrong = [
        f"{found.place}: {part} must not import {found.module}"
        for found in EVERY_IMPORT
        if found.importer == part
        and not found.ours
        and not any(found.module == pure or found.module.startswith(f"{pure}.") for pure in PURE)
    ]

    assert wrong == []


@pytest.mark.parametrize("part", ["epoint", "ledger"])
def test_the_core_reads_no_clock(part: str) -> None:
    """Time comes as an argument, so a day passes in a test in no time."""
    calls = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        if part_of(path) == part
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")
        if ast.unparse(node.value) in ("datetime", "date", "datetime.datetime")
    ]

    assert calls == []


def test_the_environment_is_read_in_one_place() -> None:
    """The command line hands it to the settings; nothing else looks at it."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
        if ast.unparse(node) in ("os.environ", "os.getenv", "environb", "getenv")
    }

    assert readers == {"cli/main.py"}


def test_modules_do_not_import_each_other_in_circles() -> None:
    """Each module can be imported after those that it stands on. What a function imports waits for its call."""
    names = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in SOURCES}
    graph = {
        name: {
            module
            for found in imports(path)
            if found.ours and found.at_start and not found.types_only
            # Of `package.module.name` the longest part that is a file.
            for module in [found.module if found.module in names else found.module.rpartition(".")[0]]
            if module in names and module != name
        }
        for name, path in names.items()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        pytest.fail(f"a circle of imports: {' -> '.join(exc.args[1])}")


def test_annotations_of_graphql_fields_are_no_texts() -> None:
    """Strawberry parses those that are: each, and again wherever it is looked at, for a third of the start."""
    defining = re.compile(r"@strawberry\.(type|input|interface)\b|@mutation\(")
    sources = {path.name: path.read_text(encoding="utf-8") for path in SOURCES if part_of(path) == "schema"}
    modules = {name for name, text in sources.items() if defining.search(text)}

    assert len(modules) > 20
    assert {name for name in modules if "from __future__ import annotations" in sources[name]} == set()
