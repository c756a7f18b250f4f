"""Loading a user's modules anew: found and compiled once, executed in each life.

A finder that stands first on `sys.meta_path` while lives are possible. It asks the others, so whatever can be imported
still can. A module of the user's is executed with the code of the first time, as long as its file has not changed. A
library that is imported for the first time while a worker runs is executed outside its world, since it stays for all
others: on real clocks, without any draw.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from threading import get_ident
from types import CodeType, ModuleType
from typing import Any, Final
from zipimport import zipimporter

from relaysim.sim.process.address_free import without_addresses
from relaysim.sim.process.libraries import Libraries
from relaysim.sim.process.own_files import REAL
from relaysim.sim.process.user_code import UserCode, goes_by_addresses

_WITH_CODE: Final = (SourceFileLoader, SourcelessFileLoader, zipimporter)

Outside = Callable[[], AbstractContextManager[Any]]


class _Substitute:
    """A loader that stands for another one until the module is executed, and leaves no trace on it."""

    def __init__(self, real: Any, execute: Callable[[Any, ModuleType], None]) -> None:
        self._real, self._execute = real, execute

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._real.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._real
        self._execute(self._real, module)


class Finder:
    """Finds the user's modules for the life that is present.

    Args:
        user_code: which modules are the user's.
        outside: what is held while something is executed that outlives the life.
        register: told the name of each of the user's modules that is about to be loaded.
        names: what stands for `set` and `id` in the present life, in libraries that would go by addresses.
        libraries: the bot's own; None: it has none.
    """

    def __init__(
        self,
        user_code: UserCode,
        outside: Outside,
        register: Callable[[str], None],
        names: Callable[[], dict[str, Any]],
        libraries: Libraries | None = None,
    ) -> None:
        self._libraries = libraries
        self._user_code, self._outside, self._register, self._names = user_code, outside, register, names
        self._stamps: dict[str | None, tuple[str, int, int] | None] = {}
        self._thread = get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As `importlib.abc.MetaPathFinder.find_spec`; another thread's import is none of the life's."""
        if get_ident() != self._thread:
            return None
        key = (name, tuple(sys.path if path is None else path))
        known = _found.get(key)
        if known is not None and self._user_code.owns(name, known) and self._stamp(known.origin) is not None:
            self._register(name)
            return self._for_life(known)
        found = self._ask_others(name, path, target)
        if found is None:
            return None
        if not self._user_code.owns(name, found):
            if hasattr(found.loader, "exec_module") and found.has_location:
                found.loader = _Substitute(found.loader, self._execute_outside)  # type: ignore[assignment]
            return found
        self._register(name)
        if not hasattr(found.loader, "exec_module"):
            return found  # a package without a file
        if found.has_location and isinstance(found.loader, _WITH_CODE):
            _found[key] = found
        return self._for_life(found)

    def _ask_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            found: ModuleSpec | None = None if find is None else find(name, path, target)
            if found is not None:
                return found
        return None

    def _for_life(self, found: ModuleSpec) -> ModuleSpec:
        # Each module has a spec of its own, which the import system marks while it loads it.
        spec = copy.copy(found)
        if found.submodule_search_locations is not None:
            spec.submodule_search_locations = list(found.submodule_search_locations)
        spec.loader = _Substitute(found.loader, self._execute)  # type: ignore[assignment]
        return spec

    def _execute(self, loader: Any, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        if not isinstance(loader, _WITH_CODE):
            loader.exec_module(module)
            return
        key = (spec.name, self._stamp(spec.origin))
        code = _codes.get(key)
        if code is None:
            with self._outside():
                code = loader.get_code(spec.name)
                if code is not None and goes_by_addresses(spec.name):
                    code = without_addresses(code, partial(loader.get_source, spec.name))
            if code is None:
                raise ImportError(f"cannot load module {spec.name!r}: it has no code", name=spec.name)
            _codes[key] = code
        if goes_by_addresses(spec.name):
            vars(module).update(self._names())
        exec(code, vars(module))

    def _stamp(self, file: str | None) -> tuple[str, int, int] | None:
        """Looked at once in a world: asking the system takes longer than loading a small module."""
        if file not in self._stamps:
            self._stamps[file] = _stamp(file)
        return self._stamps[file]

    def _execute_outside(self, loader: Any, module: ModuleType) -> None:
        libraries = self._libraries
        is_of_bot = libraries is not None and libraries.holds(module.__name__)
        with self._outside(), libraries.executing() if is_of_bot and libraries else nullcontext():
            loader.exec_module(module)


_found: dict[tuple[str, tuple[str, ...]], ModuleSpec] = {}
_codes: dict[tuple[str, Any], CodeType] = {}


def _stamp(file: str | None) -> tuple[str, int, int] | None:
    """What changes when a file does; of an archive, the archive's."""
    while file:
        try:
            status = REAL["stat"](file)
        except NotADirectoryError:
            file = str(Path(file).parent)
        except OSError:
            return None
        else:
            return file, status.st_mtime_ns, status.st_size
    return None
