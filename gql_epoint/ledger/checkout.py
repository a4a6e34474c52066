"""Checkouts: what a backend fixes before a browser gets involved, and where one stands.

A checkout's status is not stored. It follows from its row, its attempts and the time, so nobody has to sweep, and
no crash can leave it behind what happened to the money.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from gql_epoint.ledger.transaction import SavedCard, SavedCardStatus, Status, Transaction, TransactionOperation

# Whoever began to pay at the last moment still gets to see the result.
TOKEN_GRACE = timedelta(minutes=15)


class CheckoutPurpose(StrEnum):
    """What a checkout is for."""

    PAYMENT = "PAYMENT"
    SAVE_CARD = "SAVE_CARD"
    SAVE_CARD_FOR_PAYOUT = "SAVE_CARD_FOR_PAYOUT"


class CheckoutStatus(StrEnum):
    """Where a checkout stands."""

    OPEN = "OPEN"
    COMPLETE = "COMPLETE"
    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"


class PaymentMethodType(StrEnum):
    """The ways to pay that a checkout can offer."""

    HOSTED_PAGE = "HOSTED_PAGE"
    SAVED_CARD = "SAVED_CARD"
    WIDGET = "WIDGET"


class ClientOperation(StrEnum):
    """What a client token can be good for."""

    CONFIRM = "CONFIRM"
    READ = "READ"
    SUBSCRIBE = "SUBSCRIBE"


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """What was fixed, and how often it was tried. `saved_card_ids` are the cards it offers, in their order.

    `version` grows with each attempt and with the cancellation. `amount` and `currency` are null where nothing is
    paid.
    """

    id: str
    purpose: CheckoutPurpose
    version: int
    order_id: str
    methods: frozenset[PaymentMethodType]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    attempts_max: int
    attempts: int = 0
    amount: Decimal | None = None
    currency: str | None = None
    description: str | None = None
    save_card: bool = False
    split_user: str | None = None
    split_amount: Decimal | None = None
    saved_card_ids: tuple[str, ...] = ()
    language: str | None = None
    success_url: str | None = None
    error_url: str | None = None
    metadata: str | None = None
    canceled_at: datetime | None = None

    @property
    def attempts_left(self) -> int:
        """How many more attempts may start."""
        return max(0, self.attempts_max - self.attempts)


class ClientToken(msgspec.Struct, frozen=True, kw_only=True):
    """A browser's credential for one checkout; `digest` is the SHA-256 of the secret, in hex."""

    digest: str
    checkout_id: str
    operations: frozenset[ClientOperation]
    created_at: datetime
    expires_at: datetime


class CheckoutAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """That an address tried to pay; `id` is the transaction or card that came of it, `address` a keyed hash."""

    id: str
    address: str
    started_at: datetime
    declined: bool = False


class CheckoutState(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout with the attempt that counts, as of one moment.

    That is the transaction which is paid or else live or else the latest, and the card that it saves; for a
    checkout that saves a card, the registration which succeeded or else the latest.
    """

    checkout: Checkout
    as_of: datetime
    transaction: Transaction | None = None
    card: SavedCard | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether an attempt is under way, so that no other may start."""
        if self.checkout.purpose is not CheckoutPurpose.PAYMENT:
            return self.card is not None and self.card.status is SavedCardStatus.PENDING
        return self.transaction is not None and self.transaction.holds_order and not self.is_complete

    @property
    def is_complete(self) -> bool:
        """Whether it has reached its purpose. A refund does not undo that."""
        if self.checkout.purpose is not CheckoutPurpose.PAYMENT:
            return self.card is not None and self.card.status is SavedCardStatus.ACTIVE
        return self.transaction is not None and self.transaction.status in (Status.SUCCESS, Status.RETURNED)

    @property
    def status(self) -> CheckoutStatus:
        """Where it stands. An attempt that is under way when the time is over keeps it open to its end."""
        if self.is_complete:
            return CheckoutStatus.COMPLETE
        if self.checkout.canceled_at is not None:
            return CheckoutStatus.CANCELED
        if self.as_of >= self.checkout.expires_at and not self.is_waiting:
            return CheckoutStatus.EXPIRED
        return CheckoutStatus.OPEN

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected to happen to it."""
        return self.status is not CheckoutStatus.OPEN and not self.is_waiting

    @property
    def mark(self) -> tuple[object, ...]:
        """What differs between two states that a watcher should hear of."""
        return (
            self.status,
            self.checkout.version,
            self.transaction and (self.transaction.id, self.transaction.version),
            self.card and (self.card.id, self.card.version),
        )


def payment_operation(method: PaymentMethodType, *, split: bool, save_card: bool) -> TransactionOperation:
    """Return how a payment is made by a method.

    A card that is saved already is not saved again, and the widget neither saves cards nor splits.
    """
    if method is PaymentMethodType.WIDGET:
        return TransactionOperation.WIDGET
    name = "PAY_AND_SAVE_CARD" if save_card else "PAY"
    if method is PaymentMethodType.SAVED_CARD:
        name = "PAY_WITH_SAVED_CARD"
    return TransactionOperation(f"SPLIT_{name}" if split else name)


def token_expiry(checkout: Checkout, now: datetime) -> datetime:
    """Return how long a token that is made now works: as long as the checkout, and a little more."""
    return max(checkout.expires_at, now) + TOKEN_GRACE


def attempted(checkout: Checkout, now: datetime) -> Checkout:
    """Return the checkout after one more attempt has started."""
    assert checkout.attempts_left > 0
    return msgspec.structs.replace(
        checkout, attempts=checkout.attempts + 1, version=checkout.version + 1, updated_at=now
    )


def canceled(checkout: Checkout, now: datetime) -> Checkout:
    """Return the checkout after it was canceled."""
    return msgspec.structs.replace(checkout, version=checkout.version + 1, updated_at=now, canceled_at=now)
