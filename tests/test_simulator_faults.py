from __future__ import annotations

import asyncio
import random

import httpx
import pytest

from gql_epoint.errors import ConfigurationError
from gql_epoint.simulator import OrderPlan, SimulatorSettings, create_simulator, running, serve
from tests.simulator_client import MERCHANT, OTHER_MERCHANT, PAY, SILENT, World, world


@pytest.fixture(scope="module")
async def sandbox():
    async with world() as made:
        yield made


async def charge(sandbox: World, order_id: str, card: str) -> httpx.Response:
    return await sandbox.post("/api/1/execute-pay", {**PAY, "order_id": order_id, "card_id": card})


async def known(sandbox: World, order_id: str) -> str:
    """Say what get-status knows of an order."""
    reply = await sandbox.call("get-status", {"order_id": order_id})
    return reply["status"] if "transaction" in reply else "unknown"


@pytest.mark.parametrize(("reply", "status"), [("drop", "success"), ("reset_before", "unknown")])
async def test_closed_connections(sandbox: World, reply, status):
    """The connection breaks without an answer, after the money has moved or before."""
    card = await sandbox.saved_card()
    await sandbox.control("PUT", f"/orders/{reply}", {"reply": reply})
    with pytest.raises(httpx.RemoteProtocolError):
        await charge(sandbox, reply, card)

    assert status == await known(sandbox, reply)


@pytest.mark.parametrize(("reply", "status"), [("hang", "success"), ("hang_before", "unknown")])
async def test_no_answer(sandbox: World, reply, status):
    """Nothing is answered, after the money has moved or before."""
    card = await sandbox.saved_card()
    await sandbox.control("PUT", f"/orders/{reply}", {"reply": reply})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await charge(sandbox, reply, card)

    assert status == await known(sandbox, reply)


@pytest.mark.parametrize(
    ("reply", "code", "status"),
    [("garbage", 200, "success"), ("http_500", 500, "success"), ("http_500_before", 500, "unknown")],
)
async def test_useless_answers(sandbox: World, reply, code, status):
    """The answer is HTML, after the money has moved or before."""
    card = await sandbox.saved_card()
    await sandbox.control("PUT", f"/orders/{reply}", {"reply": reply})
    answer = await charge(sandbox, reply, card)

    assert code == answer.status_code
    assert "text/html" in answer.headers["content-type"]
    assert status == await known(sandbox, reply)


async def test_a_charge_of_a_silent_card_hangs_and_stays_new(sandbox: World):
    """A saved card ending 9999 never answers and nobody learns how it went."""
    card = await sandbox.saved_card(SILENT)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await charge(sandbox, "silent", card)

    assert await known(sandbox, "silent") == "new"


async def test_a_fault_can_be_counted_and_aimed(sandbox: World):
    """A plan spoils the named operation so many times, and nothing else."""
    card = await sandbox.saved_card()
    plan = {"reply": "http_500", "reply_times": 2, "reply_to": ["execute-pay", "pay_with_saved_card"]}
    await sandbox.control("PUT", "/orders/counted", plan)
    codes = [(await sandbox.post("/api/1/request", {**PAY, "order_id": "counted"})).status_code]
    codes += [(await charge(sandbox, "counted", card)).status_code for _ in range(3)]

    assert codes == [200, 500, 500, 200]


async def test_a_lookup_can_be_spoilt_by_name(sandbox: World):
    """Lookups are answered unless a plan names them."""
    await sandbox.paid(order_id="dark")
    await sandbox.control("PUT", "/orders/dark", {"reply": "http_500", "reply_to": ["get_status"]})

    assert (await sandbox.post("/api/1/get-status", {"order_id": "dark"})).status_code == 500


async def test_a_refund_is_found_by_the_order_of_its_payment(sandbox: World):
    """A lost refund: the reply is gone, the money is back."""
    name = (await sandbox.paid(order_id="given-back"))["transaction"]
    await sandbox.control("PUT", "/orders/given-back", {"reply": "garbage"})
    answer = await sandbox.post("/api/1/reverse", {"transaction": name, "currency": "AZN"})

    assert "text/html" in answer.headers["content-type"]
    assert (await sandbox.status(name))["status"] == "returned"


async def test_the_cabinet_refunds_without_a_callback(sandbox: World):
    """A person's refund shows in get-status only, and cannot exceed what is left."""
    name = (await sandbox.paid())["transaction"]
    await sandbox.control("POST", f"/transactions/{name}/refund", {"amount": "30"})
    too_much = await sandbox.http.post(f"/_control/transactions/{name}/refund", json={"amount": "1"})
    await sandbox.control("POST", f"/transactions/{name}/refund")

    assert too_much.status_code == 400
    assert (await sandbox.status(name))["status"] == "returned"
    assert [refund.by for refund in sandbox.state.books.transaction(name).refunds] == ["cabinet", "cabinet"]
    assert sandbox.shop.received.empty()


