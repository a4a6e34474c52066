"""One row per EPoint operation: the mutation that runs it, its input, and how it ends."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from tests.service import Client, Service

Input = dict[str, Any]

world_numbers = itertools.count(1)
"""One row of numbers for all journeys: their service is the same, and so are the names that they give."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """A running service, a client of it, and a number that makes names unique."""

    service: Service
    client: Client
    number: int

    @property
    def order_id(self) -> str:
        """The order of this journey."""
        return f"journey-{self.number}"

    def key(self, step: str) -> str:
        """An idempotency key of this journey."""
        return f"journey-{self.number:08d}-{step}"

    async def run(self, mutation: str, field: str, input: Input) -> Any:  # noqa: A002
        """Run a mutation that must not be refused, and return its object."""
        document = MUTATION % (mutation[0].upper() + mutation[1:], mutation, field, FIELDS[field])
        payload = (await self.client.data(document, input=input))[mutation]
        assert payload["errors"] == [], payload
        return payload[field]

    async def saved_card(self, *, for_payout: bool = False, card_number: str = "4111 1111 1111 1111") -> str:
        """Save a card as a customer would, and return our id of it."""
        key = self.key(f"card-{'payout' if for_payout else 'debit'}")
        card = await self.run("saveCard", "savedCard", {"idempotencyKey": key, "forPayout": for_payout})
        await self.service.simulator.pay(card["nextAction"]["url"], card_number)
        states = [update async for update in self.client.subscribe(WATCH_CARD, id=card["id"])]
        assert states[-1]["data"]["savedCardUpdated"]["savedCard"]["status"] == "ACTIVE"
        return str(card["id"])

    async def paid(self) -> Any:
        """Pay as a customer would, and return the transaction in SUCCESS."""
        opened = await self.run("pay", "transaction", await CASES["pay"].input(self))
        await self.service.simulator.pay(opened["nextAction"]["url"])
        states = [update async for update in self.client.subscribe(WATCH_TRANSACTION, id=opened["id"])]
        return states[-1]["data"]["transactionUpdated"]["transaction"]

    async def held(self) -> Any:
        """Have an amount held as a customer would, and return the transaction in AUTHORIZED."""
        opened = await self.run("preauthorize", "transaction", await CASES["preauthorize"].input(self))
        await self.service.simulator.pay(opened["nextAction"]["url"])
        async for update in self.client.subscribe(WATCH_TRANSACTION, id=opened["id"]):
            found = update["data"]["transactionUpdated"]["transaction"]
            if found["status"] == "AUTHORIZED":
                return found
        raise AssertionError("the transaction was never held")


async def on_the_page(world: World, opened: Any) -> None:
    """Pay on EPoint's page."""
    await world.service.simulator.pay(opened["nextAction"]["url"])


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """How one operation is run through GraphQL; `events` are the states of its history in order."""

    mutation: str
    field: str  # a field that is no transaction has a journey of its own: see OWN_JOURNEYS
    input: Callable[[World], Awaitable[Input]]
    events: tuple[str, ...]
    customer_acts: bool = False
    act: Callable[[World, Any], Awaitable[None]] = on_the_page
    # Whether the simulator calls back; where EPoint's sources disagree, it does unless it is told not to.
    callback: bool = True


FIELDS = {
    "transaction": "id version status isFinal orderId amount { amount currency } split { user amount { amount } }"
    " nextAction { ... on RedirectAction { url } ... on EmbedWidgetAction { url expectedOrigin }"
    " ... on TokenPayAction { paymentId } } failure { category bankCode message retryable }"
    " savedCard { id status } card { mask } gateway { transactionId } metadata",
    "savedCard": "id version status usableForPayout details { mask } nextAction { ... on RedirectAction { url } }",
    "businessTransfer": "id version status isFinal needsReview orderId amount { amount currency } description"
    " payee { name tin iban bankCode } failure { category message retryable }"
    " gateway { status orderId bulkId lastConfirmedAt }",
    "invoice": "id version status isFinal needsReview orderId amount { amount currency } periodFrom periodTo name"
    " description phone email failure { category message retryable } gateway { status invoiceId orderId }",
    "refund": "id status amount { amount } reason failure { category } transaction { id version status orderId }",
}
MUTATION = "mutation ($input: %sInput!) { %s(input: $input) { replayed errors { code message path } %s { %s } } }"
WATCH_TRANSACTION = (
    "subscription ($id: ID!) { transactionUpdated(by: {id: $id}) { kind transaction { "
    + FIELDS["transaction"]
    + " } } }"
)
WATCH_CARD = (
    "subscription ($id: ID!) { savedCardUpdated(by: {id: $id}) { kind savedCard { " + FIELDS["savedCard"] + " } } }"
)

