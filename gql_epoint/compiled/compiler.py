"""Turns the selections of one operation into closures; what runs then is in closures.py.

Everything that stays the same from request to request is decided here: which fields a selection has, what they
are called, their types, and the arguments that are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, cast

from graphql import (
    BooleanValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSkipDirective,
    InlineFragmentNode,
    ListValueNode,
    NonNullTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    VariableNode,
    get_argument_values,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    type_from_ast,
)
from graphql.type.definition import is_required_argument
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

from gql_epoint.compiled import closures
from gql_epoint.compiled.closures import Complete, Field, Run, Select
from gql_epoint.compiled.resolvers import attribute, direct

FIELDS_MAX = 2_000
"""Fields in one plan, those of each possible type counted."""
CONDITIONS_MAX = 4
"""Variables in @skip and @include: each doubles the plans that a document can have."""

_CONSTANTS = (str, int, float, bool, Enum, type(None))


class NotCovered(Exception):  # noqa: N818 - it is a verdict, not a failure
    """The document has something that is left to graphql-core."""


def conditions_of(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    """Return the variables in @skip and @include. Raises NotCovered for other directives, and for too many."""
    never_null = {
        definition.variable.name.value
        for definition in operation.variable_definitions or ()
        if isinstance(definition.type, NonNullTypeNode)
    }
    names: dict[str, None] = {}
    if operation.directives or any(fragment.variable_definitions for fragment in fragments.values()):
        raise NotCovered
    waiting: list[SelectionSetNode] = [operation.selection_set]
    spread: set[str] = set()
    while waiting:
        for selection in waiting.pop().selections:
            for directive in selection.directives or ():
                if directive.name.value not in {GraphQLSkipDirective.name, GraphQLIncludeDirective.name}:
                    raise NotCovered
                value = directive.arguments[0].value if directive.arguments else None
                if isinstance(value, VariableNode) and value.name.value in never_null:
                    names[value.name.value] = None
                elif not isinstance(value, BooleanValueNode):
                    raise NotCovered
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name not in fragments or fragments[name].directives:
                    raise NotCovered
                if name not in spread:
                    spread.add(name)
                    waiting.append(fragments[name].selection_set)
            elif (below := cast("FieldNode | InlineFragmentNode", selection).selection_set) is not None:
                waiting.append(below)
    if len(names) > CONDITIONS_MAX:
        raise NotCovered
    return tuple(names)


class Compiler:
    """Makes the closures of one variant. `conditions` None takes everything in."""

    def __init__(self, run: Run, conditions: Mapping[str, bool] | None) -> None:
        self._schema = run.schema
        self._fragments = run.fragment_definitions
        self._conditions = conditions
        self._made: dict[tuple[str, tuple[int, ...]], Select] = {}
        self._fields = 0

    def select(
        self, parent: GraphQLObjectType, sets: Sequence[SelectionSetNode], *, in_order: bool = False
    ) -> Select:
        """Return the closure for the selection sets of one object. Equal ones are made once."""
        key = (parent.name, tuple(map(id, sets)))
        if not in_order and key in self._made:
            return self._made[key]
        collected: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for selection_set in sets:
            self._collect(parent, selection_set, collected, spread)
        self._fields += len(collected)
        if self._fields > FIELDS_MAX:
            raise NotCovered
        fields = tuple((name, self._field(parent, name, nodes)) for name, nodes in collected.items())
        select = closures.one_after_another(fields) if in_order else closures.at_once(fields)
        if not in_order:
            self._made[key] = select
        return select

    def _collect(
        self,
        parent: GraphQLObjectType,
        selection_set: SelectionSetNode,
        collected: dict[str, list[FieldNode]],
        spread: set[str],
    ) -> None:
        for selection in selection_set.selections:
            if not self._included(selection):
                continue
            if isinstance(selection, FieldNode):
                name = selection.alias.value if selection.alias else selection.name.value
                collected.setdefault(name, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                if self._applies(selection, parent):
                    self._collect(parent, selection.selection_set, collected, spread)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments[selection.name.value]
                if selection.name.value not in spread and self._applies(fragment, parent):
                    spread.add(selection.name.value)
                    self._collect(parent, fragment.selection_set, collected, spread)

    def _included(self, selection: Any) -> bool:
        if self._conditions is None:
            return True
        for directive in selection.directives or ():
            value = directive.arguments[0].value
            holds = value.value if isinstance(value, BooleanValueNode) else self._conditions[value.name.value]
            if holds is (directive.name.value == GraphQLSkipDirective.name):
                return False
        return True

    def _applies(self, fragment: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLObjectType) -> bool:
        if fragment.type_condition is None:
            return True
        condition = type_from_ast(self._schema, fragment.type_condition)
        return condition is parent or (is_abstract_type(condition) and self._schema.is_sub_type(condition, parent))

    def _field(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> Field:
        name = nodes[0].name.value
        definition = self._schema.get_field(parent, name)
        if definition is None:
            raise NotCovered
        place = closures.Place(parent, key, definition, nodes)
        complete = self._complete(definition.type, place)
        if name == "__typename":
            return lambda _run, _source, _path: parent.name
        read = attribute(definition)
        if read is not None and not definition.args:
            return closures.attribute_field(place, read, complete)
        resolve = direct(self._schema, definition) or definition.resolve
        return closures.resolved_field(place, resolve, complete, self._arguments(definition, nodes[0]))

    def _complete(self, type_: GraphQLOutputType, place: closures.Place) -> Complete:
        if is_non_null_type(type_):
            return closures.never_null(place, self._complete(type_.of_type, place))
        if is_list_type(type_):
            return closures.list_of(place, type_, self._complete(type_.of_type, place))
        if is_leaf_type(type_):
            return closures.leaf(type_)
        sets = [node.selection_set for node in place.nodes if node.selection_set]
        if is_abstract_type(type_):
            objects = {
                possible.name: closures.object_of(place, possible, self.select(possible, sets))
                for possible in self._schema.get_possible_types(type_)
            }
            return closures.abstract(place, type_, objects)
        if is_object_type(type_):
            return closures.object_of(place, type_, self.select(type_, sets))
        raise NotCovered

    def _arguments(self, definition: GraphQLField, node: FieldNode) -> Callable[[Run], dict[str, Any]] | None:
        """Return what reads the arguments of a field; None if it takes none."""
        if not definition.args:
            return None

        def general(run: Run) -> dict[str, Any]:
            return get_argument_values(definition, node, run.variable_values, None, run.hide_suggestions)

        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        constants: dict[str, Any] = {}
        variables: list[tuple[str, str]] = []
        for name, argument in definition.args.items():
            out_name = argument.out_name or name
            value = given.get(name)
            if isinstance(value, VariableNode):
                variables.append((out_name, value.name.value))
                continue
            try:
                if value is not None:
                    constant = coerce_input_literal(value, argument.type)
                elif is_required_argument(argument):
                    return general
                else:
                    constant = coerce_default_value(argument)
            except Exception:  # noqa: BLE001 - it is raised again where it belongs, at the field
                return general
            if value is None and constant is Undefined:
                continue
            # A value that a resolver could change must be a new one for each request; one may hold variables, too.
            if not isinstance(constant, _CONSTANTS) or isinstance(value, ListValueNode | ObjectValueNode):
                return general
            constants[out_name] = constant

        def read(run: Run) -> dict[str, Any]:
            coerced = run.variable_values.coerced
            arguments = constants.copy()
            for out_name, variable in variables:
                value = coerced.get(variable)
                if value is None:  # absent or null: a default or an error may follow
                    return general(run)
                arguments[out_name] = value
            return arguments

        return read
