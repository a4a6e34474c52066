"""One unit of work on a SQLite connection: each method is one named query."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from gql_epoint.ledger.business_transfer import BusinessTransfer
from gql_epoint.ledger.checkout import Checkout, CheckoutAttempt, ClientToken
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.invoice import Invoice
from gql_epoint.ledger.transaction import (
    CallbackRecord,
    Disposition,
    Refund,
    SavedCard,
    Status,
    Transaction,
    TransactionOperation,
)
from gql_epoint.store.codecs import (
    BUSINESS_TRANSFER,
    CALLBACK,
    CHECKOUT,
    CLIENT_TOKEN,
    EVENT,
    IDEMPOTENCY,
    INVOICE,
    REFUND,
    SAVED_CARD,
    TRANSACTION,
)
from gql_epoint.store.protocol import (
    AddressRecord,
    Backlog,
    IdempotencyRecord,
    Migrations,
    Page,
    TransactionFilter,
    Wakeup,
    every,
)
from gql_epoint.store.queries import load_migrations
from gql_epoint.store.rows import to_address_record, to_backlog, to_microseconds
from gql_epoint.store.sqlite.conversation import QUERIES, Conversation

_KNOWN = len(load_migrations("gql_epoint.store.sqlite"))


class SqliteUnit(Conversation):
    """See Unit. `wakeups` collects what the commit will have to tell."""

    def __init__(self, connection: sqlite3.Connection, now: datetime, wakeups: list[Wakeup]) -> None:
        super().__init__(connection)
        self.now = now
        self._wakeups = wakeups

    # -- transactions -------------------------------------------------------------------------------------

    async def transaction(self, transaction_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction", id=transaction_id)

    async def transaction_now(self, known: Transaction) -> Transaction:
        found = await self.transaction(known.id)
        assert found is not None, "transactions are never deleted"
        return found

    async def transaction_by_gateway_id(self, gateway_transaction_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction_by_gateway_id", gateway_transaction_id=gateway_transaction_id)

    async def transaction_by_gateway_order(self, gateway_order_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction_by_gateway_order", gateway_order_id=gateway_order_id)

    async def transaction_by_order(self, order_id: str) -> Transaction | None:
        return self._one(TRANSACTION, "transaction_by_order", order_id=order_id)

    async def order_holder(self, order_id: str, *, payout: bool) -> Transaction | None:
        return self._one(TRANSACTION, "order_holder", order_id=order_id, payout=int(payout))

    async def transactions(self, page: Page, only: TransactionFilter, *, by_update: bool) -> Sequence[Transaction]:
        if only.order_id is None and not by_update and not (only.status_in is None and only.operation_in is None):
            kinds = [
                {"operation": operation, "status": status}
                for operation in every(only.operation_in, TransactionOperation)
                for status in every(only.status_in, Status)
            ]
            times = {name: value for name, value in _filter(only).items() if name.startswith("created")}
            return self._merged(
                TRANSACTION, "transactions_of_kind", page, kinds, after=page.after, before=page.before, **times
            )
        # An order has few attempts among many transactions, so its index comes first.
        table = "transactions" if only.order_id is None else "transactions_of_order"
        keys = _time_keys(page) if by_update else {"after": page.after, "before": page.before}
        name = f"{table}_by_update" if by_update else f"{table}_newest"
        return self._page(TRANSACTION, name, page, **keys, **_filter(only))

    async def insert_transaction(self, transaction: Transaction) -> None:
        self._insert("transactions", transaction)

    async def save_transaction(self, transaction: Transaction) -> None:
        self._save("transactions", transaction)

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
        self._insert("refunds", refund)

    async def save_refund(self, refund: Refund) -> None:
        self._save("refunds", refund)

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
        self._insert("saved_cards", card)

    async def save_saved_card(self, card: SavedCard) -> None:
        self._save("saved_cards", card)

    async def claim_cards_to_ask(self, limit: int, lease: timedelta) -> Sequence[SavedCard]:
        return self._many(SAVED_CARD, "claim_cards_to_ask", **self._claim(limit, lease))

    async def overdue_cards(self, limit: int) -> Sequence[SavedCard]:
        return self._many(SAVED_CARD, "overdue_cards", now=to_microseconds(self.now), limit=limit)

    # -- callbacks ----------------------------------------------------------------------------------------

    async def callback(self, callback_id: str) -> CallbackRecord | None:
        return self._one(CALLBACK, "callback", id=callback_id)

    async def callbacks(self, page: Page, dispositions: Sequence[Disposition] | None) -> Sequence[CallbackRecord]:
        if dispositions is None:
            return self._page(CALLBACK, "callbacks", page, after=page.after)
        kinds = [{"disposition": disposition} for disposition in every(dispositions, Disposition)]
        return self._merged(CALLBACK, "callbacks_of_kind", page, kinds, after=page.after)

    async def callback_seen(self, digest: str) -> bool:
        return self._connection.execute(QUERIES["callback_seen"], {"digest": digest}).fetchone() is not None

    async def unmatched_callbacks(
        self, *, gateway_transaction_id: str | None = None, card_id: str | None = None
    ) -> Sequence[CallbackRecord]:
        if gateway_transaction_id is not None:
            return self._many(CALLBACK, "unmatched_by_transaction", gateway_transaction_id=gateway_transaction_id)
        return self._many(CALLBACK, "unmatched_by_card", card_id=card_id)

    async def insert_callback(self, record: CallbackRecord) -> None:
        self._insert("callbacks", record)

    async def save_callback(self, record: CallbackRecord) -> None:
        self._save("callbacks", record)

    # -- events -------------------------------------------------------------------------------------------

    async def event(self, stream_id: str, sequence: int) -> Event | None:
        return self._one(EVENT, "event", stream_id=stream_id, sequence=sequence)

    async def stream_events(self, stream_id: str, page: Page) -> Sequence[Event]:
        return self._page(EVENT, "stream_events", page, stream_id=stream_id, after=int(page.after or 0))

    async def feed(self, after: int, limit: int) -> Sequence[Event]:
        return self._many(EVENT, "feed", after=after, limit=limit)

    async def insert_event(self, event: Event) -> None:
        self._insert("events", event)
        self._wakeups.append(Wakeup(event.stream_id, event.sequence))

    # -- idempotency --------------------------------------------------------------------------------------

    async def idempotency(self, owner: str, mutation: str, key: str) -> IdempotencyRecord | None:
        return self._one(IDEMPOTENCY, "idempotency", owner=owner, mutation=mutation, key=key)

    async def insert_idempotency(self, record: IdempotencyRecord) -> None:
        self._insert("idempotency", record)

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
        self._insert("checkouts", checkout)

    async def save_checkout(self, checkout: Checkout) -> None:
        self._save("checkouts", checkout)
        self._wakeups.append(Wakeup(checkout.id, checkout.version))

    async def insert_client_token(self, token: ClientToken) -> None:
        self._insert("client_tokens", token)

    # -- transfers to businesses ---------------------------------------------------------------------------

    async def business_transfer(self, transfer_id: str) -> BusinessTransfer | None:
        return self._one(BUSINESS_TRANSFER, "business_transfer", id=transfer_id)

    async def business_transfer_by_order(self, order_id: str) -> BusinessTransfer | None:
        return self._one(BUSINESS_TRANSFER, "business_transfer_by_order", order_id=order_id)

    async def business_transfer_by_gateway_order(self, gateway_order_id: str) -> BusinessTransfer | None:
        return self._one(BUSINESS_TRANSFER, "business_transfer_by_gateway_order", gateway_order_id=gateway_order_id)

    async def business_transfer_by_webhook(self, digest: str) -> BusinessTransfer | None:
        return self._one(BUSINESS_TRANSFER, "business_transfer_by_webhook", digest=digest)

    async def business_transfers(self, page: Page, *, in_review: bool = False) -> Sequence[BusinessTransfer]:
        name = "business_transfers_in_review" if in_review else "business_transfers"
        return self._page(BUSINESS_TRANSFER, name, page, after=page.after, before=page.before)

    async def insert_business_transfer(self, transfer: BusinessTransfer) -> None:
        self._insert("business_transfers", transfer)

    async def save_business_transfer(self, transfer: BusinessTransfer) -> None:
        self._save("business_transfers", transfer)

    async def claim_business_transfers_to_ask(self, limit: int, lease: timedelta) -> Sequence[BusinessTransfer]:
        return self._many(BUSINESS_TRANSFER, "claim_business_transfers_to_ask", **self._claim(limit, lease))

    async def overdue_business_transfers(self, limit: int) -> Sequence[BusinessTransfer]:
        now = to_microseconds(self.now)
        return self._many(BUSINESS_TRANSFER, "overdue_business_transfers", now=now, limit=limit)

    # -- invoices -----------------------------------------------------------------------------------------

    async def invoice(self, invoice_id: str) -> Invoice | None:
        return self._one(INVOICE, "invoice", id=invoice_id)

    async def invoice_by_order(self, order_id: str) -> Invoice | None:
        return self._one(INVOICE, "invoice_by_order", order_id=order_id)

    async def invoice_by_gateway_id(self, gateway_id: str) -> Invoice | None:
        return self._one(INVOICE, "invoice_by_gateway_id", gateway_id=gateway_id)

    async def invoices(self, page: Page, *, in_review: bool = False) -> Sequence[Invoice]:
        name = "invoices_in_review" if in_review else "invoices"
        return self._page(INVOICE, name, page, after=page.after, before=page.before)

    async def insert_invoice(self, invoice: Invoice) -> None:
        self._insert("invoices", invoice)

    async def save_invoice(self, invoice: Invoice) -> None:
        self._save("invoices", invoice)

    async def claim_invoices_to_ask(self, limit: int, lease: timedelta) -> Sequence[Invoice]:
        return self._many(INVOICE, "claim_invoices_to_ask", **self._claim(limit, lease))

    async def overdue_invoices(self, limit: int) -> Sequence[Invoice]:
        return self._many(INVOICE, "overdue_invoices", now=to_microseconds(self.now), limit=limit)

    # -- attempts by address ------------------------------------------------------------------------------

    async def lock_address(self, address: str) -> None:
        """There is one writer, so nobody else counts."""

    async def address_record(self, address: str, since: datetime) -> AddressRecord:
        return to_address_record(self._named("address_record", address=address, since=to_microseconds(since)))

    async def insert_attempt(self, attempt: CheckoutAttempt) -> None:
        self._insert("checkout_attempts", attempt)

    async def mark_declined(self, attempt_id: str) -> None:
        self._connection.execute(QUERIES["mark_declined"], {"id": attempt_id})

    async def delete_attempts(self, before: datetime, limit: int) -> int:
        return self._deleted("delete_attempts", before=to_microseconds(before), limit=limit)

    async def delete_expired_tokens(self, limit: int) -> int:
        return self._deleted("delete_expired_tokens", now=to_microseconds(self.now), limit=limit)

    # -- for operators ------------------------------------------------------------------------------------

    async def backlog(self) -> Backlog:
        return to_backlog(self._named("backlog"))

    async def migrations(self) -> Migrations:
        (done,) = self._connection.execute("PRAGMA user_version").fetchone()
        return Migrations(done, _KNOWN)

    # -----------------------------------------------------------------------------------------------------

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
