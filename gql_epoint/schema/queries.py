"""Queries: what the books say, and one question to EPoint itself."""

import contextlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier.lookup import narrowed
from gql_epoint.epoint.replies import StatusReply
from gql_epoint.ledger import ids
from gql_epoint.ledger import transaction as ledger
from gql_epoint.schema.access import ANYBODY, READ, AuthLevel, Scope
from gql_epoint.schema.business_transfer_types import find_business_transfer
from gql_epoint.schema.checkout_types import find_checkout
from gql_epoint.schema.connections import (
    BY_ID,
    BY_TIME,
    After,
    Before,
    Connection,
    Cursors,
    First,
    Last,
    load,
    read_page,
)
from gql_epoint.schema.context import Info, plain_text
from gql_epoint.schema.enums import CallbackDisposition, TransactionOrder
from gql_epoint.schema.events import FEED, Event, to_event
from gql_epoint.schema.inputs import SavedCardBy, TransactionBy, TransactionFilter
from gql_epoint.schema.invoice_types import find_invoice
from gql_epoint.schema.scalars import Json
from gql_epoint.schema.types import (
    Callback,
    SavedCard,
    Transaction,
    find_callback,
    find_refund,
    find_saved_card,
    find_transaction,
)
from gql_epoint.schema.values import CardDetails, Node
from gql_epoint.store import protocol
from gql_epoint.store.rows import to_microseconds

TRANSACTIONS = Cursors("transactions", BY_ID)
TRANSACTIONS_BY_UPDATE = Cursors("updates", BY_TIME)
SAVED_CARDS = Cursors("cards", BY_ID)
CALLBACKS = Cursors("callbacks", BY_ID)


def _argument(description: str) -> Any:
    return strawberry.argument(description=description)


@strawberry.type(description="The credential of this request.")
class Viewer:
    """The credential of this request."""

    level: AuthLevel = strawberry.field(description="What kind of credential it is.")
    scopes: list[Scope] = strawberry.field(description="What it may do.")
    sandbox: bool = strawberry.field(
        description="Whether this service talks to the simulator, and no money is real."
    )
    expires_at: datetime | None = strawberry.field(description="When it stops working; null if it does not.")


@strawberry.type(description="EPoint's own answer about a transaction, as it came; nothing is recorded.")
class GatewayStatusResult:
    """EPoint's own answer about a transaction."""

    record: strawberry.Private[ledger.Transaction | None]
    status: str = strawberry.field(
        description="EPoint's own word, such as `success` or `error`; empty if it said none. An open vocabulary."
    )
    code: str | None = strawberry.field(description="The bank's response code, such as `000`.")
    message: str | None = strawberry.field(description="EPoint's message.")
    transaction_id: str | None = strawberry.field(description="EPoint's id of the transaction.")
    order_id: str | None = strawberry.field(description="The order id that EPoint was given.")
    amount: Decimal | None = strawberry.field(description="The amount, in a currency that EPoint may not name.")
    bank_transaction_id: str | None = strawberry.field(description="The bank's id of the transaction.")
    bank_response: str | None = strawberry.field(description="The bank's answer in its own words.")
    operation_code: str | None = strawberry.field(description="EPoint's code of the kind of operation.")
    rrn: str | None = strawberry.field(description="The retrieval reference number.")
    card: CardDetails | None = strawberry.field(description="The card that was used.")
    metadata: Json | None = strawberry.field(
        description="What came with the order, from EPoint's `other_attr`, which keeps JSON as text."
    )

    @strawberry.field(description="The transaction, if it is one of ours, as it is recorded here.")
    def transaction(self) -> Transaction | None:
        """Our own record of it."""
        return Transaction.of(self.record) if self.record else None

    @classmethod
    def of(cls, reply: StatusReply, known: ledger.Transaction | None) -> "GatewayStatusResult":
        """Build it from EPoint's reply and our own record."""
        return cls(
            record=known,
            status=reply.status or "",
            code=reply.code,
            message=reply.message,
            transaction_id=reply.transaction,
            order_id=reply.order_id,
            amount=reply.amount,
            bank_transaction_id=reply.bank_transaction,
            bank_response=reply.bank_response,
            operation_code=reply.operation_code,
            rrn=reply.rrn,
            card=CardDetails.of(reply.card_mask, reply.card_name),
            metadata=_from_text(reply.other_attr),
        )


