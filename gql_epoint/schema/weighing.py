"""Weigh a parsed document in one walk: what it holds as it is written, and what its answer can add up to.

Each node is looked at one time. What a fragment adds up to is remembered, and counted again wherever it is spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_composite_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
    visit,
)

from gql_epoint.schema.connections import PAGE_DEFAULT, PAGE_MAX
from gql_epoint.schema.limits import LIMITS, LimitError, Limits

# What the lists of introspection hold, more or less.
_INTROSPECTION_SIZES = {
    "types": 150,
    "fields": 10,
    "inputFields": 10,
    "enumValues": 10,
    "args": 3,
    "interfaces": 2,
    "possibleTypes": 5,
    "directives": 10,
}
_PAGE_SIZES = ("first", "last")
_NESTED_LISTS = frozenset({"fields", "inputFields", "interfaces", "possibleTypes"})
_LIST_SIZE = 10  # of a list without an argument that limits it
_ENOUGH = 10**9  # nothing is counted beyond; doubled often enough, numbers themselves become slow


def check_document(
    schema: GraphQLSchema,
    document: DocumentNode,
    variables: Mapping[str, Any] | None = None,
    limits: Limits = LIMITS,
) -> None:
    """Raise LimitError for a parsed document over a limit. All operations count, also those not chosen."""
    Walk(schema, document, variables or {}, limits).run()


def depends_on_variables(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Whether what the limits say depends on the variables: on the size of a page, or on a list in them."""
    found: list[ArgumentNode | VariableDefinitionNode] = []

    class _Weighed(Visitor):
        def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
            if node.name.value in _PAGE_SIZES and isinstance(node.value, VariableNode):
                found.append(node)

        def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
            if _holds_list(type_from_ast(schema, node.type), set()):
                found.append(node)

    visit(document, _Weighed())
    return bool(found)


def _holds_list(type_: Any, seen: set[str]) -> bool:
    if is_non_null_type(type_):
        type_ = type_.of_type
    if is_list_type(type_):
        return True
    if not is_input_object_type(type_) or type_.name in seen:
        return False
    seen.add(type_.name)
    return any(_holds_list(field.type, seen) for field in type_.fields.values())


class _Sum(msgspec.Struct):
    """What a selection adds up to when fragments are followed."""

    root_fields: int = 0
    depth: int = 0
    fields: int = 0
    introspection_fields: int = 0
    introspection_lists: int = 0

    def add(self, other: _Sum) -> None:
        self.root_fields = min(self.root_fields + other.root_fields, _ENOUGH)
        self.depth = max(self.depth, other.depth)
        self.fields = min(self.fields + other.fields, _ENOUGH)
        self.introspection_fields = min(self.introspection_fields + other.introspection_fields, _ENOUGH)
        self.introspection_lists = max(self.introspection_lists, other.introspection_lists)


# The fields that were written in one place, by response name: how often, and what was written inside of them.
_Seen = dict[str, list[Any]]


