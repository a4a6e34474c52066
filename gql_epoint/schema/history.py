"""The history of one row: a page of its events, oldest first, for everything that has some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gql_epoint.schema.connections import Connection, Cursors, load, read_page
from gql_epoint.schema.context import Info

if TYPE_CHECKING:
    from gql_epoint.schema.events import Event

HISTORY_DEFAULT = 50


async def history_page(
    info: Info, cursors: Cursors, stream_id: str, first: int | None, after: str | None
) -> Connection[Event]:
    """Return the page of a row's history that the arguments name; `cursors` are those of rows of its kind."""
    from gql_epoint.schema.events import to_event  # Events show the rows that have them.

    return await load(
        cursors,
        read_page(cursors, first=first, after=after, default=HISTORY_DEFAULT),
        lambda page: info.context.cashier.books.read(lambda reader: reader.stream_events(stream_id, page)),
        lambda event: str(event.sequence),
        to_event,
    )
