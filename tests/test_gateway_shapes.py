"""Calls that differ from a signed form: JSON, GET and multipart, and refusals by HTTP status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from aiohttp import web

from gql_epoint.epoint import BUSINESS_TRANSFER, BUSINESS_TRANSFER_STATUS, GET_STATUS, StatusRequest, unseal
from gql_epoint.epoint.b2b import B2BPaymentRequest, B2BStatusRequest
from gql_epoint.epoint.heartbeat import HEARTBEAT, HeartbeatRequest
from gql_epoint.epoint.invoices import CREATE_INVOICE, InvoiceRequest
from gql_epoint.epoint.operations import CAPTURE
from gql_epoint.epoint.requests import CaptureRequest
from gql_epoint.epoint.wire import Upload
from gql_epoint.errors import GatewayError, GatewayRefusedError, GatewayUnclearError
from gql_epoint.gateway import Gateway, Merchant

KEY = "a-private-key"
TRANSFER = B2BPaymentRequest(
    order_id="B-1",
    amount=Decimal("250.00"),
    description="Çay",
    iban="AZ21NABZ00000000137010001944",
    name="Çay MMC",
    tin="1234567891",
    bank_code="505141",
)
INVOICE = InvoiceRequest(
    sum=Decimal("99.90"), display=1, save_as_template=0, period_from="2026-01-01", period_to="2026-01-31"
)


class Epoint:
    """Answers with what it is told, and keeps the last request."""

    def __init__(self) -> None:
        self.status, self.body = 200, b'{"status": "success"}'
        self.method = self.path = ""
        self.parts: dict[str, Any] = {}

    async def take(self, request: web.Request) -> web.Response:
        self.method, self.path = request.method, request.raw_path
        self.parts = await (request.json() if request.content_type == "application/json" else self._form(request))
        return web.Response(status=self.status, body=self.body, content_type="application/json")

    async def _form(self, request: web.Request) -> dict[str, Any]:
        form = await request.post()
        # A file is closed with its request.
        return {
            name: (value.filename, value.content_type, value.file.read())
            if isinstance(value, web.FileField)
            else value
            for name, value in form.items()
        }


@pytest.fixture
async def epoint() -> AsyncIterator[tuple[Epoint, Gateway]]:
    served = Epoint()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    merchant = Merchant(public_key="i000000001", private_key=KEY)
    try:
        async with Gateway(merchant, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}") as gateway:
            yield served, gateway
    finally:
        await runner.cleanup()


async def test_transfer_travels_as_json(epoint: tuple[Epoint, Gateway]) -> None:
    """The envelope is the usual one, and its signature covers the data as sent."""
    served, gateway = epoint
    reply = await gateway.call(BUSINESS_TRANSFER, TRANSFER)
    sent = msgspec.json.decode(unseal(KEY, **served.parts))

    assert reply.status == "success"
    assert (served.method, served.path) == ("POST", "/api/1/b2b/payment")
    assert (sent["public_key"], sent["amount"], sent["description"]) == ("i000000001", "250.00", "Çay")
    assert "webhook_url" not in sent


@pytest.mark.parametrize(
    ("order_id", "path"),
    [
        ("B-1.a_b", "/api/1/b2b/payment/B-1.a_b"),
        ("a/b", "/api/1/b2b/payment/a%2Fb"),
        ("a?b#c%d", "/api/1/b2b/payment/a%3Fb%23c%25d"),
        ("ç d", "/api/1/b2b/payment/%C3%A7%20d"),
    ],
)
async def test_question_names_the_order_in_its_path(
    epoint: tuple[Epoint, Gateway], order_id: str, path: str
) -> None:
    """Whatever the order id is, it is one part of the path and nothing else."""
    served, gateway = epoint
    served.body = b'{"status": "SUCCESS", "amount": "250.00", "payee_iban": "AZ21"}'
    reply = await gateway.call(BUSINESS_TRANSFER_STATUS, B2BStatusRequest(order_id=order_id))

    assert (served.method, served.path, served.parts) == ("GET", path, {})
    assert (reply.status, reply.amount, reply.payee_iban) == ("SUCCESS", Decimal("250.00"), "AZ21")
    preview = gateway.preview(BUSINESS_TRANSFER_STATUS, B2BStatusRequest(order_id=order_id))
    assert (preview.url.endswith(path), preview.data, preview.signature) == (True, "", "")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"status": "error", "message": "No"}', GatewayRefusedError),
        (401, b'{"message": "No"}', GatewayRefusedError),
        (403, b'{"message": "No"}', GatewayRefusedError),
        (404, b'{"status": "error"}', GatewayRefusedError),
        (422, b'{"message": "No"}', GatewayRefusedError),
        (429, b'{"message": "No"}', GatewayRefusedError),
        # Another request of the same kind may be under way, or something in between speaks.
        (408, b'{"message": "No"}', GatewayUnclearError),
        (409, b'{"message": "No"}', GatewayUnclearError),
        (500, b'{"message": "No"}', GatewayUnclearError),
        (502, b'{"message": "No"}', GatewayUnclearError),
        (301, b'{"message": "No"}', GatewayUnclearError),
        (201, b'{"status": "success"}', GatewayUnclearError),
        (403, b"<html>Forbidden</html>", GatewayUnclearError),
        (404, b"[]", GatewayUnclearError),
        (404, b"{}", GatewayUnclearError),
        (200, b"<html>", GatewayUnclearError),
    ],
)
async def test_only_a_clear_no_is_a_refusal(
    epoint: tuple[Epoint, Gateway], status: int, body: bytes, error: type[GatewayError]
) -> None:
    """What is not EPoint's own JSON with a 4xx that means no leaves the money in doubt."""
    served, gateway = epoint
    served.status, served.body = status, body
    with pytest.raises(error) as caught:
        await gateway.call(BUSINESS_TRANSFER, TRANSFER)

    assert caught.value.money_may_have_moved is (error is GatewayUnclearError)
    assert "No" not in str(caught.value).split()