class Walk:
    """One walk through one document. `visits` counts the nodes that were looked at."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any], limits: Limits
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._variables = variables
        self._defaults: dict[str, Any] = {}
        self._operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        definitions = [d for d in document.definitions if isinstance(d, FragmentDefinitionNode)]
        self._fragments = {fragment.name.value: fragment for fragment in definitions}
        self._fragment_count = len(definitions)
        self._sums: dict[str, _Sum | None] = {}
        self._aliases = self._directives = self._written = 0
        self.visits = 0

    def run(self) -> None:
        """Walk. Raises LimitError."""
        self._limit("operations", len(self._operations), "operations")
        self._limit("fragments", self._fragment_count, "fragments")
        for operation in self._operations:
            self._limit("variables", len(operation.variable_definitions or ()), "variables of one operation")
            self._directives_of(operation)
            for variable in operation.variable_definitions or ():
                self._directives_of(variable)
                name, type_ = variable.variable.name.value, type_from_ast(self._schema, variable.type)
                self._lists(type_, variable.default_value)
                self._lists(type_, self._variables.get(name))
                if isinstance(variable.default_value, IntValueNode):
                    self._defaults[name] = _number(variable.default_value)
        for operation in self._operations:
            root = self._schema.get_root_type(operation.operation)
            self._check(self._selections(operation.selection_set, root, {}, 0))
        for name in self._fragments:  # those that are not spread anywhere are validated all the same
            self._check(self._fragment(name, 0))

    def _check(self, total: _Sum) -> None:
        self._limit("root_fields", total.root_fields, "fields at the root")
        self._limit("depth", total.depth, "fields inside fields")
        self._limit("fields", total.fields, "fields that the answer can hold; ask for smaller pages")
        self._limit("introspection_fields", total.introspection_fields, "fields of introspection")
        self._limit("introspection_lists", total.introspection_lists, "lists of introspection inside each other")

    def _selections(
        self, selections: SelectionSetNode, parent: GraphQLNamedType | None, seen: _Seen, level: int
    ) -> _Sum:
        """Add a selection up, to what was written in the same place before."""
        self._limit("nesting", level, "selections inside selections")
        total = _Sum()
        for node in selections.selections:
            self.visits += 1
            self._directives_of(node)
            if isinstance(node, FieldNode):
                total.add(self._field(node, parent, seen, level))
            elif isinstance(node, FragmentSpreadNode):
                total.add(self._fragment(node.name.value, level + 1))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = self._schema.get_type(condition.name.value) if condition else parent
                total.add(self._selections(node.selection_set, inner, seen, level + 1))
        return total

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, seen: _Seen, level: int) -> _Sum:
        self._written += 1
        self._limit("written_fields", self._written, "fields")
        if node.alias is not None:
            self._aliases += 1
            self._limit("aliases", self._aliases, "aliases")
        place = seen.setdefault((node.alias or node.name).value, [0, {}])
        place[0] += 1
        self._limit("repeats", place[0], "times the same field in the same place")

        name = node.name.value
        field = _definition(self._schema, parent, name)
        for argument in node.arguments or ():
            taken = field.args.get(argument.name.value) if field else None
            self._lists(taken and taken.type, argument.value)
        inside = (parent is not None and parent.name.startswith("__")) or name in ("__schema", "__type")
        below = _Sum()
        if node.selection_set is not None:
            type_ = get_named_type(field.type) if field else None
            below = self._selections(node.selection_set, type_, place[1], level + 1)
            self._limit("depth", below.depth + 1, "fields inside fields")
        if inside:
            size = _INTROSPECTION_SIZES.get(name, 1)
            nested = below.introspection_lists + (name in _NESTED_LISTS)
            return _Sum(
                root_fields=1,
                depth=below.depth + 1,
                introspection_fields=min(1 + size * below.introspection_fields, _ENOUGH),
                introspection_lists=nested,
            )
        size = self._size(node, field, parent)
        return _Sum(
            root_fields=1,
            depth=below.depth + 1,
            fields=min(1 + size * below.fields, _ENOUGH),
            introspection_fields=min(size * below.introspection_fields, _ENOUGH),
            introspection_lists=below.introspection_lists,
        )

    def _fragment(self, name: str, level: int) -> _Sum:
        if name in self._sums:
            found = self._sums[name]
            if found is None:
                raise GraphQLError(f"The fragment {name!r} spreads itself.", extensions={"code": "DOCUMENT_LIMIT"})
            return found
        fragment = self._fragments.get(name)
        if fragment is None:
            return _Sum()  # Validation says so.
        self._sums[name] = None
        self._directives_of(fragment)
        type_ = self._schema.get_type(fragment.type_condition.name.value)
        found = self._sums[name] = self._selections(fragment.selection_set, type_, {}, level)
        return found

    def _size(self, node: FieldNode, field: GraphQLField | None, parent: GraphQLNamedType | None) -> int:
        """Return how many objects a field can answer with; a page is counted at the field that limits it."""
        if field is None or not is_composite_type(get_named_type(field.type)):
            return 1
        if "first" in field.args or "last" in field.args:
            return self._page(node)
        if parent is not None and parent.name.endswith("Connection"):
            return 1
        type_ = field.type.of_type if is_non_null_type(field.type) else field.type
        return _LIST_SIZE if is_list_type(type_) else 1

    def _page(self, node: FieldNode) -> int:
        sizes = [PAGE_DEFAULT]
        for argument in node.arguments or ():
            if argument.name.value not in _PAGE_SIZES:
                continue
            value: object = None
            if isinstance(argument.value, IntValueNode):
                value = _number(argument.value)
            elif isinstance(argument.value, VariableNode):
                name = argument.value.name.value
                value = self._variables.get(name, self._defaults.get(name))
            if isinstance(value, int):
                sizes.append(min(max(value, 0), PAGE_MAX))  # other sizes are refused where they are used
        return sizes[-1]

    def _lists(self, type_: Any, value: Any) -> None:
        """Look at each list in a value, as far as the contract knows lists: what is inside of JSON is one value."""
        waiting = [(type_, value)]
        while waiting:
            type_, value = waiting.pop()
            type_ = type_.of_type if is_non_null_type(type_) else type_
            if is_list_type(type_):
                items = value.values if isinstance(value, ListValueNode) else value
                if isinstance(items, (list, tuple)):
                    self._limit("list_items", len(items), "items in one list")
                else:
                    items = (items,)  # A single value stands for a list of it.
                waiting += [(type_.of_type, item) for item in items]
            elif is_input_object_type(type_):
                if isinstance(value, ObjectValueNode):
                    value = {field.name.value: field.value for field in value.fields}
                if isinstance(value, dict):
                    waiting += [
                        (type_.fields[name].type, value[name]) for name in value.keys() & type_.fields.keys()
                    ]

    def _directives_of(self, node: Any) -> None:
        count = len(node.directives or ())
        self._directives += count
        self._limit("directives_per_node", count, "directives in one place")
        self._limit("directives", self._directives, "directives")

    def _limit(self, limit: str, count: int, what: str) -> None:
        allowed = getattr(self._limits, limit)
        if count > allowed:
            raise LimitError(limit, allowed, what)


def _number(node: IntValueNode) -> int:
    return int(node.value[:9])  # a longer one is out of range anyway, and thousands of digits are slow to read


def _definition(schema: GraphQLSchema, parent: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if parent is None or not is_composite_type(parent):
        return None
    return schema.get_field(parent, name)
