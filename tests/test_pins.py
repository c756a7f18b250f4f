"""Private parts of libraries are used where docs/pins.md says, and each of these libraries is held to one minor release."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[1]
OURS = ("relay", "sim", "scenarios", "reports")

#: A module whose name, or a part of it, begins with an underscore, and the library that it is of.
_PRIVATE_IMPORT = re.compile(
    r"^\s*(?:from|import) (?:(?P<library>[a-z]\w*)(?:\.\w+)*\.)?_(?!_)(?P<name>\w+)", re.MULTILINE
)
_FROM_PACKAGE = re.compile(r"^\s*from (?P<library>[a-z]\w*) import _(?!_)", re.MULTILINE)
#: What else is private, by the library whose it is.
_OTHER_USES = {
    r"sys\._getframe": "CPython",
    r"ctypes\.": "CPython",
    r"joblib\.externals": "joblib",
    r"uvicorn\.protocols": "uvicorn",
    r"\benv\._[a-z]": "simpy",
}
#: Of the standard library, with which nobody can be at odds, and of names that are other than the library's.
_STANDARD = {"asyncio", "_thread", "_socket"}
_LIBRARY_OF = {"_time_machine": "time-machine", "_queue": "CPython", "_threading_local": "CPython"}


class Use(NamedTuple):
    """A row of the table."""

    library: str
    range: str
    part: str
    file: str
    why: str
    tests: str


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _uses() -> list[Use]:
    text = (ROOT / "docs" / "pins.md").read_text(encoding="utf-8")
    uses = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if len(cells) == 6 and cells[0] != "library":
            library, held, part, file, why, tests = cells
            uses.append(Use(library, _code(held)[0], _code(part)[0], _code(file)[0], why, tests.rstrip(" |")))
    return uses


USES = _uses()
_EACH = pytest.mark.parametrize("use", USES, ids=[f"{use.library} {use.part} {use.file}" for use in USES])


@cache
def _held() -> dict[str, set[str]]:
    """The ranges of each library in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    held: dict[str, set[str]] = {"CPython": {str(SpecifierSet(project["requires-python"]))}}
    for line in [*project["dependencies"], *extras["sim"], *extras["cluster"], *extras["judge"]]:
        requirement = Requirement(line)
        held.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return held


def test_the_page_has_the_uses_that_there_are_at_least() -> None:
    libraries = {use.library for use in USES}
    assert libraries >= {"fakeredis", "openai", "simpy", "joblib", "time-machine", "uvicorn", "CPython"}


@_EACH
def test_the_range_is_the_projects_and_narrow(use: Use) -> None:
    specifier = SpecifierSet(use.range)
    assert str(specifier) in _held()[use.library]
    if use.library == "CPython":
        return
    (lower,) = (Version(each.version) for each in specifier if each.operator == ">=")
    assert not specifier.contains(Version(f"{lower.major}.{lower.minor + 1}"))


@_EACH
def test_the_file_has_the_use(use: Use) -> None:
    assert use.part in (ROOT / use.file).read_text(encoding="utf-8")


@_EACH
def test_the_tests_to_look_at_are_there(use: Use) -> None:
    assert _code(use.tests)
    for path in _code(use.tests):
        assert (ROOT / path).is_file()


def _private_in(source: str) -> set[str]:
    """The libraries of which this source uses something private."""
    found = {
        match["library"] or "_" + match["name"]
        for pattern in (_PRIVATE_IMPORT, _FROM_PACKAGE)
        for match in pattern.finditer(source)
        if not (match["library"] or "").startswith("relaysim")
    }
    found |= {library for pattern, library in _OTHER_USES.items() if re.search(pattern, source)}
    return {_LIBRARY_OF.get(name, name) for name in found if name not in _STANDARD}


def _private_modules_in(source: str) -> set[str]:
    """The private modules that this source imports, each by the first of its names that begins with an underscore."""
    found = re.findall(r"^\s*(?:from|import) ([a-z]\w*)(?:\.[a-z]\w*)*\.(_\w+)", source, re.MULTILINE)
    found += re.findall(r"^\s*from ([a-z]\w*) import (_[a-z]\w*)", source, re.MULTILINE)
    return {name for library, name in found if library not in _STANDARD and library != "relaysim"}


def test_every_private_module_that_a_file_imports_is_listed_with_it() -> None:
    assert _private_modules_in("from fakeredis._a import b\nfrom fakeredis import _c as d\nimport openai._e\n") == {
        "_a",
        "_c",
        "_e",
    }
    parts: dict[str, str] = {}
    for use in USES:
        parts[use.file] = parts.get(use.file, "") + " " + use.part
    for room in OURS:
        for path in sorted((ROOT / room).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            for module in _private_modules_in(path.read_text(encoding="utf-8")):
                assert module in parts.get(file, ""), f"{file} imports {module}: docs/pins.md"


def test_what_is_private_is_seen() -> None:
    assert _private_in("from fakeredis._socket import FakeSocket\n") == {"fakeredis"}
    assert _private_in("from fakeredis import _msgs as msgs\n") == {"fakeredis"}
    assert _private_in("import openai._base_client\nimport _time_machine\n") == {"openai", "time-machine"}
    assert _private_in("frame = sys._getframe(2)\n") == {"CPython"}
    assert _private_in("from asyncio.events import run\nfrom __future__ import annotations\n") == set()


def test_every_file_that_uses_something_private_is_listed() -> None:
    listed = {(use.file, use.library) for use in USES}
    for room in OURS:
        for path in sorted((ROOT / room).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            for library in _private_in(path.read_text(encoding="utf-8")):
                assert (file, library) in listed, f"{file} uses private parts of {library}: docs/pins.md"
