"""Wallets at the desk: which there are, and which one a payment is with."""

from __future__ import annotations

from typing import Any

from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.request import Call, DeskError
from gql_epoint.simulator.settings import Switches


def offers(switches: Switches) -> Any:
    """Return what wallet/status answers."""
    if switches.wallets_as_list:
        listed = [{"id": int(offer.wallet_id), "name": offer.name} for offer in switches.wallet_offers]
        return {"status": "success", "wallets": listed}
    # PHP writes an empty map as an empty array.
    return {offer.wallet_id: offer.name for offer in switches.wallet_offers} or []


def choose(call: Call, transaction: Transaction) -> None:
    """Write down the wallet of a request. Raises DeskError for one that is not offered."""
    names = {offer.wallet_id: offer.name for offer in call.state.switches.wallet_offers}
    name = names.get(call.text("wallet_id") or "")
    if name is None:
        raise DeskError("error", "The wallet_id field is invalid.")
    transaction.wallet, transaction.step = name, "wallet"
