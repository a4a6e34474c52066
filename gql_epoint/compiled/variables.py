"""Coerces the variables of one operation, by types that were looked at once.

What is good is coerced here. Whatever is not, or might not be, is given to graphql-core as a whole, which says what
is wrong with it: `Undefined` stands for that verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.type.definition import is_required_input_field
from graphql.utilities.coerce_input_value import coerce_default_value

CONSTANTS = (str, int, float, bool, Enum, type(None))
"""What a value may be that is shared by all requests: a resolver could change others."""

Read = Callable[[Any], Any]
"""Returns the coerced value, or Undefined for what graphql-core must look at."""


class NotCovered(Exception):  # noqa: N818 - it is a verdict, not a failure
    """The document has something that is left to graphql-core."""


def reader(schema: GraphQLSchema, operation: OperationDefinitionNode) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes VariableValues of what a client sent, or Undefined. Raises NotCovered."""
    readers = _Readers()
    variables: list[tuple[str, GraphQLVariableSignature, Read, Any, bool]] = []
    for definition in operation.variable_definitions or ():
        signature = get_variable_signature(schema, definition)
        if isinstance(signature, GraphQLError):
            raise NotCovered
        default = _default(signature)
        may_be_absent = default is not Undefined or not is_non_null_type(signature.type)
        variables.append((signature.name, signature, readers.of(signature.type), default, may_be_absent))

    def read(given: Mapping[str, Any]) -> Any:
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for name, signature, read_value, default, may_be_absent in variables:
            value = given.get(name, Undefined)
            sources[name] = VariableValueSource(signature, value)
            if value is not Undefined:
                done = read_value(value)
            elif may_be_absent:
                if default is Undefined:
                    continue
                done = default
            else:
                return Undefined
            if done is Undefined:
                return Undefined
            coerced[name] = done
        return VariableValues(sources, coerced)

    return read


def _default(holder: Any) -> Any:
    """Return a default that may be shared, or Undefined where there is none. Raises NotCovered for others."""
    try:
        default = coerce_default_value(holder)
    except Exception:  # noqa: BLE001 - it is raised again where it belongs
        raise NotCovered from None
    if default is not Undefined and not isinstance(default, CONSTANTS):
        raise NotCovered
    return default


class _Readers:
    """Makes the readers of input types, each once."""

    def __init__(self) -> None:
        self._made: dict[tuple[GraphQLInputType, bool], Read | None] = {}

    def of(self, type_: GraphQLInputType, *, nullable: bool = True) -> Read:
        """coerce_input_value, for one type."""
        if is_non_null_type(type_):
            return self.of(type_.of_type, nullable=False)
        key = type_, nullable
        if key not in self._made:
            self._made[key] = None
            self._made[key] = self._new(type_, None if nullable else Undefined)
        made = self._made[key]
        if made is None:
            raise NotCovered  # It holds itself. graphql-core bounds how deep such values may be.
        return made

    def _new(self, type_: Any, null: Any) -> Read:
        if is_list_type(type_):
            return _list(self.of(type_.of_type), null)
        if is_input_object_type(type_):
            return self._object(type_, null)
        if is_enum_type(type_):
            return _enum({name: type_.coerce_input_value(name) for name in type_.values}, null)
        return _scalar(type_.coerce_input_value, null)

    def _object(self, type_: GraphQLInputObjectType, null: Any) -> Read:
        fields = [
            (name, field.out_name or name, self.of(field.type), _default(field), is_required_input_field(field))
            for name, field in type_.fields.items()
        ]
        is_one_of, out_type = type_.is_one_of, type_.out_type

        def read(value: Any) -> Any:
            if type(value) is not dict:
                return null if value is None else Undefined
            coerced: dict[str, Any] = {}
            unknown = len(value)
            for name, out_name, read_field, default, is_required in fields:
                if name in value:
                    unknown -= 1
                    done = read_field(value[name])
                    if done is Undefined:
                        return Undefined
                    coerced[out_name] = done
                elif default is not Undefined:
                    coerced[out_name] = default
                elif is_required:
                    return Undefined
            if unknown or (is_one_of and (len(value) != 1 or any(one is None for one in coerced.values()))):
                return Undefined
            return out_type(coerced)

        return read


def _list(read_item: Read, null: Any) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not list:
            return null if value is None else Undefined
        items: list[Any] = []
        for item in value:
            done = read_item(item)
            if done is Undefined:
                return Undefined
            items.append(done)
        return items

    return read


def _enum(values: Mapping[str, Any], null: Any) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not str:
            return null if value is None else Undefined
        return values.get(value, Undefined)

    return read


def _scalar(coerce: Read, null: Any) -> Read:
    def read(value: Any) -> Any:
        if value is None:
            return null
        try:
            return coerce(value)
        except Exception:  # noqa: BLE001 - graphql-core says what is wrong
            return Undefined

    return read
