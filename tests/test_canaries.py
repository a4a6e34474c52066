"""Secrets stay in: canaries are pushed through every input, error path and transport, and looked for everywhere.

What is pushed: EPoint's private key, a secret key, a client token, a card number, and a text that no pattern could
recognise. Where: every leaf of every argument of every root field, as a variable and as a literal; everything else
that a request has; callbacks; EPoint's answers; and rows on which the database fails. The lists are read from the
schema, from the table of transports, and from the tables here, so a new field or transport is covered by itself.

Where they must not be: in anything that tells of an error, in a log line of either format, in a figure, in a trace.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import web
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)

from gql_epoint.epoint import seal
from gql_epoint.keys import new_client_token, new_secret_key
from gql_epoint.schema import build_schema
from gql_epoint.settings import DOCUMENTATION_PRIVATE_KEY
from tests.checkout_kit import browser, create
from tests.postgres import new_database
from tests.service import Client, Service
from tests.shop import PAY, new_order, payment
from tests.test_tracing import Collector, collector
from tests.transports import TRANSPORTS, Heard

__all__ = ["collector"]

GRAPHQL = build_schema()._schema  # noqa: SLF001
PATIENCE_S = 3.0

MARKER = "Aydan-cvv-737"
CANARIES = {
    "private key": DOCUMENTATION_PRIVATE_KEY,
    "secret key": new_secret_key(lambda size: bytes(range(size))),
    "client token": new_client_token(lambda size: bytes(range(7, size + 7))),
    "card number": "4111111111111111",
    "unrecognisable": MARKER,
}
ALL = "/".join(CANARIES.values())
CARD = int(CANARIES["card number"])
# Names in documents, and whatever else is no value, come back in errors: they can hold what looks like a name.
NAMES = (CANARIES["secret key"], CANARIES["client token"], f"card_{CARD}")


def leaks(text: str) -> list[str]:
    """Return which canaries a text holds."""
    return [name for name, canary in CANARIES.items() if canary in text]


# Every leaf of every argument -------------------------------------------------------------------------------------

_SAMPLES: dict[str, Callable[[], Any]] = {
    "ID": lambda: "tr_1",
    "String": lambda: "text",
    "Int": lambda: 1,
    "Boolean": lambda: True,
    "Decimal": lambda: "1.00",
    "DateTime": lambda: "2026-01-01T00:00:00Z",
    "Date": lambda: "2026-01-01",
    "URL": lambda: "https://shop.example/",
    "JSON": lambda: {"a": 1},
    "IdempotencyKey": lambda: str(uuid4()),
}


def sample(type_: Any) -> Any:
    """Return some value of an input type, with only what it must have."""
    if is_non_null_type(type_):
        return sample(type_.of_type)
    if is_list_type(type_):
        return [sample(type_.of_type)]
    if is_enum_type(type_):
        return next(iter(type_.values))
    if is_input_object_type(type_):
        chosen = list(type_.fields.items())[:1] if type_.is_one_of else type_.fields.items()
        return {name: sample(f.type) for name, f in chosen if is_non_null_type(f.type) or type_.is_one_of}
    return _SAMPLES[type_.name]()


def with_canaries(type_: Any) -> Iterator[tuple[str, Any]]:
    """Yield values of an input type, each with canaries at one leaf, and the path to it."""
    if is_non_null_type(type_):
        yield from with_canaries(type_.of_type)
    elif is_list_type(type_):
        yield from ((f"{path}[]", [value]) for path, value in with_canaries(type_.of_type))
    elif is_input_object_type(type_):
        for name, field in type_.fields.items():
            others = {} if type_.is_one_of else sample(type_)
            for path, value in with_canaries(field.type):
                yield f".{name}{path}", others | {name: value}
        yield ".unknown", {**sample(type_), "unknown": ALL}
    else:
        yield "", ALL
        yield " as a number", CARD
        yield " as an object", {"a": ALL}


def literal(type_: Any, value: Any) -> str:
    """Write a value into a document."""
    named = get_named_type(type_)
    if isinstance(value, list):
        return f"[{', '.join(literal(type_, item) for item in value)}]"
    if isinstance(value, dict):
        fields = named.fields if is_input_object_type(named) else {}
        parts = (f"{name}: {literal(getattr(fields.get(name), 'type', None), v)}" for name, v in value.items())
        return "{" + ", ".join(parts) + "}"
    if is_enum_type(named) and isinstance(value, str) and value in named.values:
        return value
    return json.dumps(value)


def every_leaf() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield a document with canaries at one leaf: its name, its root type, and what is asked."""
    roots = {
        "query": GRAPHQL.query_type,
        "mutation": GRAPHQL.mutation_type,
        "subscription": GRAPHQL.subscription_type,
    }
    for kind, root in roots.items():
        assert root is not None
        for name, field in root.fields.items():
            answer: Any = get_named_type(field.type)
            selection = " { __typename" if hasattr(answer, "fields") else ""
            if selection and "errors" in answer.fields:
                selection += " errors { code message path }"
            selection += " }" if selection else ""
            for argument, taken in field.args.items():
                for path, value in with_canaries(taken.type):
                    values = {
                        other: value if other == argument else sample(its.type)
                        for other, its in field.args.items()
                        if other == argument or _is_required(its)
                    }
                    place = f"{kind} {name}({argument}{path})"
                    declared = ", ".join(f"${other}: {field.args[other].type}" for other in values)
                    used = ", ".join(f"{other}: ${other}" for other in values)
                    document = f"{kind} ({declared}) {{ {name}({used}){selection} }}"
                    yield f"{place} as a variable", kind, {"query": document, "variables": values}
                    written = ", ".join(f"{o}: {literal(field.args[o].type, v)}" for o, v in values.items())
                    yield f"{place} as a literal", kind, {"query": f"{kind} {{ {name}({written}){selection} }}"}


