"""Goal: a tuning says of a candidate what other worlds showed, and no more than that.

Method: results with known differences and verdicts; a search judged in too few worlds; the words in title, recommendation
and notes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tune_stand_ins import CONFLICT, arguments, observe_conflict

from relaysim.relay import load_policy
from relaysim.reports.paired import Totals, ratio_difference
from relaysim.reports.tune_words import (
    agreement_words,
    difference_words,
    excess_words,
    grade_sentence,
    interval_words,
    lead,
    notes,
    recommendation,
    value_words,
)
from relaysim.scenarios.commands.tune import tune
from relaysim.scenarios.tune.held_out import DIFFERING_MIN, WORLDS_MIN, verdict
from relaysim.scenarios.tune.objectives import IDS
from relaysim.sim.counted import counted
from relaysim.sim.world import INVARIANTS

UNITS = dict(zip(IDS, ("share", "s", "requests"), strict=True))


def found(verdict: str, low: float, high: float) -> dict[str, Any]:
    return {"verdict": verdict, "difference": (low + high) / 2, "difference_interval": [low, high]}


BETTER = {"added_delay": found("better", -0.3, -0.1), "api_calls": found("better", -0.2, -0.1)}


def results(claimed: Mapping[str, Any], typical: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """Of one candidate, graded as its failures' verdicts say."""
    by_profile = {"claimed": {**BETTER, "failures": claimed}, "typical": {**BETTER, "failures": typical}}
    grade = {
        profile: "better" if each["failures"]["verdict"] == "better" else "partly"
        for profile, each in by_profile.items()
    }
    judged = {"by_profile": by_profile, "grade": grade, "excess": {}, "fragile": False}
    return {
        "policy": "cancel_and_retry",
        "scenario": "incident",
        "objectives": [{"id": name, "unit": unit} for name, unit in UNITS.items()],
        "held_out": {"replications": 4000, "replications_min": WORLDS_MIN},
        "recommended": 0,
        "trials": [],
        "judged": [judged | changed],
    }


def test_better_in_everything_is_said_of_nothing_less() -> None:
    below = found("better", -0.01, -0.002)
    shown = results(below, below)
    assert grade_sentence(shown, 0) == "better in every objective under every profile"
    assert recommendation(shown).startswith("Take candidate 1: better in every objective under every profile. Under ")


def test_what_was_not_told_apart_is_named_with_how_much_worse_it_could_be() -> None:
    shown = results(found("better", -0.01, -0.002), found("open", -0.006, 0.0034))
    assert grade_sentence(shown, 0) == (
        "better in added delay and API calls under every profile, not told apart everywhere in failures"
    )
    assert recommendation(shown) == (
        "Candidate 1 is better in added delay and API calls under every profile. Not told apart from the present "
        "settings: failures: worse by at most 0.34 points under typical. Take it if you can accept that; otherwise keep "
        "the present settings, or judge again in more worlds (--held-out). Under claimed: failures -0.60 points (-1.00 to "
        "-0.20), added delay -0.20 s (-0.30 to -0.10 s), API calls -0.150 (-0.200 to -0.100). Under typical: failures "
        "-0.13 points (-0.60 to +0.34), added delay -0.20 s (-0.30 to -0.10 s), API calls -0.150 (-0.200 to -0.100). In "
        "brackets the 99 % intervals; better is one that lies below zero."
    )


def test_what_was_the_same_in_every_world_could_still_differ_in_others() -> None:
    same = {"verdict": "same", "difference": 0.0, "difference_interval": None}
    said = recommendation(results(same, same))
    each = "the same in each of 4,000 worlds, so another in at most 0.115 % of all, under"
    assert f"failures: {each} claimed and {each} typical. Take it" in said


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("worlds", [1, 3, WORLDS_MIN - 1])
def test_too_few_held_out_worlds_recommend_nothing(worlds: int, tmp_path: Path) -> None:
    (tmp_path / "conflict.toml").write_text(CONFLICT, encoding="utf-8")
    small = ("--budget", "5", "--replications", "30", "--held-out", str(worlds), "--judged", "2")
    out = tmp_path / "out"
    assert tune(arguments(str(tmp_path / "conflict.toml"), *small, "--out", str(out)), observe_conflict) == 0
    shown = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert shown["recommended"] is None
    verdicts = {one["verdict"] for each in shown["judged"] for by in each["by_profile"].values() for one in by.values()}
    assert verdicts == {"unknown"}
    assert dict(load_policy(out / "policy.toml").settings) == shown["present"]["settings"]
    assert shown["answer"]["status"] == "too few worlds"
    assert shown["answer"]["title"].startswith(
        "Keep the present settings: too few worlds to judge by; of all messages "
    )
    assert recommendation(shown) == (
        f"Keep the present settings: too few to judge by, {counted(worlds, 'held-out world')}; give --held-out "
        "at least 100, "
        "better thousands."
    )


