"""Compiled execution of our own schema, over a real cashier, database and simulator: the answers are the same."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from graphql import execute, parse, validate
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql_epoint.compiled import CompiledExecutor
from gql_epoint.schema.access import AuthLevel, Credential
from gql_epoint.schema.context import RequestContext
from gql_epoint.schema.enums import ClientOperation
from tests.cashier_kit import DECLINED, Shop, open_shop
from tests.generated_documents import LEAVES, Documents
from tests.test_schema_answers import KEY, SCHEMA, Caller

pytestmark = pytest.mark.usefixtures("thrown_away")

OPERATIONS = int(os.environ.get("COMPILED_OPERATIONS", "400"))
GRAPHQL = SCHEMA._schema  # noqa: SLF001

# What differs from one run to the next, whoever runs it.
_PASSING = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\"retryAfterMs\": \d+|\"latencyMs\": \d+")
# A new one for each call, or a question to EPoint that changes what is asked later.
_NEVER_THE_SAME = {"createClientToken"}

CHECKOUT = """mutation ($input: CreateCheckoutInput!) { createCheckout(input: $input) {
  checkout { id } errors { code message path } } }"""


async def a_filled_shop(caller: Caller) -> dict[str, list[str]]:
    """Fill the books with a bit of everything, and return the ids in them as literals."""
    paid = await caller.paid("O-paid")
    declined = (await caller.pay(orderId="O-declined"))["transaction"]
    await caller.shop.hosted_page(declined["nextAction"]["url"], DECLINED)
    opened = (await caller.pay(orderId="O-open", metadata={"basket": [1, {"tea": None}]}))["transaction"]
    await caller.run(
        "mutation ($input: RefundInput!) { refund(input: $input) { errors { code } } }",
        input={
            "idempotencyKey": str(uuid4()),
            "transaction": {"id": paid["id"]},
            "amount": {"amount": "1.25"},
            "reason": "çay",
        },
    )
    ids = [paid["id"], declined["id"], opened["id"], "tx_none"]
    found = await caller.run("{ transactions { edges { node { gateway { transactionId } } } } }")
    texts = [edge["node"]["gateway"]["transactionId"] for edge in found["transactions"]["edges"]]
    return {
        "ID": [json.dumps(each) for each in ids],
        "String": ['"O-paid"', '"O-declined"', '"tea"', *[json.dumps(each) for each in texts if each]],
        "Int": ["1", "2", "50", "0"],
        "Decimal": ['"1.50"', '"10.50"', '"0.001"'],
        "DateTime": ['"2026-01-02T03:04:05Z"', '"2040-01-02T03:04:05Z"'],
        "Date": ['"2026-01-02"', '"2026-02-30"'],
        "URL": ['"https://shop.example/back"', '"ftp://x"'],
        "IdempotencyKey": ['"generated-key-0001"', '"generated-key-0002"', '"short"'],
        "JSON": ["{}", "[1, null]", "true"],
    }


async def run(executor: type[Any], document: Any, variables: dict[str, Any], context: RequestContext) -> str:
    """Return what a client would see, without what differs from run to run."""
    running = execute(GRAPHQL, document, None, context, variables, executor_class=executor)
    result = running if hasattr(running, "data") else await running
    answer = {"data": result.data, "errors": [error.formatted for error in result.errors or ()]}
    return _PASSING.sub("<passing>", json.dumps(answer, indent=1))


def browser(shop: Shop, checkout_id: str) -> RequestContext:
    """Return the context of a browser with a token for a checkout."""
    credential = Credential(
        name="browser",
        level=AuthLevel.CLIENT_TOKEN,
        checkout_id=checkout_id,
        operations=frozenset(ClientOperation),
    )
    return RequestContext(
        cashier=shop.cashier, credential=credential, merchant="i000000001", sandbox=True, request_id="req-2"
    )


@pytest.mark.timeout(600)
async def test_generated_operations_on_our_schema_give_the_answers_of_graphql_core(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        caller = Caller(shop)
        leaves = LEAVES | await a_filled_shop(caller)
        order = {"idempotencyKey": str(uuid4()), "orderId": "O-checkout", "amount": {"amount": "3.00"}}
        created = (await caller.run(CHECKOUT, input=order))["createCheckout"]
        contexts = [caller.context, browser(shop, created["checkout"]["id"])]
        assert contexts[0].credential == KEY
        assert GRAPHQL.query_type is not None
        assert GRAPHQL.mutation_type is not None
        mutations = frozenset(GRAPHQL.mutation_type.fields) - _NEVER_THE_SAME
        ran = with_data = with_errors = 0
        for seed in range(OPERATIONS):
            chance = Random(seed)
            made = Documents(GRAPHQL, chance, leaves)
            if chance.random() < 0.3:
                text = made.operation(GRAPHQL.mutation_type, "mutation", only=mutations)
            else:
                text = made.operation(GRAPHQL.query_type)
            document = parse(text)
            if validate(GRAPHQL, document):
                continue
            context = contexts[seed % 7 == 0]
            # The first run leaves the books as every further one will find them.
            await run(StrawberryGraphQLCoreExecutionContext, document, made.values, context)
            judge = await run(StrawberryGraphQLCoreExecutionContext, document, made.values, context)
            for _ in range(2):  # It is compiled when it runs for the second time.
                answer = await run(CompiledExecutor, document, made.values, context)
                assert answer == judge, (seed, text)
            ran += 1
            with_data += '"data": {' in answer
            with_errors += '"message"' in answer
        assert ran > 0.7 * OPERATIONS
        assert with_data > 0.25 * ran
        assert with_errors > 0.02 * ran
