"""Take EPoint's webhook about a transfer to a business, which is not signed, and believe nothing of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gql_epoint.cashier import Cashier
from gql_epoint.epoint.b2b import read_b2b_webhook
from gql_epoint.errors import StoreUnavailableError, UnreadableError
from gql_epoint.web.bodies import BodyReader
from gql_epoint.web.metrics import Metrics
from gql_epoint.web.replies import NO_STORE, Refusal

logger = logging.getLogger(__name__)


Endpoint = Callable[[Request], Awaitable[Response]]


def transfer_webhook(cashier: Cashier, bytes_max: int, metrics: Metrics) -> Endpoint:
    """Return the endpoint; `metrics` counts what became of webhooks.

    The random part of the address is all that there is to check. Where nothing has it, the answer is that of any
    address that does not exist, and nothing is read.
    """

    bodies = BodyReader(bytes_max)

    async def take(request: Request) -> Response:
        if request.method != "POST":
            raise HTTPException(404)
        try:
            known = await cashier.business_transfers.hint(request.path_params["token"])
            if not known:
                metrics.callback_taken("unknown_address")
                raise HTTPException(404)
        except StoreUnavailableError as exc:
            metrics.callback_taken("postponed")
            logger.error("webhook postponed, the database is away: %s", exc)
            raise Refusal(503, "Try again later.", "UNAVAILABLE", Retry_After="5") from None
        raw = await bodies.read(request)
        try:
            claims = read_b2b_webhook(raw).status is not None
        except UnreadableError:
            claims = False
        # What it claims changes nothing: EPoint is asked in any case.
        metrics.callback_taken("hint" if claims else "unreadable_hint")
        return PlainTextResponse("OK", headers=NO_STORE)

    return take
