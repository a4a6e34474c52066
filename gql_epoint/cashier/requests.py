"""Write what the merchant ordered in EPoint's words."""

from __future__ import annotations

from typing import Any

import msgspec

from gql_epoint.cashier.commands import PaymentOrder, SaveCardOrder
from gql_epoint.cashier.desk import Defaults
from gql_epoint.epoint.requests import SaveCardRequest
from gql_epoint.epoint.wire import Request
from gql_epoint.ledger.transaction import Transaction


def payment_request(
    transaction: Transaction, order: PaymentOrder, card_id: str | None, defaults: Defaults
) -> Request:
    """Return the wire request of a payment or payout; each operation takes the fields that its struct has."""
    available: dict[str, Any] = {
        "amount": transaction.amount,
        "currency": transaction.currency,
        "language": transaction.language,
        "order_id": transaction.gateway_order_id,
        "description": order.description,
        "success_redirect_url": order.success_url or defaults.success_url,
        "error_redirect_url": order.error_url or defaults.error_url,
        "is_installment": None if order.installment is None else int(order.installment),
        "other_attr": None if order.metadata is None else msgspec.json.decode(order.metadata),
        "card_id": card_id,
        "split_user": order.split_user,
        "split_amount": order.split_amount,
        "installment_card_id": order.installment_card_id,
        "installment_month": order.installment_months,
        "wallet_id": order.wallet_id,
    }
    shape = transaction.operation.wire.request
    request: Request = shape(**{name: available[name] for name in shape.__struct_fields__})
    return request


def save_card_request(order: SaveCardOrder, defaults: Defaults) -> SaveCardRequest:
    """Return the wire request of a card registration."""
    return SaveCardRequest(
        language=order.language or defaults.language,
        refund=1 if order.for_payout else None,
        description=order.description,
        success_redirect_url=order.success_url or defaults.success_url,
        error_redirect_url=order.error_url or defaults.error_url,
    )
