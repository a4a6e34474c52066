"""What EPoint can do: one request struct, one reply struct and one row per operation.

Names say what the merchant means. EPoint's own words stay as data, and two of them are a trap: its
`/api/1/reverse` is the refund, and its `/api/1/refund-request` is the payout to a saved card.

Adding an operation means adding its structs and its row here; a test then names what else it lacks.
Source: EPoint's API documents v1.0.3 and 2022, and the field tables of its developer portal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

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
from gql_epoint.epoint.wire import Kind as Kind
from gql_epoint.epoint.wire import Operation as Operation
from gql_epoint.epoint.wire import Reply as Reply
from gql_epoint.epoint.wire import ReplyT as ReplyT
from gql_epoint.epoint.wire import Request as Request
from gql_epoint.epoint.wire import RequestT as RequestT

# ---------------------------------------------------------------------------------------------------------
# Requests. `amount` travels as a string ("30.75"), as in EPoint's own signed example. `language` is az, en or ru.
# ---------------------------------------------------------------------------------------------------------


class _Ordered(Request, frozen=True, kw_only=True):
    amount: Decimal
    currency: str
    language: str
    order_id: str
    description: str | None = None


class _Redirecting(_Ordered, frozen=True, kw_only=True):
    success_redirect_url: str | None = None
    error_redirect_url: str | None = None


class PayRequest(_Redirecting, frozen=True, kw_only=True):
    """A payment on EPoint's hosted page. `other_attr` comes back in the callback."""

    is_installment: int | None = None
    other_attr: Any = None


class SavedCardPayRequest(_Ordered, frozen=True, kw_only=True):
    """A charge of a saved card."""

    card_id: str


class PayAndSaveCardRequest(_Redirecting, frozen=True, kw_only=True):
    """A payment on the hosted page that also saves the card. EPoint wants a `description` here in practice."""


class SaveCardRequest(Request, frozen=True, kw_only=True):
    """Registration of a card without a payment. `refund=1` registers it for payouts."""

    language: str
    refund: int | None = None
    description: str | None = None
    success_redirect_url: str | None = None
    error_redirect_url: str | None = None


class PayoutRequest(_Ordered, frozen=True, kw_only=True):
    """A transfer from the merchant to a card that was saved for payouts."""

    card_id: str


class RefundRequest(Request, frozen=True, kw_only=True):
    """A refund of a payment: of all of it, or of `amount`."""

    language: str
    transaction: str
    currency: str
    amount: Decimal | None = None


class SplitPayRequest(_Redirecting, frozen=True, kw_only=True):
    """A hosted payment of which `split_amount` goes to another merchant, `split_user`."""

    split_user: str
    split_amount: Decimal
    other_attr: Any = None


class SplitSavedCardPayRequest(SavedCardPayRequest, frozen=True, kw_only=True):
    """A charge of a saved card of which `split_amount` goes to another merchant, `split_user`."""

    split_user: str
    split_amount: Decimal


class SplitPayAndSaveCardRequest(PayAndSaveCardRequest, frozen=True, kw_only=True):
    """A hosted payment that saves the card and gives `split_amount` to another merchant, `split_user`."""

    split_user: str
    split_amount: Decimal


class WidgetRequest(Request, frozen=True, kw_only=True):
    """A payment in EPoint's widget, with Apple Pay or Google Pay. EPoint takes no currency here: it is AZN."""

    amount: Decimal
    order_id: str
    description: str


class TokenPaymentRequest(_Ordered, frozen=True, kw_only=True):
    """A record at EPoint that a token of Apple Pay or Google Pay can be charged to. EPoint wants a description."""

    description: str


class AppleSessionRequest(Request, frozen=True, kw_only=True):
    """What Apple Pay asks for before it opens: a session for the page at this origin."""

    origin: str


class TokenChargeRequest(Request, frozen=True, kw_only=True):
    """A charge of the token that Apple or Google gave to the customer's browser; EPoint's names, `id` its record's.

    The token and the contact are cardholder data, so that no `repr` shows them.
    """

    id: str
    token: Any
    billingContact: Any = None  # noqa: N815

    def __repr__(self) -> str:
        return f"TokenChargeRequest(id={self.id!r}, token='***', billingContact='***')"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("token", "***"), ("billingContact", "***")]


class SplitTokenPaymentRequest(SplitPayRequest, frozen=True, kw_only=True):
    """A split payment with Apple Pay or Google Pay; the fields of a split payment on the hosted page."""


class PayWithAmexRequest(_Redirecting, frozen=True, kw_only=True):
    """A payment on the hosted page by an American Express card."""


class PreauthorizeRequest(_Redirecting, frozen=True, kw_only=True):
    """A hosted page that holds the amount on the customer's card and takes nothing."""

    other_attr: Any = None


class CaptureRequest(Request, frozen=True, kw_only=True):
    """The taking of a hold, or of a part of it. Neither language nor currency is among its documented fields."""

    amount: Decimal
    transaction: str


class InstallmentPlansRequest(Request, frozen=True, kw_only=True):
    """A question about the ways to pay an amount in instalments."""

    currency: str
    language: str
    order_id: str
    amount: Decimal | None = None


