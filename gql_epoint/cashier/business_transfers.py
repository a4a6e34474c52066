"""Transfers to businesses: record the order, call EPoint once, record the answer, and ask until it is decided.

EPoint's webhook about a transfer is not signed. Its address holds 256 random bits, of which only the hash is kept;
whoever has them can make this service ask EPoint for the status, a little earlier than it would have, and no more.
"""

from __future__ import annotations

import base64
import hashlib
from time import monotonic

import msgspec

from gql_epoint import correlation
from gql_epoint.cashier.commands import Call, Result
from gql_epoint.cashier.desk import Books, by_api, by_gateway, by_operator, gateway_is_away, gateway_said_no
from gql_epoint.cashier.idempotency import earlier_object, is_overdue, use_key
from gql_epoint.cashier.resolutions import Subject, decide
from gql_epoint.cashier.transfer_news import (
    hear,
    hear_status,
    known_transfer,
    settle_lost_transfer,
    with_words,
)
from gql_epoint.cashier.transfer_orders import TransferOrder, checked_transfer, transfer_request
from gql_epoint.cashier.validation import check_call, check_note, invalid
from gql_epoint.epoint.b2b import BUSINESS_TRANSFER, BUSINESS_TRANSFER_STATUS, B2BStatusRequest
from gql_epoint.epoint.wire import Reply
from gql_epoint.errors import ErrorCode, GatewayError, GatewayRefusedError, RefusedError, TransferConflictError
from gql_epoint.ledger import ids
from gql_epoint.ledger.business_transfer import (
    BusinessTransfer,
    TransferNews,
    TransferStatus,
    hinted,
    transfer_event,
)
from gql_epoint.ledger.transaction import Failure
from gql_epoint.ledger.words import RESOLVED_AS_FAILED, TEMPORARY_FAILURE, failure_from, is_misconfigured, said
from gql_epoint.points import reached
from gql_epoint.store.protocol import Reader, Unit

WEBHOOK_PATH = "/webhooks/epoint/transfers"
TOKEN_BYTES = 32
_TOKEN_LETTERS = 43  # in base64
ATTEMPTS_MAX = 100

# The words that EPoint may say to an order that it takes. None of them says that money has moved.
_ACCEPTING = frozenset({"success", "pending", "processing"})
# What EPoint says to an order that it has already, nobody documents. If it says `error`, a repeat of our request
# would make a transfer that was taken look refused. Nothing of ours repeats it: an order is sent once, past any
# proxy of the environment, and a broken connection leaves it open. To doubt every `error` instead would leave each
# wrong IBAN to a person, for the status of an order that EPoint did not take (404) proves nothing either.
_REFUSING = frozenset({"error", "failed"})

_TRANSFER = Subject[BusinessTransfer](
    "transfer", "businessTransferId", lambda unit, name: unit.business_transfer(name)
)


