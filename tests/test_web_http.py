from __future__ import annotations

import gzip
import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from starlette.requests import Request

from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.web.replies import on_bug
from gql_epoint.web.safe_headers import SAFE_HEADERS
from tests.service import Client, Service
from tests.transports import TRANSPORTS

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
ASK = b'{"query": "{ __typename }"}'
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def get(client: Client, path: str, **headers: str) -> tuple[int, Any, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.session.get(f"{client.url}{path}", headers=sent, allow_redirects=False) as response:
        return response.status, await response.text(), response.headers


def code_of(answer: Any) -> str:
    return str(answer["errors"][0]["extensions"]["code"])


# -- bodies ---------------------------------------------------------------------------------------------------

BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "a number": b"1",
    "a text": b'"x"',
    "null": b"null",
    "true": b"true",
    "an empty list": b"[]",
    "a batch": b"[" + ASK + b"]",
    "no query": b"{}",
    "a null query": b'{"query": null}',
    "an empty query": b'{"query": ""}',
    "a numeric query": b'{"query": 1}',
    "a list of variables": b'{"query": "{ __typename }", "variables": []}',
    "textual variables": b'{"query": "{ __typename }", "variables": "{}"}',
    "a numeric operation name": b'{"query": "{ __typename }", "operationName": 1}',
    "a list of extensions": b'{"query": "{ __typename }", "extensions": []}',
    "cut off": ASK[:-2],
    "something behind": ASK + b"x",
    "two objects": ASK + ASK,
    "invalid UTF-8": b'{"query": "{ __typename \xff }"}',
    "a lone surrogate": b'{"query": "{ __typename } # \\ud800"}',
    "UTF-16": ASK.decode().encode("utf-16"),
    "NaN": b'{"query": "{ __typename }", "variables": {"x": NaN}}',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 20_000,
    "deep variables": b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "gzip without saying so": gzip.compress(ASK),
    "a form": b"query=%7B__typename%7D",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_is_no_request_is_a_400_in_json(client: Client, body: bytes) -> None:
    """Nothing that a client can send is our fault."""
    status, answer, headers = await client.post(body)

    assert status == 400
    assert headers["Content-Type"] == JSON
    assert answer["errors"][0]["message"]


# The request is well formed, and its document cannot run.
REFUSED_DOCUMENTS: dict[str, bytes] = {
    "an unknown operation": b'{"query": "query a { __typename }", "operationName": "b"}',
    "only a fragment": b'{"query": "fragment f on Query { __typename }"}',
    "a syntax error": b'{"query": "{"}',
    "a field that does not exist": b'{"query": "{ nothing }"}',
    "a variable of the wrong type": b'{"query": "query ($id: ID!) { __typename }", "variables": {"id": null}}',
    "without a variable": b'{"query": "query ($a: Boolean!) { __typename @skip(if: $a) }"}',
    "two payments": (
        b'{"query": "mutation ($i: PayInput!) { a: pay(input: $i) { replayed } b: pay(input: $i) { replayed } }"}'
    ),
}


@pytest.mark.parametrize("body", REFUSED_DOCUMENTS.values(), ids=REFUSED_DOCUMENTS.keys())
async def test_a_document_that_cannot_run_is_a_400_only_where_a_client_reads_it(
    client: Client, body: bytes
) -> None:
    """Clients of application/json alone take a 4xx for no GraphQL answer and throw the errors away."""
    answers = [await client.post(body, Accept=accept) for accept in (GRAPHQL_RESPONSE, JSON, "*/*")]

    assert [status for status, _, _ in answers] == [400, 200, 200]
    assert [headers["Content-Type"] for _, _, headers in answers] == [GRAPHQL_RESPONSE, JSON, JSON]
    for _, answer, headers in answers:
        assert answer["errors"]
        assert "data" not in answer
        assert "Accept" in headers["Vary"]


async def test_a_field_that_fails_is_a_200(client: Client) -> None:
    """Something ran, so the answer is one: with `data`, which is null if the error went up to the root."""
    body = b'{"query": "{ transactions(first: -1) { pageInfo { hasNextPage } } }"}'
    status, answer, headers = await client.post(body, Accept=GRAPHQL_RESPONSE)

    assert (status, answer["data"], headers["Content-Type"]) == (200, None, GRAPHQL_RESPONSE)
    assert answer["errors"][0]["path"] == ["transactions"]


@pytest.mark.parametrize(
    "accept", ["text/plain", "text/html", "application/json;q=0", "multipart/mixed", "image/*"]
)
async def test_what_nobody_can_answer_is_a_406(client: Client, accept: str) -> None:
    """Before the request is read: nothing of it ran."""
    status, answer, headers = await client.post(ASK, Accept=accept)

    assert (status, code_of(answer), headers["Content-Type"]) == (406, "NOT_ACCEPTABLE", JSON)


async def test_refusals_come_in_the_type_that_was_asked_for(client: Client) -> None:
    """Apollo reads errors with a 4xx in this type only."""
    for body, headers in ((b"", {}), (ASK, {"Authorization": "wrong"}), (ASK, {"Content_Type": "text/plain"})):
        _, answer, sent = await client.post(body, Accept=GRAPHQL_RESPONSE, **headers)

        assert answer["errors"]
        assert sent["Content-Type"] == GRAPHQL_RESPONSE


PAGE = b"query ($n: Int) { transactions(first: $n) { edges { cursor } } }"
ODD_BODIES: dict[str, bytes] = {
    "no chosen operation": b'{"query": "query a { __typename } query b { __typename }"}',
    "a syntax error": b'{"query": "{"}',
    "a lone surrogate in a literal": b'{"query": "{ __type(name: \\"\\\\ud800\\") { name } }"}',
    "a NUL": b'{"query": "{ __typename } \\u0000"}',
    "a huge number": b'{"query": "{ __typename }", "variables": {"x": ' + b"1" * 5_000 + b"}}",
    "a huge number in a document": b'{"query": "{ transactions(first: %b) { edges { cursor } } }"}'
    % (b"1" * 5_000),
    "a large number in a document": b'{"query": "{ transactions(first: %b) { edges { cursor } } }"}' % (b"9" * 900),
    "a huge number that is used": b'{"query": "%b", "variables": {"n": %b}}' % (PAGE, b"1" * 5_000),
    "a number beyond all floats": b'{"query": "%b", "variables": {"n": 1e999}}' % PAGE,
    "a deep document": json.dumps({"query": "{a" * 20_000}).encode(),
    "unknown fields": b'{"query": "{ __typename }", "batch": 1, "id": "x"}',
    "a byte order mark": b"\xef\xbb\xbf" + ASK,
    "a field that does not exist": b'{"query": "{ nothing }"}',
    "an unused variable": b'{"query": "query ($x: Int) { __typename }", "variables": {"x": "secret"}}',
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES.keys())
async def test_an_odd_request_is_never_a_500(client: Client, body: bytes) -> None:
    """The answer is JSON and says data or errors; nothing of it is ours to explain."""
    status, answer, _ = await client.post(body, Accept=GRAPHQL_RESPONSE)

    assert status in (200, 400)
    assert "errors" in answer or "data" in answer
    assert "INTERNAL_ERROR" not in str(answer)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": ""},
        {"Content_Type": "text/application/json"},
        {"Content_Type": "application/jsonx"},
        {"Content_Type": "application/json; charset=latin-1"},
        {"Content_Type": "application/graphql"},
        {"Content_Type": "multipart/form-data; boundary=x"},
        {"Content_Encoding": "gzip"},
        {"Content_Encoding": "deflate"},
    ],
    ids=str,
)
async def test_only_plain_json_is_read(client: Client, headers: dict[str, str]) -> None:
    """No simple cross-site form reaches GraphQL, and nothing is unpacked."""
    status, answer, _ = await client.post(ASK, **headers)

    assert (status, code_of(answer)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"', JSON]
)
async def test_json_may_name_its_charset(client: Client, media_type: str) -> None:
    assert (await client.post(ASK, Content_Type=media_type))[:2] == (200, {"data": {"__typename": "Query"}})


