"""A document that was sent before is answered like one that is new, on every path that skips what is known."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.service import Client

_numbers = itertools.count(1)

PAGES = (
    "query Pages($n: Int) { transactions(first: $n) { edges { node { events(first: $n) { edges { cursor } } } } } }"
)
REFUND = """mutation Refund($key: String!, $id: ID!) {
  refund(input: { idempotencyKey: $key, transaction: { id: $id } }) { refund { id } errors { code path } }
}"""

CASES: dict[str, tuple[str, dict[str, object]]] = {
    "a query": ("{ viewer { level scopes } }", {}),
    "a null": ('{ transaction(by: { id: "tx_none" }) { id } }', {}),
    "a page": (PAGES, {"n": 2}),
    "pages over a limit": (PAGES, {"n": 100}),
    "a variable of another type": (PAGES, {"n": "many"}),
    "a variable that lacks": (REFUND, {"id": "tx_none"}),
    "a refusal": (REFUND, {"key": "a-key-of-test-known", "id": "tx_none"}),
    "a resolver's error": ('{ transactions(first: 1, after: "nothing") { edges { cursor } } }', {}),
    "two operations and no name": ("query A { viewer { level } } query B { viewer { level } }", {}),
}


async def ask(client: Client, query: str, variables: dict[str, object], **more: object) -> Any:
    body = {"query": query, "variables": variables, **more}
    async with client.session.post(client.graphql, json=body, headers=client.authorization) as response:
        answer = await response.json()
        for error in answer.get("errors", ()):
            error.get("extensions", {}).pop("requestId", None)
        return response.status, answer


@pytest.mark.parametrize(("query", "variables"), CASES.values(), ids=CASES)
async def test_what_is_known_is_answered_like_what_is_new(
    client: Client, query: str, variables: dict[str, object]
) -> None:
    """The first use is the long way, later ones are the short way; nobody can tell."""
    query += f" # {next(_numbers)}"
    new = await ask(client, query, variables)
    if new[1].get("errors"):
        await ask(client, query, {"n": 1, "key": "a-key-of-test-known", "id": "tx_none"})  # Now it is known.
    known = [await ask(client, query, variables) for _ in range(2)]

    assert known == [new, new]


async def test_operations_of_one_document_are_told_apart(client: Client) -> None:
    query = (
        'query A { viewer { level } } mutation B { refreshTransaction(by: { id: "tx_none" }) { errors { code } } }'
    )
    for _ in range(3):
        a = await ask(client, query, {}, operationName="A")
        b = await ask(client, query, {}, operationName="B")
        c = await ask(client, query, {}, operationName="C")

        assert list(a[1]["data"]) == ["viewer"]
        assert list(b[1]["data"]) == ["refreshTransaction"]
        assert "data" not in c[1]


async def test_a_known_mutation_does_not_run_by_get(client: Client) -> None:
    query = REFUND
    variables = {"key": "a-key-of-test-known", "id": "tx_none"}
    for _ in range(2):
        await ask(client, query, variables)
    parameters = {"query": query, "variables": '{"key": "a-key-of-test-known", "id": "tx_none"}'}
    async with client.session.get(client.graphql, params=parameters, headers=client.authorization) as response:
        assert response.status == 405


async def test_what_one_credential_may_another_may_not(client: Client) -> None:
    """What is known is known for a credential."""
    query = "{ viewer { level } } # of one credential"
    for _ in range(2):
        assert "errors" not in (await ask(client, query, {}))[1]
    async with client.session.post(client.graphql, json={"query": query}) as response:
        answer = await response.json()

    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
