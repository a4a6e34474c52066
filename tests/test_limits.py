"""Documents that would be slow, and the limit that each is refused by. Work is counted, not timed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Self

import pytest
from graphql import GraphQLError, GraphQLSchema, get_introspection_query, parse, validate

from gql_epoint.schema import build_schema
from gql_epoint.schema.limits import LIMITS, LimitError, check_text, check_variables
from gql_epoint.schema.weighing import Walk, check_document
from tests.transports import TRANSPORTS

MEGABYTE = 1_000_000

# Calls of functions: those of a document that is refused by its length, and of one that is validated to its end.
# Quadratic work on what passes the limits would be ten times more; `make bench-documents` shows the time.
WORK_OF_A_REFUSAL = 50
WORK_MAX = 1_000_000


class Work:
    """Counts the calls of functions, in Python and in C, while its block runs.

    No garbage is collected meanwhile: Hypothesis has a function called whenever that happens, and it would count.
    """

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> Self:
        self._collecting = gc.isenabled()
        gc.disable()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_exc: object) -> None:
        sys.setprofile(None)
        if self._collecting:
            gc.enable()

    def _count(self, _frame: object, event: str, _argument: object) -> None:
        self.calls += event in ("call", "c_call")


@cache
def schema() -> GraphQLSchema:
    return build_schema()._schema  # noqa: SLF001


def check(text: str, **variables: Any) -> None:
    check_text(text)
    check_document(schema(), parse(text), variables)


def refused(text: str, **variables: Any) -> str:
    with pytest.raises(LimitError) as caught:
        check(text, **variables)
    assert caught.value.extensions is not None
    return str(caught.value.extensions["limit"])


def numbered(count: int, item: str) -> str:
    return " ".join(item.replace("#", str(number)) for number in range(count))


def chain(count: int, spreads: int = 1, end: str = "viewer { level }") -> str:
    """Fragments that spread the next one, so many times each."""
    links = [f"fragment f{n} on Query {{ {f'...f{n + 1} ' * spreads} }}" for n in range(count)]
    return "{ ...f0 } " + " ".join(links) + f" fragment f{count} on Query {{ {end} }}"


def deep(levels: int) -> str:
    return "{ viewer " * (levels - 1) + "{ level " + "}" * levels


# -- a megabyte of each ---------------------------------------------------------------------------------------

SHAPES: dict[str, Callable[[int], str]] = {
    "aliases": lambda n: "{" + numbered(n, "a#: viewer { level }") + "}",
    "repeated fields": lambda n: "{ viewer {" + "level " * n + "} }",
    "directives": lambda n: "{ viewer " + "@a " * n + "{ level } }",
    "unknown fields": lambda n: "{" + numbered(n, "x#") + "}",
    "a list literal": lambda n: "{ transaction(by: [" + "1," * n + "]) { id } }",
    "operations": lambda n: numbered(n, "query q# { viewer { level } }"),
    "fragments": lambda n: "{ viewer { level } } " + numbered(n, "fragment f# on Query { viewer { level } }"),
    "variables": lambda n: "query (" + numbered(n, "$v#: Int") + ") { viewer { level } }",
    "a fragment chain": chain,
    "a fragment cycle": lambda n: chain(n, end="...f0"),
    "doubling": lambda n: chain(n, spreads=2),
    "deep selections": lambda n: "{ viewer " * n + "}" * n,
    "deep lists": lambda n: "{ transaction(by: " + "[" * n + "]" * n + ") { id } }",
    "deep objects": lambda n: "{ transaction(by: " + "{a: " * n + "1" + "}" * n + ") { id } }",
    "deep inline fragments": lambda n: "{" + "... {" * n + "viewer" + "}" * n + "}",
    "comments": lambda n: "{ viewer { level } }" + "#\n" * n,
    "one long text": lambda n: '{ transaction(by: {id: "' + "x" * n + '"}) { id } }',
    "a text that never ends": lambda n: '{ a(b: """' + '\\"""' * n,
    "quotes": lambda n: '"' * n,
    "nothing but commas": lambda n: "," * n,
    "a long number": lambda n: "{ transactions(first: " + "1" * n + ") { pageInfo { hasNextPage } } }",
}


def fitted(shape: Callable[[int], str], length: int) -> str:
    """Return the largest of a shape that is not longer."""
    size = length // max(1, len(shape(200)) // 200)
    while len(shape(size)) > length:
        size = size * 9 // 10
    return shape(size)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_megabyte_of_it_is_refused_at_once(shape: Callable[[int], str]) -> None:
    """By its length, whatever the setting for bodies is, and before anything else is done with it."""
    text = fitted(shape, MEGABYTE)
    with Work() as work:
        limit = refused(text)

    assert limit == "characters"
    assert work.calls < WORK_OF_A_REFUSAL


def work_on(text: str) -> int:
    """Return the work to refuse a document, or to validate it."""
    schema()
    with Work() as work, contextlib.suppress(GraphQLError):
        check_text(text)
        document = parse(text)
        check_document(schema(), document)
        validate(schema(), document)
    return work.calls


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_as_much_of_it_as_passes_is_cheap(shape: Callable[[int], str]) -> None:
    """The largest of each shape that its length lets through is refused in a bounded walk, or validated quickly."""
    assert work_on(fitted(shape, LIMITS.characters)) < WORK_MAX


# -- each limit, at its edge ----------------------------------------------------------------------------------

EDGES: dict[str, tuple[Callable[[int], str], int]] = {
    "operations": (SHAPES["operations"], LIMITS.operations),
    "fragments": (SHAPES["fragments"], LIMITS.fragments),
    "variables": (SHAPES["variables"], LIMITS.variables),
    "aliases": (lambda n: "{ viewer {" + numbered(n, "a#: level") + "} }", LIMITS.aliases),
    "directives_per_node": (SHAPES["directives"], LIMITS.directives_per_node),
    "directives": (lambda n: "{ viewer {" + numbered(n, "x# @a") + "} }", LIMITS.directives),
    "written_fields": (lambda n: "{ viewer {" + numbered(n - 1, "x#") + "} }", LIMITS.written_fields),
    "repeats": (SHAPES["repeated fields"], LIMITS.repeats),
    "root_fields": (lambda n: "{" + numbered(n, "x#") + "}", LIMITS.root_fields),
    "depth": (deep, LIMITS.depth),
    "nesting": (SHAPES["deep lists"], LIMITS.nesting - 2),
    "tokens": (lambda n: "{ a }" + "#\n" * (n - 3), LIMITS.tokens),
    "list_items": (
        lambda n: "{ transactions(filter: {statusIn: [" + "SUCCESS " * n + "]}) { edges { cursor } } }",
        LIMITS.list_items,
    ),
    "characters": (lambda n: "{ a }" + " " * (n - 5), LIMITS.characters),
    "word": (SHAPES["a long number"], LIMITS.word),
}


@pytest.mark.parametrize("limit", EDGES)
def test_a_limit_is_reached_and_not_passed(limit: str) -> None:
    """So many are good, and one more is refused by the limit of that name."""
    shape, edge = EDGES[limit]

    check(shape(edge))
    assert refused(shape(edge + 1)) == limit


@pytest.mark.parametrize("limit", EDGES)
def test_what_a_limit_lets_through_costs_no_more_than_its_size(limit: str) -> None:
    """Twice as much is at most about twice the work: nothing compares each with each."""
    shape, edge = EDGES[limit]
    work_on(shape(edge))  # once before, for what is made the first time only
    half, whole = work_on(shape(edge // 2)), work_on(shape(edge))

    assert whole < 2.5 * half
    assert whole < WORK_MAX


def test_texts_and_comments_are_no_words() -> None:
    """Their length is limited with that of the whole document; names and numbers are what is short."""
    check(SHAPES["one long text"](LIMITS.word * 5))
    check("{ viewer { level } } #" + "x" * LIMITS.word * 5)
    assert refused("{ viewer { " + "x" * (LIMITS.word + 1) + " } }") == "word"


@pytest.mark.parametrize("levels", [20, 59])
def test_doubling_fragments_cost_no_more_than_their_text(levels: int) -> None:
    """Each is walked once, however often it is spread: the number of visits is that of the nodes."""
    few, many = (Walk(schema(), parse(chain(levels, spreads)), {}, LIMITS) for spreads in (1, 2))
    few.run()
    with pytest.raises(LimitError):
        many.run()

    assert few.visits == 1 + levels + 2
    assert many.visits <= 1 + 2 * levels + 2


def test_a_fragment_that_spreads_itself_is_refused() -> None:
    for text in ("{ ...a } fragment a on Query { ...a }", chain(3, end="...f0"), "fragment a on Query { ...a }"):
        with pytest.raises(Exception, match="spreads itself"):
            check(text)


def test_depth_counts_through_fragments() -> None:
    inner = "fragment b on Viewer " + deep(LIMITS.depth - 1)

    check("{ a { ...b } } " + inner)
    assert refused("{ a { a { ...b } } } " + inner) == "depth"


def test_repeats_count_in_one_place_only() -> None:
    """A union's types may each have the same fields, and another place is another place."""
    check("{ viewer {" + "... on Viewer { level } " * LIMITS.repeats + "} }")
    check("{ viewer { level } " * 1 + numbered(15, "a#: viewer { level }") + "}")
    assert refused("{ viewer {" + "... { level } " * (LIMITS.repeats + 1) + "} }") == "repeats"
    assert refused("{" + "viewer { level level level level } " * 8 + "}") == "repeats"