def _is_required(argument: GraphQLArgument | GraphQLInputField) -> bool:
    return is_non_null_type(argument.type)


# Everything else that a request has -------------------------------------------------------------------------------

VIEWER = "{ viewer { level } }"


def requests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield requests that are wrong in another way than by an argument's value."""
    strings = {
        "a text where none may be": f'{VIEWER} "{ALL}"',
        "a number where none may be": f"{VIEWER} {CARD}",
        "a number that ends in a letter": f"{{ transaction(by: {{id: {CARD}x}}) {{ id }} }}",
        "a text for a name": f'query "{ALL}" {VIEWER}',
        "a text that never ends": f'{{ viewer(a: "{ALL}) }}',
        "a block text": f'{VIEWER} """{ALL}"""',
        "an unknown argument": f'{{ viewer(x: "{ALL}") {{ level }} }}',
        "a directive's argument": f'{{ viewer @include(if: "{ALL}") {{ level }} }}',
        "a default value": f'query ($a: Int = "{ALL}") {VIEWER}',
        "a comment": f"{{ # {ALL}\n",
    }
    yield from ((name, {"query": text}) for name, text in strings.items())
    for number, name in enumerate(NAMES):
        yield f"a field {number}", {"query": f"{{ {name} }}"}
        yield f"an alias {number}", {"query": f"{{ {name}: nothing }}"}
        yield f"a name of an operation {number}", {"query": f"query {name} {VIEWER}", "operationName": "other"}
        yield f"an operation that is traced {number}", {"query": f"query {name} {VIEWER}"}
        yield f"a fragment {number}", {"query": f"{{ ...{name} }}"}
        yield f"a type {number}", {"query": f"{{ ... on {name} {{ a }} }}"}
        yield f"a directive {number}", {"query": f"{{ viewer @{name} {{ level }} }}"}
        yield f"a variable {number}", {"query": f"query (${name}: Int!) {VIEWER}"}
        yield f"an unexpected name {number}", {"query": f"query a {name} {VIEWER}"}
        yield f"a key of variables {number}", {"query": VIEWER, "variables": {name: 1}}
    yield "the operation's name", {"query": VIEWER, "operationName": ALL}
    yield "a document's id", {"documentId": ALL}
    yield "a document's hash", {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": ALL}}}
    yield "a hash beside a document", {"query": VIEWER, "extensions": {"persistedQuery": {"sha256Hash": ALL}}}
    yield "extensions", {"query": "{ nothing }", "extensions": {ALL: ALL}}
    yield "variables that are text", {"query": VIEWER, "variables": ALL}


HEADERS: tuple[dict[str, str], ...] = (
    {"X-Request-ID": CANARIES["secret key"]},
    {"X-Request-ID": CANARIES["client token"]},
    {"X-Request-ID": CANARIES["card number"]},
    {"X-Request-ID": "4111-1111-1111-1111"},
    {"Authorization": f"Bearer {ALL}"},
    {"Authorization": f"Basic {ALL}"},
    {"Authorization": f"Bearer {CANARIES['secret key']}"},
    {"Authorization": f"Bearer {CANARIES['client token']}"},
    {"User-Agent": ALL, "Referer": f"https://shop.example/{ALL}", "Cookie": f"a={ALL}"},
    {"Origin": f"https://{MARKER}.example"},
    {"Last-Event-ID": ALL},
    {"X-Forwarded-For": ALL, "Forwarded": f"for={ALL}"},
    {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": f"shop={ALL}", "baggage": f"card={ALL}"},
    {"Accept": f"text/{MARKER}"},
    {"X-GraphQL-Event-Stream-Token": ALL},
)

BODIES: dict[str, tuple[str, bytes]] = {
    "no JSON": ("application/json", ALL.encode()),
    "cut JSON": ("application/json", f'{{"query": "{ALL}'.encode()),
    "not UTF-8": ("application/json", b'{"query": "\xff' + ALL.encode() + b'"}'),
    "an array": ("application/json", json.dumps([ALL]).encode()),
    "a text": ("application/json", json.dumps(ALL).encode()),
    "query of another type": ("application/json", json.dumps({"query": [ALL]}).encode()),
    "a key": ("application/json", json.dumps({ALL: ALL}).encode()),
    "text/plain": ("text/plain", ALL.encode()),
    "a form": ("application/x-www-form-urlencoded", urlencode({"query": ALL}).encode()),
    "a type": (f"application/{MARKER}", b"{}"),
    "too long": ("application/json", (ALL * 3_000).encode()),
}

MESSAGES: dict[str, Any] = {
    "no JSON": ALL,
    "no type": {"id": ALL},
    "a type": {"type": ALL},
    "an id that is a list": {"type": "subscribe", "id": [ALL], "payload": {"query": VIEWER}},
    "a payload that is text": {"type": "subscribe", "id": "1", "payload": ALL},
    "an init with text": {"type": "connection_init", "payload": ALL},
    "an init with a wrong credential": {"type": "connection_init", "payload": {"authorization": f"Bearer {ALL}"}},
    "an init with a list": {"type": "connection_init", "payload": {"authorization": [ALL]}},
    "an init with a token": {
        "type": "connection_init",
        "payload": {"authorization": f"Bearer {CANARIES['client token']}"},
    },
    "an init with more": {"type": "connection_init", "payload": {"card": ALL}},
}


def callbacks() -> Iterator[tuple[str, str, bytes]]:
    """Yield callbacks: unsigned, unreadable, and signed ones that fit nothing."""
    form = "application/x-www-form-urlencoded"
    yield "unsigned", form, urlencode({"data": ALL, "signature": ALL}).encode()
    yield "no form", "application/json", ALL.encode()
    yield "a type", f"application/{MARKER}", ALL.encode()
    yield "too long", form, (ALL * 1_000).encode()
    bodies: dict[str, Any] = {
        "broken": f'{{"status": "{ALL}'.encode(),
        "a text": json.dumps(ALL).encode(),
        "numbers": json.dumps({"status": CARD, "amount": ALL, "order_id": CARD}).encode(),
        "fields": json.dumps(
            dict.fromkeys(("status", "order_id", "transaction", "message", "card_mask", "card_name", "x"), ALL)
        ).encode(),
        "trace": json.dumps(
            {"status": "failed", "order_id": "nobody", "trace_id": ALL, "other_attr": ALL}
        ).encode(),
    }
    for name, body in bodies.items():
        sealed = seal(DOCUMENTATION_PRIVATE_KEY, body)
        yield f"signed {name}", form, urlencode({"data": sealed.data, "signature": sealed.signature}).encode()
        as_json = json.dumps({"data": sealed.data, "signature": sealed.signature}).encode()
        yield f"signed {name} as JSON", "application/json", as_json


# A run ------------------------------------------------------------------------------------------------------------


class Findings:
    """What was found, by where: a place, and the names of the canaries that were there."""

    def __init__(self) -> None:
        self.found: list[tuple[str, list[str], str]] = []
        self.asked = 0

    def look(self, place: str, text: str, *, allowed: tuple[str, ...] = ()) -> None:
        """Look for canaries in a text."""
        self.asked += 1
        for phrase in allowed:
            text = text.replace(phrase, "")
        if seen := leaks(text):
            at = min(text.find(CANARIES[name]) for name in seen)
            self.found.append((place, seen, text[max(0, at - 100) : at + 40]))

    def __str__(self) -> str:
        lines = [f"{place}: {', '.join(seen)} in {text!r}" for place, seen, text in self.found[:40]]
        return "\n".join([f"{len(self.found)} of {self.asked} places", *lines])


async def asked(
    name: str, client: Client, what: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Heard:
    """Ask over one transport; a stream that stays silent was let in and says nothing."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await TRANSPORTS[name](client, what, headers)
    except TimeoutError:
        return Heard()
    except aiohttp.WSServerHandshakeError as exc:
        return Heard(f"{exc.status} {exc.message} {exc.headers}")


async def _together(*work: Any) -> None:
    slots = asyncio.Semaphore(12)

    async def one(each: Any) -> None:
        async with slots:
            await each

    await asyncio.gather(*(one(each) for each in work))


async def push_documents(service: Service, findings: Findings) -> None:
    """Every leaf and every odd document, over every transport, for a backend and for a browser."""
    leaves = list(every_leaf())
    assert {place.split("(")[0] for place, _, _ in leaves} >= {
        "mutation pay",
        "mutation confirmCheckout",
        "query node",
    }
    odd = [(place, "query", what) for place, what in requests()]
    # An argument is read in the same way wherever it came in: each leaf goes over one transport after the other.
    names = list(TRANSPORTS)

    async def push(place: str, kind: str, what: dict[str, Any], transport: str, client: Client) -> None:
        heard = await asked(transport, client, what)
        findings.look(f"{place} over {transport}", heard.text)
        assert "" not in heard.codes, (place, transport, heard.answer)

    async with service.client() as backend, browser(service, backend) as page:
        await _together(
            *(
                push(place, kind, what, transport, page if "confirmCheckout" in place else backend)
                for number, (place, kind, what) in enumerate([*leaves, *odd])
                for transport in (TRANSPORTS if " as a" not in place else (names[number % len(names)],))
            ),
            *(push(f"{place} by a browser", kind, what, t, page) for place, kind, what in odd for t in TRANSPORTS),
        )


async def push_requests(service: Service, findings: Findings) -> None:
    """Headers, bodies, paths and parameters, over whatever takes them."""
    async with service.client() as client, service.client(None) as stranger:
        for headers in HEADERS:
            for transport in TRANSPORTS:
                heard = await asked(transport, client, {"query": VIEWER}, headers)
                findings.look(f"{headers} over {transport}", heard.text)
        for place, (media_type, body) in BODIES.items():
            for accept in ("application/json", "application/graphql-response+json", "text/event-stream"):
                headers = {**client.authorization, "Content-Type": media_type, "Accept": accept}
                await _look_at(findings, place, client, "POST", client.graphql, data=body, headers=headers)
        paths = (
            "/graphql",
            "/webhooks/epoint",
            "/healthz",
            "/readyz",
            "/metrics",
            "/",
            f"/{ALL}",
            "/explorer/x.js",
        )
        for path in paths:
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
                for speaker in (client, stranger):
                    url = f"{service.url}{path}?{urlencode({'token': ALL, 'operationId': ALL, 'variables': ALL})}"
                    headers = {**speaker.authorization, "Accept": "text/html, application/json"}
                    place = f"{method} {path}"
                    await _look_at(findings, place, speaker, method, url, headers=headers, allow_redirects=False)


async def _look_at(findings: Findings, place: str, client: Client, method: str, url: str, **more: Any) -> None:
    async with client.session.request(method, url, **more) as response:
        headers = [f"{name}: {value}" for name, value in response.headers.items()]
        findings.look(place, "\n".join([*headers, await response.text()]))


async def push_messages(service: Service, findings: Findings) -> None:
    """Messages that are none, before and after the beginning of a socket."""
    async with service.client() as client:
        for place, message in MESSAGES.items():
            for opened in (False, True):
                if not opened:
                    context: Any = client.raw_socket()
                else:
                    context = client.socket()
                async with context as socket:
                    await socket.send_str(message if isinstance(message, str) else json.dumps(message))
                    heard = ""
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.3):
                            async for answer in socket:
                                heard += str(answer.data)
                    findings.look(f"message {place}", f"{heard} {socket.close_code}")


async def push_callbacks(service: Service, findings: Findings) -> None:
    """Callbacks that cannot be taken, or that nothing fits."""
    async with service.client() as client:
        for place, media_type, body in callbacks():
            headers = {"Content-Type": media_type}
            url = f"{service.url}/webhooks/epoint"
            await _look_at(findings, f"callback {place}", client, "POST", url, data=body, headers=headers)


async def push_values(service: Service, findings: Findings) -> None:
    """What is kept and comes back by contract, and the same once more: a reused key, an order that is taken."""
    order = f"{new_order()}-{ALL}"[:240]
    personal = {"description": ALL, "metadata": {"card": ALL, "number": CARD}}
    async with service.client() as client:
        first = payment(order) | personal
        answer = await client.data(PAY, input=first)
        assert answer["pay"]["errors"] == []
        other = {"idempotencyKey": str(uuid4())}
        for again in (first | {"description": "other"}, first | other):
            refused = await client.data(PAY, input=again)
            assert refused["pay"]["errors"], again
            findings.look("a payment that is refused", json.dumps(refused["pay"]["errors"]))
        made = await create(client, orderId=f"checkout-{uuid4()}", metadata={"card": ALL}, description=ALL)
        async with service.client(made["clientToken"]["secret"]) as page:
            key = f"{CANARIES['secret key']}-{uuid4()}"
            method = {"hostedPage": {}}
            document = (
                "mutation ($i: ConfirmCheckoutInput!) { confirmCheckout(input: $i) { errors { code message } } }"
            )
            for chosen in (method, {"savedCard": ALL}, {"hostedPage": {"language": "EN"}}):
                heard = await page.execute(document, i={"idempotencyKey": key, "method": chosen})
                findings.look("a confirmation", json.dumps(heard))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_canary_gets_out(start_service: Any, collector: Collector, log_format: str) -> None:
    """Through every door at once, and then a look at all that was answered, logged, counted and traced."""
    service: Service = start_service(
        GQL_EPOINT_LOG_FORMAT=log_format,
        GQL_EPOINT_LOG_LEVEL="DEBUG",
        GQL_EPOINT_TRACES="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        OTEL_BSP_SCHEDULE_DELAY="100",
        OTEL_BSP_MAX_QUEUE_SIZE="100000",
    )
    findings = Findings()
    for push in (push_values, push_requests, push_messages, push_callbacks, push_documents):
        await push(service, findings)
    async with service.client() as client, client.session.get(f"{service.url}/metrics") as metrics:
        findings.look("metrics", await metrics.text())
    await asyncio.to_thread(service.stop)
    for line in service.logged().splitlines():
        findings.look("log", line)
    for span in collector.spans:
        findings.look(f"trace of {span.name}", str(span))
    for body in collector.bodies:
        findings.look("traces", body.decode("utf-8", "replace"))

    assert collector.bodies
    assert "path=/graphql" in service.logged() or '"path":"/graphql"' in service.logged()
    assert findings.found == [], str(findings)


# What EPoint answers ----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def strange_epoint() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """An EPoint that answers everything with what `says` holds: a status, headers and a body."""
    says: dict[str, Any] = {}

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(**says)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", says
    await runner.cleanup()


def _json(**fields: Any) -> dict[str, Any]:
    return {"body": json.dumps(fields).encode(), "content_type": "application/json"}


ANSWERS: dict[str, dict[str, Any]] = {
    "no JSON": {"body": ALL.encode()},
    "cut JSON": {"body": f'{{"status": "{ALL}'.encode()},
    "another shape": _json(status=[ALL], redirect_url={"a": ALL}),
    "an array": {"body": json.dumps([ALL]).encode()},
    "a page": {"status": 500, "body": f"<html>{ALL}</html>".encode(), "content_type": "text/html"},
    "a redirect": {"status": 302, "headers": {"Location": f"https://evil.example/{ALL}"}},
    "a page elsewhere": _json(status="success", transaction="te-1", redirect_url=f"https://evil.example/{ALL}"),
    "a page that is none": _json(status="success", transaction="te-2", redirect_url=f"http://[{ALL}"),
    "a word": _json(status=ALL),
    "a refusal": _json(status="error", message=f"The card {CARD} of {CANARIES['secret key']} is not known"),
    "a trace": {
        **_json(status="error", message="No.", trace_id=f"{CARD}"),
        "headers": {"X-Request-ID": CANARIES["secret key"]},
    },
    "a wrong signature": _json(status="server_error", message="Signature did not match"),
}
# EPoint's own word is shown to backends as it is, but for what looks like a card number or a key.
SHOWN_AS_IT_IS = {"a word to charging": ["unrecognisable"], "another shape to charging": ["unrecognisable"]}

OPENING = """mutation ($i: PayInput!) { pay(input: $i) {
  errors { code message } transaction { status failure { category message } gateway { status } } } }"""
CHARGING = """mutation ($i: PayWithSavedCardInput!) { payWithSavedCard(input: $i) {
  errors { code message } transaction { status failure { category message } gateway { status } } } }"""
CONFIRMING = """mutation ($i: ConfirmCheckoutInput!) { confirmCheckout(input: $i) {
  errors { code message } checkout { transaction { status failure { category message } } } } }"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_canary_of_epoint_gets_out(start_service: Any, log_format: str) -> None:
    """Whatever it answers: to opening, to charging, to questions, for a backend and for a browser."""
    findings = Findings()
    async with strange_epoint() as (url, says):
        service: Service = start_service(GQL_EPOINT_GATEWAY_URL=url, GQL_EPOINT_LOG_FORMAT=log_format)
        async with service.client() as client:
            for place, answer in ANSWERS.items():
                says.clear()
                says.update(answer)
                fields = payment(new_order())
                findings.look(f"{place} to opening", json.dumps(await client.execute(OPENING, i=fields)))
                card = payment(new_order()) | {"card": {"cardId": "ce-1"}}
                findings.look(f"{place} to charging", json.dumps(await client.execute(CHARGING, i=card)))
                refresh = (
                    'mutation { refreshTransaction(by: {gatewayTransactionId: "te-9"}) { errors { message } } }'
                )
                findings.look(f"{place} to asking", json.dumps(await client.execute(refresh)))
                made = await create(client)
                async with service.client(made["clientToken"]["secret"]) as page:
                    chosen = {"idempotencyKey": str(uuid4()), "method": {"hostedPage": {}}}
                    heard = await page.execute(CONFIRMING, i=chosen)
                    findings.look(f"{place} to a browser", json.dumps(heard))
            async with client.session.get(f"{service.url}/metrics") as metrics:
                findings.look("metrics", await metrics.text())
        await asyncio.to_thread(service.stop)
    for line in service.logged().splitlines():
        findings.look("log", line)

    findings.found = [one for one in findings.found if SHOWN_AS_IT_IS.get(one[0]) != one[1]]
    assert findings.found == [], str(findings)


# What the database says -------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_canary_of_a_row_gets_out(start_service: Any, log_format: str, tmp_path: Path) -> None:
    """PostgreSQL shows whole rows in its errors, and SQLite the text of statements: neither passes."""
    findings = Findings()
    async with new_database() as url:
        service: Service = start_service(GQL_EPOINT_DATABASE_URL=url, GQL_EPOINT_LOG_FORMAT=log_format)
        admin = await asyncpg.connect(url)
        try:
            await admin.execute("ALTER TABLE transactions ADD CHECK (description IS NULL)")
            await admin.execute("ALTER TABLE checkouts ADD CHECK (metadata IS NULL)")
            personal = {"description": ALL, "metadata": {"card": ALL}}
            async with service.client() as client:
                for transport in TRANSPORTS:
                    if transport == "GET":
                        continue
                    what = {"query": PAY, "variables": {"input": payment(new_order()) | personal}}
                    heard = await asked(transport, client, what)
                    assert heard.codes == ["INTERNAL_ERROR"], (transport, heard)
                    assert [set(error["extensions"]) for error in heard.answer["errors"]] == [{"code", "requestId"}]
                    findings.look(f"a row over {transport}", heard.text)
                sealed = seal(
                    DOCUMENTATION_PRIVATE_KEY, msgspec.json.encode({"status": "success", "order_id": ALL})
                )
                await admin.execute("ALTER TABLE callbacks ADD CHECK (order_id IS NULL)")
                data = {"data": sealed.data, "signature": sealed.signature}
                await _look_at(findings, "a callback", client, "POST", f"{service.url}/webhooks/epoint", data=data)
        finally:
            await admin.close()
        await asyncio.to_thread(service.stop)
    assert "unexpected" in service.logged()
    for line in service.logged().splitlines():
        findings.look("log", line)

    assert findings.found == [], str(findings)


def test_every_canary_can_be_found() -> None:
    """The search itself works, and the canaries look like what they stand for."""
    assert leaks(f"a {ALL} b") == list(CANARIES)
    assert leaks(re.sub(r"[a-zA-Z0-9]", "x", ALL)) == []
    assert len({*CANARIES.values()}) == len(CANARIES)
