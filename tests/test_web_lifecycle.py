from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import ClientConnectorError, WSMsgType

from tests.postgres import new_database
from tests.service import Client, Service
from tests.shop import CALLBACK, FORM, PAY, WATCH, form, new_order, pay, payment, statuses


async def test_a_stop_waits_for_the_call_that_is_under_way(start_service: Any) -> None:
    """Its client still gets the answer, and what became of it is in the books."""
    service: Service = start_service(GQL_EPOINT_CALL_TIMEOUT_S="2")
    order = new_order()
    await service.simulator.control("PUT", f"/orders/{order}", {"reply": "hang_before"})
    async with service.client() as client, asyncio.TaskGroup() as tasks:
        paying = tasks.create_task(client.data(PAY, input=payment(order)))
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(service.stop) == 0
    service.start()
    async with service.client() as client:
        again = (await client.data(PAY, input=payment(order)))["pay"]

    answered = paying.result()["pay"]["transaction"]
    assert answered["status"] == "FAILED"
    assert (again["replayed"], again["transaction"]) == (True, answered)


async def test_a_stop_ends_streams_and_sockets_at_once(start_service: Any) -> None:
    """A deployment does not wait for customers to close their browsers."""
    service: Service = start_service()
    async with service.client() as client:
        order = new_order()
        await pay(client, order)
        watching = [aiter(getattr(client, name)(WATCH, order=order)) for name in ("subscribe", "stream")]
        for stream in watching:
            await anext(stream)
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(service.stop) == 0
        for stream in watching:
            await stream.aclose()


async def test_a_stop_tells_sockets_to_come_back(start_service: Any) -> None:
    """1001, going away: clients connect again after it, and here that is another node. An idle one is told too."""
    service: Service = start_service()
    order = new_order()
    async with service.client() as client:
        await pay(client, order)
        async with client.socket() as busy, client.socket() as idle, client.raw_socket() as silent:
            subscribe = {"query": WATCH, "variables": {"order": order}}
            await busy.send_json({"id": "1", "type": "subscribe", "payload": subscribe})
            assert (await busy.receive_json())["type"] == "next"
            async with asyncio.timeout(10):
                assert await asyncio.to_thread(service.stop) == 0
            closed = [await socket.receive() for socket in (busy, idle, silent)]

    assert [(message.type, message.data) for message in closed] == [(WSMsgType.CLOSE, 1001)] * 3


async def test_a_stop_takes_no_more_work_while_it_finishes_a_call(start_service: Any) -> None:
    """Whoever connects meanwhile is refused at once and can go elsewhere; the call is answered all the same."""
    service: Service = start_service(GQL_EPOINT_CALL_TIMEOUT_S="3")
    order = new_order()
    await service.simulator.control("PUT", f"/orders/{order}", {"reply": "hang_before"})
    async with service.client() as client, service.client() as late, asyncio.TaskGroup() as tasks:
        paying = tasks.create_task(client.data(PAY, input=payment(order)))
        await asyncio.sleep(0.5)
        stopping = tasks.create_task(asyncio.to_thread(service.stop))
        await asyncio.sleep(0.5)
        assert not paying.done()
        with pytest.raises(ClientConnectorError):
            await late.data("{ viewer { level } }")

    assert stopping.result() == 0
    assert paying.result()["pay"]["transaction"]["status"] == "FAILED"


async def test_a_payment_survives_a_power_cut(start_service: Any) -> None:
    """What was answered is there after a kill -9, and its payment goes on."""
    service: Service = start_service()
    order = new_order()
    async with service.client() as client:
        transaction = await pay(client, order)
    service.restart()
    async with service.client() as client, asyncio.timeout(20):
        found = [payload async for payload in _watch_and_pay(service, client, order, transaction)]

    assert statuses(found) == [("SNAPSHOT", "REQUIRES_ACTION"), ("CHANGE", "SUCCESS")]


async def test_the_books_may_be_on_a_postgresql_server(start_service: Any) -> None:
    """One setting moves them there, and everything else stays as it was."""
    async with new_database() as url:
        service: Service = start_service(GQL_EPOINT_DATABASE_URL=url)
        order = new_order()
        async with service.client() as client, asyncio.timeout(20):
            transaction = await pay(client, order)
            found = [payload async for payload in _watch_and_pay(service, client, order, transaction)]
        assert await asyncio.to_thread(service.stop) == 0

    assert statuses(found) == [("SNAPSHOT", "REQUIRES_ACTION"), ("CHANGE", "SUCCESS")]


async def test_callbacks_are_postponed_while_the_database_is_away(start_service: Any) -> None:
    """EPoint repeats what is not answered with 200; a forged one is refused all the same."""
    async with new_database() as url:
        service: Service = start_service(GQL_EPOINT_DATABASE_URL=url)
    # Its database is gone now, and its connections with it.
    async with service.client() as client, asyncio.timeout(40):
        for body, status in ((form(CALLBACK), 503), (b"data=e30%3D&signature=AAAA", 400)):
            async with client.session.post(f"{service.url}/webhooks/epoint", data=body, headers=FORM) as answer:
                assert answer.status == status
        async with client.session.get(f"{service.url}/readyz") as ready:
            assert (ready.status, (await ready.json())["checks"]["database"]) == (503, "failed")
        async with client.session.get(f"{service.url}/healthz") as alive:
            assert alive.status == 200


async def _watch_and_pay(service: Service, client: Client, order: str, transaction: dict[str, Any]) -> Any:
    async for payload in client.subscribe(WATCH, order=order):
        yield payload
        if payload["data"]["transactionUpdated"]["kind"] == "SNAPSHOT":
            await service.simulator.pay(transaction["nextAction"]["url"])