# -- pages of pages -------------------------------------------------------------------------------------------


def pages(outer: str, inner: str, fields: str = "id") -> str:
    return (
        f"query ($n: Int = 100, $m: Int) {{ transactions({outer}) {{ edges {{ node {{ "
        f"refunds({inner}) {{ edges {{ node {{ {fields} }} }} }} }} }} }} }}"
    )


def test_a_page_of_pages_cannot_fan_out() -> None:
    """What counts is the answer if every page is full."""
    check(pages("first: 100", "first: 20"))
    check(pages("first: 10", "first: 100"))
    assert refused(pages("first: 100", "first: 100")) == "fields"
    assert refused(pages("last: 100", "first: 100")) == "fields"
    assert refused(pages("first: 100", "first: 20", numbered(10, "x#"))) == "fields"


def test_a_page_takes_its_size_from_variables_and_defaults() -> None:
    assert refused(pages("first: $n", "first: $m"), m=100) == "fields"
    assert refused(pages("first: $n", "first: 100")) == "fields"
    check(pages("first: $n", "first: $m"), n=5, m=100)
    check(pages("first: $n", "first: $m"), n=None, m=None)
    check(pages("orderBy: CREATED_AT_DESC", "after: null"))


@pytest.mark.parametrize("size", [10**30, -5, "x", 1.5, True, [], {}])
def test_a_page_size_that_is_refused_later_breaks_nothing(size: object) -> None:
    check(pages("first: $n", "first: 1"), n=size)


