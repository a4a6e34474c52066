"""What a resolver knows of the request it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphql import GraphQLError
from strawberry.types import Info as _Info

from gql_epoint.schema.access import Credential

if TYPE_CHECKING:
    from gql_epoint.cashier import Cashier
    from gql_epoint.simulator_control import SimulatorControl


@dataclass(kw_only=True, slots=True)
class Place:
    """Where a subscription is: what a transport needs to let its client resume after a break.

    `resume_after` is the last id that the client has seen. A subscription writes the id of each item to
    `event_id` just before it yields the item.
    """

    resume_after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestContext:
    """Made by the web layer for each operation, and passed as Strawberry's context value.

    `credential` is verified and unexpired, or None. `address` is where a browser is, if that can be told.
    """

    cashier: Cashier
    credential: Credential | None
    merchant: str
    sandbox: bool
    request_id: str
    address: str | None = None
    place: Place = field(default_factory=Place)
    simulator: SimulatorControl | None = None  # in the sandbox

    @property
    def caller(self) -> Credential:
        """The credential; the access rule lets nobody in without one."""
        assert self.credential is not None
        return self.credential

    @property
    def owner(self) -> str:
        """Who owns idempotency keys: the merchant or a checkout, never a credential, so rotation charges once."""
        return self.caller.checkout_id or self.merchant


Info = _Info[RequestContext, None]


def plain_text(value: str) -> str:
    """Return a name to look up; raises GraphQLError for text that no database can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise GraphQLError("A name is not valid Unicode.", extensions={"code": "INVALID_INPUT"}) from None
    return value
