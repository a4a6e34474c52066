"""What EPoint grants to a merchant one by one: without the grant each field says so, with it each works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gql_epoint.epoint.operations import OPERATIONS
from gql_epoint.simulator.grants import FEATURES, NAMES
from tests.cases import CASES, FIELDS, MUTATION, PLANS, World, invoice, world_numbers
from tests.service import Client, Service
from tests.simulator_client import MERCHANT, granted_all_but


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A field with what it needs, ready to run; `object` is where its payload has the thing that it is about."""

    field: str
    document: str
    variables: dict[str, Any]
    object: str | None = None  # None: a query, or a payload that holds none


async def _mutation(world: World, operation: str) -> Asked:
    case = CASES[operation]
    name = case.mutation
    document = MUTATION % (name[0].upper() + name[1:], name, case.field, FIELDS[case.field])
    return Asked(
        field=case.mutation,
        document=document,
        variables={"input": await case.input(world)},
        object=case.field,
    )


async def _query(text: str, field: str) -> Asked:
    return Asked(field=field, document=text, variables={})


async def _session(world: World) -> Asked:
    document = (
        'mutation { applePaySession(input: {origin: "https://shop.example"}) { session errors { code message } } }'
    )
    return await _query(document, "applePaySession")


async def _plans(world: World) -> Asked:
    return Asked(field="installmentPlans", document=PLANS, variables={"order": world.order_id})


async def _wallets(world: World) -> Asked:
    return await _query("{ wallets { id } }", "wallets")


async def _list(world: World) -> Asked:
    return await _query("{ gatewayInvoices { invoiceId } }", "gatewayInvoices")


async def _view(world: World) -> Asked:
    made = await world.run("createInvoice", "invoice", invoice(world.order_id, world.key("seen")))
    document = """mutation ($id: ID!) { refreshInvoice(by: {id: $id}) {
      errors { code message } invoice { status } } }"""
    return Asked(field="refreshInvoice", document=document, variables={"id": made["id"]}, object="invoice")


Asking = Callable[[World], Awaitable[Asked]]
OTHERS: dict[str, Asking] = {
    "apple_session": _session,
    "installment_plans": _plans,
    "wallets": _wallets,
    "list_invoices": _list,
    "view_invoice": _view,
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is said without the grant, and what becomes of the object; None where there is none."""

    hint: str
    status: str | None = None


_HOLDS = "Pre-authorisation must be granted to a merchant by EPoint"
_TOKENS = "Apple Pay and Google Pay must be granted to a merchant by EPoint"
_IN_PARTS = "Payment in instalments must be granted to a merchant by EPoint"
_BY_WALLET = "Payment by wallet must be granted to a merchant by EPoint"
_INVOICES = "EPoint has not granted this merchant invoices"
# Where `error` answers a call that may move money it proves nothing: the object stays open, the hint beside it.
TABLE = {
    "preauthorize": Row(hint=_HOLDS, status="FAILED"),
    "capture": Row(hint=_HOLDS, status="INDETERMINATE"),
    "widget": Row(hint=_TOKENS, status="FAILED"),
    "token_payment": Row(hint=_TOKENS, status="FAILED"),
    "split_token_payment": Row(hint=_TOKENS, status="FAILED"),
    "apple_session": Row(hint=_TOKENS),
    "apple_pay": Row(hint=_TOKENS, status="INDETERMINATE"),
    "google_pay": Row(hint=_TOKENS, status="INDETERMINATE"),
    "installment_plans": Row(hint=_IN_PARTS),
    "pay_in_installments": Row(hint=_IN_PARTS, status="FAILED"),
    "wallets": Row(hint=_BY_WALLET),
    "pay_with_wallet": Row(hint=_BY_WALLET, status="FAILED"),
    "pay_with_amex": Row(hint="American Express must be granted to a merchant by EPoint", status="FAILED"),
    "business_transfer": Row(hint="EPoint has not granted this merchant transfers to businesses", status="FAILED"),
    "create_invoice": Row(hint=_INVOICES, status="FAILED"),
    "update_invoice": Row(hint=_INVOICES, status="WAITING_FOR_PAYMENT"),
    "view_invoice": Row(hint=_INVOICES, status="WAITING_FOR_PAYMENT"),
    "list_invoices": Row(hint=_INVOICES),
    "send_invoice_sms": Row(hint=_INVOICES, status="WAITING_FOR_PAYMENT"),
    "send_invoice_email": Row(hint=_INVOICES, status="WAITING_FOR_PAYMENT"),
}


def test_every_operation_that_needs_a_grant_has_a_row() -> None:
    """A new one is named here as missing; and every operation that says which grant it needs is one of them."""
    assert set(TABLE) == set(FEATURES)
    assert {name for name, operation in OPERATIONS.items() if operation.grant is not None} <= set(TABLE)


@pytest.fixture
def world(service: Service, client: Client) -> World:
    return World(service=service, client=client, number=next(world_numbers))


async def grant(service: Service, *missing: str, http_status: int = 200) -> None:
    """Grant the merchant everything but these features; the status is that of a refusal."""
    assert set(missing) <= set(NAMES)
    await service.simulator.control("PUT", "/settings", {"switches": {"not_granted_http_status": http_status}})
    await service.simulator.control("PUT", f"/merchants/{MERCHANT.public_key}", granted_all_but(*missing))


async def ask(world: World, asked: Asked) -> tuple[list[tuple[str, str]], Any]:
    """Run it; return the codes and messages of what is wrong, and what was answered."""
    answer = await world.client.execute(asked.document, **asked.variables)
    errors = [(error["extensions"]["code"], error["message"]) for error in answer.get("errors", [])]
    answered = (answer.get("data") or {}).get(asked.field)
    if isinstance(answered, dict):
        errors += [(error["code"], error["message"]) for error in answered["errors"]]
        answered = answered[asked.object] if asked.object is not None else answered.get("session")
    return errors, answered


@pytest.mark.parametrize("http_status", [200, 403])
@pytest.mark.parametrize("operation", TABLE)
async def test_without_the_grant_it_says_so_and_with_it_it_works(
    world: World, operation: str, http_status: int
) -> None:
    """Nothing else is taken away; and what was refused harms nothing that comes after."""
    row = TABLE[operation]
    asking: Asking = OTHERS.get(operation) or (lambda world: _mutation(world, operation))
    asked = await asking(world)
    await grant(world.service, FEATURES[operation], http_status=http_status)
    try:
        errors, refused = await ask(world, asked)
    finally:
        await grant(world.service)
    later = msgspec.structs.replace(world, number=next(world_numbers))
    no_errors, answered = await ask(later, await asking(later))

    assert [code for code, _ in errors] == ["GATEWAY_REFUSED"]
    assert row.hint in errors[0][1]
    assert (refused["status"] if row.status is not None else refused or None) == row.status
    assert no_errors == []
    assert answered
