"""A profile may extend another one: it says what differs, and on what that rests."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.problems import ScenarioError
from relaysim.sim.backends.profile import ExtendsError, load_profile, read_profile_table

OURS = """
extends = "typical"
name = "ours"
title = "as our own logs say"

[run_seconds]
basis = "our logs of March"
median = 4.0
p99 = 60.0

[stuck_probability]
basis = "our logs of March"
value = 0.25
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours.toml").write_text(OURS)
    return tmp_path


def test_what_it_says_takes_the_place_of_what_it_extends_and_the_rest_stays() -> None:
    typical, ours = read_profile_table("typical"), load_profile("ours.toml")
    table = read_profile_table("ours.toml")
    assert table["run_seconds"] == {"basis": "our logs of March", "kind": "lognormal", "median": 4.0, "p99": 60.0}
    assert ours.name == "ours"
    assert table["cancel_seconds"] == typical["cancel_seconds"]
    assert {key for key in typical if typical[key] != table[key]} == {
        "name",
        "title",
        "run_seconds",
        "stuck_probability",
    }


def test_name_title_and_basis_are_its_own(here: Path) -> None:
    (here / "bare.toml").write_text('extends = "typical"\n[run_seconds]\nmedian = 4.0\n')
    with pytest.raises(ValidationError) as caught:
        load_profile("bare.toml")
    assert {str(error["loc"][0]) for error in caught.value.errors()} >= {"name", "title", "basis"}


def test_one_may_extend_one_that_extends_relative_to_its_own_file(here: Path) -> None:
    (here / "more").mkdir()
    (here / "more" / "day.toml").write_text('extends = "../ours.toml"\nname = "day"\ntitle = "one day"\n')
    assert load_profile("more/day.toml").run_seconds == load_profile("ours.toml").run_seconds
    scenario = load("race", ['profile="more/day.toml"'])
    assert scenario.backend.name == "day"
    assert scenario.hash != load("race", ['profile="typical"']).hash


@pytest.mark.parametrize(
    ("extends", "said"),
    [
        ('"nowhere.toml"', "bad.toml: extends: there is no file nowhere.toml"),
        (
            '"typcal"',
            "bad.toml: extends: no profile named 'typcal'; shipped are bad_day, claimed, outage, typical, or give",
        ),
        ('"bad.toml"', "bad.toml: extends: goes round in a circle: bad.toml -> bad.toml"),
        ('"round.toml"', "round.toml: extends: goes round in a circle: bad.toml -> round.toml -> bad.toml"),
        ('"broken.toml"', "bad.toml: extends: broken.toml cannot be read: "),
        ("3", "bad.toml: extends: must be a profile's name or a path that ends in .toml, not 3"),
    ],
)
def test_what_cannot_be_extended_is_one_line_wherever_a_profile_is_named(
    here: Path, extends: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bad.toml").write_text(f'extends = {extends}\nname = "bad"\ntitle = "t"\n')
    (here / "round.toml").write_text('extends = "bad.toml"\nname = "round"\ntitle = "t"\n')
    (here / "broken.toml").write_text("name =")
    (here / "log").write_text("")
    with pytest.raises(ExtendsError) as caught:
        load_profile("bad.toml")
    assert str(caught.value).startswith(said)
    with pytest.raises(ScenarioError) as refused:
        load("incident", ['profile="bad.toml"'])
    assert len(refused.value.problems) == 1
    assert said in str(refused.value)
    for command in (["serve", "--profile", "bad.toml"], ["fit", "log", "--profile-from", "bad.toml"]):
        assert main(command) == 2
        line = capsys.readouterr().err
        assert said in line
        assert line.count("\n") == 1
