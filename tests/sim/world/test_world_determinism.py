"""One scenario and one seed give one world: in both lanes, in any process, under any hash seed, on every Python.

`fingerprints.json` holds what the shipped scenarios gave when it was written. A change of the simulator or the relay that
moves an event changes it; then `python tests/sim/world/test_world_determinism.py` writes it anew, and the difference
belongs into the change's description. Running this file on another Python proves that the fingerprints agree there.
"""

from __future__ import annotations

import _thread
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from relaysim.scenarios.load import load
from relaysim.scenarios.scenario_files import shipped
from relaysim.sim.kernel import Host, Kernel
from relaysim.sim.world import Lane, Session, run_world

pytestmark = pytest.mark.usefixtures("one_session")

FILE = Path(__file__).with_name("fingerprints.json")
ROOT = Path(__file__).parents[3]
SEEDS = {
    "peak_hour": 1,
    "peak_hour_before": 1,
    "peak_hour_one_key": 1,
    "peak_hour_drain": 1,
    "drain_failover": 2,
    "drain_failover_wait": 2,
}
SEEDS_OTHERWISE = 4
LONG = (
    "peak_hour",
    "peak_hour_before",
    "peak_hour_one_key",
    "peak_hour_drain",
    "rapid_pair",
    "drain_faults",
    "drain_failover",
    "drain_failover_wait",
    "drain_responses",
    "drain_responses_switches",
    "drain_responses_unlocked",
    "responses_peak_hour",
)
"""One world of each takes as long in lane `sdk` as all worlds of another."""
ALIKE = ("peak_hour", "peak_hour_before", "peak_hour_one_key")
"""And of these the client makes the same requests as of `peak_hour_drain` and of the short ones."""


def fingerprints(name: str, lane: Lane, count: int | None = None) -> list[str]:
    scenario = load(name)
    settings = scenario.world_settings()
    with Session():
        return [
            run_world(settings, root_seed=scenario.root_seed, seed=seed, lane=lane).fingerprint
            for seed in range(count or SEEDS.get(name, SEEDS_OTHERWISE))
        ]


def recorded() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def test_every_shipped_scenario_is_recorded() -> None:
    assert sorted(recorded()) == sorted(shipped())


@pytest.mark.parametrize("name", shipped())
def test_the_direct_lane_gives_the_recorded_fingerprints(name: str) -> None:
    assert fingerprints(name, "direct") == recorded()[name]


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, 1 if name in LONG else SEEDS_OTHERWISE) for name in shipped() if name not in ALIKE]
    + [pytest.param(name, SEEDS.get(name, SEEDS_OTHERWISE), marks=pytest.mark.soak) for name in LONG],
)
def test_the_sdk_lane_gives_the_recorded_fingerprints(name: str, count: int) -> None:
    assert fingerprints(name, "sdk", count) == recorded()[name][:count]


def test_different_seeds_are_different_worlds() -> None:
    everything = [fingerprint for name, found in recorded().items() for fingerprint in found if name != "peak_hour"]
    assert len(set(everything)) == len(everything)


# One that stays the same from run to run: this process's own is another each time, and the tests above pass in it.
@pytest.mark.parametrize("hash_seed", ["0", pytest.param("1", marks=pytest.mark.soak)])
def test_another_process_with_another_hash_seed_gives_them_too(hash_seed: str) -> None:
    program = (
        "import json, sys; sys.path.insert(0, 'tests/sim/world');"
        "from test_world_determinism import fingerprints;"
        "print(json.dumps({name: fingerprints(name, lane, 2) for name, lane in"
        " [('race', 'sdk'), ('persistent_failure', 'direct'), ('incident_typical', 'direct')]}))"
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
    assert json.loads(done.stdout) == {
        name: recorded()[name][:2] for name in ("race", "persistent_failure", "incident_typical")
    }


def test_a_world_leaves_nothing_behind_for_the_next() -> None:
    """Run between others, a world gives what it gives alone."""
    alone = fingerprints("race", "sdk", 1)
    with Session():
        fingerprints("stuck_run", "direct", 2)
        fingerprints("race", "direct", 3)
        assert fingerprints("race", "sdk", 1) == alone
        fingerprints("persistent_failure", "sdk", 1)
        assert fingerprints("race", "direct", 1) == alone


@pytest.mark.parametrize("hosts", [0, 1])
def test_an_interrupt_while_a_world_is_built_is_an_interrupt(hosts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    race = load("race")
    settings, expected = race.world_settings(), recorded()["race"][0]
    whole, made = Kernel.host, 0

    def interrupted(kernel: Kernel, name: str) -> Host:
        nonlocal made
        made += 1
        if made > hosts:
            _thread.interrupt_main()  # as Ctrl-C does; one that code under test raises itself is no interrupt
        return whole(kernel, name)

    with Session():
        with monkeypatch.context() as patched:
            patched.setattr(Kernel, "host", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run_world(settings, root_seed=race.root_seed, seed=0, lane="direct")
        result = run_world(settings, root_seed=race.root_seed, seed=0, lane="direct")
    assert result.fingerprint == expected


if __name__ == "__main__":
    FILE.write_text(
        json.dumps({name: fingerprints(name, "direct") for name in shipped()}, indent=2) + "\n", encoding="utf-8"
    )
