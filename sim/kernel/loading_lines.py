"""Lines that start a server or a loop while their module is loaded, as `python bot.py` is meant to: a frequent mistake.

Whoever imports such a module, as a server's worker does too, never gets it. What goes wrong then may be anything, so the
line is known by what it calls.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
import re
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final

from relaysim.sim.kernel.source_places import is_under_simulation

_STARTING: Final = re.compile(
    r"\b(?:run|run_app|run_simple|run_forever|run_until_complete|run_polling|run_webhook|start_polling|start_webhook"
    r"|infinity_polling|polling|serve|serve_forever)\("
)


def starts_while_loading(where: BaseException | FrameType | None) -> str:
    """What its author can do about the line, of a module that is being loaded, which has led to an error or to a frame; ""
    if none has, or it starts nothing."""
    frames = _frames_back(where) if not isinstance(where, BaseException) else reversed([*_steps(where.__traceback__)])
    for frame, number in frames:
        code = frame.f_code
        if code.co_name == "<module>" and is_under_simulation(str(frame.f_globals.get("__name__")), code.co_filename):
            linecache.checkcache(code.co_filename)  # it may have been mended since
            line = linecache.getline(code.co_filename, number).strip()
            if not _STARTING.search(line):
                return ""
            return (
                f"`{line}` starts a server or a loop while its module is loaded: put that line under "
                '`if __name__ == "__main__":`, since the application is called here without it'
            )
    return ""


def _frames_back(frame: FrameType | None) -> Iterable[tuple[FrameType, int]]:
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back


def _steps(traceback: TracebackType | None) -> Iterable[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def discard_begun(error: BaseException | None) -> None:
    """Drop what a module has begun and never came to, since the loading of it has failed: coroutines that nobody awaits and
    loops that nobody runs. Else Python complains of each, at some later time, and names neither the module nor the cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in _steps(error.__traceback__):
            for held in list(frame.f_locals.values()):
                if inspect.iscoroutine(held) and inspect.getcoroutinestate(held) == inspect.CORO_CREATED:
                    held.close()
                elif isinstance(held, asyncio.BaseEventLoop) and not held.is_running() and not held.is_closed():
                    with suppress(Exception):
                        held.close()
                    vars(held)["_closed"] = True  # else one that was made by half would be closed again as it goes
        error = error.__cause__ or error.__context__
