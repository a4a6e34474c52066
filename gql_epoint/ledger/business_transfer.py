"""Bank transfers to businesses: their states, and which state follows from what EPoint says.

EPoint's status call names no merchant and carries no signature, and its webhook has no signature either. So an
answer counts only if it names the account and the amount that were ordered; another one is a reason to stop and
ask a person. An unknown order (HTTP 404) proves nothing, however often it is heard: what EPoint answers before a
transfer reaches its books is documented nowhere, and a guess would pay twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum

import msgspec

from gql_epoint.epoint.b2b import B2BStatusReply
from gql_epoint.epoint.bank_codes import FailureCategory
from gql_epoint.ledger.events import Event, EventKind, Provenance, event_of
from gql_epoint.ledger.schedule import ASK_DELAYS_S, WAIT_LIMIT
from gql_epoint.ledger.transaction import Failure
from gql_epoint.ledger.words import RESOLVED_AS_FAILED

# Banks take days over holidays; after this nothing will come any more by itself.
SILENCE_LIMIT = timedelta(days=30)
# A webhook's address may leak, and whoever has it must not make this service ask without end.
HINT_INTERVAL = timedelta(seconds=5)


class TransferStatus(StrEnum):
    """The states of a transfer."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    INDETERMINATE = "INDETERMINATE"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected to happen."""
        return self in (TransferStatus.SUCCESS, TransferStatus.FAILED)


class BusinessTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way to a company's account.

    `order_id` is the merchant's, `gateway_order_id` is what EPoint was given (the same, or with a suffix), and
    `holds_order` says that no other transfer of the order may start. `disputed` says that the evidence contradicts
    itself or the order, so only a person can settle it. `webhook_digest` is the SHA-256 of the random part of the
    address that EPoint was given. Erased personal fields are null.
    """

    id: str
    status: TransferStatus
    version: int
    order_id: str
    gateway_order_id: str
    amount: Decimal
    currency: str
    created_at: datetime
    updated_at: datetime
    holds_order: bool = True
    iban: str | None = None
    payee_name: str | None = None
    payee_tin: str | None = None
    bank_code: str | None = None
    bank_name: str | None = None
    email: str | None = None
    address: str | None = None
    description: str | None = None
    additional_info: str | None = None
    disputed: bool = False
    failure: Failure | None = None
    gateway_status: str | None = None
    gateway_bulk_id: str | None = None
    gateway_trace_id: str | None = None
    last_confirmed_at: datetime | None = None
    webhook_digest: str | None = None
    webhook_at: datetime | None = None
    call_deadline: datetime | None = None
    ask_at: datetime | None = None
    asks: int = 0


class TransferNews(Enum):
    """What happened to a transfer."""

    ACCEPTED = "accepted"  # EPoint took the order
    REFUSED = "refused"  # EPoint did not take it
    NOT_SENT = "not_sent"  # no connection was made
    LOST = "lost"  # the answer to the order is lost
    PENDING = "pending"  # this and the next three: EPoint's status
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    FOREIGN = "foreign"  # a status, but of another account or amount
    SILENCE = "silence"  # nothing was proved in time
    VERDICT_SUCCEEDED = "verdict_succeeded"  # a person found out
    VERDICT_FAILED = "verdict_failed"
    NOTHING = "nothing"


class TransferChange(msgspec.Struct, frozen=True, kw_only=True):
    """The next state of a transfer and the event of the change, if there was one."""

    transfer: BusinessTransfer
    events: tuple[Event, ...] = ()


_WORDS = {
    "PENDING": TransferNews.PENDING,
    "PROCESSING": TransferNews.PROCESSING,
    "SUCCESS": TransferNews.SUCCESS,
    "FAILED": TransferNews.FAILED,
}

_PENDING, _PROCESSING = TransferStatus.PENDING, TransferStatus.PROCESSING
_SUCCESS, _FAILED = TransferStatus.SUCCESS, TransferStatus.FAILED
_INDETERMINATE = TransferStatus.INDETERMINATE

_NEXT = {
    (_PENDING, TransferNews.PROCESSING): _PROCESSING,
    (_PENDING, TransferNews.SUCCESS): _SUCCESS,
    (_PENDING, TransferNews.FAILED): _FAILED,
    (_PENDING, TransferNews.REFUSED): _FAILED,
    (_PENDING, TransferNews.NOT_SENT): _FAILED,
    (_PENDING, TransferNews.LOST): _INDETERMINATE,
    (_PENDING, TransferNews.FOREIGN): _INDETERMINATE,
    (_PENDING, TransferNews.SILENCE): _INDETERMINATE,
    (_PROCESSING, TransferNews.SUCCESS): _SUCCESS,
    (_PROCESSING, TransferNews.FAILED): _FAILED,
    (_PROCESSING, TransferNews.FOREIGN): _INDETERMINATE,
    (_PROCESSING, TransferNews.SILENCE): _INDETERMINATE,
    # A late answer to the order settles what was taken for lost, as the status does.
    (_INDETERMINATE, TransferNews.ACCEPTED): _PENDING,
    (_INDETERMINATE, TransferNews.REFUSED): _FAILED,
    (_INDETERMINATE, TransferNews.NOT_SENT): _FAILED,
    (_INDETERMINATE, TransferNews.PENDING): _PENDING,
    (_INDETERMINATE, TransferNews.PROCESSING): _PROCESSING,
    (_INDETERMINATE, TransferNews.SUCCESS): _SUCCESS,
    (_INDETERMINATE, TransferNews.FAILED): _FAILED,
    (_INDETERMINATE, TransferNews.VERDICT_SUCCEEDED): _SUCCESS,
    (_INDETERMINATE, TransferNews.VERDICT_FAILED): _FAILED,
    # A final state and another one: the evidence contradicts itself.
    (_SUCCESS, TransferNews.FAILED): _INDETERMINATE,
    (_SUCCESS, TransferNews.REFUSED): _INDETERMINATE,
    (_SUCCESS, TransferNews.NOT_SENT): _INDETERMINATE,
    (_FAILED, TransferNews.PENDING): _INDETERMINATE,
    (_FAILED, TransferNews.PROCESSING): _INDETERMINATE,
    (_FAILED, TransferNews.SUCCESS): _INDETERMINATE,
}
_VERDICTS = frozenset({TransferNews.VERDICT_SUCCEEDED, TransferNews.VERDICT_FAILED})
_ANSWERS = frozenset(
    {TransferNews.ACCEPTED, TransferNews.REFUSED, TransferNews.NOT_SENT, TransferNews.LOST, *_WORDS.values()}
)
_NOTES = {
    TransferNews.FOREIGN: "EPoint's status names another account or amount. Ask EPoint, then settle it by hand.",
    TransferNews.SILENCE: "Nothing was proved in 30 days. Ask EPoint, then settle it by hand.",
}
_CONTRADICTION = "EPoint contradicts what was known before. Ask EPoint, then settle it by hand."


def apply_transfer(
    transfer: BusinessTransfer,
    news: TransferNews,
    by: Provenance,
    *,
    failure: Failure | None = None,
    order_taken: bool = False,
) -> TransferChange:
    """Apply news to a transfer; the same news twice changes nothing.

    `order_taken` says that another transfer holds the order by now, so that this one cannot take it back.
    """
    settled = transfer.disputed and news not in _VERDICTS
    status = transfer.status if settled else _next(transfer, news)
    contradiction = transfer.status.is_final and status is not transfer.status
    foreign = news is TransferNews.FOREIGN and not transfer.status.is_final
    disputed = (transfer.disputed or contradiction or foreign) and news not in _VERDICTS
    changed = status is not transfer.status or (disputed and not transfer.disputed)
    # A status may come before the answer to the order, which may then never come: from now on EPoint is asked.
    answered = news is TransferNews.ACCEPTED or (transfer.call_deadline is not None and news in _ANSWERS)
    after = msgspec.structs.replace(
        transfer,
        status=status,
        version=transfer.version + changed,
        updated_at=by.now if changed else transfer.updated_at,
        holds_order=status is not _FAILED and (transfer.holds_order or not order_taken),
        disputed=disputed,
        failure=(failure or transfer.failure) if status is _FAILED else None,
        call_deadline=None if news in _ANSWERS else transfer.call_deadline,
        **_asking(transfer, status, by.now, reset=changed or answered, stop=disputed),
    )
    note = by.note or _NOTES.get(news) or (_CONTRADICTION if contradiction else None)
    event = transfer_event(after, transfer.status, msgspec.structs.replace(by, note=note))
    return TransferChange(transfer=after, events=(event,) if changed else ())


def _next(transfer: BusinessTransfer, news: TransferNews) -> TransferStatus:
    if news is TransferNews.ACCEPTED and _failed_by_verdict(transfer):
        return _INDETERMINATE
    return _NEXT.get((transfer.status, news), transfer.status)


def _failed_by_verdict(transfer: BusinessTransfer) -> bool:
    """Whether a person said that it failed. What EPoint itself calls failed, it had accepted before."""
    return transfer.status is _FAILED and transfer.failure == RESOLVED_AS_FAILED


def status_news(transfer: BusinessTransfer, reply: B2BStatusReply) -> TransferNews:
    """Return what EPoint's status proves about a transfer."""
    news = _WORDS.get((reply.status or "").upper(), TransferNews.NOTHING)
    if news is TransferNews.NOTHING or transfer.iban is None or reply.amount is None or reply.payee_iban is None:
        return TransferNews.NOTHING
    same_order = reply.order_id in (None, transfer.gateway_order_id)
    if not same_order or reply.amount != transfer.amount or not _same_account(transfer.iban, reply.payee_iban):
        return TransferNews.FOREIGN
    return news


