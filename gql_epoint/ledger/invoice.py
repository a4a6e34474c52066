"""Invoices: their states, and which state follows from what EPoint says.

EPoint sends no callback about invoices, so the status is asked for. A paid invoice stays an invoice and makes no
transaction: which transaction paid it, EPoint documents nowhere.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum

import msgspec

from gql_epoint.epoint.invoices import GatewayInvoice
from gql_epoint.ledger.events import Event, EventKind, Provenance, event_of
from gql_epoint.ledger.transaction import Failure

# An invoice that EPoint may have made is looked for at once.
LOST_DELAY_S = 5
# A customer who has just got the link pays in minutes or in days.
ASK_DELAYS_S = (60, 300, 900, 3600)
HOURLY = timedelta(days=2)
LATE_DELAY_S = 6 * 3600
# After this EPoint is not asked any more by itself.
ASKING_LIMIT = timedelta(days=90)


class InvoiceStatus(StrEnum):
    """The states of an invoice."""

    NEW = "NEW"
    WAITING_FOR_PAYMENT = "WAITING_FOR_PAYMENT"
    PAID = "PAID"
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected to happen."""
        return self in (InvoiceStatus.PAID, InvoiceStatus.CANCELED, InvoiceStatus.FAILED)


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A bill that a customer can pay on EPoint's page.

    `order_id` is the merchant's, `reference` is what EPoint was given and finds the invoice again by. The amount is
    what EPoint has confirmed; `pending_amount` is that of a change whose answer is not here yet. `call_deadline` is
    set while the creation or a change may be on its way: only one is. `disputed` says that EPoint reports a payment
    of another amount. Dates are YYYY-MM-DD. Erased personal fields are null.
    """

    id: str
    status: InvoiceStatus
    version: int
    order_id: str
    reference: str
    amount: Decimal
    currency: str
    period_from: str
    period_to: str
    created_at: datetime
    updated_at: datetime
    display: bool = True
    save_as_template: bool = False
    installment: bool | None = None
    name: str | None = None
    description: str | None = None
    phone: str | None = None
    email: str | None = None
    tin: str | None = None
    contract_number: str | None = None
    pending_amount: Decimal | None = None
    disputed: bool = False
    failure: Failure | None = None
    gateway_id: str | None = None
    gateway_status: str | None = None
    gateway_trace_id: str | None = None
    last_confirmed_at: datetime | None = None
    call_deadline: datetime | None = None
    ask_at: datetime | None = None
    asks: int = 0


class InvoiceNews(Enum):
    """What happened to an invoice."""

    CREATED = "created"  # EPoint gave it an id
    REFUSED = "refused"  # EPoint did not make it
    NOT_SENT = "not_sent"  # no connection was made
    LOST = "lost"  # the answer to the creation is lost
    WAITING = "waiting"  # this and the next two: EPoint's word for its state
    PAID = "paid"
    CANCELED = "canceled"
    FOREIGN = "foreign"  # a payment of another amount
    NOTHING = "nothing"


class InvoiceChange(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of an invoice and the event of the change, if there was one."""

    invoice: Invoice
    events: tuple[Event, ...] = ()


