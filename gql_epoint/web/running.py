"""Run operations for every transport: one at a time to its answer, or as a stream of results.

What a client gets is never an exception. A query ends when its time is up or its client goes; a mutation goes on
to its end, for what it has begun at EPoint is not undone by a client that hangs up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

import msgspec
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from gql_epoint.deadlines import Deadlines
from gql_epoint.owned import Owned
from gql_epoint.schema.masking import mask
from gql_epoint.schema.sharing import Message
from gql_epoint.tracing import note
from gql_epoint.web.asking import Asked
from gql_epoint.web.credentials import Doorkeeper, ExpiredCredentialError
from gql_epoint.web.documents import DocumentError, Documents

if TYPE_CHECKING:
    from strawberry.schema import BaseSchema

    from gql_epoint.schema.context import RequestContext

logger = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder()

_REMEMBERED_MAX = 500
_REMEMBERED_CHARACTERS_MAX = 4_000

AT_ONCE = frozenset({OperationType.QUERY, OperationType.MUTATION})

_TIME_IS_UP = (
    "The operation took too long and its answer is not waited for. Ask for less; after a mutation, ask what became "
    "of it with the same idempotency key."
)


class OtherTypeError(Exception):
    """The operation is of a type that was not allowed; nothing of it ran."""

    def __init__(self, operation_type: OperationType) -> None:
        super().__init__(operation_type)
        self.operation_type = operation_type


class ClientGoneError(Exception):
    """The client of a query has gone, so nobody would read the answer."""


Gone = Callable[[], Awaitable[None]]


class Runner:
    """Runs operations against a schema. No query or mutation takes longer than `deadline_s`.

    Mutations are run by `owned`, which whoever shuts down has to drain.
    """

    def __init__(
        self,
        schema: BaseSchema,
        *,
        deadline_s: float,
        documents: Documents | None = None,
        doorkeeper: Doorkeeper | None = None,
        owned: Owned | None = None,
    ) -> None:
        self._schema = schema
        self._doorkeeper = doorkeeper
        self._documents = documents or Documents()
        self._deadlines = Deadlines(deadline_s)
        self._owned = owned or Owned()
        self._types: dict[tuple[str | None, str | None], OperationType] = {}

    async def answer(
        self,
        asked: Asked,
        context: RequestContext,
        allowed: frozenset[OperationType] = AT_ONCE,
        gone: Gone | None = None,
    ) -> ExecutionResult:
        """Return the result of a query or mutation. Raises OtherTypeError for what is not in `allowed`.

        `gone` returns when the client goes. A query stops then and ClientGoneError is raised.
        """
        return _noted(await self._answer(asked, context, allowed, gone))

    async def _answer(
        self, asked: Asked, context: RequestContext, allowed: frozenset[OperationType], gone: Gone | None
    ) -> ExecutionResult:
        try:
            asked = self._documents.resolve(asked, context.credential)
        except DocumentError as exc:
            return failed(exc.message, exc.code)
        known = self._types.get((asked.query, asked.operation_name))
        if known is not None and (known not in allowed or known is OperationType.SUBSCRIPTION):
            raise OtherTypeError(known)
        for operation_type in (known,) if known else (OperationType.QUERY, OperationType.MUTATION):
            work = self._execute(asked, context, operation_type)
            try:
                with self._deadlines.begin():
                    if operation_type is OperationType.MUTATION:
                        return await self._owned.run(work)
                    return await (work if gone is None else _unless(gone, work))
            except TimeoutError:
                logger.warning("request %s: the deadline of an operation has passed", context.request_id)
                return failed(_TIME_IS_UP, "DEADLINE_EXCEEDED")
            except OtherTypeError as exc:
                self._learn(asked, context, exc.operation_type)
                if exc.operation_type not in allowed or exc.operation_type is OperationType.SUBSCRIPTION:
                    raise
        raise AssertionError("an operation has one of three types")

    def _learn(self, asked: Asked, context: RequestContext, operation_type: OperationType) -> None:
        """Remember that an operation is no query. Nobody without a credential fills the memory."""
        if context.credential is None or len(asked.query or "") > _REMEMBERED_CHARACTERS_MAX:
            return
        if len(self._types) >= _REMEMBERED_MAX:
            self._types.clear()
        self._types[asked.query, asked.operation_name] = operation_type

    def results(
        self, asked: Asked, context: RequestContext, allowed: frozenset[OperationType] = AT_ONCE
    ) -> Results:
        """Return the results of an operation; subscriptions are always allowed. Close them to stop it."""
        return Results(self, asked, context, allowed)

    async def begin(
        self, asked: Asked, context: RequestContext, allowed: frozenset[OperationType]
    ) -> ExecutionResult | AsyncGenerator[ExecutionResult, None]:
        """Return the one result of an operation, or the stream of a subscription.

        Raises ExpiredCredentialError, and so does the stream, if the credential is valid no more.
        """
        if self._doorkeeper is not None:
            await self._doorkeeper.check(context.credential)
        try:
            return await self.answer(asked, context, allowed)
        except OtherTypeError as exc:
            if exc.operation_type is OperationType.MUTATION:
                return failed("Mutations are sent by POST.", "METHOD_NOT_ALLOWED")
        stream = await self._subscription(asked, context)
        return stream if self._doorkeeper is None else self._doorkeeper.while_valid(stream, context.credential)

    async def _subscription(self, asked: Asked, context: RequestContext) -> AsyncGenerator[ExecutionResult, None]:
        asked = self._documents.resolve(asked, context.credential)  # It was found a moment ago.
        stream = await self._schema.stream(
            asked.query,
            variable_values=asked.variables,
            context_value=context,
            operation_name=asked.operation_name,
            operation_extensions=asked.extensions,
            allowed_operation_types={OperationType.SUBSCRIPTION},
        )
        return cast("AsyncGenerator[ExecutionResult, None]", stream)

    async def _execute(self, asked: Asked, context: RequestContext, only: OperationType) -> ExecutionResult:
        try:
            return await self._schema.execute(
                asked.query,
                variable_values=asked.variables,
                context_value=context,
                operation_name=asked.operation_name,
                operation_extensions=asked.extensions,
                allowed_operation_types={only},
            )
        except MissingQueryError:
            return failed("The request has no query.", "BAD_REQUEST")
        except CannotGetOperationTypeError as exc:
            # Its text quotes the name, which need not even look like one.
            unknown = "The document has no operation of this name."
            return failed(unknown if asked.operation_name else exc.as_http_error_reason(), "BAD_REQUEST")
        except InvalidOperationTypeError as exc:
            raise OtherTypeError(exc.operation_type) from None


async def _unless(gone: Gone, work: Coroutine[Any, Any, ExecutionResult]) -> ExecutionResult:
    """Do the work in this task, and cancel it when the client goes."""
    task = asyncio.current_task()
    assert task is not None

    async def leave() -> None:
        await gone()
        task.cancel()

    leaving = asyncio.create_task(leave())
    try:
        return await work
    except asyncio.CancelledError:
        if leaving.done() and task.uncancel() == 0:
            raise ClientGoneError from None
        raise
    finally:
        leaving.cancel()


class Results:
    """Each result of one operation, whatever its type. Close them to stop it.

    A credential that is valid no more ends them with an error of the code UNAUTHENTICATED. They are no generator,
    for there may be very many who wait.
    """

    __slots__ = ("_asked", "_context", "_is_over", "_runner", "_stream")

    def __init__(
        self, runner: Runner, asked: Asked, context: RequestContext, allowed: frozenset[OperationType]
    ) -> None:
        self._runner = runner
        self._context = context
        self._asked: tuple[Asked, frozenset[OperationType]] | None = (asked, allowed)
        self._stream: AsyncGenerator[ExecutionResult, None] | None = None
        self._is_over = False

    def __aiter__(self) -> Results:
        return self

    async def __anext__(self) -> ExecutionResult:
        """Return the next one."""
        if self._is_over:
            raise StopAsyncIteration
        result: ExecutionResult
        try:
            if self._asked is not None:
                (asked, allowed), self._asked = self._asked, None
                begun = await self._runner.begin(asked, self._context, allowed)
                del asked  # The next result may be long in coming.
                if isinstance(begun, ExecutionResult | PreExecutionError):
                    self._is_over = True
                    return _noted(begun)
                self._stream = begun
            assert self._stream is not None
            return _noted(await anext(self._stream))
        except StopAsyncIteration:
            self._is_over = True
            raise
        except ExpiredCredentialError as exc:
            result = failed(str(exc), "UNAUTHENTICATED")
        except Exception as exc:  # noqa: BLE001
            # A bug ends this operation and no other. Its text may hold anything, so it is masked like a resolver's.
            error = mask(GraphQLError(str(exc), original_error=exc), self._context.request_id)
            result = PreExecutionError(data=None, errors=[error])
        await self.aclose()
        return _noted(result)

    @property
    def is_over(self) -> bool:
        """Whether it is known already that there is nothing more to come."""
        return self._is_over or getattr(self._stream, "is_over", False)

    async def aclose(self) -> None:
        """Stop the operation."""
        self._is_over = True
        if self._stream is not None:
            await self._stream.aclose()


def failed(message: str, code: str, **extensions: object) -> PreExecutionError:
    """Return the result of an operation that could not be run."""
    return PreExecutionError(data=None, errors=[GraphQLError(message, extensions={"code": code, **extensions})])


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing ran: such a result has errors without a path, and no `data`."""
    return result.data is None and any(error.path is None for error in result.errors or ())


def _noted(result: ExecutionResult) -> ExecutionResult:
    """Tell the span at hand by which code an operation could not run."""
    if is_request_error(result):
        code = ((result.errors or [])[0].extensions or {}).get("code")
        note(error__type=code if isinstance(code, str) else "GRAPHQL_VALIDATION_FAILED")
    return result


def is_unauthenticated(result: ExecutionResult) -> bool:
    """Whether a result says that its credential is valid no more."""
    if not result.errors:
        return False
    return any((error.extensions or {}).get("code") == "UNAUTHENTICATED" for error in result.errors)


def written(result: ExecutionResult) -> str:
    """Return a result as clients read it, in JSON; one that is sent to many is written down once."""
    if not isinstance(result, Message):
        return _encoder.encode(formatted(result)).decode()
    if result.written is None:
        result.written = _encoder.encode(formatted(result)).decode()
    return result.written


def formatted(result: ExecutionResult) -> dict[str, Any]:
    """Return a result as clients read it; `data` is absent if nothing ran, as the specification says."""
    answer: dict[str, Any] = {} if is_request_error(result) else {"data": result.data}
    if result.errors:
        answer["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        answer["extensions"] = result.extensions
    return answer
