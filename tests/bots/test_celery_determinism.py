"""Goal: a world with Celery's workers is one seed's: in any process, under any hash seed, on every Python.

Method: worlds in which a worker of Celery dies in the middle of a task, and worlds in which tasks wait for each other.
`celery_fingerprints.json` holds what they gave when it was written, and with which versions; running this file as a program
writes it anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from relaysim.scenarios.load import load
from relaysim.sim.world import Session, run_world

pytestmark = [
    pytest.mark.usefixtures("one_session"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # workers close nothing at their worlds' ends
    pytest.mark.filterwarnings("ignore:You.re running the worker with superuser"),  # where tests run as root
]

FOLDER = Path(__file__).parent
FILE = FOLDER / "celery_fingerprints.json"
SEEDS = range(2)
FIRST = SEEDS[:1]
WORLDS = (
    ("crash_in_job.toml", "celery_early"),
    ("crash_in_job.toml", "celery_early_solo"),
    ("crash_in_job.toml", "celery_late"),
    ("rapid_jobs.toml", "celery_one_at_a_time"),
)


def versions() -> dict[str, str]:
    """Other versions may send other commands to Redis, which are other worlds."""
    return {name: version(name) for name in ("celery", "kombu", "redis")}


def fingerprints(worlds: Sequence[tuple[str, str]], seeds: Sequence[int]) -> dict[str, list[str]]:
    found = {}
    with Session():
        for scenario, bot in worlds:
            loaded = load(str(FOLDER / scenario), factory=f"celery_adapters:{bot}")
            settings = loaded.world_settings()
            found[bot] = [run_world(settings, root_seed=7, seed=seed).fingerprint for seed in seeds]
    return found


def recorded(worlds: Sequence[tuple[str, str]], seeds: Sequence[int]) -> dict[str, list[str]]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    assert found["versions"] == versions(), "recorded with others: run this file to record them anew"
    return {bot: [found["fingerprints"][bot][seed] for seed in seeds] for _, bot in worlds}


def test_every_world_is_recorded_and_differs_from_the_others() -> None:
    known = recorded(WORLDS, SEEDS)
    everything = [fingerprint for each in known.values() for fingerprint in each]
    assert len(set(everything)) == len(everything) == len(WORLDS) * len(SEEDS)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world[1])
def test_worlds_with_celery_give_the_recorded_fingerprints(
    world: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    assert fingerprints([world], FIRST) == recorded([world], FIRST)


ONE_THAT_DIES = WORLDS[:1]


@pytest.mark.parametrize(
    ("hash_seed", "worlds", "seeds"),
    [("1", ONE_THAT_DIES, FIRST), pytest.param("2", WORLDS, SEEDS, marks=pytest.mark.soak)],
    ids=["hash seed 1", "hash seed 2"],
)
def test_another_process_with_another_hash_seed_gives_them_too(
    hash_seed: str, worlds: Sequence[tuple[str, str]], seeds: Sequence[int]
) -> None:
    """This one's own hash seed is another in each run."""
    known = recorded(worlds, seeds)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, json.dumps(worlds), json.dumps(list(seeds))],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == known


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(fingerprints(*map(json.loads, sys.argv[1:]))))
    else:
        record = {"versions": versions(), "fingerprints": fingerprints(WORLDS, SEEDS)}
        FILE.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
