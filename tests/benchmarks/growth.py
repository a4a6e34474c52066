"""Measure what a full store costs: the same work on books of 10 thousand and of 1 million transactions, in turns.

    python -m tests.benchmarks.growth [--large 1000000] [--rounds 7]

It works at the cashier, on SQLite, with a gateway that answers at once. A ratio compares two turns that followed
each other.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import msgspec
from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.commands import Call, RefundOrder, TransactionBy
from gql_epoint.cashier.lookup import narrowed
from gql_epoint.cashier.retention import Retention
from gql_epoint.epoint.signing import seal
from gql_epoint.ledger.transaction import Disposition, Status
from gql_epoint.store.protocol import Page, Store, TransactionFilter
from tests.benchmarks.filling import fill
from tests.benchmarks.writes import PRIVATE_KEY, RUN, new_cashier, numbers, pay

SMALL = 10_000
REPEATS = 200


class Books:
    """A filled store, and the work that is measured on it."""

    def __init__(self, path: Path, count: int) -> None:
        self.count = count
        self.store: Store
        self.cashier: Cashier
        self.store, self.cashier = new_cashier(f"sqlite:///{path}")
        self._next_refund = count

    async def query(self) -> None:
        """One transaction by its order, somewhere in the past."""
        number = (next(numbers) * 7919) % self.count + 1
        assert await self.cashier.lookup.transaction(TransactionBy(order_id=f"past-{number}")) is not None

    async def newest(self) -> None:
        """The newest page."""
        await self._list(TransactionFilter())

    async def rare(self) -> None:
        """A page of what needs a person: 1 of 1,000."""
        found = await self._list(TransactionFilter(status_in=(Status.REQUIRES_REVIEW,)))
        assert found > 0

    async def none(self) -> None:
        """A page of what there is none of."""
        assert await self._list(TransactionFilter(status_in=(Status.INDETERMINATE,))) == 0

    async def one_day(self) -> None:
        """A page of one day, in the middle of the past."""
        day = datetime.now(UTC) - timedelta(days=1, minutes=self.count // 2)
        only = TransactionFilter(created_from=day, created_before=day + timedelta(days=1))
        assert await self._list(only) > 0

    async def _list(self, only: TransactionFilter) -> int:
        page = narrowed(Page(limit=20), only)
        return len(await self.store.read(lambda reader: reader.transactions(page, only, by_update=False)))

    async def payment(self) -> None:
        """A payment: two units of work."""
        await pay(self.cashier)

    async def callback(self) -> None:
        """A payment and EPoint's word that it was paid."""
        transaction = await pay(self.cashier)
        body = {
            "order_id": transaction.gateway_order_id,
            "status": "success",
            "transaction": transaction.gateway.transaction_id,
            "amount": "25.50",
        }
        sealed = seal(PRIVATE_KEY, msgspec.json.encode(body))
        form = urlencode({"data": sealed.data, "signature": sealed.signature}).encode()
        taken = await self.cashier.callbacks.take("application/x-www-form-urlencoded", form)
        assert taken is Disposition.APPLIED

    async def refund(self) -> None:
        """A refund of one AZN, of a paid transaction of the past."""
        while True:
            self._next_refund -= 1
            if self._next_refund % 100 < 90 and self._next_refund % 1000 != 999:
                break
        number = self._next_refund
        order = RefundOrder(transaction=TransactionBy(order_id=f"past-{number}"))
        key = f"{RUN}-refund-{number:010d}"
        await self.cashier.refunds.start(
            Call(owner="i1", actor="b", mutation="refund", key=key, input_hash="0"), order
        )

    async def sweep(self) -> None:
        """A look for what is due."""
        await self.cashier.reconciler.settle_overdue()

    async def backlog(self) -> None:
        """The figures for operators."""
        await self.store.read(lambda reader: reader.backlog())


WORK: dict[str, Callable[[Books], Awaitable[None]]] = {
    "transaction by order": Books.query,
    "newest 20": Books.newest,
    "20 that need a person": Books.rare,
    "20 of which there is none": Books.none,
    "20 of one day": Books.one_day,
    "payment": Books.payment,
    "payment and callback": Books.callback,
    "refund": Books.refund,
    "sweep with nothing due": Books.sweep,
    "figures for operators": Books.backlog,
}


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _cost_us(work: Callable[[Books], Awaitable[None]], books: Books) -> float:
    started_s = _cpu_s()
    # A few at once, as in life: a commit is shared.
    for _ in range(REPEATS // 10):
        await asyncio.gather(*(work(books) for _ in range(10)))
    return (_cpu_s() - started_s) / REPEATS * 1e6


async def _main(options: argparse.Namespace, folder: Path) -> None:
    both = []
    for count in (SMALL, options.large):
        path = folder / f"{count}.db"
        started_s = time.perf_counter()
        await fill(path, count)
        filled_s = time.perf_counter() - started_s
        books = Books(path, count)
        started_s = time.perf_counter()
        await books.store.open()
        opened_ms = (time.perf_counter() - started_s) * 1000
        size_mb = path.stat().st_size / 1e6
        print(f"{count:,} transactions: {size_mb:,.0f} MB, made in {filled_s:.0f} s, opened in {opened_ms:.0f} ms")  # noqa: T201
        both.append(books)
    print(f"\n| processor time of | µs at 10,000 | µs at {options.large:,} | ratio |\n|---|---:|---:|---:|")  # noqa: T201
    for name, work in WORK.items():
        await _cost_us(work, both[0])
        await _cost_us(work, both[1])
        turns = [(await _cost_us(work, both[0]), await _cost_us(work, both[1])) for _ in range(options.rounds)]
        ratios = sorted(large / small for small, large in turns)
        small, large = (median(costs) for costs in zip(*turns, strict=True))
        print(f"| {name} | {small:,.0f} | {large:,.0f} | {median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}) |")  # noqa: T201
    for books in both:
        started_s = time.perf_counter()
        page = await Retention(books.store, dry_run=True)._transactions(  # noqa: SLF001
            datetime.now(UTC) - timedelta(days=1, minutes=books.count - 1000)
        )
        took_s = time.perf_counter() - started_s
        print(f"retention, {page[0]:,} of {books.count:,}: {took_s / page[0] * 1e6:,.0f} µs each")  # noqa: T201
        await books.store.close()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth")
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", help="where the databases are; by default the system's temporary folder")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="gql-epoint-growth-", dir=options.folder) as name,
        asyncio.Runner(loop_factory=auto_loop_factory()) as runner,
    ):
        runner.run(_main(options, Path(name)))


if __name__ == "__main__":
    main()