async def test_a_body_is_read_up_to_the_limit_and_no_further(client: Client) -> None:
    """The limit holds for what a header promises and for what is really sent."""

    async def chunks() -> Any:
        for _ in range(200):
            yield b" " * 1_000

    at_limit = ASK + b" " * (131_072 - len(ASK))
    status, answer, _ = await client.post(at_limit + b" ")
    async with client.session.post(
        client.graphql, data=chunks(), headers={"Content-Type": JSON, **client.authorization}
    ) as streamed:
        counted = streamed.status, code_of(await streamed.json())

    assert (await client.post(at_limit))[0] == 200
    assert (status, code_of(answer)) == (413, "CONTENT_TOO_LARGE")
    assert counted == (413, "CONTENT_TOO_LARGE")


# -- GET ------------------------------------------------------------------------------------------------------


async def test_queries_may_come_by_get(client: Client) -> None:
    query = urlencode({"query": "query ($a: Boolean!) { __typename @include(if: $a) }", "variables": '{"a": true}'})

    status, text, _ = await get(client, f"/graphql?{query}", **client.authorization)

    assert (status, json.loads(text)) == (200, {"data": {"__typename": "Query"}})


@pytest.mark.parametrize(
    "query",
    [
        "variables=%7B%7D",
        "query={__typename}&variables=[]",
        "query={__typename}&variables=x",
        "query={__typename}&variables=%ff",
        "query={__typename}&extensions=1",
        "query=",
        "",
    ],
)
async def test_a_get_that_is_no_request_is_a_400_in_json(client: Client, query: str) -> None:
    status, text, _ = await get(client, f"/graphql?{query}", **client.authorization)

    assert status == 400
    assert json.loads(text)["errors"]


