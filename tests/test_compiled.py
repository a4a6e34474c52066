"""Compiled execution gives graphql-core's answers: data, errors, paths, key order and the order of effects.

graphql-core is the judge. Both run the same operation against the same resolvers, whose results depend on the
place in the answer alone; they return good values, nulls, errors, wrong types, coroutines, and all that in lists.
"""

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from random import Random
from typing import Annotated, Any

import pytest
import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationDefinitionNode,
    build_schema,
    execute,
    is_abstract_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    parse,
    subscribe,
    validate,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql_epoint.compiled import CompiledExecutor, resolvers
from gql_epoint.compiled import executor as compiled
from gql_epoint.compiled.compiler import FIELDS_MAX
from tests.generated_documents import LEAVES, Documents

pytestmark = pytest.mark.usefixtures("thrown_away")

SCHEMAS = int(os.environ.get("COMPILED_SCHEMAS", "100"))
"""How many schemas are generated; COMPILED_SCHEMAS=5000 makes a long run of it."""
# A seed that fails cannot be made simpler by making it smaller.
GENERATED: Any = {"deadline": None, "database": None, "derandomize": True, "phases": [Phase.generate]}
SEEDS = st.integers(min_value=0, max_value=2**64)


# ---------------------------------------------------------------------------------------------------------
# Schemas, made by chance.
# ---------------------------------------------------------------------------------------------------------

ARGUMENTS = [
    "",
    "(a: Int)",
    "(a: Int! = 3)",
    "(a: String! b: [Int!] = [1, 2])",
    "(a: Shape)",
    "(a: [Shape!]! b: Boolean = true)",
    "(a: Choice! b: Colour = RED)",
    "(a: Any b: [[Int]])",
    "(a: Flat b: [[Flat!]])",
    "(a: Pick! b: Deep)",
]
FIXED = """
scalar Any
scalar Odd
enum Colour { RED GREEN BLUE }
input Shape { side: Int! = 1 name: String colour: Colour = GREEN inner: Shape tags: [String!] any: Any }
input Choice @oneOf { number: Int text: String shape: Shape }
input Flat { side: Int! = 1 name: String colour: Colour = GREEN tags: [String!] any: Any must: Float! }
input Deep { flat: Flat! flats: [[Flat!]!] pick: Pick colours: [Colour!] = null }
input Pick @oneOf { number: Int text: String flat: Flat flats: [Flat] }
"""


def a_schema(chance: Random) -> GraphQLSchema:
    """Return a schema whose types refer to each other in random ways."""
    objects = [f"T{number}" for number in range(5)]
    outputs = ["Int", "String", "Boolean", "Float", "ID", "Any", "Odd", "Colour", *objects, "I0", "I1", "U0"]

    def wrapped(name: str) -> str:
        shape = chance.choice(["{}", "{}", "{}!", "[{}]", "[{}!]", "[{}]!", "[{}!]!", "[[{}]]"])
        return shape.format(name)

    interfaces = {
        name: [
            f"{name.lower()}{at}{chance.choice(ARGUMENTS)}: {wrapped(chance.choice(outputs))}" for at in range(2)
        ]
        for name in ("I0", "I1")
    }
    text = [FIXED, f"union U0 = {' | '.join(chance.sample(objects, 3))}"]
    text += [f"interface {name} {{ {' '.join(fields)} }}" for name, fields in interfaces.items()]
    for number, name in enumerate([*objects, "Query", "Mutation"]):
        implemented = [each for each in interfaces if number < 2 or (number < 5 and chance.random() < 0.5)]
        fields = [
            f"f{number}{at}{chance.choice(ARGUMENTS)}: {wrapped(chance.choice(outputs))}"
            for at in range(chance.randint(2, 5))
        ]
        fields += [field for each in implemented for field in interfaces[each]]
        heading = f" implements {' & '.join(implemented)}" if implemented else ""
        text.append(f"type {name}{heading} {{ {' '.join(fields)} }}")
    text.append("type Subscription { ticks: T0 }")
    return build_schema("\n".join(text))


