"""What only a service in sandbox mode offers: to play the customer, the bank and the network of the simulator.

A production schema has none of it. Each root field is marked `@sandboxOnly`; the types are reached by them alone.
"""

from collections.abc import AsyncGenerator, Awaitable
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from gql_epoint.cashier.commands import CardBy, TransactionBy
from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.schema import roots
from gql_epoint.schema.access import READ
from gql_epoint.schema.context import Info
from gql_epoint.schema.errors import UserError, to_user_error
from gql_epoint.schema.running import argument
from gql_epoint.schema.sandbox_business import BusinessMutations, BusinessQueries, BusinessSubscriptions
from gql_epoint.schema.sandbox_playing import LISTED, SandboxOnly, checked_first, played, simulator_of
from gql_epoint.schema.sandbox_types import SimulatorBy, SimulatorCallbackInput, SimulatorTransaction
from gql_epoint.simulator_control import closing


@strawberry.type(description="What became of playing with the simulator.")
class SimulatorPayload:
    """What became of playing with the simulator."""

    simulator_transaction: SimulatorTransaction | None = strawberry.field(
        description="The transaction on EPoint's side as it is now; null if nothing was done."
    )
    errors: list[UserError] = strawberry.field(
        description="Why nothing was done: NOT_FOUND, INVALID_INPUT or GATEWAY_UNAVAILABLE. Empty if all is well."
    )


def _described(root: Any) -> str:
    description: str = root.__strawberry_definition__.description
    return description


By = Annotated[SimulatorBy, argument("Which transaction.")]
ThisCallback = Annotated[
    SimulatorCallbackInput | None,
    argument("How the callback that follows travels and what it says, if not as usual."),
]


@strawberry.type(name="Query", description=_described(roots.Query))
class SandboxQuery(roots.Query, BusinessQueries):
    """What can be asked in the sandbox."""

    @strawberry.field(
        description="The simulator's latest transactions, the latest first. Not a connection: it is a window.",
        directives=[SandboxOnly(), READ],
    )
    async def simulator_transactions(
        self, info: Info, first: Annotated[int, argument("How many, from 1 to 100.")] = LISTED
    ) -> list[SimulatorTransaction]:
        """List what happened at the simulator."""
        wanted, simulator = checked_first(first), simulator_of(info)
        listed = (await simulator.transactions())[:wanted]
        return [SimulatorTransaction.of(one, simulator.base_url) for one in listed]

    @strawberry.field(
        description="One transaction on EPoint's side, with what was said about it; null if there is none.",
        directives=[SandboxOnly(), READ],
    )
    async def simulator_transaction(self, info: Info, by: By) -> SimulatorTransaction | None:
        """Show one transaction of the simulator."""
        try:
            return await _shown(info, await _name(info, by))
        except RefusedError as exc:
            if exc.code is ErrorCode.NOT_FOUND:
                return None
            raise


@strawberry.type(name="Mutation", description=_described(roots.Mutation))
class SandboxMutation(roots.Mutation, BusinessMutations):
    """What changes something in the sandbox."""

    @played(
        "Play the customer: pay with a good card, or save one. The simulator settles the transaction and sends its "
        "callback."
    )
    async def simulator_approve(
        self,
        info: Info,
        by: By,
        amount: Annotated[
            Decimal | None,
            argument("What EPoint takes, if not what was ordered: such a success has to go to a person."),
        ] = None,
        callback: ThisCallback = None,
    ) -> SimulatorPayload:
        """Approve."""
        return await _settled(info, by, "000", amount, callback)

    @played("Play the customer with a bad card: the bank declines, and the simulator sends the callback.")
    async def simulator_decline(
        self,
        info: Info,
        by: By,
        bank_code: Annotated[
            str, argument("The bank's answer: three digits or letters, but not `000`. 116 is a lack of money.")
        ] = "116",
        callback: ThisCallback = None,
    ) -> SimulatorPayload:
        """Decline."""
        if bank_code == "000":
            refusal = RefusedError(ErrorCode.INVALID_INPUT, "000 approves: use simulatorApprove.", ("bankCode",))
            return SimulatorPayload(simulator_transaction=None, errors=[to_user_error(refusal)])
        return await _settled(info, by, bank_code, None, callback)

    @played(
        "Refund as a person would in EPoint's cabinet, or let go what is held: no callback tells of it, so the "
        "service learns of it from `refreshTransaction`."
    )
    async def simulator_refund(
        self,
        info: Info,
        by: By,
        amount: Annotated[Decimal | None, argument("How much; left out, all that is left.")] = None,
    ) -> SimulatorPayload:
        """Refund in the cabinet."""
        return await _acted(info, by, lambda simulator, name: simulator.refund(name, amount))

    @played(
        "Take what is held, or a part of it, as a person would in EPoint's cabinet: no callback tells of it, and "
        "its status may not either, so `resolveHold` is for this. `simulatorRefund` lets a hold go."
    )
    async def simulator_capture(
        self,
        info: Info,
        by: By,
        amount: Annotated[Decimal | None, argument("How much; left out, all that is held.")] = None,
    ) -> SimulatorPayload:
        """Capture in the cabinet."""
        return await _acted(info, by, lambda simulator, name: simulator.capture(name, amount))

    @played("Send the callback of a settled transaction again. It must change nothing.")
    async def simulator_resend_callback(
        self, info: Info, by: By, callback: ThisCallback = None
    ) -> SimulatorPayload:
        """Send a callback again."""
        changes = callback.to_changes() if callback else {}
        return await _acted(info, by, lambda simulator, name: simulator.resend(name, changes))

    @played("Send a waiting callback now: one that is late, held back, or between two attempts.")
    async def simulator_send_callback(
        self, info: Info, number: Annotated[int, argument("Which one: `SimulatorCallback.number`.")]
    ) -> SimulatorPayload:
        """Hurry a callback."""
        return await _answered(info, simulator_of(info).release(number, "send"))

    @played("Let a waiting callback get lost. An attempt that is under way goes on.")
    async def simulator_drop_callback(
        self, info: Info, number: Annotated[int, argument("Which one: `SimulatorCallback.number`.")]
    ) -> SimulatorPayload:
        """Lose a callback."""
        return await _answered(info, simulator_of(info).release(number, "drop"))


