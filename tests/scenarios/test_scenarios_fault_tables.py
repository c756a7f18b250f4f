"""Scenario files with faults of every kind: read, refused, passed on to other processes, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import SMALL, observe, write

from relaysim.scenarios.load import load, variant
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.scenarios.verdicts import verify_scenario
from relaysim.sim.world.settings import FAULT_LISTS, WorldTables

TABLES = """
[[faults]]
kind = "status"
status = 500

[[host_faults]]
kind = "crash"
at_seconds = { kind = "uniform", low = 1.0, high = 2.0 }
workers = [1]
seconds = 3.0

[[host_faults]]
kind = "pause"
on = "served:runs.create"
nth = [1]
seconds = 3.0

[[redis_faults]]
kind = "away"
at_seconds = 1.0
seconds = 2.0

[[webhook_faults]]
kind = "late"
seconds = 1.0

[[send_faults]]
kind = "refused"

[swarm]
off_probability = 0.25

[liveness]
faults_stop_seconds = 60.0
"""


def problems(path: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(path)
    return [str(problem) for problem in caught.value.problems]


def test_every_table_of_a_world_reaches_it(tmp_path: Path) -> None:
    scenario = load(write(tmp_path, SMALL + TABLES))
    settings = scenario.world_settings()
    for name in WorldTables.model_fields:
        assert getattr(settings, name) == getattr(scenario, name)
    assert [len(getattr(settings, name)) for name in FAULT_LISTS] == [1, 2, 1, 1, 1]
    assert settings.profile == scenario.backend
    assert Scenario.from_json(scenario.to_json()).world_settings() == settings


def test_a_fault_s_numbers_can_be_mapped(tmp_path: Path) -> None:
    scenario = load(write(tmp_path, SMALL + TABLES))
    other = variant(scenario, {"host_faults[0].probability": 0.25, "liveness.faults_stop_seconds": 90.0})
    assert other.host_faults[0].probability == 0.25
    assert other.liveness is not None
    assert other.liveness.faults_stop_seconds == 90.0
    assert other.hash != scenario.hash


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("workers = [1]", "workers = [3]", "host_faults[0] names worker 3, but there are 2"),
        (
            "faults_stop_seconds = 60.0",
            "faults_stop_seconds = 7200.0",
            "liveness.faults_stop_seconds is 7200, but the world is cut off at limit_seconds = 7200: "
            "nothing would be left to see",
        ),
        ('"pause"', '"paused"', 'host_faults[1].kind: must be crash or stop or pause or slow or skew, not "paused"; '
         "did you mean `pause`?"),
        ("off_probability", "off_probabilty", "swarm.off_probabilty: unknown key; did you mean `off_probability`?"),
        ("nth = [1]", "nth = [0]", "host_faults[1].nth: nth counts from 1 and names at least one event"),
        ('kind = "late"\nseconds = 1.0', 'kind = "late"', "webhook_faults[0]: kind 'late' needs `seconds`, how much longer "
         "the delivery takes"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert old in TABLES
    write(tmp_path, SMALL + TABLES.replace(old, new))
    assert problems("small.toml") == [f"small.toml: {line}"]


def observe_some_faults(settings: Any, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """Nothing goes wrong; the second fault of workers and the one of sends never strike."""
    hits = {"faults": [1], "host_faults": [seed % 2, 0], "redis_faults": [2], "webhook_faults": [1], "send_faults": [0]}
    return observe(settings, root_seed, 0, lane) | {"seed": seed, "fault_hits": hits}


def test_a_fault_of_any_list_that_never_struck_leaves_claims_open(tmp_path: Path) -> None:
    scenario = load(write(tmp_path, SMALL + TABLES))
    entry, _ = verify_scenario(scenario, replications=60, lane_check=0, observe=observe_some_faults)
    (claim,) = [claim for claim in entry["claims"] if claim["id"] == "transparent"]
    assert claim["verdict"] == "inconclusive"
    assert claim["why"] == "never met: host_faults[1], send_faults[0] hit nothing"
    assert entry["fault_hits"] == {
        "faults": [60],
        "host_faults": [30, 0],
        "redis_faults": [120],
        "webhook_faults": [60],
        "send_faults": [0],
    }


def test_hits_are_the_same_however_the_seeds_are_cut(tmp_path: Path) -> None:
    text = load(write(tmp_path, SMALL + TABLES)).to_json()
    found = []
    for size in (1, 7, 60):
        batch = Batch("main", text, 60, "direct")
        summaries, _ = run_batches([batch], chunk_size=size, observe=observe_some_faults)
        found.append(summaries["main"].fault_hits)
    assert found[0] == found[1] == found[2]


def test_without_faults_there_are_no_hits(tmp_path: Path) -> None:
    entry, _ = verify_scenario(load(write(tmp_path)), replications=3, lane_check=0, observe=observe)
    assert "fault_hits" not in entry
