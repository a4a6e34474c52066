"""The command serve."""

from __future__ import annotations

import argparse

from gql_epoint.cli.configuration import settings_from
from gql_epoint.cli.logs import start_logging
from gql_epoint.cli.parent import exit_with_parent
from gql_epoint.cli.starting import bind, run_to_end
from gql_epoint.cli.terminal import say
from gql_epoint.cli.traces import tracing
from gql_epoint.points import arm
from gql_epoint.web import server


def serve(options: argparse.Namespace, environ: dict[str, str]) -> int:
    """Serve until stopped."""
    settings = settings_from(environ, GQL_EPOINT_HOST=options.host, GQL_EPOINT_PORT=options.port)
    start_logging(settings.log_level, settings.log_format)
    if options.exit_with_parent:
        exit_with_parent()
    if settings.die_at is not None:
        arm(settings.die_at)
    listener = bind(settings.host, settings.port, "serve --port")
    with tracing(settings.traces, environ.get("OTEL_SERVICE_NAME", "gql-epoint")):
        run_to_end(server.serve(settings, listener, announce=lambda url: say(f"gql-epoint serving on {url}")))
    return 0