async def test_the_bank_can_answer_late(sandbox: World):
    """A payment that was silent is settled afterwards, with its callback."""
    reply = await sandbox.call("request", PAY)
    await sandbox.submit(reply["redirect_url"], SILENT)
    await sandbox.control("POST", f"/transactions/{reply['transaction']}/settle", {"code": "000"})

    assert (await sandbox.shop.callback()).status == "success"
    assert (await sandbox.status(reply["transaction"]))["status"] == "success"


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("PUT", "/orders/x", {"reply": "sing"}, 400),
        ("PUT", "/orders/x", {"callback": {"copies": "many"}}, 400),
        ("PUT", "/orders/x", {"colour": "red"}, 400),
        ("PUT", "/settings", {"merchants": []}, 400),
        ("PUT", "/settings", {"switches": {"decline_word": "maybe"}}, 400),
        ("PUT", "/settings", [], 400),
        ("PUT", "/merchants/i000000009", {}, 404),
        ("PUT", "/cards/none", {"state": "active"}, 404),
        ("POST", "/callbacks/none/resend", None, 404),
        ("POST", "/transactions/none/settle", {"code": "000"}, 404),
    ],
)
async def test_control_says_what_is_wrong(sandbox: World, method, path, body, code):
    """A plan that cannot be followed is refused and changes nothing."""
    answer = await sandbox.http.request(method, f"/_control{path}", json=body)

    assert (code, {"error"}) == (answer.status_code, set(answer.json()))
    assert OrderPlan() == sandbox.state.plan("x")


async def test_the_books_tell_everything_but_keys(sandbox: World):
    """What was done, callbacks and counts are there to compare with; private keys are not."""
    await sandbox.paid()
    answer = await sandbox.http.get("/_control/books")
    everything = answer.text + (await sandbox.http.get("/_control/settings")).text

    kept = {"transactions", "cards", "transfers", "invoices", "callbacks", "requests"}
    assert kept == set(answer.json())
    assert answer.json()["requests"]["pay"] >= 1
    assert not [one for one in (MERCHANT, OTHER_MERCHANT) if one.private_key in everything + repr(one)]


async def test_books_survive_a_restart(tmp_path):
    """Saved cards and transactions are known again, by the order's latest too."""
    async with world(books=tmp_path / "deep" / "books.json") as before:
        card = await before.saved_card()
        paid = await before.paid(other_attr={"a": [1]})
    async with world(books=tmp_path / "deep" / "books.json") as after:
        again = await charge(after, "next", card)
        found = await after.call("get-status", {"order_id": "order-1"})

        assert again.json()["status"] == "success"
        assert (paid["transaction"], '{"a":[1]}') == (found["transaction"], found["other_attr"])


def test_a_strange_file_is_not_overwritten(tmp_path):
    """A file that is not the simulator's is named and left alone."""
    path = tmp_path / "books.json"
    path.write_text("my diary")
    with pytest.raises(ConfigurationError, match="move it away"):
        create_simulator(SimulatorSettings(books=path))

    assert path.read_text() == "my diary"


async def test_stores_are_bounded():
    """The oldest transactions, cards, plans and callbacks are forgotten, with their pages and orders."""
    async with world(transactions_max=3, cards_max=2, plans_max=2, callbacks_max=2) as small:
        replies = []
        for number in range(5):
            await small.control("PUT", f"/orders/plan-{number}", {"bank_code": "000"})
            replies.append(await small.paid(path="card-registration-with-pay", order_id=f"n-{number}"))
        books = small.state.books

        assert (len(books.transactions), len(books.cards), len(small.state.deliveries)) == (3, 2, 2)
        assert await known(small, "n-1") == "unknown"
        assert await known(small, "n-2") == "success"
        assert (await small.http.get(replies[0]["redirect_url"])).status_code == 404
        assert (small.state.plan("plan-2").bank_code, small.state.plan("plan-4").bank_code) == (None, "000")


async def test_a_seed_repeats_the_ids():
    """The same seed makes the same ids; without one they are not guessable."""
    names = []
    for seed in (1, 1, 2):
        async with running(rng=random.Random(seed)) as simulator:
            names.append([simulator.state.new_transaction_name(), simulator.state.new_card_name()])

    assert names[0] == names[1] != names[2]


async def test_serve_announces_and_stops_when_cancelled():
    """The command's entry point says its address once it answers; cancelling frees it, hanging calls too."""
    announced: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(SimulatorSettings(), port=0, announce=announced.put_nowait))
    url = await asyncio.wait_for(announced.get(), 5)
    async with httpx.AsyncClient(base_url=url) as http:
        made = World(url, None, None, http)
        await made.control("PUT", "/orders/order-1", {"reply": "hang"})
        hanging = asyncio.create_task(made.call("request", PAY))
        await asyncio.sleep(0.1)
        serving.cancel()
        with pytest.raises(httpx.RemoteProtocolError):
            await hanging
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(httpx.ConnectError):
            await http.get("/api/heartbeat")
