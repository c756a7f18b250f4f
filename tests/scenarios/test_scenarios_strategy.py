"""`verify --strategy`: promises are judged, rates are not, and whoever reads the results is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_stand_ins import SMALL, observe, write

from relaysim.reports import figures
from relaysim.reports.results import read_results
from relaysim.scenarios import runner
from relaysim.scenarios.cli import main
from relaysim.scenarios.commands import verify
from relaysim.scenarios.load import load
from relaysim.sim.world.exploration import STRATEGIES

NO_NEVER = SMALL.partition('[[claims]]\nid = "transparent"')[0]
SAYS = "not those of production"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "_observe", observe)
    monkeypatch.setattr(figures, "draw_all", lambda results: {})


def test_the_command_knows_every_strategy() -> None:
    assert verify.STRATEGIES == STRATEGIES


def test_only_what_must_never_happen_is_judged_and_results_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    assert main(["verify", path, "--strategy", "pct", "--out", "out", "--quiet", "--jobs", "1"]) == 0
    (entry,) = read_results(tmp_path / "out")["scenarios"]
    assert [claim["id"] for claim in entry["claims"]] == ["transparent"]
    assert entry["strategy"] == "pct"
    assert "--set strategy=pct" in entry["claims"][0]["examples"][0]["replay"]
    assert SAYS in capsys.readouterr().out
    assert SAYS in (tmp_path / "out" / "index.html").read_text()


def test_without_one_nothing_is_said_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", write(tmp_path), "--strategy", "independent", "--out", "out", "--quiet", "--jobs", "1"])
    (entry,) = read_results(tmp_path / "out")["scenarios"]
    assert len(entry["claims"]) == 3
    assert "strategy" not in entry
    assert SAYS not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        (NO_NEVER, [], "can judge claims of kind never, and there is none"),
        (SMALL, ["--sequential"], "leave --sequential out"),
    ],
)
def test_what_would_judge_nothing_or_rates_is_refused(
    text: str, arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", write(tmp_path, text), "--strategy", "portfolio", *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_maps_and_curves_of_rates_are_left_out() -> None:
    assert load("peak_hour", ["strategy=swarm"]).curve is None
    assert load("incident", ["strategy=swarm"]).map is None
