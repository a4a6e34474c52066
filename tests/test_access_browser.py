"""What a client token may select: its own fields, for what it was made for, and nothing that is for the shop."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import get_named_type, is_abstract_type, is_input_object_type

from gql_epoint.schema.enums import ClientOperation
from tests.test_access import A_TOKEN, BROWSER_ROOTS, EVERY_KEY, GRAPHQL, ROOTS, SCHEMA, a_token, judge, run


@pytest.mark.parametrize("name", BROWSER_ROOTS)
async def test_what_is_for_browsers_is_for_no_key(name: str) -> None:
    """A key is bound to no checkout, so the strongest of them has nothing to ask here."""
    errors = await run(BROWSER_ROOTS[name][0], EVERY_KEY)

    assert [error.message for error in errors] == [f"{name} needs only CLIENT_TOKEN."]
    assert errors[0].extensions == {"code": "FORBIDDEN"}


@pytest.mark.parametrize("name", BROWSER_ROOTS)
async def test_a_token_does_what_it_was_made_for(name: str) -> None:
    """One operation is enough for its own field, and all others together are not."""
    document, operation = BROWSER_ROOTS[name]
    errors = await run(document, a_token(*(set(ClientOperation) - {operation})))

    assert [error.message for error in errors] == [
        f"{name} needs a client token that was made for {operation.value}."
    ]
    assert errors[0].extensions == {"code": "FORBIDDEN"}
    assert judge(document, a_token(operation)) == []
    assert judge(ROOTS["Query.viewer"][0], a_token()) == []


@pytest.mark.parametrize("document", ["{ __schema { queryType { name } } }", '{ __type(name: "Query") { name } }'])
async def test_a_browser_cannot_explore(document: str) -> None:
    """Introspection is off for client tokens, and errors suggest nothing; `__typename` is what clients need."""
    errors = await run(document, A_TOKEN)
    assert [(error.extensions or {}).get("code") for error in errors] == ["FORBIDDEN"]
    (typo,) = await run("{ checkou { id } }", A_TOKEN)
    (helped,) = await run("{ checkou { id } }", EVERY_KEY)

    assert typo.message == "Cannot query field 'checkou' on type 'Query'."
    assert helped.message.startswith(typo.message + " Did you mean 'checkout'")
    assert await run("{ __typename }", A_TOKEN) == []


# What a browser can reach ----------------------------------------------------------------------------------------


def reachable_outputs() -> set[tuple[str, str]]:
    """Every field that a client token may select, over everything that it can select before."""
    found: set[tuple[str, str]] = set()
    waiting = [root for root in (GRAPHQL.query_type, GRAPHQL.mutation_type, GRAPHQL.subscription_type) if root]
    while waiting:
        parent: Any = waiting.pop()
        for name, field in parent.fields.items():
            asked = SCHEMA.requirements.get((parent.name, name), ())
            if (parent.name, name) in found or not all(each.met_by(A_TOKEN) for each in asked):
                continue
            found.add((parent.name, name))
            type_ = get_named_type(field.type)
            kinds = GRAPHQL.get_possible_types(type_) if is_abstract_type(type_) else [type_]
            waiting += [kind for kind in kinds if hasattr(kind, "fields")]
    return found


def test_a_browser_can_read_nothing_that_is_only_for_the_shop() -> None:
    """Whatever way it takes through the schema: each name here would be one field too many."""
    reachable = reachable_outputs()
    names = {name for _, name in reachable}

    assert ("Checkout", "transaction") in reachable
    assert ("Transaction", "failure") in reachable
    assert names.isdisjoint(
        {
            *("metadata", "split", "bankCode", "holderName", "cardId", "gateway", "events", "refunds", "callbacks"),
            *("refundedAmount", "refundPendingAmount", "refundableAmount", "refund", "actor", "note", "node"),
        }
    )
    roots = {f"{parent}.{name}" for parent, name in reachable if parent in ("Query", "Mutation", "Subscription")}
    assert roots == {"Query.viewer", *BROWSER_ROOTS}


def test_nothing_a_browser_sends_has_an_amount_an_order_or_a_url() -> None:
    """Every input that a client token's fields take, to its leaves: a key, a card that is offered, a language."""
    leaves: dict[str, str] = {}
    for parent, name in reachable_outputs():
        waiting = [
            (f"{parent}.{name}", argument) for argument in GRAPHQL.type_map[parent].fields[name].args.items()
        ]
        while waiting:
            path, (label, argument) = waiting.pop()
            type_ = get_named_type(argument.type)
            if is_input_object_type(type_):
                waiting += [(f"{path}.{label}", item) for item in type_.fields.items()]
            else:
                leaves[f"{path}.{label}"] = type_.name

    start = "Mutation.confirmCheckout.input"
    assert leaves == {
        f"{start}.idempotencyKey": "IdempotencyKey",
        f"{start}.method.hostedPage.language": "Language",
        f"{start}.method.savedCard": "ID",
        f"{start}.method.widget.language": "Language",
    }
