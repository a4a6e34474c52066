"""Ports for programs that are told which one to take, and take it later or more than once."""

from __future__ import annotations

import socket


def hold_port() -> socket.socket:
    """Return a socket with a free port, which goes to nobody until it is closed but to who listens on it by number.

    A port that was free a moment ago is given to the next one who asks for any, and so two would have the same.
    """
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


def port_of(place: socket.socket) -> int:
    """Return its number."""
    return int(place.getsockname()[1])
