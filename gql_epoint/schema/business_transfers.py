"""What transfers to businesses add to the roots of the contract."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import strawberry

from gql_epoint.cashier.commands import Result
from gql_epoint.ledger import business_transfer as ledger
from gql_epoint.schema.access import READ, Scope
from gql_epoint.schema.business_transfer_types import (
    BusinessTransfer,
    BusinessTransferBy,
    ResolveBusinessTransferInput,
    TransferToBusinessInput,
)
from gql_epoint.schema.connections import BY_ID, After, Before, Connection, Cursors, First, Last, load, read_page
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import Resolution, UpdateKind
from gql_epoint.schema.errors import UserError
from gql_epoint.schema.running import ERRORS, REPLAYED, argument, attempt, mutation, run
from gql_epoint.schema.subscriptions import AfterVersion, Updates

TRANSFERS = Cursors("transfers", BY_ID)


@strawberry.type(description="What became of a request about a transfer to a business.")
class BusinessTransferPayload:
    """What became of a request about a transfer."""

    business_transfer: BusinessTransfer | None = strawberry.field(
        description="The transfer as it is now; null if the request was refused."
    )
    replayed: bool = strawberry.field(description=REPLAYED)
    errors: list[UserError] = strawberry.field(description=ERRORS)


@strawberry.type(description="A transfer to a business, now or after a change.")
class BusinessTransferUpdate:
    """A transfer, now or after a change."""

    kind: UpdateKind = strawberry.field(
        description="Whether this is the state at the beginning, or a newer version."
    )
    business_transfer: BusinessTransfer = strawberry.field(description="The transfer as it is in this version.")


@strawberry.type
class TransferQueries:
    """What transfers to businesses add to the queries."""

    @strawberry.field(
        description="One transfer to a business, as it is recorded here; EPoint is not asked.", directives=[READ]
    )
    async def business_transfer(
        self, info: Info, by: Annotated[BusinessTransferBy, argument("Which transfer.")]
    ) -> BusinessTransfer | None:
        """Find a transfer."""
        known = await info.context.cashier.business_transfers.find(by.to_name())
        return BusinessTransfer.of(known) if known else None

    @strawberry.field(description="All transfers to businesses, newest first.", directives=[READ])
    async def business_transfers(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        needs_review: Annotated[bool, argument("Only those with `needsReview`; false is all.")] = False,
    ) -> Connection[BusinessTransfer]:
        """List transfers."""
        return await load(
            TRANSFERS,
            read_page(TRANSFERS, first=first, after=after, last=last, before=before),
            lambda page: info.context.cashier.books.read(
                lambda reader: reader.business_transfers(page, in_review=needs_review)
            ),
            lambda transfer: transfer.id,
            BusinessTransfer.of,
        )


@strawberry.type
class TransferMutations:
    """What transfers to businesses add to the mutations."""

    @mutation(
        (
            "Send the merchant's money to a company's bank account. EPoint takes the order and carries it out "
            "later: watch `businessTransferUpdated`."
        ),
        Scope.PAYOUTS_WRITE,
        moves_money=True,
    )
    async def transfer_to_business(
        self,
        info: Info,
        input: Annotated[TransferToBusinessInput, argument("What to transfer.")],  # noqa: A002
    ) -> BusinessTransferPayload:
        """Send money to a company."""
        start = info.context.cashier.business_transfers.start
        return _payload(*await run(info, input, lambda call: start(call, input.to_order())))

    @mutation("Ask EPoint for the truth about a transfer now, and record it.", Scope.PAYOUTS_WRITE)
    async def refresh_business_transfer(
        self, info: Info, by: Annotated[BusinessTransferBy, argument("Which transfer.")]
    ) -> BusinessTransferPayload:
        """Ask for the status now."""
        actor = info.context.caller.name
        refresh = info.context.cashier.business_transfers.refresh
        return _payload(*await attempt(lambda: refresh(by.to_name(), actor)))

    @mutation(
        "Settle by hand a transfer to a business that is INDETERMINATE. Calls nobody, moves no money.",
        Scope.LEDGER_RESOLVE,
    )
    async def resolve_business_transfer(
        self,
        info: Info,
        input: Annotated[ResolveBusinessTransferInput, argument("The finding.")],  # noqa: A002
    ) -> BusinessTransferPayload:
        """Settle a transfer."""
        decide = info.context.cashier.business_transfers.resolve
        succeeded = input.resolution is Resolution.SUCCEEDED

        async def work(call: Any) -> Result[ledger.BusinessTransfer]:
            return await decide(call, plain_text(input.business_transfer_id), succeeded, input.note)

        return _payload(*await run(info, input, work))


@strawberry.type
class TransferSubscriptions:
    """What transfers to businesses add to the subscriptions."""

    @strawberry.subscription(
        description=(
            "The state now, then newer versions in order; some may be skipped, `events` has each. Completes at a "
            "final status. If there is no such transfer, `extensions.code` is NOT_FOUND."
        ),
        directives=[READ],
    )
    async def business_transfer_updated(
        self,
        info: Info,
        by: Annotated[BusinessTransferBy, argument("Which transfer.")],
        after_version: AfterVersion = None,
    ) -> AsyncIterator[BusinessTransferUpdate]:
        """Watch a transfer."""
        watch = info.context.cashier.watching.business_transfer
        return Updates(
            info,
            after_version,
            lambda after: watch(by.to_name(), after),
            lambda known, kind: BusinessTransferUpdate(kind=kind, business_transfer=BusinessTransfer.of(known)),
        )


def _payload(result: Result[ledger.BusinessTransfer] | None, errors: list[UserError]) -> BusinessTransferPayload:
    return BusinessTransferPayload(
        business_transfer=BusinessTransfer.of(result.value) if result else None,
        replayed=result.replayed if result else False,
        errors=errors,
    )
