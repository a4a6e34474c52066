"""Checkouts: a backend fixes what is to be paid, a browser only says when and how.

An attempt is an ordinary payment or card registration, made at its own desk. What is added here runs in the same
unit of work that records it: the checkout's row is locked, so of any number of confirmations one starts an attempt
and all others get it. Beneath that, a unique index lets one transaction of a checkout be live or paid.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from gql_epoint.cashier.attempts import AttemptLimits, address_name, check_address
from gql_epoint.cashier.cards import CardDesk, settle_lost_card
from gql_epoint.cashier.checkout_orders import (
    check_choice,
    check_operations,
    checked_checkout,
    payment_order,
    save_card_order,
)
from gql_epoint.cashier.commands import (
    Call,
    CheckoutOrder,
    Confirmation,
    IssuedToken,
    NewCheckout,
    Result,
)
from gql_epoint.cashier.desk import Books
from gql_epoint.cashier.idempotency import earlier_object, use_key
from gql_epoint.cashier.payments import PaymentDesk, refuse_conflict, settle_lost
from gql_epoint.cashier.tokens import hint, is_worth_a_hint
from gql_epoint.cashier.validation import check_call
from gql_epoint.errors import ErrorCode, OrderConflictError, RefusedError, TooManyAttemptsError
from gql_epoint.keys import digest_of, is_client_token, new_client_token
from gql_epoint.ledger import ids
from gql_epoint.ledger.checkout import (
    Checkout,
    CheckoutPurpose,
    CheckoutState,
    CheckoutStatus,
    ClientOperation,
    ClientToken,
    PaymentMethodType,
    attempted,
    canceled,
    token_expiry,
)
from gql_epoint.ledger.transaction import SavedCard, SavedCardStatus, Transaction
from gql_epoint.store.protocol import Reader, Unit

_HOSTED = Confirmation(method=PaymentMethodType.HOSTED_PAGE)
_CARD_PATH = ("input", "card", "id")


class CheckoutDesk:
    """Checkouts and the client tokens that open them."""

    def __init__(self, books: Books, payments: PaymentDesk, cards: CardDesk) -> None:
        self._books = books
        self._payments = payments
        self._cards = cards

    async def create(self, call: Call, order: CheckoutOrder) -> Result[NewCheckout]:
        """Fix a checkout once, and make a client token for it. The same call again gets no token: it is not kept.

        Raises RefusedError and its kin; then nothing is recorded and the key is not used.
        """
        check_call(call)
        order = checked_checkout(order, pages=self._books.return_pages)

        async def work(unit: Unit) -> Result[NewCheckout]:
            object_id = await earlier_object(unit, call)
            if object_id is not None:
                state = await read_state(unit, object_id)
                assert state is not None
                return Result(value=NewCheckout(state=state), replayed=True)
            checkout = self._new(unit, order)
            if checkout.purpose is CheckoutPurpose.PAYMENT:
                await refuse_conflict(unit, payment_order(checkout, _HOSTED))
            await _check_offered_cards(unit, checkout)
            await unit.insert_checkout(checkout)
            await use_key(unit, call, checkout.id)
            issued = await self._issue(unit, checkout, order.client_operations)
            state = CheckoutState(checkout=checkout, as_of=unit.now)
            return Result(value=NewCheckout(state=state, issued=issued))

        return await self._books.write(work)

    async def create_token(self, checkout_id: str, operations: frozenset[ClientOperation]) -> IssuedToken:
        """Make another token for a checkout. Raises RefusedError(NOT_FOUND)."""
        check_operations(len(operations), "operations")

        async def work(unit: Unit) -> IssuedToken:
            checkout = await unit.checkout(checkout_id)
            if checkout is None:
                raise _not_found("input", "checkoutId")
            return await self._issue(unit, checkout, operations)

        return await self._books.write(work)

    async def find_token(self, secret: str) -> ClientToken | None:
        """Return the token whose secret this is, unless its time is over. What is no token costs no look-up."""
        return await self.current_token(digest_of(secret)) if is_client_token(secret) else None

    async def current_token(self, digest: str) -> ClientToken | None:
        """Return a token by its digest, unless its time is over by the database's clock."""

        async def work(reader: Reader) -> ClientToken | None:
            token = await reader.client_token(digest)
            return token if token is not None and reader.now < token.expires_at else None

        return await self._books.read(work)

    async def state(self, checkout_id: str) -> CheckoutState | None:
        """Return where a checkout stands."""
        return await self._books.read(lambda reader: read_state(reader, checkout_id))

    async def offered_cards(self, checkout: Checkout) -> list[SavedCard]:
        """Return the cards that it offers and that can still be used."""

        async def work(reader: Reader) -> list[SavedCard]:
            found = [await reader.saved_card(card_id) for card_id in checkout.saved_card_ids]
            return [card for card in found if card is not None and card.status is SavedCardStatus.ACTIVE]

        return await self._books.read(work) if checkout.saved_card_ids else []

    async def cancel(self, checkout_id: str) -> Result[CheckoutState]:
        """Let no further attempt start. One that is under way goes on to its end. Twice is the same as once."""

        async def work(unit: Unit) -> Result[CheckoutState]:
            state = await read_state(unit, checkout_id)
            if state is None:
                raise _not_found("id")
            if state.status is CheckoutStatus.CANCELED:
                return Result(value=state, replayed=True)
            if state.status is not CheckoutStatus.OPEN:
                raise _not_open(state, "id")
            after = canceled(state.checkout, unit.now)
            await unit.save_checkout(after)
            return Result(value=msgspec.structs.replace(state, checkout=after))

        return await self._books.write(work)

    async def confirm(
        self, call: Call, checkout_id: str, chosen: Confirmation, address: str | None = None
    ) -> Result[CheckoutState]:
        """Start an attempt, or get the one that is under way. The call's owner is the checkout.

        `address` is where the browser is, as far as its attempts are to be counted there.

        Raises RefusedError; nothing that is raised or returned tells a browser what it may not know.
        """
        checkout = await self._books.read(lambda reader: reader.checkout(checkout_id))
        assert checkout is not None, "a client token names a checkout"
        check_choice(checkout, chosen)
        limits = self._books.attempt_limits
        name = address_name(self._books.private_key, address) if address and limits.are_on else None

        async def admit(unit: Unit) -> CheckoutState:
            return await _admit(unit, checkout_id, limits, name)

        async def admit_payment(unit: Unit) -> Transaction | None:
            return (await admit(unit)).transaction

        async def admit_card(unit: Unit) -> SavedCard | None:
            return (await admit(unit)).card

        result: Result[Transaction] | Result[SavedCard]
        try:
            if checkout.purpose is CheckoutPurpose.PAYMENT:
                order = msgspec.structs.replace(payment_order(checkout, chosen), address=name)
                result = await self._payments.start(call, order, admit_payment)
            else:
                registration = msgspec.structs.replace(save_card_order(checkout, chosen), address=name)
                result = await self._cards.start(call, registration, admit_card)
        except TooManyAttemptsError:
            self._books.on_held_up()
            raise
        except OrderConflictError as exc:
            # It may have been started elsewhere: its transaction is none of this browser's business.
            raise RefusedError(exc.code, exc.message) from None
        except RefusedError as exc:
            if exc.path == _CARD_PATH:
                raise RefusedError(exc.code, exc.message, ("input", "method", "savedCard")) from None
            raise
        state = await self.state(checkout_id)
        assert state is not None
        if result.replayed and state.transaction is not None and is_worth_a_hint(state.transaction):
            transaction_id = state.transaction.id
            await self._books.write(lambda unit: hint(unit, transaction_id))
            self._books.something_to_ask.set()
        return Result(value=state, replayed=result.replayed, error=_for_browser(result.error))

    def _new(self, unit: Unit, order: CheckoutOrder) -> Checkout:
        assert order.methods is not None
        return Checkout(
            id=self._books.new_id(ids.CHECKOUT, unit),
            purpose=order.purpose,
            version=1,
            order_id=order.order_id,
            methods=order.methods,
            created_at=unit.now,
            updated_at=unit.now,
            expires_at=unit.now + timedelta(seconds=order.ttl_s),
            attempts_max=order.attempts_max,
            amount=order.amount,
            currency=order.currency,
            description=order.description,
            save_card=order.save_card,
            split_user=order.split_user,
            split_amount=order.split_amount,
            saved_card_ids=order.saved_card_ids,
            language=order.language,
            success_url=order.success_url,
            error_url=order.error_url,
            metadata=order.metadata,
        )

    async def _issue(self, unit: Unit, checkout: Checkout, operations: frozenset[ClientOperation]) -> IssuedToken:
        secret = new_client_token(self._books.random)
        token = ClientToken(
            digest=digest_of(secret),
            checkout_id=checkout.id,
            operations=operations,
            created_at=unit.now,
            expires_at=token_expiry(checkout, unit.now),
        )
        await unit.insert_client_token(token)
        return IssuedToken(secret=secret, token=token)


