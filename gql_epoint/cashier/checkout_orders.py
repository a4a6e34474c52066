"""What a checkout may hold, and the orders that its attempts become."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from gql_epoint.cashier.commands import CardBy, CheckoutOrder, Confirmation, PaymentOrder, SaveCardOrder
from gql_epoint.cashier.validation import (
    ReturnPages,
    check_metadata,
    check_order_id,
    check_save_card,
    checked_payment,
    invalid,
)
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.checkout import Checkout, CheckoutPurpose, PaymentMethodType, payment_operation
from gql_epoint.ledger.transaction import TransactionOperation

T = TypeVar("T")

TTL_MIN_S = 60
TTL_MAX_S = 86_400
ATTEMPTS_LIMIT = 20
SAVED_CARDS_LIMIT = 20

# What belongs to a payment and means nothing where a card is saved without one.
_OF_PAYMENTS = {
    "amount": "amount",
    "save_card": "saveCard",
    "split_user": "split",
    "saved_card_ids": "savedCardIds",
}


def checked_checkout(order: CheckoutOrder, *, pages: ReturnPages) -> CheckoutOrder:
    """Return the order with exact amounts and its methods, or refuse it as its attempts would be refused."""
    _check_range(order.ttl_s, TTL_MIN_S, TTL_MAX_S, "ttlSeconds")
    _check_range(order.attempts_max, 1, ATTEMPTS_LIMIT, "maxAttempts")
    check_operations(len(order.client_operations), "clientOperations")
    if order.purpose is CheckoutPurpose.PAYMENT:
        return _checked_for_payment(order, pages=pages)
    for name, field in _OF_PAYMENTS.items():
        if getattr(order, name):
            raise invalid(f"is for purpose PAYMENT, and this checkout is for {order.purpose}", field)
    if order.methods not in (None, frozenset({PaymentMethodType.HOSTED_PAGE})):
        raise RefusedError(
            ErrorCode.METHOD_NOT_ALLOWED, "Cards are saved by HOSTED_PAGE alone.", ("input", "methods")
        )
    check_order_id(order.order_id)
    check_metadata(order.metadata)
    order = msgspec.structs.replace(order, methods=frozenset({PaymentMethodType.HOSTED_PAGE}), currency=None)
    check_save_card(_save_card_order(order, None), pages=pages)
    return order


def check_operations(count: int, field: str) -> None:
    """Refuse a token that could do nothing."""
    if count == 0:
        raise invalid("must name at least one operation", field)


def payment_order(checkout: Checkout, chosen: Confirmation) -> PaymentOrder:
    """Return the payment that an attempt makes: all of it from the checkout, but for the card and the language."""
    return PaymentOrder(
        operation=_operation(checkout, chosen.method),
        order_id=checkout.order_id,
        amount=_known(checkout.amount),
        currency=_known(checkout.currency),
        description=checkout.description,
        language=chosen.language or checkout.language,
        success_url=checkout.success_url,
        error_url=checkout.error_url,
        metadata=checkout.metadata,
        split_user=checkout.split_user,
        split_amount=checkout.split_amount,
        card=CardBy(id=chosen.saved_card_id) if chosen.method is PaymentMethodType.SAVED_CARD else None,
        checkout_id=checkout.id,
    )


def save_card_order(checkout: Checkout, chosen: Confirmation) -> SaveCardOrder:
    """Return the card registration that an attempt makes."""
    return msgspec.structs.replace(_save_card_order(checkout, chosen.language), checkout_id=checkout.id)


def check_choice(checkout: Checkout, chosen: Confirmation) -> None:
    """Refuse a method or a card that the checkout does not offer. Whether such a card exists is not told."""
    if chosen.method not in checkout.methods:
        raise RefusedError(
            ErrorCode.METHOD_NOT_ALLOWED, f"This checkout does not offer {chosen.method}.", ("input", "method")
        )
    if chosen.method is PaymentMethodType.SAVED_CARD and chosen.saved_card_id not in checkout.saved_card_ids:
        raise RefusedError(
            ErrorCode.NOT_FOUND, "This checkout does not offer this card.", ("input", "method", "savedCard")
        )


def _checked_for_payment(order: CheckoutOrder, *, pages: ReturnPages) -> CheckoutOrder:
    if order.amount is None:
        raise invalid("must be given: there is something to pay", "amount")
    offered = frozenset({PaymentMethodType.SAVED_CARD}) if order.saved_card_ids else frozenset()
    methods = order.methods if order.methods is not None else offered | {PaymentMethodType.HOSTED_PAGE}
    if not methods:
        raise invalid("must name at least one method", "methods")
    if PaymentMethodType.WIDGET in methods and order.split_user is not None:
        raise RefusedError(
            ErrorCode.METHOD_NOT_ALLOWED, "WIDGET cannot split a payment: offer the others.", ("input", "methods")
        )
    if len(order.saved_card_ids) > SAVED_CARDS_LIMIT:
        raise invalid(f"must have at most {SAVED_CARDS_LIMIT} cards", "savedCardIds")
    if (PaymentMethodType.SAVED_CARD in methods) != bool(order.saved_card_ids):
        raise invalid("and the method SAVED_CARD need each other", "savedCardIds")
    if order.save_card and PaymentMethodType.HOSTED_PAGE not in methods:
        raise invalid("needs the method HOSTED_PAGE, where the card is entered", "saveCard")
    if PaymentMethodType.WIDGET in methods:
        checked_payment(_attempt(order, PaymentMethodType.WIDGET), pages=pages)
    checked = checked_payment(_payment_to_check(order, methods), pages=pages)
    return msgspec.structs.replace(order, methods=methods, amount=checked.amount, split_amount=checked.split_amount)


def _payment_to_check(order: CheckoutOrder, methods: frozenset[PaymentMethodType]) -> PaymentOrder:
    """Return the attempt that asks for most: on the hosted page, if that is offered."""
    of_most = (PaymentMethodType.HOSTED_PAGE, PaymentMethodType.SAVED_CARD, PaymentMethodType.WIDGET)
    return _attempt(order, next(method for method in of_most if method in methods))


def _attempt(order: CheckoutOrder, method: PaymentMethodType) -> PaymentOrder:
    return PaymentOrder(
        operation=_operation(order, method),
        order_id=order.order_id,
        amount=_known(order.amount),
        currency=_known(order.currency),
        description=order.description,
        success_url=order.success_url,
        error_url=order.error_url,
        metadata=order.metadata,
        split_user=order.split_user,
        split_amount=order.split_amount,
    )


def _save_card_order(order: CheckoutOrder | Checkout, language: str | None) -> SaveCardOrder:
    return SaveCardOrder(
        for_payout=order.purpose is CheckoutPurpose.SAVE_CARD_FOR_PAYOUT,
        description=order.description,
        language=language or order.language,
        success_url=order.success_url,
        error_url=order.error_url,
    )


def _operation(order: CheckoutOrder | Checkout, method: PaymentMethodType) -> TransactionOperation:
    return payment_operation(method, split=order.split_user is not None, save_card=order.save_card)


def _known(value: T | None) -> T:
    assert value is not None, "a payment has an amount"
    return value


def _check_range(value: int, low: int, high: int, field: str) -> None:
    if not low <= value <= high:
        raise invalid(f"must be from {low} to {high}", field)
