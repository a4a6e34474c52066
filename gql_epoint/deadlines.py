"""Limit how long things may take that all have the same time, without a timer for each.

`asyncio.timeout` sets a timer whenever it is entered, and cancels it. Where each of many has the same time, they
are cut off in the order in which they began, so one timer for the first of them is enough.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Deadlines:
    """Cuts off each `with deadlines.begin():` after `seconds`, with TimeoutError, as `asyncio.timeout` does."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[Deadline, None] = {}  # in the order of their ends
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Deadline:
        """Return a context manager for the running task, whose time starts when it is entered."""
        return Deadline(self)

    def _add(self, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> float:
        if loop is not self._loop:
            assert self._loop is None or self._loop.is_closed(), "deadlines belong to one event loop at a time"
            self._loop, self._timer = loop, None
            self._waiting.clear()
        end_s = loop.time() + self._seconds
        self._waiting[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(end_s, self._look, loop)
        return end_s

    def _remove(self, deadline: Deadline) -> None:
        self._waiting.pop(deadline, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cut off all whose time is up, and come back for the next."""
        self._timer = None
        now_s = loop.time()
        while self._waiting:
            first = next(iter(self._waiting))
            if first.end_s > now_s:
                self._timer = loop.call_at(first.end_s, self._look, loop)
                return
            del self._waiting[first]
            first.cut_off()


class Deadline:
    """The time of one thing. Use it once."""

    __slots__ = ("_cancelling", "_is_up", "_of", "_task", "end_s")

    def __init__(self, of: Deadlines) -> None:
        self._of = of
        self._is_up = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "there is a task to be cut off"
        self._task = task
        self._cancelling = task.cancelling()
        self.end_s = self._of._add(self, task.get_loop())  # noqa: SLF001 - the two are one thing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._is_up:
            self._of._remove(self)  # noqa: SLF001
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            # Nobody else wanted it to be cancelled.
            raise TimeoutError from error

    def cut_off(self) -> None:
        """Cancel the task, and remember why."""
        self._is_up = True
        self._task.cancel()
