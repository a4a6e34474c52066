"""Deliver callbacks: signed, encoded, and late, doubled, dropped or reordered as the plan says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any

import aiohttp
import msgspec

from gql_epoint.epoint.operations import OPERATIONS
from gql_epoint.epoint.signing import Sealed, seal
from gql_epoint.simulator.books import Transaction
from gql_epoint.simulator.console.journal import hide_cards
from gql_epoint.simulator.facts import callback_body, encode_callback
from gql_epoint.simulator.settings import CallbackPlan, Merchant
from gql_epoint.simulator.state import Attempt, Delivery, State

_RETRY_DELAY_MAX_S = 60.0
_REPLY_SHOWN_MAX = 500
# A Decimal becomes a JSON number; amounts that should be text are text already.
_encoder = msgspec.json.Encoder(decimal_format="number")


class Courier:
    """Owns every callback that is on its way. Use as an async context manager; leaving cancels what is not there.

    Callbacks that wait for a retry are not kept over a restart: nobody promises that EPoint does.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, list[tuple[CallbackPlan, Merchant, Delivery]]] = {}
        self._waking: dict[int, asyncio.Event] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Courier:
        connector = aiohttp.TCPConnector(limit=self._state.settings.connections_max)
        # A cookie of one result URL is nothing to another.
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *exc: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def send(self, transaction: Transaction, plan: CallbackPlan | None = None) -> None:
        """Send the callback of a settled transaction, in the background; by its own plan if none is given."""
        if OPERATIONS[transaction.operation].callback_disputed and not self._state.switches.token_callbacks:
            return
        plan = plan or self._state.callback_plan(transaction)
        merchant = self._state.merchants[transaction.merchant]
        body = callback_body(transaction, plan, self._state.switches)
        if self._state.switches.trace_id:
            body.setdefault("trace_id", self._state.new_trace_name())
        body = {name: value for name, value in body.items() if name not in plan.omit}
        for _ in range(plan.copies):
            delivery = Delivery(
                number=self._state.new_delivery_number(),
                at=self._state.clock(),
                encoding=plan.encoding,
                signed=not plan.bad_signature,
                transaction=transaction.transaction,
                order_id=transaction.order_id,
                card_id=transaction.card_id,
                body=body,
            )
            self._state.deliveries.append(delivery)
            if plan.drop or merchant.result_url is None:
                delivery.state = "dropped"
            elif plan.reorder > 1:
                self._hold(plan, merchant, delivery)
            else:
                self._start(self._deliver(plan, merchant, delivery), [delivery])
        self._state.changes.ring(transaction.transaction)

    def hurry(self, number: int) -> Delivery | None:
        """Send a waiting callback now: one that is late, held back, or between two attempts. None if none waits."""
        delivery = self._waiting(number)
        if delivery is None:
            return None
        held = self._unhold(number)
        if held is not None:
            plan, merchant, _ = held
            self._start(self._deliver(msgspec.structs.replace(plan, delay_s=0.0), merchant, delivery), [delivery])
        elif number in self._waking:
            self._waking[number].set()
        return delivery

    def drop(self, number: int) -> Delivery | None:
        """Let a waiting callback get lost; an attempt that is under way goes on. None if none waits."""
        delivery = self._waiting(number)
        if delivery is None:
            return None
        self._unhold(number)
        self._settle(delivery, "dropped")
        if number in self._waking:
            self._waking[number].set()
        return delivery

    def _waiting(self, number: int) -> Delivery | None:
        found = (one for one in reversed(self._state.deliveries) if one.number == number)
        delivery = next(found, None)
        return delivery if delivery is not None and delivery.state == "waiting" else None

    def _unhold(self, number: int) -> tuple[CallbackPlan, Merchant, Delivery] | None:
        for held in self._held.values():
            for place, entry in enumerate(held):
                if entry[2].number == number:
                    return held.pop(place)
        return None

    def _settle(self, delivery: Delivery, state: str) -> None:
        delivery.state = state
        self._state.changes.ring(delivery.transaction)

    def _hold(self, plan: CallbackPlan, merchant: Merchant, delivery: Delivery) -> None:
        # One queue per merchant, so that callbacks of different orders overtake each other too.
        held = self._held.setdefault(merchant.public_key, [])
        held.append((plan, merchant, delivery))
        if len(held) >= plan.reorder:
            self._release(merchant.public_key)
        elif len(held) == 1:
            self._start(self._release_later(merchant.public_key, held, plan.reorder_wait_s), [])

    async def _release_later(self, key: str, held: list[Any], wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        if self._held.get(key) is held:
            self._release(key)

    def _release(self, key: str) -> None:
        held = self._held.pop(key)
        self._start(self._deliver_in_turn(held[::-1]), [delivery for _, _, delivery in held])

    async def _deliver_in_turn(self, held: list[tuple[CallbackPlan, Merchant, Delivery]]) -> None:
        for plan, merchant, delivery in held:
            await self._deliver(plan, merchant, delivery)

    def _start(self, work: Coroutine[Any, Any, None], deliveries: list[Delivery]) -> None:
        if len(self._tasks) >= self._state.settings.deliveries_max:
            work.close()
            for delivery in deliveries:
                delivery.state = "dropped"
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, plan: CallbackPlan, merchant: Merchant, delivery: Delivery) -> None:
        sealed = seal(merchant.private_key, _encoder.encode(delivery.body))
        if plan.bad_signature:
            sealed = Sealed(data=sealed.data, signature=seal("not the key", b"").signature)
        content_type, body = encode_callback(sealed, plan.encoding, f"----{self._state.new_trace_name()}")
        try:
            await self._pause(delivery, plan.delay_s)
            for count in range(plan.retries + 1):
                if count:
                    await self._pause(delivery, min(plan.retry_delay_s * 2 ** (count - 1), _RETRY_DELAY_MAX_S))
                if delivery.state == "dropped":
                    return
                attempt = await self._post(plan, merchant, content_type, body)
                delivery.attempts = [*delivery.attempts, attempt]
                self._state.changes.ring(delivery.transaction)
                if attempt.http_status == 200:
                    self._settle(delivery, "delivered")
                    return
            if delivery.state == "waiting":
                self._settle(delivery, "given_up")
        except asyncio.CancelledError:
            if delivery.state == "waiting":
                self._settle(delivery, "cancelled")
            raise

    async def _pause(self, delivery: Delivery, wait_s: float) -> None:
        """Wait, but not for longer than somebody wants it."""
        if wait_s <= 0:
            await asyncio.sleep(0)
            return
        waking = self._waking[delivery.number] = asyncio.Event()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waking.wait(), wait_s)
        finally:
            del self._waking[delivery.number]

    async def _post(self, plan: CallbackPlan, merchant: Merchant, content_type: str, body: bytes) -> Attempt:
        # The address is read again for each attempt: a merchant may have corrected it in the meantime.
        url = self._state.merchants[merchant.public_key].result_url
        if url is None:
            return Attempt(at=self._state.clock(), error="the merchant has no result_url")
        assert self._session is not None
        error: str | None = None
        http_status: int | None = None
        reply = b""
        started_s = time.perf_counter()
        timeout = aiohttp.ClientTimeout(total=plan.timeout_s)
        try:
            async with self._session.post(
                url, data=body, headers={"content-type": content_type}, timeout=timeout, allow_redirects=False
            ) as response:
                http_status = response.status
                # Read a little, so that the connection can be used again.
                with contextlib.suppress(aiohttp.ClientError):
                    reply = await response.content.read(64 * 1024)
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            error = type(exc).__name__
        return Attempt(
            at=self._state.clock(),
            http_status=http_status,
            error=error,
            reply=hide_cards(reply.decode("utf-8", "replace"))[:_REPLY_SHOWN_MAX] if reply else None,
            duration_ms=round((time.perf_counter() - started_s) * 1000, 1),
        )
