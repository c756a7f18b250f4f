"""Goal: every profile that is given is run and told apart, or refused with a line that says why.

Method: profile files of the same name, of the same numbers, and with mistakes; the command as it is typed.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from tune_stand_ins import CONFLICT, arguments, observe_conflict

from relaysim.relay import load_policy
from relaysim.scenarios.cli import main
from relaysim.scenarios.commands.tune import tune
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.tune.candidate_worlds import load_tuned
from relaysim.sim.backends.profile import PROFILE_FOLDER

CLAIMED = (PROFILE_FOLDER / "claimed.toml").read_text(encoding="utf-8")
SLOWER = "value = 0.02"


@pytest.fixture(autouse=True)
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`conflict.toml` in the current folder, with profiles of which `fit` could have written two."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conflict.toml").write_text(CONFLICT, encoding="utf-8")
    fitted = CLAIMED.replace('name = "claimed"', 'name = "fitted"')
    (tmp_path / "one.toml").write_text(fitted, encoding="utf-8")
    stuck = fitted.replace('leave no room for stuck runs"\nvalue = 0.0', f'were read again"\n{SLOWER}')
    assert SLOWER in stuck
    (tmp_path / "two.toml").write_text(stuck, encoding="utf-8")
    (tmp_path / "copy.toml").write_text("# a copy\n" + fitted, encoding="utf-8")


def labels(*profiles: str) -> list[str]:
    return list(load_tuned("conflict.toml", None, profiles).profiles)


def test_profiles_of_the_same_name_are_both_run_and_told_apart_everywhere(tmp_path: Path) -> None:
    small = ("--budget", "3", "--replications", "40", "--held-out", "40", "--judged", "1", "--out", "out")
    given = ("--profiles", "one.toml,two.toml", "--set", "relay.settings.first_wait_seconds=1.5")
    assert tune(arguments("conflict.toml", *given, *small), observe_conflict) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    both = ["one.toml", "two.toml"]
    assert list(results["profiles"]) == both
    assert len(set(results["profiles"].values())) == 2
    for found in (results["present"]["held_out"], *(each["by_profile"] for each in results["judged"])):
        assert sorted(found) == both
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    for label in both:
        assert f"<h3>Under {label}</h3>" in page
    policy = tomllib.loads((tmp_path / "out" / "policy.toml").read_text(encoding="utf-8"))
    assert policy["origin"]["profiles"] == both
    assert policy["origin"]["sets"] == ["relay.settings.first_wait_seconds=1.5"]
    assert load_policy(tmp_path / "out" / "policy.toml").policy == "cancel_and_retry"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (("one.toml",), ["fitted"]),
        (("one.toml", "typical"), ["fitted", "typical"]),
        (("typical", "one.toml"), ["typical", "fitted"]),
        (("one.toml", "typical", "two.toml"), ["one.toml", "typical", "two.toml"]),
        (("two.toml", "one.toml"), ["two.toml", "one.toml"]),
    ],
)
def test_a_profile_is_called_by_its_name_where_no_other_has_it(given: tuple[str, ...], wanted: list[str]) -> None:
    assert labels(*given) == wanted


def test_a_name_that_is_the_path_of_another_profile_is_not_used(tmp_path: Path) -> None:
    text = (tmp_path / "two.toml").read_text(encoding="utf-8").replace(SLOWER, "value = 0.03")
    (tmp_path / "odd.toml").write_text(text.replace('"fitted"', '"one.toml"', 1), encoding="utf-8")
    assert labels("odd.toml", "one.toml", "two.toml") == ["odd.toml", "one.toml", "two.toml"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("claimed", "typical", "claimed"), "claimed is given twice; give it once"),
        (("one.toml", "one.toml"), "one.toml is given twice; give it once"),
        (
            ("one.toml", "./one.toml"),
            "one.toml and ./one.toml have the same numbers, so they are one backend; give one",
        ),
        (("one.toml", "copy.toml"), "one.toml and copy.toml have the same numbers, so they are one backend; give one"),
        (("claimed", "one.toml"), "claimed and one.toml have the same numbers, so they are one backend; give one"),
    ],
)
def test_the_same_backend_twice_is_refused(
    given: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "conflict.toml", "--profiles", ",".join(given), "--out", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"relaysim: --profiles {','.join(given)}: {said}")


@pytest.mark.parametrize("changed", ["median = nan", "median = -1.0", 'median = "much"', "medain = 12.0"])
def test_a_mistake_in_a_profile_is_told_as_run_tells_it(
    changed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.toml").write_text(CLAIMED.replace("median = 12.0", changed), encoding="utf-8")
    assert main(["run", "conflict.toml", "--seed", "1", "--set", "profile=wrong.toml"]) == 2
    by_run = capsys.readouterr().err
    assert "wrong.toml: run_seconds" in by_run
    assert main(["tune", "conflict.toml", "--profiles", "wrong.toml", "--out", "out"]) == 2
    assert capsys.readouterr().err == by_run


def test_what_is_missing_in_a_profile_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "short.toml").write_text('name = "short"\ntitle = "hardly anything"\n', encoding="utf-8")
    assert main(["run", "conflict.toml", "--seed", "1", "--set", "profile=short.toml"]) == 2
    by_run = capsys.readouterr().err
    assert main(["tune", "conflict.toml", "--profiles", "short.toml,claimed", "--out", "out"]) == 2
    assert capsys.readouterr().err == by_run
    assert "short.toml: queue_seconds: is missing" in by_run


def test_a_profile_that_is_not_there_is_told_by_the_option() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_tuned("conflict.toml", None, ["claimd", "gone.toml"])
    named, file = map(str, caught.value.problems)
    assert named.startswith("--profiles claimd: there is no profile 'claimd'; did you mean `claimed`?")
    assert file == "--profiles gone.toml: there is no file gone.toml"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ("--set", "profile=bad_day"),
            "--set profile=bad_day: has no effect here, since a search runs under --profiles; give --profiles bad_day",
        ),
        (
            ("--set", 'profile = "bad_day"'),
            '--set profile = "bad_day": has no effect here, since a search runs under --profiles; give --profiles bad_day',
        ),
        (
            ("--set", "replications=5"),
            "--set replications=5: has no effect here, since --replications and --held-out say how many worlds are run; "
            "give --replications 5",
        ),
        (("--profiles", ""), "--profiles: there is none; name one or more, such as claimed,typical"),
        (("--profiles", " , "), "--profiles: there is none; name one or more, such as claimed,typical"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    typed: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "conflict.toml", *typed, "--out", "out"]) == 2
    assert capsys.readouterr().err == f"relaysim: {said}\n"


def test_the_root_seed_of_a_scenario_has_an_effect() -> None:
    tuned = load_tuned("conflict.toml", None, ["claimed"], ["root_seed=12"])
    assert tuned.scenario.root_seed == tuned.profiles["claimed"].root_seed == 12
