"""Load named SQL: `-- name: x` starts a query, `-- fragment: y` a part that queries include as `{y}`.

Other lines that start with `--` are for readers of the file and do not reach the database.
"""

from __future__ import annotations

import re
from importlib.resources import files

_COMMENT = re.compile(r"^--.*\n?", re.MULTILINE)
_MARK = re.compile(r"^-- (name|fragment): (\w+)\s*$", re.MULTILINE)


def load_queries(package: str, file_name: str = "queries.sql") -> dict[str, str]:
    """Return the queries of a .sql file in `package`, by name."""
    parts = _MARK.split((files(package) / file_name).read_text(encoding="utf-8"))[1:]
    fragments: dict[str, str] = {}
    queries: dict[str, str] = {}
    for kind, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        body = _COMMENT.sub("", text).strip().removesuffix(";")
        for fragment, value in fragments.items():
            body = body.replace(f"{{{fragment}}}", value)
        (fragments if kind == "fragment" else queries)[name] = body
    return queries


def load_migrations(package: str) -> list[tuple[int, str]]:
    """Return the numbered migrations `0001_*.sql` of `package`, in order."""
    found = sorted(
        (int(entry.name[:4]), entry.read_text(encoding="utf-8"))
        for entry in files(package).iterdir()
        if re.fullmatch(r"\d{4}_\w+\.sql", entry.name)
    )
    assert [number for number, _ in found] == list(range(1, len(found) + 1)), "migrations are numbered 1, 2, 3"
    return found
