"""The tables of the books, and how the rows of each become structs: the same in every database."""

from __future__ import annotations

from typing import Any

from gql_epoint.ledger.business_transfer import BusinessTransfer
from gql_epoint.ledger.checkout import Checkout, CheckoutAttempt, ClientToken
from gql_epoint.ledger.events import Event
from gql_epoint.ledger.invoice import Invoice
from gql_epoint.ledger.transaction import CallbackRecord, Refund, SavedCard, Transaction
from gql_epoint.store.protocol import IdempotencyRecord
from gql_epoint.store.rows import RowCodec

TRANSACTION = RowCodec(Transaction)
REFUND = RowCodec(Refund)
SAVED_CARD = RowCodec(SavedCard)
CALLBACK = RowCodec(CallbackRecord)
EVENT = RowCodec(Event)
IDEMPOTENCY = RowCodec(IdempotencyRecord)
CHECKOUT = RowCodec(Checkout)
CLIENT_TOKEN = RowCodec(ClientToken)
ATTEMPT = RowCodec(CheckoutAttempt)
BUSINESS_TRANSFER = RowCodec(BusinessTransfer)
INVOICE = RowCodec(Invoice)

CODECS: dict[str, RowCodec[Any]] = {
    "transactions": TRANSACTION,
    "refunds": REFUND,
    "saved_cards": SAVED_CARD,
    "callbacks": CALLBACK,
    "events": EVENT,
    "idempotency": IDEMPOTENCY,
    "checkouts": CHECKOUT,
    "client_tokens": CLIENT_TOKEN,
    "checkout_attempts": ATTEMPT,
    "business_transfers": BUSINESS_TRANSFER,
    "invoices": INVOICE,
}
"""By table."""