# -- what is sent beside it -----------------------------------------------------------------------------------

LISTING = (
    "query ($f: TransactionFilter, $s: [TransactionStatus!]) { a: transactions(filter: $f) { edges { cursor } } "
)


@pytest.mark.parametrize(
    "variables", [lambda n: {"s": ["SUCCESS"] * n}, lambda n: {"f": {"statusIn": ["SUCCESS"] * n, "orderId": "x"}}]
)
def test_lists_in_variables_are_as_long_as_lists_in_documents(variables: Callable[[int], dict[str, Any]]) -> None:
    text = LISTING + "b: transactions(filter: {statusIn: $s}) { edges { cursor } } }"

    check(text, **variables(LIMITS.list_items))
    assert refused(text, **variables(LIMITS.list_items + 1)) == "list_items"


def test_lists_of_defaults_count_and_those_of_json_do_not() -> None:
    """Metadata is one value to the contract: its size has a limit of its own."""
    many = LIMITS.list_items + 1
    paying = "mutation ($i: PayInput!) { pay(input: $i) { replayed } }"

    assert refused(f"query ($s: [TransactionStatus!] = [{'NEW ' * many}]) {{ viewer {{ level }} }}") == "list_items"
    check(paying, i={"metadata": {"a": [1] * many}})
    check("mutation { pay(input: {metadata: {a: [" + "1 " * many + "]}}) { replayed } }")


@pytest.mark.parametrize("value", [None, 1, "x", {}, [[[]]], {"statusIn": {"statusIn": [1]}}, {"statusIn": "NEW"}])
def test_values_that_fit_no_type_are_refused_later(value: object) -> None:
    check(LISTING + "}", f=value, s=value)
    check("query ($x: Nonsense, $y: [Nonsense]) { viewer(z: [1]) { level } }", x=value, y=value)


