"""Inputs of checkouts. Those of a backend fix everything; a browser's hold no amount, no order and no URL."""

import strawberry
from strawberry.scalars import ID

from gql_epoint.cashier import commands
from gql_epoint.ledger import checkout as ledger
from gql_epoint.schema.enums import CheckoutPurpose, ClientOperation, Language, PaymentMethodType
from gql_epoint.schema.inputs import MoneyInput, ReturnUrls, SplitInput, given, optional, required
from gql_epoint.schema.scalars import IdempotencyKey, Json, encode_json

_KEY = "Names this one intention. The same key with another input is refused."


def to_operations(chosen: list[ClientOperation]) -> frozenset[ledger.ClientOperation]:
    """Return the operations as the cashier takes them."""
    return frozenset(ledger.ClientOperation(operation.value) for operation in chosen)


@strawberry.input(description="What a backend fixes before a browser gets involved.")
class CreateCheckoutInput:
    """What a backend fixes."""

    idempotency_key: IdempotencyKey = required(_KEY)
    purpose: CheckoutPurpose = strawberry.field(
        description="What the checkout is for.", default=CheckoutPurpose.PAYMENT
    )
    order_id: str = required(
        "The merchant's own reference, at most 240 characters. An order is paid at most once, by any checkout."
    )
    amount: MoneyInput | None = optional("What the customer pays: needed for PAYMENT, and only there.")
    description: str | None = optional(
        "What the customer reads, at most 1000 characters. EPoint does not save a card with a payment without it."
    )
    save_card: bool = strawberry.field(
        description="Whether a payment on the hosted page saves the card as well.", default=False
    )
    split: SplitInput | None = optional("The part of the payment that goes to another merchant. Only in AZN.")
    methods: list[PaymentMethodType] | None = optional(
        "The ways to pay that are offered; left out, the hosted page, and the saved cards if there are any."
    )
    saved_card_ids: list[ID] | None = optional(
        "Saved cards that are offered, at most 20, each ACTIVE. Name only cards of the customer who will see them."
    )
    language: Language | None = optional("The language of EPoint's page, unless the customer chooses one.")
    return_urls: ReturnUrls | None = optional(
        "Where EPoint sends the customer; left out, as the service's settings say, or else EPoint's dashboard."
    )
    metadata: Json | None = optional(
        "A JSON object of at most 4 kB for the merchant's own use: each transaction has it, and no browser sees it."
    )
    ttl_seconds: int = strawberry.field(
        description="How long it can be confirmed, from 60 seconds to a day.", default=900
    )
    max_attempts: int = strawberry.field(
        description="How many attempts may be made, from 1 to 20. Few of them stop whoever tries stolen cards.",
        default=5,
    )
    client_operations: list[ClientOperation] = strawberry.field(
        description="What the client token that comes with it is good for.",
        default_factory=lambda: [ClientOperation.CONFIRM, ClientOperation.READ, ClientOperation.SUBSCRIBE],
    )

    def to_order(self) -> commands.CheckoutOrder:
        """Return the order as the cashier takes it."""
        money, split, urls = given(self.amount), given(self.split), given(self.return_urls)
        language, metadata, methods = given(self.language), given(self.metadata), given(self.methods)
        return commands.CheckoutOrder(
            purpose=ledger.CheckoutPurpose(self.purpose.value),
            order_id=self.order_id,
            amount=money.amount if money else None,
            currency=money.currency.value if money else None,
            description=given(self.description),
            save_card=self.save_card,
            split_user=split.user if split else None,
            split_amount=split.amount if split else None,
            methods=None
            if methods is None
            else frozenset(ledger.PaymentMethodType(method.value) for method in methods),
            saved_card_ids=tuple(given(self.saved_card_ids) or ()),
            language=language.value if language else None,
            success_url=given(urls.success) if urls else None,
            error_url=given(urls.error) if urls else None,
            metadata=None if metadata is None else encode_json(metadata),
            ttl_s=self.ttl_seconds,
            attempts_max=self.max_attempts,
            client_operations=to_operations(self.client_operations),
        )


@strawberry.input(description="Another client token for a checkout.")
class CreateClientTokenInput:
    """Another client token."""

    checkout_id: ID = required("The checkout's id.")
    operations: list[ClientOperation] = strawberry.field(
        description="What the token is good for. Watching is enough for the page to which the customer returns.",
        default_factory=lambda: [ClientOperation.READ, ClientOperation.SUBSCRIBE],
    )


@strawberry.input(description="On EPoint's page.")
class HostedPageInput:
    """On EPoint's page."""

    language: Language | None = optional("The language of the page; left out, the checkout's.")


@strawberry.input(description="With EPoint's widget, in a frame inside the shop's page.")
class WidgetInput:
    """With EPoint's widget."""

    language: Language | None = optional(
        "The language of later messages about the payment; left out, the checkout's. The widget chooses its own."
    )


@strawberry.input(one_of=True, description="How to pay, in exactly one way.")
class PaymentMethodInput:
    """How to pay."""

    hosted_page: HostedPageInput | None = optional("On EPoint's page; `{}` is enough.")
    saved_card: ID | None = optional("With a saved card: the id of one in `Checkout.savedCards`.")
    widget: WidgetInput | None = optional(
        "With EPoint's widget; `{}` is enough. `Checkout.transaction.nextAction` is then an `EmbedWidgetAction`."
    )

    def to_confirmation(self) -> commands.Confirmation:
        """Return the choice as the cashier takes it."""
        card, page = given(self.saved_card), given(self.hosted_page) or given(self.widget)
        if card is not None:
            return commands.Confirmation(method=ledger.PaymentMethodType.SAVED_CARD, saved_card_id=card)
        method = ledger.PaymentMethodType.WIDGET if given(self.widget) else ledger.PaymentMethodType.HOSTED_PAGE
        language = given(page.language) if page else None
        return commands.Confirmation(method=method, language=language.value if language else None)


@strawberry.input(
    description="How the customer pays. No amount, order or URL on purpose: they come from the checkout."
)
class ConfirmCheckoutInput:
    """How the customer pays."""

    idempotency_key: IdempotencyKey = required(_KEY)
    method: PaymentMethodInput = required("How to pay: one of `Checkout.methods`.")