def status_failure(reply: B2BStatusReply) -> Failure:
    """Say why a transfer failed, in EPoint's words where there are some."""
    message = reply.error_message or reply.message or "EPoint or a bank refused the transfer and gave no reason."
    return Failure(category=FailureCategory.OTHER, message=message, retryable=False)


def after_transfer_ask(transfer: BusinessTransfer, now: datetime) -> BusinessTransfer:
    """Schedule the next question, after one was asked and its answer (if any) applied."""
    if transfer.status.is_final or transfer.disputed or transfer.ask_at is None:
        return msgspec.structs.replace(transfer, ask_at=None, asks=0)
    if waited_too_long(transfer, now):
        return msgspec.structs.replace(transfer, ask_at=None)
    late_delay_s = ASK_DELAYS_S[-1] if now - transfer.created_at < WAIT_LIMIT else 86_400
    quick = transfer.asks + 1 < len(ASK_DELAYS_S)
    delay_s = ASK_DELAYS_S[transfer.asks + 1] if quick else late_delay_s
    return msgspec.structs.replace(transfer, asks=transfer.asks + 1, ask_at=now + timedelta(seconds=delay_s))


def waited_too_long(transfer: BusinessTransfer, now: datetime) -> bool:
    """Whether it has been asked about for so long that asking on makes no sense."""
    return now - transfer.created_at >= SILENCE_LIMIT


def hinted(transfer: BusinessTransfer, now: datetime) -> BusinessTransfer:
    """Somebody who knows the webhook's address says that something happened: ask soon, but not more often.

    Where a person said that it failed, nobody would ask otherwise, and its order is free.
    """
    is_decided = transfer.status.is_final and not _failed_by_verdict(transfer)
    if is_decided or transfer.disputed or transfer.call_deadline is not None:
        return msgspec.structs.replace(transfer, webhook_at=now)
    earliest = now if transfer.webhook_at is None else max(now, transfer.webhook_at + HINT_INTERVAL)
    ask_at = earliest if transfer.ask_at is None else min(earliest, transfer.ask_at)
    return msgspec.structs.replace(transfer, webhook_at=now, ask_at=ask_at)


def transfer_event(after: BusinessTransfer, previous: TransferStatus | None, by: Provenance) -> Event:
    """The event of a transfer's birth or change."""
    return event_of(after, EventKind.BUSINESS_TRANSFER, previous, after.status, by)


def _asking(
    transfer: BusinessTransfer, status: TransferStatus, now: datetime, *, reset: bool, stop: bool
) -> dict[str, datetime | int | None]:
    if status.is_final or stop:
        return {"ask_at": None, "asks": 0}
    if not reset:
        return {}
    return {"ask_at": now + timedelta(seconds=ASK_DELAYS_S[0]), "asks": 0}


def _same_account(ordered: str, told: str) -> bool:
    """Compare account numbers; where the bank shows stars, only what it shows."""
    told = told.replace(" ", "").upper()
    if "*" not in told:
        return told == ordered
    return ordered.startswith(told.partition("*")[0]) and ordered.endswith(told.rpartition("*")[2])
