"""The closures that a compiled document consists of: they run fields and complete values.

Each does what the method of graphql-core's executor that it names does, without asking again for what the compiler
knew. The compiler makes them once per document; they run for every request, so nothing stands in their way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import CoroutineType
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLAbstractType,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    Undefined,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    located_error,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor, invalid_return_type_error
from graphql.pyutils import Path, gather_with_cancel, is_iterable

from gql_epoint.compiled.resolvers import Resolver

Info = GraphQLResolveInfo[Any]
Run = Executor[Any]
"""One execution; it has the variables, the context and the errors so far."""
Select = Callable[[Run, Any, Path | None], Any]
"""Returns the fields of an object: a dict, or a coroutine that makes one."""
Field = Callable[[Run, Any, Path | None], Any]
"""Returns one field of an object, completed, or a coroutine for it. Raises if null must bubble up."""
Complete = Callable[[Run, Any, Info | None, Path], Any]
"""Returns the answer's form of what a resolver returned, or a coroutine for it."""

_NEVER_AWAITABLE = frozenset({str, int, float, bool, bytes, list, tuple, dict, type(None)})


class Place:
    """Where a field stands in the schema and in the document."""

    def __init__(
        self, parent: GraphQLObjectType, key: str, definition: GraphQLField, nodes: list[FieldNode]
    ) -> None:
        self.parent = parent
        self.key = key
        self.name = nodes[0].name.value
        self.definition = definition
        self.nodes = nodes
        self.details = [FieldDetails(node, None) for node in nodes]

    def info(self, run: Run, path: Path) -> Info:
        """Return what resolvers are told of their field."""
        return run.build_resolve_info(self.definition, self.nodes, self.parent, path)

    def failed(self, run: Run, error: Exception, type_: GraphQLOutputType, path: Path) -> None:
        """Record an error and let the field be null; raise it where null is not allowed."""
        located = located_error(error, self.nodes, path.as_list())
        if is_non_null_type(type_):
            raise located
        run.collected_errors.add(located, path)


def at_once(fields: tuple[tuple[str, Field], ...]) -> Select:
    """Executor.execute_fields: what is to be awaited is awaited together."""

    def select(run: Run, source: Any, path: Path | None) -> Any:
        results: dict[str, Any] = {}
        waiting: list[str] = []
        try:
            for name, field in fields:
                result = results[name] = field(run, source, path)
                if type(result) is CoroutineType:
                    waiting.append(name)
        except Exception:
            if waiting:
                run.settle_in_background([results[name] for name in waiting])
            raise
        return _settled(results, waiting) if waiting else results

    return select


def one_after_another(fields: tuple[tuple[str, Field], ...]) -> Select:
    """Executor.execute_fields_serially."""

    def select(run: Run, source: Any, path: Path | None) -> Any:
        results: dict[str, Any] = {}
        rest = iter(fields)
        for name, field in rest:
            result = field(run, source, path)
            if type(result) is CoroutineType:
                return later(run, source, path, results, name, result, rest)
            results[name] = result
        return results

    async def later(
        run: Run,
        source: Any,
        path: Path | None,
        results: dict[str, Any],
        name: str,
        result: Awaitable[Any],
        rest: Iterator[tuple[str, Field]],
    ) -> dict[str, Any]:
        results[name] = await result
        for name, field in rest:
            result = field(run, source, path)
            results[name] = await result if type(result) is CoroutineType else result
        return results

    return select


def attribute_field(place: Place, read: Callable[[Any], Any], complete: Complete) -> Field:
    """Executor.execute_field, where the resolver does nothing but read an attribute."""
    type_, key, parent_name = place.definition.type, place.key, place.parent.name
    needs_info = _needs_info(type_)
    deep = needs_info or not is_leaf_type(type_.of_type if is_non_null_type(type_) else type_)

    def field(run: Run, source: Any, path: Path | None) -> Any:
        here = info = None
        try:
            value = read(source)
            if deep:
                here = Path(path, key, parent_name)
                info = place.info(run, here) if needs_info else None
            if type(value) not in _NEVER_AWAITABLE and run.is_awaitable(value):
                here = here or Path(path, key, parent_name)
                return _awaited(run, value, info, here, place, type_, complete)
            done = complete(run, value, info, here)  # type: ignore[arg-type]  # a leaf has no use for its path
            return _guarded(run, done, here, place, type_) if type(done) is CoroutineType else done
        except Exception as error:  # noqa: BLE001
            place.failed(run, error, type_, here or Path(path, key, parent_name))

    return field


def resolved_field(
    place: Place,
    own_resolve: Resolver | None,
    complete: Complete,
    arguments: Callable[[Run], dict[str, Any]] | None,
) -> Field:
    """Executor.execute_field."""
    type_, key, parent_name = place.definition.type, place.key, place.parent.name

    def field(run: Run, source: Any, path: Path | None) -> Any:
        here = Path(path, key, parent_name)
        info = place.info(run, here)
        resolve = own_resolve or run.field_resolver
        try:
            value = resolve(source, info, **arguments(run)) if arguments else resolve(source, info)
            if type(value) not in _NEVER_AWAITABLE and run.is_awaitable(value):
                return _awaited(run, value, info, here, place, type_, complete)
            done = complete(run, value, info, here)
            return _guarded(run, done, here, place, type_) if type(done) is CoroutineType else done
        except Exception as error:  # noqa: BLE001
            place.failed(run, error, type_, here)

    return field


def never_null(place: Place, inner: Complete) -> Complete:
    """Executor.complete_value, its part for types that end in `!`."""

    def complete(run: Run, value: Any, info: Info | None, path: Path) -> Any:
        done = inner(run, value, info, path)
        if done is None:
            raise TypeError(f"Cannot return null for non-nullable field {place.parent}.{place.name}.")
        return done

    return complete