async def read_state(reader: Reader, checkout_id: str) -> CheckoutState | None:
    """Return a checkout with the attempt that counts; in a unit of work all of them are locked."""
    checkout = await reader.checkout(checkout_id)
    if checkout is None:
        return None
    pays = checkout.purpose is CheckoutPurpose.PAYMENT
    return CheckoutState(
        checkout=checkout,
        as_of=reader.now,
        transaction=await reader.checkout_transaction(checkout_id) if pays else None,
        card=await reader.checkout_card(checkout_id) if checkout.save_card or not pays else None,
    )


async def _admit(unit: Unit, checkout_id: str, limits: AttemptLimits, address: str | None) -> CheckoutState:
    """Count a new attempt and return a state without one, or return the state whose attempt is under way."""
    if address is not None:
        await unit.lock_address(address)
    state = await _settled_state(unit, checkout_id)
    if state.status is not CheckoutStatus.OPEN:
        raise _not_open(state)
    if state.is_waiting:
        return state
    if state.checkout.attempts_left == 0:
        raise RefusedError(
            ErrorCode.ATTEMPT_LIMIT_REACHED, "All attempts of this checkout are used. Ask the shop for a new one."
        )
    if address is not None:
        await check_address(unit, limits, address)
    after = attempted(state.checkout, unit.now)
    await unit.save_checkout(after)
    return CheckoutState(checkout=after, as_of=unit.now)


