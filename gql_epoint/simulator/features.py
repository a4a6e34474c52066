"""What EPoint grants to a merchant one by one, and which operations need it.

A merchant of the simulator has everything; `not_granted` takes features away.
"""

from __future__ import annotations

from gql_epoint.epoint.operations import (
    CAPTURE,
    INSTALLMENT_PLANS,
    PAY_IN_INSTALLMENTS,
    PAY_WITH_AMEX,
    PAY_WITH_WALLET,
    PREAUTHORIZE,
    WALLETS,
)

FEATURES: dict[str, str] = {
    PAY_WITH_AMEX.name: "amex",
    PREAUTHORIZE.name: "pre-auth",
    CAPTURE.name: "pre-auth",
    INSTALLMENT_PLANS.name: "installments",
    PAY_IN_INSTALLMENTS.name: "installments",
    WALLETS.name: "wallets",
    PAY_WITH_WALLET.name: "wallets",
}
"""Names of operations and the feature that each needs; the others are everybody's."""

NAMES = frozenset(FEATURES.values())