_WORDS = {
    "waiting_for_payment": InvoiceNews.WAITING,
    "paid": InvoiceNews.PAID,
    "canceled": InvoiceNews.CANCELED,
    "cancelled": InvoiceNews.CANCELED,
}
_NEW, _WAITING, _PAID = InvoiceStatus.NEW, InvoiceStatus.WAITING_FOR_PAYMENT, InvoiceStatus.PAID
_CANCELED, _FAILED, _INDETERMINATE = InvoiceStatus.CANCELED, InvoiceStatus.FAILED, InvoiceStatus.INDETERMINATE
_NEXT = {
    (_NEW, InvoiceNews.CREATED): _WAITING,
    (_NEW, InvoiceNews.REFUSED): _FAILED,
    (_NEW, InvoiceNews.NOT_SENT): _FAILED,
    (_NEW, InvoiceNews.LOST): _INDETERMINATE,
    # A late answer to the creation, or the list, settles what was taken for lost.
    (_INDETERMINATE, InvoiceNews.CREATED): _WAITING,
    (_INDETERMINATE, InvoiceNews.REFUSED): _FAILED,
    (_INDETERMINATE, InvoiceNews.NOT_SENT): _FAILED,
    (_WAITING, InvoiceNews.PAID): _PAID,
    (_WAITING, InvoiceNews.CANCELED): _CANCELED,
    # People change invoices in EPoint's cabinet. Only a payment is not taken back by an older word.
    (_CANCELED, InvoiceNews.WAITING): _WAITING,
    (_CANCELED, InvoiceNews.PAID): _PAID,
    (_PAID, InvoiceNews.CANCELED): _CANCELED,
}
# What EPoint cannot say of something that it reports a payment of another amount of.
_UNDISPUTED = frozenset({InvoiceNews.WAITING, InvoiceNews.CANCELED})
_ANSWERS = frozenset({InvoiceNews.CREATED, InvoiceNews.REFUSED, InvoiceNews.NOT_SENT, InvoiceNews.LOST})
_NOTE = "EPoint reports a payment of another amount than this service knows. Look into EPoint's cabinet."


def apply_invoice(
    invoice: Invoice,
    news: InvoiceNews,
    by: Provenance,
    *,
    failure: Failure | None = None,
    told: GatewayInvoice | None = None,
    is_recent: bool = True,
) -> InvoiceChange:
    """Apply news to an invoice; the same news twice changes nothing.

    `told` is EPoint's record, where the news comes from one. `is_recent` says that nothing has changed here since
    EPoint was asked: an older record cannot end a dispute that a newer one has begun.
    """
    known = invoice if told is None or news is InvoiceNews.NOTHING else _with_record(invoice, told, by.now)
    status = _NEXT.get((invoice.status, news), invoice.status)
    settles = news is InvoiceNews.PAID or (is_recent and news in _UNDISPUTED)
    disputed = news is InvoiceNews.FOREIGN or (invoice.disputed and not settles)
    changed = (status, disputed, known.amount) != (invoice.status, invoice.disputed, invoice.amount)
    after = msgspec.structs.replace(
        known,
        status=status,
        version=invoice.version + changed,
        updated_at=by.now if changed else invoice.updated_at,
        disputed=disputed,
        failure=(failure or invoice.failure) if status is _FAILED else None,
        call_deadline=None if _is_answered(invoice, news, by.now) else invoice.call_deadline,
    )
    if status.is_final:
        after = msgspec.structs.replace(after, ask_at=None, asks=0)
    elif status is not invoice.status:
        after = ask_soon(after, by.now)
    note = _NOTE if news is InvoiceNews.FOREIGN else by.note
    event = invoice_event(after, invoice.status, msgspec.structs.replace(by, note=note))
    return InvoiceChange(invoice=after, events=(event,) if changed else ())


def invoice_news(invoice: Invoice, told: GatewayInvoice) -> InvoiceNews:
    """Return what EPoint's record proves about an invoice; one of another name proves nothing."""
    if told.id not in (None, invoice.gateway_id) or told.merchant_order_id not in (None, invoice.reference):
        return InvoiceNews.NOTHING
    news = _WORDS.get((told.status or "").lower(), InvoiceNews.NOTHING)
    if news is InvoiceNews.PAID and told.sum not in (None, invoice.amount, invoice.pending_amount):
        return InvoiceNews.FOREIGN
    return news


