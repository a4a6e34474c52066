"""The settings that the environment and the command line give, and the books that they name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from gql_epoint.cli.terminal import complain
from gql_epoint.settings import Settings, read_settings
from gql_epoint.store import open_store
from gql_epoint.store.protocol import Store


def with_changes(environ: Mapping[str, str], **changes: str | None) -> dict[str, str]:
    """Return the environment with the settings that the command line names; None names nothing."""
    return {**environ, **{name: value for name, value in changes.items() if value is not None}}


def settings_from(environ: dict[str, str], **changes: str | None) -> Settings:
    """Read the settings. Raises ConfigurationError for the first that would not work; tells if there are more."""
    settings, problems = read_settings(with_changes(environ, **changes))
    if settings is None:
        if len(problems) > 1:
            complain(f"{len(problems)} settings would not work; `gql-epoint check` lists them. The first:")
        raise problems[0]
    return settings


def store_of(settings: Settings, *, guest: bool = False) -> Store:
    """Return the books that the settings name, not opened yet; see SqliteStore for what a guest may do."""
    return open_store(
        settings.database_url.reveal(), sandbox=settings.sandbox, clock=lambda: datetime.now(UTC), guest=guest
    )
