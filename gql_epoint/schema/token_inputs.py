"""Inputs of the widget, of Apple Pay and of Google Pay."""

from typing import Any, ClassVar

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier import commands
from gql_epoint.epoint.replies import TokenChargeReply
from gql_epoint.epoint.requests import TokenChargeRequest
from gql_epoint.epoint.wire import Operation
from gql_epoint.schema.access import Pii
from gql_epoint.schema.context import plain_text
from gql_epoint.schema.enums import Language
from gql_epoint.schema.inputs import (
    DESCRIPTION,
    KEY,
    LANGUAGE,
    METADATA,
    ORDER,
    URLS,
    MoneyInput,
    Order,
    ReturnUrls,
    SplitInput,
    given,
    optional,
    required,
)
from gql_epoint.schema.scalars import IdempotencyKey, Json

_AMOUNT = "What the customer pays. Only in AZN."
_DESCRIPTION = "What the customer reads, at most 1000 characters; left out, the order id."
_METADATA = "A JSON object of at most 4 kB for the merchant's own use. It comes back equal; EPoint does not get it."


@strawberry.input(description="A payment in EPoint's widget.")
class CreateWidgetInput(Order):
    """A payment in EPoint's widget."""

    idempotency_key: IdempotencyKey = required(KEY)
    order_id: str = required(ORDER)
    amount: MoneyInput = required(_AMOUNT)
    description: str | None = optional(_DESCRIPTION)
    metadata: Json | None = optional(_METADATA)


@strawberry.input(description="A payment with Apple Pay or Google Pay on the shop's own page.")
class CreateTokenPaymentInput(Order):
    """A payment with Apple Pay or Google Pay."""

    idempotency_key: IdempotencyKey = required(KEY)
    order_id: str = required(ORDER)
    amount: MoneyInput = required(_AMOUNT)
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(LANGUAGE)
    metadata: Json | None = optional(_METADATA)


@strawberry.input(description="A payment with Apple Pay or Google Pay of which a part goes to another merchant.")
class SplitTokenPaymentInput(Order):
    """A split payment with Apple Pay or Google Pay."""

    idempotency_key: IdempotencyKey = required(KEY)
    order_id: str = required(ORDER)
    amount: MoneyInput = required(_AMOUNT)
    split: SplitInput = required("The part that goes to another merchant.")
    description: str | None = optional(DESCRIPTION)
    language: Language | None = optional(LANGUAGE)
    return_urls: ReturnUrls | None = optional(URLS)
    metadata: Json | None = optional(METADATA)


_TRANSACTION = "The transaction that `createTokenPayment` made, in REQUIRES_ACTION."
_ONE_KEY = f"{KEY} The token is not part of the comparison: nothing that is made of it is kept."
_CONTACT = "What EPoint's script sends beside it as `billingContact`, at most 4 kB. It goes the same way."


def _token(what: str) -> Any:
    return strawberry.field(
        description=(
            f"{what}, as EPoint's script sends it to the shop's backend: at most 32 kB. It is passed on to EPoint "
            "as it is, and neither stored nor logged. Send it in a variable, never in the document."
        ),
        directives=[Pii()],
    )


class TokenChargeInput:
    """What both charges of a token have in common."""

    # A transaction is charged once, so that the token does not tell two requests with one key apart.
    not_hashed: ClassVar[tuple[str, ...]] = ("token", "billing_contact")

    idempotency_key: IdempotencyKey
    transaction_id: ID
    token: Json
    billing_contact: Json | None

    def to_order(self, operation: Operation[TokenChargeRequest, TokenChargeReply]) -> commands.TokenCharge:
        """Return the charge as the cashier takes it."""
        return commands.TokenCharge(
            operation=operation,
            transaction_id=plain_text(self.transaction_id),
            token=self.token,
            billing_contact=given(self.billing_contact),
        )


@strawberry.input(description="A charge of the token that Apple Pay gave to the customer's page.")
class ApplePayInput(TokenChargeInput):
    """A charge of Apple Pay's token."""

    idempotency_key: IdempotencyKey = required(_ONE_KEY)
    transaction_id: ID = required(_TRANSACTION)
    token: Json = _token("Apple's token, an object")
    billing_contact: Json | None = optional(_CONTACT, directives=[Pii()])


@strawberry.input(description="A charge of the token that Google Pay gave to the customer's page.")
class GooglePayInput(TokenChargeInput):
    """A charge of Google Pay's token."""

    idempotency_key: IdempotencyKey = required(_ONE_KEY)
    transaction_id: ID = required(_TRANSACTION)
    token: Json = _token("Google's token, a text or an object")
    billing_contact: Json | None = optional(_CONTACT, directives=[Pii()])


@strawberry.input(description="The page on which Apple Pay is about to open.")
class ApplePaySessionInput:
    """The page on which Apple Pay is about to open."""

    origin: str = required(
        "The page's origin, such as `https://shop.example`: one of GQL_EPOINT_APPLE_PAY_ORIGINS, or without that "
        "setting of GQL_EPOINT_ALLOWED_ORIGINS."
    )
