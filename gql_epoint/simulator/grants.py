"""What EPoint grants to a merchant one by one, and which operations need it. A merchant here has everything.

What EPoint says without the grant is not documented: word, text and HTTP status are switches.
"""

from __future__ import annotations

from gql_epoint.epoint.b2b import BUSINESS_TRANSFER
from gql_epoint.epoint.invoices import (
    CREATE_INVOICE,
    LIST_INVOICES,
    SEND_INVOICE_EMAIL,
    SEND_INVOICE_SMS,
    UPDATE_INVOICE,
    VIEW_INVOICE,
)
from gql_epoint.epoint.operations import (
    APPLE_PAY,
    APPLE_SESSION,
    CAPTURE,
    GOOGLE_PAY,
    INSTALLMENT_PLANS,
    PAY_IN_INSTALLMENTS,
    PAY_WITH_AMEX,
    PAY_WITH_WALLET,
    PREAUTHORIZE,
    SPLIT_TOKEN_PAYMENT,
    TOKEN_PAYMENT,
    WALLETS,
    WIDGET,
)
from gql_epoint.simulator.request import Call, DeskError
from gql_epoint.simulator.settings import Merchant

FEATURES = {
    operation.name: feature
    for feature, operations in {
        "pre-auth": (PREAUTHORIZE, CAPTURE),
        "tokens": (WIDGET, TOKEN_PAYMENT, SPLIT_TOKEN_PAYMENT, APPLE_SESSION, APPLE_PAY, GOOGLE_PAY),
        "installments": (INSTALLMENT_PLANS, PAY_IN_INSTALLMENTS),
        "wallets": (WALLETS, PAY_WITH_WALLET),
        "amex": (PAY_WITH_AMEX,),
        "b2b": (BUSINESS_TRANSFER,),
        "invoices": (
            *(CREATE_INVOICE, UPDATE_INVOICE, VIEW_INVOICE, LIST_INVOICES),
            *(SEND_INVOICE_SMS, SEND_INVOICE_EMAIL),
        ),
    }.items()
    for operation in operations
}
"""The feature that an operation belongs to, by the operation's name; the others are everybody's."""

NAMES = tuple(dict.fromkeys(FEATURES.values()))
assert Merchant(public_key="", private_key="").granted == NAMES


def check_grant(call: Call) -> None:
    """Raise DeskError if the merchant has not been granted what it asks for.

    EPoint "always returns 200", but where real statuses are known to occur; there another sandbox says 403.
    """
    feature = FEATURES.get(call.operation.name)
    if feature is not None and feature not in call.merchant.granted:
        switches = call.state.switches
        http_status = 403 if call.operation.refuses_by_status else switches.not_granted_http_status
        raise DeskError(switches.not_granted_status, switches.not_granted_message, http_status)
