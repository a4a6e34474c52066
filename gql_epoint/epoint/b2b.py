"""Bank transfers to businesses: EPoint's B2B calls, and the webhook that it does not sign.

Source: EPoint's developer portal, as public clients repeat it; the older documents do not have these calls. They
differ from all others: the envelope travels as JSON, errors have real HTTP statuses, and the status is a GET that
names no merchant and carries no signature. So whoever asks compares the answer with what was ordered.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gql_epoint.epoint.reading import decode_object, read_object
from gql_epoint.epoint.wire import Kind, Operation, Reply, Request, Sending


class B2BPaymentRequest(Request, frozen=True, kw_only=True):
    """A transfer to a company's account; `tin` has ten digits, `webhook_url` is told when it is decided."""

    order_id: str
    amount: Decimal
    description: str
    iban: str
    name: str
    tin: str
    bank_code: str
    bank_name: str | None = None
    email: str | None = None
    address: str | None = None
    additional_info: str | None = None
    webhook_url: str | None = None
    bulk_description: str | None = None


class B2BStatusRequest(Request, frozen=True, kw_only=True):
    """A question about a transfer, by the order id that EPoint was given."""

    order_id: str


class B2BPaymentReply(Reply, frozen=True, kw_only=True):
    """Whether EPoint takes the transfer; its success says that it was accepted, not that money has moved."""

    order_id: str | None = None
    bulkId: str | None = None  # noqa: N815 - EPoint's own name


class B2BStatusReply(Reply, frozen=True, kw_only=True):
    """What EPoint knows of a transfer."""

    order_id: str | None = None
    amount: Decimal | None = None
    bulkId: str | None = None  # noqa: N815 - EPoint's own name
    payee_iban: str | None = None
    payee_name: str | None = None
    error_message: str | None = None


class B2BWebhook(msgspec.Struct, frozen=True, kw_only=True):
    """What an unsigned webhook claims. Anybody may have written it, so it proves nothing."""

    order_id: str | None = None
    status: str | None = None


def read_b2b_webhook(raw: bytes) -> B2BWebhook:
    """Read a webhook's body, limited in size by the caller. Raises UnreadableError if it is no JSON object."""
    return read_object(decode_object(raw), B2BWebhook)


BUSINESS_TRANSFER = Operation(
    name="business_transfer",
    path="/api/1/b2b/payment",
    request=B2BPaymentRequest,
    reply=B2BPaymentReply,
    kind=Kind.CHARGE,
    sending=Sending.JSON,
    refuses_by_status=True,
)
BUSINESS_TRANSFER_STATUS = Operation(
    name="business_transfer_status",
    path="/api/1/b2b/payment/{order_id}",
    request=B2BStatusRequest,
    reply=B2BStatusReply,
    kind=Kind.LOOKUP,
    sending=Sending.GET,
    refuses_by_status=True,
)
