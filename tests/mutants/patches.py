"""A mutant: a small patch of one module, which takes the module's place when it is imported."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import relaysim

PACKAGE: Final = Path(relaysim.__file__).parent
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """One patch.

    Attributes:
        id: its name.
        file: the module, below the package's folder, e.g. `relay/drain/store.py`.
        what: what is wrong then.
        edits: texts, each of which stands once in the file, and what takes its place.
        test: a test that notices it, as pytest names it, below the folder `tests`.
        unseen: of a mutant of the relay, why worlds do not show it; None: they should.
    """

    id: str
    file: str
    what: str
    edits: tuple[tuple[str, str], ...]
    test: str
    unseen: str | None = None

    @property
    def module(self) -> str:
        """The module's name."""
        return "relaysim." + self.file.removesuffix(".py").replace("/", ".")

    def apply(self, source: str) -> str:
        """The patched source. Raises ValueError unless each text stands in it exactly once."""
        for before, after in self.edits:
            found = source.count(before)
            if found != 1:
                raise ValueError(f"mutant {self.id}: what it replaces stands {found} times in {self.file}, not once")
            source = source.replace(before, after)
        return source


def mutants() -> dict[str, Mutant]:
    """Those of the relay, by their names."""
    return _read("mutants.toml", "relay/")


def simulator_mutants() -> dict[str, Mutant]:
    """Those of whatever judges a relay: the simulator, the judge, the statistics, the commands; by their names."""
    return _read("simulator.toml", "")


def every_mutant() -> dict[str, Mutant]:
    """All of them, by their names."""
    return mutants() | simulator_mutants()


def _read(name: str, folder: str) -> dict[str, Mutant]:
    with (_HERE / name).open("rb") as file:
        listed = tomllib.load(file)["mutant"]
    return {
        each["id"]: Mutant(
            each["id"],
            folder + each["file"],
            each["what"],
            tuple(zip(_texts(each["before"]), _texts(each["after"]), strict=True)),
            each["test"],
            each.get("unseen"),
        )
        for each in listed
    }


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


class _PatchedLoader(SourceFileLoader):
    """Compiles the patched source, and neither reads nor writes byte code of the module."""

    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = compile(self._mutant.apply(self.get_data(path).decode()), path, "exec", dont_inherit=True)
        return code


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._mutant.module:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        loader: Any = _PatchedLoader(self._mutant, spec.origin)
        spec.loader = loader
        return spec


def put_in_place(mutant: Mutant) -> None:
    """Let this process import the mutant where it imports the module. Raises ValueError if it did so before."""
    if mutant.module in sys.modules:
        raise ValueError(f"{mutant.module} is imported already: a mutant needs a process of its own")
    sys.meta_path.insert(0, _Finder(mutant))
