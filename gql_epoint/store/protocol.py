"""What the use cases need of a database; each store speaks it its own way.

A use case hands `Store.write` a function. The store runs it inside one database transaction against a `Unit`,
commits, and only then returns its result. If the function raises, nothing of it stays and the exception
passes on. The function awaits nothing but its unit's methods: a store may run it on a thread of its own, or
more than once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

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

T = TypeVar("T")
WordT = TypeVar("WordT", bound=StrEnum)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A slice of a list: `limit` rows after (or, going backwards, before) a row's key.

    A key is an id; for lists by time of change it is `"{microseconds}:{id}"`; for events a number in text.
    """

    limit: int
    after: str | None = None
    before: str | None = None
    backwards: bool = False


class TransactionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which transactions to list; everything given must hold."""

    status_in: tuple[Status, ...] | None = None
    operation_in: tuple[TransactionOperation, ...] | None = None
    order_id: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


def every(chosen: Sequence[WordT] | None, words: type[WordT]) -> list[str]:
    """Return the chosen words, each once, as a database has them; all that there are if none were chosen."""
    return list(dict.fromkeys(word.value for word in (words if chosen is None else chosen)))


class IdempotencyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The first use of an idempotency key, and the object that it made."""

    owner: str
    mutation: str
    key: str
    input_hash: str
    object_id: str
    first_used_at: datetime


class Migrations(msgspec.Struct, frozen=True):
    """How many migrations a database has had, and how many this version knows."""

    done: int
    known: int


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for EPoint or for a person: counts, and the oldest of each kind of due work, if there is any."""

    indeterminate_transactions: int
    indeterminate_refunds: int
    transactions_in_review: int
    unmatched_callbacks: int
    oldest_ask_at: datetime | None
    oldest_deadline: datetime | None
    indeterminate_transfers: int = 0
    transfers_in_review: int = 0
    indeterminate_invoices: int = 0
    invoices_in_review: int = 0

    def ask_lag_s(self, now: datetime) -> float:
        """For how long the oldest question to EPoint is overdue, in seconds; 0 if none is."""
        return _overdue_s(self.oldest_ask_at, now)

    def settle_lag_s(self, now: datetime) -> float:
        """For how long the oldest call without an answer is past its deadline, in seconds; 0 if none is."""
        return _overdue_s(self.oldest_deadline, now)


def _overdue_s(due: datetime | None, now: datetime) -> float:
    return 0.0 if due is None else max(0.0, (now - due).total_seconds())


class AddressRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one address did within a time: its attempts to pay and those declined, with the oldest of each."""

    attempts: int
    declines: int
    first_attempt_at: datetime | None
    first_decline_at: datetime | None


class Wakeup(msgspec.Struct, frozen=True):
    """Something committed: the stream that changed and its newest version, 0 where only the change is known."""

    stream_id: str
    version: int


