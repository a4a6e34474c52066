"""The command schema."""

from __future__ import annotations

import argparse
from pathlib import Path

from gql_epoint.cli.terminal import complain, say
from gql_epoint.errors import ConfigurationError
from gql_epoint.schema import schema_text


def schema(options: argparse.Namespace, _environ: dict[str, str]) -> int:
    """Print the schema, or compare it with a file."""
    printed = schema_text()
    if options.check is None:
        say(printed.rstrip("\n"))
        return 0
    try:
        written = Path(options.check).read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(options.check, f"cannot be read: {exc.strerror}") from None
    if written == printed:
        return 0
    complain(f"{options.check} is not the schema of this version; write it anew with `make schema`.")
    return 1
