"""What stands for the main thread in each simulated process."""

from __future__ import annotations

import copy
import threading
from typing import Final

MAIN_IDENT: Final = 140_000_000_000_000
"""The number of each process's main thread, about as large as real ones are; further threads count on from it."""

MAIN_THREAD: Final[threading.Thread] = copy.copy(threading.main_thread())
"""What stands for `threading.main_thread()` in each process."""

MAIN_THREAD._ident = MAIN_IDENT  # type: ignore[attr-defined]