class PayInInstallmentsRequest(_Redirecting, frozen=True, kw_only=True):
    """A payment on the hosted page in so many months, with the card of one bank."""

    installment_card_id: str
    installment_month: int


class WalletsRequest(Request, frozen=True, kw_only=True):
    """A question about the wallets that a customer can pay with.

    v1.0.3 sends the public key alone. Signed like everything else it was answered when somebody recorded it live.
    """


class PayWithWalletRequest(_Ordered, frozen=True, kw_only=True):
    """A payment on a wallet's page. It has no addresses to return to: the dashboard's are used."""

    wallet_id: str


class StatusRequest(Request, frozen=True, kw_only=True):
    """A question about a payment, by EPoint's transaction id or by the order id that EPoint was given."""

    transaction: str | None = None
    order_id: str | None = None


class CardStatusRequest(Request, frozen=True, kw_only=True):
    """A question about a saved card."""

    card_id: str


# ---------------------------------------------------------------------------------------------------------
# Replies. Every field may be missing; see reading.py.
# ---------------------------------------------------------------------------------------------------------


class RedirectReply(Reply, frozen=True, kw_only=True):
    """Where to send the customer. `card_id` is set by the operations that save a card."""

    transaction: str | None = None
    redirect_url: str | None = None
    card_id: str | None = None


class ChargeReply(Reply, frozen=True, kw_only=True):
    """The final result of a charge, a payout or a split charge."""

    code: str | None = None
    transaction: str | None = None
    bank_transaction: str | None = None
    bank_response: str | None = None
    operation_code: str | None = None
    rrn: str | None = None
    card_name: str | None = None
    card_mask: str | None = None
    amount: Decimal | None = None
    split_amount: Decimal | None = None


class RefundReply(Reply, frozen=True, kw_only=True):
    """The final result of a refund."""

    code: str | None = None


class CaptureReply(Reply, frozen=True, kw_only=True):
    """The final result of a capture. v1.0.3 documents no reply; the portal lists these fields."""

    code: str | None = None
    transaction: str | None = None


class InstallmentPlansReply(Reply, frozen=True, kw_only=True):
    """The ways to pay in instalments, as EPoint lists them: see listings.py."""

    plans: Any = None


class WalletsReply(Reply, frozen=True, kw_only=True):
    """The wallets, as EPoint lists them: see listings.py."""

    wallets: Any = None


class StatusReply(ChargeReply, frozen=True, kw_only=True):
    """What EPoint knows about a payment."""

    order_id: str | None = None
    card_id: str | None = None
    currency: str | None = None
    other_attr: Any = None


class CardStatusReply(Reply, frozen=True, kw_only=True):
    """What EPoint knows about a saved card; here `status` is the state of the card."""

    id: str | None = None
    name: str | None = None
    mask: str | None = None
    expired_date: str | None = None
    description: str | None = None


class WidgetReply(Reply, frozen=True, kw_only=True):
    """Where the widget is. EPoint names no transaction here; the order id finds it."""

    widget_url: str | None = None

    @property
    def redirect_url(self) -> str | None:
        """The page where the customer acts, under the name that it has in other replies."""
        return self.widget_url


class TokenPaymentReply(Reply, frozen=True, kw_only=True):
    """The record as EPoint made it. A good one has an `id` and no `status`.

    `total` is not compared with what was ordered: whether it holds EPoint's commission is not documented.
    """

    id: str | None = None
    transaction: str | None = None
    rrn: str | None = None
    short_link: str | None = None
    bank_order_id: str | None = None
    total: Decimal | None = None
    card_name: str | None = None
    card_mask: str | None = None
    description: str | None = None
    merchant_order_id: str | None = None
    other_attr: Any = None
    created_at: str | None = None
    updated_at: str | None = None

    @property
    def payment_id(self) -> str | None:
        """The record's id, which is no id of a transaction."""
        return self.id


class AppleSessionReply(Reply, frozen=True, kw_only=True):
    """Apple's merchant session, whole and as it came; `status` and `message` are set where EPoint refuses."""

    whole_reply: Any = None


class TokenChargeReply(Reply, frozen=True, kw_only=True):
    """The result of charging a token; with a `redirect_url` the bank wants to see the customer first.

    What its processor said, `result`, is not read: it is undocumented and may hold cardholder data.
    """

    redirect_url: str | None = None


# ---------------------------------------------------------------------------------------------------------
# The table.
# ---------------------------------------------------------------------------------------------------------


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


def encode_payload(public_key: str, request: Request) -> bytes:
    """Return the JSON body of a request: the merchant's public key, then the fields that are set.

    Amounts keep the places they have. Raises ValueError for an amount that is not positive and for text that is
    not valid Unicode, and TypeError for a float: 0.1 + 0.2 must not reach a bank.
    """
    fields: dict[str, Any] = {"public_key": public_key}
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if isinstance(value, float):
            raise TypeError(f"{name} is a float; amounts are Decimal")
        if isinstance(value, Decimal):
            fields[name] = _encode_amount(name, value)
        elif value is not None:
            fields[name] = value
    return msgspec.json.encode(fields)


def _encode_amount(name: str, amount: Decimal) -> str:
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"{name} is not a positive amount")
    return f"{amount:f}"  # str() would write 1E+2 for a hundred.
