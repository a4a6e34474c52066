"""Hold up whoever tries one card after another: attempts and declines of one address, over all checkouts and nodes.

Card testers make many checkouts, or find a shop that does so for them, and see which stolen cards are declined. A
checkout limits its own attempts; here they are counted for the address that they come from, within a time that
slides. Only confirmations by browsers count: a backend is trusted, and its address is not its customer's.

An address is written down as a keyed hash, and no longer than it counts: `Tidier` deletes it after that.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from datetime import datetime, timedelta

import msgspec

from gql_epoint.errors import TooManyAttemptsError
from gql_epoint.ledger.checkout import CheckoutAttempt
from gql_epoint.ledger.transaction import Fact, SavedCard
from gql_epoint.ledger.transitions import Change
from gql_epoint.ledger.words import Heard, Said, is_misconfigured
from gql_epoint.store.protocol import Unit

logger = logging.getLogger(__name__)


class AttemptLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts and declines one address may have within `window`; 0 is no limit."""

    attempts_max: int = 0
    declines_max: int = 0
    window: timedelta = timedelta(hours=1)

    @property
    def are_on(self) -> bool:
        """Whether anything is counted at all."""
        return bool(self.attempts_max or self.declines_max)


def address_name(private_key: str, address: str) -> str:
    """Return the name that an address has in the books.

    All nodes know the key and nobody else does, so a stolen database does not tell the address: there are few
    enough of them to try each against a plain hash.
    """
    return hmac.new(private_key.encode(), b"gql-epoint:address:" + address.encode(), hashlib.sha256).hexdigest()


async def check_address(unit: Unit, limits: AttemptLimits, address: str) -> None:
    """Raise TooManyAttemptsError if an address may start no attempt now. The unit has locked it."""
    record = await unit.address_record(address, unit.now - limits.window)
    oldest: list[datetime] = []
    if limits.attempts_max and record.attempts >= limits.attempts_max and record.first_attempt_at is not None:
        oldest.append(record.first_attempt_at)
    if limits.declines_max and record.declines >= limits.declines_max and record.first_decline_at is not None:
        oldest.append(record.first_decline_at)
    if oldest:
        logger.warning(
            "A confirmation was refused: its address has had %d attempts and %d declines lately",
            record.attempts,
            record.declines,
        )
        left = max(oldest) + limits.window - unit.now
        raise TooManyAttemptsError(max(1, left // timedelta(milliseconds=1)))


async def note_attempt(unit: Unit, attempt_id: str, address: str | None) -> None:
    """Count an attempt in the unit of work that records it; without an address there is nothing to count."""
    if address is not None:
        await unit.insert_attempt(CheckoutAttempt(id=attempt_id, address=address, started_at=unit.now))


async def note_decline(unit: Unit, change: Change, heard: Heard, what: Said) -> None:
    """Count the decline of a browser's payment. That EPoint refuses to open its page says nothing of a card."""
    is_of_card = heard is not Heard.OPENING and not is_misconfigured(what)
    if Fact.DECLINED in change.new_facts and is_of_card and change.transaction.checkout_id is not None:
        await unit.mark_declined(change.transaction.id)


async def note_rejection(unit: Unit, card: SavedCard) -> None:
    """Count that a browser's card was not accepted."""
    if card.checkout_id is not None:
        await unit.mark_declined(card.id)
