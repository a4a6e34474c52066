"""Payments in instalments: which cards can, and the payment with one of them."""

from typing import Annotated, Any

import strawberry

from gql_epoint.cashier.commands import InstallmentQuestion, PaymentOrder
from gql_epoint.epoint import listings
from gql_epoint.ledger.transaction import TransactionOperation
from gql_epoint.schema.access import READ, Scope
from gql_epoint.schema.context import Info, plain_text
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


@strawberry.type(description="A bank's card that pays in instalments.")
class InstallmentPlan:
    """A bank's card that pays in instalments."""

    card_id: str = strawberry.field(description="EPoint's id of the card, for `payInInstallments`. Opaque.")
    name: str = strawberry.field(description="What the customer knows it by; empty if EPoint gives no name.")
    months: list[int] = strawberry.field(description="The numbers of monthly instalments to choose from.")

    @classmethod
    def of(cls, known: listings.InstallmentPlan) -> "InstallmentPlan":
        """Build it from EPoint's answer."""
        return cls(card_id=known.card_id, name=known.name, months=list(known.months))


@strawberry.input(description="A payment on EPoint's page in monthly instalments.")
class PayInInstallmentsInput(Order):
    """A payment in monthly instalments."""

    idempotency_key: IdempotencyKey = required(KEY)
    order_id: str = required(ORDER)
    amount: MoneyInput = required(AMOUNT)
    card_id: str = required("The card that the customer chose: `InstallmentPlan.cardId`.")
    months: int = required("The number of instalments that the customer chose: one of `InstallmentPlan.months`.")
    description: str | None = optional(DESCRIPTION)
    language: Language | None = optional(LANGUAGE)
    return_urls: ReturnUrls | None = optional(URLS)

    def to_order(self, operation: TransactionOperation, **more: Any) -> PaymentOrder:
        """Return the order as the cashier takes it."""
        chosen = {"installment_card_id": plain_text(self.card_id), "installment_months": self.months}
        return super().to_order(operation, **chosen, **more)


@strawberry.type(description="What payments in instalments add to the queries.")
class InstallmentQueries:
    """What payments in instalments add to the queries."""

    @strawberry.field(
        description=(
            "Ask EPoint now which cards can pay an amount in instalments. Nothing is recorded, nothing starts. "
            "If EPoint refuses, `extensions.code` is GATEWAY_REFUSED: instalments must be granted to the merchant. "
            "If it does not answer, GATEWAY_UNAVAILABLE."
        ),
        directives=[READ],
    )
    async def installment_plans(
        self,
        info: Info,
        order_id: Annotated[str, argument("The order to pay; EPoint wants it with the question.")],
        amount: Annotated[MoneyInput, argument("What is to be paid.")],
        language: Annotated[Language | None, argument("The language of the names.")] = None,
    ) -> list[InstallmentPlan]:
        """Ask for the plans."""
        question = InstallmentQuestion(
            order_id=plain_text(order_id),
            amount=amount.amount,
            currency=amount.currency.value,
            language=language.value if language else None,
        )
        return [InstallmentPlan.of(plan) for plan in await info.context.cashier.offers.installment_plans(question)]


@strawberry.type(description="What payments in instalments add to the mutations.")
class InstallmentMutations:
    """What payments in instalments add to the mutations."""

    @mutation(
        (
            "Start a payment in instalments on EPoint's page, with a card and a number of months from "
            "`installmentPlans`. Send the customer to `transaction.nextAction`. EPoint must have granted it to the "
            "merchant. To leave the choice to EPoint's page, see `PayInput.installment`."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def pay_in_installments(
        self,
        info: Info,
        input: Annotated[PayInInstallmentsInput, argument("What to pay, and how.")],  # noqa: A002
    ) -> TransactionPayload:
        """Start a payment in instalments."""
        return await pay_for(info, input, TransactionOperation.PAY_IN_INSTALLMENTS)
