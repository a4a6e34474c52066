"""What the widget, Apple Pay and Google Pay add to the roots of the contract. All of it is for backends.

Neither charge takes an amount, an order or a URL, so a browser could be let near them. It is not: `confirmCheckout`
stays the only mutation that it can call, and the token of a card passes through the shop's backend.
"""

from typing import Annotated, Any

import strawberry

from gql_epoint.cashier.commands import Result
from gql_epoint.epoint.operations import APPLE_PAY, GOOGLE_PAY
from gql_epoint.epoint.replies import TokenChargeReply
from gql_epoint.epoint.requests import TokenChargeRequest
from gql_epoint.epoint.wire import Operation
from gql_epoint.ledger.transaction import TransactionOperation
from gql_epoint.schema.access import Scope
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.errors import UserError
from gql_epoint.schema.mutations import TransactionPayload, pay_for, transaction_payload
from gql_epoint.schema.running import ERRORS, argument, attempt, mutation, run
from gql_epoint.schema.scalars import Json
from gql_epoint.schema.token_inputs import (
    ApplePayInput,
    ApplePaySessionInput,
    CreateTokenPaymentInput,
    CreateWidgetInput,
    GooglePayInput,
    SplitTokenPaymentInput,
    TokenChargeInput,
)

_PAYMENT = argument("What to pay.")
_CHARGE = argument("What to charge, and with which token.")
_DECIDED = (
    "The transaction is decided when this returns, or INDETERMINATE; or it is in REQUIRES_ACTION with a "
    "`RedirectAction`, because the bank wants to see the customer first (3-D Secure). It is charged once: after a "
    "decline, make another with a new `createTokenPayment`."
)


@strawberry.type(description="What became of a request for a session of Apple Pay.")
class ApplePaySessionPayload:
    """What became of a request for a session of Apple Pay."""

    session: Json | None = strawberry.field(
        description="Apple's merchant session, as it came: give it to the page. Null if the request was refused."
    )
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type
class TokenMutations:
    """What the widget, Apple Pay and Google Pay add to the mutations."""

    @mutation(
        (
            "Start a payment with Apple Pay or Google Pay in EPoint's widget, which needs nothing else of the "
            "shop. Show it as `transaction.nextAction` says. EPoint has to grant it to the merchant."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def create_widget(
        self,
        info: Info,
        input: Annotated[CreateWidgetInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Start a payment in the widget."""
        return await pay_for(info, input, TransactionOperation.WIDGET)

    @mutation(
        (
            "Start a payment with Apple Pay or Google Pay on the shop's own page: `transaction.nextAction` is a "
            "`TokenPayAction`. Nothing is charged until `applePay` or `googlePay`. EPoint has to grant it to the "
            "merchant."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def create_token_payment(
        self,
        info: Info,
        input: Annotated[CreateTokenPaymentInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Start a payment with a token."""
        return await pay_for(info, input, TransactionOperation.TOKEN_PAYMENT)

    @mutation(
        (
            "Start a payment with Apple Pay or Google Pay on EPoint's page; a part goes to another merchant. "
            "EPoint has to grant it to the merchant."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def split_token_payment(
        self,
        info: Info,
        input: Annotated[SplitTokenPaymentInput, _PAYMENT],  # noqa: A002
    ) -> TransactionPayload:
        """Start a split payment with a token."""
        return await pay_for(info, input, TransactionOperation.SPLIT_TOKEN_PAYMENT)

    @mutation(
        (
            "Get the session that Apple Pay asks for before it opens: `session` of the endpoints of EPoint's "
            "script. It charges nothing and can be repeated."
        ),
        Scope.PAYMENTS_WRITE,
    )
    async def apple_pay_session(
        self,
        info: Info,
        input: Annotated[ApplePaySessionInput, argument("For which page.")],  # noqa: A002
    ) -> ApplePaySessionPayload:
        """Get a session for Apple Pay."""

        async def work() -> Result[Any]:
            return Result(value=await info.context.cashier.tokens.apple_session(plain_text(input.origin)))

        result, errors = await attempt(work)
        return ApplePaySessionPayload(session=Json(result.value) if result else None, errors=errors)

    @mutation(f"Charge Apple Pay's token. {_DECIDED}", Scope.PAYMENTS_WRITE, moves_money=True)
    async def apple_pay(
        self,
        info: Info,
        input: Annotated[ApplePayInput, _CHARGE],  # noqa: A002
    ) -> TransactionPayload:
        """Charge Apple Pay's token."""
        return await _charge(info, input, APPLE_PAY)

    @mutation(f"Charge Google Pay's token. {_DECIDED}", Scope.PAYMENTS_WRITE, moves_money=True)
    async def google_pay(
        self,
        info: Info,
        input: Annotated[GooglePayInput, _CHARGE],  # noqa: A002
    ) -> TransactionPayload:
        """Charge Google Pay's token."""
        return await _charge(info, input, GOOGLE_PAY)


async def _charge(
    info: Info, request: TokenChargeInput, operation: Operation[TokenChargeRequest, TokenChargeReply]
) -> TransactionPayload:
    charge = info.context.cashier.tokens.charge
    return transaction_payload(*await run(info, request, lambda call: charge(call, request.to_order(operation))))
