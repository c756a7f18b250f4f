"""Goal: the policies on Responses are policies like any other: in files, `--set`, `compare`, `tune` and `sweep`; and none of
the relay's own policies is judged over an API that it does not speak.
Method: the commands in this process, on a few worlds of shipped scenarios.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relaysim.relay import load_policy
from relaysim.relay.policy_file import POLICIES, SHOWN_ONLY
from relaysim.scenarios.cli import main
from relaysim.scenarios.policy_comparison import DEFAULTS, load_comparison
from relaysim.scenarios.tune.space import SPACES, effective, made, present

FEW = ("--replications", "3", "--jobs", "1", "--quiet", "--out", "out")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def policy(name: str, **settings: Any) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    Path(f"{name}.toml").write_text("\n".join(["schema = 1", f'policy = "{name}"', "[settings]", *lines]))
    return f"{name}.toml"


def results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out/results.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_each_policy_may_stand_in_a_file_and_names_its_settings(name: str) -> None:
    file = load_policy(policy(name))
    assert file.policy == name
    with pytest.raises(ValueError, match="did you mean"):
        load_policy(policy(name, **{f"{next(iter(POLICIES[name].settings.rules()))}x": 1}))


def test_a_file_runs_on_responses(capsys: pytest.CaptureFixture[str]) -> None:
    file = policy("retry_on_lock", waits=[9.0], stream=True)
    assert main(["sweep", "responses_race", "--policy", file, *FEW]) == 0
    (point,) = results()["points"]
    assert point["counts"]["recovered_at_2"] == 3
    assert results()["points"][0]["latency"]["wait_seconds"]["max"] == 9.0


@pytest.mark.parametrize(
    ("scenario", "name", "message"),
    [
        ("race", "retry_on_lock", "retry_on_lock works over responses, and this scenario's API is threads"),
        (
            "responses_race",
            "cancel_and_retry",
            "cancel_and_retry works over threads, and this scenario's API is responses",
        ),
    ],
)
def test_a_policy_of_another_api_is_refused(
    scenario: str, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (
        ["verify", scenario, "--policy", policy(name)],
        ["compare", scenario, "--policies", f"{name},drain"],
        ["compare", scenario, "--policies", f"{policy(name)},drain"],
        ["tune", scenario, "--policy", name],
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error


@pytest.mark.parametrize("command", ["run", "verify", "sweep", "doctor"])
@pytest.mark.parametrize(
    ("given", "where", "sentence"),
    [
        (
            ["race", "--api", "responses"],
            "race.toml: relay.factory",
            "cancel_and_retry works over threads, and this scenario's API is responses; over responses there are "
            "retry_on_lock, quiet_window, chained, drain, retry_broken_stream, cancel_for_newer, answer_calls; put one in "
            "with --factory "
            "relaysim.relay:retry_on_lock",
        ),
        (
            ["responses_racing_cancel", "--api", "threads"],
            "responses_racing_cancel.toml: relay.factory",
            "cancel_for_newer works over responses, and this scenario's API is threads; over threads there are "
            "check_then_act, cancel_and_retry, cancel_and_retry_as_run, drain; put one in with --factory "
            "relaysim.relay:check_then_act",
        ),
        (
            ["race", "--api", "responses", "--set", "relay.factory=relaysim.relay:drain"],
            "race.toml: relay.settings",
            "drain is told by its setting `api` over which API it works, here threads, and this scenario's is responses; "
            "set it: --set relay.settings.api=responses",
        ),
    ],
)
def test_a_scenario_whose_policy_does_not_speak_its_api_says_which_do(
    command: str, given: list[str], where: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"run": ["--seed", "0"], "sweep": ["--grid", "profile_overrides.send_seconds=1,2"]}.get(command, [])
    assert main([command, *given, *more]) == 2
    error = capsys.readouterr().err
    assert f"{where}: {sentence} (more: relaysim docs " in error
    assert "lane" not in error


@pytest.mark.parametrize(
    ("policies", "api", "told"),
    [
        (
            "drain,nope",
            "threads",
            "over threads there are: check_then_act, cancel_and_retry, cancel_and_retry_as_run, drain",
        ),
        (
            "nope",
            "responses",
            "over responses there are: retry_on_lock, quiet_window, chained, drain, retry_broken_stream",
        ),
        ("drain,quiet_windo", "responses", "did you mean `quiet_window`?"),
    ],
)
def test_a_policy_that_there_is_not_is_told_with_those_that_there_are(
    policies: str, api: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = "race" if api == "threads" else "responses_race"
    assert main(["compare", scenario, "--policies", policies]) == 2
    error = capsys.readouterr().err
    assert f"--policies {policies.split(',')[-1]}: there is no policy '{policies.split(',')[-1]}'; {told}" in error
    assert "RetrySettings" not in error


@pytest.mark.parametrize("name", sorted(SHOWN_ONLY))
def test_a_policy_that_shows_a_fault_is_compared_and_neither_in_files_nor_tuned(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "responses_race", "--policies", f"retry_on_lock,{name}", *FEW]) == 0
    assert [each["policy"] for each in results()["policies"]] == ["retry_on_lock", name]
    assert main(["verify", "responses_race", "--policy", policy(name)]) == 2
    assert f"policy = '{name}': shows a fault and is not for files; name one of check" in capsys.readouterr().err
    assert main(["tune", "responses_race", "--policy", name]) == 2
    assert f"'{name}' has no settings that could be tuned" in capsys.readouterr().err
    docs = Path(__file__).parents[2] / "docs"
    for page in ("policy-file.md", "tuning.md"):
        assert f"`{name}`" in (docs / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "race", "--set", "profile_overrides.lock=none"],
        ["sweep", "race", "--grid", "profile_overrides.lock=none,steer"],
        ["serve", "--set", "lock=none"],
    ],
)
def test_a_switch_of_another_apis_profiles_is_told_with_that_api(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    error = capsys.readouterr().err
    sentence = (
        'only profiles of another API have it, `responses`; add --api responses, or api = "responses" to the scenario'
    )
    assert f"lock: {sentence}" in error
    assert "(more: relaysim docs scenarios#profiles)\n" in error
    assert "queue_seconds" not in error


def test_a_policy_is_compared_with_itself_under_two_names(capsys: pytest.CaptureFixture[str]) -> None:
    policies = "fix=retry_on_lock,agents=retry_on_lock,drain"
    command = ["compare", "responses_race", "--policies", policies, "--settings", "fix.waits=[2, 4, 8]", *FEW]
    assert main(command) == 0
    found = {each["policy"]: each for each in results()["policies"]}
    assert found["fix"]["settings"] == {"waits": [2, 4, 8]}
    assert found["agents"]["settings"] == {}
    assert found["drain"]["settings"] == {"api": "responses"}
    assert all(each["counts"]["failed"] == 0 for each in found.values())
    assert found["fix"]["fingerprint"] != found["agents"]["fingerprint"]
    assert main(["compare", "responses_race", "--policies", "a=drain,a=chained"]) == 2
    assert "'a' is named twice" in capsys.readouterr().err


@pytest.mark.parametrize(("scenario", "api"), [("race", "threads"), ("responses_race", "responses")])
def test_what_is_compared_by_default_speaks_the_scenarios_api(scenario: str, api: str) -> None:
    comparison = load_comparison(scenario, None)
    assert [each.name for each in comparison.policies] == [*DEFAULTS[api]]
    assert comparison.against in ("cancel_and_retry", "retry_on_lock")


@pytest.mark.parametrize("name", sorted(SPACES))
def test_the_defaults_of_each_policy_are_where_its_search_begins(name: str) -> None:
    point = present(name, {})
    assert point is not None
    assert effective(name, {}) == effective(name, point)
    assert made(name, point) is not None


def test_settings_that_wait_alike_are_one_candidate() -> None:
    assert effective("retry_on_lock", {"waits": [1, 2, 4]}) == effective("retry_on_lock", {})
    assert effective("retry_on_lock", {"waits": [2, 4, 8]}) != effective("retry_on_lock", {})


@pytest.mark.parametrize("name", ["retry_on_lock", "quiet_window"])
def test_a_search_writes_a_policy_of_responses(name: str) -> None:
    few = ("--budget", "2", "--held-out", "3", "--judged", "1", "--profiles", "claimed")
    assert main(["tune", "responses_race", "--policy", name, *few, *FEW]) == 0
    assert load_policy("out/policy.toml").policy == name
    assert results()["closed_form"] is None


def test_what_cannot_be_tuned_is_told_with_what_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "responses_race", "--policy", "chained"]) == 2
    assert "'chained' has no settings that could be tuned" in capsys.readouterr().err
