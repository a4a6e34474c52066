"""Inputs of the contract, and what each asks of the cashier.

An absent field and a null one mean the same: not chosen.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier import commands
from gql_epoint.ledger import transaction as ledger
from gql_epoint.schema.access import Pii
from gql_epoint.schema.context import plain_text
from gql_epoint.schema.enums import (
    Currency,
    Language,
    PayEndpoint,
    Resolution,
    TransactionOperation,
    TransactionStatus,
)
from gql_epoint.schema.scalars import IdempotencyKey, Json, Url, encode_json
from gql_epoint.store import protocol

T = TypeVar("T")

_KEY = "Names this one intention. The same key with another input is refused."
_ORDER = (
    "The merchant's own reference, at most 240 characters. An order is paid at most once, whatever the keys are."
)
_AMOUNT = "What the customer pays."
_DESCRIPTION = "What the customer reads, at most 1000 characters."
_MUST_DESCRIBE = "What the customer reads, at most 1000 characters. EPoint does not save a card without it."
_LANGUAGE = "The language of EPoint's page and messages; left out, the one from the service's settings."
_URLS = "Where EPoint sends the customer; left out, as the service's settings say, or else EPoint's dashboard."
_CARD = "The saved card to charge: ACTIVE, and saved for payments."
_SPLIT = "The part that goes to another merchant. Only in AZN."
_METADATA = (
    "A JSON object of at most 4 kB for the merchant's own use. It comes back equal, and EPoint gets it as "
    "`other_attr`."
)


def optional(description: str, **more: Any) -> Any:
    """Return an input field that may be left out."""
    return strawberry.field(description=description, default=strawberry.UNSET, **more)


def required(description: str) -> Any:
    """Return an input field that must be given."""
    return strawberry.field(description=description)


def given(value: T | None) -> T | None:
    """Return the value, or None if it was left out."""
    return None if value is strawberry.UNSET else value


@strawberry.input(description="An amount of money.")
class MoneyInput:
    """An amount of money."""

    amount: Decimal = required('More than zero, with at most two decimal places: `"10.50"`.')
    currency: Currency = strawberry.field(description="What the amount is counted in.", default=Currency.AZN)


@strawberry.input(description="Where EPoint sends the customer's browser afterwards.")
class ReturnUrls:
    """Where EPoint sends the customer afterwards."""

    success: Url | None = optional(
        "After a success. That the browser arrives there proves nothing: ask for the status."
    )
    error: Url | None = optional("After a failure.")


@strawberry.input(description="A part of the payment for another merchant.")
class SplitInput:
    """A part of the payment for another merchant."""

    user: str = required("EPoint's public id of the other merchant, such as `i000000002`.")
    amount: Decimal = required("What the other merchant gets out of the whole amount.")


@strawberry.input(one_of=True, description="Names a saved card, in exactly one way.")
class SavedCardBy:
    """Names a saved card."""

    id: ID | None = optional("The id that this service gave it.")
    card_id: str | None = optional(
        "EPoint's id, also of a card that was saved before this service was there.", directives=[Pii()]
    )

    def to_name(self) -> commands.CardBy:
        """Return the name as the cashier takes it."""
        return commands.CardBy(id=_name(self.id), card_id=_name(self.card_id))


@strawberry.input(one_of=True, description="Names a transaction, in exactly one way.")
class TransactionBy:
    """Names a transaction."""

    id: ID | None = optional("The id that this service gave it.")
    order_id: str | None = optional("The merchant's order id. It means the paid attempt, or else the latest.")
    gateway_transaction_id: str | None = optional(
        "EPoint's id. For `refund` and `refreshTransaction` it may be of a transaction made elsewhere, which is "
        "adopted."
    )

    def to_name(self) -> commands.TransactionBy:
        """Return the name as the cashier takes it."""
        return commands.TransactionBy(
            id=_name(self.id),
            order_id=_name(self.order_id),
            gateway_transaction_id=_name(self.gateway_transaction_id),
        )


@strawberry.input(description="Which transactions to list. Everything that is given must hold.")
class TransactionFilter:
    """Which transactions to list."""

    status_in: list[TransactionStatus] | None = optional("Only those with one of these statuses.")
    operation_in: list[TransactionOperation] | None = optional("Only those made in one of these ways.")
    order_id: str | None = optional("Only attempts of this order.")
    created_from: datetime | None = optional("Only those recorded at this time or later.")
    created_before: datetime | None = optional("Only those recorded before this time.")

    def to_filter(self) -> protocol.TransactionFilter:
        """Return the filter as the store takes it."""
        statuses, operations = given(self.status_in), given(self.operation_in)
        return protocol.TransactionFilter(
            status_in=None if statuses is None else tuple(ledger.Status(s.value) for s in statuses),
            operation_in=None
            if operations is None
            else tuple(ledger.TransactionOperation(o.value) for o in operations),
            order_id=_name(self.order_id),
            created_from=given(self.created_from),
            created_before=given(self.created_before),
        )


class _Order:
    """What the inputs of all payments have in common, and what some of them have."""

    order_id: str
    amount: MoneyInput

    def to_order(self, operation: ledger.TransactionOperation, **more: Any) -> commands.PaymentOrder:
        """Return the order as the cashier takes it; `more` are fields of an operation of its own."""
        card: SavedCardBy | None = getattr(self, "card", None)
        split: SplitInput | None = getattr(self, "split", None)
        metadata: Json | None = given(getattr(self, "metadata", None))
        return commands.PaymentOrder(
            operation=operation,
            order_id=self.order_id,
            amount=self.amount.amount,
            currency=self.amount.currency.value,
            metadata=None if metadata is None else encode_json(metadata),
            installment=given(getattr(self, "installment", None)),
            split_user=split.user if split else None,
            split_amount=split.amount if split else None,
            card=card.to_name() if card else None,
            **_presentation(self),
            **more,
        )


@strawberry.input(description="A payment on EPoint's page.")
class PayInput(_Order):
    """A payment on EPoint's page."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(_LANGUAGE)
    return_urls: ReturnUrls | None = optional(_URLS)
    metadata: Json | None = optional(_METADATA)
    installment: bool | None = optional("Whether to offer paying in instalments; left out, EPoint decides.")
    endpoint: PayEndpoint | None = optional("By which of EPoint's paths; left out, REQUEST.")


