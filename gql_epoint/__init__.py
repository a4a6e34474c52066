"""A GraphQL API over the EPoint payment gateway."""

__version__ = "0.1.0"
