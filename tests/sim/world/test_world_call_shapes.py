"""How functions can be called: what is read off the code of a plain one is what `inspect.signature` says of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from relaysim.sim.world.call_shapes import first_parameters, takes


def _decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class _Factory:
    def __init__(self, client: Any, redis: Any) -> None: ...

    def method(self, environ: Any, start_response: Any) -> None: ...

    def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def _declares_another(a: Any, b: Any) -> None: ...


_declares_another.__signature__ = inspect.signature(lambda: None)  # type: ignore[attr-defined]

FUNCTIONS: list[Any] = [
    lambda: None,
    lambda a: None,
    lambda a, b=1: None,
    lambda a, b, c: None,
    lambda a, /, b, *, c=1: None,
    lambda a, /, b, *, c: None,
    lambda *args: None,
    lambda a, b, *args: None,
    lambda *, environ, start_response: None,
    lambda **kwargs: None,
    lambda a, *args, **kwargs: None,
    _decorated(lambda scope, receive, send: None),
    _declares_another,
    functools.partial(lambda a, b, c: None, 1),
    _Factory,
    _Factory(None, None),
    _Factory(None, None).method,
    len,
    print,
    object(),
    "text",
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: type(each).__name__)
def test_a_function_is_known_as_its_signature_tells_it(function: Any) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        assert first_parameters(function, 2) == ()
        assert not any(takes(function, count) for count in range(4))
        return
    for count in range(4):
        assert first_parameters(function, count) == tuple(signature.parameters)[:count]
        try:
            signature.bind(*range(count))
        except TypeError:
            assert not takes(function, count)
        else:
            assert takes(function, count)
