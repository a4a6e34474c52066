"""GraphQL with Strawberry as its documentation shows it: a schema of the same shape as ours, and its own view."""

# Strawberry reads annotations when the classes are made, so they are written without postponing.
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union

import strawberry
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL


@strawberry.enum
class Currency(Enum):
    AZN = "AZN"


@strawberry.input
class MoneyInput:
    amount: Decimal
    currency: Currency


@strawberry.input
class PayInput:
    idempotency_key: str
    order_id: str
    amount: MoneyInput
    description: str | None = None


@strawberry.type
class RedirectAction:
    url: str


@strawberry.type
class Transaction:
    id: strawberry.ID
    status: str
    next_action: Annotated[Union[RedirectAction], strawberry.union("NextAction")] | None  # noqa: UP007


@strawberry.type
class UserError:
    code: str
    message: str


@strawberry.type
class TransactionPayload:
    transaction: Transaction | None
    replayed: bool
    errors: list[UserError]


def build(client: Any) -> Starlette:
    """Return the application over an EPoint client."""

    @strawberry.type
    class Query:
        @strawberry.field
        def ok(self) -> bool:
            return True

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def pay(self, input: PayInput) -> TransactionPayload:  # noqa: A002
            reply = await client.pay(
                amount=input.amount.amount,
                currency=input.amount.currency.value,
                order_id=input.order_id,
                description=input.description,
            )
            return TransactionPayload(
                transaction=Transaction(
                    id=strawberry.ID(reply.body.transaction),
                    status="REQUIRES_ACTION",
                    next_action=RedirectAction(url=reply.body.redirect_url),
                ),
                replayed=False,
                errors=[],
            )

    schema = strawberry.Schema(query=Query, mutation=Mutation)
    return Starlette(routes=[Route("/graphql", GraphQL(schema))])
