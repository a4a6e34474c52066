"""The service processes of other tests."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.nodes import Node


def test_address_of_a_node_that_is_down_goes_to_no_other(tmp_path: Path) -> None:
    """Or that other answers in its place: from books of its own, as if nothing had ever been paid."""
    node = Node(tmp_path / "log", {})

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", node.port))
