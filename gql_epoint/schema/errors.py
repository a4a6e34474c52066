"""Expected failures of mutations, as data: one table from our exceptions to the contract's errors."""

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from gql_epoint import errors
from gql_epoint.schema.access import Scope, needs
from gql_epoint.schema.business_transfer_types import BusinessTransfer
from gql_epoint.schema.enums import value
from gql_epoint.schema.types import Transaction
from gql_epoint.schema.values import Money


@strawberry.enum(description="What a program can branch on when a mutation is refused. More codes may come.")
class ErrorCode(Enum):
    """What a program can branch on."""

    INVALID_INPUT = value(
        "INVALID_INPUT", description="The input is wrong; `path` says where. Nothing was recorded."
    )
    NOT_FOUND = value("NOT_FOUND", description="What the input names does not exist.")
    IDEMPOTENCY_KEY_REUSED = value(
        "IDEMPOTENCY_KEY_REUSED", description="This key was first used with another input. Nothing happened now."
    )
    IDEMPOTENCY_IN_PROGRESS = value(
        "IDEMPOTENCY_IN_PROGRESS",
        description="The first request with this key is not answered. Repeat it a little later.",
    )
    CHECKOUT_NOT_OPEN = value(
        "CHECKOUT_NOT_OPEN", description="The checkout is complete, expired or canceled: see `Checkout.status`."
    )
    ATTEMPT_LIMIT_REACHED = value(
        "ATTEMPT_LIMIT_REACHED", description="The checkout has no attempt left. Only the shop can make a new one."
    )
    RATE_LIMITED = value(
        "RATE_LIMITED",
        description=(
            "Too many payments were tried, or declined, from the network of this browser: see "
            "`RateLimitedError.retryAfterMs`. The attempt is not used, nor is the key."
        ),
    )
    ORDER_ALREADY_PAID = value(
        "ORDER_ALREADY_PAID",
        description="The order has been paid (or paid out): see `OrderConflictError.transaction`.",
    )
    ORDER_IN_PROGRESS = value(
        "ORDER_IN_PROGRESS",
        description=(
            "A payment of this order is under way: go on with the `nextAction` of `OrderConflictError.transaction`."
        ),
    )
    METHOD_NOT_ALLOWED = value(
        "METHOD_NOT_ALLOWED", description="The checkout does not offer this way to pay, or cannot."
    )
    CURRENCY_NOT_SUPPORTED = value("CURRENCY_NOT_SUPPORTED", description="Not this currency for this operation.")
    URL_NOT_ALLOWED = value("URL_NOT_ALLOWED", description="A return URL is not one that customers may be sent to.")
    NOT_REFUNDABLE = value("NOT_REFUNDABLE", description="This transaction cannot be refunded, now or ever.")
    REFUND_EXCEEDS_REFUNDABLE = value(
        "REFUND_EXCEEDS_REFUNDABLE", description="More than is left: see `RefundExceedsRefundableError.refundable`."
    )
    CARD_NOT_USABLE = value("CARD_NOT_USABLE", description="The saved card is not active, or not for this purpose.")
    NOT_CAPTURABLE = value(
        "NOT_CAPTURABLE",
        description="Nothing is held that could be captured or let go: see the message for the status, and why.",
    )
    CAPTURE_EXCEEDS_AUTHORIZED = value(
        "CAPTURE_EXCEEDS_AUTHORIZED", description="More than is held: see `Transaction.authorizedAmount`."
    )
    HOLD_IN_PROGRESS = value(
        "HOLD_IN_PROGRESS",
        description=(
            "Another capture or cancellation of this hold is under way, or its answer was lost: see "
            "`Transaction.holdRequest`. Only one is ever sent at a time."
        ),
    )
    INVOICE_IN_PROGRESS = value(
        "INVOICE_IN_PROGRESS",
        description=(
            "Another change of this invoice is under way, or its answer was lost less than a minute ago. Only one "
            "is ever sent at a time."
        ),
    )
    GATEWAY_REFUSED = value(
        "GATEWAY_REFUSED",
        description=(
            "EPoint refused the request; comes with the object that records it. Where that is INDETERMINATE, the "
            "refusal does not prove that no money moved: wait until it is found out."
        ),
    )
    GATEWAY_UNAVAILABLE = value(
        "GATEWAY_UNAVAILABLE",
        description=(
            "EPoint could not be reached, no money moved; comes with the object that records it. Try again with a "
            "new idempotency key."
        ),
    )


