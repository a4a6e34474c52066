"""Who may select what: refused before anything runs, from the declaration in the schema.

A refused document needs no cashier, so none is there. What is allowed is judged by the rule alone.
"""

from __future__ import annotations

from typing import Any

import pytest
import strawberry
from graphql import (
    GraphQLError,
    parse,
    specified_rules,
    validate,
)

from gql_epoint.schema import build_schema
from gql_epoint.schema.access import (
    Auth,
    AuthLevel,
    Credential,
    Requirement,
    Scope,
    access_rule,
    needs,
    read_requirements,
)
from gql_epoint.schema.context import RequestContext
from gql_epoint.schema.enums import ClientOperation
from gql_epoint.schema.guards import one_money_field_rule

SCHEMA = build_schema(sandbox=True)  # all of it; test_sandbox_schema.py has what production lacks
GRAPHQL = SCHEMA._schema  # noqa: SLF001
EVERYTHING = frozenset(Scope)

BY = 'by: {id: "tr_1"}'
INPUT = 'idempotencyKey: "0123456789abcdef"'
PAY = f'input: {{{INPUT}, orderId: "A", amount: {{amount: "1.00"}}}}'
DESCRIBED = f'input: {{{INPUT}, orderId: "A", amount: {{amount: "1.00"}}, description: "A"}}'
SPLIT = f'input: {{{INPUT}, orderId: "A", amount: {{amount: "2.00"}}, split: {{user: "i1", amount: "1.00"}}}}'
SPLIT_DESCRIBED = SPLIT.replace('orderId: "A"', 'orderId: "A", description: "A"')
CARD = 'card: {id: "card_1"}'
WITH_CARD = f'input: {{{INPUT}, {CARD}, orderId: "A", amount: {{amount: "1.00"}}}}'
SPLIT_CARD = SPLIT.replace("input: {", f"input: {{{CARD}, ")
INSTALLMENTS = PAY.replace('orderId: "A"', 'orderId: "A", cardId: "1", months: 3')
WALLET = PAY.replace('orderId: "A"', 'orderId: "A", walletId: "9"')
REFUND = f'input: {{{INPUT}, transaction: {{id: "tr_1"}}}}'
TOKEN = f'input: {{{INPUT}, transactionId: "tr_1", token: "t"}}'
TRANSFER = (
    f'input: {{{INPUT}, orderId: "A", amount: {{amount: "1.00"}}, description: "A", '
    'payee: {name: "A", tin: "1", iban: "A", bankCode: "1"}}'
)
TERMS = 'terms: {amount: {amount: "1.00"}, periodFrom: "2026-01-01", periodTo: "2026-01-31"}'
RESOLVE = f'{INPUT}, resolution: FAILED, note: "none"'

