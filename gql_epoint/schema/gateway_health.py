"""What a backend can ask about EPoint itself."""

import strawberry

from gql_epoint.cashier.pulse import Beat
from gql_epoint.schema.access import READ
from gql_epoint.schema.context import Info
from gql_epoint.schema.types import Callback


@strawberry.type(description="Whether EPoint answers, as of the last 15 seconds.")
class Gateway:
    """Whether EPoint answers."""

    record: strawberry.Private[Beat]
    reachable: bool = strawberry.field(
        description="Whether EPoint's heartbeat said `ok`. That it did is no promise for the next payment."
    )
    latency_ms: int | None = strawberry.field(
        description="How long the heartbeat took, in milliseconds; null if no answer came."
    )

    @strawberry.field(
        description="The latest callback with a valid signature, whatever became of it; null before the first one."
    )
    async def last_callback(self, info: Info) -> Callback | None:
        """The latest callback, read from the books."""
        known = await info.context.cashier.pulse.last_callback()
        return Callback.of(known) if known else None


@strawberry.type
class GatewayQueries:
    """What the gateway's health adds to the queries."""

    @strawberry.field(
        description="Whether EPoint answers now. It is asked at most every 15 seconds, however often this is.",
        directives=[READ],
    )
    async def gateway(self, info: Info) -> Gateway | None:
        """Ask for EPoint's heartbeat."""
        beat = await info.context.cashier.pulse.now()
        return Gateway(record=beat, reachable=beat.reachable, latency_ms=beat.latency_ms)
