"""Documents that were found valid, and the short way to run them.

To parse and validate takes longer than to run, and so do Strawberry's extensions, which are made anew for each
request. What they find out depends on the text and the credential alone; so it is remembered, and the document is
from then on handed to graphql-core directly.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import AsyncGenerator, Hashable, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

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
from gql_epoint.schema.masking import mask_result
from gql_epoint.schema.sharing import Message, Sharing
from gql_epoint.schema.weighing import check_document, depends_on_variables
from gql_epoint.tracing import note_operation

if TYPE_CHECKING:
    from gql_epoint.schema.context import RequestContext


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

    async def subscribe(
        self,
        engine: Engine,
        variables: dict[str, Any] | None,
        context: RequestContext,
        operation_name: str | None,
        sharing: Sharing,
    ) -> AsyncGenerator[ExecutionResult, None]:
        """Run its subscription, named as in `types`: yield a result for each thing that its source yields."""
        note_operation(OperationType.SUBSCRIPTION.value, operation_name)
        try:
            self._weigh(engine, variables)
            execution = self._execution(engine, variables, context, operation_name)
            source = execution if isinstance(execution, list) else await _source(execution)
            if isinstance(source, list):
                yield _masked(PreExecutionError(data=None, errors=source), context)
                return
            del execution  # There may be very many subscribers, and their messages are executions of their own.
            key = sharing.key(self.text, variables, context, operation_name)
            async with aclosing(source) as items:
                async for item in items:
                    result = await sharing.result(
                        key, item, partial(self._message, engine, variables, context, operation_name, item)
                    )
                    yield _masked(result, context)
                    del item, result  # The next one may be long in coming, and there may be very many who wait.
        except Exception as exc:  # noqa: BLE001 - masked like a resolver's
            error = exc if isinstance(exc, GraphQLError) else GraphQLError(str(exc), original_error=exc)
            yield _masked(ExecutionResult(data=None, errors=[error]), context)

    async def _message(
        self, engine: Engine, variables: dict[str, Any] | None, context: Any, operation_name: str | None, item: Any
    ) -> Message:
        execution = self._execution(engine, variables, context, operation_name, item)
        assert not isinstance(execution, list), "the variables fitted when it was subscribed"
        running: Any = execution.execute_operation()
        result = await running if inspect.isawaitable(running) else running
        return Message(data=result.data, errors=result.errors)

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


async def _source(execution: Executor[Any]) -> Any:
    """Return what a subscription yields one by one, or the errors that keep it from beginning."""
    source: Any = create_source_event_stream(execution)
    source = await source if inspect.isawaitable(source) else source
    return source.errors if isinstance(source, GraphQLResult) else source


def _masked(result: ExecutionResult, context: RequestContext) -> ExecutionResult:
    mask_result(result, context)
    return result


def _types_of(document: DocumentNode) -> dict[str | None, OperationType]:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    types: dict[str | None, OperationType] = {
        node.name.value: OperationType(node.operation.value) for node in operations if node.name is not None
    }
    if len(operations) == 1:
        types[None] = OperationType(operations[0].operation.value)
    return types
