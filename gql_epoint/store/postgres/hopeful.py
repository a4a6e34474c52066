"""Units of work that take the likely for granted, and ask PostgreSQL only whether they were right.

Nearly every payment has a new key and an order that nobody pays, and nobody touches it before EPoint has answered.
To ask for each of these things costs a round trip. A HopefulUnit takes them as they are expected, and what it
writes is refused where one of them was not so: by a unique index, or by a condition in the same statement. Then,
and whenever the unit raises, it is a lost race, and the work runs again in a unit that asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gql_epoint.ledger.transaction import CallbackRecord, Transaction, TransactionOperation
from gql_epoint.store.codecs import TRANSACTION
from gql_epoint.store.postgres.connecting import LostRaceError
from gql_epoint.store.postgres.statements import Statement, Writing
from gql_epoint.store.postgres.unit import PostgresUnit
from gql_epoint.store.protocol import IdempotencyRecord, Wakeup

_AS_KNOWN = " AND ".join(f"{column} IS NOT DISTINCT FROM :was_{column}" for column in TRANSACTION.columns)
_SAVE_AS_KNOWN = Writing(
    "transactions",
    f"{TRANSACTION.update('transactions')} AND {_AS_KNOWN} RETURNING id",
    TRANSACTION,
    (*TRANSACTION.columns, *(f"was_{column}" for column in TRANSACTION.columns)),
)


class HopefulUnit(PostgresUnit):
    """See Unit. What is not known to be checked by anything when the unit ends counts as a lost race."""

    def __init__(
        self, connection: Any, now: datetime, statements: Mapping[str, Statement], wakeups: list[Wakeup]
    ) -> None:
        super().__init__(connection, now, statements, wakeups)
        self._unproved: set[tuple[str | None, ...]] = set()
        self._known: dict[str, Transaction] = {}

    async def idempotency(self, owner: str, mutation: str, key: str) -> IdempotencyRecord | None:
        """Expect a key that is new; see idempotency_alone for why the place must be this unit's alone."""
        self._unproved.add(("key", owner, mutation, key))
        self.require("is_alone_with_key", owner=owner, mutation=mutation, key=key)
        return None

    async def insert_idempotency(self, record: IdempotencyRecord) -> None:
        await super().insert_idempotency(record)
        self._unproved.discard(("key", record.owner, record.mutation, record.key))

    async def order_holder(self, order_id: str, *, payout: bool) -> Transaction | None:
        """Expect that nobody pays this order."""
        self._unproved.add(("payout" if payout else "payment", order_id))
        return None

    async def transaction_by_gateway_order(self, gateway_order_id: str) -> Transaction | None:
        """Expect that EPoint was never given this order id."""
        self._unproved.add(("gateway order", gateway_order_id))
        return None

    async def transaction_by_gateway_id(self, gateway_transaction_id: str) -> Transaction | None:
        """Expect an id of EPoint's that is new here."""
        self._unproved.add(("gateway id", gateway_transaction_id))
        return None

    async def transaction_now(self, known: Transaction) -> Transaction:
        """Expect that nobody has changed it since."""
        self._unproved.add(("as known", known.id))
        self._known[known.id] = known
        return known

    async def unmatched_callbacks(
        self, *, gateway_transaction_id: str | None = None, card_id: str | None = None
    ) -> Sequence[CallbackRecord]:
        """Expect that EPoint did not call back before it answered."""
        if gateway_transaction_id is None:
            return await super().unmatched_callbacks(card_id=card_id)
        self.require("has_no_unmatched", gateway_name=gateway_transaction_id)
        return ()

    async def insert_transaction(self, transaction: Transaction) -> None:
        await super().insert_transaction(transaction)
        self._has_unique_names(transaction)
        if not transaction.adopted:
            self._unproved.discard(("gateway order", transaction.gateway_order_id))

    async def save_transaction(self, transaction: Transaction) -> None:
        known = self._known.pop(transaction.id, None)
        if known is None:
            await super().save_transaction(transaction)
        else:
            await self._write(_SAVE_AS_KNOWN, transaction, known)
            self.require("has_saved_transaction")
            self._unproved.discard(("as known", transaction.id))
        self._has_unique_names(transaction)

    async def finish(self) -> None:
        self._be_proved()
        await super().finish()

    def _be_proved(self) -> None:
        if self._unproved:
            raise LostRaceError

    def _has_unique_names(self, transaction: Transaction) -> None:
        """A unique index refuses this transaction if another one has its order or its id at EPoint."""
        if transaction.holds_order:
            payout = transaction.operation is TransactionOperation.PAYOUT
            self._unproved.discard(("payout" if payout else "payment", transaction.order_id))
        self._unproved.discard(("gateway id", transaction.gateway.transaction_id))


class MustAskError(Exception):
    """A unit without a connection has something to ask."""


class CarriedUnit(HopefulUnit):
    """A hopeful unit that has no connection: somebody else sends what it writes, if it asks nothing."""

    def __init__(self, now: datetime, wakeups: list[Wakeup]) -> None:
        super().__init__(None, now, {}, wakeups)

    async def _begin(self) -> None:
        raise MustAskError

    def as_statement(self) -> tuple[str, tuple[Any, ...]]:
        """Return all that it writes and requires as one statement and its values."""
        self._be_proved()
        return self._whole()


class OneQuestion(PostgresUnit):
    """A reader that hopes to be asked one thing, for a single statement sees one state by itself."""

    _was_asked = False

    async def _begin(self) -> None:
        if self._was_asked:
            raise LostRaceError
        self._was_asked = True