@strawberry.type(name="Subscription", description=_described(roots.Subscription))
class SandboxSubscription(roots.Subscription, BusinessSubscriptions):
    """What is sent in the sandbox when something changes."""

    @strawberry.subscription(
        description=(
            "The simulator live: a transaction each time that something is asked about it, its callback travels, "
            "or somebody plays with it. With `by` first as it is now; without, every transaction from now on."
        ),
        directives=[SandboxOnly(), READ],
    )
    async def simulator_updated(
        self,
        info: Info,
        by: Annotated[SimulatorBy | None, argument("Which transaction; left out, all of them.")] = None,
    ) -> AsyncGenerator[SimulatorTransaction, None]:
        """Watch the simulator."""
        simulator = simulator_of(info)
        only = None if by is None else (await _shown(info, await _name(info, by))).gateway_transaction_id
        async with closing(simulator.changes()) as stream:
            is_first = True
            async for changed in stream:
                names = [name for name in changed.transactions if only in (None, name)]
                for name in [only] if is_first and only else names:
                    yield await _shown(info, name)
                is_first = False


async def _settled(
    info: Info, by: SimulatorBy, code: str, amount: Decimal | None, callback: SimulatorCallbackInput | None
) -> SimulatorPayload:
    changes = callback.to_changes() if callback else {}
    return await _acted(info, by, lambda simulator, name: simulator.settle(name, code, amount, changes))


async def _acted(info: Info, by: SimulatorBy, act: Any) -> SimulatorPayload:
    async def acting() -> str:
        name = await _name(info, by)
        await act(simulator_of(info), name)
        return name

    return await _answered(info, acting())


async def _answered(info: Info, work: Awaitable[str]) -> SimulatorPayload:
    try:
        return SimulatorPayload(simulator_transaction=await _shown(info, await work), errors=[])
    except RefusedError as refusal:
        return SimulatorPayload(simulator_transaction=None, errors=[to_user_error(refusal)])


async def _shown(info: Info, name: str) -> SimulatorTransaction:
    simulator = simulator_of(info)
    return SimulatorTransaction.of(await simulator.transaction(name), simulator.base_url)


async def _name(info: Info, by: SimulatorBy) -> str:
    """Return how the simulator knows what is meant. Raises RefusedError(NOT_FOUND) for what this service lacks."""
    kind, name = by.chosen()
    lookup = info.context.cashier.lookup
    if kind == "gateway_transaction_id":
        return name
    if kind == "saved_card_id":
        card = await lookup.saved_card(CardBy(id=name))
        found = card.card_id if card else None
    else:
        wanted = TransactionBy(id=name) if kind == "transaction_id" else TransactionBy(order_id=name)
        transaction = await lookup.transaction(wanted)
        # Without an answer of EPoint there is no id of its own yet; the order finds it.
        found = transaction.gateway.transaction_id or transaction.gateway_order_id if transaction else None
    if found is None:
        raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transaction at EPoint.", ("by",))
    return found
