"""Who is at the other end: the address of the connection, or what a trusted proxy says about it."""

from __future__ import annotations

import functools
import ipaddress
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gql_epoint.setting_values import Network

if TYPE_CHECKING:
    from starlette.types import Scope


logger = logging.getLogger(__name__)


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


def customer_address(scope: Scope, proxies: Iterable[Network]) -> str | None:
    """Return the address that a customer's attempts to pay count for, or None if it can be no customer's.

    A private address is that of a proxy which nobody named. All customers behind it would be held up for one card
    tester, so it is not counted, and the log says so.
    """
    address = client_address(scope, proxies)
    parsed = _parse(address.removesuffix("/64"))
    if parsed is None or not parsed.is_global:
        _warn_of_proxy(address)
        return None
    return address


@functools.lru_cache(maxsize=64)  # each proxy once
def _warn_of_proxy(address: str) -> None:
    logger.warning(
        "Attempts to pay are not counted by address: browsers come from %s, which is no address of the internet. "
        "Name the proxies in GQL_EPOINT_TRUSTED_PROXIES",
        address,
    )


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
