"""The enums of the contract, described for the people who branch on them.

They repeat names of the ledger on purpose: the public contract must not change because the ledger does. A test
compares the two.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry


def value(written: str, description: str) -> Any:
    """Return a described enum value."""
    return strawberry.enum_value(written, description=description)


@strawberry.enum(description="The currencies that EPoint takes, by ISO 4217. All have two decimal places.")
class Currency(Enum):
    """Currencies."""

    AZN = value("AZN", description="Azerbaijani manat.")
    EUR = value("EUR", description="Euro.")
    RUB = value("RUB", description="Russian rouble.")
    USD = value("USD", description="US dollar.")


@strawberry.enum(description="The language of EPoint's page and of its messages to the customer.")
class Language(Enum):
    """Languages of the payment page."""

    AZ = value("az", description="Azerbaijani.")
    EN = value("en", description="English.")
    RU = value("ru", description="Russian.")


@strawberry.enum(description="How a transaction was made.")
class TransactionOperation(Enum):
    """How a transaction was made."""

    PAY = value("PAY", description="A payment on EPoint's page: mutation `pay`.")
    PAY_WITH_SAVED_CARD = value(
        "PAY_WITH_SAVED_CARD", description="A charge of a saved card: mutation `payWithSavedCard`."
    )
    PAY_AND_SAVE_CARD = value(
        "PAY_AND_SAVE_CARD",
        description="A payment on EPoint's page that also saves the card: mutation `payAndSaveCard`.",
    )
    SPLIT_PAY = value(
        "SPLIT_PAY", description="A payment of which a part goes to another merchant: mutation `splitPay`."
    )
    SPLIT_PAY_WITH_SAVED_CARD = value(
        "SPLIT_PAY_WITH_SAVED_CARD", description="A split charge of a saved card: mutation `splitPayWithSavedCard`."
    )
    SPLIT_PAY_AND_SAVE_CARD = value(
        "SPLIT_PAY_AND_SAVE_CARD",
        description="A split payment that also saves the card: mutation `splitPayAndSaveCard`.",
    )
    PAYOUT = value("PAYOUT", description="Money from the merchant to a saved card: mutation `payout`.")
    WIDGET = value(
        "WIDGET",
        description="A payment in EPoint's widget: mutation `createWidget`, or the method `widget` of a checkout.",
    )
    TOKEN_PAYMENT = value(
        "TOKEN_PAYMENT",
        description=(
            "A payment with Apple Pay or Google Pay on the shop's own page: mutation `createTokenPayment`, charged "
            "by `applePay` or `googlePay`."
        ),
    )
    SPLIT_TOKEN_PAYMENT = value(
        "SPLIT_TOKEN_PAYMENT",
        description="A split payment with Apple Pay or Google Pay: mutation `splitTokenPayment`.",
    )
    PAYMENT_REQUEST = value(
        "PAYMENT_REQUEST",
        description="A payment on EPoint's page: mutation `pay` with `endpoint: PAYMENT_REQUEST`.",
    )
    PAY_WITH_AMEX = value(
        "PAY_WITH_AMEX", description="A payment by an American Express card: mutation `payWithAmex`."
    )
    PREAUTHORIZE = value(
        "PREAUTHORIZE", description="A hold that is captured or let go later: mutation `preauthorize`."
    )
    PAY_IN_INSTALLMENTS = value(
        "PAY_IN_INSTALLMENTS", description="A payment by a bank's instalment card: mutation `payInInstallments`."
    )
    PAY_WITH_WALLET = value(
        "PAY_WITH_WALLET", description="A payment on the page of a wallet: mutation `payWithWallet`."
    )
    UNKNOWN = value(
        "UNKNOWN",
        description=(
            "Made elsewhere and adopted from EPoint, which does not say how: a hold may look like a payment."
        ),
    )


@strawberry.enum(
    description=(
        "Where a transaction stands. SUCCESS, FAILED, RETURNED, VOIDED and EXPIRED are final: see "
        "`Transaction.isFinal`. Only SUCCESS means that there is money to deliver for."
    )
)
class TransactionStatus(Enum):
    """Where a transaction stands."""

    NEW = value(
        "NEW",
        description=(
            "A call is recorded here, and EPoint has not answered it yet: the one that opens or makes the payment, "
            "or the later one that charges a token."
        ),
    )
    REQUIRES_ACTION = value(
        "REQUIRES_ACTION", description="EPoint waits for the customer: follow `Transaction.nextAction`."
    )
    AUTHORIZED = value(
        "AUTHORIZED",
        description=(
            "The amount is held on the card and nothing is taken: `capture` or `cancelPreauthorization` comes "
            "next. Subscriptions go on, to tell of those."
        ),
    )
    SUCCESS = value("SUCCESS", description="Paid (for a payout: paid out). Final, though refunds may follow.")
    FAILED = value("FAILED", description="Declined or refused, no money moved: see `Transaction.failure`. Final.")
    RETURNED = value("RETURNED", description="All of it was refunded. Final.")
    VOIDED = value("VOIDED", description="A hold was released, no money moved. Final.")
    EXPIRED = value("EXPIRED", description="The customer did nothing for 24 hours. Final.")
    INDETERMINATE = value(
        "INDETERMINATE",
        description=(
            "The answer from EPoint was lost: money may or may not have moved. This service keeps asking; do not "
            "start another payment meanwhile. For a hold, see `Transaction.holdRequest`."
        ),
    )
    REQUIRES_REVIEW = value(
        "REQUIRES_REVIEW",
        description=(
            "The evidence contradicts the order: a person must decide, `resolveTransaction` or, for a hold, "
            "`resolveHold`."
        ),
    )


@strawberry.enum(description="By which of its paths EPoint opens the same page for the same payment.")
class PayEndpoint(Enum):
    """By which path EPoint opens its page."""

    REQUEST = value("REQUEST", description="`/api/1/request`, which EPoint documents for everybody.")
    PAYMENT_REQUEST = value(
        "PAYMENT_REQUEST",
        description="`/api/1/payment-request`, which its plugins for web shops use. Only if EPoint tells you to.",
    )


@strawberry.enum(description="Why a payment or refund failed, as far as a program should care.")
class FailureCategory(Enum):
    """Why a payment failed."""

    INSUFFICIENT_FUNDS = value("INSUFFICIENT_FUNDS", description="Not enough money, or over a limit of the card.")
    DO_NOT_HONOR = value("DO_NOT_HONOR", description="The bank said no, and not why.")
    CARD_UNUSABLE = value("CARD_UNUSABLE", description="This card will not work here; another one may.")
    SUSPECTED_FRAUD = value(
        "SUSPECTED_FRAUD",
        description="The bank suspects fraud. Never say so to the customer; show it as DO_NOT_HONOR.",
    )
    AUTHENTICATION_FAILED = value(
        "AUTHENTICATION_FAILED", description="The customer did not prove who they are (3-D Secure or PIN)."
    )
    TEMPORARY = value("TEMPORARY", description="A system was away or busy; trying again may work.")
    CONFIGURATION = value(
        "CONFIGURATION", description="The merchant's settings, or its bank's, are wrong; no customer can help that."
    )
    ABANDONED = value("ABANDONED", description="The customer gave up.")
    OTHER = value("OTHER", description="None of the above; see the message.")


@strawberry.enum(description="Where a refund stands. SUCCESS and FAILED are final.")
class RefundStatus(Enum):
    """Where a refund stands."""

    PROCESSING = value("PROCESSING", description="Its amount is reserved; EPoint has not answered yet.")
    SUCCESS = value("SUCCESS", description="The money is on its way back to the customer.")
    FAILED = value("FAILED", description="Refused: see `failure`. The amount is refundable again.")
    INDETERMINATE = value(
        "INDETERMINATE",
        description="The answer from EPoint was lost: the amount stays reserved until it is settled.",
    )


@strawberry.enum(description="Where a saved card stands.")
class SavedCardStatus(Enum):
    """Where a saved card stands."""

    PENDING = value(
        "PENDING", description="The customer has not finished saving it: follow `SavedCard.nextAction`."
    )
    ACTIVE = value("ACTIVE", description="Saved; it can be used.")
    REJECTED = value("REJECTED", description="The card was not saved.")
    EXPIRED = value("EXPIRED", description="The card has expired, or the customer never finished.")


@strawberry.enum(description="Where the news of an event came from.")
class EventSource(Enum):
    """Where the news of an event came from."""

    API = value("API", description="A request to this API.")
    GATEWAY_RESPONSE = value("GATEWAY_RESPONSE", description="EPoint's answer to a call.")
    GATEWAY_CALLBACK = value("GATEWAY_CALLBACK", description="A signed callback from EPoint.")
    RECONCILER = value("RECONCILER", description="This service asked EPoint on its own account, or time ran out.")
    OPERATOR = value(
        "OPERATOR", description="A person decided, with `resolveTransaction`, `resolveRefund` or `resolveHold`."
    )


@strawberry.enum(description="What became of a callback.")
class CallbackDisposition(Enum):
    """What became of a callback."""

    APPLIED = value("APPLIED", description="It changed something, and made an event.")
    DUPLICATE = value("DUPLICATE", description="It said what was known already.")
    STALE = value("STALE", description="It came too late to change anything.")
    MISMATCH = value(
        "MISMATCH", description="It reports a success that differs from the order; the transaction needs a review."
    )
    UNMATCHED = value("UNMATCHED", description="It is genuine, and about nothing that is known here.")


@strawberry.enum(description="A person's finding.")
class Resolution(Enum):
    """A person's finding."""

    SUCCEEDED = value("SUCCEEDED", description="The money did move, as ordered.")
    FAILED = value("FAILED", description="No money moved.")


