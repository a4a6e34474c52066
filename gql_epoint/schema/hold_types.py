"""Holds as the contract shows them: captures, cancellations, and what a person may find."""

from enum import Enum
from typing import Self

import strawberry

from gql_epoint.ledger import transaction as ledger
from gql_epoint.schema.enums import value
from gql_epoint.schema.values import Failure, Money


@strawberry.enum(description="What is asked of EPoint about a hold.")
class HoldRequestKind(Enum):
    """What is asked of EPoint about a hold."""

    CAPTURE = value("CAPTURE", description="To take the amount, or a part of it: mutation `capture`.")
    CANCEL = value("CANCEL", description="To let the hold go: mutation `cancelPreauthorization`.")


@strawberry.enum(description="Where a capture or a cancellation stands. SUCCESS and FAILED are final.")
class HoldRequestStatus(Enum):
    """Where a capture or a cancellation stands."""

    PROCESSING = value("PROCESSING", description="It is written down; EPoint has not answered yet.")
    SUCCESS = value(
        "SUCCESS", description="Done: the transaction is SUCCESS after a capture, VOIDED after a cancellation."
    )
    FAILED = value("FAILED", description="Refused: see `failure`. The amount is held as before.")
    INDETERMINATE = value(
        "INDETERMINATE",
        description=(
            "The answer from EPoint was lost, so the transaction is INDETERMINATE as well. Nothing else is sent "
            "for this hold until it is settled, by EPoint's status or by a person: `resolveHold`."
        ),
    )


@strawberry.enum(description="What a person found about a hold.")
class HoldFinding(Enum):
    """What a person found about a hold."""

    HELD = value("HELD", description="The amount is held and nothing is taken: the transaction is AUTHORIZED.")
    CAPTURED = value("CAPTURED", description="It, or a part of it, was taken: the transaction is SUCCESS.")
    RELEASED = value("RELEASED", description="Nothing is held and nothing was taken: the transaction is VOIDED.")


@strawberry.type(description="A capture or a cancellation of a hold. A hold has one at a time.")
class HoldRequest:
    """A capture or a cancellation of a hold."""

    kind: HoldRequestKind = strawberry.field(description="What was asked of EPoint.")
    status: HoldRequestStatus = strawberry.field(description="Where it stands.")
    amount: Money | None = strawberry.field(description="How much a capture takes; null for a cancellation.")
    failure: Failure | None = strawberry.field(description="Why it failed; set when the status is FAILED.")

    @classmethod
    def of(cls, known: ledger.HoldRequest | None, currency: str) -> Self | None:
        """Build it from the ledger's value."""
        if known is None:
            return None
        return cls(
            kind=HoldRequestKind(known.kind.value),
            status=HoldRequestStatus(known.status.value),
            amount=None if known.amount is None else Money.of(known.amount, currency),
            failure=Failure.of(known.failure),
        )
