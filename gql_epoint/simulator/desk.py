"""EPoint's desk: one function per kind of operation, from a request to the fields of the reply."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import msgspec

from gql_epoint.epoint.b2b import BUSINESS_TRANSFER, BUSINESS_TRANSFER_STATUS
from gql_epoint.epoint.heartbeat import HEARTBEAT, HEARTBEAT_VERSIONED
from gql_epoint.epoint.operations import (
    APPLE_PAY,
    APPLE_SESSION,
    CAPTURE,
    CARD_STATUS,
    GET_STATUS,
    GOOGLE_PAY,
    INSTALLMENT_PLANS,
    PAY,
    PAY_AND_SAVE_CARD,
    PAY_IN_INSTALLMENTS,
    PAY_WITH_AMEX,
    PAY_WITH_SAVED_CARD,
    PAY_WITH_WALLET,
    PAYMENT_REQUEST,
    PAYOUT,
    PREAUTHORIZE,
    REFUND,
    SAVE_CARD,
    SPLIT_PAY,
    SPLIT_PAY_AND_SAVE_CARD,
    SPLIT_PAY_WITH_SAVED_CARD,
    SPLIT_TOKEN_PAYMENT,
    TOKEN_PAYMENT,
    WALLETS,
    WIDGET,
)
from gql_epoint.simulator import installments, wallets
from gql_epoint.simulator.bank import APPROVED, message_of
from gql_epoint.simulator.books import Card, Refund, Transaction
from gql_epoint.simulator.facts import charge_body, status_body
from gql_epoint.simulator.grants import check_grant
from gql_epoint.simulator.holds import capture, release, status_word
from gql_epoint.simulator.invoices import HANDLERS as INVOICES
from gql_epoint.simulator.request import Call, DeskError, check, text_of
from gql_epoint.simulator.state import State
from gql_epoint.simulator.tokens import (
    charge_token,
    is_unknown_yet,
    merchant_session,
    open_record,
    open_widget,
    record_of,
)
from gql_epoint.simulator.transfers import order_transfer, transfer_status

_NEVER_REFUNDABLE = {PAYOUT.name, SAVE_CARD.name}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a reply; `silent` means that it is never sent, `listed` is the reply where it has no fields."""

    fields: dict[str, Any]
    silent: bool = False
    listed: Any = None


def answer(call: Call) -> Answer:
    """Do what a request asks for. Raises DeskError, before anything has happened."""
    check_grant(call)
    check(call)
    return HANDLERS[call.operation.name](call)


def keys_of(state: State, fields: dict[str, Any]) -> tuple[str | None, ...]:
    """Return what a plan for this request may be filed under."""
    name = text_of(fields, "transaction")
    known = state.books.transaction(name) if name is not None else None
    if known is None:
        known = record_of(state, fields)
    order_id = text_of(fields, "order_id") or (known.order_id if known else None)
    return (order_id, name, text_of(fields, "card_id"), text_of(fields, "email"))


def _redirect(call: Call) -> Answer:
    """Open a hosted page, and a card if the operation saves one."""
    state = call.state
    saves_card = call.operation in (SAVE_CARD, PAY_AND_SAVE_CARD, SPLIT_PAY_AND_SAVE_CARD)
    transaction = _transaction(call)
    if call.operation is PAY_IN_INSTALLMENTS:
        installments.choose(call, transaction)
    elif call.operation is PAY_WITH_WALLET:
        wallets.choose(call, transaction)
    transaction.page = state.new_page_name()
    if saves_card:
        transaction.card_id = state.new_card_name()
        card = Card(
            card_id=transaction.card_id,
            merchant=call.merchant.public_key,
            at=transaction.at,
            # Documented for card-registration; two SDKs send it to card-registration-with-pay as well.
            payout=call.text("refund") == "1",
            description=transaction.description,
        )
        state.books.add_card(card)
    state.books.add(transaction)
    fields: dict[str, Any] = {"status": "success"}
    if call.operation is not SAVE_CARD:
        fields["transaction"] = transaction.transaction
    # The shape of the real address is unknown.
    fields["redirect_url"] = f"{call.pages}/pay/{transaction.page}"
    if saves_card:
        fields["card_id"] = transaction.card_id
    if call.operation is PAY_WITH_WALLET and not state.switches.wallet_payment_status:
        del fields["status"]
    return Answer(fields=fields)


