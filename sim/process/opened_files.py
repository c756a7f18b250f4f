"""What a life of a worker has opened, so that it ends with the life.

A power cut keeps what was written, but for what Python still had in its buffers; locks on files and open transactions end.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from relaysim.sim.process.own_files import REAL, OwnFiles, refused


class OpenedFiles:
    """What one life of a worker has opened, and where it stands.

    Args:
        files: the worker's.
        folder: the current directory.
        run: runs code of this life.
    """

    def __init__(self, files: OwnFiles, folder: str, run: Callable[..., Any]) -> None:
        self.files = files
        self.folder = folder
        self.run = run
        self._anything = False
        self._python_files: WeakSet[Any] = WeakSet()
        self._connections: WeakSet[sqlite3.Connection] = WeakSet()
        self._descriptors: dict[int, tuple[str, os.stat_result]] = {}

    def absolute(self, path: Any, descriptor: int | None = None) -> str:
        """The path as this worker's files know it; relative ones begin at `descriptor`, a folder's, if it is given."""
        base = self.folder if descriptor is None else self.path_of(descriptor)
        return os.path.normpath(os.path.join(base, os.fsdecode(path)))

    def path_of(self, descriptor: int) -> str:
        """What was opened as this descriptor."""
        try:
            return self._descriptors[descriptor][0]
        except KeyError:
            refused(errno.EBADF, str(descriptor))

    def add_descriptor(self, descriptor: int, path: str) -> None:
        """Remember a descriptor that `os.open` gave."""
        self._anything = True
        self._descriptors[descriptor] = (path, REAL["fstat"](descriptor))

    def has(self, descriptor: int) -> bool:
        """Whether `os.open` gave this descriptor to this life."""
        return descriptor in self._descriptors

    def drop_descriptor(self, descriptor: int) -> None:
        """It was closed, or is a file object's now."""
        self._descriptors.pop(descriptor, None)

    def add_file(self, opened: Any) -> None:
        """Remember a file object."""
        self._anything = True
        self._python_files.add(opened)

    def add_connection(self, connection: sqlite3.Connection) -> None:
        """Remember a database."""
        self._anything = True
        self._connections.add(connection)

    def cut(self) -> None:
        """Let go of all, as a power cut does: buffers are lost, locks are free, transactions are undone."""
        if not self._anything:
            return
        for connection in list(self._connections):
            with suppress(sqlite3.Error):
                sqlite3.Connection.close(connection)
        descriptors = [number for number, (_, status) in self._descriptors.items() if _is_still(number, status)]
        descriptors += [each.fileno() for each in list(self._python_files) if not each.closed]
        if descriptors:
            nowhere = REAL["open"](os.devnull, os.O_RDWR)
            for descriptor in descriptors:
                os.dup2(nowhere, descriptor, inheritable=False)
            REAL["close"](nowhere)
        for each in list(self._python_files):
            with suppress(OSError, ValueError):
                each.close()
        for descriptor in self._descriptors.keys() & {*descriptors}:
            REAL["close"](descriptor)
        self._descriptors.clear()


def _is_still(descriptor: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(REAL["fstat"](descriptor), status)
    except OSError:
        return False
