"""Name the span of a request after its GraphQL operation."""

from __future__ import annotations

from collections.abc import Iterator

from strawberry.extensions import SchemaExtension

from gql_epoint.tracing import note_operation


class TracingExtension(SchemaExtension):
    """Tells the type and the name of an operation, and nothing of its document."""

    def on_execute(self) -> Iterator[None]:
        """Run once the operation is known, before it does anything."""
        context = self.execution_context
        note_operation(context.operation_type.value, context.operation_name)
        yield
