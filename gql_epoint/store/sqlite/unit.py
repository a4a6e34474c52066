"""One unit of work on a SQLite connection: each method is one named query."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from gql_epoint.ledger.checkout import Checkout, ClientToken
from gql_epoint.ledger.transaction import CallbackRecord, Disposition, Event, Refund, SavedCard, Transaction
from gql_epoint.store.protocol import Backlog, IdempotencyRecord, Migrations, Page, TransactionFilter, Wakeup
from gql_epoint.store.queries import load_migrations, load_queries
from gql_epoint.store.rows import RowCodec, to_backlog, to_microseconds

StructT = TypeVar("StructT", bound=msgspec.Struct)

_QUERIES = load_queries("gql_epoint.store.sqlite")
_KNOWN = len(load_migrations("gql_epoint.store.sqlite"))
TRANSACTION = RowCodec(Transaction)
REFUND = RowCodec(Refund)
SAVED_CARD = RowCodec(SavedCard)
CALLBACK = RowCodec(CallbackRecord)
EVENT = RowCodec(Event)
IDEMPOTENCY = RowCodec(IdempotencyRecord)
CHECKOUT = RowCodec(Checkout)
CLIENT_TOKEN = RowCodec(ClientToken)

_INSERT_TRANSACTION, _SAVE_TRANSACTION = TRANSACTION.insert("transactions"), TRANSACTION.update("transactions")
_INSERT_REFUND, _SAVE_REFUND = REFUND.insert("refunds"), REFUND.update("refunds")
_INSERT_SAVED_CARD, _SAVE_SAVED_CARD = SAVED_CARD.insert("saved_cards"), SAVED_CARD.update("saved_cards")
_INSERT_CALLBACK, _SAVE_CALLBACK = CALLBACK.insert("callbacks"), CALLBACK.update("callbacks")
_INSERT_EVENT = EVENT.insert("events")
_INSERT_IDEMPOTENCY = IDEMPOTENCY.insert("idempotency")
_INSERT_CHECKOUT, _SAVE_CHECKOUT = CHECKOUT.insert("checkouts"), CHECKOUT.update("checkouts")
_INSERT_CLIENT_TOKEN = CLIENT_TOKEN.insert("client_tokens")


class SqliteUnit:
    """See Unit. `wakeups` collects what the commit will have to tell."""

    def __init__(self, connection: sqlite3.Connection, now: datetime, wakeups: list[Wakeup]) -> None:
        self.now = now
        self._connection = connection
        self._wakeups = wakeups

    # -- transactions -------------------------------------------------------------------------------------

    async def transaction(self, transaction_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction", id=transaction_id)

    async def transaction_by_gateway_id(self, gateway_transaction_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction_by_gateway_id", gateway_transaction_id=gateway_transaction_id)

    async def transaction_by_gateway_order(self, gateway_order_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction_by_gateway_order", gateway_order_id=gateway_order_id)

    async def transaction_by_order(self, order_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction_by_order", order_id=order_id)

    async def order_holder(self, order_id: str, *, payout: bool) -> Transaction | None:
        return self._one(TRANSACTION, "order_holder", order_id=order_id, payout=payout)

    async def transactions(self, page: Page, only: TransactionFilter, *, by_update: bool) -> Sequence[Transaction]:
        # An order has few attempts among many transactions, so its index comes first.
        table = "transactions" if only.order_id is None else "transactions_of_order"
        keys = _time_keys(page) if by_update else {"after": page.after, "before": page.before}
        name = f"{table}_by_update" if by_update else f"{table}_newest"
        return self._page(TRANSACTION, name, page, **keys, **_filter(only))

    async def insert_transaction(self, transaction: Transaction) -> None:
        self._connection.execute(_INSERT_TRANSACTION, TRANSACTION.to_row(transaction))

    async def save_transaction(self, transaction: Transaction) -> None:
        self._connection.execute(_SAVE_TRANSACTION, TRANSACTION.to_row(transaction))

    async def claim_transactions_to_ask(self, limit: int, lease: timedelta) -> Sequence[Transaction]:
        return self._many(TRANSACTION, "claim_transactions_to_ask", **self._claim(limit, lease))

    async def overdue_transactions(self, limit: int) -> Sequence[Transaction]:
        return self._many(TRANSACTION, "overdue_transactions", now=to_microseconds(self.now), limit=limit)

    async def overdue_holds(self, limit: int) -> Sequence[Transaction]:
        return self._many(TRANSACTION, "overdue_holds", now=to_microseconds(self.now), limit=limit)

    # -- refunds ------------------------------------------------------------------------------------------

    async def refund(self, refund_id: str) -> Refund | None:
        return self._one(REFUND, "refund", id=refund_id)

    async def refunds(self, transaction_id: str, page: Page) -> Sequence[Refund]:
        return self._page(REFUND, "refunds", page, transaction_id=transaction_id, after=page.after)

    async def unsettled_refunds(self, transaction_id: str) -> Sequence[Refund]:
        return self._many(REFUND, "unsettled_refunds", transaction_id=transaction_id)

    async def insert_refund(self, refund: Refund) -> None:
        self._connection.execute(_INSERT_REFUND, REFUND.to_row(refund))

    async def save_refund(self, refund: Refund) -> None:
        self._connection.execute(_SAVE_REFUND, REFUND.to_row(refund))

    async def overdue_refunds(self, limit: int) -> Sequence[Refund]:
        return self._many(REFUND, "overdue_refunds", now=to_microseconds(self.now), limit=limit)

    # -- saved cards --------------------------------------------------------------------------------------

    async def saved_card(self, saved_card_id: str) -> SavedCard | None:
        return self._one(SAVED_CARD, "saved_card", id=saved_card_id)

    async def saved_card_by_card_id(self, card_id: str) -> SavedCard | None:
        return self._one(SAVED_CARD, "saved_card_by_card_id", card_id=card_id)

    async def registration_by_card_id(self, card_id: str) -> SavedCard | None:
        return self._one(SAVED_CARD, "registration_by_card_id", card_id=card_id)

    async def saved_cards(self, page: Page) -> Sequence[SavedCard]:
        return self._page(SAVED_CARD, "saved_cards", page, after=page.after, before=page.before)

    async def insert_saved_card(self, card: SavedCard) -> None:
        self._connection.execute(_INSERT_SAVED_CARD, SAVED_CARD.to_row(card))

    async def save_saved_card(self, card: SavedCard) -> None:
        self._connection.execute(_SAVE_SAVED_CARD, SAVED_CARD.to_row(card))

    async def claim_cards_to_ask(self, limit: int, lease: timedelta) -> Sequence[SavedCard]:
        return self._many(SAVED_CARD, "claim_cards_to_ask", **self._claim(limit, lease))

    async def overdue_cards(self, limit: int) -> Sequence[SavedCard]:
        return self._many(SAVED_CARD, "overdue_cards", now=to_microseconds(self.now), limit=limit)

    # -- callbacks ----------------------------------------------------------------------------------------

    async def callback(self, callback_id: str) -> CallbackRecord | None:
        return self._one(CALLBACK, "callback", id=callback_id)

    async def callbacks(self, page: Page, dispositions: Sequence[Disposition] | None) -> Sequence[CallbackRecord]:
        return self._page(CALLBACK, "callbacks", page, after=page.after, dispositions=_list(dispositions))

    async def callback_seen(self, digest: str) -> bool:
        return self._connection.execute(_QUERIES["callback_seen"], {"digest": digest}).fetchone() is not None

    async def unmatched_callbacks(
        self, *, gateway_transaction_id: str | None = None, card_id: str | None = None
    ) -> Sequence[CallbackRecord]:
        if gateway_transaction_id is not None:
            return self._many(CALLBACK, "unmatched_by_transaction", gateway_transaction_id=gateway_transaction_id)
        return self._many(CALLBACK, "unmatched_by_card", card_id=card_id)

    async def insert_callback(self, record: CallbackRecord) -> None:
        self._connection.execute(_INSERT_CALLBACK, CALLBACK.to_row(record))

    async def save_callback(self, record: CallbackRecord) -> None:
        self._connection.execute(_SAVE_CALLBACK, CALLBACK.to_row(record))

    # -- events -------------------------------------------------------------------------------------------

    async def event(self, stream_id: str, sequence: int) -> Event | None:
        return self._one(EVENT, "event", stream_id=stream_id, sequence=sequence)

    async def stream_events(self, stream_id: str, page: Page) -> Sequence[Event]:
        return self._page(EVENT, "stream_events", page, stream_id=stream_id, after=int(page.after or 0))

    async def feed(self, after: int, limit: int) -> Sequence[Event]:
        return self._many(EVENT, "feed", after=after, limit=limit)

    async def insert_event(self, event: Event) -> None:
        # There is one writer, so the order of insertion is the order of commits.
        (position,) = self._connection.execute(_QUERIES["next_position"]).fetchone()
        self._connection.execute(_INSERT_EVENT, EVENT.to_row(event) | {"position": position})
        self._wakeups.append(Wakeup(event.stream_id, event.sequence))

    # -- idempotency --------------------------------------------------------------------------------------

    async def idempotency(self, owner: str, mutation: str, key: str) -> IdempotencyRecord | None:
        return self._one(IDEMPOTENCY, "idempotency", owner=owner, mutation=mutation, key=key)

    async def insert_idempotency(self, record: IdempotencyRecord) -> None:
        self._connection.execute(_INSERT_IDEMPOTENCY, IDEMPOTENCY.to_row(record))

    # -- checkouts ----------------------------------------------------------------------------------------

    async def checkout(self, checkout_id: str) -> Checkout | None:
        return self._one(CHECKOUT, "checkout", id=checkout_id)

    async def checkout_transaction(self, checkout_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "checkout_transaction", checkout_id=checkout_id)

    async def checkout_card(self, checkout_id: str) -> SavedCard | None:
        return self._one(SAVED_CARD, "checkout_card", checkout_id=checkout_id)

    async def client_token(self, digest: str) -> ClientToken | None:
        return self._one(CLIENT_TOKEN, "client_token", digest=digest)

    async def insert_checkout(self, checkout: Checkout) -> None:
        self._connection.execute(_INSERT_CHECKOUT, CHECKOUT.to_row(checkout))

    async def save_checkout(self, checkout: Checkout) -> None:
        self._connection.execute(_SAVE_CHECKOUT, CHECKOUT.to_row(checkout))
        self._wakeups.append(Wakeup(checkout.id, checkout.version))

    async def insert_client_token(self, token: ClientToken) -> None:
        self._connection.execute(_INSERT_CLIENT_TOKEN, CLIENT_TOKEN.to_row(token))

    # -- the sweep ----------------------------------------------------------------------------------------

    async def reconcile_lag(self) -> float:
        now = to_microseconds(self.now)
        rows = self._connection.execute(_QUERIES["oldest_due"], {"now": now})
        return max((now - row["due"] for row in rows if row["due"] is not None), default=0) / 1_000_000

    # -- for operators ------------------------------------------------------------------------------------

    async def backlog(self) -> Backlog:
        return to_backlog(self._connection.execute(_QUERIES["backlog"]).fetchone())

    async def migrations(self) -> Migrations:
        (done,) = self._connection.execute("PRAGMA user_version").fetchone()
        return Migrations(done, _KNOWN)

    # -----------------------------------------------------------------------------------------------------

    def _one(self, codec: RowCodec[StructT], name: str, **values: Any) -> StructT | None:
        row = self._connection.execute(_QUERIES[name], values).fetchone()
        return None if row is None else codec.from_row(row)

    def _many(self, codec: RowCodec[StructT], name: str, **values: Any) -> list[StructT]:
        return [codec.from_row(row) for row in self._connection.execute(_QUERIES[name], values)]

    def _page(self, codec: RowCodec[StructT], name: str, page: Page, **values: Any) -> list[StructT]:
        if not page.backwards:
            return self._many(codec, name, limit=page.limit, **values)
        return self._many(codec, f"{name}_backwards", limit=page.limit, **values)[::-1]

    def _claim(self, limit: int, lease: timedelta) -> dict[str, int]:
        now = to_microseconds(self.now)
        return {"now": now, "until": to_microseconds(self.now + lease), "limit": limit}


def _list(values: Sequence[str] | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()


def _filter(only: TransactionFilter) -> dict[str, Any]:
    return {
        "status_in": _list(only.status_in),
        "operation_in": _list(only.operation_in),
        "order_id": only.order_id,
        "created_from": only.created_from and to_microseconds(only.created_from),
        "created_before": only.created_before and to_microseconds(only.created_before),
    }


def _time_keys(page: Page) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, key in (("after", page.after), ("before", page.before)):
        time, _, row_id = key.partition(":") if key else (None, "", None)
        keys |= {f"{name}_time": time and int(time), f"{name}_id": row_id}
    return keys
