"""Compiled execution for graphql-core and Strawberry: a validated operation becomes Python closures, once.

It knows nothing of payments and of the other parts. executor.py says how it works and what it leaves alone.
"""

from gql_epoint.compiled.executor import CompiledExecutor

__all__ = ["CompiledExecutor"]