class World:
    """Resolvers for a generated schema. What they return depends on the seed and the place in the answer alone."""

    def __init__(self, schema: GraphQLSchema, seed: int) -> None:
        self.schema = schema
        self.effects: list[Any] = []
        self._seed = seed
        for type_ in schema.type_map.values():
            if type_.name.startswith("__"):
                continue
            if isinstance(type_, GraphQLObjectType):
                for field in type_.fields.values():
                    field.resolve = self._resolver(field, chatty=type_ is schema.mutation_type)
                self._type_check(type_)
            elif isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
                self._type_finder(type_)
        odd = schema.type_map["Odd"]
        assert isinstance(odd, GraphQLScalarType)
        odd.coerce_output_value = self._odd  # type: ignore[method-assign]

    @staticmethod
    def _odd(value: Any) -> Any:
        if value == 1:
            return None
        if value == 2:
            raise ValueError("an odd value")
        return f"<{value}>"

    def _type_check(self, type_: GraphQLObjectType) -> None:
        style = Random(f"{self._seed} is {type_.name}").random()
        if style < 0.3:
            type_.is_type_of = lambda value, _info: not isinstance(value, dict) or value.get("n", 0) % 9 != 1
        elif style < 0.5:

            async def is_type_of(value: Any, _info: GraphQLResolveInfo) -> bool:
                await asyncio.sleep(0)
                return not isinstance(value, dict) or value.get("n", 0) % 9 != 2

            type_.is_type_of = is_type_of  # type: ignore[assignment]

    def _type_finder(self, type_: GraphQLInterfaceType | GraphQLUnionType) -> None:
        style = Random(f"{self._seed} finds {type_.name}").random()
        if style < 0.4:
            type_.resolve_type = lambda value, _info, _type: value["__typename"]
        elif style < 0.7:

            async def resolve_type(value: Any, _info: GraphQLResolveInfo, _type: Any) -> Any:
                return value["__typename"]

            type_.resolve_type = resolve_type

    def _resolver(self, field: GraphQLField, *, chatty: bool) -> Callable[..., Any]:
        def resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
            place = f"{self._seed} {info.path.as_list()} {sorted(arguments.items())} {_number(source)}"
            chance = Random(place)
            if chatty:
                self.effects.append((info.field_name, arguments))
            return self._later(self._value(field.type, chance), chance, None if not chatty else info.field_name)

        return resolve

    def _value(self, type_: Any, chance: Random) -> Any:
        """Return a value that a resolver of this type may return, wrong ones included; never a coroutine."""
        roll = chance.random()
        if roll < 0.05:
            return None
        if roll < 0.08:
            return ValueError(f"went wrong {chance.randint(0, 9)}")  # Raised or returned: see _later.
        if roll < 0.11:
            return chance.choice([object, [], {}, "text", 5, [[]]])
        if is_non_null_type(type_):
            type_ = type_.of_type
        if is_list_type(type_):
            items = [self._later(self._value(type_.of_type, chance), chance) for _ in range(chance.randint(0, 3))]
            return _iterated(items) if chance.random() < 0.1 else chance.choice([list, tuple])(items)
        if is_abstract_type(type_):
            names = [each.name for each in self.schema.get_possible_types(type_)]
            return {
                "__typename": chance.choice([*names, *names, *names, "Colour", "Nothing", "T4", 7, None]),
                "n": 3,
            }
        if is_object_type(type_):
            return {"n": chance.randint(0, 30)}
        if is_enum_type(type_):
            return chance.choice(["RED", "GREEN", "BLUE", "RED", "GREEN", "PINK"])
        return chance.choice([0, 1, 2, "3", True, 2.5])

    def _later(self, value: Any, chance: Random, effect: str | None = None) -> Any:
        """Return a value as it is, or a coroutine for it; errors are returned or raised."""
        roll = chance.random()
        if roll > 0.4:
            if isinstance(value, Exception) and roll > 0.7 and effect is None:
                return value
            if isinstance(value, Exception) and effect is not None:
                raise value
            return value

        async def wait() -> Any:
            for _ in range(int(roll * 10)):
                await asyncio.sleep(0)
            if effect:
                self.effects.append((effect, "done"))
            if isinstance(value, Exception) and roll > 0.2:
                raise value
            return value

        return wait()


def _number(source: Any) -> Any:
    return source.get("n") if isinstance(source, dict) else type(source).__name__


async def _iterated(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield await item if isinstance(item, Awaitable) else item


# ---------------------------------------------------------------------------------------------------------
# Both executors.
# ---------------------------------------------------------------------------------------------------------


async def both(
    schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any], root: Any = None
) -> tuple[str, str, bool]:
    """Return the answers of graphql-core and of the compiled document, and whether that one was compiled."""
    judge = await _run(schema, document, variables, root, StrawberryGraphQLCoreExecutionContext)
    for _ in range(3):  # It is compiled when it runs for the second time, and its variables after that.
        answer = await _run(schema, document, variables, root, CompiledExecutor)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    known = compiled._plans.get(id(operation))  # noqa: SLF001
    return judge, answer, known is not None and known[2] is not None


async def _run(schema: GraphQLSchema, document: DocumentNode, variables: Any, root: Any, executor: Any) -> str:
    result = execute(schema, document, root or {"n": 0}, None, variables, executor_class=executor)
    if isinstance(result, Awaitable):
        result = await result
    return as_text(result)


