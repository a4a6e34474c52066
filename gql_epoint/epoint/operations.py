"""What EPoint can do: one row per operation.

Names say what the merchant means. EPoint's own words stay as data, and two of them are a trap: its
`/api/1/reverse` is the refund, and its `/api/1/refund-request` is the payout to a saved card.

Adding an operation means adding its row here, and its structs in requests.py and replies.py; a test then names
what else it lacks.
Source: EPoint's API documents v1.0.3 and 2022, and the field tables of its developer portal.
"""

from __future__ import annotations

from typing import Any

from gql_epoint.epoint.b2b import BUSINESS_TRANSFER, BUSINESS_TRANSFER_STATUS
from gql_epoint.epoint.heartbeat import HEARTBEAT, HEARTBEAT_VERSIONED
from gql_epoint.epoint.invoices import (
    CREATE_INVOICE,
    LIST_INVOICES,
    SEND_INVOICE_EMAIL,
    SEND_INVOICE_SMS,
    UPDATE_INVOICE,
    VIEW_INVOICE,
)
from gql_epoint.epoint.listings import wrap_installment_plans, wrap_wallet_payment, wrap_wallets
from gql_epoint.epoint.replies import (
    AppleSessionReply,
    CaptureReply,
    CardStatusReply,
    ChargeReply,
    InstallmentPlansReply,
    RedirectReply,
    RefundReply,
    StatusReply,
    TokenChargeReply,
    TokenPaymentReply,
    WalletsReply,
    WidgetReply,
)
from gql_epoint.epoint.requests import (
    AppleSessionRequest,
    CaptureRequest,
    CardStatusRequest,
    InstallmentPlansRequest,
    PayAndSaveCardRequest,
    PayInInstallmentsRequest,
    PayoutRequest,
    PayRequest,
    PayWithAmexRequest,
    PayWithWalletRequest,
    PreauthorizeRequest,
    RefundRequest,
    SaveCardRequest,
    SavedCardPayRequest,
    SplitPayAndSaveCardRequest,
    SplitPayRequest,
    SplitSavedCardPayRequest,
    SplitTokenPaymentRequest,
    StatusRequest,
    TokenChargeRequest,
    TokenPaymentRequest,
    WalletsRequest,
    WidgetRequest,
)
from gql_epoint.epoint.wire import Kind, Operation

PAY = Operation(name="pay", path="/api/1/request", request=PayRequest, reply=RedirectReply, kind=Kind.REDIRECT)
PAY_WITH_SAVED_CARD = Operation(
    name="pay_with_saved_card",
    path="/api/1/execute-pay",
    request=SavedCardPayRequest,
    reply=ChargeReply,
    kind=Kind.CHARGE,
)
PAY_AND_SAVE_CARD = Operation(
    name="pay_and_save_card",
    path="/api/1/card-registration-with-pay",
    request=PayAndSaveCardRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
)
SAVE_CARD = Operation(
    name="save_card",
    path="/api/1/card-registration",
    request=SaveCardRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
)
SPLIT_PAY = Operation(
    name="split_pay",
    path="/api/1/split-request",
    request=SplitPayRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
)
SPLIT_PAY_WITH_SAVED_CARD = Operation(
    name="split_pay_with_saved_card",
    path="/api/1/split-execute-pay",
    request=SplitSavedCardPayRequest,
    reply=ChargeReply,
    kind=Kind.CHARGE,
)
SPLIT_PAY_AND_SAVE_CARD = Operation(
    name="split_pay_and_save_card",
    path="/api/1/split-card-registration-with-pay",
    request=SplitPayAndSaveCardRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
)
PAYOUT = Operation(
    name="payout", path="/api/1/refund-request", request=PayoutRequest, reply=ChargeReply, kind=Kind.CHARGE
)
REFUND = Operation(name="refund", path="/api/1/reverse", request=RefundRequest, reply=RefundReply, kind=Kind.CHARGE)
# The same fields and the same page by another path, which EPoint's plugins for web shops use.
PAYMENT_REQUEST = Operation(
    name="payment_request",
    path="/api/1/payment-request",
    request=PayRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
)
PAY_WITH_AMEX = Operation(
    name="pay_with_amex",
    path="/api/1/amex-request",
    request=PayWithAmexRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
    grant="American Express",
)
PREAUTHORIZE = Operation(
    name="preauthorize",
    path="/api/1/pre-auth-request",
    request=PreauthorizeRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
    grant="Pre-authorisation",
)
CAPTURE = Operation(
    name="capture",
    path="/api/1/pre-auth-complete",
    request=CaptureRequest,
    reply=CaptureReply,
    kind=Kind.CHARGE,
    grant="Pre-authorisation",
)
INSTALLMENT_PLANS = Operation(
    name="installment_plans",
    path="/api/1/get-installment-request",
    request=InstallmentPlansRequest,
    reply=InstallmentPlansReply,
    kind=Kind.LOOKUP,
    grant="Payment in instalments",
    wrap=wrap_installment_plans,
)
PAY_IN_INSTALLMENTS = Operation(
    name="pay_in_installments",
    path="/api/1/installment-request",
    request=PayInInstallmentsRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
    grant="Payment in instalments",
)
WALLETS = Operation(
    name="wallets",
    path="/api/1/wallet/status",
    request=WalletsRequest,
    reply=WalletsReply,
    kind=Kind.LOOKUP,
    grant="Payment by wallet",
    wrap=wrap_wallets,
)
PAY_WITH_WALLET = Operation(
    name="pay_with_wallet",
    path="/api/1/wallet/payment",
    request=PayWithWalletRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
    grant="Payment by wallet",
    wrap=wrap_wallet_payment,
)
GET_STATUS = Operation(
    name="get_status", path="/api/1/get-status", request=StatusRequest, reply=StatusReply, kind=Kind.LOOKUP
)
CARD_STATUS = Operation(
    name="card_status",
    path="/api/1/get-status-card",
    request=CardStatusRequest,
    reply=CardStatusReply,
    kind=Kind.LOOKUP,
)
_APPLE_AND_GOOGLE = "Apple Pay and Google Pay"

