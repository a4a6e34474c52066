"""The table of operations, and how a request becomes JSON."""

import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gql_epoint.epoint import signing
from gql_epoint.epoint.operations import OPERATIONS, PAY, REFUND
from gql_epoint.epoint.requests import PayRequest, RefundRequest, StatusRequest
from gql_epoint.epoint.wire import Kind, Operation, Reply, Request, encode_payload

ORDER = PayRequest(amount=Decimal("30.75"), currency="AZN", language="az", order_id="1")

# The two names that mislead are why this table is repeated here: a refund must never become a payout.
PATHS = {
    "pay": "/api/1/request",
    "pay_with_saved_card": "/api/1/execute-pay",
    "pay_and_save_card": "/api/1/card-registration-with-pay",
    "save_card": "/api/1/card-registration",
    "split_pay": "/api/1/split-request",
    "split_pay_with_saved_card": "/api/1/split-execute-pay",
    "split_pay_and_save_card": "/api/1/split-card-registration-with-pay",
    "payout": "/api/1/refund-request",
    "refund": "/api/1/reverse",
    "payment_request": "/api/1/payment-request",
    "pay_with_amex": "/api/1/amex-request",
    "preauthorize": "/api/1/pre-auth-request",
    "capture": "/api/1/pre-auth-complete",
    "installment_plans": "/api/1/get-installment-request",
    "pay_in_installments": "/api/1/installment-request",
    "wallets": "/api/1/wallet/status",
    "pay_with_wallet": "/api/1/wallet/payment",
    "get_status": "/api/1/get-status",
    "card_status": "/api/1/get-status-card",
    "widget": "/api/1/token/widget",
    "token_payment": "/api/1/token/payment",
    "apple_session": "/api/1/token/apple/session",
    "apple_pay": "/api/1/token/apple/pay",
    "google_pay": "/api/1/token/google/pay",
    "split_token_payment": "/api/1/token/split-payment",
    "business_transfer": "/api/1/b2b/payment",
    "create_invoice": "/api/1/invoices/create",
    "update_invoice": "/api/1/invoices/update",
    "view_invoice": "/api/1/invoices/view",
    "list_invoices": "/api/1/invoices/list",
    "send_invoice_sms": "/api/1/invoices/send-sms",
    "send_invoice_email": "/api/1/invoices/send-email",
    "heartbeat": "/api/heartbeat",
    "heartbeat_versioned": "/api/1/heartbeat",
    "business_transfer_status": "/api/1/b2b/payment/{order_id}",
}

each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def test_each_operation_has_its_documented_path() -> None:
    """Names are ours and paths are EPoint's; the pairs are fixed."""
    assert {name: operation.path for name, operation in OPERATIONS.items()} == PATHS


def test_paths_are_unique() -> None:
    """No two operations send to the same place."""
    assert len(OPERATIONS) == len({operation.path for operation in OPERATIONS.values()})


@each_operation
def test_a_request_leaves_the_public_key_to_the_client(operation: Operation[Any, Any]) -> None:
    """A caller cannot name another merchant, and the merchant's key is added in one place only."""
    fields = operation.request.__struct_fields__

    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation.name)
    assert issubclass(operation.request, Request)
    assert "public_key" not in fields
    assert "signature" not in fields


@each_operation
def test_every_field_of_a_reply_may_be_missing(operation: Operation[Any, Any]) -> None:
    """No reply of EPoint's is too short to read."""
    assert issubclass(operation.reply, Reply)
    assert operation.reply() == operation.reply(**dict.fromkeys(operation.reply.__struct_fields__))


@each_operation
def test_what_can_be_repeated_has_no_callback(operation: Operation[Any, Any]) -> None:
    """Only questions may be sent twice; only redirects end in a callback, and of some nobody knows."""
    assert (operation.kind is Kind.LOOKUP) is operation.repeatable
    assert (operation.kind is Kind.REDIRECT) is (operation.has_callback or operation.callback_disputed)
    assert operation.callback_disputed is (operation.name in {"widget", "token_payment", "split_token_payment"})
    questions = {
        "apple_session",
        "installment_plans",
        "wallets",
        "view_invoice",
        "list_invoices",
        "get_status",
        "card_status",
        "business_transfer_status",
        "heartbeat",
        "heartbeat_versioned",
    }
    assert operation.repeatable is (operation.name in questions)


