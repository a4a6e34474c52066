"""Features that EPoint grants merchant by merchant. What it says without the grant is not documented."""

from __future__ import annotations

from gql_epoint.epoint.b2b import BUSINESS_TRANSFER
from gql_epoint.simulator.request import Call, DeskError

FEATURES = {
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
    """Raise DeskError if the merchant has not been granted what it asks for; 403 is what another sandbox says."""
    feature = FEATURES.get(call.operation.name)
    if feature is not None and feature not in call.merchant.granted:
        raise DeskError("error", f"The merchant has no access to {feature}.", 403)
