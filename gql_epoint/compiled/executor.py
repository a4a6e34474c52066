"""Compiled execution: a validated operation becomes plain Python closures, once, and runs as such from then on.

graphql-core walks the schema again for each request: it looks up each field, reads its directives and arguments
from the syntax tree, and asks of every value what type it should have. None of that changes while a document
stays the same. `CompiledExecutor` does it once per document, and otherwise is graphql-core's own executor: what
the closures do not cover goes to it, decided when a document is compiled and never in the middle of a request.
Its answers are graphql-core's answers, errors, paths and key order included; tests/test_compiled.py compares them.

    schema = strawberry.Schema(query=Query, execution_context_class=CompiledExecutor)

A document is compiled when it runs for the second time, so those that come once cost nothing. The closures live
as long as the parsed document does: whoever caches documents bounds them. Not covered are directives other than
@skip and @include, @skip and @include on variables that may be null or are more than a few, fragment arguments,
middleware, abort signals, and documents that are too large to be worth it.

Nothing here knows of this project: it needs graphql-core 3.3 and, for Strawberry's fields, Strawberry 0.341.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import CoroutineType
from typing import Any, cast

from graphql import (
    BooleanValueNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLAbstractType,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    ListValueNode,
    NonNullTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    VariableNode,
    get_argument_values,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    located_error,
    type_from_ast,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor, invalid_return_type_error
from graphql.pyutils import Path, gather_with_cancel, is_iterable
from graphql.type.definition import is_required_argument
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql_epoint.compiled.resolvers import Resolver, attribute, direct

Info = GraphQLResolveInfo[Any]
Run = Executor[Any]
"""One execution; it has the variables, the context and the errors so far."""
Select = Callable[[Run, Any, Path | None], Any]
"""Returns the fields of an object: a dict, or a coroutine that makes one."""
Field = Callable[[Run, Any, Path | None], Any]
"""Returns one field of an object, completed, or a coroutine for it. Raises if null must bubble up."""
Complete = Callable[[Run, Any, Info | None, Path], Any]
"""Returns the answer's form of what a resolver returned, or a coroutine for it."""

FIELDS_MAX = 2_000
"""Fields in one plan, those of each possible type counted."""
CONDITIONS_MAX = 4
"""Variables in @skip and @include: each doubles the plans that a document can have."""

_CONSTANTS = (str, int, float, bool, Enum, type(None))
_NEVER_AWAITABLE = frozenset({str, int, float, bool, bytes, list, tuple, dict, type(None)})


