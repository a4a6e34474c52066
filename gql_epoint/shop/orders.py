"""The shop's own books, in memory: who has ordered what, and by which checkout it is paid."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from gql_epoint.shop.goods import GOODS, QUANTITY_MAX, Product

CUSTOMERS_MAX = 1_000
ORDERS_MAX = 50
CHECKOUTS_MAX = 3

# Read out over a telephone, none of these is taken for another.
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """So many of one product."""

    product: Product
    quantity: int

    @property
    def price(self) -> Decimal:
        """What it costs."""
        return self.product.price * self.quantity


class Order(msgspec.Struct, kw_only=True):
    """What a customer has ordered. `checkouts` counts the checkouts it has had; `checkout_id` is the latest."""

    id: str
    lines: tuple[Line, ...]
    language: str
    save_card: bool
    checkouts: int = 0
    checkout_id: str | None = None

    @property
    def total(self) -> Decimal:
        """What has to be paid, in manat."""
        return sum((line.price for line in self.lines), Decimal(0))

    def description(self) -> str:
        """Say what it is for, as the customer reads it on EPoint's page."""
        return ", ".join(f"{line.quantity} × {line.product.names[self.language]}" for line in self.lines)


class Customer(msgspec.Struct, kw_only=True):
    """Whoever holds one cookie: the orders, and EPoint's saved cards, by the service's ids."""

    key: str
    orders: dict[str, Order] = {}
    cards: list[str] = []

    def order(self, wanted: Mapping[str, int], *, language: str, save_card: bool) -> Order:
        """Write down a new order. Raises ValueError for what is not for sale."""
        lines = []
        for product_id, quantity in wanted.items():
            if product_id not in GOODS or not 1 <= quantity <= QUANTITY_MAX:
                raise ValueError(product_id)
            lines.append(Line(product=GOODS[product_id], quantity=quantity))
        if not lines:
            raise ValueError("nothing")
        while len(self.orders) >= ORDERS_MAX:
            del self.orders[next(iter(self.orders))]
        order = Order(id=_new_order_id(), lines=tuple(lines), language=language, save_card=save_card)
        self.orders[order.id] = order
        return order


class Customers:
    """All customers of this run; the one that was not seen for longest goes first when there are too many."""

    def __init__(self) -> None:
        self._known: dict[str, Customer] = {}

    def find(self, key: str | None) -> Customer | None:
        """Return whose cookie this is."""
        customer = self._known.pop(key, None) if key else None
        if customer is not None:
            self._known[customer.key] = customer
        return customer

    def new(self) -> Customer:
        """Return somebody new, with a key that nobody can guess."""
        while len(self._known) >= CUSTOMERS_MAX:
            del self._known[next(iter(self._known))]
        customer = Customer(key=secrets.token_urlsafe(32))
        self._known[customer.key] = customer
        return customer


def _new_order_id() -> str:
    """Return an order id. The service's books outlive ours, so counting from 1 would meet old orders again."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"CINAR-{letters[:4]}-{letters[4:]}"
