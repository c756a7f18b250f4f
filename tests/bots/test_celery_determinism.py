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
WORLDS = (
    ("crash_in_job.toml", "celery_early"),
    ("crash_in_job.toml", "celery_early_solo"),
    ("crash_in_job.toml", "celery_late"),
    ("rapid_jobs.toml", "celery_one_at_a_time"),
)


def versions() -> dict[str, str]:
    """Other versions may send other commands to Redis, which are other worlds."""
    return {name: version(name) for name in ("celery", "kombu", "redis")}


def fingerprints() -> dict[str, list[str]]:
    found = {}
    with Session():
        for scenario, bot in WORLDS:
            loaded = load(str(FOLDER / scenario), factory=f"celery_adapters:{bot}")
            settings = loaded.world_settings()
            found[bot] = [run_world(settings, root_seed=7, seed=seed).fingerprint for seed in SEEDS]
    return found


def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    assert found["versions"] == versions(), "recorded with others: run this file to record them anew"
    worlds: dict[str, Any] = found["fingerprints"]
    return worlds


def test_worlds_with_celery_give_the_recorded_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    given = fingerprints()
    assert given == recorded()
    assert all(len(set(each)) == len(SEEDS) for each in given.values())


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_with_another_hash_seed_gives_them_too(hash_seed: str) -> None:
    known = recorded()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--print"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == known


if __name__ == "__main__":
    given = fingerprints()
    if "--print" in sys.argv:
        print(json.dumps(given))
    else:
        FILE.write_text(json.dumps({"versions": versions(), "fingerprints": given}, indent=2) + "\n", encoding="utf-8")