class NotCovered(Exception):  # noqa: N818 - it is a verdict, not a failure
    """The document has something that is left to graphql-core."""


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Runs a document by its plan from the second time on, and as graphql-core does where it has none."""

    def execute_operation(self, serially: bool | None = None) -> Any:
        """Return the result of the operation, or a coroutine for it."""
        plan = None
        manager = self.middleware_manager
        if self.abort_signal is None and self.hooks is None and not (manager and manager.middlewares):
            plan = _plan(self)
        if plan is None:
            return super().execute_operation(serially)
        in_order = self.operation.operation is OperationType.MUTATION if serially is None else serially
        select = plan.choose(self, in_order)
        try:
            data = select(self, self.root_value, None)
        except GraphQLError as error:
            return self._answer(None, error)
        return self._awaited(data) if type(data) is CoroutineType else self._answer(data)

    async def _awaited(self, data: Awaitable[Any]) -> Any:
        try:
            return self._answer(await data)
        except GraphQLError as error:
            return self._answer(None, error)

    def _answer(self, data: dict[str, Any] | None, error: GraphQLError | None = None) -> ExecutionResult:
        if error is not None:
            self.collected_errors.add(error, None)
        return ExecutionResult(data, self.collected_errors.errors or None)


# ---------------------------------------------------------------------------------------------------------
# Plans: one per document, with a variant for each set of values that the variables in @skip and @include have.
# ---------------------------------------------------------------------------------------------------------


class Plan:
    """The closures of one operation."""

    def __init__(self, run: Run) -> None:
        root = run.schema.get_root_type(run.operation.operation)
        if root is None:
            raise NotCovered
        self._root = root
        self._conditions = _conditions(run.operation, run.fragment_definitions)
        self._variants: dict[tuple[bool, ...], Select] = {}
        # The largest variant: what it can be made from, every other can. Made and dropped, for the verdict alone.
        _Compiler(run, None).select(root, [run.operation.selection_set], in_order=False)

    def choose(self, run: Run, in_order: bool) -> Select:
        """Return the closure for the variables of this run."""
        coerced = run.variable_values.coerced
        values = (in_order, *[coerced[name] for name in self._conditions])
        select = self._variants.get(values)
        if select is None:
            compiler = _Compiler(run, {name: coerced[name] for name in self._conditions})
            select = compiler.select(self._root, [run.operation.selection_set], in_order=in_order)
            self._variants[values] = select
        return select


_plans: dict[int, tuple[weakref.ref[OperationDefinitionNode], GraphQLSchema, Plan | None]] = {}
_seen: dict[int, weakref.ref[OperationDefinitionNode]] = {}


def _plan(run: Run) -> Plan | None:
    """Return the plan of an operation, made when it runs for the second time; None if it is not covered."""
    operation = run.operation
    key = id(operation)
    known = _plans.get(key)
    if known is not None and known[1] is run.schema:
        return known[2]
    if key not in _seen:
        _seen[key] = weakref.ref(operation, lambda _: (_seen.pop(key, None), _plans.pop(key, None)))
        return None
    try:
        plan: Plan | None = Plan(run)
    except NotCovered:
        plan = None
    _plans[key] = (_seen[key], run.schema, plan)
    return plan


def _conditions(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    """Return the variables in @skip and @include. Raises NotCovered for other directives, and for too many."""
    never_null = {
        definition.variable.name.value
        for definition in operation.variable_definitions or ()
        if isinstance(definition.type, NonNullTypeNode)
    }
    names: dict[str, None] = {}
    if operation.directives or any(fragment.variable_definitions for fragment in fragments.values()):
        raise NotCovered
    waiting: list[SelectionSetNode] = [operation.selection_set]
    spread: set[str] = set()
    while waiting:
        for selection in waiting.pop().selections:
            for directive in selection.directives or ():
                if directive.name.value not in {GraphQLSkipDirective.name, GraphQLIncludeDirective.name}:
                    raise NotCovered
                value = directive.arguments[0].value if directive.arguments else None
                if isinstance(value, VariableNode) and value.name.value in never_null:
                    names[value.name.value] = None
                elif not isinstance(value, BooleanValueNode):
                    raise NotCovered
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name not in fragments or fragments[name].directives:
                    raise NotCovered
                if name not in spread:
                    spread.add(name)
                    waiting.append(fragments[name].selection_set)
            elif (below := cast("FieldNode | InlineFragmentNode", selection).selection_set) is not None:
                waiting.append(below)
    if len(names) > CONDITIONS_MAX:
        raise NotCovered
    return tuple(names)


# ---------------------------------------------------------------------------------------------------------
# The compiler.
# ---------------------------------------------------------------------------------------------------------


class _Compiler:
    """Makes the closures of one variant. `conditions` None takes everything in."""

    def __init__(self, run: Run, conditions: Mapping[str, bool] | None) -> None:
        self._schema = run.schema
        self._fragments = run.fragment_definitions
        self._conditions = conditions
        self._made: dict[tuple[str, tuple[int, ...]], Select] = {}
        self._fields = 0

    def select(
        self, parent: GraphQLObjectType, sets: Sequence[SelectionSetNode], *, in_order: bool = False
    ) -> Select:
        """Return the closure for the selection sets of one object. Equal ones are made once."""
        key = (parent.name, tuple(map(id, sets)))
        if not in_order and key in self._made:
            return self._made[key]
        collected: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for selection_set in sets:
            self._collect(parent, selection_set, collected, spread)
        self._fields += len(collected)
        if self._fields > FIELDS_MAX:
            raise NotCovered
        fields = tuple((name, self._field(parent, name, nodes)) for name, nodes in collected.items())
        select = _one_after_another(fields) if in_order else _at_once(fields)
        if not in_order:
            self._made[key] = select
        return select

    def _collect(
        self,
        parent: GraphQLObjectType,
        selection_set: SelectionSetNode,
        collected: dict[str, list[FieldNode]],
        spread: set[str],
    ) -> None:
        for selection in selection_set.selections:
            if not self._included(selection):
                continue
            if isinstance(selection, FieldNode):
                name = selection.alias.value if selection.alias else selection.name.value
                collected.setdefault(name, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                if self._applies(selection, parent):
                    self._collect(parent, selection.selection_set, collected, spread)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments[selection.name.value]
                if selection.name.value not in spread and self._applies(fragment, parent):
                    spread.add(selection.name.value)
                    self._collect(parent, fragment.selection_set, collected, spread)

    def _included(self, selection: Any) -> bool:
        if self._conditions is None:
            return True
        for directive in selection.directives or ():
            value = directive.arguments[0].value
            holds = value.value if isinstance(value, BooleanValueNode) else self._conditions[value.name.value]
            if holds is (directive.name.value == GraphQLSkipDirective.name):
                return False
        return True

    def _applies(self, fragment: InlineFragmentNode | FragmentDefinitionNode, parent: GraphQLObjectType) -> bool:
        if fragment.type_condition is None:
            return True
        condition = type_from_ast(self._schema, fragment.type_condition)
        return condition is parent or (is_abstract_type(condition) and self._schema.is_sub_type(condition, parent))

    def _field(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> Field:
        name = nodes[0].name.value
        definition = self._schema.get_field(parent, name)
        if definition is None:
            raise NotCovered
        place = _Place(parent, key, definition, nodes)
        complete = self._complete(definition.type, place)
        if name == "__typename":
            return lambda _run, _source, _path: parent.name
        read = attribute(definition)
        if read is not None and not definition.args:
            return _attribute_field(place, read, complete, needs_info=_needs_info(definition.type))
        resolve = direct(self._schema, definition) or definition.resolve
        return _resolved_field(place, resolve, complete, self._arguments(definition, nodes[0]))

    def _complete(self, type_: GraphQLOutputType, place: _Place) -> Complete:
        if is_non_null_type(type_):
            return _never_null(place, self._complete(type_.of_type, place))
        if is_list_type(type_):
            return _list(place, type_, self._complete(type_.of_type, place))
        if is_leaf_type(type_):
            return _leaf(type_)
        sets = [node.selection_set for node in place.nodes if node.selection_set]
        if is_abstract_type(type_):
            objects = {
                possible.name: _object(place, possible, self.select(possible, sets))
                for possible in self._schema.get_possible_types(type_)
            }
            return _abstract(place, type_, objects)
        if is_object_type(type_):
            return _object(place, type_, self.select(type_, sets))
        raise NotCovered

    def _arguments(self, definition: GraphQLField, node: FieldNode) -> Callable[[Run], dict[str, Any]] | None:
        """Return what reads the arguments of a field; None if it takes none."""
        if not definition.args:
            return None

        def general(run: Run) -> dict[str, Any]:
            return get_argument_values(definition, node, run.variable_values, None, run.hide_suggestions)

        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        constants: dict[str, Any] = {}
        variables: list[tuple[str, str]] = []
        for name, argument in definition.args.items():
            out_name = argument.out_name or name
            value = given.get(name)
            if isinstance(value, VariableNode):
                variables.append((out_name, value.name.value))
                continue
            try:
                if value is not None:
                    constant = coerce_input_literal(value, argument.type)
                elif is_required_argument(argument):
                    return general
                else:
                    constant = coerce_default_value(argument)
            except Exception:  # noqa: BLE001 - it is raised again where it belongs, at the field
                return general
            if value is None and constant is Undefined:
                continue
            # A value that a resolver could change must be a new one for each request; one may hold variables, too.
            if not isinstance(constant, _CONSTANTS) or isinstance(value, ListValueNode | ObjectValueNode):
                return general
            constants[out_name] = constant

        def read(run: Run) -> dict[str, Any]:
            coerced = run.variable_values.coerced
            arguments = constants.copy()
            for out_name, variable in variables:
                value = coerced.get(variable)
                if value is None:  # absent or null: a default or an error may follow
                    return general(run)
                arguments[out_name] = value
            return arguments

        return read


class _Place:
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


# ---------------------------------------------------------------------------------------------------------
# The closures: each does what the method of graphql-core's executor that it names does.
# ---------------------------------------------------------------------------------------------------------


def _at_once(fields: tuple[tuple[str, Field], ...]) -> Select:
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


def _one_after_another(fields: tuple[tuple[str, Field], ...]) -> Select:
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


async def _settled(results: Any, waiting: Sequence[Any]) -> Any:
    """Replace the coroutines at some places of a dict or list by what they return."""
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
    else:
        for place, result in zip(waiting, await gather_with_cancel(*[results[at] for at in waiting]), strict=True):
            results[place] = result
    return results


def _needs_info(type_: GraphQLOutputType) -> bool:
    """Whether completing a value of this type calls a function that is given the info."""
    while is_non_null_type(type_) or is_list_type(type_):
        type_ = type_.of_type
    return is_abstract_type(type_) or (is_object_type(type_) and type_.is_type_of is not None)


def _attribute_field(place: _Place, read: Callable[[Any], Any], complete: Complete, *, needs_info: bool) -> Field:
    """Executor.execute_field, where the resolver does nothing but read an attribute."""
    type_, key, parent_name = place.definition.type, place.key, place.parent.name
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


def _resolved_field(
    place: _Place,
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


async def _awaited(
    run: Run,
    value: Awaitable[Any],
    info: Info | None,
    path: Path,
    place: _Place,
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
    run: Run, done: Awaitable[Any], path: Path | None, place: _Place, type_: GraphQLOutputType
) -> Any:
    try:
        return await done
    except Exception as error:  # noqa: BLE001
        assert path is not None
        place.failed(run, error, type_, path)


def _never_null(place: _Place, inner: Complete) -> Complete:
    def complete(run: Run, value: Any, info: Info | None, path: Path) -> Any:
        done = inner(run, value, info, path)
        if done is None:
            raise TypeError(f"Cannot return null for non-nullable field {place.parent}.{place.name}.")
        return done

    return complete


def _is_null(value: Any) -> bool:
    """Whether it is null. Raises what a resolver returned instead of raising it."""
    if isinstance(value, Exception):
        raise value
    return value is None or value is Undefined


def _leaf(type_: Any) -> Complete:
    coerce = type_.coerce_output_value

    def complete(_run: Run, value: Any, _info: Info | None, _path: Path) -> Any:
        if _is_null(value):
            return None
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            return Executor.complete_leaf_value(type_, value)  # It raises what is to be said of it.
        return coerced

    return complete


def _list(place: _Place, type_: GraphQLList[Any], item: Complete) -> Complete:
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


def _drained(values: Iterator[Any]) -> list[Any]:
    """Return what an iterator still holds, so that coroutines among it are not left alone."""
    left: list[Any] = []
    with contextlib.suppress(Exception):
        left.extend(values)
    return left


def _object(place: _Place, type_: GraphQLObjectType, select: Select) -> Complete:
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


def _abstract(place: _Place, type_: GraphQLAbstractType, objects: Mapping[str, Complete]) -> Complete:
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