def test_breaches_are_told_in_words_for_people() -> None:
    assert excess_words("transparency_breaches", 1) == "customers saw 1 breach more"
    assert excess_words("transparency_breaches", 1200) == "customers saw 1,200 breaches more"
    assert excess_words("S10-released-only-when-empty", 2) == "2 breaches more of S10, 'released only when empty',"
    better = found("better", -0.01, -0.002)
    shown = results(better, better, excess={"claimed": {"transparency_breaches": 1}})
    assert notes(shown) == ["Candidate 1 under claimed: customers saw 1 breach more than at present."]
    for name in INVARIANTS:
        assert "-" not in excess_words(name, 2)


def test_no_bound_is_rounded_to_nothing() -> None:
    assert interval_words("s", [-0.2412, 0.0041], signed=True) == "-0.241 to +0.004 s"
    assert interval_words("s", [-0.2412, 0.00004], signed=True) == "-0.24120 to +0.00004 s"
    assert interval_words("s", [-0.2412, 0.0], signed=True) == "-0.24 to +0.00 s"
    assert interval_words("share", [-0.01, 0.00002], signed=True) == "-1.000 to +0.002"
    assert interval_words("requests", [0.0002, 1.5]) == "0.0002 to 1.5000"
    assert interval_words("s", [-0.24, 0.01], signed=True) == "-0.24 to +0.01 s"
    assert difference_words("s", -0.0041) == "-0.004 s"
    assert difference_words("share", 0.00004) == "+0.004 points"
    assert difference_words("s", 0.0) == "+0.00 s"
    assert value_words("s", 0.003) == "0.003 s"
    below, slower = found("better", -0.01, -0.002), found("open", -0.3, 0.004)
    shown = results(below, below)
    shown["judged"][0]["by_profile"]["typical"]["added_delay"] = slower
    shown["judged"][0]["grade"]["typical"] = "partly"
    assert "added delay: worse by at most 0.004 s under typical" in recommendation(shown)


# Few worlds that differ


@pytest.mark.parametrize(
    ("before", "after", "worlds", "wanted"),
    [
        (2, 0, 200, "unknown"),
        (9, 0, 4000, "unknown"),
        (0, 9, 4000, "unknown"),
        (10, 0, 4000, "better"),
        (0, 10, 4000, "worse"),
        (6, 4, 4000, "open"),
        (0, 0, 4000, "same"),
        (50, 0, WORLDS_MIN - 1, "unknown"),
    ],
)
def test_of_failures_in_a_few_worlds_nothing_is_claimed(before: int, after: int, worlds: int, wanted: str) -> None:
    """`before` worlds fail only with the present settings, `after` others only with the candidate's."""
    among = [1] * worlds
    mine = Totals([0] * before + [1] * after + [0] * (worlds - before - after), among)
    theirs = Totals([1] * before + [0] * (worlds - before), among)
    difference = ratio_difference(mine, theirs, 0.01)
    assert difference is not None
    assert verdict("share", mine, theirs, difference.interval) == wanted
    if wanted == "unknown" and worlds >= WORLDS_MIN:
        # What is measured in each world, such as seconds, is another matter.
        assert verdict("s", mine, theirs, difference.interval) != "unknown"


def few(differing: int) -> dict[str, Any]:
    return found("unknown", -0.001, 0.0003) | {"worlds_differing": differing}


def test_what_cannot_be_judged_for_want_of_differing_worlds_says_so() -> None:
    shown = results(found("better", -0.01, -0.002) | {"worlds_differing": 44}, few(3))
    shown["recommended"] = None
    shown["held_out"]["differing_min"] = DIFFERING_MIN
    assert recommendation(shown) == (
        "Keep the present settings: none of the candidates judged on held-out seeds is shown to be better in some "
        "objective and worse in none under every profile. Of candidate 1 too few worlds differ to tell; give more "
        "--held-out."
    )
    assert notes(shown) == [
        "Under typical, failures differ from the present settings' in fewer than 10 worlds, too few to claim anything: "
        "candidate 1 (3)."
    ]
    # What is worse anyway does not wait for more worlds.
    shown["judged"][0]["by_profile"]["claimed"]["added_delay"] = found("worse", 0.1, 0.2)
    assert "too few worlds" not in recommendation(shown)


