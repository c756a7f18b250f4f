"""JUnit XML, the job summary and annotations: what fails there is what fails the gate."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import sample_results, sample_timing
from test_reports_changes import results_with

from relaysim.reports.changes import changes_between
from relaysim.reports.exit_codes import exit_status
from relaysim.reports.github import ANNOTATIONS_MAX, SUMMARY_MAX, annotation_lines, summary_markdown
from relaysim.reports.junit import junit_xml


def suites_of(results: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(junit_xml(results))


def failing(results: dict[str, Any]) -> int:
    root = suites_of(results)
    return int(root.get("failures", "")) + int(root.get("errors", ""))


def own(verdict: str, **more: Any) -> dict[str, Any]:
    results = {**results_with(verdict, **more), "factory": "bot:make", "waits": []}
    results["scenarios"][0] |= {"counts": {"messages": 80} | more.get("counts", {})}
    results["scenarios"][0]["claims"] = [{**each, "expected": "verified"} for each in results["scenarios"][0]["claims"]]
    return results


def excused(results: dict[str, Any]) -> dict[str, Any]:
    """Of a file that names its own relay, and expects what is found."""
    for claim in results["scenarios"][0]["claims"]:
        claim["expected"] = "refuted"
    return results


def noticed(results: dict[str, Any]) -> dict[str, Any]:
    """Its claim is about something else than what customers notice."""
    results["scenarios"][0]["claims"][0]["event"] = "over_cost"
    return results


def beside(results: dict[str, Any]) -> dict[str, Any]:
    """Of a file that names its own relay, beside others of relays that ship."""
    results["scenarios"][0]["factory"] = results.pop("factory")
    return results


def expecting(verdict: str, expected: str) -> dict[str, Any]:
    results = results_with(verdict)
    results["scenarios"][0]["claims"][0]["expected"] = expected
    return results


@pytest.mark.parametrize(
    "results",
    [
        own("verified"),
        own("refuted"),
        own("inconclusive"),
        own("verified", obstacles=[{"text": "kept"}]),
        noticed(own("verified", counts={"duplicate_reply": 2})),
        beside(noticed(own("verified", counts={"duplicate_reply": 2}))),
        excused(own("refuted")),
        excused(own("verified")),
        expecting("refuted", "refuted"),
        expecting("refuted", "verified"),
        expecting("verified", "refuted"),
        expecting("inconclusive", "verified"),
    ],
)
def test_a_case_fails_where_the_exit_status_does(results: dict[str, Any]) -> None:
    assert bool(failing(results)) == bool(exit_status(results))
    assert bool(annotation_lines(results)) == bool(exit_status(results))


def test_of_a_seed_that_gave_two_worlds_no_case_passes() -> None:
    parting = {"scenario": "race", "seed": 0, "text": "at event 3", "next": "relaysim doctor race"}
    root = suites_of({**own("verified"), "not_deterministic": [parting]})
    assert [root.get(each) for each in ("tests", "failures", "errors", "skipped")] == ["2", "0", "1", "1"]


def test_every_claim_is_a_case_with_its_examples_and_times_are_the_scenarios() -> None:
    results = sample_results()
    root = ElementTree.fromstring(junit_xml(results, timing=sample_timing()))
    claims = sum(len(each["claims"]) for each in results["scenarios"])
    assert int(root.get("tests", "")) == claims == len(list(root.iter("testcase")))
    assert {each.get("name") for each in root.findall("testsuite")} == {
        each["scenario"] for each in results["scenarios"]
    }
    worst = expecting("refuted", "verified")
    (failure,) = suites_of(worst).iter("failure")
    assert failure.get("type") == "refuted"
    assert "relaysim replay race --seed" in (failure.text or "")


@given(st.text(alphabet=st.characters(codec=None), max_size=40))
def test_any_text_is_well_formed_xml_and_harmless_markdown(text: str) -> None:
    results = expecting("refuted", "verified")
    scenario = results["scenarios"][0]
    scenario["claims"][0]["title"] = text
    scenario["scenario"] = f"s{text}"
    suites_of(results)
    assert all("\n" not in line and "\r" not in line for line in annotation_lines(results))
    body = summary_markdown(results)
    assert not re.search(r"(?<!\\)<", re.sub(r"```.*?```", "", body, flags=re.DOTALL))


def test_the_summary_has_answer_command_table_and_changes() -> None:
    body = summary_markdown(own("refuted"), changes=changes_between(own("verified"), own("refuted")))
    assert body.startswith("## Is bot:make safe? No")
    assert "```\nrelaysim replay race --seed" in body
    assert "### Problems: 1 new, 0 resolved, 0 ongoing" in body
    assert "|  |  |\n| --- | ---: |\n| transparent | 5 times in 400 |" in body


def test_a_summary_stays_below_what_github_takes() -> None:
    results = own("refuted")
    results["scenarios"][0]["claims"][0]["title"] = "ü" * SUMMARY_MAX
    body = summary_markdown(results)
    assert len(body.encode()) < 1024 * 1024
    assert body.endswith("(cut off: the report has the rest)\n")


def test_annotations_are_escaped_and_no_more_than_github_shows() -> None:
    results = own("refuted")
    scenario = results["scenarios"][0]
    scenario["claims"][0]["title"] = "50 % of\n::error::all"
    (line,) = annotation_lines(results)
    assert line.startswith("::error title=relaysim%3A race::“50 %25 of%0A::error::all” is false")
    assert "%0ASee it: relaysim replay race" in line
    scenario["claims"] = [{**scenario["claims"][0], "id": f"c{at}"} for at in range(30)]
    lines = annotation_lines(results)
    assert len(lines) == ANNOTATIONS_MAX
    assert lines[-1] == "::notice title=relaysim%3A relaysim::and 21 more, in the summary and the report"
    assert [each[:9] for each in annotation_lines(own("inconclusive"))] == ["::warning"]
