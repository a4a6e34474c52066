"""EPoint's heartbeat: a GET that says ok.

The document v1.0.3 has it at /api/heartbeat; two other public sources ask at /api/1/heartbeat. The documented
address is asked first, the other one only where that does not exist.
"""

from __future__ import annotations

from gql_epoint.epoint.wire import Kind, Operation, Reply, Request, Sending


class HeartbeatRequest(Request, frozen=True, kw_only=True):
    """A question without fields."""


HEARTBEAT = Operation(
    name="heartbeat",
    path="/api/heartbeat",
    request=HeartbeatRequest,
    reply=Reply,
    kind=Kind.LOOKUP,
    sending=Sending.GET,
)
HEARTBEAT_VERSIONED = Operation(
    name="heartbeat_versioned",
    path="/api/1/heartbeat",
    request=HeartbeatRequest,
    reply=Reply,
    kind=Kind.LOOKUP,
    sending=Sending.GET,
)
