"""The contract itself: it is the committed one, every part is described, and it holds nothing unsafe."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLError,
    GraphQLSchema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
    is_specified_directive,
    is_specified_scalar_type,
    parse,
)
from graphql import build_schema as read_schema

from gql_epoint import errors
from gql_epoint.epoint.bank_codes import FailureCategory
from gql_epoint.ledger import checkout, events
from gql_epoint.ledger import transaction as ledger
from gql_epoint.ledger.business_transfer import BusinessTransfer, TransferStatus
from gql_epoint.ledger.holds import HoldFinding
from gql_epoint.ledger.invoice import InvoiceStatus
from gql_epoint.schema import build_schema, enums, hold_types, invoice_types, schema_text
from gql_epoint.schema.access import READ, Scope
from gql_epoint.schema.business_transfer_types import BusinessTransferStatus
from gql_epoint.schema.canonical import input_hash
from gql_epoint.schema.connections import BY_ID, Cursors, load, read_page
from gql_epoint.schema.errors import ErrorCode, to_user_error
from gql_epoint.schema.inputs import MoneyInput, PayInput
from gql_epoint.schema.masking import mask
from gql_epoint.schema.scalars import (
    format_date_time,
    format_decimal,
    parse_date_time,
    parse_decimal,
    parse_json,
)
from gql_epoint.schema.types import Transaction
from gql_epoint.schema.values import Money

TEXT = schema_text()
CONTRACT = read_schema(TEXT)
COMMITTED = Path(__file__).parent.parent / "schema.graphql"
NOW = datetime(2025, 1, 31, 12, 0, 0, 250000, tzinfo=UTC)

QUERIES = {
    "viewer",
    "transaction",
    "transactions",
    "savedCard",
    "savedCards",
    "callbacks",
    "events",
    "node",
    "gatewayStatus",
    "installmentPlans",
    "wallets",
    "checkout",
}
MUTATIONS = {
    "pay",
    "payWithSavedCard",
    "payAndSaveCard",
    "saveCard",
    "splitPay",
    "splitPayWithSavedCard",
    "splitPayAndSaveCard",
    "payout",
    "refund",
    "preauthorize",
    "capture",
    "payInInstallments",
    "payWithAmex",
    "payWithWallet",
    "cancelPreauthorization",
    "resolveHold",
    "refreshTransaction",
    "resolveTransaction",
    "resolveRefund",
    "createCheckout",
    "createClientToken",
    "cancelCheckout",
    "confirmCheckout",
    "createWidget",
    "createTokenPayment",
    "splitTokenPayment",
    "applePaySession",
    "applePay",
    "googlePay",
}
SUBSCRIPTIONS = {"transactionUpdated", "savedCardUpdated", "events", "checkoutUpdated"}

# In the sandbox only; test_sandbox_schema.py has what production lacks.
QUERIES |= {"simulatorTransactions", "simulatorTransaction", "simulatorInvoices", "simulatorTransfers"}
MUTATIONS |= {
    "simulatorApprove",
    "simulatorDecline",
    "simulatorRefund",
    "simulatorCapture",
    "simulatorSettleInvoice",
    "simulatorSettleTransfer",
    "simulatorSendTransferWebhook",
    "simulatorResendCallback",
    "simulatorSendCallback",
    "simulatorDropCallback",
}
SUBSCRIPTIONS |= {"simulatorUpdated", "simulatorBusinessUpdated"}


BUSINESS_TRANSFERS = {
    *("Query.invoice", "Query.invoices", "Query.gatewayInvoices", "Subscription.invoiceUpdated"),
    *("Mutation.createInvoice", "Mutation.updateInvoice", "Mutation.refreshInvoice"),
    *("Mutation.sendInvoiceBySms", "Mutation.sendInvoiceByEmail", "Mutation.resolveInvoice"),
    *("Query.gateway", "Query.businessTransfer", "Query.businessTransfers", "Subscription.businessTransferUpdated"),
    *("Mutation.transferToBusiness", "Mutation.refreshBusinessTransfer", "Mutation.resolveBusinessTransfer"),
}


def roots(schema: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """Yield each root field by its full name."""
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        assert root is not None
        yield from ((f"{root.name}.{name}", field) for name, field in root.fields.items())


def parts(schema: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """Yield everything that can have a description, by name."""
    for type_ in schema.type_map.values():
        if type_.name.startswith("__") or is_specified_scalar_type(type_):
            continue
        yield type_.name, type_
        if is_enum_type(type_):
            yield from ((f"{type_.name}.{name}", value) for name, value in type_.values.items())
        if is_object_type(type_) or is_interface_type(type_) or is_input_object_type(type_):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field
                for argument, definition in getattr(field, "args", {}).items():
                    yield f"{type_.name}.{name}({argument}:)", definition
    for directive in schema.directives:
        if not is_specified_directive(directive):
            yield f"@{directive.name}", directive
            yield from ((f"@{directive.name}({name}:)", arg) for name, arg in directive.args.items())


def test_the_committed_schema_is_the_current_one() -> None:
    """Whoever changes the contract sees the change in its diff."""
    written = COMMITTED.read_text(encoding="utf-8")

    assert written == TEXT, "schema.graphql is out of date: run `make schema`"


def test_everything_is_described() -> None:
    """No type, field, argument, input field, enum value, directive or scalar is left to guessing."""
    undescribed = [name for name, part in parts(CONTRACT) if not (part.description or "").strip()]

    assert undescribed == []


def test_the_roots_are_those_of_the_contract() -> None:
    """Nothing is missing, and nothing has slipped in."""
    expected = BUSINESS_TRANSFERS | (
        {f"Query.{name}" for name in QUERIES}
        | {f"Mutation.{name}" for name in MUTATIONS}
        | {f"Subscription.{name}" for name in SUBSCRIPTIONS}
    )

    assert {name for name, _ in roots(CONTRACT)} == expected


def test_every_root_field_says_who_may_select_it() -> None:
    """A field without @auth would be refused to nobody who has a credential."""
    open_to_all = [
        name
        for name, field in roots(CONTRACT)
        if "auth" not in [directive.name.value for directive in field.ast_node.directives]
    ]

    assert open_to_all == []


def test_nothing_is_a_float() -> None:
    """Money is a Decimal in a string, in both directions."""
    floats = [
        name
        for name, part in parts(CONTRACT)
        if hasattr(part, "type") and get_named_type(part.type).name == "Float"
    ]

    assert floats == []
    assert str(CONTRACT.type_map["Money"].fields["amount"].type) == "Decimal!"
    assert str(CONTRACT.type_map["MoneyInput"].fields["amount"].type) == "Decimal!"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (enums.TransactionOperation, ledger.TransactionOperation),
        (hold_types.HoldRequestKind, ledger.HoldRequestKind),
        (hold_types.HoldRequestStatus, ledger.HoldRequestStatus),
        (hold_types.HoldFinding, HoldFinding),
        (enums.TransactionStatus, ledger.Status),
        (enums.FailureCategory, FailureCategory),
        (enums.RefundStatus, ledger.RefundStatus),
        (enums.SavedCardStatus, ledger.SavedCardStatus),
        (enums.EventSource, events.EventSource),
        (enums.CallbackDisposition, ledger.Disposition),
        (enums.CheckoutPurpose, checkout.CheckoutPurpose),
        (enums.CheckoutStatus, checkout.CheckoutStatus),
        (enums.PaymentMethodType, checkout.PaymentMethodType),
        (enums.ClientOperation, checkout.ClientOperation),
        (ErrorCode, errors.ErrorCode),
        (BusinessTransferStatus, TransferStatus),
        (invoice_types.InvoiceStatus, InvoiceStatus),
    ],
)
def test_enums_cover_what_the_ledger_can_say(ours: type[Enum], theirs: type[Enum]) -> None:
    """A new word in the ledger fails here by name, not in front of a client."""
    assert {item.value for item in ours} == {item.value for item in theirs}


def test_currencies_are_those_of_the_ledger() -> None:
    """A currency without places would be shown with none."""
    assert {item.value for item in enums.Currency} == set(ledger.CURRENCY_PLACES)


def test_every_refusal_has_its_error() -> None:
    """Each subclass of RefusedError has a row in the table, so none is masked as unexpected."""
    transaction = a_transaction()
    transfer = BusinessTransfer(
        id="bt_1",
        status=TransferStatus.PENDING,
        version=1,
        order_id="A",
        gateway_order_id="A",
        amount=Decimal(1),
        currency="AZN",
        created_at=NOW,
        updated_at=NOW,
    )
    code = errors.ErrorCode.ORDER_IN_PROGRESS
    refusals = [
        errors.RefusedError(errors.ErrorCode.NOT_FOUND, "There is none.", ("by",)),
        errors.KeyReusedError(NOW),
        errors.InProgressError(1500),
        errors.TooManyAttemptsError(1500),
        errors.OrderConflictError(code, "Wait.", transaction),
        errors.ExceedsRefundableError(Decimal("1.5"), "AZN"),
        errors.TransferConflictError(transfer, is_done=False),
    ]

    assert {type(refusal) for refusal in refusals} == {errors.RefusedError, *errors.RefusedError.__subclasses__()}
    for refusal in refusals:
        shown = to_user_error(refusal)
        assert (shown.code.value, shown.message) == (refusal.code.value, refusal.message)
        assert shown.path == (list(refusal.path) or None)


# -- scalars ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["10.50", "0.00", "-3", "100", "12345678901234567890.1"])
def test_decimals_come_back_with_their_places(text: str) -> None:
    """Nothing is rounded, and no exponent appears."""
    assert format_decimal(parse_decimal(text)) == text


@pytest.mark.parametrize("value", [10.5, 10, True, None, "", "1e3", "10,50", " 1", "NaN", "Infinity", "١٠", "1_0"])
def test_decimals_are_strings_of_digits(value: object) -> None:
    """JSON numbers may have been rounded already; and the error must not repeat the value."""
    with pytest.raises(GraphQLError) as caught:
        parse_decimal(value)

    assert caught.value.message == 'A Decimal is a string of plain digits such as "10.50", not a number.'


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("10.5", "10.50"), ("10", "10.00"), ("1E+2", "100.00"), ("10.505", "10.505"), ("0", "0.00")],
)
def test_money_has_the_places_of_its_currency(amount: str, shown: str) -> None:
    """More places than the currency's are kept rather than rounded away."""
    assert format_decimal(Money.of(Decimal(amount), "AZN").amount) == shown


