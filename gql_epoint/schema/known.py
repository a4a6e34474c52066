"""Documents that were found valid, and the short way to run them.

To parse and validate takes longer than to run, and so do Strawberry's extensions, which are made anew for each
request. What they find out depends on the text and the credential alone; so it is remembered, and the document is
from then on handed to graphql-core directly.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Hashable, Mapping
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    Executor,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    create_source_event_stream,
)
from graphql import ExecutionResult as GraphQLResult
from strawberry.execution import optimized_is_awaitable
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from gql_epoint.schema.access import Credential
from gql_epoint.schema.limits import Limits
from gql_epoint.schema.sharing import Message
from gql_epoint.schema.weighing import check_document, depends_on_variables
from gql_epoint.tracing import note_operation


class Engine(msgspec.Struct, frozen=True):
    """What every operation of a schema runs by."""

    schema: GraphQLSchema
    executor: type[Executor[Any]]
    limits: Limits


class KnownDocument(msgspec.Struct, frozen=True):
    """A valid document. `types` has its operations by name, and under None if it has one only."""

    text: str
    document: DocumentNode
    types: Mapping[str | None, OperationType]
    is_weighed_with_variables: bool

    async def run(
        self,
        engine: Engine,
        variables: dict[str, Any] | None,
        context: Any,
        operation_name: str | None,
    ) -> ExecutionResult:
        """Run one of its queries or mutations, named as in `types`."""
        note_operation(self.types[operation_name].value, operation_name)
        try:
            self._weigh(engine, variables)
            execution = self._execution(engine, variables, context, operation_name)
            if isinstance(execution, list):
                return ExecutionResult(data=None, errors=execution)
            running: Any = execution.execute_operation()
            result = await running if inspect.isawaitable(running) else running
        except GraphQLError as error:
            return PreExecutionError(data=None, errors=[error])
        return ExecutionResult(data=result.data, errors=result.errors)

    async def source(
        self,
        engine: Engine,
        variables: dict[str, Any] | None,
        context: Any,
        operation_name: str | None,
    ) -> Any:
        """Return what the source of its subscription yields, named as in `types`. Raises GraphQLError."""
        note_operation(OperationType.SUBSCRIPTION.value, operation_name)
        self._weigh(engine, variables)
        execution = self._execution(engine, variables, context, operation_name)
        if isinstance(execution, list):
            return GraphQLResult(None, errors=execution)
        source: Any = create_source_event_stream(execution)
        return await source if inspect.isawaitable(source) else source

    def message(
        self,
        engine: Engine,
        item: Any,
        variables: dict[str, Any] | None,
        context: Any,
        operation_name: str | None,
    ) -> Message | Awaitable[Message]:
        """Return the result of one thing that the source has yielded."""
        execution = self._execution(engine, variables, context, operation_name, item)
        assert not isinstance(execution, list), "the variables fitted when it was subscribed"
        running: Any = execution.execute_operation()
        if isinstance(running, GraphQLResult):
            return Message(data=running.data, errors=running.errors)
        return _message(running)

    def _execution(
        self,
        engine: Engine,
        variables: dict[str, Any] | None,
        context: Any,
        operation_name: str | None,
        root_value: Any = None,
    ) -> Executor[Any] | list[GraphQLError]:
        """Return an execution, or why its variables do not fit."""
        return engine.executor.build(
            engine.schema,
            self.document,
            root_value,
            context_value=context,
            raw_variable_values=variables,
            operation_name=operation_name,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type] # it is Strawberry's choice as well
        )

    def _weigh(self, engine: Engine, variables: dict[str, Any] | None) -> None:
        """Check the limits that depend on the variables; the others hold for every request alike."""
        if self.is_weighed_with_variables:
            check_document(engine.schema, self.document, variables, engine.limits)


class Known:
    """The documents that were found valid for a credential, and so for all with the same rights.

    Only callers with a credential have their documents remembered, and only short ones, so that no stranger fills
    the memory.
    """

    ENTRIES_MAX = 200
    CHARACTERS_MAX = 4_000

    def __init__(self) -> None:
        self._documents: OrderedDict[tuple[str, Hashable], KnownDocument] = OrderedDict()

    def find(self, text: str | None, credential: Credential | None) -> KnownDocument | None:
        """Return the document of a text that is valid for this credential, if it is known."""
        if text is None or credential is None:
            return None
        key = text, credential.rights
        found = self._documents.get(key)
        if found is not None:
            self._documents.move_to_end(key)
        return found

    def remember(
        self, text: str | None, credential: Credential | None, document: DocumentNode, schema: GraphQLSchema
    ) -> None:
        """Remember a valid document."""
        if text is None or credential is None or len(text) > self.CHARACTERS_MAX:
            return
        found = KnownDocument(text, document, _types_of(document), depends_on_variables(schema, document))
        self._documents[text, credential.rights] = found
        if len(self._documents) > self.ENTRIES_MAX:
            self._documents.popitem(last=False)


async def _message(running: Awaitable[GraphQLResult]) -> Message:
    result = await running
    return Message(data=result.data, errors=result.errors)


def _types_of(document: DocumentNode) -> dict[str | None, OperationType]:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    types: dict[str | None, OperationType] = {
        node.name.value: OperationType(node.operation.value) for node in operations if node.name is not None
    }
    if len(operations) == 1:
        types[None] = OperationType(operations[0].operation.value)
    return types
