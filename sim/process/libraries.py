"""A bot's own versions of libraries, beside those of this program.

They lie in a folder of the user's, such as the `site-packages` of the bot's environment. While a worker's code is present,
modules of their names are the bot's: those of this program are taken out of `sys.modules`, and come back afterwards. The
bot's are loaded once in this process, outside of any world, as what all workers share is.

Code of this program runs meanwhile too, and may import something: who imports decides what is found. Code of the bot's and
of its libraries finds the bot's, code of this program and of the libraries that it has itself finds its own, and
Python's own library finds what belongs to whoever called it.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from threading import get_ident
from types import ModuleType
from typing import Any, Final

from relaysim.sim.kernel.modules_aside import keep_aside
from relaysim.sim.process.user_code import is_of_library, is_of_this_program, is_shared, library_folders

_SHARED: Final = frozenset({"relaysim", "greenlet"})
"""What there is one of in a process: this project itself, and what switches between its threads."""

_IMPORTING: Final[Any] = sys.modules["_frozen_importlib"]
_REAL: Final[dict[str, Any]] = {"import": builtins.__import__, "gcd_import": _IMPORTING._gcd_import}

_STANDARD: Final = tuple(
    {f"{os.path.realpath(sysconfig.get_paths()[name])}{os.sep}" for name in ("stdlib", "platstdlib")}
    | {f"{sysconfig.get_paths()[name]}{os.sep}" for name in ("stdlib", "platstdlib")}
)


class LibrariesError(ValueError):
    """A folder cannot be used as a bot's libraries; the message says why, and what to do."""


class Libraries:
    """Those of one folder. Made by `libraries_in`.

    Attributes:
        folder: where they lie, absolute.
    """

    def __init__(self, folder: str, names: frozenset[str]) -> None:
        self.folder = folder
        self._names = names
        self._taken = names
        self._user = ""
        self._own: dict[str, ModuleType] = {}
        self._others: dict[str, ModuleType] = {}
        keep_aside(self._own)
        keep_aside(self._others)
        self._thread = 0
        self._executing = 0
        self._is_in_place = False
        self._runs: Callable[[], bool] = lambda: False
        self._whose: dict[Any, bool | None] = {}

    def holds(self, name: str) -> bool:
        """Whether a module of that name is one of them, while they are in place."""
        return name.partition(".")[0] in self._taken and self._is_in_place

    def put(self, runs: Callable[[], bool], but: str) -> None:
        """Put them in place.

        Args:
            runs: whether code of a worker runs at this moment.
            but: the package that the factory is in. It is the user's own, wherever it lies.
        """
        self._thread, self._runs, self._user, self._taken = get_ident(), runs, but, self._names - {but}
        self._enter()

    def _enter(self) -> None:
        self._exchange(self._others, self._own)
        builtins.__import__ = self._import
        _IMPORTING._gcd_import = self._gcd_import
        self._is_in_place = True

    def take_back(self) -> None:
        """Put in place what stood there before."""
        self._is_in_place = False
        builtins.__import__ = _REAL["import"]
        _IMPORTING._gcd_import = _REAL["gcd_import"]
        self._exchange(self._own, self._others)

    def add_to_path(self) -> None:
        """Let the import path find them: after Python's own library and what stands before it, ahead of what is installed
        here, as in the environment that they come from."""
        installed = (
            index for index, entry in enumerate(sys.path) if is_of_library(entry or ".") and not _is_standard(entry)
        )
        sys.path.insert(next(installed, len(sys.path)), self.folder)

    def load(self, name: str) -> ModuleType:
        """One of them, for code of this program. They are in place.

        Raises:
            ImportError: it cannot be loaded.
        """
        module: ModuleType = _REAL["gcd_import"](name)
        return module

    @contextmanager
    def executing(self) -> Iterator[None]:
        """For while one of them is loaded: whatever is imported there is the bot's."""
        self._executing += 1
        try:
            yield
        finally:
            self._executing -= 1

    def _exchange(self, out: dict[str, ModuleType], back: dict[str, ModuleType]) -> None:
        modules, taken = sys.modules, self._taken
        for name in [name for name in modules if name.partition(".")[0] in taken]:
            out[name] = modules.pop(name)
        modules.update(back)
        back.clear()

    # Imports while they are in place

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        package = name if level == 0 or globals is None else globals.get("__package__") or globals.get("__name__", "")
        if self._finds_others(package, globals):
            with self._out_of_place():
                return _REAL["import"](name, globals, locals, fromlist, level)
        return _REAL["import"](name, globals, locals, fromlist, level)

    def _gcd_import(self, name: str, package: str | None = None, level: int = 0) -> Any:
        caller = sys._getframe(1)
        if caller.f_code is importlib.import_module.__code__ and caller.f_back is not None:
            whole = name if level == 0 else package or ""
            if self._finds_others(whole, caller.f_back.f_globals):
                with self._out_of_place():
                    return _REAL["gcd_import"](name, package, level)
        return _REAL["gcd_import"](name, package, level)

    def _finds_others(self, name: str, importer: Mapping[str, Any] | None) -> bool:
        """Whether this program's own libraries are what an import is to find."""
        if name.partition(".")[0] not in self._taken or get_ident() != self._thread:
            return False
        module, file = (None, None) if importer is None else (importer.get("__name__"), importer.get("__file__"))
        if isinstance(module, str) and module.partition(".")[0] == self._user:
            return False
        if file not in self._whose:
            self._whose[file] = self._is_of_bot(file)
        of_bot = self._whose[file]
        return not (self._executing > 0 or self._runs() if of_bot is None else of_bot)

    def _is_of_bot(self, file: str | None) -> bool | None:
        """Whether a file is the bot's or its libraries'; None: of Python's own library."""
        if file is None or _is_standard(file):
            return None
        if file.startswith(self.folder + os.sep):
            return True
        return not is_of_library(os.path.dirname(file))

    @contextmanager
    def _out_of_place(self) -> Iterator[None]:
        path = sys.path
        self.take_back()
        sys.path = [entry for entry in path if entry != self.folder]
        try:
            yield
        finally:
            sys.path = path
            self._enter()


