"""Put the service together: one Starlette application, and a lifespan that owns everything that is open."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gql_epoint.cashier import Cashier
from gql_epoint.cashier.attempts import AttemptLimits
from gql_epoint.cashier.business_transfers import WEBHOOK_PATH as TRANSFERS_PATH
from gql_epoint.cashier.desk import Books, Defaults
from gql_epoint.gateway import Gateway, Merchant
from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.live import Live
from gql_epoint.owned import Owned
from gql_epoint.schema import build_schema
from gql_epoint.schema.limits import Limits
from gql_epoint.settings import Settings
from gql_epoint.simulator_control import SimulatorControl
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
from gql_epoint.web.randomness import RandomPool
from gql_epoint.web.replies import Refusal, on_bug, on_http_exception, on_refusal
from gql_epoint.web.request_ids import RequestIds
from gql_epoint.web.running import Runner
from gql_epoint.web.safe_headers import SafeHeaders
from gql_epoint.web.single_connection import TOKEN_HEADER
from gql_epoint.web.sockets import Sockets
from gql_epoint.web.throttle import Throttle, TrafficLimits
from gql_epoint.web.traffic import Traffic
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
    store = open_store(settings.database_url.reveal(), sandbox=settings.sandbox, clock=clock)
    live = Live()
    metrics = Metrics(live.watching)
    gateway = new_gateway(settings, metrics.gateway_called)
    simulator = SimulatorControl(settings.gateway_url) if settings.sandbox else None
    cashier = _cashier(settings, store, gateway, live, metrics)
    background = _Background(cashier)
    doorkeeper = Doorkeeper(settings.secret_keys, cashier.checkouts, clock)
    runner = _runner(settings, doorkeeper, cashier.books.owned)
    visitors = _visitors(settings, cashier, doorkeeper, simulator)
    sockets = OpenSockets()
    throttle = _throttle(settings)
    graphql = _graphql(settings, runner, visitors, throttle, sockets)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with gateway, simulator or contextlib.nullcontext(), _opened(store), background:
            yield
            await cashier.books.drain()

    app = Starlette(
        routes=[
            *_webhooks(settings, cashier, metrics),
            *_health(cashier, background, sockets),
            *_metrics(settings, cashier, metrics),
            *_explorer_routes(settings),
        ],
        middleware=[*_middleware(settings, metrics, sockets, throttle), Middleware(_Shortcut, graphql)],
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


def _cashier(settings: Settings, store: Store, gateway: Gateway, live: Live, metrics: Metrics) -> Cashier:
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
        random=RandomPool(os.urandom),
        return_hosts=settings.return_hosts,
        apple_pay_origins=frozenset(settings.apple_pay_origins or settings.allowed_origins),
        call_limit_s=settings.call_timeout_s,
        deadline_s=settings.call_timeout_s + RECORDING_S,
        attempt_limits=AttemptLimits(
            attempts_max=settings.address_attempts_max,
            declines_max=settings.address_declines_max,
            window=timedelta(seconds=settings.address_window_s),
        ),
        on_held_up=metrics.confirmation_held_up,
        public_url=settings.public_url,
    )
    return Cashier(books)


def _runner(settings: Settings, doorkeeper: Doorkeeper, owned: Owned) -> Runner:
    # A call to EPoint may take all of its own time and still be written down.
    deadline_s = settings.call_timeout_s + RECORDING_S + ANSWERING_S
    schema = build_schema(
        _document_limits(settings),
        sandbox=settings.sandbox,
        event_deadline_s=deadline_s,
        compiled=settings.compiled,
    )
    documents = Documents(
        read_manifest(settings.documents), only=settings.documents_only, apq=settings.persisted_queries
    )
    return Runner(schema, deadline_s=deadline_s, doorkeeper=doorkeeper, documents=documents, owned=owned)


def _visitors(
    settings: Settings, cashier: Cashier, doorkeeper: Doorkeeper, simulator: SimulatorControl | None
) -> Visitors:
    return Visitors(
        cashier=cashier,
        doorkeeper=doorkeeper,
        merchant=settings.public_key,
        sandbox=settings.sandbox,
        simulator=simulator,
        proxies=settings.trusted_proxies if cashier.books.attempt_limits.are_on else None,
    )


def _graphql(
    settings: Settings, runner: Runner, visitors: Visitors, throttle: Throttle, sockets: OpenSockets
) -> GraphQLEndpoint:
    over_sockets = Sockets(
        runner,
        visitors,
        allowed_origins=settings.allowed_origins,
        throttle=throttle,
        init_timeout_s=settings.socket_init_timeout_s,
        operations_max=settings.connection_operations_max,
    )
    return GraphQLEndpoint(
        runner,
        visitors,
        over_sockets,
        throttle=throttle,
        operations_max=settings.connection_operations_max,
        body_bytes_max=settings.body_bytes_max,
        explorer=_explorer(settings),
        closing=sockets.closing,
    )


def _webhooks(settings: Settings, cashier: Cashier, metrics: Metrics) -> list[BaseRoute]:
    # For transfers all methods, so that another one is no sign that there is something.
    methods = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    callback = webhook(cashier, settings.callback_bytes_max, metrics)
    transfers = transfer_webhook(cashier, settings.callback_bytes_max, metrics)
    return [
        Route(WEBHOOK_PATH, callback, methods=["POST"]),
        Route(f"{TRANSFERS_PATH}/{{token}}", transfers, methods=methods),
    ]


def _health(cashier: Cashier, background: _Background, sockets: OpenSockets) -> list[BaseRoute]:
    is_ready = ready(cashier, is_reconciling=background.is_reconciling, is_closing=sockets.closing.is_set)
    return [Route("/healthz", alive, methods=["GET"]), Route("/readyz", is_ready, methods=["GET"])]


def _metrics(settings: Settings, cashier: Cashier, metrics: Metrics) -> list[BaseRoute]:
    # Without a token only this machine can ask: the sandbox listens to nobody else.
    if not settings.sandbox and settings.metrics_token is None:
        return []
    endpoint = metrics_endpoint(metrics, cashier, settings.metrics_token)
    return [Route(METRICS_PATH, endpoint, methods=["GET"])]


def _explorer_routes(settings: Settings) -> list[BaseRoute]:
    return [explorer_assets(), Route("/", _to_explorer, methods=["GET"])] if settings.explorer else []


def _explorer(settings: Settings) -> str | None:
    if not settings.explorer:
        return None
    # Only the sandbox's key is known to everybody anyway; any other one is for its owner to type in.
    headers = {"Authorization": f"Bearer {DEVELOPMENT_KEY}"} if settings.sandbox else {}
    return explorer_page(endpoint=GRAPHQL_PATH, headers=headers, sandbox=settings.sandbox)


def _middleware(settings: Settings, metrics: Metrics, sockets: OpenSockets, throttle: Throttle) -> list[Middleware]:
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
    traffic = Middleware(Traffic, path=GRAPHQL_PATH, throttle=throttle, keys=settings.secret_keys)
    return [Middleware(SafeHeaders), Middleware(RequestIds), measuring, closing, *shared, traffic]


def _document_limits(settings: Settings) -> Limits:
    return Limits(
        tokens=settings.document_tokens_max,
        depth=settings.document_depth_max,
        aliases=settings.document_aliases_max,
        list_items=settings.list_items_max,
        variables_bytes=settings.variables_bytes_max,
    )


def _throttle(settings: Settings) -> Throttle:
    return Throttle(
        TrafficLimits(
            key_requests=settings.key_requests_per_minute,
            token_requests=settings.token_requests_per_minute,
            address_requests=settings.address_requests_per_minute,
            token_streams=settings.token_streams_max,
            address_connections=settings.address_connections_max,
            proxies=settings.trusted_proxies,
        )
    )


class _Shortcut:
    """Middleware: the way to the one path that nearly everybody asks for, past the router and what it keeps.

    The endpoint answers for itself whatever it refuses.
    """

    def __init__(self, app: ASGIApp, graphql: ASGIApp) -> None:
        self._app = app
        self._graphql = graphql

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_graphql = scope["type"] in ("http", "websocket") and scope["path"] == GRAPHQL_PATH
        await (self._graphql if is_graphql else self._app)(scope, receive, send)


async def _to_explorer(_request: Request) -> RedirectResponse:
    return RedirectResponse(GRAPHQL_PATH, 307)
