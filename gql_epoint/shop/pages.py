"""The shop's two pages as HTML: the shelf with the basket, and an order with its payment. All text is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from gql_epoint.shop.goods import GOODS, QUANTITY_MAX, Product
from gql_epoint.shop.orders import Order
from gql_epoint.shop.words import LANGUAGES, WORDS, money


def shelf_page(language: str) -> str:
    """Show what is for sale; `shop.js` keeps the basket."""
    words = WORDS[language]
    cards = "".join(_product(product, language) for product in GOODS.values())
    data = {
        "language": language,
        "words": words,
        "quantityMax": QUANTITY_MAX,
        # For showing a total while the basket changes. What is paid is worked out by the server.
        "goods": {
            product.id: {"name": product.names[language], "cents": int(product.price * 100)}
            for product in GOODS.values()
        },
    }
    return _page(
        language,
        title=words["headline"],
        path="/",
        script="shop.js",
        data=data,
        body=f"""
<div class="intro"><h1>{_(words["headline"])}</h1><p>{_(words["lead"])}</p></div>
<div class="columns shelf">
<section aria-labelledby="goods"><h2 id="goods" class="quiet">{_(words["goods"])}</h2>
<ul class="goods">{cards}</ul></section>
<section class="card side" aria-labelledby="basket-title">
<h2 id="basket-title">{_(words["basket"])}</h2>
<p class="soft" id="empty">{_(words["empty"])}</p>
<form id="basket" hidden>
<ul class="lines" id="lines"></ul>
<p class="total"><span>{_(words["total"])}</span> <output id="total"></output></p>
<label class="check"><input type="checkbox" id="save-card"> <span>{_(words["save_card"])}</span></label>
<button class="primary" type="submit" id="order">{_(words["to_payment"])}</button>
<p class="problem" id="problem" role="alert" hidden></p>
</form>
<p class="soft fine">{_(words["safe"])}</p>
<noscript><p class="problem">{_(words["needs_script"])}</p></noscript>
</section>
</div>
<a class="bar" id="bar" href="#basket-title" hidden>
<span>{_(words["basket"])}</span> <span id="bar-total"></span></a>""",
    )


def order_page(order: Order, language: str) -> str:
    """Show an order and, live, how its payment stands; `order.js` fills the card on the left."""
    words = WORDS[language]
    lines = "".join(
        f"<li><span>{line.quantity} × {_(line.product.names[language])}</span>"
        f"<span>{_(money(line.price, language))}</span></li>"
        for line in order.lines
    )
    return _page(
        language,
        title=f"{words['order']} {order.id}",
        path=f"/orders/{order.id}",
        script="order.js",
        data={"language": language, "words": words, "order": order.id},
        body=f"""
<div class="columns paying">
<section class="card" aria-labelledby="state-title">
<div id="state" data-state="loading">
<div class="mark" aria-hidden="true"></div>
<div role="status" aria-live="polite" aria-atomic="true">
<h1 id="state-title">{_(words["loading"])}</h1>
<p id="state-text">{_(words["loading_hint"])}</p>
<p id="state-more" class="soft" hidden></p>
</div>
<p class="problem" id="problem" role="alert" hidden></p>
<form id="pay" hidden>
<fieldset><legend class="visually-hidden">{_(words["method"])}</legend>
<div id="methods" class="methods"></div></fieldset>
<button class="primary" type="submit" id="pay-button"></button>
</form>
<div class="actions" id="actions"></div>
</div>
<p class="link-state soft fine" id="link" data-link="" aria-live="off"></p>
<noscript><p class="problem">{_(words["needs_script"])}</p></noscript>
</section>
<aside class="card side" aria-labelledby="summary">
<h2 id="summary">{_(words["your_order"])}</h2>
<p class="soft number">{_(order.id)}</p>
<ul class="lines plain">{lines}</ul>
<p class="total"><span>{_(words["total"])}</span> <span>{_(money(order.total, language))}</span></p>
<p class="soft fine">{_(words["safe"])}</p>
</aside>
</div>""",
    )


def missing_page(language: str, path: str) -> str:
    """Say that there is no such order, to whoever has none of that number."""
    words = WORDS[language]
    return _page(
        language,
        title=words["not_found"],
        path=path,
        body=f"""
<section class="card alone"><h1>{_(words["not_found"])}</h1><p>{_(words["not_found_hint"])}</p>
<p><a class="button" href="/">{_(words["back_to_shop"])}</a></p></section>""",
    )


def _product(product: Product, language: str) -> str:
    words, name = WORDS[language], product.names[language]
    return f"""
<li class="product">
<img src="/static/{_(product.id)}.svg" alt="" width="320" height="220">
<div><h3>{_(name)}</h3><p class="soft">{_(product.notes[language])}</p></div>
<div class="buy"><span class="price">{_(money(product.price, language))}</span>
<button type="button" data-add="{_(product.id)}" aria-label="{_(words["add_one"].format(name=name))}">
{_(words["add"])}</button></div>
</li>"""


def _languages(language: str, path: str) -> Iterator[str]:
    for code, name in LANGUAGES.items():
        current = ' aria-current="true"' if code == language else ""
        yield (
            f'<a href="{_(path)}?lang={code}" lang="{code}" hreflang="{code}"{current}>'
            f'<abbr title="{_(name)}">{code.upper()}</abbr></a>'
        )


def _page(
    language: str, *, title: str, path: str, body: str, script: str | None = None, data: object = None
) -> str:
    words = WORDS[language]
    scripts = ""
    if script is not None:
        # A data block is not a script, so the policy need not allow it. `<` ends no element in it when escaped.
        text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
        scripts = f"""<script type="application/json" id="data">{text}</script>
<script type="module" src="/static/{script}"></script>"""
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{_(title)} · {_(words["shop"])}</title>
<link rel="icon" href="/static/leaf.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
<a class="skip" href="#content">{_(words["skip"])}</a>
<p class="banner">{_(words["sandbox"])}</p>
<header>
<a class="brand" href="/"><img src="/static/leaf.svg" alt="" width="30" height="30"> <span>{_(words["shop"])}
<small>{_(words["trade"])}</small></span></a>
<nav aria-label="{_(words["language"])}">{"".join(_languages(language, path))}</nav>
</header>
<main id="content">{body}
</main>
{scripts}
</body>
</html>
"""


def _(text: str) -> str:
    return escape(text)
