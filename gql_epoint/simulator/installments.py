"""Instalments at the desk and on the page: which cards offer them, and what the customer chose."""

from __future__ import annotations

from typing import Any

from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.request import Call, DeskError
from gql_epoint.simulator.settings import Switches


def offers(switches: Switches) -> list[dict[str, Any]]:
    """Return the array that get-installment-request answers."""
    as_text = switches.installment_months_as_text
    return [
        {
            "name": offer.name,
            "installment_card_id": offer.card_id,
            "installment_months": [str(month) if as_text else month for month in offer.months],
        }
        for offer in switches.installment_offers
    ]


def choose(call: Call, transaction: Transaction) -> None:
    """Write down the card and the months of a request. Raises DeskError for what is not offered."""
    card_id, month = call.text("installment_card_id"), call.text("installment_month")
    found = [offer for offer in call.state.switches.installment_offers if offer.card_id == card_id]
    if not found:
        raise DeskError("error", "The installment_card_id field is invalid.")
    if month not in [str(offered) for offered in found[0].months]:
        raise DeskError("error", "The installment_month field is invalid.")
    transaction.installment_card, transaction.installment_month = found[0].name, int(month)


def choices(switches: Switches) -> list[int]:
    """Return the numbers of months that a customer can choose on the page."""
    return sorted({month for offer in switches.installment_offers for month in offer.months})


def choose_on_page(switches: Switches, transaction: Transaction, month: str) -> None:
    """Write down what the customer chose on the page, if it was offered there."""
    if transaction.asks_installment and month in [str(offered) for offered in choices(switches)]:
        transaction.installment_month = int(month)
