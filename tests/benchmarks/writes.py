"""Measure the cashier alone: durable `pay` transitions per second, with a gateway that answers at once.

    python -m tests.benchmarks.writes [--callers 256] [--seconds 3] [--rounds 3] [--postgres]

A payment is two transitions, each in a unit of work of its own that is committed before anything goes on: the
intent is recorded, and EPoint's answer. On SQLite the same is measured in turns with a store that commits each unit
by itself, as one would write it without a thought of others who wait. On PostgreSQL it is measured in turns with
the least that can be: one INSERT of a short row, committed by itself, over as many connections.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, cast

import msgspec
from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.commands import Call, PaymentOrder
from gql_epoint.cashier.desk import Books, Defaults
from gql_epoint.epoint.operations import GET_STATUS, REFUND
from gql_epoint.epoint.replies import RedirectReply, RefundReply, StatusReply
from gql_epoint.epoint.wire import Operation
from gql_epoint.gateway import Gateway
from gql_epoint.ledger.transaction import Transaction, TransactionOperation
from gql_epoint.live import Live
from gql_epoint.store import open_store
from gql_epoint.store.driving import drive
from gql_epoint.store.postgres import PostgresLimits
from gql_epoint.store.protocol import Store, Unit, Wakeup
from gql_epoint.store.sqlite import SqliteStore
from gql_epoint.store.sqlite.unit import SqliteUnit
from gql_epoint.web.server import leave_alone_what_stays
from tests.benchmarks.contenders import find_postgres

RUN = secrets.token_hex(6)
PRIVATE_KEY = "d3hjsl8sd8kfh"
TOGETHER = ", committed together"
ONE_BY_ONE = ", one by one"

numbers = itertools.count(1)


class _AtOnce:
    """A gateway that opens every payment, knows of each that it was paid, and takes no time."""

    async def call(self, operation: Operation[Any, Any], request: Any, **_: Any) -> Any:
        if operation is REFUND:
            return RefundReply(status="success")
        if operation is GET_STATUS:
            return StatusReply(status="success", transaction=request.transaction, amount=Decimal("25.50"))
        number = next(numbers)
        return RedirectReply(
            status="success", transaction=f"te{RUN}{number}", redirect_url=f"https://epoint.az/pay/{number}"
        )


class OneByOne(SqliteStore):
    """The same store, with a database transaction for each unit of work, on a thread beside the event loop."""

    async def open(self) -> None:
        await super().open()
        self._one = ThreadPoolExecutor(max_workers=1)
        self._connection = self._connect()
        self._connection.execute("PRAGMA synchronous = FULL")

    async def close(self) -> None:
        self._one.shutdown()
        self._connection.close()
        await super().close()

    async def write(self, work: Callable[[Unit], Awaitable[Any]], *, hopeful: bool = False) -> Any:
        result, wakeups = await asyncio.get_running_loop().run_in_executor(self._one, self._commit, work)
        for listener in self._listeners if wakeups else ():
            listener(wakeups)
        return result

    def _commit(self, work: Callable[[Unit], Awaitable[Any]]) -> tuple[Any, list[Wakeup]]:
        wakeups: list[Wakeup] = []
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = drive(work(SqliteUnit(self._connection, self._clock(), wakeups)))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result, wakeups


def _now() -> datetime:
    return datetime.now(UTC)


def new_cashier(database_url: str) -> tuple[Store, Cashier]:
    """Return a store that is not open yet, and a cashier over it."""
    store = open_store(database_url, sandbox=True, clock=_now)
    return store, _cashier_over(store)


def _cashier_over(store: Store) -> Cashier:
    books = Books(
        store=store,
        gateway=cast("Gateway", _AtOnce()),
        live=Live(),
        private_key=PRIVATE_KEY,
        sandbox=True,
        defaults=Defaults(),
        random=os.urandom,
    )
    return Cashier(books)


async def pay(cashier: Cashier) -> Transaction:
    """Make one payment that nobody made before."""
    number = next(numbers)
    call = Call(owner="i1", actor="bench", mutation="pay", key=f"{RUN}-{number:010d}", input_hash="0" * 64)
    order = PaymentOrder(
        operation=TransactionOperation.PAY,
        order_id=f"o-{RUN}-{number}",
        amount=Decimal("25.50"),
        currency="AZN",
        description="Two tickets",
    )
    result = await cashier.payments.start(call, order)
    assert result.value.redirect_url is not None
    return result.value


class Turn(msgspec.Struct, frozen=True):
    """What came of some callers in some seconds."""

    per_s: float
    cpu_us: float
    payments_ms: list[float]

    @property
    def p50_ms(self) -> float:
        return median(self.payments_ms)

    @property
    def p99_ms(self) -> float:
        return sorted(self.payments_ms)[len(self.payments_ms) * 99 // 100]


async def _measure(cashier: Cashier, callers: int, seconds: float) -> Turn:
    payments_ms: list[float] = []
    until_s = time.perf_counter() + seconds

    async def caller() -> None:
        while (started_s := time.perf_counter()) < until_s:
            await pay(cashier)
            payments_ms.append((time.perf_counter() - started_s) * 1000)

    started_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    transitions = 2 * len(payments_ms)
    cpu_us = (time.process_time() - cpu_s) / transitions * 1e6
    return Turn(transitions / (time.perf_counter() - started_s), cpu_us, payments_ms)


async def _least(pool: Any, callers: int, seconds: float) -> float:
    """Return how many short rows PostgreSQL takes in a second, each committed by itself."""
    until_s, count = time.perf_counter() + seconds, 0

    async def caller() -> None:
        nonlocal count
        while time.perf_counter() < until_s:
            async with pool.acquire() as connection:
                await connection.execute("INSERT INTO least (id, said) VALUES ($1, $2)", next(numbers), RUN)
            count += 1

    started_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (time.perf_counter() - started_s)


async def _beside_the_least(options: argparse.Namespace, url: str) -> None:
    """Measure PostgreSQL."""
    import asyncpg

    size = PostgresLimits().writers
    store = open_store(url, sandbox=True, clock=_now)
    await store.open()
    cashier = _cashier_over(store)

    async def leave_as_it_is(_: Any) -> None:
        """As the store does; else each release of a connection would be a round trip of its own."""

    async with asyncpg.create_pool(url, min_size=size, max_size=size, reset=leave_as_it_is) as pool:
        await pool.execute("CREATE TABLE least (id bigint PRIMARY KEY, said text NOT NULL)")
        await _measure(cashier, options.callers, 0.5)
        leave_alone_what_stays()
        for callers in dict.fromkeys((1, 32, options.callers)):
            rounds = [
                (await _measure(cashier, callers, options.seconds), await _least(pool, callers, options.seconds))
                for _ in range(options.rounds)
            ]
            _tell(f"{callers} callers", [turn for turn, _ in rounds])
            least = median(per_s for _, per_s in rounds)
            ratios = _spread([turn.per_s / per_s for turn, per_s in rounds])
            print(f"    of {least:,.0f} single INSERTs/s: {ratios}\n", flush=True)  # noqa: T201
    await store.close()


async def _main(options: argparse.Namespace, stores: dict[str, Store]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        cashiers = {}
        for name, store in stores.items():
            await store.open()
            stack.push_async_callback(store.close)
            cashiers[name] = _cashier_over(store)
            await _measure(cashiers[name], options.callers, 0.5)
        leave_alone_what_stays()  # as the service does
        for callers in dict.fromkeys((1, 32, options.callers)):
            rounds = [
                {name: await _measure(cashier, callers, options.seconds) for name, cashier in cashiers.items()}
                for _ in range(options.rounds)
            ]
            for name in stores:
                _tell(f"{callers} callers{name}", [turns[name] for turns in rounds])
            _compare([(turns[TOGETHER], turns[ONE_BY_ONE]) for turns in rounds])


def _tell(name: str, turns: Sequence[Turn]) -> None:
    rates = [turn.per_s for turn in turns]
    cells = (
        f"{name}: {median(rates):,.0f} transitions/s ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{median(turn.cpu_us for turn in turns):.0f} µs of processor time each",
        f"a payment p50 {median(turn.p50_ms for turn in turns):.2f} ms, "
        f"p99 {median(turn.p99_ms for turn in turns):.2f} ms",
    )
    print(", ".join(cells), flush=True)  # noqa: T201


def _compare(turns: Sequence[tuple[Turn, Turn]]) -> None:
    cells = (
        f"transitions/s {_spread([grouped.per_s / alone.per_s for grouped, alone in turns])}",
        f"p50 {_spread([grouped.p50_ms / alone.p50_ms for grouped, alone in turns])}",
        f"p99 {_spread([grouped.p99_ms / alone.p99_ms for grouped, alone in turns])}",
    )
    print(f"    by together / one by one: {', '.join(cells)}\n", flush=True)  # noqa: T201


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.writes")
    parser.add_argument("--callers", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, with a durable server of its own")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        if options.postgres:
            server = find_postgres()
            assert server is not None, "PostgreSQL is not installed: pip install 'gql-epoint[cluster]'"
            server.start()
            try:
                runner.run(_beside_the_least(options, server.url))
            finally:
                server.delete()
        else:
            with tempfile.TemporaryDirectory(prefix="gql-epoint-bench-") as folder:
                together = SqliteStore(Path(folder) / "together.db", sandbox=True, clock=_now)
                one_by_one = OneByOne(Path(folder) / "one-by-one.db", sandbox=True, clock=_now)
                runner.run(_main(options, {TOGETHER: together, ONE_BY_ONE: one_by_one}))


if __name__ == "__main__":
    main()
