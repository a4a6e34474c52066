"""What checkouts add to the roots of the contract: for backends, and for browsers with a client token."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier.commands import Call, IssuedToken, NewCheckout, Result
from gql_epoint.cashier.watching import CheckoutStates
from gql_epoint.ledger.checkout import CheckoutState
from gql_epoint.schema import mutations, queries, subscriptions
from gql_epoint.schema.access import BROWSER, Scope
from gql_epoint.schema.checkout_inputs import (
    ConfirmCheckoutInput,
    CreateCheckoutInput,
    CreateClientTokenInput,
    to_operations,
)
from gql_epoint.schema.checkout_types import Checkout, ClientToken, find_checkout
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import UpdateKind
from gql_epoint.schema.errors import UserError
from gql_epoint.schema.running import ERRORS, REPLAYED, argument, attempt, mutation, run


def described(root: Any) -> str:
    """Return the description of a root, for the one that extends it."""
    description: str = root.__strawberry_definition__.description
    return description


@strawberry.type(description="What became of a backend's request about a checkout.")
class CheckoutPayload:
    """What became of a backend's request about a checkout."""

    checkout: Checkout | None = strawberry.field(
        description="The checkout as it is now; null if the request was refused."
    )
    client_token: ClientToken | None = strawberry.field(
        description=(
            "The browser's credential, once: null where nothing was created, also when the request is repeated. "
            "`createClientToken` makes another."
        )
    )
    replayed: bool = strawberry.field(description=REPLAYED)
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="What became of a request for a client token.")
class ClientTokenPayload:
    """What became of a request for a client token."""

    client_token: ClientToken | None = strawberry.field(
        description="The browser's credential; null if the request was refused."
    )
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="What became of a confirmation.")
class ConfirmCheckoutPayload:
    """What became of a confirmation."""

    checkout: Checkout | None = strawberry.field(
        description=(
            "The checkout as it is now; null if the request was refused. Its `transaction`, or its `savedCard` if "
            "it only saves a card, says what to do next."
        )
    )
    replayed: bool = strawberry.field(
        description="Whether no attempt was started now: the key was used before, or an attempt was under way."
    )
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="A checkout, now or after a change.")
class CheckoutUpdate:
    """A checkout, now or after a change."""

    kind: UpdateKind = strawberry.field(description="Whether this is the state at the beginning, or a newer one.")
    checkout: Checkout = strawberry.field(description="The checkout as it is now.")


@strawberry.type(description=described(queries.Query))
class Query(queries.Query):
    """What can be asked."""

    @strawberry.field(
        description="The one checkout that a client token is bound to. It takes no id, so none can be tried.",
        directives=[BROWSER],
    )
    async def checkout(self, info: Info) -> Checkout | None:
        """Find the caller's checkout."""
        return await find_checkout(info, _own_checkout(info))


@strawberry.type(description=described(mutations.Mutation))
class Mutation(mutations.Mutation):
    """What changes something."""

    @mutation(
        "Fix an order, an amount and the ways to pay, and get a client token for the customer's browser.",
        Scope.PAYMENTS_WRITE,
    )
    async def create_checkout(
        self,
        info: Info,
        input: Annotated[CreateCheckoutInput, argument("What is fixed.")],  # noqa: A002
    ) -> CheckoutPayload:
        """Make a checkout."""
        create = info.context.cashier.checkouts.create
        result, errors = await run(info, input, lambda call: create(call, input.to_order()))
        return _created(result, errors)

    @mutation(
        "Make another client token for a checkout, for example for the page to which the customer returns.",
        Scope.PAYMENTS_WRITE,
    )
    async def create_client_token(
        self,
        info: Info,
        input: Annotated[CreateClientTokenInput, argument("For which checkout.")],  # noqa: A002
    ) -> ClientTokenPayload:
        """Make another client token."""

        async def work() -> Result[IssuedToken]:
            operations = to_operations(input.operations)
            create = info.context.cashier.checkouts.create_token
            return Result(value=await create(plain_text(input.checkout_id), operations))

        result, errors = await attempt(work)
        return ClientTokenPayload(client_token=ClientToken.of(result.value) if result else None, errors=errors)

    @mutation(
        (
            "Let no further attempt start. A payment that is under way cannot be stopped: watch `transaction`. "
            "Doing it twice is doing it once."
        ),
        Scope.PAYMENTS_WRITE,
    )
    async def cancel_checkout(
        self,
        info: Info,
        id: Annotated[ID, argument("The checkout's id.")],  # noqa: A002
    ) -> CheckoutPayload:
        """Cancel a checkout."""
        result, errors = await attempt(lambda: info.context.cashier.checkouts.cancel(plain_text(id)))
        return CheckoutPayload(
            checkout=Checkout.of(result.value) if result else None,
            client_token=None,
            replayed=result.replayed if result else False,
            errors=errors,
        )

    @mutation(
        (
            "Start paying, the only mutation a browser can call. While an attempt is under way, confirming again "
            "returns it, and if it is in the widget has EPoint asked soon; after a decline it starts another."
        ),
        BROWSER,
        moves_money=True,
    )
    async def confirm_checkout(
        self,
        info: Info,
        input: Annotated[ConfirmCheckoutInput, argument("How to pay.")],  # noqa: A002
    ) -> ConfirmCheckoutPayload:
        """Start paying."""

        async def work(call: Call) -> Result[CheckoutState]:
            chosen = input.method.to_confirmation()
            confirm = info.context.cashier.checkouts.confirm
            return await confirm(call, _own_checkout(info), chosen, info.context.address)

        result, errors = await run(info, input, work)
        return ConfirmCheckoutPayload(
            checkout=Checkout.of(result.value) if result else None,
            replayed=result.replayed if result else False,
            errors=errors,
        )


@strawberry.type(description=described(subscriptions.Subscription))
class Subscription(subscriptions.Subscription):
    """What is sent when something changes."""

    @strawberry.subscription(
        description=(
            "The client token's own checkout: its state now, then whenever it, its transaction or its card has "
            "changed; some states may be skipped. Completes when nothing more is expected to happen."
        ),
        directives=[BROWSER],
    )
    async def checkout_updated(self, info: Info) -> AsyncIterator[CheckoutUpdate]:
        """Watch the caller's checkout."""
        return CheckoutUpdates(info.context.cashier.watching.checkout(_own_checkout(info)))


class CheckoutUpdates:
    """What the subscription sends. It is no generator, for there may be very many who wait."""

    __slots__ = ("_states",)

    def __init__(self, states: CheckoutStates) -> None:
        self._states = states

    def __aiter__(self) -> "CheckoutUpdates":
        return self

    async def __anext__(self) -> CheckoutUpdate:
        """Return the next update."""
        is_first, state = await anext(self._states)
        return CheckoutUpdate(
            kind=UpdateKind.SNAPSHOT if is_first else UpdateKind.CHANGE, checkout=Checkout.of(state)
        )

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to come."""
        return self._states.is_over

    async def aclose(self) -> None:
        """Stop watching."""
        await self._states.aclose()


def _own_checkout(info: Info) -> str:
    checkout_id = info.context.caller.checkout_id
    assert checkout_id is not None, "only client tokens get here, and each is bound to a checkout"
    return checkout_id


def _created(result: Result[NewCheckout] | None, errors: list[UserError]) -> CheckoutPayload:
    if result is None:
        return CheckoutPayload(checkout=None, client_token=None, replayed=False, errors=errors)
    return CheckoutPayload(
        checkout=Checkout.of(result.value.state),
        client_token=ClientToken.of(result.value.issued) if result.value.issued else None,
        replayed=result.replayed,
        errors=errors,
    )
