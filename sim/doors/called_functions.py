"""How a test's coroutine functions are called: with as many of the things made for them as they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def arguments_taken(function: Callable[..., Any], most: int) -> int:
    """How many arguments a coroutine function must be given.

    Raises:
        TypeError: it needs more than `most`, or some by name.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some callables of C have none to read
        return 1
    needed = [each for each in parameters if each.default is each.empty]
    places = [each for each in needed if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if len(places) > most or any(each.kind is each.KEYWORD_ONLY for each in needed):
        names = ", ".join(each.name for each in needed)
        given = (
            "one argument, its client, or with none"
            if most == 1
            else "its client and its Redis, as far as it takes them"
        )
        raise TypeError(
            f"run calls each coroutine function with {given}; {name_of(function)} needs {names}: give the others by a "
            "lambda or functools.partial"
        )
    return len(places)


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in a complaint."""
    return getattr(function, "__qualname__", None) or repr(function)
