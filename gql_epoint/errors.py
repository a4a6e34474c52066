"""Every exception this package raises on purpose.

GqlEpointError
├── ConfigurationError        a setting is missing, weak or wrong; says which and what to do
├── SignatureError            a body does not prove that EPoint sent it
├── UnreadableError           bytes that are not what EPoint's documentation promises
├── GatewayError              a call to EPoint did not give an answer that can be believed
│   ├── GatewayUnavailableError   nothing was sent: no money can have moved
│   ├── GatewayRefusedError       EPoint said no by an HTTP status: no money can have moved
│   └── GatewayUnclearError       something was sent and no usable answer came back
├── RefusedError              an expected refusal of a request; GraphQL shows it as a UserError
│   ├── KeyReusedError            the idempotency key belongs to another input
│   ├── InProgressError           the first call with this idempotency key has not been answered
│   ├── OrderConflictError        the order already has a live or paid payment
│   ├── TooManyAttemptsError      the address has tried to pay too often lately
│   ├── TransferConflictError     the order already has a live or done transfer to a business
│   └── ExceedsRefundableError    more than what is left to refund
└── StoreUnavailableError     the database cannot be reached or written
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from gql_epoint.ledger.business_transfer import BusinessTransfer
    from gql_epoint.ledger.transaction import Transaction


class GqlEpointError(Exception):
    """The root: catch this to catch everything that is raised on purpose."""


class ConfigurationError(GqlEpointError):
    """A setting is missing, weak or wrong."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(setting, problem)
        self.setting = setting
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}"


class SignatureError(GqlEpointError):
    """A body that EPoint did not sign, or one that this service itself signed and somebody sent back."""

    def __str__(self) -> str:
        return "The signature does not match the data."


class UnreadableError(GqlEpointError):
    """Bytes that cannot be read as what EPoint documents."""


class GatewayError(GqlEpointError):
    """A call to EPoint ended without an answer that can be believed."""

    retryable: bool
    money_may_have_moved: bool

    def __init__(self, operation: str, reason: str) -> None:
        super().__init__(operation, reason)
        self.operation = operation
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.operation}: {self.reason}"


class GatewayUnavailableError(GatewayError):
    """No connection was made, so EPoint never saw the request. Repeating it is safe."""

    retryable = True
    money_may_have_moved = False


class GatewayRefusedError(GatewayError):
    """EPoint refused the request with a 4xx status and its own words, `message`, which stay out of logs."""

    retryable = False
    money_may_have_moved = False

    def __init__(self, operation: str, http_status: int, message: str | None) -> None:
        super().__init__(operation, f"HTTP {http_status}, a refusal")
        self.http_status = http_status
        self.message = message


class GatewayUnclearError(GatewayError):
    """The request may have reached EPoint and its answer is lost. Repeating it could move money twice.

    `http_status` is that of an answer which says nothing else.
    """

    retryable = False
    money_may_have_moved = True

    def __init__(self, operation: str, reason: str, http_status: int | None = None) -> None:
        super().__init__(operation, reason)
        self.http_status = http_status


class ErrorCode(StrEnum):
    """What a program can branch on when a mutation is refused."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IDEMPOTENCY_IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"
    CHECKOUT_NOT_OPEN = "CHECKOUT_NOT_OPEN"
    ATTEMPT_LIMIT_REACHED = "ATTEMPT_LIMIT_REACHED"
    RATE_LIMITED = "RATE_LIMITED"
    ORDER_ALREADY_PAID = "ORDER_ALREADY_PAID"
    ORDER_IN_PROGRESS = "ORDER_IN_PROGRESS"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CURRENCY_NOT_SUPPORTED = "CURRENCY_NOT_SUPPORTED"
    URL_NOT_ALLOWED = "URL_NOT_ALLOWED"
    NOT_REFUNDABLE = "NOT_REFUNDABLE"
    REFUND_EXCEEDS_REFUNDABLE = "REFUND_EXCEEDS_REFUNDABLE"
    CARD_NOT_USABLE = "CARD_NOT_USABLE"
    NOT_CAPTURABLE = "NOT_CAPTURABLE"
    CAPTURE_EXCEEDS_AUTHORIZED = "CAPTURE_EXCEEDS_AUTHORIZED"
    HOLD_IN_PROGRESS = "HOLD_IN_PROGRESS"
    INVOICE_IN_PROGRESS = "INVOICE_IN_PROGRESS"
    GATEWAY_REFUSED = "GATEWAY_REFUSED"
    GATEWAY_UNAVAILABLE = "GATEWAY_UNAVAILABLE"


class RefusedError(GqlEpointError):
    """An expected refusal: the code to branch on, a sentence for people, and the input path it is about."""

    def __init__(self, code: ErrorCode, message: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, path)
        self.code = code
        self.message = message
        self.path = path

    def __str__(self) -> str:
        where = f" (at {'.'.join(self.path)})" if self.path else ""
        return f"{self.code}: {self.message}{where}"


class KeyReusedError(RefusedError):
    """The idempotency key was first used with another input, at `first_used_at`."""

    def __init__(self, first_used_at: datetime) -> None:
        super().__init__(
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            "This idempotency key was first used with another input. Use a new key for a new request.",
            ("input", "idempotencyKey"),
        )
        self.first_used_at = first_used_at


class InProgressError(RefusedError):
    """The first call with this key is still waiting for EPoint; ask again after `retry_after_ms`."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(
            ErrorCode.IDEMPOTENCY_IN_PROGRESS,
            "The first request with this idempotency key is still waiting for EPoint. Repeat it a little later.",
            ("input", "idempotencyKey"),
        )
        self.retry_after_ms = retry_after_ms


class TooManyAttemptsError(RefusedError):
    """The address that confirms has tried to pay, or was declined, too often lately; see `retry_after_ms`."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(
            ErrorCode.RATE_LIMITED,
            "Too many payments were tried from this network lately. Try again later.",
        )
        self.retry_after_ms = retry_after_ms


class OrderConflictError(RefusedError):
    """The order already has a payment that is live or paid: `transaction`."""

    def __init__(self, code: ErrorCode, message: str, transaction: Transaction) -> None:
        super().__init__(code, message, ("input", "orderId"))
        self.transaction = transaction


class TransferConflictError(RefusedError):
    """The order already has a transfer to a business that is live or done: `transfer`."""

    def __init__(self, transfer: BusinessTransfer, *, is_done: bool) -> None:
        code = ErrorCode.ORDER_ALREADY_PAID if is_done else ErrorCode.ORDER_IN_PROGRESS
        what = "a transfer that succeeded" if is_done else "a transfer under way; wait until it is final"
        super().__init__(code, f"This order already has {what}.", ("input", "orderId"))
        self.transfer = transfer


class ExceedsRefundableError(RefusedError):
    """The refund asks for more than the `refundable` amount that is left, in `currency`."""

    def __init__(self, refundable: Decimal, currency: str) -> None:
        super().__init__(
            ErrorCode.REFUND_EXCEEDS_REFUNDABLE,
            f"Only {refundable} {currency} can still be refunded.",
            ("input", "amount"),
        )
        self.refundable = refundable
        self.currency = currency


class StoreUnavailableError(GqlEpointError):
    """The database cannot be reached or written; whether the last commit held is not known."""