@strawberry.type(description="What can be asked. Lists have 20 items where neither `first` nor `last` is given.")
class Query:
    """What can be asked."""

    @strawberry.field(description="The credential of this request.", directives=[ANYBODY])
    def viewer(self, info: Info) -> Viewer | None:
        """Describe the credential."""
        caller = info.context.caller
        return Viewer(
            level=caller.level,
            scopes=sorted(caller.scopes, key=lambda scope: scope.name),
            sandbox=info.context.sandbox,
            expires_at=caller.expires_at,
        )

    @strawberry.field(
        description="One transaction, as it is recorded here; EPoint is not asked.", directives=[READ]
    )
    async def transaction(
        self, info: Info, by: Annotated[TransactionBy, _argument("Which transaction.")]
    ) -> Transaction | None:
        """Find a transaction."""
        known = await info.context.cashier.lookup.transaction(by.to_name())
        return Transaction.of(known) if known else None

    @strawberry.field(description="All transactions, page by page in both directions.", directives=[READ])
    async def transactions(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: Annotated[TransactionFilter | None, _argument("Which of them.")] = None,  # noqa: A002
        order_by: Annotated[TransactionOrder, _argument("How they are sorted.")] = TransactionOrder.CREATED_AT_DESC,
    ) -> Connection[Transaction]:
        """List transactions."""
        by_update = order_by is TransactionOrder.UPDATED_AT_ASC
        cursors = TRANSACTIONS_BY_UPDATE if by_update else TRANSACTIONS
        only = filter.to_filter() if filter else protocol.TransactionFilter()
        return await load(
            cursors,
            read_page(cursors, first=first, after=after, last=last, before=before),
            lambda page: info.context.cashier.books.read(
                lambda reader: reader.transactions(
                    page if by_update else narrowed(page, only), only, by_update=by_update
                )
            ),
            _key_by_update if by_update else lambda transaction: transaction.id,
            Transaction.of,
        )

    @strawberry.field(description="One saved card, as it is recorded here; EPoint is not asked.", directives=[READ])
    async def saved_card(
        self, info: Info, by: Annotated[SavedCardBy, _argument("Which saved card.")]
    ) -> SavedCard | None:
        """Find a saved card."""
        known = await info.context.cashier.lookup.saved_card(by.to_name())
        return SavedCard.of(known) if known else None

    @strawberry.field(description="All saved cards, newest first.", directives=[READ])
    async def saved_cards(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[SavedCard]:
        """List saved cards."""
        return await load(
            SAVED_CARDS,
            read_page(SAVED_CARDS, first=first, after=after, last=last, before=before),
            lambda page: info.context.cashier.books.read(lambda reader: reader.saved_cards(page)),
            lambda card: card.id,
            SavedCard.of,
        )

    @strawberry.field(
        description="All verified callbacks from EPoint, newest first, whatever became of them.", directives=[READ]
    )
    async def callbacks(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        disposition_in: Annotated[
            list[CallbackDisposition] | None, _argument("Only those of which one of these became.")
        ] = None,
    ) -> Connection[Callback]:
        """List callbacks."""
        only = None if disposition_in is None else [ledger.Disposition(item.value) for item in disposition_in]
        return await load(
            CALLBACKS,
            read_page(CALLBACKS, first=first, after=after),
            lambda page: info.context.cashier.books.read(lambda reader: reader.callbacks(page, only)),
            lambda callback: callback.id,
            Callback.of,
        )

    @strawberry.field(
        description=(
            "Every event of every transaction, refund, saved card, transfer and invoice, in the order in which "
            "they were committed. The cursors are good for the subscription `events` as well."
        ),
        directives=[READ],
    )
    async def events(self, info: Info, first: First = 100, after: After = None) -> Connection[Event]:
        """List events."""
        return await load(
            FEED,
            read_page(FEED, first=first, after=after, default=100),
            lambda page: info.context.cashier.books.read(
                lambda reader: reader.feed(int(page.after or 0), page.limit)
            ),
            lambda event: str(event.position),
            to_event,
        )

    @strawberry.field(description="Any object by its id; null if there is none.", directives=[READ])
    async def node(self, info: Info, id: Annotated[ID, _argument("The object's id.")]) -> Node | None:  # noqa: A002
        """Find an object by its id."""
        object_id = plain_text(id)
        prefix = object_id.partition("_")[0]
        if prefix == ids.EVENT:
            return await _find_event(info, object_id)
        find: Any = {
            ids.TRANSACTION: find_transaction,
            ids.REFUND: find_refund,
            ids.SAVED_CARD: find_saved_card,
            ids.CALLBACK: find_callback,
            ids.CHECKOUT: find_checkout,
            ids.BUSINESS_TRANSFER: find_business_transfer,
            ids.INVOICE: find_invoice,
        }.get(prefix)
        found: Node | None = await find(info, object_id) if find else None
        return found

    @strawberry.field(
        description=(
            "Ask EPoint now about any transaction of the merchant, ours or not, and return what it says. Nothing "
            "is recorded: see `refreshTransaction` for that. If EPoint does not answer, `extensions.code` is "
            "GATEWAY_UNAVAILABLE."
        ),
        directives=[READ],
    )
    async def gateway_status(
        self, info: Info, transaction_id: Annotated[str, _argument("EPoint's id of the transaction.")]
    ) -> GatewayStatusResult | None:
        """Ask EPoint about a transaction."""
        reply, known = await info.context.cashier.lookup.gateway_status(plain_text(transaction_id))
        return GatewayStatusResult.of(reply, known)


def _from_text(other_attr: Any) -> Json | None:
    if isinstance(other_attr, str) and other_attr.startswith(("{", "[")):
        with contextlib.suppress(ValueError, RecursionError):
            return Json(json.loads(other_attr))
    return None if other_attr is None else Json(other_attr)


def _key_by_update(transaction: ledger.Transaction) -> str:
    return f"{to_microseconds(transaction.updated_at)}:{transaction.id}"


async def _find_event(info: Info, event_id: str) -> Event | None:
    try:
        stream_id, sequence = ids.split_event_id(event_id)
    except ValueError:
        return None
    known = await info.context.cashier.books.read(lambda reader: reader.event(stream_id, sequence))
    return to_event(known) if known else None
