"""A conflict by arithmetic, in place of a world: fast enough for a whole search in a test."""

from __future__ import annotations

import argparse
from hashlib import blake2b
from typing import Any

from relaysim.relay import RetrySettings
from relaysim.scenarios.commands.tune import add_arguments
from relaysim.sim.kernel import Draws
from relaysim.sim.world import COUNTS, WorldSettings

#: One conflict in each world; the backend's latency is the same at every request, and frees slowly at times, so that few
#: worlds tell settings apart.
CONFLICT = """
schema = 1
name = "conflict"
title = "One conflict"
root_seed = 11
replications = 100
lane = "direct"
profile = "claimed"

[profile_overrides]
request_seconds = 0.25
cancel_seconds = { kind = "lognormal", median = 0.8, sigma = 1.5 }
slow_probability = 0.0

[relay]
factory = "relaysim.relay:cancel_and_retry"

[workload]
messages = [{ at_seconds = 0.0 }]
"""


def observe_conflict(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """One message that meets an active run: how it ends follows from the relay's settings and the profile."""
    relay, profile = RetrySettings(**settings.relay.settings), settings.profile
    draws = Draws(root_seed, seed)
    stuck = draws.uniform("run", "stuck") < profile.stuck_probability
    free_at = 10_000.0 if stuck else profile.cancel_seconds.sample(draws.uniform("run", "free"))
    latency = profile.request_seconds.sample(0.5)
    arrival = profile.request_arrival_fraction * latency
    spent, requests, recovered = 0.0, 0, False
    for retry, attempt in enumerate(range(relay.attempts), 1):
        if retry == 1 or relay.cancels == "each_conflict":
            spent, requests = spent + latency, requests + 1
        if retry <= len(relay.planned_waits):
            spent += relay.planned_waits[retry - 1] * _jitter(relay.jitter, draws, retry)
        if attempt == relay.attempts - 1:
            break
        requests += 1
        # The clock of the freed thread starts when the first cancel is processed.
        recovered = spent - arrival + arrival >= free_at
        spent += latency
        if recovered:
            break
    counts = dict.fromkeys(COUNTS, 0) | {
        "messages": 1,
        "met_active_run": 1,
        "not_recovered": int(not recovered),
        "met_and_failed": int(not recovered),
        "failed": int(not recovered),
        "lost": int(not recovered),
        "transparency_breaches": int(not recovered),
        "clearing_requests": requests,
        "clearing_milliseconds": round(spent * 1000),
        "requests": requests + 3,
    }
    return {
        "seed": seed,
        "fingerprint": blake2b(f"{root_seed} {seed}".encode(), digest_size=16).hexdigest(),
        "counts": counts,
        "series": {"wait_seconds": [], "polite_wait_seconds": [], "reply_seconds": [spent] if recovered else []},
        "details": {},
        "virtual_seconds": spent,
        "events": 1,
    }


def observe_no_conflict(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As above, but no message met an active run."""
    observation = observe_conflict(settings, root_seed, seed, lane)
    observation["counts"] |= {"met_active_run": 0}
    return observation


def observe_drain(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """A relay that replies only if it gathers bursts for half a second, and promises nothing."""
    gap = float(settings.relay.settings.get("burst_gap_seconds", 0.5))
    counts = dict.fromkeys(COUNTS, 0) | {"messages": 2, "requests": 9, "failed": 2 * (gap != 0.5)}
    return {
        "seed": seed,
        "fingerprint": "0" * 32,
        "counts": counts,
        "series": {"wait_seconds": [], "polite_wait_seconds": [], "reply_seconds": [3.0, 4.0] if gap == 0.5 else []},
        "details": {},
        "virtual_seconds": 4.0,
        "events": 1,
    }


def _jitter(kind: str, draws: Draws, retry: int) -> float:
    uniform = draws.uniform("relay", "jitter", retry)
    return {"none": 1.0, "full": uniform, "equal": (1 + uniform) / 2}[kind]


def arguments(*typed: str) -> argparse.Namespace:
    """The command's options as its parser gives them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    add_arguments(parser)
    return parser.parse_args([*typed, "--jobs", "1", "--quiet"])
