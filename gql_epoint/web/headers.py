"""Look at one header of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """Return the first header of a name in lower case, as servers give all names; None if there is none."""
    value = dict(reversed(scope["headers"])).get(name)
    return None if value is None else str(value, "latin-1")
