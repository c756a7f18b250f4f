"""Worlds that take no time, and scenario files to write, for the tests of this folder."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

from relaysim.sim.world import COUNTS, WorldSettings

SMALL = """
schema = 1
name = "small"
title = "A small scenario"
root_seed = 7
replications = 100
lane = "direct"
profile = "claimed"

[relay]
factory = "relaysim.relay:cancel_and_retry"

[workload]
messages = [{ at_seconds = 0.0 }]

[[claims]]
id = "first-retry"
title = "most recover"
kind = "between"
event = "recovered_at_2"
among = "met_active_run"
target = 0.9
margin = 0.05
expect = "verified"
reason = "the stand-in says so"

[[claims]]
id = "wait"
title = "waits 2 s"
kind = "exact"
event = "wait_seconds"
value = 2.0
expect = "refuted"
reason = "one in ten waits longer"

[[claims]]
id = "transparent"
title = "nothing is lost"
kind = "never"
event = "transparency_breaches"
among = "messages"
expect = "refuted"
reason = "one in ten is lost"
"""


def write(folder: Path, text: str = SMALL, name: str = "small.toml") -> str:
    """Write a file and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def observe(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """Two messages that meet an active run; in every tenth replication the second is lost. No world is run."""
    lost = seed % 10 == 9
    counts = dict.fromkeys(COUNTS, 0) | {
        "messages": 2,
        "met_active_run": 2,
        "recovered_at_2": 1 if lost else 2,
        "not_recovered": int(lost),
        "lost": int(lost),
        "failed": int(lost),
        "succeeded": 2 - lost,
        "transparency_breaches": int(lost),
    }
    note = {"text": f"c1.m2 was lost in {seed}", "message": "c1.m2"}
    return {
        "seed": seed,
        "fingerprint": blake2b(f"{root_seed} {seed}".encode(), digest_size=16).hexdigest(),
        "counts": counts,
        "series": {
            "wait_seconds": [2.0, 6.0 if lost else 2.0],
            "polite_wait_seconds": [-1.0],
            "reply_seconds": [0.1 * (seed % 37 + 1), 3.3 * (seed % 11 + 1)],
        },
        "details": {"lost": [note], "transparency_breaches": [note]} if lost else {},
        "virtual_seconds": 10.0 + seed / 1024,
        "events": 5,
        "fault_hits": {},
    }


def observe_differing_lanes(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but the lanes part ways at seed 3."""
    observation = observe(settings, root_seed, seed, lane)
    if lane == "sdk" and seed >= 3:
        observation["fingerprint"] = "f" * 32
    return observation


def observe_failing(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, but seed 5 raises."""
    if seed == 5:
        raise RuntimeError("the relay fell over")
    return observe(settings, root_seed, seed, lane)


def observe_without_the_fault(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """Nothing goes wrong, and the scenario's one fault hits no request."""
    return observe(settings, root_seed, 0, lane) | {"seed": seed, "fault_hits": {"faults": [0]}}
