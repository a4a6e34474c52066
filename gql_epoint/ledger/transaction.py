"""The things the books are about: transactions, refunds, saved cards and callbacks.

All are frozen values. Money is an exact Decimal in units of the currency ("10.50"), times are aware UTC.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from gql_epoint.epoint.bank_codes import FailureCategory
from gql_epoint.epoint.operations import OPERATIONS
from gql_epoint.epoint.wire import Kind, Operation

CURRENCY_PLACES = {"AZN": 2, "EUR": 2, "RUB": 2, "USD": 2}


class TransactionOperation(StrEnum):
    """How a transaction was made; UNKNOWN for one that was adopted from EPoint."""

    PAY = "PAY"
    PAY_WITH_SAVED_CARD = "PAY_WITH_SAVED_CARD"
    PAY_AND_SAVE_CARD = "PAY_AND_SAVE_CARD"
    SPLIT_PAY = "SPLIT_PAY"
    SPLIT_PAY_WITH_SAVED_CARD = "SPLIT_PAY_WITH_SAVED_CARD"
    SPLIT_PAY_AND_SAVE_CARD = "SPLIT_PAY_AND_SAVE_CARD"
    PAYOUT = "PAYOUT"
    WIDGET = "WIDGET"
    TOKEN_PAYMENT = "TOKEN_PAYMENT"  # noqa: S105 - no password
    SPLIT_TOKEN_PAYMENT = "SPLIT_TOKEN_PAYMENT"  # noqa: S105
    PAYMENT_REQUEST = "PAYMENT_REQUEST"
    PAY_WITH_AMEX = "PAY_WITH_AMEX"
    PREAUTHORIZE = "PREAUTHORIZE"
    PAY_IN_INSTALLMENTS = "PAY_IN_INSTALLMENTS"
    PAY_WITH_WALLET = "PAY_WITH_WALLET"
    UNKNOWN = "UNKNOWN"

    @property
    def wire(self) -> Operation:  # type: ignore[type-arg]
        """The row of EPoint's operation; UNKNOWN has none and raises KeyError."""
        return OPERATIONS[self.lower()]

    @property
    def redirects(self) -> bool:
        """Whether the customer acts on EPoint's page before anything is paid."""
        return self is not TransactionOperation.UNKNOWN and self.wire.kind is Kind.REDIRECT


class Status(StrEnum):
    """The states of a transaction; transitions.py says how they follow from evidence."""

    NEW = "NEW"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    AUTHORIZED = "AUTHORIZED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    RETURNED = "RETURNED"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    INDETERMINATE = "INDETERMINATE"
    REQUIRES_REVIEW = "REQUIRES_REVIEW"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected to happen to the payment itself."""
        return self in _FINAL


_FINAL = frozenset({Status.SUCCESS, Status.FAILED, Status.RETURNED, Status.VOIDED, Status.EXPIRED})


class Fact(StrEnum):
    """A piece of evidence about a transaction. A transaction's status follows from the set of them."""

    OPENED = "OPENED"  # EPoint waits for the customer
    PAID = "PAID"  # a success that is as ordered
    DECLINED = "DECLINED"
    RETURNED = "RETURNED"  # EPoint says that all of it went back
    NOT_SENT = "NOT_SENT"  # no connection was made
    OPENING_LOST = "OPENING_LOST"  # the answer to a redirect operation is lost; nobody holds its URL
    CALL_LOST = "CALL_LOST"  # the answer to a charge is lost; money may have moved
    CHARGING = "CHARGING"  # the charge of what was opened before is on its way
    CHALLENGED = "CHALLENGED"  # that charge waits until the customer has proved who they are, on a page
    TIMED_OUT = "TIMED_OUT"  # EPoint still said `new` after a day
    UNSETTLED = "UNSETTLED"  # nothing proved anything in time
    MISMATCH = "MISMATCH"  # a success that differs from what was ordered
    ORDER_TAKEN = "ORDER_TAKEN"  # a success while another payment holds the order
    RETURNED_UNCLEAR = "RETURNED_UNCLEAR"  # `returned`, but our refunds do not add up to the amount
    VERDICT_PAID = "VERDICT_PAID"  # evidence was contradictory, and get-status said success
    VERDICT_OTHER = "VERDICT_OTHER"  # evidence was contradictory, and get-status did not say success
    HELD = "HELD"  # the success of a pre-authorisation, as ordered: the amount is held and nothing is taken
    HELD_WORD_DIFFERS = "HELD_WORD_DIFFERS"  # get-status has a word of its own for this hold: not success, nor new
    CAPTURED = "CAPTURED"  # the hold, or a part of it, was taken
    RELEASED = "RELEASED"  # the hold was let go
    HOLD_UNCLEAR = "HOLD_UNCLEAR"  # what was captured or released does not fit what is known here


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a transaction or refund failed. `bank_code` is the code itself, an open vocabulary."""

    category: FailureCategory
    message: str
    retryable: bool
    bank_code: str | None = None


class GatewayReference(msgspec.Struct, frozen=True, kw_only=True):
    """EPoint's own words and references, as last heard."""

    status: str | None = None
    transaction_id: str | None = None
    bank_transaction_id: str | None = None
    bank_response: str | None = None
    operation_code: str | None = None
    rrn: str | None = None
    trace_id: str | None = None
    last_confirmed_at: datetime | None = None


