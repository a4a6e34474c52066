"""The use cases: run an operation, take a callback, reconcile. Joins the gateway, the store and the live bell.

Every one that moves money has the same five steps, and a crash between any two of them loses and doubles nothing:
validate; record the intent with a deadline, and commit; call EPoint, cut off before the deadline; record the
answer, and commit; and whoever finds a deadline past without an answer records that the answer is lost.
"""

from __future__ import annotations

from gql_epoint.cashier.business_transfers import BusinessTransferDesk
from gql_epoint.cashier.callbacks import CallbackDesk
from gql_epoint.cashier.cards import CardDesk
from gql_epoint.cashier.checkouts import CheckoutDesk
from gql_epoint.cashier.desk import Books
from gql_epoint.cashier.holds import HoldDesk
from gql_epoint.cashier.invoice_changes import InvoiceChanges
from gql_epoint.cashier.invoices import InvoiceDesk
from gql_epoint.cashier.lookup import Lookup
from gql_epoint.cashier.offers import OfferDesk
from gql_epoint.cashier.payments import PaymentDesk
from gql_epoint.cashier.pulse import Pulse
from gql_epoint.cashier.reconciler import Reconciler
from gql_epoint.cashier.refunds import RefundDesk
from gql_epoint.cashier.resolutions import ResolutionDesk
from gql_epoint.cashier.tokens import TokenDesk
from gql_epoint.cashier.watching import Watching


class Cashier:
    """All use cases over one set of books, each group at its own desk."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.lookup = Lookup(books)
        self.cards = CardDesk(books)
        self.payments = PaymentDesk(books, self.cards)
        self.tokens = TokenDesk(books)
        self.checkouts = CheckoutDesk(books, self.payments, self.cards)
        self.refunds = RefundDesk(books, self.lookup)
        self.holds = HoldDesk(books)
        self.offers = OfferDesk(books)
        self.resolutions = ResolutionDesk(books)
        self.callbacks = CallbackDesk(books)
        self.business_transfers = BusinessTransferDesk(books)
        self.invoices = InvoiceDesk(books)
        self.invoice_changes = InvoiceChanges(books)
        self.pulse = Pulse(books)
        self.watching = Watching(books)
        self.reconciler = Reconciler(books)