async def test_mutations_do_not_come_by_get(client: Client) -> None:
    """A link, an image or a prefetch never moves money."""
    mutation = 'mutation { refreshTransaction(by: {id: "x"}) { replayed } }'

    status, text, headers = await get(client, f"/graphql?query={quote(mutation)}", **client.authorization)

    assert (status, code_of(json.loads(text)), headers["Allow"]) == (405, "METHOD_NOT_ALLOWED", "POST")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused(client: Client, method: str) -> None:
    async with client.session.request(method, client.graphql) as response:
        assert (response.status, response.headers["Allow"]) == (405, "DELETE, GET, POST, PUT")
        assert method == "HEAD" or code_of(await response.json()) == "METHOD_NOT_ALLOWED"


# -- credentials ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {DEVELOPMENT_KEY}x",
        f"Basic {DEVELOPMENT_KEY}",
        DEVELOPMENT_KEY,
        f"Bearer {DEVELOPMENT_KEY}, Bearer {DEVELOPMENT_KEY}",
        "Bearer ə",
    ],
)
async def test_a_wrong_credential_is_a_401(client: Client, authorization: str) -> None:
    """Who names itself wrongly is told so and is not anonymous, not even for what anonymous callers may ask."""
    status, answer, headers = await client.post(ASK, Authorization=authorization)

    assert (status, code_of(answer)) == (401, "UNAUTHENTICATED")
    assert headers["WWW-Authenticate"] == "Bearer"


async def test_without_a_credential_the_schema_decides(service: Service) -> None:
    """What needs no credential is answered, all else is UNAUTHENTICATED and nothing of it runs."""
    async with service.client(None) as anonymous:
        open_to_all = await anonymous.execute("{ __typename }")
        refused = await anonymous.execute("{ transactions { pageInfo { hasNextPage } } }")

    assert open_to_all == {"data": {"__typename": "Query"}}
    assert code_of(refused) == "UNAUTHENTICATED"
    assert refused.get("data") is None


async def test_the_development_key_opens_the_sandbox(client: Client) -> None:
    viewer = (await client.data("{ viewer { level sandbox scopes } }"))["viewer"]

    assert (viewer["level"], viewer["sandbox"], len(viewer["scopes"])) == ("SECRET_KEY", True, 5)


async def test_the_scheme_may_be_written_in_any_case(client: Client) -> None:
    assert (await client.post(ASK, Authorization=f"bEARER  {DEVELOPMENT_KEY} "))[0] == 200


# -- headers --------------------------------------------------------------------------------------------------


