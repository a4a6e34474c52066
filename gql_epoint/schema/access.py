"""Who may select what: the @auth directive, and the validation rule that is built from it.

Each field declares its lowest credential and its scopes once, in a directive. The printed schema shows that
declaration and the rule reads the same one, so what is documented is what is enforced. The rule looks at every
field of the document before anything runs; a refused document has no effect on any transport.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec
import strawberry
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    ValidationContext,
    ValidationRule,
    is_interface_type,
    is_object_type,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema_directive import Location

from gql_epoint.schema.enums import ClientOperation, value

_DEFINITION = "strawberry-definition"


@strawberry.enum(description="The kinds of credentials, from the weakest to the strongest.")
class AuthLevel(Enum):
    """The kinds of credentials."""

    CLIENT_TOKEN = value("CLIENT_TOKEN", description="A browser's short-lived token, bound to one checkout.")
    SECRET_KEY = value("SECRET_KEY", description="A backend's key, with scopes. It must never reach a browser.")


@strawberry.enum(description="What a secret key may do. A key has any number of scopes.")
class Scope(Enum):
    """What a secret key may do."""

    PAYMENTS_WRITE = value(
        "PAYMENTS_WRITE",
        description="Start payments, charge and save cards, make invoices, ask EPoint for the truth.",
    )
    PAYMENTS_READ = value(
        "PAYMENTS_READ", description="Read what is recorded here, events and callbacks included, and watch it."
    )
    REFUNDS_WRITE = value("REFUNDS_WRITE", description="Give money back to customers.")
    PAYOUTS_WRITE = value("PAYOUTS_WRITE", description="Send the merchant's money to saved cards and to companies.")
    LEDGER_RESOLVE = value("LEDGER_RESOLVE", description="Settle by hand what the evidence leaves open.")


@strawberry.schema_directive(
    name="auth",
    locations=[Location.FIELD_DEFINITION],
    description=(
        "The lowest credential that a field accepts, and the scopes it needs. A document that selects a field "
        "which its credential may not read is refused as a whole, before anything runs, with `extensions.code` "
        "FORBIDDEN, or UNAUTHENTICATED without a valid credential."
    ),
)
class Auth:
    """The declaration of who may select a field."""

    level: AuthLevel
    scopes: list[Scope] | None = strawberry.UNSET
    exact: bool = False


@strawberry.schema_directive(
    name="pii",
    locations=[Location.FIELD_DEFINITION, Location.INPUT_FIELD_DEFINITION],
    description="Personal or cardholder data: kept out of logs and traces. Treat it likewise.",
)
class Pii:
    """The mark of personal data."""


DIRECTIVE_ARGUMENTS = {
    "auth": {
        "level": "The weakest kind of credential that is accepted.",
        "scopes": "The scopes that the credential needs: all of them.",
        "exact": "Whether other kinds of credentials are refused, stronger ones included.",
    }
}
"""Descriptions that Strawberry has no place for; see build_schema."""


def needs(*scopes: Scope) -> Auth:
    """Return the declaration of a field for secret keys that have all of `scopes`."""
    return Auth(level=AuthLevel.SECRET_KEY, scopes=list(scopes), exact=strawberry.UNSET)


ANYBODY = Auth(level=AuthLevel.CLIENT_TOKEN, exact=strawberry.UNSET)
"""The declaration of a field for every valid credential."""


READ = needs(Scope.PAYMENTS_READ)

BROWSER = Auth(level=AuthLevel.CLIENT_TOKEN, exact=True)
"""The declaration of a root field for client tokens alone; it takes the operation that its root stands for."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """Proof of who is calling, already verified. `name` is the actor that events record.

    A client token has the `checkout_id` that it is bound to, its `operations`, and the `digest` to find it by.
    """

    name: str
    level: AuthLevel
    scopes: frozenset[Scope] = frozenset()
    expires_at: datetime | None = None
    checkout_id: str | None = None
    operations: frozenset[ClientOperation] = frozenset()
    digest: str | None = None

    @property
    def rights(self) -> Hashable:
        """What decides which documents it may send; all client tokens for the same operations have the same."""
        return self.level, self.scopes, self.operations

    @property
    def view(self) -> Credential:
        """What decides how an object is shown to it: itself, but for what only the door looks at."""
        return msgspec.structs.replace(self, expires_at=None, digest=None)

    @property
    def is_browser(self) -> bool:
        """Whether the caller may see only what a customer may see."""
        return self.level is AuthLevel.CLIENT_TOKEN


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What one @auth asks of a credential."""

    level: AuthLevel
    scopes: frozenset[Scope]
    exact: bool

    def met_by(self, credential: Credential) -> bool:
        """Whether the credential has the level, and all of the scopes."""
        if self.exact:
            enough = credential.level is self.level
        else:
            enough = _STRENGTH[credential.level] >= _STRENGTH[self.level]
        return enough and self.scopes <= credential.scopes

    def __str__(self) -> str:
        only = "only " if self.exact else ""
        scopes = " and ".join(sorted(scope.value for scope in self.scopes))
        return f"{only}{self.level.value}" + (f" with {scopes}" if scopes else "")


