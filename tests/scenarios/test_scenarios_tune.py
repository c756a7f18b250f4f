"""Goal: a search finds what is to be found, can be interrupted, and claims nothing but what other worlds show.

Method: conflicts by arithmetic in place of worlds (`tune_stand_ins`), whose best settings are known; a search cut off and
taken up again against one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tune_stand_ins import CONFLICT, arguments, observe_conflict, observe_drain, observe_no_conflict

from relaysim.relay import RetrySettings, load_policy
from relaysim.reports.results import canonical
from relaysim.reports.tune_words import recommendation
from relaysim.scenarios import timing
from relaysim.scenarios.cli import main
from relaysim.scenarios.commands.command_line import UsageError
from relaysim.scenarios.commands.tune import tune
from relaysim.scenarios.load import load
from relaysim.scenarios.tune.closed_form import Backend, dominates, expected
from relaysim.scenarios.tune.held_out import Judged, choose, front, recommended
from relaysim.scenarios.tune.objectives import IDS, gain
from relaysim.scenarios.tune.space import SPACES, effective, present, settings_of, starts
from relaysim.scenarios.tune.study import Found, Search, Trial, importances, search
from relaysim.sim.world import WorldSettings

pytestmark = pytest.mark.usefixtures("few_points")

IDENTITY = {"scenario": "abc", "code version": "1"}
START = {
    "attempts": 3,
    "first_wait_seconds": 2.0,
    "factor": 2.0,
    "max_wait_seconds": 20.0,
    "jitter": "none",
    "wait_after_last_failure": True,
    "cancels": "each_conflict",
}
NO_LAST = {"wait_after_last_failure": False}


def plan(trials: int = 24, **changed: Any) -> Search:
    given: dict[str, Any] = {
        "policy": "cancel_and_retry",
        "objectives": IDS,
        "starts": [START, {**START, "attempts": 4}],
        "trials": trials,
        "seed": 5,
        "identity": IDENTITY,
    }
    return Search(**given | changed)


def evaluate(point: Mapping[str, Any], number: int) -> Found:
    """Something to make small without any world; few attempts break a promise."""
    first, attempts = float(point["first_wait_seconds"]), int(point["attempts"])
    values = ((first - 1.0) ** 2, float(attempts), first + float(point["factor"]))
    return Found({"claimed": values, "typical": tuple(2 * each for each in values)}, {"lost": 1 if attempts < 2 else 0})


def told(trials: list[Trial]) -> list[tuple[int, dict[str, Any], tuple[float, ...], bool]]:
    return [(each.number, dict(each.point), each.found.values, each.start) for each in trials]


# The search


def test_a_search_that_was_cut_off_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = search(plan(), evaluate, tmp_path / "whole.db")
    assert [each.number for each in whole] == list(range(24))

    for cut in (1, 9, 20):  # among the starts, the random ones and those that TPE proposes

        def cut_off(point: Mapping[str, Any], number: int, cut: int = cut) -> Found:
            if number == cut:
                raise KeyboardInterrupt
            return evaluate(point, number)

        with pytest.raises(KeyboardInterrupt):
            search(plan(), cut_off, tmp_path / "cut.db")
    seen: list[int] = []
    again = search(plan(), evaluate, tmp_path / "cut.db", lambda trial: seen.append(trial.number))
    assert told(again) == told(whole)
    assert seen == [20, 21, 22, 23]
    assert told(search(plan(), evaluate)) == told(whole)  # in memory too


def test_more_trials_go_on_and_fewer_are_the_first_of_them(tmp_path: Path) -> None:
    ten = search(plan(10), evaluate, tmp_path / "study.db")
    more = search(plan(20), evaluate, tmp_path / "study.db")
    assert told(more)[:10] == told(ten)
    assert told(search(plan(10), evaluate, tmp_path / "study.db")) == told(ten)


def test_a_study_of_something_else_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    search(plan(3), evaluate, path)
    with pytest.raises(UsageError) as caught:
        search(plan(3, identity=IDENTITY | {"code version": "2"}), evaluate, path)
    said = f'--study {path}: holds a study of something else: code version was "1" and is "2"; name another file, '
    assert str(caught.value) == said + "or remove this one"


def test_a_file_that_is_no_study_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_text("not a database " * 100, encoding="utf-8")
    with pytest.raises(UsageError, match="is not a study; name another file, or remove this one"):
        search(plan(3), evaluate, path)
    with pytest.raises(UsageError, match=r"there is no folder .*absent; make it, or name another file"):
        search(plan(3), evaluate, tmp_path / "absent" / "study.db")


def test_every_point_lies_on_the_grid_and_makes_settings() -> None:
    for trial in search(plan(40), evaluate):
        assert all(each.holds(trial.point[each.name]) for each in SPACES["cancel_and_retry"])
        RetrySettings(**settings_of("cancel_and_retry", {}, trial.point))


def test_importance_points_at_what_an_objective_hangs_on() -> None:
    settings = plan(60)
    shares = importances(search(settings, evaluate), settings)
    assert max(shares["added_delay"], key=shares["added_delay"].__getitem__) == "attempts"
    assert max(shares["failures"], key=shares["failures"].__getitem__) == "first_wait_seconds"
    assert importances(search(plan(5), evaluate), plan(5)) == {}


# Where it begins


def test_the_present_settings_come_first_then_no_fix_at_all_and_the_closed_forms_advice() -> None:
    backend = Backend.of(load("incident").backend)
    points = starts("cancel_and_retry", {}, [backend])
    assert points[0] == START
    assert {"attempts": 1, "wait_after_last_failure": False}.items() <= points[1].items()
    assert len(points) == 9
    now = expected(RetrySettings(), backend)
    for point in points[5:]:
        settings = RetrySettings(**settings_of("cancel_and_retry", {}, point))
        assert dominates(expected(settings, backend).as_tuple(), now.as_tuple())


def test_settings_outside_the_space_are_compared_with_though_they_are_no_point_of_it() -> None:
    assert present("cancel_and_retry", {"waits": [1, 2, 3]}) is None
    assert present("cancel_and_retry", {"first_wait_seconds": 90.0}) is None
    assert present("drain", {}) is not None
    assert settings_of("cancel_and_retry", {"waits": [1, 2, 3], "poll_attempts": 9}, START) == {
        "poll_attempts": 9,
        **START,
    }


# Choosing and judging


def trial(number: int, *values: float, lost: int = 0) -> Trial:
    return Trial(number, {}, Found({"claimed": values}, {"lost": lost}), start=False)


def test_the_front_is_what_no_feasible_trial_beats() -> None:
    trials = [trial(0, 2, 2, 2), trial(1, 1, 3, 2), trial(2, 2, 2, 3), trial(3, 0, 0, 0, lost=1), trial(4, 2, 2, 2)]
    assert [each.number for each in front(trials)] == [0, 1]


def test_those_that_gain_everywhere_come_first_and_the_rest_lie_far_apart() -> None:
    now = Found({"claimed": (1.0, 1.0, 1.0)}, {})
    trials = [trial(0, 0.9, 0.9, 0.9), trial(1, 0.5, 0.8, 0.95), trial(2, 2.0, 0.1, 2.0), trial(3, 0.2, 3.0, 0.99)]
    assert [each.number for each in choose(trials, now, 8)] == [0, 1, 2, 3]
    assert [each.number for each in choose(trials, now, 2)] == [0, 2]  # 0 gains most where it gains least; 2 is far off
    assert gain([(0.9, 0.5)], [(1.0, 1.0)]) == pytest.approx(0.1)
    assert gain([(0.0, 1.0)], [(0.0, 2.0)]) == 0.0
    assert gain([(0.1, 1.0)], [(0.0, 2.0)]) == float("-inf")


def test_one_place_goes_to_what_arithmetic_expects_to_gain_most() -> None:
    now = Found({"claimed": (1.0, 1.0, 1.0)}, {})
    trials = [trial(0, 0.9, 0.9, 0.9), trial(1, 1.0, 0.95, 0.95), trial(2, 2.0, 0.1, 2.0), trial(3, 0, 0, 0, lost=1)]
    gains = {
        0: 0.1,
        1: 0.3,
        2: -0.5,
        3: 0.9,
    }  # of 3, which broke a promise, nothing counts; 1 had bad luck in its worlds
    assert [each.number for each in choose(trials, now, 2, lambda each: gains[each.number])] == [0, 1]
    assert [each.number for each in choose(trials, now, 4, lambda each: gains[each.number])] == [0, 1, 2]
    assert [each.number for each in choose(trials, now, 2, lambda each: -1.0)] == [0, 2]


def test_the_present_settings_are_not_judged_against_themselves() -> None:
    now = Found({"claimed": (1.0, 1.0, 1.0)}, {})
    trials = [trial(0, 1.0, 1.0, 1.0), trial(1, 0.9, 1.1, 1.0), trial(2, 2.0, 0.1, 2.0), trial(3, 2.0, 1.0, 1.0)]
    assert [each.number for each in choose(trials, now, 4)] == [0, 1, 2]
    left = choose(trials, now, 4, lambda each: 1.0 - each.number, leave_out=lambda each: each.number == 0)
    assert [each.number for each in left] == [1, 2]  # nor does 3 come in, which the present settings beat
    assert choose(trials[:1], now, 4, leave_out=lambda each: True) == []


def test_settings_that_do_the_same_are_the_same() -> None:
    def same(one: Mapping[str, Any], other: Mapping[str, Any], policy: str = "cancel_and_retry") -> bool:
        return effective(policy, one) == effective(policy, other)

    assert same({}, START)
    assert same({"waits": [2, 4, 8]}, START)
    assert same({"max_wait_seconds": 8.0}, {"max_wait_seconds": None})
    assert same({"attempts": 2, "wait_after_last_failure": False, "factor": 3}, {"attempts": 2, "waits": [2]} | NO_LAST)
    assert same({"attempts": 1, "jitter": "full"} | NO_LAST, {"attempts": 1} | NO_LAST)
    assert not same({}, NO_LAST)
    assert not same({}, {"jitter": "full"})
    assert not same({}, {"cancels": "first_conflict"})
    assert not same({}, {"poll_attempts": 9})
    assert same({"lease_seconds": 9.0}, {"lease_seconds": 9}, "drain")
    assert not same({"lease_seconds": 9.0}, {}, "drain")


def judged(claimed: str, typical: str, excess: Mapping[str, int] | None = None) -> Judged:
    """Verdicts by their first letters."""
    words = {"b": "better", "w": "worse", "o": "open", "s": "same", "u": "unknown"}
    found = {
        profile: {name: {"verdict": words[letter], "value": 1.0} for name, letter in zip(IDS, letters, strict=True)}
        for profile, letters in (("claimed", claimed), ("typical", typical))
    }
    return Judged(found, {"claimed": excess or {}, "typical": {}})


@pytest.mark.parametrize(
    ("candidate", "grades", "fragile"),
    [
        (judged("bbb", "bbb"), ("better", "better"), False),
        (judged("bos", "bbo"), ("partly", "partly"), False),
        (judged("bbb", "bbw"), ("better", "not"), True),
        (judged("bbb", "oos"), ("better", "not"), True),
        (judged("sss", "ooo"), ("not", "not"), False),
        (judged("bbu", "bbo"), ("not", "partly"), True),
        (judged("bbb", "bbb", {"lost": 1}), ("not", "better"), True),
    ],
)
def test_what_was_not_told_apart_is_at_most_partly_better(
    candidate: Judged, grades: tuple[str, str], fragile: bool
) -> None:
    assert tuple(candidate.grade(profile, IDS) for profile in ("claimed", "typical")) == grades
    assert candidate.fragile(IDS) is fragile


def test_the_first_that_is_better_in_everything_is_recommended_else_the_first_that_is_so_partly() -> None:
    fragile, some, all_better = judged("bbb", "bbw"), judged("bbo", "bbb"), judged("bbb", "bbb")
    assert recommended([fragile, some, all_better, all_better], IDS) == 2
    assert recommended([fragile, some], IDS) == 1
    assert recommended([fragile], IDS) is None
    assert recommended([judged("bbu", "bbb")], IDS) is None


# The command


def test_no_judged_candidate_has_the_present_settings(scenario: str, tmp_path: Path) -> None:
    results = run(scenario, tmp_path / "out", "--budget", "1")
    assert [each["point"] for each in results["trials"]] == [START]
    assert results["judged"] == []
    assert recommendation(results) == (
        "Keep the present settings: the search found no others to judge; give it more trials (--budget)."
    )
    assert "as now" not in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    written = tmp_path / "out" / "policy.toml"
    assert load_policy(written).settings == {}
    assert f"{load_policy.__module__.rpartition('.')[0]}.load_policy" in written.read_text(encoding="utf-8")


def test_an_interrupted_search_says_how_it_goes_on(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
        if settings.relay.settings:  # another candidate than the present settings
            raise KeyboardInterrupt
        return observe_conflict(settings, root_seed, seed, lane)

    study = tmp_path / "out" / "study.db"
    with pytest.raises(KeyboardInterrupt):
        tune(arguments(scenario, "--replications", "3", "--out", str(tmp_path / "out")), interrupted)
    said = f"relaysim: the same command goes on from the trials kept in {study}\n"
    assert capsys.readouterr().err == said
    assert study.exists()


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "conflict.toml"
    path.write_text(CONFLICT, encoding="utf-8")
    return str(path)


def run(scenario: str, out: Path, *more: str) -> dict[str, Any]:
    """The command, as small as it can be unless `more` says otherwise."""
    small = ("--budget", "11", "--replications", "50", "--held-out", "50", "--judged", "1", "--out", str(out))
    assert tune(arguments(scenario, *small, *more), observe_conflict) == 0
    results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return results


@pytest.fixture(scope="module")
def tuned(few_points: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "conflict.toml").write_text(CONFLICT, encoding="utf-8")
    sizes = ("--replications", "120", "--held-out", "2400")
    return folder, run(str(folder / "conflict.toml"), folder / "out", *sizes)


def test_it_finds_better_settings_and_writes_the_policy_that_does_what_it_says(
    tuned: tuple[Path, dict[str, Any]],
) -> None:
    folder, results = tuned
    best = results["judged"][results["recommended"]]
    for profile in ("claimed", "typical"):
        for objective in IDS:
            assert best["by_profile"][profile][objective]["verdict"] == "better"
            assert best["by_profile"][profile][objective]["difference_interval"][1] < 0
    assert results["held_out"]["root_seed"] != results["root_seed"]
    file = load_policy(folder / "out" / "policy.toml")
    assert (file.policy, dict(file.settings)) == ("cancel_and_retry", best["settings"])
    for profile in ("claimed", "typical"):
        backend = Backend.of(load(str(folder / "conflict.toml"), [f"profile={profile}"]).backend)
        then, now = expected(RetrySettings(**file.settings), backend), expected(RetrySettings(), backend)
        assert dominates(then.as_tuple(), now.as_tuple())
    page = (folder / "out" / "index.html").read_text(encoding="utf-8")
    assert "src=" not in page
    assert "<script" not in page
    assert "Take candidate 1: better in every objective under every profile." in page


def test_a_candidate_that_breaks_promises_more_often_is_put_aside(tuned: tuple[Path, dict[str, Any]]) -> None:
    no_fix = tuned[1]["trials"][1]
    assert no_fix["point"]["attempts"] == 1
    assert no_fix["values"][0] == 1.0
    assert no_fix["values"][2] == 1.0  # fewer requests than any other
    assert not no_fix["feasible"]
    assert not no_fix["front"]
    assert no_fix["excess"]["claimed transparency_breaches"] > 0


def test_a_second_run_takes_the_trials_up_and_writes_the_same(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "code_version", lambda: "1")  # somebody may be at work on the code
    small = ("--replications", "10", "--held-out", "10")
    first = run(scenario, tmp_path / "one", *small)
    study = (tmp_path / "one" / "study.db").read_bytes()
    figure = (tmp_path / "one" / "figures" / "front.svg").read_bytes()
    assert canonical(run(scenario, tmp_path / "one", *small)) == canonical(first)
    assert (tmp_path / "one" / "study.db").read_bytes() == study
    assert (tmp_path / "one" / "figures" / "front.svg").read_bytes() == figure


def test_what_is_tuned_for_less_is_judged_by_less(scenario: str, tmp_path: Path) -> None:
    results = run(scenario, tmp_path / "out", "--objectives", "api_calls,failures", "--profiles", "claimed")
    assert [each["id"] for each in results["objectives"]] == ["failures", "api_calls"]
    assert list(results["profiles"]) == ["claimed"]


def test_a_relay_that_never_replies_is_not_the_fastest(scenario: str, tmp_path: Path) -> None:
    typed = ("--policy", "drain", "--budget", "4", "--replications", "3", "--held-out", "3", "--profiles", "claimed")
    assert tune(arguments(scenario, *typed, "--out", str(tmp_path / "out")), observe_drain) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    first, *others = results["trials"]
    assert first["values"] == [0.0, 3.5, 4.5]
    assert any(trial["point"]["burst_gap_seconds"] != 0.5 for trial in others)
    for trial in others:
        if trial["point"]["burst_gap_seconds"] != 0.5:
            assert trial["excess"] == {"claimed nothing to measure": 1}
            assert not trial["feasible"]
    assert results["recommended"] is None
    assert load_policy(tmp_path / "out" / "policy.toml").policy == "drain"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["--objectives", "failures,cost"],
            "--objectives: there is no objective 'cost'; there are: failures, added_delay",
        ),
        (
            ["--policy", "check_then_act"],
            "--policy: 'check_then_act' has no settings that could be tuned; can be tuned",
        ),
        (["--profiles", "claimd"], "--profiles claimd: there is no profile 'claimd'; did you mean `claimed`?"),
        (["--set", "relay.settings.atempts=3"], "atempts"),
        (["--name", "a/b"], "--name a/b: 'a/b' cannot name a results folder"),
    ],
)
def test_what_is_typed_wrong_is_told(
    scenario: str, typed: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = [] if "--name" in typed else ["--out", str(tmp_path / "out")]
    assert main(["tune", scenario, *typed, *where]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_scenario_without_conflicts_says_so(scenario: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there was none of `met_active_run`, so failures is of nothing"):
        tune(arguments(scenario, "--out", str(tmp_path / "out")), observe_no_conflict)
