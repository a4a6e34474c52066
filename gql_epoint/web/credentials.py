"""Turn what a client presents into a Credential: `Authorization: Bearer ...` on HTTP, its copy on a socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gql_epoint.keys import KeyRing, SecretKey
from gql_epoint.schema.access import AuthLevel, Credential, Scope


class WrongCredentialError(Exception):
    """Something was presented, and it opens nothing."""

    def __str__(self) -> str:
        return "The credential is not valid. Send `Authorization: Bearer ` and a secret key."


class Doorkeeper:
    """Knows the secret keys."""

    def __init__(self, keys: Iterable[SecretKey]) -> None:
        keys = tuple(keys)
        self._ring = KeyRing(keys)
        self._credentials = {key.name: _credential(key) for key in keys}

    def admit(self, authorization: str | None) -> Credential | None:
        """Return the credential behind an Authorization header, or None where there is no such header.

        Raises WrongCredentialError for everything else: a caller that names itself wrongly is never anonymous.
        """
        if authorization is None:
            return None
        scheme, _, presented = authorization.strip().partition(" ")
        key = self._ring.find(presented.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise WrongCredentialError
        return self._credentials[key.name]

    def admit_socket(self, payload: Mapping[str, Any]) -> Credential | None:
        """Do the same with the payload of `connection_init`; explorers write the name in the case of a header."""
        found = [value for name, value in payload.items() if name.lower() == "authorization"]
        if not found:
            return None
        if len(found) > 1 or not isinstance(found[0], str):
            raise WrongCredentialError
        return self.admit(found[0])


def _credential(key: SecretKey) -> Credential:
    scopes = frozenset(Scope[scope.name] for scope in key.scopes)
    return Credential(name=key.name, level=AuthLevel.SECRET_KEY, scopes=scopes)