def test_times_are_in_utc_with_z() -> None:
    """One way to write a time, whatever the zone it came in."""
    baku = NOW.astimezone(timezone(timedelta(hours=4)))

    assert format_date_time(baku) == "2025-01-31T12:00:00.250000Z"
    assert parse_date_time("2025-01-31T16:00:00.25+04:00") == NOW
    assert parse_date_time("2025-01-31T12:00:00.250z") == NOW


@pytest.mark.parametrize("value", ["2025-01-31", "2025-01-31T12:00:00", "2025-02-31T12:00:00Z", "now", 0, None])
def test_a_time_without_an_offset_is_refused(value: object) -> None:
    """It would mean another moment elsewhere."""
    with pytest.raises(GraphQLError, match="RFC 3339"):
        parse_date_time(value)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), {"a": "\ud800"}, {"a": {1, 2}}])
def test_json_is_what_json_can_hold(value: object) -> None:
    """What cannot be stored and returned equal is refused at once."""
    with pytest.raises(GraphQLError):
        parse_json(value)


# -- the same input ---------------------------------------------------------------------------------------


def an_input(**changes: Any) -> PayInput:
    """A valid input, changed in what the test is about."""
    fields: dict[str, Any] = {
        "idempotency_key": "key-1",
        "order_id": "A-1",
        "amount": MoneyInput(amount=Decimal("10.50"), currency=enums.Currency.AZN),
    }
    return PayInput(**(fields | changes))


