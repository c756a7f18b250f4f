"""Where the time of a world goes: cProfile's own times, added up by package.

A C function counts for the code that calls it. The profiler charges every Python call about the same, so packages of
many small functions look dearer than they are: read shares, not times.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable

from relaysim.sim.world import Session

LAYERS = (
    ("kernel", ("/sim/kernel/", "/simpy/", "/time_machine/")),
    ("API service and network", ("/sim/backends/", "/sim/doors/", "/sim/world/schedule.py")),
    ("Redis", ("/sim/redis/", "/fakeredis/", "/site-packages/redis/", "/lupa/")),
    ("observation", (*tuple(f"/sim/world/{file}.py" for file in ("observe", "outcomes", "conflicts")), "/sim/trace/")),
    ("fingerprint", ("/sim/kernel/trace.py:fingerprint",)),
    ("world and customers", ("/sim/world/",)),
    ("relay under test", ("/relay/",)),
    ("OpenAI SDK, httpx2, pydantic", ("/openai/", "/httpx2/", "/httpcore2/", "/pydantic", "/anyio/", "/typing_ext")),
)
REST = "standard library and interpreter"


def _layer(function: tuple[str, int, str]) -> str:
    file, _, name = function
    place = f"{file.replace(chr(92), '/')}:{name}"
    # The longest match decides: `sim/doors` is not the SDK, nor is the fingerprint just any part of the kernel.
    best = max(((len(part), layer) for layer, parts in LAYERS for part in parts if part in place), default=(0, REST))
    return best[1]


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Each layer's share of the time that `work` takes in a session, greatest first; they add up to 1."""
    profile = cProfile.Profile()
    profile.enable()  # before the session, which lets each world begin with the profiler that it found
    try:
        with Session():
            profile.clear()
            work()
    finally:
        profile.disable()
    totals = dict.fromkeys([layer for layer, _ in LAYERS] + [REST], 0.0)
    statistics = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for function, (_, _, own_seconds, _, callers) in statistics.items():
        if function[0] == "~" and callers:
            for caller, (_, _, seconds, _) in callers.items():
                totals[_layer(caller)] += seconds
        else:
            totals[_layer(function)] += own_seconds
    whole = sum(totals.values())
    return {layer: seconds / whole for layer, seconds in sorted(totals.items(), key=lambda item: -item[1])}
