"""Compiled execution for graphql-core and Strawberry: see executor.py."""

from gql_epoint.compiled.executor import CompiledExecutor

__all__ = ["CompiledExecutor"]
