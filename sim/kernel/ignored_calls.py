"""What a program may ask of its own process and a simulated one does not have: the fence puts these in place of it.

Signals, dumps of faults, the collection of garbage and the hooks of the interpreter are those of the process that runs the
simulation, so what code of a host asks of them is not done.
"""

from __future__ import annotations

import faulthandler
import gc
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import partial
from types import ModuleType
from typing import Any, Final

_IGNORED: Final[Mapping[ModuleType, Mapping[str, Any]]] = {
    faulthandler: dict.fromkeys(
        ("enable", "disable", "register", "unregister", "dump_traceback_later", "cancel_dump_traceback_later")
    ),
    gc: dict.fromkeys(("enable", "disable", "freeze", "unfreeze", "set_threshold", "set_debug")),
    signal: {"siginterrupt": None, "pthread_sigmask": set(), "set_wakeup_fd": -1},
    sys: dict.fromkeys(("addaudithook", "set_asyncgen_hooks", "setswitchinterval")),
}
"""By module and name, what is returned instead. Not every system and version of Python has all of them."""

_set_recursion_limit: Final = {"real": sys.setrecursionlimit}
"""In a table, since names of modules are where substitutes are put."""


def ignored_calls() -> Iterator[tuple[Any, Callable[..., Any]]]:
    """Real functions, each with its substitute for code of a host."""
    for module, names in _IGNORED.items():
        for name, returned in names.items():
            if hasattr(module, name):
                yield getattr(module, name), partial(_do_nothing, returned)
    yield sys.setrecursionlimit, _raise_recursion_limit


def _do_nothing(returned: Any, *args: Any, **kwargs: Any) -> Any:
    return copy(returned)


def _raise_recursion_limit(limit: int) -> None:
    """A lower limit would also be that of the kernel, and of all other hosts, so it is not taken."""
    if limit < 1:
        raise ValueError("recursion limit must be greater or equal than 1")
    _set_recursion_limit["real"](max(limit, sys.getrecursionlimit()))