def _is_standard(file: str) -> bool:
    return f"{file}{os.sep}".startswith(_STANDARD) and not {"site-packages", "dist-packages"} & set(Path(file).parts)


def libraries_in(folder: str) -> Libraries | None:
    """The libraries of a folder; None if they are this program's own, which need nothing.

    Raises:
        LibrariesError: it is none, or nothing in it can be imported.
    """
    return _libraries_in(os.path.realpath(Path(folder).expanduser()))


def check_folder(folder: str | None, module_name: str) -> str | None:
    """The same folder, if a relay whose factory is in this module can have its libraries there.

    Raises:
        LibrariesError: it cannot.
    """
    if folder is not None:
        libraries_in(folder)
        if is_shared(module_name):
            raise LibrariesError("a relay of this project's has no libraries of its own; leave them out")
    return folder


@cache
def _libraries_in(folder: str) -> Libraries | None:
    try:
        with os.scandir(folder) as entries:
            names = frozenset(name for entry in entries if (name := _importable(entry)) is not None)
    except OSError as error:
        what = "is no folder" if isinstance(error, NotADirectoryError) else "cannot be read"
        what = "there is no such folder" if isinstance(error, FileNotFoundError) else what
        raise LibrariesError(f"{folder}: {what}; {_REMEDY}") from error
    if is_of_this_program(folder):
        return None
    if folder == os.getcwd():
        raise LibrariesError(f"{folder}: is the folder that this runs in, with code of the bot's own; {_REMEDY}")
    names -= sys.stdlib_module_names | _SHARED
    names -= {name for name in names if _is_compiled_here(Path(folder), name)}
    if not names:
        raise LibrariesError(f"{folder}: holds no packages; {_REMEDY}")
    return Libraries(folder, names)


_REMEDY: Final = (
    "name the site-packages of the bot's environment, or what `pip install --target DIR -r requirements.txt` has filled"
)


def _importable(entry: os.DirEntry[str]) -> str | None:
    if entry.is_dir():
        holds = entry.name.isidentifier() and entry.name not in ("bin", "__pycache__")
        return entry.name if holds and _holds_modules(Path(entry.path)) else None
    name = inspect.getmodulename(entry.name)
    return name if name is not None and name.isidentifier() else None


def _is_compiled_here(folder: Path, name: str) -> bool:
    """Whether a package's compiled modules are the very files that this program has, as installers that link files make
    them: the system loads a file once, so such a package is shared."""
    files = [*(folder / name).rglob("*"), *folder.glob(f"{name}.*")]
    compiled = [file for file in files if file.name.endswith(tuple(EXTENSION_SUFFIXES))]
    return any(
        (other := here / file.relative_to(folder)).exists() and file.samefile(other)
        for file in compiled
        for here in library_folders()
    )


def _holds_modules(folder: Path) -> bool:
    """Also one without `__init__`, whose packages lie further below, as those of `google`."""
    return any(inspect.getmodulename(name) for _, _, names in os.walk(folder) for name in names)
