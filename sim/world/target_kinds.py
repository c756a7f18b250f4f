"""The kinds of targets, and which of them drives what a scenario names.

A further kind (a program behind an address, say) is a class with the members of `Target` and its line in `KINDS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from relaysim.sim.world.applications import AsgiApplication, WsgiApplication, interface_of
from relaysim.sim.world.call_shapes import takes
from relaysim.sim.world.handlers import Handler
from relaysim.sim.world.target import Life, Target, TargetError

KINDS: Final[list[type[Target]]] = [Handler, AsgiApplication, WsgiApplication]
"""All kinds of targets; the first that drives what a factory returned takes it."""


def start_target(name: str, entry: Callable[..., Any], life: Life) -> Target:
    """Begin a life: call the factory, and pick the kind of target that drives what it returns.

    Args:
        name: the factory's, as the scenario has it.
        entry: called with the OpenAI client, the Redis client, the send coroutine, and the settings by name; with nothing if
            it takes nothing. A web application is not called, but driven itself.
        life: where, and with what.

    Raises:
        TargetError: no kind of target drives it; names what it is and what can be driven.
        Exception: what the factory raises.
    """
    made, what = entry, f"{name} is"
    if interface_of(entry) is None:
        made, what = _call(entry, life), f"{name} gave"
    for kind in KINDS:
        if kind.drives(made):
            try:
                return kind(made, life)
            except TargetError as error:
                raise TargetError(f"{what} {error}") from error
    raise TargetError(f"{what} {_described(made)}; return {', or '.join(kind.factory_returns for kind in KINDS)}")


def _call(factory: Callable[..., Any], life: Life) -> Any:
    """A factory that makes its clients itself needs none."""
    clients = (life.openai, life.redis, life.send)
    if not life.settings and not takes(factory, len(clients)) and takes(factory, 0):
        return factory()
    if life.own_clients is not None:
        clients = (*life.own_clients(), life.send)
    return factory(*clients, **life.settings)


def _described(made: Any) -> str:
    """What an error message calls that which no kind of target drives."""
    if inspect.iscoroutine(made):
        made.close()  # or Python warns that nobody awaited it
        return "a coroutine: write the factory itself as plain `def`"
    if isinstance(made, type):
        return f"the class {made.__name__} and no object of it"
    if isinstance(made, str):
        return f"a text, {made!r}"
    return f"{type(made).__name__}, which has no `handle`"
