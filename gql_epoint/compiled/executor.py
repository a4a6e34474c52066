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

import weakref
from collections.abc import Awaitable
from types import CoroutineType
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationDefinitionNode, OperationType
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from gql_epoint.compiled.closures import Run, Select
from gql_epoint.compiled.compiler import Compiler, NotCovered, conditions_of


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


class Plan:
    """The closures of one operation: a variant for each set of values that variables in @skip and @include have."""

    def __init__(self, run: Run) -> None:
        root = run.schema.get_root_type(run.operation.operation)
        if root is None:
            raise NotCovered
        self._root = root
        self._conditions = conditions_of(run.operation, run.fragment_definitions)
        self._variants: dict[tuple[bool, ...], Select] = {}
        # The largest variant: what it can be made from, every other can. Made and dropped, for the verdict alone.
        Compiler(run, None).select(root, [run.operation.selection_set], in_order=False)

    def choose(self, run: Run, in_order: bool) -> Select:
        """Return the closure for the variables of this run."""
        coerced = run.variable_values.coerced
        values = (in_order, *[coerced[name] for name in self._conditions])
        select = self._variants.get(values)
        if select is None:
            compiler = Compiler(run, {name: coerced[name] for name in self._conditions})
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
