"""Goal: whoever takes a safeguard of `drain` away is noticed, by the promises that are recorded, and by no mistake.

Method: the first world of every ablation, recorded in recorded.json, is run again, and the same world with the whole
policy; a judge that has gone deaf to one promise; and worlds that take no time, for the numbers and the command.

What differs from the record after a change of the policy, the worlds or the judge:
`python -m relaysim.scenarios.ablations --record > docs/ablations.md` writes both anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from scenario_stand_ins import observe_failing

from relaysim.relay.drain import drain, store_scripts
from relaysim.reports.results import canonical
from relaysim.scenarios import runner
from relaysim.scenarios.ablations import __all__ as factories
from relaysim.scenarios.ablations.ablation_list import ABLATIONS, BY_NAME, FOLDER, WHOLE, scenario_path
from relaysim.scenarios.ablations.ablations_page import page, recorded
from relaysim.scenarios.ablations.measure import Ablated, load_ablations, measure, surprises
from relaysim.scenarios.ablations.stores import NoSuchWordsError, without
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.policy_comparison import settings_named_by
from relaysim.scenarios.problems import ScenarioError
from relaysim.sim.world import COUNTS, Lane, Result, Session, WorldSettings, resolve, run_world
from relaysim.sim.world.judge.catalogue import PROMISES
from relaysim.sim.world.judge.findings import Findings

PAGE = Path(__file__).parents[2] / "docs" / "ablations.md"
NAMES = [ablation.name for ablation in ABLATIONS]
ROWS = {row["ablation"]: row for row in recorded()["ablations"]}


@lru_cache(maxsize=1)
def loaded() -> dict[str, Ablated]:
    return {each.ablation.name: each for each in load_ablations()}


def first_world(name: str, *, whole: bool = False, lane: Lane | None = None) -> Result:
    """The recorded world of an ablation, run again; or the same world with the whole policy."""
    ablated, first = loaded()[name], ROWS[name]["first"]
    scenario = ablated.baseline if whole else ablated.scenario
    return run_world(
        scenario.world_settings(),
        root_seed=first["root_seed"],
        seed=first["seed"],
        lane=lane or scenario.lane,
        keep_trace=True,
    )


@lru_cache(maxsize=1)
def first_worlds() -> dict[tuple[str, bool], Result]:
    """Those of all ablations, with and without the safeguard, under one session: installing it takes longer than one."""
    with Session():
        return {(name, whole): first_world(name, whole=whole) for name in NAMES for whole in (False, True)}


def sentences(result: Result, expected: Sequence[str] = ()) -> dict[str, str]:
    """Per promise that is broken in a world, the first sentence about it; of T1 only if it is expected."""
    counts, details = result.observation["counts"], result.observation["details"]
    names = {each: f"breach_{each}" for each in PROMISES} | ({"T1": "lost"} if "T1" in expected else {})
    return {each: details[name][0]["text"] for each, name in names.items() if counts[name]}


# Every ablation


def test_every_ablation_is_recorded() -> None:
    assert list(ROWS) == NAMES
    for name in NAMES:
        row, each = ROWS[name], loaded()[name]
        expected = (list(each.ablation.promises), each.removed, each.scenario.hash)
        assert (row["promises"], row["removed"], row["hash"]) == expected, name


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_recorded_promises_notice_it(name: str) -> None:
    found = sentences(first_worlds()[name, False], BY_NAME[name].promises)
    assert found == ROWS[name]["first"]["sentences"]
    assert set(BY_NAME[name].promises) <= set(found)


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_policy_breaks_nothing_in_the_same_world(name: str) -> None:
    assert sentences(first_worlds()[name, True], BY_NAME[name].promises) == {}


@pytest.mark.parametrize("name", NAMES)
def test_it_lacks_a_safeguard_and_makes_no_mistake_besides(name: str) -> None:
    records = first_worlds()[name, False].records
    assert records is not None
    logged = [fields[2] for _, _, kind, fields in records if kind == "log"]
    errors = {json.loads(line)["error"] for line in logged if '"drain_failed"' in line}
    # What Redis refuses for other reasons: a message that has ended, a step that another one has overtaken.
    assert errors <= {"ValueError", "RuntimeError"}
    assert [line for line in logged if "serve raised" in line or "handle raised" in line] == []


@pytest.mark.parametrize("name", ["no_fencing", "sdk_retries", "reply_by_newest_message"])
def test_both_lanes_show_the_same_world(name: str) -> None:
    assert first_world(name, lane="direct").fingerprint == first_world(name, lane="sdk").fingerprint


# Every promise


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_an_ablation_that_it_must_notice(promise: str) -> None:
    assert any(promise in ablation.promises for ablation in ABLATIONS)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_judge_that_is_deaf_to_a_promise_is_found_out(promise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breach = Findings.breach

    def deaf(self: Findings, about: str, text: str, **facts: Any) -> None:
        if about != promise:
            breach(self, about, text, **facts)

    monkeypatch.setattr(Findings, "breach", deaf)
    ablation = next(each for each in ABLATIONS if promise in each.promises)
    found = sentences(first_world(ablation.name))
    assert found != ROWS[ablation.name]["first"]["sentences"]
    assert not set(ablation.promises) <= set(found)


# The parts


def test_every_ablation_is_a_factory_that_takes_the_settings_of_drain() -> None:
    assert sorted(factories) == sorted(NAMES)
    for ablation in ABLATIONS:
        assert settings_named_by(resolve(ablation.factory)) == settings_named_by(drain)


def test_no_two_ablations_remove_the_same() -> None:
    removed = [each.removed for each in loaded().values()]
    assert len(set(removed)) == len(removed)
    assert all(sentence.endswith(".") for sentence in removed)


def test_every_scenario_of_the_folder_is_used_and_goes_by_its_file_name() -> None:
    names = {path.stem for path in FOLDER.glob("*.toml")}
    assert names == {ablation.scenario for ablation in ABLATIONS} | {"calm", "calm_responses"}
    for path in FOLDER.glob("*.toml"):
        scenario = load(str(path), check_relay=False)
        assert (scenario.name, scenario.relay.factory) == (path.stem, WHOLE)


def test_an_ablation_that_would_remove_nothing_is_no_ablation() -> None:
    with pytest.raises(NoSuchWordsError, match=r"-- release: 0 times, not once: 'no such words'"):
        without(store_scripts.RELEASE, "no such words")


# Numbers


def observe(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """No world is run: ablations are noticed from a seed on that depends on the root seed, as root seeds are even or odd."""
    counts = dict.fromkeys(COUNTS, 0) | {"messages": 2, "checked_S2": 2, "checked_S10": 1}
    details: dict[str, Any] = {}
    if settings.relay.factory != WHOLE and seed >= root_seed % 2 + 1:
        counts |= {"breach_S10": 3, "breach_S2": 1}
        details = {each: [{"text": f"{each} at {root_seed} / {seed}"}] for each in ("breach_S2", "breach_S10")}
    return {
        "seed": seed,
        "fingerprint": f"{root_seed}.{seed}",
        "counts": counts,
        "series": {},
        "details": details,
        "fault_hits": {"redis_faults": [1]},
        "virtual_seconds": 1.0,
        "events": 1,
    }


def observe_broken_whole(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    """As `observe`, and in one world the whole policy breaks L1; its fault never strikes."""
    found = observe(settings, root_seed, seed, lane)
    found["fault_hits"] = {"redis_faults": [0]}
    if settings.relay.factory == WHOLE and (root_seed, seed) == (20251105, 2):
        found["counts"]["breach_L1"] = 1
        found["details"] = {"breach_L1": [{"text": "late"}]}
    return found


def test_how_long_it_took_is_counted_per_root_seed() -> None:
    results, _ = measure(load_ablations(["release_without_empty_check"]), replications=4, roots=3, observe=observe)
    (row,) = results["ablations"]
    assert (row["took"], row["median"], row["replications"]) == ([2, 3, 2], 2, 4)
    assert row["first"] == {
        "root_seed": 20251104,
        "seed": 1,
        "sentences": {"S2": "breach_S2 at 20251104 / 1", "S10": "breach_S10 at 20251104 / 1"},
    }
    assert row["noticed"] == {"S2": 8, "S10": 24}
    (whole,) = results["whole"]
    assert (whole["worlds"], whole["messages"], whole["broken"]) == (12, 24, {})
    assert whole["checked"] == {"S2": 24, "S10": 12}
    assert results["promises"]["S10"] == ["release_without_empty_check"]
    assert results["promises"]["S1"] == []
    assert surprises(results) == []


def test_a_median_beyond_what_was_run_is_none() -> None:
    results, _ = measure(load_ablations(["release_without_empty_check"]), replications=2, roots=3, observe=observe)
    assert (results["ablations"][0]["took"], results["ablations"][0]["median"]) == ([2, None, 2], 2)
    results, _ = measure(load_ablations(["release_without_empty_check"]), replications=1, roots=3, observe=observe)
    (row,) = results["ablations"]
    assert (row["took"], row["median"], row["first"], row["noticed"]) == ([None] * 3, None, None, {})
    assert surprises(results) == ["release_without_empty_check in slow_redis went unnoticed by S10"]


def test_what_the_whole_policy_breaks_is_told_and_so_is_a_fault_that_never_strikes() -> None:
    found = load_ablations(["release_without_empty_check"])
    results, _ = measure(found, replications=3, roots=2, observe=observe_broken_whole)
    assert surprises(results) == [
        "the whole policy broke L1 in slow_redis, root seed 20251105, seed 2: late",
        "slow_redis has faults that never struck: redis_faults[0]",
    ]


def test_the_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_IN_PROCESS_MAX", 0)
    found = load_ablations(["hopeful_send"])
    alone, _ = measure(found, replications=2, roots=2, jobs=1)
    together, _ = measure(found, replications=2, roots=2, jobs=2)
    assert canonical(alone) == canonical(together)


def test_all_can_run_in_one_scenario_with_other_numbers() -> None:
    found = load_ablations(["no_dedup", "hopeful_send"], ["relay.settings.lease_seconds=5"], scenario_path("meanwhile"))
    assert [each.scenario.name for each in found] == ["meanwhile", "meanwhile"]
    assert [each.scenario.relay.factory for each in found] == [each.ablation.factory for each in found]
    assert found[0].baseline is found[1].baseline
    assert all(each.scenario.relay.settings == each.baseline.relay.settings == {"lease_seconds": 5} for each in found)


def test_an_unknown_name_is_told_with_a_suggestion() -> None:
    with pytest.raises(ScenarioError, match=r"there is no ablation 'no_fence'; did you mean `no_fencing`"):
        load_ablations(["no_fence"])


# The page and the command


def test_the_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(recorded()), "run `python -m relaysim.scenarios.ablations > docs/ablations.md`"


def test_the_record_has_every_promise_noticed_and_the_whole_policy_without_a_breach() -> None:
    assert surprises(recorded()) == []
    assert [promise for promise, names in recorded()["promises"].items() if not names] == []
    assert {whole["scenario"] for whole in recorded()["whole"]} == {ablation.scenario for ablation in ABLATIONS}


def test_the_command_writes_its_results_and_says_what_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", observe)
    arguments = ["ablate", "release_without_empty_check", "--replications", "3", "--root-seeds", "2", "--quiet"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "breach_S10 at 20251104 / 1" in said
    assert "The whole policy in the same 6 worlds, with 12 messages: no promise broken." in said
    assert main([*arguments, "--json", "--out", str(tmp_path / "json")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert printed["kind"] == "ablations"


def test_the_command_fails_where_something_goes_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", observe)
    assert main(["ablate", "no_jitter", "--replications", "3", "--quiet", "--out", str(tmp_path)]) == 1
    assert "! no_jitter in api_away went unnoticed by L5" in capsys.readouterr().out
    assert main(["ablate", "no_jiter", "--out", str(tmp_path)]) == 2
    assert "did you mean `no_jitter`" in capsys.readouterr().err


def test_a_relay_that_cannot_be_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "_observe", observe_failing)
    assert main(["ablate", "no_jitter", "--replications", "9", "--jobs", "1", "--quiet", "--out", str(tmp_path)]) == 2
    assert (
        "api_away with relay.factory=relaysim.scenarios.ablations:no_jitter, root_seed=20251104"
        in capsys.readouterr().err
    )
