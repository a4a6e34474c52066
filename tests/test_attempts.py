"""Attempts and declines counted by address: over checkouts, over nodes, and only for as long as they count."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gql_epoint.cashier.attempts import AttemptLimits, address_name
from gql_epoint.cashier.commands import TransactionBy
from gql_epoint.cashier.tidying import Tidier
from gql_epoint.errors import ErrorCode, RefusedError, TooManyAttemptsError
from gql_epoint.ledger.checkout import CheckoutPurpose
from gql_epoint.ledger.transaction import Status
from gql_epoint.setting_values import parse_networks
from gql_epoint.simulator.server import running
from gql_epoint.simulator.settings import SimulatorSettings
from gql_epoint.web.addresses import customer_address
from tests.cashier_kit import APPROVED, DECLINED, MERCHANT, Clock, Shop, open_shop
from tests.checkout_kit import create
from tests.postgres import new_database
from tests.service import Client
from tests.test_store_postgres_nodes import open_node

HOME, ELSEWHERE = "93.184.216.34", "2a00:1450:4001:800::/64"
LIMITS = AttemptLimits(attempts_max=4, declines_max=2, window=timedelta(hours=1))


@pytest.fixture(params=["sqlite", "postgres"])
async def shops(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Shop, Shop]]:
    """One node on SQLite, twice the same; or two nodes over one PostgreSQL."""
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            shop = await stack.enter_async_context(open_shop(tmp_path, attempt_limits=LIMITS))
            yield shop, shop
            return
        url = await stack.enter_async_context(new_database())
        simulator = await stack.enter_async_context(running(SimulatorSettings()))
        clock = Clock()
        nodes = [
            await stack.enter_async_context(open_node(url, simulator, clock, attempt_limits=LIMITS))
            for _ in range(2)
        ]
        yield nodes[0], nodes[1]


async def new_checkout(shop: Shop, **changes: Any) -> str:
    return (await shop.checkout(**changes)).state.checkout.id


async def tried(shop: Shop, address: str | None, checkout_id: str | None = None) -> bool:
    """Confirm, and say whether an attempt started."""
    try:
        await shop.confirm(checkout_id or await new_checkout(shop), address=address)
    except TooManyAttemptsError:
        return False
    return True


async def declined(shop: Shop, heard_by: Shop, address: str | None) -> None:
    """Pay with a card that is declined; another node may hear of it."""
    made = await shop.confirm(await new_checkout(shop), address=address)
    transaction = made.value.transaction
    assert transaction is not None
    assert transaction.redirect_url is not None
    await shop.hosted_page(transaction.redirect_url, DECLINED)
    found = (await heard_by.cashier.lookup.refresh(TransactionBy(id=transaction.id), "test")).value
    assert found.status is Status.FAILED


async def test_attempts_of_one_address_add_up_over_checkouts_and_nodes(shops: tuple[Shop, Shop]) -> None:
    """At once, on both nodes: exactly as many start as may; others, and a family elsewhere, are not held up."""
    checkouts = [await new_checkout(shops[0]) for _ in range(12)]
    started = await asyncio.gather(
        *(tried(shops[number % 2], HOME, checkout) for number, checkout in enumerate(checkouts))
    )
    assert started.count(True) == LIMITS.attempts_max
    assert await tried(shops[0], ELSEWHERE)
    assert await tried(shops[1], None)


async def test_refusal_uses_nothing_and_says_when_to_come_back(shops: tuple[Shop, Shop]) -> None:
    """Neither an attempt of the checkout nor the key; after the time it says, the same request goes through."""
    one, other = shops
    for _ in range(LIMITS.attempts_max):
        assert await tried(one, HOME)
        one.clock.ahead += timedelta(minutes=10)
    waiting = await new_checkout(one)
    with pytest.raises(TooManyAttemptsError) as caught:
        await other.confirm(waiting, key="key-0123456789abcdef", address=HOME)
    state = await one.cashier.checkouts.state(waiting)
    assert state is not None
    assert (caught.value.code, state.checkout.attempts) == (ErrorCode.RATE_LIMITED, 0)
    assert 19 * 60_000 < caught.value.retry_after_ms <= 20 * 60_000
    other.clock.ahead += timedelta(milliseconds=caught.value.retry_after_ms)
    made = await other.confirm(await new_checkout(one), key="key-0123456789abcdef", address=HOME)
    assert made.replayed is False


async def test_declines_count_where_they_are_heard(shops: tuple[Shop, Shop]) -> None:
    """Two declines of two cards are the limit, before the attempts are; a third card is not tried at all."""
    one, other = shops
    for _ in range(LIMITS.declines_max):
        assert await tried(one, ELSEWHERE)
        await declined(one, other, HOME)
    asked = one.requests("pay")

    assert not await tried(other, HOME)
    assert one.requests("pay") == asked
    assert await tried(other, ELSEWHERE)
    one.clock.ahead += LIMITS.window
    assert await tried(other, HOME)


async def test_rejected_cards_count_as_declines(shops: tuple[Shop, Shop]) -> None:
    """Registering a card charges nothing, and is how cards are tried all the same."""
    one, other = shops
    for status in ("failed", "failed"):
        checkout = await new_checkout(
            one, purpose=CheckoutPurpose.SAVE_CARD, amount=None, currency=None, description=None
        )
        card = (await one.confirm(checkout, address=HOME)).value.card
        assert card is not None
        await other.callback(status=status, card_id=card.card_id)

    assert not await tried(one, HOME)


async def test_running_attempt_and_replay_are_returned_beyond_the_limit(shops: tuple[Shop, Shop]) -> None:
    """Only what is new is counted: a customer who is paying goes on with it."""
    one, other = shops
    checkout = await new_checkout(one)
    first = await one.confirm(checkout, key="key-of-the-first-one", address=HOME)
    while await tried(one, HOME):
        pass
    again = await other.confirm(checkout, key="key-of-the-first-one", address=HOME)
    under_way = await other.confirm(checkout, key="key-of-another-page", address=HOME)

    assert again.value.transaction == first.value.transaction
    assert under_way.value.transaction == first.value.transaction
    assert (again.replayed, under_way.replayed) == (True, True)


async def test_paid_attempts_do_not_count_as_declines(shops: tuple[Shop, Shop]) -> None:
    """An office that buys a lot is held up by the number of attempts alone."""
    one, _ = shops
    for _ in range(LIMITS.declines_max + 1):
        made = (await one.confirm(await new_checkout(one), address=HOME)).value.transaction
        assert made is not None
        assert made.redirect_url is not None
        await one.hosted_page(made.redirect_url, APPROVED)
        await one.cashier.lookup.refresh(TransactionBy(id=made.id), "test")

    assert await tried(one, HOME)
    assert not await tried(one, HOME)


async def test_page_that_epoint_does_not_open_is_no_decline(shops: tuple[Shop, Shop]) -> None:
    """Nobody's card was tried, so nobody is suspected for it."""
    one, _ = shops
    for number in range(LIMITS.declines_max):
        order_id = f"refused-{number}"
        one.plan(order_id, reply="error")
        result = await one.confirm(await new_checkout(one, order_id=order_id), address=HOME)
        assert result.value.transaction is not None
        assert result.value.transaction.status is Status.FAILED

    assert await tried(one, HOME)


