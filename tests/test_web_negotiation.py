from __future__ import annotations

import pytest

from gql_epoint.web.negotiation import prefers_html, prefers_stream, takes_stream

URQL = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
CASES = [
    # accept, prefers HTML, prefers a stream, takes a stream
    ("", False, False, False),
    ("*/*", False, False, False),
    ("application/json", False, False, False),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True, False, False),
    ("text/html, application/json", False, False, False),
    ("text/html;q=0.5, application/json;q=0.4", True, False, False),
    ("TEXT/HTML", True, False, False),
    ("text/event-stream", False, True, True),
    ("text/event-stream; charset=utf-8", False, True, True),
    ("text/event-stream, */*;q=0.5", False, True, True),
    ("text/event-stream, application/json", False, False, True),
    ("text/event-stream;q=0.9, application/json", False, False, True),
    ("text/event-stream;q=0", False, False, False),
    ("text/event-stream;q=x", False, False, False),
    ("text/*", False, False, False),
    (URQL, False, False, True),
]


@pytest.mark.parametrize(("accept", "html", "stream", "streams_at_all"), CASES)
def test_accept(accept: str, html: bool, stream: bool, streams_at_all: bool) -> None:
    """Only a client that likes streams better than JSON gets them for everything."""
    assert (prefers_html(accept), prefers_stream(accept), takes_stream(accept)) == (html, stream, streams_at_all)