async def test_nobody_keeps_answers(client: Client) -> None:
    for body in (ASK, b"", b'{"query": "{ nothing }"}'):
        _, _, headers = await client.post(body)

        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("theirs", "kept"),
    [
        ("shop-1234.A_b", True),
        ("0b5f2c3e-8a51-4f1a-9e57-6c2b7f0d1a2b", True),
        ("short", False),
        ("x" * 65, False),
        ("with space 123", False),
        ("<script>alert(1)</script>", False),
    ],
)
async def test_each_request_has_an_id(client: Client, theirs: str, kept: bool) -> None:
    """A client's own is kept if it does no harm in a log, and the answer says which it is."""
    _, _, headers = await client.post(ASK, X_Request_ID=theirs)
    ours = headers["X-Request-ID"]

    assert (ours == theirs) is kept
    assert kept or len(ours) == 32


async def test_ids_differ_and_are_on_refusals_too(client: Client) -> None:
    ids = {(await client.post(b""))[2]["X-Request-ID"] for _ in range(3)}
    ids.add((await get(client, "/nothing"))[2]["X-Request-ID"])

    assert len(ids) == 4


async def test_pages_on_other_origins_are_let_in_by_name(start_service: Any) -> None:
    """CORS and WebSockets follow one setting, and never let cookies in."""
    service: Service = start_service(GQL_EPOINT_ALLOWED_ORIGINS="https://shop.example,https://pay.example")
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    async with service.client() as client:
        for origin, let_in in (("https://shop.example", True), ("https://evil.example", False)):
            async with client.session.options(client.graphql, headers={"Origin": origin, **asked}) as preflight:
                assert (preflight.headers.get("Access-Control-Allow-Origin") == origin) is let_in
                assert "Access-Control-Allow-Credentials" not in preflight.headers
            _, _, headers = await client.post(ASK, Origin=origin)
            assert (headers.get("Access-Control-Allow-Origin") == origin) is let_in
        async with client.raw_socket(headers={"Origin": "https://pay.example"}) as socket:
            assert socket.protocol == "graphql-transport-ws"


async def test_without_the_setting_no_origin_is_let_in(client: Client) -> None:
    _, _, headers = await client.post(ASK, Origin="https://shop.example")

    assert "Access-Control-Allow-Origin" not in headers


# -- other routes ---------------------------------------------------------------------------------------------


async def test_a_browser_gets_the_explorer(client: Client) -> None:
    """In the sandbox its page holds the development key, and / leads there."""
    status, page, headers = await get(client, "/graphql", Accept=BROWSER)
    root, _, elsewhere = await get(client, "/", Accept=BROWSER)

    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert DEVELOPMENT_KEY in page
    assert "Content-Security-Policy" in headers
    assert (root, elsewhere["Location"]) == (307, "/graphql")


@pytest.mark.parametrize("accept", [JSON, "*/*", "text/html;q=0, */*", "application/json, text/html", ""])
async def test_nobody_else_gets_the_explorer(client: Client, accept: str) -> None:
    status, text, _ = await get(client, "/graphql", Accept=accept)

    assert (status, text[:10]) == (400, '{"errors":')


async def test_the_explorer_can_be_off(start_service: Any) -> None:
    service: Service = start_service(GQL_EPOINT_EXPLORER="0")
    async with service.client() as client:
        page = await get(client, "/graphql", Accept=BROWSER)
        root = await get(client, "/", Accept=BROWSER)
        assets = await get(client, "/explorer/LICENSES.txt")

    assert (page[0], root[0], assets[0]) == (400, 404, 404)
    assert DEVELOPMENT_KEY not in page[1]


async def test_health_tells_up_and_ready(client: Client) -> None:
    up, text, _ = await get(client, "/healthz")
    ready, checks, _ = await get(client, "/readyz")

    assert (up, json.loads(text)) == (200, {"status": "ok"})
    assert ready == 200
    assert json.loads(checks)["status"] == "ok"


@pytest.mark.parametrize("path", ["/nothing", "/graphql/", "/webhooks", "/explorer/../settings.py", "/explorer/x"])
async def test_an_unknown_path_is_a_404_in_json(client: Client, path: str) -> None:
    status, text, _ = await get(client, path)

    assert (status, code_of(json.loads(text))) == (404, "NOT_FOUND")


