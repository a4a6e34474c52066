"""What EPoint answers: one reply struct per shape. Every field may be missing; see reading.py."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gql_epoint.epoint.wire import Reply


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
