"""Goal: a policy from a file runs in a scenario as that policy with those settings would, and what is wrong is told.

Method: files in a temporary folder, through the loader and the command; one real world of `incident` each way.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from scenario_stand_ins import SMALL, observe, write

from relaysim.relay import load_policy
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.policy import load_all_with_policy
from relaysim.scenarios.policy_comparison import compare_policies, load_comparison
from relaysim.scenarios.problems import ScenarioError
from relaysim.scenarios.tune.space import SPACES

DOCS = Path(__file__).parents[2] / "docs"
POLICY = """
schema = 1
policy = "cancel_and_retry"
[settings]
attempts = 4
waits = [1.5, 2, 6]
wait_after_last_failure = false
cancels = "first_conflict"
"""


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return write(tmp_path, POLICY, "policy.toml")


def test_the_relay_is_the_files_and_what_happens_is_the_scenarios(policy: str) -> None:
    peak, incident = load_all_with_policy(["peak_hour", "incident"], policy)
    own = load("peak_hour")
    assert own.relay.settings == {"lock_retry_seconds": 0.5}
    for scenario in (peak, incident):
        assert scenario.relay.factory == "relaysim.relay:cancel_and_retry"
        assert scenario.relay.settings == dict(load_policy(policy).settings)
    assert peak.workers == own.workers
    assert incident.claims == load("incident").claims
    assert incident.hash != load("incident").hash


def test_what_is_set_comes_after_the_file_and_a_group_keeps_what_the_policy_knows(policy: str, tmp_path: Path) -> None:
    (scenario,) = load_all_with_policy(
        ["incident"], policy, ["relay.settings.attempts=5", "relay.settings.waits=[1,1,1,1]"]
    )
    assert scenario.relay.settings["attempts"] == 5
    drain = write(tmp_path, 'schema = 1\npolicy = "drain"\n[settings]\nburst_gap_seconds = 1\n', "drain.toml")
    (scenario,) = load_all_with_policy(["incident"], drain)
    assert scenario.relay.factory == "relaysim.relay:drain"
    assert [group.settings for group in scenario.workers] == [{}, {}]


def test_a_world_is_that_of_the_same_settings(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    fingerprints = []
    for typed in (
        ["--policy", policy],
        ["--set", f"relay.settings={_inline(policy)}"],
        [],
    ):
        assert main(["run", "incident", "--seed", "3", "--json", *typed]) == 0
        fingerprints.append(json.loads(capsys.readouterr().out)["fingerprint"])
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def _inline(policy: str) -> str:
    settings = load_policy(policy).settings
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()) + "}"


def test_a_log_that_cancels_once_is_the_promised_one(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = 0
    for seed in range(40):
        assert main(["run", "incident", "--seed", str(seed), "--json", "--policy", policy]) == 0
        counts = json.loads(capsys.readouterr().out)["counts"]
        assert counts["log_mismatch"] == 0
        assert counts["cancels"] == 1
        seeds += counts["conflicts"] > 1
        assert counts["clearing_requests"] == 1 + counts["conflicts"]
        assert counts["clearing_milliseconds"] > 1500
        if seeds:
            return
    raise AssertionError("no world met the run twice")


def test_a_comparison_takes_files(policy: str, tmp_path: Path) -> None:
    scenario = write(tmp_path, SMALL)
    other = write(tmp_path, POLICY.replace("attempts = 4", "attempts = 4\nfactor = 3"), "other.toml")
    comparison = load_comparison(scenario, ["cancel_and_retry", policy, other], settings=[f"{other}.poll_attempts=9"])
    assert [each.name for each in comparison.policies] == ["cancel_and_retry", policy, other]
    assert comparison.policies[2].scenario.relay.settings["poll_attempts"] == 9
    assert "poll_attempts" not in comparison.policies[1].scenario.relay.settings
    results, _ = compare_policies(comparison, code_version="1", replications=10, resamples=10, observe=observe)
    assert results["policies"][1]["settings"]["cancels"] == "first_conflict"
    # Whichever of them a failed world was of, it is that one's name and settings that are told.
    named, replay = comparison.replay({"policy": other}, 7)
    assert named == other
    assert "poll_attempts" in replay


def test_what_is_wrong_with_a_file_is_told_wherever_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = write(tmp_path, 'schema = 2\npolicy = "drain"\n[settings]\natempts = 3\n', "wrong.toml")
    with pytest.raises(ScenarioError) as caught:
        load_all_with_policy(["incident"], wrong)
    assert len(caught.value.problems) == 2
    for typed in (
        ["verify", "incident", "--policy", wrong],
        ["replay", "incident", "--seed", "1", "--policy", wrong],
        ["compare", "incident", "--policies", f"cancel_and_retry,{wrong}"],
    ):
        assert main(typed) == 2
        error = capsys.readouterr().err
        assert f"{wrong}: schema = 2: must be 1" in error
        assert f"{wrong}: settings.atempts = 3: drain has no such setting" in error
    assert main(["run", "incident", "--seed", "1", "--policy", wrong, "--factory", "relaysim.relay:drain"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_the_page_of_policy_files_shows_one_that_works(tmp_path: Path) -> None:
    page = (DOCS / "policy-file.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.S)
    file = load_policy(write(tmp_path, example, "example.toml"))
    assert dict(file.settings) == tomllib.loads(example)["settings"]
    (program,) = re.findall(r"```python\n(.*?)```", page, re.S)
    names: dict[str, object] = {}
    exec(compile(program, "policy-file.md", "exec"), names)
    assert callable(names["build"])


def test_the_page_of_tuning_names_every_setting_that_is_searched() -> None:
    page = (DOCS / "tuning.md").read_text(encoding="utf-8")
    for space in SPACES.values():
        for parameter in space:
            assert f"`{parameter.name}`" in page
            if not parameter.choices:
                assert f"{parameter.low:g} to {parameter.high:g}" in page
