"""What code under test may change about the process that judges it, and what is put back when its worlds are done.

The interpreter knows of no simulated workers: whoever changes the working directory, lowers the limit of recursion or puts
another function into a module of the standard library changes them for the report, too.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import json.decoder
import json.encoder
import locale
import os
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from relaysim.sim.kernel.running import current_host, set_running_host

# Not those in which the fence or a test runner replaces names, and puts them back at times of their own.
_MODULES: Final[tuple[ModuleType, ...]] = (*(builtins, json, json.decoder, json.encoder),)


class ProcessState:
    """The process as it is when this is made; to be made, and put back, outside every fence."""

    def __init__(self) -> None:
        self._folder = Path.cwd()
        self._recursion = sys.getrecursionlimit()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._exit = sys.exit
        self._loop, self._host = _get_running_loop(), current_host()
        self._names = [(module, {**vars(module)}) for module in _MODULES]

    def restore_settings(self) -> None:
        """Let what traces code, and the limit of recursion, be as they were: each world begins with them."""
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)
        if sys.getprofile() is not self._profile:
            _set_profile(self._profile)

    def restore(self) -> None:
        """Let everything be as it was; what has come, as names of modules that were imported since, stays."""
        self.restore_settings()
        # An interrupt that comes while a turn is ended, or a second one, may leave the turn standing.
        _set_running_loop(self._loop)
        set_running_host(self._host)
        for module, names in self._names:
            present = vars(module)
            for name, value in names.items():
                if present.get(name) is not value:
                    present[name] = value
        sys.exit = self._exit
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)


def _set_profile(profile: Any) -> None:
    if profile is None or callable(profile):
        sys.setprofile(profile)
        return
    # A profiler in C, such as cProfile's up to Python 3.11, is no function and is put back by itself alone. Its calls that
    # were open when it was taken away are closed first, or it would take later returns for theirs.
    sys.setprofile(None)
    profile.disable()
    profile.enable()
