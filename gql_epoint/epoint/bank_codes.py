"""What the bank's three-character response codes mean, and what a customer can do about each.

The codes are an open vocabulary: banks add to them, so an unknown code is normal and has no entry here. The list
is that of EPoint's API document v1.0.3. Its English and that of the developer portal are both machine
translations that miss the meaning in places ("process reduction" is a cutover), so the sentences below are
written anew, with the names of ISO 8583:1993 action codes as the judge where the two sources disagree.

The first digit is the class: 0 approved, 1 declined, 2 declined and keep the card, 3 file, 4 reversal,
5 reconciliation, 6 administration, 7 fee, 8 network, 9 system.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class FailureCategory(StrEnum):
    """Why a payment failed, as far as a program should care."""

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"  # no money, or over a limit of the card
    DO_NOT_HONOR = "DO_NOT_HONOR"  # the bank said no and not why
    CARD_UNUSABLE = "CARD_UNUSABLE"  # this card will not work here: another one may
    SUSPECTED_FRAUD = "SUSPECTED_FRAUD"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"  # the customer did not prove who they are
    TEMPORARY = "TEMPORARY"  # a system was away or busy
    CONFIGURATION = "CONFIGURATION"  # the merchant or its bank must change something
    ABANDONED = "ABANDONED"  # the customer gave up
    OTHER = "OTHER"


class BankCode(msgspec.Struct, frozen=True, kw_only=True):
    """One code: a sentence for a person, and what a program can branch on.

    `retryable` says whether the customer may simply try again, with the same card and at once. The rule is that
    a temporary failure may pass and a mistyped PIN may be typed again; nothing else heals by repetition.

    A code outside the classes 1, 2 and 9 does not say why a payment failed; its category is OTHER.
    """

    code: str
    message: str
    category: FailureCategory
    retryable: bool


def look_up(code: str | None) -> BankCode | None:
    """Return what `code` means, or None for a code that is not in the list.

    The document of 2022 writes 0 for 000, so short codes are padded.
    """
    written = code.strip().upper() if code else ""
    return BANK_CODES.get(written.zfill(3)) if written else None


_FUNDS = FailureCategory.INSUFFICIENT_FUNDS
_NO = FailureCategory.DO_NOT_HONOR
_CARD = FailureCategory.CARD_UNUSABLE
_FRAUD = FailureCategory.SUSPECTED_FRAUD
_PROOF = FailureCategory.AUTHENTICATION_FAILED
_LATER = FailureCategory.TEMPORARY
_SETUP = FailureCategory.CONFIGURATION
_QUIT = FailureCategory.ABANDONED
_OTHER = FailureCategory.OTHER

_ROWS: tuple[tuple[str, FailureCategory, str], ...] = (
    ("000", _OTHER, "Approved."),
    ("100", _NO, "The bank declined the payment without giving a reason."),
    ("101", _CARD, "The card has expired."),
    ("102", _FRAUD, "The bank declined the payment because it suspects fraud."),
    ("103", _NO, "Declined: the merchant should contact its bank."),
    ("104", _CARD, "The card is restricted."),
    ("105", _FRAUD, "Declined: the merchant should contact the security department of its bank."),
    ("106", _CARD, "The PIN was entered wrongly too many times."),
    ("107", _NO, "Declined: the customer should contact the bank that issued the card."),
    ("108", _NO, "Declined: special conditions of the bank that issued the card apply."),
    ("109", _SETUP, "The bank does not accept this merchant."),
    ("110", _SETUP, "The amount is not valid."),
    ("111", _CARD, "The card number is not valid."),
    ("112", _PROOF, "The PIN is required."),
    ("113", _SETUP, "The fee is not acceptable."),
    ("114", _CARD, "The card has no account of the requested type."),
    ("115", _CARD, "The card does not support this kind of payment."),
    ("116", _FUNDS, "There is not enough money on the card."),
    ("117", _PROOF, "The PIN is wrong."),
    ("118", _CARD, "The bank has no record of this card."),
    ("119", _CARD, "The cardholder is not permitted to make this payment."),
    ("120", _SETUP, "The merchant's terminal is not permitted to take this payment."),
    ("121", _FUNDS, "The payment exceeds the card's spending limit."),
    ("122", _FRAUD, "The bank declined the payment for a security violation."),
    ("123", _FUNDS, "The card has been used more often than its limit allows."),
    ("124", _NO, "The law does not allow this payment."),
    ("125", _CARD, "The card is not valid."),
    ("126", _PROOF, "The PIN could not be read."),
    ("127", _PROOF, "The PIN has the wrong length."),
    ("128", _LATER, "The PIN could not be checked: the banks' keys are out of step."),
    ("129", _FRAUD, "The bank suspects a counterfeit card."),
    ("180", _QUIT, "The cardholder cancelled the payment."),
    ("200", _CARD, "The bank declined the payment and wants the card back, without giving a reason."),
    ("201", _CARD, "The card has expired, and the bank wants it back."),
    ("202", _FRAUD, "The bank suspects fraud and wants the card back."),
    ("203", _CARD, "The bank wants the card back: the merchant should contact its own bank."),
    ("204", _CARD, "The card is restricted, and the bank wants it back."),
    ("205", _FRAUD, "The bank wants the card back: the merchant should contact its bank's security department."),
    ("206", _CARD, "The PIN was entered wrongly too many times, and the bank wants the card back."),
    ("207", _CARD, "The bank wants the card back: special conditions apply."),
    ("208", _CARD, "The card was reported lost."),
    ("209", _CARD, "The card was reported stolen."),
    ("210", _FRAUD, "The bank suspects a counterfeit card and wants it back."),
    ("300", _OTHER, "The file operation succeeded."),
    ("301", _OTHER, "The receiver does not support this file operation."),
    ("302", _OTHER, "The record was not found in the file."),
    ("303", _OTHER, "Duplicate record: the old one was replaced."),
    ("304", _OTHER, "A field of the file record was refused."),
    ("305", _OTHER, "The file is locked."),
    ("306", _OTHER, "The file operation failed."),
    ("307", _OTHER, "The format of the file's data is wrong."),
    ("308", _OTHER, "Duplicate record: the new one was refused."),
    ("309", _OTHER, "The file is unknown."),
    ("400", _OTHER, "The reversal was accepted."),
    ("499", _OTHER, "Approved, without the data of the original message."),
    # EPoint's callback for a card registration uses 500 for any error, against its own list.
    ("500", _OTHER, "Reconciled and in balance; for a card registration: it failed."),
    ("501", _OTHER, "Reconciled and out of balance."),
    ("502", _OTHER, "The amount was not reconciled; the totals are given."),
    ("503", _OTHER, "The totals for reconciliation are not available."),
    ("504", _OTHER, "Not reconciled; the totals are given."),
    ("600", _OTHER, "The administrative message was accepted."),
    ("601", _OTHER, "The original transaction cannot be traced."),
    ("602", _OTHER, "The transaction's reference number is not valid."),
    ("603", _OTHER, "The reference number and the card number do not belong together."),
    ("604", _OTHER, "The copy of the sales slip is not available."),
    ("605", _OTHER, "The requested item was supplied."),
    ("606", _OTHER, "The request cannot be met: a required document is not available."),
    ("680", _OTHER, "The list is ready."),
    ("681", _OTHER, "The list is not ready."),
    ("700", _OTHER, "The fee collection was accepted."),
    ("800", _OTHER, "The network management message was accepted."),
    ("900", _OTHER, "The advice was acknowledged; no financial liability was accepted."),
    ("901", _OTHER, "The advice was acknowledged; financial liability was accepted."),
    ("902", _SETUP, "The bank calls the transaction invalid."),
    ("903", _LATER, "The bank asks to send the payment again."),
    ("904", _SETUP, "The bank calls the format of the message wrong."),
    ("905", _SETUP, "The payment network does not support the merchant's bank."),
    ("906", _LATER, "The bank is closing its business day."),
    ("907", _LATER, "The bank that issued the card, or the payment network, is out of service."),
    ("908", _SETUP, "The payment network cannot find the bank that issued the card."),
    ("909", _LATER, "The payment system has a malfunction."),
    ("910", _LATER, "The bank that issued the card is offline."),
    ("911", _LATER, "The bank that issued the card did not answer in time."),
    ("912", _LATER, "The bank that issued the card cannot be reached."),
    ("913", _OTHER, "The same message was sent twice."),
    ("914", _OTHER, "The original transaction was not found."),
    ("915", _LATER, "The reconciliation's cutover or checkpoint failed."),
    ("916", _SETUP, "The message authentication code is wrong."),
    ("917", _SETUP, "The keys for message authentication are out of step."),
    ("918", _SETUP, "No communication keys are available."),
    ("919", _SETUP, "The encryption keys are out of step."),
    ("920", _LATER, "A security module failed: the payment may be tried again."),
    ("921", _SETUP, "A security module failed: trying again does not help."),
    ("922", _SETUP, "The message's number is out of sequence."),
    # Not TEMPORARY: somebody who repeats a request that is still running may pay twice.
    ("923", _OTHER, "The request is still being processed."),
    ("950", _SETUP, "The payment violates an agreement between the banks."),
    ("XXX", _OTHER, "The bank put the reason of a stop list, or the card's state, in place of a code."),
    ("0Y1", _OTHER, "Approved offline by the card's chip."),
    ("0Y3", _OTHER, "Approved offline by the card's chip, because the bank could not be reached."),
    ("1Q1", _NO, "Declined offline: the card's chip could not be authenticated."),
    ("1Z1", _NO, "Declined offline by the card's chip."),
    ("1Z3", _NO, "Declined offline by the card's chip, because the bank could not be reached."),
)

BANK_CODES: dict[str, BankCode] = {
    code: BankCode(code=code, message=message, category=category, retryable=category in (_LATER, _PROOF))
    for code, category, message in _ROWS
}