def resolve_invoice(invoice: Invoice, amount: Decimal, by: Provenance) -> InvoiceChange:
    """A person found out what was paid of an invoice of which EPoint reports another amount than was billed."""
    assert invoice.disputed
    after = msgspec.structs.replace(
        invoice,
        status=_PAID,
        version=invoice.version + 1,
        updated_at=by.now,
        amount=amount,
        pending_amount=None,
        disputed=False,
        ask_at=None,
        asks=0,
    )
    return InvoiceChange(invoice=after, events=(invoice_event(after, invoice.status, by),))


def is_changing(invoice: Invoice, now: datetime) -> bool:
    """Whether a change may be on its way, so that another one could reach EPoint before it."""
    return invoice.call_deadline is not None and now < invoice.call_deadline


def begin_change(invoice: Invoice, amount: Decimal, now: datetime, deadline: datetime) -> Invoice:
    """Write down that EPoint is about to be told of a change. An earlier one cannot arrive any more."""
    assert invoice.status is _WAITING
    assert not is_changing(invoice, now)
    return msgspec.structs.replace(invoice, pending_amount=amount, call_deadline=deadline)


def is_latest_change(known: Invoice, begun: Invoice) -> bool:
    """Whether no other change has begun since `begun`; the answer to an older one says nothing any more."""
    if known.call_deadline is not None:
        return known.call_deadline == begun.call_deadline
    return known.pending_amount == begun.pending_amount


def end_change(known: Invoice, changed: Invoice) -> Invoice:
    """Write down that EPoint has made a change. What was paid meanwhile stays what was paid."""
    amount = changed.amount if known.status is _WAITING else known.amount
    return msgspec.structs.replace(changed, amount=amount, pending_amount=None, call_deadline=None)


def drop_change(known: Invoice) -> Invoice:
    """Write down that EPoint has not made a change."""
    return msgspec.structs.replace(known, pending_amount=None, call_deadline=None)


def _is_answered(invoice: Invoice, news: InvoiceNews, now: datetime) -> bool:
    """Whether the call that is waited for has an end. A late answer to the creation ends no change."""
    if news not in _ANSWERS or invoice.call_deadline is None:
        return False
    return invoice.status in (_NEW, _INDETERMINATE) or not is_changing(invoice, now)


def _with_record(invoice: Invoice, told: GatewayInvoice, now: datetime) -> Invoice:
    """Keep EPoint's own word, and the amount of a change that turns out to have been made."""
    made = invoice.pending_amount is not None and told.sum == invoice.pending_amount
    return msgspec.structs.replace(
        invoice,
        gateway_status=told.status or invoice.gateway_status,
        amount=invoice.pending_amount if made and invoice.pending_amount is not None else invoice.amount,
        pending_amount=None if made else invoice.pending_amount,
        last_confirmed_at=now,
    )


def ask_soon(invoice: Invoice, now: datetime) -> Invoice:
    """Begin with the short delays: something has happened."""
    lost = invoice.status is InvoiceStatus.INDETERMINATE
    delay_s = LOST_DELAY_S if lost else ASK_DELAYS_S[0]
    return msgspec.structs.replace(invoice, ask_at=now + timedelta(seconds=delay_s), asks=0)


def after_invoice_ask(invoice: Invoice, now: datetime) -> Invoice:
    """Schedule the next question, after one was asked and its answer (if any) applied."""
    age = now - invoice.created_at
    if invoice.status.is_final or age >= ASKING_LIMIT:
        return msgspec.structs.replace(invoice, ask_at=None, asks=0)
    quick = invoice.asks + 1 < len(ASK_DELAYS_S)
    late_delay_s = ASK_DELAYS_S[-1] if age < HOURLY else LATE_DELAY_S
    delay_s = ASK_DELAYS_S[invoice.asks + 1] if quick else late_delay_s
    return msgspec.structs.replace(invoice, asks=invoice.asks + 1, ask_at=now + timedelta(seconds=delay_s))


def invoice_event(after: Invoice, previous: InvoiceStatus | None, by: Provenance) -> Event:
    """The event of an invoice's birth or change."""
    return event_of(after, EventKind.INVOICE, previous, after.status, by)
