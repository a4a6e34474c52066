"""The simulator's books: every transaction and saved card, in memory and, if wanted, in one JSON file."""

from __future__ import annotations

import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from gql_epoint.errors import ConfigurationError


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money given back, by the API or by a person in EPoint's cabinet."""

    amount: Decimal
    at: datetime
    by: Literal["api", "cabinet"]


class Transaction(msgspec.Struct, kw_only=True):
    """One attempt to move money, or to register a card; `operation` is a name from the operations table.

    A card registration has an id as well, but EPoint never tells it to anyone.
    """

    transaction: str
    operation: str
    merchant: str
    at: datetime
    language: str | None = None
    order_id: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    description: str | None = None
    other_attr: Any = None
    split_user: str | None = None
    split_amount: Decimal | None = None
    card_id: str | None = None
    payment_id: int | None = None  # of a record that a token can be charged to
    # A pre-authorisation that the bank approved: where its hold stands, and what was taken of it.
    hold: Literal["held", "captured", "released"] | None = None
    captured_amount: Decimal | None = None
    # Whether the page offers instalments, and what was chosen, there or by the request.
    asks_installment: bool = False
    installment_card: str | None = None
    installment_month: int | None = None
    wallet: str | None = None

    status: Literal["new", "success", "failed"] = "new"
    code: str | None = None
    bank_transaction: str | None = None
    rrn: str | None = None
    card_name: str | None = None
    card_mask: str | None = None
    refunds: list[Refund] = []

    # The hosted page. `step` says what it shows while the status is new.
    page: str | None = None
    step: Literal["card", "secure", "silent", "wallet"] = "card"
    success_redirect_url: str | None = None
    error_redirect_url: str | None = None

    @property
    def refunded(self) -> Decimal:
        """The sum of all refunds."""
        return sum((refund.amount for refund in self.refunds), Decimal(0))

    @property
    def paid_amount(self) -> Decimal:
        """What the customer pays: the amount, or what was taken of a hold."""
        if self.hold is not None:
            return self.captured_amount or Decimal(0)
        return self.amount or Decimal(0)

    @property
    def refundable(self) -> Decimal:
        """What is left to refund."""
        return self.paid_amount - self.refunded


class Card(msgspec.Struct, kw_only=True):
    """A saved card: what its number led to is remembered, the number is not."""

    card_id: str
    merchant: str
    at: datetime
    state: Literal["new", "active", "pending", "rejected", "expired", "session_expired"] = "new"
    payout: bool = False
    description: str | None = None
    name: str | None = None
    mask: str | None = None
    expired_date: str | None = None
    code: str = "000"
    silent: bool = False


InvoiceState = Literal["waiting_for_payment", "paid", "canceled"]
TransferState = Literal["PENDING", "PROCESSING", "SUCCESS", "FAILED"]


