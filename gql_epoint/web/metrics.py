"""Figures for Prometheus. Each application has its own registry, so two in one process do not mix.

What is in the books is counted when somebody asks, and is the same on every node; everything else is this
process's own. No label holds what a caller chose, so the number of series is bounded.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from gql_epoint.cashier import Cashier
from gql_epoint.errors import StoreUnavailableError
from gql_epoint.ledger.transaction import Disposition
from gql_epoint.setting_values import Secret
from gql_epoint.store.protocol import Backlog, Reader
from gql_epoint.web.replies import NO_STORE, Refusal

DATABASE_TIMEOUT_S = 2.0
METRICS_PATH = "/metrics"

# EPoint answers in 0.2 to 3 seconds on a good day, and is given up after 30 by default.
_CALL_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

LABELS = {
    "gql_epoint_build": ("version",),
    "gql_epoint_callbacks": ("disposition",),
    "gql_epoint_gateway_call_seconds": ("operation", "outcome"),
    "gql_epoint_http_request_seconds": ("path", "method", "status"),
}
CALLBACK_FATES = (*(word.lower() for word in Disposition), "bad_signature", "unreadable", "postponed")
HINT_FATES = ("hint", "unreadable_hint", "unknown_address")

logger = logging.getLogger(__name__)


class Metrics:
    """The figures of one application."""

    def __init__(self, watching: Callable[[], int]) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        Info("gql_epoint_build", "The version that runs.", registry=self.registry).info(
            {"version": version("gql-epoint")}
        )
        self._calls = Histogram(
            "gql_epoint_gateway_call_seconds",
            "Calls to EPoint and how long they took, by operation and outcome: answered, unclear (money may have "
            "moved) or unavailable (nothing was sent).",
            LABELS["gql_epoint_gateway_call_seconds"],
            buckets=_CALL_BUCKETS_S,
            registry=self.registry,
        )
        self._callbacks = Counter(
            "gql_epoint_callbacks",
            "Callbacks by what became of them. bad_signature: not from EPoint, or the private key is wrong. "
            "hint: an unsigned webhook about a transfer.",
            LABELS["gql_epoint_callbacks"],
            registry=self.registry,
        )
        for fate in (*CALLBACK_FATES, *HINT_FATES):
            self._callbacks.labels(fate)
        self._requests = Histogram(
            "gql_epoint_http_request_seconds",
            "HTTP requests and the time until their answer began, by path, method and status.",
            LABELS["gql_epoint_http_request_seconds"],
            buckets=_REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self._held_up = Counter(
            "gql_epoint_confirmations_held_up",
            "Confirmations that were refused because their address tried to pay, or was declined, too often.",
            registry=self.registry,
        )
        self.sockets = Gauge(
            "gql_epoint_websocket_connections", "WebSocket connections that are open.", registry=self.registry
        )
        subscriptions = Gauge(
            "gql_epoint_subscriptions",
            "Subscriptions that are open, over WebSocket and as event streams.",
            registry=self.registry,
        )
        subscriptions.set_function(watching)
        self._books = _BooksFigures(self.registry)
        self._found: dict[tuple[Histogram, tuple[object, ...]], Histogram] = {}

    def gateway_called(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to EPoint."""
        self._series(self._calls, operation, outcome).observe(seconds)

    def callback_taken(self, fate: str) -> None:
        """Count a callback by one of CALLBACK_FATES, or an unsigned webhook by one of HINT_FATES."""
        self._callbacks.labels(fate).inc()

    def confirmation_held_up(self) -> None:
        """Count a confirmation that was refused for its address."""
        self._held_up.inc()

    def request_served(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request; the path must be one of few."""
        self._series(self._requests, path, method, status).observe(seconds)

    def _series(self, figure: Histogram, *labels: object) -> Histogram:
        """Return one series; to find it in the library takes longer than to count."""
        found = self._found.get((figure, labels))
        if found is None:
            found = self._found[figure, labels] = figure.labels(*labels)
        return found

    async def text(self, cashier: Cashier) -> bytes:
        """Return everything as Prometheus reads it, the books' figures as of now."""
        try:
            async with asyncio.timeout(DATABASE_TIMEOUT_S):
                backlog, now = await cashier.books.read(_look)
        except (StoreUnavailableError, TimeoutError) as exc:
            logger.warning("The books cannot be counted: %s", exc or type(exc).__name__)
            self._books.unknown()
        else:
            self._books.known(backlog, now)
        return generate_latest(self.registry)


class _BooksFigures:
    """What the database knows. A figure that is not known is not shown, rather than an old one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, registry=registry)

        self._up = gauge("gql_epoint_database_up", "1 if the database answered when this was asked.")
        self._gauges = {
            "indeterminate": gauge(
                "gql_epoint_indeterminate_transactions",
                "Transactions of which it is not known whether money moved.",
            ),
            "refunds": gauge("gql_epoint_indeterminate_refunds", "Refunds of which that is not known."),
            "transfers": gauge(
                "gql_epoint_indeterminate_transfers", "Transfers to businesses of which that is not known."
            ),
            "invoices": gauge(
                "gql_epoint_indeterminate_invoices",
                "Invoices of which it is not known whether EPoint made them; no customer was sent one.",
            ),
            "review": gauge("gql_epoint_review_transactions", "Transactions that a person must decide."),
            "transfer_review": gauge(
                "gql_epoint_review_transfers",
                "Transfers to businesses that a person must decide; they are among the indeterminate ones as well.",
            ),
            "invoice_review": gauge(
                "gql_epoint_review_invoices",
                "Invoices of which EPoint reports a payment of another amount: a person must decide.",
            ),
            "unmatched": gauge("gql_epoint_unmatched_callbacks", "Signed callbacks that fit nothing here."),
            "ask_lag": gauge(
                "gql_epoint_reconcile_lag_seconds",
                "How long the oldest question to EPoint is overdue; 0 if none is.",
            ),
            "settle_lag": gauge(
                "gql_epoint_settle_lag_seconds",
                "How long the oldest call without an answer is past its deadline; 0 if none is.",
            ),
        }

    def unknown(self) -> None:
        self._up.set(0)
        for figure in self._gauges.values():
            figure.set(float("nan"))

    def known(self, backlog: Backlog, now: datetime) -> None:
        self._up.set(1)
        for name, value in (
            ("indeterminate", backlog.indeterminate_transactions),
            ("refunds", backlog.indeterminate_refunds),
            ("transfers", backlog.indeterminate_transfers),
            ("invoices", backlog.indeterminate_invoices),
            ("review", backlog.transactions_in_review),
            ("transfer_review", backlog.transfers_in_review),
            ("invoice_review", backlog.invoices_in_review),
            ("unmatched", backlog.unmatched_callbacks),
            ("ask_lag", backlog.ask_lag_s(now)),
            ("settle_lag", backlog.settle_lag_s(now)),
        ):
            self._gauges[name].set(value)


def metrics_table() -> str:
    """Return every figure of ours as a Markdown table, for the documentation."""
    rows = ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
    for figure in Metrics(lambda: 0).registry.collect():
        if figure.name.startswith("gql_epoint_"):
            suffix = {"counter": "_total", "info": "_info"}.get(figure.type, "")
            labels = ", ".join(f"`{label}`" for label in LABELS.get(figure.name, ())) or "–"
            rows.append(f"| `{figure.name}{suffix}` | {figure.type} | {labels} | {figure.documentation} |")
    return "\n".join(rows)


def metrics_endpoint(
    metrics: Metrics, cashier: Cashier, token: Secret | None
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint; with a token, only whoever presents it as a bearer is answered."""

    async def answer(request: Request) -> Response:
        if token is not None and not _presents(request, token):
            raise Refusal(401, "The token of metrics is needed.", "UNAUTHENTICATED", WWW_Authenticate="Bearer")
        return Response(await metrics.text(cashier), headers=NO_STORE | {"Content-Type": CONTENT_TYPE_LATEST})

    return answer


def _presents(request: Request, token: Secret) -> bool:
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    good = hmac.compare_digest(presented.strip().encode(), token.reveal().encode())
    return scheme.lower() == "bearer" and good


async def _look(reader: Reader) -> tuple[Backlog, datetime]:
    return await reader.backlog(), reader.now
