"""What the simulator shows, as types of the sandbox's contract."""

import json
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Self

import strawberry
from strawberry.scalars import ID

from gql_epoint import simulator_control as control
from gql_epoint.schema.access import READ, Pii
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import value
from gql_epoint.schema.inputs import given, optional
from gql_epoint.schema.scalars import Json, Url
from gql_epoint.schema.values import Money


@strawberry.enum(description="What the simulator found when it checked the signature of a request.")
class SimulatorSignature(Enum):
    """The verdict on a signature."""

    VALID = value("valid", description="It was made with the merchant's private key.")
    INVALID = value("invalid", description="It was made with another key, or over other data.")
    MISSING = value("missing", description="The body holds no `data` and `signature`.")
    UNKNOWN_MERCHANT = value("unknown_merchant", description="The simulator has no merchant of that public key.")


@strawberry.enum(description="Where a callback of the simulator is.")
class SimulatorCallbackState(Enum):
    """Where a callback is."""

    WAITING = value("waiting", description="On its way: late on purpose, held back, or between two attempts.")
    DELIVERED = value("delivered", description="The receiver answered 200.")
    DROPPED = value("dropped", description="Lost on purpose, or there was no address to send it to.")
    GIVEN_UP = value("given_up", description="The receiver never answered 200.")
    CANCELLED = value("cancelled", description="The simulator stopped before it was delivered.")


@strawberry.enum(description="How a callback is written. Each has been seen from the real EPoint by somebody.")
class SimulatorEncoding(Enum):
    """How a callback is written."""

    URLENCODED = value("urlencoded", description="As a form: the simulator's usual way.")
    MULTIPART = value("multipart", description="As a form with parts.")
    JSON = value("json", description="As a JSON object.")


@strawberry.type(description="One attempt to deliver a callback.")
class SimulatorAttempt:
    """One attempt to deliver a callback."""

    at: datetime = strawberry.field(description="When it ended.")
    http_status: int | None = strawberry.field(description="What the receiver answered; null if it did not.")
    error: str | None = strawberry.field(description="What went wrong instead, such as `ClientConnectorError`.")
    response_body: str | None = strawberry.field(description="The beginning of what the receiver answered.")
    duration_ms: int | None = strawberry.field(description="How long it took, in milliseconds.")

    @classmethod
    def of(cls, known: control.Attempt) -> Self:
        """Build it from what the simulator says."""
        return cls(
            at=known.at,
            http_status=known.http_status,
            error=known.error,
            response_body=known.reply,
            duration_ms=_rounded(known.duration_ms),
        )


@strawberry.type(description="One copy of one callback of the simulator, with everything tried to deliver it.")
class SimulatorCallback:
    """One copy of one callback."""

    number: int = strawberry.field(description="Names it for `simulatorSendCallback` and `simulatorDropCallback`.")
    created_at: datetime = strawberry.field(description="When the simulator decided to send it.")
    state: SimulatorCallbackState = strawberry.field(description="Where it is now.")
    encoding: SimulatorEncoding = strawberry.field(description="How it is written.")
    signed: bool = strawberry.field(
        description="Whether its signature is right; false where it was spoilt on purpose."
    )
    data: str | None = strawberry.field(description="The parameter `data` as sent.")
    signature: str | None = strawberry.field(description="The parameter `signature` as sent.")
    body: Json | None = strawberry.field(description="What is in `data`.")
    attempts: list[SimulatorAttempt] = strawberry.field(description="Every attempt, the first one first.")

    @classmethod
    def of(cls, known: control.Callback) -> Self:
        """Build it from what the simulator says."""
        return cls(
            number=known.number,
            created_at=known.at,
            state=SimulatorCallbackState(known.state),
            encoding=SimulatorEncoding(known.encoding),
            signed=known.signed,
            data=known.data,
            signature=known.signature,
            body=_json(known.decoded),
            attempts=[SimulatorAttempt.of(one) for one in known.attempts],
        )


@strawberry.type(description="One HTTP request to the simulator and its answer. Card numbers are hidden.")
class SimulatorExchange:
    """One request and its answer."""

    number: int = strawberry.field(description="Counts all requests of the simulator.")
    at: datetime = strawberry.field(description="When the request had arrived.")
    method: str = strawberry.field(description="The HTTP method.")
    path: str = strawberry.field(description="The path, such as `/api/1/request`.")
    signature: SimulatorSignature | None = strawberry.field(
        description="The verdict on its signature; null where nothing is signed, as on a customer's page."
    )
    request_body: str = strawberry.field(description="The body as sent.")
    request: Json | None = strawberry.field(description="What is in its `data`.")
    http_status: int | None = strawberry.field(description="The status of the answer; null if there was none.")
    response_body: str = strawberry.field(description="The answer as sent.")
    response: Json | None = strawberry.field(description="The answer, if it is JSON.")
    duration_ms: int | None = strawberry.field(
        description="How long it took, in milliseconds; null while it is waited for."
    )

    @classmethod
    def of(cls, known: control.Exchange) -> Self:
        """Build it from what the simulator says."""
        return cls(
            number=known.number,
            at=known.at,
            method=known.method,
            path=known.path,
            signature=SimulatorSignature(known.signature) if known.signature else None,
            request_body=known.request,
            request=_json(known.decoded),
            http_status=known.http_status,
            response_body=known.reply,
            response=_json(known.reply_decoded),
            duration_ms=_rounded(known.duration_ms),
        )


