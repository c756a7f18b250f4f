"""Bots beside their twins: what no customer would accept for its delay or its cost, what was never put to the test, and
what is not the bot's fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from relaysim.reports import claims, figures
from relaysim.scenarios.cli import main


class Verdict(NamedTuple):
    """What `relaysim verify` said: its exit status, its results' only scenario, and what it printed."""

    status: int
    scenario: dict[str, Any]
    answer: str
    output: str

    def of(self, claim: str) -> str:
        found: list[str] = [each["verdict"] for each in self.scenario["claims"] if each["id"] == claim]
        (verdict,) = found
        return verdict

    def why(self, claim: str) -> str:
        (why,) = [str(each["why"]) for each in self.scenario["claims"] if each["id"] == claim]
        return why


Verify = Callable[..., Verdict]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verify:
    """`relaysim verify SCENARIO --factory FACTORY`, from this folder, of a few worlds."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    # Drawing takes seconds and is tested where it is done.
    monkeypatch.setattr(figures, "draw_all", lambda results: {})
    monkeypatch.setattr(claims, "RARE_SHARE", 1.0)  # how many worlds a verdict takes is tested where verdicts are made

    def run(scenario: str, factory: str, *more: str, worlds: int = 2) -> Verdict:
        fixed = ("--replications", str(worlds), "--jobs", "1", "--recheck", "0", "--out", str(tmp_path / "out"))
        status = main(["verify", scenario, "--factory", factory, *fixed, *more])
        said = capsys.readouterr()
        results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
        (entry,) = results["scenarios"]
        return Verdict(status, entry, "\n".join([results["answer"]["title"], *results["details"]]), said.out + said.err)

    return run


# What a claim is about must have been met


def test_a_bot_with_its_own_table_of_threads_meets_the_stuck_run(verify: Verify) -> None:
    bad = verify("stuck_run", "limits_threads:impatient")
    assert bad.status == 1
    assert bad.of("transparent") == "refuted"
    assert bad.scenario["counts"]["initial_runs_met"] == 2
    assert "safe? No: " in bad.answer

    fine = verify("stuck_run", "limits_threads:patient")
    assert fine.status == 0, fine.output
    assert fine.of("transparent") == "verified"
    assert fine.scenario["counts"]["initial_runs_met"] == 2


def test_a_thread_made_in_anothers_handling_is_whose_it_is_used_for(verify: Verify) -> None:
    """The consumer's task inherits the first customer's delivery, and makes the second one's thread first."""
    limited = ("--set", "workers=[{count=1}]", "--set", "limit_seconds=60")
    consuming = verify("rapid_pair", "limits_threads:consuming", *limited, worlds=1)
    assert consuming.scenario["counts"]["wrong_conversation"] == 0
    assert consuming.of("transparent") == "verified", consuming.answer


def test_a_stuck_run_that_nobody_touched_is_no_yes(verify: Verify) -> None:
    untouched = verify("stuck_run", "limits_threads:new_thread")
    assert untouched.status == 3
    assert untouched.of("transparent") == "inconclusive"
    assert untouched.scenario["outcomes"]["lost"] == 0
    assert "`initial_runs_met` was 0 in all 2 replications" in untouched.why("transparent")
    assert "safe? That is not shown" in untouched.answer
    assert "0 of 2 worlds" in untouched.answer


# Time and cost

LONG_RUN = str(Path(__file__).with_name("long_run.toml"))


@pytest.mark.parametrize("fine", ["polling", "after_2_minutes", "after_20_minutes_as_promised"])
def test_a_bot_that_waits_for_a_long_run_or_keeps_its_own_deadline_is_fine(fine: str, verify: Verify) -> None:
    judged = verify(LONG_RUN, f"limits_cost:{fine}", worlds=1)
    assert judged.status == 0, judged.output
    assert [judged.of(each) for each in ("transparent", "in-time", "within-cost")] == ["verified"] * 3


