"""What must not reach the books or the bank is refused by the name of its field, and uses no key."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gql_epoint.cashier.commands import RefundOrder, SaveCardOrder, TransactionBy
from gql_epoint.cashier.validation import (
    ReturnPages,
    check_call,
    check_note,
    check_save_card,
    checked_payment,
    checked_refund,
)
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.ledger.transaction import TransactionOperation
from tests.cashier_kit import a_call, payment

INVALID = ErrorCode.INVALID_INPUT
LIVE, SANDBOX = ReturnPages(sandbox=False), ReturnPages(sandbox=True)
SPLIT: dict[str, Any] = {
    "operation": TransactionOperation.SPLIT_PAY,
    "split_user": "i000000002",
    "split_amount": Decimal("1.00"),
}

BAD_PAYMENTS: tuple[tuple[dict[str, Any], ErrorCode, str], ...] = (
    ({"amount": Decimal("0")}, INVALID, "amount.amount"),
    ({"amount": Decimal("-5")}, INVALID, "amount.amount"),
    ({"amount": Decimal("10.005")}, INVALID, "amount.amount"),
    ({"amount": Decimal("1E-30")}, INVALID, "amount.amount"),
    ({"amount": Decimal("1E+30")}, INVALID, "amount.amount"),
    ({"amount": Decimal("10000000.00")}, INVALID, "amount.amount"),
    ({"amount": Decimal("NaN")}, INVALID, "amount.amount"),
    ({"amount": Decimal("Infinity")}, INVALID, "amount.amount"),
    ({"currency": "GBP"}, ErrorCode.CURRENCY_NOT_SUPPORTED, "amount.currency"),
    (SPLIT | {"currency": "USD"}, ErrorCode.CURRENCY_NOT_SUPPORTED, "amount.currency"),
    (
        {"operation": TransactionOperation.PAYOUT, "currency": "EUR"},
        ErrorCode.CURRENCY_NOT_SUPPORTED,
        "amount.currency",
    ),
    ({"order_id": ""}, INVALID, "orderId"),
    ({"order_id": " \t"}, INVALID, "orderId"),
    ({"order_id": "x" * 241}, INVALID, "orderId"),
    ({"order_id": "a\nb"}, INVALID, "orderId"),
    ({"order_id": "a\x00b"}, INVALID, "orderId"),
    ({"order_id": "\ud800"}, INVALID, "orderId"),
    ({"description": "x" * 1001}, INVALID, "description"),
    ({"description": "\ud800"}, INVALID, "description"),
    (
        {"operation": TransactionOperation.PAY_AND_SAVE_CARD, "description": None},
        INVALID,
        "description",
    ),
    (
        {"operation": TransactionOperation.SPLIT_PAY_AND_SAVE_CARD, "description": " "},
        INVALID,
        "description",
    ),
    ({"success_url": "shop.az/thanks"}, INVALID, "returnUrls.success"),
    ({"success_url": "https://"}, INVALID, "returnUrls.success"),
    ({"error_url": "https://user:word@shop.az"}, INVALID, "returnUrls.error"),
    ({"error_url": "https://shop.az/a b"}, INVALID, "returnUrls.error"),
    ({"error_url": "https://shop.az\\@evil.az"}, INVALID, "returnUrls.error"),
    ({"error_url": "https://[half"}, INVALID, "returnUrls.error"),
    ({"error_url": f"https://shop.az/{'x' * 2048}"}, INVALID, "returnUrls.error"),
    ({"success_url": "javascript:alert(1)"}, INVALID, "returnUrls.success"),
    ({"success_url": "ftp://shop.az/thanks"}, ErrorCode.URL_NOT_ALLOWED, "returnUrls.success"),
    ({"success_url": "http://shop.az/thanks"}, ErrorCode.URL_NOT_ALLOWED, "returnUrls.success"),
    ({"metadata": "[1]"}, INVALID, "metadata"),
    ({"metadata": '{"a":"' + "ü" * 2048 + '"}'}, INVALID, "metadata"),
    (SPLIT | {"split_user": ""}, INVALID, "split.user"),
    (SPLIT | {"split_user": "x" * 65}, INVALID, "split.user"),
    (SPLIT | {"split_amount": Decimal("10.01")}, INVALID, "split.amount"),
    (SPLIT | {"split_amount": Decimal("0")}, INVALID, "split.amount"),
    (SPLIT | {"split_amount": Decimal("0.001")}, INVALID, "split.amount"),
)


@pytest.mark.parametrize(("changes", "code", "field"), BAD_PAYMENTS)
def test_bad_payment_is_refused_by_field(changes: dict[str, Any], code: ErrorCode, field: str) -> None:
    """The path names the field, and the sentence can be shown to a developer as it is."""
    _, order = payment(**changes)
    with pytest.raises(RefusedError) as refused:
        checked_payment(order, pages=LIVE)

    assert (refused.value.code, refused.value.path) == (code, ("input", *field.split(".")))
    assert refused.value.message.endswith(".")
    assert code is not INVALID or refused.value.message.startswith(f"{field} ")


GOOD_PAYMENTS: tuple[dict[str, Any], ...] = (
    {"order_id": "x" * 240},
    {"order_id": "sifariş №7 🎁"},
    {"amount": Decimal("0.01")},
    {"amount": Decimal("9999999.99")},
    {"description": "Two\nlines\tand a tab"},
    {"success_url": "https://shop.az/thanks?a=1#done"},
    {"success_url": "https://xn--mgz-8za9o.az/"},
    SPLIT | {"split_amount": Decimal("10.00")},
    {"currency": "USD"},
)


@pytest.mark.parametrize("changes", GOOD_PAYMENTS)
def test_good_payment_passes_unchanged(changes: dict[str, Any]) -> None:
    """The limits themselves are allowed."""
    _, order = payment(**changes)

    assert checked_payment(order, pages=LIVE) == order


@pytest.mark.parametrize(
    ("given", "kept"), [("10", "10.00"), ("10.5", "10.50"), ("1E+1", "10.00"), ("10.500", "10.50")]
)
def test_amount_gets_the_places_of_its_currency(given: str, kept: str) -> None:
    """Every spelling of an amount is the same amount, exactly."""
    _, order = payment(amount=Decimal(given))

    assert str(checked_payment(order, pages=LIVE).amount) == kept


def test_plain_http_is_for_the_sandbox() -> None:
    """A shop on a developer's machine has no certificate."""
    _, order = payment(success_url="http://localhost:3000/thanks")

    assert checked_payment(order, pages=SANDBOX) == order


