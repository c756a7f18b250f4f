"""Worlds for tests: short, with a profile whose latencies are all constant unless told otherwise."""

from __future__ import annotations

from functools import cache
from typing import Any

from relaysim.sim.backends.profile import Profile, override, read_profile_table
from relaysim.sim.world import Lane, Result, WorldSettings, run_world

CONSTANT = {
    "queue_seconds": 0.5,
    "run_seconds": 2.0,
    "cancel_seconds": 0.5,
    "stuck_probability": 0.0,
    "request_seconds": 0.25,
    "redis_seconds": 0.0005,
    "redis_pause_probability": 0.0,
    "send_seconds": 0.25,
    "webhook_seconds": 0.125,
}


@cache
def profile(constant: bool = True) -> Profile:
    table = read_profile_table("claimed")
    if constant:
        changed = {
            name: {"kind": "constant", "value": value} if name.endswith("_seconds") else value
            for name, value in CONSTANT.items()
        }
        table = override(table, changed)
    return Profile.model_validate(table)


def settings(factory: str, *at_seconds: float, constant: bool = True, **tables: Any) -> WorldSettings:
    """A world in which one customer writes at these times (by default at 1 s), to two workers.

    Args:
        factory: the relay's.
        at_seconds: when the customer of conversation 1 writes.
        constant: whether all latencies are.
        tables: more tables; `relay` are the relay's settings, `workload` is added to what is there, `workers` a number.
    """
    workload = {
        "messages": [{"at_seconds": at} for at in at_seconds or (1.0,)],
        "try_again_seconds": None,
        **tables.pop("workload", {}),
    }
    document = {
        "profile": profile(constant),
        "relay": {"factory": factory, "settings": tables.pop("relay", {})},
        "workers": [{"count": tables.pop("workers", 2)}],
        "workload": workload,
        **tables,
    }
    return WorldSettings.model_validate(document)


def run(made: WorldSettings, *, seed: int = 0, lane: Lane = "direct") -> Result:
    """One world of it, with its trace."""
    return run_world(made, root_seed=7, seed=seed, lane=lane, keep_trace=True)


def told(result: Result, *kinds: str) -> list[tuple[Any, ...]]:
    """The records of these kinds as (time, entity, kind, *fields), times rounded to milliseconds; of the end of a handling
    without what its exception says, and where it was raised."""
    assert result.records is not None
    return [
        (round(time, 3), entity, kind, *(fields[:3] if kind == "handling.end" else fields))
        for time, entity, kind, fields in result.records
        if kind in kinds
    ]
