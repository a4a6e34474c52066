"""What the shop is told when it starts."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec


class ShopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is the shop's own origin, `graphql_url` the service's endpoint, `secret_key` stays on this side."""

    url: str
    graphql_url: str
    secret_key: str

    @property
    def host(self) -> str:
        """The one host name, with its port, under which the shop answers."""
        return urlsplit(self.url).netloc

    @property
    def service_origins(self) -> tuple[str, str]:
        """Where its pages may connect to: the service, by HTTP and by WebSocket."""
        url = urlsplit(self.graphql_url)
        socket = {"http": "ws", "https": "wss"}[url.scheme]
        return f"{url.scheme}://{url.netloc}", f"{socket}://{url.netloc}"
