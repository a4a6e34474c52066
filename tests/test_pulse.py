"""Whether EPoint answers: told to backends and probes, asked seldom, and never a reason to be taken away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gql_epoint.cashier.pulse import Beat, Pulse
from gql_epoint.simulator.settings import SimulatorSettings, Switches
from tests.cases import World
from tests.cashier_kit import open_shop
from tests.service import Client, Service

GATEWAY = "{ gateway { reachable latencyMs lastCallback { disposition transaction { id } } } }"


async def test_many_who_ask_at_once_make_one_heartbeat(tmp_path: Path) -> None:
    """And those who come later are told the same for a while."""
    async with open_shop(tmp_path) as shop:
        beats = await asyncio.gather(*(shop.cashier.pulse.now() for _ in range(50)))
        again = shop.cashier.pulse.last()

        assert {beat.reachable for beat in beats} == {True}
        assert again == beats[0]
        assert shop.requests("heartbeat") == 1


async def test_what_is_old_is_asked_again_in_the_background(tmp_path: Path) -> None:
    """A probe does not wait for EPoint: it hears what was known, and the next one hears the news."""
    async with open_shop(tmp_path) as shop:
        pulse = Pulse(shop.cashier.books, fresh_s=0)
        first = pulse.last()
        async with asyncio.timeout(10):
            while pulse.last() is None or shop.requests("heartbeat") < 3:
                await asyncio.sleep(0.01)
        shop.plan("heartbeat", reply="http_500", reply_to=("heartbeat",))
        async with asyncio.timeout(10):
            while pulse.last() != Beat(reachable=False):
                await asyncio.sleep(0.01)
        await pulse.close()

        assert first is None


@pytest.mark.parametrize("paths", [("/api/heartbeat",), ("/api/1/heartbeat",), ()])
async def test_either_address_will_do(tmp_path: Path, paths: tuple[str, ...]) -> None:
    """The documented one is asked first, the other one where that does not exist, and then at once."""
    settings = SimulatorSettings(switches=Switches(heartbeats=paths))
    async with open_shop(tmp_path, settings=settings) as shop:
        pulse = Pulse(shop.cashier.books, fresh_s=0)
        beats = [await pulse.now(), await pulse.now()]

        assert {beat.reachable for beat in beats} == {bool(paths)}
        asked = (shop.requests("heartbeat"), shop.requests("heartbeat_versioned"))
        assert asked == {("/api/heartbeat",): (2, 0), ("/api/1/heartbeat",): (1, 2), (): (2, 2)}[paths]


@pytest.mark.parametrize("reply", ["http_500", "garbage", "drop", "hang"])
async def test_a_sick_gateway_is_not_reachable(tmp_path: Path, reply: str) -> None:
    """Whatever it does instead of saying ok, nobody waits for it long."""
    async with open_shop(tmp_path) as shop:
        shop.plan("heartbeat", reply=reply, reply_to=("heartbeat",))
        assert await Pulse(shop.cashier.books, limit_s=0.3).now() == Beat(reachable=False)


async def test_gateway_is_told_with_its_last_callback(service: Service, client: Client) -> None:
    """A backend sees that EPoint answers, and which callback came last; whoever balances nodes sees the former."""
    world = World(service=service, client=client, number=90_001)
    paid = await world.paid()
    told = (await client.data(GATEWAY))["gateway"]
    async with client.session.get(f"{service.url}/readyz") as answer:
        assert (answer.status, (await answer.json())["gateway"]) == (200, "ok")

    assert told["reachable"] is True
    assert told["latencyMs"] >= 0
    assert told["lastCallback"] == {"disposition": "APPLIED", "transaction": {"id": paid["id"]}}


async def test_a_node_stays_ready_when_epoint_goes_away(start_service: Any) -> None:
    """Its callbacks and queries still work, so it is not taken out of the balance; it says what it sees."""
    service: Service = start_service()
    service.simulator.kill()
    async with service.client() as client, asyncio.timeout(20):
        told = (await client.data(GATEWAY))["gateway"]
        async with client.session.get(f"{service.url}/readyz") as answer:
            body = await answer.json()

        assert told == {"reachable": False, "latencyMs": None, "lastCallback": None}
        assert (answer.status, body["status"], body["gateway"]) == (200, "ok", "failed")
