"""Many subscribers who ask the same about the same thing are sent one result: it is made and written down once.

The same is: the document and its variables, whatever of the credential decides how something is shown, and the very
object that was read from the books after a change. An object that is read again is another one, so nobody is sent
what was made before the change.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strawberry.types.execution import ExecutionResult

if TYPE_CHECKING:
    from gql_epoint.schema.context import RequestContext


@dataclass
class Message(ExecutionResult):
    """One result of a subscription; `written` is its JSON, once somebody has written it down."""

    written: bytes | None = None


class Sharing:
    """The results that are being sent to several subscribers; few things change at once, so there are few."""

    ENTRIES_MAX = 100

    def __init__(self) -> None:
        # The object is kept with its result, so that no other one takes its identity.
        self._results: OrderedDict[Hashable, tuple[object, asyncio.Task[Message]]] = OrderedDict()

    def key(
        self, text: str, variables: dict[str, Any] | None, context: RequestContext, operation_name: str | None
    ) -> Hashable:
        """Return what has to be the same for two subscribers to be sent the same of an object."""
        return text, operation_name, repr(variables), context.caller.view

    async def result(self, key: Hashable, item: Any, make: Callable[[], Awaitable[Message]]) -> Message:
        """Return the result of an item. One without `record` is nobody else's; neither is one with an error."""
        record = getattr(item, "record", None)
        if record is None:
            return await make()
        place = key, item.kind, id(record)
        found = self._results.get(place)
        if found is None:
            found = self._results[place] = (record, asyncio.ensure_future(make()))
            if len(self._results) > self.ENTRIES_MAX:
                self._results.popitem(last=False)
        message = await asyncio.shield(found[1])
        return message if not message.errors else await make()
