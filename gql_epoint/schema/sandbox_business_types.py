"""Invoices and transfers to businesses as the simulator shows them, in the sandbox's contract."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Self

import strawberry

from gql_epoint import simulator_control as control
from gql_epoint.schema.access import READ, Pii
from gql_epoint.schema.enums import value
from gql_epoint.schema.errors import UserError
from gql_epoint.schema.inputs import given, optional
from gql_epoint.schema.sandbox_types import SimulatorAttempt
from gql_epoint.schema.scalars import Url
from gql_epoint.schema.values import Money

_WHY_NOT = "Why nothing was done: NOT_FOUND, INVALID_INPUT or GATEWAY_UNAVAILABLE. Empty if all is well."


@strawberry.enum(description="Where an invoice of the simulator can be put.")
class SimulatorInvoiceState(Enum):
    """Where an invoice can be put."""

    WAITING_FOR_PAYMENT = value("waiting_for_payment", description="A person opens it again.")
    PAID = value("paid", description="A customer pays it.")
    CANCELED = value("canceled", description="A person cancels it.")


@strawberry.enum(description="Where a transfer of the simulator can be put.")
class SimulatorTransferState(Enum):
    """Where a transfer can be put."""

    PENDING = value("PENDING", description="It waits for the bank.")
    PROCESSING = value("PROCESSING", description="The bank works on it.")
    SUCCESS = value("SUCCESS", description="The bank has carried it out. Its webhook tells of it.")
    FAILED = value("FAILED", description="The bank has rejected it. Its webhook tells of it.")


@strawberry.enum(description="How EPoint would have reached a customer.")
class SimulatorChannel(Enum):
    """How EPoint would have reached a customer."""

    SMS = value("sms", description="A text message.")
    EMAIL = value("email", description="An e-mail.")


@strawberry.enum(description="What a webhook of a transfer can say.")
class SimulatorWebhookWord(Enum):
    """What a webhook can say."""

    SUCCESS = value("success", description="The transfer was carried out.")
    FAILED = value("failed", description="The transfer was rejected.")


@strawberry.type(description="An SMS or e-mail that EPoint would have sent.")
class SimulatorMessage:
    """A message that would have been sent."""

    channel: SimulatorChannel = strawberry.field(description="How it would have gone out.")
    to: str = strawberry.field(description="The phone or the address.", directives=[Pii()])
    link: Url = strawberry.field(description="The page on which the customer pays.")
    sent_at: datetime = strawberry.field(description="When it would have gone out.")


@strawberry.type(description="An image that came with an invoice: what it was. The simulator does not keep it.")
class SimulatorImage:
    """An image that came with an invoice."""

    name: str = strawberry.field(description="The file's name as sent.")
    bytes: int = strawberry.field(description="How long it was.")
    sha256: str = strawberry.field(description="The SHA-256 of its bytes, in hex.")


@strawberry.type(description="An invoice on EPoint's side, as the simulator has it in its books.")
class SimulatorInvoice:
    """An invoice in the simulator's books."""

    gateway_invoice_id: str = strawberry.field(description="EPoint's id of it.")
    order_id: str | None = strawberry.field(description="The order id that EPoint was given.")
    amount: Money = strawberry.field(description="What the customer pays.")
    status: str = strawberry.field(
        description="EPoint's own word: `waiting_for_payment`, `paid` or `canceled`. An open vocabulary."
    )
    page_url: Url = strawberry.field(description="Where the customer pays it.")
    images: list[SimulatorImage] = strawberry.field(description="The images that came with it.")
    outbox: list[SimulatorMessage] = strawberry.field(description="What was sent of it, the first one first.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @classmethod
    def of(cls, known: control.SimulatedInvoice, base_url: str) -> Self:
        """Build it from what the simulator says; `base_url` is where its pages are."""
        return cls(
            gateway_invoice_id=str(known.id),
            order_id=known.merchant_order_id,
            amount=Money.of(known.sum, "AZN"),
            status=known.state,
            page_url=Url(base_url + known.page),
            images=[SimulatorImage(name=one.name, bytes=one.size, sha256=one.sha256) for one in known.images],
            outbox=[
                SimulatorMessage(
                    channel=SimulatorChannel(one.channel), to=one.to, link=Url(one.link), sent_at=one.at
                )
                for one in known.sent
            ],
            created_at=known.at,
        )


@strawberry.type(description="A transfer to a business on EPoint's side, as the simulator has it in its books.")
class SimulatorTransfer:
    """A transfer in the simulator's books."""

    order_id: str = strawberry.field(description="The order id that EPoint was given, and its only name for it.")
    amount: Money = strawberry.field(description="What the payee gets.")
    status: str = strawberry.field(
        description="EPoint's own word: `PENDING`, `PROCESSING`, `SUCCESS` or `FAILED`. An open vocabulary."
    )
    payee_name: str = strawberry.field(description="Who gets it.", directives=[Pii()])
    payee_iban: str = strawberry.field(description="The account that it goes to.", directives=[Pii()])
    bulk_id: str = strawberry.field(description="EPoint's id of the batch that it went into.")
    has_webhook: bool = strawberry.field(
        description="Whether EPoint was given an address for a webhook. The address itself is not shown."
    )
    webhook_attempts: list[SimulatorAttempt] = strawberry.field(
        description="Every attempt to deliver its webhook, the latest 100, in order.", directives=[READ]
    )
    created_at: datetime = strawberry.field(description="When it was ordered.")

    @classmethod
    def of(cls, known: control.SimulatedTransfer) -> Self:
        """Build it from what the simulator says."""
        return cls(
            order_id=known.order_id,
            amount=Money.of(known.amount, "AZN"),
            status=known.state,
            payee_name=known.name,
            payee_iban=known.iban,
            bulk_id=known.bulk_id,
            has_webhook=known.has_webhook,
            webhook_attempts=[SimulatorAttempt.of(one) for one in known.webhook_attempts],
            created_at=known.at,
        )


@strawberry.type(description="What has changed at the simulator: one of the two, the other is null.")
class SimulatorBusinessUpdate:
    """An invoice or a transfer that has changed."""

    invoice: SimulatorInvoice | None = strawberry.field(description="The invoice as it is now.", default=None)
    transfer: SimulatorTransfer | None = strawberry.field(description="The transfer as it is now.", default=None)


@strawberry.type(description="What became of playing with an invoice.")
class SimulatorInvoicePayload:
    """What became of playing with an invoice."""

    simulator_invoice: SimulatorInvoice | None = strawberry.field(
        description="The invoice on EPoint's side as it is now; null if nothing was done."
    )
    errors: list[UserError] = strawberry.field(description=_WHY_NOT)


@strawberry.type(description="What became of playing with a transfer to a business.")
class SimulatorTransferPayload:
    """What became of playing with a transfer."""

    simulator_transfer: SimulatorTransfer | None = strawberry.field(
        description="The transfer on EPoint's side as it is now; null if nothing was done."
    )
    errors: list[UserError] = strawberry.field(description=_WHY_NOT)


@strawberry.input(description="How this one webhook of a transfer differs from the simulator's usual ones.")
class SimulatorWebhookInput:
    """How a webhook travels and what it says."""

    delay_ms: int | None = optional("Send it this much later, in milliseconds, up to an hour.")
    drop: bool | None = optional("Lose it.")
    copies: int | None = optional("Send it so many times at once, up to 20.")
    status: SimulatorWebhookWord | None = optional("Say this, whatever the books hold: nobody signs it.")
    amount: Decimal | None = optional("Say this amount, though EPoint's books hold another one.")

    def to_changes(self) -> dict[str, Any]:
        """Return what the simulator's plan for callbacks is changed by."""
        amount, delay_ms, status = given(self.amount), given(self.delay_ms), given(self.status)
        changes = {
            "delay_s": None if delay_ms is None else delay_ms / 1000,
            "drop": given(self.drop),
            "copies": given(self.copies),
            "fields": None if status is None else {"status": status.value},
            "amount": None if amount is None else format(amount, "f"),
        }
        return {name: changed for name, changed in changes.items() if changed is not None}