@strawberry.type(description="A transaction on EPoint's side, as the simulator has it in its books.")
class SimulatorTransaction:
    """A transaction in the simulator's books."""

    known: strawberry.Private[control.Simulated]
    gateway_transaction_id: str = strawberry.field(description="EPoint's id of it, such as `te0000000001`.")
    operation: str = strawberry.field(description="What was asked for, such as `pay`. An open vocabulary.")
    order_id: str | None = strawberry.field(description="The order id that EPoint was given.")
    amount: Money | None = strawberry.field(description="What is paid; null where a card is only saved.")
    refunded: Money | None = strawberry.field(description="What has been given back, by the API or in the cabinet.")
    status: str = strawberry.field(
        description="EPoint's own word: `new`, `success`, `failed` or `returned`. An open vocabulary."
    )
    bank_code: str | None = strawberry.field(
        description="The bank's answer, such as `000`; null while there is none."
    )
    card_id: str | None = strawberry.field(
        description="EPoint's id of the card that was saved or charged.", directives=[Pii(), READ]
    )
    card_mask: str | None = strawberry.field(description="The card with its middle hidden.", directives=[Pii()])
    page_url: Url | None = strawberry.field(description="Where the customer types the card number.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(description="Everything that was asked and answered about it, the latest 100, in order.")
    async def exchanges(self, info: Info) -> list[SimulatorExchange]:
        """Show requests and answers."""
        known = await self._complete(info)
        return [SimulatorExchange.of(one) for one in known.exchanges or ()]

    @strawberry.field(description="Its callbacks with their deliveries, the latest 100, in order.")
    async def callbacks(self, info: Info) -> list[SimulatorCallback]:
        """Show callbacks."""
        known = await self._complete(info)
        return [SimulatorCallback.of(one) for one in known.callbacks or ()]

    async def _complete(self, info: Info) -> control.Simulated:
        # A list has the rows alone; whoever selects more of them asks for each.
        if self.known.exchanges is None:
            assert info.context.simulator is not None
            self.known = await info.context.simulator.transaction(self.known.transaction)
        return self.known

    @classmethod
    def of(cls, known: control.Simulated, base_url: str) -> Self:
        """Build it from what the simulator says; `base_url` is where its pages are."""
        return cls(
            known=known,
            gateway_transaction_id=known.transaction,
            operation=known.operation,
            order_id=known.order_id,
            amount=_money(known.amount, known.currency),
            refunded=_money(known.refunded, known.currency),
            status=known.status,
            bank_code=known.code,
            card_id=known.card_id,
            card_mask=known.card_mask,
            page_url=Url(base_url + known.page) if known.page else None,
            created_at=known.at,
        )


@strawberry.input(one_of=True, description="Names a transaction of the simulator, in exactly one way.")
class SimulatorBy:
    """Names a transaction of the simulator."""

    transaction_id: ID | None = optional("This service's id of the transaction: `Transaction.id`.")
    order_id: str | None = optional("The merchant's order id. It means the paid attempt, or else the latest.")
    saved_card_id: ID | None = optional("This service's id of the card that the transaction saves: `SavedCard.id`.")
    gateway_transaction_id: str | None = optional("EPoint's id of the transaction, also of one made elsewhere.")

    def chosen(self) -> tuple[str, str]:
        """Return which name it is, and the name."""
        for kind in ("transaction_id", "order_id", "saved_card_id", "gateway_transaction_id"):
            name = given(getattr(self, kind))
            if name is not None:
                return kind, plain_text(name)
        raise AssertionError("exactly one is set")


@strawberry.input(description="How this one callback differs from the simulator's usual ones.")
class SimulatorCallbackInput:
    """How a callback travels and what it says."""

    delay_ms: int | None = optional("Send it this much later, in milliseconds, up to an hour.")
    drop: bool | None = optional("Lose it.")
    copies: int | None = optional("Send it so many times at once, up to 20.")
    reorder: int | None = optional(
        "Hold so many callbacks of the merchant back, then send the last one first. Five seconds are waited."
    )
    amount: Decimal | None = optional("Say this amount, though EPoint's books hold another one.")
    encoding: SimulatorEncoding | None = optional("How it is written.")
    bad_signature: bool | None = optional("Sign it with a wrong key, as a forger would.")

    def to_changes(self) -> dict[str, Any]:
        """Return what the simulator's plan for callbacks is changed by."""
        encoding, amount, delay_ms = given(self.encoding), given(self.amount), given(self.delay_ms)
        changes = {
            "delay_s": None if delay_ms is None else delay_ms / 1000,
            "drop": given(self.drop),
            "copies": given(self.copies),
            "reorder": given(self.reorder),
            "amount": None if amount is None else format(amount, "f"),
            "encoding": None if encoding is None else encoding.value,
            "bad_signature": given(self.bad_signature),
        }
        return {name: changed for name, changed in changes.items() if changed is not None}


def _money(amount: Decimal | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money.of(amount, currency)


def _json(text: str | None) -> Json | None:
    if text is None:
        return None
    try:
        return Json(json.loads(text))
    except (ValueError, RecursionError):
        return None  # cut off, or not meant to be JSON


def _rounded(duration_ms: float | None) -> int | None:
    return None if duration_ms is None else round(duration_ms)
