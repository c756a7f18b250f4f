"""Which modules are the user's: each life of a worker loads those anew, and shares all others.

The user's are all modules whose files lie neither in the standard library, nor where packages are installed, nor in this
project. A checkout that is installed as editable, a folder `src`, and the current directory are thus the user's. So is the
whole package that the factory is in, wherever it lies, and so are libraries that keep a whole application in their modules,
as Django does. Compiled modules are never loaded twice: their state is the process's.
"""

from __future__ import annotations

import importlib.util
import os
import re
import site
import sys
import sysconfig
from functools import cache, lru_cache
from importlib import metadata
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

import relaysim

_PROJECT: Final = Path(relaysim.__file__).parent
_OWN: Final = frozenset(each.resolve() for each in (_PROJECT, *_PROJECT.iterdir()) if each.is_dir())
"""The folders of this project's code; in a checkout the package has links to them."""

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


def library_folders() -> frozenset[Path]:
    """Where all that lies is shared by all workers: Python's own library, what is installed, this project."""
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    return _OWN | {Path(folder).resolve() for folder in folders}


_LIBRARIES: Final = library_folders()


def _is_under(folder: Path, roots: frozenset[Path]) -> bool:
    return not roots.isdisjoint((folder, *folder.parents))


@cache
def _is_filled_by_an_installer(folder: str) -> bool:
    """Whether packages are installed in this folder, as `pip install --target` does: each leaves a note."""
    return next(Path(folder).glob("*.dist-info"), None) is not None


@cache
def is_of_library(folder: str) -> bool:
    """Whether what lies in this folder is shared by all workers: no user's own code."""
    path = Path(folder)
    return not _INSTALLED.isdisjoint(path.parts) or _is_under(path.resolve(), _LIBRARIES)


@cache
def _is_on_installed_path(folder: str, search_path: tuple[str, ...]) -> bool:
    above = {str(each) for each in (Path(folder), *Path(folder).parents)}
    return any(entry in above and _is_filled_by_an_installer(entry) for entry in search_path)


def _is_of_user(spec: ModuleSpec) -> bool:
    """By where its file lies, or the folders of a package that has none."""
    if spec.has_location and spec.origin is not None:
        # Asked of every loaded module, for which pathlib takes long.
        file = spec.origin if os.path.isabs(spec.origin) else str(Path(spec.origin).absolute())
        folders = [os.path.dirname(file)]
    elif spec.origin is None and spec.submodule_search_locations is not None:
        folders = [str(Path(folder).absolute()) for folder in spec.submodule_search_locations]
    else:
        return False  # built in, frozen, or made at run time
    return any(not is_of_library(each) and not _is_on_installed_path(each, tuple(sys.path)) for each in folders)


_BY_ADDRESSES: Final = ("celery", "kombu", "billiard")
"""Libraries that call back in the order of addresses in memory: see `address_free`."""

_WITH_AN_APPLICATION: Final = ("django", "asgiref", *_BY_ADDRESSES)
"""Libraries that keep the application of their process in their own modules (settings, models, views, tasks, the event
loop of the worker): each life needs them anew, as each process has them."""


def goes_by_addresses(name: str) -> bool:
    """Whether a module of this name belongs to a library whose order is to be made one of this program's."""
    return name.partition(".")[0] in _BY_ADDRESSES


@cache
def _built_on_those() -> frozenset[str]:
    """Installed packages that take part in that: those whose distribution requires one of these libraries.

    To be asked with `_is_asking` unset: what looks for them imports modules of Python's own, for which it would be asked.
    """
    found: set[str] = set()
    for distribution in metadata.distributions():
        required = {
            _NAME.split(each, maxsplit=1)[0].lower() for each in distribution.requires or () if "extra" not in each
        }
        if not required.isdisjoint(_WITH_AN_APPLICATION):
            found |= {
                file.parts[0] for file in distribution.files or () if file.suffix == ".py" and len(file.parts) > 1
            }
    return frozenset(found)


_NAME: Final = re.compile(r"[^\w-]")


_is_asking = False


def _takes_part(package: str) -> bool:
    """Whether a package is built on one of these libraries that is loaded already."""
    global _is_asking
    if _is_asking or not any(each in sys.modules for each in _WITH_AN_APPLICATION):
        return False
    _is_asking = True
    try:
        return package in _built_on_those()
    finally:
        _is_asking = False


class UserCode:
    """The user's modules, for a factory in the module of that name.

    Args:
        module_name: the factory's.
        libraries: the folder of the bot's own libraries; "": it has none.
    """

    def __init__(self, module_name: str, libraries: str = "") -> None:
        self._libraries = libraries
        self._packages = {module_name.partition(".")[0], *_WITH_AN_APPLICATION}
        self._known: dict[tuple[str, str | None], bool] = {}
        self._library_names: set[str] = set()
        self._names: list[str] = []
        self._found: list[str] = []

    def owns(self, name: str, spec: ModuleSpec) -> bool:
        """Whether a module belongs to the user. What is below a package of the user's does too."""
        if name == "__main__" or isinstance(spec.loader, ExtensionFileLoader):
            return False
        top, dot, _ = name.partition(".")
        if top in self._packages:
            return True
        key = (name, spec.origin)
        known = self._known.get(key)
        if known is None:
            is_users = _is_of_user(spec) and not self._is_in_libraries(spec)
            known = self._known[key] = is_users or _takes_part(top)
            if known and not dot:
                self._packages.add(name)
        return known

    def _is_in_libraries(self, spec: ModuleSpec) -> bool:
        if not self._libraries:
            return False
        places = [spec.origin] if spec.origin is not None else spec.submodule_search_locations or ()
        return any(each.startswith(self._libraries + os.sep) for each in places)

    def loaded(self, modules: dict[str, ModuleType]) -> list[str]:
        """The names of the user's modules among the loaded ones."""
        names = list(modules)
        if names == self._names:  # as in the world before
            return self._found
        self._names, self._found = names, []
        libraries = self._library_names
        libraries -= self._packages  # a name may have been another module's
        for name in names:
            if name not in libraries:
                spec = getattr(modules[name], "__spec__", None)
                if isinstance(spec, ModuleSpec) and self.owns(name, spec):
                    self._found.append(name)
                else:
                    libraries.add(name)
        return self._found


@lru_cache(maxsize=64)
def user_code_of(module_name: str, libraries: str = "") -> UserCode:
    """The user's modules for a factory in the module of that name; what is known of them is kept."""
    return UserCode(module_name, libraries)


def is_of_this_program(folder: str) -> bool:
    """Whether what this program itself imports lies in this folder."""
    return Path(folder).resolve() in _LIBRARIES


def is_shared(module_name: str) -> bool:
    """Whether a factory in this module has no code of the user's: it is this project's own."""
    top = module_name.partition(".")[0]
    if top == "relaysim":
        return True
    try:
        spec = importlib.util.find_spec(top)  # a checkout's folders can also be named without the package
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and _is_own(spec.origin)


@cache
def _is_own(file: str) -> bool:
    return _is_under(Path(file).resolve(), _OWN)
