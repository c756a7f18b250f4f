"""Goal: what replications show does not depend on how many processes ran them, nor on how the seeds were cut.

Method: worlds that are functions of their seed and take no time, run in different ways; and hand-computed sums.
"""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import (
    SMALL,
    observe,
    observe_differing_lanes,
    observe_failing,
    observe_without_the_fault,
    write,
)

from relaysim.reports.claims import UnknownEventError
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.replication_summary import EXACT_MAX, Spread
from relaysim.scenarios.runner import Batch, Progress, ReplicationError, run_batches
from relaysim.scenarios.verdicts import verify_scenario


@pytest.fixture
def small(tmp_path: Path) -> Scenario:
    return load(write(tmp_path), check_relay=False)


def test_a_summary_is_the_same_however_the_seeds_were_cut(small: Scenario) -> None:
    batches = [Batch("main", small.to_json(), 100, "direct", fingerprints=7)]
    reference, _ = run_batches(batches, observe=observe, chunk_size=100)
    for size in (1, 3, 99):
        assert run_batches(batches, observe=observe, chunk_size=size)[0] == reference


def test_a_summary_is_the_same_in_two_processes(small: Scenario) -> None:
    batches = [
        Batch("main", small.to_json(), 100, "direct", fingerprints=7),
        Batch("second", small.to_json(), 30, "sdk", claims=("wait",)),
    ]
    alone, _ = run_batches(batches, jobs=1, observe=observe)
    together, cost = run_batches(batches, jobs=2, observe=observe)
    assert together == alone
    assert cost.replications == 130
    assert cost.processes
    assert cost.peak_bytes > 0


def test_a_summary_adds_up(small: Scenario) -> None:
    (summary,) = run_batches([Batch("main", small.to_json(), 100, "direct", fingerprints=2)], observe=observe)[
        0
    ].values()
    assert summary.replications == 100
    assert summary.counts["messages"] == 200
    first = summary.tallies["first-retry"]
    assert (first.count, first.n, first.replications) == (190, 200, 100)
    assert first.worlds == {(2, 2): 90, (1, 2): 10}
    assert [each["seed"] for each in summary.tallies["transparent"].examples] == [9, 19, 29, 39, 49]
    assert summary.tallies["wait"].high == 6.0
    assert summary.invariants["T1-no-message-lost"].count == 10
    assert summary.virtual_seconds == 1000 + sum(range(100)) / 1024
    assert sorted(summary.fingerprints) == [0, 1]
    assert "polite_wait_seconds" in summary.spreads
    assert summary.spreads["polite_wait_seconds"].n == 0
    assert len(summary.fingerprint) == 32


def test_the_fingerprint_of_a_summary_knows_every_seed(small: Scenario) -> None:
    def fingerprint(count: int) -> str:
        return run_batches([Batch("main", small.to_json(), count, "direct")], observe=observe)[0]["main"].fingerprint

    assert fingerprint(50) == fingerprint(50) != fingerprint(51)


def test_a_replication_that_raises_is_named(small: Scenario) -> None:
    for jobs in (1, 2):
        with pytest.raises(ReplicationError) as caught:
            run_batches([Batch("main", small.to_json(), 60, "direct")], jobs=jobs, observe=observe_failing)
        assert str(caught.value) == "small, seed 5: RuntimeError: the relay fell over"


def test_an_unknown_event_is_no_zero(small: Scenario) -> None:
    def forgetful(*arguments: Any) -> dict[str, Any]:
        observation = observe(*arguments)
        del observation["counts"]["recovered_at_2"]
        return observation

    with pytest.raises(ReplicationError) as caught:
        run_batches([Batch("main", small.to_json(), 3, "direct")], observe=forgetful)
    assert isinstance(caught.value.__cause__, UnknownEventError)


