"""Locks on files, by which two processes do not write one folder at a time."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from relaysim.scenarios.system_errors import reason_of


class FileLockError(Exception):
    """A file cannot be locked; the message goes on after the name of what it guards."""


def lock_file(path: Path, if_taken: str) -> FileLock:
    """Lock a file, making it if there is none, until it is released or the process ends, however that ends.

    Args:
        path: a file of its own: on Windows nobody may read what is locked, and SQLite has locks on its files already, which
            closing them once more would take away.
        if_taken: the error's message if another process has it.

    Raises:
        FileLockError: another process has it, or it cannot be locked.
    """
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise FileLockError(if_taken) from error
    except (OSError, NotImplementedError) as error:
        raise FileLockError(f"cannot be locked with {path}: {reason_of(error)}") from error
    return lock