async def test_what_counts_no_more_is_deleted(shops: tuple[Shop, Shop]) -> None:
    """Hashed addresses and expired tokens do not outlive their use; a decline that comes later changes nothing."""
    one, other = shops
    made = await one.checkout()
    assert made.issued is not None
    digest = made.issued.token.digest
    attempt = (await one.confirm(made.state.checkout.id, address=HOME)).value.transaction
    assert attempt is not None
    name = address_name(MERCHANT.private_key, HOME)

    async def kept() -> tuple[int, bool]:
        async def work(unit: Any) -> tuple[int, bool]:
            record = await unit.address_record(name, unit.now - timedelta(days=9))
            return record.attempts, await unit.client_token(digest) is not None

        return await one.cashier.books.write(work)

    await Tidier(other.cashier.books).tidy()
    assert await kept() == (1, True)
    one.clock.ahead += LIMITS.window
    await asyncio.gather(Tidier(one.cashier.books).tidy(), Tidier(other.cashier.books).tidy())
    assert await kept() == (0, False)
    await other.callback(
        status="failed", order_id=attempt.gateway_order_id, transaction=attempt.gateway.transaction_id, code="116"
    )
    assert (await one.transaction(attempt.id)).status is Status.FAILED
    assert await kept() == (0, False)


async def test_address_is_not_in_the_books(tmp_path: Path) -> None:
    """It is there as a hash with a key, which nobody can try all addresses against."""
    async with open_shop(tmp_path, attempt_limits=LIMITS) as shop:
        assert await tried(shop, HOME)
        with closing(sqlite3.connect(tmp_path / "books.db")) as connection:
            rows = connection.execute("SELECT address FROM checkout_attempts").fetchall()
            everything = "\n".join(connection.iterdump())

    assert rows == [(address_name(MERCHANT.private_key, HOME),)]
    assert address_name("another key", HOME) != address_name(MERCHANT.private_key, HOME)
    assert HOME not in everything


async def test_without_limits_nothing_is_written_down(tmp_path: Path) -> None:
    """Who does not count needs no addresses."""
    async with open_shop(tmp_path) as shop:
        assert await tried(shop, HOME)
        with closing(sqlite3.connect(tmp_path / "books.db")) as connection:
            assert connection.execute("SELECT count(*) FROM checkout_attempts").fetchone() == (0,)


