"""What the work at hand belongs to, so that its log lines and spans can be put together.

Each task sees its own values, and the tasks that it starts see them too.
"""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The name of the request that is being served."""

transaction_id: ContextVar[str | None] = ContextVar("transaction_id", default=None)
"""The transaction that is being worked on."""

saved_card_id: ContextVar[str | None] = ContextVar("saved_card_id", default=None)
"""The saved card that is being worked on, or that the transaction saves or charges."""


def is_about(transaction: str | None, saved_card: str | None) -> None:
    """Say what the task at hand works on from here on."""
    transaction_id.set(transaction)
    saved_card_id.set(saved_card)
