"""One unit of work on a PostgreSQL connection: each method is one named query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    ATTEMPT,
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
from gql_epoint.store.postgres.connecting import LostRaceError
from gql_epoint.store.postgres.conversation import Conversation
from gql_epoint.store.postgres.statements import Statement, Table
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

_KNOWN = len(load_migrations("gql_epoint.store.postgres"))

_TRANSACTIONS = Table("transactions", TRANSACTION)
_REFUNDS = Table("refunds", REFUND)
_SAVED_CARDS = Table("saved_cards", SAVED_CARD)
_CALLBACKS = Table("callbacks", CALLBACK)
_EVENTS = Table("events", EVENT)
_IDEMPOTENCY = Table("idempotency", IDEMPOTENCY)
_CHECKOUTS = Table("checkouts", CHECKOUT)
_CLIENT_TOKENS = Table("client_tokens", CLIENT_TOKEN)
_ATTEMPTS = Table("checkout_attempts", ATTEMPT)
_BUSINESS_TRANSFERS = Table("business_transfers", BUSINESS_TRANSFER)
_INVOICES = Table("invoices", INVOICE)


class PostgresUnit(Conversation):
    """See Unit. `statements` are those of a reader or of a unit of work.

    `wakeups` collects what the commit will have to tell.
    """

    def __init__(
        self, connection: Any, now: datetime, statements: Mapping[str, Statement], wakeups: list[Wakeup]
    ) -> None:
        super().__init__(connection, now, statements)
        self._wakeups = wakeups
        self._not_found: set[str] = set()
        self._written: set[str] = set()

    # -- transactions -------------------------------------------------------------------------------------

    async def transaction(self, transaction_id: str) -> Transaction | None:
        return await self._one(TRANSACTION, "transaction", id=transaction_id)

    async def transaction_now(self, known: Transaction) -> Transaction:
        found = await self.transaction(known.id)
        assert found is not None, "transactions are never deleted"
        return found

    async def transaction_by_gateway_id(self, gateway_transaction_id: str) -> Transaction | None:
        """Raises LostRaceError if somebody else brought in what this unit has already not found."""
        found = await self._one(
            TRANSACTION, "transaction_by_gateway_id", gateway_transaction_id=gateway_transaction_id
        )
        if found is None:
            self._not_found.add(gateway_transaction_id)
        elif gateway_transaction_id in self._not_found and found.id not in self._written:
            raise LostRaceError
        return found

    async def transaction_by_gateway_order(self, gateway_order_id: str) -> Transaction | None:
        return await self._one(TRANSACTION, "transaction_by_gateway_order", gateway_order_id=gateway_order_id)

    async def transaction_by_order(self, order_id: str) -> Transaction | None:
        return await self._one(TRANSACTION, "transaction_by_order", order_id=order_id)

    async def order_holder(self, order_id: str, *, payout: bool) -> Transaction | None:
        return await self._one(TRANSACTION, "order_holder", order_id=order_id, payout=payout)

    async def transactions(self, page: Page, only: TransactionFilter, *, by_update: bool) -> Sequence[Transaction]:
        keys: dict[str, Any] = _time_keys(page) if by_update else {"after": page.after, "before": page.before}
        name = "transactions"
        if only.order_id is not None:
            name = "transactions_of_order"
        elif not by_update and not (only.status_in is None and only.operation_in is None):
            keys["operations"] = every(only.operation_in, TransactionOperation)
            keys["statuses"] = every(only.status_in, Status)
            return await self._page(TRANSACTION, "transactions_of_kind", page, **keys, **_filter(only))
        name = f"{name}_by_update" if by_update else f"{name}_newest"
        return await self._page(TRANSACTION, name, page, **keys, **_filter(only))

    async def insert_transaction(self, transaction: Transaction) -> None:
        self._written.add(transaction.id)
        await self._write(_TRANSACTIONS.insert, transaction)

    async def save_transaction(self, transaction: Transaction) -> None:
        self._written.add(transaction.id)
        await self._write(_TRANSACTIONS.save, transaction)

    async def claim_transactions_to_ask(self, limit: int, lease: timedelta) -> Sequence[Transaction]:
        return await self._many(TRANSACTION, "claim_transactions_to_ask", **self._claim(limit, lease))

    async def overdue_transactions(self, limit: int) -> Sequence[Transaction]:
        return await self._many(TRANSACTION, "overdue_transactions", now=to_microseconds(self.now), limit=limit)

    async def overdue_holds(self, limit: int) -> Sequence[Transaction]:
        return await self._many(TRANSACTION, "overdue_holds", now=to_microseconds(self.now), limit=limit)

    # -- refunds ------------------------------------------------------------------------------------------

    async def refund(self, refund_id: str) -> Refund | None:
        return await self._one(REFUND, "refund", id=refund_id)

    async def refunds(self, transaction_id: str, page: Page) -> Sequence[Refund]:
        return await self._page(REFUND, "refunds", page, transaction_id=transaction_id, after=page.after)

    async def unsettled_refunds(self, transaction_id: str) -> Sequence[Refund]:
        return await self._many(REFUND, "unsettled_refunds", transaction_id=transaction_id)

    async def insert_refund(self, refund: Refund) -> None:
        await self._write(_REFUNDS.insert, refund)

    async def save_refund(self, refund: Refund) -> None:
        await self._write(_REFUNDS.save, refund)

    async def overdue_refunds(self, limit: int) -> Sequence[Refund]:
        return await self._many(REFUND, "overdue_refunds", now=to_microseconds(self.now), limit=limit)

    # -- saved cards --------------------------------------------------------------------------------------

    async def saved_card(self, saved_card_id: str) -> SavedCard | None:
        return await self._one(SAVED_CARD, "saved_card", id=saved_card_id)

    async def saved_card_by_card_id(self, card_id: str) -> SavedCard | None:
        return await self._one(SAVED_CARD, "saved_card_by_card_id", card_id=card_id)

    async def registration_by_card_id(self, card_id: str) -> SavedCard | None:
        return await self._one(SAVED_CARD, "registration_by_card_id", card_id=card_id)

    async def saved_cards(self, page: Page) -> Sequence[SavedCard]:
        return await self._page(SAVED_CARD, "saved_cards", page, after=page.after, before=page.before)

    async def insert_saved_card(self, card: SavedCard) -> None:
        await self._write(_SAVED_CARDS.insert, card)

    async def save_saved_card(self, card: SavedCard) -> None:
        await self._write(_SAVED_CARDS.save, card)

    async def claim_cards_to_ask(self, limit: int, lease: timedelta) -> Sequence[SavedCard]:
        return await self._many(SAVED_CARD, "claim_cards_to_ask", **self._claim(limit, lease))

    async def overdue_cards(self, limit: int) -> Sequence[SavedCard]:
        return await self._many(SAVED_CARD, "overdue_cards", now=to_microseconds(self.now), limit=limit)

    # -- callbacks ----------------------------------------------------------------------------------------

    async def callback(self, callback_id: str) -> CallbackRecord | None:
        return await self._one(CALLBACK, "callback", id=callback_id)

    async def callbacks(self, page: Page, dispositions: Sequence[Disposition] | None) -> Sequence[CallbackRecord]:
        if dispositions is None:
            return await self._page(CALLBACK, "callbacks", page, after=page.after)
        chosen = every(dispositions, Disposition)
        return await self._page(CALLBACK, "callbacks_of_kind", page, after=page.after, dispositions=chosen)

    async def callback_seen(self, digest: str) -> bool:
        return bool(await self._rows("callback_seen", digest=digest))

    async def unmatched_callbacks(
        self, *, gateway_transaction_id: str | None = None, card_id: str | None = None
    ) -> Sequence[CallbackRecord]:
        if gateway_transaction_id is not None:
            return await self._many(CALLBACK, "unmatched_of_transaction", gateway_name=gateway_transaction_id)
        return await self._many(CALLBACK, "unmatched_of_card", gateway_name=card_id)

    async def insert_callback(self, record: CallbackRecord) -> None:
        """Raises LostRaceError if what the callback is about became known since the unit looked for it."""
        await self._write(_CALLBACKS.insert, record)
        if record.disposition is not Disposition.UNMATCHED:
            return
        rows: Sequence[Mapping[str, Any]] = ()
        if record.gateway_transaction_id:
            rows = await self._rows("transaction_is_known", gateway_name=record.gateway_transaction_id)
        elif record.gateway_card_id and not record.order_id:
            rows = await self._rows("card_is_known", gateway_name=record.gateway_card_id)
        if rows and rows[0]["known"]:
            raise LostRaceError

    async def save_callback(self, record: CallbackRecord) -> None:
        await self._write(_CALLBACKS.save, record)

    # -- events -------------------------------------------------------------------------------------------

    async def event(self, stream_id: str, sequence: int) -> Event | None:
        return await self._one(EVENT, "event", stream_id=stream_id, sequence=sequence)

    async def stream_events(self, stream_id: str, page: Page) -> Sequence[Event]:
        return await self._page(EVENT, "stream_events", page, stream_id=stream_id, after=int(page.after or 0))

    async def feed(self, after: int, limit: int) -> Sequence[Event]:
        return await self._many(EVENT, "feed", after=after, limit=limit)

    async def insert_event(self, event: Event) -> None:
        # Its position is given after the commit: nobody can tell before which one comes first.
        await self._write(_EVENTS.insert, msgspec.structs.replace(event, position=None))
        self._wakeups.append(Wakeup(event.stream_id, event.sequence))

    # -- idempotency --------------------------------------------------------------------------------------

    async def idempotency(self, owner: str, mutation: str, key: str) -> IdempotencyRecord | None:
        return await self._one(IDEMPOTENCY, "idempotency", owner=owner, mutation=mutation, key=key)

    async def insert_idempotency(self, record: IdempotencyRecord) -> None:
        await self._write(_IDEMPOTENCY.insert, record)

    # -- checkouts ----------------------------------------------------------------------------------------

    async def checkout(self, checkout_id: str) -> Checkout | None:
        return await self._one(CHECKOUT, "checkout", id=checkout_id)

    async def checkout_transaction(self, checkout_id: str) -> Transaction | None:
        return await self._one(TRANSACTION, "checkout_transaction", checkout_id=checkout_id)

    async def checkout_card(self, checkout_id: str) -> SavedCard | None:
        return await self._one(SAVED_CARD, "checkout_card", checkout_id=checkout_id)

    async def client_token(self, digest: str) -> ClientToken | None:
        return await self._one(CLIENT_TOKEN, "client_token", digest=digest)

    async def insert_checkout(self, checkout: Checkout) -> None:
        await self._write(_CHECKOUTS.insert, checkout)

    async def save_checkout(self, checkout: Checkout) -> None:
        await self._write(_CHECKOUTS.save, checkout)
        if checkout.canceled_at is not None:
            # That is no event, and events are what other nodes hear of.
            self.require("is_told", stream_id=checkout.id)
        self._wakeups.append(Wakeup(checkout.id, checkout.version))

    async def insert_client_token(self, token: ClientToken) -> None:
        await self._write(_CLIENT_TOKENS.insert, token)

    # -- transfers to businesses ---------------------------------------------------------------------------

    async def business_transfer(self, transfer_id: str) -> BusinessTransfer | None:
        return await self._one(BUSINESS_TRANSFER, "business_transfer", id=transfer_id)

    async def business_transfer_by_order(self, order_id: str) -> BusinessTransfer | None:
        return await self._one(BUSINESS_TRANSFER, "business_transfer_by_order", order_id=order_id)

    async def business_transfer_by_gateway_order(self, gateway_order_id: str) -> BusinessTransfer | None:
        return await self._one(
            BUSINESS_TRANSFER, "business_transfer_by_gateway_order", gateway_order_id=gateway_order_id
        )

    async def business_transfer_by_webhook(self, digest: str) -> BusinessTransfer | None:
        return await self._one(BUSINESS_TRANSFER, "business_transfer_by_webhook", digest=digest)

    async def business_transfers(self, page: Page, *, in_review: bool = False) -> Sequence[BusinessTransfer]:
        name = "business_transfers_in_review" if in_review else "business_transfers"
        return await self._page(BUSINESS_TRANSFER, name, page, after=page.after, before=page.before)

    async def insert_business_transfer(self, transfer: BusinessTransfer) -> None:
        await self._write(_BUSINESS_TRANSFERS.insert, transfer)

    async def save_business_transfer(self, transfer: BusinessTransfer) -> None:
        await self._write(_BUSINESS_TRANSFERS.save, transfer)

    async def claim_business_transfers_to_ask(self, limit: int, lease: timedelta) -> Sequence[BusinessTransfer]:
        return await self._many(BUSINESS_TRANSFER, "claim_business_transfers_to_ask", **self._claim(limit, lease))

    async def overdue_business_transfers(self, limit: int) -> Sequence[BusinessTransfer]:
        now = to_microseconds(self.now)
        return await self._many(BUSINESS_TRANSFER, "overdue_business_transfers", now=now, limit=limit)

    # -- invoices -----------------------------------------------------------------------------------------

    async def invoice(self, invoice_id: str) -> Invoice | None:
        return await self._one(INVOICE, "invoice", id=invoice_id)

    async def invoice_by_order(self, order_id: str) -> Invoice | None:
        return await self._one(INVOICE, "invoice_by_order", order_id=order_id)

    async def invoice_by_gateway_id(self, gateway_id: str) -> Invoice | None:
        return await self._one(INVOICE, "invoice_by_gateway_id", gateway_id=gateway_id)

    async def invoices(self, page: Page, *, in_review: bool = False) -> Sequence[Invoice]:
        name = "invoices_in_review" if in_review else "invoices"
        return await self._page(INVOICE, name, page, after=page.after, before=page.before)

    async def insert_invoice(self, invoice: Invoice) -> None:
        await self._write(_INVOICES.insert, invoice)

    async def save_invoice(self, invoice: Invoice) -> None:
        await self._write(_INVOICES.save, invoice)

    async def claim_invoices_to_ask(self, limit: int, lease: timedelta) -> Sequence[Invoice]:
        return await self._many(INVOICE, "claim_invoices_to_ask", **self._claim(limit, lease))

    async def overdue_invoices(self, limit: int) -> Sequence[Invoice]:
        return await self._many(INVOICE, "overdue_invoices", now=to_microseconds(self.now), limit=limit)

    # -- attempts by address ------------------------------------------------------------------------------

    async def lock_address(self, address: str) -> None:
        # Apart from the count: a statement sees what was committed before it began, not before it got the lock.
        await self._rows("lock_address", address=address)

    async def address_record(self, address: str, since: datetime) -> AddressRecord:
        return to_address_record(
            (await self._rows("address_record", address=address, since=to_microseconds(since)))[0]
        )

    async def insert_attempt(self, attempt: CheckoutAttempt) -> None:
        await self._write(_ATTEMPTS.insert, attempt)

    async def mark_declined(self, attempt_id: str) -> None:
        await self._rows("mark_declined", id=attempt_id)

    async def delete_attempts(self, before: datetime, limit: int) -> int:
        return len(await self._rows("delete_attempts", before=to_microseconds(before), limit=limit))

    async def delete_expired_tokens(self, limit: int) -> int:
        return len(await self._rows("delete_expired_tokens", now=to_microseconds(self.now), limit=limit))

    # -- for operators ------------------------------------------------------------------------------------

    async def backlog(self) -> Backlog:
        return to_backlog((await self._rows("backlog"))[0])

    async def migrations(self) -> Migrations:
        return Migrations((await self._rows("migrations_done"))[0]["done"], _KNOWN)

    # -----------------------------------------------------------------------------------------------------

    def _claim(self, limit: int, lease: timedelta) -> dict[str, int]:
        now = to_microseconds(self.now)
        return {"now": now, "until": to_microseconds(self.now + lease), "limit": limit}


def _filter(only: TransactionFilter) -> dict[str, Any]:
    return {
        "status_in": only.status_in,
        "operation_in": only.operation_in,
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