def leaf(type_: Any) -> Complete:
    """Executor.complete_leaf_value."""
    coerce = type_.coerce_output_value

    def complete(_run: Run, value: Any, _info: Info | None, _path: Path) -> Any:
        if _is_null(value):
            return None
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            return Executor.complete_leaf_value(type_, value)  # It raises what is to be said of it.
        return coerced

    return complete


def list_of(place: Place, type_: GraphQLList[Any], item: Complete) -> Complete:
    """Executor.complete_list_value and what it calls."""
    item_type = type_.of_type

    def add(run: Run, value: Any, info: Info | None, path: Path, results: list[Any], waiting: list[int]) -> None:
        here = path.add_key(len(results), None)
        if type(value) not in _NEVER_AWAITABLE and run.is_awaitable(value):
            waiting.append(len(results))
            results.append(_awaited(run, value, info, here, place, item_type, item))
            return
        try:
            done = item(run, value, info, here)
        except Exception as error:  # noqa: BLE001
            done = place.failed(run, error, item_type, here)  # type: ignore[func-returns-value]
        if type(done) is CoroutineType:
            waiting.append(len(results))
            done = _guarded(run, done, here, place, item_type)
        results.append(done)

    def complete(run: Run, value: Any, info: Info | None, path: Path) -> Any:
        if _is_null(value):
            return None
        if run.is_async_iterable(value):
            # Rare enough to be left to graphql-core.
            return run.complete_list_value(type_, place.details, cast("Info", info), path, value, None)
        if not is_iterable(value):
            raise GraphQLError(f"Expected Iterable, but did not find one for field '{place.parent}.{place.name}'.")
        results: list[Any] = []
        waiting: list[int] = []
        values = iter(value)
        try:
            for one in values:
                add(run, one, info, path, results, waiting)
        except Exception:
            run.track_async_work([results[at] for at in waiting] + _drained(values))
            raise
        return _settled(results, waiting) if waiting else results

    return complete


def object_of(place: Place, type_: GraphQLObjectType, select: Select) -> Complete:
    """Executor.complete_object_value."""
    is_type_of = type_.is_type_of

    def complete(run: Run, value: Any, info: Info | None, path: Path) -> Any:
        if _is_null(value):
            return None
        if is_type_of is not None:
            fits = is_type_of(value, cast("Info", info))
            if run.is_awaitable(fits):
                return later(run, value, path, cast("Awaitable[bool]", fits))
            if not fits:
                raise invalid_return_type_error(type_, value, place.details)
        return select(run, value, path)

    async def later(run: Run, value: Any, path: Path, fits: Awaitable[bool]) -> Any:
        if not await fits:
            raise invalid_return_type_error(type_, value, place.details)
        done = select(run, value, path)
        return await done if type(done) is CoroutineType else done

    return complete


def abstract(place: Place, type_: GraphQLAbstractType, objects: Mapping[str, Complete]) -> Complete:
    """Executor.complete_abstract_value."""
    own_resolve = type_.resolve_type

    def complete(run: Run, value: Any, info: Info | None, path: Path) -> Any:
        if _is_null(value):
            return None
        name = (own_resolve or run.type_resolver)(value, cast("Info", info), type_)
        if run.is_awaitable(name):
            return later(run, value, info, path, name)
        return chosen(run, value, info, path, name)

    def chosen(run: Run, value: Any, info: Info | None, path: Path, name: Any) -> Any:
        known = objects.get(name) if isinstance(name, str) else None
        if known is None:  # It raises what is to be said of it.
            run.ensure_valid_runtime_type(name, type_, place.details, cast("Info", info), value)
            raise AssertionError(f"{name} is a possible type without a plan")
        return known(run, value, info, path)

    async def later(run: Run, value: Any, info: Info | None, path: Path, name: Awaitable[Any]) -> Any:
        done = chosen(run, value, info, path, await name)
        return await done if type(done) is CoroutineType else done

    return complete


def _needs_info(type_: GraphQLOutputType) -> bool:
    """Whether completing a value of this type calls a function that is given the info."""
    while is_non_null_type(type_) or is_list_type(type_):
        type_ = type_.of_type
    return is_abstract_type(type_) or (is_object_type(type_) and type_.is_type_of is not None)


async def _awaited(
    run: Run,
    value: Awaitable[Any],
    info: Info | None,
    path: Path,
    place: Place,
    type_: GraphQLOutputType,
    complete: Complete,
) -> Any:
    """Executor.complete_awaitable_value, and its twin for items of lists."""
    try:
        done = complete(run, await value, info, path)
        return await done if type(done) is CoroutineType else done
    except Exception as error:  # noqa: BLE001
        place.failed(run, error, type_, path)


async def _guarded(
    run: Run, done: Awaitable[Any], path: Path | None, place: Place, type_: GraphQLOutputType
) -> Any:
    try:
        return await done
    except Exception as error:  # noqa: BLE001
        assert path is not None
        place.failed(run, error, type_, path)


async def _settled(results: Any, waiting: Sequence[Any]) -> Any:
    """Replace the coroutines at some places of a dict or list by what they return."""
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
    else:
        for place, result in zip(waiting, await gather_with_cancel(*[results[at] for at in waiting]), strict=True):
            results[place] = result
    return results


def _is_null(value: Any) -> bool:
    """Whether it is null. Raises what a resolver returned instead of raising it."""
    if isinstance(value, Exception):
        raise value
    return value is None or value is Undefined


def _drained(values: Iterator[Any]) -> list[Any]:
    """Return what an iterator still holds, so that coroutines among it are not left alone."""
    left: list[Any] = []
    with contextlib.suppress(Exception):
        left.extend(values)
    return left
