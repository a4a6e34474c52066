"""What pre-authorisations add to the mutations: hold an amount, take it or let it go, and settle doubts by hand."""

from decimal import Decimal
from typing import Annotated

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier import commands
from gql_epoint.ledger import holds
from gql_epoint.ledger.transaction import TransactionOperation
from gql_epoint.schema.access import Scope
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import Language
from gql_epoint.schema.hold_types import HoldFinding
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
    TransactionBy,
    given,
    optional,
    required,
)
from gql_epoint.schema.mutations import TransactionPayload, pay_for, transaction_payload
from gql_epoint.schema.running import argument, mutation, run
from gql_epoint.schema.scalars import IdempotencyKey, Json


@strawberry.input(description="A hold on the customer's card, made on EPoint's page.")
class PreauthorizeInput(Order):
    """A hold on the customer's card."""

    idempotency_key: IdempotencyKey = required(KEY)
    order_id: str = required(ORDER)
    amount: MoneyInput = required("What is held, and at most taken later. Only in AZN.")
    description: str | None = optional(DESCRIPTION)
    language: Language | None = optional(LANGUAGE)
    return_urls: ReturnUrls | None = optional(URLS)
    metadata: Json | None = optional(METADATA)


@strawberry.input(description="The taking of a hold.")
class CaptureInput:
    """The taking of a hold."""

    idempotency_key: IdempotencyKey = required(KEY)
    transaction: TransactionBy = required("The pre-authorisation, in AUTHORIZED.")
    amount: MoneyInput | None = optional(
        "How much; left out, all of it. Less than is held takes that part, and no second capture can follow: what "
        "EPoint does with the rest, and when, it does not document."
    )

    def to_order(self) -> commands.CaptureOrder:
        """Return the order as the cashier takes it."""
        money = given(self.amount)
        return commands.CaptureOrder(
            transaction=self.transaction.to_name(),
            amount=money.amount if money else None,
            currency=money.currency.value if money else None,
        )


@strawberry.input(description="The letting go of a hold.")
class CancelPreauthorizationInput:
    """The letting go of a hold."""

    idempotency_key: IdempotencyKey = required(KEY)
    transaction: TransactionBy = required("The pre-authorisation, in AUTHORIZED.")


@strawberry.input(
    description=(
        "A person's finding about a pre-authorisation in INDETERMINATE or REQUIRES_REVIEW; CAPTURED and RELEASED "
        "also settle one in AUTHORIZED that was taken or let go elsewhere."
    )
)
class ResolveHoldInput:
    """A person's finding about a pre-authorisation."""

    idempotency_key: IdempotencyKey = required(KEY)
    transaction_id: ID = required("The transaction's id in this service.")
    finding: HoldFinding = required("What was found.")
    captured_amount: Decimal | None = optional(
        "With CAPTURED: how much was taken, in the transaction's currency; left out, what the capture asked for, "
        "or all that was held."
    )
    note: str = required("How it was found, for the history: at most 1000 characters.")


@strawberry.type(description="What pre-authorisations add to the mutations.")
class HoldMutations:
    """What pre-authorisations add to the mutations."""

    @mutation(
        (
            "Start a hold on EPoint's page. Send the customer to `transaction.nextAction`; the transaction is then "
            "AUTHORIZED, and no money has moved. Go on with `capture` or `cancelPreauthorization`. EPoint must "
            "have granted pre-authorisation to the merchant."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def preauthorize(
        self,
        info: Info,
        input: Annotated[PreauthorizeInput, argument("What to hold.")],  # noqa: A002
    ) -> TransactionPayload:
        """Start a hold."""
        return await pay_for(info, input, TransactionOperation.PREAUTHORIZE)

    @mutation(
        (
            "Take what is held, all or a part, once. The transaction is then SUCCESS, with its `capturedAmount`. "
            "If EPoint declines it stays AUTHORIZED: `holdRequest.failure` says why, and a new key may try again. "
            "After a lost answer it is INDETERMINATE."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def capture(
        self,
        info: Info,
        input: Annotated[CaptureInput, argument("What to take.")],  # noqa: A002
    ) -> TransactionPayload:
        """Take what is held."""
        start = info.context.cashier.holds.capture
        return transaction_payload(*await run(info, input, lambda call: start(call, input.to_order())))

    @mutation(
        (
            "Let a hold go, all of it: the transaction is then VOIDED and the order free again. If EPoint declines "
            "it stays AUTHORIZED, and `holdRequest.failure` says why. EPoint has no call of its own for this; its "
            "`reverse` is used, as for a refund."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def cancel_preauthorization(
        self,
        info: Info,
        input: Annotated[CancelPreauthorizationInput, argument("What to let go.")],  # noqa: A002
    ) -> TransactionPayload:
        """Let a hold go."""
        start = info.context.cashier.holds.cancel
        return transaction_payload(*await run(info, input, lambda call: start(call, input.transaction.to_name())))

    @mutation(
        "Settle by hand a pre-authorisation about which EPoint does not tell. Calls nobody, moves no money.",
        Scope.LEDGER_RESOLVE,
    )
    async def resolve_hold(
        self,
        info: Info,
        input: Annotated[ResolveHoldInput, argument("The finding.")],  # noqa: A002
    ) -> TransactionPayload:
        """Settle a pre-authorisation."""
        decide = info.context.cashier.holds.resolve
        finding, captured = holds.HoldFinding(input.finding.value), given(input.captured_amount)
        transaction_id = plain_text(input.transaction_id)
        return transaction_payload(
            *await run(info, input, lambda call: decide(call, transaction_id, finding, captured, input.note))
        )
