"""Compiled coercion of variables: what it takes is what graphql-core makes of it, and the rest it leaves alone."""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import Any

import pytest
from graphql import OperationDefinitionNode, Undefined, build_schema, get_variable_values, parse
from graphql.execution.values import VariableValues

from gql_epoint.compiled.variables import NotCovered, reader

SCHEMA = build_schema("""
scalar Any
enum Colour { RED GREEN BLUE }
input Flat { side: Int! = 1 name: String colour: Colour = GREEN tags: [String!] any: Any must: Float! id: ID }
input Deep { flat: Flat! flats: [[Flat!]!] pick: Pick colours: [Colour!] = null yes: Boolean }
input Pick @oneOf { number: Int text: String flat: Flat flats: [Flat] }
input Loop { inner: Loop }
input Listed { numbers: [Int!]! = [1, 2] }
type Query { a: Int }
""")
TYPES = ["Int", "String", "ID", "Float", "Boolean", "Any", "Colour", "Flat", "Deep", "Pick"]
WRAPPED = ["{}", "{}!", "[{}]", "[{}!]!", "[[{}!]]"]
DEFAULTS = {"Int": "3", "String": '"x"', "Boolean": "true", "Colour": "RED"}
FIELDS = ["side", "name", "colour", "tags", "any", "must", "id", "flat", "flats", "pick", "number", "text", "yes"]
LEAVES = [
    0,
    7,
    -1,
    2**31,
    10**40,
    1.0,
    1.5,
    float("nan"),
    "",
    "tea",
    "7",
    "RED",
    "PUCE",
    True,
    False,
    None,
    Undefined,
]


class Words(dict[str, Any]):
    """Not quite a dict."""


def a_value(chance: Random, depth: int = 3) -> Any:
    """Return something that a client may send, or a program that calls graphql-core."""
    roll = chance.random()
    if depth == 0 or roll < 0.4:
        return chance.choice(LEAVES)
    if roll < 0.55:
        return chance.choice([list, list, list, tuple])(
            a_value(chance, depth - 1) for _ in range(chance.randint(0, 3))
        )
    fields = {name: a_value(chance, depth - 1) for name in chance.sample(FIELDS, chance.randint(0, 4))}
    return chance.choice([dict, dict, dict, Words, OrderedDict])(fields)


def fitting(chance: Random, type_: str) -> Any:
    """Return something that fits a type, most of the time."""
    if chance.random() < 0.05:
        return a_value(chance, 1)
    if type_.startswith("["):
        return [fitting(chance, type_.rstrip("!")[1:-1]) for _ in range(chance.randint(0, 2))]
    if not type_.endswith("!") and chance.random() < 0.1:
        return None
    match type_.rstrip("!"):
        case "Flat":
            return {"must": 1.5} | some(
                chance, side="Int!", name="String", colour="Colour", tags="[String!]", id="ID"
            )
        case "Deep":
            return {"flat": fitting(chance, "Flat!")} | some(
                chance, flats="[[Flat!]!]", pick="Pick", colours="[Colour!]", yes="Boolean"
            )
        case "Pick":
            ((name, of),) = chance.sample([("number", "Int!"), ("text", "String!"), ("flats", "[Flat]!")], 1)
            return {name: fitting(chance, of)}
        case leaf:
            good = {"Int": 7, "Float": 1.5, "Boolean": True, "Colour": "BLUE", "Any": {"a": [1]}}
            return good.get(leaf, "tea")


def some(chance: Random, **fields: str) -> dict[str, Any]:
    return {name: fitting(chance, type_) for name, type_ in fields.items() if chance.random() < 0.5}


def operation(definitions: str) -> OperationDefinitionNode:
    found = parse(f"query ({definitions}) {{ a }}").definitions[0]
    assert isinstance(found, OperationDefinitionNode)
    return found


def sources(values: VariableValues) -> list[Any]:
    return [
        (name, one.signature.name, str(one.signature.type), repr(one.value)) for name, one in values.sources.items()
    ]


def test_it_gives_what_graphql_core_gives_or_nothing() -> None:
    """Thousands of good and bad values. What is good is nearly always taken."""
    chance = Random(7)
    good = taken = bad = 0
    for _ in range(3_000):
        named = chance.choice(TYPES)
        type_ = chance.choice(WRAPPED).format(named)
        default = (
            f" = {DEFAULTS[named]}" if "[" not in type_ and chance.random() < 0.3 and named in DEFAULTS else ""
        )
        found = operation(f"$v: {type_}{default} $w: Int")
        value = fitting(chance, type_) if chance.random() < 0.7 else a_value(chance)
        given = {name: one for name, one in (("v", value), ("w", 1), ("x", 2)) if chance.random() < 0.9}
        judge = get_variable_values(SCHEMA, found.variable_definitions or (), given)
        answer = reader(SCHEMA, found)(given)

        if answer is Undefined:
            bad += isinstance(judge, list)
        else:
            taken += 1
            assert isinstance(judge, VariableValues), (type_, given)
            assert repr(answer.coerced) == repr(judge.coerced)
            assert sources(answer) == sources(judge)
        good += isinstance(judge, VariableValues)

    assert taken > 0.9 * good > 1_000
    assert bad > 300


@pytest.mark.parametrize(
    "definitions",
    ["$v: Loop", "$v: [Loop!]!", "$v: Listed", "$v: [Int!] = [1]", "$v: Any = {a: 1}", "$v: Query"],
)
def test_what_is_bounded_or_made_anew_by_graphql_core_is_left_to_it(definitions: str) -> None:
    with pytest.raises(NotCovered):
        reader(SCHEMA, operation(definitions))


def test_no_two_requests_share_what_could_be_changed() -> None:
    read = reader(SCHEMA, operation("$v: [Flat!]"))
    given = {"v": [{"must": 1.5, "tags": ["a"]}]}
    first, second = read(given).coerced["v"], read(given).coerced["v"]

    assert first == second
    assert first is not second
    assert first[0] is not second[0]
    assert first[0]["tags"] is not given["v"][0]["tags"]
