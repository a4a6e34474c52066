"""What a page has to do for the widget, and for Apple Pay and Google Pay of its own."""

from typing import Self

import strawberry
from yarl import URL

from gql_epoint.schema.scalars import Url


@strawberry.type(
    description=(
        "Show EPoint's widget in a frame (or, in an app, in a web view) inside the shop's page. The page's content "
        "security policy needs `frame-src` with `expectedOrigin`. Apple Pay needs `payment` in the frame's "
        "attribute `allow`."
    )
)
class EmbedWidgetAction:
    """Show EPoint's widget in a frame."""

    url: Url = strawberry.field(description='The address of the frame: `<iframe src="…" allow="payment">`.')
    expected_origin: str = strawberry.field(
        description=(
            "When the customer is done, the widget sends the window a `message` such as `{status: 'success', "
            "payment: {…}}`. Ignore it unless `event.origin` is exactly this and `event.source` is the frame's "
            "`contentWindow`. Even then it is a hint and never a proof. What counts is `status`: watch "
            "`checkoutUpdated` from the start, and on the message send the same `confirmCheckout` again (a "
            "backend: `refreshTransaction`). EPoint is then asked within seconds, and whoever watches is told. "
            "Without any of it EPoint is asked as well, only later."
        )
    )

    @classmethod
    def of(cls, url: str) -> Self:
        """Build it from the address that EPoint gave; the gateway has checked whose host it is."""
        return cls(url=Url(url), expected_origin=str(URL(url).origin()))


@strawberry.type(
    description=(
        "Let the customer choose Apple Pay or Google Pay on the shop's own page, with EPoint's script "
        "`epoint-token-pay.min.js`: `initTokenPay({payment: {id, amount}, endpoints: …})`. Its endpoints are the "
        "shop's backend, which answers with `applePaySession`, `applePay` and `googlePay`."
    )
)
class TokenPayAction:
    """Let the customer pay with Apple Pay or Google Pay."""

    payment_id: str = strawberry.field(description="EPoint's id of what is to be paid: `payment.id` of its script.")
