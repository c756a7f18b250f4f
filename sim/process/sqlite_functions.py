"""SQLite's own clock and random numbers, in a worker's databases: virtual time in UTC, and draws of the world.

SQLite reads both in C, where no fence is. Functions of the same names are put in their place on each connection: their
'now' is the worker's virtual time, and a missing time value is 'now', as https://sqlite.org/lang_datefunc.html has it.
The modifiers 'localtime' and 'utc' change nothing, since worlds are in UTC. All else is asked of SQLite itself.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final

_TIME_VALUE_AT: Final = {"date": 0, "time": 0, "datetime": 0, "julianday": 0, "unixepoch": 0, "strftime": 1}
"""Functions of dates, and which of their arguments is the time value."""

_CONSTANTS: Final = {"current_date": "date", "current_time": "time", "current_timestamp": "datetime"}
_ZONES: Final = frozenset({"localtime", "utc"})


@cache
def _sqlite() -> sqlite3.Connection:
    """SQLite with the functions that it came with."""
    return sqlite3.Connection(":memory:", check_same_thread=False)


@cache
def _known() -> frozenset[str]:
    """The functions of dates that this SQLite has."""
    return frozenset(name for (name,) in _sqlite().execute("SELECT name FROM pragma_function_list"))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _is(given: Any, *words: str) -> bool:
    return isinstance(given, str) and given.strip().lower() in words


def _date(name: str, *given: Any) -> Any:
    place = _TIME_VALUE_AT[name]
    values = [value for index, value in enumerate(given) if index <= place or not _is(value, *_ZONES)]
    if len(values) == place:
        values.append("now")
    if len(values) > place and _is(values[place], "now"):
        values[place] = _now()
    ((made,),) = _sqlite().execute(f"SELECT {name}({','.join('?' * len(values))})", values)
    return made


def _random() -> int:
    return int.from_bytes(os.urandom(8), "big", signed=True)


def _random_blob(size: Any) -> bytes:
    return os.urandom(max(1, int(size or 0)))


def replace_functions(connection: sqlite3.Connection) -> None:
    """Let what a connection reads of time and chance be the world's."""
    create: Callable[..., None] = partial(sqlite3.Connection.create_function, connection)
    for name in _TIME_VALUE_AT.keys() & _known():
        create(name, -1, partial(_date, name), deterministic=True)  # so that an index may use it, as it may SQLite's
    for constant, name in _CONSTANTS.items():
        create(constant, 0, partial(_date, name))
    create("random", 0, _random)
    create("randomblob", 1, _random_blob)
