"""What is checked of a document before anything runs: its limits, and one money-moving field per operation."""

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

from gql_epoint.schema.access import Credential
from gql_epoint.schema.known import Known
from gql_epoint.schema.limits import Limits
from gql_epoint.schema.weighing import check_document

MOVES_MONEY = "moves_money"
"""The key in a field's metadata that says so."""


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
    """Puts the limits and the rule on every operation. Schema has looked at the text itself, before the parser."""

    def on_operation(self) -> Iterator[None]:
        """Add the rule, and take the document if it is known: a subscription, or one of several operations."""
        execution = self.execution_context
        # Annotated as a class that is only called.
        rule: Any = one_money_field_rule(execution.schema.money_fields)  # type: ignore[attr-defined]
        execution.validation_rules += (rule,)
        self._known: Known = execution.schema.known  # type: ignore[attr-defined]
        self._credential: Credential | None = getattr(execution.context, "credential", None)
        self._found = self._known.find(execution.query, self._credential)
        execution.graphql_document = self._found.document if self._found else None
        yield

    def on_validate(self) -> Iterator[None]:
        """Check the limits, for page sizes may be in the variables; then validate what is not known to be valid."""
        execution = self.execution_context
        document = execution.graphql_document
        assert document is not None
        try:
            limits: Limits = execution.schema.limits  # type: ignore[attr-defined]
            check_document(execution.schema._schema, document, execution.variables, limits)  # noqa: SLF001
        except GraphQLError as error:
            execution.pre_execution_errors = [error]
            yield
            return
        if self._found is not None:
            execution.pre_execution_errors = []  # Strawberry validates what has no verdict yet.
        yield
        if self._found is None and execution.pre_execution_errors == []:
            schema = execution.schema._schema  # noqa: SLF001
            self._known.remember(execution.query, self._credential, document, schema)
