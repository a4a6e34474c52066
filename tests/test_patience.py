"""How long an answer is kept in mind while the database is away."""

from __future__ import annotations

import asyncio

import pytest

from gql_epoint.cashier.patience import KEPT_S, STOPPING_S, Patience
from gql_epoint.errors import StoreUnavailableError


class Outage:
    """A database that is away until a time, and a clock that only sleeping moves."""

    def __init__(self, back_at: float) -> None:
        self.now = 0.0
        self.back_at = back_at
        self.patience = Patience(now=lambda: self.now, sleep=self._sleep)
        self.stops_at = float("inf")

    async def _sleep(self, delay_s: float) -> None:
        await asyncio.sleep(0)
        self.now += delay_s
        if self.now >= self.stops_at:
            self.stops_at = float("inf")
            self.patience.stop()

    async def write(self) -> str:
        """Write one answer."""
        if self.now < self.back_at:
            raise StoreUnavailableError
        return "written"


async def test_answer_outlives_a_failover() -> None:
    """Two minutes, and it is written within five seconds of the database's return."""
    outage = Outage(back_at=110.0)

    assert await outage.patience.insist(outage.write) == "written"
    assert 110.0 <= outage.now < 115.0


async def test_patience_has_an_end() -> None:
    """Then whoever waits is told, and the deadline in the books says what became of it."""
    outage = Outage(back_at=1000.0)

    with pytest.raises(StoreUnavailableError):
        await outage.patience.insist(outage.write)
    assert KEPT_S - 5 <= outage.now <= KEPT_S


@pytest.mark.parametrize(("back_at", "is_written"), [(57.0, True), (1000.0, False)])
async def test_stopping_is_bounded(back_at: float, is_written: bool) -> None:
    """A database that comes back soon is written to still; for another one nobody waits."""
    outage = Outage(back_at)
    outage.stops_at = 50.0
    if is_written:
        assert await outage.patience.insist(outage.write) == "written"
    else:
        with pytest.raises(StoreUnavailableError):
            await outage.patience.insist(outage.write)

    assert outage.now <= 50.0 + 5.0 + STOPPING_S


async def test_answer_that_comes_while_stopping_has_the_same_time() -> None:
    """A call to EPoint may end long after the service was told to stop."""
    outage = Outage(back_at=36.0)
    outage.patience.stop()
    outage.now = 30.0

    assert await outage.patience.insist(outage.write) == "written"


async def test_other_failures_are_not_repeated() -> None:
    """They are bugs, and a repeat would hide them."""
    runs = 0

    async def fail() -> None:
        nonlocal runs
        runs += 1
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - there is nothing to say
        await Patience().insist(fail)
    assert runs == 1
