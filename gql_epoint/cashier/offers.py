"""What EPoint offers a merchant's customers to choose from, asked now; nothing is recorded."""

from __future__ import annotations

from collections.abc import Sequence

from gql_epoint.cashier.commands import InstallmentQuestion
from gql_epoint.cashier.desk import Books, gateway_said_no
from gql_epoint.cashier.validation import check_order_id, checked_amount
from gql_epoint.epoint.listings import InstallmentPlan, Wallet, read_installment_plans, read_wallets
from gql_epoint.epoint.operations import INSTALLMENT_PLANS, WALLETS
from gql_epoint.epoint.requests import InstallmentPlansRequest, WalletsRequest
from gql_epoint.epoint.wire import Reply
from gql_epoint.ledger.words import said


class OfferDesk:
    """Questions about ways to pay. Each raises GatewayError, and RefusedError for what EPoint refuses to tell."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def installment_plans(self, question: InstallmentQuestion) -> Sequence[InstallmentPlan]:
        """Return the cards that can pay an amount in instalments."""
        check_order_id(question.order_id)
        request = InstallmentPlansRequest(
            currency=question.currency,
            language=question.language or self._books.defaults.language,
            order_id=question.order_id,
            amount=checked_amount(question.amount, question.currency),
        )
        reply = await self._books.gateway.call(INSTALLMENT_PLANS, request)
        if reply.plans is None:
            raise _refusal(reply, INSTALLMENT_PLANS.grant)
        return read_installment_plans(reply.plans)

    async def wallets(self) -> Sequence[Wallet]:
        """Return the wallets that a customer can pay with."""
        reply = await self._books.gateway.call(WALLETS, WalletsRequest())
        if reply.wallets is None:
            raise _refusal(reply, WALLETS.grant)
        return read_wallets(reply.wallets)


def _refusal(reply: Reply, grant: str | None) -> Exception:
    return gateway_said_no(said(reply), "to answer", grant)
