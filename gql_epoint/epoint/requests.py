"""What EPoint is asked: one request struct per shape; its table says which operation takes which.

`amount` travels as a string ("30.75"), as in EPoint's own signed example. `language` is az, en or ru.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gql_epoint.epoint.wire import Request


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
