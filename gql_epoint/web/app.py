"""Put the service together: one Starlette application, and a lifespan that owns everything that is open."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.business_transfers import WEBHOOK_PATH as TRANSFERS_PATH
from gql_epoint.cashier.desk import Books, Defaults
from gql_epoint.gateway import Gateway, Merchant
from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.live import Live
from gql_epoint.schema import build_schema
from gql_epoint.settings import Settings
from gql_epoint.store import open_store
from gql_epoint.store.protocol import Store
from gql_epoint.web.closing import ClosingSockets, OpenSockets
from gql_epoint.web.credentials import Doorkeeper
from gql_epoint.web.documents import Documents, read_manifest
from gql_epoint.web.explorer_page import explorer_assets, explorer_page
from gql_epoint.web.graphql import GraphQLEndpoint
from gql_epoint.web.health import alive, ready
from gql_epoint.web.measuring import UNLOGGED, Measuring
from gql_epoint.web.metrics import METRICS_PATH, Metrics, metrics_endpoint
from gql_epoint.web.replies import Refusal, on_bug, on_http_exception, on_refusal
from gql_epoint.web.request_ids import RequestIds
from gql_epoint.web.running import Runner
from gql_epoint.web.single_connection import TOKEN_HEADER
from gql_epoint.web.sockets import Sockets
from gql_epoint.web.traffic import Traffic, TrafficLimits
from gql_epoint.web.transfer_webhook import transfer_webhook
from gql_epoint.web.visitors import Visitors
from gql_epoint.web.webhook import webhook

GRAPHQL_PATH = "/graphql"
WEBHOOK_PATH = "/webhooks/epoint"

# From the moment a call to EPoint is cut off, there is this much time to write down that it was.
RECORDING_S = 10.0

# What an operation may take beside its call to EPoint.
ANSWERING_S = 10.0


def utc_now() -> datetime:
    """Return the time; the service's one clock."""
    return datetime.now(UTC)


def new_store(settings: Settings, clock: Callable[[], datetime] = utc_now, *, guest: bool = False) -> Store:
    """Return the store that the settings name, not opened yet."""
    return open_store(settings.database_url.reveal(), sandbox=settings.sandbox, clock=clock, guest=guest)


def new_gateway(settings: Settings, observe: Callable[[str, str, float], None] | None = None) -> Gateway:
    """Return the gateway that the settings name, not opened yet."""
    merchant = Merchant(public_key=settings.public_key, private_key=settings.private_key.reveal())
    return Gateway(
        merchant,
        base_url=settings.gateway_url,
        total_timeout_s=settings.call_timeout_s,
        page_hosts=settings.page_hosts,
        logger_name=settings.logger_name,
        observe=observe,
    )