IBAN = "AZ21 NABZ 0000 0000 1370 1000 1944"  # the example of the IBAN registry
PLANS = """query ($order: String!) {
  installmentPlans(orderId: $order, amount: {amount: "12.34"}) { cardId name months }
}"""
AMOUNT = {"amount": "12.34", "currency": "AZN"}
SPLIT = {"user": "i000000002", "amount": "2.30"}
_REDIRECT = ("NEW", "REQUIRES_ACTION", "SUCCESS")
_CHARGE = ("NEW", "SUCCESS")
_TOKEN = ("NEW", "REQUIRES_ACTION", "NEW", "SUCCESS")
_INVOICE = ("NEW", "WAITING_FOR_PAYMENT")
# The smallest image that is one.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_HELD = ("NEW", "REQUIRES_ACTION", "AUTHORIZED")


async def _order(world: World, **more: Any) -> Input:
    base = {"idempotencyKey": world.key("main"), "orderId": world.order_id, "amount": AMOUNT, "description": "Çay"}
    return base | more


async def _pay(world: World) -> Input:
    metadata = {"cart": [1, 2.5, "üç"], "gift": True, "note": None}
    return await _order(world, metadata=metadata, returnUrls={"success": "http://127.0.0.1/thanks"})


async def _charge(world: World) -> Input:
    return await _order(world, card={"id": await world.saved_card()})


async def _payout(world: World) -> Input:
    return await _order(world, card={"id": await world.saved_card(for_payout=True)})


async def _split(world: World) -> Input:
    return await _order(world, split=SPLIT)


async def _split_charge(world: World) -> Input:
    return await _order(world, split=SPLIT, card={"id": await world.saved_card()})


async def _business_transfer(world: World) -> Input:
    return transfer(world.order_id, world.key("main"))


def transfer(order_id: str, key: str) -> Input:
    """The input of a transfer to a business."""
    return {
        "idempotencyKey": key,
        "orderId": order_id,
        "amount": {"amount": "250.00"},
        "description": "Invoice 17",
        "payee": {"name": "Çay MMC", "tin": "1234567891", "iban": IBAN, "bankCode": "505141"},
    }


def terms(**changes: Any) -> Input:
    """What is billed by an invoice."""
    return {
        "amount": {"amount": "99.90"},
        "periodFrom": "2026-01-01",
        "periodTo": "2026-01-31",
        "name": "Aydan",
        "description": "Çay, January",
        "phone": "+994 50 123-45-67",
        "email": "aydan@example.az",
    } | changes


def invoice(order_id: str, key: str, **changes: Any) -> Input:
    """The input of an invoice."""
    return {"idempotencyKey": key, "orderId": order_id, "terms": terms(**changes)}


async def _invoice(world: World) -> Input:
    return invoice(world.order_id, world.key("main"), images=[PNG])


async def _made_invoice(world: World) -> str:
    made = await world.run("createInvoice", "invoice", invoice(world.order_id, world.key("made")))
    return str(made["id"])


async def _invoice_update(world: World) -> Input:
    changed = terms(amount={"amount": "100.10"}, description="Çay, February")
    return {"idempotencyKey": world.key("main"), "invoiceId": await _made_invoice(world), "terms": changed}


async def _invoice_sms(world: World) -> Input:
    return {"idempotencyKey": world.key("main"), "invoiceId": await _made_invoice(world)}


async def _invoice_email(world: World) -> Input:
    return await _invoice_sms(world) | {"email": "other@example.az"}


async def _save_card(world: World) -> Input:
    return {"idempotencyKey": world.key("main"), "description": "My card", "language": "EN"}


async def _refund(world: World) -> Input:
    paid = await world.paid()
    return {"idempotencyKey": world.key("refund"), "transaction": {"id": paid["id"]}, "reason": "Returned"}


async def _in_the_widget(world: World, opened: Any) -> None:
    await world.service.simulator.decide(opened["nextAction"]["url"], "approve")


async def _with_google_pay(world: World, opened: Any) -> None:
    charge = {"idempotencyKey": world.key("charge"), "transactionId": opened["id"], "token": "approve"}
    await world.run("googlePay", "transaction", charge)


async def _token(world: World) -> Input:
    opened = await world.run("createTokenPayment", "transaction", await _order(world))
    return {"idempotencyKey": world.key("charge"), "transactionId": opened["id"]}


async def _apple_pay(world: World) -> Input:
    return await _token(world) | {"token": {"simulate": "approve", "paymentData": {"data": "…"}}}


async def _google_pay(world: World) -> Input:
    return await _token(world) | {"token": "approve", "billingContact": {"name": "A customer"}}


async def _installments(world: World) -> Input:
    plan = (await world.client.data(PLANS, order=world.order_id))["installmentPlans"][1]
    return await _order(world, cardId=plan["cardId"], months=plan["months"][-1])


async def _wallet(world: World) -> Input:
    wallets = (await world.client.data("{ wallets { id name } }"))["wallets"]
    return await _order(world, walletId=wallets[1]["id"])