# -- what every answer says to browsers -----------------------------------------------------------------------

_POLICY = "default-src 'none'"


@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/event-stream"])
async def test_every_answer_is_safe_to_open(service: Service, client: Client, accept: str) -> None:
    """Each path with each method, found or not: a strict policy, no sniffing, no frame, no referrer."""
    paths = ["/", "/graphql", "/webhooks/epoint", "/healthz", "/readyz", "/metrics", "/nothing", "/graphql?token=x"]
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', await _page(client))
    assert assets
    for path in [*paths, *assets]:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            headers = {"Accept": accept, **client.authorization}
            async with client.session.request(
                method, f"{service.url}{path}", headers=headers, allow_redirects=False
            ) as response:
                said = response.headers
            where = (method, path, response.status)
            assert said["Content-Security-Policy"].startswith(_POLICY), where
            assert "unsafe-eval" not in said["Content-Security-Policy"], where
            assert "frame-ancestors 'none'" in said["Content-Security-Policy"], where
            assert said["X-Content-Type-Options"] == "nosniff", where
            assert said["Referrer-Policy"] == "no-referrer", where
            assert said["X-Frame-Options"] == "DENY", where
            assert "Set-Cookie" not in said, where


async def test_answers_of_streams_are_safe_to_open(client: Client) -> None:
    for accept in ("text/event-stream", "multipart/mixed;subscriptionSpec=1.0, application/json"):
        headers = {"Accept": accept, **client.authorization}
        asked = {"query": "subscription { events { cursor } }"}
        async with client.session.post(client.graphql, json=asked, headers=headers) as response:
            assert response.headers["Content-Security-Policy"].startswith(_POLICY)
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_bug_is_answered_with_the_same_headers() -> None:
    """It is answered from outside of all middleware."""
    response = await on_bug(Request({"type": "http", "state": {"request_id": "r"}}), ValueError("secret"))

    assert {name: response.headers[name] for name in SAFE_HEADERS} == SAFE_HEADERS
    assert b"secret" not in response.body


async def _page(client: Client) -> str:
    async with client.session.get(client.graphql, headers={"Accept": "text/html"}) as page:
        return await page.text()


# -- one shape of errors ----------------------------------------------------------------------------------------

_PAYING = 'a{0}: pay(input: {{idempotencyKey: "{0}", orderId: "x", amount: {{amount: "1.00"}}}}) {{ replayed }}'
_PAGE = "query ($n: Int) { transactions(first: $n) { edges { cursor } } }"
WRONG: dict[str, dict[str, Any]] = {
    "GRAPHQL_PARSE_FAILED": {"query": "{ a b: }"},
    "GRAPHQL_VALIDATION_FAILED": {"query": "{ nope }"},
    "BAD_USER_INPUT": {"query": _PAGE, "variables": {"n": "x"}},
    "INVALID_INPUT": {"query": "{ transactions(first: 101) { edges { cursor } } }"},
    "DOCUMENT_LIMIT": {"query": "{" + " ".join(f"a{number}: viewer {{ level }}" for number in range(61)) + "}"},
    "BAD_REQUEST": {"query": "{ viewer { level } }", "operationName": "Other"},
    "FORBIDDEN": {"query": "{ checkout { id } }"},
    "ONE_MONEY_FIELD": {"query": "mutation {" + " ".join(_PAYING.format(number) for number in range(2)) + "}"},
}


@pytest.mark.parametrize("code", WRONG)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_errors_have_one_shape_with_a_code(client: Client, code: str, transport: str) -> None:
    """The same code on every transport: what is wrong with a document, its values, or what it asks for."""
    if transport == "GET" and code == "ONE_MONEY_FIELD":
        code, asked = "METHOD_NOT_ALLOWED", WRONG["ONE_MONEY_FIELD"]
    else:
        asked = WRONG[code]
    heard = await TRANSPORTS[transport](client, asked)

    assert set(heard.codes) == {code}
    assert all(isinstance(error["message"], str) for error in heard.answer["errors"])
