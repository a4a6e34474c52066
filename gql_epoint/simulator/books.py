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


class _File(msgspec.Struct, kw_only=True):
    transactions: list[Transaction] = []
    cards: list[Card] = []


class Books:
    """All transactions and cards, at most `transactions_max` and `cards_max`; the oldest are forgotten first."""

    def __init__(self, *, transactions_max: int, cards_max: int, path: Path | None = None) -> None:
        self._transactions_max = transactions_max
        self._cards_max = cards_max
        self._path = path
        self._transactions: dict[str, Transaction] = {}
        self._cards: dict[str, Card] = {}
        self._pages: dict[str, Transaction] = {}
        self._orders: dict[tuple[str, str], Transaction] = {}
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

    def latest(self, merchant: str, order_id: str) -> Transaction | None:
        """Find the latest transaction of a merchant's order."""
        return self._orders.get((merchant, order_id))

    def card(self, name: str) -> Card | None:
        """Find a saved card."""
        return self._cards.get(name)

    def add(self, transaction: Transaction) -> None:
        """Write down a new transaction."""
        while len(self._transactions) >= self._transactions_max:
            self._forget(self._transactions.pop(next(iter(self._transactions))))
        self._transactions[transaction.transaction] = transaction
        if transaction.page is not None:
            self._pages[transaction.page] = transaction
        if transaction.order_id is not None:
            self._orders[transaction.merchant, transaction.order_id] = transaction
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
        return _encoder.encode(_File(transactions=self.transactions, cards=self.cards))

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
        self.changed = False

    def _forget(self, transaction: Transaction) -> None:
        if transaction.page is not None:
            self._pages.pop(transaction.page, None)
        if transaction.order_id is not None:
            order = (transaction.merchant, transaction.order_id)
            if self._orders.get(order) is transaction:
                del self._orders[order]


_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(_File)
