"""What the cashier is asked to do, and what it answers. Values only."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from gql_epoint.epoint.replies import TokenChargeReply
from gql_epoint.epoint.requests import TokenChargeRequest
from gql_epoint.epoint.wire import Operation
from gql_epoint.errors import RefusedError
from gql_epoint.ledger.checkout import (
    CheckoutPurpose,
    CheckoutState,
    ClientOperation,
    ClientToken,
    PaymentMethodType,
)
from gql_epoint.ledger.transaction import TransactionOperation

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what, once: the identity of a request for idempotency and for the history.

    `owner` is the merchant, or the checkout of a browser, and never the credential: rotating those cannot charge
    twice. `actor` is the name of the credential. `input_hash` names the coerced input without its key.
    """

    owner: str
    actor: str
    mutation: str
    key: str
    input_hash: str


class TransactionBy(msgspec.Struct, frozen=True, kw_only=True):
    """One of the names of a transaction; exactly one is set."""

    id: str | None = None
    order_id: str | None = None
    gateway_transaction_id: str | None = None


class CardBy(msgspec.Struct, frozen=True, kw_only=True):
    """One of the names of a saved card; exactly one is set."""

    id: str | None = None
    card_id: str | None = None


class PaymentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A payment or payout as the merchant orders it. `metadata` is JSON text.

    `address` names where the browser is that confirms it, if that is to be counted.
    """

    operation: TransactionOperation
    order_id: str
    amount: Decimal
    currency: str
    description: str | None = None
    language: str | None = None
    success_url: str | None = None
    error_url: str | None = None
    metadata: str | None = None
    installment: bool | None = None
    split_user: str | None = None
    split_amount: Decimal | None = None
    card: CardBy | None = None
    checkout_id: str | None = None
    address: str | None = None
    installment_card_id: str | None = None
    installment_months: int | None = None
    wallet_id: str | None = None


class TokenCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge of a payment that was opened for it. No `repr` shows what is the cardholder's."""

    operation: Operation[TokenChargeRequest, TokenChargeReply]
    transaction_id: str
    token: Any
    billing_contact: Any = None

    def __repr__(self) -> str:
        return f"TokenCharge({self.operation.name}, {self.transaction_id!r}, token='***', billing_contact='***')"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = ("token", "billing_contact")
        return [(name, "***" if name in hidden else getattr(self, name)) for name in self.__struct_fields__]


class SaveCardOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A card registration as the merchant orders it. `address` is as in PaymentOrder."""

    for_payout: bool = False
    description: str | None = None
    language: str | None = None
    success_url: str | None = None
    error_url: str | None = None
    checkout_id: str | None = None
    address: str | None = None


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the merchant orders it; without an amount, of all that is left."""

    transaction: TransactionBy
    amount: Decimal | None = None
    currency: str | None = None
    reason: str | None = None
    language: str | None = None


class InstallmentQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be paid in instalments."""

    order_id: str
    amount: Decimal
    currency: str
    language: str | None = None


class CaptureOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A capture as the merchant orders it; without an amount, of all that is held."""

    transaction: TransactionBy
    amount: Decimal | None = None
    currency: str | None = None


class Result(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The object as it is now. `error` comes beside it, never instead of it: GATEWAY_REFUSED or _UNAVAILABLE."""

    value: T
    replayed: bool = False
    error: RefusedError | None = None


class CheckoutOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout as the merchant orders it. Without `methods`, the hosted page and the cards that are offered."""

    purpose: CheckoutPurpose
    order_id: str
    amount: Decimal | None = None
    currency: str | None = None
    description: str | None = None
    save_card: bool = False
    split_user: str | None = None
    split_amount: Decimal | None = None
    methods: frozenset[PaymentMethodType] | None = None
    saved_card_ids: tuple[str, ...] = ()
    language: str | None = None
    success_url: str | None = None
    error_url: str | None = None
    metadata: str | None = None
    ttl_s: int = 900
    attempts_max: int = 5
    client_operations: frozenset[ClientOperation] = frozenset(ClientOperation)


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser may choose: how to pay, and a language."""

    method: PaymentMethodType
    saved_card_id: str | None = None
    language: str | None = None


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A client token and its secret, which is known only here and now."""

    secret: str
    token: ClientToken


class NewCheckout(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout as it is now, and the token that came with it; a repeated request gets none."""

    state: CheckoutState
    issued: IssuedToken | None = None
