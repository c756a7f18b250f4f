"""What is new, resolved, ongoing and not known any more between two runs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from report_samples import sample_results

from relaysim.reports.changes import changes_between, changes_title, problems_of


def results_with(verdict: str, *, breaches: int = 0, checked: int = 5, **more: Any) -> dict[str, Any]:
    """One scenario with one claim and one invariant."""
    whole = sample_results()
    scenario = copy.deepcopy(next(each for each in whole["scenarios"] if each["scenario"] == "race"))
    claim = copy.deepcopy(next(each for each in scenario["claims"] if each["id"] == "transparent"))
    claim["verdict"] = verdict
    scenario["claims"] = [claim]
    scenario["invariants"] = {"S5": {"breaches": breaches, "checked": checked, "examples": []}}
    scenario |= more
    return {**whole, "scenarios": [scenario]}


def kinds(before: dict[str, Any], after: dict[str, Any]) -> tuple[list[str], list[str], list[str], list[str]]:
    found = changes_between(before, after)
    return (
        [each.what for each in found.new],
        [each.what for each in found.resolved],
        [each.what for each in found.ongoing],
        [each.what for each, _ in found.unknown],
    )


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("verified", "refuted", (["transparent"], [], [], [])),
        ("inconclusive", "refuted", (["transparent"], [], [], [])),
        ("refuted", "verified", ([], ["transparent"], [], [])),
        ("refuted", "refuted", ([], [], ["transparent"], [])),
        ("refuted", "inconclusive", ([], [], [], ["transparent"])),  # what nobody can tell is not resolved
        ("verified", "inconclusive", ([], [], [], [])),
    ],
)
def test_a_claim_comes_and_goes(before: str, after: str, found: tuple[list[str], ...]) -> None:
    assert kinds(results_with(before), results_with(after)) == found


def test_a_broken_promise_is_resolved_only_where_it_was_asked_for() -> None:
    broken = results_with("verified", breaches=3)
    assert kinds(results_with("verified"), broken) == (["S5"], [], [], [])
    assert kinds(broken, results_with("verified")) == ([], ["S5"], [], [])
    assert kinds(broken, results_with("verified", checked=0)) == ([], [], [], ["S5"])


def test_what_is_not_run_or_not_judged_any_more_is_not_resolved() -> None:
    before = results_with("refuted")
    assert kinds(before, {**before, "scenarios": []}) == ([], [], [], ["transparent"])
    assert kinds(before, results_with("refuted", claims=[])) == ([], [], [], ["transparent"])
    kept = results_with("verified", obstacles=[{"text": "port 6379 is refused"}])
    new, resolved, _, unknown = kinds(before, kept)
    assert (new, resolved, unknown) == (["kept from running: port 6379 is refused"], [], ["transparent"])
    assert kinds(kept, results_with("verified")) == ([], ["kept from running: port 6379 is refused"], [], [])


def test_lost_messages_that_no_claim_judges_are_a_problem() -> None:
    lost = results_with("verified", claims=[], outcomes={"lost": 3, "messages": 60})
    assert [each.said for each in problems_of(lost)] == ["3 of 60 (5.00 %) messages got nothing"]


def test_a_seed_that_gave_two_worlds_is_a_problem() -> None:
    parting = {"scenario": "race", "seed": 0, "text": "at event 3", "next": "relaysim doctor race"}
    parted = {**results_with("verified"), "not_deterministic": [parting]}
    assert kinds(results_with("verified"), parted) == (["not deterministic"], [], [], [])
    assert kinds(parted, results_with("verified")) == ([], ["not deterministic"], [], [])
    assert kinds(results_with("refuted"), parted) == (
        ["not deterministic"],
        [],
        [],
        ["transparent"],
    )  # nothing is resolved


def test_what_makes_two_runs_hard_to_compare_is_said() -> None:
    before = {**results_with("refuted"), "factory": "a:make"}
    after = {**results_with("refuted", hash="other", root_seed=1, replications=7), "factory": "b:make"}
    notes = " ".join(changes_between(before, after).notes)
    for word in ("a:make before, b:make now", "other seeds", "worlds before, 7 now"):
        assert word in notes
    assert "settings changed" not in notes  # another relay is another scenario's hash, and was said
    assert "its file or settings changed" in " ".join(changes_between(before, {**after, "factory": "a:make"}).notes)
    assert not changes_between(before, before).notes


def test_the_sentence() -> None:
    assert changes_title(changes_between(results_with("verified"), results_with("refuted"))) == (
        "Problems: 1 new, 0 resolved, 0 ongoing"
    )
    assert changes_title(changes_between(results_with("refuted"), results_with("inconclusive"))) == (
        "Problems: 0 new, 0 resolved, 0 ongoing, 1 not known any more"
    )
