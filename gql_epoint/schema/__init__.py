"""The GraphQL contract: types, inputs, errors, access and limits. Resolvers call the cashier and return."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from functools import cache, cached_property
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.schema.name_converter import NameConverter
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType
from strawberry.utils.str_converters import to_camel_case

from gql_epoint.compiled import CompiledExecutor
from gql_epoint.schema.access import (
    DIRECTIVE_ARGUMENTS,
    AccessExtension,
    Requirements,
    read_requirements,
)
from gql_epoint.schema.checkouts import Mutation, Query, Subscription
from gql_epoint.schema.errors import ERROR_TYPES
from gql_epoint.schema.events import EVENT_TYPES
from gql_epoint.schema.guards import GuardExtension, money_fields
from gql_epoint.schema.known import Known
from gql_epoint.schema.limits import check_text
from gql_epoint.schema.masking import MaskingExtension, mask_result
from gql_epoint.schema.scalars import SCALARS
from gql_epoint.schema.sharing import Sharing
from gql_epoint.schema.tracing import TracingExtension


class Names(NameConverter):
    """Strawberry's names, each made once: it asks for those of all arguments at every request."""

    @staticmethod
    @cache
    def _camel_case(name: str) -> str:
        return to_camel_case(name)

    def apply_naming_config(self, name: str) -> str:
        """Return the name as GraphQL has it."""
        return self._camel_case(name)


class Schema(strawberry.Schema):
    """The contract, with what its rules need read from it once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.known = Known()
        self.sharing = Sharing()
        for directive in self._schema.directives:
            for name, description in DIRECTIVE_ARGUMENTS.get(directive.name, {}).items():
                directive.args[name].description = description

    @cached_property
    def requirements(self) -> Requirements:
        """What each field asks of a credential."""
        return read_requirements(self._schema)

    @cached_property
    def money_fields(self) -> frozenset[str]:
        """The mutations that move money."""
        return money_fields(self._schema)

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> Any:
        """Run a query or mutation. What fails outside of all extensions is masked here.

        Raises InvalidOperationTypeError for what is not in `allowed_operation_types`.
        """
        known = self.known.find(query, getattr(context_value, "credential", None))
        if known is not None and operation_name in known.types:
            operation_type = known.types[operation_name]
            if allowed_operation_types is not None and operation_type not in allowed_operation_types:
                raise InvalidOperationTypeError(operation_type)
            result: Any = await known.run(
                self._schema, self.execution_context_class, variable_values, context_value, operation_name
            )
        elif (refusal := _refusal(query)) is not None:
            return refusal
        else:
            result = await super().execute(
                query,
                variable_values,
                context_value,
                root_value,
                operation_name,
                allowed_operation_types,
                operation_extensions,
            )
        mask_result(result, context_value)
        return result

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> Any:
        """Run an operation as a stream of results."""
        known = self.known.find(query, getattr(context_value, "credential", None))
        if known is not None and known.types.get(operation_name) is OperationType.SUBSCRIPTION:
            return known.subscribe(
                self._schema,
                self.execution_context_class,
                variable_values,
                context_value,
                operation_name,
                self.sharing,
            )
        if (refusal := _refusal(query)) is not None:
            return _once(refusal)
        return await super().stream(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            operation_extensions,
            allowed_operation_types,
        )

    def process_errors(self, errors: list[Any], execution_context: Any = None) -> None:
        """Log nothing: the texts may hold values, and the masking extension logs what is unexpected."""


def _refusal(query: str | None) -> PreExecutionError | None:
    """Return why this text is not even parsed, or None."""
    try:
        check_text(query or "")
    except GraphQLError as error:
        return PreExecutionError(data=None, errors=[error])
    return None


async def _once(result: ExecutionResult) -> AsyncGenerator[ExecutionResult, None]:
    yield result


def build_schema(*, compiled: bool = True) -> Schema:
    """Return the schema. Its context value is a RequestContext; `compiled` False leaves all to graphql-core."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=(*EVENT_TYPES, *ERROR_TYPES),
        # The first is the outermost: masking sees what every other extension and the resolvers leave behind.
        extensions=(MaskingExtension, GuardExtension, AccessExtension, TracingExtension),
        execution_context_class=CompiledExecutor if compiled else None,
        config=StrawberryConfig(scalar_map=SCALARS, name_converter=Names()),
    )


def schema_text() -> str:
    """Return the contract in the schema definition language, as it is committed in schema.graphql."""
    return build_schema().as_str() + "\n"
