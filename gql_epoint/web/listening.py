"""The socket that the service, or whoever runs beside it, listens on."""

from __future__ import annotations

import socket


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes any that is free. Raises OSError if the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
