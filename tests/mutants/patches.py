"""A mutant: a small patch of one module of the relay, which takes the module's place when it is imported."""

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

RELAY: Final = Path(relaysim.__file__).parent / "relay"
_LIST: Final = Path(__file__).with_name("mutants.toml")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One patch.

    Attributes:
        id: its name.
        file: the module, below the folder of the relay.
        what: what is wrong with the relay then.
        edits: texts, each of which stands once in the file, and what takes its place.
        equivalent: why worlds cannot tell it from the relay; None: they should.
    """

    id: str
    file: str
    what: str
    edits: tuple[tuple[str, str], ...]
    equivalent: str | None = None

    @property
    def module(self) -> str:
        """The module's name."""
        return "relaysim.relay." + self.file.removesuffix(".py").replace("/", ".")

    def apply(self, source: str) -> str:
        """The patched source. Raises ValueError unless each text stands in it exactly once."""
        for before, after in self.edits:
            found = source.count(before)
            if found != 1:
                raise ValueError(f"mutant {self.id}: what it replaces stands {found} times in {self.file}, not once")
            source = source.replace(before, after)
        return source


def mutants() -> dict[str, Mutant]:
    """All of them, by their names."""
    with _LIST.open("rb") as file:
        listed = tomllib.load(file)["mutant"]
    return {
        each["id"]: Mutant(
            each["id"],
            each["file"],
            each["what"],
            tuple(zip(_texts(each["before"]), _texts(each["after"]), strict=True)),
            each.get("equivalent"),
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
