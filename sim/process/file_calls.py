"""How a worker's code reaches its files: `open`, `os`, `pathlib`, `tempfile` and `sqlite3`, by substitutes.

They are put in place of the real ones in all modules when the first world with code of the user's begins, and do what those
do unless a worker's code runs. What opens files past them (compiled code, a statement `ATTACH`) reaches the real ones;
Python itself reports most of that, and it is then refused.
"""

from __future__ import annotations

import builtins
import errno
import os
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FunctionType
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, quote, unquote, urlsplit

from relaysim.sim.kernel.fence import replace_names
from relaysim.sim.process.folder_entries import Entries, Entry
from relaysim.sim.process.opened_files import OpenedFiles
from relaysim.sim.process.own_files import REAL, refused
from relaysim.sim.process.sqlite_functions import replace_functions

_PYTHON: Final[dict[str, Any]] = {"open": builtins.open, "connect": sqlite3.connect}
"""As in `REAL`; in a table, since names of modules are where substitutes are put."""

WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


CHANGES: Final = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "sqlite3.connect")
"""The audit events that tell of a change, with the path first; `open` also tells of reading."""


def changes(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an audit event tells of a change."""
    return event != "open" or bool(arguments[2] & WRITES)


class FileUser(Protocol):
    """A process, as the substitutes know it."""

    def run_outside(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...

    @property
    def opened(self) -> OpenedFiles: ...


class FileCalls:
    """The substitutes, for whoever `running` says is running."""

    def __init__(self, running: Callable[[], FileUser | None]) -> None:
        self._running = running

    def replacements(self) -> dict[int, tuple[object, Any]]:
        """By the `id` of a real function, it and its substitute."""
        pairs: list[tuple[Any, Any]] = [
            (_PYTHON["open"], self._when_running(_PYTHON["open"], self._opened_file)),
            (_PYTHON["connect"], self._when_running(_PYTHON["connect"], self._connected)),
        ]
        for name, real in REAL.items():
            pairs.append((real, self._when_running(real, getattr(self, f"_{name}"))))
        return {id(real): (real, substitute) for real, substitute in pairs}

    def _when_running(self, real: Any, instead: Callable[..., Any]) -> Callable[..., Any]:
        running = self._running

        def call(*args: Any, **kwargs: Any) -> Any:
            process = running()
            return (
                real(*args, **kwargs)
                if process is None
                else process.run_outside(instead, process.opened, *args, **kwargs)
            )

        call.__name__, call.__doc__ = real.__name__, real.__doc__
        return call

    # Opening

    def _opened_file(
        self,
        opened: OpenedFiles,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        options = buffering, encoding, errors, newline, closefd
        if isinstance(file, int) or opener is not None:  # what opens it has passed here already, or will
            made = _PYTHON["open"](file, mode, *options, opener and partial(opened.run, opener))
            opened.drop_descriptor(made.fileno())
        else:
            writes = not {"w", "a", "x", "+"}.isdisjoint(mode)
            with _as_known(file):
                place = _place(opened, opened.absolute(file), writes=writes, keep="w" not in mode)
                made = _PYTHON["open"](place, mode, *options)
            raw = getattr(made, "buffer", made)
            getattr(raw, "raw", raw).name = file
        opened.add_file(made)
        return made

    def _open(self, opened: OpenedFiles, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        known = opened.absolute(path, dir_fd)
        with _as_known(path):
            place = _place(opened, known, writes=bool(flags & WRITES), keep=not flags & os.O_TRUNC)
            descriptor: int = REAL["open"](place, flags, mode)
        opened.add_descriptor(descriptor, known)
        return descriptor

    def _close(self, opened: OpenedFiles, descriptor: int) -> None:
        opened.drop_descriptor(descriptor)
        REAL["close"](descriptor)

    def _connected(self, opened: OpenedFiles, database: Any, *args: Any, **options: Any) -> Any:
        if not args:
            options["timeout"] = 0.0  # nobody else could release the lock meanwhile
        options.setdefault("factory", _Connection)
        with _as_known(database):
            made = _PYTHON["connect"](_database(opened, database, bool(options.get("uri"))), *args, **options)
        with suppress(sqlite3.Error):
            # A power cut keeps what was written (see `opened_files`), so there is nothing to wait for at each commit.
            sqlite3.Connection.execute(made, "PRAGMA synchronous=OFF")
        replace_functions(made)
        opened.add_connection(made)
        return made

    # Asking

    def _stat(
        self, opened: OpenedFiles, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        if isinstance(path, int):
            return self._fstat(opened, path)
        known = opened.absolute(path, dir_fd)
        with _as_known(path):
            found = REAL["stat"](_read(opened, path, known), follow_symlinks=follow_symlinks)
        return opened.files.status(known, found)

    def _lstat(self, opened: OpenedFiles, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        return self._stat(opened, path, dir_fd=dir_fd, follow_symlinks=False)

    def _fstat(self, opened: OpenedFiles, descriptor: int) -> os.stat_result:
        status: os.stat_result = REAL["fstat"](descriptor)
        return opened.files.status(opened.path_of(descriptor), status) if opened.has(descriptor) else status

    def _access(self, opened: OpenedFiles, path: Any, mode: int, *, dir_fd: int | None = None, **options: Any) -> bool:
        allowed: bool = REAL["access"](_read(opened, path, opened.absolute(path, dir_fd)), mode, **options)
        return allowed

    def _readlink(self, opened: OpenedFiles, path: Any, *, dir_fd: int | None = None) -> Any:
        with _as_known(path):
            return REAL["readlink"](_read(opened, path, opened.absolute(path, dir_fd)))

    def _listdir(self, opened: OpenedFiles, path: Any = ".") -> list[Any]:
        known = opened.path_of(path) if isinstance(path, int) else opened.absolute("." if path is None else path)
        with _as_known(path):
            names = opened.files.names(known)
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else list(names)

    def _scandir(self, opened: OpenedFiles, path: Any = ".") -> Entries:
        names = self._listdir(opened, path)
        shown = "" if isinstance(path, int) else os.fspath("." if path is None else path)
        base = opened.path_of(path) if isinstance(path, int) else opened.absolute(shown)
        return Entries(Entry(name, shown, base) for name in names)

    def _getcwd(self, opened: OpenedFiles) -> str:
        return opened.folder

    def _getcwdb(self, opened: OpenedFiles) -> bytes:
        return os.fsencode(opened.folder)

    def _chdir(self, opened: OpenedFiles, path: Any) -> None:
        known = opened.path_of(path) if isinstance(path, int) else opened.absolute(path)
        with _as_known(path):
            if not stat.S_ISDIR(REAL["stat"](_read(opened, path, known)).st_mode):
                refused(errno.ENOTDIR, known)
        opened.folder = known

    # Changing

    def _mkdir(self, opened: OpenedFiles, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with _as_known(path):
            opened.files.make_folder(opened.absolute(path, dir_fd), mode)

    def _remove(self, opened: OpenedFiles, path: Any, *, dir_fd: int | None = None) -> None:
        with _as_known(path):
            opened.files.remove(opened.absolute(path, dir_fd))

    _unlink = _remove

    def _rmdir(self, opened: OpenedFiles, path: Any, *, dir_fd: int | None = None) -> None:
        with _as_known(path):
            opened.files.remove_folder(opened.absolute(path, dir_fd))

    def _rename(
        self,
        opened: OpenedFiles,
        source: Any,
        target: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        real: str = "rename",
    ) -> None:
        known = opened.absolute(source, src_dir_fd), opened.absolute(target, dst_dir_fd)
        with _as_known(source):
            opened.files.rename(*known, rename=REAL[real])

    def _replace(self, opened: OpenedFiles, source: Any, target: Any, **options: Any) -> None:
        self._rename(opened, source, target, real="replace", **options)

    def _truncate(self, opened: OpenedFiles, path: Any, length: int) -> None:
        if isinstance(path, int):
            os.ftruncate(path, length)
        else:
            self._change(opened, "truncate", path, length)

    def _chmod(self, opened: OpenedFiles, path: Any, mode: int, **options: Any) -> None:
        self._change(opened, "chmod", path, mode, **options)

    def _chown(self, opened: OpenedFiles, path: Any, uid: int, gid: int, **options: Any) -> None:
        self._change(opened, "chown", path, uid, gid, **options)

    def _utime(self, opened: OpenedFiles, path: Any, times: Any = None, *, ns: Any = None, **options: Any) -> None:
        self._change(opened, "utime", path, times, **options)
        if not isinstance(path, int):
            given = time.time_ns() if ns is None else ns[1]
            changed = given if times is None else round(times[1] * 1e9)
            opened.files.set_time(opened.absolute(path, options.get("dir_fd")), changed)

    def _change(
        self, opened: OpenedFiles, name: str, path: Any, *args: Any, dir_fd: int | None = None, **options: Any
    ) -> None:
        if isinstance(path, int):
            REAL[name](path, *args, **options)
            return
        known = opened.absolute(path, dir_fd)
        with _as_known(path):
            REAL["stat"](opened.files.reading(known))  # raises if there is nothing to change
            REAL[name](opened.files.writing(known), *args, **options)

    def _no_links(self, opened: OpenedFiles, source: Any, *args: Any, **options: Any) -> None:
        refused(errno.EPERM, os.fsdecode(source))  # as on file systems that have no links

    _link = _symlink = _mkfifo = _mknod = _no_links


def _place(opened: OpenedFiles, path: str, *, writes: bool, keep: bool) -> str:
    return opened.files.writing(path, keep=keep) if writes else opened.files.reading(path)


def _read(opened: OpenedFiles, path: Any, known: str) -> str:
    return opened.files.reading(known) if len(os.fspath(path)) else ""  # nothing has no name


@contextmanager
def _as_known(path: Any) -> Iterator[None]:
    """An error tells of the path that the worker gave."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            error.filename, error.filename2 = path, None
        raise


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly."""


def _database(opened: OpenedFiles, database: Any, uri: bool) -> Any:
    name = os.fsdecode(database)
    if name in ("", ":memory:"):
        return database
    if not (uri and name.startswith("file:")):
        return opened.files.writing(opened.absolute(name))
    address = urlsplit(name)
    path, asked = unquote(address.path), parse_qs(address.query)
    if path in ("", ":memory:") or asked.get("mode") == ["memory"]:
        return database
    reads = asked.get("mode") == ["ro"] or "immutable" in asked
    place = _place(opened, opened.absolute(path), writes=not reads, keep=True)
    return f"file:{quote(place)}?{address.query}"


def install(calls: FileCalls) -> Callable[[], None]:
    """Put the substitutes in place of the real functions; returns the undoing."""
    replacements = calls.replacements()
    undo = [replace_names(replacements), _replace_defaults(replacements)]
    # What Python itself imports with needs the real ones.
    system = vars(sys.modules[os.name])
    for name in REAL.keys() & system.keys():
        system[name] = REAL[name]
    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        able |= {substitute for real, substitute in replacements.values() if real in able}

    def undo_all() -> None:
        for each in undo:
            each()
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
            able -= {substitute for _, substitute in replacements.values()}

    return undo_all


def _replace_defaults(replacements: dict[int, tuple[object, Any]]) -> Callable[[], None]:
    """`tempfile` keeps functions in default arguments."""
    changed: list[tuple[FunctionType, Any]] = []
    for function in vars(tempfile._TemporaryFileCloser).values():  # type: ignore[attr-defined]
        defaults = getattr(function, "__defaults__", None)
        if defaults and any(id(each) in replacements for each in defaults):
            changed.append((function, defaults))
            function.__defaults__ = tuple(replacements.get(id(each), (each, each))[1] for each in defaults)

    def undo() -> None:
        for function, defaults in changed:
            function.__defaults__ = defaults

    return undo
