"""Lists of what a merchant's customers can choose from: EPoint answers them in shapes of their own.

A list is an array, or a map from id to name, where every other reply is an object with a status. Each shape is
wrapped into an object first, so that it is read as any reply is.
Source: EPoint's developer portal.
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
