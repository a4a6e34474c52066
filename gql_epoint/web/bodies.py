"""Read a request's body, bounded in size and time."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from gql_epoint.deadlines import Deadlines
from gql_epoint.web.replies import Refusal

READ_TIMEOUT_S = 20.0

# A client that is cut off while it sends does not read the answer, so a little more is read and thrown away.
_THROWN_AWAY_BYTES_MAX = 1_000_000


class BodyReader:
    """Reads bodies of up to `bytes_max`, each within `timeout_s`."""

    def __init__(self, bytes_max: int, *, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._bytes_max = bytes_max
        self._deadlines = Deadlines(timeout_s)

    async def read(self, request: Request) -> bytes:
        """Return the body. Raises Refusal 413 if it is longer than may be, 408 if it does not come in time.

        No more than `bytes_max` is ever held, whatever the headers promise.
        """
        body = bytearray()
        seen = 0
        more = True
        try:
            with self._deadlines.begin():
                while more:
                    event = await request.receive()
                    if event["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunk = event.get("body", b"")
                    more = event.get("more_body", False)
                    seen += len(chunk)
                    if seen <= self._bytes_max:
                        body += chunk
                    elif seen > self._bytes_max + _THROWN_AWAY_BYTES_MAX:
                        break
        except TimeoutError:
            raise Refusal(408, "The body did not come in time.", "REQUEST_TIMEOUT", Connection="close") from None
        except ClientDisconnect:
            raise Refusal(400, "The body was cut off.") from None
        if seen > self._bytes_max:
            message = f"The body is longer than {self._bytes_max} bytes."
            raise Refusal(413, message, "CONTENT_TOO_LARGE", Connection="close")
        return bytes(body)
