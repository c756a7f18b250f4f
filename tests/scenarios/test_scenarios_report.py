"""The command `report`, and what `verify` leaves for CI."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest

from relaysim.reports.results import write_results
from relaysim.scenarios.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def verify(*arguments: str, scenario: str = "race") -> int:
    return main(["verify", scenario, "--replications", "30", "--jobs", "1", "--quiet", *arguments])


def test_verify_leaves_junit_summary_and_annotations(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    Path("summary.md").write_text("before\n")
    junit = "made/here.xml"
    status = verify(
        *("--factory", "relaysim.relay:cancel_and_retry", "--junit", junit, "--json"), scenario="persistent_failure"
    )
    streams = capsys.readouterr()
    assert status == 1
    assert json.loads(streams.out)["answer"]["status"] == "unsafe"  # annotations do not get between
    assert "::error title=relaysim%3A persistent_failure::“the customer does not notice” is false" in streams.err
    assert Path("summary.md").read_text().startswith("before\n## Is relaysim.relay:cancel\\_and\\_retry safe? No")
    root = ElementTree.parse(junit).getroot()
    assert int(root.get("failures", "0")) > 0
    assert float(root[0].get("time", "0")) > 0
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert verify("--github-summary", "other.md") == 0
    assert "::error" not in capsys.readouterr().err
    assert Path("other.md").read_text().startswith("## ")
    assert Path("summary.md").read_text().count("## ") == 1  # the option takes the variable's place


@pytest.mark.parametrize("option", ["--junit", "--github-summary"])
def test_a_file_that_cannot_be_written_is_refused_before_any_world(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert verify(option, "file/below") == 2
    assert capsys.readouterr().err.startswith(f"relaysim: {option} file/below: cannot be written: ")
    assert not Path("reports/out/race/latest").exists()


def test_report_prints_an_answer_again_and_what_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 2
    assert capsys.readouterr().err == (
        "relaysim: reports/out/latest: there are no results: no such file or directory; run `relaysim verify` first, or "
        "name a folder (more: relaysim docs ci#where-results-lie)\n"
    )
    assert verify() == 0
    printed = capsys.readouterr().out
    assert main(["report"]) == 0
    again = capsys.readouterr().out
    assert again.splitlines()[0] == printed.splitlines()[0]
    assert main(["report", "reports/out/latest", "reports/out/race/latest/results.json"]) == 0
    assert capsys.readouterr().out.startswith("Problems: 0 new, 0 resolved, ")


def test_another_commands_results_have_an_answer_and_their_line_in_the_list_and_no_problems(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare", "race", "--replications", "4", "--jobs", "1", "--quiet"]) == 0
    title = capsys.readouterr().out.splitlines()[0]
    assert main(["report", "reports/out/compare-race/latest"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == title
    page = Path("reports/out/index.html").read_text(encoding="utf-8")
    assert "cannot be read" not in page
    assert " ".join(title.split()[:4]) in page
    compared = str(Path("reports/out/compare-race/latest").resolve())
    assert verify("--name", "compare-race") == 0  # the run before of this name is of another command
    assert main(["report", compared, "reports/out/compare-race/latest"]) == 2
    assert "is of `relaysim compare`, which has no problems" in capsys.readouterr().err


def test_report_ends_with_1_where_something_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--out", "after") == 0
    results = json.loads(Path("after/results.json").read_text())
    for scenario in results["scenarios"]:
        for claim in scenario["claims"]:
            claim["verdict"] = "verified"
        for invariant in scenario["invariants"].values():
            invariant["breaches"] = 0
    write_results(Path("before"), results)
    capsys.readouterr()
    assert main(["report", "before", "after"]) == 1
    told = capsys.readouterr().out
    assert told.startswith(
        "Problems: 2 new, 0 resolved, 0 ongoing\nNew\n  race: “the customer does not notice” is false: "
    )
    assert "\n    relaysim replay race --seed 0 --claim transparent\n" in told
    assert main(["report", "after", "before", "--json"]) == 0
    assert [each["what"] for each in json.loads(capsys.readouterr().out)["resolved"]] == [
        "transparent",
        "T4-no-apology-for-an-answered-message",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b", "c"], "report: takes one run or two, and 3 were given"),
        (
            ["nowhere"],
            "nowhere: there are no results: no such file or directory; name a folder that `relaysim verify` wrote",
        ),
        (["bad", "bad"], "bad/results.json is no results file: "),
        (["tuned", "tuned"], "tuned: is of `relaysim tune`, which has no problems that come and go; "),
    ],
)
def test_what_cannot_be_compared_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad").mkdir()
    Path("bad/results.json").write_text("{")
    write_results(Path("tuned"), {"schema": 1, "kind": "tune", "scenarios": []})
    assert main(["report", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"relaysim: {said}")


DOCS = Path(__file__).parents[2] / "docs"


def test_every_command_of_the_workflows_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's lines are run up to the relay that they name, which is nobody's here."""
    monkeypatch.setattr("relaysim.scenarios.cli._complain", lambda text, page: complaints.append(text))
    lines = re.findall(r"^\s+(?:- run: |- )(relaysim .*)$", (DOCS / "ci.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        assert "my_bot:make" in line
        assert main(shlex.split(line.replace("my_bot", "nobodys_bot_at_all"))[1:]) == 2
        assert complaints.pop().startswith("--factory nobodys_bot_at_all:make: there is no module 'nobodys_bot_at_all'")


complaints: list[str] = []


def test_results_that_were_cut_are_told_in_a_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "results.json").write_text('{"schema": 1, "kind": "tune"}')
    assert main(["report", "."]) == 2
    assert capsys.readouterr().err.startswith("relaysim: .: these are not whole results (KeyError: ")
