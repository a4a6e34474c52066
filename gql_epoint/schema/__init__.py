"""The GraphQL contract: types, inputs, errors, access and limits. Resolvers call the cashier and return."""

from __future__ import annotations

from collections.abc import AsyncGenerator
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
from gql_epoint.schema.checkouts import Subscription
from gql_epoint.schema.errors import ERROR_TYPES
from gql_epoint.schema.events import EVENT_TYPES
from gql_epoint.schema.guards import GuardExtension, Known, money_fields
from gql_epoint.schema.limits import check_text
from gql_epoint.schema.masking import MaskingExtension, mask_result
from gql_epoint.schema.roots import Mutation, Query
from gql_epoint.schema.scalars import SCALARS
from gql_epoint.schema.tracing import TracingExtension


class Schema(strawberry.Schema):
    """The contract, with what its rules need read from it once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
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
        if (refusal := _refusal(query)) is not None:
            return refusal
        result = await super().execute(query, *args, **options)
        mask_result(result, options.get("context_value"))
        return result

    async def stream(self, query: str | None, *args: Any, **options: Any) -> Any:
        """Run an operation as a stream of results."""
        if (refusal := _refusal(query)) is not None:
            return _once(refusal)
        return await super().stream(query, *args, **options)

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


def build_schema() -> Schema:
    """Return the schema. Its context value is a RequestContext."""
    return Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=(*EVENT_TYPES, *ERROR_TYPES),
        # The first is the outermost: masking sees what every other extension and the resolvers leave behind.
        extensions=(MaskingExtension, GuardExtension, AccessExtension, TracingExtension),
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def schema_text() -> str:
    """Return the contract in the schema definition language, as it is committed in schema.graphql."""
    return build_schema().as_str() + "\n"
