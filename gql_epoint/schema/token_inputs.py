"""Inputs of the widget, of Apple Pay and of Google Pay."""

from __future__ import annotations

from typing import Any, ClassVar

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier import commands
from gql_epoint.epoint.operations import Operation, TokenChargeReply, TokenChargeRequest
from gql_epoint.schema.access import Pii
from gql_epoint.schema.context import plain_text
from gql_epoint.schema.enums import Language
from gql_epoint.schema.inputs import MoneyInput, PaymentInput, ReturnUrls, SplitInput, given, optional, required
from gql_epoint.schema.scalars import IdempotencyKey, Json

_KEY = "Names this one intention. The same key with another input is refused."
_ORDER = (
    "The merchant's own reference, at most 240 characters. An order is paid at most once, whatever the keys are."
)
_AMOUNT = "What the customer pays. Only in AZN."
_DESCRIPTION = "What the customer reads, at most 1000 characters; left out, the order id."
_METADATA = "A JSON object of at most 4 kB for the merchant's own use. It comes back equal; EPoint does not get it."
_LANGUAGE = "The language of EPoint's messages; left out, the one from the service's settings."


@strawberry.input(description="A payment in EPoint's widget.")
class CreateWidgetInput(PaymentInput):
    """A payment in EPoint's widget."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    description: str | None = optional(_DESCRIPTION)
    metadata: Json | None = optional(_METADATA)


@strawberry.input(description="A payment with Apple Pay or Google Pay on the shop's own page.")
class CreateTokenPaymentInput(PaymentInput):
    """A payment with Apple Pay or Google Pay."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    description: str | None = optional(_DESCRIPTION)
    language: Language | None = optional(_LANGUAGE)
    metadata: Json | None = optional(_METADATA)


@strawberry.input(description="A payment with Apple Pay or Google Pay of which a part goes to another merchant.")
class SplitTokenPaymentInput(PaymentInput):
    """A split payment with Apple Pay or Google Pay."""

    idempotency_key: IdempotencyKey = required(_KEY)
    order_id: str = required(_ORDER)
    amount: MoneyInput = required(_AMOUNT)
    split: SplitInput = required("The part that goes to another merchant.")
    description: str | None = optional("What the customer reads, at most 1000 characters.")
    language: Language | None = optional("The language of EPoint's page and messages; left out, the settings' one.")
    return_urls: ReturnUrls | None = optional(
        "Where EPoint sends the customer; left out, as the service's settings say, or else EPoint's dashboard."
    )
    metadata: Json | None = optional(
        "A JSON object of at most 4 kB for the merchant's own use. It comes back equal, and EPoint gets it as "
        "`other_attr`."
    )


_TRANSACTION = "The transaction that `createTokenPayment` made, in REQUIRES_ACTION."
_ONE_KEY = f"{_KEY} The token is not part of the comparison: nothing that is made of it is kept."
_CONTACT = "What EPoint's script sends beside it as `billingContact`, at most 4 kB. It goes the same way."


def _token(what: str) -> Any:
    return strawberry.field(
        description=(
            f"{what}, as EPoint's script sends it to the shop's backend: at most 32 kB. It is passed on to EPoint "
            "as it is, and neither stored nor logged."
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
