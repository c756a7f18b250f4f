"""Goal: `--api NAME` puts a scenario on another API, and every replay line that is printed says so.

Method: `main` in this process; the replay line that a sweep, a comparison or a verdict prints is made by one function.
"""

from __future__ import annotations

import pytest

from relaysim.reports.results import doctor_command, replay_template
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load

COMMANDS = (
    ["verify", "rapid_pair"],
    ["run", "rapid_pair", "--seed", "0"],
    ["replay", "rapid_pair", "--seed", "0"],
    ["explore", "rapid_pair"],
    ["doctor", "rapid_pair"],
    ["compare", "rapid_pair"],
    ["tune", "rapid_pair"],
    ["sweep", "rapid_pair", "--grid", "workers[0].count=1,2"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_unknown_api_is_one_clear_line(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--api", "respnses"]) == 2
    assert capsys.readouterr() == (
        "",
        "relaysim: --api respnses: there is no simulated API 'respnses'; did you mean `responses`?\n",
    )


def test_a_scenario_is_run_on_the_api_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", 'relay.settings.api="responses"']
    relay = ["--set", "relay.factory=relaysim.relay:drain", *settings]
    assert main(["replay", "rapid_pair", "--seed", "0", "--lane", "direct", "--all", "--api", "responses", *relay]) == 0
    story = capsys.readouterr().out
    assert "resp_" in story
    assert "run_" not in story


@pytest.mark.parametrize("typed", ['api="responses"', "api='responses'", "api=responses", 'api = "responses"'])
def test_the_replay_line_names_the_api_as_one_types_it(typed: str) -> None:
    sets = [typed, "relay.factory=relaysim.relay:drain", 'relay.settings={ api = "responses" }']
    template = load("rapid_pair", sets).origin.replay_template()
    assert template.startswith("relaysim replay rapid_pair --seed {seed} --api responses --set relay.factory=")
    assert doctor_command(template).startswith("relaysim doctor rapid_pair --api responses ")


def test_what_is_no_api_stays_a_setting() -> None:
    assert replay_template("x", settings={"a.api": 1}) == "relaysim replay x --seed {seed} --set a.api=1"
