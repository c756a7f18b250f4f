"""The places in a source file where the order of a set may come out: what is iterated over, listed, joined, popped.

Whether a set is met there shows at run time only, so each place keeps its expression, and `set_met` looks at what the names
in it stand for. What throws the order away again (`sorted`, `len`, `min`, another set) is no such place.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

_ORDERLESS: Final = frozenset(
    {"sorted", "set", "frozenset", "len", "sum", "any", "all", "min", "max", "bool", "Counter"}
)
"""Calls whose result does not tell in which order they saw what they were given."""

_ORDERED: Final = frozenset(
    {
        *("list", "tuple", "iter", "enumerate", "zip", "map", "filter", "str", "repr", "format", "print"),
        *("deque", "OrderedDict", "fromkeys", "join", "extend", "chain", "cycle", "islice", "next", "choice", "dumps"),
    }
)
"""Calls, by their last name, in whose result the order comes out."""

_MADE_BY: Final = frozenset({"union", "intersection", "difference", "symmetric_difference"})

UNKNOWN: Final = object()
"""A set for certain, though not which: it is made in the expression itself."""


@cache
def places(file: str) -> Mapping[int, list[ast.expr]]:
    """The expressions in whose place a set would show its order, by every line that they stand on."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    found: defaultdict[int, list[ast.expr]] = defaultdict(list)
    for expression in _ordered(tree, shielded=False):
        for line in range(expression.lineno, (expression.end_lineno or expression.lineno) + 1):
            found[line].append(expression)
    return found


def _ordered(node: ast.AST, *, shielded: bool) -> Iterator[ast.expr]:
    """Expressions below a node whose order comes out; of what is `shielded` directly, it is thrown away."""
    match node:
        case ast.For() | ast.AsyncFor() | ast.YieldFrom():
            yield node.value if isinstance(node, ast.YieldFrom) else node.iter
        case ast.GeneratorExp() | ast.ListComp() | ast.DictComp() if not shielded:
            yield from (each.iter for each in node.generators)
        case ast.Call():
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _ORDERED:
                yield from (each for each in node.args if not isinstance(each, ast.Starred))
            elif name == "pop" and isinstance(node.func, ast.Attribute) and not node.args:
                yield node.func.value
            for child in ast.iter_child_nodes(node):
                yield from _ordered(child, shielded=name in _ORDERLESS)
            return
        case ast.Starred():
            yield node.value
        case ast.FormattedValue():
            yield node.value
        case ast.Assign() if isinstance(node.targets[0], ast.Tuple | ast.List):
            yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _ordered(child, shielded=False)


def set_met(expression: ast.expr, frame: FrameType) -> Any:
    """The set that an expression stands for in a frame, without running any code of it; `UNKNOWN` for one that is made
    there, None for anything else."""
    match expression:
        case ast.Set() | ast.SetComp():
            return UNKNOWN
        case ast.Call():
            name = expression.func.attr if isinstance(expression.func, ast.Attribute) else ""
            made = isinstance(expression.func, ast.Name) and expression.func.id in ("set", "frozenset")
            return UNKNOWN if made or name in _MADE_BY else None
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
            sides = (set_met(expression.left, frame), set_met(expression.right, frame))
            return UNKNOWN if any(side is not None for side in sides) else None
    value = _value(expression, frame)
    return value if isinstance(value, set | frozenset) else None


def _value(expression: ast.expr, frame: FrameType) -> Any:
    match expression:
        case ast.Name():
            names = expression.id
            return frame.f_locals.get(names, frame.f_globals.get(names))
        case ast.Attribute():
            owner = _value(expression.value, frame)
            spaces = [getattr(owner, "__dict__", {}), *(vars(each) for each in type(owner).__mro__)]
            return next((space[expression.attr] for space in spaces if expression.attr in space), None)
        case ast.Subscript(slice=key):
            owner = _value(expression.value, frame)
            if type(owner) is dict or isinstance(owner, defaultdict):
                wanted = key.value if isinstance(key, ast.Constant) else _value(key, frame)
                if isinstance(wanted, str | int):
                    return owner.get(wanted)
    return None