class Reader(Protocol):
    """Questions to the books, all answered from one consistent state. Lists come in the order of their page."""

    now: datetime

    async def transaction(self, transaction_id: str) -> Transaction | None: ...
    async def transaction_by_gateway_id(self, gateway_transaction_id: str) -> Transaction | None: ...
    async def transaction_by_gateway_order(self, gateway_order_id: str) -> Transaction | None: ...

    async def transaction_by_order(self, order_id: str) -> Transaction | None:
        """The paid payment of an order, else its latest payment, else its latest payout."""

    async def order_holder(self, order_id: str, *, payout: bool) -> Transaction | None:
        """The payment (or payout) that is live or paid, so that no other of this order may start."""

    async def transactions(self, page: Page, only: TransactionFilter, *, by_update: bool) -> Sequence[Transaction]:
        """Newest first; with `by_update`, least recently changed first."""

    async def refund(self, refund_id: str) -> Refund | None: ...
    async def refunds(self, transaction_id: str, page: Page) -> Sequence[Refund]: ...

    async def unsettled_refunds(self, transaction_id: str) -> Sequence[Refund]:
        """The refunds that are PROCESSING or INDETERMINATE."""

    async def saved_card(self, saved_card_id: str) -> SavedCard | None: ...

    async def saved_card_by_card_id(self, card_id: str) -> SavedCard | None:
        """The usable card of this name, else the latest. EPoint may name one card for several registrations."""

    async def registration_by_card_id(self, card_id: str) -> SavedCard | None:
        """The latest registration of this name that waits, else the latest at all."""

    async def saved_cards(self, page: Page) -> Sequence[SavedCard]: ...
    async def callback(self, callback_id: str) -> CallbackRecord | None: ...
    async def callbacks(
        self, page: Page, dispositions: Sequence[Disposition] | None
    ) -> Sequence[CallbackRecord]: ...

    async def callback_seen(self, digest: str) -> bool:
        """Whether a callback with these contents has already reached its transaction or card."""

    async def unmatched_callbacks(
        self, *, gateway_transaction_id: str | None = None, card_id: str | None = None
    ) -> Sequence[CallbackRecord]:
        """Callbacks, oldest first, that came before anything here was known by these names."""

    async def event(self, stream_id: str, sequence: int) -> Event | None: ...
    async def stream_events(self, stream_id: str, page: Page) -> Sequence[Event]: ...

    async def feed(self, after: int, limit: int) -> Sequence[Event]:
        """Events of all streams after a position, in commit order."""

    async def idempotency(self, owner: str, mutation: str, key: str) -> IdempotencyRecord | None: ...

    async def checkout(self, checkout_id: str) -> Checkout | None: ...

    async def checkout_transaction(self, checkout_id: str) -> Transaction | None:
        """The paid attempt of a checkout, else the one that is live, else the latest."""

    async def checkout_card(self, checkout_id: str) -> SavedCard | None:
        """The card that a checkout has saved, else its latest registration."""

    async def client_token(self, digest: str) -> ClientToken | None: ...

    async def address_record(self, address: str, since: datetime) -> AddressRecord:
        """Count the attempts of an address that started after `since`."""

    async def business_transfer(self, transfer_id: str) -> BusinessTransfer | None: ...

    async def business_transfer_by_order(self, order_id: str) -> BusinessTransfer | None:
        """The transfer of an order that is live or done, else its latest."""

    async def business_transfer_by_gateway_order(self, gateway_order_id: str) -> BusinessTransfer | None: ...
    async def business_transfer_by_webhook(self, digest: str) -> BusinessTransfer | None: ...
    async def business_transfers(self, page: Page, *, in_review: bool = False) -> Sequence[BusinessTransfer]:
        """Newest first; of all, or of those about which a person must decide."""

    async def invoice(self, invoice_id: str) -> Invoice | None: ...

    async def invoice_by_order(self, order_id: str) -> Invoice | None:
        """The latest invoice of an order."""

    async def invoice_by_gateway_id(self, gateway_id: str) -> Invoice | None: ...
    async def invoices(self, page: Page, *, in_review: bool = False) -> Sequence[Invoice]:
        """Newest first; of all, or of those about which a person must decide."""

    async def backlog(self) -> Backlog:
        """Count what an operator should know of."""

    async def migrations(self) -> Migrations:
        """How far the database is, as of now."""


