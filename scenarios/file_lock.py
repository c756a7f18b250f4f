"""A lock on an open file, for one process at a time: the second is told at once and never waits.

It ends with the process that holds it, however that ends, so that nothing is left over by a crash. Worker processes do not
inherit the file.
"""

from __future__ import annotations

import errno
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


class LockedError(Exception):
    """Another process has the file locked."""


def lock(file: BinaryIO) -> None:
    """Lock an open file until it is closed.

    Raises:
        LockedError: if another process has it locked.
        OSError: if it cannot be locked at all.
    """
    try:
        _lock(file)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise
        raise LockedError from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which is made at need and stays behind, empty. Raises as `lock` does.

    It is not removed, because a process that had opened it just before would then hold a lock on a file without a name.
    """
    with path.open("ab") as file:
        lock(file)
        yield


if sys.platform == "win32":
    import msvcrt

    #: Far beyond what any file grows to: on Windows nobody may read what is locked.
    _LOCKED_AT = 2**62

    def _lock(file: BinaryIO) -> None:
        file.seek(_LOCKED_AT)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
