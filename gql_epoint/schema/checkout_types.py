"""Checkouts and client tokens as the contract shows them, to backends and to browsers."""

from datetime import datetime
from typing import Self

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier.commands import IssuedToken
from gql_epoint.ledger.checkout import CheckoutState
from gql_epoint.schema.context import Info
from gql_epoint.schema.enums import CheckoutPurpose, CheckoutStatus, ClientOperation, PaymentMethodType
from gql_epoint.schema.types import SavedCard, Transaction
from gql_epoint.schema.values import Money, Node


@strawberry.type(
    description=(
        "What a backend fixes before a browser gets involved. The browser gets a client token for it and can only "
        "say when and how to pay. At most one of its transactions can succeed."
    )
)
class Checkout(Node):
    """What a backend fixes before a browser gets involved."""

    record: strawberry.Private[CheckoutState]
    purpose: CheckoutPurpose = strawberry.field(description="What it is for.")
    order_id: str = strawberry.field(description="The merchant's order id.")
    amount: Money | None = strawberry.field(description="What the customer pays; null where a card is saved only.")
    description: str | None = strawberry.field(description="What the customer reads.")
    status: CheckoutStatus = strawberry.field(description="Where it stands.")
    methods: list[PaymentMethodType] = strawberry.field(description="The ways to pay that it offers.")
    attempts_left: int = strawberry.field(description="How many more attempts may start.")
    expires_at: datetime = strawberry.field(
        description="Until when an attempt may start; one that is under way then goes on to its end."
    )

    @strawberry.field(description="The saved cards that it offers and that can be used now.")
    async def saved_cards(self, info: Info) -> list[SavedCard]:
        """The cards, read from the books."""
        cards = await info.context.cashier.checkouts.offered_cards(self.record.checkout)
        return [SavedCard.of(card) for card in cards]

    @strawberry.field(
        description="The attempt that counts: the paid one, else the one under way, else the latest; null before."
    )
    def transaction(self) -> Transaction | None:
        """The attempt that counts."""
        return Transaction.of(self.record.transaction) if self.record.transaction else None

    @strawberry.field(description="The card that it saves, from the first attempt on; null if it saves none.")
    def saved_card(self) -> SavedCard | None:
        """The card that it saves."""
        return SavedCard.of(self.record.card) if self.record.card else None

    @classmethod
    def of(cls, state: CheckoutState) -> Self:
        """Build it from the ledger's value."""
        known = state.checkout
        return cls(
            record=state,
            id=ID(known.id),
            purpose=CheckoutPurpose(known.purpose.value),
            order_id=known.order_id,
            amount=Money.of(known.amount, known.currency) if known.amount and known.currency else None,
            description=known.description,
            status=CheckoutStatus(state.status.value),
            methods=[method for method in PaymentMethodType if method.value in known.methods],
            attempts_left=known.attempts_left,
            expires_at=known.expires_at,
        )


@strawberry.type(
    description=(
        "A browser's credential for one checkout: `Authorization: Bearer ct_…`. It is shown this once, and stored "
        "only as a hash."
    )
)
class ClientToken:
    """A browser's credential for one checkout."""

    secret: str = strawberry.field(description="What the browser presents. Send it to this one customer only.")
    operations: list[ClientOperation] = strawberry.field(description="What it is good for.")
    expires_at: datetime = strawberry.field(
        description="When it stops working: 15 minutes after the checkout, so that a last payment can be watched."
    )

    @classmethod
    def of(cls, issued: IssuedToken) -> Self:
        """Build it from the cashier's value."""
        return cls(
            secret=issued.secret,
            operations=[operation for operation in ClientOperation if operation.value in issued.token.operations],
            expires_at=issued.token.expires_at,
        )


async def find_checkout(info: Info, checkout_id: str) -> Checkout | None:
    """Return a checkout by its id."""
    state = await info.context.cashier.checkouts.state(checkout_id)
    return Checkout.of(state) if state else None