@strawberry.enum(description="How a list of transactions is sorted.")
class TransactionOrder(Enum):
    """How a list of transactions is sorted."""

    CREATED_AT_DESC = value("CREATED_AT_DESC", description="Newest first.")
    UPDATED_AT_ASC = value(
        "UPDATED_AT_ASC",
        description="Least recently changed first: going on from the last cursor finds whatever changed since.",
    )


@strawberry.enum(description="What a message of a subscription is.")
class UpdateKind(Enum):
    """What a message of a subscription is."""

    SNAPSHOT = value("SNAPSHOT", description="The first message: the state when the subscription began.")
    CHANGE = value("CHANGE", description="A newer version.")


@strawberry.enum(description="What a checkout is for.")
class CheckoutPurpose(Enum):
    """What a checkout is for."""

    PAYMENT = value("PAYMENT", description="To pay an amount, and to save the card as well if `saveCard` says so.")
    SAVE_CARD = value("SAVE_CARD", description="To save a card for later payments; nothing is paid.")
    SAVE_CARD_FOR_PAYOUT = value(
        "SAVE_CARD_FOR_PAYOUT", description="To save a card for payouts, and only for them; nothing is paid."
    )


@strawberry.enum(description="Where a checkout stands. Read `transaction.status` to know about the money.")
class CheckoutStatus(Enum):
    """Where a checkout stands."""

    OPEN = value(
        "OPEN",
        description="It can be confirmed, or an attempt is under way; that keeps it open past `expiresAt`.",
    )
    COMPLETE = value("COMPLETE", description="Paid, or the card is saved. A refund does not change that.")
    EXPIRED = value("EXPIRED", description="Its time is over, and nothing was paid.")
    CANCELED = value(
        "CANCELED",
        description=(
            "The shop canceled it: no attempt can start. One that was under way may still succeed and make it "
            "COMPLETE."
        ),
    )


@strawberry.enum(description="A way to pay, or to have a card saved.")
class PaymentMethodType(Enum):
    """A way to pay."""

    HOSTED_PAGE = value("HOSTED_PAGE", description="On EPoint's page, to which the customer is sent.")
    SAVED_CARD = value("SAVED_CARD", description="With a saved card that the checkout offers.")
    WIDGET = value(
        "WIDGET",
        description=(
            "With Apple Pay or Google Pay in EPoint's widget, a frame inside the shop's page. In AZN only, and "
            "EPoint has to grant it to the merchant."
        ),
    )


@strawberry.enum(description="What a client token is good for.")
class ClientOperation(Enum):
    """What a client token is good for."""

    CONFIRM = value("CONFIRM", description="The mutation `confirmCheckout`.")
    READ = value("READ", description="The query `checkout`.")
    SUBSCRIBE = value("SUBSCRIBE", description="The subscription `checkoutUpdated`.")
