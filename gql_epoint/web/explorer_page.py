"""Serve GraphiQL from files in the package: the page with its example tabs, and its assets.

The bundle in `static/explorer` is made from the sources in `explorer` by `make explorer` and committed, so that
neither a CDN nor Node is needed to run it.
"""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

HERE = Path(__file__).parent
BUNDLE = HERE / "static" / "explorer"
TABS = HERE / "explorer_tabs"
SANDBOX_TABS = TABS / "sandbox"

# The editor writes its layout into style attributes and style elements, hence 'unsafe-inline' for styles; fonts and
# little pictures come inside the style sheet. Scripts and workers are files of our own, and the page talks to
# nobody but the service it came from ('self' covers its WebSocket). tests/browser finds out if this is too strict.
EXPLORER_CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src data:",
        "font-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_SECURITY_HEADERS = {
    "Content-Security-Policy": EXPLORER_CSP,  # on scripts as well: a worker obeys its own file's policy
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# The page is made anew for each release and may hold the sandbox's key.
EXPLORER_HEADERS = {**_SECURITY_HEADERS, "Cache-Control": "no-store"}

# File names carry a hash of the content.
_ASSET_HEADERS = {
    **_SECURITY_HEADERS,
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
}

# Written out, since what the system's own table says differs from machine to machine.
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_COMPRESSED_ALREADY = frozenset({".woff2"})
_REFUSED = re.compile(r"q=0(\.0*)?")


class Tab(msgspec.Struct, frozen=True, kw_only=True):
    """One example tab: the document, and its variables as JSON text."""

    query: str
    variables: str | None = None


@cache
def explorer_tabs(*, sandbox: bool = False) -> tuple[Tab, ...]:
    """Read the example tabs in their order: `<number>-<name>.graphql`, with variables in a `.json` beside it.

    Those that play with the simulator come last, and in the sandbox only.
    """
    folders = [TABS, *([SANDBOX_TABS] if sandbox else [])]
    return tuple(_tab(path) for folder in folders for path in sorted(folder.glob("*.graphql")))


def explorer_page(*, endpoint: str, headers: Mapping[str, str], sandbox: bool) -> str:
    """Return the page as HTML; send it with EXPLORER_HEADERS.

    `headers` are what each new tab starts with. Only the sandbox may bring any: elsewhere the page would hand a
    credential to whoever opens it.
    """
    assert sandbox or not headers

    page = _template()
    for name, value in (
        ("endpoint", endpoint),
        ("headers", json.dumps(dict(headers)) if headers else ""),
        ("tabs", msgspec.json.encode(explorer_tabs(sandbox=sandbox)).decode()),
        ("sandbox", "true" if sandbox else "false"),
    ):
        page = page.replace(f'data-{name}=""', f'data-{name}="{html.escape(value)}"')
    return page


def explorer_assets() -> Route:
    """Return the route that serves the page's files, to be put at the root of the application."""
    return Route("/explorer/{path:path}", _Assets().serve, methods=["GET"], name="explorer-assets")


class _Assets:
    """The files of the bundle. Only those that were there at start-up exist, so no path leads anywhere else."""

    def __init__(self) -> None:
        self._files = {
            path.relative_to(BUNDLE).as_posix(): path
            for path in [*sorted((BUNDLE / "assets").iterdir()), BUNDLE / "LICENSES.txt"]
        }
        self._compressed: dict[str, bytes] = {}

    async def serve(self, request: Request) -> Response:
        name = request.path_params["path"]
        path = self._files.get(name)
        if path is None:
            raise HTTPException(404)

        headers = dict(_ASSET_HEADERS)
        if path.parent == BUNDLE:
            headers["Cache-Control"] = "no-cache"  # its name carries no hash
        media_type = _MEDIA_TYPES[path.suffix]
        if path.suffix in _COMPRESSED_ALREADY or not _accepts_gzip(request.headers.get("accept-encoding", "")):
            return FileResponse(path, headers=headers, media_type=media_type)
        if name not in self._compressed:
            # Once per file and process, about 2 MB in all: less than carrying each file twice in the package.
            self._compressed[name] = await asyncio.to_thread(_compress, path)
        headers["Content-Encoding"] = "gzip"
        return Response(self._compressed[name], headers=headers, media_type=media_type)


@cache
def _template() -> str:
    return (BUNDLE / "index.html").read_text(encoding="utf-8")


def _tab(path: Path) -> Tab:
    variables = path.with_suffix(".json")
    return Tab(
        query=path.read_text(encoding="utf-8"),
        variables=variables.read_text(encoding="utf-8").strip() if variables.exists() else None,
    )


def _compress(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)


def _accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether the header names gzip without refusing it by `q=0`."""
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return not _REFUSED.fullmatch(weight.strip())
    return False
