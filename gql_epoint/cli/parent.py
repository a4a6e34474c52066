"""Stop when the process that started this one is gone, however it went."""

from __future__ import annotations

import os
import signal
import threading
import time

_PATIENCE_S = 60.0


def exit_with_parent() -> None:
    """Watch standard input, a pipe whose other end only the parent holds: it ends when the parent does.

    The stop is the one of SIGTERM, in order; only if that takes too long it is a hard one.
    """
    threading.Thread(target=_watch, name="exit-with-parent", daemon=True).start()


def _watch() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    os._exit(1)