@pytest.mark.parametrize(
    "same",
    [
        {"idempotency_key": "key-2"},
        {"amount": MoneyInput(amount=Decimal("10.5"), currency=enums.Currency.AZN)},
        {"description": None, "metadata": None},
    ],
)
def test_inputs_that_mean_the_same_have_one_hash(same: dict[str, Any]) -> None:
    """The way it is written does not make it another request."""
    assert input_hash(an_input(**same)) == input_hash(an_input())


def test_keys_of_metadata_have_no_order() -> None:
    """JSON objects are unordered."""
    assert input_hash(an_input(metadata={"a": 1, "b": 2**80})) == input_hash(
        an_input(metadata={"b": 2**80, "a": 1})
    )


@pytest.mark.parametrize(
    "other",
    [
        {"order_id": "A-2"},
        {"amount": MoneyInput(amount=Decimal("10.05"), currency=enums.Currency.AZN)},
        {"amount": MoneyInput(amount=Decimal("10.50"), currency=enums.Currency.USD)},
        {"description": ""},
        {"metadata": {}},
        {"language": enums.Language.EN},
    ],
)
def test_inputs_that_differ_have_other_hashes(other: dict[str, Any]) -> None:
    """A key that is used for something else must be noticed."""
    assert input_hash(an_input(**other)) != input_hash(an_input())


