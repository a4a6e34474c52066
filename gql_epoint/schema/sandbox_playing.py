"""What all fields that play with the simulator have in common: their mark, and the way to it."""

from typing import Any

import strawberry
from strawberry.schema_directive import Location

from gql_epoint.errors import ErrorCode, RefusedError
from gql_epoint.schema.access import Scope, needs
from gql_epoint.schema.context import Info
from gql_epoint.schema.guards import MOVES_MONEY
from gql_epoint.simulator_control import SimulatorControl

LISTED = 20
_LISTED_MAX = 100


@strawberry.schema_directive(
    name="sandboxOnly",
    locations=[Location.FIELD_DEFINITION],
    description="Exists only in sandbox mode, against the simulator. A production schema does not have the field.",
)
class SandboxOnly:
    """The mark of what plays with the simulator."""


def played(description: str) -> Any:
    """Return the decorator of a mutation that plays with the simulator."""
    return strawberry.mutation(
        description=description,
        directives=[SandboxOnly(), needs(Scope.PAYMENTS_WRITE)],
        metadata={MOVES_MONEY: False},  # what moves is simulated
    )


def checked_first(first: int) -> int:
    """Return how many are wanted, or refuse it."""
    if not 1 <= first <= _LISTED_MAX:
        raise RefusedError(ErrorCode.INVALID_INPUT, f"`first` is from 1 to {_LISTED_MAX}.", ("first",))
    return first


def simulator_of(info: Info) -> SimulatorControl:
    """Return the way to the simulator."""
    assert info.context.simulator is not None, "the sandbox's schema comes with a simulator"
    return info.context.simulator
