"""Goal: a search that cannot be done, or not now, is refused before it has cost anything, in one line that says the way out.

Method: the command as it is typed; a second one while a first one is in the middle of its search.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tune_stand_ins import CONFLICT, arguments, observe_conflict

from relaysim.scenarios.cli import main
from relaysim.scenarios.commands.command_line import UsageError
from relaysim.scenarios.commands.tune import tune
from relaysim.scenarios.tune import tuning
from relaysim.sim.world import WorldSettings

pytestmark = pytest.mark.usefixtures("no_figures")


class ReachedError(Exception):
    """Worlds would have been run."""


def reached(settings: WorldSettings, root_seed: int, seed: int, lane: str) -> dict[str, Any]:
    raise ReachedError


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "conflict.toml"
    path.write_text(CONFLICT, encoding="utf-8")
    return str(path)


def refused(scenario: str, capsys: pytest.CaptureFixture[str], *typed: str) -> str:
    """What a command that must be refused says, on one line."""
    assert main(["tune", scenario, "--quiet", *typed]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("relaysim: ")


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            ("--out", "one"),
            ("--out", "./one"),
            "one: another search is writing it; wait for that one, or name another folder with --out or --name",
        ),
        (
            ("--out", "one", "--study", "s.db"),
            ("--out", "two", "--study", "linked/../s.db"),
            "--study linked/../s.db: another search is going on in it; wait for that one, or name another file",
        ),
        (
            ("--out", "one"),
            ("--out", "two", "--study", "one/study.db"),
            "--study one/study.db: another search is going on in it; wait for that one, or name another file",
        ),
    ],
)
def test_a_second_search_in_the_same_place_is_refused_while_the_first_goes_on(
    scenario: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    first: tuple[str, ...],
    second: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linked").mkdir()
    told: list[str] = []

    def in_the_middle(*_: Any, **__: Any) -> Any:
        if told:
            raise AssertionError("the second search went on")
        told.append("first")
        told.append(refused(scenario, capsys, *second))
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "tuning_results", in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        tune(arguments(scenario, *first))
    assert told == ["first", said]
    # Whoever has ended holds nothing any more.
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    small = ("--budget", "1", "--replications", "3", "--held-out", "3", "--judged", "1")
    assert tune(arguments(scenario, *second, *small), observe_conflict) == 0


def test_a_scenario_with_strata_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        tune(arguments("rare_stuck", "--out", str(tmp_path / "out")), reached)
    assert str(caught.value) == (
        "rare_stuck: strata: only `verify` and `sweep` weigh strata, and this command counts worlds as they come; "
        "add --set strata.enabled=false"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nodir/x.db", "there is no folder nodir; make it, or name another file"),
        ("garbage.db", "is not a study; name another file, or remove this one"),
        ("other.db", "is a database of something else; name another file"),
        ("cut.db", "cannot be used as a study, it is damaged; name another file, or remove this one"),
        ("folder", "is a folder; name a file"),
    ],
)
def test_a_study_that_cannot_be_used_is_refused_before_anything_runs(
    scenario: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garbage.db").write_text("not a database " * 100, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("create table notes (words)")
    other.commit()
    other.close()
    (tmp_path / "cut.db").write_bytes((tmp_path / "other.db").read_bytes()[:4096])
    before = {path: path.read_bytes() for path in tmp_path.glob("*.db")}
    assert refused(scenario, capsys, "--study", given, "--out", "out") == f"--study {given}: {said}"
    assert {path: path.read_bytes() for path in tmp_path.glob("*.db")} == before
    with pytest.raises(UsageError):
        tune(arguments(scenario, "--study", given, "--out", "out"), reached)


def test_the_help_says_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "worlds per judged candidate and profile, which the search never saw; by default 4000" in shown
