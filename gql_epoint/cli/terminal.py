"""Say things on a terminal: answers on standard output, everything else on standard error."""

from __future__ import annotations

import sys


def say(text: str = "") -> None:
    """Write a line to standard output, at once: whoever started us may be waiting for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a line to standard error, with our name in front."""
    sys.stderr.write(f"gql-epoint: {text}\n")
    sys.stderr.flush()
