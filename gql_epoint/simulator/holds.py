"""Holds at the desk: take one, or a part of it, and let one go."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.request import DeskError
from gql_epoint.simulator.state import State


def capture(state: State, transaction: Transaction, amount: Decimal | None) -> None:
    """Write down that an amount was taken of a hold. Raises DeskError if that is not possible."""
    _let_go_if_old(state, transaction)
    if transaction.hold is None:
        raise DeskError("failed", "Transaction is not a pre-authorization")
    if transaction.hold == "captured":
        raise DeskError("failed", "Transaction is already completed")
    if transaction.hold == "released":
        raise DeskError("failed", "Transaction is canceled")
    assert transaction.amount is not None
    if amount is None or not 0 < amount <= transaction.amount:
        raise DeskError("failed", "Amount is more than what is held")
    if amount != transaction.amount and not state.switches.capture_part:
        raise DeskError("failed", "Amount does not match the transaction")
    transaction.hold, transaction.captured_amount = "captured", amount
    state.books.changed = True


def release(state: State, transaction: Transaction, amount: Decimal | None) -> None:
    """Write down that a hold was let go, all of it. Raises DeskError if that is not possible."""
    _let_go_if_old(state, transaction)
    if transaction.hold == "released":
        raise DeskError("failed", "Transaction is canceled")
    if amount is not None and amount != transaction.amount:
        raise DeskError("failed", "A hold is canceled as a whole")
    transaction.hold = "released"
    state.books.changed = True


def status_word(state: State, transaction: Transaction) -> str | None:
    """Return get-status's word for something that is held or was let go; None if it is neither."""
    _let_go_if_old(state, transaction)
    words = {"held": state.switches.held_word, "released": state.switches.released_word}
    return words.get(transaction.hold or "")


def _let_go_if_old(state: State, transaction: Transaction) -> None:
    age = state.clock() - transaction.at
    if transaction.hold == "held" and age > timedelta(seconds=state.switches.hold_lifetime_s):
        transaction.hold = "released"
        state.books.changed = True
