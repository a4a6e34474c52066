"""An EPoint that costs as little as possible: it believes every request and opens a payment.

`python -m tests.benchmarks.fake_gateway` prints its address and ends with its input.
"""

from __future__ import annotations

import asyncio
import itertools

from tests.benchmarks.processes import announce_and_wait
from tests.benchmarks.wire import Messages, run

_numbers = itertools.count(1)
_REPLIES = {
    b"/api/1/request": '{{"status":"success","transaction":"te{n:012d}","redirect_url":"{url}/pay/{n}"}}',
    b"/api/1/pre-auth-request": '{{"status":"success","transaction":"te{n:012d}","redirect_url":"{url}/pay/{n}"}}',
    b"/api/1/reverse": '{{"status":"success","message":"ok"}}',
    b"/api/1/get-status": '{{"status":"new"}}',
}


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._messages = Messages()
        host, port = transport.get_extra_info("sockname")[:2]
        self._url = f"http://{host}:{port}"

    def data_received(self, data: bytes) -> None:
        message = self._messages.feed(data)
        if message is None:
            return
        path = message[0].split(b" ", 2)[1]
        body = _REPLIES[path].format(n=next(_numbers), url=self._url).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)  # type: ignore[attr-defined]


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    await announce_and_wait("http://{}:{}".format(*server.sockets[0].getsockname()))


if __name__ == "__main__":
    run(_main)
