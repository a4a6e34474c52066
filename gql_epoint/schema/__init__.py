"""The GraphQL contract: types, inputs, errors, access and limits. Resolvers call the cashier and return.

roots.py puts Query, Mutation and Subscription together. What a subject adds to them (holds, invoices, checkouts and
so on) is in a file of its name, its types and inputs beside it where they are many. What a caller may select is in
access.py, what a document may cost in limits.py and weighing.py. `sandbox*` exists in sandbox mode alone.

Modules that define types evaluate their annotations (no `from __future__ import annotations`): as texts, Strawberry
would parse each of them, and again wherever it is looked at.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from functools import cache, cached_property
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.schema.name_converter import NameConverter
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
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
from gql_epoint.schema.deadlines import executor_with
from gql_epoint.schema.errors import ERROR_TYPES
from gql_epoint.schema.events import EVENT_TYPES
from gql_epoint.schema.guards import GuardExtension, money_fields
from gql_epoint.schema.known import Engine, Known
from gql_epoint.schema.limits import LIMITS, Limits, check_text, check_variables
from gql_epoint.schema.masking import MaskingExtension, mask_result
from gql_epoint.schema.roots import Mutation, Query, Subscription
from gql_epoint.schema.sandbox import SandboxMutation, SandboxQuery, SandboxSubscription
from gql_epoint.schema.scalars import SCALARS
from gql_epoint.schema.sharing import Sharing
from gql_epoint.schema.tracing import TracingExtension

EVENT_DEADLINE_S = 30.0
"""How long the work on one event of a subscription may take."""


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

    def __init__(self, *args: Any, limits: Limits = LIMITS, **options: Any) -> None:
        super().__init__(*args, **options)
        self.limits = limits
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
    def engine(self) -> Engine:
        """What its operations run by."""
        return Engine(self._schema, self.execution_context_class, self.limits)

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
        if (refusal := self._refusal(None if known else query, variable_values)) is not None:
            return refusal
        if known is not None and operation_name in known.types:
            operation_type = known.types[operation_name]
            if allowed_operation_types is not None and operation_type not in allowed_operation_types:
                raise InvalidOperationTypeError(operation_type)
            result: Any = await known.run(self.engine, variable_values, context_value, operation_name)
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
        if (refusal := self._refusal(None if known else query, variable_values)) is not None:
            return _once(refusal)
        if known is not None and known.types.get(operation_name) is OperationType.SUBSCRIPTION:
            return self.sharing.subscribe(known, self.engine, variable_values, context_value, operation_name)
        return await super().stream(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            operation_extensions,
            allowed_operation_types,
        )

    def _refusal(self, query: str | None, variables: Mapping[str, Any] | None) -> PreExecutionError | None:
        """Return why this text is not even parsed, or None; without a text, why these variables are too many."""
        try:
            check_text(query or "", self.limits)
            check_variables(variables, self.limits)
        except GraphQLError as error:
            return PreExecutionError(data=None, errors=[error])
        return None

    def process_errors(self, errors: list[Any], execution_context: Any = None) -> None:
        """Log nothing: the texts may hold values, and the masking extension logs what is unexpected."""


async def _once(result: ExecutionResult) -> AsyncGenerator[ExecutionResult, None]:
    yield result


def build_schema(
    limits: Limits = LIMITS,
    *,
    sandbox: bool = False,
    event_deadline_s: float = EVENT_DEADLINE_S,
    compiled: bool = True,
) -> Schema:
    """Return the schema. Its context value is a RequestContext.

    `sandbox` adds what plays with the simulator; `compiled` False leaves all execution to graphql-core.
    """
    return Schema(
        limits=limits,
        query=SandboxQuery if sandbox else Query,
        mutation=SandboxMutation if sandbox else Mutation,
        subscription=SandboxSubscription if sandbox else Subscription,
        types=(*EVENT_TYPES, *ERROR_TYPES),
        # The first is the outermost: masking sees what every other extension and the resolvers leave behind.
        extensions=(MaskingExtension, GuardExtension, AccessExtension, TracingExtension),
        config=StrawberryConfig(scalar_map=SCALARS, name_converter=Names()),
        execution_context_class=executor_with(
            event_deadline_s, CompiledExecutor if compiled else StrawberryGraphQLCoreExecutionContext
        ),
    )


def schema_text() -> str:
    """Return the contract in the schema definition language, as it is committed in schema.graphql.

    What only the sandbox has is in it, and marked.
    """
    return build_schema(sandbox=True).as_str() + "\n"
