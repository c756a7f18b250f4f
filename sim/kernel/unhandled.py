"""Exceptions that no code of a host received, as its loop's exception handler gets them.

asyncio tells of a task's exception when the task is dropped without anybody having asked for it. That is a matter of
references: another line of code in the way, another version of Python, and it comes later or never. So the loop notes each
task that fails where it fails, and what nobody has asked for by the time the task is dropped, or by the world's end,
counts as unhandled at the moment of the failure.
"""

from __future__ import annotations

import weakref
from asyncio import Future, Task
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Final, Literal, NamedTuple

from relaysim.sim.kernel.trace import Place, current_context

Source = Literal["task", "future", "callback", "generator", "handler", "finalizer", "loop", "thread"]


class Unhandled(NamedTuple):
    """An exception that nobody received.

    host      the host's name
    source    what it came out of
    message   as asyncio words it
    error     None: asyncio has only its message to tell
    context   the context variables of what failed
    place     where in the trace it belongs
    """

    host: str
    source: Source
    message: str
    error: BaseException | None
    context: Context
    place: Place

    @property
    def delivery(self) -> str:
        """What the failing code worked on, see `current_context`."""
        return self.context.get(current_context, "")


class FailedTask(NamedTuple):
    """A task that has ended with an exception: where in the world that was, while nobody has asked for it yet."""

    task: weakref.ref[Task[Any]]
    context: Context
    place: Place

    @property
    def unretrieved(self) -> Task[Any] | None:
        """The task, if it is still there and nobody has asked for its exception."""
        task = self.task()
        return task if task is not None and task._log_traceback else None


_SOURCES: Final[Mapping[str, Source]] = {"asyncgen": "generator", "handle": "callback", "context": "handler"}


def source_of(context: Mapping[str, Any]) -> Source:
    """What an exception handler's context is about."""
    future = context.get("future", context.get("task"))
    if isinstance(future, Task):
        return "task"
    if isinstance(future, Future):
        return "future"
    return next((source for key, source in _SOURCES.items() if key in context), "loop")
