"""A payment endpoint with FastAPI, as its documentation shows it."""

# FastAPI reads annotations when the functions are made, so they are written without postponing.
from decimal import Decimal
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel


class Order(BaseModel):
    order_id: str
    amount: Decimal
    currency: str
    description: str | None = None


class Answer(BaseModel):
    status: str
    transaction: str
    redirect_url: str


def build(client: Any) -> FastAPI:
    """Return the application over an EPoint client."""
    app = FastAPI()

    @app.post("/pay")
    async def pay(order: Order) -> Answer:
        reply = await client.pay(
            amount=order.amount, currency=order.currency, order_id=order.order_id, description=order.description
        )
        return Answer(
            status=reply.body.status, transaction=reply.body.transaction, redirect_url=reply.body.redirect_url
        )

    return app
