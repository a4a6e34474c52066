"""Measure the cashier alone: durable `pay` transitions per second, with a gateway that answers at once.

    python -m tests.benchmarks.writes [--callers 256] [--seconds 3] [--rounds 3] [--postgres]

A payment is two transitions, each in a unit of work of its own that is committed before anything goes on: the
intent is recorded, and EPoint's answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import resource
import secrets
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, cast

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
from tests.benchmarks.contenders import find_postgres

RUN = secrets.token_hex(6)
PRIVATE_KEY = "d3hjsl8sd8kfh"

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


def new_cashier(database_url: str) -> tuple[Any, Cashier]:
    """Return a store that is not open yet, and a cashier over it."""
    store = open_store(database_url, sandbox=True, clock=lambda: datetime.now(UTC))
    books = Books(
        store=store,
        gateway=cast("Gateway", _AtOnce()),
        live=Live(),
        private_key=PRIVATE_KEY,
        sandbox=True,
        defaults=Defaults(),
        random=os.urandom,
    )
    return store, Cashier(books)


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


async def _measure(cashier: Cashier, callers: int, seconds: float) -> tuple[float, float, list[float]]:
    """Return transitions per second, processor microseconds of each, and the latencies of payments."""
    latencies_s: list[float] = []
    until_s = time.perf_counter() + seconds

    async def caller() -> None:
        while (started_s := time.perf_counter()) < until_s:
            await pay(cashier)
            latencies_s.append(time.perf_counter() - started_s)

    started_s, cpu_s = time.perf_counter(), _cpu_s()
    await asyncio.gather(*(caller() for _ in range(callers)))
    transitions = 2 * len(latencies_s)
    return transitions / (time.perf_counter() - started_s), (_cpu_s() - cpu_s) / transitions * 1e6, latencies_s


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _main(options: argparse.Namespace, database_url: str) -> None:
    store, cashier = new_cashier(database_url)
    await store.open()
    try:
        await _measure(cashier, options.callers, 0.5)
        for callers in dict.fromkeys((1, 32, options.callers)):
            turns = [await _measure(cashier, callers, options.seconds) for _ in range(options.rounds)]
            rates = [rate for rate, _, _ in turns]
            every_ms = sorted(1000 * latency_s for _, _, latencies in turns for latency_s in latencies)
            _tell(callers, rates, median(cpu for _, cpu, _ in turns), every_ms)
    finally:
        await store.close()


def _tell(callers: int, rates: Sequence[float], cpu_us: float, every_ms: Sequence[float]) -> None:
    cells = (
        f"{callers:4} callers: {median(rates):8,.0f} transitions/s ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{cpu_us:4.0f} µs of processor time each",
        f"a payment p50 {every_ms[len(every_ms) // 2]:.2f} ms, p99 {every_ms[len(every_ms) * 99 // 100]:.2f} ms",
    )
    print(", ".join(cells), flush=True)  # noqa: T201


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
                runner.run(_main(options, server.url))
            finally:
                server.delete()
        else:
            with tempfile.TemporaryDirectory(prefix="gql-epoint-bench-") as folder:
                runner.run(_main(options, f"sqlite:///{Path(folder) / 'writes.db'}"))


if __name__ == "__main__":
    main()
