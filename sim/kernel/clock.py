"""Virtual time: its grain, its beginning, and the rounding of durations."""

from __future__ import annotations

import math

TICK = 2.0**-20
"""Virtual seconds between two instants (just under a microsecond)."""

EPOCH_SECONDS = 1_762_257_600
"""What `time.time()` reads at virtual 0 unless a kernel is given another start: 2025-11-04 12:00:00 UTC."""


def ticks(seconds: float) -> float:
    """`seconds` rounded up to a multiple of `TICK`.

    Raises:
        ValueError: for a negative, infinite or undefined duration.
    """
    if not 0 <= seconds < math.inf:
        raise ValueError(f"a delay must be a finite number of seconds, not negative: {seconds!r}")
    return math.ceil(seconds * 1048576.0) * TICK
