"""Many subscribers who ask the same about the same thing are sent one result: it is made and written down once.

The same is: the document and its variables, whatever of the credential decides how something is shown, and the very
object that was read from the books after a change. An object that is read again is another one, so nobody is sent
what was made before the change.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import ExecutionResult as GraphQLResult
from graphql import GraphQLError
from strawberry.types.execution import ExecutionResult, PreExecutionError

from gql_epoint.schema.masking import mask_result

if TYPE_CHECKING:
    from gql_epoint.schema.context import RequestContext
    from gql_epoint.schema.known import Engine, KnownDocument


@dataclass
class Message(ExecutionResult):
    """One result of a subscription; `written` is its JSON, once somebody has written it down."""

    written: str | None = None


class Question:
    """What several subscribers ask alike."""

    __slots__ = ("__weakref__", "_engine", "_known", "_operation_name", "_variables")

    def __init__(
        self, known: KnownDocument, engine: Engine, variables: dict[str, Any] | None, operation_name: str | None
    ) -> None:
        self._known = known
        self._engine = engine
        self._variables = variables
        self._operation_name = operation_name

    async def source(self, context: RequestContext) -> Any:
        """Return what a subscriber's source yields, or why there is none. Raises GraphQLError."""
        return await self._known.source(self._engine, self._variables, context, self._operation_name)

    def message(self, item: Any, context: RequestContext) -> Message | Awaitable[Message]:
        """Return the result of one item."""
        return self._known.message(self._engine, item, self._variables, context, self._operation_name)


class Sharing:
    """The results that are being sent to several subscribers; few things change at once, so there are few."""

    ENTRIES_MAX = 100

    def __init__(self) -> None:
        # The object is kept with its result, so that no other one takes its identity.
        self._results: OrderedDict[Hashable, tuple[object, Message | asyncio.Future[Message]]] = OrderedDict()
        self._questions: weakref.WeakValueDictionary[Hashable, Question] = weakref.WeakValueDictionary()

    def subscribe(
        self,
        known: KnownDocument,
        engine: Engine,
        variables: dict[str, Any] | None,
        context: RequestContext,
        operation_name: str | None,
    ) -> Results:
        """Return the results of a subscription."""
        key = known.text, operation_name, repr(variables), context.caller.view
        question = self._questions.get(key)
        if question is None:
            question = self._questions[key] = Question(known, engine, variables, operation_name)
        return Results(self, question, context)

    async def result(self, question: Question, item: Any, context: RequestContext) -> Message:
        """Return the result of an item. One without `record` is nobody else's; neither is one with an error."""
        record = getattr(item, "record", None)
        if record is None:
            return await _made(question.message(item, context))
        place = question, item.kind, id(record)
        found = self._results.get(place)
        if found is None:
            made = question.message(item, context)
            found = record, made if isinstance(made, Message) else asyncio.ensure_future(made)
            self._results[place] = found
            if len(self._results) > self.ENTRIES_MAX:
                self._results.popitem(last=False)
        message = found[1]
        if not isinstance(message, Message):
            message = await asyncio.shield(message)
        return message if not message.errors else await _made(question.message(item, context))


class Results:
    """The results of one subscriber, for each thing that its source yields; close it to stop.

    It is no generator, and keeps next to nothing of its own, for there may be very many who wait.
    """

    __slots__ = ("_context", "_is_over", "_question", "_sharing", "_source")

    def __init__(self, sharing: Sharing, question: Question, context: RequestContext) -> None:
        self._sharing = sharing
        self._question = question
        self._context = context
        self._source: AsyncGenerator[Any, None] | None = None
        self._is_over = False

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> ExecutionResult:
        """Return the next result; whatever fails is the last one, masked like a resolver's error."""
        if self._is_over:
            raise StopAsyncIteration
        result: ExecutionResult
        try:
            if self._source is None:
                source = await self._question.source(self._context)
                if isinstance(source, GraphQLResult):
                    self._is_over = True
                    return self._masked(PreExecutionError(data=None, errors=source.errors))
                self._source = source
            item = await anext(self._source)
            result = await self._sharing.result(self._question, item, self._context)
        except StopAsyncIteration:
            self._is_over = True
            raise
        except Exception as exc:  # noqa: BLE001
            await self.aclose()
            error = exc if isinstance(exc, GraphQLError) else GraphQLError(str(exc), original_error=exc)
            result = ExecutionResult(data=None, errors=[error])
        return self._masked(result)

    @property
    def is_over(self) -> bool:
        """Whether it is known already that there is nothing more to come."""
        return self._is_over or getattr(self._source, "is_over", False)

    async def aclose(self) -> None:
        """Stop the source."""
        self._is_over = True
        if self._source is not None:
            await self._source.aclose()

    def _masked(self, result: ExecutionResult) -> ExecutionResult:
        mask_result(result, self._context)
        return result


async def _made(message: Message | Awaitable[Message]) -> Message:
    return message if isinstance(message, Message) else await message