# -- pages ------------------------------------------------------------------------------------------------

LETTERS = Cursors("letters", r"[a-z]")


@pytest.mark.parametrize(
    ("arguments", "letters", "more"),
    [
        ({}, "abcdefgh", (False, False)),
        ({"first": 3}, "abc", (True, False)),
        ({"first": 8}, "abcdefgh", (False, False)),
        ({"first": 0}, "", (True, False)),
        ({"first": 3, "after": "c"}, "def", (True, True)),
        ({"first": 3, "after": "f"}, "gh", (False, True)),
        ({"last": 3}, "fgh", (False, True)),
        ({"last": 0}, "", (False, True)),
        ({"last": 3, "before": "d"}, "abc", (True, False)),
        ({"last": 2, "before": "d"}, "bc", (True, True)),
    ],
)
async def test_pages_go_both_ways(arguments: dict[str, Any], letters: str, more: tuple[bool, bool]) -> None:
    """Each page holds what was asked, in the order of the list, and says whether there is more."""

    async def fetch(page: Any) -> str:
        found = [x for x in "abcdefgh" if x > (page.after or "") and x < (page.before or "~")]
        return "".join(found[-page.limit :] if page.backwards else found[: page.limit])

    for name in ("after", "before"):
        if name in arguments:
            arguments = arguments | {name: LETTERS.encode(arguments[name])}
    page = await load(LETTERS, read_page(LETTERS, **arguments), fetch, str, str)

    assert "".join(edge.node for edge in page.edges) == letters
    assert (page.page_info.has_next_page, page.page_info.has_previous_page) == more
    assert page.page_info.end_cursor == (page.edges[-1].cursor if letters else None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"first": -1}, "first"),
        ({"first": 101}, "first"),
        ({"last": -1}, "last"),
        ({"last": 101}, "last"),
        ({"first": 1, "last": 1}, "last"),
        ({"after": ""}, "after"),
        ({"after": "$$$"}, "after"),
        ({"after": "ə"}, "after"),
        ({"before": LETTERS.encode("A")}, "before"),
        ({"after": Cursors("numbers", r"\d").encode("1")}, "after"),
    ],
)
def test_a_wrong_page_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    """A client sees at once which argument to correct; a cursor of another list is none of this one."""
    with pytest.raises(GraphQLError, match=f"Argument `{named}`") as caught:
        read_page(LETTERS, **arguments)

    assert caught.value.extensions == {"code": "INVALID_INPUT"}


def test_ids_fit_their_cursors() -> None:
    """A cursor that the service gave out must be one that it takes back."""
    cursors = Cursors("transactions", BY_ID)
    transaction_id = a_transaction().id

    assert cursors.decode(cursors.encode(transaction_id), "after") == transaction_id


# -- what an error says -----------------------------------------------------------------------------------