ROOTS: dict[str, tuple[str, Scope | None]] = {
    "Query.viewer": ("{ viewer { level } }", None),
    "Query.transaction": (f"{{ transaction({BY}) {{ id }} }}", Scope.PAYMENTS_READ),
    "Query.transactions": ("{ transactions { pageInfo { endCursor } } }", Scope.PAYMENTS_READ),
    "Query.savedCard": ('{ savedCard(by: {cardId: "x"}) { id } }', Scope.PAYMENTS_READ),
    "Query.savedCards": ("{ savedCards { pageInfo { endCursor } } }", Scope.PAYMENTS_READ),
    "Query.callbacks": ("{ callbacks { pageInfo { endCursor } } }", Scope.PAYMENTS_READ),
    "Query.events": ("{ events { pageInfo { endCursor } } }", Scope.PAYMENTS_READ),
    "Query.node": ('{ node(id: "tr_1") { id } }', Scope.PAYMENTS_READ),
    "Query.gatewayStatus": ('{ gatewayStatus(transactionId: "te1") { status } }', Scope.PAYMENTS_READ),
    "Query.installmentPlans": (
        '{ installmentPlans(orderId: "A", amount: {amount: "1.00"}) { months } }',
        Scope.PAYMENTS_READ,
    ),
    "Mutation.payInInstallments": (
        f"mutation {{ payInInstallments({INSTALLMENTS}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Query.wallets": ("{ wallets { name } }", Scope.PAYMENTS_READ),
    "Mutation.payWithWallet": (f"mutation {{ payWithWallet({WALLET}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.payWithAmex": (f"mutation {{ payWithAmex({PAY}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.pay": (f"mutation {{ pay({PAY}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.payWithSavedCard": (
        f"mutation {{ payWithSavedCard({WITH_CARD}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.payAndSaveCard": (f"mutation {{ payAndSaveCard({DESCRIBED}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.saveCard": (f"mutation {{ saveCard(input: {{{INPUT}}}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.splitPay": (f"mutation {{ splitPay({SPLIT}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.splitPayWithSavedCard": (
        f"mutation {{ splitPayWithSavedCard({SPLIT_CARD}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.splitPayAndSaveCard": (
        f"mutation {{ splitPayAndSaveCard({SPLIT_DESCRIBED}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.payout": (f"mutation {{ payout({WITH_CARD}) {{ replayed }} }}", Scope.PAYOUTS_WRITE),
    "Mutation.refund": (f"mutation {{ refund({REFUND}) {{ replayed }} }}", Scope.REFUNDS_WRITE),
    "Mutation.preauthorize": (f"mutation {{ preauthorize({PAY}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.capture": (f"mutation {{ capture({REFUND}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.cancelPreauthorization": (
        f"mutation {{ cancelPreauthorization({REFUND}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.resolveHold": (
        f'mutation {{ resolveHold(input: {{{INPUT}, finding: HELD, note: "none", transactionId: "tr_1"}}) '
        "{ replayed } }",
        Scope.LEDGER_RESOLVE,
    ),
    "Mutation.refreshTransaction": (
        f"mutation {{ refreshTransaction({BY}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.resolveTransaction": (
        f'mutation {{ resolveTransaction(input: {{{RESOLVE}, transactionId: "tr_1"}}) {{ replayed }} }}',
        Scope.LEDGER_RESOLVE,
    ),
    "Mutation.resolveRefund": (
        f'mutation {{ resolveRefund(input: {{{RESOLVE}, refundId: "re_1"}}) {{ replayed }} }}',
        Scope.LEDGER_RESOLVE,
    ),
    "Query.invoice": ('{ invoice(by: {id: "inv_1"}) { id } }', Scope.PAYMENTS_READ),
    "Query.invoices": ("{ invoices { pageInfo { endCursor } } }", Scope.PAYMENTS_READ),
    "Query.gatewayInvoices": ("{ gatewayInvoices { status } }", Scope.PAYMENTS_READ),
    "Mutation.createInvoice": (
        f'mutation {{ createInvoice(input: {{{INPUT}, orderId: "A", {TERMS}}}) {{ replayed }} }}',
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.updateInvoice": (
        f'mutation {{ updateInvoice(input: {{{INPUT}, invoiceId: "inv_1", {TERMS}}}) {{ replayed }} }}',
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.sendInvoiceBySms": (
        f'mutation {{ sendInvoiceBySms(input: {{{INPUT}, invoiceId: "inv_1"}}) {{ replayed }} }}',
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.sendInvoiceByEmail": (
        f'mutation {{ sendInvoiceByEmail(input: {{{INPUT}, invoiceId: "inv_1"}}) {{ replayed }} }}',
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.resolveInvoice": (
        f'mutation {{ resolveInvoice(input: {{{INPUT}, invoiceId: "inv_1", note: "none", '
        'amount: {amount: "5.00"}}) { replayed } }',
        Scope.LEDGER_RESOLVE,
    ),
    "Mutation.refreshInvoice": (
        'mutation { refreshInvoice(by: {id: "inv_1"}) { replayed } }',
        Scope.PAYMENTS_WRITE,
    ),
    "Subscription.invoiceUpdated": (
        'subscription { invoiceUpdated(by: {id: "inv_1"}) { kind } }',
        Scope.PAYMENTS_READ,
    ),
    "Query.gateway": ("{ gateway { reachable } }", Scope.PAYMENTS_READ),
    "Query.businessTransfer": ('{ businessTransfer(by: {id: "bt_1"}) { id } }', Scope.PAYMENTS_READ),
    "Query.businessTransfers": ("{ businessTransfers { pageInfo { endCursor } } }", Scope.PAYMENTS_READ),
    "Mutation.transferToBusiness": (
        f"mutation {{ transferToBusiness({TRANSFER}) {{ replayed }} }}",
        Scope.PAYOUTS_WRITE,
    ),
    "Mutation.refreshBusinessTransfer": (
        'mutation { refreshBusinessTransfer(by: {id: "bt_1"}) { replayed } }',
        Scope.PAYOUTS_WRITE,
    ),
    "Mutation.resolveBusinessTransfer": (
        f'mutation {{ resolveBusinessTransfer(input: {{{RESOLVE}, businessTransferId: "bt_1"}}) {{ replayed }} }}',
        Scope.LEDGER_RESOLVE,
    ),
    "Subscription.businessTransferUpdated": (
        'subscription { businessTransferUpdated(by: {id: "bt_1"}) { kind } }',
        Scope.PAYMENTS_READ,
    ),
    "Mutation.createCheckout": (
        f"mutation {{ createCheckout({PAY}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.createClientToken": (
        'mutation { createClientToken(input: {checkoutId: "co_1"}) { errors { code } } }',
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.cancelCheckout": ('mutation { cancelCheckout(id: "co_1") { replayed } }', Scope.PAYMENTS_WRITE),
    "Mutation.createWidget": (f"mutation {{ createWidget({PAY}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.createTokenPayment": (
        f"mutation {{ createTokenPayment({PAY}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.splitTokenPayment": (
        f"mutation {{ splitTokenPayment({SPLIT}) {{ replayed }} }}",
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.applePaySession": (
        'mutation { applePaySession(input: {origin: "https://a.example"}) { session } }',
        Scope.PAYMENTS_WRITE,
    ),
    "Mutation.applePay": (f"mutation {{ applePay({TOKEN}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Mutation.googlePay": (f"mutation {{ googlePay({TOKEN}) {{ replayed }} }}", Scope.PAYMENTS_WRITE),
    "Subscription.transactionUpdated": (
        f"subscription {{ transactionUpdated({BY}) {{ kind }} }}",
        Scope.PAYMENTS_READ,
    ),
    "Subscription.savedCardUpdated": (
        'subscription { savedCardUpdated(by: {id: "card_1"}) { kind } }',
        Scope.PAYMENTS_READ,
    ),
    "Subscription.events": ("subscription { events { cursor } }", Scope.PAYMENTS_READ),
}

# What only the sandbox has.
PLAY = 'by: {orderId: "A"}'
ROOTS |= {
    "Query.simulatorTransactions": ("{ simulatorTransactions { status } }", Scope.PAYMENTS_READ),
    "Query.simulatorInvoices": ("{ simulatorInvoices { status } }", Scope.PAYMENTS_READ),
    "Query.simulatorTransfers": ("{ simulatorTransfers { status } }", Scope.PAYMENTS_READ),
    "Query.simulatorTransaction": (f"{{ simulatorTransaction({PLAY}) {{ status }} }}", Scope.PAYMENTS_READ),
    **{
        f"Mutation.{name}": (f"mutation {{ {name}({arguments}) {{ errors {{ code }} }} }}", Scope.PAYMENTS_WRITE)
        for name, arguments in {
            "simulatorApprove": PLAY,
            "simulatorDecline": PLAY,
            "simulatorRefund": PLAY,
            "simulatorCapture": PLAY,
            "simulatorSettleInvoice": PLAY,
            "simulatorSettleTransfer": PLAY,
            "simulatorSendTransferWebhook": PLAY,
            "simulatorResendCallback": PLAY,
            "simulatorSendCallback": "number: 1",
            "simulatorDropCallback": "number: 1",
        }.items()
    },
    "Subscription.simulatorUpdated": (
        f"subscription {{ simulatorUpdated({PLAY}) {{ status }} }}",
        Scope.PAYMENTS_READ,
    ),
    "Subscription.simulatorBusinessUpdated": (
        "subscription { simulatorBusinessUpdated { invoice { status } } }",
        Scope.PAYMENTS_READ,
    ),
}

CONFIRM = f"confirmCheckout(input: {{{INPUT}, method: {{hostedPage: {{}}}}}}) {{ replayed }}"

# What is for browsers alone, and the operation that a token must have been made for.
BROWSER_ROOTS: dict[str, tuple[str, ClientOperation]] = {
    "Query.checkout": ("{ checkout { id } }", ClientOperation.READ),
    "Mutation.confirmCheckout": (f"mutation {{ {CONFIRM} }}", ClientOperation.CONFIRM),
    "Subscription.checkoutUpdated": ("subscription { checkoutUpdated { kind } }", ClientOperation.SUBSCRIBE),
}
DOCUMENTS = {name: document for name, (document, _) in (ROOTS | BROWSER_ROOTS).items()}  # type: ignore[operator]


def a_key(*scopes: Scope) -> Credential:
    """A secret key with these scopes."""
    return Credential(name="shop", level=AuthLevel.SECRET_KEY, scopes=frozenset(scopes))


def a_token(*operations: ClientOperation) -> Credential:
    """A client token made for these operations."""
    return Credential(
        name="co_1", level=AuthLevel.CLIENT_TOKEN, checkout_id="co_1", operations=frozenset(operations)
    )


A_TOKEN = a_token(*ClientOperation)
EVERY_KEY = a_key(*Scope)


async def run(document: str, credential: Credential | None) -> list[GraphQLError]:
    """Run a document as the transports do, with no cashier to reach; return the errors of the first result."""
    nothing: Any = None
    context = RequestContext(
        cashier=nothing, credential=credential, merchant="i1", sandbox=True, request_id="req-1"
    )
    if document.startswith("subscription"):
        results = await SCHEMA.stream(document, context_value=context)
        async for result in results:
            return result.errors or []
    return (await SCHEMA.execute(document, context_value=context)).errors or []


def judge(document: str, credential: Credential | None) -> list[str]:
    """Return the codes of what the whole validation, with the access rule, says about a document."""
    rule: Any = access_rule(SCHEMA.requirements, credential)
    return [
        (error.extensions or {}).get("code", error.message)
        for error in validate(GRAPHQL, parse(document), (*specified_rules, rule))
    ]


def test_the_table_has_every_root_field() -> None:
    """A new field fails here by name until its access is tested."""
    roots = (GRAPHQL.query_type, GRAPHQL.mutation_type, GRAPHQL.subscription_type)

    assert set(DOCUMENTS) == {f"{root.name}.{name}" for root in roots if root for name in root.fields}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_nobody_gets_in_without_a_credential(name: str) -> None:
    """Each root field is refused, once, with the code that says why."""
    errors = await run(DOCUMENTS[name], None)

    assert [error.extensions for error in errors] == [{"code": "UNAUTHENTICATED"}]


@pytest.mark.parametrize("name", [name for name, (_, scope) in ROOTS.items() if scope])
async def test_a_key_without_the_scope_is_refused(name: str) -> None:
    """Every other scope together does not replace the one that is missing."""
    document, scope = ROOTS[name]
    errors = await run(document, a_key(*(EVERYTHING - {scope})))

    assert [error.extensions for error in errors] == [{"code": "FORBIDDEN"}]
    assert errors[0].message == f"{name} needs SECRET_KEY with {scope.value}."  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [name for name, (_, scope) in ROOTS.items() if scope])
async def test_a_client_token_is_no_key(name: str) -> None:
    """The level counts, whatever else a browser's token can do."""
    errors = await run(ROOTS[name][0], A_TOKEN)

    assert [error.extensions for error in errors] == [{"code": "FORBIDDEN"}]


@pytest.mark.parametrize("name", ROOTS)
def test_the_scope_alone_is_enough(name: str) -> None:
    """A key needs no more than what the declaration says."""
    document, scope = ROOTS[name]

    assert judge(document, a_key(*([scope] if scope else []))) == []


def test_a_field_for_everybody_takes_every_credential() -> None:
    """A stronger credential satisfies a weaker level."""
    assert judge(ROOTS["Query.viewer"][0], A_TOKEN) == []
    assert judge(ROOTS["Query.viewer"][0], a_key()) == []


@pytest.mark.parametrize("document", ["{ __typename }", "{ __schema { queryType { name } } }"])
async def test_the_schema_is_open_to_all(document: str) -> None:
    """What the service offers is public; what it holds is not."""
    assert await run(document, None) == []


SENSITIVE = {
    "a nested field": f"mutation {{ pay({PAY}) {{ transaction {{ metadata }} }} }}",
    "an alias": f"mutation {{ pay({PAY}) {{ transaction {{ description: metadata }} }} }}",
    "a fragment": (
        f"mutation {{ pay({PAY}) {{ ...P }} }} fragment P on TransactionPayload {{ transaction {{ ...T }} }} "
        "fragment T on Transaction { metadata }"
    ),
    "an inline fragment": f"mutation {{ pay({PAY}) {{ transaction {{ ... on Transaction {{ metadata }} }} }} }}",
    "an interface": (
        f"mutation {{ pay({PAY}) {{ transaction {{ ... on Node {{ id ... on Transaction {{ metadata }} }} }} }} }}"
    ),
    "an error": (
        f"mutation {{ pay({PAY}) {{ errors {{ ... on OrderConflictError {{ transaction {{ metadata }} }} }} }} }}"
    ),
    "a skipped field": f"mutation {{ pay({PAY}) {{ transaction {{ metadata @skip(if: true) }} }} }}",
    "a card": f"mutation {{ pay({PAY}) {{ transaction {{ card {{ holderName }} }} }} }}",
    "a failure": f"mutation {{ pay({PAY}) {{ transaction {{ failure {{ bankCode }} }} }} }}",
    "another operation": f"mutation A {{ pay({PAY}) {{ replayed }} }} query B {{ {ROOTS['Query.node'][0][2:-2]} }}",
}


@pytest.mark.parametrize("way", SENSITIVE)
async def test_no_way_leads_to_a_field_that_is_not_allowed(way: str) -> None:
    """A key that may only pay gets at nothing else, and nothing runs: there is no cashier to pay with."""
    assert judge(SENSITIVE[way], a_key(Scope.PAYMENTS_WRITE)) == ["FORBIDDEN"]
    assert judge(SENSITIVE[way], EVERY_KEY) == []


async def test_a_refused_document_has_no_effect() -> None:
    """The payment beside the forbidden field is not started either."""
    errors = await run(SENSITIVE["a nested field"], a_key(Scope.PAYMENTS_WRITE))

    assert [error.extensions for error in errors] == [{"code": "FORBIDDEN"}]


def test_node_leads_to_nothing_else() -> None:
    """What hangs on an object is judged wherever the object comes from."""
    document = (
        '{ node(id: "tr_1") { ... on Transaction { refundedAmount { amount } } ... on SavedCard { cardId } } }'
    )

    assert judge(document, a_key(Scope.PAYMENTS_READ)) == []
    assert judge(document, A_TOKEN) == ["FORBIDDEN"] * 3


def test_each_forbidden_field_is_reported_once() -> None:
    """A document with a thousand aliases does not make a thousand errors."""
    aliases = " ".join(f"a{number}: metadata" for number in range(1000))

    assert judge(f"mutation {{ pay({PAY}) {{ transaction {{ {aliases} }} }} }}", a_key(Scope.PAYMENTS_WRITE)) == [
        "FORBIDDEN"
    ]


@pytest.mark.parametrize(
    ("level", "scopes", "exact", "credential", "met"),
    [
        (AuthLevel.CLIENT_TOKEN, (), False, A_TOKEN, True),
        (AuthLevel.CLIENT_TOKEN, (), False, EVERY_KEY, True),
        (AuthLevel.CLIENT_TOKEN, (), True, A_TOKEN, True),
        (AuthLevel.CLIENT_TOKEN, (), True, EVERY_KEY, False),
        (AuthLevel.SECRET_KEY, (), False, A_TOKEN, False),
        (AuthLevel.SECRET_KEY, (), True, a_key(), True),
        (AuthLevel.SECRET_KEY, (Scope.REFUNDS_WRITE,), False, a_key(), False),
        (
            AuthLevel.SECRET_KEY,
            (Scope.REFUNDS_WRITE, Scope.PAYMENTS_READ),
            False,
            a_key(Scope.PAYMENTS_READ),
            False,
        ),
        (AuthLevel.SECRET_KEY, (Scope.REFUNDS_WRITE, Scope.PAYMENTS_READ), False, EVERY_KEY, True),
    ],
)
def test_levels_scopes_and_exactness(
    level: AuthLevel, scopes: tuple[Scope, ...], exact: bool, credential: Credential, met: bool
) -> None:
    """All scopes are needed; `exact` refuses stronger levels too."""
    requirement = Requirement(level=level, scopes=frozenset(scopes), exact=exact)

    assert requirement.met_by(credential) is met


@strawberry.interface
class Thing:
    """An interface with a guarded field."""

    label: str

    @strawberry.field(directives=[needs(Scope.PAYMENTS_READ)])
    def secret(self) -> str:
        return "secret"


@strawberry.type
class Card(Thing):
    """A type that guards what its interface does not."""

    label: str = strawberry.field(directives=[Auth(level=AuthLevel.CLIENT_TOKEN, exact=True)])


@strawberry.type
class Query:
    """A root."""

    @strawberry.field
    def thing(self) -> Thing:
        return Card(label="x")


def test_interfaces_ask_for_what_their_fields_ask_for() -> None:
    """Whether the declaration is on the interface or on one of its types, selecting it there is no way round."""

    requirements = read_requirements(strawberry.Schema(Query, types=[Card])._schema)  # noqa: SLF001

    assert {asked: len(found) for asked, found in requirements.items()} == {
        ("Thing", "label"): 1,
        ("Thing", "secret"): 1,
        ("Card", "label"): 1,
        ("Card", "secret"): 1,
    }
    assert requirements["Thing", "label"][0].exact


# -- one money-moving field per operation -----------------------------------------------------------------

MONEY = {name.removeprefix("Mutation.") for name in DOCUMENTS if name.startswith("Mutation.")} - {
    "saveCard",
    "refreshTransaction",
    "resolveTransaction",
    "resolveRefund",
    "refreshBusinessTransfer",
    "resolveBusinessTransfer",
    "createInvoice",
    "updateInvoice",
    "sendInvoiceBySms",
    "sendInvoiceByEmail",
    "refreshInvoice",
    "resolveInvoice",
    "resolveHold",
    "createCheckout",
    "createClientToken",
    "cancelCheckout",
    "applePaySession",
    *(name for name in (field.removeprefix("Mutation.") for field in ROOTS) if name.startswith("simulator")),
}
REFUND_FIELD = f"refund({REFUND}) {{ replayed }}"
PAY_FIELD = f"pay({PAY}) {{ replayed }}"


def test_the_fields_that_move_money_are_known() -> None:
    """Each of them declares it; a test of the table cannot be forgotten."""
    assert SCHEMA.money_fields == MONEY


@pytest.mark.parametrize(
    "document",
    [
        f"mutation {{ a: {PAY_FIELD} b: {PAY_FIELD} }}",
        f"mutation {{ {PAY_FIELD} {REFUND_FIELD} }}",
        f"mutation {{ {PAY_FIELD} ... on Mutation {{ {REFUND_FIELD} }} }}",
        f"mutation {{ {PAY_FIELD} ... {{ {REFUND_FIELD} }} }}",
        f"mutation {{ {PAY_FIELD} ...F }} fragment F on Mutation {{ {REFUND_FIELD} }}",
        f"mutation {{ ...F ...G }} fragment F on Mutation {{ {PAY_FIELD} }} "
        f"fragment G on Mutation {{ {REFUND_FIELD} }}",
        f"mutation {{ {PAY_FIELD} {REFUND_FIELD.replace(') {', ') @skip(if: true) {')} }}",
    ],
)
async def test_two_money_moving_fields_are_refused(document: str) -> None:
    """Nothing runs: half of an operation must not be paid for."""
    errors = await run(document, EVERY_KEY)

    assert [error.extensions for error in errors] == [{"code": "ONE_MONEY_FIELD"}]


@pytest.mark.parametrize(
    "document",
    [
        f"mutation {{ {PAY_FIELD} }}",
        f"mutation {{ {PAY_FIELD} {PAY_FIELD} }}",
        f"mutation {{ ...F ...F }} fragment F on Mutation {{ {PAY_FIELD} }}",
        f"mutation {{ {PAY_FIELD} refreshTransaction({BY}) {{ replayed }} }}",
        f"mutation A {{ {PAY_FIELD} }} mutation B {{ {REFUND_FIELD} }}",
        "{ a: __typename b: __typename }",
    ],
)
def test_one_money_moving_field_is_allowed(document: str) -> None:
    """What runs once counts once, and only one operation of a document runs."""
    rule: Any = one_money_field_rule(SCHEMA.money_fields)

    assert validate(GRAPHQL, parse(document), [rule]) == []


def test_fragments_that_spread_each_other_end() -> None:
    """The rule runs beside the one that refuses cycles, so it must survive them; and doubling costs nothing."""
    doubling = " ".join(f"fragment F{n} on Mutation {{ ...F{n + 1} ...F{n + 1} }}" for n in range(20))
    document = f"mutation {{ ...F0 }} {doubling} fragment F20 on Mutation {{ ...F0 {PAY_FIELD} }}"
    rule: Any = one_money_field_rule(SCHEMA.money_fields)

    assert validate(GRAPHQL, parse(document), [rule]) == []


@pytest.mark.parametrize(
    "document", ["{ " + "a " * 6000 + "}", "#\n" * 6000 + "{ __typename }", "{ __typename }" + " " * 100_000]
)
async def test_documents_have_a_size(document: str) -> None:
    """It is looked at before it is parsed; test_limits has every limit."""
    errors = await run(document, EVERY_KEY)

    assert len(errors) == 1
    assert errors[0].extensions["code"] == "DOCUMENT_LIMIT"
