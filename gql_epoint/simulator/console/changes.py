"""Say that something has changed, and what: a wake-up for whoever watches, who then reads what is there."""

from __future__ import annotations

import asyncio

_NAMES_MAX = 1_000


class Changes:
    """Counts changes and remembers which transactions they were about, the latest `_NAMES_MAX` of them."""

    def __init__(self) -> None:
        self.revision = 0
        self._touched: dict[str, int] = {}
        self._next = asyncio.Event()

    def ring(self, transaction: str | None = None) -> None:
        """Wake up everybody; costs next to nothing if nobody watches."""
        self.revision += 1
        if transaction is not None:
            self._touched.pop(transaction, None)
            self._touched[transaction] = self.revision
            if len(self._touched) > _NAMES_MAX:
                del self._touched[next(iter(self._touched))]
        self._next.set()

    def since(self, revision: int) -> list[str]:
        """Return the transactions that have changed after a revision, the latest last."""
        return [name for name, at in self._touched.items() if at > revision]

    def upcoming(self) -> asyncio.Event:
        """Return what is set by the next change."""
        if self._next.is_set():
            self._next = asyncio.Event()
        return self._next
