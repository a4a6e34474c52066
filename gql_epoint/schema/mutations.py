"""Mutations: each hands its input to the cashier and shows what came of it."""

from typing import Annotated, Any

import strawberry

from gql_epoint.cashier.commands import Result
from gql_epoint.ledger import transaction as ledger
from gql_epoint.ledger.transaction import TransactionOperation
from gql_epoint.schema.access import Scope
from gql_epoint.schema.context import Info
from gql_epoint.schema.enums import PayEndpoint, Resolution
from gql_epoint.schema.errors import UserError
from gql_epoint.schema.inputs import (
    PayAndSaveCardInput,
    PayInput,
    PayoutInput,
    PayWithSavedCardInput,
    RefundInput,
    ResolveRefundInput,
    ResolveTransactionInput,
    SaveCardInput,
    SplitPayAndSaveCardInput,
    SplitPayInput,
    SplitPayWithSavedCardInput,
    TransactionBy,
    given,
)
from gql_epoint.schema.running import ERRORS, REPLAYED, argument, attempt, mutation, run
from gql_epoint.schema.types import Refund, SavedCard, Transaction


@strawberry.type(description="What became of a request about a transaction.")
class TransactionPayload:
    """What became of a request about a transaction."""

    transaction: Transaction | None = strawberry.field(
        description="The transaction as it is now; null if the request was refused."
    )
    replayed: bool = strawberry.field(description=REPLAYED)
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="What became of a request about a saved card.")
class SavedCardPayload:
    """What became of a request about a saved card."""

    saved_card: SavedCard | None = strawberry.field(
        description="The saved card as it is now; null if the request was refused."
    )
    replayed: bool = strawberry.field(description=REPLAYED)
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="What became of a request about a refund.")
class RefundPayload:
    """What became of a request about a refund."""

    refund: Refund | None = strawberry.field(
        description="The refund as it is now; null if the request was refused."
    )
    replayed: bool = strawberry.field(description=REPLAYED)
    errors: list[UserError] = strawberry.field(description=ERRORS)


_PAYMENT = argument("What to pay.")