async def _settled_state(unit: Unit, checkout_id: str) -> CheckoutState:
    """Return the state, with an attempt whose answer is lost recorded as such."""
    state = await read_state(unit, checkout_id)
    assert state is not None
    transaction, card = state.transaction, state.card
    if transaction is not None and transaction.call_deadline is not None and transaction.call_deadline <= unit.now:
        await settle_lost(unit, transaction)
    elif card is not None and card.call_deadline is not None and card.call_deadline <= unit.now:
        await settle_lost_card(unit, card)
    else:
        return state
    state = await read_state(unit, checkout_id)
    assert state is not None
    return state


async def _check_offered_cards(unit: Unit, checkout: Checkout) -> None:
    for number, card_id in enumerate(checkout.saved_card_ids):
        path = ("input", "savedCardIds", str(number))
        card = await unit.saved_card(card_id)
        if card is None:
            raise RefusedError(ErrorCode.NOT_FOUND, "There is no such saved card.", path)
        if card.status is not SavedCardStatus.ACTIVE:
            raise RefusedError(
                ErrorCode.CARD_NOT_USABLE, f"This card is {card.status}; only an ACTIVE card can be used.", path
            )


def _for_browser(error: RefusedError | None) -> RefusedError | None:
    """Keep the code; EPoint's words, and advice about settings, are for the shop."""
    if error is None or error.code is not ErrorCode.GATEWAY_REFUSED:
        return error
    return RefusedError(error.code, "The payment system refused this. Tell the shop if it happens again.")


def _not_found(*path: str) -> RefusedError:
    return RefusedError(ErrorCode.NOT_FOUND, "There is no such checkout.", path)


def _not_open(state: CheckoutState, *path: str) -> RefusedError:
    return RefusedError(ErrorCode.CHECKOUT_NOT_OPEN, f"This checkout is {state.status}.", path)
