"""Features that EPoint grants merchant by merchant. What it says without the grant is not documented."""

from __future__ import annotations

from gql_epoint.epoint.b2b import BUSINESS_TRANSFER
from gql_epoint.epoint.operations import (
    APPLE_PAY,
    APPLE_SESSION,
    GOOGLE_PAY,
    SPLIT_TOKEN_PAYMENT,
    TOKEN_PAYMENT,
    WIDGET,
)
from gql_epoint.simulator.request import Call, DeskError

FEATURES = {
    **{
        operation.name: "tokens"
        for operation in (WIDGET, TOKEN_PAYMENT, SPLIT_TOKEN_PAYMENT, APPLE_SESSION, APPLE_PAY, GOOGLE_PAY)
    },
    BUSINESS_TRANSFER.name: "b2b",
    "create_invoice": "invoices",
    "update_invoice": "invoices",
    "view_invoice": "invoices",
    "list_invoices": "invoices",
    "send_invoice_sms": "invoices",
    "send_invoice_email": "invoices",
}
"""The feature that an operation belongs to, by the operation's name."""


def check_grant(call: Call) -> None:
    """Raise DeskError if the merchant has not been granted what it asks for.

    EPoint "always returns 200", but for transfers, where another sandbox says 403.
    """
    feature = FEATURES.get(call.operation.name)
    if feature is not None and feature not in call.merchant.granted:
        status = 403 if call.operation.refuses_by_status else 200
        raise DeskError("error", f"The merchant has no access to {feature}.", status)
