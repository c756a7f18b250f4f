"""Goal: the first screen of each command that judges, 24 lines of 80 columns, answers the question; the page begins alike.

Method: each command runs with worlds that take no time, and what it prints is looked at as a terminal of that size would
show it: what is longer than a line goes on in the next one.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fit_logs import Backend, relay_log
from scenario_stand_ins import SMALL, observe, write
from tune_stand_ins import CONFLICT, arguments, observe_conflict

from relaysim.reports import comparison_figures, figures, fit_figures, sweep_figures
from relaysim.scenarios import runner
from relaysim.scenarios.cli import main
from relaysim.scenarios.commands.tune import tune

COLUMNS, LINES = 80, 24

QUESTIONS = {
    "verify": (
        "Do the claims hold, and if not, which is worst?",
        r"^Refuted: “nothing is lost”: 10 times in \d+ messages",
    ),
    "compare": ("Which policy is better?", r"^cancel_and_retry|^check_then_act|^How many |^Keep |^None is shown"),
    "tune": ("Which settings are to be taken, and what still fails?", r"of all messages \d+(\.\d+)? % (still )?fail"),
    "sweep": (
        "Where do the claims hold?",
        r"^No point of 2 keeps every claim; (fewest messages fail at attempts \d|at each )",
    ),
    "fit": ("What does the log say of 90, 9 and 1 %?", r"^Of 400 conflicts in the log .*\(claimed 90 %\)"),
}
"""What a reader asks of each command, and how the first sentence answers it."""


def _run(command: str, folder: Path) -> int:
    """Run a command so that its results lie in `out`."""
    out = ("--out", "out", "--quiet")
    if command == "tune":
        conflict = write(folder, CONFLICT, "conflict.toml")
        small = ("--budget", "5", "--replications", "30", "--held-out", "120", "--judged", "2", "--out", "out")
        return tune(arguments(conflict, *small), observe_conflict)
    if command == "fit":
        Path("relay.log").write_text(relay_log(Backend(0.62, 1.05), 400, 3), encoding="utf-8")
        return main(["fit", "relay.log", *out])
    more = {
        "verify": ("--lane-check", "0"),
        "compare": ("--policies", "check_then_act,cancel_and_retry"),
        "sweep": ("--grid", "relay.settings.attempts=2,3"),
    }[command]
    return main([command, write(folder, SMALL), *more, "--jobs", "1", *out])


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory, no_figures: None) -> dict[str, tuple[str, dict[str, Any], str]]:
    """What each command printed, its results, and its page."""
    shown = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_observe", observe)
        for module, name in (
            (figures, "draw_all"),
            (comparison_figures, "draw_comparison"),
            (sweep_figures, "draw_sweep"),
            (fit_figures, "draw_fit"),
        ):
            patch.setattr(module, name, lambda _: {})
        for command in QUESTIONS:
            folder = tmp_path_factory.mktemp(command)
            patch.chdir(folder)
            printed: list[str] = []
            patch.setattr("sys.stdout", _Keeping(printed.append))
            _run(command, folder)
            results = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
            shown[command] = ("".join(printed), results, Path("out/index.html").read_text(encoding="utf-8"))
    return shown


class _Keeping:
    """A stream that is no terminal."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self.write = write

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize("command", QUESTIONS)
def test_the_first_screen_answers_and_fits(command: str, screens: dict[str, tuple[str, dict[str, Any], str]]) -> None:
    printed, results, _ = screens[command]
    lines = printed.splitlines()
    assert sum(max(1, -(-len(line) // COLUMNS)) for line in lines) < LINES, printed
    wide = [line for line in lines if len(line) > COLUMNS]
    assert all(line.strip() in results["answer"]["commands"] for line in wide), printed
    question, answer = QUESTIONS[command]
    first = " ".join(" ".join(lines[:3]).split())
    assert first.startswith(" ".join(results["answer"]["title"].split())), question
    assert re.search(answer, results["answer"]["title"]), question
    assert "Do: " in printed
    assert "Report: out/index.html" in printed


@pytest.mark.parametrize("command", QUESTIONS)
def test_the_page_begins_with_the_same_answer(
    command: str, screens: dict[str, tuple[str, dict[str, Any], str]]
) -> None:
    _, results, page = screens[command]
    plain = html.unescape(page).replace("\u00a0", " ")
    answer = results["answer"]
    assert f"<title>{answer['title']}</title>" in plain
    (heading,) = re.findall(r"<h1[^>]*>(.*?)</h1>", plain)
    assert heading == answer["title"]
    head = plain[: plain.index("<main>")]
    for sentence in (*answer["found"], *answer["advice"], *answer["commands"]):
        assert sentence in head


@pytest.mark.parametrize("command", QUESTIONS)
def test_no_share_exceeds_100_percent(command: str, screens: dict[str, tuple[str, dict[str, Any], str]]) -> None:
    printed, results, page = screens[command]
    for text in (printed, re.sub(r"<[^>]+>", " ", html.unescape(page).replace("\u00a0", " "))):
        assert all(float(each) <= 100 for each in re.findall(r"(\d+(?:\.\d+)?) %", text))
    for figure in results["answer"]["figures"]:
        if figure["unit"] == "share" and figure["count"] is not None:
            assert 0 <= figure["count"] <= figure["among"]
            assert figure["value"] == pytest.approx(figure["count"] / figure["among"], abs=1e-9)


def test_failures_of_all_messages_stand_beside_each_gain_and_drain_beside_the_candidate(
    screens: dict[str, tuple[str, dict[str, Any], str]],
) -> None:
    printed, results, _ = screens["tune"]
    assert results["drain"].keys() == results["profiles"].keys()
    for profile in results["profiles"]:
        measured = results["drain"][profile]["all_failed"]
        assert f"drain {measured['count']:,} of {measured['among']:,}" in " ".join(printed.split())
    assert "of all failed" in printed
    assert re.search(r"\d+(\.\d+)?(, \d+(\.\d+)?)+ s", printed), "waits as a reader counts them"