class BusinessTransferBy(msgspec.Struct, frozen=True, kw_only=True):
    """One of the names of a transfer; exactly one is set."""

    id: str | None = None
    order_id: str | None = None


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded order, or what the same request made before."""

    transfer: BusinessTransfer
    replayed: bool


class BusinessTransferDesk:
    """The use cases of transfers to businesses."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def find(self, by: BusinessTransferBy) -> BusinessTransfer | None:
        """Find a transfer; EPoint is not asked."""
        return await self._books.read(lambda reader: find_transfer(reader, by))

    async def start(self, call: Call, order: TransferOrder) -> Result[BusinessTransfer]:
        """Order a transfer once. The same call again returns it as it is by then.

        Raises RefusedError and its kin; then nothing is recorded and the key is not used.
        """
        check_call(call)
        order = checked_transfer(order)
        token = _token(self._books.random(TOKEN_BYTES)) if self._books.public_url is not None else None
        return await self._books.own(self._run(call, order, token))

    async def refresh(self, by: BusinessTransferBy, actor: str) -> Result[BusinessTransfer]:
        """Ask EPoint for the truth now. Raises RefusedError(NOT_FOUND)."""
        found = await self.find(by)
        if found is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such transfer.", ("by",))
        request = B2BStatusRequest(order_id=found.gateway_order_id)
        try:
            reply = await self._books.gateway.call(BUSINESS_TRANSFER_STATUS, request)
        except GatewayRefusedError as exc:
            return Result(value=found, error=_refused(exc))
        except GatewayError as exc:
            return Result(value=found, error=gateway_is_away(exc))
        reached("transfer.refreshed")

        async def work(unit: Unit) -> BusinessTransfer:
            known = await known_transfer(unit, found.id)
            if known.call_deadline is not None and known.call_deadline <= unit.now:
                known = await settle_lost_transfer(unit, known)
            return await hear_status(unit, known, reply, by_gateway(unit, actor))

        return Result(value=await self._books.write_answer(work))

    async def resolve(self, call: Call, transfer_id: str, succeeded: bool, note: str) -> Result[BusinessTransfer]:
        """Settle by hand a transfer that is INDETERMINATE."""
        check_call(call)
        check_note(note)

        async def settle(unit: Unit, found: BusinessTransfer) -> BusinessTransfer:
            if found.status is not TransferStatus.INDETERMINATE:
                raise invalid(
                    f"names one that is {found.status}; only INDETERMINATE needs a decision", "businessTransferId"
                )
            news = TransferNews.VERDICT_SUCCEEDED if succeeded else TransferNews.VERDICT_FAILED
            failure = None if succeeded else RESOLVED_AS_FAILED
            return await hear(unit, found, news, by_operator(unit, call.actor, note), failure)

        return await decide(self._books, call, _TRANSFER, transfer_id, settle)

    async def hint(self, token: str) -> bool:
        """Take an unsigned webhook as a reason to ask soon. Return False if nothing has this random part."""
        digest = _digest(token)

        async def work(unit: Unit) -> bool:
            known = await unit.business_transfer_by_webhook(digest)
            if known is not None:
                await unit.save_business_transfer(hinted(known, unit.now))
            return known is not None

        if len(token) != _TOKEN_LETTERS:
            return False
        # Read first: whoever tries addresses must not make the database write.
        if await self._books.read(lambda reader: reader.business_transfer_by_webhook(digest)) is None:
            return False
        is_known = await self._books.write(work)
        reached("transfer.hinted")
        self._books.something_to_ask.set()
        return is_known

    async def _run(self, call: Call, order: TransferOrder, token: str | None) -> Result[BusinessTransfer]:
        started_at = monotonic()
        begun = await self._books.write(lambda unit: self._begin(unit, call, order, token))
        if begun.replayed:
            return Result(value=begun.transfer, replayed=True)
        reached("transfer.recorded")
        return await self._call(begun.transfer, call, order, token, started_at)

    async def _begin(self, unit: Unit, call: Call, order: TransferOrder, token: str | None) -> _Begun:
        object_id = await earlier_object(unit, call)
        if object_id is not None:
            earlier = await known_transfer(unit, object_id)
            if is_overdue(earlier.call_deadline, unit.now):
                earlier = await settle_lost_transfer(unit, earlier)
            return _Begun(transfer=earlier, replayed=True)
        await _refuse_conflict(unit, order.order_id)
        transfer = BusinessTransfer(
            id=self._books.new_id(ids.BUSINESS_TRANSFER, unit),
            status=TransferStatus.PENDING,
            version=1,
            order_id=order.order_id,
            gateway_order_id=await _free_gateway_order(unit, order.order_id),
            amount=order.amount,
            currency=order.currency,
            created_at=unit.now,
            updated_at=unit.now,
            iban=order.iban,
            payee_name=order.payee_name,
            payee_tin=order.payee_tin,
            bank_code=order.bank_code,
            bank_name=order.bank_name,
            email=order.email,
            address=order.address,
            description=order.description,
            additional_info=order.additional_info,
            webhook_digest=None if token is None else _digest(token),
            call_deadline=unit.now + self._books.deadline,
        )
        await unit.insert_business_transfer(transfer)
        await unit.insert_event(transfer_event(transfer, None, by_api(unit, call.actor)))
        await use_key(unit, call, transfer.id)
        reached("transfer.recording")
        return _Begun(transfer=transfer, replayed=False)

    async def _call(
        self, transfer: BusinessTransfer, call: Call, order: TransferOrder, token: str | None, started_at: float
    ) -> Result[BusinessTransfer]:
        correlation.transaction_id.set(transfer.id)
        webhook_url = None if token is None else f"{self._books.public_url}{WEBHOOK_PATH}/{token}"
        request = transfer_request(transfer, order, webhook_url)
        left_s = self._books.deadline.total_seconds() - (monotonic() - started_at)
        try:
            if left_s < self._books.call_limit_s:
                # The process was frozen since it recorded the order; the deadline could pass during the call.
                return await self._record(
                    transfer, TransferNews.NOT_SENT, call, TEMPORARY_FAILURE, gateway_is_away()
                )
            reached("transfer.calling")
            reply = await self._books.gateway.call(BUSINESS_TRANSFER, request, timeout_s=self._books.call_limit_s)
        except GatewayRefusedError as exc:
            refusal = Reply(status="server_error" if exc.http_status == 401 else "error", message=exc.message)
            return await self._record(
                transfer, TransferNews.REFUSED, call, failure_from(said(refusal)), _refused(exc)
            )
        except GatewayError as exc:
            if exc.money_may_have_moved:
                return await self._record(transfer, TransferNews.LOST, call)
            return await self._record(transfer, TransferNews.NOT_SENT, call, TEMPORARY_FAILURE, gateway_is_away())
        reached("transfer.answered")
        news = order_news(reply)
        if news is TransferNews.REFUSED:
            error = gateway_said_no(said(reply), "this transfer")
            return await self._record(transfer, news, call, failure_from(said(reply)), error, reply)
        return await self._record(transfer, news, call, reply=reply)

    async def _record(
        self,
        transfer: BusinessTransfer,
        news: TransferNews,
        call: Call,
        failure: Failure | None = None,
        error: RefusedError | None = None,
        reply: Reply | None = None,
    ) -> Result[BusinessTransfer]:
        async def work(unit: Unit) -> BusinessTransfer:
            known = with_words(await known_transfer(unit, transfer.id), reply)
            after = await hear(unit, known, news, by_gateway(unit, call.actor), failure)
            reached("transfer.answering")
            return after

        after = await self._books.write_answer(work)
        reached("transfer.settled")
        return Result(value=after, error=error)


