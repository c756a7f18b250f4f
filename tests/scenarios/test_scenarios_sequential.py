"""Goal: a sequential run stops where its rates are decided, at the same place however it is run, and says so.

Method: worlds that take no time and whose rates are known, run in one process and in two; the command's results and output.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import SMALL, observe, write

from relaysim.reports.drawing import svgs
from relaysim.reports.figures import draw_all
from relaysim.reports.results import build_results
from relaysim.reports.verify_page import verify_html
from relaysim.scenarios.cli import main
from relaysim.scenarios.commands.verify import verify
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Progress
from relaysim.scenarios.sequential import Sequential, looks
from relaysim.scenarios.verdicts import verify_scenario
from relaysim.sim.world import WorldSettings

# One message in each replication recovers at once, in 9 of 10 of them; with that, no trial shares a replication.
RATES = SMALL.replace("margin = 0.05", "margin = 0.03")


def observe_one(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As the stand-in for all worlds, with one message in each."""
    observation = observe(settings, root_seed, seed, lane)
    observation["counts"]["messages"] = observation["counts"]["met_active_run"] = 1
    observation["counts"]["recovered_at_2"] = int(seed % 10 != 9)
    return observation


def observe_one_unmet(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe_one`, and the scenario's one fault hits nothing until seed 4000."""
    return observe_one(settings, root_seed, seed, lane) | {"fault_hits": {"faults": [int(seed >= 4000)]}}


@pytest.fixture
def small(tmp_path: Path) -> Scenario:
    return load(write(tmp_path, RATES), check_relay=False)


def test_looks_are_at_fixed_numbers_of_replications() -> None:
    assert looks(4000) == [500, 750, 1000, 1250, 1500, 2000, 2500, 3000, 3750, 4000]
    assert looks(500) == [500]
    assert looks(60) == [60]
    assert looks(1000, own=300) == [300, 360, 432, 500, 750, 1000]
    assert looks(600, own=1000) == [500, 600]
    found = looks(10**7)
    assert all(number % 250 == 0 for number in found)
    assert all(1.19 < later / number < 1.51 for number, later in pairwise(found[:-1]))


def test_it_stops_once_every_rate_is_decided(small: Scenario) -> None:
    entry, cost = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=20_000))
    claims = {claim["id"]: claim for claim in entry["claims"]}
    stopped = claims["first-retry"]["stopped_at"]
    assert claims["first-retry"]["verdict"] == "verified"
    assert entry["replications"] == cost.replications == stopped
    planned = looks(20_000, own=100)
    assert entry["sequential"] == {
        "error": 0.01,
        "maximum": 20_000,
        "looks": planned[: planned.index(stopped) + 1],
    }
    # What has no rate is judged on what was run, and was not waited for.
    assert claims["transparent"]["verdict"] == "refuted"
    assert claims["transparent"]["replications"] == stopped
    assert "looks" not in claims["transparent"]


def test_the_same_verdict_at_the_same_number_in_two_processes(small: Scenario) -> None:
    alone, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=20_000), jobs=1)
    together, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=20_000), jobs=2)
    assert together == alone


def test_a_sequential_run_counts_what_a_fixed_run_of_that_length_counts(small: Scenario) -> None:
    sequential, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=20_000))
    fixed, _ = verify_scenario(small, observe=observe_one, replications=sequential["replications"])
    for name in ("counts", "outcomes", "invariants", "latency", "fingerprint", "virtual_seconds", "events"):
        assert sequential[name] == fixed[name], name
    assert [claim["count"] for claim in sequential["claims"]] == [claim["count"] for claim in fixed["claims"]]


def test_a_larger_error_stops_sooner(small: Scenario) -> None:
    sooner, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(error=0.2, maximum=20_000))
    later, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(error=0.001, maximum=20_000))
    assert sooner["replications"] < later["replications"]


def test_it_never_runs_more_than_the_maximum(small: Scenario) -> None:
    entry, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=600))
    (claim,) = [claim for claim in entry["claims"] if claim["id"] == "first-retry"]
    assert (entry["replications"], claim["verdict"], claim["stopped_at"]) == (600, "inconclusive", None)
    assert claim["needed"] > 600


def test_without_a_maximum_it_is_ten_times_the_scenarios_own_number(small: Scenario) -> None:
    entry, _ = verify_scenario(small, observe=observe_one, sequential=Sequential())
    assert entry["sequential"]["maximum"] == 1000
    assert entry["replications"] == 1000


def test_a_scenario_without_rates_runs_its_own_number(tmp_path: Path) -> None:
    text = SMALL.replace('kind = "between"', 'kind = "never"').replace("target = 0.9\nmargin = 0.05\n", "")
    entry, _ = verify_scenario(
        load(write(tmp_path, text), check_relay=False), observe=observe_one, sequential=Sequential()
    )
    assert (entry["replications"], entry["sequential"]["looks"]) == (100, [100])


def test_while_a_fault_has_hit_nothing_what_is_verified_does_not_stop_it(small: Scenario) -> None:
    met, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=9000))
    unmet, _ = verify_scenario(small, observe=observe_one_unmet, sequential=Sequential(maximum=9000))
    assert met["replications"] < 4000 < unmet["replications"] == 4500
    assert unmet["claims"][0]["stopped_at"] == met["claims"][0]["stopped_at"]
    assert unmet["claims"][0]["verdict"] == "verified"
    never, _ = verify_scenario(small, observe=observe_one_unmet, sequential=Sequential(maximum=3500))
    assert (never["replications"], never["claims"][0]["verdict"]) == (3500, "inconclusive")


def test_messages_that_share_a_replication_are_bet_on_together(small: Scenario) -> None:
    entry, _ = verify_scenario(small, observe=observe, sequential=Sequential(maximum=600))
    assert entry["claims"][0]["method"] == "betting"
    assert verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=600))[0]["claims"][0][
        "method"
    ] == ("exact")


def test_progress_ends_where_the_run_does(small: Scenario) -> None:
    seen: list[Progress] = []
    _, cost = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=20_000), progress=seen.append)
    done = [each.done for each in seen]
    assert done == sorted(done)
    assert (seen[-1].done, seen[-1].total) == (cost.replications, cost.replications)
    assert sum(each.done == each.total for each in seen) == 1


# The command


def arguments(*given: str) -> Any:
    from relaysim.scenarios.cli import command_parser

    return command_parser().parse_args(["verify", *given])


def test_the_command_says_when_each_claim_was_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relaysim.scenarios.load.check_relay_builds", lambda *_: None)
    given = arguments(
        write(tmp_path, RATES), "--sequential", "--max", "20000", "--error", "0.05", "--jobs", "1", "--full"
    )
    given.out, given.quiet = tmp_path / "out", True
    assert verify(given, observe_one) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    stopped = results["scenarios"][0]["claims"][0]["stopped_at"]
    output = capsys.readouterr().out
    assert f"first-retry in small: decided at {stopped:,} of at most 20,000 replications" in output
    assert "interval or band" in output
    assert "with at most 5.00 % wrong" in output
    assert (tmp_path / "out" / "figures" / "sequence-small.svg").is_file()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert f"decided at {stopped:,} of at most 20,000 replications" in page
    assert "valid at all looks at once" in page


def test_the_figure_is_the_same_twice(small: Scenario) -> None:
    entry, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=20_000))
    results = build_results("x", [entry])
    assert svgs(draw_all(results))["sequence-small"] == svgs(draw_all(results))["sequence-small"]
    assert "verified" in svgs(draw_all(results))["sequence-small"]
    assert verify_html(results, figures=svgs(draw_all(results))) == verify_html(
        results, figures=svgs(draw_all(results))
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--sequential", "--replications", "5"], "--replications: --sequential stops by itself"),
        (["--max", "5"], "--max: is for --sequential, which was not given"),
        (["--error", "0.5"], "--error: is for --sequential, which was not given"),
        (["--sequential", "--error", "1"], "must be a number above 0 and below 1, not '1'"),
        (["--sequential", "--max", "0"], "must be a whole number, 1 or more, not '0'"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "race", *given]) == 2
    assert said in capsys.readouterr().err


# The page about it

PAGE = (Path(__file__).parents[2] / "docs" / "sequential.md").read_text(encoding="utf-8")
COMMANDS = [line.split()[1:] for line in PAGE.splitlines() if line.startswith("    relaysim ")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_documented_commands_do_what_they_are(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if command[0] == "replay":
        assert main(command) == 0
        assert "fingerprint" in capsys.readouterr().out
        return
    given = arguments(*command[1:], "--jobs", "1", "--lane-check", "0", "--quiet", "--out", str(tmp_path))
    if given.sequential:
        given.maximum = 500
    else:
        given.replications = 50
    if command[1] == "incident":
        given.sets.append("map.replications=1")
    assert verify(given, observe_one) in (0, 1, 3)
    assert (tmp_path / "index.html").is_file()


def test_the_page_names_every_key_of_the_results(small: Scenario) -> None:
    entry, _ = verify_scenario(small, observe=observe_one, sequential=Sequential(maximum=600))
    claim = entry["claims"][0]
    named = [*entry["sequential"], "looks", "stopped_at", "method", *claim["looks"][0]]
    assert [name for name in named if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize(
    "option",
    [("--sequential", "--max", "1_000_000_001"), ("--replications", "9" * 99), ("--sequential", "--max", "9" * 99)],
)
def test_more_replications_than_anybody_can_run_are_one_clear_error(
    option: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(write(tmp_path)), *option, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"relaysim verify: {option[-2]}: must be 1,000,000,000 or fewer (")


def test_of_few_slow_worlds_one_occurrence_ends_the_run_and_none_does_not(tmp_path: Path) -> None:
    text = SMALL.replace('kind = "between"', 'kind = "never"').replace("target = 0.9\nmargin = 0.05\n", "")
    never = load(write(tmp_path, text), check_relay=False)
    heard: list[int] = []
    few = Sequential(maximum=20, every=8, heard=lambda summary: heard.append(summary.replications))

    def breaches_from(first: int) -> Any:
        def observe_few(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
            observation = observe_one(settings, root_seed, seed, lane)
            observation["series"]["wait_seconds"] = [2.0, 2.0]
            observation["counts"] |= dict.fromkeys(observation["counts"], 0) | {"messages": 1, "met_active_run": 1}
            for spec in never.specs().values():
                observation["counts"][spec.event] = int(seed >= first)
            return observation

        return observe_few

    stopped, _ = verify_scenario(never, observe=breaches_from(3), sequential=few)
    assert (stopped["sequential"]["looks"], heard) == ([8], [])
    assert "refuted" in {claim["verdict"] for claim in stopped["claims"]}
    later, _ = verify_scenario(never, observe=breaches_from(9), sequential=few)
    assert (later["sequential"]["looks"], heard) == ([8, 16], [8])
    clean, _ = verify_scenario(never, observe=breaches_from(99), sequential=few)
    assert (clean["sequential"]["looks"], heard) == ([8, 16, 20], [8, 8, 16])
    assert {claim["verdict"] for claim in clean["claims"]} == {"verified"}