def test_variables_have_a_size() -> None:
    """As JSON, whatever they are."""
    fitting = {"a": "x" * (LIMITS.variables_bytes - len('{"a":""}'))}
    check_variables(fitting)
    with pytest.raises(LimitError) as caught:
        check_variables({"b": 1, **fitting})

    assert caught.value.extensions == {"code": "DOCUMENT_LIMIT", "limit": "variables_bytes"}


# -- as settings ----------------------------------------------------------------------------------------------

SET = {
    "DOCUMENT_TOKENS_MAX": ("tokens", "100", {"query": "{ viewer { level } }" + "#\n" * 100}),
    "DOCUMENT_DEPTH_MAX": ("depth", "5", {"query": "{ a { a { a { a { a { a } } } } } }"}),
    "DOCUMENT_ALIASES_MAX": ("aliases", "1", {"query": "{ a: viewer { level } b: viewer { level } }"}),
    "LIST_ITEMS_MAX": ("list_items", "2", {"query": LISTING + "}", "variables": {"s": ["NEW"] * 3}}),
    "VARIABLES_BYTES_MAX": (
        "variables_bytes",
        "1000",
        {"query": "{ viewer { level } }", "variables": {"x": "y" * 1000}},
    ),
}


async def test_each_limit_is_a_setting_on_every_transport(start_service: Any) -> None:
    """What is over it is refused with the limit's name, before anything runs; what is under it goes on."""
    service = start_service(**{f"GQL_EPOINT_{name}": value for name, (_, value, _) in SET.items()})
    async with service.client() as client:
        for name, ask in TRANSPORTS.items():
            for limit, _, asked in SET.values():
                heard = await ask(client, asked)
                assert [error["extensions"] for error in heard.answer["errors"]] == [
                    {"code": "DOCUMENT_LIMIT", "limit": limit}
                ], (name, limit)
            fine = await ask(client, {"query": "{ viewer { level } }"})
            assert fine.answer == {"data": {"viewer": {"level": "SECRET_KEY"}}}, name


async def test_connections_carry_as_many_operations_as_set(start_service: Any) -> None:
    """Over WebSocket and over a shared event stream; and `connection_init` has its time."""
    service = start_service(GQL_EPOINT_CONNECTION_OPERATIONS_MAX="1", GQL_EPOINT_SOCKET_INIT_TIMEOUT_S="1")
    watching = {"query": "subscription { events { cursor } }"}
    async with service.client() as client:
        async with client.socket() as socket:
            for number in "12":
                await socket.send_json({"id": number, "type": "subscribe", "payload": watching})
            refused = await socket.receive_json(timeout=10)
        assert refused["id"] == "2"
        assert refused["payload"][0]["message"] == "A connection carries 1 operations at a time."
        assert refused["payload"][0]["extensions"] == {"code": "TOO_MANY_OPERATIONS"}
        async with client.session.put(client.graphql, headers=client.authorization) as reserved:
            headers = {"X-GraphQL-Event-Stream-Token": await reserved.text(), **client.authorization}
        answers = []
        for number in "12":
            body = {**watching, "extensions": {"operationId": number}}
            async with client.session.post(client.graphql, json=body, headers=headers) as response:
                answers.append(response.status)
        assert answers == [202, 429]
        async with client.raw_socket() as silent:
            async with asyncio.timeout(10):
                await silent.receive()
            assert silent.close_code == 4408


# -- what must pass -------------------------------------------------------------------------------------------


def test_introspection_passes() -> None:
    """Explorers and code generators ask for all of the schema at once, with nine levels of wrapped types."""
    text = get_introspection_query(
        specified_by_url=True,
        schema_description=True,
        directive_is_repeatable=True,
        input_value_deprecation=True,
    )

    check(text)
    assert validate(schema(), parse(text)) == []
    assert text.count("ofType") == 9


def test_introspection_cannot_fan_out() -> None:
    """Neither by lists inside each other nor by asking again and again."""
    nested = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    again = "{ __schema {" + numbered(8, "t#: types { fields { args { type { name kind } } name } }") + "} }"
    wrapped = "args { description type { kind name ofType { kind name ofType { kind name } } } }"
    more = "{" + numbered(20, "s#: __schema { types { fields { name " + wrapped + "} } }") + "}"

    assert refused(nested) == "introspection_lists"
    check(again)
    assert refused(more) == "introspection_fields"