async def find_transfer(reader: Reader, by: BusinessTransferBy) -> BusinessTransfer | None:
    """Find a transfer by whichever name is given."""
    if by.id is not None:
        return await reader.business_transfer(by.id)
    return await reader.business_transfer_by_order(by.order_id or "")


def order_news(reply: Reply) -> TransferNews:
    """What EPoint's answer to an order proves; a word that is not known leaves it open."""
    word = (reply.status or "").lower()
    if word in _ACCEPTING:
        return TransferNews.ACCEPTED
    return TransferNews.REFUSED if word in _REFUSING or is_misconfigured(said(reply)) else TransferNews.LOST


async def _refuse_conflict(unit: Unit, order_id: str) -> None:
    """Raise TransferConflictError if another transfer of this order is live or done."""
    holder = await unit.business_transfer_by_order(order_id)
    if holder is not None and holder.call_deadline is not None and holder.call_deadline <= unit.now:
        holder = await settle_lost_transfer(unit, holder)
    if holder is not None and holder.holds_order:
        raise TransferConflictError(holder, is_done=holder.status is TransferStatus.SUCCESS)


async def _free_gateway_order(reader: Reader, order_id: str) -> str:
    """Return the order id that EPoint will see: the merchant's own if it is free, else with a suffix."""
    candidates = (order_id, *(f"{order_id}-{attempt}" for attempt in range(2, ATTEMPTS_MAX + 1)))
    for candidate in candidates:
        if await reader.business_transfer_by_gateway_order(candidate) is None:
            return candidate
    raise invalid(f"names an order that has had {ATTEMPTS_MAX} attempts; use a new one", "orderId")


def _refused(exc: GatewayRefusedError) -> RefusedError:
    words = f" EPoint says: {exc.message}" if exc.message else ""
    if exc.http_status == 401:
        message = f"EPoint does not accept this service's keys (HTTP 401).{words}"
    elif exc.http_status == 403:
        message = (
            f"EPoint has not granted this merchant transfers to businesses (HTTP 403). Ask EPoint for it.{words}"
        )
    elif exc.http_status == 404:
        message = f"EPoint does not know this order (HTTP 404), which proves nothing about the money.{words}"
    else:
        message = f"EPoint refused the transfer (HTTP {exc.http_status}).{words}"
    return RefusedError(ErrorCode.GATEWAY_REFUSED, message)


def _token(random: bytes) -> str:
    return base64.urlsafe_b64encode(random).decode().rstrip("=")


def _digest(token: str) -> str:
    # The random part has 256 bits: no salt and no slow hash could make it harder to guess.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
