"""What modules keep from one world to the next: their names, their classes' attributes, caches of their functions.

Two snapshots, one before a world and one after it, differ in what the world has left behind. Only modules count that the
user's code has brought in: those of Python, of this project and of the packages that it needs itself are left out.
"""

from __future__ import annotations

import ast
import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple

from relaysim.scenarios.determinism.readings import owner

_DEPTH, _ITEMS_MAX, _TEXT_MAX = 3, 100, 60
_CACHE: Final = type(lru_cache(str))
_PLAIN: Final = (str, bytes, int, float, complex, bool, type(None))


class Kept(NamedTuple):
    """Something that a world left otherwise than it found it: where it is made, and what it was before and after."""

    what: str
    file: str
    line: int
    users: bool
    before: str
    after: str


Snapshot = Mapping[tuple[str, str], str]


def loaded_modules() -> frozenset[str]:
    """The names of the modules that are there now: a `Snapshot` of later leaves them out."""
    return frozenset(sys.modules)


def snapshot(without: frozenset[str]) -> Snapshot:
    """What the other modules hold, by the module's name and the path in it."""
    held = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in without or not isinstance(module, ModuleType) or file is None or owner(file) in ("python", "own"):
            continue
        for path, value in _names(module):
            text = _content(value, _DEPTH)
            if text:
                held[name, path] = text
    return held


def differences(before: Snapshot, after: Snapshot) -> list[Kept]:
    """What is otherwise, the user's own first."""
    found = []
    for name, path in sorted(before.keys() | after.keys()):
        was, now = before.get((name, path), ""), after.get((name, path), "")
        file = getattr(sys.modules.get(name), "__file__", None)
        if was != now and file is not None:
            found.append(Kept(path, file, _line(file, path), owner(file) == "user", _short(was), _short(now)))
    return sorted(found, key=lambda each: not each.users)


def _names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(module).items()):
        if name.startswith("__"):
            continue
        if isinstance(value, type):
            if value.__module__ == module.__name__:
                for attribute, its in list(vars(value).items()):
                    if not attribute.startswith("__"):
                        yield f"{name}.{attribute}", its
                    if isinstance(its, FunctionType):
                        yield from _of_function(f"{name}.{attribute}", its)
        else:
            yield name, value
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                yield from _of_function(name, value)


def _of_function(name: str, function: FunctionType) -> Iterator[tuple[str, Any]]:
    for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        if not isinstance(default, _PLAIN):
            yield f"{name}, default argument", default
    for cell in function.__closure__ or ():
        try:
            yield f"{name}, closure", cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _content(value: Any, depth: int) -> str:
    """What can change, as a text that tells two states apart; "" for what cannot. Runs no code of the value's, as far as
    that can be: it may be a proxy that loads something when it is touched."""
    kind = type(value)
    if issubclass(kind, _PLAIN):
        return repr(value)
    if depth == 0 or issubclass(kind, ModuleType | type | FunctionType | MethodType):
        return ""
    if kind is _CACHE:
        return f"a cache with {value.cache_info().currsize} entries"
    if issubclass(kind, dict):
        items = list(islice(value.items(), _ITEMS_MAX))
        inner = ", ".join(f"{_content(key, depth - 1)}: {_content(each, depth - 1)}" for key, each in items)
        return f"{len(value)} entries: {{{inner}}}"
    if issubclass(kind, list | tuple | deque):
        inner = ", ".join(_content(each, depth - 1) for each in islice(value, _ITEMS_MAX))
        return f"{len(value)} entries: [{inner}]"
    if issubclass(kind, set | frozenset):
        return f"{len(value)} entries: {{{', '.join(sorted(_content(each, depth - 1) for each in value))}}}"
    if kind is count:
        return repr(value)
    if issubclass(kind, random.Random):
        return f"a generator in state {hash(value.getstate())}"
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return ""
    return f"{kind.__name__} with {_content(own, depth - 1)}" if own else ""


def _short(text: str) -> str:
    number, colon, _ = text.partition(": ")
    if colon and number.endswith(" entries"):
        return number
    return (text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…") or "nothing"


def _line(file: str, path: str) -> int:
    """The line that makes what lies at a path in a module; 1 where none is found."""
    try:
        body = ast.parse(Path(file).read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return 1
    line = 1
    for name in path.partition(",")[0].split("."):
        for node in body:
            if name in _bound(node):
                line = node.lineno
                body = getattr(node, "body", [])
                break
    return line


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {each.id for each in targets if isinstance(each, ast.Name)}
