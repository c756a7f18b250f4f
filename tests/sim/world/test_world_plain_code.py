"""Goal: a world of plain code is one seed's, as one of coroutines is: in any process, under any hash seed, on every Python.

Method: `plain_code_bot.py` (threads, executors, queues, thread-local data, `asyncio.run`, clients of its own) in worlds
of two conversations. `plain_code_fingerprints.json` holds what they gave when it was written; running this file as a program
writes it anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from relaysim.scenarios.load import load
from relaysim.sim.world import Result, Session, run_world

pytestmark = pytest.mark.usefixtures("one_session")

FILE = Path(__file__).with_name("plain_code_fingerprints.json")
FOLDER = str(Path(__file__).parent)
SEEDS = range(4)


def worlds(seeds: Sequence[int]) -> list[Result]:
    """Each seed's world."""
    scenario = load("rapid_pair", factory="plain_code_bot:make")
    settings = scenario.world_settings()
    with Session():
        return [run_world(settings, root_seed=7, seed=seed) for seed in seeds]


def recorded() -> list[str]:
    found: list[str] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def test_worlds_of_plain_code_give_the_recorded_fingerprints() -> None:
    made = worlds(SEEDS)
    assert [each.fingerprint for each in made] == recorded()
    for each in made:
        counts = each.observation["counts"]
        assert counts["messages"] == 6
        assert counts["lost"] == 0
    assert len(set(recorded())) == len(SEEDS)


def test_another_process_with_another_hash_seed_gives_them_too() -> None:
    done = subprocess.run(
        [sys.executable, __file__, "--print"],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == recorded()


@pytest.mark.soak
def test_a_thousand_worlds_of_plain_code_twice() -> None:
    seeds = range(1_000)
    first = [each.fingerprint for each in worlds(seeds)]
    assert [each.fingerprint for each in worlds(seeds[::-1])] == first[::-1]


if __name__ == "__main__":
    sys.path.insert(0, FOLDER)
    text = json.dumps([each.fingerprint for each in worlds(SEEDS)], indent=2) + "\n"
    if "--print" in sys.argv:
        print(text)
    else:
        FILE.write_text(text, encoding="utf-8")
