"""What a process has of its own besides its modules: environment, import path, logging and other settings of Python's.

Each is an attribute of something that all workers share, so it is exchanged when another worker runs. A life begins with
what this process had when the world began.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class _Place(NamedTuple):
    """An attribute with a value per process; `copied`: it is a container that user code changes in place."""

    holder: Any
    name: str
    copied: bool


def _places() -> tuple[_Place, ...]:
    root, manager = logging.getLogger(), logging.Logger.manager
    listed = (
        _Place(os.environ, "_data", True),
        _Place(sys, "path", True),
        _Place(sys, "excepthook", False),
        _Place(tempfile, "tempdir", False),
        _Place(tempfile, "_name_sequence", False),
        _Place(warnings, "filters", True),
        _Place(warnings, "showwarning", False),
        _Place(manager, "loggerDict", True),
        _Place(manager, "loggerClass", False),
        _Place(manager, "logRecordFactory", False),
        _Place(manager, "_disable", False),
        _Place(logging, "_loggerClass", False),
        _Place(logging, "_logRecordFactory", False),
        _Place(root, "handlers", False),
        _Place(root, "filters", True),
        _Place(root, "level", False),
    )
    return tuple(place for place in listed if hasattr(place.holder, place.name))


_PLACES: Final = _places()
_ENVIRONMENT: Final = _PLACES.index(next(place for place in _PLACES if place.holder is os.environ))


class OwnState:
    """The values of one process: those that are in place when it is made."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self.take()

    def take(self) -> None:
        """Remember what is in place now."""
        self._values = [getattr(place.holder, place.name) for place in _PLACES]

    def put(self) -> None:
        """Put in place what is remembered."""
        for place, value in zip(_PLACES, self._values, strict=True):
            setattr(place.holder, place.name, value)

    def for_another(self) -> OwnState:
        """The same for another process, which may change it."""
        made = OwnState.__new__(OwnState)
        made._values = [_for_another(place, value) for place, value in zip(_PLACES, self._values, strict=True)]
        return made

    def undo_environment(self, other: OwnState) -> None:
        """Give programs and C code the environment of `other` again where this process has changed it."""
        here, there = self._values[_ENVIRONMENT], other._values[_ENVIRONMENT]
        if here == there:
            return
        for key in here.keys() - there.keys():
            os.unsetenv(key)
        for key, value in there.items():
            if here.get(key) != value:
                os.putenv(key, value)


def _for_another(place: _Place, value: Any) -> Any:
    if place.name == "_name_sequence":
        return None  # a process draws the names of its temporary files itself
    if not place.copied:
        return value
    made = copy.copy(value)
    if isinstance(made, dict):
        for key, each in made.items():
            if isinstance(each, logging.PlaceHolder):  # it collects the loggers that are made below it
                made[key] = collected = copy.copy(each)
                collected.loggerMap = dict(each.loggerMap)
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

    def put_back(self) -> None:
        """Set all as they were."""
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
