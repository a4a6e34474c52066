"""The command sandbox: the service, the simulator and the demo shop."""

from __future__ import annotations

import argparse
import asyncio
import socket
from urllib.parse import urlsplit

import msgspec

from gql_epoint import shop
from gql_epoint.cli.configuration import settings_from
from gql_epoint.cli.logs import start_logging
from gql_epoint.cli.parent import exit_with_parent
from gql_epoint.cli.simulating import simulator_beside
from gql_epoint.cli.starting import bind, run_to_end
from gql_epoint.cli.terminal import complain, say
from gql_epoint.keys import DEVELOPMENT_KEY
from gql_epoint.settings import DOCUMENTATION_PRIVATE_KEY, DOCUMENTATION_PUBLIC_KEY, Settings
from gql_epoint.web import server
from gql_epoint.web.app import GRAPHQL_PATH, WEBHOOK_PATH
from gql_epoint.web.listening import address_of


def sandbox(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Run the service in sandbox mode, with a simulator as a child that lives no longer than it, and the shop."""
    settings = settings_from(
        environ,
        GQL_EPOINT_SANDBOX="1",
        GQL_EPOINT_PORT=options.port,
        GQL_EPOINT_SIMULATOR_PORT=options.simulator_port,
        GQL_EPOINT_SHOP_PORT=options.shop_port,
        # Keys of a real merchant that happen to be set mean nothing to the simulator.
        EPOINT_PUBLIC_KEY=DOCUMENTATION_PUBLIC_KEY,
        EPOINT_PRIVATE_KEY=DOCUMENTATION_PRIVATE_KEY,
    )
    start_logging("WARNING" if settings.log_level == "INFO" else settings.log_level, settings.log_format)
    if options.exit_with_parent:
        exit_with_parent()
    listener = bind(settings.host, settings.port, "sandbox --port")
    shop_listener = bind(settings.host, settings.shop_port, "sandbox --shop-port")
    return run_to_end(_sandbox(settings, listener, shop_listener))


async def _sandbox(settings: Settings, listener: socket.socket, shop_listener: socket.socket) -> int:
    url, shop_url = address_of(listener), address_of(shop_listener)
    async with simulator_beside(settings, f"{url}{WEBHOOK_PATH}") as (child, simulator_url):
        if simulator_url is None:
            complain("the simulator did not start; its port is chosen with `gql-epoint sandbox --simulator-port`.")
            return await child.wait() or 1
        settings = msgspec.structs.replace(
            settings_for_shop(settings, shop_url),
            gateway_url=simulator_url,
            public_url=settings.public_url or url,
        )
        serving = asyncio.create_task(
            server.serve(settings, listener, announce=lambda url: say(_welcome(url, simulator_url, shop_url)))
        )
        leaving = asyncio.create_task(child.wait())
        selling = shop.ShopSettings(url=shop_url, graphql_url=f"{url}{GRAPHQL_PATH}", secret_key=DEVELOPMENT_KEY)
        async with shop.running(selling, shop_listener):
            await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            leaving.cancel()
            serving.result()
            return 0
        complain("the simulator has stopped, so the sandbox stops as well.")
        serving.cancel()
        await asyncio.wait({serving})
        return 1


def settings_for_shop(settings: Settings, shop_url: str) -> Settings:
    """Let the shop's pages call, and let customers come back to it; otherwise nothing changes."""
    host = urlsplit(shop_url).hostname
    return msgspec.structs.replace(
        settings,
        allowed_origins=(*settings.allowed_origins, shop_url),
        return_hosts=settings.return_hosts | {host} if settings.return_hosts and host else settings.return_hosts,
    )


def _welcome(url: str, simulator_url: str, shop_url: str) -> str:
    query = '{"query": "{ viewer { level scopes sandbox } }"}'
    return f"""\
gql-epoint serving on {url}

  GraphQL and its explorer   {url}{GRAPHQL_PATH}
  Demo shop                  {shop_url}
  EPoint simulator           {simulator_url}   (open it: a console)
  Development key            {DEVELOPMENT_KEY}

Four things to try:
  1. Open {shop_url} in a browser, buy something, and pay with 4111 1111 1111 1111.
  2. Open {url}{GRAPHQL_PATH} in a browser and run the first tab: it starts a payment.
  3. Open the nextAction url of the answer and pay there, while a subscription watches.
  4. curl {url}{GRAPHQL_PATH} -H 'Authorization: Bearer {DEVELOPMENT_KEY}' \\
       -H 'Content-Type: application/json' -d '{query}'

Ctrl-C stops all three."""