def test_an_unexpected_error_shows_only_its_request_id(caplog: pytest.LogCaptureFixture) -> None:
    """Its text may hold a secret: neither the client nor the log gets it."""
    seen = mask(GraphQLError("dsn=secret", original_error=ValueError("dsn=secret")), "req-1")

    assert (seen.message, seen.extensions["requestId"]) == ("Unexpected error", "req-1")
    assert "req-1" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (errors.StoreUnavailableError("dsn=secret"), "SERVICE_UNAVAILABLE"),
        (errors.GatewayUnavailableError("get_status", "secret"), "GATEWAY_UNAVAILABLE"),
        (errors.GatewayUnclearError("get_status", "secret"), "GATEWAY_UNAVAILABLE"),
        (errors.RefusedError(errors.ErrorCode.NOT_FOUND, "There is none."), "NOT_FOUND"),
    ],
)
def test_our_own_exceptions_have_codes(cause: Exception, code: str) -> None:
    """A client can tell what to do about them."""
    seen = mask(GraphQLError(str(cause), original_error=cause), "req-1")

    assert seen.extensions["code"] == code
    assert "secret" not in seen.message


def test_errors_made_on_purpose_pass() -> None:
    """Syntax and validation errors, and those of arguments, are for the client to read."""
    inner = GraphQLError("Argument `first` is wrong.", extensions={"code": "INVALID_INPUT"})

    assert mask(GraphQLError("Syntax Error: no."), "r").message == "Syntax Error: no."
    assert mask(GraphQLError(inner.message, original_error=inner), "r").extensions == {"code": "INVALID_INPUT"}


@pytest.mark.parametrize(
    "document",
    [
        'mutation { pay(input: {idempotencyKey: "k", orderId: "SECRET", amount: {amount: 10.5}}) { replayed } }',
        'mutation { pay(input: {idempotencyKey: "k", description: "SECRET"}) { replayed } }',
        'mutation { pay(input: {idempotencyKey: "k", orderId: "SECRET", amount: {amount: "x"}}) { replayed } }',
    ],
)
async def test_refused_values_are_not_repeated(document: str) -> None:
    """Neither literals nor variables come back in the text of an error."""
    written = build_schema().execute(document)
    node = parse(document).definitions[0].selection_set.selections[0].arguments[0].value  # type: ignore[attr-defined]
    variables = {
        "input": {
            field.name.value: {"amount": 10.5} if field.name.value == "amount" else field.value.value
            for field in node.fields
        }
    }
    passed = build_schema().execute("mutation($input: PayInput!) { pay(input: $input) { replayed } }", variables)

    for result in (await written, await passed):
        assert result.errors
        assert all("SECRET" not in error.message for error in result.errors)


def a_transaction() -> ledger.Transaction:
    """A valid transaction."""
    return ledger.Transaction(
        id="tr_0199aaaaaaaa7aaa8aaaaaaaaaaaaaaa",
        operation=ledger.TransactionOperation.PAY,
        status=ledger.Status.REQUIRES_ACTION,
        version=2,
        amount=Decimal("10.5"),
        currency="AZN",
        created_at=NOW,
        updated_at=NOW,
        redirect_url="https://epoint.az/pay/1",
    )


def test_a_transaction_shows_its_next_step() -> None:
    """While the customer has to act, there is somewhere to send them."""
    shown = Transaction.of(a_transaction())

    assert shown.status is enums.TransactionStatus.REQUIRES_ACTION
    assert not shown.is_final
    assert shown.next_action().url == "https://epoint.az/pay/1"


def test_sensitive_fields_need_the_scope_to_read() -> None:
    """What a payment-only key, or later a browser, has no business with is marked in the contract."""
    guarded = {
        "Transaction": {
            "refundedAmount",
            "refundPendingAmount",
            "refundableAmount",
            "authorizedAmount",
            "capturedAmount",
            "holdRequest",
            "split",
            "metadata",
            "gateway",
            "refunds",
            "events",
        },
        "CardDetails": {"holderName"},
        "Failure": {"bankCode"},
        "SavedCard": {"cardId"},
    }
    requirements = build_schema().requirements

    for type_name, fields in guarded.items():
        found = {field for (owner, field), _ in requirements.items() if owner == type_name}
        assert found == fields
        for field in fields:
            (asked,) = requirements[type_name, field]
            assert (asked.level, asked.scopes) == (READ.level, frozenset({Scope.PAYMENTS_READ}))
