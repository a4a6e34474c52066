"""Who is at the other end: the address of the connection, or what a trusted proxy says about it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gql_epoint.setting_values import Network

if TYPE_CHECKING:
    from starlette.types import Scope


def client_address(scope: Scope, proxies: Iterable[Network]) -> str:
    """Return the address that a limit counts for; `proxies` are those whose X-Forwarded-For is believed.

    Each proxy adds the address it heard from on the right, and whatever stands left of the first stranger was
    written by that stranger. An IPv6 address counts by its /64, which is what one customer gets.
    """
    proxies = tuple(proxies)
    heard_from = str((scope.get("client") or ("", 0))[0])
    if not proxies or not _is_one_of(heard_from, proxies):
        return _counted(heard_from)
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    for hop in reversed(b",".join(forwarded).decode("latin-1").split(",")):
        address = hop.strip()
        if not address or _parse(address) is None:
            break  # A trusted proxy does not write such a thing, so nothing further left is known.
        heard_from = address
        if not _is_one_of(address, proxies):
            break
    return _counted(heard_from)


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _is_one_of(address: str, networks: Iterable[Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def _counted(address: str) -> str:
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed) if parsed is not None else address
