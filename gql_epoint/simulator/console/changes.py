"""Say that something has changed, and what: a wake-up for whoever watches, who then reads what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

_NAMES_MAX = 1_000


class Changes:
    """Counts changes and remembers what they were about, the latest `_NAMES_MAX` of each kind."""

    def __init__(self) -> None:
        self.revision = 0
        self._transactions: dict[str, int] = {}
        self._business: dict[str, int] = {}
        self._next = asyncio.Event()

    def ring(
        self, transaction: str | None = None, *, invoice: int | None = None, transfer: str | None = None
    ) -> None:
        """Wake up everybody; costs next to nothing if nobody watches."""
        self.revision += 1
        if transaction is not None:
            self._touch(self._transactions, transaction)
        if invoice is not None:
            self._touch(self._business, f"invoices/{invoice}")
        if transfer is not None:
            self._touch(self._business, f"transfers/{transfer}")
        self._next.set()

    def since(self, revision: int) -> list[str]:
        """Return the transactions that have changed after a revision, the latest last."""
        return list(_after(self._transactions, revision))

    def business_since(self, revision: int) -> list[str]:
        """Return the invoices and transfers that have changed, as `invoices/1001` and `transfers/order-1`."""
        return list(_after(self._business, revision))

    def upcoming(self) -> asyncio.Event:
        """Return what is set by the next change."""
        if self._next.is_set():
            self._next = asyncio.Event()
        return self._next

    def _touch(self, touched: dict[str, int], name: str) -> None:
        touched.pop(name, None)
        touched[name] = self.revision
        if len(touched) > _NAMES_MAX:
            del touched[next(iter(touched))]


def _after(touched: dict[str, int], revision: int) -> Iterator[str]:
    return (name for name, at in touched.items() if at > revision)
