"""The commands check and keys new."""

from __future__ import annotations

import argparse
import asyncio
import os

from gql_epoint.cli.configuration import store_of
from gql_epoint.cli.terminal import complain, say
from gql_epoint.epoint.operations import GET_STATUS
from gql_epoint.epoint.replies import StatusReply
from gql_epoint.epoint.requests import StatusRequest
from gql_epoint.errors import ConfigurationError, GatewayError
from gql_epoint.keys import SecretKey, check_name, digest_of, new_secret_key, parse_scopes
from gql_epoint.setting_values import without_password
from gql_epoint.settings import SETTINGS, Settings, read_settings, settings_table
from gql_epoint.store.protocol import Migrations

_NO_TRANSACTION = "te0000000000"


def check(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Say whether the service would start, and why not."""
    if options.table:
        say(settings_table())
        return 0
    settings, problems = read_settings(environ)
    _show(environ, problems)
    if settings is None:
        for problem in problems:
            complain(f"{problem}.")
        return 2
    say(_about(asyncio.run(store_of(settings).migrations())))
    if options.gateway and not asyncio.run(_ask_gateway(settings)):
        return 1
    say("The service would start.")
    return 0


def new_key(options: argparse.Namespace, _environ: dict[str, str]) -> int:
    """Make a key, and show it this once."""
    try:
        name, scopes = check_name(options.name), parse_scopes(options.scopes, ",")
    except ValueError as exc:
        complain(f"{exc}.")
        return 2
    key = new_secret_key(os.urandom)
    line = SecretKey(name=name, scopes=scopes, digest=digest_of(key)).line()
    say(f"The key, shown this once and kept nowhere. Hand it to {name} and to nobody else:\n")
    say(f"    {key}\n")
    say("Its line for GQL_EPOINT_SECRET_KEYS, which is no secret. Separate several by commas:\n")
    say(f"    {line}")
    return 0


def _show(environ: dict[str, str], problems: list[ConfigurationError]) -> None:
    wrong = {problem.setting for problem in problems}
    sandbox = "GQL_EPOINT_SANDBOX" not in wrong and environ.get("GQL_EPOINT_SANDBOX", "0").strip() not in ("", "0")
    width = max(len(row.name) for row in SETTINGS)
    for row in SETTINGS:
        given = environ.get(row.name, "").strip()
        value = given or row.default_in(sandbox) or ""
        shown = "***" if row.secret and value else without_password(value) if row.name.endswith("_URL") else value
        note = "wrong" if row.name in wrong else "set" if given else "default"
        say(f"{row.name:<{width}}  {note:<7}  {shown or '-'}")
    say()


def _about(migrations: Migrations) -> str:
    if migrations.done == 0:
        return "The database is empty; `gql-epoint migrate`, or the first start, makes its tables."
    if migrations.done < migrations.known:
        return (
            f"The database has had {migrations.done} of {migrations.known} migrations; `gql-epoint migrate`, or "
            "the next start, applies the others."
        )
    return f"The database is up to date: {migrations.done} of {migrations.known} migrations."


async def _ask_gateway(settings: Settings) -> bool:
    """Ask about a transaction that does not exist: the answer shows whether EPoint accepts the keys."""
    from gql_epoint.web.app import new_gateway  # loads all of the service, which the other questions do without

    try:
        async with new_gateway(settings) as gateway:
            reply = await gateway.call(GET_STATUS, StatusRequest(transaction=_NO_TRANSACTION))
    except GatewayError as exc:
        complain(f"EPoint at {settings.gateway_url} gave no usable answer: {exc.reason}.")
        return False
    problem = _problem(reply)
    if problem is not None:
        complain(problem)
        return False
    say(f"EPoint at {settings.gateway_url} accepts the keys.")
    return True


def _problem(reply: StatusReply) -> str | None:
    if reply.status != "server_error":
        return None
    hints = {
        "signature did not match": "EPOINT_PRIVATE_KEY is not the key of this merchant",
        "merchant not found": "EPoint does not know EPOINT_PUBLIC_KEY",
    }
    message = reply.message or "no reason given"
    hint = hints.get(message.lower().rstrip("."), "try again later, or ask EPoint")
    return f"EPoint answered: {message}. {hint[0].upper()}{hint[1:]}."
