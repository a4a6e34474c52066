"""The named points of every use case, at which a test can end the process as a power cut would.

`reached` does nothing, unless `arm` has named the point: GQL_EPOINT_DIE_AT does, in the sandbox only.
"""

from __future__ import annotations

import os
import signal

POINTS = {
    "pay.recording": "a payment's intent is written and not committed",
    "pay.recorded": "the intent is committed, EPoint has heard nothing",
    "pay.calling": "EPoint is about to be called",
    "pay.answered": "EPoint has answered, which is known here only",
    "pay.answering": "the answer is written and not committed",
    "pay.settled": "the answer is committed, the caller knows nothing",
    "token.recording": "the charge of a token is written and not committed",
    "token.recorded": "the charge is committed, EPoint has heard nothing of it",
    "token.calling": "EPoint is about to be called",
    "token.answered": "EPoint has answered, which is known here only",
    "token.answering": "the answer is written and not committed",
    "token.settled": "the answer is committed, the caller knows nothing",
    "card.recording": "a registration's intent is written and not committed",
    "card.recorded": "the intent is committed, EPoint has heard nothing",
    "card.calling": "EPoint is about to be called",
    "card.answered": "EPoint has answered, which is known here only",
    "card.answering": "the answer is written and not committed",
    "card.settled": "the answer is committed, the caller knows nothing",
    "refund.reserving": "the amount is set aside and that is not committed",
    "refund.reserved": "the amount is set aside, EPoint has heard nothing",
    "refund.calling": "EPoint is about to be called",
    "refund.answered": "EPoint has answered, which is known here only",
    "refund.answering": "the answer is written and not committed",
    "refund.settled": "the answer is committed, the caller knows nothing",
    "hold.reserving": "a capture or cancellation is written on its hold and that is not committed",
    "hold.reserved": "it is written down, EPoint has heard nothing",
    "hold.calling": "EPoint is about to be called",
    "hold.answered": "EPoint has answered, which is known here only",
    "hold.answering": "the answer is written and not committed",
    "hold.settled": "the answer is committed, the caller knows nothing",
    "callback.verified": "a callback is known to be EPoint's, nothing is written",
    "callback.recording": "the callback and its effect are written and not committed",
    "callback.recorded": "all of it is committed, EPoint has no answer yet",
    "sweep.claimed": "a question is claimed and not asked",
    "sweep.asked": "EPoint has answered it, which is known here only",
    "sweep.applying": "what it proves is written and not committed",
    "sweep.applied": "what it proves is committed",
    "sweep.card_asked": "EPoint has answered about a card, which is known here only",
    "sweep.card_applied": "what it proves is committed",
    "sweep.settling": "lost answers are written down as such and not committed",
    "sweep.settled": "lost answers are committed as such",
    "refresh.asked": "EPoint has answered a caller's question, which is known here only",
    "refresh.applied": "what it proves is committed",
    "adoption.asked": "EPoint has told of a transaction made elsewhere, which is known here only",
    "adoption.recording": "it is written and not committed",
    "adoption.recorded": "it is committed",
    "card_adoption.asked": "EPoint has told of a card saved elsewhere, which is known here only",
    "card_adoption.recorded": "it is committed",
    "transfer.recording": "a transfer's order is written and not committed",
    "transfer.recorded": "the order is committed, EPoint has heard nothing",
    "transfer.calling": "EPoint is about to be called",
    "transfer.answered": "EPoint has answered, which is known here only",
    "transfer.answering": "the answer is written and not committed",
    "transfer.settled": "the answer is committed, the caller knows nothing",
    "transfer.asked": "EPoint has told the status, which is known here only",
    "transfer.applied": "what it proves is committed",
    "transfer.refreshed": "EPoint has answered a caller's question, which is known here only",
    "transfer.hinted": "an unsigned webhook made the question due, EPoint has no answer yet",
    "invoice.recording": "an invoice's order is written and not committed",
    "invoice.recorded": "the order is committed, EPoint has heard nothing",
    "invoice.calling": "EPoint is about to be called",
    "invoice.answered": "EPoint has made it, which is known here only",
    "invoice.answering": "the answer is written and not committed",
    "invoice.settled": "the answer is committed, the caller knows nothing",
    "invoice.asked": "EPoint has told the status, which is known here only",
    "invoice.applied": "what it proves is committed",
    "invoice.refreshed": "EPoint has answered a caller's question, which is known here only",
    "invoice.changing": "a change, or the sending, is written and not committed",
    "invoice.intended": "that is committed, EPoint has heard nothing",
    "invoice.told": "EPoint has changed or sent it, which is known here only",
    "invoice.changed": "that is committed, the caller knows nothing",
    "resolution.recording": "a person's decision is written and not committed",
    "resolution.recorded": "the decision is committed, the person knows nothing",
}

_armed: set[str] = set()


def arm(point: str) -> None:
    """Let this process end at a point."""
    assert point in POINTS
    _armed.add(point)


def reached(point: str) -> None:
    """Say that a use case has come to a point. What is armed ends here at once, without a chance to tidy up."""
    if point in _armed:
        os.kill(os.getpid(), signal.SIGKILL)