@pytest.mark.parametrize(
    "key", ["short", "x" * 256, "with space 123456", "ünicode-key-123456", "new\nline-12345678"]
)
def test_bad_key_is_refused(key: str) -> None:
    """A key must be long enough to be unique, and plain enough to be compared."""
    with pytest.raises(RefusedError) as refused:
        check_call(msgspec.structs.replace(a_call(), key=key))

    assert refused.value.path == ("input", "idempotencyKey")


@pytest.mark.parametrize("note", ["", "  ", "x" * 1001, "bell\x07"])
def test_bad_note_is_refused(note: str) -> None:
    """A decision about money says why, in a text that a history can hold."""
    with pytest.raises(RefusedError):
        check_note(note)


def test_bad_refund_and_registration_are_refused() -> None:
    """The same rules hold wherever the same field stands."""
    refund = RefundOrder(transaction=TransactionBy(id="tr_1"), amount=Decimal("0.001"))
    with pytest.raises(RefusedError) as amount:
        checked_refund(refund)
    with pytest.raises(RefusedError) as reason:
        checked_refund(RefundOrder(transaction=TransactionBy(id="tr_1"), reason="x" * 1001))
    with pytest.raises(RefusedError) as url:
        check_save_card(SaveCardOrder(error_url="nowhere"), pages=SANDBOX)

    assert [refused.value.path[1:] for refused in (amount, reason, url)] == [
        ("amount", "amount"),
        ("reason",),
        ("returnUrls", "error"),
    ]


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://shop.example/paid?order=1", True),
        ("https://SHOP.example:8443/", True),
        ("https://evil.example/", False),
        ("https://shop.example.evil.example/", False),
        ("https://sub.shop.example/", False),
        ("http://shop.example/", False),
    ],
)
def test_customers_are_sent_to_listed_hosts_only(url: str, allowed: bool) -> None:
    """Where a list is given, no request can send a customer elsewhere."""
    pages = ReturnPages(sandbox=False, hosts=frozenset({"shop.example"}))
    _, order = payment(success_url=url)
    if allowed:
        assert checked_payment(order, pages=pages) == order
        return
    for check in (
        lambda: checked_payment(order, pages=pages),
        lambda: check_save_card(SaveCardOrder(success_url=url), pages=pages),
    ):
        with pytest.raises(RefusedError) as caught:
            check()
        assert (caught.value.code, caught.value.path[-1]) == (ErrorCode.URL_NOT_ALLOWED, "success")
