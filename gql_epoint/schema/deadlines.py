"""Limit how long the answer to one event of a subscription may take.

A subscription lives for hours and mostly waits; what must not take for ever is the work on what it waited for. An
event whose time is up ends its subscription with DEADLINE_EXCEEDED: its client resumes after the last event that it
got, and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

from graphql import ExecutionResult, GraphQLError, OperationType
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

_TIME_IS_UP = "An event took too long to answer, and the subscription ends. Subscribe again after the last event."


def executor_with(
    event_deadline_s: float,
    base: type[StrawberryGraphQLCoreExecutionContext] = StrawberryGraphQLCoreExecutionContext,
) -> type[StrawberryGraphQLCoreExecutionContext]:
    """Return the executor for a schema; queries and mutations have a limit of their own, in the transports."""

    class Executor(base):  # type: ignore[misc, valid-type]
        """Executes operations, and each event of a subscription in time."""

        @property
        def async_helpers(self) -> GraphQLResolveInfoHelpers:
            """Made for whoever asks: an executor that kept them would be left to the garbage collector."""
            return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

        @async_helpers.setter
        def async_helpers(self, _made_for_all: GraphQLResolveInfoHelpers) -> None:
            """Keep nothing that refers back."""

        def execute_operation(self, serially: bool | None = None) -> Any:
            result = super().execute_operation(serially)
            if self.operation.operation is OperationType.SUBSCRIPTION and self.is_awaitable(result):
                return _in_time(cast("Awaitable[ExecutionResult]", result), event_deadline_s)
            return result

    return Executor


async def _in_time(work: Awaitable[ExecutionResult], deadline_s: float) -> ExecutionResult:
    try:
        async with asyncio.timeout(deadline_s):
            return await work
    except TimeoutError:
        raise GraphQLError(_TIME_IS_UP, extensions={"code": "DEADLINE_EXCEEDED"}) from None
