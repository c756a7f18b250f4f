"""How functions can be called, as `inspect.signature` tells it.

A plain function is asked by its code, which takes a fiftieth of the time: factories are looked at in every world.
"""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any


def _is_plain(function: Any) -> bool:
    """Whether it is a function that says nothing else of its signature, as those do that wrap another one."""
    return type(function) is FunctionType and not vars(function)


def first_parameters(function: Any, count: int) -> tuple[str, ...]:
    """The names of the first `count` parameters, or of all if there are fewer; none where that cannot be known."""
    if _is_plain(function) and function.__code__.co_argcount >= count:
        names: tuple[str, ...] = function.__code__.co_varnames[:count]
        return names
    if not callable(function):
        return ()
    try:
        return tuple(inspect.signature(function).parameters)[:count]
    except (TypeError, ValueError):
        return ()


def takes(function: Any, count: int) -> bool:
    """Whether it can be called with so many arguments, none of them by name; not where that cannot be known."""
    if _is_plain(function):
        code, defaults = function.__code__, function.__defaults__ or ()
        has_enough = count >= code.co_argcount - len(defaults)
        has_room = count <= code.co_argcount or bool(code.co_flags & inspect.CO_VARARGS)
        return has_enough and has_room and code.co_kwonlyargcount == len(function.__kwdefaults__ or ())
    try:
        inspect.signature(function).bind(*(None for _ in range(count)))
    except (TypeError, ValueError):
        return False
    return True
