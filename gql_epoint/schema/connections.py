"""Pages of lists, after Relay's connections: arguments in, opaque cursors out, one row more than asked."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Generic, TypeVar

import strawberry
from graphql import GraphQLError

from gql_epoint.store.protocol import Page

NodeT = TypeVar("NodeT")
RowT = TypeVar("RowT")

PAGE_DEFAULT = 20
PAGE_MAX = 100

First = Annotated[
    int | None,
    strawberry.argument(
        description="How many to return from the start, or after `after`: 0 to 100. Not together with `last`."
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(description="The cursor to go on after: `pageInfo.endCursor` of the page before."),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description="How many to return from the end, or before `before`: 0 to 100. Not together with `first`."
    ),
]
Before = Annotated[
    str | None,
    strawberry.argument(description="The cursor to stop before: `pageInfo.startCursor` of the page after."),
]


@strawberry.type(description="Whether there is more, and where to go on.")
class PageInfo:
    """Whether there is more, and where to go on."""

    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="Pass it as `before` to page backwards.")
    end_cursor: str | None = strawberry.field(description="Pass it as `after` to go on.")


@strawberry.type(description="One item of a list.")
class Edge(Generic[NodeT]):
    """One item of a list."""

    cursor: str = strawberry.field(description="The place of this item in its list. Opaque, and good for ever.")
    node: NodeT = strawberry.field(description="The item itself.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeT]):
    """A page of a list."""

    edges: list[Edge[NodeT]] = strawberry.field(description="The items of this page, in the order of the list.")
    page_info: PageInfo = strawberry.field(description="Whether there is more, and where to go on.")


class Cursors:
    """The cursors of one list: its name, and what its keys look like."""

    def __init__(self, name: str, key: str) -> None:
        self._name = name
        self._key = re.compile(key, re.ASCII)

    def encode(self, key: str) -> str:
        """Return the opaque cursor of a key."""
        return base64.urlsafe_b64encode(f"{self._name}:{key}".encode()).decode().rstrip("=")

    def decode(self, cursor: str | None, argument: str) -> str | None:
        """Return the key of a cursor; raises GraphQLError naming the argument if it is not of this list."""
        if cursor is None:
            return None
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode(
                "ascii"
            )
        except (ValueError, binascii.Error):
            text = ""
        name, _, key = text.partition(":")
        if name != self._name or not self._key.fullmatch(key):
            raise _refused(argument, "is not a cursor of this list; pass one from its pageInfo or edges, unchanged")
        return key


BY_ID = r"[a-z]{1,8}_[0-9a-f]{32}"
BY_NUMBER = r"\d{1,18}"
BY_TIME = rf"-?{BY_NUMBER}:{BY_ID}"


def read_page(
    cursors: Cursors,
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    default: int = PAGE_DEFAULT,
) -> Page:
    """Return the page that the arguments name; raises GraphQLError naming the argument that is wrong."""
    for name, value in (("first", first), ("last", last)):
        if value is not None and not 0 <= value <= PAGE_MAX:
            raise _refused(name, f"must be between 0 and {PAGE_MAX}")
    if first is not None and last is not None:
        raise _refused("last", "cannot be used together with `first`")
    limit = first if first is not None else last
    return Page(
        limit=default if limit is None else limit,
        after=cursors.decode(after, "after"),
        before=cursors.decode(before, "before"),
        backwards=last is not None,
    )


async def load(
    cursors: Cursors,
    page: Page,
    fetch: Callable[[Page], Awaitable[Sequence[RowT]]],
    key: Callable[[RowT], str],
    build: Callable[[RowT], NodeT],
) -> Connection[NodeT]:
    """Return a page of a list; asks for one row more than wanted, to know whether there is more."""
    rows = await fetch(Page(limit=page.limit + 1, after=page.after, before=page.before, backwards=page.backwards))
    more = len(rows) > page.limit
    if more:  # The row too many is the one farthest from where the page starts.
        rows = rows[1:] if page.backwards else rows[: page.limit]
    edges = [Edge(cursor=cursors.encode(key(row)), node=build(row)) for row in rows]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.before is not None if page.backwards else more,
            has_previous_page=more if page.backwards else page.after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


def _refused(argument: str, problem: str) -> GraphQLError:
    return GraphQLError(f"Argument `{argument}` {problem}.", extensions={"code": "INVALID_INPUT"})