@strawberry.interface(
    description=(
        "An expected failure of a mutation. A decline is none: see `Transaction.failure`. More types may come."
    )
)
class UserError:
    """An expected failure of a mutation."""

    code: ErrorCode = strawberry.field(description="What a program can branch on.")
    message: str = strawberry.field(description="A sentence in English for developers. Do not branch on it.")
    path: list[str] | None = strawberry.field(
        description='The part of the arguments that is wrong, from the outside in: `["input", "amount", "amount"]`.'
    )


@strawberry.type(description="A failure about which there is nothing more to say.")
class GenericError(UserError):
    """A failure without details."""


@strawberry.type(description="The idempotency key was first used with another input.")
class IdempotencyKeyReusedError(UserError):
    """The key belongs to another input."""

    first_used_at: datetime = strawberry.field(description="When the key was first used.")


@strawberry.type(description="The first request with this idempotency key is still waiting for EPoint.")
class IdempotencyInProgressError(UserError):
    """The first request is not answered yet."""

    retry_after_ms: int = strawberry.field(description="When to repeat the request, in milliseconds from now.")


@strawberry.type(description="The network of this browser has tried to pay too often lately.")
class RateLimitedError(UserError):
    """Too many attempts from one address."""

    retry_after_ms: int = strawberry.field(description="When to try again, in milliseconds from now.")


@strawberry.type(description="The order already has a payment that is live or paid.")
class OrderConflictError(UserError):
    """The order already has a payment."""

    transaction: Transaction = strawberry.field(description="That payment, as it is now.")


@strawberry.type(description="The order already has a transfer to a business that is live or done.")
class BusinessTransferConflictError(UserError):
    """The order already has a transfer."""

    business_transfer: BusinessTransfer = strawberry.field(
        description="That transfer, as it is now.", directives=[needs(Scope.PAYOUTS_WRITE)]
    )


@strawberry.type(description="The refund asks for more than is left.")
class RefundExceedsRefundableError(UserError):
    """More than is left."""

    refundable: Money = strawberry.field(description="What is left, less what other refunds have reserved.")


ERROR_TYPES = (
    GenericError,
    IdempotencyKeyReusedError,
    IdempotencyInProgressError,
    RateLimitedError,
    OrderConflictError,
    BusinessTransferConflictError,
    RefundExceedsRefundableError,
)

_DETAILS: dict[type[errors.RefusedError], tuple[type[UserError], Callable[[Any], dict[str, Any]]]] = {
    errors.KeyReusedError: (IdempotencyKeyReusedError, lambda e: {"first_used_at": e.first_used_at}),
    errors.InProgressError: (IdempotencyInProgressError, lambda e: {"retry_after_ms": e.retry_after_ms}),
    errors.TooManyAttemptsError: (RateLimitedError, lambda e: {"retry_after_ms": e.retry_after_ms}),
    errors.OrderConflictError: (OrderConflictError, lambda e: {"transaction": Transaction.of(e.transaction)}),
    errors.TransferConflictError: (
        BusinessTransferConflictError,
        lambda e: {"business_transfer": BusinessTransfer.of(e.transfer)},
    ),
    errors.ExceedsRefundableError: (
        RefundExceedsRefundableError,
        lambda e: {"refundable": Money.of(e.refundable, e.currency)},
    ),
    errors.RefusedError: (GenericError, lambda _: {}),
}


def to_user_error(error: errors.RefusedError) -> UserError:
    """Return what the contract says for an expected refusal."""
    shape, details = _DETAILS[type(error)]
    return shape(
        code=ErrorCode(error.code.value), message=error.message, path=list(error.path) or None, **details(error)
    )
