"""Read an Accept header as far as this service needs it."""

from __future__ import annotations

from collections.abc import Iterator

_JSON = ("application/json", "application/graphql-response+json")


def prefers_html(accept: str) -> bool:
    """Tell whether a client names HTML and likes it better than JSON: a browser that opens a page."""
    return _named(accept, "text/html") > _json(accept)


def prefers_stream(accept: str) -> bool:
    """Tell whether a client names event streams and likes them better than JSON: every answer is a stream then."""
    return _named(accept, "text/event-stream") > _json(accept)


def takes_stream(accept: str) -> bool:
    """Tell whether a client can read event streams at all, though it may like JSON as much or better."""
    return _named(accept, "text/event-stream") > 0


def _json(accept: str) -> float:
    found = dict(_ranges(accept))
    fallback = found.get("application/*", found.get("*/*", 0.0))
    return max(found.get(media_type, fallback) for media_type in _JSON)


def _named(accept: str, media_type: str) -> float:
    return dict(_ranges(accept)).get(media_type, 0.0)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weights = [value for name, _, value in (p.partition("=") for p in parameters) if name.strip() == "q"]
        yield media_type, _weight(weights[0].strip()) if weights else 1.0


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
