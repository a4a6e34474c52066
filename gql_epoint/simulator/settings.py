"""What can be set: merchants, the choices that EPoint's documents leave open, and the faults to inject."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)

Reply = Literal[
    "normal",
    "drop",  # the operation is done, then the connection is closed without an answer
    "hang",  # the operation is done, then nothing is answered
    "garbage",  # the operation is done, the answer is 200 and not JSON
    "http_500",  # the operation is done, the answer is an HTML page with status 500
    "reset_before",  # nothing is done, the connection is closed
    "hang_before",  # nothing is done, nothing is answered
    "http_500_before",  # nothing is done, the answer is an HTML page with status 500
]


class Merchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One EPoint merchant: its keys, and the URLs that a real one types into EPoint's dashboard."""

    public_key: str
    private_key: str
    result_url: str | None = None
    success_url: str | None = None
    error_url: str | None = None
    # Features that EPoint grants merchant by merchant: see grants.py.
    granted: tuple[str, ...] = (
        *("pre-auth", "tokens", "installments", "wallets", "amex"),
        *("b2b", "invoices"),
    )

    def __repr__(self) -> str:
        return f"Merchant({self.public_key!r})"


# The first pair is the example of EPoint's own documentation.
SANDBOX_MERCHANTS = (
    Merchant(public_key="i000000001", private_key="d3hjsl38sd8kdfhbcea0be04eafde9e8e2bad2fb092d"),
    Merchant(public_key="i000000002", private_key="s2kq9v1m7x4wz8c3b6n5t0r2y1u4i7o9p8a6d5f3g2h1"),
)


class CallbackPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How callbacks look and travel; the defaults are the best guess at the real EPoint.

    Each shape has been seen by somebody: see the disagreements between EPoint's documents and its SDKs.
    """

    # Travel.
    delay_s: float = 0.0
    drop: bool = False
    copies: int = 1  # sent at the same time, each with its own retries
    reorder: int = 0  # hold this many callbacks, then send the last one first
    reorder_wait_s: float = 5.0  # send what is held after this time, in reverse, even if it is not enough
    retries: int = 5  # after anything but 200; "multiple times" is all that EPoint's wiki says
    retry_delay_s: float = 1.0  # doubles each time, up to a minute
    timeout_s: float = 10.0

    # Shape.
    encoding: Literal["urlencoded", "multipart", "json"] = "urlencoded"
    amount_as_text: bool = False
    message_as_object: bool = False
    other_attr_as_given: bool = False  # else JSON text, as the public SDKs expect

    # Lies.
    amount: Decimal | None = None  # say this amount instead of the real one
    fields: dict[str, Any] = {}  # say these fields instead of the real ones, or besides them
    omit: tuple[str, ...] = ()  # leave these fields out
    bad_signature: bool = False


class OrderPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to one order, found by its order id, EPoint's transaction or the card id, in this order."""

    bank_code: str | None = None  # the bank answers this, whatever the card says; refunds included
    reply: Reply = "normal"
    reply_times: int | None = None  # for this many requests, then normal; None is for ever
    reply_to: tuple[str, ...] = ()  # names of operations; empty is all but the lookups
    callback: CallbackPlan | None = None  # None: the general one


class InstallmentOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bank's card that pays in instalments."""

    card_id: str
    name: str
    months: tuple[int, ...]


class WalletOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wallet that a customer can pay with."""

    wallet_id: str
    name: str


class Switches(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers to what EPoint's documents leave open or disagree about; each default is our best guess."""

    # v1.0.3 says get-status answers `error` after a decline, the developer portal says `failed`.
    decline_word: Literal["error", "failed"] = "error"
    # The table of execute-pay has no `code`; the bank's code is then visible in `bank_response` only.
    code_in_charge_reply: bool = False
    # Unknown. `empty` is what a public SDK recorded, `text` ("Approved") what another one did.
    bank_response: Literal["code", "text", "empty"] = "code"
    # Everything but status, code, message and the ids is null after a decline; else only what a bank would give.
    bare_failures: bool = False
    # A public SDK's live tests repeat one order id on every run, so EPoint seems to take it.
    refuse_duplicate_orders: bool = False
    # Unknown: what get-status says after a partial refund.
    returned_after: Literal["full", "any"] = "full"
    # Documented for the payout: a card registered with refund=1. That EPoint enforces it is our guess.
    payout_needs_payout_card: bool = True
    # `refund` is 0 for debit and 1 for payout, so a payout card is not one to charge. Our guess too.
    charge_needs_debit_card: bool = True
    # Unknown; no document mentions the refund of a split payment.
    split_refundable: bool = True
    # Unknown; a sandbox refuses an unknown second merchant and a part that is more than the whole.
    check_split: bool = True
    # Listed as required, yet production code that leaves them out works.
    require_language: bool = False
    require_currency_of_refund: bool = False
    # Optional on paper; integrators report that card-registration-with-pay fails without it.
    require_description_to_save_card: bool = True
    # The portal lists four for plain payments; v1.0.3 lists AZN only, and so do all other operations.
    payment_currencies: tuple[str, ...] = ("AZN", "USD", "EUR", "RUB")
    # Unknown words for a malformed charge: the general error, although its own table knows success and failed only.
    malformed_charge_word: Literal["error", "failed"] = "error"
    # EPoint "always returns 200, even on error"; a newer wiki page has seen other codes.
    error_http_status: int = 200
    # On nearly every reply of the portal, in neither PDF.
    trace_id: bool = True
    amount_as_text: bool = False
    other_attr_as_given: bool = False
    # v1.0.3 documents the first address, some clients ask at the second.
    heartbeats: tuple[str, ...] = ("/api/heartbeat", "/api/1/heartbeat")
    # How long a transfer to a business stays in each of its states; None lets it wait for the control API.
    transfer_step_s: float | None = 0.5
    # Unknown: query parameters on the way back to the shop.
    redirect_query: bool = False
    # Disputed: a public SDK says that token/* calls nobody back, a sandbox and an app wait for it.
    token_callbacks: bool = True
    # Unknown: whether get-status knows a widget's order before the customer has done anything there.
    widget_known_at_once: bool = True
    # Unknown words for a refused Apple Pay or Google Pay; documented is `success` alone.
    declined_token_word: Literal["failed", "error"] = "failed"  # noqa: S105 - no password
    # Unknown; `session_expired` exists as the state of a card.
    page_lifetime_s: float = 24 * 3600.0
    # Unknown: what is said to a merchant who lacks the grant for a feature. A sandbox answers HTTP 403.
    not_granted_status: str = "error"
    not_granted_message: str = "This service is not available"
    not_granted_http_status: int = 200

    # Holds. Unknown: what get-status says while an amount is held. `success` is the word that says least.
    held_word: str = "success"
    # Unknown: what it says after a hold was let go; `returned` is documented for refunds.
    released_word: str = "returned"
    # Unknown: whether its amount after a capture of a part is that part.
    captured_amount_in_status: bool = True
    # Unknown: whether a part can be captured at all; the amount is a parameter of the call.
    capture_part: bool = True
    # What get-installment-request lists, and whether it writes months as numbers, which is not documented.
    installment_offers: tuple[InstallmentOffer, ...] = (
        InstallmentOffer(card_id="1", name="First Test Bank", months=(2, 3, 6, 12)),
        InstallmentOffer(card_id="2", name="Second Test Bank", months=(3, 18)),
    )
    installment_months_as_text: bool = False
    # Those of a recorded live answer, which was a map from id to name; one SDK's tests expect `wallets`, a list.
    wallet_offers: tuple[WalletOffer, ...] = (
        WalletOffer(wallet_id="8", name="Portmanat"),
        WalletOffer(wallet_id="9", name="M10"),
        WalletOffer(wallet_id="10", name="BirBank"),
    )
    wallets_as_list: bool = False
    # A client's author has seen a wallet payment's reply without a status.
    wallet_payment_status: bool = True
    # Unknown: how long a hold lasts.
    hold_lifetime_s: float = 30 * 24 * 3600.0


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is fixed at start-up. Switches, callbacks and merchants' URLs can be changed later."""

    merchants: tuple[Merchant, ...] = SANDBOX_MERCHANTS
    switches: Switches = Switches()
    callback: CallbackPlan = CallbackPlan()
    books: Path | None = None  # a JSON file that survives restarts; None keeps all in memory
    public_url: str | None = None  # how customers reach the simulator; None: as the shop reached it
    hang_s: float = 120.0  # what hangs is cut off after this time

    # Bounds. The oldest goes first.
    transactions_max: int = 20_000
    cards_max: int = 20_000
    plans_max: int = 20_000
    callbacks_max: int = 20_000
    exchanges_max: int = 1_000  # requests and answers that the console shows
    deliveries_max: int = 5_000  # on their way or waiting at the same time
    connections_max: int = 50  # to result URLs


def changed(struct: StructT, changes: dict[str, Any]) -> StructT:
    """Return `struct` with `changes` from JSON; raises msgspec.ValidationError that names what is wrong."""
    return msgspec.convert(msgspec.to_builtins(struct) | changes, type(struct))
