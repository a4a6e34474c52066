"""Transfers to businesses: EPoint's desk for them, the bank that carries them out, and the unsigned webhook."""

from __future__ import annotations

import asyncio
import re
import time
from decimal import Decimal
from typing import Any

import aiohttp
import msgspec

from gql_epoint.simulator.bank import APPROVED, message_of
from gql_epoint.simulator.books import Transfer, TransferState
from gql_epoint.simulator.request import Call, DeskError
from gql_epoint.simulator.settings import CallbackPlan
from gql_epoint.simulator.state import Attempt, State

AMOUNT_MAX = Decimal(40000)
DECIDED = ("SUCCESS", "FAILED")

_TIN = re.compile(r"\d{9}[12]", re.ASCII)
_IBAN = re.compile(r"AZ\d{2}[A-Z]{4}[A-Z0-9]{20}", re.ASCII)
# EPoint's own table says that the status shows the amount as text.
_encoder = msgspec.json.Encoder(decimal_format="string")


def order_transfer(call: Call) -> dict[str, Any]:
    """Take the order of a transfer, and let the bank begin."""
    order_id, amount = call.text("order_id"), call.amount("amount")
    if order_id is None or amount is None or not 0 < amount <= AMOUNT_MAX:
        raise DeskError("error", "The amount field must be between 0.01 and 40000.", 422)
    if not _IBAN.fullmatch(call.text("iban") or ""):
        raise DeskError("error", "The iban field is invalid.", 422)
    if not _TIN.fullmatch(call.text("tin") or ""):
        raise DeskError("error", "The tin field is invalid.", 422)
    if len(call.text("description") or "") > 255:
        raise DeskError("error", "The description field is too long.", 422)
    state = call.state
    if state.books.transfer(order_id) is not None:
        raise DeskError("error", "The order_id has already been used.", 422)
    transfer = Transfer(
        order_id=order_id,
        merchant=call.merchant.public_key,
        at=state.clock(),
        amount=amount,
        iban=call.text("iban") or "",
        name=call.text("name") or "",
        bulk_id=state.new_bulk_name(),
        webhook_url=call.text("webhook_url"),
    )
    state.books.add_transfer(transfer)
    state.changes.ring(transfer=order_id)
    state.on_transfer(transfer)
    return {"status": "success", "order_id": order_id, "bulkId": transfer.bulk_id}


def transfer_status(call: Call) -> dict[str, Any]:
    """Say what is known about a transfer. The question names no merchant, so whoever asks is told."""
    transfer = call.state.books.transfer(call.text("order_id") or "")
    if transfer is None:
        raise DeskError("error", "Transfer not found", 404)
    failed = {"error_message": _reason(call.state, transfer)} if transfer.state == "FAILED" else {}
    return {
        "order_id": transfer.order_id,
        "amount": f"{transfer.amount:.2f}",
        "bulkId": transfer.bulk_id,
        "payee_iban": transfer.iban,
        "payee_name": transfer.name,
        "status": transfer.state,
        "webhook_sent": any(attempt["http_status"] == 200 for attempt in transfer.webhook_attempts),
        "created_at": transfer.at.strftime("%Y-%m-%d %H:%M:%S"),
        **failed,
    }


class TransferBank:
    """Carries transfers out in the background. Use as an async context manager.

    What is under way when it ends goes on when it is entered again on the same books; webhooks do not.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> TransferBank:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._state.on_transfer = self._begin
        for transfer in self._state.books.transfers:
            if transfer.state in ("PENDING", "PROCESSING"):
                self._begin(transfer)
        return self

    async def __aexit__(self, *exc: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def settle(self, transfer: Transfer, state: TransferState, plan: CallbackPlan | None = None) -> None:
        """Let a transfer go to a state, and tell of it if that decides it; by its own plan if none is given."""
        decided = state in DECIDED and transfer.state != state
        transfer.state = state
        self._state.books.changed = True
        self._state.changes.ring(transfer=transfer.order_id)
        if decided:
            self.tell(transfer, plan or self.plan_of(transfer))

    def plan_of(self, transfer: Transfer) -> CallbackPlan:
        """Return how the webhooks of a transfer travel and what they say; they are JSON, and never signed."""
        return self._state.plan(transfer.order_id).callback or self._state.callback

    def tell(self, transfer: Transfer, plan: CallbackPlan) -> None:
        """Send the webhook of a decided transfer in the background, if it has an address."""
        if transfer.webhook_url is not None:
            self._start(self._tell(transfer, plan))

    def _begin(self, transfer: Transfer) -> None:
        if self._state.switches.transfer_step_s is not None:
            self._start(self._carry_out(transfer, self._state.switches.transfer_step_s))

    async def _carry_out(self, transfer: Transfer, step_s: float) -> None:
        await asyncio.sleep(step_s)
        if transfer.state == "PENDING":
            self.settle(transfer, "PROCESSING")
            await asyncio.sleep(step_s)
        if transfer.state == "PROCESSING":
            approved = self._state.plan(transfer.order_id).bank_code in (None, APPROVED)
            self.settle(transfer, "SUCCESS" if approved else "FAILED")

    async def _tell(self, transfer: Transfer, plan: CallbackPlan) -> None:
        failed = transfer.state == "FAILED"
        body = {
            "order_id": transfer.order_id,
            "status": "failed" if failed else "success",
            "amount": transfer.amount if plan.amount is None else plan.amount,
            "payee_iban": transfer.iban,
            "payee_name": transfer.name,
            "error_message": _reason(self._state, transfer) if failed else None,
        }
        raw = _encoder.encode(
            {name: value for name, value in (body | plan.fields).items() if name not in plan.omit}
        )
        if plan.drop:
            return
        await asyncio.sleep(plan.delay_s)
        await asyncio.gather(*(self._deliver(transfer, raw, plan) for _ in range(plan.copies)))

    async def _deliver(self, transfer: Transfer, raw: bytes, plan: CallbackPlan) -> None:
        for count in range(plan.retries + 1):
            if count:
                await asyncio.sleep(min(plan.retry_delay_s * 2 ** (count - 1), 60.0))
            attempt = await self._post(transfer.webhook_url or "", raw, plan.timeout_s)
            transfer.webhook_attempts = [*transfer.webhook_attempts, msgspec.to_builtins(attempt)]
            self._state.books.changed = True
            self._state.changes.ring(transfer=transfer.order_id)
            if attempt.http_status == 200:
                return

    async def _post(self, url: str, raw: bytes, timeout_s: float) -> Attempt:
        assert self._session is not None
        headers = {"content-type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        http_status: int | None = None
        error: str | None = None
        started_s = time.perf_counter()
        try:
            async with self._session.post(
                url, data=raw, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                http_status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            error = type(exc).__name__
        took_ms = round((time.perf_counter() - started_s) * 1000, 1)
        return Attempt(at=self._state.clock(), http_status=http_status, error=error, duration_ms=took_ms)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reason(state: State, transfer: Transfer) -> str:
    return message_of(state.plan(transfer.order_id).bank_code or "100", "en")
