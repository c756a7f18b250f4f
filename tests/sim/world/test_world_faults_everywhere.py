"""Under every kind of fault, alone and all at once, a world is the same in both lanes and in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from world_bench import run, settings

from relaysim.sim.world import Session, WorldSettings
from relaysim.sim.world.settings import FAULT_LISTS

pytestmark = pytest.mark.usefixtures("one_session")

ROOT = Path(__file__).parents[3]

SOON = {"kind": "uniform", "low": 0.0, "high": 12.0}
BRIEFLY = {"kind": "uniform", "low": 0.1, "high": 6.0}

CASES: dict[str, dict[str, list[dict[str, Any]]]] = {
    "crash at a time": {"host_faults": [{"kind": "crash", "at_seconds": SOON, "times": 4, "seconds": 3.0}]},
    "crash on a request": {
        "host_faults": [{"kind": "crash", "on": "request:*", "probability": 0.1, "times": 4, "seconds": 3.0}]
    },
    "crash on a served request": {
        "host_faults": [{"kind": "crash", "on": "served:runs.create", "nth": [1, 2], "seconds": 3.0}]
    },
    "crash on a response": {
        "host_faults": [{"kind": "crash", "on": "response:*", "probability": 0.1, "times": 4, "seconds": 3.0}]
    },
    "crash on a Redis command": {
        "host_faults": [{"kind": "crash", "on": "redis:*", "probability": 0.05, "times": 4, "seconds": 3.0}]
    },
    "crash on a delivery": {
        "host_faults": [{"kind": "crash", "on": "handling.*", "probability": 0.3, "times": 3, "seconds": 3.0}]
    },
    "crash on a send": {"host_faults": [{"kind": "crash", "on": "send", "nth": [1, 3], "seconds": 3.0}]},
    "pause": {"host_faults": [{"kind": "pause", "at_seconds": SOON, "times": 8, "seconds": BRIEFLY}]},
    "pause on an event": {
        "host_faults": [{"kind": "pause", "on": "re*", "probability": 0.2, "times": 20, "seconds": BRIEFLY}]
    },
    "slow": {
        "host_faults": [
            {
                "kind": "slow",
                "at_seconds": 0.5,
                "workers": [1, 2, 3],
                "seconds": 15.0,
                "delay_seconds": {"kind": "uniform", "low": 0.0, "high": 0.7},
            }
        ]
    },
    "skew": {
        "host_faults": [{"kind": "skew", "at_seconds": SOON, "times": 3, "seconds": BRIEFLY, "behind_probability": 0.5}]
    },
    "Redis slow": {"redis_faults": [{"kind": "slow", "at_seconds": 1.0, "seconds": 9.0, "delay_seconds": BRIEFLY}]},
    "Redis away": {"redis_faults": [{"kind": "away", "at_seconds": SOON, "seconds": BRIEFLY}]},
    "Redis restart": {
        "redis_faults": [{"kind": "restart", "at_seconds": SOON, "seconds": BRIEFLY, "lost_seconds": 1.0}]
    },
    "Redis failover": {
        "redis_faults": [{"kind": "failover", "at_seconds": SOON, "seconds": BRIEFLY, "lost_seconds": 2.0}]
    },
    "Redis replies lost": {
        "redis_faults": [
            {"kind": "reply_lost", "probability": 0.1, "window_seconds": [0.0, 30.0]},
            {"kind": "command_lost", "probability": 0.1, "window_seconds": [0.0, 30.0]},
        ]
    },
    "webhooks": {
        "webhook_faults": [
            {"kind": "duplicate", "probability": 0.5},
            {"kind": "late", "probability": 0.5, "seconds": BRIEFLY},
            {"kind": "lost_ack", "probability": 0.3},
        ]
    },
    "sends": {
        "send_faults": [
            {"kind": kind, "probability": 0.25} for kind in ("refused", "unknown_delivered", "unknown_lost", "slow")
        ]
    },
    "API": {
        "faults": [
            {"kind": "status", "status": 500, "probability": 0.15},
            {"kind": "response_lost", "route": "runs.create", "probability": 0.1},
        ]
    },
}

RELAYS = {"world_relays:queue": {}, "relaysim.relay:cancel_and_retry": {"lock_retry_seconds": 1.5}}
LIVENESS = {"faults_stop_seconds": 60.0, "settle_seconds": 30.0}


def everything() -> dict[str, list[dict[str, Any]]]:
    return {name: [fault for tables in CASES.values() for fault in tables.get(name, ())] for name in FAULT_LISTS}


def world_of(factory: str, **tables: Any) -> WorldSettings:
    return settings(
        factory,
        constant=False,
        workers=3,
        relay=RELAYS.get(factory, {}),
        workload={
            "conversations": 3,
            "messages": [{"conversation": 1 + number % 3, "at_seconds": 1.5 * number} for number in range(5)],
            "redeliver_seconds": 5.0,
        },
        **{"limit_seconds": 900.0, **tables},
    )


@pytest.fixture(autouse=True, scope="module")
def _session() -> Iterator[None]:
    with Session():
        yield


@pytest.mark.parametrize("worlds", [1, pytest.param(8, marks=pytest.mark.soak)])
@pytest.mark.parametrize("factory", RELAYS)
@pytest.mark.parametrize("case", CASES)
def test_both_lanes_agree_under_each_kind_of_fault(case: str, factory: str, worlds: int) -> None:
    """In so many worlds, and on until one has met the fault."""
    made = world_of(factory, **CASES[case])
    hits = 0
    for seed in range(8):
        if seed >= worlds and hits:
            break
        sdk, direct = run(made, seed=seed, lane="sdk"), run(made, seed=seed, lane="direct")
        assert direct.fingerprint == sdk.fingerprint
        assert direct.observation == sdk.observation
        fired = [count for counts in direct.observation["fault_hits"].values() for count in counts]
        assert len(fired) == sum(len(faults) for faults in CASES[case].values())
        hits += sum(fired)
    assert hits


@pytest.mark.parametrize("factory", RELAYS)
@pytest.mark.parametrize("swarm", [None, {"off_probability": 0.3, "weight_decades": 1.0}])
def test_both_lanes_agree_under_all_of_them(factory: str, swarm: dict[str, float] | None) -> None:
    made = world_of(factory, **everything(), liveness=LIVENESS, swarm=swarm)
    for seed in range(4):
        sdk, direct = run(made, seed=seed, lane="sdk"), run(made, seed=seed, lane="direct")
        assert direct.fingerprint == sdk.fingerprint
        assert direct.observation == sdk.observation


def observations() -> str:
    made = world_of("world_relays:queue", **everything(), liveness=LIVENESS, swarm={"weight_decades": 1.0})
    with Session():
        return json.dumps([run(made, seed=seed).observation for seed in range(3)], sort_keys=True)


@pytest.mark.parametrize("hash_seed", ["0", pytest.param("1", marks=pytest.mark.soak)])
def test_another_process_with_another_hash_seed_gives_the_same_worlds(hash_seed: str) -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests/sim/world');"
        "from test_world_faults_everywhere import observations; print(observations())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == observations()


def test_a_world_with_faults_leaves_nothing_behind_for_the_next() -> None:
    plain = world_of("relaysim.relay:cancel_and_retry")
    alone = run(plain, lane="sdk").fingerprint
    run(world_of("world_relays:queue", **everything(), liveness=LIVENESS), lane="sdk")
    assert run(plain, lane="sdk").fingerprint == alone
