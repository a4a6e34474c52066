"""A power cut at every named point of every use case, on both stores: nothing is doubled and nothing is lost.

Each run has a merchant of its own at one simulator, a database and a service process. The process ends itself at
the point by SIGKILL and is started again on what it left behind. Then the shop, the customer and EPoint do what
they would do in life, and in the end the books are compared with the simulator's.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import signal
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gql_epoint.epoint import PAY as PAY_OPERATION
from gql_epoint.epoint import PayRequest
from gql_epoint.gateway import Gateway
from gql_epoint.gateway import Merchant as Keys
from gql_epoint.ledger.transaction import SavedCardStatus, Status
from gql_epoint.points import POINTS
from gql_epoint.simulator.books import Card
from gql_epoint.simulator.server import RunningSimulator, running
from gql_epoint.simulator.settings import CallbackPlan, Merchant, OrderPlan, SimulatorSettings
from gql_epoint.store import open_store
from tests.audit import Ledger, check_against_gateway, check_invariants, read_ledger
from tests.cases import invoice, terms, transfer
from tests.nodes import Node
from tests.postgres import new_database
from tests.service import Client

APPROVED = "4111111111111111"
PATIENCE_S = 40.0
AT_ONCE = 26

TRANSACTION = "id status version isFinal orderId nextAction { ... on RedirectAction { url } }"
CHARGE = f"""mutation ($input: PayWithSavedCardInput!) {{
  answer: payWithSavedCard(input: $input) {{
    replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
OPEN = f"""mutation ($input: PayInput!) {{
  answer: pay(input: $input) {{ replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
OPEN_FOR_TOKEN = f"""mutation ($input: CreateTokenPaymentInput!) {{
  answer: createTokenPayment(input: $input) {{
    replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
CHARGE_TOKEN = f"""mutation ($input: GooglePayInput!) {{
  answer: googlePay(input: $input) {{ replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
REFUND = """mutation ($input: RefundInput!) {
  answer: refund(input: $input) { replayed errors { code } object: refund { id status } } }"""
HOLD = f"""mutation ($input: PreauthorizeInput!) {{
  answer: preauthorize(input: $input) {{ replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
CAPTURE = f"""mutation ($input: CaptureInput!) {{
  answer: capture(input: $input) {{ replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
CANCEL = f"""mutation ($input: CancelPreauthorizationInput!) {{
  answer: cancelPreauthorization(input: $input) {{
    replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
FIND_OUT = f"""mutation ($input: ResolveHoldInput!) {{
  answer: resolveHold(input: $input) {{ replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
SAVE = """mutation ($input: SaveCardInput!) {
  answer: saveCard(input: $input) {
    replayed errors { code } object: savedCard { id status nextAction { ... on RedirectAction { url } } } } }"""
RESOLVE = f"""mutation ($input: ResolveTransactionInput!) {{
  answer: resolveTransaction(input: $input) {{
    replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
REFRESH = f"""mutation ($by: TransactionBy!) {{
  answer: refreshTransaction(by: $by) {{ replayed errors {{ code }} object: transaction {{ {TRANSACTION} }} }} }}"""
TRANSFER = """mutation ($input: TransferToBusinessInput!) { answer: transferToBusiness(input: $input) {
  replayed errors { code } object: businessTransfer { id status version } } }"""
REFRESH_TRANSFER = """mutation ($by: BusinessTransferBy!) { answer: refreshBusinessTransfer(by: $by) {
  replayed errors { code } object: businessTransfer { id status version } } }"""
RESOLVE_TRANSFER = """mutation ($input: ResolveBusinessTransferInput!) {
  answer: resolveBusinessTransfer(input: $input) {
    replayed errors { code } object: businessTransfer { id status version } } }"""
FIND_TRANSFER = "query ($by: BusinessTransferBy!) { businessTransfer(by: $by) { status } }"
INVOICE = """mutation ($input: CreateInvoiceInput!) {
  answer: createInvoice(input: $input) { replayed errors { code } object: invoice { id status version } } }"""
SEND = """mutation ($input: SendInvoiceBySmsInput!) {
  answer: sendInvoiceBySms(input: $input) { replayed errors { code } object: invoice { id status version } } }"""
UPDATE = """mutation ($input: UpdateInvoiceInput!) { answer: updateInvoice(input: $input) {
  replayed errors { code } object: invoice { id status version amount { amount } } } }"""
REFRESH_INVOICE = """mutation ($by: InvoiceBy!) {
  answer: refreshInvoice(by: $by) {
    replayed errors { code } object: invoice { id status version amount { amount } } } }"""
FIND_INVOICE = "query ($by: InvoiceBy!) { invoice(by: $by) { status } }"
FIND = f"query ($by: TransactionBy!) {{ transaction(by: $by) {{ {TRANSACTION} }} }}"


class Run:
    """One power cut: a merchant, a database, a service, and what can be done with them."""

    def __init__(
        self, point: str, number: int, simulator: RunningSimulator, database_url: str, folder: Path
    ) -> None:
        self.point = point
        self.simulator = simulator
        self.merchant = merchant(number)
        self.order = f"order-{number}"
        self.card_id = f"ce{number:06d}-0000-4000-8000-000000000000"
        self.database_url = database_url
        self.dead = False
        settings = {
            "GQL_EPOINT_SANDBOX": "1",
            "GQL_EPOINT_DATABASE_URL": database_url,
            "GQL_EPOINT_GATEWAY_URL": simulator.url,
            "GQL_EPOINT_CALL_TIMEOUT_S": "2",
            "EPOINT_PUBLIC_KEY": self.merchant.public_key,
            "EPOINT_PRIVATE_KEY": self.merchant.private_key,
        }
        self.node = Node(folder / f"{number}.log", settings)
        self.node.environ["GQL_EPOINT_PUBLIC_URL"] = self.node.url
        self.client = Client(self.node.url)

    async def start_armed(self) -> None:
        """Start the service; EPoint's callbacks go to it."""
        url = f"{self.node.url}/webhooks/epoint"
        known = self.simulator.state.merchants
        known[self.merchant.public_key] = merchant(int(self.merchant.public_key[1:]), url)
        await self.node.start(GQL_EPOINT_DIE_AT=self.point)

    async def dies(self, during: Coroutine[Any, Any, Any] | None = None) -> None:
        """Let the service end itself at the point, while somebody asks it for something; then start it again."""
        if during is not None:
            with contextlib.suppress(aiohttp.ClientError):
                answer = await during
                assert answer["object"] is not None, answer
        assert await self.node.died() == -signal.SIGKILL, self.node.log.read_text()
        self.dead = True
        await self.node.start()

    async def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Run a mutation and return its payload."""
        answer: dict[str, Any] = (await self.client.data(query, **variables))["answer"]
        return answer

    async def insist(self, query: str, **variables: object) -> dict[str, Any]:
        """Repeat a mutation with its key, as a shop does that got no answer, until it is answered."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await self.ask(query, **variables)
                if [error["code"] for error in answer["errors"]] != ["IDEMPOTENCY_IN_PROGRESS"]:
                    return answer
                await asyncio.sleep(0.3)

    async def until(self, *expected: str) -> dict[str, Any]:
        """Wait until the payment of the order has one of these statuses."""
        found: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    found = (await self.client.data(FIND, by={"orderId": self.order}))["transaction"]
                    if found is not None and found["status"] in expected:
                        return found
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{self.point}: {expected} expected, found {found}") from None

    async def until_transfer(self, expected: str) -> None:
        """Wait until the transfer of the order has this status."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.client.data(FIND_TRANSFER, by={"orderId": self.order})
                if found["businessTransfer"]["status"] == expected:
                    return
                await asyncio.sleep(0.2)

    async def until_invoice(self, expected: str) -> None:
        """Wait until the invoice of the order has this status."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.client.data(FIND_INVOICE, by={"orderId": self.order})
                if found["invoice"]["status"] == expected:
                    return
                await asyncio.sleep(0.2)

    def invoices_at_epoint(self) -> list[Any]:
        """Return the invoices that EPoint has of the order."""
        ours = self.merchant.public_key
        return [row for row in self.simulator.state.books.invoices if row.merchant == ours]

    def transfers_at_epoint(self) -> list[Any]:
        """Return the transfers that EPoint has of the order."""
        return [row for row in self.simulator.state.books.transfers if row.order_id == self.order]

    def payment(self, **more: object) -> dict[str, Any]:
        """Return the input of a payment."""
        amount = {"amount": "10.00"}
        return {"idempotencyKey": f"key-of-{self.order}-0000", "orderId": self.order, "amount": amount, **more}

    def charge(self) -> dict[str, Any]:
        """Return the input of a charge of a card that was saved elsewhere."""
        state = self.simulator.state
        if state.books.card(self.card_id) is None:
            card = Card(
                card_id=self.card_id, merchant=self.merchant.public_key, at=datetime.now(UTC), state="active"
            )
            state.books.add_card(card)
        return self.payment(card={"cardId": self.card_id})

    def plan(self, **plan: Any) -> None:
        """Say what happens to the order at EPoint."""
        self.simulator.state.set_plan(self.order, OrderPlan(**plan))

    async def customer_pays(self, url: str) -> None:
        """Do what the customer does on EPoint's page."""
        async with self.client.session.post(url, data={"card_number": APPROVED}, allow_redirects=False) as answer:
            assert answer.status in (200, 303), await answer.text()

    def at_epoint(self) -> list[Any]:
        """Return what EPoint has of the order."""
        books = self.simulator.state.books
        return [
            row
            for row in books.transactions
            if row.merchant == self.merchant.public_key and row.order_id == self.order
        ]

    async def ledger(self) -> Ledger:
        """Stop the service and read everything in its books."""
        await self.node.stop()
        store = open_store(self.database_url, sandbox=True, clock=lambda: datetime.now(UTC))
        await store.open()
        try:
            return await store.read(read_ledger)
        finally:
            await store.close()

    async def close(self) -> None:
        await self.client.__aexit__()
        await self.node.kill()


# What is done at each point, and what must come of it ------------------------------------------------------------


async def charging(run: Run) -> None:
    """A charge is cut off; the shop repeats it with its key. EPoint charges once, or never and a person looks."""
    await run.start_armed()
    charge = run.charge()
    await run.dies(run.ask(CHARGE, input=charge))
    answer = await run.insist(CHARGE, input=charge)
    sent = run.at_epoint()

    assert answer["replayed"] is (run.point != "pay.recording"), answer
    # What EPoint never heard of proves nothing there, so it waits for a person.
    await run.until("SUCCESS" if sent else "INDETERMINATE")
    assert len(sent) == (run.point not in ("pay.recorded", "pay.calling"))


async def opening(run: Run) -> None:
    """A page is opened or not, but its address lost: the attempt failed, and the next one goes through."""
    await run.start_armed()
    await run.dies(run.ask(OPEN, input=run.payment()))
    answer = await run.insist(OPEN, input=run.payment())
    if answer["object"]["status"] == "FAILED":
        answer = await run.ask(OPEN, input=run.payment(idempotencyKey=f"another-key-of-{run.order}"))
    await run.customer_pays(answer["object"]["nextAction"]["url"])
    await run.until("SUCCESS")


async def charging_a_token(run: Run) -> None:
    """The charge of a payment that was opened before is cut off and repeated: EPoint charges once at most."""
    await run.start_armed()
    opened = (await run.ask(OPEN_FOR_TOKEN, input=run.payment()))["object"]
    charge = {
        "idempotencyKey": f"key-of-charging-{run.order}",
        "transactionId": opened["id"],
        "token": "approve",
    }
    await run.dies(run.ask(CHARGE_TOKEN, input=charge))
    answer = await run.insist(CHARGE_TOKEN, input=charge)
    unheard = run.point in ("token.recorded", "token.calling")
    (at_epoint,) = run.at_epoint()

    assert answer["replayed"] is (run.point != "token.recording"), answer
    assert at_epoint.status == ("new" if unheard else "success")
    # What EPoint has not made of it proves nothing yet; after a day it does.
    await run.until("INDETERMINATE" if unheard else "SUCCESS")


async def refunding(run: Run, amount: dict[str, Any] | None = None) -> None:
    """A refund is cut off and repeated: EPoint gives back once at most, and the amount stays set aside."""
    await run.start_armed()
    paid = (await run.ask(CHARGE, input=run.charge()))["object"]
    refund = {"idempotencyKey": f"key-of-refund-{run.order}", "transaction": {"id": paid["id"]}, "amount": amount}
    await run.dies(run.ask(REFUND, input=refund))
    answer = await run.insist(REFUND, input=refund)
    (at_epoint,) = run.at_epoint()
    unheard = run.point in ("refund.reserved", "refund.calling")

    assert answer["replayed"] is (run.point != "refund.reserving"), answer
    assert len(at_epoint.refunds) == (not unheard)
    if amount is None and not unheard:
        await run.until("RETURNED")


async def refunding_a_part(run: Run) -> None:
    """The same for a part, which get-status cannot tell about."""
    await refunding(run, {"amount": "4.00"})


async def capturing(run: Run, *, cancels: bool = False) -> None:
    """A capture is cut off and repeated: EPoint takes the money once at most, and nobody says that it was not."""
    await run.start_armed()
    opened = (await run.ask(HOLD, input=run.payment()))["object"]
    await run.customer_pays(opened["nextAction"]["url"])
    await run.until("AUTHORIZED")
    request = {"idempotencyKey": f"key-of-request-{run.order}", "transaction": {"id": opened["id"]}}
    action = CANCEL if cancels else CAPTURE
    await run.dies(run.ask(action, input=request))
    answer = await run.insist(action, input=request)
    (at_epoint,) = run.at_epoint()
    unheard = run.point in ("hold.reserved", "hold.calling")

    assert answer["replayed"] is (run.point != "hold.reserving"), answer
    assert at_epoint.hold == ("held" if unheard else "released" if cancels else "captured")
    if unheard or (run.point in ("hold.answered", "hold.answering") and not cancels):
        # EPoint has one word for what is held and what was taken, so it waits for a person.
        await run.until("INDETERMINATE")
    else:
        await run.until("VOIDED" if cancels else "SUCCESS")


async def canceling(run: Run) -> None:
    """The same for a cancellation, which get-status can tell of."""
    await capturing(run, cancels=True)


async def found_out(run: Run) -> None:
    """A person's finding about a hold is repeated with its key and decides once."""
    await run.start_armed()
    opened = (await run.ask(HOLD, input=run.payment()))["object"]
    await run.customer_pays(opened["nextAction"]["url"])
    await run.until("AUTHORIZED")
    finding = {
        "idempotencyKey": f"key-of-finding-{run.order}",
        "transactionId": opened["id"],
        "finding": "RELEASED",
        "note": "The bank let it go.",
    }
    await run.dies(run.ask(FIND_OUT, input=finding))
    answer = await run.insist(FIND_OUT, input=finding)
    # EPoint shows it only now, or else the sweep of a slow machine would find it out before the person.
    (at_epoint,) = run.at_epoint()
    at_epoint.hold = "released"

    assert answer["replayed"] is (run.point == "resolution.recorded"), answer
    assert (answer["object"]["status"], answer["object"]["version"]) == ("VOIDED", 4)


async def registering(run: Run) -> None:
    """A registration is cut off: it can be finished, or it is refused and no card comes of it."""
    await run.start_armed()
    saving = {"idempotencyKey": f"key-of-saving-{run.order}"}
    await run.dies(run.ask(SAVE, input=saving))
    card = (await run.insist(SAVE, input=saving))["object"]

    # Nobody holds the address of a page whose answer is lost.
    begins_anew_or_is_answered = run.point in ("card.recording", "card.settled")
    assert card["status"] == ("PENDING" if begins_anew_or_is_answered else "REJECTED")
    if card["status"] == "PENDING":
        await run.customer_pays(card["nextAction"]["url"])
        await until_card_is_saved(run, saving)


async def until_card_is_saved(run: Run, saving: dict[str, Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await run.ask(SAVE, input=saving))["object"]["status"] != SavedCardStatus.ACTIVE:
            await asyncio.sleep(0.2)


async def called_back(run: Run) -> None:
    """EPoint got no answer to its callback and sends it again; it changes something once."""
    await run.start_armed()
    opened = (await run.ask(OPEN, input=run.payment()))["object"]
    await run.customer_pays(opened["nextAction"]["url"])
    await run.dies()
    await run.until("SUCCESS")


async def swept(run: Run) -> None:
    """The callback is lost, so the sweep asks, and is cut off; the next one asks again."""
    run.plan(callback=CallbackPlan(drop=True))
    await run.start_armed()
    opened = (await run.ask(OPEN, input=run.payment()))["object"]
    await run.customer_pays(opened["nextAction"]["url"])
    await run.dies()
    await run.until("SUCCESS")


async def card_swept(run: Run) -> None:
    """The same for a card."""
    saving = {"idempotencyKey": f"key-of-saving-{run.order}"}
    await run.start_armed()
    card = (await run.ask(SAVE, input=saving))["object"]
    (name,) = (card.card_id for card in run.simulator.state.books.cards if card.merchant == run.merchant.public_key)
    run.simulator.state.set_plan(name, OrderPlan(callback=CallbackPlan(drop=True)))
    await run.customer_pays(card["nextAction"]["url"])
    await run.dies()
    await until_card_is_saved(run, saving)


async def settled(run: Run) -> None:
    """A charge whose process died is settled by its deadline; whoever does that is cut off as well."""
    run.plan(reply="hang", reply_times=1)
    charge = run.charge()
    await run.start_armed()
    asking = asyncio.ensure_future(run.ask(CHARGE, input=charge))
    while not run.at_epoint():
        await asyncio.sleep(0.02)
    await run.node.kill()
    with contextlib.suppress(aiohttp.ClientError):
        await asking
    await run.node.start(GQL_EPOINT_DIE_AT=run.point)
    await run.dies()
    await run.until("SUCCESS")


async def refreshed(run: Run) -> None:
    """A caller asks for the truth and gets no answer; it asks again."""
    run.plan(callback=CallbackPlan(drop=True))
    await run.start_armed()
    opened = (await run.ask(OPEN, input=run.payment()))["object"]
    await run.customer_pays(opened["nextAction"]["url"])
    await run.dies(run.ask(REFRESH, by={"orderId": run.order}))
    await run.ask(REFRESH, by={"orderId": run.order})
    await run.until("SUCCESS")


async def adopted(run: Run) -> None:
    """A payment that was made elsewhere is in the books once."""
    run.plan(callback=CallbackPlan(drop=True))
    keys = Keys(public_key=run.merchant.public_key, private_key=run.merchant.private_key)
    async with Gateway(keys, base_url=run.simulator.url) as gateway:
        made = PayRequest(amount=Decimal("10.00"), currency="AZN", language="az", order_id=run.order)
        reply = await gateway.call(PAY_OPERATION, made)
    assert reply.redirect_url is not None
    await run.start_armed()
    await run.customer_pays(reply.redirect_url)
    by = {"gatewayTransactionId": reply.transaction}
    await run.dies(run.ask(REFRESH, by=by))
    await run.ask(REFRESH, by=by)
    await run.until("SUCCESS")


async def card_adopted(run: Run) -> None:
    """A card that was saved elsewhere is in the books once, and is charged once."""
    await run.start_armed()
    charge = run.charge()
    await run.dies(run.ask(CHARGE, input=charge))
    await run.insist(CHARGE, input=charge)
    await run.until("SUCCESS")
    assert len((await run.ledger()).cards) == 1


async def resolved(run: Run) -> None:
    """A person's decision is repeated with its key and decides once."""
    run.plan(reply="reset_before")
    await run.start_armed()
    unknown = (await run.ask(CHARGE, input=run.charge()))["object"]
    assert unknown["status"] == "INDETERMINATE"
    decision = {
        "idempotencyKey": f"key-of-deciding-{run.order}",
        "transactionId": unknown["id"],
        "resolution": "FAILED",
        "note": "EPoint has never heard of it.",
    }
    await run.dies(run.ask(RESOLVE, input=decision))
    answer = await run.insist(RESOLVE, input=decision)

    assert answer["replayed"] is (run.point == "resolution.recorded"), answer
    assert (answer["object"]["status"], answer["object"]["version"]) == ("FAILED", 3)


async def transferring(run: Run) -> None:
    """A transfer to a business is cut off and repeated: EPoint gets it once, or never and a person looks."""
    await run.start_armed()
    order = transfer(run.order, f"key-of-{run.order}-0000")
    await run.dies(run.ask(TRANSFER, input=order))
    answer = await run.insist(TRANSFER, input=order)
    sent = run.transfers_at_epoint()
    await run.until_transfer("SUCCESS" if sent else "INDETERMINATE")

    assert answer["replayed"] is (run.point != "transfer.recording"), answer
    assert len(sent) == (run.point not in ("transfer.recorded", "transfer.calling"))


async def transfer_followed(run: Run) -> None:
    """The sweep, or whoever takes the webhook, is cut off; EPoint is asked again."""
    await run.start_armed()
    await run.ask(TRANSFER, input=transfer(run.order, f"key-of-{run.order}-0000"))
    await run.dies()
    await run.until_transfer("SUCCESS")


async def transfer_refreshed(run: Run) -> None:
    """A caller asks for the truth about a transfer and gets no answer; it asks again."""
    await run.start_armed()
    await run.ask(TRANSFER, input=transfer(run.order, f"key-of-{run.order}-0000"))
    await run.dies(run.ask(REFRESH_TRANSFER, by={"orderId": run.order}))
    await run.ask(REFRESH_TRANSFER, by={"orderId": run.order})
    await run.until_transfer("SUCCESS")


async def transfer_resolved(run: Run) -> None:
    """A person's decision about a transfer is repeated with its key and decides once."""
    run.plan(reply="reset_before")
    await run.start_armed()
    unknown = (await run.ask(TRANSFER, input=transfer(run.order, f"key-of-{run.order}-0000")))["object"]
    assert unknown["status"] == "INDETERMINATE"
    decision = {
        "idempotencyKey": f"key-of-deciding-{run.order}",
        "businessTransferId": unknown["id"],
        "resolution": "FAILED",
        "note": "EPoint has never heard of it.",
    }
    await run.dies(run.ask(RESOLVE_TRANSFER, input=decision))
    answer = await run.insist(RESOLVE_TRANSFER, input=decision)

    assert answer["replayed"] is (run.point == "resolution.recorded"), answer
    assert (answer["object"]["status"], answer["object"]["version"]) == ("FAILED", 3)


async def invoicing(run: Run) -> None:
    """An invoice is cut off and repeated: EPoint makes it once, or never and it stays unknown."""
    await run.start_armed()
    order = invoice(run.order, f"key-of-{run.order}-0000")
    await run.dies(run.ask(INVOICE, input=order))
    answer = await run.insist(INVOICE, input=order)
    sent = run.invoices_at_epoint()
    await run.until_invoice("WAITING_FOR_PAYMENT" if sent else "INDETERMINATE")

    assert answer["replayed"] is (run.point != "invoice.recording"), answer
    assert len(sent) == (run.point not in ("invoice.recorded", "invoice.calling"))


async def invoice_refreshed(run: Run) -> None:
    """A caller asks whether an invoice is paid and gets no answer; it asks again."""
    await run.start_armed()
    made = (await run.ask(INVOICE, input=invoice(run.order, f"key-of-{run.order}-0000")))["object"]
    for row in run.invoices_at_epoint():
        row.state = "paid"
    await run.dies(run.ask(REFRESH_INVOICE, by={"id": made["id"]}))
    await run.ask(REFRESH_INVOICE, by={"id": made["id"]})
    await run.until_invoice("PAID")


async def invoice_lost(run: Run) -> None:
    """The answer is lost, and whoever finds the invoice in EPoint's list is cut off; it is found again."""
    email = f"{run.order}@example.az"
    run.simulator.state.set_plan(email, OrderPlan(reply="drop", reply_to=("create_invoice",)))
    await run.start_armed()
    order = invoice(run.order, f"key-of-{run.order}-0000", email=email)
    assert (await run.ask(INVOICE, input=order))["object"]["status"] == "INDETERMINATE"
    await run.dies()
    await run.until_invoice("WAITING_FOR_PAYMENT")


async def invoice_sent(run: Run) -> None:
    """The sending is cut off and repeated with its key: the customer gets it once at most."""
    await run.start_armed()
    made = (await run.ask(INVOICE, input=invoice(run.order, f"key-of-{run.order}-0000")))["object"]
    sending = {"idempotencyKey": f"key-of-sending-{run.order}", "invoiceId": made["id"]}
    await run.dies(run.ask(SEND, input=sending))
    answer = await run.insist(SEND, input=sending)
    (at_epoint,) = run.invoices_at_epoint()
    sent = [one for one in run.simulator.state.books.sent if one.invoice == at_epoint.id]

    assert answer["replayed"] is (run.point != "invoice.changing"), answer
    assert len(sent) == (run.point != "invoice.intended")


async def invoice_updated(run: Run) -> None:
    """A change is cut off and repeated: EPoint's amount and ours are the same in the end; then it changes again."""
    await run.start_armed()
    made = (await run.ask(INVOICE, input=invoice(run.order, f"key-of-{run.order}-0000")))["object"]
    change = {"idempotencyKey": f"key-of-changing-{run.order}", "invoiceId": made["id"], "terms": terms()}
    change["terms"]["amount"] = {"amount": "5.00"}
    await run.dies(run.ask(UPDATE, input=change))
    answer = await run.insist(UPDATE, input=change)
    (at_epoint,) = run.invoices_at_epoint()
    found = (await run.ask(REFRESH_INVOICE, by={"id": made["id"]}))["object"]

    assert answer["replayed"] is (run.point != "invoice.changing"), answer
    assert (at_epoint.sum == Decimal("5.00")) is (run.point != "invoice.intended")
    assert Decimal(found["amount"]["amount"]) == at_epoint.sum
    change |= {"idempotencyKey": f"key-of-changing-again-{run.order}"}
    change["terms"]["amount"] = {"amount": "6.00"}
    after = (await run.insist(UPDATE, input=change))["object"]
    assert Decimal(after["amount"]["amount"]) == at_epoint.sum == Decimal("6.00")


TABLE: list[tuple[str, Callable[[Run], Awaitable[None]]]] = [
    ("pay.recording", charging),
    ("pay.recorded", charging),
    ("pay.recorded", opening),
    ("pay.calling", charging),
    ("pay.answered", charging),
    ("pay.answered", opening),
    ("pay.answering", charging),
    ("pay.settled", charging),
    ("pay.settled", opening),
    ("token.recording", charging_a_token),
    ("token.recorded", charging_a_token),
    ("token.calling", charging_a_token),
    ("token.answered", charging_a_token),
    ("token.answering", charging_a_token),
    ("token.settled", charging_a_token),
    ("card.recording", registering),
    ("card.recorded", registering),
    ("card.calling", registering),
    ("card.answered", registering),
    ("card.answering", registering),
    ("card.settled", registering),
    ("refund.reserving", refunding),
    ("refund.reserved", refunding),
    ("refund.calling", refunding_a_part),
    ("refund.answered", refunding),
    ("refund.answering", refunding_a_part),
    ("refund.settled", refunding),
    ("hold.reserving", capturing),
    ("hold.reserving", canceling),
    ("hold.reserved", capturing),
    ("hold.calling", canceling),
    ("hold.answered", capturing),
    ("hold.answered", canceling),
    ("hold.answering", capturing),
    ("hold.answering", canceling),
    ("hold.settled", capturing),
    ("hold.settled", canceling),
    ("resolution.recording", found_out),
    ("resolution.recorded", found_out),
    ("callback.verified", called_back),
    ("callback.recording", called_back),
    ("callback.recorded", called_back),
    ("sweep.claimed", swept),
    ("sweep.asked", swept),
    ("sweep.applying", swept),
    ("sweep.applied", swept),
    ("sweep.card_asked", card_swept),
    ("sweep.card_applied", card_swept),
    ("sweep.settling", settled),
    ("sweep.settled", settled),
    ("refresh.asked", refreshed),
    ("refresh.applied", refreshed),
    ("adoption.asked", adopted),
    ("adoption.recording", adopted),
    ("adoption.recorded", adopted),
    ("card_adoption.asked", card_adopted),
    ("card_adoption.recorded", card_adopted),
    ("transfer.recording", transferring),
    ("transfer.recorded", transferring),
    ("transfer.calling", transferring),
    ("transfer.answered", transferring),
    ("transfer.answering", transferring),
    ("transfer.settled", transferring),
    ("transfer.asked", transfer_followed),
    ("transfer.applied", transfer_followed),
    ("transfer.hinted", transfer_followed),
    ("transfer.refreshed", transfer_refreshed),
    ("resolution.recording", transfer_resolved),
    ("resolution.recorded", transfer_resolved),
    ("invoice.recording", invoicing),
    ("invoice.recorded", invoicing),
    ("invoice.calling", invoicing),
    ("invoice.answered", invoicing),
    ("invoice.answering", invoicing),
    ("invoice.settled", invoicing),
    ("invoice.refreshed", invoice_refreshed),
    ("invoice.changing", invoice_sent),
    ("invoice.intended", invoice_sent),
    ("invoice.told", invoice_sent),
    ("invoice.changing", invoice_updated),
    ("invoice.intended", invoice_updated),
    ("invoice.told", invoice_updated),
    ("invoice.changed", invoice_updated),
    ("invoice.changed", invoice_sent),
    ("invoice.asked", invoice_lost),
    ("invoice.applied", invoice_lost),
    ("resolution.recording", resolved),
    ("resolution.recorded", resolved),
]


def merchant(number: int, result_url: str | None = None) -> Merchant:
    """Return a merchant of one run."""
    return Merchant(public_key=f"i{number:09d}", private_key=f"private-key-of-{number:09d}", result_url=result_url)


@contextlib.asynccontextmanager
async def database(kind: str, folder: Path, number: int) -> AsyncIterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / f'{number}.db'}"
        return
    async with new_database() as url:
        yield url


async def cut_off(
    point: str,
    scenario: Callable[[Run], Awaitable[None]],
    kind: str,
    number: int,
    simulator: RunningSimulator,
    folder: Path,
) -> None:
    async with database(kind, folder, number) as url:
        run = Run(point, number, simulator, url, folder)
        try:
            await scenario(run)
            assert run.dead, "the point was not reached"
            ledger = await run.ledger()
        except Exception as exc:
            exc.add_note(f"at {point} on {kind}")
            raise
        finally:
            await run.close()
    async with aiohttp.ClientSession() as session, session.get(f"{simulator.url}/_control/books") as answer:
        books = await answer.json()
    try:
        check_invariants(ledger)
        check_against_gateway(ledger, books, run.merchant.public_key)
        final = [row for row in ledger.transactions if row.status.is_final or row.status is Status.INDETERMINATE]
        assert final == ledger.transactions, "everything is final or waits for a person"
    except AssertionError as exc:
        exc.add_note(f"at {point} on {kind}")
        raise


@pytest.mark.timeout(480)
async def test_power_cut_at_every_point_doubles_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """On both stores, all runs at once as far as this machine goes."""
    runs = [(*row, kind) for row in TABLE for kind in ("sqlite", "postgres")]
    settings = SimulatorSettings(
        merchants=tuple(merchant(number) for number in range(1, len(runs) + 1)),
        callback=CallbackPlan(retry_delay_s=0.25, retries=12),
    )
    slots = asyncio.Semaphore(AT_ONCE)
    async with running(settings) as simulator:

        async def within_a_slot(number: int, point: str, scenario: Any, kind: str) -> None:
            async with slots:
                await cut_off(point, scenario, kind, number, simulator, tmp_path)

        # Those that wait longest come first.
        ordered = sorted(enumerate(runs, start=1), key=lambda item: item[1][1] not in (settled, swept, card_swept))
        results = await asyncio.gather(
            *(within_a_slot(number, *row) for number, row in ordered), return_exceptions=True
        )
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        told = ["".join(traceback.format_exception(failure)) for failure in failures]
        pytest.fail("\n".join([f"{len(failures)} of {len(runs)} runs failed", *told]), pytrace=False)


def test_every_point_in_the_source_is_in_the_table() -> None:
    """A new point is described and cut off at, or this fails by its name."""
    package = Path(__file__).parents[1] / "gql_epoint"
    reached = {
        ast.literal_eval(node.args[0])
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "reached"
    }

    assert reached == set(POINTS)
    assert {point for point, _ in TABLE} == set(POINTS)
