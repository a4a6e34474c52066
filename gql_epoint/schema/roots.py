"""The roots of the contract: what each part of it adds, put together."""

from __future__ import annotations

import strawberry

from gql_epoint.schema import checkouts
from gql_epoint.schema.amex import AmexMutations
from gql_epoint.schema.checkouts import described
from gql_epoint.schema.holds import HoldMutations
from gql_epoint.schema.installments import InstallmentMutations, InstallmentQueries
from gql_epoint.schema.wallets import WalletMutations, WalletQueries


@strawberry.type(description=described(checkouts.Query))
class Query(checkouts.Query, InstallmentQueries, WalletQueries):
    """What can be asked."""


@strawberry.type(description=described(checkouts.Mutation))
class Mutation(checkouts.Mutation, AmexMutations, HoldMutations, InstallmentMutations, WalletMutations):
    """What changes something."""
