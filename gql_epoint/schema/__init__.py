"""The GraphQL contract: types, inputs, errors, access and limits. Resolvers call the cashier and return."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import cached_property
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionResult, PreExecutionError

from gql_epoint.schema.access import (
    DIRECTIVE_ARGUMENTS,
    AccessExtension,
    Requirements,
    read_requirements,
)
from gql_epoint.schema.checkouts import Query, Subscription
from gql_epoint.schema.deadlines import executor_with
from gql_epoint.schema.errors import ERROR_TYPES
from gql_epoint.schema.events import EVENT_TYPES
from gql_epoint.schema.guards import GuardExtension, Known, money_fields
from gql_epoint.schema.limits import LIMITS, Limits, check_text, check_variables
from gql_epoint.schema.masking import MaskingExtension, mask_result
from gql_epoint.schema.roots import Mutation
from gql_epoint.schema.sandbox import SandboxMutation, SandboxQuery, SandboxSubscription
from gql_epoint.schema.scalars import SCALARS
from gql_epoint.schema.tracing import TracingExtension

EVENT_DEADLINE_S = 30.0
"""How long the work on one event of a subscription may take."""


class Schema(strawberry.Schema):
    """The contract, with what its rules need read from it once."""

    def __init__(self, *args: Any, limits: Limits = LIMITS, **options: Any) -> None:
        super().__init__(*args, **options)
        self.limits = limits
        self.known = Known()
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

    async def execute(self, query: str | None, *args: Any, **options: Any) -> Any:
        """Run a query or mutation. What fails outside of all extensions is masked here."""
        if (refusal := self._refusal(query, options)) is not None:
            return refusal
        result = await super().execute(query, *args, **options)
        mask_result(result, options.get("context_value"))
        return result

    async def stream(self, query: str | None, *args: Any, **options: Any) -> Any:
        """Run an operation as a stream of results."""
        if (refusal := self._refusal(query, options)) is not None:
            return _once(refusal)
        return await super().stream(query, *args, **options)

    def _refusal(self, query: str | None, options: Mapping[str, Any]) -> PreExecutionError | None:
        """Return why this text is not even parsed, or None."""
        try:
            check_text(query or "", self.limits)
            check_variables(options.get("variable_values"), self.limits)
        except GraphQLError as error:
            return PreExecutionError(data=None, errors=[error])
        return None

    def process_errors(self, errors: list[Any], execution_context: Any = None) -> None:
        """Log nothing: the texts may hold values, and the masking extension logs what is unexpected."""


async def _once(result: ExecutionResult) -> AsyncGenerator[ExecutionResult, None]:
    yield result


def build_schema(
    limits: Limits = LIMITS, *, sandbox: bool = False, event_deadline_s: float = EVENT_DEADLINE_S
) -> Schema:
    """Return the schema, with what plays with the simulator if asked for. Its context value is a RequestContext."""
    return Schema(
        limits=limits,
        query=SandboxQuery if sandbox else Query,
        mutation=SandboxMutation if sandbox else Mutation,
        subscription=SandboxSubscription if sandbox else Subscription,
        types=(*EVENT_TYPES, *ERROR_TYPES),
        # The first is the outermost: masking sees what every other extension and the resolvers leave behind.
        extensions=(MaskingExtension, GuardExtension, AccessExtension, TracingExtension),
        config=StrawberryConfig(scalar_map=SCALARS),
        execution_context_class=executor_with(event_deadline_s),
    )


def schema_text() -> str:
    """Return the contract in the schema definition language, as it is committed in schema.graphql.

    What only the sandbox has is in it, and marked.
    """
    return build_schema(sandbox=True).as_str() + "\n"