_STRENGTH = {AuthLevel.CLIENT_TOKEN: 1, AuthLevel.SECRET_KEY: 2}

Requirements = Mapping[tuple[str, str], tuple[Requirement, ...]]


def read_requirements(schema: GraphQLSchema) -> Requirements:
    """Return what each field asks for, by type and field name.

    A field of an interface asks for what any of its implementations asks for: whoever selects it through the
    interface does not know which one will answer.
    """
    found: dict[tuple[str, str], tuple[Requirement, ...]] = {}
    for type_ in schema.type_map.values():
        if not (is_object_type(type_) or is_interface_type(type_)):
            continue
        sources = [type_, *(schema.get_possible_types(type_) if is_interface_type(type_) else ())]
        for name in type_.fields:
            asked = dict.fromkeys(asked for source in sources for asked in _declared(source.fields[name]))
            if asked:
                found[type_.name, name] = tuple(asked)
    return found


def _declared(field: Any) -> Iterator[Requirement]:
    definition = field.extensions.get(_DEFINITION)
    for directive in definition.directives if definition else ():
        if isinstance(directive, Auth):
            scopes = frozenset(directive.scopes or ())
            yield Requirement(level=directive.level, scopes=scopes, exact=directive.exact is True)


class AccessRule(ValidationRule):
    """Refuses a document that selects what its credential may not read."""

    def __init__(
        self, context: ValidationContext, requirements: Requirements, credential: Credential | None
    ) -> None:
        super().__init__(context)
        self._requirements = requirements
        self._credential = credential
        schema = context.schema
        self._roots = {
            root.name: operation
            for root, operation in (
                (schema.query_type, ClientOperation.READ),
                (schema.mutation_type, ClientOperation.CONFIRM),
                (schema.subscription_type, ClientOperation.SUBSCRIBE),
            )
            if root is not None
        }
        self._reported: set[tuple[str, str]] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """Compare one field with the credential; fields of introspection are open to all but client tokens."""
        parent = self.context.get_parent_type()
        name = node.name.value
        if parent is None or (parent.name, name) in self._reported:
            return
        if name.startswith("__"):
            if name != "__typename" and self._credential is not None and self._credential.is_browser:
                self._refuse(node, parent.name, "FORBIDDEN", "Introspection is off for client tokens.")
            return
        asked = self._requirements.get((parent.name, name), ())
        if self._credential is None:
            if asked or parent.name in self._roots:
                self._refuse(node, parent.name, "UNAUTHENTICATED", "A valid credential is needed.")
            return
        for requirement in asked:
            if not requirement.met_by(self._credential):
                self._refuse(node, parent.name, "FORBIDDEN", f"{parent.name}.{name} needs {requirement}.")
                return
        if any(requirement.exact for requirement in asked) and self._credential.is_browser:
            operation = self._roots.get(parent.name)
            if operation is not None and operation not in self._credential.operations:
                message = f"{parent.name}.{name} needs a client token that was made for {operation.value}."
                self._refuse(node, parent.name, "FORBIDDEN", message)

    def _refuse(self, node: FieldNode, type_name: str, code: str, message: str) -> None:
        self._reported.add((type_name, node.name.value))
        self.report_error(GraphQLError(message, node, extensions={"code": code}))


def access_rule(
    requirements: Requirements, credential: Credential | None
) -> Callable[[ValidationContext], AccessRule]:
    """Return the rule for one credential, in the form that graphql-core calls rules in."""
    return lambda context: AccessRule(context, requirements, credential)


class AccessExtension(SchemaExtension):
    """Adds the rule for the request's credential to the rules of every operation."""

    def on_operation(self) -> Iterator[None]:
        """Add the rule before the document is validated."""
        execution = self.execution_context
        credential = getattr(execution.context, "credential", None)
        requirements = execution.schema.requirements  # type: ignore[attr-defined]
        # Annotated as a class; graphql-core only calls it.
        rule: Any = access_rule(requirements, credential)
        execution.validation_rules += (rule,)
        yield
