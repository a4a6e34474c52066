"""Measure what a full store costs: the same work on books of 10 thousand and of 1 million transactions, in turns.

    python -m tests.benchmarks.growth [--postgres] [--large 1000000] [--rounds 7]

It works at the cashier, on SQLite or on a PostgreSQL that writes durably, with a gateway that answers at once. The
processor time is that of this process and of the database's processes that work for it. A ratio compares two turns
that followed each other. In the end the whole service is started over the books.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import msgspec
from uvicorn.loops.auto import auto_loop_factory

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.commands import Call, RefundOrder, TransactionBy
from gql_epoint.cashier.lookup import narrowed
from gql_epoint.cashier.reconciler import BATCH
from gql_epoint.cashier.retention import Retention
from gql_epoint.epoint.signing import seal
from gql_epoint.ledger.transaction import Disposition, Status
from gql_epoint.store.protocol import Page, Store, TransactionFilter, Unit
from tests.benchmarks.contenders import find_postgres, service
from tests.benchmarks.filling import fill
from tests.benchmarks.processes import cpu_s
from tests.benchmarks.writes import PRIVATE_KEY, RUN, new_cashier, numbers, pay

SMALL = 10_000
STARTS = 3


class Books:
    """A filled store, and the work that is measured on it."""

    def __init__(self, url: str, count: int) -> None:
        self.url = url
        self.count = count
        self.store: Store
        self.cashier: Cashier
        self.store, self.cashier = new_cashier(url)
        self._next_refund = count
        self._next_asked = 0
        self.backends: Any = None  # a connection of our own to PostgreSQL, which tells of the others

    async def open(self) -> None:
        """Open the store."""
        await self.store.open()
        if self.url.startswith("postgresql"):
            import asyncpg

            self.backends = await asyncpg.connect(self.url)

    async def close(self) -> None:
        """Close the store."""
        await self.store.close()
        if self.backends is not None:
            await self.backends.close()

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

    async def asking(self) -> None:
        """A batch about which EPoint is to be asked: it is put there, found, claimed, and the answers written."""
        asked = [f"past-{self._next_asked * 100 + number}" for number in range(1, BATCH + 1)]
        self._next_asked = (self._next_asked + 1) % (self.count // 100)

        async def put(unit: Unit) -> None:
            for order_id in asked:
                known = await unit.transaction_by_order(order_id)
                assert known is not None
                await unit.save_transaction(msgspec.structs.replace(known, ask_at=unit.now))

        await self.store.write(put)
        await self.cashier.reconciler.ask_due()

    async def retention(self) -> None:
        """A batch of the oldest transactions, without changing them."""
        before = datetime.now(UTC) - timedelta(days=1, minutes=self.count - 100)
        found = await Retention(self.store, dry_run=True)._transactions(before)  # noqa: SLF001
        assert found[0] > 0

    async def backlog(self) -> None:
        """The figures for operators."""
        await self.store.read(lambda reader: reader.backlog())


Work = Callable[[Books], Awaitable[None]]

# What is measured, and how many times in a turn. Nothing is due before the first payment.
WORK: tuple[tuple[str, Work, int], ...] = (
    ("transaction by order", Books.query, 200),
    ("newest 20", Books.newest, 200),
    ("20 that need a person", Books.rare, 200),
    ("20 of which there is none", Books.none, 200),
    ("20 of one day", Books.one_day, 200),
    ("figures for operators", Books.backlog, 200),
    ("sweep with nothing due", Books.sweep, 200),
    ("asking EPoint about 20", Books.asking, 20),
    ("retention, about 100", Books.retention, 20),
    ("payment", Books.payment, 200),
    ("payment and callback", Books.callback, 200),
    ("refund", Books.refund, 200),
)


class Cost(msgspec.Struct, frozen=True):
    """Of one piece of work, in microseconds: of processor time, and from its beginning to its end."""

    cpu: float
    elapsed: float


async def _cost(work: Work, times: int, books: Books) -> Cost:
    before, started_s = await _processors_s(books), time.perf_counter()
    # A few at once, as in life: a commit is shared. What is a batch by itself is done alone.
    at_once = times // 20
    for _ in range(20):
        await asyncio.gather(*(work(books) for _ in range(at_once)))
    elapsed_s, after = time.perf_counter() - started_s, await _processors_s(books)
    used_s = sum(used - before.get(process, 0.0) for process, used in after.items())
    return Cost(used_s / times * 1e6, elapsed_s / times * 1e6)


async def _processors_s(books: Books) -> dict[int, float]:
    """Return the processor time of this process (0), and of those that work for it in PostgreSQL."""
    used_s = {0: time.process_time()}
    if books.backends is not None:
        rows = await books.backends.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        used_s |= {row["pid"]: cpu_s(row["pid"]) for row in rows}
    return used_s


async def _filled(url: str, count: int) -> Books:
    started_s = time.perf_counter()
    await fill(url, count)
    filled_s = time.perf_counter() - started_s
    books = Books(url, count)
    started_s = time.perf_counter()
    await books.open()
    opened_ms = (time.perf_counter() - started_s) * 1000
    if books.backends is not None:
        size = await books.backends.fetchval("SELECT pg_database_size(current_database())")
    else:
        size = Path(url.removeprefix("sqlite:///")).stat().st_size  # noqa: ASYNC240 - nothing else runs
    print(f"{count:,} transactions: {size / 1e6:,.0f} MB, made in {filled_s:.0f} s, opened in {opened_ms:.0f} ms")  # noqa: T201
    return books


async def _measure(small: Books, large: Books, rounds: int) -> None:
    print(  # noqa: T201
        f"\n| | processor µs at {small.count:,} | at {large.count:,} | ratio | ratio of elapsed time |"
        "\n|---|---:|---:|---:|---:|"
    )
    for name, work, times in WORK:
        await _cost(work, times, small)
        await _cost(work, times, large)
        turns = [(await _cost(work, times, small), await _cost(work, times, large)) for _ in range(rounds)]
        cells = [
            name,
            f"{median(little.cpu for little, _ in turns):,.0f}",
            f"{median(much.cpu for _, much in turns):,.0f}",
            _spread([much.cpu / little.cpu for little, much in turns]),
            _spread([much.elapsed / little.elapsed for little, much in turns]),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


def _spread(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


async def _main(options: argparse.Namespace, folder: Path) -> None:
    async with _databases(options, folder) as url_of:
        both = [await _filled(await url_of(count), count) for count in (SMALL, options.large)]
        await _measure(*both, options.rounds)
        for books in both:
            await books.close()
        for _ in range(STARTS):
            told = ", ".join(f"{_start_s(books, folder):.2f} s at {books.count:,}" for books in both)
            print(f"the service answers after {told}", flush=True)  # noqa: T201


def _start_s(books: Books, folder: Path) -> float:
    """Start the service over the books, and return how long it took until it answered."""
    started_s = time.perf_counter()
    server = service("http://127.0.0.1:9", folder, books.url)
    try:
        return time.perf_counter() - started_s
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def _databases(options: argparse.Namespace, folder: Path) -> AsyncIterator[Callable[[int], Awaitable[str]]]:
    """Give what makes a new database and returns its URL."""

    async def file(count: int) -> str:
        return f"sqlite:///{folder / f'{count}.db'}"

    if not options.postgres:
        yield file
        return
    import asyncpg

    with _server() as server:

        async def database(count: int) -> str:
            connection = await asyncpg.connect(server.url)
            await connection.execute(f"CREATE DATABASE books_{count}")
            await connection.close()
            return server.url.removesuffix("/postgres") + f"/books_{count}"

        yield database


@contextlib.contextmanager
def _server() -> Iterator[Any]:
    server = find_postgres()
    assert server is not None, "PostgreSQL is not installed: pip install 'gql-epoint[cluster]'"
    server.start()
    try:
        yield server
    finally:
        server.delete()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, with a durable server of its own")
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", help="where SQLite's files are; by default the system's temporary folder")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="gql-epoint-growth-", dir=options.folder) as name,
        asyncio.Runner(loop_factory=auto_loop_factory()) as runner,
    ):
        runner.run(_main(options, Path(name)))


if __name__ == "__main__":
    main()