async def _payment_request(world: World) -> Input:
    return await _order(world, endpoint="PAYMENT_REQUEST", installment=True, metadata={"cart": 1})


async def _capture(world: World) -> Input:
    held = await world.held()
    return {"idempotencyKey": world.key("capture"), "transaction": {"id": held["id"]}}


CASES = {
    "pay": Case(mutation="pay", field="transaction", input=_pay, events=_REDIRECT, customer_acts=True),
    "pay_with_saved_card": Case(mutation="payWithSavedCard", field="transaction", input=_charge, events=_CHARGE),
    "pay_and_save_card": Case(
        mutation="payAndSaveCard", field="transaction", input=_order, events=_REDIRECT, customer_acts=True
    ),
    "save_card": Case(
        mutation="saveCard", field="savedCard", input=_save_card, events=("PENDING", "ACTIVE"), customer_acts=True
    ),
    "split_pay": Case(mutation="splitPay", field="transaction", input=_split, events=_REDIRECT, customer_acts=True),
    "split_pay_with_saved_card": Case(
        mutation="splitPayWithSavedCard", field="transaction", input=_split_charge, events=_CHARGE
    ),
    "split_pay_and_save_card": Case(
        mutation="splitPayAndSaveCard", field="transaction", input=_split, events=_REDIRECT, customer_acts=True
    ),
    "payout": Case(mutation="payout", field="transaction", input=_payout, events=_CHARGE),
    "refund": Case(
        mutation="refund",
        field="refund",
        input=_refund,
        events=(*_REDIRECT, "PROCESSING", "SUCCESS", "RETURNED"),
    ),
    "widget": Case(
        mutation="createWidget",
        field="transaction",
        input=_order,
        events=_REDIRECT,
        customer_acts=True,
        act=_in_the_widget,
    ),
    "token_payment": Case(
        mutation="createTokenPayment",
        field="transaction",
        input=_order,
        events=_TOKEN,
        customer_acts=True,
        act=_with_google_pay,
        callback=False,
    ),
    "apple_pay": Case(mutation="applePay", field="transaction", input=_apple_pay, events=_TOKEN),
    "google_pay": Case(mutation="googlePay", field="transaction", input=_google_pay, events=_TOKEN),
    "split_token_payment": Case(
        mutation="splitTokenPayment", field="transaction", input=_split, events=_REDIRECT, customer_acts=True
    ),
    "business_transfer": Case(
        mutation="transferToBusiness",
        field="businessTransfer",
        input=_business_transfer,
        events=("PENDING", "PROCESSING", "SUCCESS"),
    ),
    "create_invoice": Case(mutation="createInvoice", field="invoice", input=_invoice, events=_INVOICE),
    "update_invoice": Case(
        mutation="updateInvoice", field="invoice", input=_invoice_update, events=(*_INVOICE, "WAITING_FOR_PAYMENT")
    ),
    "send_invoice_sms": Case(mutation="sendInvoiceBySms", field="invoice", input=_invoice_sms, events=_INVOICE),
    "send_invoice_email": Case(
        mutation="sendInvoiceByEmail", field="invoice", input=_invoice_email, events=_INVOICE
    ),
    "preauthorize": Case(
        mutation="preauthorize", field="transaction", input=_pay, events=_HELD, customer_acts=True
    ),
    "pay_in_installments": Case(
        mutation="payInInstallments", field="transaction", input=_installments, events=_REDIRECT, customer_acts=True
    ),
    "pay_with_wallet": Case(
        mutation="payWithWallet", field="transaction", input=_wallet, events=_REDIRECT, customer_acts=True
    ),
    "payment_request": Case(
        mutation="pay", field="transaction", input=_payment_request, events=_REDIRECT, customer_acts=True
    ),
    "pay_with_amex": Case(
        mutation="payWithAmex", field="transaction", input=_order, events=_REDIRECT, customer_acts=True
    ),
    "capture": Case(
        mutation="capture", field="transaction", input=_capture, events=(*_HELD, "PROCESSING", "SUCCESS", "SUCCESS")
    ),
}
# Fields whose objects are no transactions; their journeys are in the files that are named here.
OWN_JOURNEYS = {"businessTransfer": "test_business_transfers.py", "invoice": "test_invoices.py"}

# Questions have no input object of their own; test_journeys.py runs each of them by name.
LOOKUPS = {
    "get_status": "refreshTransaction",
    "card_status": "savedCard",
    "apple_session": "applePaySession",
    "business_transfer_status": "refreshBusinessTransfer",
    "view_invoice": "refreshInvoice",
    "list_invoices": "gatewayInvoices",
    "heartbeat": "gateway",
    "heartbeat_versioned": "gateway",
    "installment_plans": "installmentPlans",
    "wallets": "wallets",
}