class Transfer(msgspec.Struct, kw_only=True):
    """A bank transfer to a business. EPoint knows it by the merchant's order id alone."""

    order_id: str
    merchant: str
    at: datetime
    amount: Decimal
    iban: str
    name: str
    bulk_id: str
    state: TransferState = "PENDING"
    webhook_url: str | None = None
    webhook_attempts: list[dict[str, Any]] = []


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that came with an invoice; only what it was is kept."""

    name: str
    size: int
    sha256: str


class Invoice(msgspec.Struct, kw_only=True):
    """A bill that a customer can pay on its page."""

    id: int
    merchant: str
    at: datetime
    page: str
    sum: Decimal
    period_from: str
    period_to: str
    name: str | None = None
    description: str | None = None
    phone: str | None = None
    email: str | None = None
    inn: str | None = None
    contract_number: str | None = None
    merchant_order_id: str | None = None
    images: list[Image] = []
    state: InvoiceState = "waiting_for_payment"


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """An SMS or e-mail that EPoint would have sent."""

    at: datetime
    channel: str
    to: str
    invoice: int
    link: str


class _File(msgspec.Struct, kw_only=True):
    transactions: list[Transaction] = []
    cards: list[Card] = []
    transfers: list[Transfer] = []
    invoices: list[Invoice] = []
    sent: list[Sent] = []


class Books:
    """All transactions and cards, at most `transactions_max` and `cards_max`; the oldest are forgotten first."""

    def __init__(self, *, transactions_max: int, cards_max: int, path: Path | None = None) -> None:
        self._transactions_max = transactions_max
        self._cards_max = cards_max
        self._path = path
        self._transactions: dict[str, Transaction] = {}
        self._cards: dict[str, Card] = {}
        self._invoices: dict[int, Invoice] = {}
        self._sent: list[Sent] = []
        self._transfers: dict[str, Transfer] = {}
        self._pages: dict[str, Transaction] = {}
        self._orders: dict[tuple[str, str], Transaction] = {}
        self._payments: dict[int, Transaction] = {}
        self.changed = False
        if path is not None and path.exists():
            self._load(path)

    def __contains__(self, name: str) -> bool:
        return name in self._transactions or name in self._cards

    @property
    def kept(self) -> bool:
        """Whether there is a file to write to."""
        return self._path is not None

    @property
    def transactions(self) -> list[Transaction]:
        """All transactions, the oldest first."""
        return list(self._transactions.values())

    @property
    def cards(self) -> list[Card]:
        """All saved cards, the oldest first."""
        return list(self._cards.values())

    def transaction(self, name: str) -> Transaction | None:
        """Find a transaction by EPoint's id."""
        return self._transactions.get(name)

    def page(self, name: str) -> Transaction | None:
        """Find the transaction of a hosted page."""
        return self._pages.get(name)

    def payment(self, number: int) -> Transaction | None:
        """Find the transaction of a record that a token can be charged to."""
        return self._payments.get(number)

    def latest(self, merchant: str, order_id: str) -> Transaction | None:
        """Find the latest transaction of a merchant's order."""
        return self._orders.get((merchant, order_id))

    def card(self, name: str) -> Card | None:
        """Find a saved card."""
        return self._cards.get(name)

    def registration(self, card_id: str) -> Transaction | None:
        """Find the transaction on whose page a card was saved."""
        found = (one for one in reversed(self._transactions.values()) if one.card_id == card_id and one.page)
        return next(found, None)

    def add(self, transaction: Transaction) -> None:
        """Write down a new transaction."""
        while len(self._transactions) >= self._transactions_max:
            self._forget(self._transactions.pop(next(iter(self._transactions))))
        self._transactions[transaction.transaction] = transaction
        if transaction.page is not None:
            self._pages[transaction.page] = transaction
        if transaction.payment_id is not None:
            self._payments[transaction.payment_id] = transaction
        if transaction.order_id is not None:
            self._orders[transaction.merchant, transaction.order_id] = transaction
        self.changed = True

    @property
    def invoices(self) -> list[Invoice]:
        """All invoices, the oldest first."""
        return list(self._invoices.values())

    @property
    def sent(self) -> list[Sent]:
        """The outbox: all SMS and e-mails, the oldest first."""
        return list(self._sent)

    def invoice(self, invoice_id: int) -> Invoice | None:
        """Find an invoice."""
        return self._invoices.get(invoice_id)

    def invoice_page(self, page: str) -> Invoice | None:
        """Find the invoice of a page."""
        return next((invoice for invoice in self._invoices.values() if invoice.page == page), None)

    def next_invoice_id(self) -> int:
        """Return an id that no invoice has had; the shape of EPoint's is unknown."""
        return max(self._invoices, default=1000) + 1

    def add_invoice(self, invoice: Invoice) -> None:
        """Write down a new invoice."""
        while len(self._invoices) >= self._transactions_max:
            del self._invoices[next(iter(self._invoices))]
        self._invoices[invoice.id] = invoice
        self.changed = True

    def add_sent(self, sent: Sent) -> None:
        """Write down what would have been sent."""
        del self._sent[: -self._transactions_max + 1]
        self._sent.append(sent)
        self.changed = True

    @property
    def transfers(self) -> list[Transfer]:
        """All transfers to businesses, the oldest first."""
        return list(self._transfers.values())

    def transfer(self, order_id: str) -> Transfer | None:
        """Find a transfer."""
        return self._transfers.get(order_id)

    def add_transfer(self, transfer: Transfer) -> None:
        """Write down a new transfer."""
        while len(self._transfers) >= self._transactions_max:
            del self._transfers[next(iter(self._transfers))]
        self._transfers[transfer.order_id] = transfer
        self.changed = True

    def add_card(self, card: Card) -> None:
        """Write down a new card."""
        while len(self._cards) >= self._cards_max:
            del self._cards[next(iter(self._cards))]
        self._cards[card.card_id] = card
        self.changed = True

    def encode(self) -> bytes:
        """Return the whole books as JSON and take them as written."""
        self.changed = False
        return _encoder.encode(
            _File(
                transactions=self.transactions,
                cards=self.cards,
                transfers=self.transfers,
                invoices=self.invoices,
                sent=self.sent,
            )
        )

    def write(self, body: bytes) -> None:
        """Replace the file in one step, so that a crash leaves the old one or the new one."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(self._path.name + ".part")
        with part.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)

    def _load(self, path: Path) -> None:
        try:
            file = _decoder.decode(path.read_bytes())
        except msgspec.DecodeError as exc:
            raise ConfigurationError("books", f"{path} is not a file of this simulator; move it away") from exc
        for transaction in file.transactions:
            self.add(transaction)
        for card in file.cards:
            self.add_card(card)
        for transfer in file.transfers:
            self.add_transfer(transfer)
        for invoice in file.invoices:
            self.add_invoice(invoice)
        for sent in file.sent:
            self.add_sent(sent)
        self.changed = False

    def _forget(self, transaction: Transaction) -> None:
        if transaction.page is not None:
            self._pages.pop(transaction.page, None)
        if transaction.payment_id is not None:
            self._payments.pop(transaction.payment_id, None)
        if transaction.order_id is not None:
            order = (transaction.merchant, transaction.order_id)
            if self._orders.get(order) is transaction:
                del self._orders[order]


_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(_File)