def create_app(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Starlette:
    """Return the service. Its lifespan opens what it needs, and raises ConfigurationError where that fails.

    `app.state.metrics` counts what happens; `app.state.sockets.close` ends sockets and event streams.
    """
    store = new_store(settings, clock)
    live = Live()
    metrics = Metrics(live.watching)
    gateway = new_gateway(settings, metrics.gateway_called)
    cashier = _cashier(settings, store, gateway, live)
    sockets = OpenSockets()
    background = _Background(cashier)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with gateway, _opened(store), background:
            yield
            await runner.drain()

    doorkeeper = Doorkeeper(settings.secret_keys, cashier.checkouts, clock)
    # A call to EPoint may take all of its own time and still be written down.
    runner = Runner(
        build_schema(),
        deadline_s=settings.call_timeout_s + RECORDING_S + ANSWERING_S,
        doorkeeper=doorkeeper,
        documents=Documents(
            read_manifest(settings.documents), only=settings.documents_only, apq=settings.persisted_queries
        ),
    )
    visitors = Visitors(
        cashier=cashier,
        doorkeeper=doorkeeper,
        merchant=settings.public_key,
        sandbox=settings.sandbox,
    )
    graphql = GraphQLEndpoint(
        runner,
        visitors,
        Sockets(runner, visitors, allowed_origins=settings.allowed_origins),
        body_bytes_max=settings.body_bytes_max,
        explorer=_explorer(settings),
        closing=sockets.closing,
    )
    routes: list[BaseRoute] = [
        Route(GRAPHQL_PATH, graphql),
        WebSocketRoute(GRAPHQL_PATH, graphql),
        Route(WEBHOOK_PATH, webhook(cashier, settings.callback_bytes_max, metrics), methods=["POST"]),
        Route(
            f"{TRANSFERS_PATH}/{{token}}",
            transfer_webhook(cashier, settings.callback_bytes_max, metrics),
            # All of them, so that another method is no sign that there is something.
            methods=["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
        ),
        Route("/healthz", alive, methods=["GET"]),
        Route(
            "/readyz",
            ready(cashier, is_reconciling=background.is_reconciling, is_closing=sockets.closing.is_set),
            methods=["GET"],
        ),
    ]
    if settings.sandbox or settings.metrics_token is not None:
        # Without a token only this machine can ask: the sandbox listens to nobody else.
        routes.append(
            Route(METRICS_PATH, metrics_endpoint(metrics, cashier, settings.metrics_token), methods=["GET"])
        )
    if settings.explorer:
        routes += [explorer_assets(), Route("/", _to_explorer, methods=["GET"])]
    app = Starlette(
        routes=routes,
        middleware=_middleware(settings, metrics, sockets),
        exception_handlers={Refusal: on_refusal, HTTPException: on_http_exception, Exception: on_bug},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.metrics = metrics
    app.state.sockets = sockets
    return app


class _Background:
    """The work that nobody waits for: started with the service, and finished before the database closes."""

    def __init__(self, cashier: Cashier) -> None:
        self._cashier = cashier
        self._reconciling: asyncio.Task[None] | None = None

    def is_reconciling(self) -> bool:
        return self._reconciling is not None and not self._reconciling.done()

    async def __aenter__(self) -> None:
        self._reconciling = asyncio.create_task(self._cashier.reconciler.run(), name="reconciler")

    async def __aexit__(self, *_exc: object) -> None:
        assert self._reconciling is not None
        self._reconciling.cancel()
        await asyncio.wait({self._reconciling})
        await self._cashier.pulse.close()
        # Each call ends within its own limit, so this does as well.
        await self._cashier.books.drain()


@contextlib.asynccontextmanager
async def _opened(store: Store) -> AsyncIterator[None]:
    await store.open()
    try:
        yield
    finally:
        await store.close()


def _cashier(settings: Settings, store: Store, gateway: Gateway, live: Live) -> Cashier:
    books = Books(
        store=store,
        gateway=gateway,
        live=live,
        private_key=settings.private_key.reveal(),
        sandbox=settings.sandbox,
        defaults=Defaults(
            language=settings.interface_lang,
            success_url=settings.success_redirect_url,
            error_url=settings.failed_redirect_url,
        ),
        random=os.urandom,
        return_hosts=settings.return_hosts,
        call_limit_s=settings.call_timeout_s,
        deadline_s=settings.call_timeout_s + RECORDING_S,
        public_url=settings.public_url,
    )
    return Cashier(books)


def _explorer(settings: Settings) -> str | None:
    if not settings.explorer:
        return None
    # Only the sandbox's key is known to everybody anyway; any other one is for its owner to type in.
    headers = {"Authorization": f"Bearer {DEVELOPMENT_KEY}"} if settings.sandbox else {}
    return explorer_page(endpoint=GRAPHQL_PATH, headers=headers, sandbox=settings.sandbox)


def _middleware(settings: Settings, metrics: Metrics, sockets: OpenSockets) -> list[Middleware]:
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["DELETE", "GET", "POST", "PUT"],
        allow_headers=["Authorization", "Content-Type", "Last-Event-ID", TOKEN_HEADER, "X-Request-ID"],
        allow_credentials=False,
        expose_headers=["X-Request-ID", "Retry-After"],
        max_age=600,
    )
    # Inside of CORS: a page must be able to read that it asks too often.
    measuring = Middleware(Measuring, metrics, [GRAPHQL_PATH, WEBHOOK_PATH, *UNLOGGED])
    closing = Middleware(ClosingSockets, sockets)
    shared = [cors] if settings.allowed_origins else []
    return [Middleware(RequestIds), measuring, closing, *shared, _traffic(settings)]


def _traffic(settings: Settings) -> Middleware:
    limits = TrafficLimits(
        key_requests=settings.key_requests_per_minute,
        token_requests=settings.token_requests_per_minute,
        address_requests=settings.address_requests_per_minute,
        token_streams=settings.token_streams_max,
        address_connections=settings.address_connections_max,
        proxies=settings.trusted_proxies,
    )
    return Middleware(Traffic, path=GRAPHQL_PATH, limits=limits, keys=settings.secret_keys)


async def _to_explorer(_request: Request) -> RedirectResponse:
    return RedirectResponse(GRAPHQL_PATH, 307)
