"""Payments by American Express, which EPoint takes on a page of its own."""

from typing import Annotated

import strawberry

from gql_epoint.ledger.transaction import TransactionOperation
from gql_epoint.schema.access import Scope
from gql_epoint.schema.context import Info
from gql_epoint.schema.enums import Language
from gql_epoint.schema.inputs import (
    AMOUNT,
    DESCRIPTION,
    KEY,
    LANGUAGE,
    ORDER,
    URLS,
    MoneyInput,
    Order,
    ReturnUrls,
    optional,
    required,
)
from gql_epoint.schema.mutations import TransactionPayload, pay_for
from gql_epoint.schema.running import argument, mutation
from gql_epoint.schema.scalars import IdempotencyKey


@strawberry.input(description="A payment on EPoint's page by an American Express card.")
class PayWithAmexInput(Order):
    """A payment by an American Express card."""

    idempotency_key: IdempotencyKey = required(KEY)
    order_id: str = required(ORDER)
    amount: MoneyInput = required(AMOUNT)
    description: str | None = optional(DESCRIPTION)
    language: Language | None = optional(LANGUAGE)
    return_urls: ReturnUrls | None = optional(URLS)


@strawberry.type(description="What American Express adds to the mutations.")
class AmexMutations:
    """What American Express adds to the mutations."""

    @mutation(
        (
            "Start a payment on EPoint's page for American Express; it is a mutation of its own because that page "
            "is one, so the customer chooses the card first. Send the customer to `transaction.nextAction`. EPoint "
            "must have granted American Express to the merchant."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def pay_with_amex(
        self,
        info: Info,
        input: Annotated[PayWithAmexInput, argument("What to pay.")],  # noqa: A002
    ) -> TransactionPayload:
        """Start a payment by American Express."""
        return await pay_for(info, input, TransactionOperation.PAY_WITH_AMEX)