def test_an_answer_after_20_minutes_is_too_late(verify: Verify) -> None:
    late = verify(LONG_RUN, "limits_cost:after_20_minutes", worlds=1)
    assert late.status == 1
    assert [late.of(each) for each in ("transparent", "in-time", "within-cost")] == ["verified", "refuted", "verified"]
    assert "1 message whose answer or apology came too late" in late.answer
    assert "c1.m1 got its first answer or apology after 126" in late.answer
    assert "the time that the scenario allows is 300 s" in late.answer
    patient = verify(LONG_RUN, "limits_cost:after_20_minutes", "--set", "limits.answer_seconds=1500", worlds=1)
    assert patient.of("in-time") == "verified"


@pytest.mark.parametrize(
    ("wasteful", "what"),
    [
        (
            "curious",
            r"took 20\d requests \(201 of them messages.list; waiting not counted\) in 1 delivery of messages; the",
        ),
        ("uncertain", r"took 10 runs in 1 delivery of messages; the limit is 5"),
    ],
)
def test_needless_requests_and_runs_cost_too_much(wasteful: str, what: str, verify: Verify) -> None:
    judged = verify(LONG_RUN, f"limits_cost:{wasteful}", "--set", "limits.answer_seconds=1500", worlds=1)
    assert judged.status == 1
    assert [judged.of(each) for each in ("transparent", "in-time", "within-cost")] == [
        "verified",
        "verified",
        "refuted",
    ]
    assert re.search(what, judged.answer), judged.answer


# What is not the bot's fault


def place(text: str) -> str:
    """The line of the bots' file that has this text."""
    lines = Path(__file__).with_name("limits_adapters.py").read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return f"limits_adapters.py:{number}"


def test_an_adapter_that_raises_in_most_handlings_is_told_so_and_nothing_is_judged(verify: Verify) -> None:
    wrong = verify("rapid_pair", "limits_adapters:wrong")
    answer, first = wrong.answer.splitlines()[:2]
    assert wrong.status == 3
    assert f"TypeError in {place('self.shown(page')} ended 2 of 2 handlings" in first
    assert "missing 1 required positional argument: 'markup'" in first
    assert "Nothing is judged" in first
    assert "safe? That is not shown" in answer
    assert "no reply" not in wrong.output
    assert {each["verdict"] for each in wrong.scenario["claims"]} == {"inconclusive"}
    assert wrong.scenario["outcomes"] == {"messages": 12}
    assert not wrong.scenario["invariants"]

    in_a_task = verify("rapid_pair", "limits_adapters:wrong_in_a_task", worlds=1)
    assert in_a_task.status == 3
    assert f"TypeError in {place('self.shown(page')} ended 1 of 1 handling that" in in_a_task.answer.splitlines()[1]


def test_a_bot_that_raises_because_of_what_it_met_is_judged(verify: Verify) -> None:
    gives_up = verify("stuck_run", "limits_adapters:fine")
    assert gives_up.status == 1
    assert gives_up.of("transparent") == "refuted"
    assert "obstacles" not in gives_up.scenario

    busy = verify("rapid_pair", "limits_adapters:busy", worlds=1)
    assert (busy.status, busy.of("transparent")) == (1, "refuted")  # its webhooks do not come again
    assert "obstacles" not in busy.scenario


def test_a_call_that_is_not_simulated_is_named_and_not_held_against_the_bot(verify: Verify) -> None:
    drawing = verify("rapid_pair", "limits_adapters:drawing")
    first = drawing.answer.splitlines()[1]
    assert drawing.status == 3
    assert f"called POST /v1/images/generations ({place('images.generate(')}) in 2 of 2 worlds" in first
    assert "stand-in" in first
    assert "no reply" not in drawing.output
    assert drawing.of("transparent") == "inconclusive"

    drawn = verify("rapid_pair", "limits_adapters:drawn", worlds=1)
    assert "obstacles" not in drawn.scenario
    assert drawn.of("transparent") != "inconclusive"


def test_replay_shows_the_conversation_of_the_breach(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first failed handling is another conversation's, whose customer noticed nothing."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert main(["replay", "rapid_pair", "--seed", "0", "--factory", "limits_adapters:silent_for_the_second"]) == 0
    story = capsys.readouterr().out
    assert "c2.m1 was never answered" in story
    assert "conversation c2" in story.splitlines()[1]
