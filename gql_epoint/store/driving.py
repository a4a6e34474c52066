"""How a store runs a unit of work that waits for nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


def drive(work: Awaitable[T]) -> T:
    """Run a unit of work to its end, where every answer is already there or is not waited for."""
    coroutine = cast(Coroutine[Any, Any, T], work)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    coroutine.close()
    raise AssertionError("a unit of work awaited something else than its unit")
