"""Documents that are known to be valid are not validated again, and nobody profits from what another may ask."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import parse

from gql_epoint.schema import Schema, build_schema
from gql_epoint.schema.access import AuthLevel, Credential, Scope
from gql_epoint.schema.context import RequestContext
from gql_epoint.schema.known import Known
from gql_epoint.schema.limits import LIMITS

ALL = Credential(name="all", level=AuthLevel.SECRET_KEY, scopes=frozenset(Scope))
NONE = Credential(name="none", level=AuthLevel.SECRET_KEY)
PAGES = """query ($n: Int) {
  transactions(first: $n) { edges { node { refunds(first: 100) { edges { node { id } } } } } }
}"""


@pytest.fixture
def schema() -> Schema:
    return build_schema()


async def run(schema: Schema, text: str, credential: Credential | None, **variables: Any) -> list[str]:
    nothing: Any = None
    context = RequestContext(
        cashier=nothing, credential=credential, merchant="i1", sandbox=True, request_id="req-1"
    )
    result = await schema.execute(text, variable_values=variables, context_value=context)
    return [(error.extensions or {}).get("code", error.message) for error in result.errors or []]


async def test_a_valid_document_is_known_from_then_on(schema: Schema) -> None:
    text = "{ viewer { level } }"
    assert schema.known.find(text, ALL) is None
    assert await run(schema, text, ALL) == []
    document = schema.known.find(text, ALL)

    assert document is not None
    assert await run(schema, text, ALL) == []
    assert schema.known.find(text, ALL) is document


async def test_what_one_may_ask_another_may_not(schema: Schema) -> None:
    """A document is known for a credential, never for all."""
    text = "{ transactions(first: -1) { pageInfo { hasNextPage } } }"
    for _ in range(2):
        assert await run(schema, text, ALL) == ["INVALID_INPUT"]  # it ran
        assert await run(schema, text, NONE) == ["FORBIDDEN"]
        assert await run(schema, text, None) == ["UNAUTHENTICATED"]


async def test_a_known_document_still_has_to_keep_its_limits(schema: Schema) -> None:
    """Page sizes may be in the variables, which differ each time."""
    assert await run(schema, PAGES, ALL, n=-1) == ["INVALID_INPUT"]
    assert schema.known.find(PAGES, ALL) is not None
    assert await run(schema, PAGES, ALL, n=100) == ["DOCUMENT_LIMIT"]


LISTS = "query ($s: [TransactionStatus!]) { transactions(first: 1, filter: {statusIn: $s}) { edges { cursor } } }"


@pytest.mark.parametrize("size", [LIMITS.list_items + 1, LIMITS.variables_bytes])
async def test_what_is_known_is_refused_for_its_variables(schema: Schema, size: int) -> None:
    """Lists and bytes of variables are limited for a document that was sent before as for a new one."""
    await run(schema, LISTS, ALL, s=["SUCCESS"])
    assert schema.known.find(LISTS, ALL) is not None

    assert await run(schema, LISTS, ALL, s=["SUCCESS"] * size) == ["DOCUMENT_LIMIT"]


@pytest.mark.parametrize("text", ["{ nothing }", "{", "query ($a: Nothing) { __typename }"])
async def test_what_is_not_valid_is_not_known(schema: Schema, text: str) -> None:
    for _ in range(2):
        assert await run(schema, text, ALL) != []

    assert schema.known.find(text, ALL) is None


async def test_strangers_make_nothing_known(schema: Schema) -> None:
    assert await run(schema, "{ __typename }", None) == []

    assert schema.known.find("{ __typename }", None) is None


def test_what_is_known_is_bounded(schema: Schema) -> None:
    """The one that was not used for longest goes; a long one is not kept."""
    known, document = Known(), parse("{ a }")
    for number in range(Known.ENTRIES_MAX):
        known.remember(str(number), ALL, document, schema._schema)  # noqa: SLF001
    first = known.find("0", ALL)
    assert first is not None
    assert first.document is document
    known.remember("one more", ALL, document, schema._schema)  # noqa: SLF001
    known.remember("x" * (Known.CHARACTERS_MAX + 1), ALL, document, schema._schema)  # noqa: SLF001

    assert known.find("0", ALL) is first
    assert known.find("1", ALL) is None
    assert known.find("x" * (Known.CHARACTERS_MAX + 1), ALL) is None
