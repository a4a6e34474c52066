"""The small parts that objects of the contract are made of."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self, Union

import strawberry
from strawberry.scalars import ID

from gql_epoint.ledger import transaction as ledger
from gql_epoint.schema.access import READ, Pii
from gql_epoint.schema.declines import shown_to_browsers
from gql_epoint.schema.enums import Currency, FailureCategory
from gql_epoint.schema.scalars import Url
from gql_epoint.schema.token_actions import EmbedWidgetAction, TokenPayAction


@strawberry.interface(description="An object with an id, which `Query.node` finds again.")
class Node:
    """An object with an id."""

    id: ID = strawberry.field(description="Names the object in this service, for ever. Opaque: do not parse it.")


@strawberry.type(description="An amount of money.")
class Money:
    """An amount of money."""

    amount: Decimal = strawberry.field(
        description="In units of the currency, with all of its decimal places: `10.50`, never `10.5`."
    )
    currency: Currency = strawberry.field(description="What the amount is counted in.")

    @classmethod
    def of(cls, amount: Decimal, currency: str) -> Self:
        """Return the amount with at least the currency's places; more are kept, for nothing is rounded."""
        places = -ledger.CURRENCY_PLACES.get(currency, 0)
        exponent = amount.as_tuple().exponent
        if isinstance(exponent, int) and exponent > places:
            amount = amount.quantize(Decimal(1).scaleb(places))
        return cls(amount=amount, currency=Currency(currency))


@strawberry.type(description="Why a payment or refund failed. A decline is data, not an error of the request.")
class Failure:
    """Why a payment or refund failed."""

    category: FailureCategory = strawberry.field(description="What a program can branch on.")
    bank_code: str | None = strawberry.field(
        description="The bank's response code as it came, such as `116`. An open vocabulary: expect unknown ones.",
        directives=[READ],
    )
    message: str = strawberry.field(description="A sentence in English for people. Do not branch on it.")
    retryable: bool = strawberry.field(
        description="Whether the customer may simply try again at once (with a new idempotency key)."
    )

    @classmethod
    def of(cls, failure: ledger.Failure | None, *, for_browser: bool = False) -> Self | None:
        """Build it from the ledger's value, or from what a browser may know of it."""
        if failure is None:
            return None
        failure = shown_to_browsers(failure) if for_browser else failure
        return cls(
            category=FailureCategory(failure.category.value),
            bank_code=failure.bank_code,
            message=failure.message,
            retryable=failure.retryable,
        )


@strawberry.type(description="Send the customer to a page of EPoint.")
class RedirectAction:
    """Send the customer to a page of EPoint."""

    url: Url = strawberry.field(
        description="Where to send the customer's browser, in the whole window. EPoint sends it back afterwards."
    )


NextAction = Annotated[
    Union[RedirectAction, EmbedWidgetAction, TokenPayAction],  # noqa: UP007
    strawberry.union(
        "NextAction",
        description=(
            "What the customer has to do now. More kinds may come: select `__typename`, and handle one you do not "
            "know by telling the customer that the payment cannot go on here."
        ),
    ),
]


def next_action(known: ledger.Transaction) -> RedirectAction | EmbedWidgetAction | TokenPayAction | None:
    """Return what the customer of a transaction has to do."""
    if known.status is not ledger.Status.REQUIRES_ACTION:
        return None
    if known.redirect_url and known.operation is ledger.TransactionOperation.WIDGET:
        return EmbedWidgetAction.of(known.redirect_url)
    if known.token_payment_id and not known.redirect_url:
        return TokenPayAction(payment_id=known.token_payment_id)
    return redirect(known.redirect_url)


def redirect(url: str | None) -> RedirectAction | None:
    """Return the step that a redirect URL stands for."""
    return RedirectAction(url=Url(url)) if url else None


@strawberry.type(description="The part of a payment that goes to another merchant.")
class Split:
    """The part of a payment that goes to another merchant."""

    user: str = strawberry.field(description="EPoint's public id of the other merchant, such as `i000000002`.")
    amount: Money = strawberry.field(description="What the other merchant gets, out of the whole amount.")


@strawberry.type(description="EPoint's own words and references, as last heard. For support and accounting.")
class GatewayReference:
    """EPoint's own words and references."""

    status: str | None = strawberry.field(
        description=(
            "EPoint's own word for the state, such as `success`. An open vocabulary: prefer `status` beside it."
        )
    )
    transaction_id: str | None = strawberry.field(
        description="EPoint's id of the transaction, such as `te000000001`."
    )
    bank_transaction_id: str | None = strawberry.field(description="The bank's id of the transaction.")
    bank_response: str | None = strawberry.field(description="The bank's answer in its own words.")
    operation_code: str | None = strawberry.field(
        description="EPoint's code of the kind of operation, such as `100`."
    )
    rrn: str | None = strawberry.field(description="The retrieval reference number, by which banks find a payment.")
    trace_id: str | None = strawberry.field(description="EPoint's id of the call, for its support.")
    last_confirmed_at: datetime | None = strawberry.field(
        description="When EPoint last said something about the transaction."
    )

    @classmethod
    def of(cls, reference: ledger.GatewayReference) -> Self:
        """Build it from the ledger's value."""
        return cls(
            status=reference.status,
            transaction_id=reference.transaction_id,
            bank_transaction_id=reference.bank_transaction_id,
            bank_response=reference.bank_response,
            operation_code=reference.operation_code,
            rrn=reference.rrn,
            trace_id=reference.trace_id,
            last_confirmed_at=reference.last_confirmed_at,
        )


@strawberry.type(description="What may be shown of a bank card.")
class CardDetails:
    """What may be shown of a bank card."""

    mask: str | None = strawberry.field(
        description="The number with its middle hidden, such as `416973******1234`.", directives=[Pii()]
    )
    holder_name: str | None = strawberry.field(
        description="The name on the card, as the bank reports it.", directives=[Pii(), READ]
    )

    @classmethod
    def of(cls, mask: str | None, holder_name: str | None) -> Self | None:
        """Return what is known, or None if that is nothing."""
        return cls(mask=mask, holder_name=holder_name) if mask or holder_name else None