def test_progress_goes_up_to_the_end(small: Scenario) -> None:
    seen: list[Progress] = []
    run_batches([Batch("main", small.to_json(), 40, "direct")], observe=observe, chunk_size=10, progress=seen.append)
    assert [(each.done, each.total) for each in seen] == [(10, 40), (20, 40), (30, 40), (40, 40)]
    assert seen[-1].seconds_left == 0
    assert Progress(10, 40, 5.0).seconds_left == 15.0
    assert Progress(0, 40, 5.0).seconds_left is None


# Spreads


def test_a_spread_is_exact_while_it_is_small() -> None:
    spread = Spread()
    spread.add([float(value) for value in range(1, 101)])
    assert spread.to_dict() == {"n": 100, "mean": 50.5, "p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
    assert Spread().to_dict() == {"n": 0}


@pytest.mark.parametrize("n", [EXACT_MAX, EXACT_MAX + 1, EXACT_MAX * 2 - 1])
def test_a_spread_does_not_depend_on_how_it_was_merged(n: int) -> None:
    values = [abs(random.Random(index).gauss(5, 3)) for index in range(n)]
    whole = Spread()
    whole.add(values)
    for parts in (2, 7):
        merged = Spread()
        for part in reversed(range(parts)):
            other = Spread()
            other.add(values[part::parts])
            merged.merge(other)
        assert merged.to_dict() == whole.to_dict()
    exact = sorted(values)[n // 2 - (n % 2 == 0)]
    assert 0 <= exact - whole.quantile(0.5) <= 0.008 * exact
    assert bool(whole.buckets) == (n > EXACT_MAX)


def test_the_waits_of_the_incident_lie_on_the_edges_of_buckets() -> None:
    spread = Spread()
    spread.add([2.0] * EXACT_MAX + [6.0] * EXACT_MAX + [14.0] * EXACT_MAX)
    assert [spread.quantile(share) for share in (0.3, 0.5, 0.9)] == [2.0, 6.0, 14.0]


# Verification


def test_the_entry_of_a_scenario(small: Scenario, tmp_path: Path) -> None:
    entry, cost = verify_scenario(small, observe=observe, lane_check=20)
    path = small.origin.given
    assert {name: entry[name] for name in ("scenario", "root_seed", "lane", "mode", "replications", "profile")} == {
        "scenario": "small",
        "root_seed": 7,
        "lane": "direct",
        "mode": "realizable",
        "replications": 100,
        "profile": "claimed",
    }
    assert [(claim["id"], claim["verdict"], claim["as_expected"]) for claim in entry["claims"]] == [
        ("first-retry", "inconclusive", False),
        ("wait", "refuted", True),
        ("transparent", "refuted", True),
    ]
    assert entry["claims"][2]["examples"][0] == {
        "seed": 9,
        "fingerprint": observe(small.world_settings(), 7, 9, "direct")["fingerprint"],
        "detail": {"text": "c1.m2 was lost in 9", "message": "c1.m2"},
        "replay": f"relaysim replay {path} --seed 9 --claim transparent",
    }
    assert entry["invariants"]["T1-no-message-lost"]["breaches"] == 10
    assert entry["invariants"]["T3-replies-in-order"] == {"breaches": 0, "checked": 200, "examples": []}
    assert entry["invariants"]["S1-every-message-ends-once"] == {"breaches": 0, "checked": 0, "examples": []}
    assert entry["lane_check"] == {"seeds": 20, "equal": True}
    assert entry["latency"]["wait_seconds"]["max"] == 6.0
    assert "polite_wait_seconds" not in entry["latency"]
    assert cost.replications == 120


def test_an_entry_is_the_same_whatever_the_jobs(small: Scenario) -> None:
    assert verify_scenario(small, observe=observe, jobs=2)[0] == verify_scenario(small, observe=observe)[0]


def test_lanes_that_differ_are_found_at_their_first_seed(small: Scenario) -> None:
    entry, _ = verify_scenario(small, observe=observe_differing_lanes, lane_check=20)
    check = entry["lane_check"]
    assert (check["equal"], check["first_differing_seed"]) == (False, 3)
    assert check["fingerprints"]["sdk"] == "f" * 32
    assert "lane_check" not in verify_scenario(small, observe=observe_differing_lanes, lane="sdk", lane_check=20)[0]


def test_replays_say_what_was_set(tmp_path: Path) -> None:
    path = write(tmp_path)
    scenario = load(path, ["relay.settings.attempts=2", "title=a b"], check_relay=False)
    entry, _ = verify_scenario(scenario, replications=10, observe=observe)
    replay = entry["claims"][2]["examples"][0]["replay"]
    assert (
        replay
        == f"relaysim replay {path} --seed 9 --set relay.settings.attempts=2 --set 'title=a b' --claim transparent"
    )
    assert entry["settings"] == {"relay.settings.attempts": "2", "title": "a b"}


def test_a_fault_that_was_never_met_proves_nothing(tmp_path: Path) -> None:
    text = SMALL.replace('expect = "refuted"', 'expect = "verified"')
    scenario = load(write(tmp_path, text + '\n[[faults]]\nkind = "connect_error"\n'), check_relay=False)
    entry, _ = verify_scenario(scenario, replications=1_000, observe=observe_without_the_fault)
    # What went wrong without the fault did go wrong; what went well without it shows nothing.
    assert [claim["verdict"] for claim in entry["claims"]] == ["refuted", "inconclusive", "inconclusive"]
    assert entry["claims"][2]["why"] == "never met: faults[0] hit nothing"
    assert entry["claims"][2]["as_expected"] is False


MAP = """
[map]
x = { path = "profile_overrides.cancel_seconds.median", values = [0.5, 1.0, 2.0], name = "median", unit = "s" }
y = { path = "profile_overrides.stuck_probability", values = [0.0, 0.01], name = "stuck", unit = "%", scale = 100 }
replications = 30

[curve]
x = { path = "workload.messages[0].at_seconds", values = [1.0, 2.0], name = "load" }
claim = "transparent"
band = [0.05, 0.10]
replications = 20
"""


def _worse_when_slow(settings: Any, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    # Where cancels are slow every replication is one of those that lose a message.
    slow = settings.profile.cancel_seconds.sample(0.5) > 1.5
    return observe(settings, root_seed, seed * 10 + 9 if slow else 0, lane) | {"seed": seed}


@pytest.mark.parametrize("world", [_worse_when_slow])
def test_a_map_and_a_curve(tmp_path: Path, world: Callable[..., dict[str, Any]]) -> None:
    scenario = load(write(tmp_path, SMALL + MAP), check_relay=False)
    entry, cost = verify_scenario(scenario, replications=25, observe=world)
    block = entry["map"]
    assert block["x"] == {"name": "median", "unit": "s", "values": [0.5, 1.0, 2.0]}
    assert block["y"] == {"name": "stuck", "unit": "%", "values": [0.0, 1.0]}
    assert [[cell["observed"]["first-retry"] for cell in row] for row in block["cells"]] == [[1.0, 1.0, 0.5]] * 2
    assert [cell["verdicts"]["first-retry"] for cell in block["cells"][0]] == [
        "inconclusive",
        "inconclusive",
        "refuted",
    ]
    assert block["cells"][0][0]["n"] == 50
    curve = entry["curve"]
    assert curve["band"] == [0.05, 0.10]
    assert [(point["x"], point["count"], point["n"]) for point in curve["points"]] == [(1.0, 0, 40), (2.0, 0, 40)]
    assert all({"n_effective", "observed", "interval"} <= set(point) for point in curve["points"])
    # 25 of the main part, 6 cells with 25 instead of 30, 2 points of 20
    assert cost.replications == 25 + 6 * 25 + 2 * 20


def test_memory_does_not_grow_with_what_is_still_to_be_run(small: Scenario) -> None:
    batch = Batch("main", small.to_json(), 10**9, "direct")
    tracemalloc.start()
    try:
        with pytest.raises(ReplicationError):
            run_batches([batch], observe=observe_failing)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
