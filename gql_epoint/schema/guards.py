"""Limits on a document, checked before anything runs: its size, and one money-moving field per operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)
from strawberry.extensions import SchemaExtension

MOVES_MONEY = "moves_money"
"""The key in a field's metadata that says so."""

TOKENS_MAX = 5_000
COMMENTS_MAX = 500
SOURCE_MAX = 100_000


def money_fields(schema: GraphQLSchema) -> frozenset[str]:
    """Return the names of the mutations that move money, as their fields declare it."""
    assert schema.mutation_type is not None
    return frozenset(
        name
        for name, field in schema.mutation_type.fields.items()
        if field.extensions["strawberry-definition"].metadata.get(MOVES_MONEY)
    )


class OneMoneyFieldRule(ValidationRule):
    """Refuses an operation with more than one money-moving field: half of its effects could fail on the way.

    Fields with one response name count once, because they run once.
    """

    def __init__(self, context: ValidationContext, fields: frozenset[str]) -> None:
        super().__init__(context)
        self._fields = fields

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: object) -> None:
        """Count the money-moving fields at the root of one operation."""
        if node.operation is not OperationType.MUTATION:
            return
        found: dict[str, FieldNode] = {}
        for field in self._root_fields(node.selection_set):
            if field.name.value in self._fields:
                found.setdefault((field.alias or field.name).value, field)
        if len(found) > 1:
            self.report_error(
                GraphQLError(
                    "An operation may have one field that moves money. Send the others in requests of their own.",
                    list(found.values()),
                    extensions={"code": "ONE_MONEY_FIELD"},
                )
            )

    def _root_fields(self, start: SelectionSetNode) -> Iterator[FieldNode]:
        waiting, spread = [start], set()
        while waiting:
            for selection in waiting.pop().selections:
                if isinstance(selection, FieldNode):
                    yield selection
                elif isinstance(selection, FragmentSpreadNode):
                    name = selection.name.value
                    fragment = self.context.get_fragment(name)
                    if fragment is not None and name not in spread:
                        spread.add(name)
                        waiting.append(fragment.selection_set)
                else:
                    waiting.append(selection.selection_set)  # type: ignore[attr-defined]


def one_money_field_rule(fields: frozenset[str]) -> Callable[[ValidationContext], OneMoneyFieldRule]:
    """Return the rule in the form that graphql-core calls rules in."""
    return lambda context: OneMoneyFieldRule(context, fields)


class GuardExtension(SchemaExtension):
    """Puts the limits on every operation."""

    def on_operation(self) -> Iterator[None]:
        """Limit the parser, and add the rule."""
        execution = self.execution_context
        # Annotated with fewer options than graphql-core's parser takes, and as a class that is only called.
        limits: Any = {
            "max_lexical_tokens": TOKENS_MAX,
            "max_comments": COMMENTS_MAX,
            "max_source_length": SOURCE_MAX,
        }
        rule: Any = one_money_field_rule(execution.schema.money_fields)  # type: ignore[attr-defined]
        execution.parse_options = limits
        execution.validation_rules += (rule,)
        yield
