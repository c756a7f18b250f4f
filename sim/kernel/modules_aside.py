"""Loaded modules that are not in `sys.modules` now, since others stand there under their names.

A process that simulates relays may hold two copies of a library, of which one at a time is in place. What looks through all
loaded modules must look at these too, or code in them keeps names of real clocks, and what they note is not found.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

_ASIDE: Final[list[dict[str, ModuleType]]] = []


def keep_aside(modules: dict[str, ModuleType]) -> None:
    """From now on this table, whatever is in it, counts as loaded."""
    _ASIDE.append(modules)


def all_modules() -> list[ModuleType]:
    """All that are loaded, in place or not."""
    return [module for table in (sys.modules, *_ASIDE) for module in table.values()]


def modules_named(name: str) -> list[ModuleType]:
    """All copies of a module."""
    return [table[name] for table in (sys.modules, *_ASIDE) if name in table]
