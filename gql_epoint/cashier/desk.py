"""What every desk of the cashier works with: the books, the gateway, the bell, and how news is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from gql_epoint.cashier.attempts import AttemptLimits, note_decline
from gql_epoint.cashier.patience import Patience
from gql_epoint.cashier.validation import ReturnPages
from gql_epoint.errors import ErrorCode, GatewayError, RefusedError
from gql_epoint.gateway import Gateway
from gql_epoint.ledger import ids
from gql_epoint.ledger.cards import CardNews, apply_card, open_card
from gql_epoint.ledger.events import EventSource, Provenance
from gql_epoint.ledger.holds import apply_to_hold
from gql_epoint.ledger.transaction import Fact, Status, Transaction, TransactionOperation
from gql_epoint.ledger.transitions import Change, apply, apply_stolen_reference
from gql_epoint.ledger.words import Heard, Said, is_misconfigured
from gql_epoint.live import Live
from gql_epoint.owned import Owned
from gql_epoint.store.protocol import Reader, Store, Unit

T = TypeVar("T")

_SAVES_CARD = frozenset({TransactionOperation.PAY_AND_SAVE_CARD, TransactionOperation.SPLIT_PAY_AND_SAVE_CARD})


Gate = Callable[[Unit], Awaitable[T | None]]
"""Asked before something new is recorded: raises to refuse it, or names what to go on with instead."""


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What an order gets where it says nothing itself."""

    language: str = "az"
    success_url: str | None = None
    error_url: str | None = None