def as_text(result: ExecutionResult) -> str:
    """Return everything that a client could see of a result, in its order."""
    errors = [error.formatted for error in result.errors or ()]
    return json.dumps({"data": result.data, "errors": errors}, default=str, indent=1)


class Tally:
    """Counts what was generated, so that the test proves that it saw enough."""

    def __init__(self) -> None:
        self.runs = self.compiled = self.failed = self.nulled = 0

    def note(self, answer: str, was_compiled: bool) -> None:
        self.runs += 1
        self.compiled += was_compiled
        self.failed += '"message"' in answer
        self.nulled += '"data": null' in answer


@pytest.mark.timeout(600)
def test_generated_operations_on_generated_schemas_give_the_answers_of_graphql_core() -> None:
    tally = Tally()

    @settings(max_examples=SCHEMAS, **GENERATED)
    @given(SEEDS)
    def check(seed: int) -> None:
        chance = Random(seed)
        schema = a_schema(chance)
        world = World(schema, seed)
        kind, root = chance.choice([("query", schema.query_type), ("mutation", schema.mutation_type)])
        assert root is not None
        with asyncio.Runner() as runner:
            for _ in range(10):
                made = Documents(schema, chance, LEAVES | {"Any": ["1", '"x"', "true", "null"]})
                document = parse(made.operation(root, kind))
                if validate(schema, document):
                    continue
                world.effects.clear()
                judge, answer, was_compiled = runner.run(both(schema, document, made.values))
                assert answer == judge
                of_one = len(world.effects) // 4
                assert world.effects == world.effects[:of_one] * 4
                tally.note(answer, was_compiled)

    check()
    assert tally.runs > 5 * SCHEMAS
    assert tally.compiled > 0.85 * tally.runs  # variables that do not fit leave nothing to execute
    assert tally.failed > 0.3 * tally.runs
    assert tally.nulled > 0.02 * tally.runs


# ---------------------------------------------------------------------------------------------------------
# Strawberry's resolvers: what they are given.
# ---------------------------------------------------------------------------------------------------------


@strawberry.enum
class Colour(Enum):
    RED = "red"
    GREEN = "green"


@strawberry.input
class Leaf:
    side: int = 3
    colour: Colour = Colour.GREEN
    note: str | None = strawberry.UNSET
    tags: list[str] = strawberry.field(default_factory=lambda: ["fresh"])
    inner: Annotated["Leaf", strawberry.lazy("tests.test_compiled")] | None = None


@strawberry.input(one_of=True)
class Choice:
    number: int | None = strawberry.UNSET
    leaf: Leaf | None = strawberry.UNSET


@strawberry.input
class Patch:
    renamed: str | None = strawberry.field(name="otherName", default=None)
    change: strawberry.Maybe[str | None] = None


class Allowed(BasePermission):
    message = "not for you"

    def has_permission(self, source: Any, info: strawberry.Info, **arguments: Any) -> bool:
        return arguments.get("number") != -7


class Loud(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **arguments: Any) -> Any:
        return f"{next_(source, info, **arguments)}!"


@strawberry.interface
class Named:
    name: str

    @strawberry.field
    def long_name(self, times: int = 2) -> str:
        return f"{self.name} x {times}"


@strawberry.type
class Cat(Named):
    lives: int


@strawberry.type
class Dog(Named):
    @strawberry.field
    async def friend(self, info: strawberry.Info) -> Named:
        return Cat(name=f"friend of {self.name} at {info.path.as_list()}", lives=9)  # type: ignore[attr-defined]


@strawberry.type
class Things:
    plain: str = "as it is"

    @strawberry.field
    def leaf(self, leaf: Leaf, number: int | None = None) -> str:
        return f"{leaf} {number}"

    @strawberry.field
    async def leaves(self, info: strawberry.Info, leaves: list[Leaf] | None, deep: list[list[Leaf | None]]) -> str:
        await asyncio.sleep(0)
        return f"{info.field_name} {info.python_name} {leaves} {deep}"

    @strawberry.field
    def choice(root: "Things", choice: Choice, colours: list[Colour] = [Colour.RED]) -> str:  # noqa: B006, N805
        colours.append(Colour.GREEN)  # A list must be fresh for each request.
        return f"{root.plain} {choice} {colours}"

    @strawberry.field
    def patch(self, parent: strawberry.Parent["Things"], patch: Patch | None = strawberry.UNSET) -> str:
        return f"{parent is self} {patch}"

    @strawberry.field
    @staticmethod
    def fixed(a_number: int, flag: bool = True) -> str:
        return f"{a_number} {flag}"

    @strawberry.field(permission_classes=[Allowed])
    def guarded(self, number: int) -> str | None:
        return f"guarded {number}"

    @strawberry.field(extensions=[Loud()])
    def loud(self, word: str) -> str:
        return word

    @strawberry.field
    def failing(self, number: int = 1) -> str:
        raise ValueError(f"failed with {number}")

    @strawberry.field
    def pets(self, dogs: bool | None = None) -> list[Cat | Dog]:
        return [Dog(name="rex"), Cat(name="tom", lives=7)][: 1 if dogs else 2]

    @strawberry.field
    def named(self) -> Named | None:
        return Dog(name="rex")


