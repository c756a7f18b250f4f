"""What a process has of its own besides its modules: environment, import path, logging and other settings of Python's.

Each is an attribute of something that all workers share, so it is exchanged when another worker runs. A life begins with
what this process had when the world began.
"""

from __future__ import annotations

import asyncio.events
import concurrent.futures.thread
import copy
import itertools
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from relaysim.sim.threads import MAIN_IDENT, MAIN_THREAD


class _Places:
    """Attributes of one holder with a value per process. `copied` are containers that user code changes in place; `anew` are
    made for each process."""

    def __init__(
        self,
        holder: Any,
        copied: Sequence[str],
        others: Sequence[str] = (),
        anew: Mapping[str, Callable[[], Any]] | None = None,
    ) -> None:
        self.anew: Mapping[str, Callable[[], Any]] = anew or {}
        self.names = (*copied, *others, *self.anew)
        self.copied = frozenset(copied)
        self.attributes: dict[str, Any] = vars(holder)

    def take(self) -> list[Any]:
        """What they are now."""
        attributes = self.attributes
        return [attributes[name] for name in self.names]


_SHUTDOWN_LOCKS: Final = {"_shutdown_locks": set} if hasattr(threading, "_shutdown_locks") else {}
"""Those of threads that Python waits for at its end; later Pythons keep none."""

_PLACES: Final = (
    _Places(os.environ, ("_data",)),
    _Places(sys, ("path",), ("excepthook", "unraisablehook", "stdout", "stderr", "__stdout__", "__stderr__")),
    _Places(asyncio.events, (), ("_event_loop_policy",)),
    _Places(
        threading,
        (),
        ("_trace_hook", "_profile_hook"),
        {
            "_active": lambda: {MAIN_IDENT: MAIN_THREAD},
            "_limbo": dict,
            "_main_thread": lambda: MAIN_THREAD,
            "_counter": lambda: itertools.count(1).__next__,
            "excepthook": lambda: threading.__excepthook__,  # not that of whoever runs tests
            **_SHUTDOWN_LOCKS,
        },
    ),
    _Places(concurrent.futures.thread, ("_threads_queues",)),
    _Places(tempfile, (), ("tempdir",), {"_name_sequence": lambda: None}),  # drawn by the process itself
    _Places(warnings, ("filters",), ("showwarning",)),
    _Places(logging, (), ("_loggerClass", "_logRecordFactory")),
    _Places(logging.Logger.manager, ("loggerDict",), ("loggerClass", "logRecordFactory", "_disable")),
    _Places(logging.getLogger(), ("filters",), ("handlers", "level")),
)


class OwnState:
    """The values of one process: those that are in place when it is made."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self.take()

    def take(self) -> None:
        """Remember what is in place now."""
        self._values = [places.take() for places in _PLACES]

    def put(self) -> None:
        """Put in place what is remembered."""
        for places, values in zip(_PLACES, self._values, strict=True):
            places.attributes.update(zip(places.names, values, strict=True))

    def copy_for_another_process(self) -> OwnState:
        """The same for another process, which may change it."""
        made = OwnState.__new__(OwnState)
        made._values = [
            [_copied(places, name, value) for name, value in zip(places.names, values, strict=True)]
            for places, values in zip(_PLACES, self._values, strict=True)
        ]
        return made

    def undo_environment(self, other: OwnState) -> None:
        """Give programs and C code the environment of `other` again where this process has changed it."""
        here, there = self._values[0][0], other._values[0][0]
        if here == there:
            return
        for key in here.keys() - there.keys():
            os.unsetenv(key)
        for key, value in there.items():
            if here.get(key) != value:
                os.putenv(key, value)


def _copied(places: _Places, name: str, value: Any) -> Any:
    if name in places.anew:
        return places.anew[name]()
    if name not in places.copied:
        return value
    made = copy.copy(value)
    if name == "loggerDict":
        for key in [key for key, each in made.items() if type(each) is logging.PlaceHolder]:
            made[key] = collected = copy.copy(made[key])  # it collects the loggers that are made below it
            collected.loggerMap = dict(collected.loggerMap)
    return made


class FixedHandlers(list[logging.Handler]):
    """Handlers of the root logger that user code can neither add to nor take away, however it sets up logging."""

    def _ignore(self, *given: Any) -> None:
        """Leave all as it is."""

    append = extend = insert = remove = clear = _ignore
    __delitem__ = __setitem__ = _ignore


class LibraryLoggers:
    """The loggers of libraries, which all workers share: what user code sets on them is undone.

    A handler that each life adds to one of them would otherwise be there a thousand times after a thousand lives.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, ...]] = {}

    def note(self, loggers: Mapping[str, Any]) -> None:
        """Remember how those are set that are new."""
        for name in loggers.keys() - self._known.keys():
            logger = loggers[name]
            if isinstance(logger, logging.Logger):
                self._known[name] = (logger, *_setting(logger))

    def restore(self) -> None:
        """Set all as they were when they were noted."""
        changed = False
        for logger, handlers, filters, *others in self._known.values():
            if [handlers, filters, *others] != [*_setting(logger)]:
                logger.handlers, logger.filters = handlers[:], filters[:]
                logger.level, logger.propagate, logger.disabled, logger.parent = others
                changed = True
        if changed:
            logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]


def _setting(logger: logging.Logger) -> tuple[Any, ...]:
    return logger.handlers[:], logger.filters[:], logger.level, logger.propagate, logger.disabled, logger.parent