# Against arithmetic


def against(off_front: float, uncovered: float, front: int = 94, found: int = 12, more: int = 0) -> list[str]:
    return agreement_words(
        {
            "closed_form": {
                "grid": 1244,
                "front": [{}] * front,
                "found": [{"fails_more": at < more} for at in range(found)],
                "off_front": off_front,
                "uncovered": uncovered,
                "held_out": [{"inside": True}] * 28 + [{"inside": None}],
            }
        }
    )


def test_the_gap_to_the_computed_front_is_told_in_words_that_hold_at_any_number() -> None:
    measured, computed, behind, gap = against(0.0021, 0.1234)
    assert measured == "For 28 of 28 values measured in held-out worlds the computed one lies in the 99 % interval."
    assert computed == (
        "Of 1,244 settings computed, 94 fail no more than the present settings and are beaten by no other: they are the "
        "computed front."
    )
    assert behind == (
        "By the same arithmetic the 12 settings found lie behind that front by at most 0.0021 times the present settings' "
        "value, in every objective at once."
    )
    assert gap == (
        "The largest gap from the computed front to the nearest found one is 0.12 times the present settings' value, in "
        "the objective where it is widest; a longer search could narrow it."
    )
    for off_front, uncovered in ((0.0, 0.0), (0.999351, 2.46), (1.7, 123.4), (1e-9, 1e-9)):
        for front, found, more in ((1, 1, 0), (1, 1, 1), (94, 1, 0), (94, 3, 1), (94, 3, 2), (0, 1, 0), (94, 0, 0)):
            said = " ".join(against(off_front, uncovered, front, found, more))
            assert "%" not in said.replace("99 %", "")
            assert "e-" not in said
            assert not re.search(r"(?<![.\d])0(\.0+)? times", said)
            assert not re.search(r"\b1 (settings|fail|found ones)\b|the 1 ", said)
    assert "2.5 times" in against(0.0, 2.46)[3]
    assert "is 120 times" in against(0.0, 123.4)[3]
    assert "is less than 0.0001 times" in against(0.0, 1e-9)[3]


def test_one_point_is_told_in_the_singular_and_none_as_none() -> None:
    _, computed, behind, gap = against(0.5, 0.0, front=1, found=1)
    assert computed.endswith(
        "1 fails no more than the present settings and is beaten by no other: it is the computed front."
    )
    assert behind.startswith(
        "By the same arithmetic the one setting found lies behind that front by at most 0.50 times"
    )
    assert gap == "To every point of the computed front there is a found one that is as good."
    assert (
        against(0.0, 0.0)[2]
        == "By the same arithmetic none of the 12 settings found is beaten by that front in every objective."
    )
    assert against(0.0, 0.0, front=0)[1:] == [
        "Of 1,244 settings computed, none fails no more than the present settings."
    ]


def test_found_settings_that_fail_more_by_arithmetic_are_counted_and_left_out() -> None:
    _, _, more, behind, _ = against(0.0021, 0.1, found=12, more=5)
    assert more == (
        "By the same arithmetic 5 of the 12 settings found fail more than the present settings, and are left out of the "
        "next line."
    )
    assert behind.startswith("The other 7 lie behind that front by at most 0.0021 times")
    _, _, more, behind, _ = against(0.0021, 0.1, found=2, more=1)
    assert "1 of the 2 settings found fails more than the present settings, and is left out" in more
    assert behind.startswith("The other one lies behind that front")
    _, _, more, gap = against(0.0, 0.1, found=2, more=2)
    assert more == "By the same arithmetic the 2 settings found fail more than the present settings."
    assert gap.startswith("The largest gap")


def test_what_was_done_is_told_in_the_singular_too() -> None:
    shown = results(BETTER["added_delay"], BETTER["added_delay"]) | {
        "trials": [{}],
        "replications": 1,
        "profiles": {"claimed": ""},
    }
    assert lead(shown) == (
        "1 trial of 1 world under claimed; 1 of the best judged again in 4,000 worlds each that the search never saw, "
        "paired with the present settings."
    )
