"""Read an Accept header, and say which of the forms that an answer can have the client likes best."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
MULTIPART = "multipart/mixed"
HTML = "text/html"


@lru_cache(maxsize=200)
def read_accept(header: str) -> Accept:
    """Return what a header accepts; there are few that differ."""
    return Accept(header)


class Accept:
    """The ranges of one header, each with its weight; an empty header accepts everything."""

    def __init__(self, header: str) -> None:
        self._weights = dict(_ranges(header)) if header.strip() else {"*/*": 1.0}

    def named(self, media_type: str) -> float:
        """Return the weight of a type that must be named in full; wildcards do not ask for it."""
        return self._weights.get(media_type, 0.0)

    def weight(self, media_type: str) -> float:
        """Return the weight of a type; the most specific range that fits counts."""
        everything = self._weights.get("*/*", 0.0)
        family = self._weights.get(media_type.partition("/")[0] + "/*", everything)
        return self._weights.get(media_type, family)

    @cached_property
    def json(self) -> str | None:
        """The JSON media type to answer with, or None if neither is accepted.

        The newer one, with its clear statuses, must be named: wildcards come from clients that know neither.
        """
        newer, older = self.named(GRAPHQL_RESPONSE), self.weight(JSON)
        if newer == older == 0.0:
            return None
        return GRAPHQL_RESPONSE if newer >= older else JSON

    @cached_property
    def prefers_html(self) -> bool:
        """Whether it names HTML and likes it better than JSON: a browser that opens a page."""
        return self.named(HTML) > self._best_json

    @cached_property
    def prefers_stream(self) -> bool:
        """Whether it names event streams and likes them better than JSON: every answer is a stream then."""
        return self.named(EVENT_STREAM) > self._best_json

    @cached_property
    def stream(self) -> str | None:
        """The media type for a subscription: event stream or multipart, whichever is named and liked better."""
        events, parts = self.named(EVENT_STREAM), self.named(MULTIPART)
        if events == parts == 0.0:
            return None
        return EVENT_STREAM if events >= parts else MULTIPART

    @cached_property
    def _best_json(self) -> float:
        return max(self.weight(JSON), self.named(GRAPHQL_RESPONSE))


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    for part in header.lower().split(","):
        media_type, *pieces = (piece.strip() for piece in part.split(";"))
        parameters = {name.strip(): value.strip() for name, _, value in (piece.partition("=") for piece in pieces)}
        # Answers are UTF-8; a range that wants another charset does not fit. Multipart answers are Apollo's
        # protocol for subscriptions, which its clients name: others mean incremental delivery by the same type.
        if parameters.get("charset", "utf-8").strip('"') not in ("utf-8", "utf8"):
            continue
        if media_type == MULTIPART and "subscriptionspec" not in parameters:
            continue
        yield media_type, _weight(parameters.get("q", "1"))


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
