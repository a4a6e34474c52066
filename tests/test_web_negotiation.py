from __future__ import annotations

import pytest

from gql_epoint.web.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, MULTIPART, Accept

URQL = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
APOLLO = "application/graphql-response+json,application/json;q=0.9"
APOLLO_SUBSCRIPTION = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",' + APOLLO
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CASES = [
    # accept, JSON, stream for subscriptions, prefers HTML, prefers a stream
    ("", JSON, None, False, False),
    ("*/*", JSON, None, False, False),
    ("application/*", JSON, None, False, False),
    ("application/json", JSON, None, False, False),
    ("application/json; charset=utf-8", JSON, None, False, False),
    ("application/json; charset=latin-1", None, None, False, False),
    ("application/json;q=0", None, None, False, False),
    ("application/json;q=0, */*", None, None, False, False),
    ("application/graphql-response+json", GRAPHQL_RESPONSE, None, False, False),
    ("application/graphql-response+json;q=0.5, application/json", JSON, None, False, False),
    ("application/json, application/graphql-response+json", GRAPHQL_RESPONSE, None, False, False),
    ("application/graphql-response+json, */*;q=0.1", GRAPHQL_RESPONSE, None, False, False),
    ("application/json;q=1.1", None, None, False, False),
    ("application/json;q=nan", None, None, False, False),
    (APOLLO, GRAPHQL_RESPONSE, None, False, False),
    (APOLLO_SUBSCRIPTION, GRAPHQL_RESPONSE, MULTIPART, False, False),
    (BROWSER, JSON, None, True, False),
    ("text/html, application/json", JSON, None, False, False),
    ("text/html;q=0.5, application/json;q=0.4", JSON, None, True, False),
    ("TEXT/HTML", None, None, True, False),
    ("text/plain", None, None, False, False),
    ("text/event-stream", None, EVENT_STREAM, False, True),
    ("text/event-stream; charset=utf-8", None, EVENT_STREAM, False, True),
    ("text/event-stream, */*;q=0.5", JSON, EVENT_STREAM, False, True),
    ("text/event-stream, application/json", JSON, EVENT_STREAM, False, False),
    ("text/event-stream;q=0.9, application/json", JSON, EVENT_STREAM, False, False),
    ("text/event-stream;q=0", None, None, False, False),
    ("text/event-stream;q=x", None, None, False, False),
    ("multipart/mixed", None, None, False, False),
    ("text/*", None, None, False, False),
    (URQL, GRAPHQL_RESPONSE, EVENT_STREAM, False, False),
    (",;,=;q", None, None, False, False),
]


@pytest.mark.parametrize(("header", "json", "stream", "html", "streams_first"), CASES)
def test_accept(header: str, json: str | None, stream: str | None, html: bool, streams_first: bool) -> None:
    """Only a client that likes streams better than JSON gets them for everything; wildcards ask for neither."""
    accept = Accept(header)

    assert (accept.json, accept.stream, accept.prefers_html, accept.prefers_stream) == (
        json,
        stream,
        html,
        streams_first,
    )
