"""Random operations for any schema: valid ones mostly, with everything that the language has in them.

Chance comes from a `random.Random`, so that one number is one document.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.type.definition import is_required_argument, is_required_input_field

LEAVES = {
    "Int": ["0", "-7", "2147483647"],
    "Float": ["1.5", "-2", "0"],
    "String": ['""', '"tea"', '"ödəniş 🫖"'],
    "Boolean": ["true", "false"],
    "ID": ['"1"', '"tx_none"', "7"],
}
"""Literals of the scalars, valid ones. A schema with scalars of its own adds to a copy."""


class Documents:
    """Makes operations for one schema; `leaves` has literals for each scalar that it uses in arguments."""

    def __init__(self, schema: GraphQLSchema, chance: Random, leaves: dict[str, list[str]] | None = None) -> None:
        self._schema = schema
        self._chance = chance
        self._leaves = leaves or LEAVES
        self._fields = 40
        self._variables: dict[str, tuple[str, str | None]] = {}
        self._values: dict[str, Any] = {}
        self._fragments: dict[str, tuple[str, str]] = {}
        self._aliases = 0

    def operation(self, root: GraphQLObjectType, kind: str = "query", *, only: frozenset[str] | None = None) -> str:
        """Return the text of an operation; `values` has its variables after that. `only` limits its root fields."""
        body = self._selection(root, depth=4, only=only)
        definitions = "".join(
            f"${name}: {type_}{f' = {default}' if default else ''} "
            for name, (type_, default) in self._variables.items()
        )
        head = f"{kind} Generated{f'({definitions})' if definitions else ''}"
        fragments = "\n".join(f"fragment {name} on {on} {text}" for name, (on, text) in self._fragments.items())
        return f"{head} {body}\n{fragments}"

    @property
    def values(self) -> dict[str, Any]:
        """The variables of the operation that was made."""
        return self._values

    def _selection(self, parent: GraphQLNamedType, depth: int, only: frozenset[str] | None = None) -> str:
        parts: list[str] = []
        for _ in range(self._chance.randint(1, 5)):
            roll = self._chance.random()
            if roll < 0.12 and depth > 1:
                parts.append(self._inline(parent, depth))
            elif roll < 0.22 and depth > 1 and only is None:
                parts.append(self._spread(parent, depth))
            elif roll < 0.3 or not hasattr(parent, "fields"):
                parts.append(f"{self._alias()}__typename{self._directives()}")
            else:
                parts.append(self._field(parent, depth, only))
        if self._chance.random() < 0.2:
            parts.append(self._chance.choice(parts))  # What stands twice is merged.
        return "{ " + " ".join(part for part in parts if part) + " __typename }"

    def _field(self, parent: Any, depth: int, only: frozenset[str] | None) -> str:
        names = [name for name in parent.fields if only is None or name in only]
        if depth <= 1 or self._fields <= 0:
            names = [name for name in names if is_leaf_type(get_named_type(parent.fields[name].type))]
        if not names:
            return ""
        self._fields -= 1
        name = self._chance.choice(names)
        field = parent.fields[name]
        arguments = self._arguments(field.args)
        named = get_named_type(field.type)
        below = "" if is_leaf_type(named) else " " + self._selection(named, depth - 1)
        return f"{self._alias(always=bool(field.args or below))}{name}{arguments}{self._directives()}{below}"

    def _alias(self, *, always: bool = False) -> str:
        """Return an alias; every field that could clash with another has one of its own."""
        if not always and self._chance.random() < 0.6:
            return ""
        self._aliases += 1
        return f"a{self._aliases}: "

    def _inline(self, parent: Any, depth: int) -> str:
        on = self._narrower(parent)
        condition = f" on {on.name}" if on is not parent or self._chance.random() < 0.5 else ""
        return f"...{condition}{self._directives()} {self._selection(on, depth - 1)}"

    def _spread(self, parent: Any, depth: int) -> str:
        if self._fragments and self._chance.random() < 0.3:
            usable = [name for name, (on, _) in self._fragments.items() if on == parent.name]
            if usable:
                return f"...{self._chance.choice(usable)}{self._directives()}"
        on = self._narrower(parent)
        text = self._selection(on, depth - 1)
        name = f"F{len(self._fragments)}"
        self._fragments[name] = (on.name, text)
        return f"...{name}{self._directives()}"

    def _narrower(self, parent: Any) -> Any:
        if is_abstract_type(parent) and self._chance.random() < 0.8:
            return self._chance.choice(list(self._schema.get_possible_types(parent)))
        return parent

    def _directives(self) -> str:
        if self._chance.random() > 0.12:
            return ""
        names = self._chance.sample(["skip", "include"], self._chance.randint(1, 2))
        return "".join(f" @{name}(if: {self._condition()})" for name in names)

    def _condition(self) -> str:
        if self._chance.random() < 0.4:
            return self._chance.choice(["true", "false"])
        name = f"c{self._chance.randint(0, 2)}"
        if name not in self._variables:
            self._variables[name] = ("Boolean!", self._chance.choice([None, "true"]))
            if self._variables[name][1] is None or self._chance.random() < 0.5:
                self._values[name] = self._chance.random() < 0.5
        return f"${name}"

    def _arguments(self, arguments: dict[str, GraphQLArgument]) -> str:
        given: list[str] = []
        for name, argument in arguments.items():
            if is_required_argument(argument) or self._chance.random() < 0.6:
                given.append(f"{name}: {self._value(argument.type)}")
        return f"({', '.join(given)})" if given else ""

    def _value(self, type_: GraphQLInputType) -> str:
        if self._chance.random() < 0.35:
            return self._variable(type_)
        return self._literal(type_)

    def _variable(self, type_: GraphQLInputType) -> str:
        name = f"v{len(self._variables)}"
        default = self._literal(type_, constant=True) if self._chance.random() < 0.3 else None
        self._variables[name] = (str(type_), default)
        absent = (default is not None or not is_non_null_type(type_)) and self._chance.random() < 0.3
        if not absent:
            self._values[name] = self._json(type_)
        return f"${name}"

    def _literal(self, type_: GraphQLInputType, *, constant: bool = False, depth: int = 3) -> str:
        if is_non_null_type(type_):
            return self._literal_of(type_.of_type, constant=constant, depth=depth)
        if self._chance.random() < 0.1 or depth == 0:
            return "null"
        return self._literal_of(type_, constant=constant, depth=depth)

    def _literal_of(self, type_: Any, *, constant: bool, depth: int) -> str:
        if is_list_type(type_):
            items = [self._literal(type_.of_type, constant=constant, depth=depth - 1) for _ in range(2)]
            return f"[{', '.join(items[: self._chance.randint(0, 2)])}]"
        if is_input_object_type(type_):
            return f"{{{', '.join(self._members(type_, constant=constant, depth=depth))}}}"
        if is_enum_type(type_):
            return self._chance.choice(list(type_.values))
        return self._leaf(type_)

    def _members(self, type_: GraphQLInputObjectType, *, constant: bool, depth: int) -> list[str]:
        if type_.is_one_of:
            name, field = self._chance.choice(list(type_.fields.items()))
            return [f"{name}: {self._literal_of(field.type, constant=constant, depth=depth - 1)}"]
        return [
            f"{name}: {self._literal(field.type, constant=constant, depth=depth - 1)}"
            for name, field in type_.fields.items()
            if is_required_input_field(field) or self._chance.random() < 0.5
        ]

    def _leaf(self, type_: GraphQLScalarType) -> str:
        return self._chance.choice(self._leaves[type_.name])

    def _json(self, type_: Any, depth: int = 3) -> Any:
        if is_non_null_type(type_):
            return self._json_of(type_.of_type, depth)
        return None if self._chance.random() < 0.1 or depth == 0 else self._json_of(type_, depth)

    def _json_of(self, type_: Any, depth: int) -> Any:
        if is_list_type(type_):
            return [self._json(type_.of_type, depth - 1) for _ in range(self._chance.randint(0, 2))]
        if is_input_object_type(type_):
            if type_.is_one_of:
                name, field = self._chance.choice(list(type_.fields.items()))
                return {name: self._json_of(field.type, depth - 1)}
            return {
                name: self._json(field.type, depth - 1)
                for name, field in type_.fields.items()
                if is_required_input_field(field) or self._chance.random() < 0.5
            }
        if is_enum_type(type_):
            return self._chance.choice([*type_.values, "NO_SUCH_VALUE"] if self._odd() else list(type_.values))
        if self._odd():
            return self._chance.choice([{}, [], "x", 1.5, True, 10**40])
        return json.loads(self._leaf(type_))

    def _odd(self) -> bool:
        """Whether a variable gets a value that its type may not take."""
        return self._chance.random() < 0.02
