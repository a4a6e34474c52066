"""What plays with the simulator's invoices and transfers to businesses, in sandbox mode alone."""

from collections.abc import AsyncGenerator, Awaitable
from typing import Annotated

import strawberry

from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.schema.access import READ
from gql_epoint.schema.business_transfer_types import BusinessTransferBy
from gql_epoint.schema.context import Info
from gql_epoint.schema.errors import to_user_error
from gql_epoint.schema.invoice_types import InvoiceBy
from gql_epoint.schema.running import argument
from gql_epoint.schema.sandbox_business_types import (
    SimulatorBusinessUpdate,
    SimulatorInvoice,
    SimulatorInvoicePayload,
    SimulatorInvoiceState,
    SimulatorTransfer,
    SimulatorTransferPayload,
    SimulatorTransferState,
    SimulatorWebhookInput,
)
from gql_epoint.schema.sandbox_playing import LISTED, SandboxOnly, checked_first, played, simulator_of
from gql_epoint.simulator_control import SimulatedInvoice, SimulatedTransfer, closing

First = Annotated[int, argument("How many, from 1 to 100.")]
ThisWebhook = Annotated[
    SimulatorWebhookInput | None,
    argument("How the webhook travels and what it says, if not as usual."),
]


@strawberry.type
class BusinessQueries:
    """What the sandbox adds to the queries."""

    @strawberry.field(
        description="The simulator's latest invoices with what was sent of them, the latest first: a window.",
        directives=[SandboxOnly(), READ],
    )
    async def simulator_invoices(self, info: Info, first: First = LISTED) -> list[SimulatorInvoice]:
        """List invoices."""
        wanted, simulator = checked_first(first), simulator_of(info)
        listed = (await simulator.business()).invoices[:wanted]
        return [SimulatorInvoice.of(one, simulator.base_url) for one in listed]

    @strawberry.field(
        description="The simulator's latest transfers to businesses, the latest first: a window.",
        directives=[SandboxOnly(), READ],
    )
    async def simulator_transfers(self, info: Info, first: First = LISTED) -> list[SimulatorTransfer]:
        """List transfers."""
        wanted = checked_first(first)
        return [SimulatorTransfer.of(one) for one in (await simulator_of(info).business()).transfers[:wanted]]


@strawberry.type
class BusinessMutations:
    """What the sandbox adds to the mutations."""

    @played(
        "Play the customer who pays an invoice, or the person who cancels it or opens it again in the cabinet. No "
        "callback tells of it, so the service learns of it from its schedule or from `refreshInvoice`."
    )
    async def simulator_settle_invoice(
        self,
        info: Info,
        by: Annotated[InvoiceBy, argument("Which invoice.")],
        state: Annotated[SimulatorInvoiceState, argument("Where it is put.")] = SimulatorInvoiceState.PAID,
    ) -> SimulatorInvoicePayload:
        """Settle an invoice."""
        simulator = simulator_of(info)

        async def settling() -> SimulatedInvoice:
            return await simulator.settle_invoice(await _invoice_number(info, by), state.value)

        try:
            shown = SimulatorInvoice.of(await settling(), simulator.base_url)
        except RefusedError as refusal:
            return SimulatorInvoicePayload(simulator_invoice=None, errors=[to_user_error(refusal)])
        return SimulatorInvoicePayload(simulator_invoice=shown, errors=[])

    @played(
        "Play the bank of a transfer to a business. A decision is told by the webhook, which EPoint does not sign: "
        "it is a hint, and the service asks."
    )
    async def simulator_settle_transfer(
        self,
        info: Info,
        by: Annotated[BusinessTransferBy, argument("Which transfer.")],
        state: Annotated[SimulatorTransferState, argument("Where it is put.")] = SimulatorTransferState.SUCCESS,
        webhook: ThisWebhook = None,
    ) -> SimulatorTransferPayload:
        """Settle a transfer."""
        changes = webhook.to_changes() if webhook else {}

        async def settling() -> SimulatedTransfer:
            return await simulator_of(info).settle_transfer(await _transfer_order(info, by), state.value, changes)

        return await _transferred(settling())

    @played("Send the webhook of a decided transfer again. Whatever it says, it must change nothing.")
    async def simulator_send_transfer_webhook(
        self,
        info: Info,
        by: Annotated[BusinessTransferBy, argument("Which transfer.")],
        webhook: ThisWebhook = None,
    ) -> SimulatorTransferPayload:
        """Send a webhook again."""
        changes = webhook.to_changes() if webhook else {}

        async def sending() -> SimulatedTransfer:
            return await simulator_of(info).send_webhook(await _transfer_order(info, by), changes)

        return await _transferred(sending())


@strawberry.type
class BusinessSubscriptions:
    """What the sandbox adds to the subscriptions."""

    @strawberry.subscription(
        description=(
            "The simulator's invoices and transfers live: each time that one is made, sent, decided or changed, or "
            "a webhook travels, from now on."
        ),
        directives=[SandboxOnly(), READ],
    )
    async def simulator_business_updated(self, info: Info) -> AsyncGenerator[SimulatorBusinessUpdate, None]:
        """Watch invoices and transfers."""
        simulator = simulator_of(info)
        async with closing(simulator.changes()) as stream:
            async for changed in stream:
                for name in changed.business:
                    kind, _, one = name.partition("/")
                    if kind == "invoices":
                        invoice = SimulatorInvoice.of(await simulator.invoice(one), simulator.base_url)
                        yield SimulatorBusinessUpdate(invoice=invoice)
                    else:
                        yield SimulatorBusinessUpdate(transfer=SimulatorTransfer.of(await simulator.transfer(one)))


async def _transferred(work: Awaitable[SimulatedTransfer]) -> SimulatorTransferPayload:
    try:
        return SimulatorTransferPayload(simulator_transfer=SimulatorTransfer.of(await work), errors=[])
    except RefusedError as refusal:
        return SimulatorTransferPayload(simulator_transfer=None, errors=[to_user_error(refusal)])


async def _invoice_number(info: Info, by: InvoiceBy) -> str:
    known = await info.context.cashier.invoices.find(by.to_name())
    if known is None or known.gateway_id is None:
        raise RefusedError(ErrorCode.NOT_FOUND, "There is no such invoice at EPoint.", ("by",))
    return known.gateway_id


async def _transfer_order(info: Info, by: BusinessTransferBy) -> str:
    known = await info.context.cashier.business_transfers.find(by.to_name())
    if known is None:
        raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transfer.", ("by",))
    return known.gateway_order_id
