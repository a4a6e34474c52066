"""What the simulator does for companies: transfers with real HTTP statuses, invoices, grants, and what survives."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gql_epoint.epoint.signing import seal
from gql_epoint.simulator import SimulatorSettings, running
from tests.simulator_client import MERCHANT, World, granted_all_but, world

TRANSFER = {
    "order_id": "B-1",
    "amount": "250.00",
    "description": "Invoice 17",
    "iban": "AZ21NABZ00000000137010001944",
    "name": "Çay MMC",
    "tin": "1234567891",
    "bank_code": "505141",
}
INVOICE = {
    "sum": "99.90",
    "display": 1,
    "save_as_template": 0,
    "period_from": "2026-01-01",
    "period_to": "2026-01-31",
}
CALLS: dict[str, dict[str, Any]] = {
    "b2b/payment": TRANSFER,
    "invoices/create": INVOICE,
    "invoices/update": INVOICE | {"id": 1001},
    "invoices/view": {"id": 1001},
    "invoices/list": {},
    "invoices/send-sms": {"id": 1001, "phone": "+994501234567"},
    "invoices/send-email": {"id": 1001, "email": "a@example.az"},
}


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


@pytest.mark.parametrize("path", CALLS)
async def test_what_is_not_granted_is_refused(sandbox: World, path: str) -> None:
    """The control API takes a grant away and gives it back; the refusal has a sentence."""
    merchant = f"/merchants/{MERCHANT.public_key}"
    granted = (await sandbox.control("PUT", merchant, {"granted": []}))["granted"]
    refused = await sandbox.post(f"/api/1/{path}", CALLS[path])
    await sandbox.control("PUT", merchant, granted_all_but())
    allowed = await sandbox.post(f"/api/1/{path}", CALLS[path])

    assert granted == []
    assert refused.status_code == 403
    assert (refused.json()["status"], refused.json()["message"]) == ("error", "This service is not available")
    assert allowed.json().get("message") != "This service is not available"


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "0"},
        {"amount": "40000.01"},
        {"iban": "DE89370400440532013000"},
        {"tin": "1234567893"},
        {"description": "a" * 256},
        {"bank_code": None},
        {"name": None},
    ],
)
async def test_wrong_transfers_are_refused_by_status(sandbox: World, wrong: dict[str, Any]) -> None:
    """As another sandbox says of the real one, and with a JSON body."""
    answer = await sandbox.post("/api/1/b2b/payment", TRANSFER | {"order_id": "wrong"} | wrong)

    assert (answer.status_code, answer.json()["status"]) == (422, "error")


async def test_an_order_is_transferred_once(sandbox: World) -> None:
    """The order id is EPoint's only name for it."""
    first = await sandbox.post("/api/1/b2b/payment", TRANSFER | {"order_id": "once"})
    second = await sandbox.post("/api/1/b2b/payment", TRANSFER | {"order_id": "once"})
    unknown = await sandbox.http.get("/api/1/b2b/payment/nobody")

    assert (first.status_code, first.json()["status"]) == (200, "success")
    assert (second.status_code, unknown.status_code) == (422, 404)


async def test_transfers_and_invoices_survive_a_restart(tmp_path: Path) -> None:
    """And what was under way goes on."""
    settings = SimulatorSettings(books=tmp_path / "books.json")
    async with running(settings) as simulator:
        assert simulator.state.books.transfers == []
        async with _client(simulator.url) as call:
            await call("b2b/payment", TRANSFER)
            made = await call("invoices/create", INVOICE)
            await call("invoices/send-email", {"id": made["id"], "email": "a@example.az"})
    async with running(settings) as simulator:
        (transfer,) = simulator.state.books.transfers
        (invoice,) = simulator.state.books.invoices

        assert (transfer.order_id, str(transfer.amount)) == ("B-1", "250.00")
        assert (invoice.id, str(invoice.sum)) == (made["id"], "99.90")
        assert [sent.to for sent in simulator.state.books.sent] == ["a@example.az"]


@contextlib.asynccontextmanager
async def _client(url: str) -> AsyncIterator[Callable[[str, dict[str, Any]], Awaitable[Any]]]:
    async with httpx.AsyncClient(base_url=url, timeout=5) as http:

        async def call(path: str, fields: dict[str, Any]) -> Any:
            sealed = seal(MERCHANT.private_key, msgspec.json.encode({"public_key": MERCHANT.public_key, **fields}))
            data = {"data": sealed.data, "signature": sealed.signature}
            return (await http.post(f"/api/1/{path}", data=data)).json()

        yield call


@pytest.mark.parametrize(("name", "status"), [("a.svg", "success"), ("a.JPG", "success"), ("a.exe", "error")])
async def test_images_come_beside_the_envelope(sandbox: World, name: str, status: str) -> None:
    """EPoint lists five kinds of images by the ends of their names, and SVG is one of them."""
    sealed = seal(MERCHANT.private_key, msgspec.json.encode({"public_key": MERCHANT.public_key, **INVOICE}))
    envelope = {"data": sealed.data, "signature": sealed.signature}
    files = {"invoice_images[]": (name, b"\x00\xff--picture\r\n\r\n", "application/octet-stream")}
    answer = (await sandbox.http.post("/api/1/invoices/create", data=envelope, files=files)).json()

    assert answer["status"] == status
    if status == "success":
        assert [image.name for image in sandbox.state.books.invoice(answer["id"]).images] == [name]


@pytest.mark.parametrize("wrong", [{"sum": "0"}, {"display": 2}, {"period_from": "1.1.2026"}, {"sum": None}])
async def test_wrong_invoices_are_refused(sandbox: World, wrong: dict[str, Any]) -> None:
    assert (await sandbox.call("invoices/create", INVOICE | wrong))["status"] == "error"


async def test_invoices_of_others_do_not_exist(sandbox: World) -> None:
    """Neither to see nor to send."""
    assert (await sandbox.call("invoices/view", {"id": 999_999}))["message"] == "Invoice not found"
    assert (await sandbox.http.get("/invoice/nothing")).status_code == 404