def _charge(call: Call) -> Answer:
    """Charge a saved card, or pay out to one, and say how it went."""
    state = call.state
    card = _usable_card(call)
    transaction = _transaction(call)
    transaction.card_id, transaction.card_name, transaction.card_mask = card.card_id, card.name, card.mask
    state.books.add(transaction)
    code = state.plan_of(transaction).bank_code
    if code is None and card.silent:
        return Answer(fields={}, silent=True)
    state.settle(transaction, code or card.code)
    return Answer(fields=charge_body(transaction, state.switches))


def _charge_token(call: Call) -> Answer:
    """Charge what a record is about by a token of Apple Pay or Google Pay."""
    fields = charge_token(call)
    return Answer(fields=fields or {}, silent=fields is None)


def _usable_card(call: Call) -> Card:
    state, switches = call.state, call.state.switches
    card = state.books.card(call.text("card_id") or "")
    if card is None or card.merchant != call.merchant.public_key:
        raise DeskError("failed", "Card not found")
    if card.state != "active":
        raise DeskError("failed", "Card is not active")
    if call.operation is PAYOUT:
        if switches.payout_needs_payout_card and not card.payout:
            raise DeskError("failed", "Card is not registered for payouts")
    elif switches.charge_needs_debit_card and card.payout:
        raise DeskError("failed", "Card is registered for payouts only")
    return card


def _refund(call: Call) -> Answer:
    """Give back all that is left of a payment, or a part of it."""
    state = call.state
    transaction = _own_transaction(call, "failed")
    code = state.plan_of(transaction).bank_code or APPROVED
    if code != APPROVED:
        message = message_of(code, call.text("language"))
        extra = {"code": code} if state.switches.code_in_charge_reply else {}
        return Answer(fields={"status": "failed", "message": message, **extra})
    if transaction.hold in ("held", "released"):
        release(state, transaction, call.amount("amount"))
        return Answer(fields={"status": "success", "message": message_of(APPROVED, call.text("language"))})
    give_back(state, transaction, call.amount("amount"), "api", currency=call.text("currency"))
    return Answer(fields={"status": "success", "message": message_of(APPROVED, call.text("language"))})


def is_refundable(state: State, transaction: Transaction) -> bool:
    """Whether something of it can be given back now."""
    if transaction.operation in _NEVER_REFUNDABLE:
        return False
    split = transaction.split_user is not None
    return (
        transaction.status == "success"
        and transaction.hold not in ("held", "released")
        and transaction.refundable > 0
        and (not split or state.switches.split_refundable)
    )


def _capture(call: Call) -> Answer:
    """Take what a pre-authorisation holds, or a part of it."""
    state = call.state
    transaction = _own_transaction(call, "failed")
    code = state.plan_of(transaction).bank_code or APPROVED
    if code != APPROVED:
        extra = {"code": code} if state.switches.code_in_charge_reply else {}
        return Answer(fields={"status": "failed", "message": message_of(code, transaction.language), **extra})
    capture(state, transaction, call.amount("amount"))
    # A public fixture has this sentence; the portal lists the transaction as well.
    message = "Pre-auth payment completed successfully"
    return Answer(fields={"status": "success", "message": message, "transaction": transaction.transaction})


def give_back(
    state: State,
    transaction: Transaction,
    amount: Decimal | None,
    by: Literal["api", "cabinet"],
    *,
    currency: str | None = None,
) -> None:
    """Write down a refund of `amount`, or of all that is left. Raises DeskError if that is not possible."""
    split = transaction.split_user is not None
    if transaction.operation in _NEVER_REFUNDABLE or (split and not state.switches.split_refundable):
        raise DeskError("failed", "Transaction cannot be reversed")
    if transaction.status != "success" or transaction.hold in ("held", "released"):
        raise DeskError("failed", "Transaction is not paid")
    # The portal knows AZN only here. Payments in other currencies exist, so the payment's own is what counts.
    if currency is not None and currency != transaction.currency:
        raise DeskError("failed", "Currency does not match the transaction")
    amount = transaction.refundable if amount is None else amount
    if not 0 < amount <= transaction.refundable:
        raise DeskError("failed", "Amount is more than what is left of the transaction")
    transaction.refunds = [*transaction.refunds, Refund(amount=amount, at=state.clock(), by=by)]
    state.books.changed = True


