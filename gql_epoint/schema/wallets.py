"""Payments by wallet: which wallets there are, and the payment on the page of one."""

from typing import Annotated, Any

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier.commands import PaymentOrder
from gql_epoint.epoint import listings
from gql_epoint.ledger.transaction import TransactionOperation
from gql_epoint.schema.access import READ, Scope
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import Language
from gql_epoint.schema.inputs import DESCRIPTION, KEY, LANGUAGE, ORDER, MoneyInput, Order, optional, required
from gql_epoint.schema.mutations import TransactionPayload, pay_for
from gql_epoint.schema.running import argument, mutation
from gql_epoint.schema.scalars import IdempotencyKey


@strawberry.type(description="A wallet that a customer can pay with, such as m10.")
class Wallet:
    """A wallet that a customer can pay with."""

    id: ID = strawberry.field(
        description="EPoint's id of the wallet, for `payWithWallet`. Opaque, and nothing that `Query.node` knows."
    )
    name: str = strawberry.field(description="What the customer knows it by.")

    @classmethod
    def of(cls, known: listings.Wallet) -> "Wallet":
        """Build it from EPoint's answer."""
        return cls(id=ID(known.id), name=known.name)


@strawberry.input(
    description=(
        "A payment on the page of a wallet. EPoint takes no return addresses here: the customer comes back to "
        "those of its dashboard."
    )
)
class PayWithWalletInput(Order):
    """A payment on the page of a wallet."""

    idempotency_key: IdempotencyKey = required(KEY)
    order_id: str = required(ORDER)
    amount: MoneyInput = required("What the customer pays. Only in AZN.")
    wallet_id: ID = required("The wallet that the customer chose: `Wallet.id`.")
    description: str | None = optional(DESCRIPTION)
    language: Language | None = optional(LANGUAGE)

    def to_order(self, operation: TransactionOperation, **more: Any) -> PaymentOrder:
        """Return the order as the cashier takes it."""
        return super().to_order(operation, wallet_id=plain_text(self.wallet_id), **more)


@strawberry.type(description="What wallets add to the queries.")
class WalletQueries:
    """What wallets add to the queries."""

    @strawberry.field(
        description=(
            "Ask EPoint now which wallets a customer can pay with. If EPoint refuses, `extensions.code` is "
            "GATEWAY_REFUSED: wallets must be granted to the merchant. If it does not answer, GATEWAY_UNAVAILABLE."
        ),
        directives=[READ],
    )
    async def wallets(self, info: Info) -> list[Wallet]:
        """Ask for the wallets."""
        return [Wallet.of(wallet) for wallet in await info.context.cashier.offers.wallets()]


@strawberry.type(description="What wallets add to the mutations.")
class WalletMutations:
    """What wallets add to the mutations."""

    @mutation(
        (
            "Start a payment on the page of one of `wallets`. Send the customer to `transaction.nextAction`. "
            "EPoint must have granted wallets to the merchant."
        ),
        Scope.PAYMENTS_WRITE,
        moves_money=True,
    )
    async def pay_with_wallet(
        self,
        info: Info,
        input: Annotated[PayWithWalletInput, argument("What to pay, and with which wallet.")],  # noqa: A002
    ) -> TransactionPayload:
        """Start a payment by wallet."""
        return await pay_for(info, input, TransactionOperation.PAY_WITH_WALLET)
