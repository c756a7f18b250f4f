"""The exceptions that an exception came from, as texts: what it was raised from, what was being handled when it was raised,
and what a group holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from relaysim.sim.kernel.error_text import named
from relaysim.sim.kernel.source_places import ends_differently_by_lane, place_of_error, steps_of_error

_CHAIN_MAX: Final = 6
_WALKED_MAX: Final = 50
_TEXT_MAX: Final = 200
_LINE_NUMBER: Final = re.compile(r":\d+(?= in )")
"""Of a library's step: it differs between versions."""


def chain_of_error(error: BaseException | None, *, itself: str = "") -> tuple[str, ...]:
    """Where an exception came from, the nearest first: each how it belongs there, class and text, and the line of the
    relay's own code that it was raised at or passed through, or else where a library raised it.

    What the API's and Redis' clients handled inside is left out, since that differs from lane to lane.

    Args:
        error: the exception; None: there is none, and nothing to tell.
        itself: the word before it, if it is to be told first.
    """
    found: list[str] = []
    if error is not None and itself:
        where = _where(error)
        found.append(f"{itself} {_said(error)}" + (f" ({where})" if where else ""))
    for relation, each in _walk(error):
        if len(found) == _CHAIN_MAX:
            break
        if where := _where(each):
            found.append(f"{relation} {_said(each)} ({where})")
    return tuple(found)


def _said(error: BaseException) -> str:
    said = " ".join(named(error).split())
    return said if len(said) <= _TEXT_MAX else f"{said[: _TEXT_MAX - 1]}…"


def _walk(error: BaseException | None) -> Iterator[tuple[str, BaseException]]:
    """Every exception that this one came from, with its relation to the one that is nearer."""
    seen = {id(error)}
    waiting: list[tuple[str, BaseException]] = [] if error is None else _before(error)
    while waiting and len(seen) < _WALKED_MAX:
        relation, each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield relation, each
            waiting = [*_before(each), *waiting]


def _before(error: BaseException) -> list[tuple[str, BaseException]]:
    """Those that an exception names itself, as Python's own tracebacks show them."""
    found: list[tuple[str, BaseException]] = []
    if isinstance(error, BaseExceptionGroup):
        found += [("holds", each) for each in error.exceptions]
    if error.__cause__ is not None:
        found.append(("raised from", error.__cause__))
    elif error.__context__ is not None and not error.__suppress_context__:
        found.append(("raised while handling", error.__context__))
    return found


def _where(error: BaseException) -> str:
    """The step to show, with its function and source line; "" if the exception is left out."""
    place, steps = place_of_error(error), steps_of_error(error)
    own = next((step for step in reversed(steps) if place and step.startswith(f"{place} in ")), "")
    if own or place:
        return own or place
    if not steps or ends_differently_by_lane(error):
        return ""
    return f"{_LINE_NUMBER.sub('', steps[-1].partition(': ')[0])}, a library"
