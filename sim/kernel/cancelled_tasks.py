"""Tasks that the code of a host cancels itself, so that it can be told: nobody raises or logs anything where work ends so.

What a library cancels (a time limit, a group of tasks) is its way of telling its caller, who gets an exception.
"""

from __future__ import annotations

import sys
from asyncio import Task
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NamedTuple, TypeVar

from relaysim.sim.kernel.source_places import context_of, is_under_simulation, place_of_awaited, place_of_frame
from relaysim.sim.kernel.trace import current_context

T = TypeVar("T")


class CancelledTask(NamedTuple):
    """A task that has ended since code of its host cancelled it.

    delivery  what the task worked on, see `current_context`
    place     the line of that code at which it waited, or would have begun; "" if it is all a library's
    by        what the code worked on that cancelled it
    by_place  the line that did
    """

    delivery: str
    place: str
    by: str
    by_place: str


class CancellableTask(Task[T]):
    """A task that tells its loop when it has ended since code of the host cancelled it.

    Args:
        cancelled: is told.
        given, options: as of any task.
    """

    __slots__ = ("_told",)

    def __init__(self, cancelled: Callable[[CancelledTask], None], *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._told = cancelled

    def cancel(self, msg: Any = None) -> bool:
        """As of any task."""
        frame = _beyond_asyncio(sys._getframe(1))
        if frame is None or not is_under_simulation(str(frame.f_globals.get("__name__")), frame.f_code.co_filename):
            return super().cancel(msg)
        place = place_of_awaited(self.get_coro())
        ended = partial(self._note, context_of(self).get(current_context, ""), place, place_of_frame(frame))
        accepted = super().cancel(msg)
        if accepted:
            self.add_done_callback(partial(ended, current_context.get()))
        return accepted

    def _note(self, delivery: str, place: str, by_place: str, by: str, task: Task[Any]) -> None:
        if task.cancelled():
            self._told(CancelledTask(delivery, place, by, by_place))


def _beyond_asyncio(frame: FrameType | None) -> FrameType | None:
    """Who called `cancel`; of one that passes it on, as `asyncio.gather` does, whoever called that."""
    while (
        frame is not None
        and frame.f_code.co_name == "cancel"
        and str(frame.f_globals.get("__name__")).startswith("asyncio.")
    ):
        frame = frame.f_back
    return frame