def _get_status(call: Call) -> Answer:
    """Say what is known about a payment, by EPoint's id or by the order's latest transaction."""
    transaction = _own_transaction(call, "error")
    word = status_word(call.state, transaction)
    return Answer(fields=status_body(transaction, call.state.switches, word=word))


def _installment_plans(call: Call) -> Answer:
    """List the cards that pay in instalments."""
    return Answer(fields={}, listed=installments.offers(call.state.switches))


def _wallets(call: Call) -> Answer:
    """List the wallets that a customer can pay with."""
    return Answer(fields={}, listed=wallets.offers(call.state.switches))


def _card_status(call: Call) -> Answer:
    """Say what is known about a saved card; `status` is its state."""
    card = call.state.books.card(call.text("card_id") or "")
    if card is None or card.merchant != call.merchant.public_key:
        raise DeskError("error", "Card not found")
    fields = {"id": card.card_id, "name": card.name, "mask": card.mask, "status": card.state}
    return Answer(fields={**fields, "expired_date": card.expired_date, "description": card.description})


def _answering(handler: Callable[[Call], dict[str, Any]]) -> Callable[[Call], Answer]:
    return lambda call: Answer(fields=handler(call))


HANDLERS: dict[str, Callable[[Call], Answer]] = {
    PAY.name: _redirect,
    PAY_WITH_SAVED_CARD.name: _charge,
    PAY_AND_SAVE_CARD.name: _redirect,
    SAVE_CARD.name: _redirect,
    SPLIT_PAY.name: _redirect,
    SPLIT_PAY_WITH_SAVED_CARD.name: _charge,
    SPLIT_PAY_AND_SAVE_CARD.name: _redirect,
    PAYOUT.name: _charge,
    REFUND.name: _refund,
    PAYMENT_REQUEST.name: _redirect,
    PAY_WITH_AMEX.name: _redirect,
    PREAUTHORIZE.name: _redirect,
    CAPTURE.name: _capture,
    INSTALLMENT_PLANS.name: _installment_plans,
    PAY_IN_INSTALLMENTS.name: _redirect,
    WALLETS.name: _wallets,
    PAY_WITH_WALLET.name: _redirect,
    GET_STATUS.name: _get_status,
    CARD_STATUS.name: _card_status,
    WIDGET.name: lambda call: Answer(fields=open_widget(call, _transaction(call))),
    TOKEN_PAYMENT.name: lambda call: Answer(fields=open_record(call, _transaction(call))),
    SPLIT_TOKEN_PAYMENT.name: _redirect,
    APPLE_SESSION.name: lambda call: Answer(fields=merchant_session(call)),
    APPLE_PAY.name: _charge_token,
    GOOGLE_PAY.name: _charge_token,
    HEARTBEAT.name: lambda _: Answer(fields={"status": "ok"}),
    HEARTBEAT_VERSIONED.name: lambda _: Answer(fields={"status": "ok"}),
    **{name: _answering(handler) for name, handler in INVOICES.items()},
    BUSINESS_TRANSFER.name: lambda call: Answer(fields=order_transfer(call)),
    BUSINESS_TRANSFER_STATUS.name: lambda call: Answer(fields=transfer_status(call)),
}


def _own_transaction(call: Call, word: str) -> Transaction:
    books = call.state.books
    name, order_id = call.text("transaction"), call.text("order_id")
    if name is not None:
        found = books.transaction(name)
    elif order_id is not None:
        found = books.latest(call.merchant.public_key, order_id)
    else:
        raise DeskError(word, "The transaction field is required.")
    if found is None or found.merchant != call.merchant.public_key or is_unknown_yet(call.state, found):
        raise DeskError(word, "Transaction not found")
    return found


def _transaction(call: Call) -> Transaction:
    fields, state = call.fields, call.state
    return Transaction(
        transaction=state.new_transaction_name(),
        operation=call.operation.name,
        merchant=call.merchant.public_key,
        at=state.clock(),
        language=call.text("language"),
        order_id=call.text("order_id"),
        amount=call.amount("amount"),
        currency=call.text("currency"),
        description=call.text("description"),
        other_attr=fields.get("other_attr"),
        asks_installment=call.text("is_installment") == "1",
        split_user=call.text("split_user"),
        split_amount=call.amount("split_amount"),
        success_redirect_url=call.text("success_redirect_url"),
        error_redirect_url=call.text("error_redirect_url"),
    )
