"""Goal: a tuning says of a candidate what other worlds showed, and no more than that.

Method: results with known differences and verdicts; a search judged in too few worlds; the words in title, recommendation
and notes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tune_stand_ins import CONFLICT, arguments, observe_conflict

from relay import load_policy
from reports.tune import excess_words, headline, notes, recommendation
from scenarios.tune.command import tune
from scenarios.tune.held_out import WORLDS_MIN
from scenarios.tune.objectives import IDS
from sim.world import INVARIANTS

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
    assert headline(shown) == "cancel_and_retry in incident: better in everything, under every profile"
    assert recommendation(shown).startswith("Take candidate 1: better in every objective under every profile. Under ")


def test_what_was_not_told_apart_is_named_with_how_much_worse_it_could_be() -> None:
    shown = results(found("better", -0.01, -0.002), found("open", -0.006, 0.0034))
    assert headline(shown) == (
        "cancel_and_retry in incident: better in added delay and API calls, not told apart everywhere in failures"
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


@pytest.mark.parametrize("worlds", [1, 3, WORLDS_MIN - 1])
def test_too_few_held_out_worlds_recommend_nothing(worlds: int, tmp_path: Path) -> None:
    (tmp_path / "conflict.toml").write_text(CONFLICT, encoding="utf-8")
    small = ("--budget", "8", "--replications", "60", "--held-out", str(worlds), "--judged", "2")
    out = tmp_path / "out"
    assert tune(arguments(str(tmp_path / "conflict.toml"), *small, "--out", str(out)), observe_conflict) == 0
    shown = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert shown["recommended"] is None
    verdicts = {one["verdict"] for each in shown["judged"] for by in each["by_profile"].values() for one in by.values()}
    assert verdicts == {"unknown"}
    assert dict(load_policy(out / "policy.toml").settings) == shown["present"]["settings"]
    assert headline(shown) == "cancel_and_retry in conflict: too few worlds to judge by"
    assert recommendation(shown) == (
        f"Keep the present settings: {worlds} held-out worlds are too few to judge by; give --held-out at least 100, "
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
