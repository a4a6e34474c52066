"""GraphQL over WebSocket, by the graphql-transport-ws protocol.

Strawberry's handler keeps the state of a connection. It trusts the shape of messages, so each is checked here
first; a wrong one closes the socket with 4400 as the protocol says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from gql_epoint.errors import StoreUnavailableError
from gql_epoint.web.credentials import ExpiredCredentialError, WrongCredentialError

if TYPE_CHECKING:
    from gql_epoint.web.graphql import GraphQLView

logger = logging.getLogger(__name__)

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Payload = dict[str, Any] | None


class _Init(msgspec.Struct, tag="connection_init"):
    payload: _Payload = None


class _Ping(msgspec.Struct, tag="ping"):
    payload: _Payload = None


class _Pong(msgspec.Struct, tag="pong"):
    payload: _Payload = None


class _Request(msgspec.Struct):
    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")
    extensions: dict[str, Any] | None = None


class _Subscribe(msgspec.Struct, tag="subscribe"):
    id: _Id
    payload: _Request


class _Complete(msgspec.Struct, tag="complete"):
    id: _Id


_Message = _Init | _Ping | _Pong | _Subscribe | _Complete


class SocketHandler(BaseGraphQLTransportWSHandler[Any, None]):
    """One connection."""

    view: GraphQLView
    _expiring: asyncio.Task[None] | None = None
    _closed = False

    async def handle_message(self, message: Any) -> None:
        """Check the shape, then let Strawberry go on."""
        try:
            msgspec.convert(message, _Message)
        except msgspec.ValidationError as exc:
            # A close reason has at most 123 bytes; the text names types and places, never values.
            await self.handle_invalid_message(f"Invalid message: {exc}".encode()[:120].decode("utf-8", "ignore"))
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: Any) -> None:
        """Find out who is there. The protocol allows a null payload; Strawberry does not."""
        payload = message.get("payload") or {}
        if not self.connection_init_received:
            try:
                credential = await self.view.doorkeeper.admit_socket(payload)
            except (WrongCredentialError, StoreUnavailableError) as exc:
                self.connection_init_received = True
                wrong = isinstance(exc, WrongCredentialError)
                await self._close(*((4403, "Forbidden") if wrong else (1013, "Try again later")))
                return
            self.context = self.view.context_for(credential, self.context["request_id"])
            if (left_s := self.view.doorkeeper.left_s(credential)) is not None:
                self._expiring = asyncio.create_task(self._expire(left_s))
        await super().handle_connection_init({"type": "connection_init", "payload": payload})

    async def shutdown(self) -> None:
        """Stop whatever is running."""
        if self._expiring is not None:
            self._expiring.cancel()
        await super().shutdown()

    async def _expire(self, left_s: float) -> None:
        await asyncio.sleep(left_s)
        await self._close(4401, "Expired")

    async def _close(self, code: int, reason: str) -> None:
        # The timer and the operations may all find that the credential has expired.
        if not self._closed:
            self._closed = True
            with contextlib.suppress(WebSocketDisconnected, RuntimeError):
                await self.websocket.close(code=code, reason=reason)

    async def run_operation(self, operation: Operation[Any, None]) -> None:
        """Run one operation to its end."""
        try:
            valid = self.view.doorkeeper.while_valid(self._results(operation), self.context.credential)
            async with contextlib.aclosing(valid) as results:
                await self._send_result_stream(operation, results)
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)
        except ExpiredCredentialError:
            await self._close(4401, "Expired")
        except Exception:
            # A bug here ends this operation and no other; its text stays in the log.
            logger.exception("an operation over WebSocket failed")
            await self._give_up(operation)

    async def _results(self, operation: Operation[Any, None]) -> AsyncGenerator[Any, None]:
        """Yield each result. Mutations are for HTTP, where each is one request with one answer."""
        asked = {
            "variable_values": operation.variables,
            "context_value": self.context,
            "operation_name": operation.operation_name,
        }
        try:
            yield await self.schema.execute(operation.query, allowed_operation_types={OperationType.QUERY}, **asked)
            return
        except MissingQueryError:
            yield _refusal("The message has no query.")
            return
        except CannotGetOperationTypeError as exc:
            yield _refusal(exc.as_http_error_reason())
            return
        except InvalidOperationTypeError as exc:
            if exc.operation_type is not OperationType.SUBSCRIPTION:
                yield _refusal("Mutations are sent by HTTP POST.")
                return
        subscription = await self.schema.stream(
            operation.query, allowed_operation_types={OperationType.SUBSCRIPTION}, **asked
        )
        async with contextlib.aclosing(cast(Any, subscription)):
            async for result in subscription:
                yield result

    async def _give_up(self, operation: Operation[Any, None]) -> None:
        if self.operations.get(operation.id) is not operation:
            return
        error = GraphQLError("Something went wrong here.", extensions={"code": "INTERNAL_ERROR"})
        try:
            await operation.send_initial_errors([error])
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        # A syntax error is an error of one operation; Strawberry would close the socket with all others on it.
        return None


def _refusal(message: str) -> PreExecutionError:
    return PreExecutionError(data=None, errors=[GraphQLError(message, extensions={"code": "BAD_REQUEST"})])