# Which address counts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        (HOME, None, HOME),
        (HOME, "8.8.8.8", HOME),
        ("10.0.0.1", "6.6.6.6, 8.8.8.8", "8.8.8.8"),
        ("10.0.0.1", None, None),
        ("10.0.0.1", "192.168.1.5", None),
        ("2a00:1450:4001:800::200e", None, ELSEWHERE),
        ("192.168.1.5", "8.8.8.8", None),
        ("unix", None, None),
    ],
)
def test_customers_address_is_public_and_reported_by_trusted_proxies(
    peer: str, forwarded: str | None, counted: str | None
) -> None:
    """A proxy that nobody named would make all customers one; what a stranger writes is not believed."""
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope: Any = {"type": "http", "client": (peer, 1), "headers": headers}

    assert customer_address(scope, parse_networks("10.0.0.0/8")) == counted


def test_proxy_that_nobody_named_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The limit does nothing then, and the log says what to set."""
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            customer_address({"type": "http", "client": ("172.31.9.9", 1), "headers": []}, ())

    (record,) = [record for record in caplog.records if "172.31.9.9" in record.getMessage()]
    assert "GQL_EPOINT_TRUSTED_PROXIES" in record.getMessage()


REFUSED = """mutation ($key: IdempotencyKey!) {
  confirmCheckout(input: {idempotencyKey: $key, method: {hostedPage: {}}}) {
  checkout { attemptsLeft } errors { __typename code message path ... on RateLimitedError { retryAfterMs } } }
}"""


async def confirm_from(page: Client, address: str, transport: str) -> dict[str, Any]:
    """Confirm as a browser behind a proxy that reports its address."""
    headers = {**page.authorization, "X-Forwarded-For": f"8.8.4.4, {address}"}
    asked = {"query": REFUSED, "variables": {"key": f"key-of-{address}-{transport}"}}
    if transport == "HTTP":
        async with page.session.post(page.graphql, json=asked, headers=headers) as response:
            return dict((await response.json())["data"]["confirmCheckout"])
    async with page.raw_socket(headers={"X-Forwarded-For": headers["X-Forwarded-For"]}) as socket:
        payload = {"authorization": page.authorization["Authorization"]}
        await socket.send_json({"type": "connection_init", "payload": payload})
        await socket.receive_json()
        await socket.send_json({"id": "1", "type": "subscribe", "payload": asked})
        return dict((await socket.receive_json())["payload"]["data"]["confirmCheckout"])


async def test_browsers_are_counted_on_every_transport_and_backends_are_not(start_service: Any) -> None:
    """The address is the one that the trusted proxy saw; what the browser wrote before it changes nothing."""
    service = start_service(
        GQL_EPOINT_TRUSTED_PROXIES="127.0.0.1",
        GQL_EPOINT_ADDRESS_ATTEMPTS_MAX="2",
        GQL_EPOINT_ADDRESS_DECLINES_MAX="1",
        GQL_EPOINT_ADDRESS_WINDOW_S="600",
    )
    async with service.client() as backend:
        answers = []
        for transport in ("HTTP", "WebSocket", "HTTP", "WebSocket"):
            async with service.client((await create(backend))["clientToken"]["secret"]) as page:
                answers.append(await confirm_from(page, HOME, transport))
        assert [answer["errors"] for answer in answers[:2]] == [[], []]
        for answer in answers[2:]:
            (error,) = answer["errors"]
            assert (error["__typename"], error["code"], error["path"]) == ("RateLimitedError", "RATE_LIMITED", None)
            assert 0 < error["retryAfterMs"] <= 600_000
        async with service.client((await create(backend))["clientToken"]["secret"]) as page:
            assert (await confirm_from(page, "1.1.1.1", "HTTP"))["errors"] == []
        for number in range(4):
            payment = (
                f'mutation {{ pay(input: {{idempotencyKey: "key-of-payment-{number}", orderId: "direct-{number}", '
                'amount: {amount: "1.00"}}) { errors { code } } }'
            )
            headers = {**backend.authorization, "X-Forwarded-For": HOME}
            async with backend.session.post(backend.graphql, json={"query": payment}, headers=headers) as response:
                assert (await response.json())["data"]["pay"]["errors"] == []
        async with backend.session.get(f"{service.url}/metrics") as figures:
            assert "gql_epoint_confirmations_held_up_total 2.0" in await figures.text()
    assert HOME not in service.logged()
    assert service.logged().count("A confirmation was refused: its address has had 2 attempts") == 2


def test_refusals_of_checkouts_stay_what_they_are() -> None:
    """The error of an address is a refusal like others, with its own code."""
    error = TooManyAttemptsError(1500)

    assert isinstance(error, RefusedError)
    assert str(error) == "RATE_LIMITED: Too many payments were tried from this network lately. Try again later."
