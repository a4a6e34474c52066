"""Serve the console's page: files of this package, under a policy that lets nothing else in."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

# Texts of requests reach the page as text only; trusted types make the browser refuse everything else.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_FOLDER = Path(__file__).with_name("static")
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
_FILES = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _MEDIA_TYPES}
_INDEX = "index.html"


def console_routes() -> list[Route]:
    """Return the page at the simulator's own address, and its files."""
    return [Route("/", _index, methods=["GET"]), Route("/console/{name}", _file, methods=["GET"])]


async def _index(request: Request) -> Response:
    return _answer(_INDEX)


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _FILES or name == _INDEX:
        return Response(status_code=404)
    return _answer(name)


def _answer(name: str) -> Response:
    return Response(_FILES[name], headers=_HEADERS, media_type=_MEDIA_TYPES[Path(name).suffix])
