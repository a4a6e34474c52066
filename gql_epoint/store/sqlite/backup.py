"""Copy books while they are being kept, by SQLite's online backup: one consistent state, in one file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from gql_epoint.errors import ConfigurationError, StoreUnavailableError

BUSY_TIMEOUT_S = 5.0


def back_up(source: Path, target: Path) -> int:
    """Copy the books to a new file that only its owner may read, check the copy, and return its bytes.

    The file has its name only once it is whole and on the disk. Raises ConfigurationError if the name is taken or
    cannot be written, StoreUnavailableError if the books cannot be copied.
    """
    if target.exists():
        raise ConfigurationError(str(target), "exists; a backup replaces nothing, so choose another name")
    partial = target.with_name(f"{target.name}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    except OSError as exc:
        raise ConfigurationError(str(target), f"cannot be written: {exc.strerror}") from exc
    try:
        _copy(source, partial)
        _sync(partial)
        partial.rename(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as exc:
        raise StoreUnavailableError(f"the backup failed: {exc}") from exc
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(source: Path, target: Path) -> None:
    # In write-ahead mode a reader needs to write beside the file, so it is not opened read-only.
    uri = f"{source.absolute().as_uri()}?mode=rw"
    with (
        contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as books,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # All pages at once: one read transaction, which holds up nobody in write-ahead mode.
        books.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