async def test_other_operations_are_not_refused_by_status(epoint: tuple[Epoint, Gateway]) -> None:
    """Where EPoint says no with HTTP 200, another status is a riddle."""
    served, gateway = epoint
    served.status, served.body = 404, b'{"status": "error", "message": "No"}'
    for operation, request in ((GET_STATUS, StatusRequest(transaction="te1")), (HEARTBEAT, HeartbeatRequest())):
        with pytest.raises(GatewayUnclearError) as caught:
            await gateway.call(operation, request)
        assert caught.value.http_status == 404


@pytest.mark.parametrize(
    ("status", "body", "is_told"),
    [
        (403, b'{"status": "error", "message": "Not available"}', True),
        (403, b'{"status": "success", "transaction": "te1"}', False),
        (403, b'{"message": "Forbidden"}', False),
        (403, b"<html>Forbidden</html>", False),
        (401, b'{"status": "error", "message": "Not available"}', False),
        (500, b'{"status": "error", "message": "Not available"}', False),
    ],
)
async def test_what_may_not_be_granted_may_be_refused_by_403(
    epoint: tuple[Epoint, Gateway], status: int, body: bytes, is_told: bool
) -> None:
    """EPoint's own `error` is told then, as with HTTP 200; anything else is a riddle, and so it is elsewhere."""
    served, gateway = epoint
    served.status, served.body = status, body
    request = CaptureRequest(transaction="te1", amount=Decimal("1.00"))
    if is_told:
        reply = await gateway.call(CAPTURE, request)
        assert (reply.status, reply.message) == ("error", "Not available")
    else:
        with pytest.raises(GatewayUnclearError):
            await gateway.call(CAPTURE, request)


async def test_images_are_beside_the_envelope(epoint: tuple[Epoint, Gateway]) -> None:
    """Multipart, and the signed data is the same as without them."""
    served, gateway = epoint
    image = Upload(
        name="invoice_images[]", file_name="image-1.png", content_type="image/png", content=b"\x89PNG\r\n\x00--"
    )
    await gateway.call(CREATE_INVOICE, INVOICE)
    plain = served.parts
    await gateway.call(CREATE_INVOICE, INVOICE, files=[image])

    assert {name: served.parts[name] for name in ("data", "signature")} == plain
    assert served.parts["invoice_images[]"] == ("image-1.png", "image/png", image.content)