class HoldRequestKind(StrEnum):
    """What is asked of EPoint about a hold."""

    CAPTURE = "CAPTURE"
    CANCEL = "CANCEL"


class HoldRequestStatus(StrEnum):
    """The states of a capture or a cancellation."""

    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A capture or a cancellation of a hold, written down before EPoint is called.

    A transaction has room for one, so a second cannot start before the first has an end. `number` counts them,
    `amount` is what a capture takes, `given_up` says that asking has not told what became of it.
    """

    number: int
    kind: HoldRequestKind
    status: HoldRequestStatus
    requested_at: datetime
    amount: Decimal | None = None
    call_deadline: datetime | None = None
    given_up: bool = False
    failure: Failure | None = None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to move money.

    `order_id` is the merchant's, `gateway_order_id` is what EPoint was given (the same, or with a suffix).
    `holds_order` says that no other payment of the order may start. `call_deadline` is set while a call to
    EPoint is unanswered; `ask_at` is when get-status is due and `asks` how often it was asked in this wait.
    `redirect_url` is the page where the customer has to act, whether in the whole window or in a frame;
    `token_payment_id` is EPoint's id of the record that a token of Apple Pay or Google Pay is charged to.
    `captured_amount` is what was taken of a hold, `hold_request` the latest capture or cancellation of it.
    """

    id: str
    operation: TransactionOperation
    status: Status
    version: int
    amount: Decimal
    currency: str
    created_at: datetime
    updated_at: datetime
    order_id: str | None = None
    gateway_order_id: str | None = None
    holds_order: bool = False
    adopted: bool = False
    refunded_amount: Decimal = Decimal(0)
    refund_pending_amount: Decimal = Decimal(0)
    split_user: str | None = None
    split_amount: Decimal | None = None
    description: str | None = None
    language: str | None = None
    metadata: str | None = None
    saved_card_id: str | None = None
    redirect_url: str | None = None
    card_mask: str | None = None
    card_holder_name: str | None = None
    facts: frozenset[Fact] = frozenset()
    call_deadline: datetime | None = None
    ask_at: datetime | None = None
    asks: int = 0
    failure: Failure | None = None
    gateway: GatewayReference = GatewayReference()
    checkout_id: str | None = None
    token_payment_id: str | None = None
    captured_amount: Decimal | None = None
    hold_request: HoldRequest | None = None

    @property
    def is_hold(self) -> bool:
        """Whether a success of it holds the amount and takes nothing."""
        return self.operation is TransactionOperation.PREAUTHORIZE

    @property
    def paid_amount(self) -> Decimal:
        """What the customer pays if it succeeds: the amount, or what was captured of a hold."""
        return self.amount if self.captured_amount is None else self.captured_amount

    @property
    def authorized_amount(self) -> Decimal:
        """What is held on the card and not taken; zero where that is not certain."""
        return self.amount if self.status is Status.AUTHORIZED else Decimal(0)

    @property
    def taken_amount(self) -> Decimal:
        """What was taken from the customer, before refunds; zero where that is not certain, and for payouts."""
        paid = (
            self.status in (Status.SUCCESS, Status.RETURNED) and self.operation is not TransactionOperation.PAYOUT
        )
        return self.paid_amount if paid else Decimal(0)

    @property
    def refundable_amount(self) -> Decimal:
        """What may still be refunded; for an adopted transaction an upper bound."""
        if self.status is not Status.SUCCESS or self.operation is TransactionOperation.PAYOUT:
            return Decimal(0)
        return self.paid_amount - self.refunded_amount - self.refund_pending_amount


class RefundStatus(StrEnum):
    """The states of a refund."""

    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way back to the customer, reserved on its transaction before EPoint is called."""

    id: str
    transaction_id: str
    amount: Decimal
    currency: str
    status: RefundStatus
    created_at: datetime
    updated_at: datetime
    reason: str | None = None
    call_deadline: datetime | None = None
    failure: Failure | None = None


class SavedCardStatus(StrEnum):
    """The states of a saved card."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class SavedCard(msgspec.Struct, frozen=True, kw_only=True):
    """A card kept at EPoint, under EPoint's `card_id`; null until EPoint has named it."""

    id: str
    status: SavedCardStatus
    version: int
    usable_for_payout: bool
    created_at: datetime
    updated_at: datetime
    card_id: str | None = None
    adopted: bool = False
    mask: str | None = None
    holder_name: str | None = None
    redirect_url: str | None = None
    transaction_id: str | None = None
    call_deadline: datetime | None = None
    ask_at: datetime | None = None
    asks: int = 0
    checkout_id: str | None = None


class Disposition(StrEnum):
    """What became of a callback."""

    APPLIED = "APPLIED"
    DUPLICATE = "DUPLICATE"
    STALE = "STALE"
    MISMATCH = "MISMATCH"
    UNMATCHED = "UNMATCHED"


class CallbackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A verified callback as it arrived. `body` is its JSON, `digest` names its contents."""

    id: str
    received_at: datetime
    digest: str
    body: str
    disposition: Disposition
    gateway_status: str | None = None
    gateway_transaction_id: str | None = None
    gateway_card_id: str | None = None
    order_id: str | None = None
    transaction_id: str | None = None
    saved_card_id: str | None = None
