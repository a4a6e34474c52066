"""The simulator as one ASGI application: routes, and a lifespan that owns what runs in the background."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware

from gql_epoint.simulator.books import Books
from gql_epoint.simulator.console.business import business_routes
from gql_epoint.simulator.console.guard import Guard
from gql_epoint.simulator.console.live import live_route
from gql_epoint.simulator.console.page import console_routes
from gql_epoint.simulator.console.recording import Recorder
from gql_epoint.simulator.console.views import view_routes
from gql_epoint.simulator.control import control_routes
from gql_epoint.simulator.courier import Courier
from gql_epoint.simulator.endpoints import api_routes
from gql_epoint.simulator.form import form_routes
from gql_epoint.simulator.hosted import page_routes
from gql_epoint.simulator.invoices import invoice_routes
from gql_epoint.simulator.settings import SimulatorSettings
from gql_epoint.simulator.state import State, utc_now
from gql_epoint.simulator.transfers import TransferBank
from gql_epoint.simulator.widget import widget_routes

_WRITE_INTERVAL_S = 0.25


def create_simulator(
    settings: SimulatorSettings,
    *,
    rng: random.Random | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Starlette:
    """Return the simulator. `app.state.simulator` is its State, `app.state.closing` ends what hangs.

    `rng` makes ids: without one they cannot be guessed; with `random.Random(seed)` a run can be repeated.
    """
    books = Books(transactions_max=settings.transactions_max, cards_max=settings.cards_max, path=settings.books)
    state = State(settings, rng=rng or random.SystemRandom(), clock=clock, books=books)
    courier = Courier(state)
    bank = TransferBank(state)
    closing = asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with courier, bank, _kept(books):
            yield

    app = Starlette(
        routes=[
            *api_routes(state, closing),
            *form_routes(state),
            *page_routes(state, courier),
            *widget_routes(state, courier),
            *invoice_routes(state),
            *control_routes(state, courier),
            *business_routes(state, bank),
            *view_routes(state),
            live_route(state, closing),
            *console_routes(),
        ],
        middleware=[Middleware(Guard, settings.public_url), Middleware(Recorder, state)],
        lifespan=lifespan,
    )
    app.state.simulator = state
    app.state.closing = closing
    return app


@contextlib.asynccontextmanager
async def _kept(books: Books) -> AsyncIterator[None]:
    """Write the books when they have changed, a few times a second and once at the end."""

    stop = asyncio.Event()

    async def write_often() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _WRITE_INTERVAL_S)
            if books.changed:
                await asyncio.to_thread(books.write, books.encode())

    writer = asyncio.create_task(write_often()) if books.kept else None
    try:
        yield
    finally:
        # Asked, not cancelled: a thread that writes cannot be stopped, and two must not write at the same time.
        stop.set()
        if writer is not None:
            await writer
            if books.changed:
                books.write(books.encode())
