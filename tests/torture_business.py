"""The bad days of transfers to businesses and of invoices, as steps of tests/torture.py.

EPoint's webhook about a transfer comes when it likes, twice, late, or from somebody who guesses at its address;
about invoices EPoint says nothing by itself. Banks decide and people pay, cancel and open again while answers are
lost.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Awaitable, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from gql_epoint.cashier.business_transfers import BusinessTransferBy
from gql_epoint.cashier.commands import Call
from gql_epoint.cashier.invoice_orders import InvoiceTerms
from gql_epoint.cashier.invoices import InvoiceBy
from gql_epoint.cashier.transfer_orders import TransferOrder
from gql_epoint.ledger.business_transfer import TransferStatus
from gql_epoint.ledger.invoice import InvoiceStatus
from gql_epoint.simulator.books import Transfer
from gql_epoint.simulator.settings import OrderPlan
from tests.audit import Ledger

if TYPE_CHECKING:
    from tests.torture import Round

PUBLIC_URL = "https://pay.shop.example"
IBAN = "AZ21NABZ00000000137010001944"
SPOILT = ("drop", "garbage", "http_500", "reset_before", "http_500_before")
CHANGES = ("update_invoice", "send_invoice_sms", "send_invoice_email")


class InvoiceChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is done with an invoice; `to` names one sending alone."""

    call: Call
    operation: str
    invoice_id: str
    terms: InvoiceTerms | None = None
    to: str = ""


