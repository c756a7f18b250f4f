"""Where in the code under simulation something happened, so that a message can send its author there.

That is the innermost line that belongs neither to Python's libraries, nor to installed packages, nor to this one. Files are
named from the folder in which Python finds them, as `bots/my_bot.py:12`, so a place is the same on every machine.
"""

from __future__ import annotations

import gc
import linecache
import sys
import sysconfig
from asyncio import Task
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import lru_cache
from os import sep
from pathlib import Path
from types import FrameType
from typing import Any, Final

from relaysim.sim.kernel.running import RunningHost
from relaysim.sim.kernel.trace import current_context

_STEPS_MAX: Final = 6
_PACKAGE: Final = __name__.partition(".")[0]
_KERNEL: Final = __name__.rpartition(".")[0]
_DRIVER: Final = f"{_KERNEL}.kernel"
"""The module that runs worlds: whoever called it is outside of them."""

_DIFFERING_BY_LANE: Final = (_PACKAGE, "openai")
"""Whose code an answer of the API comes through: the official client's in lane sdk, this package's in lane direct."""

_BYPASSED_IN_LANE_DIRECT: Final = (*_DIFFERING_BY_LANE, "httpx2", "httpcore2", "anyio", "redis", "fakeredis")
"""What an error may come out of inside of a client in one lane alone."""

_UNDER_TEST: Final = f"{_PACKAGE}.relay"
"""The part of this package that runs in simulations and does not make them."""


def place_of_caller() -> str:
    """The line that is being executed; "" if none of the callers is code under simulation. Of an executor's job, such as
    `asyncio.to_thread(time.sleep, 1)`, there may be none: then the line that gave it to the executor."""
    return place_of_frame(sys._getframe(1)) or _job_given_at or ""


_job_given_at: str | None = None


@contextmanager
def executor_job(given_at: str) -> Iterator[None]:
    """The block runs a job of an executor, to which it was given in this line."""
    global _job_given_at
    outer, _job_given_at = _job_given_at, given_at
    try:
        yield
    finally:
        _job_given_at = outer


def place_of_frame(frame: FrameType | None) -> str:
    """The same of a frame."""
    left_this_package = False
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if is_under_simulation(module, frame.f_code.co_filename):
            return _shown(frame.f_code.co_filename, frame.f_lineno)
        if module == _DRIVER or (left_this_package and module.startswith(_KERNEL)):
            return ""  # the loop that runs the code: whoever called that is outside
        left_this_package = left_this_package or not _is_of(module, _PACKAGE)
        frame = frame.f_back
    return ""


def place_of_awaiting(host: RunningHost | None) -> str:
    """The line at which a task of this host waits for which the running one, a library's own, may work: the newest of the
    same delivery. "" if none waits in code under simulation."""
    mine = current_context.get()
    for task in reversed([] if host is None else host.loop.unfinished_tasks()):
        if context_of(task).get(current_context, "") == mine and (place := place_of_awaited(task.get_coro())):
            return place
    return ""


def context_of(task: Task[Any]) -> Context:
    """A task's context variables."""
    found = next((each for each in gc.get_referents(task) if type(each) is Context), None)
    return Context() if found is None else found


def place_of_awaited(awaited: Any) -> str:
    """The innermost line of code under simulation at which a coroutine waits; "" if there is none."""
    place = ""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None and is_under_simulation(
            str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename
        ):
            place = _shown(frame.f_code.co_filename, frame.f_lineno)
        awaited = getattr(awaited, "cr_await", None)
    return place


def place_of_error(error: BaseException) -> str:
    """The line at which an exception was raised or passed through; "" if no such line is code under simulation."""
    place, step = "", error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if is_under_simulation(str(step.tb_frame.f_globals.get("__name__", "")), code.co_filename):
            place = _shown(code.co_filename, step.tb_lineno)
        step = step.tb_next
    return place


def steps_of_error(error: BaseException | None) -> tuple[str, ...]:
    """The last steps on the way to where an exception was raised, the outermost first: those of code under simulation, and
    where a library that was called from there ended, unless it is the API's client: that differs from lane to lane, and the
    exception says what it met. Each is place, function and source line."""
    steps: list[str] = []
    step = None if error is None else error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        module = str(step.tb_frame.f_globals.get("__name__", ""))
        ends_elsewhere = step.tb_next is None and not any(_is_of(module, each) for each in _DIFFERING_BY_LANE)
        if is_under_simulation(module, code.co_filename) or ends_elsewhere:
            line = linecache.getline(code.co_filename, step.tb_lineno).strip()
            steps.append(
                f"{_shown(code.co_filename, step.tb_lineno)} in {code.co_name}" + (f": {line}" if line else "")
            )
        step = step.tb_next
    return tuple(steps[-_STEPS_MAX:])


def ends_differently_by_lane(error: BaseException) -> bool:
    """Whether an exception was raised inside of what answers of the API and of Redis come through."""
    step, module = error.__traceback__, ""
    while step is not None:
        module = str(step.tb_frame.f_globals.get("__name__", ""))
        step = step.tb_next
    return any(_is_of(module, each) for each in _BYPASSED_IN_LANE_DIRECT)


def is_of_library(file: str) -> bool:
    """Whether a file is Python's or an installed package's."""
    return file.startswith(("<", *_libraries()))


def _is_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def is_under_simulation(module: str, file: str) -> bool:
    """Whether a module with this name and file is code under simulation."""
    if _is_of(module, _PACKAGE):
        return _is_of(module, _UNDER_TEST)
    return not is_of_library(file)


@lru_cache(maxsize=1)
def _libraries() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(sorted(f"{folder}{sep}" for folder in folders | {folder.resolve() for folder in folders}))


def _shown(file: str, line: int) -> str:
    return f"{_name_of(file, tuple(sys.path))}:{line}"


@lru_cache(maxsize=256)
def _name_of(file: str, search_path: tuple[str, ...]) -> str:
    full = Path(file).absolute()
    homes = [home for each in search_path if full.is_relative_to(home := Path(each).absolute())]
    home = max(homes, key=lambda each: len(each.parts), default=full.parent)
    return full.relative_to(home).as_posix()
