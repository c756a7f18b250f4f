"""A worker's files: what it has written lies in a folder of its own, above what is there.

A path that the worker has not written is read where it is; the first write makes a copy in the worker's folder, and what it
removes is only noted. So the project and everything else on this machine stay as they are, whatever path is written to.
The folder lasts as long as the worker's world, over all lives of the worker.

What depends on the machine does not show: files have the virtual times at which this worker opened them to write, those of
the project the time at which the world began, and names in a folder come in order. Passwords of whoever runs this (`.netrc`)
are not there.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Final, NoReturn

from relaysim.sim.kernel import EPOCH_SECONDS
from relaysim.sim.process.user_code import is_of_library

REAL: Final = {
    name: getattr(os, name)
    for name in (
        *(
            "access",
            "chdir",
            "chmod",
            "chown",
            "close",
            "fstat",
            "getcwd",
            "getcwdb",
            "link",
            "listdir",
            "lstat",
            "mkdir",
        ),
        *("mkfifo", "mknod", "open", "readlink", "remove", "rename", "replace", "rmdir", "scandir", "stat", "symlink"),
        *("truncate", "unlink", "utime"),
    )
    if hasattr(os, name)
}
"""The functions of `os` that take a path or a folder's descriptor, as they are outside worlds."""

_START: Final = EPOCH_SECONDS * 10**9
_DEVICES: Final = ("/dev/", "/proc/", "/sys/")


_HIDDEN: Final = frozenset(os.path.expanduser(f"~/{name}") for name in (".netrc", "_netrc"))
"""Files that are not there for a worker: libraries for HTTP send what these say in place of the bot's own key."""


def refused(number: int, path: str) -> NoReturn:
    """Raise what the operating system would, of the path as the worker knows it."""
    raise OSError(number, os.strerror(number), path)


