"""Turn what a client presents into a Credential: `Authorization: Bearer ...` on HTTP, its copy on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from gql_epoint.cashier.checkouts import CheckoutDesk
from gql_epoint.keys import KeyRing, SecretKey
from gql_epoint.ledger import checkout as ledger
from gql_epoint.schema.access import AuthLevel, Credential, Scope
from gql_epoint.schema.enums import ClientOperation

ResultT = TypeVar("ResultT")


class WrongCredentialError(Exception):
    """Something was presented, and it opens nothing."""

    def __str__(self) -> str:
        return "The credential is not valid. Send `Authorization: Bearer ` and a secret key or a client token."


class ExpiredCredentialError(WrongCredentialError):
    """A credential that opened a stream is valid no more."""

    def __str__(self) -> str:
        return "The credential has expired."


class Doorkeeper:
    """Knows the secret keys, and asks the books about client tokens."""

    def __init__(self, keys: Iterable[SecretKey], checkouts: CheckoutDesk, clock: Callable[[], datetime]) -> None:
        keys = tuple(keys)
        self._ring = KeyRing(keys)
        self._credentials = {key.name: _credential(key) for key in keys}
        self._checkouts = checkouts
        self._clock = clock

    async def admit(self, authorization: str | None) -> Credential | None:
        """Return the credential behind an Authorization header, or None where there is no such header.

        Raises WrongCredentialError for everything else: a caller that names itself wrongly is never anonymous.
        Raises StoreUnavailableError if a client token cannot be looked up.
        """
        if authorization is None:
            return None
        scheme, _, presented = authorization.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise WrongCredentialError
        key = self._ring.find(presented.strip())
        if key is not None:
            return self._credentials[key.name]
        token = await self._checkouts.find_token(presented.strip())
        if token is None:
            raise WrongCredentialError
        return _token_credential(token)

    async def admit_socket(self, payload: Mapping[str, Any]) -> Credential | None:
        """Do the same with the payload of `connection_init`; explorers write the name in the case of a header."""
        found = [value for name, value in payload.items() if name.lower() == "authorization"]
        if not found:
            return None
        if len(found) > 1 or not isinstance(found[0], str):
            raise WrongCredentialError
        return await self.admit(found[0])

    def left_s(self, credential: Credential | None) -> float | None:
        """Return for how long a credential is good; None is for ever."""
        if credential is None or credential.expires_at is None:
            return None
        return max(0.0, (credential.expires_at - self._clock()).total_seconds())

    async def check(self, credential: Credential | None) -> None:
        """Raise ExpiredCredentialError if a credential that was admitted is valid no more."""
        if credential is None or credential.digest is None:
            return
        if await self._checkouts.current_token(credential.digest) is None:
            raise ExpiredCredentialError

    def while_valid(
        self, results: AsyncGenerator[ResultT, None], credential: Credential | None
    ) -> AsyncGenerator[ResultT, None]:
        """Pass results on, each after another look at the credential; raise ExpiredCredentialError at its end."""
        if credential is None or (credential.expires_at is None and credential.digest is None):
            return results  # A secret key stays what it is for as long as the service runs.
        return cast("AsyncGenerator[ResultT, None]", WhileValid(self, results, credential))


class WhileValid(Generic[ResultT]):
    """Results, for as long as a credential is valid. Close them to stop.

    They are no generator, for there may be very many who wait.
    """

    __slots__ = ("_credential", "_doorkeeper", "_results")

    def __init__(
        self, doorkeeper: Doorkeeper, results: AsyncGenerator[ResultT, None], credential: Credential
    ) -> None:
        self._doorkeeper = doorkeeper
        self._results = results
        self._credential = credential

    def __aiter__(self) -> WhileValid[ResultT]:
        return self

    async def __anext__(self) -> ResultT:
        """Return the next one. Raises ExpiredCredentialError."""
        try:
            async with asyncio.timeout(self._doorkeeper.left_s(self._credential)) as limit:
                result = await anext(self._results)
        except TimeoutError:
            if limit.expired():
                raise ExpiredCredentialError from None
            raise
        await self._doorkeeper.check(self._credential)
        return result

    @property
    def is_over(self) -> bool:
        """Whether it is known already that there is nothing more to come."""
        return getattr(self._results, "is_over", False)

    async def aclose(self) -> None:
        """Stop what they come from."""
        await self._results.aclose()


def _credential(key: SecretKey) -> Credential:
    scopes = frozenset(Scope[scope.name] for scope in key.scopes)
    return Credential(name=key.name, level=AuthLevel.SECRET_KEY, scopes=scopes)


def _token_credential(token: ledger.ClientToken) -> Credential:
    return Credential(
        name=token.checkout_id,  # what events should tell: the token itself says nothing to anybody
        level=AuthLevel.CLIENT_TOKEN,
        expires_at=token.expires_at,
        checkout_id=token.checkout_id,
        operations=_as_shown(token.operations),
        digest=token.digest,
    )


@lru_cache(maxsize=64)
def _as_shown(operations: frozenset[ledger.ClientOperation]) -> frozenset[ClientOperation]:
    """Return operations as the schema has them: one set for all who have the same."""
    return frozenset(ClientOperation(operation.value) for operation in operations)
