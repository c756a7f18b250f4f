"""Goal: the front that worlds show and the front by arithmetic are the same front, and a page says how far they are.

Method: settings on the computed front and off it, each in real worlds of one conflict (as few as show a mistake of some
hundredths, in `make soak` hundreds); agreement of fronts whose distance is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tune_stand_ins import CONFLICT, arguments, observe_conflict

from relaysim.relay import RetrySettings
from relaysim.reports.paired import ratio
from relaysim.reports.statistics import rounded, upper_bound
from relaysim.reports.tune_words import agreement_words
from relaysim.scenarios.commands.tune import tune
from relaysim.scenarios.load import load, variant
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Batch, run_batches
from relaysim.scenarios.tune.agreement import agreement, computed
from relaysim.scenarios.tune.closed_form import Backend, dominates
from relaysim.scenarios.tune.objectives import IDS, Objective, objectives, secondary_measures
from relaysim.scenarios.tune.space import grid

WORLDS, WORLDS_IN_SOAK = 60, 500
#: Of 54 intervals one in a thousand may miss.
ALPHA = 0.001

#: From both ends of the front, from its middle, and some that others beat (present settings, useless last wait, cancelling
#: each time).
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "present": {},
    "no last wait": {"wait_after_last_failure": False},
    "cancel once": {"wait_after_last_failure": False, "cancels": "first_conflict"},
    "fast": {
        "attempts": 6,
        "first_wait_seconds": 0.5,
        "factor": 1.5,
        "wait_after_last_failure": False,
        "cancels": "first_conflict",
    },
    "thrifty": {
        "attempts": 3,
        "first_wait_seconds": 3.5,
        "factor": 3.0,
        "wait_after_last_failure": False,
        "cancels": "first_conflict",
    },
    "between": {
        "attempts": 4,
        "first_wait_seconds": 2.0,
        "factor": 1.5,
        "max_wait_seconds": 4.0,
        "wait_after_last_failure": False,
        "cancels": "first_conflict",
    },
    "cancel each time": {
        "attempts": 4,
        "first_wait_seconds": 2.0,
        "factor": 1.5,
        "max_wait_seconds": 4.0,
        "wait_after_last_failure": False,
    },
    "no fix": {"attempts": 1, "wait_after_last_failure": False},
    "jitter": {"attempts": 5, "first_wait_seconds": 2.0, "jitter": "equal", "cancels": "first_conflict"},
}


@cache
def one_conflict(profile: str) -> Scenario:
    """`race` with the whole of a profile's times: one message per world meets an active run."""
    overrides = {"webhook_seconds": 0.1, "run_seconds": 30.0, "slow_probability": 0.0}
    return variant(load("race"), {"profile": profile, "profile_overrides": overrides, "claims": []})


def compared() -> list[Objective]:
    _, *others = objectives("cancel_and_retry")
    return [secondary_measures("cancel_and_retry")[0], *others]


def measured(profile: str, worlds: int) -> dict[str, list[tuple[float, tuple[float, float]]]]:
    """Each setting's values in worlds with their intervals."""
    batches = [
        Batch(
            name,
            # Looking at the run less often makes a world shorter, and changes nothing about the conflict.
            variant(one_conflict(profile), {"relay.settings": {"poll_interval_seconds": 20.0, **settings}}).to_json(),
            worlds,
            "direct",
            claims=(),
            rows=True,
        )
        for name, settings in SETTINGS.items()
    ]
    summaries, _ = run_batches(batches)
    shown: dict[str, list[tuple[float, tuple[float, float]]]] = {}
    for name in SETTINGS:
        shown[name] = []
        for each in compared():
            found = ratio(each.totals(summaries[name]), alpha=ALPHA)
            assert found is not None
            # Where all worlds show the same, a jackknife knows no error.
            most = upper_bound(0, worlds, ALPHA)
            ends = found.interval or (found.value - most, found.value + most)
            shown[name].append((found.value * each.scale, (ends[0] * each.scale, ends[1] * each.scale)))
    return shown