class Unit(Reader, Protocol):
    """One unit of work: everything written through it commits together or not at all.

    `transaction`, `checkout` and their kin lock the row until the unit ends, where the database needs that.
    """

    async def transaction_now(self, known: Transaction) -> Transaction:
        """Return a transaction as it is now; `known` is how it was written last here."""

    async def insert_transaction(self, transaction: Transaction) -> None: ...
    async def save_transaction(self, transaction: Transaction) -> None: ...
    async def insert_refund(self, refund: Refund) -> None: ...
    async def save_refund(self, refund: Refund) -> None: ...
    async def insert_saved_card(self, card: SavedCard) -> None: ...
    async def save_saved_card(self, card: SavedCard) -> None: ...
    async def insert_callback(self, record: CallbackRecord) -> None: ...
    async def save_callback(self, record: CallbackRecord) -> None: ...
    async def insert_event(self, event: Event) -> None: ...
    async def insert_idempotency(self, record: IdempotencyRecord) -> None: ...
    async def insert_checkout(self, checkout: Checkout) -> None: ...

    async def save_checkout(self, checkout: Checkout) -> None:
        """Write it, and wake whoever watches it here; other nodes hear of its attempts, and look now and then."""

    async def insert_client_token(self, token: ClientToken) -> None: ...

    async def lock_address(self, address: str) -> None:
        """Be the only unit, on any node, that counts for this address. Call it before anything else is locked."""

    async def insert_attempt(self, attempt: CheckoutAttempt) -> None: ...

    async def mark_declined(self, attempt_id: str) -> None:
        """Note that an attempt was declined; one that is not counted, or not any more, is no mistake."""

    async def delete_attempts(self, before: datetime, limit: int) -> int:
        """Forget attempts that started until then, the oldest first; return how many."""

    async def delete_expired_tokens(self, limit: int) -> int:
        """Forget client tokens whose time is over, the oldest first; return how many."""

    async def insert_business_transfer(self, transfer: BusinessTransfer) -> None: ...
    async def save_business_transfer(self, transfer: BusinessTransfer) -> None: ...

    async def claim_business_transfers_to_ask(self, limit: int, lease: timedelta) -> Sequence[BusinessTransfer]:
        """Take transfers whose status question is due; nobody else gets them until the lease is over."""

    async def overdue_business_transfers(self, limit: int) -> Sequence[BusinessTransfer]:
        """Transfers whose order was not answered by its deadline."""

    async def insert_invoice(self, invoice: Invoice) -> None: ...
    async def save_invoice(self, invoice: Invoice) -> None: ...

    async def claim_invoices_to_ask(self, limit: int, lease: timedelta) -> Sequence[Invoice]:
        """Take invoices whose question is due; nobody else gets them until the lease is over."""

    async def overdue_invoices(self, limit: int) -> Sequence[Invoice]:
        """Invoices whose creation was not answered by its deadline."""

    async def claim_transactions_to_ask(self, limit: int, lease: timedelta) -> Sequence[Transaction]:
        """Take transactions whose get-status is due; nobody else gets them until the lease is over."""

    async def claim_cards_to_ask(self, limit: int, lease: timedelta) -> Sequence[SavedCard]:
        """Take cards whose status question is due; nobody else gets them until the lease is over."""

    async def overdue_transactions(self, limit: int) -> Sequence[Transaction]:
        """Transactions whose call was not answered by its deadline."""

    async def overdue_holds(self, limit: int) -> Sequence[Transaction]:
        """Transactions whose capture or cancellation was not answered by its deadline."""

    async def overdue_refunds(self, limit: int) -> Sequence[Refund]: ...
    async def overdue_cards(self, limit: int) -> Sequence[SavedCard]: ...


class Store(Protocol):
    """A database of record. Raises StoreUnavailableError where it cannot be read or written."""

    async def migrations(self) -> Migrations:
        """Look at a database that need not be open, and change nothing. Raises what `open` would."""

    async def open(self) -> None:
        """Connect and migrate. Raises ConfigurationError for a database of the other mode."""

    async def close(self) -> None:
        """Finish the work that was accepted, then disconnect."""

    def is_following(self) -> bool:
        """Whether commits reach the listeners of this process now, those of other nodes included."""

    async def write(self, work: Callable[[Unit], Awaitable[T]], *, hopeful: bool = False) -> T:
        """Run one unit of work. `hopeful`: its key and its order are most likely new, and its row untouched.

        A store may then take it so. It may run the work before it has a connection, and again later, or if that
        turns out to be wrong; what counts is the last run.
        """

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T: ...
    def on_commit(self, listener: Callable[[Sequence[Wakeup]], None]) -> None:
        """Call `listener` on the event loop, at least once, after each commit of events or a changed checkout."""