@pytest.mark.timeout(600)
def test_strawberrys_resolvers_are_given_what_strawberry_would_give_them() -> None:
    schema = strawberry.Schema(query=Things)
    graphql = schema._schema  # noqa: SLF001
    assert graphql.query_type is not None
    direct = [name for name, field in graphql.query_type.fields.items() if resolvers.direct(graphql, field)]
    assert direct == ["leaf", "leaves", "choice", "fixed", "failing", "pets", "named"]
    tally = Tally()

    @settings(max_examples=10 * SCHEMAS, **GENERATED)
    @given(SEEDS)
    def check(seed: int) -> None:
        made = Documents(graphql, Random(seed))
        document = parse(made.operation(graphql.query_type, "query"))
        if validate(graphql, document):
            return
        judge, answer, was_compiled = runner.run(both(graphql, document, made.values, root=Things()))
        assert answer == judge
        tally.note(answer, was_compiled)

    with asyncio.Runner() as runner:
        check()
    assert tally.compiled > 0.8 * tally.runs > 4 * SCHEMAS
    assert tally.failed > 0.05 * tally.runs


def test_a_schema_may_be_given_the_executor_itself() -> None:
    schema = strawberry.Schema(query=Things, execution_context_class=CompiledExecutor)
    for _ in range(3):
        result = schema.execute_sync("{ leaf(leaf: {side: 4}) fixed(aNumber: 1) }", root_value=Things())
        assert result.errors is None
        assert result.data == {"leaf": f"{Leaf(side=4)} None", "fixed": "1 True"}


# ---------------------------------------------------------------------------------------------------------
# What is not covered, and what is kept.
# ---------------------------------------------------------------------------------------------------------

SMALL = build_schema("type Query { a(x: Int): Int b: Query } type Subscription { a: Int }")


@pytest.mark.parametrize(
    "text",
    [
        "query ($c: Boolean = true) { a @include(if: $c) }",
        "query ($c1: Boolean! $c2: Boolean! $c3: Boolean! $c4: Boolean! $c5: Boolean!) "
        "{ a @skip(if: $c1) b { a @skip(if: $c2) c: a @skip(if: $c3) d: a @skip(if: $c4) e: a @skip(if: $c5) }}",
        "{ a " + "".join(f"a{number}: a(x: {number}) " for number in range(FIELDS_MAX)) + "}",
    ],
    ids=["a condition that may be null", "too many conditions", "too many fields"],
)
async def test_what_is_not_covered_goes_to_graphql_core(text: str) -> None:
    document = parse(text)
    assert not validate(SMALL, document)
    values = {f"c{number}": False for number in range(1, 6)}
    judge, answer, was_compiled = await both(SMALL, document, values)
    assert not was_compiled
    assert answer == judge


async def test_a_document_that_comes_once_is_not_compiled_and_none_outlives_its_document() -> None:
    document = parse("{ a b { a } }")
    made = compiled._plans, compiled._heads, compiled._seen, compiled._begun  # noqa: SLF001
    before = list(map(len, made))
    await _run(SMALL, document, {}, None, CompiledExecutor)
    assert [len(each) for each in made[:2]] == before[:2]
    await _run(SMALL, document, {}, None, CompiledExecutor)
    assert [len(each) for each in made] == [number + 1 for number in before]
    del document
    gc.collect()
    assert list(map(len, made)) == before


async def test_each_event_of_a_subscription_runs_compiled() -> None:
    document = parse("subscription ($c: Boolean!) { a b: a @skip(if: $c) }")

    async def events() -> AsyncIterator[dict[str, int]]:
        for number in range(4):
            yield {"a": number}

    schema = build_schema("type Query { a: Int } type Subscription { a: Int }")
    results = subscribe(
        schema,
        document,
        None,
        None,
        {"c": True},
        subscribe_field_resolver=lambda *_: events(),
        executor_class=CompiledExecutor,
    )
    assert [result.data async for result in results] == [{"a": number} for number in range(4)]
    known = compiled._plans[id(document.definitions[0])][2]  # noqa: SLF001
    assert known is not None
    assert len(known._variants) == 1  # noqa: SLF001