@strawberry.input(description="A charge of a saved card, without the customer.")
class PayWithSavedCardInput(_Order):
    """A charge of a saved card."""

    idempotency_key: IdempotencyKey = required(_KEY)
    card: SavedCardBy = required(_CARD)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(_LANGUAGE)


@strawberry.input(description="A payment on EPoint's page that also saves the card for later payments.")
class PayAndSaveCardInput(_Order):
    """A payment that saves the card."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    description: str = required(_MUST_DESCRIBE)
    language: Language | None = optional(_LANGUAGE)
    return_urls: ReturnUrls | None = optional(_URLS)


@strawberry.input(description="The saving of a card on EPoint's page, without a payment.")
class SaveCardInput:
    """The saving of a card."""

    idempotency_key: IdempotencyKey = required(_KEY)
    for_payout: bool = strawberry.field(
        description="True saves it for payouts, and only for them; false for payments.", default=False
    )
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(_LANGUAGE)
    return_urls: ReturnUrls | None = optional(_URLS)

    def to_order(self) -> commands.SaveCardOrder:
        """Return the order as the cashier takes it."""
        return commands.SaveCardOrder(for_payout=self.for_payout, **_presentation(self))


@strawberry.input(description="A payment on EPoint's page of which a part goes to another merchant.")
class SplitPayInput(_Order):
    """A split payment."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    split: SplitInput = required(_SPLIT)
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(_LANGUAGE)
    return_urls: ReturnUrls | None = optional(_URLS)
    metadata: Json | None = optional(_METADATA)


@strawberry.input(description="A charge of a saved card of which a part goes to another merchant.")
class SplitPayWithSavedCardInput(_Order):
    """A split charge of a saved card."""

    idempotency_key: IdempotencyKey = required(_KEY)
    card: SavedCardBy = required(_CARD)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    split: SplitInput = required(_SPLIT)
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(_LANGUAGE)


@strawberry.input(description="A payment that saves the card and of which a part goes to another merchant.")
class SplitPayAndSaveCardInput(_Order):
    """A split payment that saves the card."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    split: SplitInput = required(_SPLIT)
    description: str = required(_MUST_DESCRIBE)
    language: Language | None = optional(_LANGUAGE)
    return_urls: ReturnUrls | None = optional(_URLS)


@strawberry.input(description="Money from the merchant to a saved card.")
class PayoutInput(_Order):
    """Money from the merchant to a saved card."""

    idempotency_key: IdempotencyKey = required(_KEY)
    card: SavedCardBy = required("The saved card to pay to: ACTIVE, and saved for payouts.")
    order_id: str = required(
        "The merchant's own reference, at most 240 characters. It is paid out at most once, apart from its payment."
    )
    amount: MoneyInput = required("What the cardholder gets. Only in AZN.")
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(_LANGUAGE)


@strawberry.input(description="Money back to the customer.")
class RefundInput:
    """Money back to the customer."""

    idempotency_key: IdempotencyKey = required(_KEY)
    transaction: TransactionBy = required("The payment to refund.")
    amount: MoneyInput | None = optional("How much; left out, all that is left. In the payment's currency.")
    reason: str | None = optional("Why, for the merchant's own records: at most 1000 characters.")
    language: Language | None = optional("The language of EPoint's messages.")

    def to_order(self) -> commands.RefundOrder:
        """Return the order as the cashier takes it."""
        money, language = given(self.amount), given(self.language)
        return commands.RefundOrder(
            transaction=self.transaction.to_name(),
            amount=money.amount if money else None,
            currency=money.currency.value if money else None,
            reason=given(self.reason),
            language=language.value if language else None,
        )


@strawberry.input(description="A person's finding about a transaction in INDETERMINATE or REQUIRES_REVIEW.")
class ResolveTransactionInput:
    """A person's finding about a transaction."""

    idempotency_key: IdempotencyKey = required(_KEY)
    transaction_id: ID = required("The transaction's id in this service.")
    resolution: Resolution = required("What was found.")
    note: str = required("How it was found, for the history: at most 1000 characters.")


@strawberry.input(description="A person's finding about a refund in INDETERMINATE.")
class ResolveRefundInput:
    """A person's finding about a refund."""

    idempotency_key: IdempotencyKey = required(_KEY)
    refund_id: ID = required("The refund's id in this service.")
    resolution: Resolution = required("What was found.")
    note: str = required("How it was found, for the history: at most 1000 characters.")


def _presentation(order: Any) -> dict[str, Any]:
    urls: ReturnUrls | None = given(getattr(order, "return_urls", None))
    language: Language | None = given(getattr(order, "language", None))
    return {
        "description": given(order.description),
        "language": language.value if language else None,
        "success_url": given(urls.success) if urls else None,
        "error_url": given(urls.error) if urls else None,
    }


def _name(value: str | None) -> str | None:
    chosen = given(value)
    return None if chosen is None else plain_text(chosen)


# For the inputs of payments that have modules of their own.
Order = _Order
KEY, ORDER, AMOUNT, DESCRIPTION = _KEY, _ORDER, _AMOUNT, _DESCRIPTION
LANGUAGE, URLS, METADATA = _LANGUAGE, _URLS, _METADATA
