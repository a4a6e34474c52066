"""Random bytes for ids: the system is asked for many at a time, because to ask costs as much as a query."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class RandomPool:
    """Bytes from a source of randomness, none of which is given out twice. Any thread may ask."""

    SIZE = 4096

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._lock = Lock()
        self._bytes = b""
        self._taken = 0

    def __call__(self, count: int) -> bytes:
        """Return that many bytes."""
        assert 0 <= count <= self.SIZE
        with self._lock:
            if self._taken + count > len(self._bytes):
                self._bytes, self._taken = self._source(self.SIZE), 0
            start, self._taken = self._taken, self._taken + count
            return self._bytes[start : self._taken]