class Books:
    """The shared tools of all desks.

    A call to EPoint is cut off after `call_limit_s`; its answer is taken for lost after `deadline_s`, by the
    database's clock. The difference is the time there is to record an answer. `poll_s` is how long a lost
    wake-up may delay a subscriber. `on_held_up` is told of each confirmation that is refused for its address.
    `public_url` is where EPoint reaches this service, without a slash at the end.
    """

    def __init__(
        self,
        *,
        store: Store,
        gateway: Gateway,
        live: Live,
        private_key: str,
        sandbox: bool,
        defaults: Defaults,
        random: Callable[[int], bytes],
        return_hosts: frozenset[str] = frozenset(),
        apple_pay_origins: frozenset[str] = frozenset(),
        call_limit_s: float = 30.0,
        deadline_s: float = 40.0,
        poll_s: float = 5.0,
        attempt_limits: AttemptLimits | None = None,
        on_held_up: Callable[[], None] = lambda: None,
        public_url: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        assert call_limit_s < deadline_s
        self.store = store
        self.gateway = gateway
        self.live = live
        self.private_key = private_key
        self.sandbox = sandbox
        self.return_pages = ReturnPages(sandbox=sandbox, hosts=return_hosts)
        self.apple_pay_origins = apple_pay_origins
        self.defaults = defaults
        self.random = random
        self.call_limit_s = call_limit_s
        self.deadline = timedelta(seconds=deadline_s)
        self.poll_s = poll_s
        self.attempt_limits = attempt_limits or AttemptLimits()
        self.on_held_up = on_held_up
        self.public_url = public_url
        self.something_to_ask = asyncio.Event()
        self.owned = Owned()
        self.patience = patience or Patience()
        store.on_commit(live.wake)

    async def read(self, work: Callable[[Reader], Awaitable[T]]) -> T:
        """Answer a question from one consistent state of the books."""
        return await self.store.read(work)

    async def write(self, work: Callable[[Unit], Awaitable[T]], *, hopeful: bool = False) -> T:
        """Run one unit of work; it is committed when this returns. See Store.write for what is `hopeful`."""
        return await self.store.write(work, hopeful=hopeful)

    async def write_answer(self, work: Callable[[Unit], Awaitable[T]], *, hopeful: bool = False) -> T:
        """Write down what EPoint answered. It is known only here, so a database that is away is asked again.

        It goes on when the caller's deadline has passed, as what is owned does; see Patience for how long.
        """
        return await self.patience.insist(lambda: self.store.write(work, hopeful=hopeful))

    def own(self, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Run `work` to its end even if the caller goes away: a client's hang-up must not lose an answer.

        It begins with the recording of the intent: a unit of work that was accepted is written, whoever waits for
        it, and what is written and never sent would look like money on its way.
        """
        return self.owned.run(work)

    async def drain(self) -> None:
        """Wait for the calls that are under way, and for a database that is away no longer than it may take."""
        self.patience.stop()
        await self.owned.drain()

    def new_id(self, prefix: str, unit: Reader) -> str:
        """Return a fresh id that sorts by the unit's time."""
        return ids.new_id(prefix, unit.now, self.random(ids.RANDOM_BYTES))


async def record(unit: Unit, change: Change) -> None:
    """Write down a change: the transaction, its refunds and its events."""
    await unit.save_transaction(change.transaction)
    for refund in change.refunds:
        await unit.save_refund(refund)
    for event in change.events:
        await unit.insert_event(event)


async def order_is_taken(unit: Reader, transaction: Transaction) -> bool:
    """Whether another payment holds this transaction's order."""
    if transaction.holds_order or transaction.order_id is None:
        return False
    payout = transaction.operation is TransactionOperation.PAYOUT
    return await unit.order_holder(transaction.order_id, payout=payout) is not None


async def _is_anothers(unit: Unit, transaction: Transaction, what: Said) -> bool:
    """Whether EPoint's words name an id of theirs that another transaction has."""
    owner = await unit.transaction_by_gateway_id(what.transaction) if what.transaction else None
    return owner is not None and owner.id != transaction.id


async def tell(unit: Unit, transaction: Transaction, heard: Heard, what: Said, by: Provenance) -> Change:
    """Apply what EPoint said to a transaction and to the card that it saves, and write both down."""
    if transaction.gateway.transaction_id is None and await _is_anothers(unit, transaction, what):
        change = apply_stolen_reference(transaction, by)
    else:
        follow = apply_to_hold if transaction.is_hold else apply
        change = follow(
            transaction,
            heard,
            what,
            by,
            order_taken=await order_is_taken(unit, transaction),
            refunds=await unit.unsettled_refunds(transaction.id) if what.status == "returned" else (),
        )
    await record(unit, change)
    await note_decline(unit, change, heard, what)
    if transaction.operation in _SAVES_CARD and transaction.saved_card_id:
        await _tell_card(unit, change, heard, what, by)
    return change


async def _tell_card(unit: Unit, change: Change, heard: Heard, what: Said, by: Provenance) -> None:
    """The card that a payment saves shares the payment's fate."""
    card = await unit.saved_card(change.transaction.saved_card_id or "")
    if card is None:
        return
    if Fact.OPENED in change.new_facts:
        await unit.save_saved_card(open_card(card, what.card_id, what.redirect_url, by.now))
        return
    same_card = what.card_id is not None and what.card_id == (card.card_id or what.card_id)
    news = CardNews.NOTHING
    if change.transaction.status is Status.SUCCESS and heard in (Heard.CALLBACK, Heard.STATUS) and same_card:
        card = open_card(card, what.card_id, None, by.now)
        news = CardNews.SAVED
    elif change.events and change.transaction.status is Status.FAILED:
        news = CardNews.REFUSED
    elif change.events and change.transaction.status is Status.EXPIRED:
        news = CardNews.EXPIRED
    after = apply_card(card, news, by, what)
    await unit.save_saved_card(after.card)
    for event in after.events:
        await unit.insert_event(event)


def gateway_said_no(what: Said, operation: str, grant: str | None = None) -> RefusedError:
    """The error beside an object that EPoint refused to make; `grant` is what a merchant must be granted for it.

    How EPoint words that a merchant lacks a grant is not documented, so every refusal of such an operation says so.
    """
    if is_misconfigured(what):
        message = "EPoint does not accept this service's keys. Check EPOINT_PUBLIC_KEY and EPOINT_PRIVATE_KEY."
    else:
        message = what.message or f"EPoint refused {operation} and gave no reason."
        if grant is not None:
            message = (
                f"{message.rstrip('. ')}. {grant} must be granted to a merchant by EPoint: ask it if that was done."
            )
    return RefusedError(ErrorCode.GATEWAY_REFUSED, message)


def gateway_said_unproved_no(what: Said, operation: str, grant: str | None = None) -> RefusedError:
    """The error beside what is INDETERMINATE although EPoint said no, whatever its reason was."""
    refusal = gateway_said_no(what, operation, grant)
    return RefusedError(
        refusal.code, f"{refusal.message} This proves nothing about the money: wait until it is found out."
    )


def gateway_is_away(exc: GatewayError | None = None) -> RefusedError:
    """The error beside an object whose call never reached EPoint, or was not answered."""
    if exc is not None and exc.money_may_have_moved:
        return RefusedError(
            ErrorCode.GATEWAY_UNAVAILABLE, "EPoint gave no usable answer. Ask again a little later."
        )
    return RefusedError(
        ErrorCode.GATEWAY_UNAVAILABLE,
        "EPoint cannot be reached, so nothing was sent to it. Try again with a new idempotency key.",
    )


def by_api(unit: Reader, actor: str, note: str | None = None) -> Provenance:
    """News that a caller of the API brings."""
    return Provenance(now=unit.now, source=EventSource.API, actor=actor, note=note)


def by_gateway(unit: Reader, actor: str | None = None) -> Provenance:
    """News that came as the answer to a call."""
    return Provenance(now=unit.now, source=EventSource.GATEWAY_RESPONSE, actor=actor)


def by_reconciler(unit: Reader) -> Provenance:
    """News that the reconciler found."""
    return Provenance(now=unit.now, source=EventSource.RECONCILER)


def by_operator(unit: Reader, actor: str, note: str) -> Provenance:
    """A person's decision."""
    return Provenance(now=unit.now, source=EventSource.OPERATOR, actor=actor, note=note)
