"""The pages that customers see: plain HTML that works without JavaScript; everything in it is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gql_epoint.epoint.operations import PAY_WITH_AMEX, PREAUTHORIZE
from gql_epoint.simulator.bank import TEST_CARDS, message_of
from gql_epoint.simulator.books import Invoice, Transaction

# No form-action: browsers apply it to the redirect back to the shop, which is on another origin.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)


def card_page(transaction: Transaction, problem: str | None = None, *, months: Sequence[int] = ()) -> str:
    """Ask for a card number; the test cards below it are buttons of a form of their own.

    With `months` the customer may choose to pay in so many instalments.
    """
    saves_only = transaction.amount is None
    holds = transaction.operation == PREAUTHORIZE.name
    verb = "Save card" if saves_only else f"{'Hold' if holds else 'Pay'} {_money(transaction)}"
    titles = {
        PREAUTHORIZE.name: "Hold an amount on your card",
        PAY_WITH_AMEX.name: "Pay by American Express",
    }
    title = "Save a card" if saves_only else titles.get(transaction.operation, "Pay by card")
    note = (
        '<p class="soft">Nothing is taken now. The shop takes the amount later, or lets it go.</p>' if holds else ""
    )
    alert = f'<p class="bad" role="alert">{escape(problem)}</p>' if problem else ""
    buttons = "".join(
        f'<button class="card quiet" name="card_number" value="{escape(card.number)}">'
        f"<code>{escape(card.number)}</code> <span>{escape(card.meaning)}</span></button>"
        for card in TEST_CARDS
    )
    return _page(
        "Card details",
        f"""<section><h1>{title}</h1>{_summary(transaction)}{note}</section>
<section>
<form method="post">{alert}
<label for="card_number">Card number</label>
<input id="card_number" name="card_number" inputmode="numeric" autocomplete="off" maxlength="40" required autofocus
 placeholder="4111 1111 1111 1111">
{_choice(months, "typed")}<button type="submit">{escape(verb)}</button>
</form>
</section>
<section><h2>Test cards</h2>
<p class="soft">The last three digits of a number are the bank's answer: 000 approves, everything else declines.
These are exceptions or common cases; choose one to use it at once.</p>
<form method="post">{_choice(months, "test")}{buttons}</form>
</section>""",
    )


def secure_page(transaction: Transaction) -> str:
    """Ask for the 3-D Secure step."""
    return _page(
        "3-D Secure",
        f"""<section><h1>Confirm with your bank</h1>{_summary(transaction)}
<p class="soft">Your bank would ask for a code now. Here you decide.</p>
<form method="post">
<button name="decision" value="confirm">Confirm</button>
<button name="decision" value="fail" class="quiet">Fail</button>
</form></section>""",
    )


def wallet_page(transaction: Transaction) -> str:
    """Stand in for a wallet: the customer confirms in it, or does not."""
    name = escape(transaction.wallet or "")
    return _page(
        transaction.wallet or "Wallet",
        f"""<section class="wallet"><h1>{name}</h1>{_summary(transaction)}
<p class="soft">Your wallet would ask you to confirm in its own app now. Here you decide.</p>
<form method="post">
<button name="decision" value="confirm">Pay {escape(_money(transaction))} with {name}</button>
<button name="decision" value="poor" class="quiet">Decline: not enough money in the wallet</button>
<button name="decision" value="fail" class="quiet">Cancel</button>
</form></section>""",
    )


def silent_page(transaction: Transaction) -> str:
    """Say that the bank has not answered; with this card it never will."""
    return _page(
        "Processing",
        f"""<section><h1>Your payment is being processed</h1>{_summary(transaction)}
<p>The bank has not answered yet. You can close this page.</p>
<p class="soft">This test card never gets an answer: the status stays “new” and no callback is sent.</p>
</section>""",
    )


def finished_page(transaction: Transaction, back: str) -> str:
    """Say how it went, to a customer who opens the page again."""
    paid = transaction.status == "success"
    words = "Held" if paid and transaction.hold else "Done" if paid else "Declined"
    detail = message_of(transaction.code or "", transaction.language)
    return _page(
        words,
        f"""<section><h1 class="{"good" if paid else "bad"}">{words}</h1>{_summary(transaction)}
<p>{escape(detail)}</p><p><a href="{escape(back)}">Go back to the shop</a></p></section>""",
    )


def invoice_page(invoice: Invoice, problem: str | None = None) -> str:
    """Show an invoice, and ask for a card number while it waits."""
    amount = f"{invoice.sum:.2f} AZN"
    facts = {
        "Invoice": str(invoice.id),
        "For": invoice.description,
        "Customer": invoice.name,
        "From": invoice.period_from,
        "To": invoice.period_to,
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    head = f'<section><h1>Invoice</h1><p class="amount">{escape(amount)}</p><dl>{rows}</dl>'
    if invoice.state != "waiting_for_payment":
        good = "good" if invoice.state == "paid" else "bad"
        return _page("Invoice", f'{head}<p class="{good}">This invoice is {escape(invoice.state)}.</p></section>')
    alert = f'<p class="bad" role="alert">{escape(problem)}</p>' if problem else ""
    return _page(
        "Invoice",
        f"""{head}</section>
<section><form method="post">{alert}
<label for="card_number">Card number</label>
<input id="card_number" name="card_number" inputmode="numeric" autocomplete="off" maxlength="40" required autofocus
 placeholder="4111 1111 1111 1111">
<button type="submit">Pay {escape(amount)}</button>
</form></section>""",
    )


def notice_page(title: str, text: str) -> str:
    """Say one thing."""
    return _page(title, f"<section><h1>{escape(title)}</h1><p>{escape(text)}</p></section>")


def _summary(transaction: Transaction) -> str:
    parts = []
    if transaction.amount is not None:
        parts.append(f'<p class="amount">{escape(_money(transaction))}</p>')
    facts = {
        "Merchant": transaction.merchant,
        "Order": transaction.order_id,
        "For": transaction.description,
        "Card": transaction.card_mask,
        "Instalments": _installments(transaction),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    return "".join(parts) + f"<dl>{rows}</dl>"


def _choice(months: Sequence[int], card: str) -> str:
    """Offer instalments in the form of one kind of card; each form has its own, for there is no script."""
    if not months:
        return ""
    options = "".join(f'<option value="{month}">in {month} months</option>' for month in months)
    return f"""<label for="{card}_month">Pay</label>
<select id="{card}_month" name="installment_month"><option value="">at once</option>{options}</select>
"""


def _installments(transaction: Transaction) -> str | None:
    if transaction.installment_month is None:
        return None
    bank = f", {transaction.installment_card}" if transaction.installment_card else ""
    return f"{transaction.installment_month} months{bank}"


def _money(transaction: Transaction) -> str:
    return "" if transaction.amount is None else f"{transaction.amount:.2f} {transaction.currency or ''}".strip()


def _page(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · EPoint simulator</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/style.css">
</head>
<body>
<div class="banner"><strong>EPoint simulator</strong> — no real money</div>
<main>
{body}
</main>
</body>
</html>
"""
