"""Find out who asks, on each transport, and make the context that resolvers see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import HTTPConnection

from gql_epoint.cashier import Cashier
from gql_epoint.errors import StoreUnavailableError
from gql_epoint.schema.access import Credential
from gql_epoint.schema.context import Place, RequestContext
from gql_epoint.setting_values import Network
from gql_epoint.simulator_control import SimulatorControl
from gql_epoint.web.addresses import customer_address
from gql_epoint.web.credentials import Doorkeeper, WrongCredentialError
from gql_epoint.web.headers import header
from gql_epoint.web.replies import Refusal


class Visitors(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever comes to the endpoint.

    With `proxies`, which may be none, the attempts of browsers are counted by the addresses that those report.
    """

    cashier: Cashier
    doorkeeper: Doorkeeper
    merchant: str
    sandbox: bool
    simulator: SimulatorControl | None = None
    proxies: tuple[Network, ...] | None = None

    def seconds_left(self, credential: Credential | None) -> float | None:
        """Return how long a connection may go on with this credential; None is for ever."""
        return self.doorkeeper.left_s(credential)

    async def of_request(self, request: HTTPConnection) -> RequestContext:
        """Return the context of one request. Raises Refusal 401 if its credential is wrong."""
        try:
            credential = await self.doorkeeper.admit(header(request.scope, b"authorization"))
        except WrongCredentialError as exc:
            raise Refusal(401, str(exc), "UNAUTHENTICATED", WWW_Authenticate="Bearer") from None
        except StoreUnavailableError:
            message = "The service cannot reach its database. Try again a little later."
            raise Refusal(503, message, "SERVICE_UNAVAILABLE", Retry_After="1") from None
        return self.context(request, credential, header(request.scope, b"last-event-id"))

    async def of_socket(self, payload: Mapping[str, Any]) -> Credential | None:
        """Return the credential in the payload of `connection_init`. Raises WrongCredentialError."""
        return await self.doorkeeper.admit_socket(payload)

    def context(
        self, connection: HTTPConnection, credential: Credential | None, resume_after: str | None = None
    ) -> RequestContext:
        """Return the context of one operation; an empty id to resume after is the beginning, as browsers say it."""
        is_counted = self.proxies is not None and credential is not None and credential.is_browser
        return RequestContext(
            cashier=self.cashier,
            credential=credential,
            merchant=self.merchant,
            sandbox=self.sandbox,
            request_id=connection.scope["state"]["request_id"],
            address=customer_address(connection.scope, self.proxies or ()) if is_counted else None,
            place=Place(resume_after=resume_after or None),
            simulator=self.simulator,
        )