class _DocumentedPayment(Request, frozen=True, kw_only=True):
    """The request of EPoint's signed example, which has no language."""

    amount: Decimal
    currency: str
    description: str | None = None
    order_id: str


class _DocumentedStatus(Request, frozen=True, kw_only=True):
    """The request of EPoint's second example, whose order id is a number."""

    order_id: int


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            _DocumentedPayment(amount=Decimal("30.75"), currency="AZN", description="test payment", order_id="1"),
            "a76GNudqblZtV8qF199hctA+cG0=",
        ),
        (_DocumentedStatus(order_id=15), "bH9cG854p/wHLf5j6pp6LBI+wBs="),
    ],
    ids=["payment", "status"],
)
def test_encodes_as_the_documents_do(request_: Request, signature: str) -> None:
    """Key first, fields in their order, no spaces, the amount as text: EPoint's own signature proves it."""
    sealed = signing.seal("d3hjsl38sd8kdfhbcea0be04eafde9e8e2bad2fb092d", encode_payload("i000000001", request_))

    assert signature == sealed.signature


def test_fields_that_are_not_set_are_left_out() -> None:
    """EPoint's examples hold no nulls, so we send none."""
    payload = encode_payload("i000000001", ORDER)

    assert (
        payload == b'{"public_key":"i000000001","amount":"30.75","currency":"AZN","language":"az","order_id":"1"}'
    )


def test_what_is_set_is_sent_as_it_is() -> None:
    """Letters stay letters, `other_attr` keeps its shape, and 0 is not mistaken for unset."""
    request = msgspec.structs.replace(
        ORDER, description="Çay və «şəkər»", is_installment=0, other_attr={"tags": [1, "ə", None]}
    )

    sent = msgspec.json.decode(encode_payload("i000000001", request))

    assert sent["description"] == "Çay və «şəkər»"
    assert sent["is_installment"] == 0
    assert sent["other_attr"] == {"tags": [1, "ə", None]}


@pytest.mark.parametrize(
    ("amount", "sent"),
    [("30.75", "30.75"), ("20.50", "20.50"), ("100", "100"), ("0.01", "0.01"), ("1E+2", "100"), ("1.0E+3", "1000")],
)
def test_amounts_are_exact_text(amount: str, sent: str) -> None:
    """An amount keeps its places and never shows an exponent."""
    payload = encode_payload("i000000001", msgspec.structs.replace(ORDER, amount=Decimal(amount)))

    assert sent == msgspec.json.decode(payload)["amount"]


@pytest.mark.parametrize("amount", ["0", "-0", "0.00", "-5", "NaN", "sNaN", "Infinity", "-Infinity"])
def test_no_amount_but_a_positive_one_leaves(amount: str) -> None:
    """The last line of defence, behind every validation: no other amount reaches a bank."""
    with pytest.raises(ValueError, match="amount is not a positive amount"):
        encode_payload(
            "i000000001", RefundRequest(language="az", transaction="te1", currency="AZN", amount=Decimal(amount))
        )


def test_floats_are_refused() -> None:
    """0.1 + 0.2 is a mistake of the program, and it is told so."""
    request = msgspec.structs.replace(ORDER, amount=0.1 + 0.2)

    with pytest.raises(TypeError, match="amount is a float; amounts are Decimal"):
        encode_payload("i000000001", request)


def test_text_that_cannot_be_written_is_refused() -> None:
    """A lone surrogate has no UTF-8, and half a description is not sent either."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode_payload("i000000001", StatusRequest(order_id="\ud800"))


def test_rows_tie_requests_to_replies() -> None:
    """The struct in the row is the one to fill in."""
    assert PayRequest is PAY.request
    assert RefundRequest is REFUND.request