class BusinessSteps:
    """What companies, banks and customers of invoices do in one round."""

    def __init__(self, playing: Round) -> None:
        self._playing = playing
        self._transfers: list[tuple[Call, TransferOrder]] = []
        self._invoices: list[tuple[Call, str, InvoiceTerms]] = []
        self._changes: list[InvoiceChange] = []

    # Transfers ------------------------------------------------------------------------------------------------

    async def transfer(self) -> None:
        playing = self._playing
        order_id = f"b2b-{playing.random.randrange(12)}"
        for attempt in (order_id, *(f"{order_id}-{number}" for number in range(2, 9))):
            playing.simulator.state.set_plan(attempt, self._spoilt("business_transfer", 0.5))
        order = TransferOrder(
            order_id=order_id,
            amount=self._amount(),
            currency="AZN",
            iban=IBAN,
            payee_name="Çay MMC",
            payee_tin="1234567891",
            bank_code="505141",
            description="Tea",
        )
        self._transfers.append((playing.new_call("transferToBusiness"), order))
        await playing.run(playing.once(playing.cashier.business_transfers, *self._transfers[-1]))

    async def transfer_again(self) -> None:
        if self._transfers:
            again = self._playing.random.choice(self._transfers)
            await self._playing.run(self._playing.once(self._playing.cashier.business_transfers, *again))

    async def bank(self) -> None:
        """A bank goes on with a transfer, or decides it."""
        undecided = self._undecided()
        if undecided:
            row = self._playing.random.choice(undecided)
            row.state = self._playing.random.choice(("PROCESSING", "SUCCESS", "FAILED"))

    async def webhook(self) -> None:
        """It comes about whatever was decided, or about nothing yet, once or twice; or somebody guesses."""
        playing = self._playing
        told = [row for row in playing.simulator.state.books.transfers if row.webhook_url is not None]
        for row in playing.random.choices(told, k=playing.random.choice((1, 1, 2))) if told else ():
            assert await playing.cashier.business_transfers.hint((row.webhook_url or "").rpartition("/")[2])
        guess = base64.urlsafe_b64encode(playing.chance.randbytes(32)).decode().rstrip("=")
        assert not await playing.cashier.business_transfers.hint(guess), "a guessed address was believed"

    async def refresh(self) -> None:
        playing, ledger = self._playing, await self._playing.ledger()
        if ledger.transfers:
            by = BusinessTransferBy(id=playing.random.choice(ledger.transfers).id)
            await playing.run(playing.cashier.business_transfers.refresh(by, "shop"))
        if ledger.invoices:
            name = InvoiceBy(id=playing.random.choice(ledger.invoices).id)
            await playing.run(playing.cashier.invoices.refresh(name, "shop"))

    # Invoices -------------------------------------------------------------------------------------------------

    async def invoice(self) -> None:
        playing = self._playing
        playing.simulator.state.set_plan("create_invoice", self._spoilt("create_invoice", 0.4))
        terms = self._terms()
        self._invoices.append((playing.new_call("createInvoice"), f"inv-{playing.random.randrange(8)}", terms))
        await playing.run(self._make(*self._invoices[-1]))

    async def invoice_again(self) -> None:
        if self._invoices:
            await self._playing.run(self._make(*self._playing.random.choice(self._invoices)))

    async def change(self) -> None:
        """An invoice is changed, or its link is sent; also when it is too late for that."""
        playing = self._playing
        known = (await playing.ledger()).invoices
        waiting = [row for row in known if row.status is InvoiceStatus.WAITING_FOR_PAYMENT] or known
        if not waiting:
            return
        operation = playing.random.choice(CHANGES)
        playing.simulator.state.set_plan(operation, self._spoilt(operation, 0.4))
        number = len(self._changes)
        self._changes.append(
            InvoiceChange(
                call=playing.new_call(operation),
                operation=operation,
                invoice_id=playing.random.choice(waiting).id,
                terms=self._terms() if operation == "update_invoice" else None,
                to=f"+99450{number:07d}" if operation == "send_invoice_sms" else f"c{number}@example.az",
            )
        )
        await playing.run(self._change(self._changes[-1]))

    async def change_again(self) -> None:
        if self._changes:
            await self._playing.run(self._change(self._playing.random.choice(self._changes)))

    async def people(self) -> None:
        """Somebody pays an invoice; or it is canceled in the cabinet, opened again, or made a dearer one there."""
        rows = [row for row in self._playing.simulator.state.books.invoices if row.state != "paid"]
        if rows:
            row = self._playing.random.choice(rows)
            if self._playing.random.random() < 0.1:
                row.sum += 1
            canceled = row.state == "canceled"
            row.state = "waiting_for_payment" if canceled else self._playing.random.choice(("paid", "canceled"))

    def burst(self) -> list[Awaitable[Any]]:
        """Many calls of one key at the same time."""
        playing = self._playing
        work: list[Awaitable[Any]] = []
        if self._transfers:
            again = playing.random.choice(self._transfers)
            work += [playing.once(playing.cashier.business_transfers, *again) for _ in range(4)]
        if self._invoices:
            made = playing.random.choice(self._invoices)
            work += [self._make(*made) for _ in range(4)]
        if self._changes:
            change = playing.random.choice(self._changes)
            work += [self._change(change) for _ in range(4)]
        return work

    # The end --------------------------------------------------------------------------------------------------

    def decide(self) -> None:
        """Let the banks decide everything, in the end."""
        for row in self._undecided():
            row.state = self._playing.random.choice(("SUCCESS", "FAILED"))

    async def look(self, ledger: Ledger) -> None:
        """Ask about every invoice: people change those that nobody asks about any more."""
        for row in ledger.invoices:
            await self._playing.cashier.invoices.refresh(InvoiceBy(id=row.id), "shop")

    async def person(self, ledger: Ledger) -> None:
        """Settle the transfers and invoices that evidence could not, by what EPoint's cabinet shows."""
        playing = self._playing
        for row in ledger.transfers:
            if row.status is TransferStatus.INDETERMINATE:
                known = playing.simulator.state.books.transfer(row.gateway_order_id)
                succeeded = known is not None and known.state == "SUCCESS"
                call = playing.new_call("resolveBusinessTransfer")
                await playing.cashier.business_transfers.resolve(call, row.id, succeeded, "Seen in the cabinet.")
        theirs = {row.merchant_order_id: row for row in playing.simulator.state.books.invoices}
        for invoice in ledger.invoices:
            if invoice.disputed:
                call, paid = playing.new_call("resolveInvoice"), theirs[invoice.reference].sum
                resolve = playing.cashier.invoice_changes.resolve
                await resolve(call, invoice.id, paid, "AZN", "Seen in the cabinet.")

    def check(self, ledger: Ledger) -> None:
        """Assert what holds at any time: no key sends anything to EPoint twice."""
        asked = self._playing.simulator.state.requests
        assert asked["business_transfer"] <= len(ledger.transfers), "a transfer was ordered twice"
        assert asked["create_invoice"] <= len(ledger.invoices), "an invoice was ordered twice"
        sent = Counter(message.to for message in self._playing.simulator.state.books.sent)
        assert all(count == 1 for count in sent.values()), "a link was sent twice for one key"

    def check_end(self, ledger: Ledger) -> None:
        """Assert that nothing is open that could be known, and that both books say the same of invoices."""
        for transfer in ledger.transfers:
            settled = transfer.status.is_final or transfer.status is TransferStatus.INDETERMINATE
            assert settled, (transfer, self._playing.simulator.state.books.transfer(transfer.gateway_order_id))
        theirs = {row.merchant_order_id: row for row in self._playing.simulator.state.books.invoices}
        for row in ledger.invoices:
            known = theirs.get(row.reference)
            if known is None:
                # What never came to EPoint cannot be told from what its list does not show.
                assert row.status in (InvoiceStatus.FAILED, InvoiceStatus.INDETERMINATE), row
            elif not row.disputed:
                assert row.status.value.lower() == known.state, (row, known)
            else:
                assert known.sum != row.amount, (row, known)

    # Parts ----------------------------------------------------------------------------------------------------

    async def _make(self, call: Call, order_id: str, terms: InvoiceTerms) -> None:
        made = (await self._playing.cashier.invoices.create(call, order_id, terms)).value.id
        assert self._playing.made.setdefault(call.key, made) == made, "a key made two invoices"

    async def _change(self, change: InvoiceChange) -> None:
        changes = self._playing.cashier.invoice_changes
        if change.terms is not None:
            result = await changes.update(change.call, change.invoice_id, change.terms)
        elif change.operation == "send_invoice_sms":
            result = await changes.send_by_sms(change.call, change.invoice_id, change.to)
        else:
            result = await changes.send_by_email(change.call, change.invoice_id, change.to)
        assert result.value.id == change.invoice_id, "a key was for two invoices"

    def _undecided(self) -> Sequence[Transfer]:
        rows = self._playing.simulator.state.books.transfers
        return [row for row in rows if row.state in ("PENDING", "PROCESSING")]

    def _spoilt(self, operation: str, chance: float) -> OrderPlan:
        random = self._playing.random
        reply: Any = random.choice(SPOILT) if random.random() < chance else "normal"
        return OrderPlan(reply=reply, reply_times=1, reply_to=(operation,))

    def _amount(self) -> Decimal:
        return Decimal(self._playing.random.randrange(100, 100_000)) / 100

    def _terms(self) -> InvoiceTerms:
        days = {"period_from": date(2026, 1, 1), "period_to": date(2026, 1, 31)}
        return InvoiceTerms(amount=self._amount(), currency="AZN", name="A company", description="Tea", **days)
