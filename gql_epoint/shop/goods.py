"""What is for sale, and what it costs. Prices are here and nowhere else: no page can name one."""

from __future__ import annotations

from decimal import Decimal

import msgspec

QUANTITY_MAX = 10


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """One thing on the shelf; `price` is in manat, `names` and `notes` by language."""

    id: str
    price: Decimal
    names: dict[str, str]
    notes: dict[str, str]


GOODS = {
    product.id: product
    for product in (
        Product(
            id="tea",
            price=Decimal("8.50"),
            names={"az": "Lənkəran qara çayı", "en": "Lankaran black tea"},
            notes={"az": "İri yarpaq, 100 q", "en": "Whole leaf, 100 g"},
        ),
        Product(
            id="glasses",
            price=Decimal("12.00"),
            names={"az": "Armudu stəkan", "en": "Armudu glasses"},
            notes={"az": "Bir cüt, əl işi", "en": "A pair, blown by hand"},
        ),
        Product(
            id="pakhlava",
            price=Decimal("14.90"),
            names={"az": "Bakı paxlavası", "en": "Baku pakhlava"},
            notes={"az": "Qozlu, 500 q", "en": "With walnuts, 500 g"},
        ),
        Product(
            id="preserve",
            price=Decimal("7.20"),
            names={"az": "Ağ gilas mürəbbəsi", "en": "White cherry preserve"},
            notes={"az": "Bütöv giləmeyvə, 300 q", "en": "Whole fruit, 300 g"},
        ),
    )
}
