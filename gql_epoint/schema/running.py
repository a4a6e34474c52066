"""How every mutation runs: name the call, hand it to the cashier, and tell an expected refusal as data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import strawberry

from gql_epoint.cashier.commands import Call, Result
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.schema.access import Auth, Scope, needs
from gql_epoint.schema.canonical import input_hash
from gql_epoint.schema.context import Info
from gql_epoint.schema.errors import UserError, to_user_error
from gql_epoint.schema.guards import MOVES_MONEY

T = TypeVar("T")

REPLAYED = (
    "Whether the idempotency key was used before: nothing was done now, and the object is shown as it is now."
)
ERRORS = "Why nothing was done; or, next to an object, what went wrong with EPoint. Empty if all is well."
_TWICE = "Never moves money twice: repeat it with the same key after a timeout. One such field per operation."


def mutation(description: str, who: Scope | Auth, *, moves_money: bool = False) -> Any:
    """Declare a mutation for keys with a scope, or for whom an @auth says."""
    return strawberry.mutation(
        description=f"{description} {_TWICE}" if moves_money else description,
        directives=[who if isinstance(who, Auth) else needs(who)],
        metadata={MOVES_MONEY: moves_money},
    )


def argument(description: str) -> Any:
    """Describe an argument."""
    return strawberry.argument(description=description)


async def run(
    info: Info, request: Any, work: Callable[[Call], Awaitable[Result[T]]]
) -> tuple[Result[T] | None, list[UserError]]:
    """Run what has an idempotency key."""
    return await attempt(lambda: work(_call(info, request)))


async def attempt(work: Callable[[], Awaitable[Result[T]]]) -> tuple[Result[T] | None, list[UserError]]:
    """Return the result, if any, and everything that the caller is told beside it."""
    try:
        result = await work()
    except RefusedError as refusal:
        return None, [to_user_error(refusal)]
    return result, [to_user_error(result.error)] if result.error else []


def _call(info: Info, request: Any) -> Call:
    try:
        hashed = input_hash(request)
    except ValueError:
        raise RefusedError(ErrorCode.INVALID_INPUT, "A text is not valid Unicode.", ("input",)) from None
    return Call(
        owner=info.context.owner,
        actor=info.context.caller.name,
        mutation=info.field_name,
        key=request.idempotency_key,
        input_hash=hashed,
    )
