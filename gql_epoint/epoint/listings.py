"""Lists of what a merchant's customers can choose from: EPoint answers them in shapes of their own.

A list is an array, or a map from id to name, where every other reply is an object with a status. Each shape is
wrapped into an object first, so that it is read as any reply is.
Sources: EPoint's developer portal for instalments; for wallets a recorded live answer and a public SDK, which
differ.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gql_epoint.epoint.reading import read_text

_ENVELOPE = ("status", "message", "trace_id")
_MONTHS_MAX = 1200


class InstallmentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A bank's card that pays in instalments, and in how many months it can."""

    card_id: str
    name: str
    months: tuple[int, ...]


def wrap_installment_plans(raw: Any) -> Any:
    """Return the array of plans as an object; an error is one already."""
    return {"plans": raw} if isinstance(raw, list) else raw


def read_installment_plans(plans: Any) -> tuple[InstallmentPlan, ...]:
    """Return what is readable of a reply's plans; one without its id or its months is of no use to anyone."""
    found = []
    for item in plans if isinstance(plans, list) else ():
        if not isinstance(item, dict):
            continue
        card_id = read_text(item.get("installment_card_id"))
        months = item.get("installment_months")
        counts = [_months(month) for month in (months if isinstance(months, list) else ())]
        usable = tuple(count for count in counts if count is not None)
        if card_id is not None and usable:
            found.append(InstallmentPlan(card_id=card_id, name=read_text(item.get("name")) or "", months=usable))
    return tuple(found)


def _months(value: Any) -> int | None:
    text = read_text(value) or ""
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _MONTHS_MAX else None


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet that a customer can pay with."""

    id: str
    name: str


def wrap_wallets(raw: Any) -> Any:
    """Return the wallets as an object with a list of them.

    A live answer was a map from id to name without a status; a public SDK expects a list under `wallets`. An empty
    map is an empty array where PHP writes it. An error is an object already.
    """
    if isinstance(raw, list):
        return {"wallets": raw}
    if not isinstance(raw, dict) or "wallets" in raw:
        return raw
    named = [{"id": name, "name": value} for name, value in raw.items() if name not in _ENVELOPE]
    if not named and raw.get("status") is not None:
        return raw
    return {"wallets": named} | {name: raw[name] for name in _ENVELOPE if name in raw}


def read_wallets(wallets: Any) -> tuple[Wallet, ...]:
    """Return what is readable of a reply's wallets: a list of objects, or again a map from id to name."""
    if isinstance(wallets, dict):
        wallets = [{"id": name, "name": value} for name, value in wallets.items()]
    found = []
    for item in wallets if isinstance(wallets, list) else ():
        wallet_id = read_text(item.get("id")) if isinstance(item, dict) else None
        name = read_text(item.get("name")) if isinstance(item, dict) else None
        if wallet_id is not None and name is not None:
            found.append(Wallet(id=wallet_id, name=name))
    return tuple(found)


def wrap_wallet_payment(raw: Any) -> Any:
    """Return the reply with a status: where a page comes without one, EPoint means that it is open.

    Seen by the author of a public client. Only an address makes it so: an empty reply stays one that says nothing.
    """
    if isinstance(raw, dict) and raw.get("status") in (None, "") and read_text(raw.get("redirect_url")):
        return raw | {"status": "success"}
    return raw