class OwnFiles:
    """The files of one worker, by absolute paths without `..`.

    Args:
        make_folder: makes an empty folder for them; called at the first write.
    """

    def __init__(self, make_folder: Callable[[], str]) -> None:
        self._make_folder = make_folder
        self._folder: str | None = None
        self._removed: set[str] = set()
        self._written: dict[str, int] = {}  # when, in nanoseconds of Unix time

    # Where a path is

    def own(self, path: str) -> str:
        """Where the worker's own copy is, or would be."""
        if self._folder is None:
            self._folder = self._make_folder() + os.sep
        drive, rest = os.path.splitdrive(path)
        return os.path.join(self._folder, drive.strip(":\\/").replace("\\", "_"), rest.lstrip("/\\"))

    def is_own(self, real_path: str) -> bool:
        """Whether a real path lies in the worker's folder."""
        return self._folder is not None and real_path.startswith(self._folder)

    def reading(self, path: str) -> str:
        """The real path to read: the worker's copy, or what is there. Nothing is at that path if nothing is there."""
        if path in _HIDDEN and path not in self._written:
            return self.own(path)
        if self._folder is None or path.startswith((*_DEVICES, self._folder)):
            return path
        own = self.own(path)
        return own if self._is_removed(path) or _there(own) else path

    def writing(self, path: str, *, keep: bool = True) -> str:
        """The real path to write: the worker's copy, made if it is not there.

        Args:
            path: of a file or a folder, there or not.
            keep: whether a copy has what the file has.
        """
        if path.startswith(_DEVICES) or self.is_own(path):
            return path
        own = self.own(path)
        if not _there(own):
            self._make_parents(path)
            source = self.reading(path)
            if source != own and _there(source):
                if stat.S_ISDIR(REAL["stat"](source).st_mode):
                    os.makedirs(own, exist_ok=True)
                elif keep and _there(os.path.dirname(own)):
                    shutil.copy(source, own)
        self._written[path] = time.time_ns()
        return own

    def _make_parents(self, path: str) -> None:
        parent = os.path.dirname(path)
        real_parent = self.reading(parent)
        if _there(real_parent) and stat.S_ISDIR(REAL["stat"](real_parent).st_mode):
            os.makedirs(self.own(parent), exist_ok=True)

    def _is_removed(self, path: str) -> bool:
        removed = self._removed
        return bool(removed) and (path in removed or any(str(each) in removed for each in PurePath(path).parents))

    # What else is asked of paths

    def names(self, path: str) -> list[str]:
        """The names in a folder, in order."""
        real_path = self.reading(path)
        if real_path == path:
            found, below = set(), REAL["listdir"](path)
        else:
            found = set(REAL["listdir"](real_path))
            below = REAL["listdir"](path) if _there(path) and not self._is_removed(path) else []
        return sorted(found.union(name for name in below if os.path.join(path, name) not in self._removed))

    def status(self, path: str, status: os.stat_result) -> os.stat_result:
        """A status of this path with times that do not depend on the machine."""
        if path.startswith(_DEVICES) or (path not in self._written and is_of_library(os.path.dirname(path))):
            return status
        return _at(status, self._written.get(path, _START))

    # What changes them

    def remove(self, path: str) -> None:
        """As `os.remove`."""
        self._remove(path, folder=False)

    def remove_folder(self, path: str) -> None:
        """As `os.rmdir`."""
        self._remove(path, folder=True)

    def _remove(self, path: str, *, folder: bool) -> None:
        real_path = self.reading(path)
        if not _there(real_path):
            refused(errno.ENOENT, path)
        if stat.S_ISDIR(REAL["lstat"](real_path).st_mode) != folder:
            refused(errno.ENOTDIR if folder else errno.EISDIR, path)
        if folder and self.names(path):
            refused(errno.ENOTEMPTY, path)
        own = self.own(path)
        if _there(own):
            REAL["rmdir" if folder else "remove"](own)
        self._removed.add(path)
        self._written.pop(path, None)

    def make_folder(self, path: str, mode: int) -> None:
        """As `os.mkdir`."""
        if _there(self.reading(path)):
            refused(errno.EEXIST, path)
        REAL["mkdir"](self.writing(path), mode)

    def rename(self, source: str, target: str, *, rename: Callable[[str, str], None]) -> None:
        """As `os.rename` or `os.replace`, whichever is given."""
        real_target = self.reading(target)
        if _there(real_target) and stat.S_ISDIR(REAL["stat"](real_target).st_mode) and self.names(target):
            refused(errno.ENOTEMPTY, target)
        if not _there(self.reading(source)):
            refused(errno.ENOENT, source)
        self._copy_up(source)
        written = {path: at for path, at in self._written.items() if _is_within(path, source)}
        rename(self.own(source), self.writing(target, keep=False))
        self._removed.add(source)
        self._removed.add(target)  # of what was there, nothing shows through
        for path, at in written.items():
            del self._written[path]
            self._written[target + path[len(source) :]] = at

    def _copy_up(self, path: str) -> None:
        at = self._written.get(path, _START)
        if stat.S_ISDIR(REAL["stat"](self.writing(path)).st_mode):
            for name in self.names(path):
                self._copy_up(os.path.join(path, name))
        self._written[path] = at

    def set_time(self, path: str, nanoseconds: int) -> None:
        """What `os.utime` sets, as Unix time."""
        self._written[path] = nanoseconds


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _there(real_path: str) -> bool:
    try:
        REAL["lstat"](real_path)
    except (OSError, ValueError):
        return False
    return True


def _at(status: os.stat_result, nanoseconds: int) -> os.stat_result:
    reduced: Any = status.__reduce__()
    values, others = reduced[1]
    times: dict[str, Any] = dict(others)
    for name in ("st_atime", "st_mtime", "st_ctime", "st_birthtime"):
        if name in times:
            times[name] = nanoseconds / 1e9
        if f"{name}_ns" in times:
            times[f"{name}_ns"] = nanoseconds
    whole = nanoseconds // 10**9
    return os.stat_result([*values[:7], whole, whole, whole], times)
