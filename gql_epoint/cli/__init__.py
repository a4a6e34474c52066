"""The command line: serve, simulator, sandbox, cluster, migrate, backup, erase, schema, check, keys."""

from gql_epoint.cli.main import main

__all__ = ["main"]
