"""Take EPoint's callbacks over HTTP. EPoint repeats what is not answered with 200, so 200 means recorded."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gql_epoint.cashier import Cashier
from gql_epoint.errors import SignatureError, StoreUnavailableError, UnreadableError
from gql_epoint.web.bodies import BodyReader
from gql_epoint.web.metrics import Metrics
from gql_epoint.web.replies import NO_STORE, Refusal

logger = logging.getLogger(__name__)


def webhook(cashier: Cashier, bytes_max: int, metrics: Metrics) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint; `metrics` counts what became of callbacks."""

    bodies = BodyReader(bytes_max)

    async def take(request: Request) -> Response:
        raw = await bodies.read(request)
        try:
            disposition = await cashier.callbacks.take(request.headers.get("content-type", ""), raw)
        except (SignatureError, UnreadableError) as exc:
            # No detail: whoever forges callbacks is told nothing, and the body does not reach the log either.
            metrics.callback_taken("bad_signature" if isinstance(exc, SignatureError) else "unreadable")
            logger.warning("callback refused: %s, %d bytes", type(exc).__name__, len(raw))
            raise Refusal(400, "Bad request.") from None
        except StoreUnavailableError as exc:
            metrics.callback_taken("postponed")
            logger.error("callback postponed, the database is away: %s", exc)
            raise Refusal(503, "Try again later.", "UNAVAILABLE", Retry_After="5") from None
        metrics.callback_taken(disposition.lower())
        logger.info("callback %s", disposition, extra={"disposition": disposition})
        return PlainTextResponse("OK", headers=NO_STORE)

    return take