WIDGET = Operation(
    name="widget",
    path="/api/1/token/widget",
    request=WidgetRequest,
    reply=WidgetReply,
    kind=Kind.REDIRECT,
    callback_disputed=True,
    grant=_APPLE_AND_GOOGLE,
)
TOKEN_PAYMENT = Operation(
    name="token_payment",
    path="/api/1/token/payment",
    request=TokenPaymentRequest,
    reply=TokenPaymentReply,
    kind=Kind.REDIRECT,
    callback_disputed=True,
    grant=_APPLE_AND_GOOGLE,
)
APPLE_SESSION = Operation(
    name="apple_session",
    path="/api/1/token/apple/session",
    request=AppleSessionRequest,
    reply=AppleSessionReply,
    kind=Kind.LOOKUP,
    grant=_APPLE_AND_GOOGLE,
)
APPLE_PAY = Operation(
    name="apple_pay",
    path="/api/1/token/apple/pay",
    request=TokenChargeRequest,
    reply=TokenChargeReply,
    kind=Kind.CHARGE,
    grant=_APPLE_AND_GOOGLE,
)
GOOGLE_PAY = Operation(
    name="google_pay",
    path="/api/1/token/google/pay",
    request=TokenChargeRequest,
    reply=TokenChargeReply,
    kind=Kind.CHARGE,
    grant=_APPLE_AND_GOOGLE,
)
SPLIT_TOKEN_PAYMENT = Operation(
    name="split_token_payment",
    path="/api/1/token/split-payment",
    request=SplitTokenPaymentRequest,
    reply=RedirectReply,
    kind=Kind.REDIRECT,
    callback_disputed=True,
    grant=_APPLE_AND_GOOGLE,
)

OPERATIONS: dict[str, Operation[Any, Any]] = {
    operation.name: operation
    for operation in (
        PAY,
        PAY_WITH_SAVED_CARD,
        PAY_AND_SAVE_CARD,
        SAVE_CARD,
        SPLIT_PAY,
        SPLIT_PAY_WITH_SAVED_CARD,
        SPLIT_PAY_AND_SAVE_CARD,
        PAYOUT,
        REFUND,
        PAYMENT_REQUEST,
        PAY_WITH_AMEX,
        PREAUTHORIZE,
        CAPTURE,
        INSTALLMENT_PLANS,
        PAY_IN_INSTALLMENTS,
        WALLETS,
        PAY_WITH_WALLET,
        GET_STATUS,
        CARD_STATUS,
        WIDGET,
        TOKEN_PAYMENT,
        APPLE_SESSION,
        APPLE_PAY,
        GOOGLE_PAY,
        SPLIT_TOKEN_PAYMENT,
        BUSINESS_TRANSFER,
        BUSINESS_TRANSFER_STATUS,
        HEARTBEAT,
        HEARTBEAT_VERSIONED,
        CREATE_INVOICE,
        UPDATE_INVOICE,
        VIEW_INVOICE,
        LIST_INVOICES,
        SEND_INVOICE_SMS,
        SEND_INVOICE_EMAIL,
    )
}