@strawberry.type(
    description=(
        "What changes something. Expected failures are in `errors` of each payload; a decline is in the object "
        "itself."
    )
)
class Mutation:
    """What changes something."""

    @mutation(
        "Start a payment on EPoint's page. Send the customer to `transaction.nextAction`.",
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def pay(self, info: Info, input: Annotated[PayInput, _PAYMENT]) -> TransactionPayload:  # noqa: A002
        """Start a payment on EPoint's page."""
        by_plugin_path = given(input.endpoint) is PayEndpoint.PAYMENT_REQUEST
        operation = TransactionOperation.PAYMENT_REQUEST if by_plugin_path else TransactionOperation.PAY
        return await _pay(info, input, operation)

    @mutation(
        (
            "Charge a saved card, without the customer. The transaction is decided when this returns, or "
            "INDETERMINATE."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def pay_with_saved_card(
        self,
        info: Info,
        input: Annotated[PayWithSavedCardInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Charge a saved card."""
        return await _pay(info, input, TransactionOperation.PAY_WITH_SAVED_CARD)

    @mutation(
        "Start a payment on EPoint's page that also saves the card: see `transaction.savedCard`.",
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def pay_and_save_card(
        self,
        info: Info,
        input: Annotated[PayAndSaveCardInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Start a payment that saves the card."""
        return await _pay(info, input, TransactionOperation.PAY_AND_SAVE_CARD)

    @mutation(
        "Start saving a card on EPoint's page, without a payment. Send the customer to `savedCard.nextAction`.",
        Scope.PAYMENTS_WRITE,
    )
    async def save_card(
        self,
        info: Info,
        input: Annotated[SaveCardInput, argument("What to save it for.")],  # noqa: A002
    ) -> SavedCardPayload:
        """Start saving a card."""
        result, errors = await run(
            info, input, lambda call: info.context.cashier.cards.start(call, input.to_order())
        )
        return SavedCardPayload(
            saved_card=SavedCard.of(result.value) if result else None,
            replayed=result.replayed if result else False,
            errors=errors,
        )

    @mutation(
        "Start a payment on EPoint's page of which a part goes to another merchant.",
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def split_pay(
        self,
        info: Info,
        input: Annotated[SplitPayInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Start a split payment."""
        return await _pay(info, input, TransactionOperation.SPLIT_PAY)

    @mutation(
        "Charge a saved card, without the customer; a part goes to another merchant.",
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def split_pay_with_saved_card(
        self,
        info: Info,
        input: Annotated[SplitPayWithSavedCardInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Charge a saved card and split the payment."""
        return await _pay(info, input, TransactionOperation.SPLIT_PAY_WITH_SAVED_CARD)

    @mutation(
        "Start a payment on EPoint's page that also saves the card; a part goes to another merchant.",
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def split_pay_and_save_card(
        self,
        info: Info,
        input: Annotated[SplitPayAndSaveCardInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Start a split payment that saves the card."""
        return await _pay(info, input, TransactionOperation.SPLIT_PAY_AND_SAVE_CARD)

    @mutation(
        (
            "Send the merchant's money to a card that was saved for payouts. Decided when this returns, or "
            "INDETERMINATE."
        ),
        Scope.PAYOUTS_WRITE,
        moves_money=True,
    )
    async def payout(
        self,
        info: Info,
        input: Annotated[PayoutInput, argument("What to pay out.")],  # noqa: A002
    ) -> TransactionPayload:
        """Send money to a saved card."""
        return await _pay(info, input, TransactionOperation.PAYOUT)

    @mutation(
        (
            "Give a payment back to the customer: all that is left of it, or a part. All refunds together never "
            "exceed it."
        ),
        Scope.REFUNDS_WRITE,
        moves_money=True,
    )
    async def refund(
        self,
        info: Info,
        input: Annotated[RefundInput, argument("What to refund.")],  # noqa: A002
    ) -> RefundPayload:
        """Give money back."""
        return _refund(
            *await run(info, input, lambda call: info.context.cashier.refunds.start(call, input.to_order()))
        )

    @mutation(
        "Ask EPoint for the truth now, and record it. Adopts an EPoint transaction that was made elsewhere.",
        Scope.PAYMENTS_WRITE,
    )
    async def refresh_transaction(
        self, info: Info, by: Annotated[TransactionBy, argument("Which transaction.")]
    ) -> TransactionPayload:
        """Ask get-status now."""
        actor = info.context.caller.name
        return _transaction(*await attempt(lambda: info.context.cashier.lookup.refresh(by.to_name(), actor)))

    @mutation(
        "Settle by hand a transaction that is INDETERMINATE or in REQUIRES_REVIEW. Calls nobody, moves no money.",
        Scope.LEDGER_RESOLVE,
    )
    async def resolve_transaction(
        self,
        info: Info,
        input: Annotated[ResolveTransactionInput, argument("The finding.")],  # noqa: A002
    ) -> TransactionPayload:
        """Settle a transaction."""
        decide = info.context.cashier.resolutions.transaction
        succeeded = input.resolution is Resolution.SUCCEEDED
        return _transaction(
            *await run(info, input, lambda call: decide(call, input.transaction_id, succeeded, input.note))
        )

    @mutation(
        "Settle by hand a refund that is INDETERMINATE. Calls nobody, moves no money.",
        Scope.LEDGER_RESOLVE,
    )
    async def resolve_refund(
        self,
        info: Info,
        input: Annotated[ResolveRefundInput, argument("The finding.")],  # noqa: A002
    ) -> RefundPayload:
        """Settle a refund."""
        decide = info.context.cashier.resolutions.refund
        succeeded = input.resolution is Resolution.SUCCEEDED
        return _refund(*await run(info, input, lambda call: decide(call, input.refund_id, succeeded, input.note)))


async def _pay(info: Info, order: Any, operation: TransactionOperation) -> TransactionPayload:
    start = info.context.cashier.payments.start
    return _transaction(*await run(info, order, lambda call: start(call, order.to_order(operation))))


def _transaction(result: Result[ledger.Transaction] | None, errors: list[UserError]) -> TransactionPayload:
    return TransactionPayload(
        transaction=Transaction.of(result.value) if result else None,
        replayed=result.replayed if result else False,
        errors=errors,
    )


def _refund(result: Result[ledger.Refund] | None, errors: list[UserError]) -> RefundPayload:
    return RefundPayload(
        refund=Refund.of(result.value) if result else None,
        replayed=result.replayed if result else False,
        errors=errors,
    )


# For the mutations that have modules of their own.
pay_for, transaction_payload = _pay, _transaction
