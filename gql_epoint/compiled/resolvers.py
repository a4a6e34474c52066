"""Strawberry's fields without what Strawberry does for each call and could have done once.

For every call of a resolver, Strawberry looks up the names and types of all arguments again to make its input
objects. Here that is done once per field. A field that has anything special (extensions, permissions, exception
handlers, `Maybe`, a GlobalID, inputs that build themselves) keeps Strawberry's own resolver function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from operator import attrgetter
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLResolveInfo, GraphQLSchema
from strawberry.relay import GlobalID
from strawberry.types.arguments import _is_leaf_type, _is_optional_leaf_type  # no public name says it
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional, has_object_definition
from strawberry.types.enum import has_enum_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.types.unset import UNSET

Resolver = Callable[..., Any]
"""Called with the object and the info, and with the arguments by name."""
Convert = Callable[[Any], Any]


class _Special(Exception):  # noqa: N818 - it is a verdict, not a failure
    """The field is left to Strawberry."""


def attribute(definition: GraphQLField) -> Callable[[Any], Any] | None:
    """Return what reads a field that is an attribute of its object; None for every other field."""
    field = definition.extensions.get("strawberry-definition")
    if (
        isinstance(field, StrawberryField)
        and getattr(definition.resolve, "__name__", "") == "_get_basic_result"
        and field.is_basic_field
        and field.default_resolver is getattr
    ):
        return attrgetter(field.python_name)
    return None


def direct(schema: GraphQLSchema, definition: GraphQLField) -> Resolver | None:
    """Return a resolver that does what Strawberry's does; None if the field is left to Strawberry."""
    field = definition.extensions.get("strawberry-definition")
    own = definition.resolve
    if not isinstance(field, StrawberryField) or field.base_resolver is None or field.extensions:
        return None
    if getattr(own, "__name__", "") not in {"_resolver", "_async_resolver"}:
        return None
    closure = dict(zip(own.__code__.co_freevars, own.__closure__ or (), strict=True))  # type: ignore[union-attr]
    if "field_exception_handlers" not in closure or closure["field_exception_handlers"].cell_contents:
        return None
    try:
        arguments = _Converters(schema._strawberry_schema).arguments(field)  # type: ignore[attr-defined]  # noqa: SLF001
    except _Special:
        return None
    return _resolver(schema, field, arguments)


def _resolver(schema: GraphQLSchema, field: StrawberryField, arguments: dict[str, tuple[str, Convert]]) -> Resolver:
    base = field.base_resolver
    assert base is not None
    call: Any = base.wrapped_func
    takes_self = base.self_parameter is not None
    sources = [parameter.name for parameter in (base.parent_parameter, base.root_parameter) if parameter]
    info_name = base.info_parameter.name if base.info_parameter else None
    info_class = schema._strawberry_schema.config.info_class  # type: ignore[attr-defined]  # noqa: SLF001

    def resolve(source: Any, info: GraphQLResolveInfo[Any], **given: Any) -> Any:
        named: dict[str, Any] = {}
        for name, value in given.items():
            python_name, convert = arguments[name]
            named[python_name] = convert(value)
        for name in sources:
            named[name] = source
        if info_name is not None:
            named[info_name] = info_class(_raw_info=info, _field=field)
        return call(source, **named) if takes_self else call(**named)

    async def resolve_later(source: Any, info: GraphQLResolveInfo[Any], **given: Any) -> Any:
        return await resolve(source, info, **given)

    # With an async resolver, an argument that does not fit is an error of the coroutine, as it is in Strawberry.
    return resolve_later if field.is_async else resolve


class _Converters:
    """Makes what turns a coerced GraphQL value into what a resolver is given."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self._names = schema.config.name_converter
        self._scalars = schema.schema_converter.scalar_registry
        self._made: dict[Any, Convert] = {}

    def arguments(self, field: StrawberryField) -> dict[str, tuple[str, Convert]]:
        """Return the Python name and the conversion of each argument, by its GraphQL name."""
        return {
            self._names.from_argument(argument): (argument.python_name, self._conversion(argument.type))
            for argument in field.arguments
        }

    def _conversion(self, type_: Any) -> Convert:
        if isinstance(type_, StrawberryMaybe):
            raise _Special
        if isinstance(type_, StrawberryOptional):
            return self._conversion(type_.of_type)
        if isinstance(type_, LazyType):
            return self._conversion(type_.resolve_type())
        if isinstance(type_, StrawberryList):
            return self._list(type_.of_type)
        if type_ is GlobalID:
            raise _Special
        if _is_leaf_type(type_, self._scalars) or has_enum_definition(type_):
            return _unchanged
        if has_object_definition(type_):
            return self._object(type_)
        raise _Special

    def _list(self, item_type: Any) -> Convert:
        if item_type is not GlobalID and (
            _is_leaf_type(item_type, self._scalars) or _is_optional_leaf_type(item_type, self._scalars)
        ):
            return lambda value: value if value is None or value is UNSET else list(value)
        convert = self._conversion(item_type)
        return lambda value: value if value is None or value is UNSET else [convert(item) for item in value]

    def _object(self, type_: Any) -> Convert:
        if type_ in self._made:
            return self._made[type_]
        definition = type_.__strawberry_definition__
        if definition.from_input is not None:
            raise _Special
        fields: list[tuple[str, str, Convert]] = []

        def convert(value: Any) -> Any:
            if value is None or value is UNSET:
                return value
            named = absent.copy()
            for name, python_name, convert_field in fields:
                if name in value:
                    named[python_name] = convert_field(value[name])
            return type_(**named)

        self._made[type_] = convert  # Before its fields are looked at: an input may hold itself.
        absent = {
            field.python_name: None
            for field in definition.fields
            if definition.is_input and field.default_value is MISSING and field.default_factory is MISSING
        }
        for field in definition.fields:
            inner = self._conversion(field.resolve_type(type_definition=definition))
            fields.append((self._names.from_field(field), field.python_name, inner))
        return convert


def _unchanged(value: Any) -> Any:
    return value