@pytest.mark.parametrize("replications", [WORLDS, pytest.param(WORLDS_IN_SOAK, marks=pytest.mark.soak)])
@pytest.mark.parametrize("profile", ["claimed", "typical"])
def test_worlds_and_arithmetic_agree_point_by_point_and_on_the_front(profile: str, replications: int) -> None:
    """One test, since both need the same worlds."""
    seen = measured(profile, replications)
    backend = Backend.of(one_conflict(profile).backend)
    arithmetic = {
        name: computed(RetrySettings(**settings), {profile: backend}, IDS)[profile]
        for name, settings in SETTINGS.items()
    }
    for name, values in arithmetic.items():
        for objective, value, (mean, (low, high)) in zip(IDS, values, seen[name], strict=True):
            assert low <= value <= high, f"{name}, {objective}: {mean} ({low} to {high}), computed {value}"

    worlds = {name: tuple(value for value, _ in found) for name, found in seen.items()}
    half = {name: [(high - low) / 2 for _, (low, high) in found] for name, found in seen.items()}
    on_front = [
        name
        for name, values in arithmetic.items()
        if not any(dominates(tuple(other), tuple(values)) for other in arithmetic.values())
    ]
    assert 3 <= len(on_front) < len(SETTINGS)
    for one in SETTINGS:
        beaten_by = [other for other in SETTINGS if dominates(worlds[other], worlds[one])]
        if one in on_front:
            # Who beats it in worlds does so by no more than chance, in something.
            for other in beaten_by:
                lead = [mine - theirs for mine, theirs in zip(worlds[one], worlds[other], strict=True)]
                errors = [a + b for a, b in zip(half[one], half[other], strict=True)]
                assert any(by <= error for by, error in zip(lead, errors, strict=True)), f"{other} beats {one}"
        else:
            assert beaten_by or _nearly_beaten(one, worlds, half), f"nothing beats {one}"


def _nearly_beaten(one: str, worlds: Mapping[str, tuple[float, ...]], half: Mapping[str, list[float]]) -> bool:
    return any(
        all(
            theirs - a - b <= mine
            for mine, theirs, a, b in zip(worlds[one], worlds[other], half[one], half[other], strict=True)
        )
        for other in SETTINGS
        if other != one
    )


# The distance of fronts

CLAIMED = {"claimed": Backend.of(load("incident").backend)}


def test_the_computed_front_itself_lies_on_it_and_covers_it() -> None:
    block = agreement([], RetrySettings(), CLAIMED, IDS)
    best = [each["values"] for each in block["front"]]
    present = block["present"]
    assert all(values[0] <= present[0] for values in best)
    assert not any(dominates(one, other) for one in best for other in best)
    by_waits = {(each.attempts, tuple(map(rounded, each.planned_waits)), each.cancels): each for each in grid()}
    own = [
        (number, by_waits[each["settings"]["attempts"], tuple(each["settings"]["waits"]), each["settings"]["cancels"]])
        for number, each in enumerate(block["front"])
    ]
    again = agreement(own, RetrySettings(), CLAIMED, IDS)
    assert again["off_front"] == again["uncovered"] == 0.0
    assert [each["values"] for each in again["found"]] == best


def test_what_lies_off_the_front_is_told_by_how_far() -> None:
    block = agreement([(0, RetrySettings())], RetrySettings(), CLAIMED, IDS)
    now = block["present"]
    shares = [[1 - theirs / mine for mine, theirs in zip(now, each["values"], strict=True)] for each in block["front"]]
    assert block["off_front"] == pytest.approx(max(map(min, shares)))
    assert block["off_front"] > 0.03
    assert block["uncovered"] == pytest.approx(max(map(max, shares)))


def test_found_settings_that_fail_more_are_said_to_and_do_not_lie_behind() -> None:
    hasty = RetrySettings(attempts=2, first_wait_seconds=1.0, wait_after_last_failure=True)
    for ids in (IDS, ("added_delay", "api_calls")):
        block = agreement([(0, RetrySettings()), (1, hasty)], RetrySettings(), CLAIMED, ids)
        assert [each["fails_more"] for each in block["found"]] == [False, True]
        alone = agreement([(0, RetrySettings())], RetrySettings(), CLAIMED, ids)
        assert block["off_front"] == alone["off_front"]
        assert agreement([(1, hasty)], RetrySettings(), CLAIMED, ids)["off_front"] == 0.0


def test_fewer_objectives_have_a_front_of_their_own() -> None:
    block = agreement([(0, RetrySettings())], RetrySettings(), CLAIMED, ("failures", "api_calls"))
    assert block["compared"] == {"failures": "never_appended", "api_calls": "api_calls"}
    assert all(len(each["values"]) == 2 for each in block["front"])
    calls = [each["values"][1] for each in block["front"]]
    assert calls == sorted(calls, reverse=True)


# The command


def test_a_search_is_shown_against_arithmetic(tmp_path: Path) -> None:
    scenario = tmp_path / "conflict.toml"
    scenario.write_text(CONFLICT, encoding="utf-8")
    sizes = ("--budget", "12", "--replications", "60", "--held-out", "300", "--judged", "2")
    assert tune(arguments(str(scenario), *sizes, "--out", str(tmp_path / "out")), observe_conflict) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    block = results["closed_form"]
    assert [each["number"] for each in block["found"]] == [
        each["number"] for each in results["trials"] if each["front"]
    ]
    assert len(block["held_out"]) == 3 * (1 + len(results["judged"])) * 2
    assert sum(not each["inside"] for each in block["held_out"]) <= 1
    assert 0 <= block["off_front"] < block["uncovered"] < 1
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "Against arithmetic" in page
    for said in agreement_words(results):
        assert said.replace("'", "&#39;") in page
    assert "computed" in (tmp_path / "out" / "figures" / "closed_form.svg").read_text(encoding="utf-8")
