"""The roots of the contract: what each part of it adds, put together."""

import strawberry

from gql_epoint.schema import checkouts
from gql_epoint.schema.amex import AmexMutations
from gql_epoint.schema.business_transfers import TransferMutations, TransferQueries, TransferSubscriptions
from gql_epoint.schema.checkouts import described
from gql_epoint.schema.gateway_health import GatewayQueries
from gql_epoint.schema.holds import HoldMutations
from gql_epoint.schema.installments import InstallmentMutations, InstallmentQueries
from gql_epoint.schema.invoices import InvoiceMutations, InvoiceQueries, InvoiceSubscriptions
from gql_epoint.schema.token_payments import TokenMutations
from gql_epoint.schema.wallets import WalletMutations, WalletQueries


@strawberry.type(description=described(checkouts.Query))
class Query(checkouts.Query, InstallmentQueries, WalletQueries, TransferQueries, InvoiceQueries, GatewayQueries):
    """What can be asked."""


@strawberry.type(description=described(checkouts.Mutation))
class Mutation(
    checkouts.Mutation,
    HoldMutations,
    TokenMutations,
    InstallmentMutations,
    WalletMutations,
    AmexMutations,
    TransferMutations,
    InvoiceMutations,
):
    """What changes something."""


@strawberry.type(description=described(checkouts.Subscription))
class Subscription(checkouts.Subscription, TransferSubscriptions, InvoiceSubscriptions):
    """What is sent when something changes."""
